/* SPDX-License-Identifier: MIT
 *
 * metrics: what a daemon has done, as OpenMetrics text (https://openmetrics.io, version 1.0.0) for whoever asks on a
 * socket of its own. A thread answers, one scrape at a time; each event loop counts in a part of its own, whose lock
 * nobody else takes but a scrape. Labels are bounded: what a policy can name, at most METRICS_SERIES of a family, and
 * beyond that `other`. Never an address, a name or a word of a client's.
 *
 * Without a socket to ask there are no parts: all functions take NULL for one, and do nothing.
 *
 *   metrics.c   parts: counting, and a driver's own counters
 *   series.c    tables of numbers by family and labels
 *   expose.c    the text
 *   serve.c     the socket and its thread
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <smtpfilter/ext/mail.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>

enum { METRICS_SERIES = 200, METRICS_LABELS = 3, METRICS_BUCKETS = 12 };

typedef struct metrics metrics;
typedef struct metrics_part metrics_part;

/* Every family there is. Counters have no `_total` here; a unit ends the name. `joined`: what several parts say of it
 * is added up, or is the same for all (MOST). */
#define METRICS_FAMILIES(X)                                                                                            \
  X(DECISIONS, "decisions", COUNTER, NULL, SUM, "stage", "reply", "rule",                                              \
    "Answers to events, by the rule that decided")                                                                     \
  X(FINDINGS, "findings", COUNTER, NULL, SUM, "check", "kind", "code", "Findings of checks")                           \
  X(FINDING_SECONDS, "finding_seconds", COUNTER, "seconds", SUM, "check", NULL, NULL,                                  \
    "Time from the starts of checks to their findings")                                                                \
  X(SCAN_SECONDS, "scan_seconds", HISTOGRAM, "seconds", SUM, "check", NULL, NULL, "Time that scanners took")           \
  X(ACTIONS, "verdicts", COUNTER, NULL, SUM, "action", NULL, NULL,                                                     \
    "Verdicts, those that the host never asks about too")                                                              \
  X(SESSIONS, "sessions", COUNTER, NULL, SUM, NULL, NULL, NULL, "Sessions begun")                                      \
  X(EVENTS, "events", COUNTER, NULL, SUM, NULL, NULL, NULL, "Events told to sessions")                                 \
  X(MESSAGES, "messages", COUNTER, NULL, SUM, NULL, NULL, NULL, "Messages whose end was reached")                      \
  X(RECIPIENTS, "recipients", COUNTER, NULL, SUM, "disposition", NULL, NULL, "What became of recipients' copies")      \
  X(SPLIT, "recipients_split", COUNTER, NULL, SUM, NULL, NULL, NULL,                                                   \
    "Recipients put off because they wish otherwise than those before")                                                \
  X(OVERRIDDEN, "recipients_overridden", COUNTER, NULL, SUM, NULL, NULL, NULL,                                         \
    "Recipients whose wish could not be kept")                                                                         \
  X(KNOWN, "recipients_known", COUNTER, NULL, SUM, NULL, NULL, NULL, "Copies that had been taken before")              \
  X(UNCLOSED, "recipients_unclosed", COUNTER, NULL, SUM, NULL, NULL, NULL,                                             \
    "Copies of which the host never said what became")                                                                 \
  X(DELAYS, "delays", COUNTER, NULL, SUM, NULL, NULL, NULL, "Verdicts with a delay")                                   \
  X(CHECKS, "checks", COUNTER, NULL, SUM, "result", NULL, NULL,                                                        \
    "Runs of checks: all, those that could not find out, those too late")                                              \
  X(DNS, "dns_questions", COUNTER, NULL, SUM, "answered", NULL, NULL, "Questions to the DNS, and what answered them")  \
  X(DIRECTORY, "directory_lookups", COUNTER, NULL, SUM, "answered", NULL, NULL, "Lookups of recipients")               \
  X(CALLOUTS, "callouts", COUNTER, NULL, SUM, "result", NULL, NULL, "Callouts: all, and those that learned nothing")   \
  X(STORE_FAILED, "store_refusals", COUNTER, NULL, SUM, NULL, NULL, NULL, "Requests that the store did not serve")     \
  X(NO_MEMORY, "out_of_memory", COUNTER, NULL, SUM, NULL, NULL, NULL, "Verdicts made without memory")                  \
  X(STORE_COMMITS, "store_commits", COUNTER, NULL, MOST, NULL, NULL, NULL, "Commits of the store")                     \
  X(STORE_FAILURES, "store_failures", COUNTER, NULL, MOST, NULL, NULL, NULL, "Failures of the store")                  \
  X(STORE_RECORDS, "store_records", GAUGE, NULL, MOST, NULL, NULL, NULL, "Records in the store")                       \
  X(STORE_USED, "store_used_bytes", GAUGE, "bytes", MOST, NULL, NULL, NULL, "Size of the store")                       \
  X(STORE_MAX, "store_limit_bytes", GAUGE, "bytes", MOST, NULL, NULL, NULL, "Size that the store may have")            \
  X(STORE_DOWN, "store_down", GAUGE, NULL, MOST, NULL, NULL, NULL, "Whether the store cannot be asked")                \
  X(SCANNER_DOWN, "scanner_down", GAUGE, NULL, MOST, "scanner", "server", NULL,                                        \
    "Whether a scanner's server is left alone because it failed")                                                      \
  X(CONNECTIONS, "connections", COUNTER, NULL, SUM, "result", NULL, NULL, "Connections that came")                     \
  X(CONNECTIONS_OPEN, "connections_open", GAUGE, NULL, SUM, NULL, NULL, NULL, "Connections that are open")             \
  X(RELOADS, "policy_reloads", COUNTER, NULL, SUM, "result", NULL, NULL, "Times that the policy was read anew")        \
  X(SPOOL, "spool_bytes", GAUGE, "bytes", MOST, NULL, NULL, NULL, "Bytes of messages that are held")                   \
  X(COPIES, "copies", COUNTER, NULL, SUM, "destination", "result", NULL, "What became of copies that were sent on")    \
  X(HOPS, "hop_connections", GAUGE, NULL, SUM, "state", NULL, NULL, "Connections to servers")                          \
  X(HOP_UP, "hop_up", GAUGE, NULL, MOST, "server", NULL, NULL,                                                         \
    "Whether a server can be spoken with, by what is known")                                                           \
  X(HOP_READY, "hop_ready", COUNTER, NULL, SUM, "server", "tls", NULL, "Connections to servers that could be used")    \
  X(HOP_FAILURES, "hop_failures", COUNTER, NULL, SUM, "server", NULL, NULL, "Connections to servers that failed")      \
  X(DSN_UNENFORCED, "dsn_unenforced", COUNTER, NULL, MOST, NULL, NULL, NULL,                                           \
    "Copies whose next hop could not be told that no DSN may be sent")

enum metrics_family {
#define METRICS_ENUM(id, name, type, unit, join, a, b, c, help) METRICS_##id,
  METRICS_FAMILIES(METRICS_ENUM)
#undef METRICS_ENUM
      METRICS_FAMILY_COUNT
};

/* Where it listens: an address with its port or `unix:/path`. 0, or -1 after a log line. Before threads are started. */
int metrics_open(metrics **out, const char *where, const char *program);
/* Begins to answer. 0, or -1 after a log line. */
int metrics_start(metrics *m);
/* Ends and frees all; every part has been left. NULL is accepted. */
void metrics_close(metrics *m);

/* One loop's part; NULL where `m` is NULL, or without memory. */
metrics_part *metrics_part_new(metrics *m, smtpf_driver *driver);
/* The driver goes away; what was counted stays. */
void metrics_part_leave(metrics_part *p);
/* The loop, in each turn: 1 when somebody asks. Then the caller sets its gauges, and says that it has. */
int metrics_wanted(metrics_part *p);
void metrics_answer(metrics_part *p);

/* Counts, and sets. Labels that the family has not are NULL. */
void metrics_add(metrics_part *p, int family, smtpf_str a, smtpf_str b, smtpf_str c, uint64_t n);
void metrics_set(metrics_part *p, int family, smtpf_str a, smtpf_str b, smtpf_str c, uint64_t value);
/* What is named by the policy, and may be gone with it: a gauge's rows are set anew. */
void metrics_forget(metrics_part *p, int family);
static inline void metrics_count(metrics_part *p, int family, const char *a, const char *b)
{
  if (p)
    metrics_add(p, family, smtpf_str_of(a), smtpf_str_of(b), (smtpf_str){0}, 1);
}
static inline void metrics_gauge(metrics_part *p, int family, const char *a, uint64_t value)
{
  if (p)
    metrics_set(p, family, smtpf_str_of(a), (smtpf_str){0}, (smtpf_str){0}, value);
}

/* A verdict that was acted upon, once for each event: the reply that was given (0: the verdict's own), what decided,
 * what was found. */
void metrics_verdict(metrics_part *p, const smtpf_verdict *v, int code);

#endif
