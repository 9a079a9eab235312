/* SPDX-License-Identifier: MIT
 *
 * kill: four processes write, all are killed (SIGKILL) at a moment of chance, again and again. Behind each round the
 * store must open, and hold of each process everything it was told was done, and no half of anything.
 *
 *     kill ROUNDS [PATH=VALUE...]     options of the policy beside type and path
 *
 * A process writes one commit after the other: two records that say its number n, the second of 600 bytes. It tells the
 * parent n when the commit is done, and keeps up to eight under way. Prints one line of JSON.
 */
#define _GNU_SOURCE
#include "world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 4, AHEAD = 8, BIG = 600, SPREAD_MS = 40 };

/* ---- a process that writes ------------------------------------------------------------------------ */

typedef struct writer {
  world world;
  int fd;
  size_t done;
  uint64_t told; /* commits are made in their order */
} writer;

static void committed(void *user, int status, smtpf_str value)
{
  writer *w = user;
  (void)value;
  if (status != SMTPF_STORE_DONE)
    _exit(3);
  w->done++;
  w->told++;
  if (write(w->fd, &w->told, sizeof w->told) != (ssize_t)sizeof w->told)
    _exit(4);
}

static smtpf_str small_text(char *room, uint64_t n)
{
  return (smtpf_str){room, (size_t)snprintf(room, BIG, "%llu", (unsigned long long)n)};
}

static smtpf_str big_text(char *room, uint64_t n)
{
  char digits[24];
  const int length = snprintf(digits, sizeof digits, "%llu ", (unsigned long long)n);
  for (size_t i = 0; i < BIG; i++)
    room[i] = digits[i % (size_t)length];
  return (smtpf_str){room, BIG};
}

static void names(int i, char a[8], char b[8])
{
  snprintf(a, 8, "a%d", i);
  snprintf(b, 8, "b%d", i);
}

static void write_for_ever(const world_options *options, int i, uint64_t n, int fd)
{
  static writer w;
  char a[8], b[8], room[2][BIG];
  world_open(&w.world, options, 1700000000);
  w.fd = fd;
  w.told = n;
  names(i, a, b);
  for (size_t asked = 0;; asked++) {
    n++;
    const smtpf_change c[] = {
        {sizeof *c, SMTPF_CHANGE_SET, {a, strlen(a)}, small_text(room[0], n), 0},
        {sizeof *c, SMTPF_CHANGE_SET, {b, strlen(b)}, big_text(room[1], n), 0},
    };
    WORLD_MUST(smtpf_driver_commit(w.world.driver, c, 2, committed, &w) == SMTPF_OK);
    world_until(&w.world, &w.done, asked < AHEAD ? 0 : asked - AHEAD + 1);
  }
}

/* ---- the parent ----------------------------------------------------------------------------------- */

typedef struct child {
  pid_t pid;
  int fd;
  uint64_t told; /* it was told that this is done */
} child;

static void begin(child *c, const world_options *options, int i)
{
  int pipes[2];
  WORLD_MUST(pipe(pipes) == 0);
  c->pid = fork();
  WORLD_MUST(c->pid >= 0);
  if (c->pid == 0) {
    close(pipes[0]);
    write_for_ever(options, i, c->told, pipes[1]);
  }
  close(pipes[1]);
  c->fd = pipes[0];
}

/* Whatever it had said before it went. Returns 0 when it ended by itself. */
static int end(child *c)
{
  uint64_t n;
  int status;
  while (read(c->fd, &n, sizeof n) == (ssize_t)sizeof n)
    c->told = n;
  close(c->fd);
  WORLD_MUST(waitpid(c->pid, &status, 0) == c->pid);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Problems found in what one process wrote; its number goes on from what is there. */
static size_t examine(world *w, child *c, int i, size_t *lost)
{
  char a[8], b[8], room[4097], want[BIG];
  size_t n;
  names(i, a, b);
  if (world_get(w, (smtpf_str){a, strlen(a)}, room, &n) != SMTPF_STORE_FOUND) {
    *lost += c->told > 0;
    return c->told > 0;
  }
  room[n] = '\0';
  const uint64_t is = strtoull(room, NULL, 10);
  const size_t wrong = is < c->told || is > c->told + AHEAD + 1;
  *lost += is < c->told;
  (void)big_text(want, is);
  const int found = world_get(w, (smtpf_str){b, strlen(b)}, room, &n);
  const size_t half = found != SMTPF_STORE_FOUND || n != BIG || memcmp(room, want, BIG) != 0;
  c->told = is;
  return wrong + half;
}

static void rest(uint64_t *state)
{
  const struct timespec t = {0, (long)(2000000 + world_random(state) % (SPREAD_MS * UINT64_C(1000000)))};
  nanosleep(&t, NULL);
}

/* One that has opened the store at least once is there before the first is killed. */
static size_t round_of(child children[WRITERS], const world_options *options, uint64_t *state, size_t *lost)
{
  size_t wrong = 0;
  world w;
  for (int i = 0; i < WRITERS; i++)
    begin(&children[i], options, i);
  rest(state);
  for (int i = 0; i < WRITERS; i++)
    kill(children[i].pid, SIGKILL);
  for (int i = 0; i < WRITERS; i++)
    wrong += !end(&children[i]);
  world_open(&w, options, 1700000000);
  for (int i = 0; i < WRITERS; i++)
    wrong += examine(&w, &children[i], i, lost);
  world_close(&w);
  return wrong;
}

int main(int argc, char **argv)
{
  child children[WRITERS] = {{0, -1, 0}};
  char folder[200], path[256];
  world_options options = {{"store.type=lmdb", path, "store.map_size=16m"}, 3};
  const size_t rounds = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 500;
  size_t failed = 0, lost = 0;
  uint64_t state = 1234567, commits = 0;
  for (int i = 2; i < argc && options.n < WORLD_OPTIONS; i++)
    options.text[options.n++] = argv[i];
  world_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "store.path=%s", folder);
  for (size_t r = 0; r < rounds; r++) {
    failed += round_of(children, &options, &state, &lost);
    if (isatty(STDERR_FILENO) && r % 10 == 9)
      fprintf(stderr, "\r%zu of %zu rounds", r + 1, rounds);
  }
  if (isatty(STDERR_FILENO))
    fprintf(stderr, "\n");
  for (int i = 0; i < WRITERS; i++)
    commits += children[i].told;
  world_remove(folder);
  printf("{\"name\":\"store-kill\",\"rounds\":%zu,\"processes\":%d,\"commits\":%llu,\"failed\":%zu,\"lost\":%zu}\n",
         rounds, WRITERS, (unsigned long long)commits, failed, lost);
  return failed != 0;
}
