/* SPDX-License-Identifier: MIT
 *
 * The milter protocol: what the filter says. Every packet is written whole or not at all, and holds no byte that would
 * end a string, a line or a field early.
 */
#include <smtpfilter/milter.h>
#include <stddef.h>
#include <string.h>

#include "wire/milter_packet.h"

enum { OLDEST = 2, LINES_MAX = 32, LINE_MAX_BYTES = 512, FOLD_AT = 76 };

static int is_one_line(smtpf_str s)
{
  return !s.n || (!memchr(s.p, '\0', s.n) && !memchr(s.p, '\n', s.n) && !memchr(s.p, '\r', s.n));
}

/* ---- negotiation ----------------------------------------------------------------------------------- */

int smtpf_milter_negotiate(const smtpf_milter_packet *offer, smtpf_milter_terms *terms,
                           const smtpf_str macros[SMTPF_MILTER_STAGES], char *room, size_t cap)
{
  if (offer->command != SMTPF_MILTER_OPTNEG)
    return SMTPF_EINVAL;
  if (offer->offer.version < OLDEST)
    return SMTPF_EUNSUPPORTED;
  const smtpf_milter_terms agreed = {offer->offer.version < SMTPF_MILTER_VERSION ? offer->offer.version
                                                                                 : SMTPF_MILTER_VERSION,
                                     offer->offer.actions & terms->actions, offer->offer.protocol & terms->protocol};
  smtpf_out o;
  milter_begin(&o, SMTPF_MILTER_OPTNEG, room, cap);
  milter_add_number(&o, agreed.version);
  milter_add_number(&o, agreed.actions);
  milter_add_number(&o, agreed.protocol);
  for (uint32_t i = 0; macros && agreed.actions & SMTPF_MILTER_CAN_SETSYMLIST && i < SMTPF_MILTER_STAGES; i++) {
    if (!macros[i].n)
      continue;
    milter_add_number(&o, i);
    milter_add_string(&o, macros[i]);
  }
  const int n = milter_end(&o);
  if (n > 0)
    *terms = agreed;
  return n;
}

/* ---- answers --------------------------------------------------------------------------------------- */

int smtpf_milter_letter(int reply, char *room, size_t cap)
{
  smtpf_out o;
  milter_begin(&o, reply, room, cap);
  return milter_end(&o);
}

static void add_code(smtpf_out *o, int code, char separator, smtpf_str enhanced)
{
  smtpf_out_uint(o, (uint64_t)code);
  smtpf_out_char(o, separator);
  if (enhanced.n) {
    smtpf_out_str(o, enhanced);
  } else {
    smtpf_out_uint(o, (uint64_t)code / 100);
    smtpf_out_cstr(o, ".0.0");
  }
  smtpf_out_char(o, ' ');
}

static void add_line(smtpf_out *o, smtpf_str line)
{
  const size_t stop = o->n + LINE_MAX_BYTES - 1; /* room for a doubled one */
  for (size_t i = 0; i < line.n && o->n < stop; i++) {
    if (line.p[i] == '%')
      smtpf_out_char(o, '%');
    smtpf_out_char(o, line.p[i] < 0x20 || line.p[i] > 0x7e ? '?' : line.p[i]);
  }
}

static void add_reply(smtpf_out *o, int code, smtpf_str enhanced, smtpf_str text)
{
  for (int i = 1; i <= LINES_MAX; i++) {
    const smtpf_str line = smtpf_str_cut(&text, '\n');
    const int last = !text.n || i == LINES_MAX;
    add_code(o, code, last ? ' ' : '-', enhanced);
    add_line(o, line);
    if (last)
      break;
    smtpf_out_cstr(o, "\r\n");
  }
  smtpf_out_char(o, '\0');
}

int smtpf_milter_answer(int code, smtpf_str enhanced, smtpf_str text, char *room, size_t cap)
{
  if (code < 400)
    return smtpf_milter_letter(SMTPF_MILTER_CONTINUE, room, cap);
  smtpf_out o;
  milter_begin(&o, SMTPF_MILTER_REPLYCODE, room, cap);
  add_reply(&o, code, enhanced, text);
  return milter_end(&o);
}

int smtpf_milter_rcpt_reply(smtpf_str path, int code, smtpf_str enhanced, smtpf_str text, char *room, size_t cap)
{
  smtpf_out o;
  if (!path.n || !is_one_line(path))
    return SMTPF_EINVAL;
  milter_begin(&o, SMTPF_MILTER_RCPTREPLY, room, cap);
  milter_add_string(&o, path);
  add_reply(&o, code, enhanced, text);
  return milter_end(&o);
}

/* ---- changes --------------------------------------------------------------------------------------- */

int smtpf_milter_envelope(int reply, smtpf_str path, smtpf_str params, char *room, size_t cap)
{
  smtpf_out o;
  if (!path.n || !is_one_line(path) || !is_one_line(params))
    return SMTPF_EINVAL;
  milter_begin(&o, reply, room, cap);
  milter_add_string(&o, path);
  if (params.n)
    milter_add_string(&o, params);
  return milter_end(&o);
}

/* At the last blank before the line gets too long; the milter protocol has LF alone between lines. */
static void add_folded(smtpf_out *o, smtpf_str value, size_t column)
{
  size_t line = 0;
  while (value.n) {
    const char *blank = memchr(value.p + 1, ' ', value.n - 1);
    const size_t n = blank ? (size_t)(blank - value.p) : value.n;
    if (line && column + n > FOLD_AT && value.p[0] == ' ') {
      smtpf_out_char(o, '\n');
      column = 0;
    }
    smtpf_out_str(o, (smtpf_str){value.p, n});
    column += n;
    line++;
    value = (smtpf_str){value.p + n, value.n - n};
  }
}

int smtpf_milter_header(int reply, const smtpf_milter_terms *terms, uint32_t index, smtpf_str name, smtpf_str value,
                        char *room, size_t cap)
{
  smtpf_out o;
  if (!name.n || !is_one_line(name) || !is_one_line(value))
    return SMTPF_EINVAL;
  milter_begin(&o, reply, room, cap);
  if (reply != SMTPF_MILTER_ADDHEADER)
    milter_add_number(&o, index);
  milter_add_string(&o, name);
  if (value.n && terms->protocol & SMTPF_MILTER_HDR_LEADSPC)
    smtpf_out_char(&o, ' ');
  add_folded(&o, value, name.n + 2);
  smtpf_out_char(&o, '\0');
  return milter_end(&o);
}

int smtpf_milter_body(smtpf_str bytes, char *room, size_t cap)
{
  smtpf_out o;
  if (bytes.n > SMTPF_MILTER_CHUNK)
    return SMTPF_EINVAL;
  milter_begin(&o, SMTPF_MILTER_REPLBODY, room, cap);
  smtpf_out_str(&o, bytes);
  return milter_end(&o);
}
