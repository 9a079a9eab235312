/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "walk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { WINDOW = 64 * 1024 };

int smtpf_walk_init(smtpf_walk *s, const smtpf_mem *mem, int fd, uint64_t at, uint64_t size)
{
  *s = (smtpf_walk){.mem = mem, .fd = fd, .at = at, .size = size, .room = smtpf_mem_alloc(mem, WINDOW)};
  return s->room ? SMTPF_OK : SMTPF_ENOMEM;
}

void smtpf_walk_free(smtpf_walk *s)
{
  smtpf_mem_free(s->mem, s->room);
  s->room = NULL;
}

static int fill(smtpf_walk *s, uint64_t at)
{
  s->room_at = at;
  s->room_n = 0;
  while (s->room_n < WINDOW && at + s->room_n < s->size) {
    uint64_t left = s->size - at - s->room_n;
    size_t want = WINDOW - s->room_n;
    ssize_t n = pread(s->fd, s->room + s->room_n, left < want ? (size_t)left : want, (off_t)(at + s->room_n));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return SMTPF_EIO;
    if (n == 0)
      s->size = at + s->room_n; /* somebody cut it */
    s->room_n += (size_t)n;
  }
  return SMTPF_OK;
}

/* The bytes at a place: all that are left, or at least SMTPF_RECORD_MAX. */
static int view(smtpf_walk *s, uint64_t at, const char **p, size_t *n)
{
  uint64_t end = s->room_at + s->room_n;
  int inside = at >= s->room_at && at <= end && s->room_n > 0;
  if ((!inside || end - at < SMTPF_RECORD_MAX) && !(inside && end >= s->size) && fill(s, at) != SMTPF_OK)
    return SMTPF_EIO;
  end = s->room_at + s->room_n;
  *p = s->room + (size_t)(at - s->room_at);
  *n = at < end ? (size_t)(end - at) : 0;
  return SMTPF_OK;
}

/* *out: the first place from `from` on where a record stands, or the end. */
static int find(smtpf_walk *s, uint64_t from, uint64_t *out)
{
  uint64_t at = from;
  while (at < s->size) {
    smtpf_record r;
    size_t n, used;
    const char *p;
    if (view(s, at, &p, &n) != SMTPF_OK)
      return SMTPF_EIO;
    if (n == 0)
      break;
    size_t look = at + n < s->size ? n - SMTPF_RECORD_MAX + 1 : n;
    const char *mark = memchr(p, 0xff, look);
    if (!mark) {
      at += look;
      continue;
    }
    at += (size_t)(mark - p);
    int state = smtpf_journal_record_read(mark, n - (size_t)(mark - p), &r, &used);
    if (state == SMTPF_RECORD_WHOLE || state == SMTPF_RECORD_CUT)
      break;
    at++;
  }
  *out = at < s->size ? at : s->size;
  return SMTPF_OK;
}

/* Whether nothing but zeros is left: room that a file system gave and nobody has written to. */
static int is_blank(smtpf_walk *s, int *out)
{
  static const char zeros[SMTPF_RECORD_MAX];
  for (uint64_t at = s->at; at < s->size;) {
    const char *p;
    size_t n;
    if (view(s, at, &p, &n) != SMTPF_OK)
      return SMTPF_EIO;
    size_t look = n < sizeof zeros ? n : sizeof zeros;
    if (look == 0 || memcmp(p, zeros, look) != 0) {
      *out = look == 0;
      return SMTPF_OK;
    }
    at += look;
  }
  *out = 1;
  return SMTPF_OK;
}

static int torn(smtpf_walk *s, smtpf_found *out)
{
  out->offset = s->in_group ? s->group : s->at;
  out->length = s->size - out->offset;
  s->at = s->size;
  s->in_group = 0;
  return SMTPF_WALK_TORN;
}

static int damage(smtpf_walk *s, smtpf_found *out)
{
  uint64_t next;
  int blank, header = s->at == 0;
  if (is_blank(s, &blank) != SMTPF_OK)
    return SMTPF_EIO;
  if (blank)
    return torn(s, out);
  if (find(s, s->at + 1, &next) != SMTPF_OK)
    return SMTPF_EIO;
  if (header && next == s->size)
    return SMTPF_EPARSE;
  out->offset = s->at;
  out->length = next - s->at;
  s->at = next;
  s->in_group = 0;
  return SMTPF_WALK_DAMAGE;
}

/* The file's header: SMTPF_OK to go on behind it, else what smtpf_walk_next() returns. */
static int begin(smtpf_walk *s, smtpf_found *out)
{
  const char *p;
  size_t n;
  unsigned version;
  if (view(s, 0, &p, &n) != SMTPF_OK)
    return SMTPF_EIO;
  switch (smtpf_record_started(p, n, &version)) {
  case SMTPF_RECORD_SHORT: return torn(s, out);
  case SMTPF_RECORD_BAD: return damage(s, out);
  default: break;
  }
  if (version != SMTPF_RECORD_VERSION)
    return SMTPF_EUNSUPPORTED;
  s->at = SMTPF_RECORD_START;
  return SMTPF_OK;
}

int smtpf_walk_next(smtpf_walk *s, smtpf_found *out)
{
  const char *p;
  size_t n, used;
  if (s->at == 0 && s->size > 0) {
    int r = begin(s, out);
    if (r != SMTPF_OK)
      return r;
  }
  if (s->at < s->size && view(s, s->at, &p, &n) != SMTPF_OK)
    return SMTPF_EIO;
  if (s->at >= s->size)
    return s->in_group ? torn(s, out) : SMTPF_WALK_END;
  switch (smtpf_journal_record_read(p, n, &out->record, &used)) {
  case SMTPF_RECORD_WHOLE: break;
  case SMTPF_RECORD_BAD: return damage(s, out);
  default: return torn(s, out);
  }
  out->offset = s->at;
  out->length = used;
  if (out->record.more && !s->in_group)
    s->group = s->at;
  s->in_group = out->record.more;
  s->at += used;
  return SMTPF_WALK_RECORD;
}
