/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A path, or with `@` in front a name that is in no folder (unix(7)). What cannot be told is not told. */
static void tell(const char *state)
{
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const char *where = getenv("NOTIFY_SOCKET");
  const size_t n = where ? strlen(where) : 0;
  if (n < 2 || n >= sizeof to.sun_path || (where[0] != '/' && where[0] != '@'))
    return;
  memcpy(to.sun_path, where, n);
  if (where[0] == '@')
    to.sun_path[0] = 0;
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
  close(fd);
}

void notify_ready(void)
{
  tell("READY=1");
}

void notify_reloading(void)
{
  char state[64];
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
           (long long)t.tv_sec * 1000000 + (long long)t.tv_nsec / 1000);
  tell(state);
}

void notify_stopping(void)
{
  tell("STOPPING=1");
}
