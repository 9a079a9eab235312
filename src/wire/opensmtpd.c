/* SPDX-License-Identifier: MIT
 *
 * OpenSMTPD's filter protocol: one line in, at most one line out. Nothing is kept.
 */
#include <smtpfilter/opensmtpd.h>

#include "base/str.h"

enum { OLDEST = 6 };

/* `0.6` -> 6; 0 for anything that is no such number. */
static int version_of(smtpf_str text)
{
  uint64_t major, minor;
  smtpf_str rest = text;
  const smtpf_str front = smtpf_str_cut(&rest, '.');
  if (smtpf_str_uint(front, 99, &major) != SMTPF_OK || smtpf_str_uint(rest, 99, &minor) != SMTPF_OK)
    return 0;
  return (int)(major * 100 + minor);
}

static int read_event(smtpf_str rest, smtpf_opensmtpd_line *l)
{
  l->version = version_of(smtpf_str_cut(&rest, '|'));
  (void)smtpf_str_cut(&rest, '|'); /* the time */
  const smtpf_str subsystem = smtpf_str_cut(&rest, '|');
  l->name = smtpf_str_cut(&rest, '|');
  l->session = smtpf_str_cut(&rest, '|');
  if (l->kind == SMTPF_OPENSMTPD_FILTER)
    l->token = smtpf_str_cut(&rest, '|');
  l->rest = rest;
  if (!l->version || !l->name.n || !l->session.n || (l->kind == SMTPF_OPENSMTPD_FILTER && !l->token.n))
    return SMTPF_EPARSE;
  return l->version < OLDEST || !smtpf_str_equal(subsystem, SMTPF_LIT("smtp-in")) ? SMTPF_EUNSUPPORTED : SMTPF_OK;
}

int smtpf_opensmtpd_read(smtpf_str line, smtpf_opensmtpd_line *out)
{
  smtpf_opensmtpd_line l = {.size = sizeof l};
  if (out->size < sizeof *out)
    return SMTPF_EINVAL;
  const smtpf_str word = smtpf_str_cut(&line, '|');
  int r = SMTPF_EPARSE;
  if (smtpf_str_equal(word, SMTPF_LIT("config"))) {
    l.kind = SMTPF_OPENSMTPD_CONFIG;
    l.name = smtpf_str_cut(&line, '|');
    l.rest = line;
    r = l.name.n ? SMTPF_OK : SMTPF_EPARSE;
  } else if (smtpf_str_equal(word, SMTPF_LIT("report"))) {
    l.kind = SMTPF_OPENSMTPD_REPORT;
    r = read_event(line, &l);
  } else if (smtpf_str_equal(word, SMTPF_LIT("filter"))) {
    l.kind = SMTPF_OPENSMTPD_FILTER;
    r = read_event(line, &l);
  }
  if (r == SMTPF_OK)
    *out = l;
  return r;
}

int smtpf_opensmtpd_field(smtpf_str *rest, smtpf_str *field)
{
  if (!rest->p)
    return SMTPF_ENOTFOUND;
  *field = smtpf_str_cut(rest, '|');
  return SMTPF_OK;
}

void smtpf_opensmtpd_address(smtpf_str text, smtpf_str *address, unsigned *port)
{
  size_t colon = text.n;
  uint64_t n = 0;
  while (colon && text.p[colon - 1] != ':')
    colon--;
  *address = (smtpf_str){"", 0};
  *port = 0;
  if (!colon || smtpf_str_starts(text, SMTPF_LIT("unix:")) ||
      smtpf_str_uint((smtpf_str){text.p + colon, text.n - colon}, 65535, &n) != SMTPF_OK)
    return;
  *address = (smtpf_str){text.p, colon - 1};
  *port = (unsigned)n;
  if (address->n > 2 && address->p[0] == '[' && address->p[address->n - 1] == ']')
    *address = (smtpf_str){address->p + 1, address->n - 2};
}

/* The end is never cut off. */
static void begin(smtpf_out *o, const smtpf_opensmtpd_line *line, char *room, size_t cap)
{
  smtpf_out_init(o, room, cap - 1);
  smtpf_out_cstr(o, "filter-result|");
  smtpf_out_str(o, line->session);
  smtpf_out_char(o, '|');
  smtpf_out_str(o, line->token);
}

static int end(const smtpf_out *o, char *room)
{
  const smtpf_str done = smtpf_out_done(o);
  room[done.n] = '\n';
  return (int)done.n + 1;
}

int smtpf_opensmtpd_rewrite(const smtpf_opensmtpd_line *line, smtpf_str value, char *room, size_t cap)
{
  smtpf_out o;
  if (line->kind != SMTPF_OPENSMTPD_FILTER || !value.n)
    return SMTPF_EINVAL;
  for (size_t i = 0; i < value.n; i++)
    if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
      return SMTPF_EINVAL;
  if (!cap)
    return SMTPF_ELIMIT;
  begin(&o, line, room, cap);
  smtpf_out_cstr(&o, "|rewrite|");
  smtpf_out_str(&o, value);
  return o.full ? SMTPF_ELIMIT : end(&o, room);
}

int smtpf_opensmtpd_answer(const smtpf_opensmtpd_line *line, int code, smtpf_str enhanced, smtpf_str text, int closes,
                           char *room, size_t cap)
{
  enum { LEAST = 128 };
  smtpf_out o;
  if (line->kind != SMTPF_OPENSMTPD_FILTER)
    return SMTPF_EINVAL;
  if (cap < LEAST)
    return SMTPF_ELIMIT;
  begin(&o, line, room, cap);
  if (code < 400) {
    smtpf_out_cstr(&o, "|proceed");
  } else {
    smtpf_out_cstr(&o, closes ? "|disconnect|" : "|reject|");
    smtpf_out_uint(&o, (uint64_t)code);
    smtpf_out_char(&o, ' ');
    smtpf_out_str(&o, enhanced);
    if (enhanced.n)
      smtpf_out_char(&o, ' ');
    for (size_t i = 0; i < text.n; i++)
      smtpf_out_char(&o, text.p[i] == '\n' ? ' ' : text.p[i] < 0x20 || text.p[i] > 0x7e ? '?' : text.p[i]);
  }
  return end(&o, room);
}
