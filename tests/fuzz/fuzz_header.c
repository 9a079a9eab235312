/* SPDX-License-Identifier: MIT
 *
 * Header sections. The first two bytes say how much room there is and how the rest is cut; what is reported must be the
 * same as for the whole.
 */
#include <stdlib.h>
#include <string.h>

#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

/* What was reported, as one number and the sum of the sizes. */
struct digest {
  uint64_t hash, size, next;
};

static void mix(struct digest *d, const void *p, size_t n)
{
  const unsigned char *b = p;
  for (size_t i = 0; i < n; i++)
    d->hash = (d->hash ^ b[i]) * 1099511628211u;
  d->hash = (d->hash ^ n) * 1099511628211u;
}

static void note(void *user, const smtpf_header_field *f)
{
  struct digest *d = user;
  MUST(f->offset == d->next && f->size > 0);
  MUST(f->flags & SMTPF_HEADER_MALFORMED ? f->name.n == 0 : f->name.n > 0);
  MUST(f->name.n + f->value.n <= f->size);
  d->next = f->offset + f->size;
  d->size += f->size;
  mix(d, f->name.p, f->name.n);
  mix(d, f->value.p, f->value.n);
  mix(d, &f->flags, sizeof f->flags);
  mix(d, &f->size, sizeof f->size);
}

/* Reads `n` bytes in pieces, which end where their memory ends. `piece` 0 for the whole. */
static smtpf_header read_all(const uint8_t *p, size_t n, size_t piece, size_t cap, struct digest *d)
{
  static char room[256];
  smtpf_header h;
  const size_t most = piece && piece < n ? piece : n;
  char *exact = malloc(most ? most : 1);
  MUST(exact);
  *d = (struct digest){0};
  smtpf_header_init(&h, room, cap, note, d);
  for (size_t at = 0, step; at < n && !h.ended; at += step) {
    step = n - at < most ? n - at : most;
    char *begin = exact + (most - step);
    memcpy(begin, p + at, step);
    size_t used = smtpf_header_feed(&h, begin, step);
    MUST(used == step || h.ended);
    MUST(used <= step && h.bytes == at + used);
  }
  free(exact);
  smtpf_header_finish(&h);
  MUST(h.bytes <= n && h.bytes - d->size <= 2);
  return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 2)
    return 0;
  const size_t cap = data[0], piece = data[1] % 32u + 1;
  struct digest whole, cut, bytes;
  smtpf_header a = read_all(data + 2, size - 2, 0, cap, &whole);
  smtpf_header b = read_all(data + 2, size - 2, piece, cap, &cut);
  smtpf_header c = read_all(data + 2, size - 2, 1, cap, &bytes);
  MUST(whole.hash == cut.hash && whole.hash == bytes.hash);
  MUST(a.bytes == b.bytes && a.bytes == c.bytes);
  MUST(a.fields == b.fields && a.fields == c.fields);
  MUST(a.separated == b.separated && a.separated == c.separated);
  return 0;
}
