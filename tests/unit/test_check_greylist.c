/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "check/greylist.h"
#include "fake_check.h"

enum { TRIPLET, CLIENT };
#define NOW 1700000000
#define NODE 7u

static smtpf_task t;

static smtpf_str text_of(const char *s)
{
  return smtpf_str_of(s);
}

#define ck_text(got, want)                                                                                             \
  do {                                                                                                                 \
    const smtpf_str ck_got = (got);                                                                                    \
    ck_assert_msg(ck_got.n == strlen(want) && !memcmp(ck_got.p, want, ck_got.n), "got %.*s, not %s", (int)ck_got.n,    \
                  ck_got.p, want);                                                                                     \
  } while (0)

/* ---- identity ---------------------------------------------------------------------------------------- */

static const struct {
  const char *ip, *name, *identity;
} identities[] = {
    {"192.0.2.25", "", "192.0.2.0/24"},
    {"192.0.2.25", "mail.example.org", "example.org"},
    {"192.0.2.25", "A.B.C.Example.ORG.", "example.org"},
    {"192.0.2.25", "example.org", "example.org"},
    {"192.0.2.25", "mail.one.co.uk", "one.co.uk"},
    {"192.0.2.25", "one.co.uk", "one.co.uk"},
    {"192.0.2.25", "mail.co.de.example", "de.example"},
    {"192.0.2.25", "mail.web.de", "mail.web.de"}, /* errs on the side of more clients */
    {"192.0.2.25", "localhost", "192.0.2.0/24"},
    {"192.0.2.25", "[192.0.2.25]", "192.0.2.0/24"},
    {"192.0.2.25", "192-0-2-25.pool.isp.example", "192.0.2.0/24"},
    {"192.0.2.25", "25.2.0.192.dyn.isp.example", "192.0.2.0/24"},
    {"192.0.2.25", "host-0-2-25.isp.example", "192.0.2.0/24"},
    {"192.0.2.25", "ip192x0x2x25.isp.example", "192.0.2.0/24"},
    {"192.0.2.25", "c0000219.isp.example", "192.0.2.0/24"},
    {"192.0.2.25", "192000002025.isp.example", "192.0.2.0/24"},
    {"192.0.2.25", "a2-25.smtp-out.ses.example", "ses.example"},
    {"192.0.2.25", "mx0002025.example.org", "example.org"},
    {"2001:db8:1:2::25", "", "2001:db8:1:2::/64"},
    {"2001:db8:1:2::25", "mail.example.org", "example.org"},
    {"2001:db8:1:2:1234:5678:9abc:def0", "123456789abcdef0.isp.example", "2001:db8:1:2::/64"},
};

START_TEST(identity)
{
  const greylist_naming how = {1, 24, 64};
  char room[GREYLIST_IDENTITY_MAX];
  smtpf_ip ip;
  ck_assert_int_eq(smtpf_ip_parse(text_of(identities[_i].ip), &ip), SMTPF_OK);
  ck_text(greylist_identity(&how, &ip, text_of(identities[_i].name), room), identities[_i].identity);
}
END_TEST

START_TEST(prefixes)
{
  static const struct {
    uint8_t len;
    const char *network;
  } rows[] = {{8, "192.0.0.0/8"}, {20, "192.0.240.0/20"}, {31, "192.0.255.254/31"}, {32, "192.0.255.255/32"}};
  char room[GREYLIST_IDENTITY_MAX];
  smtpf_ip ip;
  ck_assert_int_eq(smtpf_ip_parse(text_of("192.0.255.255"), &ip), SMTPF_OK);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_text(greylist_identity(&(greylist_naming){0, rows[i].len, 64}, &ip, text_of("mail.example.org"), room),
            rows[i].network);
}
END_TEST

/* ---- senders ------------------------------------------------------------------------------------------ */

static const struct {
  const char *sender, *compared;
} senders[] = {
    {"Alice@Example.ORG", "alice@example.org"},
    {"alice+lists@example.org", "alice@example.org"},
    {"+odd@example.org", "+odd@example.org"},
    {"prvs=0123abcdef=alice@example.org", "alice@example.org"},
    {"PRVS=0123ABCDEF=Alice@example.org", "alice@example.org"},
    {"prvs=tag=alice@example.org", "alice@example.org"},
    {"prvs=alice@example.org", "prvs=alice@example.org"},
    {"btv1==0123abcdef==alice@example.org", "alice@example.org"},
    {"msprvs1=17001abc==bounces-12@example.org", "=bounces-#@example.org"},
    {"SRS0=Ab1c=4T=example.org=alice@forwarder.example", "alice@example.org"},
    {"srs0+Ab1c=4T=example.org=alice@forwarder.example", "alice@example.org"},
    {"SRS1=Xy9z=first.example==Ab1c=4T=example.org=alice@second.example", "alice@example.org"},
    {"SRS0=Ab1c=4T=example.org=prvs=0123abcdef=alice@forwarder.example", "alice@example.org"},
    {"SRS0=broken@forwarder.example", "srs0=broken@forwarder.example"},
    {"SRS0@forwarder.example", "srs0@forwarder.example"},
    {"list-return-17-bob=example.net@list.example", "list-return-#@list.example"},
    {"list-return-17-BOB=Example.Net@list.example", "list-return-#@list.example"},
    {"bounces+17-ab12-bob=example.net@list.example", "bounces@list.example"},
    {"bob=example.net@list.example", "bob=example.net@list.example"},
    {"list-bounces-bob=other.example@list.example", "list-bounces-bob=other.example@list.example"},
    {"0100018c-5d2e-4a71-beef-deadbeef@mail.example", "#-#-#-#-#@mail.example"},
    {"dead-beef@mail.example", "dead-beef@mail.example"},
    {"j0hn.smith99@mail.example", "j0hn.smith99@mail.example"},
    {"m.a1b2c3d4e5f6g7h8i9@mail.example", "m.#@mail.example"},
    {"\"a+b\"@example.org", "\"a+b\"@example.org"},
    {"2600@example.org", "#@example.org"},
};

START_TEST(sender)
{
  char room[GREYLIST_ADDRESS_MAX];
  smtpf_path from, to;
  ck_assert_int_eq(smtpf_mailbox_parse(text_of("bob@example.net"), &to), SMTPF_OK);
  ck_assert_int_eq(smtpf_mailbox_parse(text_of(senders[_i].sender), &from), SMTPF_OK);
  ck_text(greylist_sender(&from, &to, room), senders[_i].compared);
}
END_TEST

START_TEST(recipient)
{
  char room[GREYLIST_ADDRESS_MAX];
  smtpf_path p;
  ck_assert_int_eq(smtpf_path_parse(text_of("<Bob@Example.NET>"), &p), SMTPF_OK);
  ck_text(greylist_recipient(&p, room), "bob@example.net");
  ck_assert_int_eq(smtpf_path_parse(text_of("<prvs=0123abcdef=bob@example.net>"), &p), SMTPF_OK);
  ck_text(greylist_recipient(&p, room), "bob@example.net");
  ck_assert_int_eq(smtpf_path_parse(text_of("<Postmaster>"), &p), SMTPF_OK);
  ck_text(greylist_recipient(&p, room), "postmaster");
  ck_assert_int_eq(smtpf_path_parse(text_of("<>"), &p), SMTPF_OK);
  ck_text(greylist_sender(&p, &p, room), "");
}
END_TEST

/* ---- patterns ------------------------------------------------------------------------------------------ */

static const struct {
  const char *pattern, *text;
  int found; /* -1: not one */
} patterns[] = {
    {"^mx\\d+\\.example\\.org$", "mx12.example.org", 1},
    {"^mx\\d+\\.example\\.org$", "mx.example.org", 0},
    {"^mx\\d+\\.example\\.org$", "mx1xexample.org", 0},
    {"^mx\\d+\\.example\\.org$", "amx1.example.org", 0},
    {"example", "MAIL.EXAMPLE.ORG", 1},
    {"^.*-out-.*\\.example\\.org$", "a-out-7.example.org", 1},
    {"^[a-c]+[^0-9]?\\.x$", "abc-.x", 1},
    {"^[a-c]+[^0-9]?\\.x$", "abc5.x", 0},
    {"^[]a]b$", "]b", 1},
    {"^a*b*c*$", "aabbcc", 1},
    {"colou?r", "color", 1},
    {"", "anything", 1},
    {"^(a|b)$", "b", 1},
    {"^mail(out)?\\d+\\.isp\\.de$", "mailout12.isp.de", 1},
    {"^mail(out)?\\d+\\.isp\\.de$", "mail12.isp.de", 1},
    {"^mail(out)?\\d+\\.isp\\.de$", "mailin12.isp.de", 0},
    {"^(?:smtp\\w*|postfix)[0-9]+-g[0-9]+\\.free$", "postfix1-g20.free", 1},
    {"^(?:smtp\\w*|postfix)[0-9]+-g[0-9]+\\.free$", "smtpx1-g20.free", 1},
    {"^(ab|c)+d$", "abcabd", 1},
    {"^(ab|c)+d$", "d", 0},
    {"^(ab|c)*d$", "d", 1},
    {"^(a(b|c)?)+$", "abaca", 1},
    {"^(a*)*$", "aaab", 0},
    {"^(a*)+b$", "aaab", 1},
    {"^()*x$", "x", 1},
    {"((((((((a))))))))", "a", 1},
    {"((((((((((a))))))))))", "a", -1},
    {"^.*?\\.x$", "a.b.x", 1},
    {"(a", "a", -1},
    {"a)", "a", -1},
    {"a|b", "a", -1},
    {"a{2}", "aa", -1},
    {"*a", "a", -1},
    {"a**", "a", -1},
    {"[a", "a", -1},
    {"a\\", "a", -1},
    {"\\b", "b", -1},
    {"a$b", "a", -1},
    {".*.*.*.*.*.*.*.*.*.*z", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0},
};

START_TEST(pattern)
{
  const smtpf_str p = text_of(patterns[_i].pattern);
  ck_assert_int_eq(greylist_pattern_ok(p), patterns[_i].found >= 0);
  if (patterns[_i].found >= 0)
    ck_assert_int_eq(greylist_pattern_find(p, text_of(patterns[_i].text)), patterns[_i].found);
}
END_TEST

/* ---- the check, on records ------------------------------------------------------------------------------ */

static void fresh(void)
{
  fake_reset();
  fake_set("profiles[default].greylist", "true");
  fake_set("greylist.node", "7");
}

static void open_check(void)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(fake_open(&t, &smtpf_check_greylist, &err) == SMTPF_OK, "%s", err.text);
  ck_assert_ptr_nonnull(t.self);
  t.greylists = 1;
  t.ev.wall_s = NOW;
  fake_client(&t, "192.0.2.25");
  fake_sender(&t, "<a@example.org>");
  fake_recipient(&t, "<b@example.net>");
}

static smtpf_str record(char room[600], int kind, int64_t first, int64_t last, int64_t passes)
{
  smtpf_record r;
  smtpf_str out;
  smtpf_record_begin(&r, room, 600, kind);
  smtpf_record_number(&r, SMTPF_GREYLIST_FIRST, SMTPF_JOIN_MIN, first);
  smtpf_record_number(&r, SMTPF_GREYLIST_LAST, SMTPF_JOIN_MAX, last);
  if (passes)
    smtpf_record_count(&r, SMTPF_GREYLIST_PASSES, NODE, passes);
  ck_assert_int_eq(smtpf_record_end(&r, &out), SMTPF_OK);
  return out;
}

/* What the store says of the triplet and of the client. */
static void answer(int stage, smtpf_str triplet, smtpf_str client)
{
  fake_run(&t, stage);
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  fake_store(&t, CLIENT, client.n ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, client);
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  fake_store(&t, TRIPLET, triplet.n ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, triplet);
}

static const smtpf_str none = {"", 0};

START_TEST(first_sight)
{
  int64_t n = 0;
  open_check();
  answer(SMTPF_RCPT, none, none);
  ck_assert_uint_eq(t.n_changes, 1); /* noted: written before it is answered */
  ck_assert_int_eq(t.settled[0], 0);
  ck_assert_int_eq(t.changes[0].op, SMTPF_CHANGE_JOIN);
  ck_assert_int_eq(t.changes[0].expires, NOW + 86400);
  ck_assert_int_eq(smtpf_record_kind(t.changes[0].value), SMTPF_GREYLIST_TRIPLET);
  ck_assert_int_eq(smtpf_record_read(t.changes[0].value, SMTPF_GREYLIST_FIRST, &n), SMTPF_OK);
  ck_assert_int_eq(n, NOW);
  ck_text(smtpf_record_read_text(t.changes[0].value, SMTPF_GREYLIST_IDENTITY), "192.0.2.0/24");
  ck_text(smtpf_record_read_text(t.changes[0].value, SMTPF_GREYLIST_SENDER), "a@example.org");
  ck_text(smtpf_record_read_text(t.changes[0].value, SMTPF_GREYLIST_RECIPIENT), "b@example.net");
  ck_only(&t, SMTPF_HIT, "greylisted");
  ck_assert_uint_eq(t.findings[0].flags, SMTPF_FINDING_ELECTIVE);
  ck_assert_int_eq(t.findings[0].reply, 451);
  ck_assert_str_eq(t.findings[0].text, "greylisted, please come back in 5 minutes");
  fake_close(&t);
}
END_TEST

START_TEST(failures)
{
  open_check();
  fake_run(&t, SMTPF_RCPT);
  fake_store(&t, _i ? TRIPLET : CLIENT, SMTPF_STORE_FAILED, none);
  fake_store(&t, _i ? CLIENT : TRIPLET, SMTPF_STORE_ABSENT, none);
  ck_only(&t, SMTPF_UNKNOWN, "store");
  ck_assert_uint_eq(t.findings[0].flags, 0);
  ck_assert_uint_eq(t.n_changes, 0);
  fake_close(&t);
}
END_TEST

static const struct {
  int64_t first, last, passes; /* of the triplet, before now */
  const char *code;
  size_t changes;
  int op; /* of the first change */
} times[] = {
    {0, 0, 0, "greylisted", 0, 0},
    {299, 299, 0, "greylisted", 0, 0},
    {300, 300, 0, "waited", 2, SMTPF_CHANGE_JOIN},
    {86400, 86400, 0, "waited", 2, SMTPF_CHANGE_JOIN},
    {86401, 86401, 0, "", 1, SMTPF_CHANGE_SET}, /* new: written first */
    {-1, -1, 0, "", 1, SMTPF_CHANGE_JOIN},      /* from the future */
    {900000, 86399, 1, "known", 0, 0},
    {900000, 86400, 1, "known", 1, SMTPF_CHANGE_JOIN},
    {9000000, 36 * 86400, 3, "known", 1, SMTPF_CHANGE_JOIN},
    {9000000, 36 * 86400 + 1, 3, "", 1, SMTPF_CHANGE_SET},
    {0, -86400, 1, "known", 0, 0},
    {0, -86401, 1, "known", 1, SMTPF_CHANGE_SET},
};

START_TEST(standing)
{
  char room[600];
  open_check();
  answer(SMTPF_RCPT,
         record(room, SMTPF_GREYLIST_TRIPLET, NOW - times[_i].first, NOW - times[_i].last, times[_i].passes), none);
  ck_assert_uint_eq(t.n_changes, times[_i].changes);
  if (times[_i].changes)
    ck_assert_int_eq(t.changes[0].op, times[_i].op);
  if (*times[_i].code)
    ck_finding(&t, 0, times[_i].code[0] == 'g' ? SMTPF_HIT : SMTPF_CLEAR, times[_i].code);
  else
    ck_finding(&t, 0, SMTPF_HIT, "greylisted");
  for (size_t i = 0; i < t.n_changes; i++)
    ck_assert_int_eq(t.settled[i], *times[_i].code != '\0'); /* a pass by the verdict alone, first sight at once */
  fake_close(&t);
}
END_TEST

START_TEST(client_standing)
{
  static const struct {
    int64_t last, passes;
    int allowed; /* whether it is auto-allowed */
    size_t changes;
  } rows[] = {{0, 4, 0, 1}, {0, 5, 1, 0}, {86400, 5, 1, 1}, {36 * 86400 + 1, 9, 0, 1}};
  char room[600];
  open_check();
  answer(SMTPF_RCPT, none, record(room, SMTPF_GREYLIST_CLIENT, NOW - 9000000, NOW - rows[_i].last, rows[_i].passes));
  ck_assert_uint_eq(t.n_changes, rows[_i].changes);
  if (rows[_i].allowed)
    ck_only(&t, SMTPF_CLEAR, "auto-allowed");
  else
    ck_only(&t, SMTPF_HIT, "greylisted");
  fake_close(&t);
}
END_TEST

/* The node's own count goes on from its own, not from the sum. */
START_TEST(counts)
{
  char room[600];
  smtpf_record r;
  smtpf_str client;
  smtpf_record_begin(&r, room, sizeof room, SMTPF_GREYLIST_CLIENT);
  smtpf_record_number(&r, SMTPF_GREYLIST_LAST, SMTPF_JOIN_MAX, NOW);
  smtpf_record_count(&r, SMTPF_GREYLIST_PASSES, 3, 2);
  smtpf_record_count(&r, SMTPF_GREYLIST_PASSES, NODE, 1);
  ck_assert_int_eq(smtpf_record_end(&r, &client), SMTPF_OK);
  char other[600];
  open_check();
  answer(SMTPF_RCPT, record(other, SMTPF_GREYLIST_TRIPLET, NOW - 400, NOW - 400, 0), client);
  ck_only(&t, SMTPF_CLEAR, "waited");
  ck_assert_uint_eq(t.n_changes, 2);
  ck_assert_int_eq(smtpf_record_of_node(t.changes[1].value, SMTPF_GREYLIST_PASSES, NODE), 2);
  ck_assert_int_eq(smtpf_record_of_node(t.changes[1].value, SMTPF_GREYLIST_PASSES, 3), 0);
  ck_assert_int_eq(t.changes[1].expires, NOW + 36 * 86400);
  fake_close(&t);
}
END_TEST

START_TEST(postmasters_word)
{
  static const struct {
    int64_t allowed, denied, forgotten;
    const char *code;
  } rows[] = {{NOW, 0, 0, "allowed"},          {0, NOW, 0, "greylisted"},         {NOW, NOW - 1, 0, "allowed"},
              {NOW - 1, NOW, 0, "greylisted"}, {NOW - 2, NOW - 1, NOW, "waited"}, {NOW, 0, NOW - 1, "allowed"}};
  char room[600], other[600];
  smtpf_record r;
  smtpf_str client;
  smtpf_record_begin(&r, room, sizeof room, SMTPF_GREYLIST_CLIENT);
  if (rows[_i].allowed)
    smtpf_record_number(&r, SMTPF_GREYLIST_ALLOWED, SMTPF_JOIN_MAX, rows[_i].allowed);
  if (rows[_i].denied)
    smtpf_record_number(&r, SMTPF_GREYLIST_DENIED, SMTPF_JOIN_MAX, rows[_i].denied);
  if (rows[_i].forgotten)
    smtpf_record_number(&r, SMTPF_GREYLIST_FORGOTTEN, SMTPF_JOIN_MAX, rows[_i].forgotten);
  ck_assert_int_eq(smtpf_record_end(&r, &client), SMTPF_OK);
  open_check();
  answer(SMTPF_RCPT, record(other, SMTPF_GREYLIST_TRIPLET, NOW - 400, NOW - 400, 0), client);
  ck_assert_str_eq(t.findings[0].code, rows[_i].code);
  fake_close(&t);
}
END_TEST

START_TEST(null_sender)
{
  char room[600];
  open_check();
  fake_sender(&t, _i ? "<postmaster@example.org>" : "<>");
  fake_run(&t, SMTPF_RCPT);
  ck_assert_int_eq(t.status, SMTPF_OK);
  ck_assert_uint_eq(t.asked, 0);
  ck_assert_str_eq(t.facts[0].value, "b@example.net");
  t.ev.recipient = NULL;
  answer(SMTPF_DATA, record(room, SMTPF_GREYLIST_TRIPLET, NOW - 300, NOW - 300, 0), none);
  ck_only(&t, SMTPF_CLEAR, "waited");
  ck_assert_int_eq(t.changes[0].op, SMTPF_CHANGE_DELETE);
  fake_close(&t);
}
END_TEST

START_TEST(untouched)
{
  open_check();
  t.greylists = 0;
  fake_run(&t, SMTPF_RCPT);
  ck_assert_int_eq(t.status, SMTPF_OK);
  ck_assert_uint_eq(t.asked + t.n, 0);
  t.greylists = 1;
  t.ev.own = 1;
  fake_run(&t, SMTPF_RCPT);
  ck_only(&t, SMTPF_CLEAR, "exempt");
  ck_assert_uint_eq(t.asked, 0);
  fake_close(&t);
}
END_TEST

START_TEST(bad_policy)
{
  static const char *const rows[][2] = {
      {"greylist.identity", "spf"},          {"greylist.wait", "24h"},
      {"greylist.allow_clients", "a b"},     {"greylist.allow_clients", "/(a|b/"},
      {"greylist.allow_recipients", "@"},    {"greylist.allow_clients_files", "/nonexistent/file"},
      {"greylist.allow_recipients", "/[a/"},
  };
  smtpf_error err = {.size = sizeof err};
  fake_set(rows[_i][0], rows[_i][1]);
  ck_assert_int_ne(fake_open(&t, &smtpf_check_greylist, &err), SMTPF_OK);
  ck_assert_ptr_null(t.self);
  ck_assert_int_eq(fake_live, 0);
  ck_assert_int_ne(err.text[0], '\0');
}
END_TEST

START_TEST(idle)
{
  fake_reset();
  fake_set("profiles[default].greylist", "false");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_greylist, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
  fake_set("recipients[b@example.net].greylist", "true");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_greylist, NULL), SMTPF_OK);
  ck_assert_ptr_nonnull(t.self);
  fake_close(&t);
}
END_TEST

/* A file as postgrey has it; and one with a fault names its line. */
START_TEST(files)
{
  char path[] = "greylist-test.list";
  smtpf_error err = {.size = sizeof err};
  FILE *f = fopen(path, "w");
  ck_assert_ptr_nonnull(f);
  fputs("# comment\n\n192.0.2\t# a short network\r\n  partner.example\n2001:db8::/32\n/^mx\\d+\\.pool\\.example$/\n",
        f);
  for (int i = 0; i < 500; i++)
    fprintf(f, "d%d.example\n", i);
  if (_i)
    fputs("not an entry\n", f);
  fclose(f);
  fake_set("greylist.allow_clients_files", path);
  if (_i) {
    ck_assert_int_eq(fake_open(&t, &smtpf_check_greylist, &err), SMTPF_EPARSE);
    ck_assert_int_eq(err.line, 507);
    ck_assert_str_eq(err.file, path);
    remove(path);
    return;
  }
  open_check();
  remove(path);
  fake_run(&t, SMTPF_RCPT);
  ck_only(&t, SMTPF_CLEAR, "exempt");
  static const struct {
    const char *ip, *name;
    int exempt;
  } rows[] = {{"2001:db8::1", "", 1},
              {"198.51.100.1", "x.partner.example", 1},
              {"198.51.100.1", "d499.example", 1},
              {"198.51.100.1", "mx3.pool.example", 1},
              {"198.51.100.1", "notpartner.example", 0},
              {"198.51.100.1", "", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fake_client(&t, rows[i].ip);
    t.ev.rdns = text_of(rows[i].name);
    fake_run(&t, SMTPF_RCPT);
    ck_assert_int_eq(t.status == SMTPF_OK, rows[i].exempt);
  }
  fake_close(&t);
}
END_TEST

/* Any allocation may fail: an error, and nothing is left behind. */
START_TEST(no_memory)
{
  for (long at = 1; at < 200; at++) {
    fresh();
    fake_set("greylist.allow_clients", "partner.example");
    fake_set("greylist.allow_clients", "198.51.100.0/24");
    fake_set("greylist.allow_recipients", "/^x/");
    fake_fail_at = at;
    const int r = fake_open(&t, &smtpf_check_greylist, NULL);
    const int failed = fake_count >= at;
    ck_assert_int_eq(r, failed ? SMTPF_ENOMEM : SMTPF_OK);
    if (!failed) {
      fake_fail_at = 0;
      fake_close(&t);
      ck_assert_int_eq(fake_live, 0);
      return;
    }
    ck_assert_int_eq(fake_live, 0);
  }
  ck_abort_msg("never enough memory");
}
END_TEST

Suite *greylist_suite(void)
{
  Suite *s = suite_create("check_greylist");
  TCase *c = tcase_create("greylist");
  tcase_add_checked_fixture(c, fresh, NULL);
  tcase_add_loop_test(c, identity, 0, (int)(sizeof identities / sizeof *identities));
  tcase_add_test(c, prefixes);
  tcase_add_loop_test(c, sender, 0, (int)(sizeof senders / sizeof *senders));
  tcase_add_test(c, recipient);
  tcase_add_loop_test(c, pattern, 0, (int)(sizeof patterns / sizeof *patterns));
  tcase_add_test(c, first_sight);
  tcase_add_loop_test(c, failures, 0, 2);
  tcase_add_loop_test(c, standing, 0, (int)(sizeof times / sizeof *times));
  tcase_add_loop_test(c, client_standing, 0, 4);
  tcase_add_test(c, counts);
  tcase_add_loop_test(c, postmasters_word, 0, 6);
  tcase_add_loop_test(c, null_sender, 0, 2);
  tcase_add_test(c, untouched);
  tcase_add_loop_test(c, bad_policy, 0, 7);
  tcase_add_test(c, idle);
  tcase_add_loop_test(c, files, 0, 2);
  tcase_add_test(c, no_memory);
  suite_add_tcase(s, c);
  return s;
}
