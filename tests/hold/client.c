/* SPDX-License-Identifier: MIT
 *
 * The clients. Each follows a plan, one letter a step, and thinks before most of them; who ends is replaced by another.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hold.h"

enum { TEXT = 80000, AGAIN_MS = 200, SILENT_MS = 90000, ADDRESSES = 4096 };
enum { PIECES = 4, HEADER_ROOM = 256 };

/* b banner, E EHLO, M MAIL, R RCPT, U RCPT of nobody, D DATA, H a message in pieces, h one without its end, ! whole and
 * not waited for, v one that is refused, s one with a bare LF, P all of the envelope at once, N RSET, O NOOP, G
 * rubbish, L a long line, F many commands without reading, T what comes before the banner, Q QUIT, X close, Z reset, W
 * silence. */
static const struct plan {
  unsigned share;
  const char *steps;
} plans[] = {
    {16, "bEMRDHQ"},
    {8, "bEMRRDHNMRDHQ"},
    {8, "bEPHPHPHQ"},
    {4, "bEMRDHX"},
    {4, "bEOMRDHMRRRDHOX"},
    {2, "bEMUUUUUUQ"},
    {2, "bGGGGGGGGGGGGGGGGGGGGGGGGW"},
    {2, "bEMRDhZ"},
    {2, "bEMRDhX"},
    {2, "bEMRD!X"},
    {2, "bEMRD!Z"},
    {2, "bEMRDvMRDvQ"},
    {2, "bEMRDsQ"},
    {2, "bELLQ"},
    {1, "TbEMRQ"},
    {1, "bX"},
    {1, "Z"},
    {1, "bEMZ"},
    {1, "bERRDMMRDHQ"},
    {2, "bEFW"},
    {6, "W"},
    {6, "bW"},
    {6, "bEMRW"},
    {8, "bEMRDhW"},
    {4, "bEMRDHW"},
};

typedef struct client {
  item item;
  const char *step;
  int connecting, waiting, /* for the connection; for a reply */
      polite,              /* it keeps to the protocol, and to the end */
      deaf;
  long number;  /* of the message at hand */
  int code;     /* of the last reply */
  size_t n;     /* of the reply's line */
  char line[8]; /* its beginning */
  char *out;    /* what is to be sent, up to out_to by now */
  size_t out_n, out_at, out_to;
} client;

static char text[TEXT];

static void step(client *c);

static void make_text(void)
{
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : (char)('a' + i % 26);
}

static void begin(item *it)
{
  unsigned all = 0, at;
  client *c = (client *)(void *)it;
  if (hold.stopping) {
    hold.tally.open--;
    free(c);
    return;
  }
  for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
    all += plans[i].share;
  at = hold_random(all);
  const struct plan *p = plans;
  for (; at >= p->share; p++)
    at -= p->share;
  c->step = p->steps;
  c->number = -1;
  c->polite = strspn(p->steps, "bEMRDHNOPQXW") == strlen(p->steps);
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(hold.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(0x7f010000 + hold_random(ADDRESSES))};
  c->item.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(c->item.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
  if (c->item.fd < 0 || hold_stream(c->item.fd) || bind(c->item.fd, (const struct sockaddr *)&from, sizeof from)) {
    perror("client");
    exit(2);
  }
  c->connecting = 1;
  if (connect(c->item.fd, (const struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
    hold.tally.unreachable++;
    close(c->item.fd);
    c->item.fd = -1;
    hold_due(it, AGAIN_MS);
    return;
  }
  hold_watch(it, EPOLLOUT, EPOLL_CTL_ADD);
}

/* The same client is another one from now on. */
static void end(client *c)
{
  close(c->item.fd);
  free(c->out);
  wheel_remove(&c->item.due);
  hold.tally.completed++;
  const item anew = {.fd = -1, .event = c->item.event, .timer = c->item.timer};
  *c = (client){.item = anew};
  hold.tally.sessions += !hold.stopping;
  hold_due(&c->item, 1 + hold_random(hold.think_ms));
}

/* The server has closed. */
static void cut(client *c)
{
  const int in_message = c->number >= 0 && (c->step[0] == 'H');
  if (c->waiting && c->polite && c->code != 421) {
    hold.tally.cut++;
    hold.tally.cut_message += (unsigned long)in_message;
  }
  end(c);
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

static void flush(client *c)
{
  while (c->out_at < c->out_to) {
    const ssize_t n = send(c->item.fd, c->out + c->out_at, c->out_to - c->out_at, MSG_NOSIGNAL);
    if (n > 0) {
      c->out_at += (size_t)n;
    } else if (errno == EAGAIN) {
      hold_watch(&c->item, EPOLLOUT | (c->deaf ? 0 : EPOLLIN), EPOLL_CTL_MOD);
      return;
    } else { /* a reply may be there yet */
      c->out_at = c->out_to = c->out_n;
      c->waiting = 1;
    }
  }
  hold_watch(&c->item, c->deaf ? 0 : EPOLLIN, EPOLL_CTL_MOD);
}

static void put(client *c, const char *bytes, size_t n)
{
  if (c->out_at == c->out_n)
    c->out_n = c->out_at = c->out_to = 0;
  char *p = realloc(c->out, c->out_n + n);
  if (!p)
    exit(2);
  memcpy(p + c->out_n, bytes, n);
  c->out = p;
  c->out_n += n;
  c->out_to = c->out_n;
}

static void send_line(client *c, const char *line)
{
  put(c, line, strlen(line));
  c->waiting = 1;
  flush(c);
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

static void make_message(client *c, char kind)
{
  char head[HEADER_ROOM];
  const size_t body = 200 + (hold_random(8) ? hold_random(6000) : hold_random(TEXT - 1000));
  c->number = (long)hold.tally.messages;
  if (hold.tally.messages + 1 < MESSAGES_MAX)
    hold.tally.messages++;
  if (kind == 'v' || kind == 's')
    hold.fate[c->number] |= UNWANTED;
  const int n = snprintf(head, sizeof head, "From: <sender@example.org>\r\nSubject: %s\r\nX-Hold: %ld\r\n\r\n",
                         kind == 'v' ? "unwanted offer" : "hold", c->number);
  put(c, head, (size_t)n);
  put(c, text, body / 72 * 72);
  if (kind == 's')
    put(c, "bare\n.\n", 7);
  if (kind != 'h')
    put(c, ".\r\n", 3);
}

static void begin_message(client *c, char kind)
{
  make_message(c, kind);
  if (kind == 'H' || kind == 'h')
    c->out_to = c->out_at + (c->out_n - c->out_at) / PIECES;
  c->waiting = kind != '!' && kind != 'h';
  flush(c);
}

static void answered(client *c)
{
  if (c->code / 100 == 2)
    hold.fate[c->number] |= ANSWERED;
  hold.tally.answered += c->code / 100 == 2;
  hold.tally.later += c->code / 100 == 4;
  hold.tally.refused += c->code / 100 == 5;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void think(client *c)
{
  hold_due(&c->item, 1 + hold_random(hold.think_ms));
}

static void reset_at_close(client *c)
{
  setsockopt(c->item.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
}

static void long_line(client *c)
{
  put(c, "NOOP ", 5);
  put(c, text, 70);
  for (int i = 0; i < 80; i++)
    put(c, text, 70);
  send_line(c, "\r\n");
}

static void flood(client *c)
{
  c->deaf = 1;
  setsockopt(c->item.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
  for (int i = 0; i < 5000; i++)
    put(c, "NOOP\r\n", 6);
  flush(c);
}

static void envelope(client *c)
{
  c->code = 0;
  send_line(c, "MAIL FROM:<sender@example.org>\r\nRCPT TO:<user@example.net>\r\nDATA\r\n");
}

/* What the letter says. Steps that wait for no reply think, and go on with the next. */
static void step(client *c)
{
  char line[128];
  switch (*c->step) {
  case 'b': c->waiting = 1; return;
  case 'E': send_line(c, "EHLO client.example.org\r\n"); return;
  case 'M':
    snprintf(line, sizeof line, "MAIL FROM:<sender%u@example.org>\r\n", (unsigned)hold_random(100));
    send_line(c, line);
    return;
  case 'R':
    snprintf(line, sizeof line, "RCPT TO:<%s@example.net>\r\n",
             hold_random(10)  ? "user"
             : hold_random(2) ? "grey"
                              : "tags");
    send_line(c, line);
    return;
  case 'U': send_line(c, "RCPT TO:<nobody@example.net>\r\n"); return;
  case 'D': send_line(c, "DATA\r\n"); return;
  case 'P': envelope(c); return;
  case 'H':
  case 'v':
  case 's':
    begin_message(c, *c->step);
    hold_due(&c->item, 1 + hold_random(hold.think_ms));
    return;
  case 'h':
  case '!': begin_message(c, *c->step); break;
  case 'N': send_line(c, "RSET\r\n"); return;
  case 'O': send_line(c, "NOOP\r\n"); return;
  case 'G': send_line(c, "\1\2 rubbish \377\r\n"); return;
  case 'L': long_line(c); return;
  case 'F': flood(c); break;
  case 'T': put(c, "EHLO client.example.org\r\n", 25), flush(c); break;
  case 'Q': send_line(c, "QUIT\r\n"); return;
  case 'Z':
    reset_at_close(c);
    end(c);
    return;
  case 'W': hold_due(&c->item, SILENT_MS); return;
  default: end(c); return;
  }
  c->step++;
  think(c);
}

/* A polite client that hears no gives up the message. */
static void replied(client *c)
{
  const char did = *c->step;
  c->waiting = 0;
  if (did == 'H' || did == 'v' || did == 's') {
    answered(c);
    c->number = -1;
  }
  if (c->code == 421 || did == 'Q') {
    end(c);
    return;
  }
  if (c->code >= 400 && strchr("bEMRDP", did)) {
    hold.tally.later += c->code < 500;
    c->step = "Q";
  } else {
    c->step++;
  }
  think(c);
}

/* A message goes on; else the next step. */
static void timer(item *it)
{
  client *c = (client *)(void *)it;
  if (it->fd < 0) {
    begin(it);
  } else if (c->out_to < c->out_n) {
    const size_t more = 1 + c->out_n / PIECES;
    c->out_to = c->out_n - c->out_to < more ? c->out_n : c->out_to + more;
    flush(c);
    think(c);
  } else if (*c->step == 'W') {
    end(c);
  } else if (!c->waiting) {
    step(c);
  }
}

/* ---- what comes ----------------------------------------------------------------------------------------------------
 */

/* 0 when the client is another one now. Of pipelined commands the last reply counts. */
static int reply_line(client *c)
{
  const int last = c->n > 3 && c->line[3] == ' ';
  if (!last)
    return 1;
  c->code = atoi(c->line);
  const int more = *c->step == 'P' && c->code / 100 == 2;
  if (!c->waiting || more || c->out_to < c->out_n)
    return c->code != 421 || (end(c), 0);
  replied(c);
  return c->item.fd >= 0;
}

static int heard(client *c, const char *p, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    if (p[i] != '\n') {
      if (c->n < sizeof c->line - 1)
        c->line[c->n++] = p[i];
      continue;
    }
    c->line[c->n] = '\0';
    if (!reply_line(c))
      return 0;
    c->n = 0;
  }
  return 1;
}

static void connected(client *c)
{
  int error = 0;
  socklen_t len = sizeof error;
  getsockopt(c->item.fd, SOL_SOCKET, SO_ERROR, &error, &len);
  c->connecting = 0;
  if (error) {
    hold.tally.unreachable++;
    close(c->item.fd);
    c->item.fd = -1;
    hold_due(&c->item, AGAIN_MS);
    return;
  }
  hold_watch(&c->item, EPOLLIN, EPOLL_CTL_MOD);
  step(c);
}

static void event(item *it, uint32_t events)
{
  char room[4096];
  client *c = (client *)(void *)it;
  if (c->connecting) {
    connected(c);
    return;
  }
  if (events & EPOLLOUT)
    flush(c);
  if (c->deaf ? !(events & (EPOLLHUP | EPOLLERR)) : !(events & ~(uint32_t)EPOLLOUT))
    return;
  const ssize_t n = recv(it->fd, room, sizeof room, 0);
  if (n > 0)
    heard(c, room, (size_t)n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    cut(c);
}

void client_begin(int64_t in_ms)
{
  client *c = calloc(1, sizeof *c);
  if (!c)
    exit(2);
  if (!text[0])
    make_text();
  c->item = (item){.fd = -1, .event = event, .timer = timer};
  hold.tally.sessions++;
  hold.tally.open++;
  hold_due(&c->item, in_ms);
}
