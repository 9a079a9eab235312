/* SPDX-License-Identifier: MIT
 *
 * hold: many SMTP clients of every kind before a server, and the next hop behind it, in one process and one thread: so
 * what was answered for and what arrived are counted at one place.
 */
#ifndef SMTPF_HOLD_H
#define SMTPF_HOLD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wheel.h"

enum { MESSAGES_MAX = 1 << 22 };
enum { ARRIVED = 1, ANSWERED = 2, UNWANTED = 4 }; /* of a message: at the next hop; with 2xx; it must not be either */

typedef struct item {
  due due;
  int fd;
  void (*event)(struct item *it, uint32_t events);
  void (*timer)(struct item *it);
} item;

typedef struct tally {
  unsigned long sessions, open, completed, messages, answered, arrived, later, refused, unreachable;
  unsigned long cut;         /* closed while a client that keeps to the protocol waited for a reply */
  unsigned long cut_message; /* of these: inside a message, or after it */
} tally;

typedef struct world {
  int epoll;
  wheel wheel;
  int64_t now_ms;
  uint64_t random;
  tally tally;
  unsigned char *fate; /* of each message, by its number */
  uint32_t think_ms;   /* most of what a client waits between its steps */
  uint16_t port;       /* of the server */
  int stopping;        /* who ends is not replaced */
} world;

extern world hold;

uint32_t hold_random(uint32_t below);
void hold_watch(item *it, uint32_t events, int op);
void hold_due(item *it, int64_t in_ms);
int hold_stream(int fd);

/* The clients: as many at a time as were begun. */
void client_begin(int64_t in_ms);

/* The next hop. */
void sink_open(uint16_t port);

#endif
