/* SPDX-License-Identifier: MIT
 *
 * smtpf_exim.so: loaded by Exim into the process of one client, which asks it from its ACLs by ${dlfunc}. One session a
 * process; each question waits for its answer. Uses the public headers alone, and what Exim declares in local_scan.h.
 *
 *   module.c    what Exim calls: one function for each ACL, and local_scan()
 *   message.c   the message, as Exim has it spooled: given to the session; edits, recipients that fall away
 *
 *   function         event            yields `ok`, or `CODE X.Y.Z text`
 *   smtpf_connect    connect          {POLICY}, by default /etc/smtpfilter.conf
 *   smtpf_helo       helo
 *   smtpf_mail       starttls, auth, mail
 *   smtpf_rcpt       rcpt
 *   smtpf_predata    data
 *   smtpf_prdr       end of message   the answer for one recipient (PRDR)
 *   smtpf_data       end of message   the answer for all
 *   smtpf_notquit    abort
 */
#ifndef HOSTS_EXIM_H
#define HOSTS_EXIM_H

#include <smtpfilter/smtpfilter.h>
#include <stddef.h>

/* Exim's header keeps visibility to itself. */
#define DLFUNC_IMPL
#include <local_scan.h>

/* What this process has. */
typedef struct exim_state {
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_session *session;
  int greeted, tls_told, auth_told; /* what the session knows */
  int ended;                        /* the end of this message has been told: its verdict stands */
  int failed;                       /* something was out of order: 4xx until the connection ends */
} exim_state;

/* Exim's expansion of a text; empty when it has none. Lives until Exim resets its memory. */
smtpf_str exim_expand(const char *text);

/* Gives the session the message as the client sent it: header lines in Exim's memory, the body from `fd`, at whose
 * position it begins, or with -1 from Exim's spool. SMTPF_OK or an error. */
int message_feed(exim_state *x, int fd);

/* Does to the message what an accepting verdict says: header edits, and recipients whose copy is dropped. */
void message_apply(const smtpf_verdict *v);

#endif
