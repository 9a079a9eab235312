/* SPDX-License-Identifier: MIT
 *
 * spool: one message as it came (dots unstuffed, CRLF line ends), kept until the verdict: chunks of memory up to a
 * limit, then an unlinked temporary file.
 */
#ifndef COMMON_SPOOL_H
#define COMMON_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#define SPOOL_CHUNK (16384 - 2 * sizeof(void *))

struct spool_chunk;

/* Chunks that are free, for one thread. */
typedef struct spool_cache {
  struct spool_chunk *first;
  size_t n;
} spool_cache;

typedef struct spool {
  spool_cache *cache;
  struct spool_chunk *first, *last;
  uint64_t size;      /* of the message */
  uint64_t in_memory; /* bytes of it that lie in chunks; the rest lies in the file */
  int fd;             /* -1 for none */
} spool;

void spool_init(spool *s, spool_cache *cache);
/* Adds bytes. 0, or an errno. After a failure only spool_clear() makes sense. */
int spool_add(spool *s, const char *p, size_t n, size_t memory_max, const char *directory);
/* Bytes at `at`: a pointer to as many as lie together, or up to `cap` read into `room`. Returns how many; 0 at the
 * end or when the file cannot be read (then errno is set). */
size_t spool_at(const spool *s, uint64_t at, char *room, size_t cap, const char **out);
void spool_clear(spool *s);
void spool_cache_free(spool_cache *cache);

#endif
