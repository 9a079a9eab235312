/* SPDX-License-Identifier: MIT
 *
 * tenure: what a driver keeps for one engine: its scanners' instances, and the rooms of its checks. It begins with the
 * first session that has the engine, and ends when the driver has another engine and the last such session is over.
 */
#ifndef SMTPF_CORE_TENURE_H
#define SMTPF_CORE_TENURE_H

#include "driver.h"

/* One pointer of a check's own. */
typedef struct smtpf_room {
  void *pointer;
  void (*done)(void *);
} smtpf_room;

struct smtpf_tenure {
  smtpf_link in_driver;
  smtpf_engine *engine;
  size_t sessions;
  void **instances;   /* of the engine's scanners; NULL: not started */
  smtpf_room rooms[]; /* of the engine's checks */
};

/* The tenure of the driver's engine, for a new session. NULL without memory. */
struct smtpf_tenure *smtpf_tenure_enter(smtpf_driver *d);
/* The session is over. */
void smtpf_tenure_leave(smtpf_driver *d, struct smtpf_tenure *t);
/* Ends those that are over, since the driver's engine is another one. */
void smtpf_tenures_sweep(smtpf_driver *d);
/* All of them; no session is left. */
void smtpf_tenures_free(smtpf_driver *d);

/* Counters of the instances that the driver's engine has. */
void smtpf_tenures_stats(const smtpf_driver *d, smtpf_stat_fn fn, void *user);

/* An instance of a scanner, started when it is needed first. SMTPF_OK or what its start said. */
int smtpf_tenure_instance(smtpf_driver *d, struct smtpf_tenure *t, size_t scanner, void **out);

#endif
