/* SPDX-License-Identifier: MIT
 *
 * Reply texts. Up to the first NUL a template, its lines separated by LF; behind it the values of the fields, each up
 * to the next NUL. A template that has no fault is filled in; whatever the values hold, the result fits one reply, line
 * by line, and none of its lines is a value's doing.
 */
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "mail/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

enum { ALL_FIELDS = (1 << SMTPF_FIELDS) - 1 };

/* As bytes on the heap, so that reading beyond the end is seen. */
static smtpf_str own(smtpf_str s, char **room)
{
  *room = malloc(s.n ? s.n : 1);
  MUST(*room);
  if (s.n)
    memcpy(*room, s.p, s.n);
  return (smtpf_str){*room, s.n};
}

static void check(smtpf_str text, size_t wrapped_max)
{
  char wire[SMTPF_REPLY_MAX];
  size_t lines = 1, written = 0;
  MUST(text.n <= SMTPF_TEXT_MAX);
  for (size_t i = 0, n = 0; i < text.n; i++) {
    n = text.p[i] == '\n' ? 0 : n + 1;
    lines += text.p[i] == '\n';
    MUST(n <= SMTPF_TEXT_LINE && (text.p[i] == '\n' || (text.p[i] >= ' ' && text.p[i] <= '~')));
  }
  MUST(lines <= wrapped_max);
  const int n = smtpf_reply_format(550, SMTPF_LIT("5.999.999"), text, wire, sizeof wire);
  MUST(n > 0);
  for (int i = 0; i < n; i++)
    written += wire[i] == '\n';
  MUST(written == lines || (written + 1 == lines && text.p[text.n - 1] == '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  smtpf_str rest = {(const char *)data, size}, where;
  smtpf_str template = smtpf_str_cut(&rest, '\0'), lines[SMTPF_TEXT_LINES], values[SMTPF_FIELDS];
  char *rooms[SMTPF_TEXT_LINES + SMTPF_FIELDS], text[SMTPF_TEXT_MAX];
  size_t n = 0, k, longest = 0;
  int sound = 1;
  while (n < SMTPF_TEXT_LINES && template.p) {
    lines[n] = own(smtpf_str_cut(&template, '\n'), &rooms[n]);
    const char *fault = smtpf_template_fault(lines[n], ALL_FIELDS, &where);
    MUST(!fault || (where.p >= lines[n].p && where.p + where.n <= lines[n].p + lines[n].n));
    sound &= fault == NULL;
    n++;
  }
  for (k = 0; k < SMTPF_FIELDS; k++) {
    values[k] = own(smtpf_str_cut(&rest, '\0'), &rooms[n + k]);
    longest = values[k].n > longest ? values[k].n : longest;
  }
  if (sound && n) {
    const smtpf_template t = {lines, n};
    const smtpf_str got = smtpf_template_expand(&t, values, text);
    /* With short values nothing needs wrapping: the lines are the template's. */
    check(got, longest * SMTPF_TEXT_TEMPLATE / 6 + SMTPF_TEXT_TEMPLATE <= SMTPF_TEXT_LINE ? n : SMTPF_TEXT_MAX);
  }
  while (k)
    free(rooms[n + --k]);
  while (n)
    free(rooms[--n]);
  return 0;
}
