/* SPDX-License-Identifier: MIT
 *
 * dns_name: which names a resolver port asks for, in one spelling.
 */
#ifndef SMTPF_PORT_DNS_NAME_H
#define SMTPF_PORT_DNS_NAME_H

#include <smtpfilter/types.h>

enum {
  SMTPF_DNS_NAME_MAX = 253, /* presentation form without the trailing dot (RFC 1035 2.3.4) */
  SMTPF_DNS_LABEL_MAX = 63,
};

/* Writes `name` in lower case, without one trailing dot, NUL-terminated. Legal are labels of 1-63 bytes, each printable
 * ASCII but space and backslash: wider than host names (RFC 2181 11), and nothing that master-file escapes could read
 * in another way. SMTPF_OK or SMTPF_EINVAL. */
int smtpf_dns_name_fold(smtpf_str name, char out[SMTPF_DNS_NAME_MAX + 1], size_t *n);

/* The name without its first label; empty after the last. */
smtpf_str smtpf_dns_name_parent(smtpf_str name);

#endif
