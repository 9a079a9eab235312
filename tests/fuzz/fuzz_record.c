/* SPDX-License-Identifier: MIT
 *
 * Records that merge. The first byte says where the rest is cut into two. Whatever the bytes are, every reader stays
 * inside them; of two records of one kind the join is the same from both sides, and holds what each of them says.
 */
#include <smtpfilter/ext/record.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

static void read_all(smtpf_str r)
{
  static const int ids[] = {-1, 0, 1, 2, 3, 4, 8, 9, 255, 256};
  int64_t v;
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    const int id = ids[i];
    const int known = smtpf_record_read(r, id, &v) == SMTPF_OK;
    const smtpf_str text = smtpf_record_read_text(r, id);
    MUST(!known || (smtpf_record_kind(r) && id > 0 && id < 256));
    MUST(!text.n || (text.p >= r.p && text.p + text.n <= r.p + r.n));
    (void)smtpf_record_total(r, id);
    (void)smtpf_record_of_node(r, id, 1);
  }
}

static int joined(smtpf_str a, smtpf_str b, char *room, size_t cap, smtpf_str *out)
{
  const int r = smtpf_record_join(a, b, room, cap, out);
  MUST((r == SMTPF_EINVAL) == (!smtpf_record_kind(a) || smtpf_record_kind(a) != smtpf_record_kind(b)));
  MUST(r != SMTPF_OK || (out->p == room && out->n <= cap && smtpf_record_kind(*out) == smtpf_record_kind(a)));
  return r;
}

static int same(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static void join_both(smtpf_str a, smtpf_str b)
{
  char rooms[3][SMTPF_RECORD_MAX];
  smtpf_str ab, ba, again;
  const int r = joined(a, b, rooms[0], sizeof rooms[0], &ab);
  MUST(joined(b, a, rooms[1], sizeof rooms[1], &ba) == r);
  if (r != SMTPF_OK)
    return;
  MUST(same(ab, ba));
  MUST(joined(ab, a, rooms[2], sizeof rooms[2], &again) == SMTPF_OK && same(again, ab));
  if (ab.n)
    MUST(joined(a, b, rooms[2], ab.n - 1, &again) == SMTPF_ELIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 2)
    return 0;
  const char *bytes = (const char *)data + 2;
  const size_t rest = size - 2, at = (size_t)data[0] | (size_t)data[1] << 8;
  const smtpf_str a = {bytes, at < rest ? at : rest}, b = {bytes + a.n, rest - a.n};
  read_all(a);
  join_both(a, b);
  join_both(a, a);
  return 0;
}
