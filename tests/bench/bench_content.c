/* SPDX-License-Identifier: MIT
 *
 * How fast content is parsed: header reader, walker, decoders, text of HTML, over messages made here or read from
 * files. One line of JSON: megabytes of message a second of processor time, the best of several runs, and the ratio to
 * memchr(3) looking for LF over the same bytes in the same run: every reader of lines pays that.
 *
 *     bench_content [FILE...]
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mail/mime.h"
#include "mail/text.h"

enum { RUNS = 7, PIECE = 16384, LEAST = 4 << 20 };

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct text {
  char *p;
  size_t n, cap;
};

static void put(struct text *t, const char *p, size_t n)
{
  if (t->n + n > t->cap) {
    t->cap = (t->n + n) * 2;
    t->p = realloc(t->p, t->cap);
    if (!t->p)
      exit(1);
  }
  memcpy(t->p + t->n, p, n);
  t->n += n;
}

static void lines(struct text *t, const char *line, size_t bytes)
{
  for (size_t n = strlen(line), done = 0; done < bytes; done += n)
    put(t, line, n);
}

static volatile uint64_t seen;

static void on_data(void *user, const smtpf_mime_part *part, smtpf_str piece)
{
  (void)user;
  (void)part;
  seen += (unsigned char)piece.p[0] + piece.n;
}

static smtpf_text text;

static void on_begin(void *user, const smtpf_mime_part *part)
{
  (void)user;
  smtpf_text_init(&text, part->type, part->charset);
}

static void on_text(void *user, const smtpf_mime_part *part, smtpf_str piece)
{
  static char room[SMTPF_TEXT_ROOM(4096)];
  (void)user;
  (void)part;
  seen += smtpf_text_feed(&text, piece.p, piece.n, room);
}

static void walk(const struct text *t, void *room, void (*data)(void *, const smtpf_mime_part *, smtpf_str))
{
  const smtpf_mime_handler handler = {.begin = on_begin, .data = data};
  smtpf_mime m;
  if (smtpf_mime_init(&m, NULL, room, &handler, NULL) != SMTPF_OK)
    exit(1);
  for (size_t at = 0; at < t->n; at += PIECE)
    smtpf_mime_feed(&m, t->p + at, t->n - at < PIECE ? t->n - at : PIECE);
  smtpf_mime_finish(&m);
}

static void header(const struct text *t, void *room)
{
  smtpf_header h;
  smtpf_header_init(&h, room, 16384, NULL, NULL);
  smtpf_header_feed(&h, t->p, t->n);
  smtpf_header_finish(&h);
  seen += h.fields;
}

static void line_ends(const struct text *t)
{
  const char *p = t->p, *end = p + t->n, *lf;
  while (p < end && (lf = memchr(p, '\n', (size_t)(end - p)))) {
    seen += (uint64_t)(lf - p);
    p = lf + 1;
  }
}

enum what { HEADER, WALK, WALK_TEXT };

static void measure(const char *name, const struct text *t, enum what what)
{
  static int first = 1;
  void *room = malloc(smtpf_mime_room(&smtpf_mime_limits_default));
  double best = 1e9, reference = 1e9;
  const size_t times = 1 + LEAST / t->n;
  if (!room)
    exit(1);
  for (int run = 0; run < RUNS; run++) {
    double begin = now(), middle;
    for (size_t i = 0; i < times; i++) {
      if (what == HEADER)
        header(t, room);
      else
        walk(t, room, what == WALK ? on_data : on_text);
    }
    middle = now();
    for (size_t i = 0; i < times; i++)
      line_ends(t);
    const double end = now();
    best = middle - begin < best ? middle - begin : best;
    reference = end - middle < reference ? end - middle : reference;
  }
  const double mb = (double)(t->n * times) / 1e6;
  printf("%s\"%s_mb_per_second\":%.0f,\"%s_vs_memchr\":%.4f", first ? "" : ",", name, mb / best, name,
         reference / best);
  first = 0;
  free(room);
}

static struct text made(const char *head, const char *line, size_t bytes, const char *tail)
{
  struct text t = {0};
  put(&t, head, strlen(head));
  lines(&t, line, bytes);
  put(&t, tail, strlen(tail));
  return t;
}

#define PART "Content-Type: multipart/mixed; boundary=\"=_b_0123456789\"\r\n\r\n--=_b_0123456789\r\n"
#define END "\r\n--=_b_0123456789--\r\n"

int main(int argc, char **argv)
{
  const char *base64 = "TG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIGNvbnNlY3RldHVyIGFkaXBpc2NpbmcgZWxpdC4g\r\n";
  const char *qp = "Lorem ipsum dolor sit amet, caf=C3=A9 consectetur adipiscing elit, sed do =\r\n";
  const char *plain = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod te\r\n";
  const char *html = "<tr><td class=\"x\">Lorem ipsum &amp; dolor <b>sit</b> amet, <i>elit</i>.</td></tr>\r\n";
  const char *field = "X-Header-Field-Name: some value of usual length that goes on\r\n\tand is folded once\r\n";
  const struct text of[] = {
      made("", field, 16384, "\r\n"),
      made(PART "\r\n", plain, 1 << 20, END),
      made(PART "Content-Transfer-Encoding: base64\r\n\r\n", base64, 1 << 20, END),
      made(PART "Content-Transfer-Encoding: quoted-printable\r\n\r\n", qp, 1 << 20, END),
      made(PART "Content-Type: text/html; charset=iso-8859-1\r\n\r\n", html, 1 << 20, END),
  };
  printf("{\"name\":\"content\",");
  measure("header", &of[0], HEADER);
  measure("walk_plain", &of[1], WALK);
  measure("walk_base64", &of[2], WALK);
  measure("walk_quoted_printable", &of[3], WALK);
  measure("walk_html_text", &of[4], WALK_TEXT);
  for (int i = 1; i < argc; i++) {
    struct text t = {0};
    char room[4096];
    FILE *f = fopen(argv[i], "rb");
    if (!f)
      exit(1);
    for (size_t n; (n = fread(room, 1, sizeof room, f));)
      put(&t, room, n);
    fclose(f);
    if (t.n)
      measure(argv[i], &t, WALK_TEXT);
    free(t.p);
  }
  puts("}");
  for (size_t i = 0; i < sizeof of / sizeof *of; i++)
    free(of[i].p);
  return 0;
}
