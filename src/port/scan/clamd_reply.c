/* SPDX-License-Identifier: MIT
 *
 * The grammar of clamd's answers to zINSTREAM and zFILDES, inside a session (with an id before them) and without:
 *
 *   [ID ": "] SUBJECT ": " ( "OK" / NAME " FOUND" / WORDS " ERROR" ) NUL
 *   WORDS " ERROR" NUL
 */
#include <string.h>

#include "base/str.h"
#include "clamd.h"

/* Takes a word off the end. */
static int ends(smtpf_str *s, smtpf_str word)
{
  if (s->n < word.n || memcmp(s->p + s->n - word.n, word.p, word.n) != 0)
    return 0;
  s->n -= word.n;
  return 1;
}

static int printable(smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] < 0x20 || s.p[i] > 0x7e)
      return 0;
  return s.n > 0;
}

/* `17: ` */
static void take_id(smtpf_str *s, uint32_t *id)
{
  const char *colon = s->n ? memchr(s->p, ':', s->n) : NULL;
  uint64_t v;
  if (!colon || (size_t)(colon - s->p) + 2 > s->n || colon[1] != ' ' ||
      smtpf_str_uint((smtpf_str){s->p, (size_t)(colon - s->p)}, UINT32_MAX, &v) != SMTPF_OK)
    return;
  *id = (uint32_t)v;
  s->n -= (size_t)(colon + 2 - s->p);
  s->p = colon + 2;
}

/* `stream: ` or `fd[12]: `: whatever it is called, it has no space. */
static int take_subject(smtpf_str *s)
{
  for (size_t i = 0; i + 1 < s->n && s->p[i] != ' '; i++)
    if (s->p[i] == ':' && s->p[i + 1] == ' ' && i > 0) {
      s->p += i + 2;
      s->n -= i + 2;
      return 1;
    }
  return 0;
}

/* What is above a limit within the scan (`AlertExceedsMax`) is no virus: it was not looked at. */
static int kind_of_hit(smtpf_str name)
{
  return smtpf_str_starts(name, SMTPF_LIT("Heuristics.Limits.Exceeded")) ? SMTPF_CLAMD_TOO_LARGE : SMTPF_CLAMD_HIT;
}

static int kind_of(smtpf_str s, smtpf_clamd_reply *out)
{
  out->text = s;
  if (!printable(s))
    return SMTPF_CLAMD_GARBAGE;
  take_id(&s, &out->id);
  if (smtpf_str_starts(s, SMTPF_LIT("INSTREAM size limit exceeded")))
    return SMTPF_CLAMD_TOO_LARGE;
  out->text = s;
  if (ends(&s, SMTPF_LIT(" ERROR")) && s.n) {
    out->text = s;
    return SMTPF_CLAMD_ERROR;
  }
  if (!take_subject(&s))
    return SMTPF_CLAMD_GARBAGE;
  if (smtpf_str_equal(s, SMTPF_LIT("OK"))) {
    out->text = (smtpf_str){"", 0};
    return SMTPF_CLAMD_CLEAN;
  }
  if (!ends(&s, SMTPF_LIT(" FOUND")) || !s.n)
    return SMTPF_CLAMD_GARBAGE;
  out->text = s;
  return kind_of_hit(s);
}

size_t smtpf_clamd_reply_read(smtpf_str bytes, smtpf_clamd_reply *out)
{
  const char *end = bytes.n ? memchr(bytes.p, '\0', bytes.n) : NULL;
  if (!end)
    return 0;
  memset(out, 0, sizeof *out);
  out->kind = kind_of((smtpf_str){bytes.p, (size_t)(end - bytes.p)}, out);
  return (size_t)(end - bytes.p) + 1;
}
