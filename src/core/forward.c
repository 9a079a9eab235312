/* SPDX-License-Identifier: MIT */
#include "forward.h"

#include <string.h>

#include <smtpfilter/ext/target.h>
#include <smtpfilter/forward.h>

#include "base/mem.h"
#include "base/str.h"
#include "driver.h"

enum { TEXT_MAX = 256 };

/* A report until the store has it. */
typedef struct report {
  smtpf_link in_driver;
  smtpf_driver *driver;
  smtpf_forward_fn fn;
  void *user;
  int reason;                         /* smtpf_forward_class */
  int64_t remember;                   /* seconds */
  int64_t limit;                      /* `forward.suspend_after` */
  int64_t before;                     /* POLICY: earlier ones */
  smtpf_str recipient, target, value; /* in `bytes` */
  unsigned char key[SMTPF_DIGEST_BYTES];
  char bytes[];
} report;

/* ---- where a copy goes to ---------------------------------------------------------------------------------------- */

static smtpf_str target_of(const smtpf_profile *p)
{
  return p->route == SMTPF_WISH_MAILBOX ? (smtpf_str){NULL, 0} : p->forward;
}

int smtpf_task_forward(const smtpf_task *t, size_t recipient, smtpf_str *target)
{
  const smtpf_session *s = t->session;
  const smtpf_rcpt *rcpt = recipient ? (recipient <= s->n_rcpts ? s->rcpts[recipient - 1] : NULL) : s->rcpt;
  smtpf_str found = {NULL, 0};
  if (!rcpt)
    return SMTPF_ENOTFOUND;
  if (!rcpt->n_members)
    found = target_of(rcpt->profile);
  for (size_t i = 0; i < rcpt->n_members && !found.n; i++)
    found = target_of(rcpt->members[i]);
  if (!found.n)
    return SMTPF_ENOTFOUND;
  *target = found;
  return SMTPF_OK;
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static void end(report *r, int result)
{
  const smtpf_forward_fn fn = r->fn;
  void *user = r->user;
  smtpf_list_remove(&r->in_driver);
  smtpf_mem_free(&r->driver->mem, r);
  if (fn)
    fn(user, result);
}

void smtpf_forward_free(smtpf_driver *d)
{
  while (!smtpf_list_empty(&d->reports)) {
    report *r = SMTPF_OF(d->reports.next, report, in_driver);
    smtpf_list_remove(&r->in_driver);
    smtpf_mem_free(&d->mem, r);
  }
}

/* Its owner should know: from here on the forward is not what it was. */
static void tell_owner(const report *r)
{
  static const char *const words[] = {
      [SMTPF_FORWARD_RECIPIENT] = "recipient", [SMTPF_FORWARD_SPAM] = "spam", [SMTPF_FORWARD_POLICY] = "policy"};
  const int suspends =
      r->reason == SMTPF_FORWARD_RECIPIENT || (r->reason == SMTPF_FORWARD_POLICY && r->before + 1 == r->limit);
  const smtpf_log_field fields[] = {
      {"to", r->recipient}, {"target", r->target}, {"class", smtpf_str_of(words[r->reason])}, {"reply", r->value}};
  if (suspends)
    smtpf_driver_log(r->driver, SMTPF_LOG_NOTICE, "forward-suspended", fields, sizeof fields / sizeof *fields);
}

static void written(void *user, int status, smtpf_str value)
{
  report *r = user;
  (void)value;
  if (status == SMTPF_STORE_DONE)
    tell_owner(r);
  end(r, status == SMTPF_STORE_DONE ? SMTPF_OK : SMTPF_EIO);
}

static void write_down(report *r)
{
  static const char one[8] = {1}; /* little-endian */
  const int counts = r->reason == SMTPF_FORWARD_POLICY;
  const smtpf_change change = {.size = sizeof change,
                               .op = counts ? SMTPF_CHANGE_ADD : SMTPF_CHANGE_SET,
                               .key = {(const char *)r->key, sizeof r->key},
                               .value = counts ? (smtpf_str){one, sizeof one} : r->value,
                               .expires = r->driver->wall_s + r->remember};
  if (smtpf_driver_commit(r->driver, &change, 1, written, r) != SMTPF_OK)
    end(r, SMTPF_EIO);
}

static void counted(void *user, int status, smtpf_str value)
{
  report *r = user;
  for (size_t i = value.n == 8 && status == SMTPF_STORE_FOUND ? 8 : 0; i-- > 0;)
    r->before = (int64_t)((uint64_t)r->before << 8 | (unsigned char)value.p[i]);
  write_down(r);
}

/* `550 5.1.1 words`, in bytes that a log and a reply can show. */
static smtpf_str put_reply(smtpf_out *o, const smtpf_forward_refusal *f)
{
  const size_t at = o->n;
  smtpf_str text = f->text;
  if (text.n > TEXT_MAX)
    text.n = TEXT_MAX;
  smtpf_out_int(o, f->code);
  if (f->enhanced.n) {
    smtpf_out_char(o, ' ');
    smtpf_out_printable(o, f->enhanced, 0);
  }
  if (text.n) {
    smtpf_out_char(o, ' ');
    smtpf_out_printable(o, text, 0);
  }
  return (smtpf_str){o->p + at, o->n - at};
}

static smtpf_str put(smtpf_out *o, smtpf_str text)
{
  const size_t at = o->n;
  smtpf_out_str(o, text);
  return (smtpf_str){o->p + at, o->n - at};
}

static report *make(smtpf_driver *d, const smtpf_forward_refusal *f, int reason)
{
  static const int kinds[] = {[SMTPF_FORWARD_RECIPIENT] = SMTPF_TARGET_UNKNOWN,
                              [SMTPF_FORWARD_SPAM] = SMTPF_TARGET_SPAM,
                              [SMTPF_FORWARD_POLICY] = SMTPF_TARGET_POLICY};
  const size_t room = f->recipient.n + f->target.n + f->enhanced.n + TEXT_MAX + 32;
  report *r = smtpf_mem_zalloc(&d->mem, sizeof *r + room);
  smtpf_ip client = {0};
  smtpf_out o;
  if (!r)
    return NULL;
  r->driver = d;
  r->reason = reason;
  smtpf_out_init(&o, r->bytes, room);
  r->recipient = put(&o, f->recipient);
  r->target = put(&o, f->target);
  r->value = put_reply(&o, f);
  if (smtpf_ip_parse(f->client, &client) != SMTPF_OK)
    client.family = 0;
  smtpf_target_key(kinds[reason], f->target, &client, f->sender, r->key);
  (void)smtpf_engine_number(d->engine, "forward.remember", &r->remember);
  (void)smtpf_engine_number(d->engine, "forward.suspend_after", &r->limit);
  r->remember /= 1000;
  smtpf_list_append(&d->reports, &r->in_driver);
  return r;
}

static int is_sound(const smtpf_forward_refusal *f)
{
  return f->size >= sizeof *f && f->target.n && f->target.n <= SMTPF_TARGET_ROOM &&
         f->recipient.n <= SMTPF_TARGET_ROOM && f->sender.n <= SMTPF_TARGET_ROOM && f->enhanced.n <= TEXT_MAX &&
         f->code >= 500 && f->code <= 599 && f->reason >= 0 && f->reason <= SMTPF_FORWARD_OTHER;
}

int smtpf_forward_report(smtpf_driver *d, const smtpf_forward_refusal *f, smtpf_forward_fn fn, void *user)
{
  if (!is_sound(f))
    return SMTPF_EINVAL;
  const int reason = f->reason ? f->reason : smtpf_forward_classify(f->code, f->enhanced, f->text);
  smtpf_driver_call(d);
  if (reason == SMTPF_FORWARD_OTHER) { /* nothing that the next mail would meet again */
    if (fn)
      fn(user, SMTPF_OK);
    return SMTPF_OK;
  }
  report *r = make(d, f, reason);
  if (!r)
    return SMTPF_ENOMEM;
  r->fn = fn;
  r->user = user;
  if (reason != SMTPF_FORWARD_POLICY)
    write_down(r);
  else if (smtpf_driver_get(d, (smtpf_str){(const char *)r->key, sizeof r->key}, counted, r) != SMTPF_OK)
    end(r, SMTPF_EIO);
  return SMTPF_OK;
}

void smtpf_forward_refused(smtpf_session *s, const smtpf_rcpt *rcpt)
{
  const smtpf_profile *p = rcpt->entry.outcome.profile;
  if (!rcpt->entry.forward || !p || rcpt->hop.code < 500)
    return;
  const smtpf_forward_refusal f = {.size = sizeof f,
                                   .recipient = rcpt->canonical,
                                   .target = p->forward,
                                   .sender = s->sender.address,
                                   .client = s->client_text,
                                   .code = rcpt->hop.code,
                                   .enhanced = rcpt->hop.enhanced,
                                   .text = rcpt->hop.text};
  (void)smtpf_forward_report(s->driver, &f, NULL, NULL); /* without memory it is learnt from the next refusal */
}
