/* SPDX-License-Identifier: MIT
 *
 * engine: a frozen policy. Everything here is read-only after smtpf_engine_new(), but for the reference count.
 */
#ifndef SMTPF_CORE_ENGINE_H
#define SMTPF_CORE_ENGINE_H

#include <stdatomic.h>

#include <smtpfilter/engine.h>

#include "base/map.h"
#include "config.h"
#include "policy/profile.h"

/* A check as this policy opened it. */
typedef struct smtpf_opened {
  const smtpf_check *check;
  void *self;
} smtpf_opened;

/* Numbers that sessions look at often; from options of the same names. */
typedef struct smtpf_limits {
  int64_t message, header, received, recipients, commands, errors, transactions, session_time, connection_memory,
      transaction_memory, operations, chunk, check_timeout, directory_timeout, delay_max, delay_sessions, cache,
      cache_max;
} smtpf_limits;

struct smtpf_engine {
  atomic_uint refs;
  smtpf_mem mem;
  smtpf_options options;
  smtpf_tree tree;
  smtpf_opened *checks; /* in the order of evidence */
  size_t n_checks;
  smtpf_limits limits;
  int refuse_stage; /* smtpf_stage */
  smtpf_profile *profiles;
  size_t n_profiles;
  const smtpf_profile *site;
  smtpf_map recipients;    /* lower-case `user@domain` and `@domain` -> const smtpf_profile */
  smtpf_map local_domains; /* lower-case names */
  smtpf_trie *own_networks;
  int directory_complete;
  smtpf_str tag_header;
  smtpf_log_fn log;
  void *log_user;
  int log_level;
};

/* Profiles, recipients, local domains, own networks; fills in what engine.h says. */
int smtpf_engine_read_profiles(smtpf_engine *e, smtpf_error *err);
int smtpf_engine_read_recipients(smtpf_engine *e, smtpf_error *err);
int smtpf_engine_read_places(smtpf_engine *e, smtpf_error *err);

/* A profile by name; NULL when there is none. */
const smtpf_profile *smtpf_engine_profile(const smtpf_engine *e, smtpf_str name);

/* The entry of `recipients` that covers an address: itself, without its +detail, or its domain; NULL when none does. */
const smtpf_profile *smtpf_engine_recipient(const smtpf_engine *e, smtpf_str address);

/* 1 when the domain of an address is one of local_domains. */
int smtpf_engine_is_local(const smtpf_engine *e, smtpf_str address);

#endif
