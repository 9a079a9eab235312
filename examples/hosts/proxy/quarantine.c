/* SPDX-License-Identifier: MIT */
#include "quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int sync_directory(const char *path)
{
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno;
  int r = fsync(fd) ? errno : 0;
  close(fd);
  return r;
}

int quarantine_open(const char *directory)
{
  static const char *const below[] = {"", "/tmp", "/new", "/cur"};
  for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
    char path[512];
    if ((size_t)snprintf(path, sizeof path, "%s%s", directory, below[i]) >= sizeof path)
      return ENAMETOOLONG;
    if (mkdir(path, 0700) && errno != EEXIST)
      return errno;
    if (access(path, W_OK | X_OK))
      return errno;
  }
  return sync_directory(directory);
}

static int write_all(int fd, outgoing *o, const spool *s)
{
  char room[16384];
  size_t n;
  while ((n = outgoing_plain(o, s, room, sizeof room))) {
    for (size_t at = 0; at < n;) {
      ssize_t w = write(fd, room + at, n - at);
      if (w < 0 && errno == EINTR)
        continue;
      if (w <= 0)
        return w ? errno : ENOSPC;
      at += (size_t)w;
    }
  }
  if (o->failed)
    return EIO;
  return fsync(fd) ? errno : 0;
}

int quarantine_keep(const char *directory, smtpf_str id, outgoing *o, const spool *s, char *name, size_t cap)
{
  char tmp[512], path[512];
  int n = (int)id.n;
  if ((size_t)snprintf(tmp, sizeof tmp, "%s/tmp/%.*s.eml", directory, n, id.p) >= sizeof tmp ||
      (size_t)snprintf(name, cap, "%s/new/%.*s.eml", directory, n, id.p) >= cap)
    return ENAMETOOLONG;
  snprintf(path, sizeof path, "%s/new", directory);
  int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return errno;
  int r = write_all(fd, o, s);
  if (close(fd) && !r)
    r = errno;
  if (!r && link(tmp, name)) /* unlike rename, never over another message */
    r = errno;
  unlink(tmp);
  if (!r && (r = sync_directory(path)))
    unlink(name);
  return r;
}

void quarantine_undo(const char *name)
{
  unlink(name);
}
