/* SPDX-License-Identifier: MIT
 *
 * SRS: addresses of any bytes forwarded and led back. What is rewritten is a mailbox and comes back as it was; what is
 * not ours is never good; nothing grows without end.
 */
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "forward/srs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

enum { NOW = 20000 * 86400 };

/* A hash of 30 bits or so: luck cannot find one. */
static int hmac(void *shared, int algorithm, smtpf_str key, smtpf_str data, unsigned char out[32])
{
  smtpf_sha256 c;
  (void)shared;
  (void)algorithm;
  smtpf_sha256_init(&c);
  smtpf_sha256_add(&c, key.p, key.n);
  smtpf_sha256_add(&c, data.p, data.n);
  smtpf_sha256_end(&c, out);
  return SMTPF_OK;
}

static const smtpf_crypto crypto = {sizeof crypto, "fuzz", hmac};
static const smtpf_str keys[] = {{"a key of the fuzzer's", 21}, {"the one before", 14}};

static smtpf_srs of(const char *domain)
{
  return (smtpf_srs){{&crypto, NULL, keys, 2}, smtpf_str_of(domain), '=', 4, 4, 21};
}

static void back(const smtpf_srs *srs, smtpf_str wrapped, smtpf_str sender)
{
  char room[SMTPF_ADDRESS_ROOM];
  size_t n = 0;
  int signature = -1;
  MUST(smtpf_srs_unwrap(srs, wrapped, NOW, room, sizeof room, &n, &signature) == SMTPF_OK);
  MUST(signature == SMTPF_SIGNATURE_GOOD);
  /* What another has made an SRS1 of is led back to the first. */
  const smtpf_str got = {room, n}, tag = {"SRS0", 4};
  const size_t quote = *wrapped.p == '"';
  const int further =
      wrapped.p[quote + 3] == '1' && got.n < sender.n && smtpf_str_equal((smtpf_str){room + quote, tag.n}, tag);
  MUST(smtpf_str_equal_nocase(got, sender) || further);
}

static void forward(smtpf_str sender)
{
  const smtpf_srs srs = of("f.example.net"), next = of("g.example");
  char a[SMTPF_ADDRESS_ROOM], b[SMTPF_ADDRESS_ROOM];
  size_t n = 0, m = 0;
  smtpf_path path;
  int r = smtpf_srs_wrap(&srs, sender, NOW, a, sizeof a, &n);
  MUST(r == SMTPF_OK || r == SMTPF_EPARSE || r == SMTPF_ELIMIT);
  if (r != SMTPF_OK)
    return;
  const smtpf_str first = {a, n};
  MUST(n < sizeof a && a[n] == '\0' && smtpf_mailbox_parse(first, &path) == SMTPF_OK);
  MUST(smtpf_domain_equal(path.domain, srs.domain));
  if (!smtpf_str_equal(first, sender))
    back(&srs, first, sender);
  MUST(smtpf_srs_wrap(&srs, first, NOW, b, sizeof b, &m) == SMTPF_OK && m == n && memcmp(a, b, n) == 0);
  r = smtpf_srs_wrap(&next, first, NOW, b, sizeof b, &m);
  MUST(r == SMTPF_OK || r == SMTPF_ELIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const smtpf_str text = {(const char *)data, size};
  const smtpf_srs srs = of("f.example.net");
  char room[SMTPF_ADDRESS_ROOM];
  size_t n = 0;
  int signature = -1;
  const int r = smtpf_srs_unwrap(&srs, text, NOW, room, sizeof room, &n, &signature);
  MUST((r == SMTPF_OK) == (signature == SMTPF_SIGNATURE_GOOD) || r == SMTPF_ELIMIT);
  MUST(r != SMTPF_OK || (n < sizeof room && room[n] == '\0'));
  forward(text);
  return 0;
}
