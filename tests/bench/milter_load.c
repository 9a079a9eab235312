/* SPDX-License-Identifier: MIT
 *
 * milter_load: asks a filter as an MTA does, one client at a time on each connection, as fast as it answers. Macros go
 * only to who asked for none in particular, or for these. Prints one JSON object.
 *
 *     milter_load PORT CONNECTIONS COUNT envelope|message new|kept
 *
 * envelope: client, HELO, MAIL, RCPT, then it is given up; message: to its end, 4 KiB. new: a connection for each;
 * kept: another client on the same connection (QUIT_NC), or, of messages, another message of the same client.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "net.h"

enum { EVENTS = 64, ROOM = 16384, FIELDS = 10, BODY = 3400, STAGES = 7 };
enum {
  NO_CONNECT = 1,
  NO_HELO = 2,
  NO_MAIL = 4,
  NO_RCPT = 8,
  NO_BODY = 0x10,
  NO_HEADER = 0x20,
  NO_EOH = 0x40,
  NO_DATA = 0x200
};
enum { QUIET_HEADER = 0x80, QUIET_CONNECT = 0x1000, QUIET_EOH = 0x40000, QUIET_BODY = 0x80000 };

enum phase { NEGOTIATE, CONNECT, HELO, MAIL, RCPT, DATA, HEADER, END_OF_HEADER, TEXT, END, DONE };

typedef struct client {
  int fd;
  enum phase phase;
  int field;
  uint32_t protocol;
  unsigned macros; /* stages at which it wants some */
  size_t in_n, out_n;
  double begun;
  char in[ROOM], out[ROOM];
} client;

static const char *where;
static int messages, kept;
static unsigned long total, sent, done, refused;
static double *took;
static int epfd;
static char text[BODY];

/* ---- what it says --------------------------------------------------------------------------------------------- */

static void put(client *c, char letter, const void *bytes, size_t n)
{
  const uint32_t length = htonl((uint32_t)n + 1);
  if (c->out_n + n + 5 > sizeof c->out)
    net_fail("room");
  memcpy(c->out + c->out_n, &length, 4);
  c->out[c->out_n + 4] = letter;
  memcpy(c->out + c->out_n + 5, bytes, n);
  c->out_n += n + 5;
}

#define MACROS(c, stage, bytes)                                                                                        \
  if ((c)->macros & 1U << (stage))                                                                                     \
  put((c), 'D', (bytes), sizeof(bytes) - 1)

/* A word with the number of what is sent, as it stands on the wire. */
static size_t numbered(char *room, size_t cap, const char *before, unsigned long number, const char *behind)
{
  return (size_t)snprintf(room, cap, "%s%lu%s", before, number, behind) + 1;
}

static void put_client(client *c)
{
  char b[128];
  size_t n = numbered(b, sizeof b, "mx", sent % 9000, ".sender.example");
  memcpy(b + n, "4\x10\x01", 3);
  n += 3;
  n += (size_t)snprintf(b + n, sizeof b - n, "10.%lu.%lu.%lu", sent >> 16 & 255, sent >> 8 & 255, sent & 255) + 1;
  MACROS(c, 0, "Cj\0mx.example.net\0{daemon_name}\0mx.example.net\0{daemon_addr}\000127.0.0.1\0");
  put(c, 'C', b, n);
}

static void put_field(client *c)
{
  static const char value[] = "a value, as long as those of header fields in common mail are";
  char b[128];
  const size_t n = numbered(b, sizeof b, "X-Field-", (unsigned long)c->field, "");
  memcpy(b + n, value, sizeof value);
  put(c, 'L', b, n + sizeof value);
}

static void put_phase(client *c)
{
  char b[128];
  switch (c->phase) {
  case NEGOTIATE: put(c, 'O', "\0\0\0\6\0\0\1\377\0\37\377\377", 12); break;
  case CONNECT: put_client(c); break;
  case HELO: put(c, 'H', b, numbered(b, sizeof b, "mx", sent % 9000, ".sender.example")); break;
  case MAIL:
    MACROS(c, 2, "M{mail_addr}\0user@sender.example\0{mail_host}\0sender.example\0{mail_mailer}\0smtp\0");
    put(c, 'M', b, numbered(b, sizeof b, "<user", sent, "@sender.example>"));
    break;
  case RCPT:
    MACROS(c, 3, "Ri\0004XyZabcdefz1\0{rcpt_addr}\0user@example.net\0{rcpt_host}\0example.net\0{rcpt_mailer}\0local\0");
    put(c, 'R', b, numbered(b, sizeof b, "<rcpt", sent % 2000, "@example.net>"));
    break;
  case DATA:
    MACROS(c, 4, "Ti\0004XyZabcdefz1\0");
    put(c, 'T', "", 0);
    break;
  case HEADER: put_field(c); break;
  case END_OF_HEADER: put(c, 'N', "", 0); break;
  case TEXT: put(c, 'B', text, sizeof text); break;
  default: MACROS(c, 5, "Ei\0004XyZabcdefz1\0"); put(c, 'E', "", 0);
  }
}

/* ---- the order -------------------------------------------------------------------------------------------------- */

static int is_wanted(const client *c)
{
  static const uint32_t not_wanted[] = {0,       NO_CONNECT, NO_HELO, NO_MAIL, NO_RCPT,
                                        NO_DATA, NO_HEADER,  NO_EOH,  NO_BODY, 0};
  return !(c->protocol & not_wanted[c->phase]);
}

static int is_answered(const client *c)
{
  static const unsigned at[] = {[CONNECT] = 0, [HELO] = 1, [MAIL] = 2, [RCPT] = 3, [DATA] = 4};
  switch (c->phase) {
  case CONNECT:
  case HELO:
  case MAIL:
  case RCPT:
  case DATA: return !(c->protocol & (uint32_t)QUIET_CONNECT << at[c->phase]);
  case HEADER: return !(c->protocol & QUIET_HEADER);
  case END_OF_HEADER: return !(c->protocol & QUIET_EOH);
  case TEXT: return !(c->protocol & QUIET_BODY);
  default: return 1;
  }
}

static void next_phase(client *c)
{
  if (c->phase == HEADER && ++c->field < FIELDS)
    return;
  c->phase = c->phase == RCPT && !messages ? DONE : c->phase + 1;
}

static void send_out(client *c)
{
  if (c->out_n && send(c->fd, c->out, c->out_n, MSG_NOSIGNAL) != (ssize_t)c->out_n)
    net_fail("send");
  c->out_n = 0;
}

static void dial(client *c)
{
  const struct sockaddr_in in = net_loopback(where);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(c->fd, (const struct sockaddr *)&in, sizeof in))
    net_fail(where);
  net_nodelay(c->fd);
  net_watch(epfd, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
  c->in_n = c->out_n = 0;
  c->macros = ~0U;
  c->protocol = 0;
}

/* 0 when the client is at its end. */
static int go_on(client *c)
{
  while (c->phase < DONE) {
    const int wanted = is_wanted(c), answered = is_answered(c);
    if (wanted)
      put_phase(c);
    if (wanted && answered)
      break;
    next_phase(c);
  }
  if (c->phase < DONE)
    send_out(c);
  return c->phase < DONE;
}

static void begin(client *c)
{
  sent++;
  c->field = 0;
  c->begun = net_seconds();
  if (c->fd < 0) {
    dial(c);
    c->phase = NEGOTIATE;
  } else {
    c->phase = messages ? MAIL : CONNECT;
  }
  go_on(c);
}

/* What is said after the end is not answered. */
static void end(client *c)
{
  took[done++] = net_seconds() - c->begun;
  if (!messages)
    put(c, 'A', "", 0);
  if (!kept) {
    put(c, 'Q', "", 0);
    send_out(c);
    close(c->fd);
    c->fd = -1;
  } else if (!messages) {
    put(c, 'K', "", 0);
  }
  if (sent < total)
    begin(c);
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

static uint32_t number_at(const char *p)
{
  uint32_t v;
  memcpy(&v, p, 4);
  return ntohl(v);
}

/* Terms, and for some stages the macros that are wanted there. */
static void negotiated(client *c, const char *p, size_t n)
{
  c->protocol = number_at(p + 8);
  if (n > 12)
    c->macros = 0;
  for (size_t i = 12; i + 4 < n; i += 4 + strlen(p + i + 4) + 1)
    if (number_at(p + i) < STAGES && (strstr(p + i + 4, "i") || strstr(p + i + 4, "{daemon_addr}")))
      c->macros |= 1U << number_at(p + i);
}

static void answered(client *c, const char *p, size_t n)
{
  const char letter = p[0];
  if (strchr("phim+-2eqb", letter))
    return;
  if (c->phase == NEGOTIATE)
    negotiated(c, p + 1, n - 1);
  refused += letter == 'y' || letter == 'r' || letter == 't';
  if (!strchr("cOa", letter) || (letter == 'a' && c->phase != END))
    c->phase = DONE;
  else
    next_phase(c);
  if (c->phase == DONE || !go_on(c))
    end(c);
}

static void heard(client *c)
{
  const ssize_t got = recv(c->fd, c->in + c->in_n, sizeof c->in - c->in_n, 0);
  if (got <= 0)
    net_fail("the filter has closed");
  c->in_n += (size_t)got;
  size_t at = 0;
  while (c->fd >= 0 && c->in_n - at >= 4 && c->in_n - at - 4 >= number_at(c->in + at)) {
    const size_t n = number_at(c->in + at);
    const char *p = c->in + at + 4;
    at += 4 + n;
    answered(c, p, n);
    if (c->in_n < at)
      return; /* another connection by now */
  }
  memmove(c->in, c->in + at, c->in_n - at);
  c->in_n -= at;
}

int main(int argc, char **argv)
{
  if (argc != 6)
    return 2;
  const unsigned long n = strtoul(argv[2], NULL, 10);
  client *clients = calloc(n, sizeof *clients);
  where = argv[1];
  total = strtoul(argv[3], NULL, 10);
  messages = argv[4][0] == 'm';
  kept = argv[5][0] == 'k';
  took = calloc(total, sizeof *took);
  epfd = epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : (char)('a' + i % 26);
  const double begun = net_seconds();
  for (unsigned long i = 0; i < n && sent < total; i++) {
    clients[i].fd = -1;
    begin(&clients[i]);
  }
  while (done < total) {
    struct epoll_event events[EVENTS];
    const int ready = epoll_wait(epfd, events, EVENTS, 60000);
    if (ready <= 0)
      net_fail("no answer");
    for (int i = 0; i < ready; i++)
      heard(events[i].data.ptr);
  }
  const double all = net_seconds() - begun;
  qsort(took, total, sizeof *took, net_shorter);
  printf("{\"per_second\":%.0f,\"median_us\":%.1f,\"p99_us\":%.1f,\"refused\":%lu}\n", (double)total / all,
         took[total / 2] * 1e6, took[total * 99 / 100] * 1e6, refused);
  return 0;
}
