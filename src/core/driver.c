/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <string.h>

#include "base/mem.h"
#include "callout.h"
#include "forward.h"
#include "mail_hosts.h"
#include "run.h"
#include "session.h"
#include "signature.h"
#include "tenure.h"

/* ---- life ------------------------------------------------------------------------------------------- */

static int start_port(int (*start)(void *, smtpf_driver *, void **), void *shared, smtpf_driver *d, void **self,
                      int *started)
{
  int r = start ? start(shared, d, self) : SMTPF_OK;
  *started = r == SMTPF_OK;
  return r;
}

static int start_ports(smtpf_driver *d)
{
  const smtpf_ports *p = &d->ports;
  int up[5] = {0};
  int r = p->poller->start(p->poller_shared, &d->poller);
  if (r != SMTPF_OK)
    return r;
  up[0] = 1;
  d->pid = p->poller->pid(d->poller);
  r = start_port(p->resolver->start, p->resolver_shared, d, &d->resolver, &up[1]);
  if (r == SMTPF_OK)
    r = start_port(p->directory->start, p->directory_shared, d, &d->directory, &up[2]);
  if (r == SMTPF_OK)
    r = start_port(p->store->start, p->store_shared, d, &d->store, &up[3]);
  if (r == SMTPF_OK && p->journal)
    r = start_port(p->journal->start, p->journal_shared, d, &d->journal, &up[4]);
  if (r == SMTPF_OK)
    return r;
  if (up[3] && p->store->stop)
    p->store->stop(d->store);
  if (up[2] && p->directory->stop)
    p->directory->stop(d->directory);
  if (up[1] && p->resolver->stop)
    p->resolver->stop(d->resolver);
  p->poller->stop(d->poller);
  return r;
}

int smtpf_driver_create(smtpf_driver **out, smtpf_engine *engine, const smtpf_ports *ports)
{
  smtpf_driver *d = smtpf_mem_zalloc(&engine->mem, sizeof *d);
  if (!d)
    return SMTPF_ENOMEM;
  d->mem = engine->mem;
  d->ports = *ports;
  d->armed = UINT64_MAX;
  d->engine = smtpf_engine_ref(engine);
  d->now_ns = ports->clock->mono_ns(ports->clock->user);
  d->wall_s = ports->clock->wall_s(ports->clock->user);
  smtpf_list_init(&d->sessions);
  smtpf_list_init(&d->tenures);
  smtpf_list_init(&d->runnable);
  smtpf_list_init(&d->ready);
  smtpf_list_init(&d->searches);
  smtpf_list_init(&d->reports);
  smtpf_heap_init(&d->timers, &d->mem);
  smtpf_ops_init(&d->ops, &d->mem);
  int r = smtpf_signature_possible(d, engine);
  if (r == SMTPF_OK)
    r = ports->random->fill(ports->random->user, d->seed, sizeof d->seed);
  if (r == SMTPF_OK) {
    smtpf_dns_init(&d->dns, &d->mem, d->seed);
    smtpf_cache_init(&d->lookups, &d->mem, d->seed);
    r = start_ports(d);
  }
  if (r != SMTPF_OK) {
    smtpf_heap_free(&d->timers);
    smtpf_ops_free(&d->ops);
    smtpf_mem_free(&d->mem, d->watches);
    smtpf_mem_free(&d->mem, d->places);
    smtpf_engine_unref(d->engine);
    smtpf_mem_free(&engine->mem, d);
    return r;
  }
  *out = d;
  return SMTPF_OK;
}

void smtpf_driver_free(smtpf_driver *d)
{
  if (!d || smtpf_driver_same_process(d) != SMTPF_OK)
    return; /* a child that has inherited it would take its descriptors and programs from the parent */
  while (!smtpf_list_empty(&d->sessions))
    smtpf_session_free(SMTPF_OF(d->sessions.next, smtpf_session, in_driver));
  smtpf_tenures_free(d);
  smtpf_callout_stop(d);
  if (d->ports.journal && d->ports.journal->stop)
    d->ports.journal->stop(d->journal);
  if (d->ports.store->stop)
    d->ports.store->stop(d->store);
  if (d->ports.directory->stop)
    d->ports.directory->stop(d->directory);
  if (d->ports.resolver->stop)
    d->ports.resolver->stop(d->resolver);
  d->ports.poller->stop(d->poller);
  smtpf_mail_hosts_free(d);
  smtpf_forward_free(d);
  smtpf_dns_free(d);
  smtpf_cache_free(&d->lookups);
  smtpf_runs_free(d);
  smtpf_ops_free(&d->ops);
  smtpf_heap_free(&d->timers);
  smtpf_mem_free(&d->mem, d->watches);
  smtpf_mem_free(&d->mem, d->places);
  smtpf_mem_free(&d->mem, d->spool_window);
  smtpf_engine *engine = d->engine;
  const smtpf_mem mem = d->mem;
  smtpf_mem_free(&mem, d);
  smtpf_engine_unref(engine);
}

void smtpf_driver_set_engine(smtpf_driver *d, smtpf_engine *engine)
{
  smtpf_engine *old = d->engine;
  d->engine = smtpf_engine_ref(engine);
  (void)smtpf_signature_possible(d, engine); /* said; what cannot be checked is unknown */
  smtpf_tenures_sweep(d);
  smtpf_engine_unref(old);
}

int smtpf_driver_same_process(const smtpf_driver *d)
{
  return d->ports.poller->pid(d->poller) == d->pid ? SMTPF_OK : SMTPF_EFORK;
}

/* ---- entering and leaving ------------------------------------------------------------------------- */

static void look_at_clock(smtpf_driver *d)
{
  const uint64_t now = d->ports.clock->mono_ns(d->ports.clock->user);
  if (now > d->now_ns) /* it never goes back, whatever the port says */
    d->now_ns = now;
  d->wall_s = d->ports.clock->wall_s(d->ports.clock->user);
}

int smtpf_driver_enter(smtpf_driver *d)
{
  if (d->entered)
    return SMTPF_EBUSY;
  d->entered = 1;
  look_at_clock(d);
  return SMTPF_OK;
}

void smtpf_driver_call(smtpf_driver *d)
{
  if (!d->entered)
    look_at_clock(d);
}

/* When there is something to run. */
static uint64_t next_run(const smtpf_driver *d)
{
  if (!smtpf_list_empty(&d->runnable))
    return 0;
  const smtpf_heap_node *first = smtpf_heap_first(&d->timers);
  return first ? first->at : UINT64_MAX;
}

/* When the host should call: also to be told. */
static uint64_t next_due(const smtpf_driver *d)
{
  return smtpf_list_empty(&d->ready) ? next_run(d) : 0;
}

static int64_t ms_until(const smtpf_driver *d, uint64_t at)
{
  if (at == UINT64_MAX)
    return -1;
  return at <= d->now_ns ? 0 : (int64_t)((at - d->now_ns + 999999) / 1000000);
}

/* The poller is told only when it would wake us too late: waking too early costs one look. */
static void arm(smtpf_driver *d)
{
  const uint64_t due = next_due(d);
  if (due >= d->armed)
    return;
  d->armed = due;
  (void)d->ports.poller->arm(d->poller, ms_until(d, due));
}

void smtpf_driver_leave(smtpf_driver *d)
{
  d->entered = 0;
  arm(d);
}

void smtpf_driver_answered(smtpf_driver *d, smtpf_op_slot *slot)
{
  smtpf_session *s = slot->task->session;
  slot->answered = 1;
  smtpf_list_remove(&slot->in_queue);
  smtpf_list_append(&s->answered, &slot->in_queue);
  if (smtpf_list_empty(&s->in_queue))
    smtpf_list_append(&d->runnable, &s->in_queue);
  if (!d->entered) /* a port of the host's own completed outside any call */
    arm(d);
}

/* ---- turning ---------------------------------------------------------------------------------------- */

enum { READY_MAX = 64, TIMERS_MAX = 1024 };

/* Until the poller was asked, one that has fired wakes the host as it is: it need not be armed again. */
static void was_asked(smtpf_driver *d)
{
  if (d->armed != UINT64_MAX && d->armed <= d->ports.clock->mono_ns(d->ports.clock->user))
    d->armed = UINT64_MAX;
}

/* Its place among the watches; where there is none, their number. */
static size_t place_of(const smtpf_driver *d, int fd)
{
  return fd >= 0 && (size_t)fd < d->cap_places && d->places[fd] ? d->places[fd] - 1u : d->n_watches;
}

static void dispatch(smtpf_driver *d, const smtpf_pollfd *ready, int n)
{
  for (int i = 0; i < n; i++) {
    const size_t k = place_of(d, ready[i].fd);
    if (k == d->n_watches)
      continue;
    const smtpf_watch w = d->watches[k];
    w.fn(w.user, w.fd, ready[i].events);
  }
}

static void run_sessions(smtpf_driver *d)
{
  while (!smtpf_list_empty(&d->runnable)) {
    smtpf_session *s = SMTPF_OF(d->runnable.next, smtpf_session, in_queue);
    smtpf_list_remove(&s->in_queue);
    if (smtpf_run_continue(s) == SMTPF_OK)
      smtpf_list_append(&d->ready, &s->in_queue);
  }
}

int smtpf_driver_turn(smtpf_driver *d, int64_t timeout_ms)
{
  smtpf_pollfd ready[READY_MAX];
  const int64_t due = ms_until(d, next_run(d)); /* who is ready does not keep another from sleeping */
  if (due >= 0 && (timeout_ms < 0 || due < timeout_ms))
    timeout_ms = due;
  int n = d->ports.poller->wait(d->poller, timeout_ms, ready, READY_MAX);
  if (timeout_ms != 0)
    look_at_clock(d); /* time has passed while we slept: this is another entry */
  was_asked(d);
  dispatch(d, ready, n);
  run_sessions(d); /* before the timers: an answer that is here is not late, however late we look */
  smtpf_timers_fire(&d->timers, d->now_ns, TIMERS_MAX);
  run_sessions(d);
  return n < 0 ? n : SMTPF_OK;
}

int smtpf_driver_process(smtpf_driver *d)
{
  if (d->processing)
    return SMTPF_EBUSY;
  int r = smtpf_driver_same_process(d);
  if (r == SMTPF_OK)
    r = smtpf_driver_enter(d);
  if (r != SMTPF_OK)
    return r;
  d->processing = 1;
  (void)smtpf_driver_turn(d, 0);
  int ready = 0;
  for (smtpf_session *s; d->ready_fn && (s = smtpf_driver_next(d)); ready++) {
    d->entered = 0; /* the callback may tell the next event, or free the session */
    d->ready_fn(d->ready_user, s);
    d->entered = 1;
  }
  if (!d->ready_fn)
    for (smtpf_link *l = d->ready.next; l != &d->ready; l = l->next)
      ready++;
  d->processing = 0;
  smtpf_driver_leave(d);
  return ready;
}

smtpf_session *smtpf_driver_next(smtpf_driver *d)
{
  if (smtpf_list_empty(&d->ready))
    return NULL;
  smtpf_session *s = SMTPF_OF(d->ready.next, smtpf_session, in_queue);
  smtpf_list_remove(&s->in_queue);
  return s;
}

void smtpf_driver_set_ready(smtpf_driver *d, smtpf_ready_fn fn, void *user)
{
  d->ready_fn = fn;
  d->ready_user = user;
}

/* ---- for the host's loop ----------------------------------------------------------------------------- */

int smtpf_driver_fd(const smtpf_driver *d)
{
  return d->ports.poller->fd(d->poller);
}

size_t smtpf_driver_fds(const smtpf_driver *d, smtpf_pollfd *out, size_t cap)
{
  for (size_t i = 0; i < d->n_watches && i < cap; i++)
    out[i] = (smtpf_pollfd){d->watches[i].fd, d->watches[i].events};
  return d->n_watches;
}

int64_t smtpf_driver_deadline(smtpf_driver *d)
{
  smtpf_driver_call(d);
  return ms_until(d, next_due(d));
}

int smtpf_driver_wake(smtpf_driver *d)
{
  return d->ports.poller->wake(d->poller);
}

void smtpf_driver_stats(const smtpf_driver *d, smtpf_stat_fn fn, void *user)
{
  static const char *const names[] = {
#define SMTPF_STAT_NAME(id, name) name,
      SMTPF_STAT_TABLE(SMTPF_STAT_NAME)
#undef SMTPF_STAT_NAME
  };
  for (size_t i = 0; i < SMTPF_STATS; i++)
    fn(user, names[i], d->stats[i]);
  const smtpf_store *store = d->ports.store;
  if (store->size >= sizeof *store && store->stats)
    store->stats(d->store, fn, user);
  smtpf_tenures_stats(d, fn, user);
}

/* ---- for ports (ext/port.h) -------------------------------------------------------------------------- */

/* Room for one more, and a place for this descriptor. */
static int make_place(smtpf_driver *d, int fd)
{
  void *watches = d->watches, *places = d->places;
  const size_t had = d->cap_places;
  if (fd < 0)
    return SMTPF_EINVAL;
  int r = smtpf_mem_grow(&d->mem, &watches, &d->cap_watches, d->n_watches + 1, sizeof *d->watches);
  d->watches = watches;
  if (r == SMTPF_OK)
    r = smtpf_mem_grow(&d->mem, &places, &d->cap_places, (size_t)fd + 1, sizeof *d->places);
  d->places = places;
  if (d->cap_places > had)
    memset(d->places + had, 0, (d->cap_places - had) * sizeof *d->places);
  return r;
}

static void unwatch(smtpf_driver *d, size_t i)
{
  const smtpf_watch last = d->watches[--d->n_watches];
  d->places[d->watches[i].fd] = 0;
  if (i == d->n_watches)
    return;
  d->watches[i] = last;
  d->places[last.fd] = (uint32_t)i + 1;
}

int smtpf_driver_watch(smtpf_driver *d, int fd, unsigned events, smtpf_watch_fn fn, void *user)
{
  const size_t i = place_of(d, fd);
  const int is_new = i == d->n_watches;
  if (!events && is_new)
    return SMTPF_OK;
  int r = is_new ? make_place(d, fd) : SMTPF_OK;
  if (r == SMTPF_OK)
    r = d->ports.poller->set(d->poller, fd, events);
  if (!events) {
    unwatch(d, i);
    return SMTPF_OK;
  }
  if (r != SMTPF_OK)
    return r;
  d->watches[i] = (smtpf_watch){fd, events, fn, user};
  if (is_new)
    d->places[fd] = (uint32_t)++d->n_watches;
  return SMTPF_OK;
}

/* The slot goes back before the call: its token is over by then. */
static void fire(void *user)
{
  smtpf_op_slot *slot = user;
  smtpf_driver *d = slot->driver;
  const smtpf_timer_fn fn = slot->timer_fn;
  void *timer_user = slot->timer_user;
  smtpf_op_give(&d->ops, slot);
  const int entered = d->entered;
  if (d->processing)
    d->entered = 0; /* a host's timer may tell a session its next event, or free it; not while another is waited for */
  fn(timer_user);
  d->entered = entered;
}

int smtpf_driver_timer(smtpf_driver *d, int64_t in_ms, smtpf_timer_fn fn, void *user, smtpf_op *out)
{
  smtpf_op_slot *slot = smtpf_op_take(&d->ops, SMTPF_OP_TIMER);
  if (!slot)
    return SMTPF_ENOMEM;
  slot->driver = d;
  slot->timer_fn = fn;
  slot->timer_user = user;
  smtpf_driver_call(d);
  int r = smtpf_timer_start(&d->timers, &slot->timer, smtpf_timer_at(d->now_ns, in_ms), fire, slot);
  if (r != SMTPF_OK) {
    smtpf_op_give(&d->ops, slot);
    return r;
  }
  *out = smtpf_op_token(slot);
  if (!d->entered)
    arm(d);
  return SMTPF_OK;
}

int smtpf_driver_timer_cancel(smtpf_driver *d, smtpf_op timer)
{
  smtpf_op_slot *slot = smtpf_op_find(&d->ops, timer, SMTPF_OP_TIMER);
  if (!slot)
    return SMTPF_ENOTFOUND;
  smtpf_timer_stop(&d->timers, &slot->timer);
  smtpf_op_give(&d->ops, slot);
  return SMTPF_OK;
}

uint64_t smtpf_driver_now(const smtpf_driver *d)
{
  return d->now_ns;
}

int64_t smtpf_driver_wall(const smtpf_driver *d)
{
  return d->wall_s;
}

const smtpf_mem *smtpf_driver_mem(const smtpf_driver *d)
{
  return &d->mem;
}

smtpf_engine *smtpf_driver_engine(const smtpf_driver *d)
{
  return d->engine;
}
