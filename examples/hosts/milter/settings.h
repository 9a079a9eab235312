/* SPDX-License-Identifier: MIT
 *
 * smtpf-milter: a mail filter for Postfix and Sendmail on the public headers. How the files hang together:
 *
 *     main ── common/server             the process: signals, sockets, policies, threads
 *       └─ connection                   the MTA's: packets in and out
 *            └─ dialog ── message              what a packet is to the session
 *                 └─ answer ── changes         what the verdict is to the MTA
 *
 * settings: what the program itself reads out of a policy.
 */
#ifndef MILTER_SETTINGS_H
#define MILTER_SETTINGS_H

#include "../../common/server/server.h"

typedef struct settings {
  server_settings base;
  int64_t idle_ms, progress_ms;
  uint32_t unanswered; /* SMTPF_MILTER_NR_...: of stages before the first at which this policy refuses */
} settings;

static inline settings *settings_ref(settings *s)
{
  server_settings_ref(&s->base);
  return s;
}

static inline void settings_unref(settings *s)
{
  if (s)
    server_settings_unref(&s->base);
}

#endif
