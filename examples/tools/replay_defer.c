/* SPDX-License-Identifier: MIT
 *
 * A resolver, a directory and a store that answer later: each question waits for a timer of no length, which fires
 * inside smtpf_driver_process(), and is then asked of the port behind. The directory knows the script's facts first;
 * the store can be made to fail.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

enum kind { QUERY = 1, LOOKUP, GET, COMMIT };

struct replay_ask {
  struct replay_ask *next;
  struct replay_defer *defer;
  smtpf_op op, timer;
  int kind, type;
  char *name; /* NUL-terminated; a key holds any bytes */
  size_t name_n;
  smtpf_change *changes; /* COMMIT */
  size_t n;
};

static void drop(struct replay_ask *ask)
{
  for (struct replay_ask **p = &ask->defer->asks; *p; p = &(*p)->next)
    if (*p == ask) {
      *p = ask->next;
      break;
    }
  for (size_t i = 0; i < ask->n; i++) {
    free((void *)(uintptr_t)ask->changes[i].key.p);
    free((void *)(uintptr_t)ask->changes[i].value.p);
  }
  free(ask->changes);
  free(ask->name);
  free(ask);
}

static int ask_resolver(struct replay_defer *d, const struct replay_ask *ask)
{
  const smtpf_resolver *inner = d->inner;
  if (inner)
    return inner->query(d->inner_self, ask->op, ask->type, ask->name);
  smtpf_dns_answer none = {.size = sizeof none, .status = SMTPF_DNS_TIMEOUT};
  smtpf_op_dns(d->driver, ask->op, &none);
  return SMTPF_OK;
}

static int ask_directory(struct replay_defer *d, const struct replay_ask *ask)
{
  const smtpf_directory *inner = d->inner;
  const smtpf_str address = {ask->name, ask->name_n};
  if (replay_facts_answer(d, ask->op, address))
    return SMTPF_OK;
  return inner->lookup(d->inner_self, ask->op, address);
}

static int ask_store(struct replay_defer *d, const struct replay_ask *ask)
{
  const smtpf_store *inner = d->inner;
  if (d->fails) {
    smtpf_op_store(d->driver, ask->op, SMTPF_STORE_FAILED, (smtpf_str){0});
    return SMTPF_OK;
  }
  if (ask->kind == GET)
    return inner->get(d->inner_self, ask->op, (smtpf_str){ask->name, ask->name_n});
  return inner->commit(d->inner_self, ask->op, ask->changes, ask->n);
}

static int pass_on(struct replay_defer *d, const struct replay_ask *ask)
{
  return ask->kind == QUERY ? ask_resolver(d, ask) : ask->kind == LOOKUP ? ask_directory(d, ask) : ask_store(d, ask);
}

/* A question whose port fails now is answered as unknown: its token must complete. */
static void fire(void *user)
{
  struct replay_ask *ask = user;
  struct replay_defer *d = ask->defer;
  smtpf_op op = ask->op;
  int kind = ask->kind;
  int result = pass_on(d, ask);
  drop(ask);
  if (result == SMTPF_OK)
    return;
  if (kind == LOOKUP) {
    smtpf_directory_answer a = {.size = sizeof a, .status = SMTPF_DIRECTORY_UNKNOWN, .cause = SMTPF_LIT("failed")};
    smtpf_op_directory(d->driver, op, &a);
  } else if (kind == QUERY) {
    smtpf_dns_answer a = {.size = sizeof a, .status = SMTPF_DNS_SERVFAIL};
    smtpf_op_dns(d->driver, op, &a);
  } else {
    smtpf_op_store(d->driver, op, SMTPF_STORE_FAILED, (smtpf_str){0});
  }
}

static struct replay_ask *make(struct replay_defer *d, smtpf_op op, int kind, smtpf_str name)
{
  struct replay_ask *ask = replay_alloc(sizeof *ask);
  *ask = (struct replay_ask){
      .next = d->asks, .defer = d, .op = op, .kind = kind, .name = replay_strdup(name.p, name.n), .name_n = name.n};
  d->asks = ask;
  return ask;
}

static int put_off(struct replay_ask *ask)
{
  struct replay_defer *d = ask->defer;
  if (!d->later) {
    int result = pass_on(d, ask);
    drop(ask);
    return result;
  }
  int result = smtpf_driver_timer(d->driver, 0, fire, ask, &ask->timer);
  if (result != SMTPF_OK)
    drop(ask);
  return result;
}

static void cancel(void *self, smtpf_op op)
{
  struct replay_defer *d = self;
  for (struct replay_ask *ask = d->asks; ask; ask = ask->next)
    if (ask->op == op) {
      smtpf_driver_timer_cancel(d->driver, ask->timer);
      drop(ask);
      return;
    }
}

static void stop(struct replay_defer *d)
{
  while (d->asks) {
    smtpf_driver_timer_cancel(d->driver, d->asks->timer);
    drop(d->asks);
  }
}

/* ---- the resolver ---- */

static int resolver_start(void *shared, smtpf_driver *driver, void **self)
{
  struct replay_defer *d = shared;
  const smtpf_resolver *inner = d->inner;
  d->driver = driver;
  int result = inner ? inner->start(d->inner_shared, driver, &d->inner_self) : SMTPF_OK;
  if (result == SMTPF_OK)
    *self = d;
  return result;
}

static int resolver_query(void *self, smtpf_op op, int type, const char *name)
{
  struct replay_ask *ask = make(self, op, QUERY, smtpf_str_of(name));
  ask->type = type;
  return put_off(ask);
}

static void resolver_stop(void *self)
{
  struct replay_defer *d = self;
  const smtpf_resolver *inner = d->inner;
  stop(d);
  if (inner)
    inner->stop(d->inner_self);
}

const smtpf_resolver replay_resolver = {sizeof(smtpf_resolver), "replay", resolver_start,
                                        resolver_query,         cancel,   resolver_stop};

/* ---- the directory ---- */

static int directory_start(void *shared, smtpf_driver *driver, void **self)
{
  struct replay_defer *d = shared;
  const smtpf_directory *inner = d->inner;
  d->driver = driver;
  int result = inner->start(d->inner_shared, driver, &d->inner_self);
  if (result == SMTPF_OK)
    *self = d;
  return result;
}

static int directory_lookup(void *self, smtpf_op op, smtpf_str address)
{
  return put_off(make(self, op, LOOKUP, address));
}

static void directory_stop(void *self)
{
  struct replay_defer *d = self;
  const smtpf_directory *inner = d->inner;
  stop(d);
  inner->stop(d->inner_self);
}

const smtpf_directory replay_directory = {sizeof(smtpf_directory), "replay", directory_start,
                                          directory_lookup,        cancel,   directory_stop};

/* ---- the store ---- */

static int store_start(void *shared, smtpf_driver *driver, void **self)
{
  struct replay_defer *d = shared;
  const smtpf_store *inner = d->inner;
  d->driver = driver;
  int result = inner->start(d->inner_shared, driver, &d->inner_self);
  if (result == SMTPF_OK)
    *self = d;
  return result;
}

static int store_get(void *self, smtpf_op op, smtpf_str key)
{
  return put_off(make(self, op, GET, key));
}

static int store_commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  struct replay_ask *ask = make(self, op, COMMIT, (smtpf_str){0});
  ask->changes = replay_alloc(n * sizeof *changes);
  for (ask->n = 0; ask->n < n; ask->n++) {
    smtpf_change *c = &ask->changes[ask->n];
    *c = changes[ask->n];
    c->key.p = replay_strdup(c->key.p, c->key.n);
    c->value.p = replay_strdup(c->value.p, c->value.n);
  }
  return put_off(ask);
}

static void store_stop(void *self)
{
  struct replay_defer *d = self;
  const smtpf_store *inner = d->inner;
  stop(d);
  inner->stop(d->inner_self);
}

const smtpf_store replay_store = {sizeof(smtpf_store), "replay", store_start, store_get, store_commit, cancel,
                                  store_stop,          NULL,     NULL};
