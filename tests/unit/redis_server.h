/* SPDX-License-Identifier: MIT
 *
 * redis_server: a real redis-server for one test, on a port and socket it chose, and a fake one that says what it is
 * told to. Both are children of this process and are ended by pid.
 */
#ifndef SMTPF_TESTS_REDIS_SERVER_H
#define SMTPF_TESTS_REDIS_SERVER_H

#include <smtpfilter/types.h>
#include <sys/types.h>

typedef struct redis_server {
  pid_t pid;
  int port;
  char folder[64];
  char address[32];      /* `127.0.0.1:PORT` */
  char unix_address[96]; /* `unix:FOLDER/sock` */
} redis_server;

int redis_is_there(void); /* 1 when there is a redis-server to start */
int redis_free_port(void);

/* Starts on a new port, with up to eight more arguments, NULL behind the last; waits until it answers. */
void redis_start(redis_server *s, const char *const *more);
/* Ends and starts it again, with nothing in it. */
void redis_restart(redis_server *s, const char *const *more);
void redis_stop(redis_server *s);
/* A Sentinel that watches over `master` by the name `mail`. */
void redis_start_sentinel(redis_server *s, const redis_server *master);
/* A cluster of three, each with a third of the slots; stops serving only the slots of a node that is gone. */
void redis_start_cluster(redis_server nodes[3]);

/* One command, by a connection of its own: words separated by spaces. The first line of the reply, without its end;
 * of a text its own first line. */
const char *redis_say(const redis_server *s, const char *words);

/* A server that answers the nth thing it reads on each connection with the nth text (the last one for all behind), and
 * closes when that is empty. Ends with redis_fake_stop(). */
pid_t redis_fake(int *port, const smtpf_str *says, size_t n);
void redis_fake_stop(pid_t pid);

#endif
