/* SPDX-License-Identifier: MIT
 *
 * core_store: a store and a journal that answer at once, late, wrongly or never, for the steps between evidence and
 * answer; and a world in which they are the ports.
 */
#ifndef SMTPF_TESTS_CORE_STORE_H
#define SMTPF_TESTS_CORE_STORE_H

#include "core_world.h"

enum {
  STORE_MOST = 4096, /* operations and records of one test */
  STORE_HOST = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_REPORT_COMMIT,
};

typedef struct core_store {
  struct {
    unsigned char key[32];
    char value[64];
    size_t n;
  } records[STORE_MOST];
  struct {
    smtpf_op op;
    int commit;
    unsigned char key[32];
  } held[STORE_MOST];
  size_t n_records, n_held, gets, commits, changes, cancelled, open, most_open;
  int hold;                    /* questions are kept */
  int get_fails, commit_fails; /* 1: it is answered FAILED; 2: the port refuses to begin */
} core_store;

typedef struct core_journal {
  smtpf_op op;
  size_t calls, promises, cancelled;
  int hold, fails; /* as above */
  char message[64], recipient[64];
  int disposition;
} core_journal;

extern world W;
extern core_store S;
extern core_journal J;
extern script *greylist; /* puts off at RCPT, once its `run` is set */
extern script *scanner;  /* cannot scan at the end of the message, likewise */

void store_begin(int with_journal); /* a configuration; world_start() follows */
void store_end(smtpf_session *s);   /* frees both */
void store_answer(void);            /* everything that was asked up to now, the last question first */
void journal_answer(int result);    /* what was promised last */
smtpf_session *store_mail(void);    /* a session after MAIL */
smtpf_session *store_two(void);     /* and with a@ and b@ accepted */
int store_message(smtpf_session *s, const char *text); /* DATA, text, and the result of its end */
int store_process(void);
int store_wait(smtpf_session *s, int result); /* of an event: waits for its verdict */
smtpf_recipient_info store_recipient(const smtpf_session *s, size_t i);

#endif
