/* SPDX-License-Identifier: MIT
 *
 * signed_address: recipients that we have signed ourselves, as the envelope sender of what we forwarded (SRS) or of
 * what our users sent (BATV). A signature that is too old, or that no key of ours made, is nobody's address: whoever
 * writes to it found it in an old mail, or made it up. What comes to the sender of a forward is a bounce, and is led
 * back; mail from a real sender has nothing to look for there. Where the signature cannot be checked now, the client is
 * asked to come again.
 */
#include <smtpfilter/ext/check.h>

static const smtpf_option rows[] = {
    {"srs.null_sender_only", SMTPF_OPTION_BOOL, "true", 0, 1, NULL,
     "Whether addresses of `srs.domain` that lead back to a sender take bounces alone, mail with the null sender; "
     "other "
     "mail to them is refused with 550 5.7.1. Who switches it off lets anybody who has got such an address write to "
     "the sender behind it through us, until it expires."},
};

typedef struct signed_address {
  smtpf_mem mem;
  int null_sender_only;
} signed_address;

static int has_keys(const smtpf_section *policy)
{
  return smtpf_section_count(policy, "srs.keys") || smtpf_section_string(policy, "srs.key_file").n ||
         smtpf_section_count(policy, "batv.keys") || smtpf_section_string(policy, "batv.key_file").n;
}

static int signed_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  signed_address *s;

  (void)err;
  if (!has_keys(policy))
    return SMTPF_OK;
  s = mem->alloc(mem->user, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->mem = *mem;
  s->null_sender_only = smtpf_section_number(policy, "srs.null_sender_only") != 0;
  *self = s;
  return SMTPF_OK;
}

static int refuse(smtpf_task *t, const char *code, unsigned flags, const char *enhanced, smtpf_str text)
{
  const smtpf_finding f = {.size = sizeof f,
                           .kind = SMTPF_HIT,
                           .code = code,
                           .flags = SMTPF_FINDING_REFUSE | flags,
                           .detail = smtpf_task_event(t)->recipient->address,
                           .text = text,
                           .reply = 550,
                           .enhanced = enhanced};
  return smtpf_task_report(t, &f);
}

static int defer(smtpf_task *t)
{
  const smtpf_finding f = {.size = sizeof f,
                           .kind = SMTPF_UNKNOWN,
                           .code = "crypto",
                           .flags = SMTPF_FINDING_DEFER,
                           .text = SMTPF_LIT("the signature of this address cannot be checked now, try again later"),
                           .reply = 451,
                           .enhanced = "4.3.0"};
  return smtpf_task_report(t, &f);
}

static int signed_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const signed_address *s = self;

  switch (ev->signature) {
  case SMTPF_SIGNATURE_NONE: return SMTPF_OK;
  case SMTPF_SIGNATURE_EXPIRED:
    return refuse(t, "expired", SMTPF_FINDING_OWN_TOO, "5.1.1",
                  SMTPF_LIT("this return address has expired: it was made for a mail sent too long ago"));
  case SMTPF_SIGNATURE_BAD:
    return refuse(t, "forged", SMTPF_FINDING_OWN_TOO, "5.1.1",
                  SMTPF_LIT("this return address was not made here: its signature is wrong"));
  case SMTPF_SIGNATURE_GOOD: break;
  default: return defer(t);
  }
  if (ev->returns_to.n && s->null_sender_only && (!ev->sender || ev->sender->form != SMTPF_PATH_NULL))
    return refuse(t, "not-a-bounce", 0, "5.7.1",
                  SMTPF_LIT("this return address takes bounces alone: mail with the null sender"));
  return smtpf_task_clear(t, ev->returns_to.n ? "srs" : "batv");
}

static void signed_close(void *self)
{
  signed_address *s = self;
  if (s)
    s->mem.free(s->mem.user, s);
}

const smtpf_check smtpf_check_signed_address = {
    .size = sizeof(smtpf_check),
    .name = "signed_address",
    .family = SMTPF_FAMILY_ENVELOPE,
    .stages = SMTPF_RCPT,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = signed_open,
    .run = signed_run,
    .close = signed_close,
    .failure = SMTPF_FINDING_DEFER,
};
