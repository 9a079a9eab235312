/* SPDX-License-Identifier: MIT
 *
 * bench_wire: what the codec of the wire costs, in memory, against two limits written down here: a parser of one fixed
 * dialogue, and a scan of blocks of 64 bytes by masks that does the same four things to a message (unstuff, strict
 * CRLF, NUL, line length) and copies it. All interleaved in one process. Prints one JSON object of figures; run.py
 * repeats it and takes medians.
 */
#define _GNU_SOURCE
#include <smtpfilter/ext/mail.h>
#include <smtpfilter/wire.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "wire/command.h"
#include "wire/plain.h"
#include "wire/scan.h"

enum { ROUNDS = 9, COMMANDS = 6 };

/* Of processor time: what else the machine does counts as little as it can. */
static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
  fprintf(stderr, "bench_wire: %s\n", what);
  exit(2);
}

static int by_value(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v)
{
  qsort(v, ROUNDS, sizeof *v, by_value);
  return v[ROUNDS / 2];
}

/* Keeps the compiler from knowing what memory holds. */
#define FORGET(p) __asm__ volatile("" : : "r"(p) : "memory")

/* ---- commands ----------------------------------------------------------------------------------- */

static const char dialogue[] = "EHLO mail-ej1-f45.google.example\r\n"
                               "MAIL FROM:<bounce+SRS=ab12=user.name@lists.sender.example> SIZE=12345 BODY=8BITMIME\r\n"
                               "RCPT TO:<first.last@local.example>\r\n"
                               "RCPT TO:<second.person@local.example> NOTIFY=NEVER\r\n"
                               "DATA\r\n"
                               "QUIT\r\n";

static const smtpf_smtpd_options options = {
    .size = sizeof options,
    .hostname = {"mx.example.net", 14},
    .extensions = SMTPF_EXT_PIPELINING | SMTPF_EXT_SIZE | SMTPF_EXT_8BITMIME | SMTPF_EXT_ENHANCEDSTATUSCODES |
                  SMTPF_EXT_DSN | SMTPF_EXT_CHUNKING,
};

/* Each line found, its bytes looked at, its verb, path and parameters read, the path parsed. */
static long parse_only(long times)
{
  const smtpf_announced announced = {options.extensions, 0, 0};
  long found = 0;
  for (long i = 0; i < times; i++) {
    const char *in = dialogue, *end = dialogue + sizeof dialogue - 1;
    FORGET(in);
    while (in < end) {
      const char *lf = memchr(in, '\n', (size_t)(end - in));
      smtpf_str line = {in, (size_t)(lf + 1 - in)};
      smtpf_smtpd_event ev;
      smtpf_path path;
      int high;
      smtpf_event_clear(&ev);
      if (!smtpf_line_check(&line, &high, &ev))
        die("a line was refused");
      smtpf_command_parse(line, high, &announced, &ev);
      if (ev.kind != SMTPF_SMTPD_COMMAND)
        die("a command was refused");
      if ((ev.verb == SMTPF_VERB_MAIL || ev.verb == SMTPF_VERB_RCPT) && smtpf_path_parse(ev.arg, &path) != SMTPF_OK)
        die("a path was refused");
      found += ev.verb;
      in = lf + 1;
    }
  }
  return found;
}

/* The whole codec: events out, replies written. DATA is refused, so that the dialogue is one of commands. */
static long with_replies(long times)
{
  long found = 0;
  for (long i = 0; i < times; i++) {
    smtpf_smtpd *c;
    if (smtpf_smtpd_new(&c, &options, NULL) != SMTPF_OK)
      die("no memory");
    char out[SMTPF_REPLY_MAX];
    const char *in = dialogue;
    size_t n = sizeof dialogue - 1;
    FORGET(in);
    smtpf_smtpd_event ev;
    (void)smtpf_smtpd_reply(c, 220, SMTPF_LIT(""), SMTPF_LIT("ready"), out, sizeof out);
    while (smtpf_smtpd_next(c, &in, &n, &ev) == SMTPF_OK) {
      smtpf_path path;
      if (ev.kind != SMTPF_SMTPD_COMMAND)
        die("a command was refused");
      if ((ev.verb == SMTPF_VERB_MAIL || ev.verb == SMTPF_VERB_RCPT) && smtpf_path_parse(ev.arg, &path) != SMTPF_OK)
        die("a path was refused");
      found += ev.verb;
      if (smtpf_smtpd_reply(c, ev.verb == SMTPF_VERB_DATA ? 451 : 250, SMTPF_LIT("2.0.0"), SMTPF_LIT("OK"), out,
                            sizeof out) < 0)
        die("no reply");
    }
    smtpf_smtpd_free(c);
  }
  return found;
}

/* The limit: one switch on four bytes, one class table, one loop over the path, one over the parameters. */
enum { IN_LOCAL = 1, IN_DOMAIN = 2 };
static unsigned char classes[256];

static void fill_classes(void)
{
  for (int c = 1; c < 256; c++) {
    int alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    if (alnum || (c < 128 && strchr("!#$%&'*+-/=?^_`{|}~.", c)))
      classes[c] |= IN_LOCAL;
    if (alnum || c == '-' || c == '.')
      classes[c] |= IN_DOMAIN;
  }
}

static const char *limit_path(const char *p, const char *end)
{
  const char *local = p;
  while (p < end && (classes[(unsigned char)*p] & IN_LOCAL))
    p++;
  if (p == local || p == end || *p != '@' || p - local > 64)
    return NULL;
  const char *domain = ++p;
  while (p < end && (classes[(unsigned char)*p] & IN_DOMAIN))
    p++;
  return p == domain || p == end || *p != '>' || p - domain > 255 ? NULL : p + 1;
}

static int limit_line(const char *p, const char *lf)
{
  if (lf - p < 5 || lf[-1] != '\r')
    die("limit: a line end");
  const char *end = lf - 1;
  uint32_t word;
  memcpy(&word, p, 4);
  switch (word & 0xdfdfdfdf) {
  case 0x4f4c4845: return SMTPF_VERB_EHLO;
  case 0x41544144: return SMTPF_VERB_DATA;
  case 0x54495551: return SMTPF_VERB_QUIT;
  case 0x4c49414d: p += 11; break;
  default: p += 9; break;
  }
  int verb = (word & 0xff) == 'M' ? SMTPF_VERB_MAIL : SMTPF_VERB_RCPT;
  if (!(p = limit_path(p, end)))
    die("limit: a path");
  while (p < end) {
    const char *word_start = ++p;
    while (p<end && * p> ' ')
      p++;
    if (p == word_start)
      die("limit: a parameter");
  }
  return verb;
}

static long limit_parse(long times)
{
  long found = 0;
  for (long i = 0; i < times; i++) {
    const char *in = dialogue, *end = dialogue + sizeof dialogue - 1;
    FORGET(in);
    while (in < end) {
      const char *lf = memchr(in, '\n', (size_t)(end - in));
      found += limit_line(in, lf);
      in = lf + 1;
    }
  }
  return found;
}

static void bench_commands(void)
{
  static const struct {
    const char *name;
    long (*run)(long);
  } ways[] = {
      {"command_parse_ns", parse_only}, {"command_with_reply_ns", with_replies}, {"limit_parse_ns", limit_parse}};
  enum { WAYS = sizeof ways / sizeof ways[0], TIMES = 100000 };
  double ns[WAYS][ROUNDS], ratio[ROUNDS];
  long want = parse_only(1) * TIMES;
  for (int r = 0; r < ROUNDS; r++) {
    for (int w = 0; w < WAYS; w++) {
      double begun = seconds();
      if (ways[w].run(TIMES) != want)
        die("the ways do not agree");
      ns[w][r] = (seconds() - begun) * 1e9 / ((double)TIMES * COMMANDS);
    }
    ratio[r] = ns[0][r] / ns[WAYS - 1][r];
  }
  for (int w = 0; w < WAYS; w++)
    printf("\"%s\":%.1f,", ways[w].name, median(ns[w]));
  printf("\"command_parse_vs_limit\":%.2f,", median(ratio));
}

/* ---- messages ----------------------------------------------------------------------------------- */

enum { SLACK = 128, BYTES_A_ROUND = 24 << 20 };

static uint64_t next_random(uint64_t *x)
{
  *x ^= *x >> 12;
  *x ^= *x << 25;
  *x ^= *x >> 27;
  return *x * UINT64_C(2685821657736338717);
}

/* Lines of 0-77 bytes of text, one in fifty with a stuffed dot; or of 76 bytes like base64. Ended by a dot. */
static size_t make_message(char *p, size_t size, int base64)
{
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/,";
  uint64_t x = 88172645463325252u;
  size_t n = 0;
  while (n + 90 < size) {
    size_t length = base64 ? 76 : next_random(&x) % 78;
    if (!base64 && next_random(&x) % 50 == 0) {
      p[n++] = '.';
      p[n++] = '.';
    }
    for (size_t i = 0; i < length; i++)
      p[n++] = letters[next_random(&x) % (base64 ? 64 : sizeof letters - 1)];
    p[n++] = '\r';
    p[n++] = '\n';
  }
  memcpy(p + n, ".\r\n", 3);
  return n + 3;
}

/* As a host does it that keeps the message: every piece copied. */
static size_t ours(const char *p, size_t n, char *out)
{
  smtpf_scan s = {.line_max = 65536};
  smtpf_scan_start(&s, 1);
  smtpf_str piece;
  size_t w = 0;
  int r;
  while ((r = smtpf_scan_next(&s, &p, &n, &piece)) == SMTPF_SCAN_PIECE) {
    memcpy(out + w, piece.p, piece.n);
    w += piece.n;
  }
  return r == SMTPF_SCAN_END && !s.bad && !n ? w : 0;
}

#ifdef SMTPF_PLAIN_X86
#include <emmintrin.h>

static uint64_t mask64(const char *p, char c)
{
  const __m128i want = _mm_set1_epi8(c);
  uint64_t m = 0;
  for (int i = 0; i < 4; i++) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
    m |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, want)) << (16 * i);
  }
  return m;
}

/* The limit: CR, LF, NUL and dots of a block as masks of 64 bits, paired by shifts. The message is known to be proper,
 * so that what the masks find wrong ends the run; the last bytes are copied unseen. */
static size_t limit_masks(const char *p, size_t n, char *out)
{
  uint64_t cr_before = 0, lf_before = 0;
  size_t w = 0, from = 0, line = 0, i = 0;
  for (; i + 64 + 3 <= n; i += 64) {
    uint64_t cr = mask64(p + i, '\r'), lf = mask64(p + i, '\n'), nul = mask64(p + i, 0), dot = mask64(p + i, '.');
    if (((cr << 1 | cr_before) ^ lf) | nul)
      return 0;
    for (uint64_t stuffed = dot & (lf << 1 | lf_before); stuffed; stuffed &= stuffed - 1) {
      size_t at = i + (size_t)__builtin_ctzll(stuffed);
      memcpy(out + w, p + from, at - from);
      w += at - from;
      from = at + 1;
    }
    if (lf) {
      if (i + (size_t)__builtin_ctzll(lf) - line > 65536)
        return 0;
      line = i + 64 - (size_t)__builtin_clzll(lf);
    }
    cr_before = cr >> 63;
    lf_before = lf >> 63;
  }
  for (; i + 3 < n; i++) {
    if (p[i] == '.' && p[i - 1] == '\n') {
      memcpy(out + w, p + from, i - from);
      w += i - from;
      from = i + 1;
    }
  }
  memcpy(out + w, p + from, n - 3 - from);
  return w + n - 3 - from;
}
#else
/* The limit without vectors: lines by memchr(3). */
static size_t limit_masks(const char *p, size_t n, char *out)
{
  size_t w = 0;
  for (const char *end = p + n - 3; p < end;) {
    const char *lf = memchr(p, '\n', (size_t)(end - p));
    p += *p == '.';
    size_t k = (size_t)(lf + 1 - p);
    if (memchr(p, '\r', k - 2) || memchr(p, '\0', k))
      return 0;
    memcpy(out + w, p, k);
    w += k;
    p = lf + 1;
  }
  return w;
}
#endif

static size_t limit_memcpy(const char *p, size_t n, char *out)
{
  memcpy(out, p, n);
  return n;
}

static void bench_message(const char *name, size_t size, int base64)
{
  static const struct {
    const char *name;
    size_t (*run)(const char *, size_t, char *);
  } ways[] = {{"data", ours}, {"limit_masks", limit_masks}, {"limit_memcpy", limit_memcpy}};
  enum { WAYS = sizeof ways / sizeof ways[0] };
  char *in = malloc(size + SLACK), *out = malloc(size + SLACK), *want = malloc(size + SLACK);
  if (!in || !out || !want)
    die("no memory");
  size_t n = make_message(in, size, base64), k = ours(in, n, want);
  if (!k || limit_masks(in, n, out) != k || memcmp(want, out, k) != 0)
    die("the ways do not agree");
  double gbs[WAYS][ROUNDS], ratio[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    for (int w = 0; w < WAYS; w++) {
      double begun = seconds();
      for (size_t i = 0; i < BYTES_A_ROUND / n; i++) {
        FORGET(in);
        if (!ways[w].run(in, n, out))
          die("a message was refused");
        FORGET(out);
      }
      gbs[w][r] = (double)(BYTES_A_ROUND / n * n) / (seconds() - begun) / 1e9;
    }
    ratio[r] = gbs[0][r] / gbs[1][r];
  }
  for (int w = 0; w < WAYS; w++)
    printf("\"%s_%s_gb_per_second\":%.2f,", ways[w].name, name, median(gbs[w]));
  printf("\"data_vs_masks_%s\":%.3f,", name, median(ratio));
  free(in);
  free(out);
  free(want);
}

int main(void)
{
  fill_classes();
  smtpf_smtpd *c;
  if (smtpf_smtpd_new(&c, &options, NULL) != SMTPF_OK)
    die("no memory");
  printf("{");
  bench_commands();
  bench_message("text_4k", 4096, 0);
  bench_message("text_64k", 65536, 0);
  bench_message("base64_4k", 4096, 1);
  bench_message("base64_64k", 65536, 1);
  printf("\"idle_codec_bytes\":%zu}\n", smtpf_smtpd_memory(c));
  smtpf_smtpd_free(c);
  return 0;
}
