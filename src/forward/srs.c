/* SPDX-License-Identifier: MIT */
#include "srs.h"

#include <smtpfilter/ext/mail.h>

enum {
  TAG = 4, /* `SRS0`; the separator follows */
  DAY_S = 86400,
  DAYS = 1024, /* a day has two characters of five bits */
  SKEW_DAYS = 1,
  HASH_MAX = 27, /* 20 bytes in base64, without padding */
};

/* ---- hash and day -------------------------------------------------------------------------------------------------
 */

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode_hash(const unsigned char mac[SMTPF_MAC_BYTES], char out[HASH_MAX])
{
  uint32_t bits = 0;
  int held = 0;
  size_t at = 0;
  for (size_t i = 0; i < SMTPF_MAC_BYTES; i++) {
    bits = bits << 8 | mac[i];
    for (held += 8; held >= 6; held -= 6)
      out[at++] = base64url[bits >> (held - 6) & 63];
  }
  out[at] = base64url[bits << (6 - held) & 63];
}

static int hash_with(const smtpf_srs *srs, size_t key, const smtpf_str *parts, size_t n, char out[HASH_MAX])
{
  unsigned char mac[SMTPF_MAC_BYTES];
  int r = smtpf_signer_mac(&srs->signer, key, parts, n, mac);
  if (r == SMTPF_OK)
    encode_hash(mac, out);
  return r;
}

/* One alphabet, one case. */
static char plain(char c)
{
  return c == '+' ? '-' : c == '/' ? '_' : smtpf_lower(c);
}

/* SMTPF_OK: some key made it; SMTPF_ENOTFOUND: none did. */
static int check_hash(const smtpf_srs *srs, smtpf_str hash, const smtpf_str *parts, size_t n)
{
  char made[HASH_MAX], given[HASH_MAX];
  int found = 0;
  if (hash.n < srs->hash_min || hash.n > HASH_MAX)
    return SMTPF_ENOTFOUND;
  for (size_t i = 0; i < hash.n; i++)
    given[i] = plain(hash.p[i]);
  for (size_t key = 0; key < srs->signer.n; key++) {
    int r = hash_with(srs, key, parts, n, made);
    if (r != SMTPF_OK)
      return r == SMTPF_ELIMIT ? SMTPF_ENOTFOUND : r;
    for (size_t i = 0; i < hash.n; i++)
      made[i] = plain(made[i]);
    found |= smtpf_same_bytes(made, given, hash.n);
  }
  return found ? SMTPF_OK : SMTPF_ENOTFOUND;
}

static int64_t today(int64_t wall_s)
{
  return wall_s / DAY_S % DAYS;
}

/* A day's number, -1 when it is none. */
static int64_t read_day(smtpf_str text)
{
  int64_t day = 0;
  if (text.n != 2)
    return -1;
  for (size_t i = 0; i < 2; i++) {
    const char c = text.p[i];
    if (!smtpf_is_alpha(c) && (c < '2' || c > '7'))
      return -1;
    day = day * 32 + (smtpf_is_alpha(c) ? smtpf_lower(c) - 'a' : c - '2' + 26);
  }
  return day;
}

static int is_fresh(const smtpf_srs *srs, int64_t day, int64_t wall_s)
{
  const int64_t age = (today(wall_s) - day + DAYS) % DAYS;
  return age <= srs->max_age_days || age >= DAYS - SKEW_DAYS;
}

/* ---- reading ------------------------------------------------------------------------------------------------------
 */

enum form { FORM_OTHER, FORM_SRS0, FORM_SRS1 };

/* What a rewritten local part says. */
typedef struct parts {
  smtpf_str hash, day, domain;
  smtpf_str rest; /* SRS0: the local part; SRS1: what the first forwarder wrote, with its separator */
} parts;

static int is_separator(char c)
{
  return c == '=' || c == '+' || c == '-';
}

/* By its first five bytes. */
static int form_of(smtpf_str local)
{
  if (local.n <= TAG || !is_separator(local.p[TAG]))
    return FORM_OTHER;
  const smtpf_str tag = {local.p, TAG};
  return smtpf_str_equal_nocase(tag, SMTPF_LIT("SRS0"))   ? FORM_SRS0
         : smtpf_str_equal_nocase(tag, SMTPF_LIT("SRS1")) ? FORM_SRS1
                                                          : FORM_OTHER;
}

/* Where mail can return to: names of one label and addresses lead nowhere from another host. */
static int is_reachable(smtpf_str domain)
{
  size_t dots = 0;
  for (size_t i = 0; i < domain.n; i++)
    dots += domain.p[i] == '.';
  return dots && domain.p[0] != '[';
}

/* 1 when it is whole. */
static int read_parts(smtpf_str local, int form, parts *p)
{
  p->rest = (smtpf_str){local.p + TAG + 1, local.n - TAG - 1};
  p->day = (smtpf_str){NULL, 0};
  if (!smtpf_take_until(&p->rest, '=', &p->hash) || (form == FORM_SRS0 && !smtpf_take_until(&p->rest, '=', &p->day)) ||
      !smtpf_take_until(&p->rest, '=', &p->domain))
    return 0;
  return p->rest.n && is_reachable(p->domain) && (form == FORM_SRS0 || is_separator(p->rest.p[0]));
}

/* What was said, as it is signed. */
static int check_parts(const smtpf_srs *srs, const parts *p)
{
  const smtpf_str said[] = {p->day, p->domain, p->rest};
  return check_hash(srs, p->hash, said, sizeof said / sizeof *said);
}

/* ---- writing ------------------------------------------------------------------------------------------------------
 */

/* [`"`] `SRS0` what follows it, or a local part alone [`"`] `@` domain */
static int write_address(const char *tag, smtpf_str local, int quoted, smtpf_str domain, char *out, size_t cap,
                         size_t *n)
{
  smtpf_out o;
  smtpf_out_init(&o, out, cap);
  if (quoted)
    smtpf_out_char(&o, '"');
  smtpf_out_cstr(&o, tag);
  smtpf_out_str(&o, local);
  if (quoted)
    smtpf_out_char(&o, '"');
  smtpf_out_char(&o, '@');
  smtpf_out_str(&o, domain);
  return smtpf_rewritten(&o, n);
}

static int write_signed(const smtpf_srs *srs, const char *tag, const parts *p, int quoted, char *out, size_t cap,
                        size_t *n)
{
  const smtpf_str said[] = {p->day, p->domain, p->rest};
  char hash[HASH_MAX], room[SMTPF_SIGNED_MAX];
  smtpf_out o;
  int r = hash_with(srs, 0, said, sizeof said / sizeof *said, hash);
  if (r != SMTPF_OK)
    return r;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_char(&o, srs->separator);
  smtpf_out_str(&o, (smtpf_str){hash, srs->hash_length});
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    if (!said[i].n)
      continue; /* SRS1 has no day */
    smtpf_out_char(&o, '=');
    smtpf_out_str(&o, said[i]);
  }
  return o.full ? SMTPF_ELIMIT : write_address(tag, smtpf_out_done(&o), quoted, srs->domain, out, cap, n);
}

/* ---- forward ------------------------------------------------------------------------------------------------------
 */

/* What another forwarder signed stays as it is. */
static parts of_srs0(const smtpf_mailbox *m)
{
  const size_t tag = m->local.n > TAG ? TAG : 0;
  return (parts){.domain = m->domain, .rest = {m->local.p + tag, m->local.n - tag}};
}

/* An SRS0 of ours, which came back by a ring of forwarders. */
static int leads_home(const smtpf_srs *srs, const parts *p)
{
  char room[SMTPF_SIGNED_MAX];
  smtpf_out o;
  parts own;
  if (!smtpf_domain_equal(p->domain, srs->domain))
    return 0;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, "SRS0");
  smtpf_out_str(&o, p->rest);
  return !o.full && read_parts(smtpf_out_done(&o), FORM_SRS0, &own) && check_parts(srs, &own) == SMTPF_OK;
}

static int wrap(const smtpf_srs *srs, const smtpf_mailbox *m, int64_t wall_s, char *out, size_t cap, size_t *n)
{
  const int64_t day = today(wall_s);
  const char day_text[2] = {base32[day >> 5], base32[day & 31]};
  const int form = form_of(m->local);
  const parts plain_one = {.day = {day_text, 2}, .domain = m->domain, .rest = m->local};
  parts p = of_srs0(m);
  if (form == FORM_OTHER || (form == FORM_SRS1 && !read_parts(m->local, form, &p)))
    return write_signed(srs, "SRS0", &plain_one, m->quoted, out, cap, n);
  if (form == FORM_SRS1 && leads_home(srs, &p))
    return write_address("SRS0", p.rest, m->quoted, srs->domain, out, cap, n);
  return write_signed(srs, "SRS1", &p, m->quoted, out, cap, n);
}

int smtpf_srs_wrap(const smtpf_srs *srs, smtpf_str sender, int64_t wall_s, char *out, size_t cap, size_t *n)
{
  char room[SMTPF_ADDRESS_ROOM];
  smtpf_mailbox m;
  smtpf_path path;
  size_t length = 0;
  if (smtpf_mailbox_parse(sender, &path) != SMTPF_OK || smtpf_mailbox_split(sender, &m) != SMTPF_OK ||
      !is_reachable(m.domain) || wall_s < 0)
    return SMTPF_EPARSE;
  int r = SMTPF_OK;
  smtpf_out o;
  smtpf_out_init(&o, out, cap);
  if (smtpf_domain_equal(m.domain, srs->domain)) {
    smtpf_out_str(&o, sender);
    return smtpf_rewritten(&o, n);
  }
  r = wrap(srs, &m, wall_s, room, sizeof room, &length);
  if (r == SMTPF_OK && smtpf_mailbox_parse((smtpf_str){room, length}, &path) != SMTPF_OK)
    r = SMTPF_ELIMIT;
  if (r != SMTPF_OK)
    return r;
  smtpf_out_str(&o, (smtpf_str){room, length});
  return smtpf_rewritten(&o, n);
}

/* ---- reverse ------------------------------------------------------------------------------------------------------
 */

int smtpf_srs_has_form(smtpf_str domain, smtpf_str address)
{
  smtpf_mailbox m;
  return smtpf_mailbox_split(address, &m) == SMTPF_OK && smtpf_domain_equal(m.domain, domain) &&
         form_of(m.local) != FORM_OTHER;
}

int smtpf_srs_unwrap(const smtpf_srs *srs, smtpf_str address, int64_t wall_s, char *out, size_t cap, size_t *n,
                     int *signature)
{
  smtpf_mailbox m;
  parts p;
  *signature = SMTPF_SIGNATURE_NONE;
  if (!smtpf_srs_has_form(srs->domain, address) || smtpf_mailbox_split(address, &m) != SMTPF_OK)
    return SMTPF_ENOTFOUND;
  const int form = form_of(m.local);
  *signature = SMTPF_SIGNATURE_BAD;
  if (!read_parts(m.local, form, &p))
    return SMTPF_ENOTFOUND;
  const int64_t day = form == FORM_SRS0 ? read_day(p.day) : 0;
  int r = day < 0 ? SMTPF_ENOTFOUND : check_parts(srs, &p);
  if (r != SMTPF_OK)
    return r;
  if (form == FORM_SRS0 && !is_fresh(srs, day, wall_s)) {
    *signature = SMTPF_SIGNATURE_EXPIRED;
    return SMTPF_ENOTFOUND;
  }
  *signature = SMTPF_SIGNATURE_GOOD;
  return write_address(form == FORM_SRS1 ? "SRS0" : "", p.rest, m.quoted, p.domain, out, cap, n);
}
