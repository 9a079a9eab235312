/* SPDX-License-Identifier: MIT
 *
 * address: paths and mailboxes (RFC 5321 4.1.2, 4.1.3, 4.5.3.1; RFC 6531 3.3). The public part is in ext/mail.h.
 */
#ifndef SMTPF_MAIL_ADDRESS_H
#define SMTPF_MAIL_ADDRESS_H

#include <smtpfilter/ext/mail.h>

#define SMTPF_LOCAL_PART_MAX 64 /* RFC 5321 4.5.3.1.1 */
#define SMTPF_PATH_MAX 256      /* RFC 5321 4.5.3.1.3, with brackets */

/* Parses the path in front of `text` and says in *used how many bytes it takes: what follows it are the parameters of
 * MAIL or RCPT. SMTPF_OK or SMTPF_EPARSE. */
int smtpf_path_take(smtpf_str text, smtpf_path *out, size_t *used);

#endif
