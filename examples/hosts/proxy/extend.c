/* SPDX-License-Identifier: MIT
 *
 * Commands that change who the client is, or how it is spoken with: STARTTLS (RFC 3207), XCLIENT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "client.h"
#include "transaction.h"
#include "xclient.h"

/* ---- TLS ------------------------------------------------------------------------------------------ */

/* Whatever is in the input behind STARTTLS came from we know not whom: a client that sends it is not one, or has
 * somebody between us. */
static void starttls(client *c, const smtpf_smtpd_event *ev)
{
  if (ev->pipelined) {
    smtpf_session_early_talk(c->session);
    client_failure(c, "tls", "something was sent behind STARTTLS");
    client_answer_own(c, 554, SMTPF_LIT("5.5.0"), SMTPF_LIT("nothing may be sent behind STARTTLS before its reply"));
    c->closing = 1;
    return;
  }
  client_answer_own(c, 220, SMTPF_LIT("2.0.0"), SMTPF_LIT("go ahead"));
  client_flush(c);
  if (c->dead)
    return;
  free(c->held);
  c->held = NULL;
  c->held_n = 0;
  if (client_unsent(c) || !client_start_tls(c))
    client_close(c); /* who does not read its replies cannot shake hands either */
  else
    c->readable = 1;
}

/* Before the banner, or in the middle: there nothing of before counts (RFC 3207 4.2). */
void client_tell_tls(client *c)
{
  const tls *t = c->conduit.tls;
  const smtpf_str protocol = smtpf_str_of(t ? tls_protocol(t) : c->tls_protocol);
  const smtpf_str cipher = smtpf_str_of(t ? tls_cipher(t) : c->tls_cipher);
  c->tls_facts = 0;
  c->secured = 1;
  if (c->kind) {
    smtpf_smtpd_tls(c->codec);
    client_forget(c);
    free(c->said_helo);
    free(c->login);
    c->said_helo = c->login = NULL;
  }
  if (c->settings->in.auth && !c->lmtp) /* under TLS alone: what is said passes through here as it is */
    c->extensions |= SMTPF_EXT_AUTH;
  smtpf_smtpd_announce(c->codec, c->extensions);
  c->kind = c->kind ? KIND_TLS : KIND_TLS_FIRST;
  c->wait = WAIT_NONE;
  client_told(c, smtpf_session_starttls(c->session, protocol, cipher));
}

/* ---- XCLIENT -------------------------------------------------------------------------------------- */

static int set(char **to, const char *value)
{
  char *p = *value ? strdup(value) : NULL;
  if (*value && !p)
    return 0;
  free(*to);
  *to = p;
  return 1;
}

static unsigned number(const char *s)
{
  return *s ? (unsigned)strtoul(s, NULL, 10) : 0;
}

/* What is not told stays as it was, unless it is another client: who that is, and what it calls itself, must be said of
 * it. */
static int take(client *c, const xclient *x)
{
  if (x->told & 1U << XCLIENT_ADDR)
    snprintf(c->address, sizeof c->address, "%s", x->value[XCLIENT_ADDR]);
  if (x->told & 1U << XCLIENT_PORT)
    c->port = number(x->value[XCLIENT_PORT]);
  if (x->told & 1U << XCLIENT_DESTADDR)
    snprintf(c->local, sizeof c->local, "%s", x->value[XCLIENT_DESTADDR]);
  if (x->told & 1U << XCLIENT_DESTPORT)
    c->local_port = number(x->value[XCLIENT_DESTPORT]);
  if (x->told & (1U << XCLIENT_NAME | 1U << XCLIENT_ADDR) && !set(&c->rdns, x->value[XCLIENT_NAME]))
    return 0;
  if (x->told & (1U << XCLIENT_HELO | 1U << XCLIENT_ADDR) && !set(&c->said_helo, x->value[XCLIENT_HELO]))
    return 0;
  return !(x->told & (1U << XCLIENT_LOGIN | 1U << XCLIENT_ADDR)) || set(&c->login, x->value[XCLIENT_LOGIN]);
}

static void xclient_command(client *c, const smtpf_smtpd_event *ev)
{
  xclient x;
  const char *wrong = c->tx ? NULL : xclient_read(ev->arg, &x);
  if (c->tx) {
    client_answer_own(c, 503, SMTPF_LIT("5.5.1"), SMTPF_LIT("a transaction is open"));
    return;
  }
  if (wrong) {
    client_answer_own(c, 501, SMTPF_LIT("5.5.4"), smtpf_str_of(wrong));
    return;
  }
  if (!take(c, &x)) {
    client_answer_own(c, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("out of memory"));
    return;
  }
  const smtpf_peer peer = client_peer(c);
  client_forget(c);
  c->kind = KIND_XCLIENT;
  client_told(c, smtpf_session_rebind(c->session, &peer));
}

/* ---- all ------------------------------------------------------------------------------------------ */

int client_extend(client *c, const smtpf_smtpd_event *ev)
{
  if (ev->kind == SMTPF_SMTPD_LINE || (ev->kind == SMTPF_SMTPD_COMMAND && ev->verb == SMTPF_VERB_AUTH)) {
    c->kind = SMTPF_SMTPD_COMMAND;
    c->verb = SMTPF_VERB_AUTH;
    auth_command(c, ev);
    return 1;
  }
  if (ev->kind != SMTPF_SMTPD_COMMAND)
    return 0;
  const int bare = ev->verb == SMTPF_VERB_MAIL && c->settings->in.tls_required && !c->secured;
  if (ev->verb != SMTPF_VERB_STARTTLS && ev->verb != SMTPF_VERB_XCLIENT && !bare)
    return 0;
  c->kind = bare ? SMTPF_SMTPD_VIOLATION : SMTPF_SMTPD_COMMAND;
  c->verb = (unsigned char)ev->verb;
  if (bare)
    client_told(c,
                smtpf_session_violation(c->session, 530, SMTPF_LIT("5.7.0"), SMTPF_LIT("must issue STARTTLS first")));
  else if (ev->verb == SMTPF_VERB_STARTTLS)
    starttls(c, ev);
  else
    xclient_command(c, ev);
  return 1;
}

static void welcome(client *c)
{
  char line[300];
  const int n = snprintf(line, sizeof line, "%s %s", c->settings->hostname, c->lmtp ? "LMTP" : "ESMTP");
  client_answer_own(c, 220, (smtpf_str){NULL, 0}, (smtpf_str){line, (size_t)n});
}

void client_changed(client *c)
{
  const int good = smtpf_verdict_action(smtpf_session_verdict(c->session)) == SMTPF_ACCEPT;
  if (c->kind == KIND_XCLIENT && good) {
    client_take_rdns(c);
    if (c->login) {
      c->kind = KIND_LOGIN;
      client_told(c, smtpf_session_auth(c->session, SMTPF_LIT("XCLIENT"), smtpf_str_of(c->login)));
      return;
    }
  }
  if (c->kind == KIND_AUTH && good) {
    client_answer_own(c, 235, SMTPF_LIT("2.7.0"), SMTPF_LIT("authenticated"));
    return;
  }
  if (c->kind == KIND_AUTH) {
    free(c->login);
    c->login = NULL;
  }
  if (c->kind == KIND_TLS && !good)
    client_last_words(c, "421 4.3.0 closing after a local failure");
  else if (c->kind == KIND_TLS_FIRST || (c->kind != KIND_TLS && !good))
    client_answer(c);
  else if (c->kind != KIND_TLS)
    welcome(c);
}
