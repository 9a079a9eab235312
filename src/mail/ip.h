/* SPDX-License-Identifier: MIT
 *
 * ip: IPv4 and IPv6 addresses, prefixes, reverse names. The public part is in ext/mail.h.
 */
#ifndef SMTPF_MAIL_IP_H
#define SMTPF_MAIL_IP_H

#include <smtpfilter/ext/mail.h>

/* `192.0.2.1` and nothing else: four decimal numbers up to 255 without leading zeros. 1 and four bytes written, or 0.
 */
int smtpf_ip_dotted(smtpf_str text, uint8_t out[4]);

/* `2001:db8::192.0.2.1` and nothing else (RFC 4291 2.2). *elided is how many groups `::` stands for, 0 without one.
 * 1 and sixteen bytes written, or 0. */
int smtpf_ip_colons(smtpf_str text, uint8_t out[16], int *elided);

/* Takes the tag `IPv6:` off the front of *text, in any case. 1 when it was there. */
int smtpf_ip_untag(smtpf_str *text);

#endif
