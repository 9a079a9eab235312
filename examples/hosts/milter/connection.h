/* SPDX-License-Identifier: MIT
 *
 * connection: one connection of the MTA's, for one SMTP client after another. It deals with one packet at a time; the
 * packet stays at the front of `in` until it is answered, and nothing is read meanwhile.
 */
#ifndef MILTER_CONNECTION_H
#define MILTER_CONNECTION_H

#include "loop.h"

enum connection_wait {
  WAIT_NONE,    /* for the MTA's next bytes */
  WAIT_VERDICT, /* of the session, or until it takes more of the message */
  WAIT_DELAY,   /* that the verdict asked for */
};

/* How far the packet at hand is. */
enum step {
  STEP_PREPARE,  /* what must be told before it */
  STEP_PREPARED, /* that has its verdict */
  STEP_TELL,     /* the event itself, or pieces of the message */
  STEP_ANSWER,   /* it has its verdict */
};

typedef struct connection {
  item item;
  ring link;   /* in loop.connections or loop.dead */
  ring resume; /* in loop.resume */
  loop *loop;
  settings *settings;
  smtpf_session *session; /* from CONNECT to QUIT */
  smtpf_milter_terms terms;
  text in, out;
  size_t in_at, out_at;
  text macros;        /* of the last MACRO packet: strings */
  int macros_for;     /* the command they are for; 0: none */
  text piece;         /* of the message: a header field as it stood there */
  size_t fed;         /* of the piece at hand: bytes that the session has taken */
  text sender;        /* MAIL's path, as the MTA gave it */
  text identity, tls; /* what the session knows: who has authenticated itself, the TLS version */
  struct {            /* a refusal that nobody waited for: it is said at RCPT, or at the end of the message */
    int code;
    text enhanced, text;
  } late;
  smtpf_op delay, progress;
  int64_t deadline;         /* loop.now_ms */
  int64_t delay_until;      /* the same: of stages whose answer nobody waited for */
  char client[64];          /* address, for the log */
  char queue_id[64];        /* empty while it is not known */
  unsigned char wait, step; /* connection_wait, step */
  unsigned char command;    /* smtpf_milter_command of the packet at hand */
  unsigned negotiated : 1;
  unsigned mail : 1;      /* MAIL has been told, and neither an end nor an abort */
  unsigned data : 1;      /* DATA has been told */
  unsigned in_header : 1; /* the empty line after the header section has not come */
  unsigned spared : 1;    /* nothing of the message is wanted: its end has been told with DATA */
  unsigned failed : 1;    /* the session could not be told: there is no verdict */
  unsigned over : 1;      /* the session has ended with 421, and nobody could be told */
  unsigned delayed : 1;   /* the verdict's delay is over */
  unsigned woken : 1;     /* the session has a verdict, or takes more of the message */
  unsigned spent : 1;     /* its client is gone (QUIT_NC), and no other has come */
  unsigned blocked : 1;   /* it is told of room for output */
  unsigned readable : 1;  /* there may be something to read */
  unsigned hung_up : 1;   /* the MTA sends no more */
  unsigned closing : 1;   /* after what is to be sent */
  unsigned dead : 1;
} connection;

/* Takes an accepted socket. */
void connection_new(loop *l, int fd, int family);
void connection_event(connection *c, uint32_t events);
/* Goes on at the end of the turn. */
void connection_resume(connection *c);
/* Called by the driver: a verdict is ready, or more of the message can be taken. */
void connection_ready(connection *c);
/* Called by the loop for those that were put up for it. */
void connection_go_on(connection *c);
void connection_sweep(loop *l);
void connection_close(connection *c);
void connection_free(connection *c);

/* Room for one more packet of at most `n` bytes at the end of `out`, NULL without memory; and how many came into it
 * (negative: none, and the connection is closed). */
char *connection_room(connection *c, size_t n);
void connection_wrote(connection *c, int n);
/* One log line about this connection. */
void connection_failure(connection *c, const char *what, const char *why);

/* ---- dialog.c ---- */
/* Deals with the packet, from c->step on. 1 when it is done with, 0 when something must be waited for. */
int dialog_take(connection *c, const smtpf_milter_packet *p);
/* No client any more. */
void dialog_forget(connection *c);
/* A macro for the command at hand; empty when it was not sent. */
smtpf_str dialog_macro(const connection *c, const char *name);
/* A recipient that the MTA has refused by itself, and tells us of all the same: its reply code; else 0. */
int dialog_refused_by_mta(const connection *c);

/* ---- answer.c ---- */
/* Whether the MTA waits for no answer to this command. */
int answer_is_none(const connection *c, int command);
/* Whether this command is answered by what was refused before, where nobody waited. */
int answer_is_late(const connection *c, int command);
/* Keeps a refusal for the next command that is answered. */
void answer_later(connection *c, const smtpf_verdict *v);
/* Answers by one letter (smtpf_milter_reply); a piece of the message; an event. */
void answer_letter(connection *c, int letter);
void answer_piece(connection *c, int command);
void answer_verdict(connection *c, const smtpf_milter_packet *p);

/* ---- message.c ---- */
/* Gives the session the bytes that the packet stands for. SMTPF_OK, or SMTPF_PENDING when it must be called again. */
int message_feed(connection *c, const smtpf_milter_packet *p);

/* ---- changes.c ---- */
/* Writes the replies of those who are refused, where each recipient has one. */
void changes_replies(connection *c, const smtpf_verdict *v);
/* Writes what an accepting verdict at end of message asks for, and the answer. */
void changes_write(connection *c, const smtpf_verdict *v);

/* ---- report.c ---- */
void report_verdict(connection *c, const smtpf_milter_packet *p, const smtpf_verdict *v);

#endif
