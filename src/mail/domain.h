/* SPDX-License-Identifier: MIT
 *
 * domain: host and domain names (RFC 5321 4.1.2 Domain, RFC 1035 lengths, RFC 6531 U-labels).
 */
#ifndef SMTPF_MAIL_DOMAIN_H
#define SMTPF_MAIL_DOMAIN_H

#include <smtpfilter/ext/mail.h>

#define SMTPF_DOMAIN_MAX 255
#define SMTPF_LABEL_MAX 63

/* Length of the longest well-formed name in front of `s`: labels of 1-63 bytes between single dots, no hyphen at
 * either end of a label, no dot at the end. Sets *utf8 when it holds bytes above 0x7f. 0 when there is none.
 * What follows, and whether the whole is too long, is for the caller to judge. */
size_t smtpf_domain_span(smtpf_str s, int *utf8);

#endif
