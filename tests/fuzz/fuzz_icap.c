/* SPDX-License-Identifier: MIT
 *
 * Answers of an ICAP server: read at once, byte by byte and in pieces, the end is the same, and so are the bytes of the
 * body within. Whatever is whole has a meaning; nothing but 204 and 200 is clean.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "port/scan/icap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

typedef struct end {
  int progress;
  size_t at, body;
  uint32_t sum; /* of the body */
} end;

static end in_steps(smtpf_icap_reply *r, const char *bytes, size_t n, size_t step, int options)
{
  end e = {SMTPF_ICAP_MORE, 0, 0, 0};
  smtpf_icap_reply_init(r);
  r->respmod = options;
  while (e.progress == SMTPF_ICAP_MORE && e.at < n) {
    size_t used;
    smtpf_str piece;
    const size_t most = n - e.at < step ? n - e.at : step;
    char *copy = malloc(most); /* so that a byte too far is seen */
    MUST(copy);
    memcpy(copy, bytes + e.at, most);
    e.progress = smtpf_icap_reply_feed(r, copy, most, &used, &piece);
    MUST(used <= most && used > 0 && piece.n <= used);
    for (size_t i = 0; i < piece.n; i++)
      e.sum = e.sum * 31 + (unsigned char)piece.p[i];
    e.body += piece.n;
    e.at += used;
    free(copy);
  }
  return e;
}

static void printable(smtpf_str s, size_t most)
{
  MUST(s.n <= most);
  for (size_t i = 0; i < s.n; i++)
    MUST(s.p[i] >= 0x20 && s.p[i] < 0x7f);
}

static void meanings(const smtpf_icap_reply *r)
{
  for (int i = 0; i < 8; i++) {
    const smtpf_icap_circumstances how = {i & 1, i >> 1 & 1, i >> 2 & 1};
    const smtpf_icap_verdict v = smtpf_icap_judge(r, &how);
    MUST(v.meaning >= SMTPF_ICAP_MEANS_CLEAN && v.meaning <= SMTPF_ICAP_MEANS_FAILED);
    if (v.meaning == SMTPF_ICAP_MEANS_CLEAN)
      MUST(how.sent && !r->found && (r->code == 204 || (r->code == 200 && how.unchanged && !how.may_204)));
    else if (v.meaning == SMTPF_ICAP_MEANS_HIT)
      MUST(v.name.n && r->code == 200 && r->found != SMTPF_ICAP_CONTAINER);
    else
      MUST(v.cause);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static smtpf_icap_reply one, other;
  if (!size)
    return 0;
  const int options = data[0] & 1; /* what it is taken for */
  const size_t steps[] = {1, 7, 1 + size / 3};
  const char *bytes = (const char *)data + 1;
  const end e = in_steps(&one, bytes, size - 1, size, options);
  if (e.progress == SMTPF_ICAP_DONE) {
    MUST(one.code >= 100 && one.code <= 599);
    printable(one.reason, SMTPF_ICAP_REASON);
    printable(one.name, SMTPF_ICAP_NAME);
    meanings(&one);
  }
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    const end f = in_steps(&other, bytes, size - 1, steps[i], options);
    MUST(e.progress == f.progress);
    if (e.progress == SMTPF_ICAP_DONE)
      MUST(e.at == f.at && e.body == f.body && e.sum == f.sum && one.code == other.code && one.http == other.http &&
           one.found == other.found && one.name.n == other.name.n && one.preview == other.preview);
  }
  return 0;
}
