/* SPDX-License-Identifier: MIT
 *
 * What a verdict is to Postfix: an action of access(5).
 *
 *   verdict                          action
 *   accept                           DUNNO: what else is configured has its say
 *   450, 451                         DEFER_IF_PERMIT: a refusal by something else comes first
 *   any other 4xx, 5xx               the reply
 *   message: quarantined, whole      HOLD
 *   message: discarded by all        DISCARD
 *   message: a field to be added     PREPEND, before the message only
 *
 * An answer holds one action. What else there is to do is the answer when Postfix asks about the same state again, as
 * it does where the service is named again; what nobody asks for is told.
 */
#include <stdio.h>
#include <string.h>

#include "policyd.h"

enum { ROOM = 2048 };

static void send_answer(connection *c, const char *bytes, int n)
{
  memmove(c->in, c->in + c->taken, c->n - c->taken);
  c->n -= c->taken;
  c->taken = 0;
  if (c->about)
    c->about->asked = 0;
  connection_send(c, bytes, (size_t)n);
}

void answer_dunno(connection *c)
{
  char room[ROOM];
  send_answer(c, room, smtpf_delegation_answer(250, (smtpf_str){"", 0}, (smtpf_str){"", 0}, room, sizeof room));
}

/* ---- an accepted message ------------------------------------------------------------------------------------ */

static int recipient(const smtpf_verdict *v, size_t i, smtpf_recipient_info *r)
{
  *r = (smtpf_recipient_info){.size = sizeof *r};
  return smtpf_verdict_recipient(v, i, r) == SMTPF_OK;
}

/* HOLD or DISCARD, when that becomes of every copy. */
static int for_all(const smtpf_verdict *v, smtpf_str *action, smtpf_str *detail)
{
  smtpf_recipient_info r;
  size_t held = 0, dropped = 0, n = 0;
  for (; recipient(v, n, &r); n++) {
    held += r.disposition == SMTPF_QUARANTINED;
    dropped += r.disposition == SMTPF_DISCARDED;
    if (!n)
      *detail = r.reason;
  }
  *action = dropped == n ? SMTPF_LIT("DISCARD") : SMTPF_LIT("HOLD");
  return n && (dropped == n || held == n || (held && held + dropped == n));
}

/* The mark of a forward is for who forwards; Postfix's own delivery would take it for a loop. */
static int is_field(const smtpf_edit_info *e)
{
  const smtpf_str forward = SMTPF_LIT("Delivered-To");
  return e->op != SMTPF_EDIT_DELETE && e->recipient == SMTPF_ALL &&
         !(e->name.n == forward.n && memcmp(e->name.p, forward.p, forward.n) == 0);
}

/* The `i`th thing to do. Fields can be added before the message only, and to what is dropped need not be. */
static int action(const smtpf_verdict *v, size_t i, int before, smtpf_str *action, smtpf_str *detail, char room[ROOM])
{
  const int whole = for_all(v, action, detail);
  if (whole && !i)
    return 1;
  if (!before || (whole && action->p[0] == 'D'))
    return 0;
  smtpf_edit_info e = {.size = sizeof e};
  size_t at = i - (size_t)whole;
  for (size_t k = 0; smtpf_verdict_edit(v, k, &e) == SMTPF_OK; k++) {
    if (!is_field(&e) || at--)
      continue;
    const int n = snprintf(room, ROOM, "%.*s: %.*s", (int)e.name.n, e.name.p, (int)e.value.n, e.value.p);
    *action = SMTPF_LIT("PREPEND");
    *detail = (smtpf_str){room, n < ROOM ? (size_t)n : ROOM - 1};
    return 1;
  }
  return 0;
}

static void answer_message(connection *c, const smtpf_verdict *v)
{
  char room[ROOM], field[ROOM];
  smtpf_str what, detail = {"", 0};
  if (!action(v, c->about->given, c->request.stage != SMTPF_EOM, &what, &detail, field)) {
    answer_dunno(c);
    return;
  }
  c->about->given++;
  send_answer(c, room, smtpf_delegation_action(what, detail, room, sizeof room));
}

void answer_verdict(connection *c)
{
  instance *i = c->about;
  const smtpf_verdict *v = smtpf_session_verdict(i->session);
  char room[ROOM];
  if (i->told == MESSAGE && smtpf_verdict_code(v) < 400) {
    answer_message(c, v);
    return;
  }
  i->ends = smtpf_verdict_closes(v);
  send_answer(c, room,
              smtpf_delegation_answer(smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v), room,
                                      sizeof room));
}

/* ---- what is lost ----------------------------------------------------------------------------------------------- */

void answer_tell_lost(const instance *i)
{
  const smtpf_verdict *v = i->told == MESSAGE ? smtpf_session_verdict(i->session) : NULL;
  char field[ROOM];
  smtpf_str what, detail = {"", 0};
  if (i->incomplete)
    report_lost(i, "decision", SMTPF_LIT("Postfix took recipients that it did not ask about"));
  if (!v || smtpf_verdict_code(v) >= 400)
    return;
  for (size_t k = i->given; action(v, k, 1, &what, &detail, field); k++)
    report_lost(i, what.p, detail);
  smtpf_recipient_info r;
  for (size_t k = 0; recipient(v, k, &r); k++)
    if (r.route == SMTPF_ROUTE_FORWARD)
      report_lost(i, "forward", r.address);
}
