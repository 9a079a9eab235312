/* SPDX-License-Identifier: MIT
 *
 * @finding: checks that find what a script says, so that a decision can be shown without the circumstances that lead to
 * it. They are checks like any other: made with ext/check.h, registered before the policy is loaded, so that a profile
 * can weigh them.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

static const char *const stage_words[] = {"connect", "helo", "mail", "rcpt", "data", "end-of-message", NULL};
static const int stages[] = {0, SMTPF_CONNECT, SMTPF_HELO, SMTPF_MAIL, SMTPF_RCPT, SMTPF_DATA, SMTPF_EOM};
static const char *const family_words[] = {"client",  "envelope", "list",  "greylist",
                                           "content", "bounce",   "proof", NULL};
static const char *const kind_words[] = {"clear", "hit", "unknown", NULL};
static const char *const flag_words[] = {"refuse",     "defer",      "own_too", "connection", "elective",
                                         "open_relay", "quarantine", "tag",     "route",      NULL};

/* ---- what a line says ---- */

static int read_choice(const struct replay_item *item, const char *name, const char *const *words, int usual, int *out,
                       text *error)
{
  const char *value = replay_value(item, name);
  *out = value ? replay_choice(value, words, error) : usual;
  return *out ? 0 : -1;
}

/* Thousandths: -2.5. */
int replay_score(const char *s, int32_t *out, text *error)
{
  const char *p = s && *s == '-' ? s + 1 : s;
  int64_t whole = 0, milli = 0;
  const char *end = "";
  int bad = s && replay_number(p, 1000000, &whole, &end);
  if (!bad && *end == '.') {
    int64_t unit = 100;
    for (end++; unit && *end >= '0' && *end <= '9'; end++, unit /= 10)
      milli += (*end - '0') * unit;
    bad = unit == 100;
  }
  if (bad || *end) {
    replay_format(error, "expected a score such as 5 or -2.5: %s", s);
    return -1;
  }
  *out = (int32_t)((whole * 1000 + milli) * (p == s ? 1 : -1));
  return 0;
}

static int read_flags(const char *s, unsigned *out, text *error)
{
  while (s && *s) {
    size_t n = strcspn(s, ",");
    char *word = replay_strdup(s, n);
    int i = replay_choice(word, flag_words, error);
    free(word);
    if (!i)
      return -1;
    *out |= 1u << (i - 1);
    s += n + (s[n] == ',');
  }
  return 0;
}

static smtpf_str value(const struct replay_item *item, const char *name)
{
  return smtpf_str_of(replay_value(item, name));
}

int replay_finding_read(struct replay_said *out, const struct replay_item *item, text *error)
{
  int stage = replay_choice(item->words[0], stage_words, error), family, kind;
  const char *code = replay_value(item, "code"), *reply = replay_value(item, "reply");
  int64_t reply_code = 0;
  if (!stage || read_choice(item, "family", family_words, SMTPF_FAMILY_CLIENT + 1, &family, error) ||
      read_choice(item, "kind", kind_words, SMTPF_HIT, &kind, error))
    return -1;
  *out = (struct replay_said){.check = replay_value(item, "check"),
                              .recipient = replay_value(item, "for"),
                              .stage = stages[stage],
                              .family = family - 1};
  smtpf_finding *f = &out->finding;
  *f = (smtpf_finding){.size = sizeof *f,
                       .kind = kind,
                       .code = code                ? code
                               : kind == SMTPF_HIT ? "found"
                                                   : kind_words[kind - 1],
                       .detail = value(item, "detail"),
                       .text = value(item, "text"),
                       .enhanced = replay_value(item, "enhanced")};
  if (!out->check) {
    text_cstr(error, "expected check=NAME");
    return -1;
  }
  if (reply && (replay_number(reply, 599, &reply_code, NULL) || reply_code < 400)) {
    replay_format(error, "expected a reply code from 400 to 599: %s", reply);
    return -1;
  }
  f->reply = (int)reply_code;
  if (replay_score(replay_value(item, "score"), &f->score, error) ||
      read_flags(replay_value(item, "flags"), &f->flags, error))
    return -1;
  if (kind == SMTPF_UNKNOWN && f->score) {
    text_cstr(error, "what is unknown has no score");
    return -1;
  }
  return 0;
}

/* ---- the checks ---- */

static const char *name_of(const struct replay_checks *c, const struct replay_checks *const *self)
{
  return c->checks[self - (const struct replay_checks *const *)c->self].name;
}

static int concerns(const struct replay_said *said, const char *check, const smtpf_event *ev)
{
  return strcmp(said->check, check) == 0 && said->stage == ev->stage &&
         (!said->recipient || said->stage > SMTPF_RCPT ||
          (ev->recipient && smtpf_str_equal_nocase(ev->recipient->address, smtpf_str_of(said->recipient))));
}

/* After RCPT: which accepted recipient it is about, from 1; 0: all; -1: one that is not there. */
static int number_of(const struct replay_said *said, const smtpf_task *t)
{
  smtpf_str address;
  if (!said->recipient || said->stage <= SMTPF_RCPT)
    return 0;
  for (size_t i = 1; smtpf_task_recipient(t, i, &address, NULL) == SMTPF_OK; i++)
    if (smtpf_str_equal_nocase(address, smtpf_str_of(said->recipient)))
      return (int)i;
  return -1;
}

static int report_one(const struct replay_said *said, smtpf_task *t)
{
  smtpf_finding f = said->finding;
  const int number = number_of(said, t);
  if (number < 0)
    return SMTPF_OK;
  f.recipient = (size_t)number;
  return smtpf_task_report(t, &f);
}

static int report(const struct replay_checks *c, const char *check, smtpf_task *t)
{
  int result = SMTPF_OK;
  for (const struct replay_said *said = c->said; said && result == SMTPF_OK; said = said->next)
    if (concerns(said, check, smtpf_task_event(t)))
      result = report_one(said, t);
  return result;
}

static int resume(void *self, smtpf_task *t, const smtpf_answer *answer)
{
  const struct replay_checks *const *own = self;
  (void)answer;
  return report(*own, name_of(*own, own), t);
}

static int run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const struct replay_checks *const *own = self;
  const char *name = name_of(*own, own);
  const struct replay_said *said = (*own)->said;
  while (said && !concerns(said, name, ev))
    said = said->next;
  if (!said || !(*own)->later)
    return report(*own, name, t);
  int result = smtpf_task_timer(t, 0, 0);
  return result == SMTPF_OK ? SMTPF_PENDING : result;
}

/* open() is not told which check it is: each has one of its own. */
static _Thread_local struct replay_checks *opening;

static int open_nth(void **self, size_t i)
{
  *self = opening && i < opening->n ? &opening->self[i] : NULL;
  return SMTPF_OK;
}

#define OPEN(i)                                                                                                        \
  static int open_##i(void **self, const smtpf_section *policy, smtpf_error *err)                                      \
  {                                                                                                                    \
    (void)policy;                                                                                                      \
    (void)err;                                                                                                         \
    return open_nth(self, i);                                                                                          \
  }
OPEN(0)
OPEN(1)
OPEN(2)
OPEN(3)
OPEN(4)
OPEN(5)
OPEN(6)
OPEN(7)

static const struct {
  int (*open)(void **self, const smtpf_section *policy, smtpf_error *err);
} openers[REPLAY_CHECKS] = {{open_0}, {open_1}, {open_2}, {open_3}, {open_4}, {open_5}, {open_6}, {open_7}};

static int for_single_ones(const void *self)
{
  (void)self;
  return SMTPF_APART_RECIPIENT;
}

static int declare(struct replay_checks *c, const struct replay_said *said)
{
  static const int tiers[] = {0, 0, 2, 1, 3, 0, 3}; /* as ext/check.h has them, by family */
  size_t i = 0;
  while (i < c->n && strcmp(c->checks[i].name, said->check) != 0)
    i++;
  if (i == REPLAY_CHECKS)
    return SMTPF_ELIMIT;
  smtpf_check *check = &c->checks[i];
  if (i == c->n) {
    *check = (smtpf_check){.size = sizeof *check,
                           .name = said->check,
                           .tier = tiers[said->family],
                           .open = openers[i].open,
                           .run = run,
                           .resume = resume,
                           .family = said->family};
    c->self[i] = c;
    c->n++;
  }
  check->stages |= (uint32_t)said->stage;
  if (said->recipient && said->stage > SMTPF_RCPT)
    check->apart = for_single_ones;
  return check->family == said->family ? SMTPF_OK : SMTPF_EINVAL;
}

static int refuse(smtpf_error *err, const struct replay_script *script, int line, int result)
{
  snprintf(err->file, sizeof err->file, "%s", script->name);
  err->line = line;
  snprintf(err->text, sizeof err->text, "%s",
           result == SMTPF_EINVAL ? "this check has another family already" : "too many checks");
  return result;
}

int replay_checks_declare(struct replay_checks *c, smtpf_config *cfg, const struct replay_script *const *scripts,
                          smtpf_error *err)
{
  *c = (struct replay_checks){.n = 0};
  for (; *scripts; scripts++)
    for (size_t i = 0; i < (*scripts)->n; i++) {
      const struct replay_item *item = &(*scripts)->items[i];
      struct replay_said said;
      text what = {0};
      if (item->kind != REPLAY_FINDING || strcmp(item->words[0], "none") == 0)
        continue;
      int result = replay_finding_read(&said, item, &what) ? SMTPF_EPARSE : declare(c, &said);
      text_free(&what);
      if (result != SMTPF_OK)
        return refuse(err, *scripts, item->line, result);
    }
  int result = SMTPF_OK;
  for (size_t i = 0; i < c->n && result == SMTPF_OK; i++)
    result = smtpf_config_add_check(cfg, &c->checks[i]);
  return result;
}

void replay_checks_opening(struct replay_checks *c)
{
  opening = c;
}

void replay_checks_say(struct replay_checks *c, const struct replay_item *item)
{
  text what = {0};
  if (strcmp(item->words[0], "none") == 0) {
    replay_checks_clear(c);
    return;
  }
  struct replay_said *said = replay_alloc(sizeof *said), **last = &c->said;
  replay_finding_read(said, item, &what); /* as when the script was read */
  text_free(&what);
  while (*last)
    last = &(*last)->next;
  *last = said;
}

void replay_checks_clear(struct replay_checks *c)
{
  while (c->said) {
    struct replay_said *said = c->said;
    c->said = said->next;
    free(said);
  }
}
