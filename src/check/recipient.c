/* SPDX-License-Identifier: MIT
 *
 * recipient: whether a mailbox exists, asked of the directory before the recipient is accepted: what is
 * accepted and does not exist bounces later, to a sender who is usually forged. An absent one is refused, from
 * own clients too; when the directory does not know, the client is asked to come again, never refused.
 * Asked only for `local_domains`; for relay domains the next hop's own answer counts.
 */
#include <smtpfilter/ext/check.h>

static const smtpf_option rows[] = {
    {"directory.verify", SMTPF_OPTION_BOOL, "true", 0, 1, NULL,
     "Whether the directory is asked about recipients in `local_domains`. Without it unknown recipients are accepted "
     "here and must be refused by the host itself, in the session: a bounce after acceptance is collateral spam."},
};

typedef struct recipient {
  smtpf_mem mem;
  int64_t timeout_ms;
} recipient;

enum tag { TAG_DIRECTORY, TAG_TIMER };

static int recipient_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  recipient *r;

  (void)err;
  if (!smtpf_section_number(policy, "directory.verify"))
    return SMTPF_OK;
  r = mem->alloc(mem->user, sizeof *r);
  if (!r)
    return SMTPF_ENOMEM;
  r->mem = *mem;
  r->timeout_ms = smtpf_section_number(policy, "directory.timeout");
  *self = r;
  return SMTPF_OK;
}

static int defer(smtpf_task *t, const char *code, smtpf_str detail)
{
  smtpf_finding f = {.size = sizeof f,
                     .kind = SMTPF_UNKNOWN,
                     .code = code,
                     .flags = SMTPF_FINDING_DEFER,
                     .detail = detail,
                     .text = SMTPF_LIT("recipient cannot be verified now, try again later"),
                     .reply = 451,
                     .enhanced = "4.4.3"};
  return smtpf_task_report(t, &f);
}

static int recipient_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const recipient *r = self;
  int rc;

  if (!smtpf_str_equal_nocase(smtpf_task_fact(t, "relay.class"), SMTPF_LIT("local")))
    return smtpf_task_clear(t, "not-local");
  if (ev->recipient->form == SMTPF_PATH_POSTMASTER)
    return smtpf_task_clear(t, "postmaster"); /* RFC 5321 4.5.1: somebody reads it */
  if (ev->signature > SMTPF_SIGNATURE_GOOD)
    return smtpf_task_clear(t, "signature"); /* `signed_address` has said what there is to say */
  rc = smtpf_task_lookup(t, ev->mailbox, TAG_DIRECTORY);
  if (rc == SMTPF_OK)
    rc = smtpf_task_timer(t, r->timeout_ms, TAG_TIMER);
  if (rc != SMTPF_OK)
    return defer(t, "not-asked", smtpf_str_of(smtpf_strerror(rc)));
  return SMTPF_PENDING;
}

static int recipient_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  smtpf_finding f = {.size = sizeof f,
                     .kind = SMTPF_HIT,
                     .code = "absent",
                     .flags = SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO,
                     .text = SMTPF_LIT("no such mailbox here"),
                     .reply = 550,
                     .enhanced = "5.1.1"};

  (void)self;
  if (a->kind == SMTPF_ANSWER_TIMER)
    return defer(t, "timeout", SMTPF_LIT("the directory did not answer in time"));
  switch (a->directory->status) {
  case SMTPF_DIRECTORY_EXISTS: return smtpf_task_clear(t, "exists");
  case SMTPF_DIRECTORY_ABSENT: f.detail = smtpf_task_event(t)->mailbox; return smtpf_task_report(t, &f);
  default: return defer(t, "directory", a->directory->cause);
  }
}

static void recipient_close(void *self)
{
  recipient *r = self;
  if (r)
    r->mem.free(r->mem.user, r);
}

const smtpf_check smtpf_check_recipient = {
    .size = sizeof(smtpf_check),
    .name = "recipient",
    .family = SMTPF_FAMILY_ENVELOPE,
    .stages = SMTPF_RCPT,
    .tier = 1,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = recipient_open,
    .run = recipient_run,
    .resume = recipient_resume,
    .close = recipient_close,
    .failure = SMTPF_FINDING_DEFER,
};
