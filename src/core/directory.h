/* SPDX-License-Identifier: MIT
 *
 * directory: the default directory port, over the policy's `recipients` and `local_domains`. Pure: it answers inside
 * the call.
 */
#ifndef SMTPF_CORE_DIRECTORY_H
#define SMTPF_CORE_DIRECTORY_H

#include <smtpfilter/ext/port.h>

const smtpf_directory *smtpf_directory_policy(void); /* public, ext/port.h */

#endif
