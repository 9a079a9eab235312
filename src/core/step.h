/* SPDX-License-Identifier: MIT
 *
 * step: what the core itself asks of ports between a stage's checks and the decision. A step is a check that nobody
 * configures and that finds nothing: it is run like one, with its deadline, and leaves what it learns in the entries.
 *
 *   budget    rcpt, data, end of message: may these recipients be put off once more? Charges them when they will be,
 *             and writes what checks have noted (smtpf_task_note()) in one commit with it
 *   known     end of message: which copies were taken before, and only our reply was lost
 *   promise   commit: the copies that were taken are written into the journal, before the client is told
 *   remember  commit: what was taken is remembered, its debt of deferrals is paid, what checks have left to be done
 *             then (smtpf_task_settle()) is done
 *   settle    rcpt, data: the same for checks alone, where the host does not hand the message over
 *   note      rcpt, data: writes what checks have noted, where nobody may be put off
 *
 * A step that fails leaves the careful answer: no deferral, not known, not promised.
 */
#ifndef SMTPF_CORE_STEP_H
#define SMTPF_CORE_STEP_H

#include "key.h"

typedef void (*smtpf_step_fn)(smtpf_session *s);

extern const smtpf_opened smtpf_step_budget, smtpf_step_known, smtpf_step_promise, smtpf_step_remember,
    smtpf_step_settle, smtpf_step_note;

/* How many changes checks have left to be made. */
size_t smtpf_step_left_by_checks(const smtpf_session *s);

/* Of one list: how many, and into `changes` from the n-th on; returns how many there are then. */
size_t smtpf_step_count(const smtpf_settlement *list);
size_t smtpf_step_settle_list(const smtpf_settlement *list, smtpf_change *changes, size_t n);

/* Runs a step, then calls `then`: at once, or when ports have answered; the event is pending until then. */
void smtpf_session_step(smtpf_session *s, const smtpf_opened *step, smtpf_step_fn then);

/* Judges every recipient by all that is known, asks for the budget where somebody is to be put off electively, then
 * runs `then`. */
void smtpf_session_within_budget(smtpf_session *s, smtpf_step_fn then);

/* Who a step is about: at RCPT the one recipient, later all of them. */
typedef struct smtpf_subjects {
  smtpf_rcpt *const *v;
  size_t n;
} smtpf_subjects;
smtpf_subjects smtpf_step_subjects(smtpf_session *s);

/* Reads one record for each subject, at most a few at a time. `key` gives the key; 0 when none is to be read. `read`
 * takes the answer. Both results are the task's: SMTPF_OK when all are read. */
typedef struct smtpf_reader {
  int (*key)(smtpf_session *s, smtpf_rcpt *rcpt, smtpf_key *out);
  void (*read)(smtpf_session *s, smtpf_rcpt *rcpt, const smtpf_answer *a);
} smtpf_reader;
int smtpf_step_read(smtpf_task *t, const smtpf_reader *reader);
int smtpf_step_read_on(smtpf_task *t, const smtpf_reader *reader, const smtpf_answer *a);

#endif
