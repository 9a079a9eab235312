/* SPDX-License-Identifier: MIT */
#include "core_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a store and a journal ------------------------------------------------------------------------------------------
 */

world W;
core_store S;
core_journal J;
script *greylist, *scanner;

static int start(void *shared, smtpf_driver *driver, void **self)
{
  (void)shared;
  W.driver = driver;
  *self = &S;
  return SMTPF_OK;
}

static void stop(void *self)
{
  (void)self;
}

static size_t find(const unsigned char *key)
{
  size_t i = 0;
  while (i < S.n_records && memcmp(S.records[i].key, key, 32) != 0)
    i++;
  return i;
}

static int answer_get(smtpf_op op, const unsigned char *key)
{
  const size_t i = find(key);
  if (S.get_fails)
    return smtpf_op_store(W.driver, op, SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
  if (i == S.n_records || !S.records[i].n)
    return smtpf_op_store(W.driver, op, SMTPF_STORE_ABSENT, (smtpf_str){NULL, 0});
  return smtpf_op_store(W.driver, op, SMTPF_STORE_FOUND, (smtpf_str){S.records[i].value, S.records[i].n});
}

static void hold(smtpf_op op, int commit, smtpf_str key)
{
  ck_assert_uint_lt(S.n_held, STORE_MOST);
  S.held[S.n_held].op = op;
  S.held[S.n_held].commit = commit;
  memcpy(S.held[S.n_held++].key, key.p, 32);
  S.most_open = ++S.open > S.most_open ? S.open : S.most_open;
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  (void)self;
  ck_assert_uint_eq(key.n, 32);
  S.gets++;
  if (S.get_fails == 2)
    return SMTPF_EIO;
  if (!S.hold)
    return answer_get(op, (const unsigned char *)key.p);
  hold(op, 0, key);
  return SMTPF_OK;
}

static void apply(const smtpf_change *c)
{
  const size_t i = find((const unsigned char *)c->key.p);
  ck_assert_uint_lt(i, STORE_MOST);
  ck_assert_uint_le(c->value.n, sizeof S.records[i].value);
  memcpy(S.records[i].key, c->key.p, 32);
  S.records[i].n = c->op == SMTPF_CHANGE_DELETE ? 0 : c->value.n;
  if (S.records[i].n)
    memcpy(S.records[i].value, c->value.p, c->value.n);
  S.n_records += i == S.n_records;
}

static int commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  (void)self;
  S.commits++;
  S.changes += n;
  if (S.commit_fails == 2)
    return SMTPF_EIO;
  for (size_t i = 0; i < n && !S.commit_fails; i++)
    apply(&changes[i]);
  if (!S.hold)
    return smtpf_op_store(W.driver, op, S.commit_fails ? SMTPF_STORE_FAILED : SMTPF_STORE_DONE, (smtpf_str){NULL, 0});
  hold(op, 1, changes[0].key);
  return SMTPF_OK;
}

static void cancel(void *self, smtpf_op op)
{
  (void)self;
  S.cancelled++;
  ck_assert_int_eq(smtpf_op_store(W.driver, op, SMTPF_STORE_DONE, (smtpf_str){NULL, 0}), SMTPF_ENOTFOUND);
}

void store_answer(void)
{
  while (S.n_held) {
    const size_t i = --S.n_held;
    S.open--;
    if (!S.held[i].commit)
      ck_assert_int_eq(answer_get(S.held[i].op, S.held[i].key), SMTPF_OK);
    else
      ck_assert_int_eq(smtpf_op_store(W.driver, S.held[i].op, S.commit_fails ? SMTPF_STORE_FAILED : SMTPF_STORE_DONE,
                                      (smtpf_str){NULL, 0}),
                       SMTPF_OK);
  }
}

static int promise(void *self, smtpf_op op, const smtpf_promise *promises, size_t n)
{
  (void)self;
  J.calls++;
  J.promises += n;
  snprintf(J.message, sizeof J.message, "%.*s", (int)promises[0].message.n, promises[0].message.p);
  snprintf(J.recipient, sizeof J.recipient, "%.*s", (int)promises[n - 1].recipient.n, promises[n - 1].recipient.p);
  J.disposition = promises[n - 1].disposition;
  if (J.fails == 2)
    return SMTPF_EIO;
  J.op = op;
  return J.hold ? SMTPF_OK : smtpf_op_journal(W.driver, op, J.fails ? SMTPF_EIO : SMTPF_OK);
}

static void cancel_promise(void *self, smtpf_op op)
{
  (void)self;
  J.cancelled++;
  ck_assert_int_eq(smtpf_op_journal(W.driver, op, SMTPF_OK), SMTPF_ENOTFOUND);
}

void journal_answer(int result)
{
  ck_assert_int_eq(smtpf_op_journal(W.driver, J.op, result), SMTPF_OK);
}

static const smtpf_store store = {sizeof store, "fake", start, get, commit, cancel, stop, NULL, NULL};
static const smtpf_journal journal = {sizeof journal, "fake", start, promise, cancel_promise, stop};

/* ---- a world with both ----------------------------------------------------------------------------------------------
 */

void store_begin(int with_journal)
{
  memset(&S, 0, sizeof S);
  memset(&J, 0, sizeof J);
  world_init(&W);
  W.ports.store = &store;
  W.ports.store_shared = NULL;
  W.ports.journal = with_journal ? &journal : NULL;
  greylist = world_check(&W, "greylist", SMTPF_RCPT, 1);
  W.checks[0].family = SMTPF_FAMILY_GREYLIST;
  greylist->finding = (smtpf_finding){.size = sizeof(smtpf_finding),
                                      .kind = SMTPF_HIT,
                                      .code = "new",
                                      .flags = SMTPF_FINDING_ELECTIVE,
                                      .reply = 450,
                                      .text = SMTPF_LIT("come again")};
  scanner = world_check(&W, "scanner", SMTPF_EOM, 3);
  W.checks[1].family = SMTPF_FAMILY_CONTENT;
  scanner->finding = (smtpf_finding){
      .size = sizeof(smtpf_finding), .kind = SMTPF_UNKNOWN, .code = "timeout", .flags = SMTPF_FINDING_ELECTIVE};
  world_set(&W, "profiles[\"default\"].greylist", "true");
  world_set(&W, "profiles[\"default\"].quarantine", "7");
}

void store_end(smtpf_session *s)
{
  smtpf_session_free(s);
  world_end(&W);
}

smtpf_session *store_mail(void)
{
  smtpf_session *s = world_greeted(&W, STORE_HOST);
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
  return s;
}

int store_process(void)
{
  const int n = smtpf_driver_process(W.driver);
  ck_assert_int_ge(n, 0);
  return n;
}

smtpf_session *store_two(void)
{
  smtpf_session *s = store_mail();
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  return s;
}

smtpf_recipient_info store_recipient(const smtpf_session *s, size_t i)
{
  smtpf_recipient_info info = {.size = sizeof info};
  ck_assert_int_eq(smtpf_verdict_recipient(smtpf_session_verdict(s), i, &info), SMTPF_OK);
  return info;
}

int store_message(smtpf_session *s, const char *text)
{
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  ck_assert_int_eq(world_body(s, text), SMTPF_OK);
  return smtpf_session_eom(s);
}

int store_wait(smtpf_session *s, int result)
{
  return result == SMTPF_PENDING ? smtpf_session_wait(s, -1) : result;
}
