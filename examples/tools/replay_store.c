/* SPDX-License-Identifier: MIT
 *
 * A store in one text file, so that what a script left behind can be read, written by hand, and carried into the next
 * run: DIR/records, one record a line, `KEY EXPIRES VALUE` with key and value in hexadecimal (`-` for an empty one).
 */
#include <errno.h>
#include <inttypes.h>
#include <smtpfilter/ext/record.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

struct record {
  struct record *next;
  char *key, *value;
  size_t key_n, value_n;
  int64_t expires; /* 0: never */
};

struct replay_store {
  char *path;
  struct record *records; /* ordered by key */
  smtpf_driver *driver;
};

static int compare(const struct record *r, smtpf_str key)
{
  size_t n = r->key_n < key.n ? r->key_n : key.n;
  int c = n ? memcmp(r->key, key.p, n) : 0;
  return c ? c : r->key_n < key.n ? -1 : r->key_n > key.n;
}

/* Where the record is, or would be. */
static struct record **find(struct replay_store *s, smtpf_str key, int *found)
{
  struct record **p = &s->records;
  while (*p && compare(*p, key) < 0)
    p = &(*p)->next;
  *found = *p && compare(*p, key) == 0;
  return p;
}

static void drop(struct record **p)
{
  struct record *r = *p;
  *p = r->next;
  free(r->key);
  free(r->value);
  free(r);
}

static void put(struct record **p, int found, smtpf_str key, smtpf_str value, int64_t expires)
{
  if (found)
    drop(p);
  struct record *r = replay_alloc(sizeof *r);
  *r = (struct record){*p, replay_strdup(key.p, key.n), replay_strdup(value.p, value.n), key.n, value.n, expires};
  *p = r;
}

/* ---- the port ---- */

static int start(void *shared, smtpf_driver *driver, void **self)
{
  struct replay_store *s = shared;
  s->driver = driver;
  *self = s;
  return SMTPF_OK;
}

static int live(const struct replay_store *s, const struct record *r)
{
  return !r->expires || r->expires >= smtpf_driver_wall(s->driver);
}

static smtpf_str value_of(const struct record *r)
{
  return (smtpf_str){r->value, r->value_n};
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  struct replay_store *s = self;
  int found;
  struct record *r = *find(s, key, &found);
  found = found && live(s, r);
  smtpf_op_store(s->driver, op, found ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, found ? value_of(r) : (smtpf_str){0});
  return SMTPF_OK;
}

static uint64_t load64(const char *p)
{
  uint64_t v = 0;
  for (size_t i = 0; i < 8; i++)
    v |= (uint64_t)(unsigned char)p[i] << (8 * i);
  return v;
}

/* 0, or -1 when a number is added to what is none. */
static int add(struct record **p, int found, const smtpf_change *c)
{
  char bytes[8];
  if (c->value.n != 8 || (found && (*p)->value_n != 8))
    return -1;
  const uint64_t sum = load64(c->value.p) + (found ? load64((*p)->value) : 0);
  for (size_t i = 0; i < 8; i++)
    bytes[i] = (char)(unsigned char)(sum >> (8 * i) & 0xff);
  put(p, found, c->key, (smtpf_str){bytes, 8}, c->expires);
  return 0;
}

/* 0, or -1 when the two do not fit into one. */
static int join(struct record **p, int found, const smtpf_change *c)
{
  char room[SMTPF_RECORD_MAX];
  smtpf_str both = c->value;
  int64_t expires = c->expires;
  const int r = found ? smtpf_record_join(value_of(*p), c->value, room, sizeof room, &both) : SMTPF_EINVAL;
  if (r == SMTPF_ELIMIT)
    return -1;
  if (r == SMTPF_OK)
    expires = !expires || !(*p)->expires ? 0 : expires > (*p)->expires ? expires : (*p)->expires;
  put(p, found, c->key, both, expires);
  return 0;
}

static int change(struct replay_store *s, const smtpf_change *c)
{
  int found;
  struct record **p = find(s, c->key, &found);
  if (found && !live(s, *p)) {
    drop(p);
    found = 0;
  }
  switch (c->op) {
  case SMTPF_CHANGE_ADD: return add(p, found, c);
  case SMTPF_CHANGE_JOIN: return join(p, found, c);
  case SMTPF_CHANGE_DELETE:
    if (found)
      drop(p);
    return 0;
  default:
    if (!found || c->op == SMTPF_CHANGE_SET)
      put(p, found, c->key, c->value, c->expires);
    return 0;
  }
}

/* What was there before, the last change first: a commit is made whole or not at all. */
struct before {
  struct before *next;
  smtpf_str key;
  int found;
  char *value;
  size_t value_n;
  int64_t expires;
};

static struct before *note(struct replay_store *s, smtpf_str key, struct before *next)
{
  struct before *b = replay_alloc(sizeof *b);
  struct record *r = *find(s, key, &b->found);
  b->next = next;
  b->key = key;
  b->value_n = b->found ? r->value_n : 0;
  b->value = replay_strdup(b->found ? r->value : "", b->value_n);
  b->expires = b->found ? r->expires : 0;
  return b;
}

static void end(struct replay_store *s, struct before *b, int undo)
{
  while (b) {
    struct before *next = b->next;
    int found;
    struct record **p = find(s, b->key, &found);
    if (undo && b->found)
      put(p, found, b->key, (smtpf_str){b->value, b->value_n}, b->expires);
    else if (undo && found)
      drop(p);
    free(b->value);
    free(b);
    b = next;
  }
}

static int commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  struct replay_store *s = self;
  struct before *before = NULL;
  int bad = 0;
  for (size_t i = 0; i < n && !bad; i++) {
    before = note(s, changes[i].key, before);
    bad = change(s, &changes[i]);
  }
  end(s, before, bad);
  smtpf_op_store(s->driver, op, bad ? SMTPF_STORE_FAILED : SMTPF_STORE_DONE, (smtpf_str){0});
  return SMTPF_OK;
}

enum { PAGE = 256 };

static int scan(void *self, smtpf_op op, smtpf_str cursor, size_t most)
{
  struct replay_store *s = self;
  smtpf_stored page[PAGE];
  size_t n = 0;
  const struct record *r = s->records;
  while (r && cursor.n && compare(r, cursor) <= 0)
    r = r->next;
  for (; r && n < most && n < PAGE; r = r->next)
    if (live(s, r))
      page[n++] = (smtpf_stored){sizeof *page, {r->key, r->key_n}, value_of(r), r->expires};
  smtpf_op_scan(s->driver, op, r ? SMTPF_STORE_MORE : SMTPF_STORE_DONE, page, n,
                r && n ? page[n - 1].key : (smtpf_str){0});
  return SMTPF_OK;
}

static void cancel(void *self, smtpf_op op)
{
  (void)self;
  (void)op;
}

static void stop(void *self)
{
  (void)self;
}

const smtpf_store replay_store_file = {sizeof(smtpf_store), "text", start, get, commit, cancel, stop, scan, NULL};

/* ---- the file ---- */

static int hex_value(char c)
{
  const char *digits = "0123456789abcdef", *p = c ? strchr(digits, c) : NULL;
  return p ? (int)(p - digits) : -1;
}

static int read_hex(smtpf_str in, text *out)
{
  if (in.n == 1 && in.p[0] == '-')
    return 0;
  for (size_t i = 0; i + 1 < in.n; i += 2) {
    int high = hex_value(in.p[i]), low = hex_value(in.p[i + 1]);
    if (high < 0 || low < 0)
      return -1;
    text_char(out, (char)(unsigned char)(high * 16 + low));
  }
  return in.n == 0 || in.n % 2 ? -1 : 0;
}

static int read_line(struct replay_store *s, const char *line, size_t n)
{
  text key = {0}, value = {0};
  const char *a = memchr(line, ' ', n);
  const char *b = a ? memchr(a + 1, ' ', n - (size_t)(a + 1 - line)) : NULL;
  int bad = !b || read_hex((smtpf_str){line, (size_t)(a - line)}, &key) ||
            read_hex((smtpf_str){b + 1, n - (size_t)(b + 1 - line)}, &value) || !key.n;
  int64_t expires = 0;
  for (const char *p = bad ? b : a + 1; p < b; p++) {
    if (*p < '0' || *p > '9' || expires > INT64_MAX / 10 - 10)
      bad = -1;
    else
      expires = expires * 10 + (*p - '0');
  }
  if (!bad) {
    int found;
    struct record **p = find(s, text_str(&key), &found);
    put(p, found, text_str(&key), text_str(&value), expires);
  }
  text_free(&key);
  text_free(&value);
  return bad ? -1 : 0;
}

static struct replay_store *open_file(const char *path, text *error)
{
  struct replay_store *s = replay_alloc(sizeof *s);
  text all = {0};
  s->path = replay_strdup(path, strlen(path));
  int bad = replay_read(&all, s->path) && errno != ENOENT;
  if (bad)
    replay_format(error, "%s: %s", s->path, strerror(errno));
  int line = 0;
  for (const char *p = all.p; !bad && p && p < all.p + all.n;) {
    const char *nl = memchr(p, '\n', (size_t)(all.p + all.n - p));
    size_t n = nl ? (size_t)(nl - p) : (size_t)(all.p + all.n - p);
    line++;
    if (n && *p != '#' && read_line(s, p, n)) {
      replay_format(error, "%s:%d: expected KEY EXPIRES VALUE, key and value in hexadecimal", s->path, line);
      bad = 1;
    }
    p += n + 1;
  }
  text_free(&all);
  if (!bad)
    return s;
  replay_store_close(s);
  return NULL;
}

struct replay_store *replay_store_open(const char *dir, text *error)
{
  text path = {0};
  replay_format(&path, "%s/records", dir);
  struct replay_store *s = open_file(replay_cstr(&path), error);
  text_free(&path);
  return s;
}

struct replay_store *replay_store_again(const struct replay_store *s, text *error)
{
  return open_file(s->path, error);
}

static void write_hex(FILE *f, const char *p, size_t n)
{
  for (size_t i = 0; i < n; i++)
    fprintf(f, "%02x", (unsigned)(unsigned char)p[i]);
  if (!n)
    fputc('-', f);
}

int replay_store_save(struct replay_store *s)
{
  FILE *f = fopen(s->path, "wb");
  if (!f)
    return -1;
  for (const struct record *r = s->records; r; r = r->next) {
    write_hex(f, r->key, r->key_n);
    fprintf(f, " %" PRId64 " ", r->expires);
    write_hex(f, r->value, r->value_n);
    fputc('\n', f);
  }
  int bad = ferror(f);
  return fclose(f) || bad ? -1 : 0;
}

void replay_store_close(struct replay_store *s)
{
  if (!s)
    return;
  while (s->records)
    drop(&s->records);
  free(s->path);
  free(s);
}
