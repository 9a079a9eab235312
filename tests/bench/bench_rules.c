/* SPDX-License-Identifier: MIT
 *
 * What a set of patterns costs against PCRE2 with JIT pattern by pattern: 100 and 1 000 of them, over messages of 50 KB
 * made here (prose, HTML, base64, with some phrases the patterns look for). Both say the same, or this fails. One line
 * of JSON: the median of several rounds, each of which measures all ways one after the other, in processor time. Built
 * where Hyperscan or Vectorscan is, also against that: how much faster than it we are, and how often it says otherwise.
 *
 *     bench_rules rules.txt       the first 100 of its lines, then all
 */
#define _POSIX_C_SOURCE 200809L
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <smtpfilter/ext/pattern.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MESSAGES = 24, BYTES = 50000, ROUNDS = 7, MOST = 1000, WAYS = 5, PIECE = 4096 };

static char message[MESSAGES][BYTES];
static char *rule[MOST];
static unsigned rules;
static unsigned char said[WAYS][MESSAGES][MOST];

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void need(int ok, const char *what)
{
  if (ok)
    return;
  fprintf(stderr, "bench_rules: %s\n", what);
  exit(1);
}

static unsigned draw(uint64_t *seed, unsigned below)
{
  *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(*seed >> 33) % below;
}

static const char *const words[] = {
    "the",     "of",      "and",     "to",      "in",       "a",        "is",      "that",     "for",      "it",
    "as",      "was",     "with",    "be",      "by",       "on",       "not",     "he",       "this",     "are",
    "or",      "his",     "from",    "at",      "which",    "but",      "have",    "an",       "had",      "they",
    "you",     "were",    "their",   "one",     "all",      "we",       "can",     "her",      "has",      "there",
    "been",    "if",      "more",    "when",    "will",     "would",    "who",     "so",       "no",       "account",
    "order",   "report",  "meeting", "project", "please",   "attached", "regards", "update",   "customer", "service",
    "payment", "invoice", "number",  "company", "office",   "monday",   "market",  "email",    "list",     "money",
    "free",    "now",     "click",   "call",    "time",     "offer",    "today",   "stock",    "price",    "web",
    "bank",    "system",  "release", "server",  "network",  "message",  "subject", "received", "address",  "minutes",
    "agenda",  "draft",   "review",  "photo",   "document", "holiday",  "travel",  "schedule", "question",
};
static const char *const phrases[] = {"verify your account at http://10.2.3.4/login",
                                      "unclaimed inheritance of $15,500,000",
                                      "cheap v1agra",
                                      "urgent donation",
                                      "earn $5000 per week",
                                      "limited offer, 50% off"};

static void put(char *p, size_t *n, const char *s)
{
  for (; *s && *n < BYTES; s++)
    p[(*n)++] = *s;
}

/* A word, the common ones oftener; in HTML with a tag now and then. */
static void prose(char *p, size_t *n, uint64_t *seed, int html, int spam)
{
  char tag[96];
  unsigned r = draw(seed, 1000);
  put(p, n, words[r * r / 1000 * (unsigned)(sizeof words / sizeof *words) / 1000]);
  put(p, n, draw(seed, 12) ? " " : draw(seed, 3) ? ", " : ".\n");
  if (html && draw(seed, 12) == 0) {
    snprintf(tag, sizeof tag, "<p class=\"c%u\"><a href=\"https://www.example.com/a/%u\">", draw(seed, 9),
             draw(seed, 99999));
    put(p, n, tag);
  }
  if (spam && draw(seed, 800) == 0)
    put(p, n, phrases[draw(seed, sizeof phrases / sizeof *phrases)]);
}

static void make_messages(void)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint64_t seed = 1;
  for (int m = 0; m < MESSAGES; m++) {
    size_t n = 0;
    while (n < BYTES) {
      if (m % 4 != 2 || n < BYTES / 4)
        prose(message[m], &n, &seed, m % 4 == 1, m % 2);
      else
        for (int i = 0; i < 78 && n < BYTES; i++)
          message[m][n++] = i < 76 ? digits[draw(&seed, 64)] : "\r\n"[i - 76];
    }
  }
}

static void read_rules(const char *path)
{
  static char line[1024];
  FILE *f = fopen(path, "r");
  need(f != NULL, "cannot read the rules");
  while (rules < MOST && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    if (*line)
      need((rule[rules++] = strdup(line)) != NULL, "no memory");
  }
  fclose(f);
}

struct ways {
  pcre2_code *one[MOST];
  pcre2_match_data *data;
  smtpf_patterns *set;
  smtpf_pattern_room *room;
  unsigned n;
  unsigned char *out;
};

#ifdef HAVE_HS
#include "bench_rules_peer.h"
#endif

static int hear(void *user, const smtpf_pattern_hit *hit)
{
  ((struct ways *)user)->out[hit->index] = (unsigned char)hit->result;
  return 0;
}

static void open_ways(struct ways *w, unsigned n)
{
  w->n = n;
  w->data = pcre2_match_data_create(1, NULL);
  need(smtpf_patterns_new(&w->set, NULL) == SMTPF_OK && smtpf_pattern_room_new(&w->room, NULL, NULL) == SMTPF_OK,
       "no memory");
  for (unsigned i = 0; i < n; i++) {
    int e;
    PCRE2_SIZE at;
    w->one[i] =
        pcre2_compile((PCRE2_SPTR)rule[i], PCRE2_ZERO_TERMINATED, PCRE2_CASELESS | PCRE2_MULTILINE, &e, &at, NULL);
    need(w->one[i] != NULL, rule[i]);
    pcre2_jit_compile(w->one[i], PCRE2_JIT_COMPLETE);
    need(smtpf_patterns_add(w->set, (smtpf_str){rule[i], strlen(rule[i])},
                            SMTPF_PATTERN_CASELESS | SMTPF_PATTERN_MULTILINE, NULL, NULL, NULL) == SMTPF_OK,
         rule[i]);
  }
  need(smtpf_patterns_seal(w->set) == SMTPF_OK, "no memory");
}

static void close_ways(struct ways *w)
{
  for (unsigned i = 0; i < w->n; i++)
    pcre2_code_free(w->one[i]);
  pcre2_match_data_free(w->data);
  smtpf_patterns_free(w->set);
  smtpf_pattern_room_free(w->room);
}

static void one_by_one(struct ways *w, const char *p)
{
  for (unsigned i = 0; i < w->n; i++)
    w->out[i] = pcre2_jit_match(w->one[i], (PCRE2_SPTR)p, BYTES, 0, 0, w->data, NULL) >= 0;
}

static void as_set(struct ways *w, const char *p)
{
  need(smtpf_patterns_scan(w->set, w->room, (smtpf_str){p, BYTES}, NULL, hear, w) == SMTPF_OK, "scan");
}

static void as_stream(struct ways *w, const char *p)
{
  smtpf_pattern_stream *s;
  need(smtpf_pattern_stream_new(&s, w->set, NULL, NULL, NULL) == SMTPF_OK, "no memory");
  for (size_t at = 0; at < BYTES; at += PIECE)
    need(smtpf_pattern_stream_feed(s, w->room, (smtpf_str){p + at, BYTES - at < PIECE ? BYTES - at : PIECE}, hear, w) ==
             SMTPF_OK,
         "feed");
  need(smtpf_pattern_stream_finish(s, w->room, hear, w) == SMTPF_OK, "finish");
  smtpf_pattern_stream_free(s);
}

static int upwards(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *v)
{
  qsort(v, ROUNDS, sizeof *v, upwards);
  return v[ROUNDS / 2];
}

#ifdef HAVE_HS
static void (*const way[WAYS])(struct ways *, const char *) = {one_by_one, as_set, as_stream, as_peer, as_peer_stream};

static void begin_peer(unsigned n)
{
  peer_open(&peer, n);
}

static void end_peer(unsigned n, double *set, double *stream)
{
  unsigned differ = 0;
  for (int m = 0; m < MESSAGES; m++)
    for (unsigned i = 0; i < n; i++)
      for (int k = 3; k < WAYS; k++)
        if (said[k][m][i] != said[0][m][i] && !differ++)
          fprintf(stderr, "bench_rules: Hyperscan says otherwise of %s\n", rule[i]);
  printf("\"rules_%u_vs_hyperscan\": %.2f, \"rules_%u_stream_vs_hyperscan_stream\": %.2f, "
         "\"rules_%u_hyperscan_prefilter\": %u, \"rules_%u_hyperscan_left_out\": %u, "
         "\"rules_%u_hyperscan_differs\": %u, ",
         n, median(set), n, median(stream), n, peer.count[PREFILTER], n, peer.count[LEFT_OUT], n, differ);
  peer_close(&peer);
}
#else
static void (*const way[WAYS])(struct ways *, const char *) = {one_by_one, as_set, as_stream};

static void begin_peer(unsigned n)
{
  (void)n;
}

static void end_peer(unsigned n, double *set, double *stream)
{
  (void)n;
  (void)set;
  (void)stream;
}
#endif

static void measure(unsigned n, const char *end)
{
  static struct ways w;
  double set[ROUNDS], stream[ROUNDS], alone[ROUNDS], vs_peer[ROUNDS], vs_peer_stream[ROUNDS], begun = now();
  open_ways(&w, n);
  double compiled = now() - begun;
  begin_peer(n);
  for (int r = 0; r < ROUNDS; r++) {
    double took[WAYS] = {0};
    memset(said, 0, sizeof said);
    for (int k = 0; k < WAYS && way[k]; k++) {
      begun = now();
      for (int m = 0; m < MESSAGES; m++) {
        w.out = said[k][m];
        way[k](&w, message[m]);
      }
      took[k] = (now() - begun) / MESSAGES * 1e6;
    }
    alone[r] = took[0];
    set[r] = took[0] / took[1];
    stream[r] = took[0] / took[2];
    vs_peer[r] = took[3] / took[1];
    vs_peer_stream[r] = took[4] / took[2];
  }
  end_peer(n, vs_peer, vs_peer_stream);
  unsigned always = 0, hits = 0;
  for (unsigned i = 0; i < n; i++)
    always += smtpf_patterns_always(w.set, i) != 0;
  for (int m = 0; m < MESSAGES; m++)
    for (unsigned i = 0; i < n; i++) {
      need(said[0][m][i] == said[1][m][i] && said[0][m][i] == said[2][m][i], rule[i]);
      hits += said[0][m][i];
    }
  printf("\"rules_%u_vs_one_by_one\": %.2f, \"rules_%u_stream_vs_one_by_one\": %.2f, \"rules_%u_one_by_one_us\": %.0f, "
         "\"rules_%u_always_tried\": %u, \"rules_%u_hits\": %u, \"rules_%u_compile_both_ms\": %.0f%s",
         n, median(set), n, median(stream), n, median(alone), n, always, n, hits, n, compiled * 1e3, end);
  close_ways(&w);
}

struct bad {
  int result;
  const char *cause;
};

static int hear_bad(void *user, const smtpf_pattern_hit *hit)
{
  *(struct bad *)user = (struct bad){hit->result, hit->cause};
  return 0;
}

/* A pattern against a message made for it: runs of `a`. */
static void catastrophe(const char *name, const char *pattern, int run, const char *end)
{
  struct bad bad = {0, ""};
  smtpf_patterns *set;
  smtpf_pattern_room *room;
  need(smtpf_patterns_new(&set, NULL) == SMTPF_OK && smtpf_pattern_room_new(&room, NULL, NULL) == SMTPF_OK &&
           smtpf_patterns_add(set, (smtpf_str){pattern, strlen(pattern)}, 0, NULL, NULL, NULL) == SMTPF_OK &&
           smtpf_patterns_seal(set) == SMTPF_OK,
       "no memory");
  for (int i = 0; i < BYTES; i++)
    message[0][i] = i % run == run - 1 ? '-' : 'a';
  memcpy(message[0] + BYTES - 9, "-b.d-c.e\n", 9); /* or the first pass would see that there is no match */
  double begun = now();
  need(smtpf_patterns_scan(set, room, (smtpf_str){message[0], BYTES}, NULL, hear_bad, &bad) == SMTPF_OK, "scan");
  printf("\"%s_ms\": %.1f, \"%s\": \"%s\"%s", name, (now() - begun) * 1e3, name,
         bad.result == SMTPF_PATTERN_LIMIT ? bad.cause
         : bad.result                      ? "hit"
                                           : "none",
         end);
  smtpf_patterns_free(set);
  smtpf_pattern_room_free(room);
}

int main(int argc, char **argv)
{
  need(argc == 2, "which rules?");
  read_rules(argv[1]);
  need(rules == MOST, "there are not 1 000 rules");
  make_messages();
#ifdef HAVE_HS
  printf("{\"hyperscan\": \"%s\", ", hs_version());
#else
  fputs("bench_rules: built without Hyperscan: no ratio to it\n", stderr);
  printf("{");
#endif
  measure(100, ", ");
  measure(MOST, ", ");
  catastrophe("exponential", "(?:a+)+[b][.]d", 1000, ", ");
  catastrophe("quadratic", "(?:a|b)+?[c][.]e", 3000, "");
  printf("}\n");
  for (unsigned i = 0; i < rules; i++)
    free(rule[i]);
  return 0;
}
