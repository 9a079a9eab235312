/* SPDX-License-Identifier: MIT
 *
 * The milter protocol: the first byte says how the rest comes in pieces. A packet read from a prefix is not there or
 * the one read from the whole; its strings lie in the bytes and are ended there; whatever is in it makes answers and
 * changes that are whole packets. What is read can be written again, and is read again as the same. The same bytes are
 * read as what a filter says, too.
 */
#include <smtpfilter/milter.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

static char room[SMTPF_MILTER_ANSWER_MAX];

static void inside(smtpf_str s, smtpf_str bytes)
{
  MUST(!s.p || (s.p >= bytes.p && s.p + s.n < bytes.p + bytes.n && s.p[s.n] == '\0' && !memchr(s.p, '\0', s.n)));
}

static void whole(int n)
{
  if (n > 0)
    MUST(n > 4 && (size_t)n <= sizeof room && smtpf_milter_wanted((smtpf_str){room, (size_t)n}) == (size_t)n);
}

/* A reply is lines of printable bytes, each with its code, and one NUL at the end. */
static void one_reply(smtpf_str text)
{
  const int n = smtpf_milter_answer(554, SMTPF_LIT("5.7.1"), text, room, sizeof room);
  MUST(n > 10 && room[4] == 'y' && room[n - 1] == '\0');
  for (int i = 5; i < n - 1; i++) {
    MUST((room[i] >= 0x20 && room[i] < 0x7f) || room[i] == '\r' || room[i] == '\n');
    if (room[i] == '\n')
      MUST(room[i - 1] == '\r' && !memcmp(room + i + 1, "554", 3));
  }
  whole(n);
}

static void written(const smtpf_milter_packet *p)
{
  smtpf_milter_terms t = {SMTPF_MILTER_VERSION, 0x1ff, 0x1fffff};
  whole(smtpf_milter_negotiate(p, &t, NULL, room, sizeof room));
  MUST(t.version <= SMTPF_MILTER_VERSION && t.version >= 2);
  whole(smtpf_milter_envelope(SMTPF_MILTER_CHGFROM, p->name, p->value, room, sizeof room));
  whole(smtpf_milter_header(SMTPF_MILTER_INSHEADER, &t, 0, p->name, p->value, room, sizeof room));
  whole(smtpf_milter_body(p->rest, room, sizeof room));
  one_reply(p->rest);
}

static void strings(const smtpf_milter_packet *p, smtpf_str bytes)
{
  smtpf_str rest = p->rest, one;
  size_t n = 0;
  inside(p->name, bytes);
  inside(p->value, bytes);
  if (p->command == SMTPF_MILTER_BODY || p->command == SMTPF_MILTER_BODYEOB)
    return;
  for (; smtpf_milter_string(&rest, &one) == SMTPF_OK; n++)
    inside(one, bytes);
  MUST(!rest.n && (p->command != SMTPF_MILTER_MACRO || n % 2 == 0));
  one = smtpf_milter_macro(p, "i");
  inside(one, bytes);
}

static int equal(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

static void comes_back(const smtpf_milter_packet *p)
{
  smtpf_milter_packet q = {.size = sizeof q};
  const int n = smtpf_milter_write(p, room, sizeof room);
  whole(n);
  if (n <= 0 || (p->command == SMTPF_MILTER_CONNECT && !p->family)) /* a letter that is none is written as unknown */
    return;
  MUST(smtpf_milter_read((smtpf_str){room, (size_t)n}, SMTPF_MILTER_PACKET_MAX, &q) == n && q.command == p->command);
  MUST(equal(q.name, p->name) && equal(q.value, p->value) && equal(q.rest, p->rest));
}

static void as_reply(smtpf_str bytes)
{
  smtpf_milter_response r = {.size = sizeof r};
  char words[64];
  smtpf_str enhanced, text;
  const int n = smtpf_milter_read_reply(bytes, SMTPF_MILTER_PACKET_MAX, &r);
  if (n <= 0)
    return;
  MUST((size_t)n <= bytes.n);
  inside(r.name, bytes);
  const int code = smtpf_milter_reply_parts(r.value, &enhanced, &text, words, sizeof words);
  MUST(code == SMTPF_EPARSE || (code >= 400 && code < 600 && text.n <= sizeof words));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  smtpf_milter_packet p = {.size = sizeof p}, again = {.size = sizeof again};
  if (!size)
    return 0;
  smtpf_str rest = {(const char *)data + 1, size - 1};
  for (size_t cut = data[0]; rest.n;) {
    as_reply(rest);
    const int n = smtpf_milter_read(rest, SMTPF_MILTER_PACKET_MAX, &p);
    if (cut < rest.n) {
      const int part = smtpf_milter_read((smtpf_str){rest.p, cut}, SMTPF_MILTER_PACKET_MAX, &again);
      MUST(part == 0 || part == n);
    }
    if (n <= 0)
      break;
    MUST((size_t)n <= rest.n && smtpf_milter_wanted(rest) == (size_t)n);
    strings(&p, (smtpf_str){rest.p, (size_t)n});
    written(&p);
    comes_back(&p);
    rest = (smtpf_str){rest.p + n, rest.n - (size_t)n};
  }
  return 0;
}
