/* SPDX-License-Identifier: MIT */
#include "hop_dialogue.h"

#include "hop_tls.h"

static dialogue_step say(hop *h, int state, const char *verb, smtpf_str arg, text *line)
{
  char room[600];
  const int n = smtpf_smtpc_command(verb, arg, room, sizeof room);
  h->state = state;
  if (n > 0)
    text_add(line, (smtpf_str){room, (size_t)n});
  return (dialogue_step){DIALOGUE_SAY, NULL};
}

static dialogue_step give_up(const char *why)
{
  return (dialogue_step){DIALOGUE_GIVE_UP, why};
}

/* ---- who the client is ---------------------------------------------------------------------------- */

static unsigned wants(const hop *h)
{
  const unsigned offered = h->extensions & (SMTPF_EXT_XCLIENT | SMTPF_EXT_XFORWARD);
  if (!h->is.server)
    return 0;
  switch (h->settings->identity) {
  case IDENTITY_XCLIENT: return SMTPF_EXT_XCLIENT;
  case IDENTITY_XFORWARD: return SMTPF_EXT_XFORWARD;
  case IDENTITY_NONE: return 0;
  default: return offered & SMTPF_EXT_XCLIENT ? SMTPF_EXT_XCLIENT : offered;
  }
}

int dialogue_uses_xclient(const hop *h)
{
  return wants(h) == SMTPF_EXT_XCLIENT;
}

dialogue_step dialogue_identify(hop *h, text *line)
{
  identity_of who;
  if (!dialogue_uses_xclient(h) || h->identified) {
    h->state = HOP_READY;
    return (dialogue_step){DIALOGUE_READY, NULL};
  }
  h->is.told->identity(h->is.owner, &who);
  identity_command(line, "XCLIENT", h->attributes, &who);
  h->state = HOP_XCLIENT;
  h->identified = 1;
  return (dialogue_step){DIALOGUE_SAY, NULL};
}

/* What we call ourselves; after XCLIENT, what the client called itself, if a server can be expected to bear it. */
static smtpf_str greeting_name(const hop *h)
{
  identity_of who = {0};
  if (h->identified)
    h->is.told->identity(h->is.owner, &who);
  for (size_t i = 0; i < who.helo.n; i++)
    if (who.helo.p[i] <= ' ' || who.helo.p[i] > '~')
      return h->settings->smtpd.hostname;
  return who.helo.n && who.helo.n < 256 ? who.helo : h->settings->smtpd.hostname;
}

/* ---- what it offers ------------------------------------------------------------------------------- */

static dialogue_step greet(hop *h, text *line)
{
  return say(h, HOP_EHLO, h->lmtp ? "LHLO" : "EHLO", greeting_name(h), line);
}

static void learn(hop *h, smtpf_str ehlo)
{
  uint64_t size = 0;
  h->extensions = smtpf_smtpc_extensions(ehlo, &size);
  if (!h->is.server)
    return; /* clients are offered what the next hop has */
  route_learn(h->is.route, h->extensions, size);
  /* Who it was told of cannot be told anew: it must not serve another client. */
  if (h->identified && !(h->extensions & SMTPF_EXT_XCLIENT))
    h->soiled = 1;
  const unsigned want = wants(h);
  h->attributes = want ? identity_attributes(ehlo, want == SMTPF_EXT_XCLIENT ? "XCLIENT" : "XFORWARD") : 0;
}

/* The rows below `*`. */
static dialogue_step introduced(hop *h, text *line)
{
  const int due = hop_tls_due(h);
  if (due > 0)
    return say(h, HOP_STARTTLS, "STARTTLS", (smtpf_str){0}, line);
  if (due < 0)
    return give_up(h->plain ? "refused STARTTLS" : "does not offer STARTTLS");
  if (!h->identified && wants(h) & ~h->extensions)
    return give_up("does not offer the XCLIENT or XFORWARD that proxy.identity insists on");
  return dialogue_identify(h, line);
}

static dialogue_step ehlo_answered(hop *h, const smtpf_smtpc_reply *r, int good, text *line)
{
  if (!good)
    return h->lmtp ? give_up("refused LHLO") : say(h, HOP_HELO, "HELO", greeting_name(h), line);
  learn(h, r->text);
  return introduced(h, line);
}

static dialogue_step helo_answered(hop *h, int good, text *line)
{
  if (!good)
    return give_up("refused HELO");
  if (h->is.route)
    route_learn(h->is.route, 0, 0);
  h->extensions = 0;
  if (h->identified) /* as in learn() */
    h->soiled = 1;
  return introduced(h, line);
}

static dialogue_step starttls_answered(hop *h, int good, text *line)
{
  if (!good) {
    h->plain = 1;
    return introduced(h, line);
  }
  h->state = HOP_TLS;
  return (dialogue_step){DIALOGUE_HANDSHAKE, NULL};
}

/* The row `**`. */
static int refuses_client(const hop *h, const smtpf_smtpc_reply *r)
{
  return h->identified && r->code / 100 == 5 && r->code / 10 != 50 &&
         (h->state == HOP_XCLIENT || h->state == HOP_EHLO || h->state == HOP_HELO);
}

dialogue_step dialogue_heard(hop *h, const smtpf_smtpc_reply *r, text *line)
{
  const int good = r->code / 100 == 2;
  if (refuses_client(h, r))
    return (dialogue_step){DIALOGUE_REFUSED, NULL};
  switch (h->state) {
  case HOP_GREETING: return good ? greet(h, line) : give_up("refused the connection");
  case HOP_EHLO: return ehlo_answered(h, r, good, line);
  case HOP_HELO: return helo_answered(h, good, line);
  case HOP_STARTTLS: return starttls_answered(h, good, line);
  case HOP_XCLIENT: return good ? greet(h, line) : give_up("refused XCLIENT");
  default: return give_up("spoke out of turn");
  }
}

dialogue_step dialogue_secured(hop *h, text *line)
{
  return greet(h, line); /* what was said before is forgotten */
}
