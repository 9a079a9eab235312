/* SPDX-License-Identifier: MIT
 *
 * free_port: for a server that is started later: a port of loopback's which the system gives to no client meanwhile,
 * since it lies below those of `net.ipv4.ip_local_port_range`.
 */
#ifndef FREE_PORT_H
#define FREE_PORT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* `type`: SOCK_STREAM or SOCK_DGRAM. 0 when none was found. */
static inline unsigned free_port(int type)
{
  enum { LEAST = 10000, MANY = 20000, TRIES = 100 };
  for (int i = 0; i < TRIES; i++) {
    unsigned at = 0;
    if (getrandom(&at, sizeof at, 0) != sizeof at)
      return 0;
    at = LEAST + at % MANY;
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)at), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    const int is_free = fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
      close(fd);
    if (is_free)
      return at;
  }
  return 0;
}

#endif
