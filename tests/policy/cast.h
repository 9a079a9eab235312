/* SPDX-License-Identifier: MIT
 *
 * cast: who and what the enumerations are made of: hosts, clients, profiles, and what checks may find.
 */
#ifndef SMTPF_TESTS_CAST_H
#define SMTPF_TESTS_CAST_H

#include "policy/judge.h"
#include "policy/ledger.h"
#include "policy/origin.h"
#include "policy/partition.h"

/* Scopes, as bits. */
enum { SCOPE_DEPARTMENT = 1, SCOPE_BACKUP = 2, SCOPE_FORWARDER = 4, SCOPE_LIST = 8, SCOPE_FRIEND = 16 };

/* Checks, by position. */
enum {
  CHECK_CLIENT,
  CHECK_LIST,
  CHECK_GREYLIST,
  CHECK_RECIPIENT,
  CHECK_CONTENT,
  CHECK_SCANNER,
  CHECK_TARGET,
  CHECK_BOUNCE,
  CHECKS
};

typedef struct cast_host {
  const char *name;
  unsigned capabilities;
} cast_host;

typedef struct cast_client {
  const char *name;
  smtpf_standing standing;
} cast_client;

/* What was found at one time; a NULL check ends it. */
enum { FINDINGS = 3 };
typedef struct cast_scene {
  const char *name;
  smtpf_evidence found[FINDINGS];
} cast_scene;

/* A recipient: a profile, what the recipient says of this sender, and how often it was put off. */
typedef struct cast_variant {
  const smtpf_profile *profile;
  const char *name;
  uint8_t entry, budget;
} cast_variant;

extern const cast_host cast_hosts[];
extern const size_t cast_n_hosts;
extern const cast_client cast_clients[];
extern const size_t cast_n_clients;
extern const cast_scene cast_envelope[], cast_message[]; /* known at RCPT; found after it */
extern const size_t cast_n_envelope, cast_n_message;
extern const smtpf_profile cast_profiles[];
extern const size_t cast_n_profiles;

smtpf_will cast_will(const cast_client *client, const cast_variant *v, int null_sender);

/* Puts the findings of up to two scenes into `room` (2 * FINDINGS). */
smtpf_view cast_view(const cast_scene *a, const cast_scene *b, const smtpf_evidence *room[]);

#endif
