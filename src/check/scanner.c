/* SPDX-License-Identifier: MIT
 *
 * virus, scanner: the message is given to programs and services that judge it as a whole, while it arrives. Both checks
 * are the same but for the instances of `scanners` they ask: those of kind `virus` in a cheaper tier, so that the
 * others are asked only when that has not decided.
 *
 *     run     certain without us, or a client of ours -> nothing
 *             begin a scan for each class             -> wait for the message
 *     feed    above an instance's limit               -> its scans end: unknown `too-large`
 *     finish  certain now                             -> all scans end, nothing is reported
 *             tell the scanners that it is complete, and begin to count their time
 *     resume  keep the answer; all are there          -> report them
 *             the time is over                        -> unknown `timeout` for who has not answered
 *
 * Answers that come before the message is complete are kept until it is: what a scanner has called clean is unknown
 * when it has seen less than all. A task that dies is treated as the strictest instance would be: mail comes again,
 * then is quarantined.
 */
#include "scanner.h"

#define TAG_TIMER                                                                                                      \
  UINT32_C(0x80000000) /* with the index of the scan whose instance it is; else an answer to that scan */

/* ---- the beginning ------------------------------------------------------------------------------------------ */

static const char *cause_of(int result)
{
  switch (result) {
  case SMTPF_ELIMIT: return "limit";
  case SMTPF_ENOTFOUND: return "no-scanner";
  case SMTPF_ENOMEM: return "memory";
  case SMTPF_EINVAL: return "spool";
  default: return "refused";
  }
}

static int begin(scanner_plan *plan, size_t i, smtpf_task *t, const smtpf_event *ev)
{
  scanner_scan *scan = &plan->scans[i];
  const smtpf_scan_request request = {.size = sizeof request,
                                      .scanner = scan->rules->name,
                                      .event = ev,
                                      .recipients = scanner_addresses(t, scan),
                                      .n_recipients = scan->n_members,
                                      .user = scan->user};
  scan->phase = SCANNER_OPEN;
  plan->open++;
  if (!request.recipients)
    return SMTPF_ENOMEM;
  const int r = smtpf_task_scan(t, &request, (uint32_t)i);
  return r == SMTPF_OK ? r : scanner_give_up(plan, scan, t, cause_of(r));
}

static int scanner_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const scanner_set *set = self;
  int r = scanner_sweep(set, t);
  if (r != SMTPF_OK || smtpf_task_certain(t, set->flags))
    return r;
  scanner_plan *plan = scanner_plan_make(set, t, ev->own);
  if (!plan)
    return SMTPF_ENOMEM;
  *smtpf_task_slot(t) = plan;
  for (size_t i = 0; i < plan->n && r == SMTPF_OK; i++)
    r = begin(plan, i, t, ev);
  if (r != SMTPF_OK)
    return r;
  smtpf_task_patience(t, set->patience_ms);
  return plan->n ? SMTPF_PENDING : SMTPF_OK;
}

/* ---- while it comes ------------------------------------------------------------------------------------------- */

static void end_scan(scanner_plan *plan, size_t i, smtpf_task *t)
{
  if (plan->scans[i].phase == SCANNER_OPEN)
    (void)smtpf_task_scan_cancel(t, (uint32_t)i);
}

/* The library feeds the scanners; here it is only counted. */
static size_t scanner_feed(void *self, smtpf_task *t, const char *bytes, size_t n)
{
  scanner_plan *plan = *smtpf_task_slot(t);
  (void)self;
  (void)bytes;
  plan->fed += n;
  for (size_t i = 0; i < plan->n; i++)
    if (plan->fed > plan->scans[i].rules->limit && plan->scans[i].phase == SCANNER_OPEN) {
      end_scan(plan, i, t);
      (void)scanner_give_up(plan, &plan->scans[i], t, "too-large"); /* without memory: seen when it is reported */
    }
  return n;
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static int when_all_are_there(const scanner_plan *plan, smtpf_task *t)
{
  if (!plan->complete || plan->open)
    return SMTPF_PENDING;
  for (size_t i = 0; i < plan->n; i++)
    if (!plan->scans[i].result)
      return SMTPF_ENOMEM;
  return scanner_report(plan, t, plan->fed);
}

/* One timer for the scans of an instance: they stand next to each other. Where no operation is left for it the scan
 * gives way, for the others of its instance. */
static int set_timer(scanner_plan *plan, size_t i, smtpf_task *t)
{
  const scanner_rules *rules = plan->scans[i].rules;
  for (size_t k = i; k-- && plan->scans[k].rules == rules;)
    if (plan->scans[k].phase == SCANNER_OPEN)
      return SMTPF_OK;
  const int r = smtpf_task_timer(t, rules->timeout_ms, TAG_TIMER | (uint32_t)i);
  if (r != SMTPF_ELIMIT)
    return r;
  end_scan(plan, i, t);
  return scanner_give_up(plan, &plan->scans[i], t, "limit");
}

static int scanner_finish(void *self, smtpf_task *t)
{
  const scanner_set *set = self;
  scanner_plan *plan = *smtpf_task_slot(t);
  int r = SMTPF_OK;
  if (smtpf_task_certain(t, set->flags)) {
    for (size_t i = 0; i < plan->n; i++)
      end_scan(plan, i, t);
    return SMTPF_OK;
  }
  plan->complete = 1;
  smtpf_task_patience(t, set->patience_ms);
  for (size_t i = 0; i < plan->n && r == SMTPF_OK; i++)
    if (plan->scans[i].phase == SCANNER_OPEN)
      r = set_timer(plan, i, t);
  for (size_t i = 0; i < plan->n && r == SMTPF_OK; i++)
    if (plan->scans[i].phase == SCANNER_OPEN && smtpf_task_scan_finish(t, (uint32_t)i) != SMTPF_OK)
      r = scanner_give_up(plan, &plan->scans[i], t, "lost");
  return r == SMTPF_OK ? when_all_are_there(plan, t) : r;
}

static int time_is_over(scanner_plan *plan, const scanner_rules *rules, smtpf_task *t)
{
  int r = SMTPF_OK;
  for (size_t i = 0; i < plan->n && r == SMTPF_OK; i++)
    if (plan->scans[i].rules == rules && plan->scans[i].phase == SCANNER_OPEN) {
      end_scan(plan, i, t);
      r = scanner_give_up(plan, &plan->scans[i], t, "timeout");
    }
  return r;
}

static int scanner_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  scanner_plan *plan = *smtpf_task_slot(t);
  const size_t i = a->tag & ~TAG_TIMER;
  int r = SMTPF_OK;
  (void)self;
  if (i >= plan->n)
    return SMTPF_EINVAL;
  if (a->kind == SMTPF_ANSWER_TIMER)
    r = time_is_over(plan, plan->scans[i].rules, t);
  else if (a->kind == SMTPF_ANSWER_SCAN)
    r = scanner_keep(plan, &plan->scans[i], t, a->scan);
  return r == SMTPF_OK ? when_all_are_there(plan, t) : r;
}

/* ---- the checks ---------------------------------------------------------------------------------------------------
 */

static int virus_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  return scanner_set_open(self, 1, policy, err);
}

static int scanner_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  return scanner_set_open(self, 0, policy, err);
}

static int scanner_apart(const void *self)
{
  static const int apart[] = {[SCANNER_PER_MESSAGE] = SMTPF_APART_NEVER,
                              [SCANNER_PER_PROFILE] = SMTPF_APART_PROFILE,
                              [SCANNER_PER_RECIPIENT] = SMTPF_APART_RECIPIENT};
  const scanner_set *set = self;
  int most = SMTPF_APART_NEVER;
  for (size_t i = 0; i < set->n; i++)
    most = apart[set->list[i].per] > most ? apart[set->list[i].per] : most;
  return most;
}

const smtpf_check smtpf_check_virus = {
    .size = sizeof(smtpf_check),
    .name = "virus",
    .stages = SMTPF_BODY,
    .tier = 3,
    .open = virus_open,
    .run = scanner_run,
    .resume = scanner_resume,
    .close = scanner_set_close,
    .failure = SMTPF_FINDING_ELECTIVE | SMTPF_FINDING_OWN_TOO, /* it is asked about own mail only with `own_too` */
    .family = SMTPF_FAMILY_CONTENT,
    .feed = scanner_feed,
    .finish = scanner_finish,
    .apart = scanner_apart,
};

const smtpf_check smtpf_check_scanner = {
    .size = sizeof(smtpf_check),
    .name = "scanner",
    .stages = SMTPF_BODY,
    .tier = 4,
    .options = scanner_rows,
    .n_options = SCANNER_ROWS,
    .open = scanner_open,
    .run = scanner_run,
    .resume = scanner_resume,
    .close = scanner_set_close,
    .failure = SMTPF_FINDING_ELECTIVE | SMTPF_FINDING_OWN_TOO, /* it is asked about own mail only with `own_too` */
    .family = SMTPF_FAMILY_CONTENT,
    .feed = scanner_feed,
    .finish = scanner_finish,
    .apart = scanner_apart,
};
