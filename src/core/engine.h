/* SPDX-License-Identifier: MIT
 *
 * engine: a frozen policy. Everything here is read-only after smtpf_engine_new(), but for the reference count.
 */
#ifndef SMTPF_CORE_ENGINE_H
#define SMTPF_CORE_ENGINE_H

#include <stdatomic.h>

#include <smtpfilter/engine.h>
#include <smtpfilter/ext/scan.h>

#include "base/map.h"
#include "config.h"
#include "forward/prvs.h"
#include "forward/srs.h"
#include "policy/budget.h"
#include "policy/profile.h"
#include "text.h"

/* A type of scanner, and what its instances start with. */
typedef struct smtpf_scanner_type {
  const smtpf_scanner *scanner;
  void *shared;
} smtpf_scanner_type;

/* An instance that the policy names. */
typedef struct smtpf_scanner_entry {
  smtpf_scanner_type type;
  const smtpf_section *settings;
  smtpf_str name;
} smtpf_scanner_entry;

/* A check as this policy opened it. */
typedef struct smtpf_opened {
  const smtpf_check *check;
  void *self;
} smtpf_opened;

/* Numbers that sessions look at often; from options of the same names. */
typedef struct smtpf_limits {
  int64_t message, header, received, recipients, commands, errors, transactions, session_time, connection_memory,
      transaction_memory, operations, chunk, check_timeout, directory_timeout, delay_max, delay_sessions, cache,
      cache_max, lost_ack, lost_ack_memory, partition_reply, directory_cache, directory_members, spool_memory,
      spool_total, received_hops, loop_mark;
  smtpf_budget_limits budget;
} smtpf_limits;

/* Bits of a word. */
enum { SMTPF_SCOPES_MAX = 64 };

/* Longest address and name that is looked up. */
enum { SMTPF_ADDRESS_MAX = 320 };

/* All scopes, by what makes a client be in them. */
typedef struct smtpf_scopes {
  size_t n;
  smtpf_trie *networks;       /* NULL: none; its values are indices into of_network */
  const uint64_t *of_network; /* scopes of a prefix and of all around it */
  uint64_t authenticated;     /* scopes that hold every authenticated client */
  smtpf_map identities;       /* lower-case authenticated names -> uint64_t */
  smtpf_map names;            /* lower-case domains -> uint64_t */
  smtpf_map helos;            /* the same, of what clients call themselves */
  smtpf_map list_ids;         /* lower-case List-Ids -> uint64_t */
  uint64_t of_lists;          /* scopes that have some */
} smtpf_scopes;

/* Signed addresses; without keys (`signer.n` 0) there are none. The crypto is the driver's. */
typedef struct smtpf_signing {
  smtpf_srs srs;
  smtpf_prvs prvs;
  smtpf_map exempt; /* lower-case `user@domain` and domains whose mail is not signed */
  int srs_alone;    /* `srs.domain` is none of local_domains: nothing else is there */
  int exposed[2];   /* the key files of SRS and BATV can be read by others */
} smtpf_signing;

struct smtpf_engine {
  atomic_uint refs;
  smtpf_mem mem;
  smtpf_options options;
  smtpf_tree tree;
  smtpf_opened *checks; /* in the order of evidence */
  size_t n_checks;
  smtpf_limits limits;
  int refuse_stage;             /* smtpf_stage */
  unsigned stages;              /* of all checks, as bits */
  int apart;                    /* smtpf_apart: the most that some check says; PROFILE or RECIPIENT, or none */
  int sources;                  /* some check says SMTPF_APART_SOURCE */
  int awaits;                   /* some check says neither that nor SMTPF_APART_JOIN of what it finds after RCPT */
  int reads;                    /* each message must be seen to its end: a check, or a bound the policy sets */
  int doubts;                   /* some check may ask for quarantine or a mark without knowing */
  int may_defer;                /* some recipient may be put off electively */
  smtpf_profile *profiles;      /* named ones, then one for each recipient with wishes of its own */
  const smtpf_section **wishes; /* where each was written */
  uint8_t *used;                /* of the named ones, whether the policy itself gives it to somebody */
  size_t n_profiles, n_named;
  smtpf_map by_name; /* profiles */
  const smtpf_profile *site;
  smtpf_scopes scopes;
  uint64_t backup_mx, forwarders; /* the site's, as scopes */
  smtpf_map recipients;           /* lower-case `user@domain` and `@domain` -> const smtpf_profile */
  smtpf_map local_domains;        /* lower-case names */
  smtpf_trie *own_networks;
  smtpf_signing signing;
  smtpf_scanner_entry *scanners;
  size_t n_scanners;
  smtpf_str spool_path;
  int directory_complete;
  smtpf_str tag_header;
  int tag_leaves; /* fields of that name stay in what is not marked here */
  smtpf_texts texts;
  int64_t loaded_s; /* when this was made; 0 when nobody knew the time */
  smtpf_log_fn log;
  void *log_user;
  int log_level;
};

/* Local domains, own networks; scopes; profiles; recipients: in this order. They fill in what is above. */
int smtpf_engine_read_places(smtpf_engine *e, smtpf_error *err);
int smtpf_engine_read_scopes(smtpf_engine *e, smtpf_error *err);
int smtpf_engine_read_profiles(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err);
int smtpf_engine_read_recipients(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err);

/* Warns of key files that are not secret. */
void smtpf_engine_lint_keys(const smtpf_engine *e, smtpf_lint_fn fn, void *user);

/* What the checks have to say about a policy that was loaded, and of its key files, to its log. */
void smtpf_engine_log_warnings(const smtpf_engine *e);
int smtpf_engine_read_scanners(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err);

/* Domain and keys of signed addresses; behind the places. */
int smtpf_engine_read_signing(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err);

/* A scanner's place by its name; SIZE_MAX when there is none. */
size_t smtpf_engine_scanner(const smtpf_engine *e, smtpf_str name);

/* A profile by name; NULL when there is none. */
const smtpf_profile *smtpf_engine_profile(const smtpf_engine *e, smtpf_str name);

/* The entry of `recipients` that covers an address: itself, without its +detail, or its domain; NULL when none does. */
const smtpf_profile *smtpf_engine_recipient(const smtpf_engine *e, smtpf_str address);

/* `base`, or what a recipient's own wishes make of it: a new profile, in the room kept for it. */
int smtpf_engine_derive(smtpf_engine *e, const smtpf_config *cfg, const smtpf_section *s, const smtpf_profile *base,
                        const smtpf_profile **out, smtpf_error *err);

/* A route leads somewhere. */
int smtpf_engine_check_route(const smtpf_engine *e, const smtpf_profile *p, const smtpf_section *s, smtpf_error *err);

/* The element of `profiles` or `recipients` that a wish of `s` comes from; where none says it, the last one. */
const smtpf_section *smtpf_engine_holder(const smtpf_engine *e, const smtpf_section *s, const char *name);

/* All scopes a client is in, as bits. `identity` counts when it is authenticated. Allocates nothing. */
uint64_t smtpf_engine_scopes(const smtpf_engine *e, const smtpf_ip *client, int authenticated, smtpf_str identity,
                             smtpf_str verified_name);

/* Scopes of a HELO name that leads to its client, and of a List-Id. Allocate nothing. */
uint64_t smtpf_engine_helo_scopes(const smtpf_engine *e, smtpf_str verified_helo);
uint64_t smtpf_engine_list_scopes(const smtpf_engine *e, smtpf_str list_id);

/* The name of the first of these scopes; empty for none. */
smtpf_str smtpf_engine_scope_name(const smtpf_engine *e, uint64_t scopes);

/* The scopes that an option names. */
int smtpf_engine_scope_mask(const smtpf_engine *e, const smtpf_section *s, const char *option, uint64_t *out,
                            smtpf_error *err);

/* smtpf_entry_kind: what the recipient's personal entries say of this sender and client. The more exact entry decides:
 * `user@domain`, `@domain`, `user@`, the longer network; of two alike `allow`. No address covers the null sender.
 * Signed senders are compared as what they are made of; those a forwarder rewrote too, to deny, and to allow when the
 * client is `trusted`. */
int smtpf_engine_entry(const smtpf_profile *p, const smtpf_path *sender, const smtpf_ip *client, int trusted);

/* 1 when a text can be a personal entry. */
int smtpf_engine_entry_sound(smtpf_str entry);

/* Mailboxes and names are compared without regard to case: two that differ by case alone are one here. SMTPF_OK,
 * SMTPF_ELIMIT when it is longer than the room, SMTPF_ENOMEM. */
int smtpf_engine_lower(smtpf_str s, char room[SMTPF_ADDRESS_MAX], smtpf_str *out);
int smtpf_engine_lower_copy(smtpf_engine *e, smtpf_str s, smtpf_str *out);

/* 1 when the domain of an address is one of local_domains, or `srs.domain`; 1 when it is the latter alone. */
int smtpf_engine_is_srs_alone(const smtpf_engine *e, smtpf_str address);
int smtpf_engine_is_local(const smtpf_engine *e, smtpf_str address);

#endif
