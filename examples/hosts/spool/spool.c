/* SPDX-License-Identifier: MIT */
#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <smtpfilter/engine.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMPACT_AFTER = 200 }; /* closed promises in the journal */

/* ---- files and folders ----------------------------------------------------------------------------- */

/* A folder, made when it is missing, its name durable. */
static int folder(int at, const char *name)
{
  if ((mkdirat(at, name, 0700) != 0 && errno != EEXIST) || fsync(at) != 0)
    return -1;
  return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int write_all(int fd, const char *p, size_t n)
{
  while (n) {
    ssize_t w = write(fd, p, n);
    if (w < 0 && errno == EINTR)
      continue;
    if (w <= 0)
      return 0;
    p += w;
    n -= (size_t)w;
  }
  return 1;
}

static int copy_all(int from, int to)
{
  char room[16384];
  ssize_t n;
  while ((n = read(from, room, sizeof room)) > 0)
    if (!write_all(to, room, (size_t)n))
      return 0;
  return n == 0;
}

/* Durable under its name, or not there at all: written aside, synced, renamed, and the folder synced. */
static int settle_file(spool *s, int fd, int good, const char *aside, int to, const char *name)
{
  good = good && fsync(fd) == 0;
  good = close(fd) == 0 && good;
  if (good && renameat(s->incoming, aside, to, name) == 0)
    return fsync(to) == 0;
  unlinkat(s->incoming, aside, 0);
  return 0;
}

static int begin_file(spool *s, const char *aside)
{
  return openat(s->incoming, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

int spool_keep(spool *s, const char *id, const char *bytes, size_t n)
{
  int fd = begin_file(s, id);
  return fd >= 0 && settle_file(s, fd, write_all(fd, bytes, n), id, s->messages, id);
}

/* ---- delivery -------------------------------------------------------------------------------------- */

/* A recipient as the name of a folder: anything that means something to a file system becomes %XX. */
static int name_of(smtpf_str recipient, char *out, size_t cap)
{
  size_t n = 0;
  for (size_t i = 0; i < recipient.n && n + 4 < cap; i++) {
    const unsigned char c = (unsigned char)recipient.p[i];
    const int plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("@_-+", c) ||
                      (c == '.' && i > 0);
    n += (size_t)snprintf(out + n, cap - n, plain ? "%c" : "%%%02X", c);
  }
  out[n] = '\0';
  return n + 4 < cap;
}

static int write_copy(spool *s, const smtpf_promise *p, const char *id, int box)
{
  int from = openat(s->messages, id, O_RDONLY | O_CLOEXEC);
  if (from < 0) {
    fprintf(stderr, "%s was promised to %.*s, and there is neither the message nor a delivered copy\n", id,
            (int)p->recipient.n, p->recipient.p);
    return 0;
  }
  int fd = begin_file(s, "copy");
  int good = fd >= 0 && dprintf(fd, "Return-Path: <%.*s>\r\n", (int)p->sender.n, p->sender.p) > 0 && copy_all(from, fd);
  close(from);
  return fd >= 0 && settle_file(s, fd, good, "copy", box, id);
}

/* 1 when the copy is in its mailbox, now or before. */
static int deliver(spool *s, const smtpf_promise *p, const char *id)
{
  char name[256];
  int at = p->disposition == SMTPF_QUARANTINED ? s->quarantine : s->mail;
  int box = name_of(p->recipient, name, sizeof name) ? folder(at, name) : -1;
  if (box < 0)
    return 0;
  int good = faccessat(box, id, F_OK, 0) == 0 || write_copy(s, p, id, box);
  close(box);
  return good;
}

/* ---- what is owed ---------------------------------------------------------------------------------- */

typedef struct pass {
  spool *s;
  const char *only; /* this message alone, or NULL */
  int failed;       /* something is still owed */
} pass;

static int finish_one(void *user, const smtpf_promise *p)
{
  pass *all = user;
  char id[SMTPF_JOURNAL_MESSAGE_MAX + 1];
  snprintf(id, sizeof id, "%.*s", (int)p->message.n, p->message.p);
  if (all->only && strcmp(all->only, id) != 0)
    return 0;
  if (p->memory.n && !memory_keep(all->s->memory, p->memory, all->s->remember_s))
    fprintf(stderr, "%s is not remembered: sent again, it is delivered again\n", id);
  if (!deliver(all->s, p, id) ||
      smtpf_journal_log_settle(all->s->journal, p->message, p->recipient, p->disposition) != SMTPF_OK)
    all->failed = 1;
  return 0;
}

/* Of no message in the folder anything is owed. */
static void empty(int at)
{
  int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  for (struct dirent *e; d && (e = readdir(d));)
    if (e->d_name[0] != '.')
      unlinkat(at, e->d_name, 0);
  if (d)
    closedir(d);
  else if (fd >= 0)
    close(fd);
}

void spool_finish(spool *s, const char *id)
{
  pass all = {.s = s, .only = id};
  smtpf_journal_stats stats = {.size = sizeof stats};
  smtpf_journal_visitor v = {.size = sizeof v, .user = &all, .open = finish_one};
  smtpf_error err = {.size = sizeof err};
  int r = smtpf_journal_log_read(s->journal, &v, &stats, &err);
  if (r != SMTPF_OK || all.failed) {
    fprintf(stderr, "not everything could be delivered%s%s: it is tried again at the next start\n",
            r != SMTPF_OK ? ": " : "", err.text);
    return;
  }
  if (id)
    unlinkat(s->messages, id, 0);
  else
    empty(s->messages);
  if (stats.settled > COMPACT_AFTER && smtpf_journal_log_compact(s->journal, 0, &err) != SMTPF_OK)
    fprintf(stderr, "the journal stays as long as it is: %s\n", err.text);
}

/* ---- opening --------------------------------------------------------------------------------------- */

static int damaged(void *user, uint64_t offset, uint64_t length)
{
  (void)user;
  fprintf(stderr, "the journal is damaged: %llu bytes at %llu; a promise in them is not known\n",
          (unsigned long long)length, (unsigned long long)offset);
  return 0;
}

static int open_journal(spool *s, const char *path)
{
  smtpf_error err = {.size = sizeof err};
  smtpf_journal_visitor v = {.size = sizeof v, .damage = damaged};
  int r = smtpf_journal_log_open(&s->journal, path, 0, NULL, &err);
  if (r == SMTPF_OK)
    r = smtpf_journal_log_read(s->journal, &v, NULL, &err);
  if (r != SMTPF_OK)
    fprintf(stderr, "%s: %s\n", err.file, err.text);
  return r == SMTPF_OK;
}

/* The folder's file of this name, or what an option says instead. */
static const char *path_of(const smtpf_engine *policy, const char *option, const char *folder, const char *name,
                           char *room, size_t cap)
{
  smtpf_str set;
  if (option && smtpf_engine_option(policy, option, 0, &set) == SMTPF_OK && set.n)
    snprintf(room, cap, "%.*s", (int)set.n, set.p);
  else
    snprintf(room, cap, "%s/%s", folder, name);
  return room;
}

int spool_open(spool *s, const char *path, const smtpf_engine *policy)
{
  char room[4096];
  int64_t remember_ms;
  *s = (spool){.incoming = -1, .messages = -1, .mail = -1, .quarantine = -1};
  int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root >= 0) {
    s->incoming = folder(root, "incoming");
    s->messages = folder(root, "spool");
    s->mail = folder(root, "mail");
    s->quarantine = folder(root, "quarantine");
    close(root);
  }
  if (s->incoming < 0 || s->messages < 0 || s->mail < 0 || s->quarantine < 0) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 0;
  }
  empty(s->incoming);
  s->memory = memory_open(path_of(policy, NULL, path, "memory", room, sizeof room));
  if (!s->memory || smtpf_engine_number(policy, "lost_ack.memory", &remember_ms) != SMTPF_OK) {
    fprintf(stderr, "%s: %s\n", room, strerror(errno));
    return 0;
  }
  s->remember_s = remember_ms / 1000;
  return open_journal(s, path_of(policy, "journal.path", path, "journal", room, sizeof room));
}

void spool_close(spool *s)
{
  const int all[] = {s->incoming, s->messages, s->mail, s->quarantine};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i] >= 0)
      close(all[i]);
  smtpf_journal_log_free(s->journal);
  memory_close(s->memory);
}
