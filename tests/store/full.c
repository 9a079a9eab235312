/* SPDX-License-Identifier: MIT
 *
 * full: greylisting on a store whose map is full, and on one whose disk is full. Mail passes, the log says so, nothing
 * that was written is lost, and when there is room again strangers are put off again.
 *
 *     full FOLDER|- [PATH=VALUE...]     FOLDER: on a small file system of its own; `-` for the map alone
 *
 * Prints one line of JSON.
 */
#define _GNU_SOURCE
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS_MAX = 30, FILL_MAX = 20000 };

static size_t cases, failed;

static void judge(int good, const char *what)
{
  cases++;
  failed += !good;
  if (!good)
    fprintf(stderr, "FAIL %s\n", what);
}

/* ---- a stranger's first mail ---------------------------------------------------------------------- */

static int finish(smtpf_session *s, int r)
{
  if (r == SMTPF_PENDING)
    r = smtpf_session_wait(s, 20000);
  return r == SMTPF_OK ? smtpf_verdict_code(smtpf_session_verdict(s)) : r;
}

/* The reply to RCPT for the nth stranger. */
static int stranger(world *w, int n)
{
  smtpf_session *s;
  char from[64];
  const smtpf_str path = {from, (size_t)snprintf(from, sizeof from, "<stranger%d@example.com>", n)};
  const smtpf_peer peer = {.size = sizeof peer, .address = {"192.0.2.99", 10}};
  WORLD_MUST(smtpf_session_new(&s, w->driver, NULL) == SMTPF_OK);
  WORLD_MUST(finish(s, smtpf_session_connect(s, &peer)) == 220);
  WORLD_MUST(finish(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, (smtpf_str){"mail.example.com", 16})) == 250);
  WORLD_MUST(finish(s, smtpf_session_mail(s, path, (smtpf_str){NULL, 0})) == 250);
  const int code = finish(s, smtpf_session_rcpt(s, (smtpf_str){"<user@example.net>", 18}, (smtpf_str){NULL, 0}));
  smtpf_session_free(s);
  return code;
}

/* ---- filling -------------------------------------------------------------------------------------- */

static int fill_with(world *w, const char *name, size_t size, int64_t expires)
{
  static char bytes[4000];
  char key[32];
  int n = 0;
  memset(bytes, 'x', sizeof bytes);
  do
    snprintf(key, sizeof key, "%s%d", name, n);
  while (world_set(w, key, (smtpf_str){bytes, size}, expires) == SMTPF_STORE_DONE && ++n < FILL_MAX);
  return n;
}

/* To the last gap: records that fill a page, then small ones. */
static int fill(world *w, int64_t expires)
{
  const int big = fill_with(w, "big", 4000, expires), small = fill_with(w, "small", 40, expires);
  return big > 10 ? big + small : 0;
}

static int is_kept(world *w, const char *key)
{
  char room[4096];
  size_t n;
  return world_get(w, (smtpf_str){key, strlen(key)}, room, &n) == SMTPF_STORE_FOUND;
}

static int said(world *w, const char *event)
{
  (void)smtpf_driver_process(w->driver);
  return strstr(w->log, event) != NULL;
}

/* Waits until a stranger is put off again; who that was. */
static int recovers(world *w)
{
  for (int i = 0; i < SECONDS_MAX * 20; i++) {
    if (stranger(w, 100 + i) == 451)
      return 100 + i;
    (void)smtpf_driver_process(w->driver);
    usleep(50000);
  }
  return 0;
}

static void begin(world *w, const world_options *options)
{
  world_open(w, options, 1700000000);
  judge(stranger(w, 1) == 451, "a stranger is put off while there is room");
}

static void while_full(world *w, int written)
{
  judge(written > 10 && written < FILL_MAX, "it becomes full");
  judge(stranger(w, 2) == 250, "mail of a stranger passes while it is full");
  judge(stranger(w, 3) == 250, "and of the next");
  judge(said(w, "store-unwritable"), "the log says so");
  judge(is_kept(w, "big0"), "what was written is there");
}

static void after(world *w)
{
  const int who = recovers(w);
  judge(who > 0, "it recovers: a stranger is put off again");
  judge(said(w, "store-recovered"), "the log says so, too");
  w->wall += 400;
  (void)smtpf_driver_process(w->driver);
  judge(stranger(w, who) == 250, "and passes when he comes again");
}

/* ---- two ways to be full -------------------------------------------------------------------------- */

static void full_map(world_options options)
{
  world w;
  char folder[200], path[256];
  world_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "store.path=%s", folder);
  options.text[options.n++] = path;
  options.text[options.n++] = "store.map_size=4m";
  options.text[options.n++] = "store.map_max=4m";
  begin(&w, &options);
  while_full(&w, fill(&w, w.wall + 60));
  w.wall += 100; /* what fills it expires */
  (void)smtpf_driver_process(w.driver);
  after(&w);
  world_close(&w);
  world_remove(folder);
}

static void full_disk(const char *folder, world_options options)
{
  world w;
  char path[256], ballast[256], bytes[4096] = "";
  size_t room = 0;
  snprintf(path, sizeof path, "store.path=%s/store", folder);
  snprintf(ballast, sizeof ballast, "%s/ballast", folder);
  options.text[options.n++] = path;
  begin(&w, &options);
  const int fd = open(ballast, O_WRONLY | O_CREAT | O_EXCL, 0600);
  WORLD_MUST(fd >= 0);
  while (room < 100 && write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes)
    room++;
  while_full(&w, fill(&w, 0));
  close(fd);
  WORLD_MUST(unlink(ballast) == 0);
  after(&w);
  world_restart(&w);
  judge(is_kept(&w, "big0") && is_kept(&w, "small0"), "it opens again, with all that was written");
  world_close(&w);
  snprintf(ballast, sizeof ballast, "%s/store", folder);
  world_remove(ballast);
}

int main(int argc, char **argv)
{
  world_options options = {
      {"store.type=lmdb", "local_domains=example.net", "check.disable=iprev", "profiles[\"default\"].greylist=true"},
      4};
  if (argc < 2)
    world_die("full FOLDER|- [PATH=VALUE...]");
  for (int i = 2; i < argc && options.n < WORLD_OPTIONS - 3; i++)
    options.text[options.n++] = argv[i];
  full_map(options);
  if (strcmp(argv[1], "-") != 0)
    full_disk(argv[1], options);
  printf("{\"name\":\"store-full\",\"cases\":%zu,\"failed\":%zu,\"disk\":%s}\n", cases, failed,
         strcmp(argv[1], "-") != 0 ? "true" : "false");
  return failed != 0;
}
