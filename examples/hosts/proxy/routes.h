/* SPDX-License-Identifier: MIT
 *
 * routes: where accepted mail goes: by the domain of the recipient to one next hop or another, each of which is a
 * server or several. They are tried in their order; one that cannot be spoken with comes last for a while, and then one
 * connection finds out whether it is back. What is known of servers is shared by all threads, and lasts as long as the
 * settings do.
 */
#ifndef PROXY_ROUTES_H
#define PROXY_ROUTES_H

#include <smtpfilter/smtpfilter.h>
#include <stdatomic.h>

#include "../../common/address.h"
#include "../../common/host_policy.h"

#define ROUTE_SERVERS_MAX 16

enum hop_tls_level {
  HOP_TLS_NONE,
  HOP_TLS_MAY,     /* where it is offered and works; whom it is with is not looked at */
  HOP_TLS_ENCRYPT, /* always; whom it is with is not looked at */
  HOP_TLS_VERIFY   /* always, and with whom it should be with */
};

/* The words of the policy, in that order. */
extern const char *const hop_tls_words[];

typedef struct server {
  address at;
  char name[ADDRESS_TEXT];
  atomic_int_fast64_t down_until;  /* loop.now_ms; 0: there is nothing against it */
  atomic_int trying;               /* somebody finds out whether it is back */
  atomic_int_fast64_t plain_until; /* its TLS is broken */
} server;

typedef struct route {
  const char *domain; /* the engine's: `example.net`, or `.example.net` for what is below it; NULL: all others */
  server *server;
  size_t n;
  int tls;                /* hop_tls_level */
  const char *tls_name;   /* in its certificates; NULL: their addresses */
  atomic_uint extensions; /* smtpf_extension bits that one of its servers offered last, and ROUTE_KNOWN */
  atomic_uint_fast64_t size;
} route;

#define ROUTE_KNOWN (1U << 31)

typedef struct routes {
  route *route; /* the first one is for all domains that have none of their own */
  size_t n;
} routes;

/* Reads `proxy.next_hop` and `proxy.routes`. SMTPF_OK, or a negative result with `err` filled. */
int routes_load(routes *r, const smtpf_engine *e, const host_policy *p, smtpf_error *err);
void routes_free(routes *r);

/* The route for a path, with brackets or without. */
route *routes_find(const routes *r, smtpf_str path);
/* What can be announced to clients: what all that are known have. */
unsigned routes_offer(const routes *r, uint64_t *size);
/* What a server of it has just offered. */
void route_learn(route *r, unsigned extensions, uint64_t size);

/* The server that is to be tried now, of those that were not (`tried`, a set of bits): NULL when there is none left.
 * With `*probing` it is one that was down, and others wait for what comes of this: one of the two below follows, or
 * server_unknown(). */
server *route_pick(const route *r, uint32_t *tried, int64_t now, int *probing);
/* Whether there is one left. */
static inline int route_has_more(const route *r, uint32_t tried)
{
  return tried != (1U << r->n) - 1;
}
/* It cannot be spoken with, or it can: the log has it when that is news. */
void server_failed(server *s, int64_t now, int64_t for_ms, const char *why);
void server_good(server *s);
void server_unknown(server *s);

#endif
