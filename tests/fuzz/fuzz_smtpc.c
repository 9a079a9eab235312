/* SPDX-License-Identifier: MIT
 *
 * The client's side. What a server sends, whole and by bytes: the same replies, each of them fit to be passed on as one
 * reply; taken for replies to the end of data, no recipient is decided twice, or owned without a 2xx. The same bytes as
 * a message, dots stuffed in pieces: with the end added, one message that gives them back.
 */
#include <smtpfilter/wire.h>
#include <stdlib.h>
#include <string.h>

#include "mail/reply.h"
#include "wire/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

/* One number for all replies and the last result. */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
  const unsigned char *b = p;
  for (size_t i = 0; i < n; i++)
    h = (h ^ b[i]) * UINT64_C(1099511628211);
  return h;
}

static uint64_t look(uint64_t h, const smtpf_smtpc_reply *r)
{
  uint64_t figure = 0;
  unsigned bits = smtpf_smtpc_extensions(r->text, &figure);
  MUST(r->code >= 200 && r->code <= 599);
  MUST(!r->enhanced.n || smtpf_enhanced_valid(r->enhanced, r->code));
  for (size_t i = 0; i < r->text.n; i++)
    MUST(r->text.p[i] == '\n' || (unsigned char)r->text.p[i] >= ' ');
  h = mix(h, &r->code, sizeof r->code);
  h = mix(h, &bits, sizeof bits);
  h = mix(h, &figure, sizeof figure);
  h = mix(h, r->enhanced.p, r->enhanced.n);
  return mix(h, r->text.p, r->text.n);
}

/* ---- the same replies to the end of data, for as many recipients as fit ------------------------- */

enum { RECIPIENTS = 5 };

struct ends {
  smtpf_transfer t[3];
  uint16_t codes[3][RECIPIENTS];
  int fates[3][RECIPIENTS], over[3], pleased;
};

static void begin(struct ends *e)
{
  *e = (struct ends){.pleased = 0};
  for (int k = 0; k < 3; k++)
    MUST(smtpf_transfer_begin(&e->t[k], k + 1, e->codes[k], RECIPIENTS) == SMTPF_OK);
}

static void compare(struct ends *e, int k)
{
  for (size_t i = 0; i < RECIPIENTS; i++) {
    int f = smtpf_transfer_fate(&e->t[k], i);
    MUST(e->fates[k][i] == SMTPF_FATE_OPEN || e->fates[k][i] == f);
    MUST(f != SMTPF_FATE_OPEN || !e->over[k]);
    MUST(f != SMTPF_FATE_TAKEN || e->pleased);
    e->fates[k][i] = f;
  }
}

static void tell(struct ends *e, int code)
{
  e->pleased |= code / 100 == 2;
  for (int k = 0; k < 3; k++) {
    size_t who = 0;
    int r = smtpf_transfer_feed(&e->t[k], code, &who);
    MUST((r == SMTPF_ESTATE) == e->over[k]);
    MUST(r < 0 || who < RECIPIENTS || who == SMTPF_TRANSFER_ALL || (who == SMTPF_TRANSFER_NONE && code == 353));
    e->over[k] = r != SMTPF_PENDING;
    compare(e, k);
  }
}

static void lose(struct ends *e)
{
  for (int k = 0; k < 3; k++) {
    smtpf_transfer_lost(&e->t[k]);
    e->over[k] = 1;
    compare(e, k);
  }
}

static uint64_t replies(const uint8_t *data, size_t size, size_t piece)
{
  smtpf_smtpc *c;
  smtpf_smtpc_reply r;
  uint64_t h = UINT64_C(14695981039346656037);
  int got = SMTPF_PENDING;
  struct ends ends;
  begin(&ends);
  MUST(smtpf_smtpc_new(&c, 2000, NULL) == SMTPF_OK);
  for (size_t at = 0; at < size; at += piece) {
    size_t n = size - at < piece ? size - at : piece;
    char *exact = malloc(n);
    MUST(exact);
    memcpy(exact, data + at, n);
    const char *in = exact;
    while ((got = smtpf_smtpc_next(c, &in, &n, &r)) == SMTPF_OK) {
      h = look(h, &r);
      tell(&ends, r.code);
    }
    free(exact);
    if (got != SMTPF_PENDING)
      break;
    MUST(n == 0);
  }
  smtpf_smtpc_free(c);
  lose(&ends);
  return mix(h, &got, sizeof got);
}

/* Stuffs what is a proper message, and reads it again. */
static void round_trip(const char *body, size_t n, size_t piece)
{
  char *wire = malloc(2 * n + 8), *back = malloc(n + 8);
  MUST(wire && back);
  smtpf_dot d = {0};
  size_t w = 0, b = 0;
  for (size_t at = 0; at < n; at += piece) {
    const char *p = body + at;
    size_t left = n - at < piece ? n - at : piece;
    while (left)
      w += smtpf_dot_stuff(&d, &p, &left, wire + w, 1 + piece % 7);
  }
  char end[5];
  size_t k = smtpf_dot_end(&d, end);
  memcpy(wire + w, end, k);
  w += k;
  smtpf_scan s = {.line_max = UINT32_MAX};
  smtpf_scan_start(&s, 1);
  smtpf_str got;
  const char *p = wire;
  int r;
  while ((r = smtpf_scan_next(&s, &p, &w, &got)) == SMTPF_SCAN_PIECE) {
    MUST(b + got.n <= n + 2);
    memcpy(back + b, got.p, got.n);
    b += got.n;
  }
  MUST(r == SMTPF_SCAN_END && !w && !s.bad && b >= n && memcmp(back, body, n) == 0);
  free(wire);
  free(back);
}

/* The same bytes with every line end made CRLF, without NUL. */
static size_t proper(const uint8_t *data, size_t size, char *out)
{
  size_t n = 0;
  for (size_t i = 0; i < size; i++) {
    if (data[i] == '\n' || data[i] == '\r') {
      out[n++] = '\r';
      out[n++] = '\n';
    } else if (data[i]) {
      out[n++] = (char)data[i];
    }
  }
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size > 65536)
    return 0;
  MUST(replies(data, size, size + 1) == replies(data, size, 1));
  MUST(replies(data, size, 7) == replies(data, size, 1));
  char *message = malloc(2 * size + 1);
  MUST(message);
  size_t n = proper(data, size, message);
  round_trip(message, n, n + 1);
  round_trip(message, n, 1);
  round_trip(message, n, 5);
  free(message);
  char out[64];
  smtpf_str arg = {(const char *)data, size < 80 ? size : 80};
  int r = smtpf_smtpc_command("RCPT", arg, out, sizeof out);
  MUST(r < 0 || (r >= 6 && memchr(out, '\n', (size_t)r) == out + r - 1 && out[r - 2] == '\r'));
  return 0;
}
