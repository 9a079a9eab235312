/* SPDX-License-Identifier: MIT
 *
 * fake_check: a policy and a task without a library behind them. Every smtpf_section_* and smtpf_task_*
 * function is defined here and nothing of the core is linked: a check that passes these tests needs
 * nothing but ext/. A test sets options by path, runs one check on one event, hands it scripted answers in
 * any order, and looks at the findings. Memory is counted, and any allocation can be made to fail.
 */
#ifndef FAKE_CHECK_H
#define FAKE_CHECK_H

#include <check.h>
#include <smtpfilter/ext/check.h>

#include "check/checks.h"

#define FAKE_MAX 64
#define FAKE_FINDINGS 128
#define FAKE_MEMORY 1024

typedef struct fake_finding {
  int kind;
  const char *code, *enhanced;
  int32_t score;
  unsigned flags;
  int reply;
  size_t recipient;
  char detail[512], text[512];
} fake_finding;

typedef struct fake_question {
  int kind, type; /* smtpf_answer_kind, smtpf_dns_type */
  char name[300];
  uint32_t tag;
  int64_t ms;
  int open;
} fake_question;

struct smtpf_task {
  const smtpf_check *check;
  void *self;
  smtpf_event ev;
  smtpf_ip client, local;
  smtpf_path sender, recipient;
  char client_text[SMTPF_IP_TEXT];
  int status; /* of the last run or resume */
  fake_finding findings[FAKE_FINDINGS];
  size_t n;
  fake_question questions[2 * FAKE_MAX];
  size_t asked, asked_max; /* asked_max: then SMTPF_ELIMIT */
  struct {
    const char *name;
    char value[300];
    int connection;
  } facts[FAKE_MAX];
  size_t n_facts;
  int64_t delay_ms;
  int32_t score;           /* what smtpf_task_score() says */
  int greylists;           /* what smtpf_task_greylists() says */
  smtpf_change changes[8]; /* told to smtpf_task_commit() or _note(), or, `settled` on, to _settle() */
  char change_bytes[8][2048];
  size_t n_changes;
  int settled[8];
  void *slot;
  int signatures[8];         /* what smtpf_task_signature() says of them */
  const char *recipients[8]; /* accepted ones, as smtpf_task_recipient() tells them */
  const char *sources[8];    /* addresses that smtpf_task_source() says; NULL: ENOTFOUND */
  const char *scopes[8];     /* names that smtpf_task_origin() says; NULL: a stranger */
  smtpf_trace trace;         /* what smtpf_task_trace() says */
  int delivered[8];          /* the same, of each recipient */
  int certain;               /* what smtpf_task_certain() says */
  uint64_t seen;             /* told to smtpf_task_seen() */
  void *room;                /* the driver's: stays until fake_close() */
  void (*room_done)(void *);
  struct {
    int op, occurrence;
    size_t recipient;
    char name[80], value[128];
  } edits[4]; /* told to smtpf_task_edit() */
  size_t n_edits;
  int hmac;            /* what smtpf_task_hmac() returns */
  int hmacs;           /* how often it was asked */
  const char *forward; /* what smtpf_task_forward() says; NULL: it stays here */
  void *memory[FAKE_MEMORY];
  size_t n_memory;
};

/* ---- the policy ---------------------------------------------------------------------------------- */

void fake_reset(void);                              /* no option set, no allocation fails */
void fake_set(const char *path, const char *value); /* dnslists[zen.example].score; a STRINGS option is appended to */
extern long fake_fail_at;                           /* the how-manieth allocation fails; 0 for none */
extern long fake_live;                              /* allocations that were not freed */
extern long fake_count;                             /* allocations since fake_reset() */
int fake_number(const smtpf_option *row, const char *text, int64_t *out); /* 1 when the text fits the row */

/* ---- the task ------------------------------------------------------------------------------------ */

int fake_open(smtpf_task *t, const smtpf_check *check, smtpf_error *err); /* the check's open over what was set */
void fake_close(smtpf_task *t);
void fake_client(smtpf_task *t, const char *address); /* sets client and client_text */
void fake_local(smtpf_task *t, const char *address);
void fake_sender(smtpf_task *t, const char *path);    /* with brackets */
void fake_recipient(smtpf_task *t, const char *path); /* with brackets */
int fake_run(smtpf_task *t, int stage);               /* findings and questions of the last run are forgotten */

/* Answers the open question about a name. Records are text: an address, a name, a TXT. Fails when nobody asked. */
int fake_dns(smtpf_task *t, int type, const char *name, int status, const char *const *records, size_t n);
#define FAKE_DNS(t, type, name, ...)                                                                                   \
  fake_dns((t), (type), (name), SMTPF_DNS_OK, (const char *[]){__VA_ARGS__},                                           \
           sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *))
int fake_dns_fails(smtpf_task *t, int type, const char *name, int status);
int fake_directory(smtpf_task *t, const char *address, int status, const char *cause);
int fake_store(smtpf_task *t, uint32_t tag, int status, smtpf_str value); /* the open store question of this tag */
int fake_timer(smtpf_task *t, int64_t ms);                                /* the first open timer of this length */
size_t fake_feed(smtpf_task *t, const char *bytes, size_t n);             /* after a run at BODY */
void fake_piece(smtpf_task *t, const smtpf_piece *piece);
int fake_finish(smtpf_task *t);
int fake_asked(const smtpf_task *t, int type, const char *name);

/* ---- assertions ---------------------------------------------------------------------------------- */

#define ck_finding(t, i, k, c)                                                                                         \
  do {                                                                                                                 \
    ck_assert_uint_gt((t)->n, (i));                                                                                    \
    ck_assert_str_eq((t)->findings[i].code, (c));                                                                      \
    ck_assert_int_eq((t)->findings[i].kind, (k));                                                                      \
  } while (0)

/* Exactly one finding, of this kind and code, and the check is done. */
#define ck_only(t, k, c)                                                                                               \
  do {                                                                                                                 \
    ck_assert_int_eq((t)->status, SMTPF_OK);                                                                           \
    ck_assert_uint_eq((t)->n, 1);                                                                                      \
    ck_finding(t, 0, k, c);                                                                                            \
  } while (0)

/* fake_forward.c */
int fake_callout(smtpf_task *t, const char *recipient, const smtpf_callout_answer *answer);

Suite *rules_suite(void);
Suite *forward_suite(void);
Suite *envelope_suite(void);
Suite *dnslist_suite(void);
Suite *iprev_suite(void);
Suite *signature_suite(void);
Suite *addrlist_suite(void);
Suite *greylist_suite(void);
Suite *trace_suite(void);
Suite *ruleset_suite(void);
Suite *bounce_suite(void);

#endif
