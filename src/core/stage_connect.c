/* SPDX-License-Identifier: MIT
 *
 * Before the first message: connect, rebind, starttls, auth, helo.
 */
#include "base/str.h"
#include "driver.h"
#include "will.h"

/* Evidence found before RCPT refuses at once only where the policy says so (`refuse.stage`); otherwise it is held,
 * so that it meets the recipient's wishes. 1 when the event was answered. */
static int refused_early(smtpf_session *s, int banner)
{
  smtpf_view view;
  if (smtpf_session_look(s, NULL, 0, &view) != SMTPF_OK) {
    smtpf_session_answer_no_memory(s);
    return 1;
  }
  if (s->stage < s->engine->refuse_stage)
    return 0;
  const smtpf_outcome o = smtpf_will_before_rcpt(s, view);
  if (o.act != SMTPF_ACT_REJECT && o.act != SMTPF_ACT_DEFER)
    return 0;
  smtpf_reply reply = smtpf_outcome_reply(s, &o, NULL);
  if (banner) /* RFC 5321 3.1: a server that will not serve says 554 in place of its banner; 421 leaves the door open */
    reply.code = o.act == SMTPF_ACT_REJECT ? 554 : 421;
  smtpf_session_answer(s, reply, smtpf_outcome_rule(&o, smtpf_session_arena(s, s->stage)));
  if (banner && s->state != SMTPF_STATE_CLOSED)
    s->state = SMTPF_STATE_REFUSED;
  return 1;
}

/* ---- connect, rebind ------------------------------------------------------------------------------------------------
 */

static uint8_t is_own_network(const smtpf_session *s)
{
  return s->client.family && smtpf_trie_find(s->engine->own_networks, &s->client, NULL, NULL);
}

static int set_peer(smtpf_session *s, const smtpf_peer *peer)
{
  char text[SMTPF_IP_TEXT];
  s->client = s->local = (smtpf_ip){0};
  if (peer->address.n && smtpf_ip_parse(peer->address, &s->client) != SMTPF_OK)
    return SMTPF_EINVAL;
  if (peer->local_address.n && smtpf_ip_parse(peer->local_address, &s->local) != SMTPF_OK)
    return SMTPF_EINVAL;
  const smtpf_str canonical = {text, s->client.family ? smtpf_ip_format(&s->client, text) : 0};
  int r = smtpf_arena_copy(&s->connection, canonical, &s->client_text);
  if (r == SMTPF_OK)
    r = smtpf_arena_copy(&s->connection, peer->rdns, &s->rdns);
  s->own = is_own_network(s);
  return r;
}

static int meet(smtpf_session *s, const smtpf_peer *peer, int event)
{
  smtpf_ip ip;
  if (!peer || peer->size < sizeof *peer || (peer->address.n && smtpf_ip_parse(peer->address, &ip) != SMTPF_OK) ||
      (peer->local_address.n && smtpf_ip_parse(peer->local_address, &ip) != SMTPF_OK))
    return SMTPF_EINVAL;
  int r = smtpf_session_begin(s, event);
  if (r != SMTPF_GO)
    return r;
  smtpf_session_drop_connection(s);
  if (event == SMTPF_EV_REBIND)
    s->early_talk = 0; /* of somebody else; before CONNECT it was this client's */
  if (event == SMTPF_EV_CONNECT)
    s->connected_ns = s->driver->now_ns;
  if (set_peer(s, peer) != SMTPF_OK)
    s->no_memory = 1;
  return smtpf_session_end(s, smtpf_session_examine(s, SMTPF_CONNECT));
}

int smtpf_session_connect(smtpf_session *s, const smtpf_peer *peer)
{
  return meet(s, peer, SMTPF_EV_CONNECT);
}

int smtpf_session_rebind(smtpf_session *s, const smtpf_peer *peer)
{
  return meet(s, peer, SMTPF_EV_REBIND);
}

void smtpf_connect_decide(smtpf_session *s)
{
  if (refused_early(s, 1))
    return;
  s->state = SMTPF_STATE_CONNECTED;
  smtpf_session_answer(s, (smtpf_reply){220, {"", 0}, {"", 0}}, SMTPF_LIT("accept"));
}

int smtpf_session_early_talk(smtpf_session *s)
{
  if (s->state == SMTPF_STATE_CLOSED)
    return SMTPF_ESTATE;
  s->early_talk = 1;
  return SMTPF_OK;
}

/* ---- starttls, auth ---- */

int smtpf_session_starttls(smtpf_session *s, smtpf_str protocol, smtpf_str cipher)
{
  int r = smtpf_session_begin(s, SMTPF_EV_STARTTLS);
  if (r != SMTPF_GO)
    return r;
  /* RFC 3207 4.2: the server forgets what the client told it before. */
  smtpf_session_drop_greeting(s);
  s->identity = (smtpf_str){NULL, 0};
  s->own = is_own_network(s);
  s->tls = 1;
  s->state = SMTPF_STATE_CONNECTED;
  if (smtpf_session_fact_set(s, "tls.protocol", protocol, 1) != SMTPF_OK ||
      smtpf_session_fact_set(s, "tls.cipher", cipher, 1) != SMTPF_OK)
    smtpf_session_answer_no_memory(s);
  else
    SMTPF_ANSWER(s, 220, "2.0.0", "TLS is up", "accept");
  return smtpf_session_end(s, SMTPF_OK);
}

int smtpf_session_auth(smtpf_session *s, smtpf_str mechanism, smtpf_str identity)
{
  int r = smtpf_session_begin(s, SMTPF_EV_AUTH);
  if (r != SMTPF_GO)
    return r;
  if (smtpf_session_fact_set(s, "auth.mechanism", mechanism, 1) != SMTPF_OK ||
      smtpf_arena_copy(&s->connection, identity, &s->identity) != SMTPF_OK) {
    smtpf_session_answer_no_memory(s);
  } else {
    s->own = 1;
    SMTPF_ANSWER(s, 235, "2.7.0", "authenticated", "accept");
  }
  return smtpf_session_end(s, SMTPF_OK);
}

/* ---- helo ---- */

int smtpf_session_helo(smtpf_session *s, int greeting, smtpf_str name)
{
  if (greeting < SMTPF_GREET_HELO || greeting > SMTPF_GREET_LHLO)
    return SMTPF_EINVAL;
  int r = smtpf_session_begin(s, SMTPF_EV_HELO);
  if (r != SMTPF_GO)
    return r;
  /* RFC 2033 4.1: LMTP has LHLO in place of HELO and EHLO, and SMTP has no LHLO. */
  if ((greeting == SMTPF_GREET_LHLO) != (s->protocol == SMTPF_LMTP)) {
    SMTPF_ANSWER(s, 500, "5.5.1", "command not known in this protocol", "protocol");
    return smtpf_session_end(s, SMTPF_OK);
  }
  name = smtpf_str_trim(name);
  if (!name.n) {
    SMTPF_ANSWER(s, 501, "5.5.4", "a domain or address literal is needed", "syntax");
    return smtpf_session_end(s, SMTPF_OK);
  }
  smtpf_session_drop_greeting(s);
  s->state = SMTPF_STATE_CONNECTED; /* until it is accepted */
  s->greeting = (uint8_t)greeting;
  if (smtpf_arena_copy(&s->greeting_arena, name, &s->helo) != SMTPF_OK)
    s->no_memory = 1;
  return smtpf_session_end(s, smtpf_session_examine(s, SMTPF_HELO));
}

void smtpf_helo_decide(smtpf_session *s)
{
  if (refused_early(s, 0)) {
    s->greeting = 0;
    return;
  }
  s->state = SMTPF_STATE_GREETED;
  smtpf_session_answer(s, (smtpf_reply){250, {"", 0}, {"", 0}}, SMTPF_LIT("accept"));
}
