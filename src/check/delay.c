/* SPDX-License-Identifier: MIT
 *
 * delay: making a client wait. Ratware gives up after seconds, a mail server has minutes; so a delay at the
 * stages before DATA sheds the one and costs the other nothing. Selective by default: only a client of whom
 * something bad is known already waits. Time counts from the beginning of the stage, so that what DNS took is part of
 * it. The null sender and postmaster are never delayed: other sites' callouts come that way. There is no
 * delay at the end of the message, where a client may leave and the mail be delivered twice.
 *
 * It runs last, when the others have spoken; `delay.max` and `delay.sessions` bound what it asks for.
 */
#include <smtpfilter/ext/check.h>

#define MAX_MS 20000

static const smtpf_option rows[] = {
    {"delay.connect", SMTPF_OPTION_TIME, "0s", 0, MAX_MS, NULL,
     "How long every client from outside waits for the banner. The wait by itself makes early talkers show."},
    {"delay.helo", SMTPF_OPTION_TIME, "0s", 0, MAX_MS, NULL, "How long every client from outside waits after HELO."},
    {"delay.mail", SMTPF_OPTION_TIME, "0s", 0, MAX_MS, NULL,
     "How long every client from outside waits after MAIL. Not for the null sender and postmaster."},
    {"delay.rcpt", SMTPF_OPTION_TIME, "0s", 0, MAX_MS, NULL,
     "How long every client from outside waits after each RCPT. Not for the null sender and postmaster."},
    {"delay.on_hit", SMTPF_OPTION_TIME, "0s", 0, MAX_MS, NULL,
     "How long a suspect waits at each of these stages: a client whose findings add up to delay.score. 20 seconds is "
     "the most that does not break the callouts of other sites, which wait 30."},
    {"delay.score", SMTPF_OPTION_SCORE, "1", 1, INT32_MAX, NULL,
     "From which score on a client is a suspect. The default, far below any refusal, takes whatever is worth a "
     "point: a delay costs an honest client little. `off` for nobody."},
};

typedef struct delay {
  smtpf_mem mem;
  int64_t connect, helo, mail, rcpt, on_hit; /* ms */
  int32_t score;
} delay;

static int delay_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  delay d = {.mem = *mem,
             .connect = smtpf_section_number(policy, "delay.connect"),
             .helo = smtpf_section_number(policy, "delay.helo"),
             .mail = smtpf_section_number(policy, "delay.mail"),
             .rcpt = smtpf_section_number(policy, "delay.rcpt"),
             .on_hit = smtpf_section_number(policy, "delay.on_hit"),
             .score = (int32_t)smtpf_section_number(policy, "delay.score")};
  delay *kept;

  (void)err;
  if (d.score == SMTPF_SCORE_OFF)
    d.on_hit = 0;
  if (!(d.connect || d.helo || d.mail || d.rcpt || d.on_hit))
    return SMTPF_OK;
  kept = mem->alloc(mem->user, sizeof *kept);
  if (!kept)
    return SMTPF_ENOMEM;
  *kept = d;
  *self = kept;
  return SMTPF_OK;
}

/* Callouts and probes: the null sender, and postmaster of any domain. */
static int is_probe(const smtpf_path *sender)
{
  return sender &&
         (sender->form != SMTPF_PATH_MAILBOX || smtpf_str_equal_nocase(sender->local_part, SMTPF_LIT("postmaster")));
}

static int delay_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const delay *d = self;
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_CLEAR, .code = "delayed", .detail = SMTPF_LIT("every client")};
  int64_t ms = 0;
  int rc;

  if (ev->own || is_probe(ev->sender))
    return SMTPF_OK;
  switch (ev->stage) {
  case SMTPF_CONNECT: ms = d->connect; break;
  case SMTPF_HELO: ms = d->helo; break;
  case SMTPF_MAIL: ms = d->mail; break;
  case SMTPF_RCPT: ms = d->rcpt; break;
  default: break;
  }
  if (d->on_hit > ms && smtpf_task_score(t) >= d->score) {
    ms = d->on_hit;
    f.detail = SMTPF_LIT("suspect");
  }
  if (!ms)
    return SMTPF_OK;
  rc = smtpf_task_delay(t, ms);
  return rc != SMTPF_OK ? rc : smtpf_task_report(t, &f);
}

static void delay_close(void *self)
{
  delay *d = self;
  if (d)
    d->mem.free(d->mem.user, d);
}

const smtpf_check smtpf_check_delay = {
    .size = sizeof(smtpf_check),
    .name = "delay",
    .stages = SMTPF_CONNECT | SMTPF_HELO | SMTPF_MAIL | SMTPF_RCPT,
    .tier = 3,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = delay_open,
    .run = delay_run,
    .close = delay_close,
};
