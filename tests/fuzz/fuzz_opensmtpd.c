/* SPDX-License-Identifier: MIT
 *
 * OpenSMTPD's filter protocol: what is read lies in the line; any reply makes one answer of one line.
 */
#include <smtpfilter/opensmtpd.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

static void inside(smtpf_str s, smtpf_str line)
{
  MUST(!s.n || (s.p >= line.p && s.p + s.n <= line.p + line.n));
}

static void one_answer(const smtpf_opensmtpd_line *l)
{
  char room[256];
  const int n = smtpf_opensmtpd_answer(l, l->rest.n & 1 ? 550 : 250, SMTPF_LIT("5.7.1"), l->rest, 0, room, sizeof room);
  MUST(l->kind == SMTPF_OPENSMTPD_FILTER ? n > 0 && n <= (int)sizeof room && room[n - 1] == '\n' : n < 0);
  MUST(n < 0 || !memchr(room, '\n', (size_t)n - 1));
  const int m = smtpf_opensmtpd_rewrite(l, l->rest, room, sizeof room);
  MUST(m < 0 || (m <= (int)sizeof room && room[m - 1] == '\n' && !memchr(room, '\n', (size_t)m - 1)));
}

static void one_line(smtpf_str line)
{
  smtpf_opensmtpd_line l = {.size = sizeof l};
  smtpf_str field, address, rest;
  unsigned port;
  if (smtpf_opensmtpd_read(line, &l) != SMTPF_OK)
    return;
  inside(l.name, line);
  inside(l.session, line);
  inside(l.token, line);
  inside(l.rest, line);
  one_answer(&l);
  for (rest = l.rest; smtpf_opensmtpd_field(&rest, &field) == SMTPF_OK;) {
    inside(field, line);
    smtpf_opensmtpd_address(field, &address, &port);
    inside(address, line);
    MUST(port <= 65535);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const char *p = (const char *)data, *end = p + size;
  while (p < end) {
    const char *lf = memchr(p, '\n', (size_t)(end - p));
    one_line((smtpf_str){p, (size_t)((lf ? lf : end) - p)});
    p = lf ? lf + 1 : end;
  }
  return 0;
}
