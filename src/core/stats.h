/* SPDX-License-Identifier: MIT
 *
 * stats: the counters of a driver, one table.
 */
#ifndef SMTPF_CORE_STATS_H
#define SMTPF_CORE_STATS_H

#define SMTPF_STAT_TABLE(X)                                                                                            \
  X(SESSIONS, "sessions")                                                                                              \
  X(EVENTS, "events")                                                                                                  \
  X(ACCEPTED, "verdicts.accept")                                                                                       \
  X(DEFERRED, "verdicts.defer")                                                                                        \
  X(REJECTED, "verdicts.reject")                                                                                       \
  X(MESSAGES, "messages")                                                                                              \
  X(DELIVERED, "recipients.delivered")                                                                                 \
  X(TAGGED, "recipients.tagged")                                                                                       \
  X(QUARANTINED, "recipients.quarantined")                                                                             \
  X(DISCARDED, "recipients.discarded")                                                                                 \
  X(REFUSED, "recipients.rejected")                                                                                    \
  X(POSTPONED, "recipients.deferred")                                                                                  \
  X(HANDED_OVER, "recipients.handed-over")                                                                             \
  X(SPLIT, "recipients.split")                                                                                         \
  X(OVERRIDDEN, "recipients.overridden")                                                                               \
  X(KNOWN, "recipients.known")                                                                                         \
  X(UNCLOSED, "recipients.unclosed")                                                                                   \
  X(DELAYS, "delays")                                                                                                  \
  X(CHECKS, "checks.run")                                                                                              \
  X(UNKNOWN, "checks.unknown")                                                                                         \
  X(TIMEOUTS, "checks.timeout")                                                                                        \
  X(DNS_ASKED, "dns.asked")                                                                                            \
  X(DNS_CACHED, "dns.cached")                                                                                          \
  X(DNS_JOINED, "dns.joined")                                                                                          \
  X(DIRECTORY_ASKED, "directory.asked")                                                                                \
  X(DIRECTORY_CACHED, "directory.cached")                                                                              \
  X(CALLOUTS, "callouts.asked")                                                                                        \
  X(CALLOUTS_UNKNOWN, "callouts.unknown")                                                                              \
  X(STORE_FAILED, "store.failed")                                                                                      \
  X(NO_MEMORY, "no-memory")

enum smtpf_stat {
#define SMTPF_STAT_ENUM(id, name) SMTPF_STAT_##id,
  SMTPF_STAT_TABLE(SMTPF_STAT_ENUM)
#undef SMTPF_STAT_ENUM
      SMTPF_STATS
};

#endif
