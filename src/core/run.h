/* SPDX-License-Identifier: MIT
 *
 * run: the checks of one stage of one session. Checks of one tier run at the same time; a dearer tier starts when the
 * cheaper one is complete. A task:
 *
 *     WAITING --run--> DONE
 *             --run, something asked--> ASLEEP --resume--> ASLEEP or DONE
 *                                       ASLEEP --deadline--> DONE, unknown(timeout)
 *
 * An error, and sleeping with nothing to wait for, end a task as unknown in the check's name. Evidence is gathered
 * when the last task is done, in the order of declaration.
 */
#ifndef SMTPF_CORE_RUN_H
#define SMTPF_CORE_RUN_H

#include <smtpfilter/ext/check.h>

#include "base/arena.h"
#include "base/list.h"
#include "engine.h"
#include "op.h"
#include "policy/evidence.h"
#include "timer.h"

enum smtpf_task_state { SMTPF_TASK_WAITING = 0, SMTPF_TASK_READING, SMTPF_TASK_ASLEEP, SMTPF_TASK_DONE };

struct smtpf_task {
  smtpf_session *session;
  struct smtpf_run *run;
  const smtpf_opened *opened;
  void *slot;
  smtpf_link ops;
  uint32_t n_ops;
  uint8_t state;
  uint8_t unsound;   /* it reported what makes no sense */
  uint8_t full;      /* BODY: it did not take all it was offered */
  uint64_t fed;      /* BODY: bytes of the message it has had */
  uint64_t seen;     /* BODY: bytes it has really looked at */
  uint16_t position; /* among the engine's checks; behind them all for a step */
  uint64_t started_ns;
  int64_t patience; /* ms; 0: `check.timeout` */
  struct smtpf_wished_edit *edits, **last_edit;
  smtpf_timer deadline;
  smtpf_evidence *first, **last;
};

struct smtpf_run {
  struct smtpf_run *next; /* among the driver's spare ones */
  size_t room;            /* tasks that fit */
  size_t n;
  smtpf_arena scratch; /* of the tasks; gone when the stage is decided */
  smtpf_event event;
  smtpf_task tasks[];
};

/* Starts the stage's checks. SMTPF_OK (all done), SMTPF_PENDING or SMTPF_ENOMEM (none started). */
int smtpf_run_start(smtpf_session *s, int stage);

/* Runs a step (step.h) in place of checks. Results as smtpf_run_start(). */
int smtpf_run_step(smtpf_session *s, const smtpf_opened *step);

/* Goes on with what ports have answered. SMTPF_OK when the host is to be told: the session's verdict is ready, or the
 * message may go on; SMTPF_PENDING else. */
int smtpf_run_continue(smtpf_session *s);

/* ---- for scan.c and step.c ---- */

/* Room for at most `n` tasks at a stage; a task in it; whatever ports have answered; the findings into their scopes,
 * and the room back; the room back with everything in it cancelled. */
struct smtpf_run *smtpf_run_begin(smtpf_session *s, size_t n, int stage);
void smtpf_run_add(smtpf_session *s, struct smtpf_run *r, const smtpf_opened *opened, size_t position);
void smtpf_run_resume(smtpf_session *s);
void smtpf_run_gather(smtpf_session *s, struct smtpf_run *r);
void smtpf_run_drop(smtpf_session *s, struct smtpf_run *r);

/* Runs a task; takes what run, resume or finish said; closes it as unknown. */
void smtpf_task_start(smtpf_task *t);
void smtpf_task_said(smtpf_task *t, int result);
void smtpf_task_fail(smtpf_task *t, const char *cause);

/* It waits for a port: its deadline begins, unless it runs. Who waits for nothing is closed as unknown. */
void smtpf_task_wait(smtpf_task *t);

/* Cancels whatever is under way. */
void smtpf_run_cancel(smtpf_session *s);

/* An operation of a task: begun, given back before anything was asked, not wanted any more. */
int smtpf_task_open_op(smtpf_task *t, int kind, uint32_t tag, smtpf_op_slot **out);
void smtpf_task_close_op(smtpf_task *t, smtpf_op_slot *slot);
void smtpf_task_drop_op(smtpf_task *t, smtpf_op_slot *slot);

/* Asks the journal, for a step: the answer is a store's, SMTPF_STORE_DONE or SMTPF_STORE_FAILED. */
int smtpf_task_promise(smtpf_task *t, const smtpf_promise *promises, size_t n, uint32_t tag);

/* Frees the driver's spare ones. */
void smtpf_runs_free(smtpf_driver *d);

#endif
