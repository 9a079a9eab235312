/* SPDX-License-Identifier: MIT
 *
 * smtpf-ledger: what a host has promised and not yet delivered, read from its journal.
 */
#include <getopt.h>
#include <smtpfilter/ext/journal.h>
#include <smtpfilter/ext/mail.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/text.h"

/* Exit status; smtpf-ledger(1) promises them. */
enum { DONE = 0, NOT_OPEN = 1, FAILED = 2, DAMAGED = 3 };

enum { AS = 256, CLOSE, COMPACT, DROP_DAMAGE, HELP, JSON, VERIFY, VERSION };

typedef struct request {
  int what; /* CLOSE, COMPACT, VERIFY, 0 to list */
  int json, drop_damage;
  const char *file, *message, *recipient;
  int disposition;
} request;

static const char usage[] = "usage: smtpf-ledger FILE [--json]\n"
                            "       smtpf-ledger FILE --close MESSAGE [RECIPIENT] --as DISPOSITION\n"
                            "       smtpf-ledger FILE --compact [--drop-damage]\n"
                            "       smtpf-ledger FILE --verify [--json]\n";

static int failed(const smtpf_error *err)
{
  fprintf(stderr, "smtpf-ledger: %s: %s\n", err->file, err->text);
  return FAILED;
}

static int no_room(void)
{
  fputs("smtpf-ledger: out of memory\n", stderr);
  return FAILED;
}

/* ---- what is printed ------------------------------------------------------------------------------- */

/* Ends the line and prints it. 1 when that failed. */
static int print(text *line)
{
  text_char(line, '\n');
  int bad = line->failed || fwrite(line->p, 1, line->n, stdout) != line->n;
  text_free(line);
  return bad;
}

static void member(text *t, const char *name, smtpf_str value)
{
  text_char(t, '"');
  text_cstr(t, name);
  text_cstr(t, "\":");
  text_json(t, value);
  text_char(t, ',');
}

static int list_json(const smtpf_promise *p)
{
  text t = {0};
  text_char(&t, '{');
  member(&t, "message", p->message);
  member(&t, "recipient", p->recipient);
  member(&t, "sender", p->sender);
  member(&t, "disposition", smtpf_str_of(smtpf_disposition_name(p->disposition)));
  text_cstr(&t, "\"time\":");
  text_int(&t, p->wall_s);
  text_char(&t, '}');
  return print(&t);
}

static int list_text(const smtpf_promise *p)
{
  text t = {0};
  text_time(&t, p->wall_s);
  text_cstr(&t, " message=");
  text_quoted(&t, p->message);
  text_cstr(&t, " recipient=");
  text_quoted(&t, p->recipient);
  text_cstr(&t, " sender=");
  text_quoted(&t, p->sender);
  text_cstr(&t, " disposition=");
  text_cstr(&t, smtpf_disposition_name(p->disposition));
  return print(&t);
}

static int list_one(void *user, const smtpf_promise *p)
{
  const request *q = user;
  if (q->what == VERIFY)
    return 0;
  return q->json ? list_json(p) : list_text(p);
}

static int damage_one(void *user, uint64_t offset, uint64_t length)
{
  (void)user;
  fprintf(stderr, "smtpf-ledger: damaged: %llu bytes at offset %llu are no record; a promise in them is not listed\n",
          (unsigned long long)length, (unsigned long long)offset);
  return 0;
}

static int print_stats(const request *q, const smtpf_journal_stats *s)
{
  const struct {
    const char *name;
    uint64_t value;
  } rows[] = {{"bytes", s->bytes}, {"promised", s->promised}, {"settled", s->settled}, {"open", s->open},
              {"torn", s->torn},   {"damaged", s->damaged},   {"damages", s->damages}};
  text t = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    text_cstr(&t, q->json ? (i ? ",\"" : "{\"") : i ? " " : "");
    text_cstr(&t, rows[i].name);
    text_cstr(&t, q->json ? "\":" : "=");
    text_int(&t, (int64_t)rows[i].value);
  }
  text_cstr(&t, q->json ? "}" : "");
  return print(&t);
}

/* ---- what is done ---------------------------------------------------------------------------------- */

static int look(request *q, smtpf_journal_log *log)
{
  smtpf_error err = {.size = sizeof err};
  smtpf_journal_stats stats = {.size = sizeof stats};
  smtpf_journal_visitor v = {.size = sizeof v, .user = q, .damage = damage_one, .open = list_one};
  int r = smtpf_journal_log_read(log, &v, &stats, &err);
  if (r < 0)
    return failed(&err);
  if (r > 0 || (q->what == VERIFY && print_stats(q, &stats)) || fflush(stdout) != 0) {
    fputs("smtpf-ledger: cannot write the list\n", stderr);
    return FAILED;
  }
  return stats.damages ? DAMAGED : DONE;
}

typedef struct closing {
  const request *q;
  smtpf_journal_log *log;
  size_t closed;
} closing;

static int is(smtpf_str s, const char *word)
{
  return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static int close_one(void *user, const smtpf_promise *p)
{
  closing *c = user;
  if (!is(p->message, c->q->message) || (c->q->recipient && !is(p->recipient, c->q->recipient)))
    return SMTPF_OK;
  c->closed++;
  return smtpf_journal_log_settle(c->log, p->message, p->recipient, c->q->disposition);
}

static int close_promises(const request *q, smtpf_journal_log *log)
{
  closing c = {.q = q, .log = log};
  smtpf_error err = {.size = sizeof err};
  smtpf_journal_visitor v = {.size = sizeof v, .user = &c, .open = close_one};
  int r = smtpf_journal_log_read(log, &v, NULL, &err);
  if (r == SMTPF_OK)
    r = smtpf_journal_log_sync(log);
  if (r != SMTPF_OK) {
    fprintf(stderr, "smtpf-ledger: %s: %s\n", q->file, err.text[0] ? err.text : smtpf_strerror(r));
    return FAILED;
  }
  printf("closed %zu\n", c.closed);
  return c.closed ? DONE : NOT_OPEN;
}

static int run(request *q)
{
  smtpf_journal_log *log = NULL;
  smtpf_error err = {.size = sizeof err};
  int writes = q->what == CLOSE || q->what == COMPACT, status;
  FILE *there = writes ? fopen(q->file, "rb") : NULL; /* a journal is not made by asking for it */
  if (writes && !there) {
    fprintf(stderr, "smtpf-ledger: %s: no such journal, or it cannot be read\n", q->file);
    return FAILED;
  }
  if (there)
    fclose(there);
  int r = smtpf_journal_log_open(&log, q->file, writes ? 0 : SMTPF_JOURNAL_READ_ONLY, NULL, &err);
  if (r != SMTPF_OK)
    return r == SMTPF_ENOMEM ? no_room() : failed(&err);
  if (q->what == CLOSE)
    status = close_promises(q, log);
  else if (q->what == COMPACT) {
    r = smtpf_journal_log_compact(log, q->drop_damage ? SMTPF_JOURNAL_DROP_DAMAGE : 0, &err);
    status = r == SMTPF_OK ? DONE : r == SMTPF_EPARSE ? (failed(&err), DAMAGED) : failed(&err);
  } else
    status = look(q, log);
  smtpf_journal_log_free(log);
  return status;
}

/* ---- the command line ------------------------------------------------------------------------------ */

static int disposition_of(const char *word)
{
  for (int d = SMTPF_DELIVERED; d <= SMTPF_HANDED_OVER; d++)
    if (strcmp(word, smtpf_disposition_name(d)) == 0)
      return d;
  return 0;
}

/* One act only. */
static int act(request *q, int what)
{
  int first = q->what == 0;
  q->what = what;
  return first;
}

static int take_option(request *q, int option)
{
  switch (option) {
  case AS: return (q->disposition = disposition_of(optarg)) != 0;
  case CLOSE: q->message = optarg; return act(q, CLOSE);
  case COMPACT:
  case VERIFY: return act(q, option);
  case DROP_DAMAGE: return q->drop_damage = 1;
  case JSON: return q->json = 1;
  case HELP: fputs(usage, stdout); exit(DONE);
  case VERSION: printf("smtpf-ledger %s\n", smtpf_version()); exit(DONE);
  default: return 0;
  }
}

static int read_arguments(request *q, int argc, char **argv)
{
  static const struct option options[] = {
      {"as", required_argument, NULL, AS},
      {"close", required_argument, NULL, CLOSE},
      {"compact", no_argument, NULL, COMPACT},
      {"drop-damage", no_argument, NULL, DROP_DAMAGE},
      {"help", no_argument, NULL, HELP},
      {"json", no_argument, NULL, JSON},
      {"verify", no_argument, NULL, VERIFY},
      {"version", no_argument, NULL, VERSION},
      {NULL, 0, NULL, 0},
  };
  int option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
    if (!take_option(q, option))
      return 0;
  int left = argc - optind;
  if (left < 1 || left > (q->what == CLOSE ? 2 : 1))
    return 0;
  q->file = argv[optind];
  q->recipient = left > 1 ? argv[optind + 1] : NULL;
  return (q->what == CLOSE) == (q->disposition != 0) && (!q->drop_damage || q->what == COMPACT) &&
         (!q->json || q->what == 0 || q->what == VERIFY);
}

int main(int argc, char **argv)
{
  request q = {0};
  if (!read_arguments(&q, argc, argv)) {
    fputs(usage, stderr);
    return FAILED;
  }
  return run(&q);
}
