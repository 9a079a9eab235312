/* SPDX-License-Identifier: MIT
 *
 * A corpus of mail before the rules that are installed, through sessions of the library.
 *
 *     rules_corpus corpus RULES FOLDER          how often each rule hits ham and spam, and what the sums come to
 *     rules_corpus chunking RULES FOLDER [N]    every N-th message given whole, by 1, by 7 and by random pieces: the
 *                                               same evidence, word for word
 *
 * FOLDER has labels.tsv: `PATH ham|spam ...`. The first line of each message, an mbox's, is dropped and line ends are
 * made those of SMTP. One line of JSON.
 */
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULES_MAX = 1000, PATH_ROOM = 4096, MESSAGE_MAX = 16 << 20 };
enum { WHOLE, BY_1, BY_7, RANDOM, WAYS };

struct bytes {
  char *p;
  size_t n, cap;
};

struct tally {
  char name[80];
  long hits[2]; /* ham, spam */
};

static struct {
  smtpf_driver *driver;
  struct tally rules[RULES_MAX];
  size_t n_rules;
  long messages[2], above[2][2], unknown[2], undecided[2];
  int64_t sum[2];
  long pairs, differ;
} run;

/* What a profile has by default: tag, reject. */
static const int32_t thresholds[] = {5000, 10000};

static void need(int ok, const char *what, const char *about)
{
  if (ok)
    return;
  fprintf(stderr, "rules_corpus: %s%s%s\n", what, *about ? ": " : "", about);
  exit(1);
}

static void put(struct bytes *b, const char *p, size_t n)
{
  if (b->n + n > b->cap) {
    b->cap = 2 * (b->n + n) + 4096;
    b->p = realloc(b->p, b->cap);
    need(b->p != NULL, "no memory", "");
  }
  memcpy(b->p + b->n, p, n);
  b->n += n;
}

/* A message as SMTP carries it. */
static void read_message(const char *path, struct bytes *out)
{
  static char room[MESSAGE_MAX];
  FILE *f = fopen(path, "rb");
  need(f != NULL, "cannot open", path);
  const size_t n = fread(room, 1, sizeof room, f);
  fclose(f);
  size_t at = 0;
  out->n = 0;
  if (n > 5 && !memcmp(room, "From ", 5)) {
    const char *lf = memchr(room, '\n', n);
    at = lf ? (size_t)(lf - room) + 1 : n;
  }
  while (at < n) {
    const char *lf = memchr(room + at, '\n', n - at);
    size_t line = lf ? (size_t)(lf - room) - at : n - at;
    const size_t next = at + line + (lf != NULL);
    while (line && room[at + line - 1] == '\r')
      line--;
    put(out, room + at, line);
    put(out, "\r\n", 2);
    at = next;
  }
}

static int settle(smtpf_session *s, int r)
{
  return r == SMTPF_PENDING ? smtpf_session_wait(s, 60000) : r;
}

static size_t piece(int way, uint64_t *seed)
{
  if (way != RANDOM)
    return way == WHOLE ? SIZE_MAX : way == BY_1 ? 1 : 7;
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  const uint64_t r = *seed >> 33;
  return (size_t)(r % 8 == 0 ? r / 8 % 5000 : r / 8 % 60) + 1;
}

static void give(smtpf_session *s, const struct bytes *m, int way, uint64_t seed, const char *path)
{
  for (size_t at = 0; at < m->n;) {
    size_t n = piece(way, &seed), taken = 0;
    n = n < m->n - at ? n : m->n - at;
    const int r = smtpf_session_body(s, m->p + at, n, &taken);
    need(r == SMTPF_OK || (r == SMTPF_PENDING && settle(s, r) == SMTPF_OK), "not taken", path);
    at += taken;
  }
}

/* A session up to the verdict on the message. */
static smtpf_session *converse(const struct bytes *m, int way, uint64_t seed, const char *path)
{
  static const smtpf_peer peer = {.size = sizeof peer, .address = {"192.0.2.25", 10}};
  smtpf_session *s;
  need(smtpf_session_new(&s, run.driver, NULL) == SMTPF_OK, "no session", path);
  int r = settle(s, smtpf_session_connect(s, &peer));
  r = r == SMTPF_OK ? settle(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.example.org"))) : r;
  r = r == SMTPF_OK ? settle(s, smtpf_session_mail(s, SMTPF_LIT("<a@example.org>"), SMTPF_LIT(""))) : r;
  r = r == SMTPF_OK ? settle(s, smtpf_session_rcpt(s, SMTPF_LIT("<b@example.net>"), SMTPF_LIT(""))) : r;
  r = r == SMTPF_OK ? settle(s, smtpf_session_data(s)) : r;
  need(r == SMTPF_OK && smtpf_verdict_action(smtpf_session_verdict(s)) == SMTPF_ACCEPT, "refused early", path);
  give(s, m, way, seed, path);
  need(settle(s, smtpf_session_eom(s)) == SMTPF_OK, "no verdict", path);
  return s;
}

static smtpf_evidence_info finding(const smtpf_verdict *v, size_t i)
{
  smtpf_evidence_info e = {.size = sizeof e};
  need(smtpf_verdict_evidence(v, i, &e) == SMTPF_OK, "evidence cannot be read", "");
  return e;
}

/* ---- chunking ----------------------------------------------------------------------------------------------- */

/* All evidence, but for the time it took. */
static void write_down(const smtpf_session *s, struct bytes *out)
{
  const smtpf_verdict *v = smtpf_session_verdict(s);
  out->n = 0;
  for (size_t i = 0; i < smtpf_verdict_evidence_count(v); i++) {
    const smtpf_evidence_info e = finding(v, i);
    char numbers[64];
    const int n = snprintf(numbers, sizeof numbers, " %d %d %ld ", e.stage, e.kind, (long)e.score);
    put(out, e.check, strlen(e.check));
    put(out, numbers, (size_t)n);
    put(out, e.code.p, e.code.n);
    put(out, " ", 1);
    put(out, e.detail.p, e.detail.n);
    put(out, "\n", 1);
  }
}

static void compare(const struct bytes *m, uint64_t number, const char *path)
{
  static struct bytes first, other;
  for (int way = WHOLE; way < WAYS; way++) {
    smtpf_session *s = converse(m, way, number, path);
    write_down(s, way == WHOLE ? &first : &other);
    smtpf_session_free(s);
    if (way == WHOLE)
      continue;
    run.pairs++;
    if (first.n == other.n && !memcmp(first.p, other.p, first.n))
      continue;
    run.differ++;
    fprintf(stderr, "differs: %s, way %d\n%.*s--\n%.*s", path, way, (int)first.n, first.p, (int)other.n, other.p);
  }
}

/* ---- corpus -------------------------------------------------------------------------------------------------- */

static struct tally *tally_of(smtpf_str name)
{
  for (size_t i = 0; i < run.n_rules; i++)
    if (strlen(run.rules[i].name) == name.n && !memcmp(run.rules[i].name, name.p, name.n))
      return &run.rules[i];
  need(run.n_rules < RULES_MAX && name.n < sizeof run.rules[0].name, "too many rules", "");
  memcpy(run.rules[run.n_rules].name, name.p, name.n);
  return &run.rules[run.n_rules++];
}

static void count(const struct bytes *m, int spam, const char *path)
{
  smtpf_session *s = converse(m, WHOLE, 0, path);
  const smtpf_verdict *v = smtpf_session_verdict(s);
  int64_t sum = 0;
  int known = 0, unknown = 0;
  for (size_t i = 0; i < smtpf_verdict_evidence_count(v); i++) {
    const smtpf_evidence_info e = finding(v, i);
    if (strcmp(e.check, "rules") != 0)
      continue;
    known = 1;
    unknown |= e.kind == SMTPF_UNKNOWN;
    sum += e.kind == SMTPF_HIT ? e.score : 0;
    if (e.kind == SMTPF_HIT)
      tally_of(e.code)->hits[spam]++;
  }
  run.messages[spam]++;
  run.undecided[spam] += !known;
  run.unknown[spam] += unknown;
  run.sum[spam] += sum;
  for (int i = 0; i < 2; i++)
    run.above[spam][i] += sum >= thresholds[i];
  smtpf_session_free(s);
}

static double percent(long n, long of)
{
  return of ? 100.0 * (double)n / (double)of : 0;
}

static void report_corpus(void)
{
  static const char *const kinds[] = {"ham", "spam"};
  printf("{\"name\":\"rules-corpus\",\"failed\":%d", run.undecided[0] + run.undecided[1] != 0);
  for (int k = 0; k < 2; k++)
    printf(
        ",\"%s\":{\"messages\":%ld,\"percent_tagged_at_5\":%.2f,\"percent_refused_at_10\":%.2f,\"mean_score\":%.2f,"
        "\"with_unknown\":%ld,\"not_looked_at\":%ld}",
        kinds[k], run.messages[k], percent(run.above[k][0], run.messages[k]), percent(run.above[k][1], run.messages[k]),
        run.messages[k] ? (double)run.sum[k] / 1000.0 / (double)run.messages[k] : 0, run.unknown[k], run.undecided[k]);
  printf(",\"percent_of_ham_and_spam\":{");
  for (size_t i = 0; i < run.n_rules; i++)
    printf("%s\"%s\":[%.2f,%.2f]", i ? "," : "", run.rules[i].name, percent(run.rules[i].hits[0], run.messages[0]),
           percent(run.rules[i].hits[1], run.messages[1]));
  printf("}}\n");
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

static void each_message(const char *folder, int chunking, unsigned long every)
{
  static struct bytes m;
  char path[PATH_ROOM], line[PATH_ROOM], name[1024], label[16];
  unsigned long number = 0;
  snprintf(path, sizeof path, "%s/labels.tsv", folder);
  FILE *labels = fopen(path, "r");
  need(labels != NULL, "cannot open", path);
  while (fgets(line, sizeof line, labels)) {
    if (sscanf(line, "%1023s %15s", name, label) != 2 || number++ % every)
      continue;
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    need(n > 0 && (size_t)n < sizeof path, "a path too long", name);
    read_message(path, &m);
    if (chunking)
      compare(&m, number, name);
    else
      count(&m, !strcmp(label, "spam"), name);
    run.messages[0] += chunking;
  }
  fclose(labels);
  free(m.p);
}

static void open_driver(const char *rules)
{
  static const char *const off[] = {"early_talk", "helo", "iprev", "null_sender"};
  smtpf_error err = {.size = sizeof err};
  smtpf_config *cfg;
  smtpf_engine *engine = NULL;
  need(smtpf_config_new(&cfg, NULL) == SMTPF_OK, "no configuration", "");
  int r = smtpf_config_append(cfg, "local_domains", "example.net", &err);
  r = r == SMTPF_OK ? smtpf_config_append(cfg, "rules.files", rules, &err) : r;
  for (size_t i = 0; r == SMTPF_OK && i < sizeof off / sizeof *off; i++)
    r = smtpf_config_append(cfg, "check.disable", off[i], &err);
  r = r == SMTPF_OK ? smtpf_engine_new(&engine, cfg, &err) : r;
  need(r == SMTPF_OK, err.file, err.text);
  smtpf_config_free(cfg);
  need(smtpf_driver_new(&run.driver, engine, NULL) == SMTPF_OK, "no driver", "");
  smtpf_engine_unref(engine);
}

int main(int argc, char **argv)
{
  const int chunking = argc > 1 && !strcmp(argv[1], "chunking");
  const unsigned long every = argc > 4 ? strtoul(argv[4], NULL, 10) : 1;
  need(argc > 3 && every, "usage: rules_corpus corpus|chunking RULES FOLDER [N]", "");
  open_driver(argv[2]);
  each_message(argv[3], chunking, every);
  smtpf_driver_free(run.driver);
  if (!chunking)
    report_corpus();
  else
    printf("{\"name\":\"chunking\",\"messages\":%ld,\"cases\":%ld,\"failed\":%ld}\n", run.messages[0], run.pairs,
           run.differ);
  return run.differ != 0 || run.undecided[0] + run.undecided[1] != 0 || !(run.messages[0] + run.messages[1]);
}
