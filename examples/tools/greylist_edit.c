/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "greylist.h"

/* ---- allow, deny, forget ----------------------------------------------------------------------------- */

static int64_t field(smtpf_str record, int id)
{
  int64_t v = 0;
  (void)smtpf_record_read(record, id, &v);
  return v;
}

/* Says something of a client, later than all that was said before. 0 or FAILED. */
static int say(store *s, smtpf_str identity, int id)
{
  char room[1024];
  unsigned char key[SMTPF_DIGEST_BYTES];
  text old = {0};
  smtpf_record r;
  smtpf_str value;
  smtpf_greylist_client_key(identity, key);
  const smtpf_str at = {(const char *)key, sizeof key};
  int64_t when = smtpf_driver_wall(s->driver);
  const int found = store_get(s, at, &old);
  for (int i = SMTPF_GREYLIST_ALLOWED; found == SMTPF_STORE_FOUND && i <= SMTPF_GREYLIST_FORGOTTEN; i++)
    if (field(text_str(&old), i) >= when)
      when = field(text_str(&old), i) + 1;
  text_free(&old);
  smtpf_record_begin(&r, room, sizeof room, SMTPF_GREYLIST_CLIENT);
  smtpf_record_text(&r, SMTPF_GREYLIST_IDENTITY, identity);
  smtpf_record_number(&r, id, SMTPF_JOIN_MAX, when);
  if (smtpf_record_end(&r, &value) != SMTPF_OK)
    return store_complain("that is too long for a client");
  const smtpf_change c = {.size = sizeof c, .op = SMTPF_CHANGE_JOIN, .key = at, .value = value};
  if (found == SMTPF_STORE_FAILED || store_change(s, &c, 1) != SMTPF_STORE_DONE)
    return store_complain("the store does not answer");
  return 0;
}

/* A client as the check names it: an address becomes its network. */
static int identity_of(const store *s, const char *word, char room[SMTPF_IP_TEXT + 256], smtpf_str *out)
{
  const smtpf_str w = smtpf_str_of(word);
  smtpf_prefix p = {.len = 0};
  int64_t bits = 0;
  if (smtpf_ip_parse(w, &p.ip) == SMTPF_OK) {
    (void)smtpf_engine_number(s->engine, p.ip.family == 4 ? "greylist.ip4_prefix" : "greylist.ip6_prefix", &bits);
    p.len = (uint8_t)bits;
    for (size_t i = 0; i < 16; i++) {
      const unsigned keep = 8 * i >= p.len ? 0 : p.len - 8 * (unsigned)i;
      if (keep < 8)
        p.ip.bytes[i] &= (uint8_t)(0xff00u >> keep);
    }
    *out = (smtpf_str){room, smtpf_prefix_format(&p, room)};
    return 1;
  }
  if (smtpf_prefix_parse(w, &p) == SMTPF_OK) {
    *out = (smtpf_str){room, smtpf_prefix_format(&p, room)};
    return 1;
  }
  if (smtpf_domain_form(w) != SMTPF_DOMAIN_QUALIFIED || w.n > 255)
    return 0;
  for (size_t i = 0; i < w.n; i++)
    room[i] = w.p[i] >= 'A' && w.p[i] <= 'Z' ? (char)(w.p[i] + 32) : w.p[i];
  *out = (smtpf_str){room, w.n};
  return 1;
}

static int say_of_all(store *s, const request *q, int id)
{
  char room[SMTPF_IP_TEXT + 256];
  smtpf_str identity;
  for (int i = 0; i < q->n_words; i++) {
    if (!identity_of(s, q->words[i], room, &identity))
      return store_complain("a client is a domain, an address or a network, as `list` shows it");
    if (say(s, identity, id))
      return FAILED;
  }
  return DONE;
}

int command_allow(store *s, const request *q)
{
  return say_of_all(s, q, SMTPF_GREYLIST_ALLOWED);
}

int command_deny(store *s, const request *q)
{
  return say_of_all(s, q, SMTPF_GREYLIST_DENIED);
}

/* ---- records that go --------------------------------------------------------------------------------- */

enum { BATCH = 64 };

/* Keys, collected during a walk and deleted between its steps would move the cursor: deleted at the end. */
typedef struct removal {
  store *store;
  const request *q;
  smtpf_str identity; /* of this client; empty: by the filter */
  int late;           /* only what is over */
  text keys;          /* 32 bytes each */
} removal;

static int collect(void *user, const smtpf_stored *record)
{
  removal *r = user;
  entry e;
  if (!entry_read(&e, r->store, record) || record->key.n != SMTPF_DIGEST_BYTES)
    return 0;
  if (r->late         ? e.state != LATE
      : r->identity.n ? !smtpf_str_equal_nocase(e.identity, r->identity)
                      : !entry_fits(&e, &r->q->filter))
    return 0;
  if (e.kind == SMTPF_GREYLIST_CLIENT && (e.state == ALLOWED || e.state == DENIED))
    return 0; /* a word is taken back by a later one, not by silence that a merge would fill again */
  text_add(&r->keys, record->key);
  return r->keys.failed ? store_complain("out of memory") : 0;
}

static int remove_all(removal *r, size_t *count)
{
  smtpf_change changes[BATCH];
  const size_t n = r->keys.n / SMTPF_DIGEST_BYTES;
  for (size_t i = 0; i < n;) {
    size_t k = 0;
    for (; k < BATCH && i < n; k++, i++)
      changes[k] = (smtpf_change){.size = sizeof *changes,
                                  .op = SMTPF_CHANGE_DELETE,
                                  .key = {r->keys.p + i * SMTPF_DIGEST_BYTES, SMTPF_DIGEST_BYTES}};
    if (store_change(r->store, changes, k) != SMTPF_STORE_DONE)
      return store_complain("the store does not answer");
    *count += k;
    store_progress(r->store, k);
  }
  store_quiet(r->store);
  return 0;
}

static int finish(int r, const char *what, size_t n)
{
  if (r)
    return r;
  printf("%s %zu\n", what, n);
  return n ? DONE : NOTHING;
}

int command_forget(store *s, const request *q)
{
  char room[SMTPF_IP_TEXT + 256];
  removal rm = {.store = s, .q = q};
  size_t n = 0;
  const filter *f = &q->filter;
  if (q->n_words ? !identity_of(s, q->words[0], room, &rm.identity)
                 : !f->client && !f->sender && !f->recipient && !f->state)
    return store_complain("forget: whom? A client, or --client, --sender, --recipient, --state");
  int r = store_walk(s, collect, &rm);
  if (!r)
    r = remove_all(&rm, &n);
  if (!r && rm.identity.n)
    r = say(s, rm.identity, SMTPF_GREYLIST_FORGOTTEN);
  text_free(&rm.keys);
  return r ? r : rm.identity.n ? (printf("forgotten %zu\n", n), DONE) : finish(0, "forgotten", n);
}

int command_expire(store *s, const request *q)
{
  removal rm = {.store = s, .q = q, .late = 1};
  size_t n = 0;
  int r = store_walk(s, collect, &rm);
  if (!r)
    r = remove_all(&rm, &n);
  text_free(&rm.keys);
  return r ? r : (printf("expired %zu\n", n), DONE);
}

/* ---- files: one record a line, KEY EXPIRES VALUE, as smtpf-replay's store has them ----------------------------- */

static int export_one(void *user, const smtpf_stored *record)
{
  text *t = user;
  entry_hex(t, record->key);
  text_char(t, ' ');
  text_int(t, record->expires);
  text_char(t, ' ');
  entry_hex(t, record->value);
  text_char(t, '\n');
  return entry_flush(t);
}

int command_export(store *s, const request *q)
{
  text t = {0};
  (void)q;
  const int r = store_walk(s, export_one, &t);
  text_free(&t);
  return r ? r : fflush(stdout) ? store_complain("cannot write") : DONE;
}

/* Joins records into a store, some at a time. */
typedef struct joining {
  store *into;
  smtpf_change changes[BATCH];
  text bytes[BATCH]; /* key, then value */
  size_t n, joined;
} joining;

static int join_now(joining *j)
{
  if (j->n && store_change(j->into, j->changes, j->n) != SMTPF_STORE_DONE)
    return store_complain("the store does not answer");
  j->joined += j->n;
  store_progress(j->into, j->n);
  j->n = 0;
  return 0;
}

static int join_one(joining *j, smtpf_str key, smtpf_str value, int64_t expires)
{
  text *t = &j->bytes[j->n];
  text_clear(t);
  text_add(t, key);
  text_add(t, value);
  if (t->failed)
    return store_complain("out of memory");
  j->changes[j->n++] = (smtpf_change){.size = sizeof j->changes[0],
                                      .op = SMTPF_CHANGE_JOIN,
                                      .key = {t->p, key.n},
                                      .value = {t->p + key.n, value.n},
                                      .expires = expires};
  return j->n == BATCH ? join_now(j) : 0;
}

static int join_end(joining *j, int r)
{
  if (!r)
    r = join_now(j);
  store_quiet(j->into);
  for (size_t i = 0; i < BATCH; i++)
    text_free(&j->bytes[i]);
  return r ? r : (printf("joined %zu\n", j->joined), DONE);
}

static int digit(char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hexadecimal up to a blank, in place. 1 when it is good. */
static int unhex(char **p, smtpf_str *out)
{
  char *from = *p, *to = *p;
  out->p = to;
  while (digit(from[0]) >= 0 && digit(from[1]) >= 0) {
    *to++ = (char)(digit(from[0]) << 4 | digit(from[1]));
    from += 2;
  }
  out->n = (size_t)(to - out->p);
  if (*from != ' ' && *from != '\n' && *from)
    return 0;
  *p = from + (*from == ' ');
  return out->n > 0;
}

static int import_line(joining *j, char *line, int64_t now)
{
  smtpf_str key, value;
  char *end;
  if (!unhex(&line, &key))
    return -1;
  const long long expires = strtoll(line, &end, 10);
  if (end == line || *end != ' ' || expires < 0)
    return -1;
  line = end + 1;
  const int kind = unhex(&line, &value) ? smtpf_record_kind(value) : 0;
  if (key.n != SMTPF_DIGEST_BYTES || (kind != SMTPF_GREYLIST_TRIPLET && kind != SMTPF_GREYLIST_CLIENT))
    return -1;
  return expires && expires <= now ? 0 : join_one(j, key, value, expires); /* what is over must not come back */
}

int command_import(store *s, const request *q)
{
  static joining j;
  char line[2 * (SMTPF_DIGEST_BYTES + SMTPF_RECORD_MAX) + 64];
  int r = 0;
  unsigned long at = 0;
  FILE *in = strcmp(q->words[0], "-") ? fopen(q->words[0], "r") : stdin;
  j = (joining){.into = s};
  if (!in) {
    fprintf(stderr, "smtpf-greylist: %s: %s\n", q->words[0], strerror(errno));
    return FAILED;
  }
  while (!r && fgets(line, sizeof line, in)) {
    at++;
    r = import_line(&j, line, smtpf_driver_wall(s->driver));
    if (r < 0) {
      fprintf(stderr, "smtpf-greylist: %s:%lu: not a record of the greylist's\n", q->words[0], at);
      r = FAILED;
    }
  }
  if (!r && ferror(in))
    r = store_complain("cannot read");
  if (in != stdin)
    fclose(in);
  return join_end(&j, r);
}

static int merge_one(void *user, const smtpf_stored *record)
{
  return join_one(user, record->key, record->value, record->expires);
}

int command_merge(store *s, const request *q)
{
  static joining j;
  store other;
  j = (joining){.into = s};
  int r = store_open(&other, q->words[0]);
  if (!r)
    r = store_walk(&other, merge_one, &j);
  store_close(&other);
  return join_end(&j, r);
}
