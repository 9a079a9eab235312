/* SPDX-License-Identifier: MIT
 *
 * SRS and BATV: what is signed is known again, what was touched is not, by many random addresses, keys and days. The
 * addresses that others made are in test_forward_vectors.py.
 */
#include <stdio.h>

#include "base/sha256.h"
#include "forward/prvs.h"
#include "forward/srs.h"
#include "suites.h"

enum { DAY = 86400, NOW = 20000 * DAY + 7 };

/* ---- a keyed hash, whoever built this -------------------------------------------------------------------------- */

static int fake_hmac(void *shared, int algorithm, smtpf_str key, smtpf_str data, unsigned char out[32])
{
  smtpf_sha256 c;
  ck_assert_int_eq(algorithm, SMTPF_HMAC_SHA1);
  if (shared)
    return SMTPF_EIO;
  smtpf_sha256_init(&c);
  smtpf_sha256_add(&c, key.p, key.n);
  smtpf_sha256_add(&c, "", 1);
  smtpf_sha256_add(&c, data.p, data.n);
  smtpf_sha256_end(&c, out);
  return SMTPF_OK;
}

static const smtpf_crypto fake = {sizeof fake, "fake", fake_hmac};

static smtpf_srs srs_of(const smtpf_str *keys, size_t n, const char *domain)
{
  return (smtpf_srs){{&fake, NULL, keys, n}, smtpf_str_of(domain), '=', 4, 4, 21};
}

static smtpf_prvs prvs_of(const smtpf_str *keys, size_t n)
{
  return (smtpf_prvs){{&fake, NULL, keys, n}, 7};
}

static const smtpf_str three_keys[] = {{"the first key of all", 20}, {"the second key", 14}, {"the third key", 13}};

/* ---- one address ------------------------------------------------------------------------------------------------ */

typedef struct address {
  char p[SMTPF_ADDRESS_ROOM];
  size_t n;
  int result, signature;
} address;

static smtpf_str str(const address *a)
{
  return (smtpf_str){a->p, a->n};
}

static address wrap(const smtpf_srs *srs, smtpf_str sender, int64_t now)
{
  address a = {.n = 0};
  a.result = smtpf_srs_wrap(srs, sender, now, a.p, sizeof a.p, &a.n);
  if (a.result == SMTPF_OK)
    MUST(a.p[a.n] == '\0' && strlen(a.p) == a.n);
  return a;
}

static address unwrap(const smtpf_srs *srs, smtpf_str text, int64_t now)
{
  address a = {.n = 0, .signature = -1};
  a.result = smtpf_srs_unwrap(srs, text, now, a.p, sizeof a.p, &a.n, &a.signature);
  MUST((a.result == SMTPF_OK) == (a.signature == SMTPF_SIGNATURE_GOOD) || a.result == SMTPF_ELIMIT);
  return a;
}

static address sign(const smtpf_prvs *prvs, smtpf_str sender, int64_t now)
{
  address a = {.n = 0};
  a.result = smtpf_prvs_sign(prvs, sender, now, a.p, sizeof a.p, &a.n);
  return a;
}

static address verify(const smtpf_prvs *prvs, smtpf_str text, int64_t now)
{
  address a = {.n = 0, .signature = -1};
  a.result = smtpf_prvs_verify(prvs, text, now, a.p, sizeof a.p, &a.n, &a.signature);
  MUST((a.result == SMTPF_OK) == (a.signature == SMTPF_SIGNATURE_GOOD));
  return a;
}

static int same(smtpf_str a, smtpf_str b)
{
  return smtpf_str_equal(a, b);
}

/* ---- random ones --------------------------------------------------------------------------------------------------
 */

static uint64_t seed = 0x5352530042415456u;

static size_t below(size_t n)
{
  return (size_t)(next_random(&seed) % n);
}

/* A mailbox with every kind of byte that a local part may have. Short enough to be rewritten, mostly. */
static smtpf_str random_sender(char room[SMTPF_ADDRESS_ROOM])
{
  static const char atext[] = "abcxyzABCXYZ0189!#$%&'*+-/=?^_`{|}~", inside[] = "ab= @<>.,:;()[]+-";
  smtpf_path path;
  smtpf_out o;
  do {
    const int quoted = below(6) == 0;
    smtpf_out_init(&o, room, SMTPF_ADDRESS_ROOM);
    if (quoted)
      smtpf_out_char(&o, '"');
    for (size_t i = 0, n = 1 + below(24); i < n; i++)
      smtpf_out_char(&o, quoted ? inside[below(sizeof inside - 1)] : atext[below(sizeof atext - 1)]);
    smtpf_out_cstr(&o, quoted ? "\"@" : "@");
    for (size_t labels = 2 + below(2); labels; labels--) {
      for (size_t i = 0, n = 1 + below(8); i < n; i++)
        smtpf_out_char(&o, "abcdefGHIJ0123456789"[below(20)]);
      if (labels > 1)
        smtpf_out_char(&o, '.');
    }
  } while (smtpf_mailbox_parse(smtpf_out_done(&o), &path) != SMTPF_OK);
  return smtpf_out_done(&o);
}

static int64_t random_time(void)
{
  return (int64_t)below(50000) * DAY + (int64_t)below(DAY);
}

/* One byte replaced, taken out or put in, so that it is another address even without regard to case. */
static smtpf_str touch(smtpf_str text, char room[2 * SMTPF_ADDRESS_ROOM])
{
  static const char bytes[] = "abc019=+-.@_/\"S ";
  const size_t at = below(text.n), kind = below(3);
  smtpf_out o;
  smtpf_out_init(&o, room, 2 * SMTPF_ADDRESS_ROOM);
  smtpf_out_str(&o, (smtpf_str){text.p, at});
  if (kind != 0)
    smtpf_out_char(&o, bytes[below(sizeof bytes - 1)]);
  if (kind == 2)
    smtpf_out_char(&o, text.p[at]);
  smtpf_out_str(&o, (smtpf_str){text.p + at + 1, text.n - at - 1});
  return smtpf_out_done(&o);
}

/* ---- SRS ----------------------------------------------------------------------------------------------------------
 */

START_TEST(srs_there_and_back)
{
  size_t rewritten = 0;
  for (int i = 0; i < 20000; i++) {
    char room[SMTPF_ADDRESS_ROOM];
    const smtpf_str sender = random_sender(room);
    const int64_t now = random_time();
    smtpf_srs srs = srs_of(three_keys, 1 + below(3), "f.example.net");
    srs.separator = "=+-"[below(3)];
    srs.hash_length = (uint8_t)(4 + below(8));
    const address a = wrap(&srs, sender, now);
    MUST(a.result == SMTPF_OK || a.result == SMTPF_ELIMIT);
    if (a.result != SMTPF_OK) {
      MUST(sender.n + srs.hash_length + 10 > 64);
      continue;
    }
    rewritten++;
    smtpf_path path;
    MUST(smtpf_mailbox_parse(str(&a), &path) == SMTPF_OK && smtpf_domain_equal(path.domain, srs.domain));
    const address b = unwrap(&srs, str(&a), now + (int64_t)below(21) * DAY);
    MUST(b.result == SMTPF_OK && same(str(&b), sender));
    MUST(unwrap(&srs, str(&a), now + 400 * DAY).signature == SMTPF_SIGNATURE_EXPIRED);
    const address again = wrap(&srs, str(&a), now);
    MUST(again.result == SMTPF_OK && same(str(&again), str(&a)));
  }
  ck_assert_uint_gt(rewritten, 10000);
}
END_TEST

/* The sign behind the tag, the alphabet of the hash and how much of it is written are no part of what is said. */
START_TEST(srs_touched_leads_nowhere_else)
{
  size_t bad = 0;
  for (int i = 0; i < 50000; i++) {
    char room[SMTPF_ADDRESS_ROOM], other[2 * SMTPF_ADDRESS_ROOM];
    const smtpf_srs srs = srs_of(three_keys, 2, "f.example.net");
    const smtpf_str sender = random_sender(room);
    const address a = wrap(&srs, sender, NOW);
    if (a.result != SMTPF_OK)
      continue;
    const smtpf_str touched = touch(str(&a), other);
    const address b = unwrap(&srs, touched, NOW);
    bad += b.signature == SMTPF_SIGNATURE_BAD;
    if (b.signature == SMTPF_SIGNATURE_GOOD && !smtpf_str_equal_nocase(str(&b), sender))
      ck_abort_msg("%.*s is taken for %s", (int)touched.n, touched.p, a.p);
  }
  ck_assert_uint_gt(bad, 20000);
}
END_TEST

START_TEST(srs_through_forwarders)
{
  static const char *const domains[] = {"f.example.net", "g.example", "mail.h.example.org", "i.example",
                                        "j.example.com"};
  enum { N = sizeof domains / sizeof *domains };
  size_t whole = 0;
  for (int i = 0; i < 5000; i++) {
    char room[SMTPF_ADDRESS_ROOM], keys[N][20];
    const smtpf_str sender = random_sender(room);
    smtpf_str key[N];
    smtpf_srs srs[N];
    address at[N];
    size_t n = 0;
    for (size_t k = 0; k < N; k++) {
      snprintf(keys[k], sizeof keys[k], "key %zu", below(1000000));
      key[k] = smtpf_str_of(keys[k]);
      srs[k] = srs_of(&key[k], 1, domains[k]);
      srs[k].separator = "=+-"[below(3)];
    }
    for (; n < N; n++) {
      at[n] = wrap(&srs[n], n ? str(&at[n - 1]) : sender, NOW);
      if (at[n].result != SMTPF_OK)
        break;
      MUST(memcmp(at[n].p + (*at[n].p == '"'), n ? "SRS1" : "SRS0", 4) == 0);
    }
    if (n < N)
      continue;
    whole++;
    /* The last one leads to the first forwarder, whoever was between, and is no longer than the second one's. */
    for (size_t k = 1; k < N; k++) {
      const address first = unwrap(&srs[k], str(&at[k]), NOW + DAY);
      MUST(first.result == SMTPF_OK && same(str(&first), str(&at[0])));
    }
    MUST(at[4].n - strlen(domains[4]) == at[1].n - strlen(domains[1]));
    const address home = unwrap(&srs[0], str(&at[0]), NOW + DAY);
    MUST(home.result == SMTPF_OK && same(str(&home), sender));
    /* A ring: what comes back to the first is its own again. */
    const address ring = wrap(&srs[0], str(&at[4]), NOW);
    MUST(ring.result == SMTPF_OK && same(str(&ring), str(&at[0])));
  }
  ck_assert_uint_gt(whole, 500);
}
END_TEST

START_TEST(srs_keys_come_and_go)
{
  const smtpf_srs old = srs_of(three_keys + 1, 1, "f.example.net"), both = srs_of(three_keys, 2, "f.example.net");
  const smtpf_srs fresh = srs_of(three_keys, 1, "f.example.net");
  const smtpf_str sender = S("alice@a.example");
  const address by_old = wrap(&old, sender, NOW), by_new = wrap(&both, sender, NOW);
  ck_assert_int_eq(unwrap(&both, str(&by_old), NOW).signature, SMTPF_SIGNATURE_GOOD);
  ck_assert_int_eq(unwrap(&both, str(&by_new), NOW).signature, SMTPF_SIGNATURE_GOOD);
  ck_assert_int_eq(unwrap(&fresh, str(&by_new), NOW).signature, SMTPF_SIGNATURE_GOOD);
  ck_assert_int_eq(unwrap(&fresh, str(&by_old), NOW).signature, SMTPF_SIGNATURE_BAD);
  ck_assert_int_eq(unwrap(&old, str(&by_new), NOW).signature, SMTPF_SIGNATURE_BAD);
}
END_TEST

START_TEST(srs_days)
{
  const smtpf_srs srs = srs_of(three_keys, 1, "f.example.net");
  const address a = wrap(&srs, S("alice@a.example"), NOW);
  for (int64_t d = -1; d < 1023; d++) {
    const int want = d <= 21 ? SMTPF_SIGNATURE_GOOD : SMTPF_SIGNATURE_EXPIRED;
    ck_assert_msg(unwrap(&srs, str(&a), NOW + d * DAY).signature == want, "after %d days", (int)d);
  }
}
END_TEST

START_TEST(srs_what_stays)
{
  const smtpf_srs srs = srs_of(three_keys, 1, "f.example.net");
  static const struct {
    const char *sender;
    int result;
  } cases[] = {
      {"", SMTPF_EPARSE},
      {"alice", SMTPF_EPARSE},
      {"\"\"", SMTPF_EPARSE},
      {"alice@", SMTPF_EPARSE},
      {"@a.example", SMTPF_EPARSE},
      {"root@localhost", SMTPF_EPARSE},
      {"alice@[192.0.2.1]", SMTPF_EPARSE},
      {"a\r\nb@a.example", SMTPF_EPARSE},
      {"alice@F.Example.NET", SMTPF_OK},
      {"a-rather-long-name-of-somebody@subsidiary.department.a.example", SMTPF_ELIMIT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const address a = wrap(&srs, smtpf_str_of(cases[i].sender), NOW);
    ck_assert_msg(a.result == cases[i].result, "%s: %d", cases[i].sender, a.result);
    if (a.result == SMTPF_OK)
      ck_assert_str_eq(a.p, cases[i].sender);
  }
  ck_assert_int_eq(wrap(&srs, S("alice@a.example"), -1).result, SMTPF_EPARSE);
}
END_TEST

/* What only looks like an SRS1 is a name like others. */
START_TEST(srs_broken_ones_of_others)
{
  static const char *const senders[] = {"SRS1+AAAA=7G=a.example=alice@b.example", "SRS1=AAAA@b.example",
                                        "SRS1=AAAA=b.example=x@b.example", "srs1-a@b.example"};
  const smtpf_srs srs = srs_of(three_keys, 1, "f.example.net");
  for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
    const address a = wrap(&srs, smtpf_str_of(senders[i]), NOW), b = unwrap(&srs, str(&a), NOW);
    ck_assert_msg(memcmp(a.p, "SRS0=", 5) == 0, "%s", a.p);
    ck_assert_int_eq(b.result, SMTPF_OK);
    ck_assert_str_eq(b.p, senders[i]);
  }
}
END_TEST

START_TEST(srs_what_is_none)
{
  const smtpf_srs srs = srs_of(three_keys, 1, "f.example.net");
  static const struct {
    const char *text;
    int signature;
  } cases[] = {
      {"", SMTPF_SIGNATURE_NONE},
      {"SRS0", SMTPF_SIGNATURE_NONE},
      {"SRS0@f.example.net", SMTPF_SIGNATURE_NONE},
      {"SRS0.AAAA=AA=a.example=b@f.example.net", SMTPF_SIGNATURE_NONE},
      {"alice@f.example.net", SMTPF_SIGNATURE_NONE},
      {"SRS2=AAAA=AA=a.example=b@f.example.net", SMTPF_SIGNATURE_NONE},
      {"SRS0=AAAA=AA=a.example=b@other.example", SMTPF_SIGNATURE_NONE},
      {"SRS0=AAAA=AA=a.example=b@f.example.net", SMTPF_SIGNATURE_BAD},
      {"SRS0=AAAA=A1=a.example=b@f.example.net", SMTPF_SIGNATURE_BAD},
      {"SRS0=AAAA=AAA=a.example=b@f.example.net", SMTPF_SIGNATURE_BAD},
      {"SRS0==AA=a.example=b@f.example.net", SMTPF_SIGNATURE_BAD},
      {"SRS0=AAAA=AA=a.example=@f.example.net", SMTPF_SIGNATURE_BAD},
      {"SRS0=AAAA=AA==b@f.example.net", SMTPF_SIGNATURE_BAD},
      {"SRS0=@f.example.net", SMTPF_SIGNATURE_BAD},
      {"SRS1=AAAA=b.example=x@f.example.net", SMTPF_SIGNATURE_BAD},
      {"SRS1=b.example==AAAA=AA=a.example=b@f.example.net", SMTPF_SIGNATURE_BAD},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const address a = unwrap(&srs, smtpf_str_of(cases[i].text), NOW);
    ck_assert_msg(a.signature == cases[i].signature, "%s: %d", cases[i].text, a.signature);
    ck_assert_int_eq(a.result, SMTPF_ENOTFOUND);
  }
}
END_TEST

START_TEST(srs_shorter_hashes)
{
  smtpf_srs srs = srs_of(three_keys, 1, "f.example.net");
  srs.hash_length = 8;
  const address a = wrap(&srs, S("alice@a.example"), NOW);
  smtpf_srs strict = srs;
  strict.hash_min = 8;
  ck_assert_int_eq(unwrap(&strict, str(&a), NOW).signature, SMTPF_SIGNATURE_GOOD);
  srs.hash_length = 4;
  const address shorter = wrap(&srs, S("alice@a.example"), NOW);
  ck_assert_int_eq(unwrap(&srs, str(&shorter), NOW).signature, SMTPF_SIGNATURE_GOOD);
  ck_assert_int_eq(unwrap(&srs, str(&a), NOW).signature, SMTPF_SIGNATURE_GOOD);
  ck_assert_int_eq(unwrap(&strict, str(&shorter), NOW).signature, SMTPF_SIGNATURE_BAD);
}
END_TEST

/* ---- BATV ---------------------------------------------------------------------------------------------------------
 */

START_TEST(prvs_there_and_back)
{
  for (int i = 0; i < 20000; i++) {
    char room[SMTPF_ADDRESS_ROOM], other[2 * SMTPF_ADDRESS_ROOM];
    const smtpf_str sender = random_sender(room);
    const int64_t now = random_time();
    const smtpf_prvs prvs = prvs_of(three_keys, 1 + below(3));
    const address a = sign(&prvs, sender, now);
    MUST(a.result == SMTPF_OK);
    const address b = verify(&prvs, str(&a), now + (int64_t)below(8) * DAY);
    MUST(b.result == SMTPF_OK && same(str(&b), sender));
    const address again = sign(&prvs, str(&a), now + 400 * DAY); /* not once more */
    MUST(again.result == SMTPF_OK && again.n == a.n);
    const address inner = verify(&prvs, str(&again), now + 400 * DAY);
    MUST(inner.result == SMTPF_OK && same(str(&inner), sender));
    const smtpf_str touched = touch(str(&a), other);
    MUST(verify(&prvs, touched, now).signature != SMTPF_SIGNATURE_GOOD || smtpf_str_equal_nocase(touched, str(&a)));
  }
}
END_TEST

START_TEST(prvs_days)
{
  const smtpf_prvs prvs = prvs_of(three_keys, 1);
  const address a = sign(&prvs, S("bob@example.net"), NOW);
  for (int64_t d = -1; d < 998; d++) {
    const int want = d <= 8 ? SMTPF_SIGNATURE_GOOD : SMTPF_SIGNATURE_EXPIRED;
    ck_assert_msg(verify(&prvs, str(&a), NOW + d * DAY).signature == want, "after %d days", (int)d);
  }
}
END_TEST

START_TEST(prvs_keys_come_and_go)
{
  const smtpf_prvs old = prvs_of(three_keys + 1, 1), both = prvs_of(three_keys, 2), fresh = prvs_of(three_keys, 1);
  const address by_old = sign(&old, S("bob@example.net"), NOW), by_new = sign(&both, S("bob@example.net"), NOW);
  ck_assert_int_eq(verify(&both, str(&by_old), NOW).signature, SMTPF_SIGNATURE_GOOD);
  ck_assert_int_eq(verify(&fresh, str(&by_new), NOW).signature, SMTPF_SIGNATURE_GOOD);
  ck_assert_int_eq(verify(&fresh, str(&by_old), NOW).signature, SMTPF_SIGNATURE_BAD);
  const address renewed = sign(&both, str(&by_old), NOW);
  ck_assert_str_eq(renewed.p, by_new.p);
  const address foreign = sign(&fresh, str(&by_old), NOW); /* another's signature is part of the name */
  ck_assert_int_eq(foreign.result, SMTPF_OK);
  const address inner = verify(&fresh, str(&foreign), NOW);
  ck_assert_str_eq(inner.p, by_old.p);
}
END_TEST

START_TEST(prvs_what_is_none)
{
  const smtpf_prvs prvs = prvs_of(three_keys, 1);
  static const char *const none[] = {
      "",
      "bob@example.net",
      "prvs=@example.net",
      "prvs=0123abcdef=@example.net",
      "prvs=0123abcdef@example.net",
      "prvs=0123abcde=bob@example.net",
      "prvs=0123abcdefg=bob@example.net",
      "prvs=a123abcdef=bob@example.net",
      "prvs=0123abcdeg=bob@example.net",
      "prvs=bob/0123abcdef@example.net",
      "msprvs1=0gwpfed8y-duH=bob@example.net",
      "btv1==38166df2376==bob@example.net",
  };
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    ck_assert_msg(verify(&prvs, smtpf_str_of(none[i]), NOW).signature == SMTPF_SIGNATURE_NONE, "%s", none[i]);
  ck_assert_int_eq(verify(&prvs, S("prvs=0123abcdef=bob@example.net"), NOW).signature, SMTPF_SIGNATURE_BAD);
  ck_assert_int_eq(sign(&prvs, S(""), NOW).result, SMTPF_EPARSE);
  ck_assert_int_eq(sign(&prvs, S("bob"), NOW).result, SMTPF_EPARSE);
  ck_assert_int_eq(sign(&prvs, S("a-local-part-of-fifty-octets-which-leaves-no-room-x@example.net"), NOW).result,
                   SMTPF_ELIMIT);
}
END_TEST

/* ---- when something fails -----------------------------------------------------------------------------------------
 */

START_TEST(nothing_is_written_when_it_fails)
{
  smtpf_srs srs = srs_of(three_keys, 1, "f.example.net");
  smtpf_prvs prvs = prvs_of(three_keys, 1);
  const address good = wrap(&srs, S("alice@a.example"), NOW), tagged = sign(&prvs, S("bob@example.net"), NOW);
  char out[SMTPF_ADDRESS_ROOM];
  size_t n = 77;
  int signature = SMTPF_SIGNATURE_NONE;
  for (size_t cap = 0; cap <= good.n; cap++)
    ck_assert_int_eq(smtpf_srs_wrap(&srs, S("alice@a.example"), NOW, out, cap, &n), SMTPF_ELIMIT);
  for (size_t cap = 0; cap <= strlen("alice@a.example"); cap++)
    ck_assert_int_eq(smtpf_srs_unwrap(&srs, str(&good), NOW, out, cap, &n, &signature), SMTPF_ELIMIT);
  for (size_t cap = 0; cap <= tagged.n; cap++)
    ck_assert_int_eq(smtpf_prvs_sign(&prvs, S("bob@example.net"), NOW, out, cap, &n), SMTPF_ELIMIT);
  ck_assert_uint_eq(n, 77);
  srs.signer.shared = prvs.signer.shared = &n; /* the crypto fails */
  ck_assert_int_eq(wrap(&srs, S("alice@a.example"), NOW).result, SMTPF_EIO);
  ck_assert_int_eq(smtpf_srs_unwrap(&srs, str(&good), NOW, out, sizeof out, &n, &signature), SMTPF_EIO);
  ck_assert_int_eq(sign(&prvs, S("bob@example.net"), NOW).result, SMTPF_EIO);
  ck_assert_int_eq(smtpf_prvs_verify(&prvs, str(&tagged), NOW, out, sizeof out, &n, &signature), SMTPF_EIO);
  ck_assert_int_eq(sign(&prvs, str(&tagged), NOW).result, SMTPF_EIO);
  ck_assert_uint_eq(n, 77);
}
END_TEST

int main(void)
{
  const TTest *const srs[] = {srs_there_and_back,
                              srs_touched_leads_nowhere_else,
                              srs_through_forwarders,
                              srs_keys_come_and_go,
                              srs_days,
                              srs_what_stays,
                              srs_what_is_none,
                              srs_shorter_hashes,
                              srs_broken_ones_of_others,
                              NULL};
  const TTest *const prvs[] = {prvs_there_and_back, prvs_days, prvs_keys_come_and_go, prvs_what_is_none, NULL};
  const TTest *const fails[] = {nothing_is_written_when_it_fails, NULL};
  Suite *s = suite_create("forward");
  add_case(s, "SRS", srs);
  add_case(s, "BATV", prvs);
  add_case(s, "failures", fails);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  const int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
