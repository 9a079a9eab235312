/* SPDX-License-Identifier: MIT
 *
 * Patterns, a line each and the first byte of a line its flags, an empty line, a text. What PCRE2 takes must be
 * answered by the set as by PCRE2 alone, whole and as a stream that is cut anyhow.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/match_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
  if (!ok)
    abort();
}

struct input {
  smtpf_str pattern[HEARD];
  uint32_t flags[HEARD];
  uint32_t n;
  smtpf_str text;
};

static void read_patterns(struct input *in, smtpf_patterns *set)
{
  while (in->text.n && in->n < HEARD) {
    const char *end = memchr(in->text.p, '\n', in->text.n);
    size_t n = end ? (size_t)(end - in->text.p) : in->text.n;
    smtpf_str line = {in->text.p, n};
    in->text = (smtpf_str){in->text.p + n + (end != NULL), in->text.n - n - (end != NULL)};
    if (!n)
      return;
    uint32_t flags = (unsigned char)line.p[0] & 63;
    line = (smtpf_str){line.p + 1, line.n - 1};
    size_t offset = 0;
    int r = smtpf_patterns_add(set, line, flags, NULL, &offset, NULL);
    check(r == SMTPF_OK || r == SMTPF_EPARSE || r == SMTPF_EINVAL);
    check(offset <= line.n);
    if (r != SMTPF_OK)
      continue;
    in->pattern[in->n] = line;
    in->flags[in->n++] = flags;
  }
}

static void as_stream(const struct input *in, const smtpf_patterns *set, smtpf_pattern_room *room,
                      const struct heard *whole)
{
  smtpf_pattern_window window = {sizeof window, 128, 64};
  smtpf_pattern_stream *s;
  struct heard h;
  memset(&h, 0, sizeof h);
  check(smtpf_pattern_stream_new(&s, set, NULL, &window, NULL) == SMTPF_OK);
  uint64_t seed = in->text.n;
  for (size_t at = 0, n; at < in->text.n; at += n) {
    n = 1 + draw(&seed, 90);
    n = n < in->text.n - at ? n : in->text.n - at;
    check(smtpf_pattern_stream_feed(s, room, (smtpf_str){in->text.p + at, n}, hear, &h) == SMTPF_OK);
  }
  check(smtpf_pattern_stream_finish(s, room, hear, &h) == SMTPF_OK);
  check(!h.twice);
  for (uint32_t i = 0; i < in->n; i++) {
    int utf =
        (in->flags[i] & SMTPF_PATTERN_UTF) != 0; /* which PCRE2's two machines read differently where it is broken */
    if (whole->result[i] == SMTPF_PATTERN_LIMIT || h.result[i] == SMTPF_PATTERN_LIMIT || (utf && in->text.n > 128) ||
        set->v[i].verbs)
      continue;
    if (in->text.n <= 128 || smtpf_patterns_reach(set, i) <= 64)
      check(h.result[i] == whole->result[i]);
    else
      check(!h.result[i] || whole->result[i]);
  }
  smtpf_pattern_stream_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input in = {.text = {(const char *)data, size > 2000 ? 2000 : size}};
  smtpf_pattern_limits limits = {.size = sizeof limits, .match = 2000};
  smtpf_patterns *set;
  smtpf_pattern_room *room = NULL;
  struct heard h;
  memset(&h, 0, sizeof h);
  if (!size)
    return 0;
  check(smtpf_patterns_new(&set, NULL) == SMTPF_OK && smtpf_pattern_room_new(&room, &limits, NULL) == SMTPF_OK);
  read_patterns(&in, set);
  check(smtpf_patterns_seal(set) == SMTPF_OK && smtpf_patterns_count(set) == in.n);
  check(smtpf_patterns_scan(set, room, in.text, NULL, hear, &h) == SMTPF_OK);
  check(!h.twice && !h.unordered);
  for (uint32_t i = 0; i < in.n; i++) {
    int want = h.result[i] == SMTPF_PATTERN_LIMIT ? -1 : alone(in.pattern[i], in.flags[i], in.text);
    check(want < 0 || (h.result[i] == SMTPF_PATTERN_HIT) == want);
  }
  as_stream(&in, set, room, &h);
  smtpf_patterns_free(set);
  smtpf_pattern_room_free(room);
  return 0;
}
