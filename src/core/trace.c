/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <string.h>

#include "base/str.h"
#include "driver.h"
#include "message.h"
#include "session.h"
#include "will.h"

enum { ROOM = 2048, HOPS = 32, DELIVERED_MOST = 64, NAME_LONGEST = 255 };

/* ---- while it is read -----------------------------------------------------------------------------------------------
 */

static int is_trusted(const smtpf_rcpt *rcpt)
{
  return rcpt->origin == SMTPF_ORIGIN_BACKUP_MX || rcpt->origin == SMTPF_ORIGIN_FORWARDER ||
         rcpt->origin == SMTPF_ORIGIN_LIST;
}

int smtpf_trace_begin(smtpf_session *s, smtpf_header_fn *field)
{
  struct smtpf_message *m = s->message;
  int trusted = 0;
  for (size_t i = 0; i < s->n_rcpts; i++) {
    s->rcpts[i]->delivered = 0;
    trusted |= is_trusted(s->rcpts[i]);
  }
  const int asked = trusted || (s->engine->stages & (SMTPF_BODY | SMTPF_EOM));
  if (asked)
    m->traces.room = smtpf_arena_bytes(&s->transaction, ROOM);
  if (trusted)
    m->traces.hops = smtpf_arena_alloc(&s->transaction, HOPS * sizeof *m->traces.hops);
  if ((asked && !m->traces.room) || (trusted && !m->traces.hops))
    return SMTPF_ENOMEM;
  smtpf_header_init(&m->header, asked ? m->traces.room : m->room, asked ? (size_t)ROOM : sizeof m->room, field, s);
  return SMTPF_OK;
}

static int is_ours(const smtpf_session *s, smtpf_str by)
{
  const smtpf_section *root = s->engine->tree.root;
  for (size_t i = 0; by.n && i < smtpf_section_count(root, "hostnames"); i++)
    if (smtpf_domain_equal(by, smtpf_section_string_at(root, "hostnames", i)))
      return 1;
  return 0;
}

static smtpf_str kept(smtpf_session *s, smtpf_str text)
{
  smtpf_str own = {"", 0};
  text.n = text.n < NAME_LONGEST ? text.n : NAME_LONGEST;
  if (smtpf_arena_copy(&s->transaction, text, &own) != SMTPF_OK)
    s->no_memory = 1;
  return own;
}

static void take_received(smtpf_session *s, const smtpf_header_field *field)
{
  smtpf_traces *t = &s->message->traces;
  smtpf_str by;
  smtpf_hop hop = smtpf_hop_read(field->value, &by);
  t->own += is_ours(s, by);
  if (!t->hops || t->n_hops == HOPS)
    return;
  if (field->flags & SMTPF_HEADER_TRUNCATED)
    hop.kind = SMTPF_HOP_BROKEN;
  hop.helo = kept(s, hop.helo);
  hop.name = kept(s, smtpf_str_equal_nocase(hop.name, SMTPF_LIT("unknown")) ? (smtpf_str){"", 0} : hop.name);
  t->hops[t->n_hops++] = hop;
}

/* RFC 2919 3: a phrase, and the identifier in brackets. */
static smtpf_str list_id(smtpf_str value)
{
  size_t begin = value.n;
  while (begin && value.p[begin - 1] != '<')
    begin--;
  const smtpf_str inside = {value.p + begin, value.n - begin};
  const char *end = inside.n ? memchr(inside.p, '>', inside.n) : NULL;
  return smtpf_str_trim(begin && end ? (smtpf_str){inside.p, (size_t)(end - inside.p)} : value);
}

/* There is one at most (RFC 2919 6). Of several each must be the list's: one of them its host may only have passed on.
 */
static void take_list_id(smtpf_session *s, smtpf_str value)
{
  smtpf_traces *t = &s->message->traces;
  const uint64_t scopes = smtpf_engine_list_scopes(s->engine, list_id(value));
  t->lists = t->from_list ? t->lists & scopes : scopes;
  t->from_list = 1;
}

static void take_delivered(smtpf_session *s, smtpf_str value)
{
  if (value.n > 1 && *value.p == '<' && value.p[value.n - 1] == '>')
    value = (smtpf_str){value.p + 1, value.n - 2};
  if (s->message->traces.delivered++ >= DELIVERED_MOST)
    return;
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (!s->rcpts[i]->returns_to.n) /* behind an SRS address there is no mailbox */
      s->rcpts[i]->delivered |= (uint8_t)smtpf_str_equal_nocase(value, s->rcpts[i]->canonical);
}

void smtpf_trace_field(smtpf_session *s, const smtpf_header_field *field)
{
  if (!s->message->traces.room)
    return;
  if (smtpf_str_equal_nocase(field->name, SMTPF_LIT("Received")))
    take_received(s, field);
  else if (smtpf_str_equal_nocase(field->name, SMTPF_LIT("List-Id")))
    take_list_id(s, field->value);
  else if (smtpf_str_equal_nocase(field->name, SMTPF_LIT("Delivered-To")))
    take_delivered(s, field->value);
}

uint64_t smtpf_trace_other_list(const smtpf_session *s)
{
  const struct smtpf_message *m = s->message;
  return m && m->traces.room && m->header.ended ? s->engine->scopes.of_lists & ~m->traces.lists : 0;
}

/* ---- asked by checks ------------------------------------------------------------------------------------------------
 */

static int is_read(const smtpf_session *s)
{
  return s->message && s->message->traces.room && s->message->header.ended;
}

int smtpf_task_trace(const smtpf_task *t, size_t recipient, smtpf_trace *out)
{
  const smtpf_session *s = t->session;
  if (out->size < sizeof *out || recipient > s->n_rcpts || !is_read(s))
    return SMTPF_EINVAL;
  out->received = (size_t)s->message->received;
  out->own = (size_t)s->message->traces.own;
  out->delivered = recipient && s->rcpts[recipient - 1]->delivered;
  return SMTPF_OK;
}

int smtpf_task_origin(const smtpf_task *t, size_t recipient, smtpf_str *scope)
{
  smtpf_session *s = t->session;
  const smtpf_rcpt *rcpt = recipient && recipient <= s->n_rcpts ? s->rcpts[recipient - 1] : recipient ? NULL : s->rcpt;
  smtpf_trust trust;
  if (!rcpt)
    return 0;
  smtpf_will_trust(s, rcpt, &trust);
  if (scope)
    *scope = smtpf_engine_scope_name(s->engine, trust.by);
  return trust.origin;
}

/* Scopes and own networks tell trusted addresses; names do not: what the DNS says of a host was not asked. */
typedef struct trusted {
  const smtpf_engine *engine;
  uint64_t scopes;
} trusted;

static int host_of(const void *user, const smtpf_ip *ip)
{
  const trusted *t = user;
  const smtpf_str none = {NULL, 0};
  if (smtpf_trie_find(t->engine->own_networks, ip, NULL, NULL))
    return SMTPF_HOST_OWN;
  return smtpf_engine_scopes(t->engine, ip, 0, none, none) & t->scopes ? SMTPF_HOST_TRUSTED : SMTPF_HOST_STRANGE;
}

static int show(const smtpf_task *t, const smtpf_hop *hop, size_t hops, smtpf_source *out)
{
  char *text = smtpf_arena_alloc(&t->run->scratch, SMTPF_IP_TEXT);
  if (!text) {
    t->session->no_memory = 1;
    return SMTPF_ENOTFOUND;
  }
  out->ip = hop->ip;
  out->text = (smtpf_str){text, smtpf_ip_format(&hop->ip, text)};
  out->helo = hop->helo;
  out->name = hop->name;
  out->hops = hops;
  return SMTPF_OK;
}

int smtpf_task_source(const smtpf_task *t, size_t recipient, smtpf_source *out)
{
  smtpf_session *s = t->session;
  smtpf_trust trust;
  if (out->size < sizeof *out || !recipient || recipient > s->n_rcpts || !is_read(s))
    return SMTPF_EINVAL;
  smtpf_will_trust(s, s->rcpts[recipient - 1], &trust);
  if (trust.origin == SMTPF_ORIGIN_STRANGER || trust.origin == SMTPF_ORIGIN_OWN)
    return SMTPF_ENOTFOUND;
  const trusted known = {s->engine, trust.all};
  const smtpf_source_walk walk = {.client = &s->client,
                                  .hops = s->message->traces.hops,
                                  .n = s->message->traces.n_hops,
                                  .most = (size_t)s->engine->limits.received_hops,
                                  .whole = (size_t)s->message->received == s->message->traces.n_hops,
                                  .host = host_of,
                                  .user = &known};
  size_t at, hops;
  return smtpf_source_find(&walk, &at, &hops) == SMTPF_SOURCE_FOUND ? show(t, &walk.hops[at], hops, out)
                                                                    : SMTPF_ENOTFOUND;
}
