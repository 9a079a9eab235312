/* SPDX-License-Identifier: MIT
 *
 * Part of fake_check: where a recipient's mail goes to, and callouts.
 */
#include <stdio.h>
#include <string.h>

#include "fake_check.h"

int smtpf_task_forward(const smtpf_task *t, size_t recipient, smtpf_str *target)
{
  ck_assert_uint_eq(recipient, 0);
  if (!t->forward)
    return SMTPF_ENOTFOUND;
  *target = smtpf_str_of(t->forward);
  return SMTPF_OK;
}

int smtpf_task_callout(smtpf_task *t, smtpf_str recipient, smtpf_str sender, uint32_t tag)
{
  fake_question *q = &t->questions[t->asked];
  if (t->asked_max && t->asked == t->asked_max)
    return SMTPF_ELIMIT;
  if (++fake_count == fake_fail_at)
    return SMTPF_ENOMEM;
  ck_assert_uint_lt(t->asked++, 2 * FAKE_MAX);
  *q = (fake_question){.kind = SMTPF_ANSWER_CALLOUT, .tag = tag, .open = 1};
  snprintf(q->name, sizeof q->name, "%.*s from %.*s", (int)recipient.n, recipient.p, (int)sender.n,
           sender.n ? sender.p : "");
  return SMTPF_OK;
}

int fake_callout(smtpf_task *t, const char *recipient, const smtpf_callout_answer *answer)
{
  for (size_t i = 0; i < t->asked; i++) {
    fake_question *q = &t->questions[i];
    if (!q->open || q->kind != SMTPF_ANSWER_CALLOUT || strcmp(q->name, recipient) != 0)
      continue;
    const smtpf_answer a = {.size = sizeof a, .kind = SMTPF_ANSWER_CALLOUT, .tag = q->tag, .callout = answer};
    q->open = 0;
    return t->status = t->check->resume(t->self, t, &a);
  }
  ck_abort_msg("nobody asked");
  return SMTPF_ENOTFOUND;
}
