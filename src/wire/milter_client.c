/* SPDX-License-Identifier: MIT
 *
 * The milter protocol, the MTA's side: commands are written, what the filter says is read. The inverse of milter.c and
 * milter_reply.c, row by row.
 */
#include <smtpfilter/milter.h>
#include <string.h>

#include "wire/milter_packet.h"

/* ---- commands -------------------------------------------------------------------------------------- */

static int has_nul(smtpf_str s)
{
  return s.n && memchr(s.p, '\0', s.n) != NULL;
}

static void add_client(smtpf_out *o, const smtpf_milter_packet *p)
{
  const int family = p->family ? p->family : SMTPF_MILTER_FAMILY_UNKNOWN;
  milter_add_string(o, p->name);
  smtpf_out_char(o, (char)family);
  if (family == SMTPF_MILTER_FAMILY_UNKNOWN)
    return;
  smtpf_out_char(o, (char)(p->port >> 8));
  smtpf_out_char(o, (char)p->port);
  milter_add_string(o, p->value);
}

static void add_offer(smtpf_out *o, const smtpf_milter_terms *t)
{
  milter_add_number(o, t->version);
  milter_add_number(o, t->actions);
  milter_add_number(o, t->protocol);
}

/* 0 for a command that there is not. */
static int add_data(smtpf_out *o, const smtpf_milter_packet *p)
{
  switch (p->command) {
  case SMTPF_MILTER_ABORT:
  case SMTPF_MILTER_QUIT:
  case SMTPF_MILTER_QUIT_NC:
  case SMTPF_MILTER_EOH:
  case SMTPF_MILTER_DATA: return 1;
  case SMTPF_MILTER_BODY:
  case SMTPF_MILTER_BODYEOB: smtpf_out_str(o, p->rest); return 1;
  case SMTPF_MILTER_HELO:
  case SMTPF_MILTER_UNKNOWN: milter_add_string(o, p->name); return 1;
  case SMTPF_MILTER_HEADER:
    milter_add_string(o, p->name);
    milter_add_string(o, p->value);
    return 1;
  case SMTPF_MILTER_MAIL:
  case SMTPF_MILTER_RCPT:
    milter_add_string(o, p->name);
    smtpf_out_str(o, p->rest);
    return 1;
  case SMTPF_MILTER_OPTNEG: add_offer(o, &p->offer); return 1;
  case SMTPF_MILTER_CONNECT: add_client(o, p); return 1;
  case SMTPF_MILTER_MACRO:
    smtpf_out_char(o, (char)p->stage);
    smtpf_out_str(o, p->rest);
    return 1;
  default: return 0;
  }
}

int smtpf_milter_write(const smtpf_milter_packet *p, char *room, size_t cap)
{
  smtpf_out o;
  milter_begin(&o, p->command, room, cap);
  if (has_nul(p->name) || has_nul(p->value) || !add_data(&o, p))
    return SMTPF_EINVAL;
  return milter_end(&o);
}

/* ---- what the filter says ---------------------------------------------------------------------------- */

static int read_index(smtpf_str *data, smtpf_milter_response *out)
{
  if (data->n < MILTER_LENGTH)
    return SMTPF_EPARSE;
  out->index = milter_number_at(data->p);
  *data = (smtpf_str){data->p + MILTER_LENGTH, data->n - MILTER_LENGTH};
  return SMTPF_OK;
}

/* One string, or two; `least` of them must be there, and nothing else. */
static int read_strings(smtpf_str data, int least, smtpf_milter_response *out)
{
  if (smtpf_milter_string(&data, &out->name) != SMTPF_OK)
    return SMTPF_EPARSE;
  if ((least > 1 || data.n) && smtpf_milter_string(&data, &out->value) != SMTPF_OK)
    return SMTPF_EPARSE;
  return data.n ? SMTPF_EPARSE : SMTPF_OK;
}

static int read_data(smtpf_str data, smtpf_milter_response *out)
{
  switch (out->reply) {
  case SMTPF_MILTER_OPTNEG: return milter_read_terms(data, &out->terms);
  case SMTPF_MILTER_INSHEADER:
  case SMTPF_MILTER_CHGHEADER: return read_index(&data, out) == SMTPF_OK ? read_strings(data, 2, out) : SMTPF_EPARSE;
  case SMTPF_MILTER_ADDHEADER:
  case SMTPF_MILTER_RCPTREPLY: return read_strings(data, 2, out);
  case SMTPF_MILTER_ADDRCPT:
  case SMTPF_MILTER_ADDRCPT_PAR:
  case SMTPF_MILTER_DELRCPT:
  case SMTPF_MILTER_CHGFROM:
  case SMTPF_MILTER_QUARANTINE: return read_strings(data, 1, out);
  case SMTPF_MILTER_REPLYCODE:
    return smtpf_milter_string(&data, &out->value) == SMTPF_OK && !data.n ? SMTPF_OK : SMTPF_EPARSE;
  case SMTPF_MILTER_REPLBODY: out->value = data; return SMTPF_OK;
  default: return SMTPF_OK;
  }
}

int smtpf_milter_read_reply(smtpf_str bytes, uint32_t max, smtpf_milter_response *out)
{
  smtpf_milter_response response = {.size = sizeof response};
  smtpf_str data;
  if (out->size < sizeof response)
    return SMTPF_EINVAL;
  const int n = milter_packet_at(bytes, max, &response.reply, &data);
  const int r = n > 0 ? read_data(data, &response) : SMTPF_OK;
  if (r != SMTPF_OK)
    return r;
  if (n > 0)
    *out = response;
  return n;
}

/* ---- replies ----------------------------------------------------------------------------------------- */

static int is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* `550`, and a blank or a hyphen behind it, or nothing. */
static int take_code(smtpf_str *line)
{
  if (line->n < 3 || (line->p[0] != '4' && line->p[0] != '5') || !is_digit(line->p[1]) || !is_digit(line->p[2]) ||
      (line->n > 3 && line->p[3] != ' ' && line->p[3] != '-'))
    return SMTPF_EPARSE;
  const int code = (line->p[0] - '0') * 100 + (line->p[1] - '0') * 10 + (line->p[2] - '0');
  const size_t n = line->n > 3 ? 4 : 3;
  *line = (smtpf_str){line->p + n, line->n - n};
  return code;
}

/* `5.7.1` and the blank behind it; empty when there is none. */
static smtpf_str take_enhanced(smtpf_str *line)
{
  const char *blank = line->n ? memchr(line->p, ' ', line->n) : NULL;
  const size_t n = blank ? (size_t)(blank - line->p) : line->n;
  int dots = 0;
  for (size_t i = 0; i < n; i++) {
    if (line->p[i] == '.')
      dots++;
    else if (!is_digit(line->p[i]))
      return (smtpf_str){NULL, 0};
  }
  if (dots != 2)
    return (smtpf_str){NULL, 0};
  const smtpf_str enhanced = {line->p, n};
  *line = (smtpf_str){line->p + n + (blank != NULL), line->n - n - (blank != NULL)};
  return enhanced;
}

static void add_line(smtpf_out *o, smtpf_str line)
{
  for (size_t i = 0; i < line.n; i++) {
    if (line.p[i] == '%' && i + 1 < line.n && line.p[i + 1] == '%')
      i++;
    smtpf_out_char(o, line.p[i]);
  }
}

int smtpf_milter_reply_parts(smtpf_str reply, smtpf_str *enhanced, smtpf_str *text, char *room, size_t cap)
{
  smtpf_out o;
  int code = SMTPF_EPARSE;
  smtpf_out_init(&o, room, cap);
  for (int first = 1; first || reply.n; first = 0) {
    smtpf_str line = smtpf_str_cut(&reply, '\n');
    if (line.n && line.p[line.n - 1] == '\r')
      line.n--;
    const int its = take_code(&line);
    if (its < 0 || (!first && its != code))
      return SMTPF_EPARSE;
    const smtpf_str status = take_enhanced(&line);
    if (first)
      *enhanced = status;
    else
      smtpf_out_char(&o, '\n');
    code = its;
    add_line(&o, line);
  }
  *text = smtpf_out_done(&o);
  return code;
}
