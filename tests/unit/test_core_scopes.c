/* SPDX-License-Identifier: MIT
 *
 * Scopes: which of them a client is in; and personal entries: which one decides.
 */
#include <stdio.h>
#include <string.h>

#include "core_world.h"
#include "test_core.h"

static world W;

static smtpf_ip ip(const char *text)
{
  smtpf_ip out = {0};
  if (*text)
    ck_assert_msg(smtpf_ip_parse(smtpf_str_of(text), &out) == SMTPF_OK, "%s", text);
  return out;
}

/* Scopes as letters: `ac` for the first and the third. */
static const char *scopes(const char *client, const char *identity, const char *name)
{
  static char letters[65];
  const smtpf_ip address = ip(client);
  const uint64_t mask =
      smtpf_engine_scopes(W.engine, &address, identity != NULL, smtpf_str_of(identity), smtpf_str_of(name));
  size_t n = 0;
  for (int i = 0; i < 64; i++)
    if (mask >> i & 1)
      letters[n++] = (char)('a' + i);
  letters[n] = '\0';
  return letters;
}

START_TEST(by_network)
{
  static const char *const networks[][2] = {
      {"a", "192.0.2.0/24"}, {"b", "192.0.2.128/25"}, {"c", "192.0.2.128/25"}, {"d", "192.0.2.129"},
      {"a", "192.0.2.129"},  {"e", "0.0.0.0/0"},      {"f", "2001:db8::/32"},  {"g", "2001:db8:0:1::/64"},
      {"f", "198.51.100.1"}, {"g", "2001:db8::1"},    {"h", "::/0"},           {"b", "192.0.2.128/25"}};
  char path[64];
  world_init(&W);
  for (char name[] = "a"; *name <= 'h'; ++*name) {
    snprintf(path, sizeof path, "scopes[\"%s\"]", name);
    world_set(&W, path, "");
  }
  for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
    snprintf(path, sizeof path, "scopes[\"%s\"].networks", networks[i][0]);
    world_append(&W, path, networks[i][1]);
  }
  world_start(&W);
  ck_assert_str_eq(scopes("192.0.2.1", NULL, ""), "ae");
  ck_assert_str_eq(scopes("192.0.2.128", NULL, ""), "abce");
  ck_assert_str_eq(scopes("192.0.2.129", NULL, ""), "abcde");
  ck_assert_str_eq(scopes("192.0.3.1", NULL, ""), "e");
  ck_assert_str_eq(scopes("198.51.100.1", NULL, ""), "ef");
  ck_assert_str_eq(scopes("::ffff:198.51.100.1", NULL, ""), "ef");
  ck_assert_str_eq(scopes("2001:db8::2", NULL, ""), "fh");
  ck_assert_str_eq(scopes("2001:db8::1", NULL, ""), "fgh");
  ck_assert_str_eq(scopes("2001:db8:0:1::9", NULL, ""), "fgh");
  ck_assert_str_eq(scopes("2001:db9::", NULL, ""), "h");
  ck_assert_str_eq(scopes("", NULL, ""), "");
  ck_assert_uint_eq(smtpf_engine_scopes(W.engine, NULL, 0, SMTPF_LIT(""), SMTPF_LIT("")), 0);
  world_end(&W);
}
END_TEST

START_TEST(by_identity_and_name)
{
  world_init(&W);
  world_set(&W, "scopes[\"a\"].authenticated", "yes");
  world_append(&W, "scopes[\"b\"].identities", "Alice");
  world_append(&W, "scopes[\"b\"].identities", "bob@x.example");
  world_append(&W, "scopes[\"c\"].identities", "alice");
  world_append(&W, "scopes[\"d\"].names", "X.example.");
  world_append(&W, "scopes[\"e\"].names", "mail.x.example");
  world_append(&W, "scopes[\"e\"].networks", "192.0.2.1");
  world_append(&W, "scopes[\"f\"].names", "example");
  world_set(&W, "scopes[\"g\"].authenticated", "yes");
  char longest[SMTPF_ADDRESS_MAX + 2];
  memset(longest, 'z', sizeof longest);
  longest[SMTPF_ADDRESS_MAX] = '\0';
  world_append(&W, "scopes[\"h\"].identities", longest);
  world_append(&W, "forwarders", "c");
  world_append(&W, "forwarders", "d");
  world_append(&W, "backup_mx", "f");
  world_start(&W);
  ck_assert_str_eq(scopes("", "carol", ""), "ag");
  ck_assert_str_eq(scopes("", "", ""), "ag");
  ck_assert_str_eq(scopes("", "ALICE", ""), "abcg");
  ck_assert_str_eq(scopes("", "bob@X.EXAMPLE", ""), "abg");
  ck_assert_str_eq(scopes("", longest, ""), "agh");
  ck_assert_str_eq(scopes("192.0.2.1", "carol", "x.example"), "adefg");
  ck_assert_str_eq(scopes("192.0.2.1", NULL, "x.example"), "def");
  ck_assert_str_eq(scopes("192.0.2.2", NULL, "a.Mail.X.Example."), "def");
  ck_assert_str_eq(scopes("", NULL, "mail.x.example"), "def");
  ck_assert_str_eq(scopes("", NULL, "axe.x.example"), "df");
  ck_assert_str_eq(scopes("", NULL, "notx.example"), "f");
  ck_assert_str_eq(scopes("", NULL, "x.example.org"), "");
  ck_assert_str_eq(scopes("", NULL, ".."), "");
  ck_assert_uint_eq(W.engine->forwarders, 12);
  ck_assert_uint_eq(W.engine->backup_mx, 32);
  /* An identity that was not proven counts for nothing; what is too long is in nothing. */
  char name[2000];
  memset(name, 'a', sizeof name);
  memcpy(name + sizeof name - 10, ".x.example", 10);
  const smtpf_str alice = SMTPF_LIT("alice"), huge = {name, sizeof name};
  ck_assert_uint_eq(smtpf_engine_scopes(W.engine, NULL, 0, alice, alice), 0);
  ck_assert_uint_eq(smtpf_engine_scopes(W.engine, NULL, 1, huge, huge), 1 | 64);
  world_end(&W);
}
END_TEST

/* Against every network looked at one by one, in a space so small that they nest many times. */
START_TEST(as_if_looked_at_one_by_one)
{
  enum { NETS = 400, ASKED = 3000 };
  static smtpf_prefix nets[NETS];
  static unsigned of[NETS];
  uint32_t seed = 12345;
  world_init(&W);
  for (size_t i = 0; i < NETS; i++) {
    char path[64], text[SMTPF_IP_TEXT];
    const int six = (seed = seed * 1664525 + 1013904223) >> 31 != 0;
    const unsigned len = (seed >> 8) % (six ? 129 : 33);
    smtpf_prefix *p = &nets[i];
    p->ip.family = six ? 6 : 4;
    p->len = (uint8_t)len;
    for (unsigned b = 0; b < len; b++)
      if (b % 5 == 0 && (seed = seed * 1664525 + 1013904223) >> 30 == 0)
        p->ip.bytes[b / 8] |= (uint8_t)(0x80 >> b % 8);
    of[i] = (seed >> 3) % 64;
    smtpf_prefix_format(p, text);
    snprintf(path, sizeof path, "scopes[\"%02u\"]", of[i]);
    world_set(&W, path, "");
    snprintf(path, sizeof path, "scopes[\"%02u\"].networks", of[i]);
    world_append(&W, path, text);
  }
  world_start(&W);
  static uint64_t bit[NETS];
  for (size_t i = 0; i < NETS; i++)
    for (size_t n = 0; n < W.engine->scopes.n; n++) {
      const smtpf_section *s = smtpf_section_at(W.engine->tree.root, "scopes", n);
      if ((unsigned)(s->key.p[0] - '0') * 10 + (unsigned)(s->key.p[1] - '0') == of[i])
        bit[i] = UINT64_C(1) << n;
    }
  for (size_t k = 0; k < ASKED; k++) {
    smtpf_ip client = nets[(seed = seed * 1664525 + 1013904223) % NETS].ip;
    const unsigned flip = (seed >> 4) % (client.family == 4 ? 32 : 128);
    client.bytes[flip / 8] ^= (uint8_t)((seed >> 20 & 1) * (0x80 >> flip % 8));
    uint64_t expected = 0;
    for (size_t i = 0; i < NETS; i++)
      if (smtpf_prefix_contains(&nets[i], &client))
        expected |= bit[i];
    ck_assert_uint_eq(smtpf_engine_scopes(W.engine, &client, 0, SMTPF_LIT(""), SMTPF_LIT("")), expected);
  }
  world_end(&W);
}
END_TEST

/* ---- personal entries ------------------------------------------------------------------------------------------- */

START_TEST(the_more_exact_entry_decides)
{
  static const struct {
    const char *allow, *deny, *sender, *client;
    int kind;
  } rows[] = {
      {"", "", "<a@x.example>", "192.0.2.1", SMTPF_ENTRY_NONE},
      {"a@x.example", "", "<A@X.EXAMPLE>", "", SMTPF_ENTRY_ALLOW},
      {"a@x.example", "", "<a+b@x.example>", "", SMTPF_ENTRY_NONE},
      {"a@x.example", "", "<a@y.example>", "", SMTPF_ENTRY_NONE},
      {"", "a@x.example", "<a@x.example>", "", SMTPF_ENTRY_DENY},
      {"a@x.example", "@x.example", "<a@x.example>", "", SMTPF_ENTRY_ALLOW},
      {"a@x.example", "@x.example", "<b@x.example>", "", SMTPF_ENTRY_DENY},
      {"@x.example", "a@x.example", "<a@x.example>", "", SMTPF_ENTRY_DENY},
      {"@x.example", "", "<a@sub.x.example>", "", SMTPF_ENTRY_NONE},
      {"@x.example", "a@", "<a@x.example>", "", SMTPF_ENTRY_ALLOW},
      {"a@", "@x.example", "<a@x.example>", "", SMTPF_ENTRY_DENY},
      {"a@", "@x.example", "<a@y.example>", "", SMTPF_ENTRY_ALLOW},
      {"a@", "192.0.2.1", "<a@y.example>", "192.0.2.1", SMTPF_ENTRY_ALLOW},
      {"192.0.2.1", "a@", "<a@y.example>", "192.0.2.1", SMTPF_ENTRY_DENY},
      {"192.0.2.0/24", "192.0.2.1", "<a@y.example>", "192.0.2.1", SMTPF_ENTRY_DENY},
      {"192.0.2.1", "192.0.2.0/24", "<a@y.example>", "192.0.2.1", SMTPF_ENTRY_ALLOW},
      {"192.0.2.1", "192.0.2.0/24", "<a@y.example>", "192.0.2.2", SMTPF_ENTRY_DENY},
      {"2001:db8::/32", "", "<a@y.example>", "2001:db8::1", SMTPF_ENTRY_ALLOW},
      {"0.0.0.0/0", "", "<a@y.example>", "192.0.2.1", SMTPF_ENTRY_ALLOW},
      {"0.0.0.0/0", "", "<a@y.example>", "2001:db8::1", SMTPF_ENTRY_NONE},
      {"0.0.0.0/0", "", "<a@y.example>", "", SMTPF_ENTRY_NONE},
      /* as exact as each other: for the mail */
      {"@x.example", "@x.example", "<a@x.example>", "", SMTPF_ENTRY_ALLOW},
      {"192.0.2.1", "192.0.2.1", "<a@x.example>", "192.0.2.1", SMTPF_ENTRY_ALLOW},
      /* the null sender has no address */
      {"a@", "@x.example", "<>", "192.0.2.1", SMTPF_ENTRY_NONE},
      {"", "192.0.2.1", "<>", "192.0.2.1", SMTPF_ENTRY_DENY},
      {"\"a@b\"@x.example", "", "<\"a@b\"@x.example>", "", SMTPF_ENTRY_ALLOW},
      {"@[192.0.2.1]", "", "<a@[192.0.2.1]>", "", SMTPF_ENTRY_ALLOW},
      /* signed: the same sender; rewritten: what a forwarder says it is, to deny */
      {"a@x.example", "", "<prvs=0123abcdef=a@x.example>", "", SMTPF_ENTRY_ALLOW},
      {"a@", "prvs=0123abcdef=a@", "<prvs=0123abcdef=a@x.example>", "", SMTPF_ENTRY_ALLOW},
      {"@x.example", "a@x.example", "<msprvs1=abc=a@x.example>", "", SMTPF_ENTRY_DENY},
      {"", "a@x.example", "<SRS0=ab=cd=x.example=a@f.example>", "", SMTPF_ENTRY_DENY},
      {"", "@x.example", "<SRS1=ab=x.example==cd=ef=x.example=a@f.example>", "", SMTPF_ENTRY_DENY},
      {"a@x.example", "", "<SRS0=ab=cd=x.example=a@f.example>", "", SMTPF_ENTRY_NONE},
      {"@f.example", "", "<SRS0=ab=cd=x.example=a@f.example>", "", SMTPF_ENTRY_ALLOW},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_path sender;
    const smtpf_ip client = ip(rows[i].client);
    world_init(&W);
    world_append(&W, "profiles[\"default\"].allow", "never@seen.example");
    if (*rows[i].allow)
      world_append(&W, "profiles[\"default\"].allow", rows[i].allow);
    if (*rows[i].deny)
      world_append(&W, "profiles[\"default\"].deny", rows[i].deny);
    world_start(&W);
    ck_assert_int_eq(smtpf_path_parse(smtpf_str_of(rows[i].sender), &sender), SMTPF_OK);
    const int kind = smtpf_engine_entry(W.engine->site, &sender, &client, 0);
    ck_assert_msg(kind == rows[i].kind, "allow %s, deny %s: %s from %s is %d", rows[i].allow, rows[i].deny,
                  rows[i].sender, rows[i].client, kind);
    ck_assert_int_eq(smtpf_engine_entry(W.engine->site, NULL, NULL, 0), SMTPF_ENTRY_NONE);
    const int trusted = smtpf_engine_entry(W.engine->site, &sender, &client, 1); /* forwarders are believed */
    const int rewritten = strncmp(rows[i].sender, "<SRS", 4) == 0 && strncmp(rows[i].allow, "a@", 2) == 0;
    ck_assert_int_eq(trusted, rewritten ? SMTPF_ENTRY_ALLOW : rows[i].kind);
    world_end(&W);
  }
}
END_TEST

TCase *scope_cases(void)
{
  TCase *c = tcase_create("scopes");
  tcase_add_test(c, by_network);
  tcase_add_test(c, by_identity_and_name);
  tcase_add_test(c, as_if_looked_at_one_by_one);
  tcase_add_test(c, the_more_exact_entry_decides);
  return c;
}
