/* SPDX-License-Identifier: MIT */
#include "signature.h"

#include "base/str.h"
#include "driver.h"

/* ---- keys and crypto ----------------------------------------------------------------------------------------------
 */

static smtpf_signer with_crypto(smtpf_signer keys, const smtpf_driver *d)
{
  keys.crypto = d->ports.crypto;
  keys.shared = d->ports.crypto_shared;
  return keys;
}

int smtpf_signature_srs(const smtpf_driver *d, const smtpf_engine *e, smtpf_srs *out)
{
  if (!e->signing.srs.signer.n || !d->ports.crypto)
    return 0;
  *out = e->signing.srs;
  out->signer = with_crypto(out->signer, d);
  return 1;
}

int smtpf_signature_prvs(const smtpf_driver *d, const smtpf_engine *e, smtpf_prvs *out)
{
  if (!e->signing.prvs.signer.n || !d->ports.crypto)
    return 0;
  *out = e->signing.prvs;
  out->signer = with_crypto(out->signer, d);
  return 1;
}

int smtpf_signature_possible(const smtpf_driver *d, const smtpf_engine *e)
{
  const smtpf_log_field why = {"text", SMTPF_LIT("the policy has keys to sign with, and this build no crypto port")};
  const int signs = e->signing.srs.signer.n || e->signing.prvs.signer.n ||
                    smtpf_section_count(e->tree.root, "bounce.keys"); /* the mark on own mail */
  if (d->ports.crypto || !signs)
    return SMTPF_OK;
  if (e->log && e->log_level >= SMTPF_LOG_ERROR)
    e->log(e->log_user, SMTPF_LOG_ERROR, "no-crypto", &why, 1);
  return SMTPF_EUNSUPPORTED;
}

/* ---- a recipient --------------------------------------------------------------------------------------------------
 */

static smtpf_str domain_of(smtpf_str address)
{
  size_t at = address.n;
  while (at && address.p[at - 1] != '@')
    at--;
  return (smtpf_str){address.p + at, address.n - at};
}

/* What could not be checked is unknown, whatever it looks like (promise L4). */
static int judge(int result, int signature)
{
  if (result == SMTPF_EIO)
    return SMTPF_SIGNATURE_UNKNOWN;
  return result == SMTPF_OK || signature != SMTPF_SIGNATURE_GOOD ? signature : SMTPF_SIGNATURE_BAD;
}

static int read_srs(const smtpf_session *s, smtpf_str address, char room[SMTPF_ADDRESS_ROOM], smtpf_str *behind)
{
  smtpf_srs srs;
  smtpf_path path;
  size_t n = 0;
  int signature = SMTPF_SIGNATURE_NONE;
  if (!s->engine->signing.srs.signer.n || !smtpf_srs_has_form(s->engine->signing.srs.domain, address))
    return SMTPF_SIGNATURE_NONE;
  if (!smtpf_signature_srs(s->driver, s->engine, &srs))
    return SMTPF_SIGNATURE_UNKNOWN;
  const int r = smtpf_srs_unwrap(&srs, address, s->driver->wall_s, room, SMTPF_ADDRESS_ROOM, &n, &signature);
  *behind = (smtpf_str){room, n};
  signature = judge(r, signature);
  if (signature == SMTPF_SIGNATURE_GOOD && smtpf_mailbox_parse(*behind, &path) != SMTPF_OK)
    signature = SMTPF_SIGNATURE_BAD; /* of whoever shares our key: not of ours */
  return signature;
}

static int read_prvs(const smtpf_session *s, smtpf_str address, char room[SMTPF_ADDRESS_ROOM], smtpf_str *behind)
{
  smtpf_prvs prvs;
  size_t n = 0;
  int signature = SMTPF_SIGNATURE_NONE;
  if (!s->engine->signing.prvs.signer.n || !smtpf_prvs_has_form(address) || !smtpf_engine_is_local(s->engine, address))
    return SMTPF_SIGNATURE_NONE;
  if (!smtpf_signature_prvs(s->driver, s->engine, &prvs))
    return SMTPF_SIGNATURE_UNKNOWN;
  const int r = smtpf_prvs_verify(&prvs, address, s->driver->wall_s, room, SMTPF_ADDRESS_ROOM, &n, &signature);
  *behind = (smtpf_str){room, n};
  return judge(r, signature);
}

int smtpf_signature_read(smtpf_session *s, smtpf_rcpt *rcpt)
{
  char room[SMTPF_ADDRESS_ROOM];
  smtpf_str behind = {NULL, 0};
  if (rcpt->path.form != SMTPF_PATH_MAILBOX)
    return SMTPF_OK;
  int signature = read_srs(s, rcpt->address, room, &behind);
  smtpf_str *to = &rcpt->returns_to;
  if (signature == SMTPF_SIGNATURE_NONE) {
    signature = read_prvs(s, rcpt->address, room, &behind);
    to = &rcpt->address;
  }
  rcpt->signature = (uint8_t)signature;
  return signature == SMTPF_SIGNATURE_GOOD ? smtpf_arena_copy(&s->transaction, behind, to) : SMTPF_OK;
}

int smtpf_signature_route(smtpf_session *s, smtpf_rcpt *rcpt)
{
  if (!rcpt->returns_to.n)
    return SMTPF_OK;
  smtpf_profile *own = smtpf_arena_alloc(&s->transaction, sizeof *own);
  if (!own)
    return SMTPF_ENOMEM;
  *own = *rcpt->profile;
  own->discard = SMTPF_SCORE_OFF; /* who is behind it has not agreed to that (promise L3) */
  own->route = SMTPF_WISH_FORWARD;
  own->forward_failed = SMTPF_FAILED_REFUSE; /* there is no mailbox it could stay in */
  if (own->quarantine == SMTPF_SCORE_OFF)
    own->quarantine = SMTPF_SCORE_OFF - 1; /* nor one to be marked in: what may neither go on nor be refused */
  own->forward = rcpt->returns_to;
  own->forward_sender = (smtpf_str){NULL, 0};
  rcpt->profile = own;
  return SMTPF_OK;
}

/* ---- the sender ---------------------------------------------------------------------------------------------------
 */

/* One that cannot be rewritten is none: the copy leaves with the sender's own. */
static int keep(smtpf_session *s, int result, smtpf_str made, smtpf_str *to)
{
  if (result != SMTPF_OK || smtpf_str_equal(made, s->sender.address))
    return SMTPF_OK;
  return smtpf_arena_copy(&s->transaction, made, to);
}

/* Our own users' mail, whose bounces come to us as they are. */
static int is_ours(const smtpf_session *s)
{
  return s->sender.form != SMTPF_PATH_MAILBOX || smtpf_engine_is_local(s->engine, s->sender.address);
}

static int make_forward_sender(smtpf_session *s)
{
  char room[SMTPF_ADDRESS_ROOM];
  smtpf_srs srs;
  size_t n = 0;
  if (is_ours(s) || !smtpf_signature_srs(s->driver, s->engine, &srs))
    return SMTPF_OK;
  const int r = smtpf_srs_wrap(&srs, s->sender.address, s->driver->wall_s, room, sizeof room, &n);
  return keep(s, r, (smtpf_str){room, n}, &s->forward_sender);
}

/* Whether the user who sends has asked for it. */
static int asks_for_signature(const smtpf_session *s)
{
  const smtpf_profile *p = smtpf_engine_recipient(s->engine, s->sender.address);
  return (p ? p : s->engine->site)->batv;
}

static int make_signed_sender(smtpf_session *s)
{
  char room[SMTPF_ADDRESS_ROOM];
  smtpf_prvs prvs;
  size_t n = 0;
  if (!s->own || s->sender.form != SMTPF_PATH_MAILBOX || !is_ours(s) || !asks_for_signature(s) ||
      !smtpf_signature_prvs(s->driver, s->engine, &prvs))
    return SMTPF_OK;
  const int r = smtpf_prvs_sign(&prvs, s->sender.address, s->driver->wall_s, room, sizeof room, &n);
  return keep(s, r, (smtpf_str){room, n}, &s->signed_sender);
}

int smtpf_signature_senders(smtpf_session *s)
{
  const int r = make_forward_sender(s);
  return r == SMTPF_OK ? make_signed_sender(s) : r;
}

static int is_exempt(const smtpf_engine *e, smtpf_str address)
{
  char room[SMTPF_ADDRESS_MAX];
  smtpf_str key;
  if (!e->signing.exempt.n || smtpf_engine_lower(address, room, &key) != SMTPF_OK)
    return 0;
  const smtpf_str domain = domain_of(key);
  return smtpf_map_get(&e->signing.exempt, key) || smtpf_map_get(&e->signing.exempt, domain);
}

/* Who keys on the sender sees the plain one; where the host has one sender for all, so does everybody else. */
static int shows_signature(const smtpf_session *s, const smtpf_rcpt *rcpt)
{
  if (s->can & SMTPF_CAN_SENDER_PER_RCPT)
    return !is_exempt(s->engine, rcpt->address);
  size_t i = 0;
  while (i < s->n_rcpts && !is_exempt(s->engine, s->rcpts[i]->address))
    i++;
  return i == s->n_rcpts;
}

smtpf_str smtpf_signature_sender_of(const smtpf_session *s, const smtpf_rcpt *rcpt)
{
  if (s->sender.form == SMTPF_PATH_NULL)
    return (smtpf_str){"", 0};
  return s->signed_sender.n && shows_signature(s, rcpt) ? s->signed_sender : s->sender.address;
}

/* ---- for hosts (forward.h) ----------------------------------------------------------------------------------------
 */

/* The address itself. */
static int as_it_is(smtpf_str address, char *out, size_t cap, size_t *n)
{
  smtpf_out o;
  smtpf_out_init(&o, out, cap);
  smtpf_out_str(&o, address);
  return smtpf_rewritten(&o, n);
}

int smtpf_srs_forward(smtpf_driver *d, smtpf_str sender, char *out, size_t cap, size_t *n)
{
  smtpf_srs srs;
  smtpf_driver_call(d);
  if (!smtpf_signature_srs(d, d->engine, &srs))
    return SMTPF_EUNSUPPORTED;
  if (!sender.n || smtpf_engine_is_local(d->engine, sender))
    return as_it_is(sender, out, cap, n);
  return smtpf_srs_wrap(&srs, sender, d->wall_s, out, cap, n);
}

int smtpf_srs_reverse(smtpf_driver *d, smtpf_str address, char *out, size_t cap, size_t *n, int *signature)
{
  int found = SMTPF_SIGNATURE_NONE;
  smtpf_srs srs;
  smtpf_driver_call(d);
  if (!smtpf_signature_srs(d, d->engine, &srs))
    return SMTPF_EUNSUPPORTED;
  const int r = smtpf_srs_unwrap(&srs, address, d->wall_s, out, cap, n, &found);
  if (signature && r != SMTPF_EIO)
    *signature = found;
  return r;
}

int smtpf_batv_sign(smtpf_driver *d, smtpf_str sender, char *out, size_t cap, size_t *n)
{
  smtpf_prvs prvs;
  smtpf_driver_call(d);
  if (!smtpf_signature_prvs(d, d->engine, &prvs))
    return SMTPF_EUNSUPPORTED;
  return sender.n ? smtpf_prvs_sign(&prvs, sender, d->wall_s, out, cap, n) : as_it_is(sender, out, cap, n);
}

int smtpf_batv_verify(smtpf_driver *d, smtpf_str address, char *out, size_t cap, size_t *n, int *signature)
{
  int found = SMTPF_SIGNATURE_NONE;
  smtpf_prvs prvs;
  smtpf_driver_call(d);
  if (!smtpf_signature_prvs(d, d->engine, &prvs))
    return SMTPF_EUNSUPPORTED;
  const int r = smtpf_prvs_verify(&prvs, address, d->wall_s, out, cap, n, &found);
  if (signature && r != SMTPF_EIO)
    *signature = found;
  return r;
}
