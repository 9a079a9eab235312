/* SPDX-License-Identifier: MIT
 *
 * client: one SMTP connection: bytes into the codec, events into the session, verdicts out as replies; and at the end
 * of a message the order that this host is about: message durable, commit, promise durable, 250, delivery.
 */
#ifndef SPOOL_CLIENT_H
#define SPOOL_CLIENT_H

#include <smtpfilter/smtpfilter.h>

#include "../../common/text.h"
#include "spool.h"

typedef struct client {
  int fd; /* non-blocking */
  smtpf_session *session;
  smtpf_smtpd *codec;
  spool *spool;
  smtpf_smtpd_event event; /* the last one */
  int waiting;             /* for the driver: the event has no verdict yet */
  int committed;           /* message `id` is in the spool, and its final verdict not yet told */
  int closed;              /* to be freed at the end of the turn */
  unsigned messages;       /* numbered for the id */
  char id[64];             /* of the message in hand */
  text body;
  size_t at, n; /* of `in` */
  char in[16384];
} client;

/* Greets. NULL without memory; `fd` is the client's from now on. */
client *client_new(int fd, smtpf_str address, smtpf_driver *driver, spool *s);
/* The connection is readable. */
void client_read(client *c);
/* The pending verdict is ready: the driver's callback. */
void client_ready(client *c);
void client_free(client *c);

#endif
