/* SPDX-License-Identifier: MIT */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CACHE_MAX 64

struct spool_chunk {
  struct spool_chunk *next;
  size_t n;
  char bytes[SPOOL_CHUNK];
};

void spool_init(spool *s, spool_cache *cache)
{
  *s = (spool){.cache = cache, .fd = -1};
}

static struct spool_chunk *chunk_new(spool_cache *cache)
{
  struct spool_chunk *c = cache->first;
  if (c) {
    cache->first = c->next;
    cache->n--;
  } else {
    c = malloc(sizeof *c);
  }
  if (c) {
    c->next = NULL;
    c->n = 0;
  }
  return c;
}

static void chunk_free(spool_cache *cache, struct spool_chunk *c)
{
  if (cache->n >= CACHE_MAX) {
    free(c);
    return;
  }
  c->next = cache->first;
  cache->first = c;
  cache->n++;
}

/* An unlinked file: O_TMPFILE where the file system has it, else made and unlinked. */
static int file_open(const char *directory)
{
  int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
    return fd;
  char path[512];
  if ((size_t)snprintf(path, sizeof path, "%s/smtpf-XXXXXX", directory) >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  fd = mkostemp(path, O_CLOEXEC);
  if (fd >= 0)
    unlink(path);
  return fd;
}

static int file_add(spool *s, const char *p, size_t n, const char *directory)
{
  if (s->fd < 0 && (s->fd = file_open(directory)) < 0)
    return errno;
  while (n) {
    ssize_t w = pwrite(s->fd, p, n, (off_t)(s->size - s->in_memory));
    if (w < 0 && errno == EINTR)
      continue;
    if (w <= 0)
      return w ? errno : ENOSPC;
    s->size += (uint64_t)w;
    p += w;
    n -= (size_t)w;
  }
  return 0;
}

int spool_add(spool *s, const char *p, size_t n, size_t memory_max, const char *directory)
{
  while (n && s->fd < 0 && s->size < memory_max) {
    if (!s->last || s->last->n == SPOOL_CHUNK) {
      struct spool_chunk *c = chunk_new(s->cache);
      if (!c)
        return ENOMEM;
      if (s->last)
        s->last->next = c;
      else
        s->first = c;
      s->last = c;
    }
    size_t room = SPOOL_CHUNK - s->last->n;
    if (room > memory_max - s->size)
      room = (size_t)(memory_max - s->size);
    size_t take = n < room ? n : room;
    memcpy(s->last->bytes + s->last->n, p, take);
    s->last->n += take;
    s->size += take;
    s->in_memory += take;
    p += take;
    n -= take;
  }
  return n ? file_add(s, p, n, directory) : 0;
}

size_t spool_at(const spool *s, uint64_t at, char *room, size_t cap, const char **out)
{
  if (at >= s->size)
    return 0;
  if (at < s->in_memory) { /* every chunk but the last is full */
    const struct spool_chunk *c = s->first;
    uint64_t skip = at / SPOOL_CHUNK;
    while (skip--)
      c = c->next;
    size_t from = (size_t)(at % SPOOL_CHUNK);
    *out = c->bytes + from;
    return c->n - from;
  }
  ssize_t r;
  do
    r = pread(s->fd, room, cap, (off_t)(at - s->in_memory));
  while (r < 0 && errno == EINTR);
  if (r == 0)
    errno = EIO;
  *out = room;
  return r > 0 ? (size_t)r : 0;
}

void spool_clear(spool *s)
{
  for (struct spool_chunk *c = s->first, *next; c; c = next) {
    next = c->next;
    chunk_free(s->cache, c);
  }
  if (s->fd >= 0)
    close(s->fd);
  spool_init(s, s->cache);
}

void spool_cache_free(spool_cache *cache)
{
  for (struct spool_chunk *c = cache->first, *next; c; c = next) {
    next = c->next;
    free(c);
  }
  *cache = (spool_cache){0};
}
