/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../common/text.h"

enum { KEY_MAX = 64, VALUE_MAX = 4096, NUMBER = 8 };

typedef struct head {
  uint32_t key_n, value_n;
  int64_t expires; /* 0: never; 1, long ago: deleted */
} head;

typedef struct record {
  struct record *next;
  head head;
  char bytes[KEY_MAX + VALUE_MAX]; /* key, value */
} record;

struct memory {
  int fd;
  record *records;
  smtpf_driver *driver;
};

static int is_gone(const head *h, int64_t now)
{
  return h->expires && h->expires < now;
}

/* NULL when there is none. */
static record *find(const memory *m, smtpf_str key)
{
  record *r = m->records;
  while (r && (r->head.key_n != key.n || memcmp(r->bytes, key.p, key.n) != 0))
    r = r->next;
  return r;
}

/* 0 without memory. */
static int put(memory *m, const head *h, const char *bytes)
{
  record *r = find(m, (smtpf_str){bytes, h->key_n});
  if (!r) {
    if (!(r = malloc(sizeof *r)))
      return 0;
    r->next = m->records;
    m->records = r;
  }
  r->head = *h;
  memcpy(r->bytes, bytes, h->key_n + h->value_n);
  return 1;
}

/* ---- the file -------------------------------------------------------------------------------------- */

static void add_record(text *t, const head *h, const char *bytes)
{
  text_add(t, (smtpf_str){(const char *)h, sizeof *h});
  text_add(t, (smtpf_str){bytes, h->key_n + h->value_n});
}

/* Reads what is whole; a last record that is not is left behind. */
static int load(memory *m, const char *path, int64_t now)
{
  char bytes[KEY_MAX + VALUE_MAX];
  head h;
  int good = 1;
  FILE *f = fopen(path, "rb");
  while (f && good && fread(&h, sizeof h, 1, f) == 1 && h.key_n <= KEY_MAX && h.value_n <= VALUE_MAX &&
         fread(bytes, h.key_n + h.value_n, 1, f) == 1)
    good = put(m, &h, bytes);
  for (record **at = &m->records; *at;) {
    record *r = *at;
    if (is_gone(&r->head, now)) {
      *at = r->next;
      free(r);
    } else {
      at = &r->next;
    }
  }
  return f ? fclose(f) == 0 && good : errno == ENOENT;
}

static int append(int fd, text *t)
{
  int good = !t->failed && write(fd, t->p, t->n) == (ssize_t)t->n;
  text_free(t);
  return good;
}

/* A new file with what is left, in the old one's place. O_DSYNC: what the library was told is stored is on disk. */
static int rewrite(memory *m, const char *path)
{
  char aside[4096];
  text t = {0};
  if ((size_t)snprintf(aside, sizeof aside, "%s.new", path) >= sizeof aside)
    return 0;
  m->fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_DSYNC | O_CLOEXEC, 0600);
  for (const record *r = m->records; r; r = r->next)
    add_record(&t, &r->head, r->bytes);
  return m->fd >= 0 && append(m->fd, &t) && rename(aside, path) == 0;
}

memory *memory_open(const char *path)
{
  memory *m = calloc(1, sizeof *m);
  if (!m)
    return NULL;
  m->fd = -1;
  if (load(m, path, (int64_t)time(NULL)) && rewrite(m, path))
    return m;
  memory_close(m);
  return NULL;
}

void memory_close(memory *m)
{
  if (!m)
    return;
  for (record *r = m->records, *next; r; r = next) {
    next = r->next;
    free(r);
  }
  if (m->fd >= 0)
    close(m->fd);
  free(m);
}

int memory_keep(memory *m, smtpf_str key, int64_t seconds)
{
  int64_t now = (int64_t)time(NULL);
  const record *r = find(m, key);
  text t = {0};
  if (key.n > KEY_MAX)
    return 0;
  if (r && !is_gone(&r->head, now))
    return 1;
  head h = {(uint32_t)key.n, 0, now + seconds};
  add_record(&t, &h, key.p);
  return put(m, &h, key.p) && append(m->fd, &t);
}

/* ---- the port -------------------------------------------------------------------------------------- */

static int start(void *shared, smtpf_driver *driver, void **self)
{
  memory *m = shared;
  m->driver = driver;
  *self = m;
  return SMTPF_OK;
}

static const record *live(const memory *m, smtpf_str key)
{
  const record *r = find(m, key);
  return r && !is_gone(&r->head, smtpf_driver_wall(m->driver)) ? r : NULL;
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  memory *m = self;
  const record *r = live(m, key);
  smtpf_str value = r ? (smtpf_str){r->bytes + r->head.key_n, r->head.value_n} : (smtpf_str){NULL, 0};
  smtpf_op_store(m->driver, op, r ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, value);
  return SMTPF_OK;
}

static int64_t number(const char *p)
{
  uint64_t v = 0;
  for (size_t i = NUMBER; i-- > 0;)
    v = v << 8 | (unsigned char)p[i];
  return (int64_t)v;
}

/* What a change makes of its key; 0 when there is nothing to do. */
static int change(const memory *m, const smtpf_change *c, head *h, char *bytes)
{
  const record *r = live(m, c->key);
  smtpf_str value = c->value;
  if (r ? c->op == SMTPF_CHANGE_SET_IF_ABSENT : c->op == SMTPF_CHANGE_DELETE)
    return 0;
  if (c->op == SMTPF_CHANGE_DELETE)
    value.n = 0;
  *h = (head){(uint32_t)c->key.n, (uint32_t)value.n, c->op == SMTPF_CHANGE_DELETE ? 1 : c->expires};
  memcpy(bytes, c->key.p, c->key.n);
  if (value.n)
    memcpy(bytes + c->key.n, value.p, value.n);
  if (c->op == SMTPF_CHANGE_ADD && r && r->head.value_n == NUMBER) {
    uint64_t sum = (uint64_t)number(r->bytes + c->key.n) + (uint64_t)number(value.p);
    for (size_t i = 0; i < NUMBER; i++)
      bytes[c->key.n + i] = (char)(sum >> 8 * i);
  }
  return 1;
}

/* All changes are one write. */
static int commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  memory *m = self;
  char bytes[KEY_MAX + VALUE_MAX];
  head h;
  text t = {0};
  int good = 1;
  for (size_t i = 0; i < n && good; i++) {
    if (changes[i].key.n > KEY_MAX || changes[i].value.n > VALUE_MAX ||
        (changes[i].op == SMTPF_CHANGE_ADD && changes[i].value.n != NUMBER))
      good = 0;
    else if (change(m, &changes[i], &h, bytes)) {
      add_record(&t, &h, bytes);
      good = put(m, &h, bytes);
    }
  }
  if (!good || t.n == 0)
    text_free(&t);
  else
    good = append(m->fd, &t);
  smtpf_op_store(m->driver, op, good ? SMTPF_STORE_DONE : SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}

static void cancel(void *self, smtpf_op op)
{
  (void)self; /* every operation is complete when its call returns */
  (void)op;
}

static void stop(void *self)
{
  (void)self; /* memory_close() frees it */
}

const smtpf_store *memory_port(void)
{
  static const smtpf_store table = {.size = sizeof table,
                                    .name = "file",
                                    .start = start,
                                    .get = get,
                                    .commit = commit,
                                    .cancel = cancel,
                                    .stop = stop};
  return &table;
}
