/* SPDX-License-Identifier: MIT
 *
 * forwarder: whether those who are trusted deserve it. For each scope by which recipients trust clients (forwarders,
 * mailing lists, backup MXs) the store counts messages, and among them hits: the host behind the client is listed, or
 * what was found of the message adds up to `forwarder.score`. Above a share of hits the forwarder leaks. Once in each
 * window its postmaster's neighbour, who reads our log, is told; and with `forwarder.distrust` its mail is a stranger's
 * until a window goes by in which it does not.
 *
 *   counts of the window      counts of the one before    it leaks
 *   at least `least`          any                         when their share is above `share`
 *   fewer                     at least `least`            when theirs is
 *   fewer                     fewer                       no
 *
 * One record for each scope and window: messages in the lower 32 bits of a number, hits in the upper ones, so that one
 * addition counts both. A store that fails is unknown, and changes nothing.
 */
#include "sources.h"

enum { SCOPES = 4 /* of one message */, NUMBER = 8, COUNTS = 2 };

static const smtpf_option rows[] = {
    {"forwarder.window", SMTPF_OPTION_TIME, "24h", 60000, INT64_C(30) * 86400000, NULL,
     "Over how long the mail of a trusted forwarder, list or backup MX is counted before it begins anew."},
    {"forwarder.score", SMTPF_OPTION_SCORE, "5", 1, 100000, NULL,
     "From this score on a message counts as spam that was let through; so does any message whose source is listed. "
     "The default is that of a tag."},
    {"forwarder.share", SMTPF_OPTION_INT, "20", 1, 100, NULL,
     "A forwarder leaks when more than this part of its mail, in per cent, is spam that was let through."},
    {"forwarder.least", SMTPF_OPTION_INT, "50", 1, 1000000, NULL,
     "How many messages there must be in a window before anything is said of it."},
    {"forwarder.distrust", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether a forwarder that leaks loses its trust: then its mail is refused like a stranger's, and bounces at the "
     "forwarder, until it has leaked for no window."},
};

typedef struct forwarder {
  smtpf_mem mem;
  int64_t window_s, least, share;
  int32_t score;
  int distrust;
} forwarder;

static int forwarder_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  forwarder *f;

  (void)err;
  if (!sources_expected(policy))
    return SMTPF_OK;
  f = mem->alloc(mem->user, sizeof *f);
  if (!f)
    return SMTPF_ENOMEM;
  f->mem = *mem;
  f->window_s = smtpf_section_number(policy, "forwarder.window") / 1000;
  f->least = smtpf_section_number(policy, "forwarder.least");
  f->share = smtpf_section_number(policy, "forwarder.share");
  f->score = (int32_t)smtpf_section_number(policy, "forwarder.score");
  f->distrust = smtpf_section_number(policy, "forwarder.distrust") != 0;
  *self = f;
  return SMTPF_OK;
}

/* ---- records ------------------------------------------------------------------------------------------- */

typedef struct counts {
  int64_t messages, hits;
} counts;

static counts counts_of(smtpf_str value)
{
  uint64_t n = 0;
  for (size_t i = value.n == NUMBER ? NUMBER : 0; i-- > 0;)
    n = n << 8 | (unsigned char)value.p[i];
  return (counts){(int64_t)(n & UINT32_MAX), (int64_t)(n >> 32)};
}

static smtpf_str as_number(const counts *c, char out[NUMBER])
{
  const uint64_t n = (uint64_t)c->hits << 32 | (uint64_t)c->messages;
  for (size_t i = 0; i < NUMBER; i++)
    out[i] = (char)(unsigned char)(n >> (8 * i));
  return (smtpf_str){out, NUMBER};
}

/* The record of a kind for a scope and a window. */
static smtpf_str key_of(const char *kind, smtpf_str scope, int64_t window, unsigned char out[SMTPF_DIGEST_BYTES])
{
  char number[NUMBER];
  for (size_t i = 0; i < NUMBER; i++)
    number[i] = (char)(unsigned char)((uint64_t)window >> (8 * i));
  const smtpf_str parts[] = {SMTPF_LIT("forwarder"), smtpf_str_of(kind), scope, {number, NUMBER}};
  smtpf_digest(parts, sizeof parts / sizeof *parts, out);
  return (smtpf_str){(const char *)out, SMTPF_DIGEST_BYTES};
}

static int is_above(const forwarder *f, const counts *c)
{
  return c->hits * 100 > f->share * c->messages;
}

/* `of`: this window, and the one before. */
static int leaks(const forwarder *f, const counts *of)
{
  if (of[0].messages >= f->least)
    return is_above(f, &of[0]);
  return of[1].messages >= f->least && is_above(f, &of[1]);
}

/* ---- one scope, then the next --------------------------------------------------------------------------- */

enum { TAG_NOW, TAG_BEFORE, TAG_TOLD, TAG_WRITTEN };

typedef struct inquiry {
  smtpf_str scopes[SCOPES];
  size_t n, at;
  int hit;
  counts of[COUNTS];
  int told, failed;
  unsigned due;
} inquiry;

static int64_t window_of(const forwarder *f, const smtpf_task *t)
{
  return smtpf_task_event(t)->wall_s / f->window_s;
}

/* `alumni: 60 of 200 messages` */
static smtpf_str words_for(smtpf_task *t, smtpf_str scope, const counts *c)
{
  char numbers[2][24];
  smtpf_str text[2];
  const int64_t values[2] = {c->hits, c->messages};
  for (size_t i = 0; i < 2; i++) {
    size_t at = sizeof numbers[i];
    int64_t v = values[i];
    do
      numbers[i][--at] = (char)('0' + v % 10);
    while (v /= 10);
    text[i] = (smtpf_str){numbers[i] + at, sizeof numbers[i] - at};
  }
  return SMTPF_JOIN(t, scope, SMTPF_LIT(": "), text[0], SMTPF_LIT(" of "), text[1], SMTPF_LIT(" messages"));
}

static int say(const forwarder *f, smtpf_task *t, const inquiry *q, unsigned flags)
{
  const smtpf_finding found = {.size = sizeof found,
                               .kind = SMTPF_HIT,
                               .code = "leaks",
                               .flags = flags,
                               .detail = words_for(t, q->scopes[q->at], &q->of[q->of[0].messages < f->least])};
  return smtpf_task_report(t, &found);
}

static int ask(const forwarder *f, smtpf_task *t, inquiry *q)
{
  const int64_t window = window_of(f, t);
  const smtpf_str scope = q->scopes[q->at];
  const int count = smtpf_task_event(t)->stage == SMTPF_EOM;
  unsigned char key[SMTPF_DIGEST_BYTES];

  q->told = q->failed = 0;
  q->due = count ? 3 : 2;
  int r = smtpf_task_get(t, key_of("counts", scope, window, key), TAG_NOW);
  if (r == SMTPF_OK)
    r = smtpf_task_get(t, key_of("counts", scope, window - 1, key), TAG_BEFORE);
  if (r == SMTPF_OK && count)
    r = smtpf_task_get(t, key_of("told", scope, window, key), TAG_TOLD);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

/* End of message: counts it, and says what became of the share. */
static int count(const forwarder *f, smtpf_task *t, inquiry *q)
{
  const int64_t window = window_of(f, t);
  const counts one = {1, q->hit};
  unsigned char keys[2][SMTPF_DIGEST_BYTES];
  char number[NUMBER];
  smtpf_change changes[2] = {{.size = sizeof *changes,
                              .op = SMTPF_CHANGE_ADD,
                              .key = key_of("counts", q->scopes[q->at], window, keys[0]),
                              .value = as_number(&one, number),
                              .expires = (window + 2) * f->window_s},
                             {.size = sizeof *changes,
                              .op = SMTPF_CHANGE_SET,
                              .key = key_of("told", q->scopes[q->at], window, keys[1]),
                              .value = SMTPF_LIT("1"),
                              .expires = (window + 1) * f->window_s}};
  q->of[0].messages++;
  q->of[0].hits += q->hit;
  const int tell = !q->told && leaks(f, q->of);
  int r = tell ? say(f, t, q, 0) : SMTPF_OK;
  if (r == SMTPF_OK)
    r = smtpf_task_commit(t, changes, tell ? 2 : 1, TAG_WRITTEN);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static int go_on(const forwarder *f, smtpf_task *t, inquiry *q)
{
  return ++q->at < q->n ? ask(f, t, q) : SMTPF_OK;
}

/* All has been read. */
static int conclude(const forwarder *f, smtpf_task *t, inquiry *q)
{
  if (q->failed)
    return smtpf_task_unknown(t, "store", SMTPF_LIT("the store does not answer"));
  if (smtpf_task_event(t)->stage == SMTPF_EOM)
    return count(f, t, q);
  return leaks(f, q->of) ? say(f, t, q, SMTPF_FINDING_OPEN_RELAY) : SMTPF_OK;
}

static void add_scope(inquiry *q, smtpf_str scope)
{
  size_t i = 0;
  while (i < q->n && !smtpf_str_equal_nocase(q->scopes[i], scope))
    i++;
  if (i == q->n && scope.n && q->n < SCOPES)
    q->scopes[q->n++] = scope;
}

static int forwarder_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const forwarder *f = self;
  const size_t last = ev->stage == SMTPF_EOM ? ev->recipients : 0;
  inquiry *q;

  if (ev->own || (ev->stage == SMTPF_RCPT && !f->distrust))
    return SMTPF_OK;
  q = smtpf_task_alloc(t, sizeof *q);
  if (!q)
    return SMTPF_ENOMEM;
  *smtpf_task_slot(t) = q;
  for (size_t i = last ? 1 : 0; i <= last; i++) {
    smtpf_str scope = {"", 0};
    (void)smtpf_task_origin(t, i, &scope);
    add_scope(q, scope);
  }
  q->hit = smtpf_task_fact(t, SOURCES_LISTED).n || smtpf_task_score(t) >= f->score;
  return q->n ? ask(f, t, q) : SMTPF_OK;
}

static int forwarder_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  const forwarder *f = self;
  inquiry *q = *smtpf_task_slot(t);

  if (a->tag == TAG_WRITTEN)
    return a->store == SMTPF_STORE_DONE ? go_on(f, t, q)
                                        : smtpf_task_unknown(t, "store", SMTPF_LIT("the store does not answer"));
  q->failed |= a->store != SMTPF_STORE_FOUND && a->store != SMTPF_STORE_ABSENT;
  if (a->tag == TAG_TOLD)
    q->told = a->store == SMTPF_STORE_FOUND;
  else
    q->of[a->tag] = counts_of(a->store == SMTPF_STORE_FOUND ? a->value : (smtpf_str){"", 0});
  return --q->due ? SMTPF_PENDING : conclude(f, t, q);
}

static void forwarder_close(void *self)
{
  forwarder *f = self;
  if (f)
    f->mem.free(f->mem.user, f);
}

static int forwarder_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_JOIN;
}

/* It counts what trusted clients bring. */
static int forwarder_reads(const void *self)
{
  (void)self;
  return SMTPF_READS_TRUSTED;
}

const smtpf_check smtpf_check_forwarder = {
    .size = sizeof(smtpf_check),
    .name = "forwarder",
    .stages = SMTPF_RCPT | SMTPF_EOM,
    .tier = 5, /* behind all that add to a score */
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = forwarder_open,
    .run = forwarder_run,
    .resume = forwarder_resume,
    .close = forwarder_close,
    .apart = forwarder_apart,
    .reads = forwarder_reads,
};
