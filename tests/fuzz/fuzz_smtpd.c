/* SPDX-License-Identifier: MIT
 *
 * The server codec. The first byte chooses options and how the host answers, the second a command that is refused; the
 * rest is what the client sends: whole, by bytes, by sevens and at random. The events must be the same, and no BODY
 * event may hold what is forbidden.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/wire_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static smtpf_smtpd_options choose(uint8_t bits)
{
  smtpf_smtpd_options o = feed_options();
  o.line_max = 512;
  o.text_line_max = 1000;
  o.line_ends = bits & 1 ? SMTPF_LINE_ENDS_NORMALISE : SMTPF_LINE_ENDS_REFUSE;
  o.protocol = bits & 2 ? 2 : 1;
  o.message_max = bits & 4 ? 60 : 0;
  if (bits & 8)
    o.extensions = SMTPF_EXT_CHUNKING;
  if (bits & 16)
    o.extensions |= SMTPF_EXT_XCLIENT | SMTPF_EXT_XFORWARD;
  if (bits & 128)
    o.extensions |= SMTPF_EXT_PRDR;
  return o;
}

/* The log of everything; freed by the caller. */
static char *run(const uint8_t *head, const uint8_t *in, size_t n, int size)
{
  struct feed f;
  smtpf_smtpd_options o = choose(head[0]);
  feed_open(&f, &o);
  f.refuse[head[1] % (SMTPF_VERB_UNKNOWN + 1)] = head[0] & 32 ? 550 : head[0] & 64 ? 451 : 0;
  feed_give(&f, in, n, size);
  if (f.bad_body)
    abort();
  if (smtpf_smtpd_memory(f.codec) > 300 + 2 * 16384)
    abort();
  char *log = f.log;
  f.log = NULL;
  feed_close(&f);
  return log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const int sizes[] = {1, 7, FEED_RANDOM};
  if (size < 2 || size > 65536)
    return 0;
  char *whole = run(data, data + 2, size - 2, FEED_WHOLE);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char *cut = run(data, data + 2, size - 2, sizes[i]);
    if (strcmp(cut, whole) != 0)
      abort();
    free(cut);
  }
  free(whole);
  return 0;
}
