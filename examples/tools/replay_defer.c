/* SPDX-License-Identifier: MIT
 *
 * A resolver and a directory that answer later: each question waits for a timer of no length, which fires inside
 * smtpf_driver_process(), and is then asked of the port behind. The directory knows the script's @directory facts
 * first.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

struct replay_ask {
  struct replay_ask *next;
  struct replay_defer *defer;
  smtpf_op op, timer;
  int type;
  char *name;
  int directory;
};

struct replay_fact {
  struct replay_fact *next;
  int status;
  char *address, *profile;
};

static void drop(struct replay_ask *ask)
{
  for (struct replay_ask **p = &ask->defer->asks; *p; p = &(*p)->next)
    if (*p == ask) {
      *p = ask->next;
      break;
    }
  free(ask->name);
  free(ask);
}

static const struct replay_fact *find_fact(const struct replay_defer *d, smtpf_str address)
{
  for (const struct replay_fact *f = d->facts; f; f = f->next)
    if (smtpf_str_equal_nocase(address, smtpf_str_of(f->address)))
      return f;
  return NULL;
}

static int pass_on(struct replay_defer *d, smtpf_op op, int type, const char *name, int directory)
{
  if (!directory) {
    const smtpf_resolver *inner = d->inner;
    if (inner)
      return inner->query(d->inner_self, op, type, name);
    smtpf_dns_answer none = {.size = sizeof none, .status = SMTPF_DNS_TIMEOUT};
    smtpf_op_dns(d->driver, op, &none);
    return SMTPF_OK;
  }
  smtpf_str address = smtpf_str_of(name);
  const struct replay_fact *fact = find_fact(d, address);
  if (!fact) {
    const smtpf_directory *inner = d->inner;
    return inner->lookup(d->inner_self, op, address);
  }
  smtpf_directory_answer a = {.size = sizeof a, .status = fact->status, .profile = smtpf_str_of(fact->profile)};
  if (fact->status == SMTPF_DIRECTORY_UNKNOWN)
    a.cause = SMTPF_LIT("script");
  smtpf_op_directory(d->driver, op, &a);
  return SMTPF_OK;
}

/* A question whose port fails now is answered as unknown: its token must complete. */
static void fire(void *user)
{
  struct replay_ask *ask = user;
  struct replay_defer *d = ask->defer;
  smtpf_op op = ask->op;
  int directory = ask->directory;
  int result = pass_on(d, op, ask->type, ask->name, directory);
  drop(ask);
  if (result == SMTPF_OK)
    return;
  if (directory) {
    smtpf_directory_answer a = {.size = sizeof a, .status = SMTPF_DIRECTORY_UNKNOWN, .cause = SMTPF_LIT("failed")};
    smtpf_op_directory(d->driver, op, &a);
  } else {
    smtpf_dns_answer a = {.size = sizeof a, .status = SMTPF_DNS_SERVFAIL};
    smtpf_op_dns(d->driver, op, &a);
  }
}

static int ask_later(struct replay_defer *d, smtpf_op op, int type, smtpf_str name, int directory)
{
  struct replay_ask *ask = replay_alloc(sizeof *ask);
  *ask = (struct replay_ask){d->asks, d, op, 0, type, replay_strdup(name.p, name.n), directory};
  d->asks = ask;
  if (!d->later) {
    int result = pass_on(d, op, type, ask->name, directory);
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

/* ---- the two ports ---------------------------------------------------------------------------------------------- */

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
  return ask_later(self, op, type, smtpf_str_of(name), 0);
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
  return ask_later(self, op, 0, address, 1);
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

void replay_directory_fact(struct replay_defer *d, const char *address, int status, const char *profile)
{
  struct replay_fact *f = replay_alloc(sizeof *f);
  *f = (struct replay_fact){d->facts, status, replay_strdup(address, strlen(address)), NULL};
  f->profile = profile ? replay_strdup(profile, strlen(profile)) : NULL;
  d->facts = f;
}

void replay_defer_free(struct replay_defer *d)
{
  while (d->facts) {
    struct replay_fact *f = d->facts;
    d->facts = f->next;
    free(f->address);
    free(f->profile);
    free(f);
  }
}
