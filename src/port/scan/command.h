/* SPDX-License-Identifier: MIT
 *
 * scan_command: what an exit status means.
 */
#ifndef SMTPF_PORT_SCAN_COMMAND_H
#define SMTPF_PORT_SCAN_COMMAND_H

#include <smtpfilter/ext/check.h>

typedef struct smtpf_command_exits {
  unsigned char kind[256]; /* smtpf_scan_status; 0: unknown */
} smtpf_command_exits;

/* Adds `0,4,10-12` with this meaning. SMTPF_OK, or SMTPF_EPARSE: no such list, or one of them means something already.
 */
int smtpf_command_exits_add(smtpf_command_exits *exits, smtpf_str list, int kind);
/* `exit_clean` and `exit_hit`. SMTPF_OK or SMTPF_EINVAL with the place. */
int smtpf_command_exits_read(smtpf_command_exits *exits, const smtpf_section *settings, smtpf_error *err);
/* smtpf_scan_status. */
int smtpf_command_exit(const smtpf_command_exits *exits, int status);

#endif
