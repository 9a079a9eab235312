/* SPDX-License-Identifier: MIT
 *
 * The engine: what a policy says of profiles, recipients, domains and networks; what it refuses to load; and that a
 * frozen policy is its own.
 */
#include <stdio.h>
#include <string.h>

#include "core/directory.h"
#include "core_world.h"
#include "test_core.h"

static world W;

/* The error of freezing what is there; the engine is not kept. */
static int freeze(smtpf_error *err)
{
  smtpf_engine *e = NULL;
  *err = (smtpf_error){.size = sizeof *err};
  const int r = smtpf_engine_new(&e, W.cfg, err);
  ck_assert_int_eq(r == SMTPF_OK, e != NULL);
  smtpf_engine_unref(e);
  return r;
}

START_TEST(contradictions_do_not_load)
{
  static const struct {
    const char *path, *value;
    int append, result;
  } rows[] = {
      {"profile", "nobody", 0, SMTPF_ENOTFOUND},
      {"profiles[\"other\"].reject", "3", 0, SMTPF_ENOTFOUND}, /* then there is no `default` */
      {"profiles[\"default\"].inherit", "nobody", 0, SMTPF_ENOTFOUND},
      {"profiles[\"default\"].inherit", "default", 0, SMTPF_EINVAL},
      {"recipients[\"x\"].profile", "default", 0, SMTPF_EPARSE},
      {"recipients[\"@\"].profile", "default", 0, SMTPF_EPARSE},
      {"recipients[\"a@b.example\"].profile", "nobody", 0, SMTPF_ENOTFOUND},
      {"local_domains", "-", 1, SMTPF_EPARSE},
      {"local_domains", "192.0.2.1", 1, SMTPF_EPARSE},
      {"own_networks", "192.0.2.1/24", 1, SMTPF_EPARSE},
      {"tag.header", "X Y", 0, SMTPF_EINVAL},
      {"tag.header", "X:", 0, SMTPF_EINVAL},
      {"tag.header", "", 0, SMTPF_EINVAL},
      {"check.disable", "nothing", 1, SMTPF_ENOTFOUND},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_error err;
    world_init(&W);
    ck_assert_int_eq(smtpf_config_set_at(W.cfg, rows[i].path, rows[i].value, rows[i].append, "some.conf", 17, NULL),
                     SMTPF_OK);
    const int r = freeze(&err);
    ck_assert_msg(r == rows[i].result, "%s = %s: %d", rows[i].path, rows[i].value, r);
    ck_assert_int_eq(err.code, r);
    ck_assert_msg(err.text[0], "%s: no words", rows[i].path);
    world_end(&W);
  }
}
END_TEST

START_TEST(thresholds_are_inherited)
{
  char path[64], value[16];
  world_init(&W);
  world_set(&W, "profiles[\"default\"].inherit", "p1");
  for (int i = 1; i <= 15; i++) {
    snprintf(path, sizeof path, "profiles[\"p%d\"].inherit", i);
    snprintf(value, sizeof value, "p%d", i + 1);
    world_set(&W, path, value);
  }
  world_set(&W, "profiles[\"p3\"].tag", "-1");
  world_set(&W, "profiles[\"p16\"].reject", "2.5"); /* sixteen levels up */
  world_set(&W, "profiles[\"p16\"].tag", "1");
  world_start(&W);
  ck_assert_int_eq(W.engine->site->reject, 2500);
  ck_assert_int_eq(W.engine->site->tag, -1000);
  ck_assert_int_eq(W.engine->site->quarantine, SMTPF_SCORE_OFF);
  ck_assert_uint_eq(smtpf_engine_needs(W.engine), SMTPF_CAN_EDIT);
  world_end(&W);
  world_init(&W);
  world_set(&W, "profiles[\"default\"].tag", "off");
  world_set(&W, "profiles[\"default\"].quarantine", "7");
  world_start(&W);
  ck_assert_uint_eq(smtpf_engine_needs(W.engine), SMTPF_CAN_QUARANTINE);
  world_end(&W);
}
END_TEST

static const char *profile_of(const char *address)
{
  const smtpf_profile *p = smtpf_engine_recipient(W.engine, smtpf_str_of(address));
  return p ? p->name.p : "";
}

START_TEST(recipients_and_places)
{
  world_init(&W);
  for (const char *const *p = (const char *const[]){"default", "of user", "of detail", "of domain", NULL}; *p; p++) {
    char path[64];
    snprintf(path, sizeof path, "profiles[\"%s\"]", *p);
    world_set(&W, path, "");
  }
  world_set(&W, "recipients[\"User@X.example\"].profile", "of user");
  world_set(&W, "recipients[\"user+a@x.example\"].profile", "of detail");
  world_set(&W, "recipients[\"@x.example\"].profile", "of domain");
  world_set(&W, "recipients[\"plain@x.example\"]", "");
  world_append(&W, "local_domains", "X.Example");
  world_append(&W, "own_networks", "192.0.2.0/28");
  world_append(&W, "own_networks", "2001:db8::/32");
  world_start(&W);
  ck_assert_str_eq(profile_of("user@x.example"), "of user");
  ck_assert_str_eq(profile_of("USER@X.EXAMPLE"), "of user");
  ck_assert_str_eq(profile_of("user+b+c@x.example"), "of user");
  ck_assert_str_eq(profile_of("user+a@x.example"), "of detail");
  ck_assert_str_eq(profile_of("other@x.example"), "of domain");
  ck_assert_str_eq(profile_of("+user@x.example"), "of domain");
  ck_assert_str_eq(profile_of("plain@x.example"), "default");
  ck_assert_str_eq(profile_of("user@y.example"), "");
  ck_assert_str_eq(profile_of("postmaster"), "");
  ck_assert(smtpf_engine_is_local(W.engine, SMTPF_LIT("a@x.EXAMPLE")));
  ck_assert(!smtpf_engine_is_local(W.engine, SMTPF_LIT("a@y.example")));
  ck_assert(!smtpf_engine_is_local(W.engine, SMTPF_LIT("x.example")));
  smtpf_session *s = world_session(&W, 0, SMTPF_SMTP);
  ck_assert_int_eq(world_connect(s, "192.0.2.15"), SMTPF_OK);
  ck_assert_int_eq(s->own, 1);
  smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("IPv6:2001:db8::1"), .rdns = SMTPF_LIT("mx.example")};
  ck_assert_int_eq(smtpf_session_rebind(s, &peer), SMTPF_OK);
  ck_assert_int_eq(s->own, 1);
  ck_assert_str_eq(s->client_text.p, "2001:db8::1");
  peer.address = SMTPF_LIT("192.0.2.16");
  ck_assert_int_eq(smtpf_session_rebind(s, &peer), SMTPF_OK);
  ck_assert_int_eq(s->own, 0);
  peer.address = SMTPF_LIT("192.0.2.256");
  ck_assert_int_eq(smtpf_session_rebind(s, &peer), SMTPF_EINVAL);
  peer.size = 8;
  ck_assert_int_eq(smtpf_session_rebind(s, &peer), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_session_rebind(s, NULL), SMTPF_EINVAL);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

static int found(const char *address)
{
  script *c = &W.scripts[0];
  c->last_tag = 0;
  smtpf_session *s = world_greeted(&W, 0);
  char path[100];
  snprintf(path, sizeof path, "<%s>", address);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, path), SMTPF_OK);
  smtpf_session_free(s);
  return (int)c->finding.score;
}

static int note_status(script *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)t;
  self->finding.score = a->directory->status;
  return SMTPF_OK;
}

START_TEST(the_policys_own_directory)
{
  world_init(&W);
  script *c = world_check(&W, "who", SMTPF_RCPT, 1);
  c->run = script_lookup;
  c->resume = note_status;
  world_set(&W, "recipients[\"a@x.example\"]", "");
  world_append(&W, "local_domains", "x.example");
  world_set(&W, "directory.complete", "true");
  W.ports.directory = smtpf_directory_policy();
  W.ports.directory_shared = NULL;
  world_start(&W);
  ck_assert_int_eq(found("a@x.example"), SMTPF_DIRECTORY_EXISTS);
  ck_assert_int_eq(found("b@x.example"), SMTPF_DIRECTORY_ABSENT);
  ck_assert_int_eq(found("b@y.example"), SMTPF_DIRECTORY_EXISTS); /* not ours to say */
  world_end(&W);
}
END_TEST

/* A configuration may be changed and frozen again, and go before its engines. */
START_TEST(a_frozen_policy_is_its_own)
{
  world_init(&W);
  world_set(&W, "limits.errors", "7");
  smtpf_engine *first = NULL, *second = NULL;
  ck_assert_int_eq(smtpf_engine_new(&first, W.cfg, NULL), SMTPF_OK);
  world_set(&W, "limits.errors", "8");
  world_append(&W, "local_domains", "x.example");
  ck_assert_int_eq(smtpf_engine_new(&second, W.cfg, NULL), SMTPF_OK);
  smtpf_config_free(W.cfg);
  W.cfg = NULL;
  int64_t n;
  ck_assert_int_eq(smtpf_engine_number(first, "limits.errors", &n), SMTPF_OK);
  ck_assert_int_eq(n, 7);
  ck_assert_int_eq(smtpf_engine_number(second, "limits.errors", &n), SMTPF_OK);
  ck_assert_int_eq(n, 8);
  ck_assert(!smtpf_engine_is_local(first, SMTPF_LIT("a@x.example")));
  ck_assert(smtpf_engine_is_local(second, SMTPF_LIT("a@x.example")));
  ck_assert_int_eq(smtpf_driver_create(&W.driver, first, &W.ports), SMTPF_OK);
  smtpf_session *old = world_session(&W, 0, SMTPF_SMTP);
  smtpf_driver_set_engine(W.driver, second);
  smtpf_engine_unref(first); /* the session and nobody else holds it */
  smtpf_session *new = world_session(&W, 0, SMTPF_SMTP);
  ck_assert_ptr_eq(smtpf_driver_engine(W.driver), second);
  smtpf_driver_set_engine(W.driver, second);
  smtpf_engine_unref(second);
  ck_assert_int_eq(old->engine->limits.errors, 7);
  ck_assert_int_eq(new->engine->limits.errors, 8);
  ck_assert_int_eq(world_connect(old, "192.0.2.1"), SMTPF_OK);
  smtpf_session_free(old);
  world_end(&W); /* frees the other one too */
}
END_TEST

static int ask(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  return smtpf_task_lookup(t, ev->recipient->address, 1) == SMTPF_OK ? SMTPF_PENDING : SMTPF_EINVAL;
}

static int told(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  return smtpf_task_clear(t, a->directory->status == SMTPF_DIRECTORY_EXISTS ? "exists" : "absent");
}

/* A reload must not change who exists in the middle of a conversation. */
START_TEST(a_session_asks_the_directory_of_its_own_policy)
{
  static const smtpf_check asks = {
      .size = sizeof asks, .name = "asks", .stages = SMTPF_RCPT, .tier = 1, .run = ask, .resume = told};
  world_init(&W);
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &asks), SMTPF_OK);
  world_append(&W, "local_domains", "x.example");
  W.ports.directory = smtpf_directory_policy();
  world_start(&W);
  smtpf_session *old = world_greeted(&W, 0);
  smtpf_engine *second = NULL;
  world_set(&W, "directory.complete", "true");
  ck_assert_int_eq(smtpf_engine_new(&second, W.cfg, NULL), SMTPF_OK);
  smtpf_driver_set_engine(W.driver, second);
  smtpf_engine_unref(second);
  smtpf_session *both[] = {old, world_greeted(&W, 0)};
  for (size_t i = 0; i < 2; i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    ck_assert_int_eq(world_mail(both[i], "<>"), SMTPF_OK);
    ck_assert_int_eq(world_rcpt(both[i], "<a@x.example>"), SMTPF_OK);
    ck_assert_int_eq(smtpf_verdict_evidence(smtpf_session_verdict(both[i]), 0, &e), SMTPF_OK);
    ck_assert(smtpf_str_equal(e.code, smtpf_str_of(i ? "absent" : "exists")));
    smtpf_session_free(both[i]);
  }
  world_end(&W);
}
END_TEST

static int refuses_to_start(void *shared, smtpf_driver *driver, void **self)
{
  (void)driver;
  (void)self;
  ((world *)shared)->stops += 100;
  return SMTPF_EIO;
}

START_TEST(a_port_that_does_not_start_stops_the_others)
{
  for (int i = 0; i < 3; i++) {
    world_init(&W);
    smtpf_resolver resolver = *W.ports.resolver;
    smtpf_directory directory = *W.ports.directory;
    smtpf_store store = *W.ports.store;
    W.ports.resolver = &resolver;
    W.ports.directory = &directory;
    W.ports.store = &store;
    *(i == 0 ? &resolver.start : i == 1 ? &directory.start : &store.start) = refuses_to_start;
    ck_assert_int_eq(world_try_start(&W), SMTPF_EIO);
    ck_assert_int_eq(W.stops, 100 + i + 1);
    W.driver = NULL;
    world_end(&W);
  }
  world_init(&W);
  W.no_random = 1;
  ck_assert_int_eq(world_try_start(&W), SMTPF_EIO);
  world_end(&W);
}
END_TEST

TCase *engine_cases(void)
{
  TCase *c = tcase_create("engine");
  tcase_add_test(c, contradictions_do_not_load);
  tcase_add_test(c, thresholds_are_inherited);
  tcase_add_test(c, recipients_and_places);
  tcase_add_test(c, the_policys_own_directory);
  tcase_add_test(c, a_frozen_policy_is_its_own);
  tcase_add_test(c, a_session_asks_the_directory_of_its_own_policy);
  tcase_add_test(c, a_port_that_does_not_start_stops_the_others);
  return c;
}
