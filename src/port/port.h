/* SPDX-License-Identifier: MIT
 *
 * port: everything that touches the outside. Poller, clock, random numbers, resolvers, stores, the journal, the policy
 * file; and library.c, the one file that hands the defaults to the core. May call every room below it; is called
 * through its tables (ext/port.h) alone. Never calls getaddrinfo, never starts a thread, never writes to a standard
 * stream.
 */
#ifndef SMTPF_PORT_PORT_H
#define SMTPF_PORT_PORT_H

#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/ext/scan.h>

/* CLOCK_MONOTONIC and CLOCK_REALTIME. */
const smtpf_clock *smtpf_clock_system(void);

/* getrandom(2). */
const smtpf_random *smtpf_random_system(void);

/* epoll, timerfd and eventfd behind one descriptor that nests in any other poller. `shared` is NULL. */
const smtpf_poller *smtpf_poller_epoll(void);

/* A small file that the policy names; what config.h's `read_file` says. */
int smtpf_file_read(const char *path, char *room, size_t cap, size_t *n, int *exposed);

/* What a policy with `store.type = "redis"` must say: a result of smtpf_engine_new(). Fails in a build without hiredis.
 */
int smtpf_redis_policy(const smtpf_section *policy, smtpf_error *err);

/* The scanner type `rspamd`. In a build without libcurl or jansson a policy that names it does not load. */
const smtpf_scanner *smtpf_scanner_rspamd(void);

/* `clamd`, and a program of the postmaster's own. */
const smtpf_scanner *smtpf_scanner_clamd(void);
const smtpf_scanner *smtpf_scanner_command(void);

/* SpamAssassin's daemon; servers of RFC 3507. */
const smtpf_scanner *smtpf_scanner_spamd(void);
const smtpf_scanner *smtpf_scanner_icap(void);

#endif
