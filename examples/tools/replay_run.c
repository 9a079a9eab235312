/* SPDX-License-Identifier: MIT
 *
 * The runner: a policy, a driver on repeatable ports, and the loop over a script's items. It keeps an eye on what the
 * library promises (one verdict for each event, one well-formed reply for each verdict); what breaks a promise is a
 * fault.
 */
#include <stdlib.h>
#include <string.h>

#include "../common/host_options.h"
#include "replay.h"

enum { TURNS = 10000 }; /* of the driver, for one verdict */

int replay_fault(struct replay *r, const char *where, const char *what)
{
  if (!r->fault.n) {
    const struct replay_item *item = r->script && r->item < r->script->n ? &r->script->items[r->item] : NULL;
    replay_format(&r->fault, "%s:%d: %s: %s", r->script ? r->script->name : "", item ? item->line : 0, where, what);
  }
  return SMTPF_EINVAL;
}

void replay_begin(const struct replay *r, struct replay_record *rec, const char *event, const char *label)
{
  *rec = (struct replay_record){.event = event, .label = label, .item = (int)r->item};
  rec->line = r->item < r->script->n ? r->script->items[r->item].line : 0;
}

void replay_emit(struct replay *r, struct replay_record *rec)
{
  if (r->options.sink)
    r->options.sink(r->options.user, rec);
  replay_record_clear(rec);
}

/* ---- verdicts and replies ------------------------------------------------------------------------------------------
 */

static void on_ready(void *user, smtpf_session *session)
{
  struct replay *r = user;
  if (session == r->session)
    r->ready++;
}

static int wait_for_callback(struct replay *r, const char *event)
{
  for (int turn = 0; turn < TURNS && !r->ready; turn++) {
    int64_t due = smtpf_driver_deadline(r->driver);
    if (due > 0)
      r->clock.mono_ns += (uint64_t)due * 1000000u;
    int n = smtpf_driver_process(r->driver);
    if (n < 0)
      return replay_fault(r, event, smtpf_strerror(n));
  }
  if (r->ready != 1)
    return replay_fault(r, event, r->ready ? "the ready callback came twice" : "the ready callback did not come");
  return SMTPF_OK;
}

int replay_settle(struct replay *r, int result, const char *event)
{
  r->events++;
  if (result == SMTPF_PENDING) {
    if (smtpf_session_verdict(r->session))
      return replay_fault(r, event, "a verdict although it is pending");
    if (r->options.wait == REPLAY_READY)
      result = wait_for_callback(r, event);
    else
      result = smtpf_session_wait(r->session, -1);
  } else if (r->ready) {
    return replay_fault(r, event, "the ready callback came inside the event");
  }
  r->ready = 0;
  if (result != SMTPF_OK)
    return replay_fault(r, event, smtpf_strerror(result));
  const smtpf_verdict *v = smtpf_session_verdict(r->session);
  if (!v)
    return replay_fault(r, event, "no verdict");
  r->verdicts++;
  int code = smtpf_verdict_code(v), action = smtpf_verdict_action(v);
  int expected = code >= 500 ? SMTPF_REJECT : code >= 400 ? SMTPF_DEFER : SMTPF_ACCEPT;
  if (code < 200 || code > 599 || action != expected)
    return replay_fault(r, event, "reply code and action do not agree");
  return SMTPF_OK;
}

/* Reads back one whole reply that the codec wrote; `code` 0: any. */
static int read_back(struct replay *r, const char **p, size_t *n, int code)
{
  smtpf_smtpc_reply reply;
  int result = smtpf_smtpc_next(r->client, p, n, &reply);
  if (result == SMTPF_ENOMEM)
    return result;
  if (result != SMTPF_OK)
    return replay_fault(r, "reply", "the client cannot read it");
  if (code && reply.code != code)
    return replay_fault(r, "reply", "the client reads another code");
  r->code = reply.code;
  return SMTPF_OK;
}

static int no_more(struct replay *r, size_t n)
{
  return n ? replay_fault(r, "reply", "more than was asked for") : SMTPF_OK;
}

int replay_answer(struct replay *r, const smtpf_verdict *v, int code)
{
  char room[SMTPF_REPLY_MAX];
  const char *p = room;
  int n = smtpf_smtpd_answer(r->codec, v, room, sizeof room);
  if (n < 0)
    return n == SMTPF_ENOMEM ? n : replay_fault(r, "answer", smtpf_strerror(n));
  size_t left = (size_t)n;
  int result = n ? read_back(r, &p, &left, code) : SMTPF_OK;
  return result == SMTPF_OK ? no_more(r, left) : result;
}

/* LMTP: one for each. PRDR (draft-hall-prdr-00): 353, one for each, the final one. Else the final one. */
static int read_replies(struct replay *r, struct replay_record *rec, const char *p, size_t n)
{
  enum { PRDR_FOLLOWS = 353 };
  const int lmtp = r->options.host.protocol == SMTPF_LMTP && rec->n_recipients;
  int result = lmtp ? SMTPF_OK : read_back(r, &p, &n, 0);
  const int prdr = !lmtp && result == SMTPF_OK && r->code == PRDR_FOLLOWS;
  rec->each = lmtp || prdr;
  for (size_t i = 0; rec->each && i < rec->n_recipients && result == SMTPF_OK; i++)
    result = read_back(r, &p, &n, rec->recipients[i].reply.code);
  if (result == SMTPF_OK && prdr)
    result = read_back(r, &p, &n, 0);
  if (result == SMTPF_OK && !lmtp && r->code != rec->reply.code)
    return replay_fault(r, "reply", "the client reads another code");
  return result == SMTPF_OK ? no_more(r, n) : result;
}

int replay_answer_message(struct replay *r, const smtpf_verdict *v, struct replay_record *rec)
{
  size_t cap = SMTPF_REPLY_MAX * (rec->n_recipients + 2);
  char *room = replay_alloc(cap);
  int n = smtpf_smtpd_answer(r->codec, v, room, cap);
  int result = n < 0 && n != SMTPF_ENOMEM ? replay_fault(r, "answer", smtpf_strerror(n)) : n;
  if (n >= 0)
    result = read_replies(r, rec, room, (size_t)n);
  free(room);
  return result;
}

int replay_reply(struct replay *r, int code, const char *reason)
{
  char room[SMTPF_REPLY_MAX];
  const char *p = room;
  int n = smtpf_smtpd_reply(r->codec, code, (smtpf_str){0}, smtpf_str_of(reason), room, sizeof room);
  if (n < 0)
    return n == SMTPF_ENOMEM ? n : replay_fault(r, "reply", smtpf_strerror(n));
  size_t left = (size_t)n;
  int result = n ? read_back(r, &p, &left, code) : SMTPF_OK;
  return result == SMTPF_OK ? no_more(r, left) : result;
}

/* ---- the script ---- */

void replay_end(struct replay *r)
{
  smtpf_session_free(r->session);
  smtpf_smtpd_free(r->codec);
  smtpf_smtpc_free(r->client);
  r->session = NULL;
  r->codec = NULL;
  r->client = NULL;
  r->over = 1;
  r->in_message = 0;
}

/* A message in BDAT chunks (RFC 3030); a client stops when one is refused. */
static int send_chunks(struct replay *r, const struct replay_item *item)
{
  smtpf_str rest = item->bytes;
  int result = SMTPF_OK;
  do {
    size_t n = item->number > 0 && (uint64_t)item->number < rest.n ? (size_t)item->number : rest.n;
    text t = {0};
    replay_format(&t, "BDAT %zu%s\r\n", n, n == rest.n ? " LAST" : "");
    text_add(&t, (smtpf_str){rest.p, n});
    result = replay_feed(r, text_str(&t));
    text_free(&t);
    rest.p += n;
    rest.n -= n;
  } while (result == SMTPF_OK && rest.n && !r->over && r->code < 400);
  return result;
}

static int play_item(struct replay *r, const struct replay_item *item)
{
  switch (item->kind) {
  case REPLAY_BYTES: return r->over ? SMTPF_OK : replay_feed(r, item->bytes);
  case REPLAY_MESSAGE: return r->over || !r->in_message ? SMTPF_OK : replay_feed(r, item->bytes);
  case REPLAY_BDAT: return r->over ? SMTPF_OK : send_chunks(r, item);
  default: return replay_directive(r, item);
  }
}

int replay_play(struct replay *r, const struct replay_script *script)
{
  int result = SMTPF_OK;
  r->script = script;
  r->local = NULL;
  r->over = 1;
  r->store.fails = 0;
  r->feed = r->options.feed;
  for (r->item = 0; result == SMTPF_OK && r->item < script->n; r->item++)
    result = play_item(r, &script->items[r->item]);
  replay_end(r);
  replay_checks_clear(&r->checks); /* what was said is the script's */
  replay_scanner_clear(&r->scanners);
  replay_callout_clear(&r->callouts);
  return r->fault.n ? SMTPF_EINVAL : result;
}

/* ---- setting up ---- */

int replay_config(smtpf_config **out, const char *policy, const smtpf_mem *mem, struct replay *r,
                  const struct replay_script *const *scripts, smtpf_error *err)
{
  smtpf_config *cfg = NULL;
  int result = smtpf_config_new(&cfg, mem);
  if (result == SMTPF_OK)
    result = host_options_add(cfg);
  if (result == SMTPF_OK && scripts)
    result = replay_checks_declare(&r->checks, cfg, scripts, err);
  if (result == SMTPF_OK && r)
    result = replay_scanner_declare(&r->scanners, cfg);
  if (result == SMTPF_OK && policy)
    result = smtpf_config_load(cfg, policy, err);
  if (result == SMTPF_OK)
    *out = cfg;
  else
    smtpf_config_free(cfg);
  return result;
}

void replay_error(text *out, const char *policy, int result, const smtpf_error *err)
{
  if (*err->file) {
    text_cstr(out, err->file);
    if (err->line)
      replay_format(out, ":%d", err->line);
    text_cstr(out, ": ");
  } else if (policy) {
    replay_format(out, "%s: ", policy);
  }
  text_cstr(out, *err->text ? err->text : smtpf_strerror(result));
}

static int start_driver(struct replay *r)
{
  int later = r->options.wait != REPLAY_SYNC;
  r->clock = (struct replay_clock){1000000000u, r->options.now - 1};
  r->random.state = 1;
  r->poller = (struct replay_poller){&r->clock, -1, 0, 0};
  r->resolver.later = r->directory.later = r->store.later = r->checks.later = r->scanners.later = r->callouts.later =
      later;
  if (r->options.zone) {
    r->resolver.inner = smtpf_resolver_zone();
    r->resolver.inner_shared = (void *)(uintptr_t)r->options.zone; /* the port reads it only */
  }
  r->directory.inner = smtpf_directory_policy();
  r->store.inner = r->options.store ? &replay_store_file : smtpf_store_memory();
  r->store.inner_shared = r->options.store;
  replay_ports_clock(&r->clock_port, &r->clock);
  replay_ports_random(&r->random_port, &r->random);
  smtpf_ports ports = {.size = sizeof ports,
                       .clock = &r->clock_port,
                       .random = &r->random_port,
                       .poller = &replay_poller,
                       .poller_shared = &r->poller,
                       .resolver = &replay_resolver,
                       .resolver_shared = &r->resolver,
                       .directory = &replay_directory,
                       .directory_shared = &r->directory,
                       .store = &replay_store,
                       .store_shared = &r->store,
                       .callout = &replay_callout,
                       .callout_shared = &r->callouts};
  int result = smtpf_driver_new(&r->driver, r->engine, &ports);
  if (result == SMTPF_OK && r->options.wait == REPLAY_READY)
    smtpf_driver_set_ready(r->driver, on_ready, r);
  return result;
}

static int apply_settings(smtpf_config *cfg, const char *const *settings, smtpf_error *err)
{
  int result = SMTPF_OK;
  for (; settings && *settings && result == SMTPF_OK; settings += 2)
    result = **settings == '+' ? smtpf_config_append(cfg, *settings + 1, settings[1], err)
                               : smtpf_config_set(cfg, *settings, settings[1], err);
  return result;
}

int replay_open(struct replay *r, const struct replay_options *options, smtpf_error *err)
{
  *r = (struct replay){.options = *options, .over = 1};
  int result = replay_config(&r->config, options->policy, options->mem, r, options->scripts, err);
  if (result == SMTPF_OK)
    result = apply_settings(r->config, options->settings, err);
  if (result == SMTPF_OK && options->single)
    result = smtpf_config_set(r->config, "memory.chunk", "0", err);
  replay_checks_opening(&r->checks);
  if (result == SMTPF_OK)
    result = smtpf_engine_new(&r->engine, r->config, err);
  if (result == SMTPF_OK)
    result = start_driver(r);
  return result;
}

void replay_close(struct replay *r)
{
  replay_end(r);
  smtpf_driver_free(r->driver);
  smtpf_engine_unref(r->engine);
  smtpf_config_free(r->config);
  replay_facts_free(&r->directory);
  replay_checks_clear(&r->checks);
  replay_scanner_clear(&r->scanners);
  replay_callout_clear(&r->callouts);
  text_free(&r->fault);
  text_free(&r->sender);
  *r = (struct replay){0};
}
