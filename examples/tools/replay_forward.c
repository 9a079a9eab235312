/* SPDX-License-Identifier: MIT
 *
 * Where forwards go to: a callout port that answers what a script says (@callout), and what the host learns of a
 * forward later (@forward-report).
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

/* What @callout says of one address; the latest holds. */
struct replay_called {
  struct replay_called *next;
  const struct replay_item *item;
};

struct replay_call {
  struct replay_call *next;
  struct replay_callouts *callouts;
  smtpf_op op, timer;
  char *recipient;
};

int replay_callout_read(struct replay_item *item, text *error)
{
  static const char *const states[] = {"accepted", "refused", "unknown", NULL};
  const char *code = replay_value(item, "code");
  int64_t number;
  if (code && (replay_number(code, 599, &number, NULL) || number < 200)) {
    replay_format(error, "expected a reply code from 200 to 599: %s", code);
    return -1;
  }
  item->number = replay_choice(item->words[1], states, error);
  return item->number ? 0 : -1;
}

void replay_callout_say(struct replay_callouts *c, const struct replay_item *item)
{
  struct replay_called *said = replay_alloc(sizeof *said);
  *said = (struct replay_called){c->said, item};
  c->said = said;
}

void replay_callout_clear(struct replay_callouts *c)
{
  while (c->said) {
    struct replay_called *said = c->said;
    c->said = said->next;
    free(said);
  }
}

static void answer(struct replay_callouts *c, smtpf_op op, const char *recipient)
{
  const struct replay_called *said = c->said;
  smtpf_callout_answer a = {.size = sizeof a, .status = SMTPF_CALLOUT_UNKNOWN, .cause = SMTPF_LIT("no-host")};
  while (said && !smtpf_str_equal_nocase(smtpf_str_of(said->item->words[0]), smtpf_str_of(recipient)))
    said = said->next;
  if (said) {
    const char *code = replay_value(said->item, "code"), *cause = replay_value(said->item, "cause");
    static const int codes[] = {0, 250, 550, 0};
    int64_t number = codes[said->item->number];
    if (code)
      replay_number(code, 599, &number, NULL);
    a.status = (int)said->item->number;
    a.code = (int)number;
    a.enhanced = smtpf_str_of(replay_value(said->item, "enhanced"));
    a.text = smtpf_str_of(replay_value(said->item, "text"));
    a.cause = a.status == SMTPF_CALLOUT_UNKNOWN ? smtpf_str_of(cause ? cause : "timeout") : (smtpf_str){0};
  }
  smtpf_op_callout(c->driver, op, &a);
}

/* ---- the port -------------------------------------------------------------------------------------------------------
 */

static void drop(struct replay_call *call)
{
  struct replay_call **p = &call->callouts->calls;
  while (*p != call)
    p = &(*p)->next;
  *p = call->next;
  free(call->recipient);
  free(call);
}

static void fire(void *user)
{
  struct replay_call *call = user;
  answer(call->callouts, call->op, call->recipient);
  drop(call);
}

static int start(void *shared, smtpf_driver *driver, void **self)
{
  struct replay_callouts *c = shared;
  c->driver = driver;
  *self = c;
  return SMTPF_OK;
}

static int ask(void *self, smtpf_op op, smtpf_str recipient, smtpf_str sender)
{
  struct replay_callouts *c = self;
  (void)sender;
  struct replay_call *call = replay_alloc(sizeof *call);
  *call = (struct replay_call){
      .next = c->calls, .callouts = c, .op = op, .recipient = replay_strdup(recipient.p, recipient.n)};
  c->calls = call;
  int result = c->later ? smtpf_driver_timer(c->driver, 0, fire, call, &call->timer) : SMTPF_OK;
  if (!c->later)
    answer(c, op, call->recipient);
  if (!c->later || result != SMTPF_OK)
    drop(call);
  return result;
}

static void cancel(void *self, smtpf_op op)
{
  struct replay_callouts *c = self;
  for (struct replay_call *call = c->calls; call; call = call->next)
    if (call->op == op) {
      smtpf_driver_timer_cancel(c->driver, call->timer);
      drop(call);
      return;
    }
}

static void stop(void *self)
{
  struct replay_callouts *c = self;
  while (c->calls) {
    smtpf_driver_timer_cancel(c->driver, c->calls->timer);
    drop(c->calls);
  }
}

const smtpf_callout replay_callout = {sizeof(smtpf_callout), "replay", start, ask, cancel, stop};

/* ---- reports --------------------------------------------------------------------------------------------------------
 */

static const char *const classes[] = {"recipient", "spam", "policy", "other", NULL};

int replay_report_read(struct replay_item *item, text *error)
{
  const char *code = replay_value(item, "code"), *reason = replay_value(item, "class");
  int64_t number;
  if (code && (replay_number(code, 599, &number, NULL) || number < 500)) {
    replay_format(error, "expected a reply code from 500 to 599: %s", code);
    return -1;
  }
  item->number = reason ? replay_choice(reason, classes, error) : 0;
  return reason && !item->number ? -1 : 0;
}

static void reported(void *user, int result)
{
  *(int *)user = result;
}

int replay_report(struct replay *r, const struct replay_item *item)
{
  enum { TURNS = 100, OPEN = 2 };
  const char *code = replay_value(item, "code");
  int64_t number = 550;
  int done = OPEN;
  if (code)
    replay_number(code, 599, &number, NULL);
  const smtpf_forward_refusal f = {.size = sizeof f,
                                   .recipient = smtpf_str_of(item->words[0]),
                                   .target = smtpf_str_of(item->words[1]),
                                   .sender = smtpf_str_of(replay_value(item, "sender")),
                                   .client = smtpf_str_of(replay_value(item, "client")),
                                   .code = (int)number,
                                   .enhanced = smtpf_str_of(replay_value(item, "enhanced")),
                                   .text = smtpf_str_of(replay_value(item, "text")),
                                   .reason = (int)item->number};
  int result = smtpf_forward_report(r->driver, &f, reported, &done);
  for (int i = 0; result == SMTPF_OK && done == OPEN && i < TURNS; i++)
    if (smtpf_driver_process(r->driver) < 0)
      return replay_fault(r, "forward-report", "the driver cannot go on");
  if (result == SMTPF_OK && done == OPEN)
    return replay_fault(r, "forward-report", "it was not answered");
  return result == SMTPF_ENOMEM || result == SMTPF_OK ? result
                                                      : replay_fault(r, "forward-report", smtpf_strerror(result));
}
