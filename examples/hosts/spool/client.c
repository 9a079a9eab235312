/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_MAX = 10 * 1024 * 1024 };

/* ---- the end of a message -------------------------------------------------------------------------- */

/* Copies this host must take: those whose fate is not settled yet. */
static size_t open_copies(const smtpf_verdict *v)
{
  size_t n = 0;
  smtpf_recipient_info r = {.size = sizeof r};
  for (size_t i = 0; smtpf_verdict_recipient(v, i, &r) == SMTPF_OK; i++)
    n += !r.final;
  return n;
}

/* Makes the message durable and commits. The session then writes the promises into the journal: its verdict is final,
 * and often comes later. */
static int commit(client *c)
{
  int length = snprintf(c->id, sizeof c->id, "%s.%u", smtpf_session_id(c->session), ++c->messages);
  smtpf_session_queue_id(c->session, (smtpf_str){c->id, (size_t)length});
  c->committed = 1;
  int durable = !c->body.failed && spool_keep(c->spool, c->id, c->body.p, c->body.n);
  return smtpf_session_commit(c->session, SMTPF_ALL, durable ? SMTPF_COMMIT_OK : SMTPF_COMMIT_FAILED);
}

/* Once the reply is out, or can never be: the journal says whether the copies were promised. */
static void deliver(client *c)
{
  if (c->committed)
    spool_finish(c->spool, c->id);
  c->committed = 0;
  text_clear(&c->body);
}

/* ---- the conversation ------------------------------------------------------------------------------ */

/* A client that does not read its replies is closed. */
static void say(client *c, const char *p, int n)
{
  if (n < 0 || (n > 0 && send(c->fd, p, (size_t)n, MSG_NOSIGNAL) != n))
    c->closed = 1;
}

/* `result` is that of the last call to the session. */
static void answer(client *c, int result)
{
  char reply[SMTPF_REPLY_MAX];
  const smtpf_verdict *v = result == SMTPF_OK ? smtpf_session_verdict(c->session) : NULL;
  if (v && !c->committed && smtpf_verdict_stage(v) == SMTPF_EOM && smtpf_verdict_action(v) == SMTPF_ACCEPT &&
      open_copies(v)) {
    result = commit(c);
    v = result == SMTPF_OK ? smtpf_session_verdict(c->session) : NULL;
  }
  c->waiting = result == SMTPF_PENDING;
  if (c->waiting)
    return;
  if (result == SMTPF_EUNSUPPORTED)
    say(c, reply, smtpf_smtpd_reply(c->codec, 502, SMTPF_LIT("5.5.1"), SMTPF_LIT("not here"), reply, sizeof reply));
  else if (v)
    say(c, reply, smtpf_smtpd_answer(c->codec, v, reply, sizeof reply));
  c->closed |= !v || smtpf_verdict_closes(v);
  if (c->event.kind == SMTPF_SMTPD_END && c->event.last)
    deliver(c);
}

static void apply(client *c)
{
  const smtpf_str piece = c->event.body;
  int result = smtpf_smtpd_apply(c->codec, c->session, &c->event);
  if (c->event.kind == SMTPF_SMTPD_COMMAND)
    text_clear(&c->body); /* of a message that broke the protocol */
  if (c->event.kind != SMTPF_SMTPD_BODY) {
    answer(c, result);
    return;
  }
  c->waiting = result == SMTPF_PENDING; /* the rest is in the event: offered again when there is room */
  c->closed |= result < 0;
  text_add(&c->body, (smtpf_str){piece.p, c->waiting ? piece.n - c->event.body.n : piece.n});
}

static void go_on(client *c)
{
  while (!c->waiting && !c->closed) {
    const char *p = c->in + c->at;
    size_t left = c->n - c->at;
    int r = smtpf_smtpd_next(c->codec, &p, &left, &c->event);
    c->at = c->n - left;
    if (r == SMTPF_PENDING)
      return;
    if (r == SMTPF_OK)
      apply(c);
    else
      c->closed = 1;
  }
}

void client_ready(client *c)
{
  c->waiting = 0;
  if (c->event.kind == SMTPF_SMTPD_BODY)
    apply(c);
  else
    answer(c, SMTPF_OK);
  go_on(c);
}

void client_read(client *c)
{
  c->at = 0;
  c->n = 0;
  ssize_t n = recv(c->fd, c->in, sizeof c->in, 0);
  if (n > 0) {
    c->n = (size_t)n;
    go_on(c);
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    c->closed = 1;
  }
}

client *client_new(int fd, smtpf_str address, smtpf_driver *driver, spool *s)
{
  client *c = calloc(1, sizeof *c);
  smtpf_smtpd_options codec = {.size = sizeof codec,
                               .hostname = SMTPF_LIT("spool.example"),
                               .extensions = SMTPF_EXT_PIPELINING | SMTPF_EXT_8BITMIME | SMTPF_EXT_ENHANCEDSTATUSCODES,
                               .message_max = MESSAGE_MAX};
  smtpf_session_options session = {.size = sizeof session,
                                   .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_DROP_RCPT | SMTPF_CAN_QUARANTINE |
                                                   SMTPF_CAN_QUARANTINE_PER_RCPT | SMTPF_CAN_REPORT_COMMIT,
                                   .user = c};
  if (!c || smtpf_session_new(&c->session, driver, &session) != SMTPF_OK ||
      smtpf_smtpd_new(&c->codec, &codec, NULL) != SMTPF_OK) {
    close(fd);
    smtpf_session_free(c ? c->session : NULL);
    free(c);
    return NULL;
  }
  c->fd = fd;
  c->spool = s;
  answer(c, smtpf_session_connect(c->session, &(smtpf_peer){sizeof(smtpf_peer), .address = address}));
  return c;
}

void client_free(client *c)
{
  if (!c)
    return;
  /* What is not yet in the journal is cancelled by this, and never will be; what is, is owed. */
  smtpf_session_free(c->session);
  deliver(c);
  smtpf_smtpd_free(c->codec);
  text_free(&c->body);
  close(c->fd);
  free(c);
}
