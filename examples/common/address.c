/* SPDX-License-Identifier: MIT */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static int port_parse(const char *s, in_port_t *out)
{
  unsigned v = 0, digits = 0;
  for (; *s >= '0' && *s <= '9' && digits < 5; s++, digits++)
    v = v * 10 + (unsigned)(*s - '0');
  if (!digits || *s || v > 65535)
    return 0;
  *out = htons((uint16_t)v);
  return 1;
}

static int unix_parse(const char *path, address *out)
{
  struct sockaddr_un *un = (struct sockaddr_un *)&out->sa;
  const size_t n = strlen(path);
  if (path[0] != '/' || n >= sizeof un->sun_path)
    return 0;
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, n + 1);
  out->len = sizeof *un;
  return 1;
}

static int ip_parse(const char *name, address *out)
{
  char host[64];
  int six = name[0] == '[';
  const char *end = six ? strchr(name, ']') : strrchr(name, ':');
  const char *from = name + six;
  if (!end || (size_t)(end - from) >= sizeof host || (six && end[1] != ':'))
    return 0;
  memcpy(host, from, (size_t)(end - from));
  host[end - from] = 0;
  struct sockaddr_in *in = (struct sockaddr_in *)&out->sa;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->sa;
  in_port_t port;
  if (!port_parse(end + 1 + six, &port))
    return 0;
  if (six ? inet_pton(AF_INET6, host, &in6->sin6_addr) != 1 : inet_pton(AF_INET, host, &in->sin_addr) != 1)
    return 0;
  out->sa.ss_family = six ? AF_INET6 : AF_INET;
  out->len = six ? sizeof *in6 : sizeof *in;
  if (six)
    in6->sin6_port = port;
  else
    in->sin_port = port;
  return 1;
}

int address_parse(const char *name, address *out)
{
  address a = {0};
  if (!strncmp(name, "lmtp:", 5)) {
    a.lmtp = 1;
    name += 5;
  }
  if (!strncmp(name, "unix:", 5) ? !unix_parse(name + 5, &a) : !ip_parse(name, &a))
    return 0;
  *out = a;
  return 1;
}

/* 1, and past it, when `name` begins with `word`. */
static int skip(const char **name, const char *word)
{
  const size_t n = strlen(word);
  const int has = !strncmp(*name, word, n);
  *name += has ? n : 0;
  return has;
}

int address_parse_listener(const char *name, address *out)
{
  const int proxied = skip(&name, "proxy:"), tls = skip(&name, "tls:");
  if (!address_parse(name, out))
    return 0;
  out->proxied = proxied;
  out->tls = tls;
  return 1;
}

unsigned address_host(const struct sockaddr *sa, char *out, size_t cap)
{
  const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
  const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
  out[0] = 0;
  if (sa->sa_family == AF_INET)
    return inet_ntop(AF_INET, &in->sin_addr, out, (socklen_t)cap) ? ntohs(in->sin_port) : 0;
  if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
    return inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, out, (socklen_t)cap) ? ntohs(in6->sin6_port) : 0;
  if (sa->sa_family == AF_INET6)
    return inet_ntop(AF_INET6, &in6->sin6_addr, out, (socklen_t)cap) ? ntohs(in6->sin6_port) : 0;
  return 0;
}

void address_format(const struct sockaddr *sa, char *out, size_t cap)
{
  char host[64];
  if (sa->sa_family == AF_UNIX) {
    snprintf(out, cap, "unix:%s", ((const struct sockaddr_un *)(const void *)sa)->sun_path);
    return;
  }
  unsigned port = address_host(sa, host, sizeof host);
  snprintf(out, cap, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}
