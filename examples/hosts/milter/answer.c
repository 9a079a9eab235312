/* SPDX-License-Identifier: MIT
 *
 * What the MTA is told: the verdict's reply, nothing where it waits for nothing, or later what it did not wait for.
 */
#include <smtpfilter/ext/mail.h>

#include "connection.h"

enum { LETTER = 16 };

static void answer(connection *c, int code, smtpf_str enhanced, smtpf_str words)
{
  const size_t cap = code < 400 ? LETTER : SMTPF_MILTER_ANSWER_MAX;
  char *room = connection_room(c, cap);
  if (room)
    connection_wrote(c, smtpf_milter_answer(code, enhanced, words, room, cap));
}

void answer_letter(connection *c, int letter)
{
  char *room = connection_room(c, LETTER);
  if (room)
    connection_wrote(c, smtpf_milter_letter(letter, room, LETTER));
}

void answer_later(connection *c, const smtpf_verdict *v)
{
  c->late.code = smtpf_verdict_code(v);
  text_set(&c->late.enhanced, smtpf_verdict_enhanced(v));
  text_set(&c->late.text, smtpf_verdict_text(v));
}

/* Whether the MTA waits for no answer. */
int answer_is_none(const connection *c, int command)
{
  static const struct {
    int command;
    uint32_t unless;
  } rows[] = {{SMTPF_MILTER_CONNECT, SMTPF_MILTER_NR_CONN}, {SMTPF_MILTER_HELO, SMTPF_MILTER_NR_HELO},
              {SMTPF_MILTER_MAIL, SMTPF_MILTER_NR_MAIL},    {SMTPF_MILTER_HEADER, SMTPF_MILTER_NR_HDR},
              {SMTPF_MILTER_EOH, SMTPF_MILTER_NR_EOH},      {SMTPF_MILTER_BODY, SMTPF_MILTER_NR_BODY}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].command == command)
      return (c->terms.protocol & rows[i].unless) != 0;
  return 0;
}

/* A refusal that nobody waited for. */
int answer_is_late(const connection *c, int command)
{
  return c->late.code && (command == SMTPF_MILTER_RCPT || command == SMTPF_MILTER_BODYEOB);
}

void answer_piece(connection *c, int command)
{
  const int skip = command == SMTPF_MILTER_BODY && c->late.code && c->terms.protocol & SMTPF_MILTER_KNOWS_SKIP;
  if (!answer_is_none(c, command))
    answer_letter(c, skip ? SMTPF_MILTER_SKIP : SMTPF_MILTER_CONTINUE);
}

/* The MTA hears nothing about ABORT, and nothing of use about a recipient that it refused by itself. When the session
 * ends there, later commands must learn it. */
static void answer_nobody(connection *c, const smtpf_verdict *v, int refused)
{
  if (v && smtpf_verdict_closes(v))
    c->over = 1;
  else if (v && refused && smtpf_verdict_code(v) < 400)
    smtpf_session_overrule(c->session, SMTPF_RCPT, refused);
  if (refused)
    answer_letter(c, SMTPF_MILTER_CONTINUE);
}

static void note_failure(connection *c)
{
  c->late.code = c->over ? 421 : 451;
  text_set(&c->late.enhanced, c->over ? SMTPF_LIT("4.7.0") : SMTPF_LIT("4.3.0"));
  text_set(&c->late.text, c->over ? SMTPF_LIT("this session is over") : SMTPF_LIT("try again later"));
}

static void answer_late(connection *c)
{
  answer(c, c->late.code, text_str(&c->late.enhanced), text_str(&c->late.text));
}

/* Of a stage where nobody waits for an answer. What was refused first is said, unless the client does better. */
static void keep_answer(connection *c, const smtpf_verdict *v)
{
  if (v && smtpf_verdict_closes(v))
    c->over = 1;
  if (v && smtpf_verdict_code(v) < 400)
    c->late.code = 0;
  else if (!c->late.code && v)
    answer_later(c, v);
  else if (!c->late.code)
    note_failure(c);
}

static void answer_failure(connection *c)
{
  note_failure(c);
  answer_late(c);
  c->late.code = 0;
}

void answer_verdict(connection *c, const smtpf_milter_packet *p)
{
  const smtpf_verdict *v = c->failed || !c->session ? NULL : smtpf_session_verdict(c->session);
  const int ends = p->command == SMTPF_MILTER_BODYEOB, refused = dialog_refused_by_mta(c);
  const int late = answer_is_late(c, p->command);
  if (v && !late)
    report_verdict(c, p, v);
  if (v && ends && !late)
    changes_replies(c, v);
  if (p->command == SMTPF_MILTER_ABORT || refused)
    answer_nobody(c, v, refused);
  else if (late)
    answer_late(c);
  else if (answer_is_none(c, p->command))
    keep_answer(c, v);
  else if (!v)
    answer_failure(c);
  else if (c->spared && smtpf_verdict_code(v) < 400)
    answer_letter(c, SMTPF_MILTER_ACCEPT);
  else if (ends && smtpf_verdict_code(v) < 400)
    changes_write(c, v);
  else
    answer(c, smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v));
}
