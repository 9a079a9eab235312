/* SPDX-License-Identifier: MIT
 *
 * mail_hosts: where mail for a domain goes (RFC 5321 5.1, RFC 7505), for ports and programs (ext/port.h).
 *
 *   domain --an address--> itself
 *          --MX `.` alone--> NULL             --no such name--> ABSENT           --the DNS failed--> UNKNOWN
 *          --MX--> the best 16 names          --no MX--> the domain itself
 *                  names: A and AAAA of each, all asked at once; those with addresses, the best first: OK
 *                         none has any: ABSENT, or UNKNOWN when the DNS failed for one of them
 */
#ifndef SMTPF_CORE_MAIL_HOSTS_H
#define SMTPF_CORE_MAIL_HOSTS_H

#include <smtpfilter/ext/port.h>

/* Frees what is under way; nobody is told. */
void smtpf_mail_hosts_free(smtpf_driver *d);

#endif
