/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parts.h"

enum { ANSWER_MS = 500 }; /* how long a scrape waits for a loop; then it has the numbers of the last one */

/* ---- parts ------------------------------------------------------------------------------------------------ */

metrics_part *metrics_part_new(metrics *m, smtpf_driver *driver)
{
  metrics_part *p = m ? calloc(1, sizeof *p) : NULL;
  if (!p)
    return NULL;
  p->metrics = m;
  p->driver = driver;
  pthread_mutex_init(&p->lock, NULL);
  pthread_mutex_lock(&m->lock);
  const int fits = m->n < METRICS_PARTS_MAX;
  if (fits)
    m->part[m->n++] = p;
  pthread_mutex_unlock(&m->lock);
  if (fits)
    return p;
  pthread_mutex_destroy(&p->lock);
  free(p);
  return NULL;
}

void metrics_part_leave(metrics_part *p)
{
  if (!p)
    return;
  if (metrics_wanted(p))
    metrics_answer(p);
  pthread_mutex_lock(&p->lock);
  p->driver = NULL;
  pthread_mutex_unlock(&p->lock);
}

/* ---- counting ------------------------------------------------------------------------------------------------ */

void metrics_add(metrics_part *p, int family, smtpf_str a, smtpf_str b, smtpf_str c, uint64_t n)
{
  if (!p)
    return;
  pthread_mutex_lock(&p->lock);
  series *s = series_of(&p->table, family, (const smtpf_str[]){a, b, c});
  if (s)
    s->value += n;
  pthread_mutex_unlock(&p->lock);
}

void metrics_set(metrics_part *p, int family, smtpf_str a, smtpf_str b, smtpf_str c, uint64_t value)
{
  if (!p)
    return;
  pthread_mutex_lock(&p->lock);
  series *s = series_of(&p->table, family, (const smtpf_str[]){a, b, c});
  if (s)
    s->value = value;
  pthread_mutex_unlock(&p->lock);
}

void metrics_forget(metrics_part *p, int family)
{
  if (!p)
    return;
  pthread_mutex_lock(&p->lock);
  series_drop(&p->table, family);
  pthread_mutex_unlock(&p->lock);
}

/* The rule's own words: what comes behind them are figures and profiles. */
static smtpf_str rule_of(const smtpf_verdict *v)
{
  smtpf_str rule = smtpf_verdict_rule(v);
  size_t n = 0;
  while (n < rule.n && rule.p[n] != ';' && rule.p[n] != ',')
    n++;
  return (smtpf_str){rule.p, n};
}

static smtpf_str class_of(int code)
{
  static const char *const classes[] = {"other", "other", "2xx", "3xx", "4xx", "5xx"};
  return smtpf_str_of(code >= 200 && code < 600 ? classes[code / 100] : "other");
}

/* Findings of earlier stages were counted with their own verdicts; the message's come with its end. */
static int is_new(const smtpf_evidence_info *e, int stage)
{
  return e->stage == stage || (stage == SMTPF_EOM && e->stage == SMTPF_BODY);
}

static void finding(series_table *t, const smtpf_evidence_info *e)
{
  static const char *const kinds[] = {"other", "clear", "hit", "unknown"};
  const smtpf_str check = smtpf_str_of(e->check);
  const smtpf_str kind = smtpf_str_of(kinds[e->kind > 0 && e->kind < 4 ? e->kind : 0]);
  const int is_scan = !strcmp(e->check, "virus") || !strcmp(e->check, "scanner");
  series *s = series_of(t, METRICS_FINDINGS, (const smtpf_str[]){check, kind, e->code});
  if (s)
    s->value++;
  s = series_of(t, METRICS_FINDING_SECONDS, (const smtpf_str[]){check, {0}, {0}});
  if (s)
    s->value += e->elapsed_us;
  s = is_scan ? series_of(t, METRICS_SCAN_SECONDS, (const smtpf_str[]){check, {0}, {0}}) : NULL;
  if (s)
    series_observe(s, e->elapsed_us);
}

void metrics_verdict(metrics_part *p, const smtpf_verdict *v, int code)
{
  if (!p)
    return;
  const int stage = smtpf_verdict_stage(v);
  const smtpf_str name = smtpf_str_of(stage ? smtpf_stage_name(stage) : "none");
  pthread_mutex_lock(&p->lock);
  series *s = series_of(&p->table, METRICS_DECISIONS,
                        (const smtpf_str[]){name, class_of(code ? code : smtpf_verdict_code(v)), rule_of(v)});
  if (s)
    s->value++;
  for (size_t i = 0, n = stage ? smtpf_verdict_evidence_count(v) : 0; i < n; i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    if (smtpf_verdict_evidence(v, i, &e) == SMTPF_OK && is_new(&e, stage))
      finding(&p->table, &e);
  }
  pthread_mutex_unlock(&p->lock);
}

/* ---- a driver's own counters -------------------------------------------------------------------------------- */

static const struct {
  const char *name; /* smtpf_driver_stats()'s */
  int family;
  const char *label;
} counters[] = {
    {"sessions", METRICS_SESSIONS, NULL},
    {"events", METRICS_EVENTS, NULL},
    {"verdicts.accept", METRICS_ACTIONS, "accept"},
    {"verdicts.defer", METRICS_ACTIONS, "defer"},
    {"verdicts.reject", METRICS_ACTIONS, "reject"},
    {"messages", METRICS_MESSAGES, NULL},
    {"recipients.delivered", METRICS_RECIPIENTS, "delivered"},
    {"recipients.tagged", METRICS_RECIPIENTS, "tagged"},
    {"recipients.quarantined", METRICS_RECIPIENTS, "quarantined"},
    {"recipients.discarded", METRICS_RECIPIENTS, "discarded"},
    {"recipients.rejected", METRICS_RECIPIENTS, "rejected"},
    {"recipients.deferred", METRICS_RECIPIENTS, "deferred"},
    {"recipients.handed-over", METRICS_RECIPIENTS, "handed-over"},
    {"recipients.split", METRICS_SPLIT, NULL},
    {"recipients.overridden", METRICS_OVERRIDDEN, NULL},
    {"recipients.known", METRICS_KNOWN, NULL},
    {"recipients.unclosed", METRICS_UNCLOSED, NULL},
    {"delays", METRICS_DELAYS, NULL},
    {"checks.run", METRICS_CHECKS, "run"},
    {"checks.unknown", METRICS_CHECKS, "unknown"},
    {"checks.timeout", METRICS_CHECKS, "timeout"},
    {"dns.asked", METRICS_DNS, "resolver"},
    {"dns.cached", METRICS_DNS, "cache"},
    {"dns.joined", METRICS_DNS, "joined"},
    {"directory.asked", METRICS_DIRECTORY, "directory"},
    {"directory.cached", METRICS_DIRECTORY, "cache"},
    {"callouts.asked", METRICS_CALLOUTS, "asked"},
    {"callouts.unknown", METRICS_CALLOUTS, "unknown"},
    {"store.failed", METRICS_STORE_FAILED, NULL},
    {"no-memory", METRICS_NO_MEMORY, NULL},
    {"store.down", METRICS_STORE_DOWN, NULL},
    {"store.commits", METRICS_STORE_COMMITS, NULL},
    {"store.failures", METRICS_STORE_FAILURES, NULL},
    {"store.records", METRICS_STORE_RECORDS, NULL},
    {"store.map_used", METRICS_STORE_USED, NULL},
    {"store.map_max", METRICS_STORE_MAX, NULL},
};

/* `scanner.NAME.down.SERVER`. */
static void take_scanner(metrics_part *p, const char *name, uint64_t value)
{
  static const char between[] = ".down.";
  const char *at = strstr(name, between);
  if (at)
    metrics_set(p, METRICS_SCANNER_DOWN, (smtpf_str){name, (size_t)(at - name)}, smtpf_str_of(at + sizeof between - 1),
                (smtpf_str){0}, value);
}

static void take(void *user, const char *name, uint64_t value)
{
  static const char scanner[] = "scanner.";
  if (!strncmp(name, scanner, sizeof scanner - 1)) {
    take_scanner(user, name + sizeof scanner - 1, value);
    return;
  }
  for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
    if (!strcmp(counters[i].name, name)) {
      metrics_gauge(user, counters[i].family, counters[i].label, value);
      return;
    }
}

/* ---- a scrape ----------------------------------------------------------------------------------------------- */

int metrics_wanted(metrics_part *p)
{
  return p && atomic_load_explicit(&p->wanted, memory_order_acquire);
}

void metrics_answer(metrics_part *p)
{
  metrics *m = p->metrics;
  metrics_forget(p, METRICS_SCANNER_DOWN);
  smtpf_driver_stats(p->driver, take, p);
  if (!atomic_exchange(&p->wanted, 0))
    return;
  pthread_mutex_lock(&m->lock);
  m->missing--;
  pthread_cond_signal(&m->answered);
  pthread_mutex_unlock(&m->lock);
}

/* Every loop is asked to look at its gauges, and wakes for it. */
static void ask(metrics *m, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    metrics_part *p = m->part[i];
    pthread_mutex_lock(&p->lock);
    if (p->driver && !atomic_exchange(&p->wanted, 1)) {
      pthread_mutex_lock(&m->lock);
      m->missing++;
      pthread_mutex_unlock(&m->lock);
    }
    if (p->driver)
      smtpf_driver_wake(p->driver);
    pthread_mutex_unlock(&p->lock);
  }
}

static void await(metrics *m)
{
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += ANSWER_MS * 1000000L;
  until.tv_sec += until.tv_nsec / 1000000000L;
  until.tv_nsec %= 1000000000L;
  pthread_mutex_lock(&m->lock);
  while (m->missing > 0 && !pthread_cond_timedwait(&m->answered, &m->lock, &until))
    continue;
  pthread_mutex_unlock(&m->lock);
}

int metrics_gather(metrics *m, series_table *out)
{
  int ok = 1;
  pthread_mutex_lock(&m->lock);
  const size_t n = m->n; /* parts are never taken away */
  pthread_mutex_unlock(&m->lock);
  ask(m, n);
  await(m);
  for (size_t i = 0; i < n && ok; i++) {
    pthread_mutex_lock(&m->part[i]->lock);
    ok = series_join(out, &m->part[i]->table);
    pthread_mutex_unlock(&m->part[i]->lock);
  }
  series_sort(out);
  return ok;
}
