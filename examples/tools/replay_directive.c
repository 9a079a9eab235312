/* SPDX-License-Identifier: MIT
 *
 * Directives: what happens beside the client's bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

static smtpf_str word(const struct replay_item *item, int i)
{
  return smtpf_str_of(item->words[i]);
}

static smtpf_peer peer_of(const struct replay *r, const struct replay_item *item)
{
  smtpf_peer peer = {
      .size = sizeof peer, .address = word(item, 0), .local_address = smtpf_str_of(r->local), .rdns = word(item, 1)};
  if (strcmp(item->words[0], "-") == 0)
    peer.address = (smtpf_str){0};
  return peer;
}

/* ---- overrule, commit ---- */

int replay_overrule(struct replay *r, int stage, struct replay_record *rec)
{
  const struct replay_item *next = r->item + 1 < r->script->n ? &r->script->items[r->item + 1] : NULL;
  if (!stage || !next || next->kind != REPLAY_OVERRULE || strcmp(next->words[0], smtpf_stage_name(stage)) != 0 ||
      smtpf_verdict_action(smtpf_session_verdict(r->session)) != SMTPF_ACCEPT)
    return SMTPF_OK;
  int code = (int)next->number;
  int result = smtpf_session_overrule(r->session, stage, code);
  if (result != SMTPF_OK)
    return replay_fault(r, "overrule", smtpf_strerror(result));
  r->item++;
  replay_begin(r, rec, "overrule", "OVERRULE");
  rec->arg = replay_strdup(next->arg, strlen(next->arg));
  replay_record_overruled(rec, code, "Refused by the host");
  return SMTPF_OK;
}

static int any_open(const smtpf_verdict *v)
{
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info to = {.size = sizeof to};
    if (smtpf_verdict_recipient(v, i, &to) == SMTPF_OK && !to.final)
      return 1;
  }
  return 0;
}

/* The open recipient `address`, SMTPF_ALL when there is none. */
static size_t find_open(const smtpf_verdict *v, const char *address)
{
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info to = {.size = sizeof to};
    if (smtpf_verdict_recipient(v, i, &to) == SMTPF_OK && !to.final &&
        smtpf_str_equal_nocase(to.address, smtpf_str_of(address)))
      return i;
  }
  return SMTPF_ALL;
}

static int commit_one(struct replay *r, size_t recipient, int result)
{
  return replay_settle(r, smtpf_session_commit(r->session, recipient, result), "commit");
}

/* What the next hop said of a copy, where the line tells it. */
static int tell_hop(struct replay *r, const struct replay_item *item, size_t recipient)
{
  const char *code = replay_value(item, "code");
  int64_t number = 0;
  if (!code || recipient == SMTPF_ALL)
    return SMTPF_OK;
  replay_number(code, 599, &number, NULL);
  int result = smtpf_session_hop_reply(r->session, recipient, (int)number, smtpf_str_of(replay_value(item, "enhanced")),
                                       smtpf_str_of(replay_value(item, "text")));
  /* Without memory for the words the commit alone tells what became of it. */
  return result == SMTPF_OK || result == SMTPF_ENOMEM ? SMTPF_OK : replay_fault(r, "commit", smtpf_strerror(result));
}

static int commit_line(struct replay *r, const struct replay_item *item)
{
  size_t recipient = SMTPF_ALL;
  if (item->words[1]) {
    recipient = find_open(smtpf_session_verdict(r->session), item->words[0]);
    if (recipient == SMTPF_ALL)
      return SMTPF_OK; /* refused before, or closed */
  }
  struct replay_record rec;
  replay_begin(r, &rec, "commit", "COMMIT");
  rec.arg = replay_strdup(item->arg, strlen(item->arg));
  int result = tell_hop(r, item, recipient);
  if (result == SMTPF_OK)
    result = commit_one(r, recipient, (int)item->number);
  replay_emit(r, &rec);
  return result;
}

int replay_commit(struct replay *r, struct replay_record *eom)
{
  if (!(r->options.host.capabilities & SMTPF_CAN_REPORT_COMMIT))
    return SMTPF_OK;
  int result = SMTPF_OK, done = 0;
  while (result == SMTPF_OK && any_open(smtpf_session_verdict(r->session))) {
    const struct replay_item *next = r->item + 1 < r->script->n ? &r->script->items[r->item + 1] : NULL;
    if (next && (next->kind == REPLAY_COMMIT || next->kind == REPLAY_QUEUE_ID)) {
      r->item++;
      if (next->kind == REPLAY_COMMIT)
        result = commit_line(r, next);
      else
        smtpf_session_queue_id(r->session, word(next, 0));
    } else {
      result = commit_one(r, SMTPF_ALL, SMTPF_COMMIT_OK);
    }
    done = 1;
  }
  if (result == SMTPF_OK && done) {
    replay_record_reply(eom, smtpf_session_verdict(r->session));
    replay_record_recipients(eom, smtpf_session_verdict(r->session));
    if (eom->closes)
      r->over = 1;
  }
  return result;
}

/* ---- events beside the codec ---- */

static int new_codec(struct replay *r)
{
  int64_t line = 0, text_line = 0, message = 0, ends = 0;
  smtpf_str name = SMTPF_LIT("mx.example.net");
  smtpf_engine_number(r->engine, "limits.line", &line);
  smtpf_engine_number(r->engine, "limits.text_line", &text_line);
  smtpf_engine_number(r->engine, "limits.message", &message);
  smtpf_engine_number(r->engine, "smtp.line_ends", &ends);
  smtpf_engine_option(r->engine, "hostnames", 0, &name);
  const unsigned prdr = r->options.host.capabilities & SMTPF_CAN_REPLY_PER_RCPT ? SMTPF_EXT_PRDR : 0;
  smtpf_smtpd_options o = {.size = sizeof o,
                           .hostname = name,
                           .extensions = SMTPF_EXT_PIPELINING | SMTPF_EXT_SIZE | SMTPF_EXT_8BITMIME |
                                         SMTPF_EXT_SMTPUTF8 | SMTPF_EXT_ENHANCEDSTATUSCODES | SMTPF_EXT_DSN |
                                         SMTPF_EXT_CHUNKING | prdr,
                           .protocol = r->options.host.protocol,
                           .line_ends = ends ? SMTPF_LINE_ENDS_NORMALISE : SMTPF_LINE_ENDS_REFUSE,
                           .line_max = (uint32_t)line,
                           .text_line_max = (uint32_t)text_line,
                           .message_max = (uint64_t)message};
  int result = smtpf_smtpd_new(&r->codec, &o, r->options.mem);
  return result == SMTPF_OK ? smtpf_smtpc_new(&r->client, 0, NULL) : result;
}

/* Takes the verdict of an event that has no command; `answer` when the codec waits for it. */
static int conclude(struct replay *r, const struct replay_item *item, int result, const char *event, const char *label,
                    int answer)
{
  struct replay_record rec, overruled = {0};
  result = replay_settle(r, result, label);
  if (result != SMTPF_OK)
    return result;
  const smtpf_verdict *v = smtpf_session_verdict(r->session);
  replay_begin(r, &rec, event, label);
  rec.arg = replay_strdup(item->arg, strlen(item->arg));
  replay_record_reply(&rec, v);
  replay_record_evidence(&rec, v);
  r->over |= rec.closes;
  result = replay_overrule(r, smtpf_verdict_stage(v), &overruled);
  if (result == SMTPF_OK && answer)
    result = overruled.event ? replay_reply(r, overruled.reply.code, overruled.reply.text)
                             : replay_answer(r, v, rec.reply.code);
  replay_emit(r, &rec);
  if (overruled.event)
    replay_emit(r, &overruled);
  return result;
}

static int connect_client(struct replay *r, const struct replay_item *item)
{
  replay_end(r);
  smtpf_session_options o = {
      .size = sizeof o, .capabilities = r->options.host.capabilities, .protocol = r->options.host.protocol, .user = r};
  int result = smtpf_session_new(&r->session, r->driver, &o);
  if (result == SMTPF_OK)
    result = new_codec(r);
  if (result != SMTPF_OK)
    return result;
  r->over = 0;
  if (r->early && smtpf_session_early_talk(r->session) != SMTPF_OK)
    return replay_fault(r, "early-talk", "is refused before CONNECT");
  r->early = 0;
  smtpf_peer peer = peer_of(r, item);
  return conclude(r, item, smtpf_session_connect(r->session, &peer), "connect", "CONNECT", 1);
}

static int abort_session(struct replay *r)
{
  struct replay_record rec;
  if (smtpf_session_abort(r->session) != SMTPF_OK || smtpf_session_abort(r->session) != SMTPF_OK)
    return replay_fault(r, "abort", "is refused");
  replay_begin(r, &rec, "abort", "ABORT");
  replay_end(r);
  replay_emit(r, &rec);
  return SMTPF_OK;
}

static int start_tls(struct replay *r, const struct replay_item *item)
{
  smtpf_str protocol = item->words[0] ? word(item, 0) : SMTPF_LIT("TLSv1.3");
  smtpf_str cipher = item->words[1] ? word(item, 1) : SMTPF_LIT("TLS_AES_256_GCM_SHA384");
  int result = conclude(r, item, smtpf_session_starttls(r->session, protocol, cipher), "starttls", "STARTTLS", 0);
  if (result == SMTPF_OK)
    smtpf_smtpd_tls(r->codec);
  return result;
}

/* With a session that goes on. */
static int in_session(struct replay *r, const struct replay_item *item)
{
  smtpf_peer peer;
  switch (item->kind) {
  case REPLAY_REBIND:
    peer = peer_of(r, item);
    return conclude(r, item, smtpf_session_rebind(r->session, &peer), "rebind", "REBIND", 0);
  case REPLAY_STARTTLS: return start_tls(r, item);
  case REPLAY_AUTH:
    return conclude(r, item, smtpf_session_auth(r->session, word(item, 0), word(item, 1)), "auth", "AUTH", 0);
  case REPLAY_QUEUE_ID: smtpf_session_queue_id(r->session, word(item, 0)); return SMTPF_OK;
  case REPLAY_ABORT: return abort_session(r);
  default: return SMTPF_OK; /* @commit and @overrule where there was nothing to commit or to overrule */
  }
}

int replay_directive(struct replay *r, const struct replay_item *item)
{
  int n;
  switch (item->kind) {
  case REPLAY_CONNECT: return connect_client(r, item);
  case REPLAY_SET_BACK: r->clock.wall_start -= item->number / 1000; return SMTPF_OK;
  case REPLAY_ADVANCE:
    r->clock.mono_ns += (uint64_t)item->number * 1000000u;
    n = smtpf_driver_process(r->driver);
    return n < 0 ? replay_fault(r, "advance", smtpf_strerror(n)) : SMTPF_OK;
  case REPLAY_DIRECTORY:
  case REPLAY_MEMBER: replay_facts_add(&r->directory, item); return SMTPF_OK;
  case REPLAY_STORE: r->store.fails = item->number == 2; return SMTPF_OK;
  case REPLAY_FINDING: replay_checks_say(&r->checks, item); return SMTPF_OK;
  case REPLAY_SCANNER: replay_scanner_say(&r->scanners, item); return SMTPF_OK;
  case REPLAY_CALLOUT: replay_callout_say(&r->callouts, item); return SMTPF_OK;
  case REPLAY_REPORT: return replay_report(r, item);
  case REPLAY_LOCAL: r->local = item->words[0]; return SMTPF_OK;
  case REPLAY_CHUNK:
    if (!r->options.feed)
      r->feed = (size_t)item->number;
    return SMTPF_OK;
  case REPLAY_EARLY_TALK:
    if (r->over)
      r->early = 1;
    else if (smtpf_session_early_talk(r->session) != SMTPF_OK)
      return replay_fault(r, "early-talk", "is refused");
    return SMTPF_OK;
  default: return r->over ? SMTPF_OK : in_session(r, item);
  }
}
