/* SPDX-License-Identifier: MIT
 *
 * Every transcript again with the i-th allocation of the library failing, for every i (sampled where a transcript has
 * very many, and in the second feed mode). The arenas make every request an allocation of its own. Asserted each time:
 *
 *   - no crash, and everything that was allocated is freed;
 *   - one verdict for each accepted event (the runner's own faults);
 *   - as long as nothing has been refused for want of memory, every reply is the usual one, or a 4xx instead;
 *   - never a 5xx for want of memory but for a command out of sequence after a 4xx (503, 554 5.5.1);
 *   - each copy that is taken is taken in the usual run too, and disposed of as there; where others have dropped out of
 *     its message, with which it shares a reply and a header, by the same wish as there;
 *   - nothing is dropped but by a wish for it.
 *
 * A deferral by choice is another matter: where the store has no memory to say how often somebody was put off, nobody
 * is (promise L7), and the answer is a definite one. So is memory of what was taken: what could not be remembered is
 * not known: a forward whose refusal could not be written down is tried again, a target whose answer could not be kept
 * is asked again. So is what a forwarder let through: it keeps its trust, and what it brings is not refused.
 */
#include <stdlib.h>
#include <string.h>

#include "../transcripts/transcript.h"

enum { ALL = 0, SAMPLES = 60 };

/* ---- an allocator that fails once ------------------------------------------------------------------------ */

struct failing {
  long calls, fail_at; /* 0: never */
  long live;
};

static int fails(struct failing *f)
{
  return ++f->calls == f->fail_at;
}

static void *fail_alloc(void *user, size_t n)
{
  struct failing *f = user;
  void *p = fails(f) ? NULL : malloc(n);
  f->live += p != NULL;
  return p;
}

static void *fail_realloc(void *user, void *old, size_t n)
{
  struct failing *f = user;
  void *p = fails(f) ? NULL : realloc(old, n);
  f->live += p && !old;
  return p;
}

static void fail_free(void *user, void *p)
{
  struct failing *f = user;
  f->live -= p != NULL;
  free(p);
}

/* ---- what came of a run ------------------------------------------------------------------------------------ */

struct copy {
  char *address;
  int disposition, wish, code;
  int elective; /* put off by choice */
  int known;    /* remembered as taken before */
  int target;   /* what is remembered of a forward's target decided */
  int stranger; /* brought by one */
};

struct line {
  const char *event;
  char *arg;
  int item, code;
  int each;     /* copies have replies of their own */
  int elective; /* a deferral by choice */
  int target;   /* what is remembered of a forward's target decided */
  struct copy *copies;
  size_t n;
};

struct log {
  struct line *lines;
  size_t n, cap;
};

static int is_elective(const char *rule)
{
  return rule && (strncmp(rule, "deferral: ", 10) == 0 || strcmp(rule, "partition") == 0);
}

static int is_of_target(const char *rule)
{
  static const char *const remembered[] = {"forward_target target-unknown", "forward_target target-spam",
                                           "forward_target target-policy"};
  int found = 0;
  for (size_t i = 0; rule && i < sizeof remembered / sizeof *remembered; i++)
    found |= strstr(rule, remembered[i]) != NULL;
  return found;
}

static void record(void *user, const struct replay_record *r)
{
  struct log *log = user;
  if (log->n == log->cap) {
    size_t cap = log->cap ? 2 * log->cap : 64;
    struct line *lines = replay_alloc(cap * sizeof *lines);
    if (log->n)
      memcpy(lines, log->lines, log->n * sizeof *lines);
    free(log->lines);
    log->lines = lines;
    log->cap = cap;
  }
  struct line *line = &log->lines[log->n++];
  *line = (struct line){r->event,
                        replay_strdup(r->arg ? r->arg : "", r->arg ? strlen(r->arg) : 0),
                        r->item,
                        r->reply.code,
                        r->each,
                        is_elective(r->rule),
                        is_of_target(r->rule),
                        replay_alloc(r->n_recipients * sizeof(struct copy)),
                        r->n_recipients};
  for (size_t i = 0; i < r->n_recipients; i++) {
    const struct replay_recipient *to = &r->recipients[i];
    line->copies[i] = (struct copy){replay_strdup(to->address, strlen(to->address)),
                                    to->disposition,
                                    to->wish,
                                    to->reply.code,
                                    is_elective(to->reason),
                                    to->known,
                                    is_of_target(to->reason),
                                    to->origin == SMTPF_ORIGIN_STRANGER};
  }
}

static void free_log(struct log *log)
{
  for (size_t i = 0; i < log->n; i++) {
    for (size_t k = 0; k < log->lines[i].n; k++)
      free(log->lines[i].copies[k].address);
    free(log->lines[i].copies);
    free(log->lines[i].arg);
  }
  free(log->lines);
  *log = (struct log){0};
}

/* The usual run's line for the same event. */
static const struct line *usual_line(const struct log *usual, const struct log *got, size_t i)
{
  const struct line *l = &got->lines[i];
  size_t nth = 0;
  for (size_t k = 0; k < i; k++)
    nth += got->lines[k].item == l->item && strcmp(got->lines[k].event, l->event) == 0;
  for (size_t k = 0; k < usual->n; k++)
    if (usual->lines[k].item == l->item && strcmp(usual->lines[k].event, l->event) == 0 && nth-- == 0)
      return &usual->lines[k];
  return NULL;
}

static int kept(int disposition)
{
  return disposition == SMTPF_DELIVERED || disposition == SMTPF_TAGGED || disposition == SMTPF_QUARANTINED ||
         disposition == SMTPF_DISCARDED || disposition == SMTPF_HANDED_OVER;
}

/* Whether the usual run deferred this recipient: too many, for example, which here are fewer. */
static int usually_deferred(const struct log *usual, const char *address)
{
  for (size_t i = 0; i < usual->n; i++)
    if (strcmp(usual->lines[i].event, "rcpt") == 0 && usual->lines[i].code / 100 == 4 &&
        strstr(usual->lines[i].arg, address))
      return 1;
  return 0;
}

static const struct copy *find_copy(const struct line *l, const char *address)
{
  size_t k = 0;
  while (k < l->n && strcmp(l->copies[k].address, address) != 0)
    k++;
  return k < l->n ? &l->copies[k] : NULL;
}

static int same_recipients(const struct line *a, const struct line *b)
{
  size_t i = 0;
  while (i < a->n && find_copy(b, a->copies[i].address))
    i++;
  return a->n == b->n && i == a->n;
}

/* Each copy that was taken must be taken in the usual run too, in the same way. */
static const char *compare_copies(const struct log *log, const struct line *usual, const struct line *got)
{
  const int same = same_recipients(usual, got);
  for (size_t i = 0; i < got->n; i++) {
    const struct copy *c = &got->copies[i], *u = find_copy(usual, c->address);
    if (!kept(c->disposition))
      continue;
    if (c->disposition == SMTPF_DISCARDED && c->wish != SMTPF_DISCARDED)
      return "a copy is dropped that nobody wished to be";
    if (u && (usual->elective || u->elective || (u->known && !c->known) || u->target != c->target ||
              (u->stranger && !c->stranger)))
      continue;
    if (u ? (same ? u->disposition != c->disposition : u->wish != c->wish) : !usually_deferred(log, c->address))
      return "a copy is disposed of otherwise";
  }
  return NULL;
}

/* Those who are left of a message all wish it away. */
static int all_wish_it_away(const struct line *got)
{
  size_t n = 0;
  for (size_t i = 0; i < got->n; i++)
    n += got->copies[i].wish == SMTPF_REJECTED || got->copies[i].wish == SMTPF_DISCARDED;
  return got->n && n == got->n;
}

/* With a reply for each copy the final one says what became of those that are left: 5xx when it would be so for each.
 */
static int all_usually_rejected(const struct line *usual, const struct line *got)
{
  size_t rejected = 0;
  for (size_t i = 0; i < got->n; i++)
    for (size_t k = 0; k < usual->n; k++)
      rejected += strcmp(usual->copies[k].address, got->copies[i].address) == 0 &&
                  usual->copies[k].disposition == SMTPF_REJECTED && got->copies[i].disposition == SMTPF_REJECTED;
  return got->n && rejected == got->n;
}

/* What has happened so far in a run that differs from the usual one. */
struct difference {
  int any;      /* something was answered otherwise */
  int stranger; /* AUTH was deferred: what follows is said to a stranger */
  int let_by;   /* DATA was not deferred by choice: there was no memory for it */
  int open;     /* DATA was deferred, and the script does not say RSET: its next message has these recipients too */
};

/* Its client kept a trust that it has lost in the usual run. */
static int is_trusted_still(const struct line *usual, const struct line *got)
{
  size_t n = 0;
  for (size_t i = 0; usual && i < got->n; i++) {
    const struct copy *u = find_copy(usual, got->copies[i].address);
    n += u && u->stranger && !got->copies[i].stranger;
  }
  return got->n && n == got->n;
}

static const char *compare_line(const struct log *log, const struct line *usual, const struct line *got,
                                const struct difference *so_far)
{
  int message = strcmp(got->event, "end-of-message") == 0;
  if (message && got->n && !usual && !so_far->let_by)
    return "a message is judged that usually is not sent";
  const char *wrong = message && usual && !so_far->open ? compare_copies(log, usual, got) : NULL;
  if (wrong || (usual && usual->code == got->code))
    return wrong;
  if (got->code == 0 || (got->code >= 400 && got->code < 500) || (usual && usual->elective && got->code < 400))
    return NULL;
  if (usual && usual->target != got->target)
    return NULL;
  if (got->code < 400 && is_trusted_still(usual, got))
    return NULL;
  if (!so_far->any)
    return got->code >= 500 ? "refused for good for want of memory" : "accepted for want of memory";
  if (message && got->each && usual && usual->each && all_usually_rejected(usual, got))
    return NULL;
  if (message && usual && (so_far->open || !same_recipients(usual, got)) && all_wish_it_away(got))
    return NULL;
  if (so_far->open && strcmp(got->event, "rcpt") == 0) /* beside recipients it was not meant to share a message with */
    return NULL;
  int sequence = got->code == 503 || got->code == 554 || strcmp(got->event, "violation") == 0;
  if (got->code >= 500 && !sequence && !so_far->stranger && usual && usual->code < 500 && usual->code != 421)
    return "refused for good after a deferral";
  return NULL;
}

static const char *compare(const struct log *usual, const struct log *got, size_t *where)
{
  struct difference so_far = {0, 0, 0, 0};
  for (size_t i = 0; i < got->n; i++) {
    const struct line *l = &got->lines[i], *u = usual_line(usual, got, i);
    const char *what = compare_line(usual, u, l, &so_far);
    *where = i;
    if (what)
      return what;
    so_far.any |= !u || u->code != l->code || u->n != l->n;
    so_far.let_by |= strcmp(l->event, "data") == 0 && u && u->elective && l->code == 354;
    if (strcmp(l->event, "data") == 0 && u && u->code < 400 && l->code >= 400)
      so_far.open = 1;
    else if (l->code < 400 && strcmp(l->event, "rcpt") != 0 && strcmp(l->event, "data") != 0 &&
             strcmp(l->event, "commit") != 0)
      so_far.open = 0;
    so_far.stranger |= strcmp(l->event, "auth") == 0 && l->code >= 400;
  }
  return NULL;
}

/* ---- runs --------------------------------------------------------------------------------------------------- */

struct tally {
  long runs, failed, sampled;
};

/* One run. `what` says what went wrong. Returns how many allocations there were. */
static long run(const struct transcript *t, int wait, size_t feed, long fail_at, struct log *log, text *what)
{
  struct failing failing = {.fail_at = fail_at};
  smtpf_mem mem = {sizeof mem, &failing, fail_alloc, fail_realloc, fail_free};
  struct replay_options o = transcript_options(t);
  struct replay r;
  smtpf_error err = {.size = sizeof err};
  o.wait = wait;
  o.feed = feed;
  o.mem = &mem;
  o.single = 1;
  o.sink = record;
  o.user = log;
  int result = replay_open(&r, &o, &err);
  if (result == SMTPF_OK)
    result = replay_play(&r, &t->items);
  if (r.fault.n)
    text_add(what, text_str(&r.fault));
  else if (result != SMTPF_OK && !(fail_at && result == SMTPF_ENOMEM))
    replay_error(what, o.policy, result, &err);
  else if (r.events != r.verdicts)
    replay_format(what, "%zu events, %zu verdicts", r.events, r.verdicts);
  replay_close(&r);
  if (failing.live)
    replay_format(what, "%s%ld allocations are not freed", what->n ? "; " : "", failing.live);
  return failing.calls;
}

static void check_one(const struct transcript *t, int wait, size_t feed, long i, const struct log *usual,
                      struct tally *tally)
{
  struct log log = {0};
  text what = {0};
  size_t where = 0;
  run(t, wait, feed, i, &log, &what);
  const char *wrong = compare(usual, &log, &where);
  if (wrong)
    replay_format(&what, "%s%s: %s answered %d", what.n ? "; " : "", wrong, log.lines[where].event,
                  log.lines[where].code);
  tally->runs++;
  if (what.n) {
    tally->failed++;
    printf("FAIL %s: allocation %ld, fed by %zu: %s\n", t->path, i, feed, replay_cstr(&what));
  }
  text_free(&what);
  free_log(&log);
}

static void check_mode(const struct transcript *t, int wait, size_t feed, long samples, struct tally *tally)
{
  struct log usual = {0};
  text what = {0};
  long n = run(t, wait, feed, 0, &usual, &what);
  if (what.n) {
    tally->failed++;
    printf("FAIL %s: without any failure: %s\n", t->path, replay_cstr(&what));
  } else {
    long step = samples && n > samples ? n / samples : 1;
    tally->sampled += step > 1;
    for (long i = 1; i <= n; i += step)
      check_one(t, wait, feed, i, &usual, tally);
  }
  text_free(&what);
  free_log(&usual);
}

int main(int argc, char **argv)
{
  struct tally tally = {0};
  char **names = transcript_names(argc, argv);
  long transcripts = 0;
  for (char **name = names; *name; name++, transcripts++) {
    struct transcript t;
    text error = {0};
    if (transcript_read(&t, *name, &error)) {
      printf("FAIL %s\n", replay_cstr(&error));
      tally.failed++;
    } else if (!t.cannot) {
      check_mode(&t, REPLAY_READY, 0, ALL, &tally);
      check_mode(&t, REPLAY_SYNC, 7, SAMPLES, &tally);
    }
    text_free(&error);
    transcript_free(&t);
  }
  transcript_names_free(names);
  printf("%ld transcripts, %ld runs with one allocation failing, %ld of the loops sampled\n", transcripts, tally.runs,
         tally.sampled);
  printf("%ld passed, %ld failed, 0 skipped\n", tally.runs - tally.failed, tally.failed + !transcripts);
  return tally.failed || !transcripts ? 1 : 0;
}
