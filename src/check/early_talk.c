/* SPDX-License-Identifier: MIT
 *
 * early_talk: a client that speaks before our banner, or that pipelines what was not advertised, does not
 * listen to what we say. Ratware saves itself the waiting; a mail server waits. It is noted once for
 * each connection, at the first stage after it happened.
 */
#include <smtpfilter/ext/check.h>

typedef struct early_talk {
  smtpf_mem mem;
  int32_t score;
  int refuse;
  int64_t delay_ms;
} early_talk;

static const smtpf_option rows[] = {
    {"early_talk.score", SMTPF_OPTION_SCORE, "5", -100000, 100000, NULL,
     "What a client is charged that spoke before the banner or pipelined commands where PIPELINING was not in force. "
     "Hardly any mail server does it, but a few broken monitoring tools and load balancers do: the default marks "
     "such mail by itself and refuses it only together with one more sign of equal weight."},
    {"early_talk.refuse", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether early talk refuses by itself, with 554 5.5.1, whatever the scores."},
    {"early_talk.delay", SMTPF_OPTION_TIME, "0s", 0, 20000, NULL,
     "How long the reply to an early talker is held back, counted from the beginning of the stage. More than 20 "
     "seconds would break other sites' callouts, which give up after 30."},
};

static int early_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  early_talk *e = mem->alloc(mem->user, sizeof *e);

  (void)err;
  if (!e)
    return SMTPF_ENOMEM;
  e->mem = *mem;
  e->score = (int32_t)smtpf_section_number(policy, "early_talk.score");
  e->refuse = smtpf_section_number(policy, "early_talk.refuse") != 0;
  e->delay_ms = smtpf_section_number(policy, "early_talk.delay");
  *self = e;
  return SMTPF_OK;
}

static int early_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const early_talk *e = self;
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT, .code = "early", .flags = SMTPF_FINDING_CONNECTION};
  int r;

  if (ev->own)
    return ev->stage == SMTPF_CONNECT ? smtpf_task_clear(t, "exempt") : SMTPF_OK;
  if (!ev->early_talk)
    return ev->stage == SMTPF_CONNECT ? smtpf_task_clear(t, "in-turn") : SMTPF_OK;
  if (e->delay_ms > 0 && (r = smtpf_task_delay(t, e->delay_ms)) != SMTPF_OK)
    return r;
  if (smtpf_task_fact(t, "early_talk.noted").n)
    return SMTPF_OK;
  f.score = e->score;
  if (e->refuse) {
    f.flags |= SMTPF_FINDING_REFUSE;
    f.reply = 554;
    f.enhanced = "5.5.1";
  }
  f.detail = ev->stage == SMTPF_CONNECT ? SMTPF_LIT("spoke before the banner") : SMTPF_LIT("spoke out of turn");
  f.text = SMTPF_LIT("your client does not wait for our replies");
  r = smtpf_task_report(t, &f);
  return r != SMTPF_OK ? r : smtpf_task_fact_set(t, "early_talk.noted", SMTPF_LIT("1"), 1);
}

static void early_close(void *self)
{
  early_talk *e = self;
  if (e)
    e->mem.free(e->mem.user, e);
}

const smtpf_check smtpf_check_early_talk = {
    .size = sizeof(smtpf_check),
    .name = "early_talk",
    .stages = SMTPF_CONNECT | SMTPF_HELO | SMTPF_MAIL | SMTPF_RCPT,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = early_open,
    .run = early_run,
    .close = early_close,
};
