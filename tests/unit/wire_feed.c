/* SPDX-License-Identifier: MIT */
#include "wire_feed.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *p, size_t *cap, size_t want)
{
  if (want <= *cap)
    return p;
  *cap = want * 2 + 512;
  p = realloc(p, *cap);
  if (!p)
    abort();
  return p;
}

static void say(struct feed *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct feed *f, const char *format, ...)
{
  char room[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(room, sizeof room, format, args);
  va_end(args);
  if (n < 0 || (size_t)n >= sizeof room)
    abort();
  f->log = grow(f->log, &f->log_cap, f->log_n + (size_t)n + 1);
  memcpy(f->log + f->log_n, room, (size_t)n + 1);
  f->log_n += (size_t)n;
}

static void say_escaped(struct feed *f, const char *p, size_t n)
{
  static const char hex[] = "0123456789abcdef";
  f->log = grow(f->log, &f->log_cap, f->log_n + 4 * n + 1);
  char *to = f->log + f->log_n;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)p[i];
    if (c >= ' ' && c <= '~' && c != '\\') {
      *to++ = (char)c;
      continue;
    }
    *to++ = '\\';
    *to++ = c == '\r' ? 'r' : c == '\n' ? 'n' : 'x';
    if (c != '\r' && c != '\n') {
      *to++ = hex[c >> 4];
      *to++ = hex[c & 15];
    }
  }
  *to = '\0';
  f->log_n = (size_t)(to - f->log);
}

static uint64_t next_random(uint64_t *x)
{
  *x ^= *x >> 12;
  *x ^= *x << 25;
  *x ^= *x >> 27;
  return *x * UINT64_C(2685821657736338717);
}

smtpf_smtpd_options feed_options(void)
{
  return (smtpf_smtpd_options){
      .size = sizeof(smtpf_smtpd_options),
      .hostname = SMTPF_LIT("mx.example.net"),
      .auth = SMTPF_LIT("PLAIN LOGIN"),
      .extensions = SMTPF_EXT_PIPELINING | SMTPF_EXT_SIZE | SMTPF_EXT_8BITMIME | SMTPF_EXT_SMTPUTF8 |
                    SMTPF_EXT_ENHANCEDSTATUSCODES | SMTPF_EXT_DSN | SMTPF_EXT_CHUNKING | SMTPF_EXT_AUTH,
  };
}

static void answer(struct feed *f, int code, const char *enhanced, const char *text)
{
  char out[SMTPF_REPLY_MAX * 4];
  int n = smtpf_smtpd_reply(f->codec, code, (smtpf_str){enhanced, strlen(enhanced)}, (smtpf_str){text, strlen(text)},
                            out, sizeof out);
  if (n < 0)
    abort();
  if (!n)
    return;
  say(f, "< ");
  say_escaped(f, out, (size_t)n);
  say(f, "\n");
}

void feed_open(struct feed *f, const smtpf_smtpd_options *options)
{
  *f = (struct feed){.before = -1, .seed = UINT64_C(0x9e3779b97f4a7c15)};
  if (smtpf_smtpd_new(&f->codec, options, NULL) != SMTPF_OK)
    abort();
  say(f, "%s", "");
}

void feed_close(struct feed *f)
{
  smtpf_smtpd_free(f->codec);
  free(f->body);
  free(f->log);
}

/* ---- the host that answers by heart ------------------------------------------------------------- */

static void answer_command(struct feed *f, const smtpf_smtpd_event *ev)
{
  static const struct {
    int code;
    const char *enhanced, *text;
  } usual[SMTPF_VERB_UNKNOWN + 1] = {
      [SMTPF_VERB_HELO] = {250, "", "hello"},          [SMTPF_VERB_EHLO] = {250, "", "hello"},
      [SMTPF_VERB_LHLO] = {250, "", "hello"},          [SMTPF_VERB_MAIL] = {250, "2.1.0", "OK"},
      [SMTPF_VERB_RCPT] = {250, "2.1.5", "OK"},        [SMTPF_VERB_DATA] = {354, "", "Go on"},
      [SMTPF_VERB_BDAT] = {354, "", "Go on"},          [SMTPF_VERB_RSET] = {250, "2.0.0", "OK"},
      [SMTPF_VERB_NOOP] = {250, "2.0.0", "OK"},        [SMTPF_VERB_QUIT] = {221, "2.0.0", "Bye"},
      [SMTPF_VERB_VRFY] = {252, "2.5.2", "Perhaps"},   [SMTPF_VERB_EXPN] = {502, "5.5.1", "No"},
      [SMTPF_VERB_HELP] = {214, "2.0.0", "RFC 5321"},  [SMTPF_VERB_AUTH] = {334, "", "VXNlcm5hbWU6"},
      [SMTPF_VERB_STARTTLS] = {220, "2.0.0", "Go on"}, [SMTPF_VERB_XCLIENT] = {220, "", "mx.example.net ESMTP"},
      [SMTPF_VERB_XFORWARD] = {250, "2.0.0", "OK"},    [SMTPF_VERB_UNKNOWN] = {500, "5.5.1", "Unknown command"},
  };
  int code = f->refuse[ev->verb];
  if (code)
    answer(f, code, code < 400 ? "2.0.0" : code < 500 ? "4.7.1" : "5.7.1", "As the test wants");
  else
    answer(f, usual[ev->verb].code, usual[ev->verb].enhanced, usual[ev->verb].text);
}

static void flush_body(struct feed *f)
{
  if (f->keep_body)
    return;
  if (f->body_n > 512) {
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < f->body_n; i++)
      h = (h ^ (unsigned char)f->body[i]) * UINT64_C(1099511628211);
    say(f, "BODY %zu bytes %016llx\n", f->body_n, (unsigned long long)h);
  } else if (f->body_n) {
    say(f, "BODY \"");
    say_escaped(f, f->body, f->body_n);
    say(f, "\"\n");
  }
  f->body_n = 0;
}

/* No NUL, and CR and LF only as a pair, which a piece may not part. */
static void check_body(struct feed *f, smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i], before = i ? s.p[i - 1] : ' ';
    f->bad_body |= c == '\0' || (c == '\n') != (before == '\r');
  }
  f->bad_body |= !s.n || s.p[s.n - 1] == '\r';
}

static void note(struct feed *f, const smtpf_smtpd_event *ev)
{
  if (ev->kind != SMTPF_SMTPD_BODY)
    flush_body(f);
  switch (ev->kind) {
  case SMTPF_SMTPD_COMMAND:
    say(f, "COMMAND ");
    say_escaped(f, ev->name.p, ev->name.n);
    say(f, ev->verb == SMTPF_VERB_UNKNOWN ? "? [" : " [");
    say_escaped(f, ev->arg.p, ev->arg.n);
    say(f, "]");
    if (ev->params.n) {
      say(f, " {");
      say_escaped(f, ev->params.p, ev->params.n);
      say(f, "}");
    }
    if (ev->verb == SMTPF_VERB_BDAT)
      say(f, " %llu%s", (unsigned long long)ev->chunk, ev->last ? " last" : "");
    break;
  case SMTPF_SMTPD_END: say(f, ev->last ? "END last" : "END chunk"); break;
  case SMTPF_SMTPD_VIOLATION:
    say(f, "VIOLATION %d %.*s%s", ev->code, (int)ev->enhanced.n, ev->enhanced.p, ev->fatal ? " fatal" : "");
    break;
  case SMTPF_SMTPD_LINE:
    say(f, "LINE \"");
    say_escaped(f, ev->body.p, ev->body.n);
    say(f, "\"");
    break;
  default:
    check_body(f, ev->body);
    f->body = grow(f->body, &f->body_cap, f->body_n + ev->body.n);
    memcpy(f->body + f->body_n, ev->body.p, ev->body.n);
    f->body_n += ev->body.n;
    if (f->flags && ev->pipelined)
      say(f, "early body\n");
    return;
  }
  say(f, f->flags && ev->pipelined ? " early\n" : "\n");
}

static void react(struct feed *f, const smtpf_smtpd_event *ev)
{
  char text[512];
  switch (ev->kind) {
  case SMTPF_SMTPD_COMMAND: answer_command(f, ev); break;
  case SMTPF_SMTPD_LINE:
    if (ev->body.n == 4 && memcmp(ev->body.p, "last", 4) == 0)
      answer(f, 235, "2.7.0", "Authenticated");
    else
      answer(f, 334, "", "UGFzc3dvcmQ6");
    break;
  case SMTPF_SMTPD_END: answer(f, 250, "2.0.0", "Taken"); break;
  case SMTPF_SMTPD_VIOLATION: {
    char enhanced[16];
    snprintf(enhanced, sizeof enhanced, "%.*s", (int)ev->enhanced.n, ev->enhanced.p);
    snprintf(text, sizeof text, "%.*s", (int)ev->text.n, ev->text.p);
    answer(f, ev->code, enhanced, text);
    break;
  }
  default: break;
  }
}

/* ---- feeding ------------------------------------------------------------------------------------ */

static void piece(struct feed *f, const char *bytes, size_t n)
{
  char *exact = malloc(n ? n : 1); /* a sanitizer sees what looks beyond */
  if (!exact)
    abort();
  memcpy(exact, bytes, n);
  const char *in = exact;
  size_t left = n;
  smtpf_smtpd_event ev;
  int r;
  while ((r = smtpf_smtpd_next(f->codec, &in, &left, &ev)) == SMTPF_OK) {
    note(f, &ev);
    react(f, &ev);
  }
  if (r != SMTPF_PENDING || left)
    abort();
  free(exact);
  size_t held = smtpf_smtpd_memory(f->codec);
  if (held > f->held_max)
    f->held_max = held;
}

void feed_give(struct feed *f, const void *in, size_t n, int size)
{
  const char *p = in;
  char none[1];
  smtpf_smtpd_event ev;
  const char *at = none;
  size_t nothing = 0;
  if (smtpf_smtpd_next(f->codec, &at, &nothing, &ev) == SMTPF_ESTATE)
    answer(f, 220, "", "ready");
  while (n) {
    size_t k = size == FEED_WHOLE ? n : size == FEED_RANDOM ? 1 + next_random(&f->seed) % 97 : (size_t)size;
    if (size == FEED_RANDOM && next_random(&f->seed) % 3 == 0)
      k = 1 + k % 4;
    k = k < n ? k : n;
    piece(f, p, k);
    p += k;
    n -= k;
  }
  flush_body(f);
}

char *feed_log(const smtpf_smtpd_options *options, const void *in, size_t n, int size, int *bad_body)
{
  struct feed f;
  feed_open(&f, options);
  feed_give(&f, in, n, size);
  *bad_body |= f.bad_body;
  char *log = f.log;
  f.log = NULL;
  feed_close(&f);
  return log;
}
