/* SPDX-License-Identifier: MIT
 *
 * callout: asks the servers of a domain whether they would take a recipient (ext/port.h), by the beginning of a mail
 * that never comes: EHLO, MAIL, RCPT, then RSET and QUIT. Three storeys:
 *
 *   rate.c   one bucket for each target domain: nobody is asked more often than `callout.rate`
 *   ask.c    questions: equal ones are one; hosts; who waits for a connection; the deadline of all of it together
 *   talk.c   one connection to one host, whatever that host does
 *
 *   ask --rate--> RESOLVING --hosts--> WAITING --a connection--> TALKING --answer--> told
 *                                         ^--the next host, where one could not be connected to
 *
 * Only a 5xx to RCPT itself is a refusal. What keeps us from getting so far is unknown(cause):
 *
 *   dns       the DNS did not say where            connect       no host let us in
 *   no-host   there is no host                     closed        it went away before it had answered
 *   rate      asked too often                      garbage       it answered what is no SMTP, or out of turn
 *   busy      no connection came free in time      mail-refused  5xx to the connection, to EHLO or MAIL: it is about us
 *   timeout   it did not answer in time            deferred      4xx
 *   smtputf8  it cannot take such an address       memory
 */
#ifndef SMTPF_PORT_CALLOUT_H
#define SMTPF_PORT_CALLOUT_H

#include <smtpfilter/ext/port.h>
#include <smtpfilter/wire.h>

#include "base/list.h"
#include "base/map.h"
#include "port/scan/pool.h"

enum {
  SMTPF_CALLOUT_HOSTS = 16,
  SMTPF_CALLOUT_REPLY_MAX = 8192, /* bytes of one reply, all lines */
  SMTPF_CALLOUT_DOMAINS = 4096,   /* whose buckets are kept */
  SMTPF_CALLOUT_QUESTIONS = 1000, /* under way */
  SMTPF_CALLOUT_LEAVE = 2000,     /* ms that a server may take to say goodbye */
};

/* One target domain. */
typedef struct smtpf_callout_domain {
  smtpf_str name;   /* in `bytes` */
  uint64_t next_ns; /* the bucket: when it is full again */
  size_t questions; /* that hold it */
  size_t talks;     /* connections on its behalf */
  char bytes[];
} smtpf_callout_domain;

typedef struct smtpf_callouts {
  smtpf_driver *driver;
  const smtpf_mem *mem;
  smtpf_map by_key;                              /* sender and recipient -> question */
  smtpf_map domains;                             /* name -> smtpf_callout_domain */
  smtpf_link questions, waiting, tickets, talks; /* all; those that wait; searches for hosts; connections */
  size_t n_questions, n_talks;
  int serving;
} smtpf_callouts;

/* ---- rate.c ------------------------------------------------------------------------------------------------------ */

/* The bucket of a domain, in lower case, held until it is given back. NULL without memory, or when too many are kept.
 */
smtpf_callout_domain *smtpf_callout_domain_take(smtpf_callouts *c, smtpf_str name);
void smtpf_callout_domain_give(smtpf_callouts *c, smtpf_callout_domain *d);
/* Takes one out of a bucket that holds `rate` and fills in a minute. 1, or 0: it is empty. */
int smtpf_callout_domain_may(smtpf_callout_domain *d, uint64_t now_ns, int64_t rate);
void smtpf_callout_domains_free(smtpf_callouts *c);

/* ---- talk.c ------------------------------------------------------------------------------------------------------ */

typedef struct smtpf_callout_talk smtpf_callout_talk;

/* What is asked; lives until the talk has told. */
typedef struct smtpf_callout_words {
  smtpf_str recipient, sender; /* without brackets */
} smtpf_callout_words;

/* Told once; the answer's strings are good during the call. The talk says goodbye by itself afterwards. */
typedef void (*smtpf_callout_told)(void *user, const smtpf_callout_answer *answer);

/* Begins to connect; at most `connect_ms` for that. SMTPF_OK, or an error: nothing was begun. */
int smtpf_callout_talk_start(smtpf_callout_talk **out, smtpf_callouts *c, const smtpf_scan_server *server,
                             int64_t connect_ms, const smtpf_callout_words *words, smtpf_callout_told fn, void *user);
/* Ends it here and now; it tells nothing. */
void smtpf_callout_talk_drop(smtpf_callout_talk *t);
void smtpf_callout_talks_drop(smtpf_callouts *c); /* all of them */

/* ---- ask.c ------------------------------------------------------------------------------------------------------- */

/* A connection is free. */
void smtpf_callouts_serve(smtpf_callouts *c);

/* An option of the driver's engine, as a number. */
int64_t smtpf_callout_option(const smtpf_callouts *c, const char *path);

/* For the policy: SMTPF_OK, or SMTPF_EINVAL with the place: `callout.servers`. */
int smtpf_callout_check_policy(const smtpf_section *policy, smtpf_error *err);

#endif
