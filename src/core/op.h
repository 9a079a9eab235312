/* SPDX-License-Identifier: MIT
 *
 * op: the table of operations under way. A token is a place and a generation, never a pointer: a late or double
 * completion finds another generation, or nothing, and does nothing.
 */
#ifndef SMTPF_CORE_OP_H
#define SMTPF_CORE_OP_H

#include <smtpfilter/ext/check.h>

#include "base/list.h"
#include "timer.h"

struct smtpf_dns_entry;
struct smtpf_dns_flight;

/* Beside smtpf_answer_kind: what only a step asks. */
enum { SMTPF_ANSWER_JOURNAL = 64 };

enum smtpf_op_use {
  SMTPF_OP_FREE = 0,
  SMTPF_OP_TASK,   /* a check waits for an answer */
  SMTPF_OP_FLIGHT, /* a DNS question is at the resolver */
  SMTPF_OP_TIMER,  /* a port's or host's timer */
  SMTPF_OP_CALL,   /* a program's own operation */
};

typedef struct smtpf_op_slot {
  uint32_t generation, place;
  uint32_t next_free;
  uint32_t tag;
  uint8_t use;
  uint8_t kind;                        /* TASK: smtpf_answer_kind */
  uint8_t answered;                    /* TASK: in its session's queue */
  uint8_t of_recipient;                /* DIRECTORY: about the recipient of the event */
  int store;                           /* STORE: smtpf_store_status */
  smtpf_task *task;                    /* TASK */
  smtpf_link in_task;                  /* the task's operations */
  smtpf_link in_queue;                 /* a flight's waiters, then the session's answered operations */
  smtpf_timer timer;                   /* TIMER, and a task's SMTPF_ANSWER_TIMER */
  smtpf_driver *driver;                /* TIMER */
  smtpf_timer_fn timer_fn;             /* TIMER */
  void *timer_user;                    /* TIMER */
  smtpf_store_fn store_fn;             /* CALL */
  smtpf_scan_fn scan_fn;               /* CALL */
  smtpf_dns_fn dns_fn;                 /* CALL */
  void *call_user;                     /* CALL */
  smtpf_own_fn over;                   /* OWN */
  void *over_user;                     /* OWN */
  struct smtpf_dns_entry *dns;         /* DNS answer, referenced */
  struct smtpf_dns_flight *flight;     /* FLIGHT; TASK, CALL: the one it waits for */
  struct smtpf_lookup *lookup;         /* DIRECTORY: the answer, referenced */
  struct smtpf_scanning *scanning;     /* SCAN */
  const smtpf_callout_answer *callout; /* CALLOUT: in `copy` */
  smtpf_str value;                     /* STORE: what was found; DIRECTORY: what was asked for */
  char *copy;                          /* the bytes `value` points to; CALLOUT: the answer */
} smtpf_op_slot;

typedef struct smtpf_op_table {
  const smtpf_mem *mem;
  smtpf_op_slot **blocks;
  size_t n, cap;
  uint32_t free; /* place + 1 of the first free slot */
} smtpf_op_table;

void smtpf_ops_init(smtpf_op_table *t, const smtpf_mem *mem);
void smtpf_ops_free(smtpf_op_table *t);
smtpf_op_slot *smtpf_op_take(smtpf_op_table *t, int use); /* NULL without memory */
void smtpf_op_give(smtpf_op_table *t, smtpf_op_slot *slot);
smtpf_op smtpf_op_token(const smtpf_op_slot *slot);
smtpf_op_slot *smtpf_op_find(const smtpf_op_table *t, smtpf_op op, int use); /* NULL when it is over */

/* A task's operation that is not answered yet; NULL when it is over. */
smtpf_op_slot *smtpf_op_open(const smtpf_driver *d, smtpf_op op, int kind);

/* Copies a text into memory of the slot's own, with a NUL. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_op_copy(smtpf_driver *d, smtpf_op_slot *slot, smtpf_str *text);

#endif
