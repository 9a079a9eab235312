/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "greylist.h"

/* ---- list -------------------------------------------------------------------------------------------- */

/* What is sorted is kept as it will be printed. */
typedef struct line {
  int64_t number;
  char *key, *print; /* one block */
} line;

typedef struct listing {
  store *store;
  const request *q;
  text out;
  line *lines;
  size_t n, cap;
} listing;

static smtpf_str sort_text(const entry *e, const char *by)
{
  if (!strcmp(by, "client"))
    return e->identity;
  if (!strcmp(by, "sender"))
    return e->sender;
  return !strcmp(by, "recipient") ? e->recipient : (smtpf_str){"", 0};
}

static int64_t sort_number(const entry *e, const char *by)
{
  return !strcmp(by, "first") ? e->first : !strcmp(by, "last") ? e->last : !strcmp(by, "passes") ? e->passes : 0;
}

static int keep(listing *l, const entry *e)
{
  const smtpf_str by = sort_text(e, l->q->sort);
  if (l->n == l->cap) {
    const size_t cap = l->cap ? 2 * l->cap : 1024;
    line *more = realloc(l->lines, cap * sizeof *more);
    if (!more)
      return store_complain("out of memory");
    l->lines = more;
    l->cap = cap;
  }
  char *p = malloc(by.n + 1 + l->out.n + 1);
  if (!p || l->out.failed) {
    free(p);
    return store_complain("out of memory");
  }
  memcpy(p, by.p, by.n);
  p[by.n] = '\0';
  memcpy(p + by.n + 1, l->out.p, l->out.n);
  p[by.n + 1 + l->out.n] = '\0';
  l->lines[l->n++] = (line){sort_number(e, l->q->sort), p, p + by.n + 1};
  text_clear(&l->out);
  return 0;
}

static int list_one(void *user, const smtpf_stored *record)
{
  listing *l = user;
  entry e;
  if (!entry_read(&e, l->store, record) || !entry_fits(&e, &l->q->filter))
    return 0;
  entry_print(&l->out, &e, l->q->json);
  if (l->q->sort)
    return keep(l, &e);
  l->n++;
  return entry_flush(&l->out);
}

static int compare(const void *a, const void *b)
{
  const line *x = a, *y = b;
  if (x->number != y->number)
    return x->number < y->number ? -1 : 1;
  const int c = strcmp(x->key, y->key);
  return c ? c : strcmp(x->print, y->print);
}

int command_list(store *s, const request *q)
{
  listing l = {.store = s, .q = q};
  int r = store_walk(s, list_one, &l);
  if (q->sort && l.n)
    qsort(l.lines, l.n, sizeof *l.lines, compare);
  for (size_t i = 0; q->sort && i < l.n; i++) {
    const line *at = &l.lines[q->reverse ? l.n - 1 - i : i];
    if (!r && fputs(at->print, stdout) < 0)
      r = store_complain("cannot write");
  }
  for (size_t i = 0; q->sort && i < l.n; i++)
    free(l.lines[i].key);
  free(l.lines);
  text_free(&l.out);
  return r ? r : l.n ? DONE : NOTHING;
}

/* ---- show -------------------------------------------------------------------------------------------- */

typedef struct story {
  store *store;
  const request *q;
  size_t found;
  text out;
} story;

static void tell(story *st, const entry *e)
{
  const int64_t now = smtpf_driver_wall(st->store->driver);
  text *t = &st->out;
  entry_print(t, e, 0);
  text_cstr(t, "    ");
  switch (e->state) {
  case WAITING:
    text_cstr(t, "put off; a retry counts in ");
    text_int(t, e->first + st->store->wait - now);
    text_cstr(t, " s");
    break;
  case RIPE:
    text_cstr(t, "has waited; its next attempt is let through, until ");
    text_time(t, e->first + st->store->window);
    break;
  case KNOWN:
    text_cstr(t, "let through until ");
    text_time(t, e->last + st->store->memory);
    text_cstr(t, " without mail");
    break;
  case LATE: text_cstr(t, "over: its next mail is new"); break;
  case ALLOWED: text_cstr(t, "never put off: the postmaster says so"); break;
  case DENIED: text_cstr(t, "put off each time: the postmaster says so"); break;
  default: text_cstr(t, "nothing of it has waited yet"); break;
  }
  text_char(t, '\n');
}

static int is_meant(const entry *e, const request *q)
{
  if (q->n_words == 3 && e->kind == SMTPF_GREYLIST_CLIENT) /* the client of the triplet belongs to its story */
    return smtpf_str_equal_nocase(e->identity, smtpf_str_of(q->words[0]));
  if (q->n_words == 3)
    return smtpf_str_equal_nocase(e->identity, smtpf_str_of(q->words[0])) &&
           smtpf_str_equal_nocase(e->sender, smtpf_str_of(q->words[1])) &&
           smtpf_str_equal_nocase(e->recipient, smtpf_str_of(q->words[2]));
  const smtpf_str word = smtpf_str_of(q->words[0]);
  return smtpf_str_equal_nocase(e->identity, word) || smtpf_str_equal_nocase(e->sender, word) ||
         smtpf_str_equal_nocase(e->recipient, word);
}

static int show_one(void *user, const smtpf_stored *record)
{
  story *st = user;
  entry e;
  if (!entry_read(&e, st->store, record) || !is_meant(&e, st->q))
    return 0;
  st->found++;
  if (st->q->json)
    entry_print(&st->out, &e, 1);
  else
    tell(st, &e);
  return entry_flush(&st->out);
}

int command_show(store *s, const request *q)
{
  story st = {.store = s, .q = q};
  const int r = store_walk(s, show_one, &st);
  text_free(&st.out);
  return r ? r : st.found ? DONE : NOTHING;
}

/* ---- stats, watch ------------------------------------------------------------------------------------ */

typedef struct sums {
  store *store;
  uint64_t triplets[DENIED + 1], clients[DENIED + 1], bytes;
  int64_t since, before; /* what was written from then on, and before */
  const request *q;
  text out;
} sums;

static int count_one(void *user, const smtpf_stored *record)
{
  sums *c = user;
  entry e;
  if (!entry_read(&e, c->store, record))
    return 0;
  (e.kind == SMTPF_GREYLIST_TRIPLET ? c->triplets : c->clients)[e.state]++;
  c->bytes += record->key.n + record->value.n;
  return 0;
}

/* Of the store itself: what may run out. */
static void add_gauge(void *user, const char *name, uint64_t value)
{
  static const char *const shown[] = {"store.map_used", "store.map_max", "store.readers_used", "store.readers_max"};
  sums *c = user;
  for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
    if (!strcmp(shown[i], name)) {
      text_cstr(&c->out, c->q->json ? ",\"" : " ");
      text_cstr(&c->out, name);
      text_cstr(&c->out, c->q->json ? "\":" : "=");
      text_int(&c->out, (int64_t)value);
    }
}

int command_stats(store *s, const request *q)
{
  static const int shown[] = {WAITING, RIPE, KNOWN, LATE};
  sums c = {.store = s, .q = q};
  text *t = &c.out;
  int r = store_walk(s, count_one, &c);
  const struct {
    const char *name;
    uint64_t value;
  } rows[] = {{"waiting", c.triplets[shown[0]]},
              {"ripe", c.triplets[shown[1]]},
              {"known", c.triplets[shown[2]]},
              {"late", c.triplets[shown[3]]},
              {"clients", c.clients[KNOWN] + c.clients[SEEN] + c.clients[LATE]},
              {"allowed", c.clients[ALLOWED]},
              {"denied", c.clients[DENIED]},
              {"bytes", c.bytes},
              {"records", s->walked}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    text_cstr(t, q->json ? (i ? ",\"" : "{\"") : i ? " " : "");
    text_cstr(t, rows[i].name);
    text_cstr(t, q->json ? "\":" : "=");
    text_int(t, (int64_t)rows[i].value);
  }
  smtpf_driver_stats(s->driver, add_gauge, &c);
  text_cstr(t, q->json ? "}\n" : "\n");
  r = r ? r : entry_flush(t);
  text_free(t);
  return r;
}

/* Records are told once: those of a second that may still go on wait for the next look. */
enum { LAG = 2 };

/* What was written since the last look: seen for the first time, or let through. */
static int watch_one(void *user, const smtpf_stored *record)
{
  sums *c = user;
  entry e;
  if (!entry_read(&e, c->store, record) || e.last < c->since || e.last >= c->before || !entry_fits(&e, &c->q->filter))
    return 0;
  entry_print(&c->out, &e, c->q->json);
  return entry_flush(&c->out);
}

int command_watch(store *s, const request *q)
{
  const long every = q->n_words ? strtol(q->words[0], NULL, 10) : 5;
  sums c = {.store = s, .q = q, .since = smtpf_driver_wall(s->driver)};
  int r = 0;
  if (every < 1 || every > 3600)
    return store_complain("watch: expected 1 to 3600 seconds");
  while (!r && fflush(stdout) == 0) {
    store_pause(s, every);
    c.before = smtpf_driver_wall(s->driver) - LAG + 1;
    r = store_walk(s, watch_one, &c);
    if (c.before > c.since)
      c.since = c.before;
  }
  text_free(&c.out);
  return r;
}
