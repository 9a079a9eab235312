/* SPDX-License-Identifier: MIT
 *
 * What checks that read messages are given.
 */
#include "fake_check.h"

#include <smtpfilter/ext/scan.h>

void **smtpf_task_room(smtpf_task *t, void (*done)(void *))
{
  t->room_done = done;
  return &t->room;
}

int smtpf_task_recipient(const smtpf_task *t, size_t i, smtpf_str *address, smtpf_str *profile)
{
  if (!i || i > sizeof t->recipients / sizeof t->recipients[0] || !t->recipients[i - 1])
    return SMTPF_ENOTFOUND;
  if (address)
    *address = smtpf_str_of(t->recipients[i - 1]);
  if (profile)
    *profile = SMTPF_LIT("default");
  return SMTPF_OK;
}

int smtpf_task_source(const smtpf_task *t, size_t recipient, smtpf_source *out)
{
  if (!recipient || recipient > 8 || !t->sources[recipient - 1])
    return SMTPF_ENOTFOUND;
  out->text = smtpf_str_of(t->sources[recipient - 1]);
  out->hops = 1;
  return smtpf_ip_parse(out->text, &out->ip);
}

int smtpf_task_origin(const smtpf_task *t, size_t recipient, smtpf_str *scope)
{
  const char *name = t->scopes[recipient ? recipient - 1 : 0];
  if (scope)
    *scope = smtpf_str_of(name);
  return name ? SMTPF_ORIGIN_FORWARDER : SMTPF_ORIGIN_STRANGER;
}

int smtpf_task_trace(const smtpf_task *t, size_t recipient, smtpf_trace *out)
{
  *out = t->trace;
  out->size = sizeof *out;
  out->delivered = recipient ? t->delivered[recipient - 1] : 0;
  return SMTPF_OK;
}

int smtpf_task_certain(smtpf_task *t, unsigned flags)
{
  return t->certain && !(flags & SMTPF_FINDING_OWN_TOO);
}

int smtpf_task_seen(smtpf_task *t, uint64_t bytes)
{
  t->seen = bytes;
  return SMTPF_OK;
}

size_t fake_feed(smtpf_task *t, const char *bytes, size_t n)
{
  ck_assert_int_eq(t->status, SMTPF_PENDING);
  return t->check->feed(t->self, t, bytes, n);
}

void fake_piece(smtpf_task *t, const smtpf_piece *piece)
{
  ck_assert_int_eq(t->status, SMTPF_PENDING);
  t->check->content(t->self, t, piece);
}

int fake_finish(smtpf_task *t)
{
  ck_assert_int_eq(t->status, SMTPF_PENDING);
  return t->status = t->check->finish(t->self, t);
}

static void keep(char *out, size_t cap, smtpf_str s)
{
  ck_assert_uint_lt(s.n, cap);
  if (s.n)
    memcpy(out, s.p, s.n);
  out[s.n] = '\0';
}

int smtpf_task_edit(smtpf_task *t, int op, smtpf_str name, smtpf_str value, int occurrence, size_t recipient)
{
  if (++fake_count == fake_fail_at)
    return SMTPF_ENOMEM;
  ck_assert_uint_lt(t->n_edits, sizeof t->edits / sizeof t->edits[0]);
  keep(t->edits[t->n_edits].name, sizeof t->edits[0].name, name);
  keep(t->edits[t->n_edits].value, sizeof t->edits[0].value, value);
  t->edits[t->n_edits].op = op;
  t->edits[t->n_edits].occurrence = occurrence;
  t->edits[t->n_edits++].recipient = recipient;
  return SMTPF_OK;
}

/* Not the real one: as good for who only compares. */
int smtpf_task_hmac(smtpf_task *t, smtpf_str key, smtpf_str data, unsigned char out[32])
{
  t->hmacs++;
  if (t->hmac == SMTPF_OK)
    smtpf_digest((const smtpf_str[]){key, data}, 2, out);
  return t->hmac;
}

int smtpf_task_signature(const smtpf_task *t, size_t recipient)
{
  return recipient && recipient <= sizeof t->signatures / sizeof t->signatures[0] ? t->signatures[recipient - 1]
                                                                                  : SMTPF_SIGNATURE_NONE;
}

int smtpf_task_local(const smtpf_task *t, smtpf_str address)
{
  static const smtpf_str ours = {"@example.net", 12};
  (void)t;
  return address.n > ours.n && smtpf_str_equal_nocase((smtpf_str){address.p + address.n - ours.n, ours.n}, ours);
}

/* ---- what only scanners ask for, which have tests of their own ---------------------------------------------- */

void smtpf_task_patience(smtpf_task *t, int64_t ms)
{
  (void)t, (void)ms;
}

int smtpf_task_scan(smtpf_task *t, const smtpf_scan_request *request, uint32_t tag)
{
  (void)t, (void)request, (void)tag;
  return SMTPF_EUNSUPPORTED;
}

int smtpf_task_scan_finish(smtpf_task *t, uint32_t tag)
{
  (void)t, (void)tag;
  return SMTPF_EUNSUPPORTED;
}

int smtpf_task_scan_cancel(smtpf_task *t, uint32_t tag)
{
  (void)t, (void)tag;
  return SMTPF_EUNSUPPORTED;
}
