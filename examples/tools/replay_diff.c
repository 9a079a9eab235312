/* SPDX-License-Identifier: MIT
 *
 * --diff: one script under two policies; what changes, and why. Both begin with the same store, and leave it alone.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

/* One event of one run. */
struct event {
  int item, nth, line; /* `nth` of its item */
  const char *name;
  text arg, reply, why, json; /* json: the reply as a JSON value */
};

struct run {
  struct event *events;
  size_t n, cap;
};

static void write_reply(text *t, const struct replay_record *r)
{
  if (!r->reply.code) {
    text_cstr(t, "no reply");
    return;
  }
  replay_format(t, "%d%s%s ", r->reply.code, *r->reply.enhanced ? " " : "", r->reply.enhanced);
  replay_escaped(t, smtpf_str_of(r->reply.text));
  for (size_t i = 0; i < r->n_recipients; i++) {
    text_cstr(t, i ? ", " : "; ");
    replay_escaped(t, smtpf_str_of(r->recipients[i].address));
    replay_format(t, " %s", smtpf_disposition_name(r->recipients[i].disposition));
    if (r->each)
      replay_format(t, " %d", r->recipients[i].reply.code);
  }
}

static void write_json(text *t, const struct replay_record *r)
{
  if (!r->reply.code) {
    text_cstr(t, "null");
    return;
  }
  replay_format(t, "{\"code\":%d,\"enhanced\":", r->reply.code);
  text_json(t, smtpf_str_of(r->reply.enhanced));
  text_cstr(t, ",\"text\":");
  text_json(t, smtpf_str_of(r->reply.text));
  if (r->n_recipients) {
    text_cstr(t, ",\"recipients\":{");
    for (size_t i = 0; i < r->n_recipients; i++) {
      text_cstr(t, i ? "," : "");
      text_json(t, smtpf_str_of(r->recipients[i].address));
      replay_format(t, ":\"%s\"", smtpf_disposition_name(r->recipients[i].disposition));
    }
    text_char(t, '}');
  }
  text_char(t, '}');
}

static void collect(void *user, const struct replay_record *r)
{
  struct run *run = user;
  if (run->n == run->cap) {
    size_t cap = run->cap ? 2 * run->cap : 64;
    struct event *events = replay_alloc(cap * sizeof *events);
    if (run->n)
      memcpy(events, run->events, run->n * sizeof *events);
    free(run->events);
    run->events = events;
    run->cap = cap;
  }
  struct event *e = &run->events[run->n++];
  const struct event *before = run->n > 1 ? e - 1 : NULL;
  *e = (struct event){.item = r->item, .line = r->line, .name = r->event};
  e->nth = before && before->item == r->item ? before->nth + 1 : 0;
  if (r->arg)
    text_cstr(&e->arg, r->arg);
  write_reply(&e->reply, r);
  write_json(&e->json, r);
  if (r->rule)
    text_cstr(&e->why, r->rule);
}

static void free_run(struct run *run)
{
  for (size_t i = 0; i < run->n; i++) {
    text_free(&run->events[i].arg);
    text_free(&run->events[i].reply);
    text_free(&run->events[i].why);
    text_free(&run->events[i].json);
  }
  free(run->events);
}

static int play(const struct replay_options *options, const char *policy, const struct replay_script *script,
                struct run *run, smtpf_error *err)
{
  struct replay_options o = *options;
  struct replay r;
  o.policy = policy;
  o.sink = collect;
  o.user = run;
  text error = {0};
  if (options->store && !(o.store = replay_store_again(options->store, &error))) {
    snprintf(err->text, sizeof err->text, "%s", replay_cstr(&error));
    text_free(&error);
    return SMTPF_EIO;
  }
  int result = replay_open(&r, &o, err);
  if (result == SMTPF_OK) {
    result = replay_play(&r, script);
    if (result != SMTPF_OK)
      snprintf(err->text, sizeof err->text, "%s", r.fault.n ? replay_cstr(&r.fault) : smtpf_strerror(result));
  }
  replay_close(&r);
  if (options->store)
    replay_store_close(o.store);
  return result;
}

static int order(const struct event *a, const struct event *b)
{
  return a->item != b->item ? (a->item < b->item ? -1 : 1) : a->nth != b->nth ? (a->nth < b->nth ? -1 : 1) : 0;
}

static void write_change(text *out, const struct replay_script *script, const struct event *old,
                         const struct event *now, int json)
{
  const struct event *any = now ? now : old;
  const char *why = now ? replay_cstr((text *)(uintptr_t)&now->why) : "";
  if (json) {
    replay_format(out, "{\"event\":\"%s\",\"arg\":", any->name);
    text_json(out, text_str(&any->arg));
    replay_format(out, ",\"line\":%d,\"old\":", any->line);
    text_add(out, old ? text_str(&old->json) : SMTPF_LIT("null"));
    text_cstr(out, ",\"new\":");
    text_add(out, now ? text_str(&now->json) : SMTPF_LIT("null"));
    text_cstr(out, ",\"rule\":");
    text_json(out, smtpf_str_of(why));
    text_cstr(out, "}\n");
    return;
  }
  replay_format(out, "%s:%d: %s%s", script->name, any->line, any->name, any->arg.n ? " " : "");
  replay_escaped(out, text_str(&any->arg));
  text_cstr(out, "\n  old: ");
  text_add(out, old ? text_str(&old->reply) : SMTPF_LIT("does not come to it"));
  text_cstr(out, "\n  new: ");
  text_add(out, now ? text_str(&now->reply) : SMTPF_LIT("does not come to it"));
  if (*why) {
    text_cstr(out, "\n  why: ");
    replay_escaped(out, smtpf_str_of(why));
  }
  text_char(out, '\n');
}

int replay_diff(text *out, const struct replay_options *options, const char *other, const struct replay_script *script,
                int json, smtpf_error *err)
{
  struct run a = {0}, b = {0};
  int result = play(options, options->policy, script, &a, err);
  if (result == SMTPF_OK)
    result = play(options, other, script, &b, err);
  int changes = 0;
  for (size_t i = 0, k = 0; result == SMTPF_OK && (i < a.n || k < b.n);) {
    int c = i == a.n ? 1 : k == b.n ? -1 : order(&a.events[i], &b.events[k]);
    const struct event *old = c <= 0 ? &a.events[i++] : NULL;
    const struct event *now = c >= 0 ? &b.events[k++] : NULL;
    if (old && now && smtpf_str_equal_nocase(text_str(&old->reply), text_str(&now->reply)))
      continue;
    write_change(out, script, old, now, json);
    changes++;
  }
  free_run(&a);
  free_run(&b);
  return result == SMTPF_OK ? changes : result;
}
