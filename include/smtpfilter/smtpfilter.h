/* SPDX-License-Identifier: MIT */
/**
 * @file smtpfilter.h
 * libsmtpfilter: decides, while the SMTP conversation is open, what becomes of each recipient's copy.
 *
 * Include this one. Conventions, stated once:
 *
 * - config (mutable) -> engine (frozen, shared) -> driver (one event loop) -> session (one connection)
 *   -> verdict (read-only, valid until the session's next event).
 * - Functions return SMTPF_OK, SMTPF_PENDING or a negative error. On an error nothing has changed and
 *   no out-parameter has been written.
 * - Destructors accept NULL. Strings that go in are copied before the call returns, unless it says
 *   otherwise; strings that come out belong to the object that gave them.
 * - Times are milliseconds unless the name says otherwise. Scores are thousandths.
 * - A transparent struct begins with `size_t size`, which the caller sets to its sizeof; members are only
 *   ever added at the end.
 * - An object is used by one thread at a time, except where a function says "any thread".
 * - The library keeps no global state, installs no signal handler, writes nothing to stdout or stderr. It starts no
 *   thread, but for the one that writes an LMDB store (`store.writer = "thread"`).
 */
#ifndef SMTPFILTER_SMTPFILTER_H
#define SMTPFILTER_SMTPFILTER_H

#include "config.h"
#include "driver.h"
#include "engine.h"
#include "error.h"
#include "forward.h"
#include "milter.h"
#include "opensmtpd.h"
#include "proxy.h"
#include "session.h"
#include "types.h"
#include "verdict.h"
#include "version.h"
#include "wire.h"

#endif
