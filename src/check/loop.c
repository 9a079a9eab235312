/* SPDX-License-Identifier: MIT
 *
 * loop: mail that goes round in circles. Each server it passes adds a Received field, so a message with very many, or
 * with many of our own, is refused before it makes another round (RFC 5321 6.3). A message that was in a mailbox
 * before, as its Delivered-To says, is not forwarded from there again: it stays. Forwarded copies get that field from
 * the library (`loop.mark`), so that a circle of two ends at its first return.
 *
 * A client who is trusted as a forwarder is not refused for it: its copy is kept, and no longer forwarded.
 */
#include <smtpfilter/ext/check.h>

static const smtpf_option rows[] = {
    {"loop.received", SMTPF_OPTION_INT, "100", 1, 1000, NULL,
     "More Received fields than this mean a loop: 554 5.4.6. RFC 5321 6.3 wants at least 100; long ways through lists "
     "and filters have some thirty."},
    {"loop.own", SMTPF_OPTION_INT, "10", 1, 1000, NULL,
     "More Received fields than this that one of our `hostnames` wrote mean a loop. A filter that hands mail back to "
     "its server makes two or three of them on one way through; mail that is forwarded to us again has them twice."},
};

typedef struct loop {
  smtpf_mem mem;
  size_t received, own;
  int set; /* by the policy: not what every mail server does anyhow */
} loop;

static int loop_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  loop *l = mem->alloc(mem->user, sizeof *l);

  (void)err;
  if (!l)
    return SMTPF_ENOMEM;
  l->mem = *mem;
  l->received = (size_t)smtpf_section_number(policy, "loop.received");
  l->own = (size_t)smtpf_section_number(policy, "loop.own");
  l->set = smtpf_section_has(policy, "loop.received") || smtpf_section_has(policy, "loop.own");
  *self = l;
  return SMTPF_OK;
}

static int refuse(smtpf_task *t, const char *code, const char *text)
{
  const smtpf_finding f = {.size = sizeof f,
                           .kind = SMTPF_HIT,
                           .code = code,
                           .flags = SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO, /* most loops are within a site */
                           .text = smtpf_str_of(text),
                           .reply = 554,
                           .enhanced = "5.4.6"};
  return smtpf_task_report(t, &f);
}

/* Nothing else is said of it: a mailbox may get its own mail again, it must only not send it on. */
static int keep(smtpf_task *t, size_t recipient)
{
  smtpf_finding f = {.size = sizeof f,
                     .kind = SMTPF_HIT,
                     .code = "was-here",
                     .flags = SMTPF_FINDING_ROUTE | SMTPF_FINDING_OWN_TOO,
                     .recipient = recipient};
  (void)smtpf_task_recipient(t, recipient, &f.detail, NULL);
  return smtpf_task_report(t, &f);
}

static int loop_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const loop *l = self;
  smtpf_trace trace = {.size = sizeof trace};
  int r = smtpf_task_trace(t, 0, &trace);

  if (r == SMTPF_OK && trace.received > l->received)
    return refuse(t, "received", "too many Received fields: a mail loop");
  if (r == SMTPF_OK && trace.own > l->own)
    return refuse(t, "own", "it has been here too often: a mail loop");
  for (size_t i = 1; r == SMTPF_OK && i <= ev->recipients; i++) {
    r = smtpf_task_trace(t, i, &trace);
    if (r == SMTPF_OK && trace.delivered)
      r = keep(t, i);
  }
  return r;
}

static void loop_close(void *self)
{
  loop *l = self;
  if (l)
    l->mem.free(l->mem.user, l);
}

static int loop_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_JOIN;
}

/* Who forwards nothing needs no Delivered-To, and every mail server counts hops. */
static int loop_reads(const void *self)
{
  const loop *l = self;
  return l->set ? SMTPF_READS_EVERY : SMTPF_READS_TRUSTED;
}

const smtpf_check smtpf_check_loop = {
    .size = sizeof(smtpf_check),
    .name = "loop",
    .family = SMTPF_FAMILY_CONTENT,
    .stages = SMTPF_EOM,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = loop_open,
    .run = loop_run,
    .close = loop_close,
    .apart = loop_apart,
    .reads = loop_reads,
};
