/* SPDX-License-Identifier: MIT
 *
 * wire_suites: the suites of wire, and what those of the server codec share.
 */
#ifndef SMTPF_TESTS_WIRE_SUITES_H
#define SMTPF_TESTS_WIRE_SUITES_H

#include "suites.h"
#include "wire_feed.h"

Suite *smtpf_suite_wire_bdat(void);
Suite *smtpf_suite_wire_chunks(void);
Suite *smtpf_suite_wire_codec(void);
Suite *smtpf_suite_wire_command(void);
Suite *smtpf_suite_wire_scan(void);
Suite *smtpf_suite_wire_session(void);
Suite *smtpf_suite_wire_smtpc(void);
Suite *smtpf_suite_wire_transfer(void);

/* What the client says and what the log says then, up to HELO, up to RCPT, up to DATA; and after a message. */
#define BANNER "< 220 mx.example.net ESMTP\\r\\n\n"
#define GREET "HELO c\r\n"
#define GREETED BANNER "COMMAND HELO [c]\n< 250 mx.example.net\\r\\n\n"
#define OPEN GREET "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
#define OPENED                                                                                                         \
  GREETED "COMMAND MAIL [<a@b.example>]\n< 250 2.1.0 OK\\r\\n\nCOMMAND RCPT [<c@d.example>]\n< 250 2.1.5 OK\\r\\n\n"
#define DATA OPEN "DATA\r\n"
#define MESSAGE OPENED "COMMAND DATA []\n< 354 Go on\\r\\n\n"
#define TAKEN "END last\n< 250 2.0.0 Taken\\r\\n\n"

/* The log of `in` must be `want`, however the input is cut. */
void expect_with(const smtpf_smtpd_options *o, const char *in, size_t n, const char *want);
void expect(const char *in, const char *want);

/* After HELO, the line gives this event. */
void expect_event(const char *line, const char *event);

/* How often a random test is repeated: less under valgrind, which is fifty times slower. */
static inline int rounds(int n)
{
  return getenv("SMTPF_VALGRIND") ? n / 25 : n;
}

#endif
