/* SPDX-License-Identifier: MIT
 *
 * Lint: every warning, where it is given, and what is one step away from it and gets none.
 */
#include <stdio.h>
#include <string.h>

#include "core_world.h"
#include "test_core.h"

static world W;

enum { ALL = (1 << 11) - 1, SETTINGS = 6, LINES = 32 };

/* What was said: `line: text`. */
static char said[LINES][600];
static size_t n_said;

static void listen(void *user, const char *file, int line, smtpf_str text)
{
  ck_assert_ptr_eq(user, &W);
  ck_assert_uint_lt(n_said, LINES);
  ck_assert_ptr_nonnull(file);
  ck_assert_str_eq(file, "some.conf");
  snprintf(said[n_said++], sizeof *said, "%d: %.*s", line, (int)text.n, text.p);
}

typedef struct policy {
  const char *settings[SETTINGS][2]; /* path and value; `+` before a path appends. The first one is line 1 */
  unsigned host;                     /* capabilities it lacks */
  const char *warning;               /* the only one; NULL for none */
} policy;

/* A policy without a fault, and what a row adds to it. */
static void load(const policy *p)
{
  static const char *const usual[][2] = {{"profiles[\"default\"]", ""}, {"+local_domains", "x.example"}};
  world_init(&W);
  world_check(&W, "plain", SMTPF_CONNECT, 0);
  W.checks[0].family = SMTPF_FAMILY_CLIENT;
  const char *const *all[SETTINGS + 2] = {usual[0], usual[1]};
  size_t n = 2;
  for (size_t i = 0; i < SETTINGS && p->settings[i][0]; i++)
    all[n++] = p->settings[i];
  for (size_t i = 0; i < n; i++) {
    const int append = all[i][0][0] == '+';
    smtpf_error err = {.size = sizeof err};
    const int r =
        smtpf_config_set_at(W.cfg, all[i][0] + append, all[i][1], append, "some.conf", i < 2 ? 99 : (int)i - 1, &err);
    ck_assert_msg(r == SMTPF_OK, "%s", err.text);
  }
  const int r = world_try_start(&W);
  ck_assert_msg(r == SMTPF_OK, "%s = %s: %d", p->settings[0][0], p->settings[0][1], r);
}

static void expect(const policy *p)
{
  load(p);
  n_said = 0;
  const size_t n = smtpf_engine_lint(W.engine, ALL & ~p->host, listen, &W);
  ck_assert_uint_eq(n, n_said);
  ck_assert_uint_eq(n, smtpf_engine_lint(W.engine, ALL & ~p->host, NULL, NULL));
  for (size_t i = 0; i < n_said; i++)
    ck_assert_msg(n == 1 && p->warning && strcmp(said[i], p->warning) == 0, "%s = %s:\n  %s\nnot\n  %s",
                  p->settings[0][0], p->settings[0][1], said[i], p->warning ? p->warning : "nothing");
  ck_assert_msg(n == (p->warning != NULL), "%s = %s: not said: %s", p->settings[0][0], p->settings[0][1], p->warning);
  world_end(&W);
}

#define D "profiles[\"default\"]."
#define P "profiles[\"p\"]."
#define R "recipients[\"a@x.example\"]."
#define S "scopes[\"s\"]."

static const policy thresholds[] = {
    {{{D "tag", "9.999"}}, 0, NULL},
    {{{D "discard", "11"}, {D "reject", "off"}},
     0,
     "1: " D "discard: reject is off: mail is lost and no sender is ever told"},
    {{{D "discard", "11"}, {P "inherit", "default"}, {P "reject", "off"}, {R "profile", "p"}},
     0,
     "3: " P "reject: reject is off: mail is lost and no sender is ever told"},
    {{{D "discard", "9"}},
     0,
     "1: " D "discard: discard is below reject: the milder mail is lost, only the worse is refused"},
    {{{R "discard", "9.999"}},
     0,
     "1: " R "discard: discard is below reject: the milder mail is lost, only the worse is refused"},
    {{{D "discard", "10"}},
     0,
     "1: " D "discard: discard equals reject, which decides: no stranger's mail is discarded"},
    {{{D "discard", "10.001"}}, 0, NULL},
    {{{D "discard", "12"}, {D "reject", "13"}, {D "quarantine", "11"}},
     0,
     "1: " D "discard: discard is below reject: the milder mail is lost, only the worse is refused"},
    {{{D "quarantine", "10"}},
     0,
     "1: " D "quarantine: quarantine is not below reject: only what may not be refused will ever be quarantined"},
    {{{D "quarantine", "9.999"}}, 0, NULL},
    {{{D "quarantine", "6"}, {P "inherit", "default"}, {P "reject", "6"}, {R "profile", "p"}},
     0,
     "3: " P "reject: quarantine is not below reject: only what may not be refused will ever be quarantined"},
    {{{D "quarantine", "5"}}, 0, "1: " D "quarantine: tag is not below quarantine: nothing will ever be tagged"},
    {{{D "tag", "6"}, {D "quarantine", "6"}},
     0,
     "1: " D "tag: tag is not below quarantine: nothing will ever be tagged"},
    {{{D "tag", "5.999"}, {D "quarantine", "6"}}, 0, NULL},
    {{{D "reject", "5"}},
     0,
     "1: " D "reject: tag is not below reject: only what may not be refused will ever be tagged"},
    {{{D "tag", "10"}}, 0, "1: " D "tag: tag is not below reject: only what may not be refused will ever be tagged"},
    {{{D "reject", "off"}, {D "tag", "off"}},
     0,
     "1: " D "reject: reject, quarantine and tag are off: nothing is ever done about a score"},
    {{{D "reject", "off"}, {D "tag", "off"}, {D "quarantine", "1"}}, 0, NULL},
    {{{D "reject", "0"}, {D "tag", "off"}},
     0,
     "1: " D "reject: reject is not above 0: mail that nothing speaks against is refused"},
    {{{D "reject", "0.001"}, {D "tag", "off"}}, 0, NULL},
    {{{D "quarantine", "0"}, {D "tag", "off"}},
     0,
     "1: " D "quarantine: quarantine is not above 0: mail that nothing speaks against is quarantined"},
    {{{D "quarantine", "0.001"}, {D "tag", "off"}}, 0, NULL},
};

START_TEST(of_thresholds)
{
  for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++)
    expect(&thresholds[i]);
}
END_TEST

/* Some contradictions come in company. */
START_TEST(of_several_at_once)
{
  static const struct {
    policy policy;
    const char *said[4];
  } rows[] = {
      {{{{D "discard", "11"}, {D "quarantine", "11"}, {D "reject", "off"}, {D "tag", "off"}}, 0, NULL},
       {"1: " D "discard: reject is off: mail is lost and no sender is ever told",
        "1: " D "discard: discard is not above quarantine: nothing will ever be quarantined"}},
      {{{{D "discard", "5"}, {D "reject", "off"}}, 0, NULL},
       {"1: " D "discard: reject is off: mail is lost and no sender is ever told",
        "1: " D "discard: discard is not above tag: nothing will ever be tagged"}},
      {{{{D "discard", "0"}, {D "tag", "off"}}, 0, NULL},
       {"1: " D "discard: discard is below reject: the milder mail is lost, only the worse is refused",
        "1: " D "discard: discard is not above 0: mail that nothing speaks against is lost"}},
      {{{{D "tag", "12"}, {D "quarantine", "11"}}, 0, NULL},
       {"2: " D "quarantine: quarantine is not below reject: only what may not be refused will ever be quarantined",
        "1: " D "tag: tag is not below quarantine: nothing will ever be tagged"}},
      /* A named scope that holds nobody, in each place that names it, and a profile and a scope nobody names. */
      {{{{P "reject", "9"}, {S "authenticated", "false"}, {"scopes[\"t\"].networks", "192.0.2.1"}}, 0, NULL},
       {"2: " S "name: no only_from, forwarders, lists or backup_mx names it",
        "3: scopes[\"t\"].name: no only_from, forwarders, lists or backup_mx names it",
        "1: " P "name: nobody has this profile, and none inherits from it: only a directory can name it"}},
      {{{{S "authenticated", "no"}, {"+backup_mx", "s"}, {"+forwarders", "s"}, {"+" R "lists", "s"}}, 0, NULL},
       {"4: " R "lists: nobody is in this scope: s", "2: backup_mx: nobody is in this scope: s",
        "3: forwarders: nobody is in this scope: s"}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    load(&rows[i].policy);
    n_said = 0;
    (void)smtpf_engine_lint(W.engine, ALL, listen, &W);
    for (size_t k = 0; k < n_said || rows[i].said[k]; k++) {
      ck_assert_msg(k < n_said, "row %zu: not said: %s", i, rows[i].said[k]);
      ck_assert_msg(rows[i].said[k] && strcmp(said[k], rows[i].said[k]) == 0, "row %zu: %s", i, said[k]);
    }
    world_end(&W);
  }
}
END_TEST

static const policy wishes[] = {
    {{{D "greylist", "true"}}, 0, "1: " D "greylist: nothing greylists under this policy"},
    {{{R "greylist", "true"}}, 0, "1: " R "greylist: nothing greylists under this policy"},
    {{{D "weights[\"plain\"].percent", "0"}},
     0,
     "1: " D "weights: every check that runs is weighed 0: nothing is ever found"},
    {{{D "weights[\"plain\"].percent", "1"}}, 0, NULL},
    {{{D "null_sender", "false"}}, 0, "1: " D "null_sender: it means nothing without only_from"},
    {{{D "null_sender", "false"}, {S "authenticated", "true"}, {"+" D "only_from", "s"}}, 0, NULL},
    {{{D "forward", "a@y.example"}}, 0, "1: " D "forward: the route is the mailbox: nothing is forwarded"},
    {{{D "forward", "a@y.example"}, {D "route", "forward"}}, 0, NULL},
    {{{D "forward_sender", "a@y.example"}}, 0, "1: " D "forward_sender: nothing is forwarded"},
    {{{D "forward_failed", "mailbox"}}, 0, "1: " D "forward_failed: nothing is forwarded"},
    {{{D "forward_failed", "refuse"}}, 0, NULL},
    {{{D "forward_failed", "mailbox"}, {D "forward", "a@y.example"}, {D "route", "forward"}}, 0, NULL},
    {{{D "bounces", "signed"}}, 0, "1: " D "bounces: nothing looks for signed addresses under this policy"},
    {{{D "bounces", "proven"}}, 0, "1: " D "bounces: nothing looks for what proves a bounce under this policy"},
    {{{D "bounces", "all"}}, 0, NULL},
    {{{"+" D "allow", "@y.example"}, {"+" D "deny", "@Y.example"}},
     0,
     "2: " D "deny: allow has the same entry, and decides: @y.example"},
    {{{"+" D "deny", "@y.example"}, {"+" R "allow", "@y.example"}},
     0,
     "2: " R "allow: allow has the same entry, and decides: @y.example"},
    {{{"+" D "allow", "a@y.example"}, {"+" D "deny", "@y.example"}}, 0, NULL},
    {{{"+own_networks", "192.0.2.0/24"}, {"+" D "deny", "192.0.2.1"}},
     0,
     "2: " D "deny: one of own_networks, whose mail is never judged: 192.0.2.1"},
    {{{"+" S "networks", "192.0.2.0/24"}, {"+" R "forwarders", "s"}, {"+" R "deny", "192.0.2.1"}},
     0,
     "3: " R
     "deny: a forwarder, list or backup MX: what it brings is not refused, only quarantined or tagged: 192.0.2.1"},
    {{{"+" S "networks", "192.0.2.0/24"}, {"+" R "only_from", "s"}, {"+" R "deny", "192.0.2.1"}}, 0, NULL},
    {{{"+" S "networks", "192.0.2.0/24"}, {"+" R "lists", "s"}, {"+" R "deny", "192.0.2.1"}},
     0,
     "3: " R
     "deny: a forwarder, list or backup MX: what it brings is not refused, only quarantined or tagged: 192.0.2.1"},
    {{{"+" S "networks", "192.0.2.0/24"}, {"+forwarders", "s"}, {"+" R "deny", "192.0.2.1"}},
     0,
     "3: " R
     "deny: a forwarder, list or backup MX: what it brings is not refused, only quarantined or tagged: 192.0.2.1"},
    {{{"+" S "networks", "192.0.2.0/24"}, {"+backup_mx", "s"}, {"+" D "deny", "192.0.2.1"}},
     0,
     "3: " D
     "deny: a forwarder, list or backup MX: what it brings is not refused, only quarantined or tagged: 192.0.2.1"},
    {{{"+check.disable", "plain"}, {R "weights[\"plain\"].percent", "30"}},
     0,
     "2: " R "weights[\"plain\"].percent: this check does not run under this policy: plain"},
    {{{S "authenticated", "false"}, {"+" D "only_from", "s"}},
     0,
     "2: " D "only_from: nobody is in this scope, hence nobody gets in by it: s"},
    {{{S "authenticated", "false"}, {"+" R "forwarders", "s"}}, 0, "2: " R "forwarders: nobody is in this scope: s"},
    {{{"+" S "names", "y.example"}, {"+" R "forwarders", "s"}}, 0, NULL},
    {{{"+" S "identities", "bob"}, {"+" R "lists", "s"}}, 0, NULL},
    {{{S "authenticated", "true"}}, 0, "1: " S "name: no only_from, forwarders, lists or backup_mx names it"},
    {{{P "tag", "4"}},
     0,
     "1: " P "name: nobody has this profile, and none inherits from it: only a directory can name it"},
    {{{P "tag", "4"}, {R "profile", "p"}}, 0, NULL},
    {{{P "tag", "4"}, {"profile", "p"}},
     0,
     "99: profiles[\"default\"].name: nobody has this profile, and none inherits from it: only a directory can name "
     "it"},
};

START_TEST(of_wishes)
{
  for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
    expect(&wishes[i]);
}
END_TEST

#define MAIL_ROUND "what is forwarded there comes back: "
#define B "recipients[\"b@x.example\"]."

static const policy routes[] = {
    {{{R "forward", "a@x.example"}, {R "route", "forward"}}, 0, "1: " R "forward: " MAIL_ROUND "a@x.example"},
    {{{R "forward", "A@X.example"}, {R "route", "forward"}}, 0, "1: " R "forward: " MAIL_ROUND "A@X.example"},
    {{{R "forward", "b@x.example"}, {R "route", "forward"}}, 0, NULL},
    {{{R "forward", "a@y.example"}, {R "route", "forward-nonspam"}}, 0, NULL},
    {{{D "forward", "b@x.example"}, {D "route", "forward"}}, 0, "1: " D "forward: " MAIL_ROUND "b@x.example"},
    {{{D "forward", "b@x.example"}, {D "route", "forward"}, {B "route", "mailbox"}},
     0,
     "3: " B "route: the route is the mailbox: nothing is forwarded"},
    {{{"directory.complete", "true"}},
     0,
     "1: directory.complete: the fallback of mail that fails later is no recipient: postmaster@x.example"},
    {{{"directory.complete", "true"}, {"recipients[\"postmaster@x.example\"]", ""}}, 0, NULL},
    {{{"directory.complete", "true"}, {"recipients[\"@x.example\"]", ""}}, 0, NULL},
    {{{"directory.complete", "true"}, {D "fallback", "quarantine"}}, 0, NULL},
    {{{"directory.complete", "true"}, {D "fallback", "quarantine"}, {R "fallback", "postmaster"}},
     0,
     "1: directory.complete: the fallback of mail that fails later is no recipient: postmaster@x.example"},
};

START_TEST(of_routes_and_fallbacks)
{
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
    expect(&routes[i]);
  /* Two hops, seen from both ends. */
  static const policy two = {
      {{R "forward", "b@x.example"}, {R "route", "forward"}, {B "forward", "a@x.example"}, {B "route", "forward"}},
      0,
      NULL};
  load(&two);
  n_said = 0;
  (void)smtpf_engine_lint(W.engine, ALL, listen, &W);
  ck_assert_uint_eq(n_said, 2);
  ck_assert_str_eq(said[0], "1: " R "forward: " MAIL_ROUND "b@x.example");
  ck_assert_str_eq(said[1], "3: " B "forward: " MAIL_ROUND "a@x.example");
  world_end(&W);
}
END_TEST

enum {
  NO_QUARANTINE = SMTPF_CAN_QUARANTINE | SMTPF_CAN_QUARANTINE_PER_RCPT,
  NO_EDIT = SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT,
  NO_DROP = SMTPF_CAN_DROP_RCPT | SMTPF_CAN_REPLY_PER_RCPT,
};

#define ALONE "kept only when all recipients of a message wish "

static const policy hosts[] = {
    {{{D "quarantine", "7"}}, NO_QUARANTINE, "1: " D "quarantine: this host cannot quarantine"},
    {{{D "quarantine", "7"}}, SMTPF_CAN_QUARANTINE, NULL},
    {{{D "fallback", "quarantine"}}, NO_QUARANTINE, "1: " D "fallback: this host cannot quarantine"},
    {{{D "fallback", "quarantine"}}, SMTPF_CAN_QUARANTINE_PER_RCPT, NULL},
    {{{D "tag", "4"}}, NO_EDIT, "1: " D "tag: this host cannot edit headers"},
    {{{D "reject", "9"}}, NO_EDIT, "99: " D "tag: this host cannot edit headers"},
    {{{D "tag", "off"}, {R "tag", "3"}}, NO_EDIT, "2: " R "tag: this host cannot edit headers"},
    {{{D "tag", "off"}}, NO_EDIT, NULL},
    {{{R "discard", "15"}}, NO_DROP, "1: " R "discard: this host cannot drop one recipient's copy: " ALONE "it"},
    {{{R "discard", "15"}}, SMTPF_CAN_DROP_RCPT, NULL},
    {{{R "discard", "15"}}, SMTPF_CAN_REPLY_PER_RCPT, NULL},
    {{{D "forward", "a@y.example"}, {D "route", "forward"}, {D "forward_sender", "b@x.example"}},
     SMTPF_CAN_SENDER_PER_RCPT,
     "3: " D "forward_sender: this host has one envelope sender for all copies: " ALONE "the same"},
    {{{D "forward", "a@y.example"}, {D "route", "forward"}}, SMTPF_CAN_SENDER_PER_RCPT, NULL},
    {{{D "reject_content", "true"}}, SMTPF_CAN_SEE_BODY, "1: " D "reject_content: this host does not show messages"},
    {{{D "reject_content", "false"}}, SMTPF_CAN_SEE_BODY, NULL},
    {{{D "reject", "9"}}, SMTPF_CAN_SEE_BODY, NULL},
    {{{R "forward_failed", "mailbox"}}, SMTPF_CAN_CUT_THROUGH, "1: " R "forward_failed: nothing is forwarded"},
};

START_TEST(of_what_the_host_cannot_keep)
{
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
    expect(&hosts[i]);
}
END_TEST

/* Checks of a family, or of a stage, answer some of it. */
START_TEST(of_checks)
{
  for (int i = 0; i < 3; i++) {
    world_init(&W);
    world_check(&W, "one", i == 1 ? SMTPF_BODY : SMTPF_RCPT, 0);
    W.checks[0].family = i == 0 ? SMTPF_FAMILY_GREYLIST : i == 1 ? SMTPF_FAMILY_CLIENT : SMTPF_FAMILY_CONTENT;
    ck_assert_int_eq(smtpf_config_set_at(W.cfg, "profiles[\"default\"]", "", 0, "some.conf", 1, NULL), SMTPF_OK);
    ck_assert_int_eq(smtpf_config_set_at(W.cfg, D "greylist", i == 0 ? "true" : "false", 0, "some.conf", 1, NULL),
                     SMTPF_OK);
    ck_assert_int_eq(smtpf_config_set_at(W.cfg, "check.timeout", "1s", 0, "some.conf", 2, NULL), SMTPF_OK);
    world_start(&W);
    ck_assert_uint_eq(smtpf_engine_lint(W.engine, ALL, NULL, NULL), 0);
    ck_assert_uint_eq(smtpf_engine_lint(W.engine, ALL & ~SMTPF_CAN_SEE_BODY, NULL, NULL), i > 0);
    world_end(&W);
  }
}
END_TEST

START_TEST(of_bounces)
{
  const struct {
    int family, stage;
    const char *bounces;
    unsigned lacks;
    size_t warnings;
  } rows[] = {
      {SMTPF_FAMILY_BOUNCE, SMTPF_RCPT, "signed", SMTPF_CAN_SEE_BODY, 0},
      {SMTPF_FAMILY_BOUNCE, SMTPF_RCPT, "proven", 0, 1},
      {SMTPF_FAMILY_PROOF, SMTPF_BODY, "proven", 0, 0},
      {SMTPF_FAMILY_PROOF, SMTPF_BODY, "signed", 0, 1},
      {SMTPF_FAMILY_PROOF, SMTPF_EOM, "proven", SMTPF_CAN_SEE_BODY, 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&W);
    world_check(&W, "one", (uint32_t)rows[i].stage, 0);
    W.checks[0].family = rows[i].family;
    ck_assert_int_eq(smtpf_config_set_at(W.cfg, D "bounces", rows[i].bounces, 0, "some.conf", 1, NULL), SMTPF_OK);
    world_start(&W);
    const size_t n = smtpf_engine_lint(W.engine, ALL & ~rows[i].lacks, NULL, NULL);
    ck_assert_msg(n == rows[i].warnings, "row %zu: %zu warnings", i, n);
    world_end(&W);
  }
}
END_TEST

/* Without a file there is none to name. */
static void no_file(void *user, const char *file, int line, smtpf_str text)
{
  ck_assert_ptr_eq(user, &n_said);
  ck_assert_ptr_null(file);
  ck_assert_int_eq(line, 0);
  ck_assert_uint_gt(text.n, 0);
  n_said++;
}

START_TEST(of_a_policy_made_by_calls)
{
  world_init(&W);
  world_set(&W, D "reject", "4");
  world_start(&W);
  n_said = 0;
  ck_assert_uint_eq(smtpf_engine_lint(W.engine, ALL, no_file, &n_said), 1);
  ck_assert_uint_eq(n_said, 1);
  world_end(&W);
}
END_TEST

TCase *lint_cases(void)
{
  TCase *c = tcase_create("lint");
  tcase_add_test(c, of_thresholds);
  tcase_add_test(c, of_several_at_once);
  tcase_add_test(c, of_wishes);
  tcase_add_test(c, of_routes_and_fallbacks);
  tcase_add_test(c, of_what_the_host_cannot_keep);
  tcase_add_test(c, of_checks);
  tcase_add_test(c, of_bounces);
  tcase_add_test(c, of_a_policy_made_by_calls);
  return c;
}
