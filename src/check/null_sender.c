/* SPDX-License-Identifier: MIT
 *
 * null_sender: `MAIL FROM:<>` is always acceptable as a sender: bounces and callouts come that way. But a
 * bounce goes to the one who sent, hence to one recipient: the second is refused. And an address that never sends
 * mail (a role, an alias, a spam trap) can get no bounce: the null sender is refused to it.
 */
#include <smtpfilter/ext/check.h>

static const smtpf_option rows[] = {
    {"null_sender.recipients", SMTPF_OPTION_INT, "1", 0, 1000, NULL,
     "How many recipients a message from the null sender may have; further ones are refused with 550 5.5.3, and the "
     "first stays accepted. 0 for any number. Mail that was sent with NOTIFY=NEVER may be forwarded from the null "
     "sender to several recipients (RFC 3461 5.2.2); who expects that raises this."},
    {"null_sender.never", SMTPF_OPTION_STRINGS, NULL, 0, 100000, NULL,
     "Addresses, or whole domains as `@example.net`, that never send mail, to which the null sender is therefore "
     "refused: system aliases such as `info@` or `abuse@` where replies go out under other names. Upper and lower "
     "case are not told apart. Sites that verify senders by callout then see these as invalid, which is what they "
     "are as senders."},
};

typedef struct null_sender {
  smtpf_mem mem;
  size_t recipients;
  size_t n;
  smtpf_str never[];
} null_sender;

static int null_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  size_t n = smtpf_section_count(policy, "null_sender.never");
  smtpf_path path;
  null_sender *s;

  for (size_t i = 0; i < n; i++) {
    smtpf_str a = smtpf_section_string_at(policy, "null_sender.never", i);
    if (a.n > 1 && a.p[0] == '@' ? smtpf_domain_form((smtpf_str){a.p + 1, a.n - 1}) == SMTPF_DOMAIN_BAD
                                 : smtpf_mailbox_parse(a, &path) != SMTPF_OK)
      return smtpf_section_fail(policy, "null_sender.never", err, SMTPF_EINVAL, "not an address", a,
                                "local-part@domain or @domain");
  }
  s = mem->alloc(mem->user, sizeof *s + n * sizeof s->never[0]);
  if (!s)
    return SMTPF_ENOMEM;
  s->mem = *mem;
  s->recipients = (size_t)smtpf_section_number(policy, "null_sender.recipients");
  s->n = n;
  for (size_t i = 0; i < n; i++)
    s->never[i] = smtpf_section_string_at(policy, "null_sender.never", i);
  *self = s;
  return SMTPF_OK;
}

static int never_sends(const null_sender *s, const smtpf_path *to)
{
  for (size_t i = 0; i < s->n; i++) {
    smtpf_str a = s->never[i];
    if (a.p[0] == '@' ? smtpf_domain_equal(to->domain, (smtpf_str){a.p + 1, a.n - 1})
                      : smtpf_str_equal_nocase(to->address, a))
      return 1;
  }
  return 0;
}

static int null_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const null_sender *s = self;
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT, .flags = SMTPF_FINDING_REFUSE, .reply = 550};

  if (!ev->sender || ev->sender->form != SMTPF_PATH_NULL)
    return SMTPF_OK;
  f.detail = ev->recipient->address;
  if (s->recipients && ev->recipients >= s->recipients) {
    f.code = "several-recipients";
    f.enhanced = "5.5.3";
    f.text = SMTPF_LIT("a message from the null sender has one recipient");
    return smtpf_task_report(t, &f);
  }
  if (never_sends(s, ev->recipient)) {
    f.code = "never-sends";
    f.enhanced = "5.7.1";
    f.text = SMTPF_LIT("this address sends no mail, so there is nothing to return to it");
    return smtpf_task_report(t, &f);
  }
  return smtpf_task_clear(t, "null-sender");
}

static void null_close(void *self)
{
  null_sender *s = self;
  if (s)
    s->mem.free(s->mem.user, s);
}

const smtpf_check smtpf_check_null_sender = {
    .size = sizeof(smtpf_check),
    .name = "null_sender",
    .family = SMTPF_FAMILY_ENVELOPE,
    .stages = SMTPF_RCPT,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = null_open,
    .run = null_run,
    .close = null_close,
};
