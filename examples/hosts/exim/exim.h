/* SPDX-License-Identifier: MIT
 *
 * smtpf_exim.so: loaded by Exim into the process of one client, which asks it from its ACLs by ${dlfunc}. Uses the
 * public headers alone, and what Exim declares in local_scan.h.
 *
 *   module.c    what Exim calls from its ACLs
 *   scan.c      what it calls as local_scan()
 *   client.c    this process's client: who decides about it, what that has been told; what is done without it
 *   message.c   the message, as Exim has it spooled: given away; edits, recipients that fall away
 *   asker.h     who decides: the library in this process, or smtpf-milter
 *
 *   function         event            yields `ok`, or `CODE X.Y.Z text`
 *   smtpf_preload    -                {WHERE}{NUMBER}: reads the policy in the daemon; yields NUMBER, or 0
 *   smtpf_connect    connect          {WHERE}{FAILURE}{TIMEOUT}
 *   smtpf_helo       helo
 *   smtpf_mail       starttls, auth, mail
 *   smtpf_rcpt       rcpt
 *   smtpf_predata    data             not called before BDAT: then the end of the message tells of it
 *   smtpf_prdr       end of message   the answer for one recipient (PRDR)
 *   smtpf_data       end of message   the answer for all
 *   smtpf_notquit    abort
 *
 * WHERE is a policy file, by default /etc/smtpfilter.conf, or `unix:PATH`, the socket of smtpf-milter. FAILURE says
 * what happens when nothing can be decided: `defer`, the default, or `pass`. TIMEOUT: seconds that smtpf-milter may
 * take.
 */
#ifndef HOSTS_EXIM_H
#define HOSTS_EXIM_H

#include <stddef.h>

#include "asker.h"

/* Exim's header keeps visibility to itself. */
#define DLFUNC_IMPL
#include <local_scan.h>

#define EXPORT __attribute__((visibility("default")))

/* ---- client.c ---- */

/* Exim's expansion of a text; empty when it has none. Lives until Exim resets its memory. */
smtpf_str exim_expand(const char *text);
unsigned exim_number(const char *text);
/* In memory that lives as long as Exim's message. */
uschar *exim_copy(const char *text);

/* Takes this process's client; the arguments as smtpf_connect() has them, each may be empty. `join`: all recipients
 * share one reply. */
void client_begin(const char *where, const char *failure, const char *timeout, int join);
void client_load(const char *where);
/* All of these answer: 451, or with `pass` 250, where nothing can be decided. */
exim_answer client_connect(void);
exim_answer client_helo(int plain);
exim_answer client_mail(smtpf_str address, smtpf_str params); /* and TLS and AUTH before it; a new beginning */
exim_answer client_rcpt(smtpf_str address, smtpf_str params);
exim_answer client_data(void);
/* The end of the message, once for each; `fd` as message_feed(). */
exim_answer client_end_of_message(int fd);
exim_answer client_reply_to(smtpf_str address);
/* Does to the message what the verdict that accepted it says. */
void client_apply(void);
void client_end(void);

/* ---- message.c ---- */

/* Gives the asker the message as the client sent it: header lines in Exim's memory, the body from `fd`, at whose
 * position it begins, or with -1 from Exim's spool. 1, or 0 when it could not. */
int message_feed(const exim_asker *to, int fd);
extern const exim_changes message_changes;

#endif
