/* SPDX-License-Identifier: MIT
 *
 * callout: a check's question to another server whether it would take a recipient (ext/port.h). The port is started
 * when it is asked first: a policy without callouts has none.
 */
#ifndef SMTPF_CORE_CALLOUT_H
#define SMTPF_CORE_CALLOUT_H

#include <smtpfilter/ext/port.h>

#include "op.h"

/* Nobody wants the answer any more. */
void smtpf_callout_cancel(smtpf_driver *d, smtpf_op token);

/* The driver goes. */
void smtpf_callout_stop(smtpf_driver *d);

#endif
