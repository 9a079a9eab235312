/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../log.h"
#include "parts.h"

enum { BACKLOG = 4096, FIRST_INHERITED = 3 };
enum { LATE_MAX = 4096 };
enum { ACCEPT_MAX = 64 }; /* in one turn, so that other threads and other connections get theirs */

static int fail(const char *where, const char *what)
{
  const char *why = strerror(errno);
  log_line("error", "cannot-listen",
           (log_field[]){{"address", {where, strlen(where)}},
                         {"call", {what, strlen(what)}},
                         {"why", {why, strlen(why)}},
                         {NULL, {NULL, 0}}});
  return -1;
}

/* ---- our own --------------------------------------------------------------------------------------- */

/* A socket that an earlier process left gives way; anything else is not ours to remove. */
static int is_free(const char *path)
{
  struct stat st;
  if (lstat(path, &st))
    return errno == ENOENT;
  errno = EEXIST;
  return S_ISSOCK(st.st_mode);
}

/* Its mode, its group, and somebody who listens: all before it has its name, which it takes from a predecessor in one
 * step, so that nobody who connects meanwhile finds nothing there. */
static int bind_path(int fd, const address *a, const server_settings *s, listening *out)
{
  const char *path = ((const struct sockaddr_un *)(const void *)&a->sa)->sun_path;
  struct sockaddr_un made = {.sun_family = AF_UNIX};
  struct stat st;
  if (!is_free(path))
    return fail(path, "bind");
  if (snprintf(made.sun_path, sizeof made.sun_path, "%s.%ld", path, (long)getpid()) >= (int)sizeof made.sun_path) {
    errno = ENAMETOOLONG;
    return fail(path, "bind");
  }
  unlink(made.sun_path);
  const mode_t old = umask((mode_t)0777 & ~s->socket_mode);
  const int r = bind(fd, (const struct sockaddr *)&made, sizeof made);
  umask(old);
  if (r)
    return fail(path, "bind");
  if ((s->socket_group != (gid_t)-1 && chown(made.sun_path, (uid_t)-1, s->socket_group)) || listen(fd, BACKLOG) ||
      lstat(made.sun_path, &st) || rename(made.sun_path, path)) {
    fail(path, "listen");
    unlink(made.sun_path);
    return -1;
  }
  snprintf(out->path, sizeof out->path, "%s", path);
  out->device = st.st_dev;
  out->inode = st.st_ino;
  return 0;
}

static int open_one(const address *a, const server_settings *s, listening *out)
{
  const int one = 1;
  char where[ADDRESS_TEXT];
  address_format((const struct sockaddr *)&a->sa, where, sizeof where);
  const int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail(where, "socket");
  out->item = (item){ITEM_LISTENER, fd};
  out->at = *a;
  if (a->sa.ss_family == AF_UNIX)
    return bind_path(fd, a, s, out);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (a->sa.ss_family == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  return bind(fd, (const struct sockaddr *)&a->sa, a->len) || listen(fd, BACKLOG) ? fail(where, "bind") : 0;
}

/* ---- systemd's (sd_listen_fds(3)) -------------------------------------------------------------------- */

static long environment(const char *name)
{
  const char *v = getenv(name);
  char *end = NULL;
  const long n = v ? strtol(v, &end, 10) : 0;
  return v && *v && !*end ? n : 0;
}

/* The name of the `i`th (FileDescriptorName=) says what is spoken there: words with a dash between, of `proxy`, `tls`
 * and `lmtp`; SMTP, where it says nothing of these. */
static int is_named(const char *names, long i, const char *word)
{
  for (; names && i > 0; i--) {
    names = strchr(names, ':');
    names = names ? names + 1 : NULL;
  }
  while (names && *names && *names != ':') {
    const size_t n = strcspn(names, ":-");
    if (n == strlen(word) && !strncmp(names, word, n))
      return 1;
    names += n + (names[n] == '-');
  }
  return 0;
}

/* How many there are; they are closed to programs we might start. */
static int inherit(server_process *p)
{
  const long n = environment("LISTEN_PID") == (long)getpid() ? environment("LISTEN_FDS") : 0;
  const char *names = getenv("LISTEN_FDNAMES");
  for (long i = 0; i < n && i < SERVER_LISTEN_MAX; i++) {
    const int fd = FIRST_INHERITED + (int)i;
    int listens = 0;
    socklen_t len = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) || !listens) {
      errno = EINVAL;
      return fail("LISTEN_FDS", "getsockopt");
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    p->listener[p->listeners++] = (listening){.item = {ITEM_LISTENER, fd}, .inherited = 1};
    p->listener[p->listeners - 1].at.lmtp = is_named(names, i, "lmtp");
    p->listener[p->listeners - 1].at.tls = is_named(names, i, "tls");
    p->listener[p->listeners - 1].at.proxied = is_named(names, i, "proxy");
  }
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return 0;
}

int server_listen(server_process *p, const server_settings *s)
{
  if (inherit(p))
    return -1;
  if (p->listeners)
    return 0;
  for (size_t i = 0; i < s->listens; i++)
    if (open_one(&s->listen[i], s, &p->listener[p->listeners++]))
      return -1;
  return 0;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* Ours, not one that a successor has put there meanwhile. */
static void remove_path(listening *it)
{
  struct stat st;
  if (it->path[0] && !lstat(it->path, &st) && st.st_dev == it->device && st.st_ino == it->inode)
    unlink(it->path);
  it->path[0] = 0;
}

/* Those whom the kernel has connected and no loop has taken: closing the socket would reset them. */
static void turn_away_late(server_process *p, const listening *it)
{
  int fd;
  for (int i = 0; i < LATE_MAX && (fd = accept4(it->item.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0; i++)
    if (p->program->late)
      p->program->late(p, it, fd);
    else
      close(fd);
}

void server_listen_stop(server_process *p)
{
  for (size_t i = 0; i < p->listeners; i++) {
    listening *it = &p->listener[i];
    remove_path(it);
    if (it->inherited || it->item.fd <= 0)
      continue;
    turn_away_late(p, it);
    shutdown(it->item.fd, SHUT_RDWR);
  }
}

void server_listen_close(server_process *p)
{
  for (size_t i = 0; i < p->listeners; i++) {
    remove_path(&p->listener[i]);
    if (p->listener[i].item.fd > 0)
      close(p->listener[i].item.fd);
  }
  p->listeners = 0;
}

/* ---- connections ----------------------------------------------------------------------------------------- */

int server_admit(server_loop *l, int fd)
{
  atomic_int_fast64_t *connections = &l->process->connections;
  const int fits = atomic_fetch_add(connections, 1) < l->settings->connections;
  metrics_count(l->metrics, METRICS_CONNECTIONS, fits ? "served" : "refused", NULL);
  if (!fits) {
    atomic_fetch_sub(connections, 1);
    close(fd);
  }
  return fits;
}

void server_dismiss(server_loop *l)
{
  atomic_fetch_sub(&l->process->connections, 1);
}

void server_accept(server_loop *l, const listening *from)
{
  for (int i = 0; i < ACCEPT_MAX; i++) {
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    const int fd = accept4(from->item.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      l->process->program->accepted(l, from, fd, (const struct sockaddr *)&peer);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
      log_text("error", "cannot-accept", "why", strerror(errno));
      server_loop_listen(l, 0); /* until the next sweep: the connection would only be shown again */
      return;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return;
    }
  }
}
