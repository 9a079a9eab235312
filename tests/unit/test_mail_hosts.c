/* SPDX-License-Identifier: MIT
 *
 * Where mail for a domain goes, out of a zone: what is found, in which order, and what is no answer; and questions of a
 * program's own.
 */
#include <stdio.h>
#include <string.h>

#include <smtpfilter/smtpfilter.h>

#include <smtpfilter/ext/port.h>

#include "base/mem.h"
#include "base/str.h"
#include "port_run.h"
#include "suites.h"

static const char text[] = "two.example MX 20 b.example\n"
                           "two.example MX 10 a.example\n"
                           "a.example A 192.0.2.1\n"
                           "q.example A 192.0.2.5\n"
                           "a.example AAAA 2001:db8::1\n"
                           "b.example A 192.0.2.2\n"
                           "own.example A 192.0.2.3\n"
                           "null.example MX 0 .\n"
                           "half-null.example MX 0 .\n"
                           "half-null.example MX 5 b.example\n"
                           "gone.example NXDOMAIN\n"
                           "bare.example TXT word\n"
                           "empty.example MX 10 nowhere.example\n"
                           "broken.example MX SERVFAIL\n"
                           "slow.example MX TIMEOUT\n"
                           "unlucky.example MX 10 dead.example\n"
                           "dead.example SERVFAIL\n"
                           "lucky.example MX 10 dead.example\n"
                           "lucky.example MX 20 b.example\n"
                           "equal.example MX 5 e1.example\n"
                           "equal.example MX 5 e2.example\n"
                           "equal.example MX 5 e3.example\n"
                           "e1.example A 192.0.2.11\n"
                           "e2.example A 192.0.2.12\n"
                           "e3.example A 192.0.2.13\n"
                           "loop1.example CNAME loop2.example\n"
                           "loop2.example CNAME loop1.example\n"
                           "alias.example CNAME two.example\n"
                           "wide.example MX 1 wide1.example\n"
                           "wide.example MX 2 b.example\n"
                           "self.example MX 1 zero.example\n"
                           "zero.example A 0.0.0.0\n"
                           "zero.example AAAA ::\n";

typedef struct found {
  int calls, status;
  char hosts[2048]; /* `preference name address ...` */
  size_t n;
} found;

static struct {
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_zone *zone;
  uint64_t seed;
  int no_random;
  struct miser memory;
} W;

static int fill(void *user, void *out, size_t n)
{
  (void)user;
  if (W.no_random)
    return SMTPF_EIO;
  for (size_t i = 0; i < n; i++)
    ((unsigned char *)out)[i] = (unsigned char)(next_random(&W.seed) >> 24);
  return SMTPF_OK;
}

static const smtpf_random chance = {sizeof chance, NULL, fill};

static void begin(const char *more, const smtpf_resolver *resolver, void *shared)
{
  static char zone[32768];
  size_t line;
  smtpf_config *cfg;
  memset(&W, 0, sizeof W);
  W.seed = 1;
  W.memory.left = 1000000;
  const smtpf_mem mem = miser_mem(&W.memory);
  snprintf(zone, sizeof zone, "%s%s", text, more);
  ck_assert_int_eq(smtpf_zone_new(&W.zone, smtpf_str_of(zone), NULL, &line), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_new(&cfg, &mem), SMTPF_OK);
  ck_assert_int_eq(smtpf_engine_new(&W.engine, cfg, NULL), SMTPF_OK);
  smtpf_config_free(cfg);
  const smtpf_ports ports = {.size = sizeof ports,
                             .random = &chance,
                             .resolver = resolver ? resolver : smtpf_resolver_zone(),
                             .resolver_shared = resolver ? shared : W.zone};
  ck_assert_int_eq(smtpf_driver_new(&W.driver, W.engine, &ports), SMTPF_OK);
}

static void end(void)
{
  smtpf_driver_free(W.driver);
  smtpf_engine_unref(W.engine);
  smtpf_zone_free(W.zone);
  ck_assert_int_eq(W.memory.blocks, 0);
}

static void note(void *user, int status, const smtpf_mail_host *hosts, size_t n)
{
  found *f = user;
  smtpf_out o;
  f->calls++;
  f->status = status;
  f->n = n;
  smtpf_out_init(&o, f->hosts, sizeof f->hosts - 1);
  for (size_t i = 0; i < n; i++) {
    char ip[SMTPF_IP_TEXT];
    ck_assert_uint_eq(hosts[i].size, sizeof *hosts);
    const size_t len = smtpf_ip_format(&hosts[i].ip, ip);
    smtpf_out_cstr(&o, i ? ", " : "");
    smtpf_out_uint(&o, hosts[i].preference);
    smtpf_out_char(&o, ' ');
    smtpf_out_str(&o, hosts[i].name);
    smtpf_out_char(&o, ' ');
    smtpf_out_str(&o, (smtpf_str){ip, len});
  }
  f->hosts[o.n] = '\0';
}

static const found *look(const char *domain)
{
  static found f;
  memset(&f, 0, sizeof f);
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, smtpf_str_of(domain), note, &f), SMTPF_OK);
  ck_assert_int_eq(f.calls, 1);
  return &f;
}

static void expect(const char *domain, int status, const char *hosts)
{
  const found *f = look(domain);
  ck_assert_msg(f->status == status && strcmp(f->hosts, hosts) == 0, "%s: %d `%s`", domain, f->status, f->hosts);
}

START_TEST(hosts_come_by_preference)
{
  begin("", NULL, NULL);
  expect("two.example", SMTPF_MAIL_HOSTS_OK,
         "10 a.example 192.0.2.1, 10 a.example 2001:db8::1, 20 b.example 192.0.2.2");
  expect("Two.Example.", SMTPF_MAIL_HOSTS_OK,
         "10 a.example 192.0.2.1, 10 a.example 2001:db8::1, 20 b.example 192.0.2.2");
  expect("own.example", SMTPF_MAIL_HOSTS_OK, "0 own.example 192.0.2.3");
  expect("half-null.example", SMTPF_MAIL_HOSTS_OK, "5 b.example 192.0.2.2");
  expect("alias.example", SMTPF_MAIL_HOSTS_OK,
         "10 a.example 192.0.2.1, 10 a.example 2001:db8::1, 20 b.example 192.0.2.2");
  end();
}
END_TEST

START_TEST(literals_are_their_own_host)
{
  begin("", NULL, NULL);
  expect("[192.0.2.9]", SMTPF_MAIL_HOSTS_OK, "0 [192.0.2.9] 192.0.2.9");
  expect("192.0.2.9", SMTPF_MAIL_HOSTS_OK, "0 192.0.2.9 192.0.2.9");
  expect("[IPv6:2001:db8::9]", SMTPF_MAIL_HOSTS_OK, "0 [IPv6:2001:db8::9] 2001:db8::9");
  expect("[0.0.0.0]", SMTPF_MAIL_HOSTS_ABSENT, "");
  end();
}
END_TEST

START_TEST(what_is_no_host_is_told_apart)
{
  begin("", NULL, NULL);
  expect("null.example", SMTPF_MAIL_HOSTS_NULL, "");
  expect("gone.example", SMTPF_MAIL_HOSTS_ABSENT, "");
  expect("bare.example", SMTPF_MAIL_HOSTS_ABSENT, "");  /* it exists, and has nothing to connect to */
  expect("empty.example", SMTPF_MAIL_HOSTS_ABSENT, ""); /* an MX that does not */
  expect("self.example", SMTPF_MAIL_HOSTS_ABSENT, "");
  expect("broken.example", SMTPF_MAIL_HOSTS_UNKNOWN, "");
  expect("slow.example", SMTPF_MAIL_HOSTS_UNKNOWN, "");
  expect("unlucky.example", SMTPF_MAIL_HOSTS_UNKNOWN, "");
  expect("lucky.example", SMTPF_MAIL_HOSTS_OK, "20 b.example 192.0.2.2");
  expect("loop1.example", SMTPF_MAIL_HOSTS_UNKNOWN, "");
  end();
}
END_TEST

START_TEST(no_name_is_refused)
{
  char longest[300];
  found f = {0};
  memset(longest, 'a', sizeof longest);
  begin("", NULL, NULL);
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, SMTPF_LIT(""), note, &f), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, SMTPF_LIT("."), note, &f), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, (smtpf_str){longest, 254}, note, &f), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, S("a\0b.example"), note, &f), SMTPF_EINVAL);
  ck_assert_int_eq(f.calls, 0);
  end();
}
END_TEST

/* Each of the three comes first about as often as the others. */
START_TEST(equal_ones_come_in_random_order)
{
  int first[3] = {0};
  begin("", NULL, NULL);
  for (int i = 0; i < 300; i++) {
    const found *f = look("equal.example");
    ck_assert_uint_eq(f->n, 3);
    first[f->hosts[3] - '1']++;
  }
  for (int i = 0; i < 3; i++)
    ck_assert_msg(first[i] > 60 && first[i] < 140, "%d: %d", i, first[i]);
  W.no_random = 1;
  expect("equal.example", SMTPF_MAIL_HOSTS_OK,
         "5 e1.example 192.0.2.11, 5 e2.example 192.0.2.12, 5 e3.example 192.0.2.13");
  end();
}
END_TEST

/* Many names, and one name with many addresses: sixteen hosts, and nobody fills the list alone. */
START_TEST(there_are_at_most_sixteen)
{
  static char more[16384];
  size_t n = 0;
  for (int i = 0; i < 60; i++)
    n += (size_t)snprintf(more + n, sizeof more - n, "many.example MX %d m%d.example\nm%d.example A 192.0.2.%d\n",
                          (i * 7) % 60, i, i, i + 1);
  for (int i = 0; i < 40; i++)
    n += (size_t)snprintf(more + n, sizeof more - n, "wide1.example A 198.51.100.%d\n", i + 1);
  begin(more, NULL, NULL);
  const found *f = look("many.example");
  ck_assert_uint_eq(f->n, 16);
  ck_assert_msg(strncmp(f->hosts, "0 m0.example 192.0.2.1, 1 m43.example 192.0.2.44, 2 ", 52) == 0, "%s", f->hosts);
  ck_assert_ptr_nonnull(strstr(f->hosts, ", 15 m45.example 192.0.2.46"));
  f = look("wide.example");
  ck_assert_uint_eq(f->n, 5);
  ck_assert_ptr_nonnull(strstr(f->hosts, "2 b.example 192.0.2.2"));
  end();
}
END_TEST

/* ---- a resolver that waits ---- */

typedef struct held {
  smtpf_driver *driver;
  smtpf_op ops[64];
  int types[64];
  char names[64][256];
  size_t n, cancelled;
} held;

static int held_start(void *shared, smtpf_driver *driver, void **self)
{
  ((held *)shared)->driver = driver;
  *self = shared;
  return SMTPF_OK;
}

static int held_query(void *self, smtpf_op op, int type, const char *name)
{
  held *h = self;
  ck_assert_uint_lt(h->n, 64);
  h->ops[h->n] = op;
  h->types[h->n] = type;
  snprintf(h->names[h->n++], 256, "%s", name);
  return SMTPF_OK;
}

static void held_cancel(void *self, smtpf_op op)
{
  (void)op;
  ((held *)self)->cancelled++;
}

static void held_stop(void *self)
{
  (void)self;
}

static const smtpf_resolver holding = {sizeof holding, "held", held_start, held_query, held_cancel, held_stop};

static void answer(held *h, size_t i, int status, const smtpf_dns_record *records, size_t n)
{
  const smtpf_dns_answer a = {sizeof a, status, 0, n, records};
  ck_assert_int_eq(smtpf_op_dns(h->driver, h->ops[i], &a), SMTPF_OK);
}

START_TEST(answers_come_in_any_order)
{
  static held h;
  memset(&h, 0, sizeof h);
  begin("", &holding, &h);
  found a = {0}, b = {0};
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, SMTPF_LIT("x.example"), note, &a), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, SMTPF_LIT("X.example"), note, &b), SMTPF_OK);
  ck_assert_uint_eq(h.n, 1); /* asked once for both */
  const smtpf_dns_record mx[] = {{.type = SMTPF_DNS_MX, .preference = 1, .text = SMTPF_LIT("one.example")},
                                 {.type = SMTPF_DNS_MX, .preference = 2, .text = SMTPF_LIT("two.example")}};
  answer(&h, 0, SMTPF_DNS_OK, mx, 2);
  ck_assert_uint_eq(h.n, 5);
  const smtpf_dns_record ip = {.type = SMTPF_DNS_A, .ip = {4, {192, 0, 2, 1}}};
  for (size_t i = 5; i-- > 1;) {
    ck_assert_int_eq(a.calls + b.calls, 0);
    answer(&h, i, h.types[i] == SMTPF_DNS_A ? SMTPF_DNS_OK : SMTPF_DNS_TIMEOUT, &ip, h.types[i] == SMTPF_DNS_A);
  }
  ck_assert_int_eq(a.calls, 1);
  ck_assert_int_eq(b.calls, 1);
  ck_assert_str_eq(a.hosts, "1 one.example 192.0.2.1, 2 two.example 192.0.2.1");
  ck_assert_str_eq(a.hosts, b.hosts);
  end();
}
END_TEST

static void count_answer(void *user, const smtpf_dns_answer *a)
{
  ck_assert_uint_eq(a->size, sizeof *a);
  ++*(int *)user;
}

/* The driver goes: nobody is told, nothing is kept. */
START_TEST(a_driver_takes_its_questions_along)
{
  static held h;
  memset(&h, 0, sizeof h);
  begin("", &holding, &h);
  found f = {0};
  int calls = 0;
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, SMTPF_LIT("x.example"), note, &f), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_mail_hosts(W.driver, SMTPF_LIT("y.example"), note, &f), SMTPF_OK);
  const smtpf_dns_record mx = {.type = SMTPF_DNS_MX, .preference = 1, .text = SMTPF_LIT("one.example")};
  answer(&h, 1, SMTPF_DNS_OK, &mx, 1);
  ck_assert_int_eq(smtpf_driver_query(W.driver, SMTPF_DNS_A, SMTPF_LIT("z.example"), count_answer, &calls), SMTPF_OK);
  end();
  ck_assert_int_eq(f.calls + calls, 0);
}
END_TEST

/* ---- questions of a program's own ---- */

static void ask_again(void *user, const smtpf_dns_answer *a)
{
  int *calls = user;
  ck_assert_int_eq(a->status, SMTPF_DNS_OK);
  if (++*calls < 5)
    ck_assert_int_eq(
        smtpf_driver_query(W.driver, SMTPF_DNS_A, SMTPF_LIT("q.example"), *calls == 3 ? count_answer : ask_again, user),
        SMTPF_OK);
}

START_TEST(a_question_may_be_asked_in_an_answer)
{
  static held h;
  memset(&h, 0, sizeof h);
  begin("", &holding, &h);
  int calls = 0;
  const smtpf_dns_record ip = {.type = SMTPF_DNS_A, .ip = {4, {192, 0, 2, 1}}};
  ck_assert_int_eq(smtpf_driver_query(W.driver, SMTPF_DNS_A, SMTPF_LIT("q.example"), ask_again, &calls), SMTPF_OK);
  for (int i = 1; i <= 4; i++) { /* answers that may not be kept: each time a question of its own */
    ck_assert_int_eq(calls, i - 1);
    ck_assert_uint_eq(h.n, (size_t)i);
    answer(&h, (size_t)i - 1, SMTPF_DNS_OK, &ip, 1);
  }
  ck_assert_int_eq(calls, 4);
  ck_assert_uint_eq(h.n, 4);
  end();
}
END_TEST

START_TEST(answers_are_kept_for_programs_too)
{
  begin("", NULL, NULL);
  int calls = 0;
  ck_assert_int_eq(smtpf_driver_query(W.driver, SMTPF_DNS_A, SMTPF_LIT("q.example"), ask_again, &calls), SMTPF_OK);
  ck_assert_int_eq(calls, 4); /* each inside the one before */
  ck_assert_int_eq(smtpf_driver_query(W.driver, SMTPF_DNS_A, SMTPF_LIT(""), count_answer, &calls), SMTPF_EINVAL);
  ck_assert_int_eq(calls, 4);
  end();
}
END_TEST

/* Without memory: an error, or an answer that is unknown; never a host too few that reads as none. */
START_TEST(memory_runs_out_anywhere)
{
  long n = 0;
  for (int done = 0; !done; n++) {
    found f = {0};
    begin("", NULL, NULL);
    W.memory.left = n;
    const int r = smtpf_driver_mail_hosts(W.driver, SMTPF_LIT("two.example"), note, &f);
    done = W.memory.left > 0;
    ck_assert_int_eq(f.calls, r == SMTPF_OK);
    if (r != SMTPF_OK)
      ck_assert_int_eq(r, SMTPF_ENOMEM);
    else
      ck_assert_msg(f.status == SMTPF_MAIL_HOSTS_UNKNOWN || (f.status == SMTPF_MAIL_HOSTS_OK && f.n > 0), "%d: %d",
                    (int)n, f.status);
    end();
  }
  ck_assert_int_gt(n, 5);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("mail_hosts");
  const TTest *const tests[] = {hosts_come_by_preference,
                                literals_are_their_own_host,
                                what_is_no_host_is_told_apart,
                                no_name_is_refused,
                                equal_ones_come_in_random_order,
                                there_are_at_most_sixteen,
                                answers_come_in_any_order,
                                a_driver_takes_its_questions_along,
                                a_question_may_be_asked_in_an_answer,
                                answers_are_kept_for_programs_too,
                                memory_runs_out_anywhere,
                                NULL};
  add_case(s, "mail_hosts", tests);
  return port_run(s);
}
