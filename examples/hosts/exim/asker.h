/* SPDX-License-Identifier: MIT
 *
 * asker: who decides about this process's client. Two that do the same by different ways:
 *
 *   inside.c    the library in this process (smtpf_exim_policy.so, loaded when it is wanted)
 *   outside.c   smtpf-milter, over a Unix socket: policy, caches, connections to scanners are kept there
 *
 * Knows nothing of Exim. One client at a time; every call waits for its answer.
 */
#ifndef HOSTS_EXIM_ASKER_H
#define HOSTS_EXIM_ASKER_H

#include <smtpfilter/session.h>
#include <smtpfilter/verdict.h>

/* What has happened. */
enum exim_kind {
  EXIM_CONNECT, /* peer */
  EXIM_HELO,    /* first: the name; `plain` for HELO */
  EXIM_TLS,     /* first: version, second: cipher; HELO is told again after it */
  EXIM_AUTH,    /* first: mechanism, second: who */
  EXIM_MAIL,    /* first: path, second: parameters */
  EXIM_RCPT,    /* the same */
  EXIM_DATA,
  EXIM_END, /* of message, after its fields and body; first: the message's id */
};

typedef struct exim_event {
  enum exim_kind kind;
  smtpf_str first, second;
  const smtpf_peer *peer;
  int plain;
} exim_event;

/* A reply; below 400 it says nothing but that. Strings live until the next call. */
typedef struct exim_answer {
  int code;
  smtpf_str enhanced, text;
} exim_answer;

/* What an accepted message asks for, in the order in which it is to be done. */
typedef struct exim_changes {
  void (*edit)(int op, smtpf_str name, smtpf_str value, int occurrence); /* smtpf_edit_op */
  void (*drop)(smtpf_str path);                                          /* empty: all recipients */
} exim_changes;

/* Writes a line to Exim's main log. */
typedef void exim_log(const char *line);

/* Functions that return int: 1, or 0 when nothing can be decided, and never again before another open(). */
typedef struct exim_asker {
  /* `join`: one reply for all recipients. Why nothing can be decided is logged. Verdicts that the policy wishes to see
   * are logged, but where who is asked has a log of its own. */
  int (*open)(const char *where, int timeout_s, int join, exim_log *log);
  int (*load)(const char *where, exim_log *log); /* what can be read before a client is there */
  int (*tell)(const exim_event *e, exim_answer *a);
  int (*field)(smtpf_str field);                    /* as Exim keeps it: LF ends each line */
  int (*body)(smtpf_str bytes);                     /* with CRLF; the first one ends the header section */
  void (*reply_to)(smtpf_str path, exim_answer *a); /* one recipient's own, after EXIM_END */
  void (*apply)(const exim_changes *to);            /* after EXIM_END was accepted */
  void (*forget)(void);                             /* the message, at any time */
  void (*close)(void);
} exim_asker;

extern const exim_asker exim_outside;

/* What smtpf_exim_policy.so has. */
#define EXIM_INSIDE "smtpf_exim_inside"

#endif
