/* SPDX-License-Identifier: MIT
 *
 * smtpf-opensmtpd: a filter that smtpd(8) starts and speaks to on standard input and output. One event loop, one
 * session for each of smtpd's, found by its id. It ends when smtpd closes its input, and for no other reason: smtpd
 * ends with a filter that ends. Uses the public headers alone.
 *
 *   main.c      command line, policy, signals, the loop
 *   talk.c      lines in, lines out
 *   events.c    what a line is to a session, and the answer
 *   report.c    log lines about verdicts
 *   message.c   the message: held back until its verdict, then given back with the edits
 *
 *   smtpd            session             answered
 *   connect          connect             by its verdict
 *   helo, ehlo       helo
 *   mail-from        mail
 *   rcpt-to          rcpt
 *   data             data
 *   data-line        body, the last: eom  with the message when it is accepted, else with its end alone
 *   commit           -                    by the verdict of the end of the message
 */
#ifndef OPENSMTPD_FILTER_H
#define OPENSMTPD_FILTER_H

#include <smtpfilter/ext/port.h>
#include <smtpfilter/opensmtpd.h>
#include <smtpfilter/smtpfilter.h>

#include "../../common/host_policy.h"
#include "../../common/report.h"
#include "../../common/spool.h"
#include "../../common/text.h"

enum { ID_MAX = 32, HASH = 1024 };

/* A message between its first line and its end. */
typedef struct message {
  spool spool;    /* as the library sees it: CRLF, dots unstuffed */
  text own;       /* smtpd's own Received field, which stands before it and is not the client's: lines as they came */
  uint64_t fed;   /* how much the session has taken */
  uint8_t begun;  /* the lines of its own field are over */
  uint8_t whole;  /* its end has come */
  uint8_t told;   /* and the session knows */
  uint8_t failed; /* could not be kept, or the session gave up: answered 4xx */
} message;

/* What a session is told. The first three of their own accord, the others when smtpd asks. */
enum step { NOTHING = 0, TLS, AUTH, CONNECT, HELO, EHLO, MAIL, RCPT, DATA, LINE, COMMIT };

/* One of smtpd's sessions. */
typedef struct client {
  struct filter *filter;
  struct client *next; /* in its bucket */
  char id[ID_MAX + 1];
  smtpf_session *session;
  smtpf_op delay;
  text request;                             /* what smtpd waits for, as it wrote it; empty: nothing */
  enum step asked;                          /* what that is */
  enum step told;                           /* the event whose verdict is awaited, or was the last */
  text rdns, address, local, tls, identity; /* of reports; identity is emptied when it has been told */
  int tls_told;
  unsigned port, local_port;
  message message;
  int code; /* what `commit` is answered */
  text enhanced, reply;
} client;

typedef struct filter {
  smtpf_driver *driver;
  smtpf_engine *engine; /* of new sessions */
  host_policy policy;
  const char *spool_folder;
  spool_cache cache;
  client *clients[HASH];
  text log; /* a line */
  text in, out;
  size_t out_at;
  int ready; /* smtpd has told its configuration */
  int done;
} filter;

/* ---- report.c ---- */

/* Logs the verdict of what the session was told last. */
void report_verdict(client *c, enum step step);
/* Of `VERSION:CIPHER:BITS`. */
smtpf_str report_protocol(const client *c);

/* ---- talk.c ---- */

/* Reads what there is and takes up whole lines. 0, or -1 when smtpd has gone. */
int talk_read(filter *f);
/* Writes what can be written. 0 or -1. */
int talk_write(filter *f);

/* ---- events.c ---- */

void event_line(filter *f, smtpf_str line);
/* The session's verdict, or its appetite, is there. */
void event_ready(void *user, smtpf_session *session);
void event_forget_all(filter *f);
/* The end of the message has its verdict. */
void event_message_done(client *c);
/* No memory, or an order that the protocol does not have: come again. */
void event_answer_failure(client *c);

/* ---- message.c ---- */

void message_begin(client *c);
/* One line as smtpd gave it, dots stuffed, without line end. */
void message_line(client *c, smtpf_str line);
/* Gives the session what it has not had; at the end of the message, its end. */
void message_feed(client *c);
/* Gives the message back to smtpd, line by line, with the verdict's edits; or its end alone. */
void message_return(client *c, int accepted);
void message_end(client *c);
/* A line of a session that we do not know goes back as it came. */
void message_pass(filter *f, const smtpf_opensmtpd_line *line);

#endif
