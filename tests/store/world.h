/* SPDX-License-Identifier: MIT
 *
 * world: a policy of a few options, a driver on it, a clock of its own: what the store is shown with.
 */
#ifndef SMTPF_TESTS_STORE_WORLD_H
#define SMTPF_TESTS_STORE_WORLD_H

#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>

enum { WORLD_OPTIONS = 32 };

/* `path=value`, in order. */
typedef struct world_options {
  const char *text[WORLD_OPTIONS];
  size_t n;
} world_options;

typedef struct world {
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_clock clock;
  int64_t wall;
  char log[4096]; /* events, each followed by a blank */
} world;

/* Ends the program with a word about what is wrong. */
void world_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define WORLD_MUST(condition)                                                                                          \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      world_die("%s:%d: %s", __FILE__, __LINE__, #condition);                                                          \
  } while (0)

void world_open(world *w, const world_options *options, int64_t wall); /* the policy, and a driver */
void world_close(world *w);
void world_restart(world *w); /* another driver on the same policy */
/* Turns the loop until *count has reached `want`; dies after a minute. */
void world_until(world *w, const size_t *count, size_t want);
/* One store operation to its end. */
int world_get(world *w, smtpf_str key, char *room, size_t *n); /* smtpf_store_status; room: 4096 bytes */
int world_commit(world *w, const smtpf_change *changes, size_t n);
int world_set(world *w, const char *key, smtpf_str value, int64_t expires);

/* A folder of its own below $TMPDIR or /tmp; removed by world_remove() with what a store leaves in it. */
void world_folder(char *room, size_t cap);
void world_remove(const char *folder);

static inline uint64_t world_random(uint64_t *state) /* xorshift64*: the same numbers in every run */
{
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 2685821657736338717u;
}

#endif
