/* SPDX-License-Identifier: MIT */
#include "hop_tls.h"

#include <sys/socket.h>

#include "../../common/log.h"

static int level_of(const hop *h)
{
  return h->is.route ? h->is.route->tls : h->settings->forward_tls;
}

/* It failed with this server before, not long ago. */
static int is_broken(const hop *h)
{
  return h->is.server && h->loop->base.now_ms < atomic_load_explicit(&h->is.server->plain_until, memory_order_relaxed);
}

int hop_tls_due(const hop *h)
{
  const int level = level_of(h);
  if (h->wire.tls || level == HOP_TLS_NONE)
    return 0;
  if (level == HOP_TLS_MAY && (h->plain || !h->settings->hop_tls || is_broken(h)))
    return 0;
  if (h->extensions & SMTPF_EXT_STARTTLS && !h->plain)
    return 1;
  return level == HOP_TLS_MAY ? 0 : -1;
}

int hop_tls_start(hop *h)
{
  struct sockaddr_storage sa = {0};
  socklen_t len = sizeof sa;
  char host[64] = "";
  const char *name = h->is.route ? h->is.route->tls_name : h->is.name;
  if (!name && !getpeername(h->item.fd, (struct sockaddr *)&sa, &len)) {
    address_host((const struct sockaddr *)&sa, host, sizeof host);
    name = host;
  }
  return conduit_start(&h->wire, h->settings->hop_tls, name, level_of(h) == HOP_TLS_VERIFY);
}

int hop_tls_failed(hop *h, const char *why)
{
  if (level_of(h) != HOP_TLS_MAY)
    return 0;
  if (h->is.server) {
    atomic_store(&h->is.server->plain_until, h->loop->base.now_ms + h->settings->hop_retry_ms);
    log_line(
        "warning", "hop-tls-failed",
        (log_field[]){{"server", smtpf_str_of(h->is.server->name)}, {"why", smtpf_str_of(why)}, {NULL, {NULL, 0}}});
  }
  return 1;
}
