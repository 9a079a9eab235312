/* SPDX-License-Identifier: MIT
 *
 * unsigned_bounce: mail with the null sender to an address without a signature. Who has all mail sent with signed
 * senders (`batv`) and asks for it (`bounces`) takes no other bounces: they return what somebody else sent under this
 * name. Said at DATA, not at RCPT, so that other sites' sender callouts, which go no further, find that the mailbox
 * exists.
 */
#include <smtpfilter/ext/check.h>

static const smtpf_option rows[] = {
    {"batv.refuse", SMTPF_OPTION_CHOICE, "data", 0, 1, "data|rcpt",
     "When a bounce without a signature is refused, to whom asks for it by `bounces`. At DATA other sites can still "
     "verify senders by callout, who ask with the null sender and go no further than RCPT. At RCPT they will find that "
     "the address does not take bounces, which is true, and may refuse this user's mail for it."},
};

typedef struct unsigned_bounce {
  smtpf_mem mem;
  int stage;
} unsigned_bounce;

static int unsigned_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  unsigned_bounce *b;

  (void)err;
  if (!smtpf_section_count(policy, "batv.keys") && !smtpf_section_string(policy, "batv.key_file").n)
    return SMTPF_OK;
  b = mem->alloc(mem->user, sizeof *b);
  if (!b)
    return SMTPF_ENOMEM;
  b->mem = *mem;
  b->stage = smtpf_section_number(policy, "batv.refuse") ? SMTPF_RCPT : SMTPF_DATA;
  *self = b;
  return SMTPF_OK;
}

static int refuse(smtpf_task *t, size_t recipient, smtpf_str address)
{
  const smtpf_finding f = {.size = sizeof f,
                           .kind = SMTPF_HIT,
                           .code = "unsigned",
                           .flags = SMTPF_FINDING_REFUSE,
                           .detail = address,
                           .text = SMTPF_LIT("this user signs the return address of all mail: what is bounced here was "
                                             "sent by somebody else"),
                           .reply = 550,
                           .enhanced = "5.7.1",
                           .recipient = recipient};
  return smtpf_task_report(t, &f);
}

/* An address of ours; <postmaster> sends nothing. */
static int is_unsigned(const smtpf_task *t, int signature, smtpf_str address)
{
  return signature == SMTPF_SIGNATURE_NONE && smtpf_task_local(t, address);
}

static int unsigned_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const unsigned_bounce *b = self;
  smtpf_str address;
  int rc = SMTPF_OK;

  if (ev->stage != b->stage || ev->own || !ev->sender || ev->sender->form != SMTPF_PATH_NULL)
    return SMTPF_OK;
  if (ev->stage == SMTPF_RCPT)
    return is_unsigned(t, ev->signature, ev->mailbox) ? refuse(t, 0, ev->mailbox) : SMTPF_OK;
  for (size_t i = 1; rc == SMTPF_OK && smtpf_task_recipient(t, i, &address, NULL) == SMTPF_OK; i++)
    if (is_unsigned(t, smtpf_task_signature(t, i), address))
      rc = refuse(t, i, address);
  return rc;
}

/* Bounces have one recipient, as a rule (null_sender.recipients). */
static int unsigned_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_JOIN;
}

static void unsigned_close(void *self)
{
  unsigned_bounce *b = self;
  if (b)
    b->mem.free(b->mem.user, b);
}

const smtpf_check smtpf_check_unsigned_bounce = {
    .size = sizeof(smtpf_check),
    .name = "unsigned_bounce",
    .family = SMTPF_FAMILY_BOUNCE,
    .stages = SMTPF_RCPT | SMTPF_DATA,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = unsigned_open,
    .run = unsigned_run,
    .close = unsigned_close,
    .apart = unsigned_apart,
};
