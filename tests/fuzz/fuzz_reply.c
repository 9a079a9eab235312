/* SPDX-License-Identifier: MIT
 *
 * Replies. The first bytes say which code, which enhanced code and how much room; the rest is the text. Whatever it is,
 * one reply is written, and reading it gives it back.
 */
#include <smtpfilter/wire.h>
#include <stdlib.h>
#include <string.h>

#include "mail/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

/* Fails unless the bytes are one whole reply of this code, each line with `enhanced` in front. */
static void one_reply(smtpf_str r, int want, smtpf_str enhanced)
{
  int code, more = 1;
  MUST(r.n);
  while (r.n) {
    smtpf_str text, found = {NULL, 0};
    const char *end = memchr(r.p, '\n', r.n);
    MUST(more && end);
    size_t n = (size_t)(end - r.p) + 1;
    MUST(n >= 6 && n <= SMTPF_REPLY_LINE_MAX && end[-1] == '\r');
    for (size_t i = 0; i < n - 2; i++)
      MUST(r.p[i] >= 0x20 && r.p[i] < 0x7f);
    MUST(smtpf_reply_line((smtpf_str){r.p, n - 2}, &code, &more, &text) == SMTPF_OK && code == want);
    if (smtpf_enhanced_valid(enhanced, want)) {
      MUST(smtpf_enhanced_parse(text, want, &found, NULL));
      MUST(found.n == enhanced.n && memcmp(found.p, enhanced.p, found.n) == 0);
    }
    r.p += n;
    r.n -= n;
  }
  MUST(!more);
}

static void written(int code, smtpf_str enhanced, smtpf_str text, size_t cap)
{
  char *out = malloc(cap ? cap : 1);
  MUST(out);
  int n = smtpf_reply_format(code, enhanced, text, out, cap);
  if (code < 200 || code > 599)
    MUST(n == SMTPF_EINVAL);
  else if (n < 0)
    MUST(n == SMTPF_ELIMIT && cap < SMTPF_REPLY_MAX);
  else
    one_reply((smtpf_str){out, (size_t)n}, code, enhanced);
  free(out);
}

static void as_read(smtpf_str line)
{
  int code, more;
  smtpf_str text, enhanced, rest;
  if (smtpf_reply_line(line, &code, &more, &text) == SMTPF_OK) {
    MUST(code >= 200 && code <= 599 && text.n <= line.n && text.p + text.n == line.p + line.n);
    if (smtpf_enhanced_parse(text, code, &enhanced, &rest))
      MUST(smtpf_enhanced_valid(enhanced, code) && enhanced.n + rest.n <= text.n);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  as_read((smtpf_str){(const char *)data, size});
  if (size < 4)
    return 0;
  const size_t n = data[3] % 16u < size - 4 ? data[3] % 16u : size - 4;
  const smtpf_str enhanced = {(const char *)data + 4, n}, text = {(const char *)data + 4 + n, size - 4 - n};
  written(190 + data[0] + data[1], enhanced, text, SMTPF_REPLY_MAX);
  written(190 + data[0] + data[1], enhanced, text, (size_t)data[2] * 17);
  return 0;
}
