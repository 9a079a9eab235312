/* SPDX-License-Identifier: MIT
 *
 * Reply texts: templates and what fills them, whatever it is; and what a reply may tell whom.
 */
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>

#include "core/session.h"
#include "core/text.h"
#include "mail/reply.h"
#include "suites.h"

enum { ALL_FIELDS = (1 << SMTPF_FIELDS) - 1 };

static char room[SMTPF_TEXT_MAX];

static smtpf_str values[SMTPF_FIELDS];

static void fill(void)
{
  static const char *const usual[SMTPF_FIELDS] = {
      "listed by bl.example",  "dnslist",    "listed",  "192.0.2.25",    "a@example.org", "b@example.net",
      "postmaster@mx.example", "0011223344", "queue-1", "mx.example.net"};
  for (int i = 0; i < SMTPF_FIELDS; i++)
    values[i] = smtpf_str_of(usual[i]);
}

static smtpf_str expand(smtpf_str line)
{
  const smtpf_template t = {&line, 1};
  return smtpf_template_expand(&t, values, room);
}

/* What every text keeps: printable lines, none too long, and all of it one reply under the longest head. */
static size_t lines_of(smtpf_str text)
{
  static char wire[SMTPF_REPLY_MAX];
  size_t lines = 0, expected = 0;
  const int n = smtpf_reply_format(550, S("5.999.999"), text, wire, sizeof wire);
  MUST(n > 0);
  for (int i = 0; i < n; i++)
    lines += wire[i] == '\n';
  for (smtpf_str rest = text; rest.p || !expected; expected++) {
    const smtpf_str line = smtpf_str_cut(&rest, '\n');
    MUST(line.n <= SMTPF_TEXT_LINE);
    for (size_t i = 0; i < line.n; i++)
      MUST(line.p[i] >= ' ' && line.p[i] <= '~');
  }
  MUST(lines == expected || (lines + 1 == expected && text.n && text.p[text.n - 1] == '\n')); /* none was dropped */
  return lines;
}

/* ---- templates ----------------------------------------------------------------------------------------------------
 */

START_TEST(each_field)
{
  fill();
  ASSERT_STR(expand(S("{text}")), "listed by bl.example");
  ASSERT_STR(expand(S("{check} {code}")), "dnslist listed");
  ASSERT_STR(expand(S("{client}: {sender} to {recipient}")), "192.0.2.25: a@example.org to b@example.net");
  ASSERT_STR(expand(S("{contact}, {id}, {queue_id}, {host}.")),
             "postmaster@mx.example, 0011223344, queue-1, mx.example.net.");
  ASSERT_STR(expand(S("{text}{text}")), "listed by bl.examplelisted by bl.example");
  ASSERT_STR(expand(S("")), "");
  ASSERT_STR(expand(S("a } b 100% $1 \\n")), "a } b 100% $1 \\n");
  ASSERT_STR(expand(S("{{text} {{{code}{{")), "{text} {listed{");
}
END_TEST

START_TEST(faults)
{
  const struct {
    smtpf_str line, where;
    const char *what;
  } bad[] = {
      {S("see {page}"), S("{page}"), "no such field"},
      {S("see {}"), S("{}"), "no such field"},
      {S("see {Text}"), S("{Text}"), "no such field"},
      {S("see {text"), S("{text"), "no such field"},
      {S("see {"), S("{"), "no such field"},
      {S("{text} {recipient }"), S("{recipient }"), "no such field"},
      {S("{te{text}}"), S("{te{text}"), "no such field"},
      {S("gr\xc3\xbc\xc3\x9f"), S("gr\xc3\xbc\xc3\x9f"), "replies are printable ASCII"},
      {S("a\nb"), S("a\nb"), "replies are printable ASCII"},
      {S("a\0b"), S("a\0b"), "replies are printable ASCII"},
      {S("\x7f"), S("\x7f"), "replies are printable ASCII"},
  };
  smtpf_str where;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *what = smtpf_template_fault(bad[i].line, ALL_FIELDS, &where);
    ck_assert_pstr_eq(what, bad[i].what);
    ck_assert(smtpf_str_equal(where, bad[i].where));
  }
  ck_assert_ptr_null(smtpf_template_fault(S("{text} {check} {code} {client} {sender} {recipient} {contact} {id} "
                                            "{queue_id} {host} {{ }"),
                                          ALL_FIELDS, &where));
  ck_assert_ptr_nonnull(smtpf_template_fault(S("{contact}"), ALL_FIELDS & ~(1u << SMTPF_FIELD_CONTACT), &where));
  ASSERT_STR(where, "{contact}");
  static char longest[SMTPF_TEXT_TEMPLATE + 1];
  memset(longest, 'a', sizeof longest);
  ck_assert_ptr_null(smtpf_template_fault((smtpf_str){longest, SMTPF_TEXT_TEMPLATE}, ALL_FIELDS, &where));
  ck_assert_ptr_nonnull(smtpf_template_fault((smtpf_str){longest, SMTPF_TEXT_TEMPLATE + 1}, ALL_FIELDS, &where));
}
END_TEST

START_TEST(values_stay_values)
{
  fill();
  values[SMTPF_FIELD_TEXT] = S("a\r\n550 {recipient} %s\0\x1b\xc3\xb6{{");
  const smtpf_str got = expand(S("<{text}>"));
  ASSERT_STR(got, "<a??550 {recipient} %s????{{>");
  ck_assert_uint_eq(lines_of(got), 1);
}
END_TEST

START_TEST(several_lines)
{
  fill();
  const smtpf_str lines[] = {S("{text}"), S(""), S("  see {contact}")};
  const smtpf_template t = {lines, 3};
  ASSERT_STR(smtpf_template_expand(&t, values, room), "listed by bl.example\n\n  see postmaster@mx.example");
  const smtpf_template none = {lines, 0};
  ASSERT_STR(smtpf_template_expand(&none, values, room), "");
}
END_TEST

/* A value of every length, with and without places to cut it; then what stands behind it. */
START_TEST(every_length)
{
  static char value[SMTPF_REPLY_MAX + 64];
  for (size_t blank = 0; blank < 3; blank++) {
    memset(value, 'x', sizeof value);
    for (size_t i = 0; blank && i < sizeof value; i += blank == 1 ? 7 : 495)
      value[i] = ' ';
    for (size_t n = 0; n < sizeof value; n++) {
      fill();
      values[SMTPF_FIELD_TEXT] = (smtpf_str){value, n};
      const smtpf_str lines[] = {S("{text}"), S("{contact}")};
      const smtpf_template t = {lines, 2};
      const smtpf_str got = smtpf_template_expand(&t, values, room);
      const size_t count = lines_of(got);
      MUST(count >= 1 && count <= 10);
      if (n <= SMTPF_TEXT_LINE)
        MUST(count == 2 && got.n == n + 1 + values[SMTPF_FIELD_CONTACT].n && memcmp(got.p, value, n) == 0);
      if (n <= 3 * SMTPF_TEXT_LINE)
        MUST(memcmp(got.p + got.n - 21, "postmaster@mx.example", 21) == 0);
    }
  }
}
END_TEST

START_TEST(cut_points)
{
  static char value[SMTPF_TEXT_LINE + 10];
  fill();
  memset(value, 'x', sizeof value);
  values[SMTPF_FIELD_TEXT] = (smtpf_str){value, SMTPF_TEXT_LINE + 1};
  smtpf_str got = expand(S("{text}"));
  ck_assert_uint_eq(lines_of(got), 2);
  ck_assert_uint_eq((size_t)((char *)memchr(got.p, '\n', got.n) - got.p), SMTPF_TEXT_LINE);
  value[SMTPF_TEXT_LINE - 3] = ' ';
  got = expand(S("{text}"));
  ck_assert_uint_eq((size_t)((char *)memchr(got.p, '\n', got.n) - got.p), SMTPF_TEXT_LINE - 3);
  ASSERT_STR(((smtpf_str){got.p + SMTPF_TEXT_LINE - 3, got.n - (SMTPF_TEXT_LINE - 3)}), "\nxxx");
  value[SMTPF_TEXT_LINE - 3] = 'x';
  value[SMTPF_TEXT_LINE] = ' '; /* just behind the longest line */
  values[SMTPF_FIELD_TEXT].n++;
  got = expand(S("{text}"));
  ck_assert_uint_eq(got.n, SMTPF_TEXT_LINE + 2);
  ck_assert_uint_eq((size_t)((char *)memchr(got.p, '\n', got.n) - got.p), SMTPF_TEXT_LINE);
}
END_TEST

START_TEST(one_reply_holds_it_all)
{
  static char value[1024];
  smtpf_str lines[SMTPF_TEXT_LINES];
  fill();
  memset(value, 'x', sizeof value);
  values[SMTPF_FIELD_TEXT] = (smtpf_str){value, sizeof value};
  for (size_t n = 1; n <= SMTPF_TEXT_LINES; n++) {
    for (size_t i = 0; i < n; i++)
      lines[i] = S("{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}");
    const smtpf_template t = {lines, n};
    const smtpf_str got = smtpf_template_expand(&t, values, room);
    MUST(lines_of(got) <= 8 && got.n <= SMTPF_REPLY_MAX);
  }
}
END_TEST

/* ---- the policy ---------------------------------------------------------------------------------------------------
 */

/* A policy of options and values, up to NULL; `+` before an option appends. */
static smtpf_engine *policy(const char *const *settings, smtpf_error *err)
{
  smtpf_config *cfg = NULL;
  smtpf_engine *e = NULL;
  *err = (smtpf_error){.size = sizeof *err};
  ck_assert_int_eq(smtpf_config_new(&cfg, NULL), SMTPF_OK);
  int r = SMTPF_OK;
  for (; r == SMTPF_OK && *settings; settings += 2)
    r = **settings == '+' ? smtpf_config_append(cfg, *settings + 1, settings[1], err)
                          : smtpf_config_set(cfg, *settings, settings[1], err);
  ck_assert_msg(r == SMTPF_OK, "%s", err->text);
  if (smtpf_engine_new(&e, cfg, err) != SMTPF_OK)
    e = NULL;
  smtpf_config_free(cfg);
  return e;
}

START_TEST(policies_that_do_not_load)
{
  const char *const bad[][5] = {
      {"+texts[\"de\"].refused", "{grund}", NULL},
      {"+texts[\"de\"].fact", "{contact}", NULL},
      {"+texts[\"de\"].fact", "{host}", NULL},
      {"+texts[\"de\"].fact", "", NULL},
      {"texts[\"de\"].several", "{text}", NULL},
      {"reply.contact", "{text}", NULL},
      {"reply.contact",
       "http://br\xc3\xbc"
       "cke.example/",
       NULL},
      {"reply.language", "fr", NULL},
      {"profiles[\"default\"].language", "fr", NULL},
      {"+recipients[\"b@example.net\"].language", "fr", NULL},
      {"+texts[\"de\"].refused", "nein", "reply.language", "fr", NULL},
  };
  smtpf_error err;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *settings[5];
    memcpy(settings, bad[i], sizeof settings);
    if (settings[0][0] == '+' && strstr(settings[0], "recipients"))
      settings[0]++;
    ck_assert_msg(!policy(settings, &err), "%s = %s loads", settings[0], settings[1]);
    ck_assert_msg(*err.text, "%s", settings[0]);
  }
  const char *const good[] = {"reply.contact",
                              "https://mx.example/",
                              "+texts[\"de\"].fact",
                              "{text}",
                              "+texts[\"de\"].fact",
                              "Hilfe: {contact}",
                              "profiles[\"default\"].language",
                              "DE",
                              NULL};
  smtpf_engine *e = policy(good, &err);
  ck_assert_msg(e != NULL, "%s", err.text);
  smtpf_engine_unref(e);
}
END_TEST

/* ---- who may be told what -----------------------------------------------------------------------------------------
 */

enum { RCPTS = 3 };

/* A session without a driver: all that words look at. */
typedef struct fixture {
  smtpf_session s;
  smtpf_mem mem;
  smtpf_rcpt rcpts[RCPTS], *list[RCPTS];
  smtpf_evidence about_client, about_rcpt;
  smtpf_outcome outcome;
} fixture;

static void *plain_alloc(void *user, size_t n)
{
  return user ? NULL : malloc(n);
}

static void *plain_realloc(void *user, void *p, size_t n)
{
  return user ? NULL : realloc(p, n);
}

static void plain_free(void *user, void *p)
{
  (void)user;
  free(p);
}

static void set_up(fixture *f, smtpf_engine *e, size_t n)
{
  static const char *const profiles[RCPTS] = {"german", "english", "german"};
  static const smtpf_str addresses[RCPTS] = {
      {"first-secret@example.net", 24}, {"second-secret@example.net", 25}, {"third-secret@example.net", 24}};
  *f = (fixture){.mem = {sizeof f->mem, NULL, plain_alloc, plain_realloc, plain_free}};
  smtpf_session *s = &f->s;
  s->engine = e;
  s->stage = SMTPF_EOM;
  s->client_text = S("192.0.2.25");
  s->sender = (smtpf_path){.form = SMTPF_PATH_MAILBOX, .address = S("a@example.org")};
  memcpy(s->id, "0123456789abcdef", 17);
  smtpf_arena_init(&s->transaction, &f->mem, 512, 1 << 20);
  smtpf_arena_init(&s->connection, &f->mem, 512, 1 << 20);
  smtpf_arena_init(&s->greeting_arena, &f->mem, 512, 1 << 20);
  for (size_t i = 0; i < n; i++) {
    f->list[i] = &f->rcpts[i];
    f->rcpts[i].address = addresses[i];
    f->rcpts[i].profile = smtpf_engine_profile(e, smtpf_str_of(profiles[i]));
  }
  s->rcpts = f->list;
  s->n_rcpts = n;
  f->about_client =
      (smtpf_evidence){.check = "dnslist", .code = "listed", .text = S("listed by bl.example"), .stage = SMTPF_CONNECT};
  f->about_rcpt =
      (smtpf_evidence){.check = "secret_check", .code = "secret-code", .text = S("secret-text"), .stage = SMTPF_RCPT};
}

static void tear_down(fixture *f)
{
  smtpf_arena_clear(&f->s.transaction);
  smtpf_arena_clear(&f->s.connection);
  smtpf_arena_clear(&f->s.greeting_arena);
}

static int holds(smtpf_str text, const char *part)
{
  const size_t n = strlen(part);
  for (size_t i = 0; i + n <= text.n; i++)
    if (memcmp(text.p + i, part, n) == 0)
      return 1;
  return 0;
}

/* Every field in every text, so that whatever may leak does. */
static smtpf_engine *talkative(void)
{
  static const char *const situations[SMTPF_SITUATIONS] = {
      "refused", "fact", "restricted", "denied", "missing", "deferred", "split", "commit_failed", "commit_refused"};
  static char paths[2 * SMTPF_SITUATIONS][64], text[2 * SMTPF_SITUATIONS][200];
  const char *settings[2 * (2 * SMTPF_SITUATIONS + 6) + 1];
  size_t n = 0;
  for (size_t l = 0; l < 2; l++)
    for (size_t i = 0; i < SMTPF_SITUATIONS; i++) {
      const size_t k = l * SMTPF_SITUATIONS + i;
      snprintf(paths[k], sizeof paths[k], "+texts[\"%s\"].%s", l ? "en" : "de", situations[i]);
      snprintf(text[k], sizeof text[k],
               "%s %s: {text} {check} {code} {client} {sender} {recipient} {contact} {id} {queue_id} {host}",
               l ? "english" : "german", situations[i]);
      settings[n++] = paths[k];
      settings[n++] = text[k];
    }
  const char *const rest[] = {"texts[\"de\"].several",
                              "diese Empfaenger",
                              "reply.contact",
                              "https://mx.example/",
                              "+hostnames",
                              "mx.example.net",
                              "profiles[\"default\"].reject",
                              "5",
                              "profiles[\"german\"].language",
                              "de",
                              "profiles[\"english\"].language",
                              "en"};
  memcpy(settings + n, rest, sizeof rest);
  settings[n + sizeof rest / sizeof *rest] = NULL;
  smtpf_error err;
  smtpf_engine *e = policy(settings, &err);
  ck_assert_msg(e != NULL, "%s", err.text);
  return e;
}

/* Nothing of one recipient in what several are told, whatever led to it. */
START_TEST(several_are_told_nothing_of_one)
{
  smtpf_engine *e = talkative();
  for (int rule = SMTPF_RULE_FACT; rule <= SMTPF_RULE_ACCEPT; rule++)
    for (int cause = 0; cause < 3; cause++)
      for (int situation = -1; situation < SMTPF_SITUATIONS; situation++)
        for (size_t n = 2; n <= RCPTS; n++) {
          fixture f;
          set_up(&f, e, n);
          f.outcome = (smtpf_outcome){.act = SMTPF_ACT_REJECT,
                                      .rule = (uint8_t)rule,
                                      .cause = cause == 0   ? NULL
                                               : cause == 1 ? &f.about_client
                                                            : &f.about_rcpt};
          const smtpf_str got =
              smtpf_text_words(&f.s, situation < 0 ? smtpf_text_situation(&f.outcome) : situation, &f.outcome, NULL);
          MUST(got.n && !holds(got, "secret") && !holds(got, "restricted") && !holds(got, "denied"));
          MUST(!holds(got, "this recipient"));
          MUST(holds(got, "english") && holds(got, "the recipients")); /* they do not speak the same language */
          tear_down(&f);
        }
  smtpf_engine_unref(e);
}
END_TEST

START_TEST(one_is_told_its_own)
{
  smtpf_engine *e = talkative();
  fixture f;
  set_up(&f, e, RCPTS);
  f.outcome = (smtpf_outcome){.act = SMTPF_ACT_REJECT, .rule = SMTPF_RULE_FACT, .cause = &f.about_rcpt};
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_FACT, &f.outcome, &f.rcpts[0]),
             "german fact: secret-text secret_check secret-code 192.0.2.25 a@example.org first-secret@example.net "
             "https://mx.example/ 0123456789abcdef - mx.example.net");
  f.outcome = (smtpf_outcome){.act = SMTPF_ACT_REJECT, .rule = SMTPF_RULE_DENY, .cause = &f.about_client};
  memcpy(f.s.queue_id, "q1", 3);
  f.s.sender.form = SMTPF_PATH_NULL;
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_DENIED, &f.outcome, &f.rcpts[1]),
             "english denied: this recipient does not want mail from you policy - 192.0.2.25 <> "
             "second-secret@example.net https://mx.example/ 0123456789abcdef q1 mx.example.net");
  for (size_t i = 0; i < RCPTS; i++)
    for (int situation = 0; situation < SMTPF_SITUATIONS; situation++) {
      const smtpf_str got = smtpf_text_words(&f.s, situation, &f.outcome, &f.rcpts[i]);
      for (size_t k = 0; k < RCPTS; k++)
        MUST(holds(got, f.rcpts[k].address.p) == (i == k));
    }
  tear_down(&f);
  /* The only recipient of a message is the one its reply is about. */
  set_up(&f, e, 1);
  f.outcome = (smtpf_outcome){.act = SMTPF_ACT_REJECT, .rule = SMTPF_RULE_RESTRICTED};
  const smtpf_str got = smtpf_text_words(&f.s, SMTPF_TEXT_RESTRICTED, &f.outcome, NULL);
  ck_assert(holds(got, "german restricted: this recipient takes no mail from outside") &&
            holds(got, "first-secret@example.net"));
  tear_down(&f);
  smtpf_engine_unref(e);
}
END_TEST

START_TEST(a_language_that_all_speak)
{
  smtpf_engine *e = talkative();
  fixture f;
  set_up(&f, e, RCPTS);
  f.list[1] = &f.rcpts[2]; /* both german */
  f.s.n_rcpts = 2;
  const smtpf_str got = smtpf_text_words(&f.s, SMTPF_TEXT_COMMIT_FAILED, NULL, NULL);
  ck_assert(holds(got, "german commit_failed: could not be stored, try again later") &&
            holds(got, "diese Empfaenger") && !holds(got, "secret"));
  f.s.n_rcpts = 0; /* before the first recipient */
  f.s.stage = SMTPF_CONNECT;
  ck_assert(holds(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, NULL, NULL), "english refused"));
  tear_down(&f);
  smtpf_engine_unref(e);
}
END_TEST

/* What was found at RCPT about the connection is everybody's. */
START_TEST(the_connection_is_everybodys)
{
  smtpf_engine *e = talkative();
  fixture f;
  set_up(&f, e, 2);
  f.about_client.stage = SMTPF_RCPT;
  f.about_client.flags = SMTPF_FINDING_CONNECTION;
  f.outcome = (smtpf_outcome){.act = SMTPF_ACT_REJECT, .rule = SMTPF_RULE_FACT, .cause = &f.about_client};
  ck_assert(holds(smtpf_text_words(&f.s, SMTPF_TEXT_FACT, &f.outcome, NULL), "listed by bl.example dnslist listed"));
  /* Codes are words too. */
  f.about_client.reply = f.about_rcpt.reply = 554;
  f.about_client.enhanced = f.about_rcpt.enhanced = "5.7.25";
  smtpf_reply r = smtpf_outcome_reply(&f.s, &f.outcome, NULL);
  ck_assert_int_eq(r.code, 554);
  ASSERT_STR(r.enhanced, "5.7.25");
  f.outcome.cause = &f.about_rcpt;
  r = smtpf_outcome_reply(&f.s, &f.outcome, NULL);
  ck_assert_int_eq(r.code, 550);
  ASSERT_STR(r.enhanced, "5.7.1");
  r = smtpf_outcome_reply(&f.s, &f.outcome, &f.rcpts[0]);
  ck_assert_int_eq(r.code, 554);
  ASSERT_STR(r.enhanced, "5.7.25");
  tear_down(&f);
  smtpf_engine_unref(e);
}
END_TEST

/* The recipient's language, the site's, what is built in. */
START_TEST(what_a_language_leaves_out)
{
  const char *const settings[] = {"+texts[\"de\"].fact",
                                  "deutsch",
                                  "+texts[\"fr\"].refused",
                                  "francais",
                                  "reply.language",
                                  "fr",
                                  "profiles[\"german\"].language",
                                  "de",
                                  "profiles[\"english\"].language",
                                  "en",
                                  "profile",
                                  "english",
                                  NULL};
  smtpf_error err;
  fixture f;
  smtpf_engine *e = policy(settings, &err);
  ck_assert_msg(e != NULL, "%s", err.text);
  set_up(&f, e, 2);
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_FACT, NULL, &f.rcpts[0]), "deutsch");
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, NULL, &f.rcpts[0]), "francais");
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, NULL, NULL), "francais");
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_DEFERRED, NULL, &f.rcpts[0]), "not now, try again later");
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_FACT, NULL, &f.rcpts[1]), "refused by policy");
  tear_down(&f);
  smtpf_engine_unref(e);
}
END_TEST

/* What is built in: the finding's words, else our own; with `reply.contact` where to find help. */
START_TEST(without_templates)
{
  smtpf_error err;
  const char *const nothing[] = {
      "profiles[\"german\"].reject", "5", "profiles[\"english\"].reject", "5", "profile", "english", NULL};
  const char *const contact[] = {"reply.contact",
                                 "https://mx.example/",
                                 "profiles[\"german\"].reject",
                                 "5",
                                 "profiles[\"english\"].reject",
                                 "5",
                                 "profile",
                                 "english",
                                 NULL};
  static char longer[1000];
  memset(longer, 'x', sizeof longer);
  fixture f;
  smtpf_engine *e = policy(nothing, &err);
  ck_assert_msg(e != NULL, "%s", err.text);
  set_up(&f, e, 2);
  f.outcome = (smtpf_outcome){.act = SMTPF_ACT_REJECT, .rule = SMTPF_RULE_REJECT, .cause = &f.about_client};
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, &f.outcome, NULL), "listed by bl.example");
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, NULL, NULL), "refused by policy");
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_MISSING, NULL, NULL),
             "cannot decide about this mail now, try again later");
  f.about_client.text = S("");
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, &f.outcome, NULL), "refused by policy");
  f.about_client.text = (smtpf_str){longer, sizeof longer};
  ck_assert_uint_eq(lines_of(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, &f.outcome, NULL)), 3);
  tear_down(&f);
  smtpf_engine_unref(e);
  e = policy(contact, &err);
  ck_assert_msg(e != NULL, "%s", err.text);
  set_up(&f, e, 2);
  f.outcome = (smtpf_outcome){.act = SMTPF_ACT_REJECT, .rule = SMTPF_RULE_REJECT, .cause = &f.about_client};
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, &f.outcome, NULL),
             "listed by bl.example\nhelp: https://mx.example/, session 0123456789abcdef");
  f.mem.user = &f; /* no memory from here on */
  smtpf_arena_clear(&f.s.transaction);
  ASSERT_STR(smtpf_text_words(&f.s, SMTPF_TEXT_REFUSED, &f.outcome, NULL), "listed by bl.example");
  tear_down(&f);
  smtpf_engine_unref(e);
}
END_TEST

int main(void)
{
  const TTest *const templates[] = {each_field,   faults,     values_stay_values,     several_lines,
                                    every_length, cut_points, one_reply_holds_it_all, NULL};
  const TTest *const words[] = {
      policies_that_do_not_load,    several_are_told_nothing_of_one, one_is_told_its_own, a_language_that_all_speak,
      the_connection_is_everybodys, what_a_language_leaves_out,      without_templates,   NULL};
  Suite *s = suite_create("reply texts");
  add_case(s, "templates", templates);
  add_case(s, "words", words);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  const int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
