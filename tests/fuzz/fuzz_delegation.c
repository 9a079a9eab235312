/* SPDX-License-Identifier: MIT
 *
 * Policy delegation: the first byte says how the rest comes in pieces. A request read from a prefix is the one read
 * from the whole; its strings lie in the bytes; any reply makes one answer of one line.
 */
#include <smtpfilter/wire.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

enum { ROOM = 256 };

static void inside(smtpf_str s, smtpf_str bytes)
{
  MUST(!s.n || (s.p >= bytes.p && s.p + s.n <= bytes.p + bytes.n && !memchr(s.p, '\n', s.n)));
}

static void is_one_line(const char *room, int n)
{
  MUST(n > 9 && n <= ROOM);
  MUST(!memcmp(room, "action=", 7) && room[n - 1] == '\n' && room[n - 2] == '\n');
  for (int i = 0; i < n - 2; i++)
    MUST(room[i] >= 0x20 && room[i] < 0x7f);
}

static void one_answer(int code, smtpf_str text)
{
  char room[ROOM];
  is_one_line(room, smtpf_delegation_answer(code, SMTPF_LIT("4.7.1"), text, room, sizeof room));
  is_one_line(room, smtpf_delegation_action(SMTPF_LIT("PREPEND"), text, room, sizeof room));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  smtpf_delegation q = {.size = sizeof q}, again = {.size = sizeof again};
  if (!size)
    return 0;
  smtpf_str rest = {(const char *)data + 1, size - 1};
  for (size_t cut = data[0]; rest.n;) {
    const int n = smtpf_delegation_read(rest, &q);
    if (cut < rest.n) {
      const int part = smtpf_delegation_read((smtpf_str){rest.p, cut}, &again);
      MUST(part == 0 || part == n);
    }
    if (n <= 0)
      break;
    MUST((size_t)n <= rest.n && n <= SMTPF_DELEGATION_MAX);
    inside(q.sender, rest);
    inside(q.recipient, rest);
    inside(q.instance, rest);
    inside(q.encryption_cipher, rest);
    one_answer(q.stage ? 451 : 554, q.sender);
    rest = (smtpf_str){rest.p + n, rest.n - (size_t)n};
  }
  return 0;
}
