/* SPDX-License-Identifier: MIT
 *
 * Every check alone, against ext/ and nothing else (fake_check.h). This file holds what is true of all of
 * them: their tables, and that memory which is refused is answered with an error, never with a leak or a finding.
 */
#define _POSIX_C_SOURCE 200809L
#include "fake_check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(tables_are_sound)
{
  const char *order[] = {
      "early_talk",     "addrlist",  "dnslist",        "iprev",           "helo",   "null_sender", "relay",
      "signed_address", "recipient", "forward_target", "unsigned_bounce", "delay",  "greylist",    "rules",
      "virus",          "scanner",   "loop",           "forwarder",       "bounce", "sent_mark",   "backscatter"};

  ck_assert_uint_eq(smtpf_checks_count, sizeof order / sizeof order[0]);
  for (size_t i = 0; i < smtpf_checks_count; i++) {
    const smtpf_check *c = smtpf_checks[i];
    ck_assert_str_eq(c->name, order[i]);
    ck_assert_uint_eq(c->size, sizeof *c);
    ck_assert(c->stages && c->open && c->run && c->close);
    const int scans = c == &smtpf_check_virus || c == &smtpf_check_scanner;
    const int sleeps = c->tier == 1 || c->tier == 2 || scans || /* and the one that comes last and asks the store */
                       c == &smtpf_check_greylist || c == &smtpf_check_forwarder || c == &smtpf_check_helo;
    ck_assert_msg(!!c->resume == sleeps, "%s sleeps in its tier only", c->name);
    const int needed = c == &smtpf_check_relay || c == &smtpf_check_recipient || c == &smtpf_check_signed_address;
    ck_assert_uint_eq(c->failure, scans    ? SMTPF_FINDING_ELECTIVE | SMTPF_FINDING_OWN_TOO
                                  : needed ? SMTPF_FINDING_DEFER
                                           : 0);
    for (size_t k = 0; k < c->n_options; k++) {
      const smtpf_option *row = &c->options[k];
      int64_t number;
      ck_assert_msg(row->doc && strlen(row->doc) > 30 && row->doc[strlen(row->doc) - 1] == '.', "%s", row->path);
      if (row->deflt && row->type != SMTPF_OPTION_STRING && row->type != SMTPF_OPTION_STRINGS)
        ck_assert_msg(fake_number(row, row->deflt, &number), "%s: bad default", row->path);
    }
  }
}
END_TEST

static const char rules_text[] = "rule A\n match text /x/\n match header * /y/\n match body /z/\n score 1\n"
                                 "rule B\n match recipient /./\nrule C\n all A B\n score 1\n";
static char rules_file[] = "/tmp/test_check.XXXXXX";

/* Something for each check to do at each allocation it makes. */
static void policy(void)
{
  fake_reset();
  fake_set("rules.files", rules_file);
  fake_set("profiles[default].greylist", "true");
  fake_set("hostnames", "mx.example.net");
  fake_set("own_networks", "198.51.100.0/24");
  fake_set("bounce.keys", "a secret of this site");
  fake_set("local_domains", "example.net");
  fake_set("relay_domains", "example.org");
  fake_set("batv.keys", "some key");
  fake_set("null_sender.never", "info@example.net");
  fake_set("early_talk.delay", "1s");
  fake_set("delay.on_hit", "1s");
  fake_set("iprev.score_fail", "1");
  fake_set("addrlists[a].entries", "192.0.2.0/24");
  fake_set("addrlists[b].entries", "192.0.2.0/25");
  fake_set("dnslists[a.example].codes[127.0.0.2].score", "3");
  fake_set("dnslists[b.example].score", "3");
  fake_set("forwarders", "near");
  fake_set("forwarder.distrust", "true");
  fake_set("forward.callout", "true");
}

static void event(smtpf_task *t)
{
  fake_client(t, "192.0.2.1");
  fake_local(t, "198.51.100.1");
  fake_sender(t, "<>");
  fake_recipient(t, "<user@example.net>");
  t->ev.helo = SMTPF_LIT("192.0.2.1");
  t->ev.early_talk = 1;
  t->score = 9000;
  t->greylists = 1;
  smtpf_task_fact_set(t, "relay.class", SMTPF_LIT("local"), 0);
  t->recipients[0] = "user@example.net";
  t->scopes[0] = "near";
  t->forward = "user@example.com";
}

static void message(smtpf_task *t)
{
  static const smtpf_part part = {.size = sizeof part};
  static const smtpf_piece pieces[] = {
      {.size = sizeof *pieces, .kind = SMTPF_PIECE_FIELD, .name = {"Y", 1}, .bytes = {"y", 1}, .raw = {"y", 1}},
      {.size = sizeof *pieces, .kind = SMTPF_PIECE_BEGIN, .part = &part},
      {.size = sizeof *pieces, .kind = SMTPF_PIECE_TEXT, .part = &part, .bytes = {"x", 1}},
      {.size = sizeof *pieces, .kind = SMTPF_PIECE_END}};
  if (t->status != SMTPF_PENDING || !(t->check->stages & SMTPF_BODY))
    return;
  for (size_t i = 0; t->check->content && i < sizeof pieces / sizeof *pieces; i++)
    fake_piece(t, &pieces[i]);
  if (t->check->feed)
    ck_assert_uint_eq(fake_feed(t, "Y: y\r\n\r\nz", 10), 10);
  fake_finish(t);
}

/* Answers whatever is open, in order, until the check is done. */
static void answer_all(smtpf_task *t)
{
  for (size_t i = 0; t->status == SMTPF_PENDING && i < t->asked; i++) {
    char name[300];
    if (!t->questions[i].open || t->questions[i].kind == SMTPF_ANSWER_TIMER)
      continue;
    memcpy(name, t->questions[i].name, sizeof name);
    if (t->questions[i].kind == SMTPF_ANSWER_STORE)
      fake_store(t, t->questions[i].tag, i < 2 ? SMTPF_STORE_ABSENT : SMTPF_STORE_DONE, SMTPF_LIT(""));
    else if (t->questions[i].kind == SMTPF_ANSWER_DIRECTORY)
      fake_directory(t, name, SMTPF_DIRECTORY_EXISTS, NULL);
    else if (t->questions[i].kind == SMTPF_ANSWER_CALLOUT)
      fake_callout(t, name,
                   &(const smtpf_callout_answer){
                       .size = sizeof(smtpf_callout_answer), .status = SMTPF_CALLOUT_ACCEPTED, .code = 250});
    else if (t->questions[i].type == SMTPF_DNS_A)
      FAKE_DNS(t, SMTPF_DNS_A, name, "127.0.0.2");
    else
      FAKE_DNS(t, t->questions[i].type, name, "mail.example.com");
  }
}

START_TEST(refused_memory)
{
  const smtpf_check *c = smtpf_checks[_i];
  const int stage = (int)(c->stages & SMTPF_BODY ? SMTPF_BODY : c->stages & ~(c->stages - 1));
  smtpf_task t;
  long n, refused = 0;

  policy();
  ck_assert_int_eq(fake_open(&t, c, NULL), SMTPF_OK);
  if (!t.self) { /* idle without a scanner or keys; these have tests of their own */
    ck_assert(c == &smtpf_check_virus || c == &smtpf_check_scanner || c == &smtpf_check_signed_address ||
              c == &smtpf_check_unsigned_bounce);
    return;
  }
  event(&t);
  fake_run(&t, stage);
  answer_all(&t);
  message(&t);
  ck_assert_int_eq(t.status, SMTPF_OK);
  n = fake_count;
  fake_close(&t);
  ck_assert_int_eq(fake_live, 0);
  ck_assert_int_gt(n, 0);
  for (long i = 1; i <= n; i++) {
    policy();
    fake_fail_at = i;
    if (fake_open(&t, c, NULL) == SMTPF_OK) {
      event(&t);
      fake_run(&t, stage);
      answer_all(&t);
      message(&t);
      refused += t.status < 0;
      ck_assert_int_ne(t.status, SMTPF_PENDING);
      fake_close(&t);
    } else {
      ck_assert_int_eq(t.status, SMTPF_ENOMEM);
      refused++;
    }
    ck_assert_msg(fake_live == 0, "%s: allocation %ld of %ld leaks", c->name, i, n);
  }
  ck_assert_int_gt(refused, 0);
}
END_TEST

/* close(NULL) and a close after open alone. */
START_TEST(closing)
{
  const smtpf_check *c = smtpf_checks[_i];
  smtpf_task t;

  c->close(NULL);
  policy();
  ck_assert_int_eq(fake_open(&t, c, NULL), SMTPF_OK);
  fake_close(&t);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("check");
  TCase *c = tcase_create("all");
  SRunner *r;
  int failed;
  const int fd = mkstemp(rules_file);

  if (fd < 0 || write(fd, rules_text, sizeof rules_text - 1) != (long)sizeof rules_text - 1 || close(fd) != 0)
    return EXIT_FAILURE;
  tcase_add_test(c, tables_are_sound);
  tcase_add_loop_test(c, refused_memory, 0, (int)smtpf_checks_count);
  tcase_add_loop_test(c, closing, 0, (int)smtpf_checks_count);
  suite_add_tcase(s, c);
  r = srunner_create(s);
  srunner_add_suite(r, rules_suite());
  srunner_add_suite(r, envelope_suite());
  srunner_add_suite(r, forward_suite());
  srunner_add_suite(r, dnslist_suite());
  srunner_add_suite(r, signature_suite());
  srunner_add_suite(r, iprev_suite());
  srunner_add_suite(r, addrlist_suite());
  srunner_add_suite(r, greylist_suite());
  srunner_add_suite(r, trace_suite());
  srunner_add_suite(r, ruleset_suite());
  srunner_add_suite(r, bounce_suite());
  srunner_run_all(r, CK_NORMAL);
  failed = srunner_ntests_failed(r);
  srunner_free(r);
  unlink(rules_file);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
