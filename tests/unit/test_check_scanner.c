/* SPDX-License-Identifier: MIT
 *
 * The checks `virus` and `scanner` over a type of scanner of the test's own, through the public functions alone: who is
 * scanned for whom, what is fed, what ends a scan, what becomes of the mail.
 */
#include <check.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <string.h>

#include "fake_scanner.h"

/* ---- a site and one message --------------------------------------------------------------------------------- */

static smtpf_engine *engine;
static smtpf_driver *driver;
static smtpf_session *session;
static smtpf_zone *zone;

/* Options: path, value, ...; a path that ends in `+` appends. NULL at the end. What the policy says when it does not
 * load. */
static const char *try_site(const char *const *options, smtpf_error *err)
{
  smtpf_config *cfg = NULL;
  smtpf_ports ports = {.size = sizeof ports, .resolver = smtpf_resolver_zone()};
  size_t line = 0;
  *err = (smtpf_error){.size = sizeof *err};
  ck_assert_int_eq(smtpf_config_new(&cfg, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_add_scanner(cfg, &fake_scanner, &F), SMTPF_OK);
  int r = smtpf_config_append(cfg, "local_domains", "x.example", err);
  for (; *options && r == SMTPF_OK; options += 2) {
    char path[200];
    snprintf(path, sizeof path, "%s", options[0]);
    const size_t n = strlen(path);
    if (path[n - 1] == '+') {
      path[n - 1] = '\0';
      r = smtpf_config_append(cfg, path, options[1], err);
    } else {
      r = smtpf_config_set(cfg, path, options[1], err);
    }
  }
  if (r == SMTPF_OK)
    r = smtpf_engine_new(&engine, cfg, err);
  smtpf_config_free(cfg);
  if (r != SMTPF_OK)
    return err->text;
  ck_assert_int_eq(smtpf_zone_new(&zone, SMTPF_LIT(""), NULL, &line), SMTPF_OK);
  ports.resolver_shared = zone;
  ck_assert_int_eq(smtpf_driver_new(&driver, engine, &ports), SMTPF_OK);
  return NULL;
}

static void site(const char *const *options)
{
  smtpf_error err;
  const char *wrong = try_site(options, &err);
  ck_assert_msg(!wrong, "%s", wrong);
}

#define SITE(...) site((const char *const[]){__VA_ARGS__, NULL})
#define TOLD(...)                                                                                                      \
  do {                                                                                                                 \
    static const told list_[] = {__VA_ARGS__};                                                                         \
    F.told = list_;                                                                                                    \
    F.n = sizeof list_ / sizeof *list_;                                                                                \
  } while (0)

static void begin(void)
{
  F = (struct fake){.told = NULL};
}

static void end(void)
{
  smtpf_session_free(session);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_zone_free(zone);
  session = NULL;
  driver = NULL;
  engine = NULL;
  zone = NULL;
  ck_assert_int_eq(F.closed, F.opened);
  ck_assert_int_eq(F.instances, 0);
}

static int code_of(int r)
{
  if (r == SMTPF_PENDING)
    r = smtpf_session_wait(session, 5000);
  ck_assert_int_eq(r, SMTPF_OK);
  return smtpf_verdict_code(smtpf_session_verdict(session));
}

static void envelope(const char *client, const char *const *recipients)
{
  const smtpf_peer peer = {.size = sizeof peer, .address = smtpf_str_of(client)};
  const int several = recipients[1] != NULL; /* then each is answered alone, or they could not share a message */
  const smtpf_session_options o = {.size = sizeof o,
                                   .protocol = several ? SMTPF_LMTP : SMTPF_SMTP,
                                   .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT |
                                                   SMTPF_CAN_DROP_RCPT | SMTPF_CAN_QUARANTINE_PER_RCPT |
                                                   SMTPF_CAN_REPORT_COMMIT | (several ? SMTPF_CAN_REPLY_PER_RCPT : 0u)};
  ck_assert_int_eq(smtpf_session_new(&session, driver, &o), SMTPF_OK);
  ck_assert_int_eq(code_of(smtpf_session_connect(session, &peer)), 220);
  ck_assert_int_eq(code_of(smtpf_session_helo(session, several ? SMTPF_GREET_LHLO : SMTPF_GREET_EHLO,
                                              SMTPF_LIT("mail.client.example"))),
                   250);
  ck_assert_int_eq(code_of(smtpf_session_mail(session, SMTPF_LIT("<a@client.example>"), SMTPF_LIT(""))), 250);
  for (; *recipients; recipients++)
    ck_assert_int_eq(code_of(smtpf_session_rcpt(session, smtpf_str_of(*recipients), SMTPF_LIT(""))), 250);
  ck_assert_int_eq(code_of(smtpf_session_data(session)), 354);
}

static void body(const char *text, size_t piece)
{
  const size_t n = strlen(text);
  for (size_t at = 0, taken = 0; at < n; at += taken) {
    const int r = smtpf_session_body(session, text + at, n - at < piece ? n - at : piece, &taken);
    ck_assert(r == SMTPF_OK || r == SMTPF_PENDING);
    if (r == SMTPF_PENDING)
      ck_assert_int_eq(smtpf_session_wait(session, 5000), SMTPF_OK);
  }
}

static const char text[] = "Subject: hello\r\nX-Av: forged\r\n\r\nThe quick brown fox.\r\n";

/* One message for one recipient by a stranger; the reply. */
static int mail(void)
{
  envelope("192.0.2.25", (const char *const[]){"<b@x.example>", NULL});
  body(text, 7);
  return code_of(smtpf_session_eom(session));
}

/* Evidence of the two checks: `check:code+score ` each. */
static const char *found(void)
{
  static char out[2048];
  const smtpf_verdict *v = smtpf_session_verdict(session);
  size_t n = 0;
  out[0] = '\0';
  for (size_t i = 0; i < smtpf_verdict_evidence_count(v); i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    ck_assert_int_eq(smtpf_verdict_evidence(v, i, &e), SMTPF_OK);
    if (strcmp(e.check, "virus") == 0 || strcmp(e.check, "scanner") == 0)
      n += (size_t)snprintf(out + n, sizeof out - n, "%s:%.*s%+d ", e.check, (int)e.code.n, e.code.p, (int)e.score);
  }
  return out;
}

static const char *fate(size_t i)
{
  smtpf_recipient_info to = {.size = sizeof to};
  ck_assert_int_eq(smtpf_verdict_recipient(smtpf_session_verdict(session), i, &to), SMTPF_OK);
  return smtpf_disposition_name(to.disposition);
}

#define VIRUS "scanners[\"av\"].type", "fake", "scanners[\"av\"].kind", "virus"
#define SPAM "scanners[\"spam\"].type", "fake"

/* ---- results ---------------------------------------------------------------------------------------------------- */

START_TEST(clean_is_clean)
{
  begin();
  SITE(VIRUS, SPAM);
  ck_assert_int_eq(mail(), 250);
  ck_assert_str_eq(found(), "virus:clean+0 scanner:clean+0 ");
  ck_assert_str_eq(F.log, "av()=b@x.example spam()=b@x.example ");
  ck_assert_uint_eq(F.fed, 2 * strlen(text));
  end();
}
END_TEST

START_TEST(a_virus_is_a_fact_and_spam_is_not_asked)
{
  begin();
  TOLD({.scanner = "av", .status = SMTPF_SCAN_HIT, .name = "Eicar\r\nX", .seen = 10});
  SITE(VIRUS, SPAM);
  ck_assert_int_eq(mail(), 550);
  ck_assert_str_eq(found(), "virus:found+100000 ");
  ck_assert_int_eq(F.opened, 2);
  ck_assert_int_eq(F.finished, 1);
  const smtpf_str why = smtpf_verdict_text(smtpf_session_verdict(session));
  ck_assert_msg(why.n && strstr(why.p, "Eicar??X"), "%.*s", (int)why.n, why.p);
  end();
}
END_TEST

static const struct {
  int when, status, scored;
  int32_t score;
  int64_t seen;
  const char *cause, *found;
  int code;
} ends[] = {
    {AT_FINISH, SMTPF_SCAN_CLEAN, 0, 0, -1, NULL, "virus:clean+0 ", 250},
    {LATER, SMTPF_SCAN_CLEAN, 0, 0, -1, NULL, "virus:clean+0 ", 250},
    {TWICE, SMTPF_SCAN_CLEAN, 0, 0, -1, NULL, "virus:clean+0 ", 250},
    {AT_FINISH, SMTPF_SCAN_CLEAN, 1, -1500, -1, NULL, "virus:clean-1500 ", 250},
    {AT_FINISH, SMTPF_SCAN_CLEAN, 0, 0, 5, NULL, "virus:partial+0 ", 451},
    {AT_OPEN, SMTPF_SCAN_CLEAN, 0, 0, -1, NULL, "virus:partial+0 ", 451},
    {AT_FINISH, SMTPF_SCAN_UNKNOWN, 0, 0, -1, "garbage", "virus:garbage+0 ", 451},
    {AT_FINISH, SMTPF_SCAN_UNKNOWN, 0, 0, -1, NULL, "virus:unknown+0 ", 451},
    {AT_FINISH, 0, 0, 0, -1, NULL, "virus:error+0 ", 451},
    {AT_OPEN, SMTPF_SCAN_HIT, 0, 0, 0, NULL, "virus:found+100000 ", 550},
    {LATER, SMTPF_SCAN_HIT, 1, 20000, -1, NULL, "virus:found+20000 ", 550},
    {NEVER, 0, 0, 0, -1, NULL, "virus:timeout+0 ", 451},
    {CANNOT_OPEN, 0, 0, 0, -1, NULL, "virus:refused+0 ", 451},
    {CANNOT_FINISH, 0, 0, 0, -1, NULL, "virus:error+0 ", 451},
};

START_TEST(how_a_scan_ends)
{
  begin();
  const told one = {.scanner = "av",
                    .when = ends[_i].when,
                    .status = ends[_i].status,
                    .scored = ends[_i].scored,
                    .score = ends[_i].score,
                    .seen = ends[_i].seen,
                    .cause = ends[_i].cause};
  F.told = &one;
  F.n = 1;
  SITE(VIRUS, "scanners[\"av\"].timeout", "30ms");
  ck_assert_int_eq(mail(), ends[_i].code);
  ck_assert_str_eq(found(), ends[_i].found);
  end();
}
END_TEST

static const struct {
  const char *act;
  int code;
  const char *fate;
} acts[] = {{"defer", 451, "deferred"},
            {"accept", 250, "delivered"},
            {"tag", 250, "tagged"},
            {"quarantine", 250, "quarantined"}};

START_TEST(what_is_unknown)
{
  begin();
  TOLD({.scanner = "av", .status = SMTPF_SCAN_UNKNOWN, .cause = "down", .seen = -1});
  SITE(VIRUS, "scanners[\"av\"].on_unknown", acts[_i].act, "profiles[\"default\"].quarantine", "9",
       "profiles[\"default\"].tag", "5");
  ck_assert_int_eq(mail(), acts[_i].code);
  ck_assert_str_eq(found(), "virus:down+0 ");
  ck_assert_str_eq(fate(0), acts[_i].fate);
  end();
}
END_TEST

START_TEST(above_the_limit)
{
  begin();
  SITE(VIRUS, SPAM, "scanners[\"av\"].limit", "20", "scanners[\"spam\"].limit", "1k",
       "profiles[\"default\"].quarantine", "9");
  ck_assert_int_eq(mail(), 250);
  ck_assert_str_eq(found(), "virus:too-large+0 scanner:clean+0 ");
  ck_assert_str_eq(fate(0), "quarantined"); /* another attempt would be as large */
  ck_assert_uint_le(F.fed, 20 + strlen(text));
  end();
}
END_TEST

START_TEST(just_the_limit)
{
  char limit[24];
  snprintf(limit, sizeof limit, "%zu", strlen(text));
  begin();
  SITE(VIRUS, "scanners[\"av\"].limit", limit);
  ck_assert_int_eq(mail(), 250);
  ck_assert_str_eq(found(), "virus:clean+0 ");
  end();
}
END_TEST

START_TEST(slow_readers_and_other_servers)
{
  begin();
  TOLD({.scanner = "av", .status = SMTPF_SCAN_CLEAN, .seen = -1, .gulp = 3},
       {.scanner = "spam", .status = SMTPF_SCAN_CLEAN, .seen = -1, .again = 2});
  SITE(VIRUS, SPAM);
  ck_assert_int_eq(mail(), 250);
  ck_assert_str_eq(found(), "virus:clean+0 scanner:clean+0 ");
  ck_assert_uint_eq(F.fed, 4 * strlen(text));
  end();
}
END_TEST

/* ---- scores -------------------------------------------------------------------------------------------------------
 */

static const struct {
  const char *option, *value;
  int status, scored;
  int32_t score;
  const char *found;
} scores[] = {
    {"score", "7", SMTPF_SCAN_HIT, 0, 0, "scanner:found+7000 "},
    {"score", "7", SMTPF_SCAN_HIT, 1, 3000, "scanner:found+3000 "},
    {"use_score", "2", SMTPF_SCAN_HIT, 1, 3000, "scanner:found+6000 "},
    {"use_score", "0.5", SMTPF_SCAN_CLEAN, 1, 3000, "scanner:clean+1500 "},
    {"use_score", "off", SMTPF_SCAN_HIT, 1, 3000, "scanner:found+2000 "},
    {"use_score", "off", SMTPF_SCAN_CLEAN, 1, 3000, "scanner:clean+0 "},
    {"use_score", "1000", SMTPF_SCAN_CLEAN, 1, INT32_MIN, "scanner:clean-1000000000 "},
    {"use_score", "1", SMTPF_SCAN_UNKNOWN, 1, 9000, "scanner:unknown+0 "},
};

START_TEST(score)
{
  char path[64];
  const told one = {.scanner = "spam",
                    .status = scores[_i].status,
                    .scored = scores[_i].scored,
                    .score = scores[_i].score,
                    .seen = -1};
  begin();
  F.told = &one;
  F.n = 1;
  snprintf(path, sizeof path, "scanners[\"spam\"].%s", scores[_i].option);
  SITE(SPAM, "scanners[\"spam\"].score", "2", "scanners[\"spam\"].on_unknown", "accept", path, scores[_i].value);
  ck_assert_int_eq(mail(), 250);
  ck_assert_str_eq(found(), scores[_i].found);
  end();
}
END_TEST

/* ---- whom a scan is for
 * ---------------------------------------------------------------------------------------------- */

static const char *const four[] = {"<a@x.example>", "<b@x.example>", "<c@x.example>", "<d@x.example>", NULL};
#define WISHES                                                                                                         \
  "profiles[\"default\"].reject", "10", "profiles[\"strict\"].inherit", "default",                                     \
      "recipients[\"b@x.example\"].profile", "strict", "recipients[\"d@x.example\"].profile", "strict"

static const struct {
  const char *per, *user, *classes, *log;
} pers[] = {
    {"message", "address", "8", "spam()=a@x.example,b@x.example,c@x.example,d@x.example "},
    {"profile", "address", "8", "spam(default)=a@x.example,c@x.example spam(strict)=b@x.example,d@x.example "},
    {"profile", "address", "1", "spam(default)=a@x.example,c@x.example spam()=b@x.example,d@x.example "},
    {"recipient", "address", "8",
     "spam(a@x.example)=a@x.example spam(b@x.example)=b@x.example spam(c@x.example)=c@x.example "
     "spam(d@x.example)=d@x.example "},
    {"recipient", "local_part", "2", "spam(a)=a@x.example spam(b)=b@x.example spam()=c@x.example,d@x.example "},
    {"recipient", "profile", "8", "spam(default)=a@x.example,c@x.example spam(strict)=b@x.example,d@x.example "},
};

START_TEST(whom_for)
{
  begin();
  SITE(SPAM, WISHES, "scanners[\"spam\"].per", pers[_i].per, "scanners[\"spam\"].user", pers[_i].user,
       "scanners[\"spam\"].classes", pers[_i].classes);
  envelope("192.0.2.25", four);
  body(text, sizeof text);
  ck_assert_int_eq(code_of(smtpf_session_eom(session)), 250);
  ck_assert_str_eq(F.log, pers[_i].log);
  end();
}
END_TEST

START_TEST(more_scans_than_operations)
{
  begin();
  TOLD({.scanner = "spam", .user = "b@x.example", .status = SMTPF_SCAN_HIT, .name = "b's rule", .seen = -1});
  SITE(SPAM, "scanners[\"spam\"].per", "recipient", "scanners[\"spam\"].on_unknown", "accept", "limits.operations", "3",
       "profiles[\"default\"].tag", "5", "profiles[\"default\"].reject", "20");
  envelope("192.0.2.25", four);
  body(text, 11);
  ck_assert_int_eq(code_of(smtpf_session_eom(session)), 250);
  ck_assert_str_eq(found(), "scanner:limit+0 scanner:found+10000 scanner:clean+0 scanner:limit+0 ");
  ck_assert_str_eq(fate(0), "delivered");
  ck_assert_str_eq(fate(1), "tagged");
  end();
}
END_TEST

START_TEST(one_hit_for_one_of_them)
{
  begin();
  TOLD({.scanner = "spam", .user = "b", .status = SMTPF_SCAN_HIT, .name = "b's rule", .seen = -1});
  SITE(SPAM, "scanners[\"spam\"].per", "recipient", "scanners[\"spam\"].user", "local_part",
       "profiles[\"default\"].tag", "5", "profiles[\"default\"].reject", "20");
  envelope("192.0.2.25", four);
  body(text, 11);
  ck_assert_int_eq(code_of(smtpf_session_eom(session)), 250);
  ck_assert_str_eq(fate(0), "delivered");
  ck_assert_str_eq(fate(1), "tagged");
  ck_assert_str_eq(fate(2), "delivered");
  end();
}
END_TEST

START_TEST(own_clients)
{
  begin();
  TOLD({.scanner = "av", .status = SMTPF_SCAN_HIT, .name = "Eicar", .seen = -1});
  SITE(VIRUS, SPAM, "own_networks+", "192.0.2.0/24", "scanners[\"av\"].own_too", _i ? "true" : "false");
  ck_assert_int_eq(mail(), _i ? 550 : 250);
  ck_assert_str_eq(found(), _i ? "virus:found+100000 " : "");
  ck_assert_int_eq(F.opened, _i);
  end();
}
END_TEST

/* ---- header fields ------------------------------------------------------------------------------------------------
 */

START_TEST(header)
{
  const smtpf_verdict *v;
  char out[512] = "";
  begin();
  TOLD({.scanner = "spam", .status = SMTPF_SCAN_HIT, .name = "gtube", .scored = 1, .score = 2500, .seen = -1});
  SITE(VIRUS, SPAM, "scanners[\"av\"].header", "X-Av", "scanners[\"spam\"].header", "X-Spam");
  ck_assert_int_eq(mail(), 250);
  v = smtpf_session_verdict(session);
  for (size_t i = 0; i < smtpf_verdict_edit_count(v); i++) {
    smtpf_edit_info e = {.size = sizeof e};
    ck_assert_int_eq(smtpf_verdict_edit(v, i, &e), SMTPF_OK);
    snprintf(out + strlen(out), sizeof out - strlen(out), "%d %.*s=%.*s;", e.op, (int)e.name.n, e.name.p,
             (int)e.value.n, e.value.n ? e.value.p : "");
  }
  ck_assert_str_eq(out, "3 X-Av=;1 X-Av=clean;1 X-Spam=found gtube score=2.5;");
  end();
}
END_TEST

/* ---- what ends early, and what does not load
 * -------------------------------------------------------------------------- */

START_TEST(given_up)
{
  begin();
  const told one = {.scanner = "av", .when = _i % 2 ? LATER : NEVER, .status = SMTPF_SCAN_CLEAN, .seen = -1};
  F.told = &one;
  F.n = 1;
  SITE(VIRUS, SPAM);
  envelope("192.0.2.25", (const char *const[]){"<b@x.example>", NULL});
  body(text, 5);
  if (_i > 1)
    ck_assert_int_eq(smtpf_session_eom(session), SMTPF_PENDING);
  if (_i > 3)
    ck_assert_int_eq(smtpf_session_abort(session), SMTPF_OK);
  end();
}
END_TEST

static const struct {
  const char *option, *value;
} wrong[] = {{"header", "X Virus"}, {"header", "X:"}, {"limit", "0"},    {"on_unknown", "reject"}, {"per", "mail"},
             {"type", "nobody"},    {"classes", "0"}, {"timeout", "0s"}, {"kind", "ham"}};

START_TEST(does_not_load)
{
  char path[64];
  smtpf_error err;
  begin();
  snprintf(path, sizeof path, "scanners[\"av\"].%s", wrong[_i].option);
  ck_assert_ptr_nonnull(try_site((const char *const[]){VIRUS, path, wrong[_i].value, NULL}, &err));
  end();
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof *(a))

int main(void)
{
  Suite *suite = suite_create("scanner");
  TCase *c = tcase_create("scanner");
  tcase_set_timeout(c, 60);
  tcase_add_test(c, clean_is_clean);
  tcase_add_test(c, a_virus_is_a_fact_and_spam_is_not_asked);
  tcase_add_loop_test(c, how_a_scan_ends, 0, ROWS(ends));
  tcase_add_loop_test(c, what_is_unknown, 0, ROWS(acts));
  tcase_add_test(c, above_the_limit);
  tcase_add_test(c, just_the_limit);
  tcase_add_test(c, slow_readers_and_other_servers);
  tcase_add_loop_test(c, score, 0, ROWS(scores));
  tcase_add_loop_test(c, whom_for, 0, ROWS(pers));
  tcase_add_test(c, more_scans_than_operations);
  tcase_add_test(c, one_hit_for_one_of_them);
  tcase_add_loop_test(c, own_clients, 0, 2);
  tcase_add_test(c, header);
  tcase_add_loop_test(c, given_up, 0, 6);
  tcase_add_loop_test(c, does_not_load, 0, ROWS(wrong));
  suite_add_tcase(suite, c);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
