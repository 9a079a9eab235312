/* SPDX-License-Identifier: MIT
 *
 * The servers of a scanner: where they are, whose turn it is, and which one is left alone for a while because it failed
 * several times in a row (a circuit breaker): then one scan at a time tries whether it is back.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/str.h"
#include "pool.h"
#include "port/port.h"

/* ---- addresses -------------------------------------------------------------------------------------------------- */

static int path_of(smtpf_scan_server *s, smtpf_str text)
{
  const smtpf_str path = {text.p + 5, text.n - 5};
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (path.n == 0 || path.n >= sizeof a.sun_path || path.p[0] != '/' || memchr(path.p, '\0', path.n))
    return SMTPF_EPARSE;
  memcpy(a.sun_path, path.p, path.n);
  memcpy(&s->address, &a, sizeof a);
  s->address_n = (socklen_t)sizeof a;
  s->local = 1;
  memcpy(s->text, text.p, text.n);
  return SMTPF_OK;
}

static int ip_of(smtpf_scan_server *s, smtpf_str host, unsigned port)
{
  smtpf_ip ip;
  smtpf_out o;
  char name[SMTPF_IP_TEXT];
  if (port == 0 || smtpf_ip_parse(host, &ip) != SMTPF_OK)
    return SMTPF_EPARSE;
  if (ip.family == 4) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    memcpy(&a.sin_addr, ip.bytes, sizeof a.sin_addr);
    memcpy(&s->address, &a, sizeof a);
    s->address_n = (socklen_t)sizeof a;
  } else {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    memcpy(&a.sin6_addr, ip.bytes, sizeof a.sin6_addr);
    memcpy(&s->address, &a, sizeof a);
    s->address_n = (socklen_t)sizeof a;
  }
  smtpf_out_init(&o, s->text, sizeof s->text - 1);
  smtpf_out_cstr(&o, ip.family == 4 ? "" : "[");
  smtpf_out_str(&o, (smtpf_str){name, smtpf_ip_format(&ip, name)});
  smtpf_out_cstr(&o, ip.family == 4 ? ":" : "]:");
  smtpf_out_uint(&o, port);
  return SMTPF_OK;
}

/* Whether all of it is an address, and if not, where its port begins. */
static int split(smtpf_str text, smtpf_str *host, unsigned *port)
{
  uint64_t number;
  smtpf_ip ip;
  size_t colon = text.n;
  *host = text;
  if (smtpf_ip_parse(text, &ip) == SMTPF_OK)
    return SMTPF_OK;
  if (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']') {
    *host = (smtpf_str){text.p + 1, text.n - 2};
    return SMTPF_OK;
  }
  while (colon > 0 && text.p[colon - 1] != ':')
    colon--;
  if (colon < 2 || smtpf_str_uint((smtpf_str){text.p + colon, text.n - colon}, UINT16_MAX, &number) != SMTPF_OK)
    return SMTPF_EPARSE;
  *port = (unsigned)number;
  *host = (smtpf_str){text.p, colon - 1};
  if (host->n > 2 && host->p[0] == '[' && host->p[host->n - 1] == ']')
    *host = (smtpf_str){host->p + 1, host->n - 2};
  else if (memchr(host->p, ':', host->n))
    return SMTPF_EPARSE; /* without brackets it is not known where the port begins */
  return SMTPF_OK;
}

int smtpf_scan_server_parse(smtpf_scan_server *out, smtpf_str text, unsigned port)
{
  smtpf_scan_server s;
  smtpf_str host;
  memset(&s, 0, sizeof s);
  int r = SMTPF_EPARSE;
  if (smtpf_str_starts(text, SMTPF_LIT("unix:")))
    r = path_of(&s, text);
  else if (text.n && split(text, &host, &port) == SMTPF_OK)
    r = ip_of(&s, host, port);
  if (r == SMTPF_OK)
    *out = s;
  return r;
}

int smtpf_scan_servers_check(const smtpf_section *settings, unsigned port, smtpf_error *err)
{
  const size_t n = smtpf_section_count(settings, "servers");
  smtpf_scan_server s;
  if (n == 0 || n > SMTPF_SCAN_SERVERS)
    return smtpf_section_fail(settings, "servers", err, SMTPF_EINVAL, n ? "too many servers" : "no servers",
                              (smtpf_str){"", 0}, "1 to 32");
  for (size_t i = 0; i < n; i++) {
    const smtpf_str text = smtpf_section_string_at(settings, "servers", i);
    if (smtpf_scan_server_parse(&s, text, port) != SMTPF_OK)
      return smtpf_section_fail(settings, "servers", err, SMTPF_EINVAL, "not a server's address", text,
                                "`address:port`, `[address]:port` or `unix:/path`, the address literal");
  }
  return SMTPF_OK;
}

int smtpf_scan_servers_init(smtpf_scan_servers *s, smtpf_driver *driver, const smtpf_section *settings, unsigned port)
{
  const size_t n = smtpf_section_count(settings, "servers");
  memset(s, 0, sizeof *s);
  s->driver = driver;
  s->scanner = smtpf_section_string(settings, "name");
  if (n == 0 || n > SMTPF_SCAN_SERVERS)
    return SMTPF_EINVAL;
  for (; s->n < n; s->n++)
    if (smtpf_scan_server_parse(&s->v[s->n], smtpf_section_string_at(settings, "servers", s->n), port) != SMTPF_OK)
      return SMTPF_EINVAL;
  return SMTPF_OK;
}

/* ---- whose turn it is ------------------------------------------------------------------------------------------- */

uint32_t smtpf_scan_server_bit(const smtpf_scan_servers *s, const smtpf_scan_server *server)
{
  return UINT32_C(1) << (unsigned)(server - s->v);
}

static int eligible(const smtpf_scan_servers *s, const smtpf_scan_server *server, uint32_t tried)
{
  if (tried & smtpf_scan_server_bit(s, server))
    return 0;
  return !server->open || (!server->probing && smtpf_driver_now(s->driver) >= server->retry_at);
}

static int full(const smtpf_scan_servers *s, const smtpf_scan_server *server)
{
  return s->most && server->busy >= s->most;
}

int smtpf_scan_servers_full(const smtpf_scan_servers *s, uint32_t tried)
{
  int some = 0;
  for (size_t i = 0; i < s->n; i++) {
    if (eligible(s, &s->v[i], tried) && !full(s, &s->v[i]))
      return 0;
    some |= eligible(s, &s->v[i], tried);
  }
  return some;
}

smtpf_scan_server *smtpf_scan_server_choose(smtpf_scan_servers *s, uint32_t tried)
{
  smtpf_scan_server *best = NULL;
  for (size_t i = 0; i < s->n; i++) {
    smtpf_scan_server *server = &s->v[(s->next + i) % s->n];
    if (!eligible(s, server, tried) || full(s, server))
      continue;
    /* One whose time is over is tried before any other: else it would never come back while the others have room. */
    if (server->open) {
      best = server;
      break;
    }
    if (!best || server->busy < best->busy)
      best = server;
  }
  if (!best)
    return NULL;
  s->next = ((size_t)(best - s->v) + 1) % s->n;
  best->busy++;
  best->probing = best->open;
  return best;
}

/* ---- what became of it ------------------------------------------------------------------------------------------ */

static void tell(const smtpf_scan_servers *s, const smtpf_scan_server *server, int level, const char *event,
                 const char *cause)
{
  const smtpf_log_field fields[] = {
      {"scanner", s->scanner}, {"server", smtpf_str_of(server->text)}, {"cause", smtpf_str_of(cause)}};
  smtpf_driver_log(s->driver, level, event, fields, cause ? 3 : 2);
}

void smtpf_scan_server_good(smtpf_scan_servers *s, smtpf_scan_server *server)
{
  const int was = server->open;
  server->busy--;
  server->failures = 0;
  server->open = server->probing = 0;
  server->backoff_ms = 0;
  if (was)
    tell(s, server, SMTPF_LOG_NOTICE, "scanner-up", NULL);
}

/* Never the same wait for two of us: half of it is chance. */
static uint64_t chance(uint64_t most)
{
  const smtpf_random *random = smtpf_random_system();
  uint64_t noise = 0;
  (void)random->fill(random->user, &noise, sizeof noise);
  return noise % (most + 1);
}

void smtpf_scan_server_bad(smtpf_scan_servers *s, smtpf_scan_server *server, const char *cause)
{
  const int was = server->open, probe = server->probing;
  server->busy--;
  server->probing = 0;
  if (was && !probe)
    return; /* begun before it was left alone: nothing new */
  if (++server->failures < SMTPF_SCAN_FAILURES && !was)
    return;
  server->open = 1;
  server->backoff_ms = was ? server->backoff_ms * 2 : SMTPF_SCAN_BACKOFF;
  if (server->backoff_ms > SMTPF_SCAN_BACKOFF_MAX)
    server->backoff_ms = SMTPF_SCAN_BACKOFF_MAX;
  const uint64_t half = (uint64_t)server->backoff_ms * UINT64_C(500000);
  server->retry_at = smtpf_driver_now(s->driver) + half + chance(half);
  if (!was)
    tell(s, server, SMTPF_LOG_WARNING, "scanner-down", cause);
}

void smtpf_scan_server_leave(smtpf_scan_servers *s, smtpf_scan_server *server)
{
  (void)s;
  server->busy--;
  server->probing = 0;
}

void smtpf_scan_servers_stats(void *servers, smtpf_stat_fn fn, void *user)
{
  const smtpf_scan_servers *s = servers;
  char name[sizeof s->v[0].text + 8];
  for (size_t i = 0; i < s->n; i++) {
    smtpf_out o;
    smtpf_out_init(&o, name, sizeof name - 1);
    smtpf_out_cstr(&o, "down.");
    smtpf_out_cstr(&o, s->v[i].text);
    name[o.n] = '\0';
    fn(user, name, s->v[i].open != 0);
  }
}
