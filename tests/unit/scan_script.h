/* SPDX-License-Identifier: MIT
 *
 * scan_script: a spamd, or an ICAP server, of a scan_world that can go wrong in every way; run by the same thread.
 */
#ifndef SMTPF_TESTS_SCAN_SCRIPT_H
#define SMTPF_TESTS_SCAN_SCRIPT_H

#include "scan_world.h"

/* What it does. */
enum script_way {
  SCRIPT_WELL = 0,   /* what it should: `EVIL` in a message is found */
  SCRIPT_SILENT,     /* accepts, reads nothing, says nothing */
  SCRIPT_DEAF,       /* reads all, says nothing */
  SCRIPT_DIES,       /* reads `after` bytes, then closes */
  SCRIPT_HALF,       /* the first `after` bytes of an answer, then closes */
  SCRIPT_WORDS,      /* `words` for an answer to a message */
  SCRIPT_EARLY,      /* the answer to a good message at once, before it has read it */
  SCRIPT_LATE,       /* an answer only when `gate` is open */
  SCRIPT_CLOSES,     /* closes after each answer, without a word of it */
  SCRIPT_SAME,       /* icap: gives the message back as it is */
  SCRIPT_SAME_EARLY, /* icap: the same, and begins so before it has read it */
  SCRIPT_OTHER,      /* icap: gives something else back, without a word why */
};

enum script_protocol { SCRIPT_SPAMD, SCRIPT_ICAP };

/* icap: what it says to a preview. */
enum script_preview { SCRIPT_CONTINUE, SCRIPT_ENOUGH, SCRIPT_FOUND };

typedef struct script_conn {
  int fd;
  char *in, *body, *out;               /* what came; the message; what is not sent yet */
  size_t n, cap, body_n, out_n, total; /* total: bytes that came */
  int again, answered;                 /* icap: the rest of a preview is to come; early: it was answered */
} script_conn;

typedef struct script_server {
  int listener, tcp, protocol, way, gate, preview;
  char address[64];
  size_t after;
  const char *words, *options;                            /* options: in the place of its own */
  int accepted, closed, requests, asked, previews, early; /* early: bytes of the message it had when it answered */
  char user[64], head[2048];                              /* of the last request */
  size_t got;                                             /* bytes of the last whole message */
  script_conn conns[64];
} script_server;

/* Listens, and is in the instance's list. */
void script_init(script_server *s, scan_world *w, int protocol, int tcp, int way);
void script_stop(script_server *s); /* nobody listens, all connections are closed */
void script_start(script_server *s);
void script_turn(script_server *s);

/* World and servers until there are so many outcomes. 0: it took longer. */
int script_until(scan_world *w, script_server *servers, size_t n, size_t outcomes, int ms);
/* All of a message at once, until there is an outcome. */
const outcome *script_scan(scan_world *w, script_server *servers, size_t n, const char *bytes, size_t size);

#endif
