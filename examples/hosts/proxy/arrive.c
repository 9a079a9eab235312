/* SPDX-License-Identifier: MIT
 *
 * How a connection comes to its session: what a load balancer says of it, TLS where it is spoken from the first byte
 * on, and only then the session and the banner.
 *
 *     accepted ── `proxy:` ──> WAIT_HEADER ── `tls:` ──> WAIT_TLS ──> session
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <smtpfilter/proxy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

enum { HEADER_MS = 5000 }; /* at least 3 s, for a packet that was lost, says the protocol's text */

/* ---- the session ---------------------------------------------------------------------------------- */

static int make_codec(client *c)
{
  smtpf_smtpd_options o = c->settings->smtpd;
  const unsigned ours = SMTPF_EXT_PIPELINING | SMTPF_EXT_SIZE | SMTPF_EXT_ENHANCEDSTATUSCODES | SMTPF_EXT_CHUNKING;
  const unsigned if_hop = SMTPF_EXT_8BITMIME | SMTPF_EXT_SMTPUTF8 | SMTPF_EXT_DSN;
  uint64_t hop_size;
  const unsigned offered = routes_offer(&c->settings->routes, &hop_size);
  c->extensions = ours | (c->settings->prdr ? (unsigned)SMTPF_EXT_PRDR : 0U) | (offered & if_hop);
  if (!c->of_balancer && incoming_trusts(c->settings->in.xclients, c->address))
    c->extensions |= SMTPF_EXT_XCLIENT;
  if (c->settings->in.tls && !c->conduit.tls)
    c->extensions |= SMTPF_EXT_STARTTLS;
  o.protocol = c->lmtp ? SMTPF_LMTP : SMTPF_SMTP;
  o.extensions = c->extensions;
  o.auth = c->settings->in.auth ? smtpf_str_of(c->settings->in.auth) : (smtpf_str){0};
  if (hop_size && (!o.message_max || hop_size < o.message_max))
    o.message_max = hop_size;
  return smtpf_smtpd_new(&c->codec, &o, NULL);
}

smtpf_peer client_peer(const client *c)
{
  const int known = !c->of_balancer; /* without an address there is nothing that a network could give rights to */
  return (smtpf_peer){.size = sizeof(smtpf_peer),
                      .address = smtpf_str_of(known ? c->address : ""),
                      .port = (uint16_t)(known ? c->port : 0),
                      .local_address = smtpf_str_of(c->local),
                      .local_port = (uint16_t)c->local_port,
                      .rdns = smtpf_str_of(c->rdns)};
}

static void begin(client *c)
{
  const smtpf_peer peer = client_peer(c);
  smtpf_session_options o = {
      .size = sizeof o, .capabilities = c->settings->base.capabilities, .protocol = SMTPF_SMTP, .user = c};
  if (c->lmtp) {
    o.protocol = SMTPF_LMTP;
    o.capabilities |= SMTPF_CAN_REPLY_PER_RCPT;
  }
  c->wait = WAIT_VERDICT;
  int r = make_codec(c);
  if (r == SMTPF_OK)
    r = smtpf_session_new(&c->session, c->loop->base.driver, &o);
  if (r == SMTPF_OK)
    r = smtpf_session_connect(c->session, &peer);
  if (r < 0) {
    client_failure(c, "connection", smtpf_strerror(r));
    client_close(c);
  } else if (r == SMTPF_OK) {
    c->wait = WAIT_NONE;
    client_verdict(c);
    client_turn(c);
  }
}

/* ---- TLS ------------------------------------------------------------------------------------------ */

int client_start_tls(client *c)
{
  if (conduit_start(&c->conduit, c->settings->in.tls, NULL, 0))
    return 0;
  c->wait = WAIT_TLS;
  c->deadline = c->loop->base.now_ms + c->settings->command_ms;
  return 1;
}

static void tls_is_up(client *c)
{
  c->tls_facts = 1;
  if (!c->session) {
    begin(c);
    return;
  }
  client_tell_tls(c);
  client_turn(c);
}

/* Goes on with the handshake. What the client has said behind it is kept for later. */
static void shake(client *c)
{
  const ssize_t n = conduit_read(&c->conduit, c->loop->in, sizeof c->loop->in);
  if (n > 0)
    client_hold(c, c->loop->in, (size_t)n);
  if (c->dead)
    return;
  if (conduit_up(&c->conduit) && (n > 0 || (n < 0 && errno == EAGAIN))) {
    c->readable = n > 0;
    tls_is_up(c);
  } else if (n == 0 || errno != EAGAIN) {
    client_failure(c, "tls",
                   n == 0                      ? "closed in the handshake"
                   : *conduit_why(&c->conduit) ? conduit_why(&c->conduit)
                                               : strerror(errno));
    client_close(c);
  }
}

static void after_header(client *c)
{
  if (!c->implicit_tls)
    begin(c);
  else if (!c->settings->in.tls || !client_start_tls(c))
    client_close(c);
  else
    shake(c);
}

/* ---- the PROXY protocol --------------------------------------------------------------------------- */

static void refuse_header(client *c, const char *why)
{
  client_failure(c, "proxy-protocol", why);
  client_close(c);
}

/* From now on it counts as the client's connection, not as the load balancer's. */
static int count_anew(client *c)
{
  struct sockaddr_storage sa = {0};
  struct sockaddr_in *in = (struct sockaddr_in *)&sa;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
  peers *all = &loop_shared(c->loop)->peers;
  if (inet_pton(AF_INET, c->address, &in->sin_addr) == 1)
    sa.ss_family = AF_INET;
  else if (inet_pton(AF_INET6, c->address, &in6->sin6_addr) == 1)
    sa.ss_family = AF_INET6;
  peers_leave(all, c->peer);
  c->peer = peers_key((const struct sockaddr *)&sa);
  if (peers_enter(all, c->peer, c->settings->base.connections, c->settings->connections_per_client))
    return 1;
  peers_enter(all, c->peer, INT64_MAX, 0); /* what closing takes back */
  return 0;
}

static void take_header(client *c, const smtpf_proxy_header *h)
{
  if (h->kind == SMTPF_PROXY_LOCAL) {
    c->of_balancer = 1;
    after_header(c);
    return;
  }
  snprintf(c->address, sizeof c->address, "%s", h->client);
  snprintf(c->local, sizeof c->local, "%s", h->local_address);
  c->port = h->client_port;
  c->local_port = h->local_port;
  c->tls_facts = h->tls_protocol.n > 0;
  if (c->tls_facts && h->tls_protocol.n < sizeof c->tls_protocol)
    memcpy(c->tls_protocol, h->tls_protocol.p, h->tls_protocol.n);
  if (h->tls_cipher.n && h->tls_cipher.n < sizeof c->tls_cipher)
    memcpy(c->tls_cipher, h->tls_cipher.p, h->tls_cipher.n);
  if (count_anew(c)) {
    after_header(c);
  } else if (c->implicit_tls) {
    client_close(c);
  } else {
    client_last_words(c, "421 4.7.0 too many connections, try again later");
    client_turn(c);
  }
}

/* The header stays in the socket until it is whole, and then goes alone: what follows is for others to read. */
static void read_header(client *c)
{
  char room[SMTPF_PROXY_MAX];
  smtpf_proxy_header h = {.size = sizeof h};
  ssize_t n;
  do
    n = recv(c->item.fd, room, sizeof room, MSG_PEEK);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN)
    return;
  const int r = n > 0 ? smtpf_proxy_read((smtpf_str){room, (size_t)n}, &h) : SMTPF_EPARSE;
  if (r == 0 && !c->hung_up)
    return;
  if (r <= 0)
    refuse_header(c, n > 0 ? "no whole header" : "closed before a header");
  else if (h.kind == SMTPF_PROXY_UNKNOWN)
    refuse_header(c, "a client without an address");
  else if (recv(c->item.fd, room, (size_t)r, 0) != r)
    refuse_header(c, strerror(errno));
  else {
    c->readable = n > r;
    take_header(c, &h);
  }
}

void client_arrive(client *c)
{
  if (c->wait == WAIT_HEADER)
    read_header(c);
  else
    shake(c);
}

/* ---- a new one ------------------------------------------------------------------------------------ */

static void take_addresses(client *c, const struct sockaddr *sa)
{
  struct sockaddr_storage local = {0};
  socklen_t len = sizeof local;
  c->port = address_host(sa, c->address, sizeof c->address);
  if (!getsockname(c->item.fd, (struct sockaddr *)&local, &len))
    c->local_port = address_host((const struct sockaddr *)&local, c->local, sizeof c->local);
}

/* Whether whoever connects to a `proxy:` listener may say who the client is. */
static int is_load_balancer(const client *c, const struct sockaddr *sa)
{
  return sa->sa_family == AF_UNIX || incoming_trusts(c->settings->in.proxies, c->address);
}

void client_new(loop *l, int fd, const struct sockaddr *sa, peer_key peer, const address *at)
{
  const int one = 1;
  client *c = calloc(1, sizeof *c);
  if (!c) {
    close(fd);
    peers_leave(&loop_shared(l)->peers, peer);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->item = (item){ITEM_CLIENT, fd};
  c->conduit.fd = fd;
  c->loop = l;
  c->peer = peer;
  c->lmtp = at->lmtp != 0;
  c->implicit_tls = at->tls != 0;
  c->settings = settings_ref(loop_settings(l));
  ring_init(&c->resume);
  ring_append(&l->clients, &c->link);
  l->base.count++;
  take_addresses(c, sa);
  c->wait = WAIT_HEADER;
  c->deadline = l->base.now_ms + HEADER_MS;
  if (server_watch(&l->base, &c->item)) {
    client_failure(c, "connection", strerror(errno));
    client_close(c);
  } else if (!at->proxied) {
    after_header(c);
  } else if (is_load_balancer(c, sa)) {
    read_header(c);
  } else {
    refuse_header(c, "not from proxy.proxy_protocol_from");
  }
}
