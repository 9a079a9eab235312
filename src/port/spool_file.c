/* SPDX-License-Identifier: MIT
 *
 * The default spool port: files without a name in `spool.path`, gone when they are closed, whatever happens to the
 * process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <smtpfilter/ext/port.h>

#include "port.h"

enum { PATH_LONGEST = 4096 };

/* Where the file system has no O_TMPFILE: made and unlinked at once. */
static int open_unlinked(const char *folder)
{
  char name[PATH_LONGEST];
  const int n = snprintf(name, sizeof name, "%s/smtpfilter.XXXXXX", folder);
  if (n < 0 || (size_t)n >= sizeof name)
    return -1;
  const int fd = mkostemp(name, O_CLOEXEC);
  if (fd >= 0)
    (void)unlink(name);
  return fd;
}

static int open_file(void *shared, smtpf_str folder, int *fd)
{
  char path[PATH_LONGEST];
  (void)shared;
  if (!folder.n || folder.n >= sizeof path || memchr(folder.p, '\0', folder.n))
    return SMTPF_EIO;
  memcpy(path, folder.p, folder.n);
  path[folder.n] = '\0';
  int opened = -1;
#ifdef O_TMPFILE
  opened = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
#endif
  if (opened < 0)
    opened = open_unlinked(path);
  if (opened < 0)
    return SMTPF_EIO;
  *fd = opened;
  return SMTPF_OK;
}

static int write_file(void *shared, int fd, uint64_t at, const void *bytes, size_t n)
{
  const char *p = bytes;
  (void)shared;
  while (n) {
    const ssize_t wrote = pwrite(fd, p, n, (off_t)at);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return SMTPF_EIO;
    p += wrote;
    at += (uint64_t)wrote;
    n -= (size_t)wrote;
  }
  return SMTPF_OK;
}

static int read_file(void *shared, int fd, uint64_t at, void *out, size_t n, size_t *got)
{
  ssize_t r;
  (void)shared;
  do
    r = pread(fd, out, n, (off_t)at);
  while (r < 0 && errno == EINTR);
  if (r < 0)
    return SMTPF_EIO;
  *got = (size_t)r;
  return SMTPF_OK;
}

static void close_file(void *shared, int fd)
{
  (void)shared;
  (void)close(fd);
}

const smtpf_spool *smtpf_spool_file(void)
{
  static const smtpf_spool port = {sizeof port, "file", open_file, write_file, read_file, close_file};
  return &port;
}
