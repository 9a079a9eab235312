/* SPDX-License-Identifier: MIT
 *
 * forward_target: whether the address a recipient's mail is forwarded to can take it, asked before the recipient is
 * accepted. What we accept and the next server refuses comes back as a bounce to a sender who is often forged. For a
 * recipient who forwards, all at once:
 *
 *     the address    its syntax; its domain exists and takes mail (RFC 5321 5.1, null MX: RFC 7505)
 *     the store      its server has said that the mailbox does not exist, that mail of this client and sender is spam,
 *                    or has refused us so often that the forward is suspended (ext/target.h, smtpf_forward_report())
 *     a callout      with `forward.callout`, when nothing above is known against it: its server is asked; the answer is
 *                    kept
 *
 * A target that is one of our own mailboxes is asked of the directory. What cannot be found out never refuses. Replies
 * do not say where the mail would have gone, unless `forward.reveal` lets them; the log does.
 */
#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/target.h>

#define MINUTE INT64_C(60000)
#define DAY (24 * 60 * MINUTE)

static const smtpf_option rows[] = {
    {"forward.reveal", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether the reply to a sender whose mail cannot be forwarded names the address behind the recipient and what its "
     "server said. Where the mail goes is the recipient's secret."},
    {"forward.callout", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether the server of a forward's target is asked if the mailbox exists, by the beginning of a mail that never "
     "comes, before the recipient is accepted. Some sites list those who ask often; hosts that forward inline learn "
     "more without it."},
    {"forward.callout_sender", SMTPF_OPTION_STRING, NULL, 0, 0, NULL,
     "Envelope sender of those questions; without one the null sender. Some servers refuse the null sender at every "
     "mailbox that never sends; an address given here must take mail."},
    {"forward.callout_good", SMTPF_OPTION_TIME, "1d", 0, 365 * DAY, NULL,
     "How long it is kept that a target's server took the mailbox."},
    {"forward.callout_bad", SMTPF_OPTION_TIME, "3h", 0, 365 * DAY, NULL,
     "How long it is kept that it refused the mailbox. What could not be found out is not kept."},
};

typedef struct settings {
  smtpf_mem mem;
  int reveal, callout;
  int64_t suspend_after, good_s, bad_s, patience_ms;
  smtpf_str sender;
} settings;

/* What the DNS says of the target's domain. */
enum domain { ASKED, EXISTS, ABSENT, NULL_MX };

typedef struct look {
  smtpf_str target;
  smtpf_path path;
  enum domain domain;
  unsigned open;                 /* answers that are due */
  int addresses;                 /* of the domain itself: found none yet */
  int counted;                   /* refusals for who we are, as far as they matter */
  int called;                    /* a callout was made */
  smtpf_str unknown, spam, kept; /* records of the store */
  const char *cause;             /* why something could not be found out */
} look;

enum tag { TAG_LOCAL, TAG_MX, TAG_A, TAG_AAAA, TAG_UNKNOWN, TAG_SPAM, TAG_POLICY, TAG_KEPT, TAG_CALLOUT };

/* ---- findings -----------------------------------------------------------------------------------------------------
 */

typedef struct verdict {
  const char *code;
  int reply;
  const char *enhanced, *text;
} verdict;

static const verdict bad_address = {"target-syntax", 550, "5.1.3", "the address behind this recipient is not valid"};
static const verdict no_domain = {"target-domain", 550, "5.1.2", "the domain behind this recipient does not exist"};
static const verdict null_mx = {"target-null-mx", 556, "5.1.10", "the domain behind this recipient takes no mail"};
static const verdict unknown = {"target-unknown", 550, "5.1.1", "the mailbox behind this recipient does not exist"};
static const verdict spam = {"target-spam", 550, "5.7.1",
                             "the server behind this recipient has refused mail of this sender as spam"};
static const verdict policy = {"target-policy", 550, "5.7.1", "mail for this recipient cannot be forwarded now"};

static int hit(const settings *s, smtpf_task *t, const look *l, const verdict *v, smtpf_str said)
{
  smtpf_finding f = {.size = sizeof f,
                     .kind = SMTPF_HIT,
                     .code = v->code,
                     .flags = SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO | SMTPF_FINDING_ROUTE,
                     .reply = v->reply,
                     .enhanced = v->enhanced,
                     .text = smtpf_str_of(v->text)};
  f.detail = SMTPF_JOIN(t, l->target, said.n ? SMTPF_LIT(": ") : SMTPF_LIT(""), said);
  if (s->reveal)
    f.text = SMTPF_JOIN(t, smtpf_str_of(v->text), SMTPF_LIT(": "), f.detail);
  return smtpf_task_report(t, &f);
}

static int clear(smtpf_task *t, const look *l, const char *code)
{
  const smtpf_finding f = {.size = sizeof f, .kind = SMTPF_CLEAR, .code = code, .detail = l->target};
  return smtpf_task_report(t, &f);
}

static void not_known(look *l, const char *cause)
{
  if (!l->cause)
    l->cause = cause;
}

/* ---- callouts -----------------------------------------------------------------------------------------------------
 */

/* A server's reply in a record: `550 5.1.1 words`. */
static smtpf_str record_of(smtpf_task *t, const smtpf_callout_answer *a)
{
  char digits[3] = {(char)('0' + a->code / 100 % 10), (char)('0' + a->code / 10 % 10), (char)('0' + a->code % 10)};
  const smtpf_str blank = SMTPF_LIT(" "), none = SMTPF_LIT("");
  return SMTPF_JOIN(t, ((smtpf_str){digits, sizeof digits}), a->enhanced.n ? blank : none, a->enhanced,
                    a->text.n ? blank : none, a->text);
}

static int keep(smtpf_task *t, const look *l, smtpf_str value, int64_t seconds)
{
  unsigned char key[SMTPF_DIGEST_BYTES];
  smtpf_target_key(SMTPF_TARGET_CALLOUT, l->target, NULL, (smtpf_str){"", 0}, key);
  const smtpf_change change = {.size = sizeof change,
                               .op = SMTPF_CHANGE_SET,
                               .key = {(const char *)key, sizeof key},
                               .value = value,
                               .expires = smtpf_task_event(t)->wall_s + seconds};
  return seconds > 0 ? smtpf_task_note(t, &change, 1) : SMTPF_OK;
}

/* Many servers hold every refusal until RCPT: one that is not about the mailbox says nothing of it. */
static int is_about_mailbox(const smtpf_callout_answer *a)
{
  const int reason = smtpf_forward_classify(a->code, a->enhanced, a->text);
  return reason == SMTPF_FORWARD_RECIPIENT ||
         (reason == SMTPF_FORWARD_OTHER && !a->enhanced.n && (a->code == 550 || a->code == 551 || a->code == 553));
}

static int take_callout(const settings *s, smtpf_task *t, look *l, const smtpf_callout_answer *a)
{
  const smtpf_str said = a->code ? record_of(t, a) : a->cause;
  int r = SMTPF_OK;
  if (a->status == SMTPF_CALLOUT_ACCEPTED) {
    r = keep(t, l, said, s->good_s);
    return r == SMTPF_OK ? clear(t, l, "accepted") : r;
  }
  if (a->status == SMTPF_CALLOUT_REFUSED && is_about_mailbox(a)) {
    r = keep(t, l, said, s->bad_s);
    return r == SMTPF_OK ? hit(s, t, l, &unknown, said) : r;
  }
  return smtpf_task_unknown(t, "callout", SMTPF_JOIN(t, l->target, SMTPF_LIT(": "), said));
}

/* Nothing is known against it: its server knows. */
static int call(const settings *s, smtpf_task *t, look *l)
{
  if (l->kept.n)
    return l->kept.p[0] == '2' ? clear(t, l, "accepted") : hit(s, t, l, &unknown, l->kept);
  l->called = 1;
  smtpf_task_patience(t, s->patience_ms);
  if (smtpf_task_callout(t, l->path.address, s->sender, TAG_CALLOUT) == SMTPF_OK)
    return SMTPF_PENDING;
  return smtpf_task_unknown(t, "not-asked", l->target);
}

/* ---- what is known when all have answered --------------------------------------------------------------------------
 */

static int conclude(const settings *s, smtpf_task *t, look *l)
{
  const smtpf_str nothing = {"", 0};
  if (l->open)
    return SMTPF_PENDING;
  if (l->domain == ABSENT)
    return hit(s, t, l, &no_domain, nothing);
  if (l->domain == NULL_MX)
    return hit(s, t, l, &null_mx, nothing);
  if (l->unknown.n)
    return hit(s, t, l, &unknown, l->unknown);
  if (l->spam.n)
    return hit(s, t, l, &spam, l->spam);
  if (l->counted >= s->suspend_after)
    return hit(s, t, l, &policy, nothing);
  if (s->callout && l->domain == EXISTS)
    return call(s, t, l);
  return l->cause ? smtpf_task_unknown(t, l->cause, l->target) : clear(t, l, "ok");
}

static void take_dns(smtpf_task *t, look *l, const smtpf_answer *a)
{
  const smtpf_dns_answer *dns = a->dns;
  const int found = dns->status == SMTPF_DNS_OK && dns->count > 0;
  const int failed = dns->status == SMTPF_DNS_SERVFAIL || dns->status == SMTPF_DNS_TIMEOUT;
  if (failed) {
    not_known(l, "dns");
    l->addresses = -1;
  } else if (found) {
    l->domain = a->tag == TAG_MX && dns->count == 1 && !dns->records[0].text.n ? NULL_MX : EXISTS;
  } else if (dns->status == SMTPF_DNS_NXDOMAIN && a->tag == TAG_MX) {
    l->domain = ABSENT;
  } else if (a->tag == TAG_MX) { /* its own addresses do for a domain without MX */
    l->open += smtpf_task_query(t, SMTPF_DNS_A, l->path.domain, TAG_A) == SMTPF_OK;
    l->open += smtpf_task_query(t, SMTPF_DNS_AAAA, l->path.domain, TAG_AAAA) == SMTPF_OK;
    l->addresses = l->open == 0 ? -1 : 0;
  } else if (++l->addresses == 2 && l->domain == ASKED) {
    l->domain = ABSENT;
  }
}

/* A record of the store; what is read there once counts however the port keeps it. */
static void take_record(smtpf_task *t, look *l, const smtpf_answer *a)
{
  smtpf_str *const texts[] = {[TAG_UNKNOWN] = &l->unknown, [TAG_SPAM] = &l->spam, [TAG_KEPT] = &l->kept};
  if (a->store == SMTPF_STORE_FAILED)
    not_known(l, "store");
  if (a->store != SMTPF_STORE_FOUND || !a->value.n)
    return;
  if (a->tag != TAG_POLICY) {
    *texts[a->tag] = smtpf_task_join(t, &a->value, 1);
  } else if (a->value.n == 8) { /* little-endian; beyond the second byte it is enough in any case */
    const unsigned char *b = (const unsigned char *)a->value.p;
    l->counted = b[7] & 0x80 ? 0 : b[0] | b[1] << 8;
    for (size_t i = 2; i < 7; i++)
      l->counted |= b[i] ? 0xffff : 0;
  }
}

static int take_directory(const settings *s, smtpf_task *t, look *l, const smtpf_directory_answer *a)
{
  switch (a->status) {
  case SMTPF_DIRECTORY_EXISTS: return clear(t, l, "ours");
  case SMTPF_DIRECTORY_ABSENT: return hit(s, t, l, &unknown, SMTPF_LIT("no such mailbox here"));
  default: return smtpf_task_unknown(t, "directory", l->target);
  }
}

static int target_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  const settings *s = self;
  look *l = *smtpf_task_slot(t);
  l->open--;
  switch (a->tag) {
  case TAG_LOCAL: return take_directory(s, t, l, a->directory);
  case TAG_CALLOUT: return take_callout(s, t, l, a->callout);
  case TAG_MX:
  case TAG_A:
  case TAG_AAAA: take_dns(t, l, a); break;
  default: take_record(t, l, a); break;
  }
  return conclude(s, t, l);
}

/* ---- asking -------------------------------------------------------------------------------------------------------
 */

static void ask_record(smtpf_task *t, look *l, int kind, uint32_t tag)
{
  const smtpf_event *ev = smtpf_task_event(t);
  unsigned char key[SMTPF_DIGEST_BYTES];
  smtpf_target_key(kind, l->target, ev->client, ev->sender ? ev->sender->address : (smtpf_str){"", 0}, key);
  if (smtpf_task_get(t, (smtpf_str){(const char *)key, sizeof key}, tag) == SMTPF_OK)
    l->open++;
  else
    not_known(l, "not-asked");
}

static int target_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const settings *s = self;
  smtpf_str target;
  (void)ev;
  if (smtpf_task_forward(t, 0, &target) != SMTPF_OK)
    return SMTPF_OK;
  look *l = smtpf_task_alloc(t, sizeof *l);
  if (!l)
    return SMTPF_ENOMEM;
  *smtpf_task_slot(t) = l;
  l->target = target;
  if (smtpf_mailbox_parse(target, &l->path) != SMTPF_OK)
    return hit(s, t, l, &bad_address, (smtpf_str){"", 0});
  if (smtpf_task_local(t, target)) {
    l->open = 1;
    return smtpf_task_lookup(t, target, TAG_LOCAL) == SMTPF_OK ? SMTPF_PENDING
                                                               : smtpf_task_unknown(t, "not-asked", target);
  }
  ask_record(t, l, SMTPF_TARGET_UNKNOWN, TAG_UNKNOWN);
  ask_record(t, l, SMTPF_TARGET_SPAM, TAG_SPAM);
  ask_record(t, l, SMTPF_TARGET_POLICY, TAG_POLICY);
  if (s->callout)
    ask_record(t, l, SMTPF_TARGET_CALLOUT, TAG_KEPT);
  if (l->path.literal)
    l->domain = EXISTS;
  else if (smtpf_task_query(t, SMTPF_DNS_MX, l->path.domain, TAG_MX) == SMTPF_OK)
    l->open++;
  else
    not_known(l, "not-asked");
  return conclude(s, t, l);
}

/* ---- policy -------------------------------------------------------------------------------------------------------
 */

static int target_open(void **self, const smtpf_section *section, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(section);
  const smtpf_str sender = smtpf_section_string(section, "forward.callout_sender");
  smtpf_path path;
  if (sender.n && smtpf_mailbox_parse(sender, &path) != SMTPF_OK)
    return smtpf_section_fail(section, "forward.callout_sender", err, SMTPF_EINVAL, "not an address", sender, NULL);
  settings *s = mem->alloc(mem->user, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  *s = (settings){.mem = *mem,
                  .reveal = smtpf_section_number(section, "forward.reveal") != 0,
                  .callout = smtpf_section_number(section, "forward.callout") != 0,
                  .suspend_after = smtpf_section_number(section, "forward.suspend_after"),
                  .good_s = smtpf_section_number(section, "forward.callout_good") / 1000,
                  .bad_s = smtpf_section_number(section, "forward.callout_bad") / 1000,
                  .patience_ms =
                      smtpf_section_number(section, "callout.timeout") + smtpf_section_number(section, "check.timeout"),
                  .sender = sender};
  *self = s;
  return SMTPF_OK;
}

static void target_close(void *self)
{
  settings *s = self;
  if (s)
    s->mem.free(s->mem.user, s);
}

const smtpf_check smtpf_check_forward_target = {
    .size = sizeof(smtpf_check),
    .name = "forward_target",
    .family = SMTPF_FAMILY_ENVELOPE,
    .stages = SMTPF_RCPT,
    .tier = 2,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = target_open,
    .run = target_run,
    .resume = target_resume,
    .close = target_close,
};
