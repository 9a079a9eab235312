/* SPDX-License-Identifier: MIT
 *
 * @scanner: scanners that answer what a script says, in the place of every type the library brings, so that a policy
 * can be tried without the programs it names. What each line says holds for the scans that begin after it.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

static const char *const answer_words[] = {"clean", "hit", "unknown", "silent", "refuse", NULL};
enum { CLEAN = 1, HIT, UNKNOWN, SILENT, REFUSE };

/* ---- what a line says ---- */

static int read_count(const struct replay_item *item, const char *name, int64_t usual, int64_t *out, text *error)
{
  const char *s = replay_value(item, name);
  *out = usual;
  if (!s || replay_number(s, INT64_C(1) << 40, out, NULL) == 0)
    return 0;
  replay_format(error, "expected a number: %s=%s", name, s);
  return -1;
}

int replay_scanner_read(struct replay_scanned *out, const struct replay_item *item, text *error)
{
  const char *score = replay_value(item, "score");
  if (!item->words[1]) {
    text_cstr(error, "expected what it answers");
    return -1;
  }
  *out = (struct replay_scanned){.scanner = item->words[0],
                                 .what = item->words[2] ? item->words[2] : "",
                                 .user = replay_value(item, "user"),
                                 .detail = replay_value(item, "detail"),
                                 .add = replay_value(item, "add"),
                                 .remove = replay_value(item, "remove"),
                                 .scored = score != NULL};
  out->answer = replay_choice(item->words[1], answer_words, error);
  if (!out->answer || replay_score(score, &out->score, error) || read_count(item, "seen", -1, &out->seen, error) ||
      read_count(item, "early", -1, &out->early, error) || read_count(item, "after", -1, &out->after, error) ||
      read_count(item, "takes", 0, &out->takes, error) || read_count(item, "again", 0, &out->again, error))
    return -1;
  if (out->answer == UNKNOWN && !*out->what)
    out->what = "failed";
  return 0;
}

void replay_scanner_say(struct replay_scanners *s, const struct replay_item *item)
{
  text what = {0};
  if (strcmp(item->words[0], "none") == 0) {
    replay_scanner_clear(s);
    return;
  }
  struct replay_scanned *said = replay_alloc(sizeof *said);
  replay_scanner_read(said, item, &what); /* as when the script was read */
  text_free(&what);
  said->next = s->said; /* the last word counts */
  s->said = said;
}

void replay_scanner_clear(struct replay_scanners *s)
{
  while (s->said) {
    struct replay_scanned *said = s->said;
    s->said = said->next;
    free(said);
  }
}

static const struct replay_scanned *find(const struct replay_scanners *s, smtpf_str scanner, smtpf_str user)
{
  static const struct replay_scanned unsaid = {
      .answer = UNKNOWN, .what = "refused", .seen = -1, .early = -1, .after = -1};
  for (const struct replay_scanned *said = s->said; said; said = said->next)
    if (smtpf_str_equal_nocase(scanner, smtpf_str_of(said->scanner)) &&
        (!said->user || smtpf_str_equal_nocase(user, smtpf_str_of(said->user))))
      return said;
  return &unsaid;
}

/* ---- the scanner ---- */

struct instance {
  struct replay_scanners *shared;
  smtpf_driver *driver;
  smtpf_str name;
};

struct scan {
  struct instance *instance;
  struct replay_scanned says; /* a copy: the line may be forgotten */
  smtpf_op op, timer, room;   /* timers: 0 when there is none */
  uint64_t fed;
  int64_t again;
  int finished;
};

static int instance_start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  struct instance *i = replay_alloc(sizeof *i);
  *i = (struct instance){shared, driver, smtpf_section_string(settings, "name")};
  *self = i;
  return SMTPF_OK;
}

static void instance_stop(void *self)
{
  free(self);
}

static smtpf_scan_edit edit_of(const char *words, int op)
{
  const char *colon = strchr(words, ':');
  const size_t n = colon ? (size_t)(colon - words) : strlen(words);
  return (smtpf_scan_edit){
      .size = sizeof(smtpf_scan_edit), .op = op, .name = {words, n}, .value = smtpf_str_of(colon ? colon + 1 : "")};
}

/* The scan is over when this returns. */
static void answer(struct scan *c)
{
  const struct replay_scanned *says = &c->says;
  smtpf_scan_edit edits[2];
  smtpf_scan_result r = {.size = sizeof r,
                         .status = says->answer == CLEAN ? SMTPF_SCAN_CLEAN
                                   : says->answer == HIT ? SMTPF_SCAN_HIT
                                                         : SMTPF_SCAN_UNKNOWN,
                         .name = smtpf_str_of(says->what),
                         .cause = says->what,
                         .scored = says->scored,
                         .score = says->score,
                         .seen = says->seen >= 0    ? (uint64_t)says->seen
                                 : says->early >= 0 ? (uint64_t)says->early
                                                    : c->fed,
                         .detail = smtpf_str_of(says->detail ? says->detail : ""),
                         .edits = edits};
  if (says->remove)
    edits[r.n_edits++] = edit_of(says->remove, SMTPF_EDIT_DELETE);
  if (says->add)
    edits[r.n_edits++] = edit_of(says->add, SMTPF_EDIT_PREPEND);
  smtpf_op_scanned(c->instance->driver, c->op, &r);
}

static void on_timer(void *user)
{
  struct scan *c = user;
  c->timer = 0;
  answer(c);
}

static void on_room(void *user)
{
  struct scan *c = user;
  c->room = 0;
  smtpf_op_scan_room(c->instance->driver, c->op);
}

/* Now, or later: when the script says so, or ports answer later in this run. */
static int answer_in_time(struct scan *c)
{
  const int64_t after = c->says.after >= 0 ? c->says.after : c->instance->shared->later ? 0 : -1;
  if (c->timer)
    return SMTPF_OK;
  if (after >= 0)
    return smtpf_driver_timer(c->instance->driver, after, on_timer, c, &c->timer);
  answer(c);
  return SMTPF_OK;
}

static int scan_open(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  struct instance *i = self;
  const struct replay_scanned *says = find(i->shared, request->scanner, request->user);
  if (says->answer == REFUSE)
    return SMTPF_EIO;
  struct scan *c = replay_alloc(sizeof *c);
  *c = (struct scan){.instance = i, .says = *says, .op = op, .again = says->again};
  *scan = c;
  return says->early == 0 ? answer_in_time(c) : SMTPF_OK;
}

static size_t scan_feed(void *scan, const char *bytes, size_t n)
{
  struct scan *c = scan;
  (void)bytes;
  if (c->says.takes && n > (size_t)c->says.takes) {
    n = (size_t)c->says.takes;
    if (!c->room && smtpf_driver_timer(c->instance->driver, 0, on_room, c, &c->room) != SMTPF_OK)
      return 0; /* never again: its time runs out */
  }
  c->fed += n;
  if (c->says.early > 0 && c->fed >= (uint64_t)c->says.early && c->says.answer != SILENT) {
    (void)answer_in_time(c);
  }
  return n;
}

static int scan_finish(void *scan)
{
  struct scan *c = scan;
  if (c->again) {
    c->again--;
    c->fed = 0;
    return smtpf_op_scan_again(c->instance->driver, c->op);
  }
  return c->says.answer == SILENT ? SMTPF_OK : answer_in_time(c);
}

static void scan_close(void *scan)
{
  struct scan *c = scan;
  if (c->timer)
    smtpf_driver_timer_cancel(c->instance->driver, c->timer);
  if (c->room)
    smtpf_driver_timer_cancel(c->instance->driver, c->room);
  free(c);
}

/* ---- in the place of all others ---- */

static const char *const types[REPLAY_SCANNERS] = {"replay", "clamd", "spamd", "rspamd", "icap", "command"};

struct paths {
  const char *list[REPLAY_ROWS];
  size_t n;
};

/* Paths that are not a scanner's do not change. */
static int is_ours(const smtpf_option_info *row)
{
  return strncmp(row->path, "scanners[name].", 15) == 0;
}

static int type_of(const smtpf_option_info *row)
{
  static const char *const words[] = {"bool", "int", "time", "size", "score", "string", "strings", "", "list", NULL};
  for (int i = 0; words[i]; i++)
    if (strcmp(words[i], row->type) == 0)
      return i + SMTPF_OPTION_BOOL;
  return SMTPF_OPTION_CHOICE;
}

static void keep_row(void *user, const smtpf_option_info *row)
{
  struct replay_scanners *s = user;
  const int type = type_of(row);
  if (is_ours(row) && s->n_rows < REPLAY_ROWS)
    s->rows[s->n_rows++] = (smtpf_option){
        row->path, type, row->deflt, row->min, row->max, type == SMTPF_OPTION_CHOICE ? row->type : NULL, row->doc};
}

static void note_path(void *user, const smtpf_option_info *row)
{
  struct paths *p = user;
  if (is_ours(row) && p->n < REPLAY_ROWS)
    p->list[p->n++] = row->path;
}

/* A type that is replaced takes its rows with it; the policy still has them. */
static int bring_back(struct replay_scanners *s, smtpf_config *cfg)
{
  struct paths left = {.n = 0};
  int result = SMTPF_OK;
  smtpf_config_each_option(cfg, note_path, &left);
  for (size_t i = 0; i < s->n_rows && result == SMTPF_OK; i++) {
    size_t k = 0;
    while (k < left.n && strcmp(left.list[k], s->rows[i].path) != 0)
      k++;
    if (k == left.n)
      result = smtpf_config_add_options(cfg, &s->rows[i], 1);
  }
  return result;
}

int replay_scanner_declare(struct replay_scanners *s, smtpf_config *cfg)
{
  int result = SMTPF_OK;
  *s = (struct replay_scanners){.n_rows = 0};
  smtpf_config_each_option(cfg, keep_row, s);
  for (size_t i = 0; i < REPLAY_SCANNERS && result == SMTPF_OK; i++) {
    s->types[i] = (smtpf_scanner){.size = sizeof s->types[i],
                                  .name = types[i],
                                  .start = instance_start,
                                  .open = scan_open,
                                  .feed = scan_feed,
                                  .finish = scan_finish,
                                  .close = scan_close,
                                  .stop = instance_stop};
    result = smtpf_config_add_scanner(cfg, &s->types[i], s);
  }
  return result == SMTPF_OK ? bring_back(s, cfg) : result;
}
