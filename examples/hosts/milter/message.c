/* SPDX-License-Identifier: MIT
 *
 * The message as it came, out of what the MTA makes of it: fields without their ends, LF between the lines of one,
 * and, where it was not agreed otherwise, without the blank after the colon.
 */
#include <string.h>

#include "connection.h"

/* Gives what the session has not taken yet. What it does not want counts as taken. */
static int feed(connection *c, smtpf_str bytes)
{
  size_t taken = 0;
  while (c->fed < bytes.n) {
    const int r = smtpf_session_body(c->session, bytes.p + c->fed, bytes.n - c->fed, &taken);
    if (r < 0)
      break;
    c->fed += taken;
    if (r == SMTPF_PENDING)
      return SMTPF_PENDING;
  }
  c->fed = 0;
  return SMTPF_OK;
}

static void add_lines(text *t, smtpf_str value)
{
  while (value.n) {
    const char *lf = memchr(value.p, '\n', value.n);
    const size_t n = lf ? (size_t)(lf - value.p) : value.n;
    text_add(t, (smtpf_str){value.p, n && value.p[n - 1] == '\r' ? n - 1 : n});
    if (!lf)
      return;
    text_cstr(t, "\r\n");
    value = (smtpf_str){lf + 1, value.n - n - 1};
  }
}

static smtpf_str field(connection *c, const smtpf_milter_packet *p)
{
  text *t = &c->piece;
  text_clear(t);
  text_add(t, p->name);
  text_char(t, ':');
  if (!(c->terms.protocol & SMTPF_MILTER_HDR_LEADSPC))
    text_char(t, ' ');
  add_lines(t, p->value);
  text_cstr(t, "\r\n");
  return text_str(t);
}

/* The empty line, which an MTA that sends no EOH leaves out. */
static int end_header(connection *c)
{
  if (!c->in_header)
    return SMTPF_OK;
  const int r = feed(c, SMTPF_LIT("\r\n"));
  c->in_header = r == SMTPF_PENDING;
  return r;
}

int message_feed(connection *c, const smtpf_milter_packet *p)
{
  if (p->command == SMTPF_MILTER_HEADER) {
    const smtpf_str bytes = field(c, p);
    if (!c->piece.failed)
      return feed(c, bytes);
    connection_close(c); /* a message with a hole in it is not judged */
    return SMTPF_OK;
  }
  const int r = end_header(c);
  return r == SMTPF_PENDING || p->command == SMTPF_MILTER_EOH ? r : feed(c, p->rest);
}
