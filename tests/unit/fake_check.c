/* SPDX-License-Identifier: MIT */
#include "fake_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  char path[300], value[300];
} set[256];
static size_t n_set;

/* A section is the beginning of the paths of its options: empty, `dnslists[zen.example]` ... */
struct smtpf_section {
  char prefix[300];
};
static struct smtpf_section sections[256];
static size_t n_sections;
static const smtpf_check *checks_rows;

long fake_fail_at, fake_live, fake_count;

static void *fake_alloc(void *user, size_t n)
{
  (void)user;
  if (++fake_count == fake_fail_at)
    return NULL;
  fake_live++;
  return malloc(n);
}

static void *fake_realloc(void *user, void *p, size_t n)
{
  (void)user;
  if (++fake_count == fake_fail_at)
    return NULL;
  fake_live += !p;
  return realloc(p, n);
}

static void fake_free(void *user, void *p)
{
  (void)user;
  fake_live -= p != NULL;
  free(p);
}

static const smtpf_mem mem = {sizeof mem, NULL, fake_alloc, fake_realloc, fake_free};

void fake_reset(void)
{
  n_set = n_sections = 0;
  fake_fail_at = fake_count = fake_live = 0;
}

void fake_set(const char *path, const char *value)
{
  ck_assert_uint_lt(n_set, sizeof set / sizeof set[0]);
  snprintf(set[n_set].path, sizeof set[0].path, "%s", path);
  snprintf(set[n_set++].value, sizeof set[0].value, "%s", value);
}

/* ---- rows ------------------------------------------------------------------------------------------ */

/* The core's own rows: checks read some of them. */
#define ROW(path, type, deflt, min, max, words, doc) {path, SMTPF_OPTION_##type, deflt, min, max, words, doc},
static const smtpf_option core_rows[] = {
#include "../../src/core/options.def"
};
#undef ROW

/* The same path, whatever stands in brackets; a LIST row ends in its key. */
static int same_path(const char *row, const char *path)
{
  for (; *row && *path; row++, path++) {
    if (*row != *path)
      return 0;
    if (*row == '[') {
      row = strchr(row, ']');
      path = strchr(path, ']');
    }
  }
  return !*path && (!*row || (*row == '[' && row[strlen(row) - 1] == ']' && !strchr(row, '.')));
}

static const smtpf_option *row_of(const char *path)
{
  for (size_t i = 0; i < sizeof core_rows / sizeof core_rows[0]; i++)
    if (same_path(core_rows[i].path, path))
      return &core_rows[i];
  for (size_t i = 0; i < checks_rows->n_options; i++)
    if (same_path(checks_rows->options[i].path, path))
      return &checks_rows->options[i];
  for (size_t k = 0; k < smtpf_checks_count; k++) /* rows that its neighbours bring */
    for (size_t i = 0; i < smtpf_checks[k]->n_options; i++)
      if (same_path(smtpf_checks[k]->options[i].path, path))
        return &smtpf_checks[k]->options[i];
  return NULL;
}

int fake_number(const smtpf_option *row, const char *text, int64_t *out)
{
  char *end;
  double v = strtod(text, &end);
  int64_t factor = 1;

  if (row->type == SMTPF_OPTION_BOOL) {
    *out = !strcmp(text, "true");
    return *out || !strcmp(text, "false");
  }
  if (row->type == SMTPF_OPTION_CHOICE) {
    const char *w = row->words;
    for (*out = 0; w; w = strchr(w, '|'), w = w ? w + 1 : NULL, ++*out)
      if (!strncmp(w, text, strlen(text)) && (w[strlen(text)] == '|' || !w[strlen(text)]))
        return 1;
    return 0;
  }
  if (row->type == SMTPF_OPTION_SCORE && !strcmp(text, "off")) {
    *out = SMTPF_SCORE_OFF;
    return row->max == SMTPF_SCORE_OFF;
  }
  if (row->type == SMTPF_OPTION_SCORE)
    factor = 1000;
  if (row->type == SMTPF_OPTION_SIZE && *end) {
    factor = !strcmp(end, "k") ? 1024 : !strcmp(end, "m") ? 1048576 : 0;
    end = "";
  }
  if (row->type == SMTPF_OPTION_TIME) {
    factor = !strcmp(end, "ms")  ? 1
             : !strcmp(end, "s") ? 1000
             : !strcmp(end, "m") ? 60000
             : !strcmp(end, "h") ? 3600000
             : !strcmp(end, "d") ? 86400000
                                 : 0;
    end = "";
  }
  *out = (int64_t)(v * (double)factor);
  return !*end && factor && *out >= row->min && *out <= row->max;
}

/* ---- smtpf_section ----------------------------------------------------------------------------------- */

static const char *path_in(const smtpf_section *s, const char *name)
{
  static char path[600];
  snprintf(path, sizeof path, "%s%s%s", s->prefix, *s->prefix ? "." : "", name);
  return path;
}

static const char *value_at(const smtpf_section *s, const char *name, size_t i)
{
  const char *path = path_in(s, name);
  for (size_t k = 0; k < n_set; k++)
    if (!strcmp(set[k].path, path) && !i--)
      return set[k].value;
  return NULL;
}

int smtpf_section_has(const smtpf_section *s, const char *name)
{
  return value_at(s, name, 0) != NULL;
}

smtpf_str smtpf_section_string(const smtpf_section *s, const char *name)
{
  const char *value = value_at(s, name, 0), *open = strrchr(s->prefix, '[');
  const smtpf_option *row = row_of(path_in(s, name));

  if (value)
    return smtpf_str_of(value);
  if (row)
    return smtpf_str_of(row->deflt);
  ck_assert_msg(open != NULL, "no row for %s", name); /* the key of an element */
  return (smtpf_str){open + 1, strlen(open) - 2};
}

int64_t smtpf_section_number(const smtpf_section *s, const char *name)
{
  const char *value = value_at(s, name, 0);
  const smtpf_option *row = row_of(path_in(s, name));
  int64_t number = 0;

  ck_assert_msg(row != NULL, "no row for %s", name);
  if (!value)
    value = row->deflt;
  ck_assert_msg(value && fake_number(row, value, &number), "%s: bad value", row->path);
  return number;
}

smtpf_str smtpf_section_string_at(const smtpf_section *s, const char *name, size_t i)
{
  return smtpf_str_of(value_at(s, name, i));
}

/* Element i of a list: the keys in the order in which they were first set. */
static const smtpf_section *element(const smtpf_section *s, const char *name, size_t i)
{
  char seen[64][300];
  size_t n = 0, len = strlen(path_in(s, name));

  for (size_t k = 0; k < n_set; k++) {
    const char *p = set[k].path, *end = strchr(p + len, ']');
    size_t same = 0;
    if (strncmp(p, path_in(s, name), len) != 0 || p[len] != '[' || !end)
      continue;
    snprintf(seen[n], sizeof seen[n], "%.*s", (int)(end + 1 - p), p);
    while (same < n && strcmp(seen[same], seen[n]) != 0)
      same++;
    if (same < n)
      continue;
    if (n++ == i) {
      ck_assert_uint_lt(n_sections, sizeof sections / sizeof sections[0]);
      memcpy(sections[n_sections].prefix, seen[n - 1], sizeof seen[0]);
      return &sections[n_sections++];
    }
  }
  return NULL;
}

size_t smtpf_section_count(const smtpf_section *s, const char *name)
{
  const smtpf_option *row = row_of(path_in(s, name));
  size_t n = 0;

  ck_assert_msg(row != NULL, "no row for %s", name);
  if (row->type == SMTPF_OPTION_LIST)
    while (element(s, name, n))
      n++;
  else
    while (value_at(s, name, n))
      n++;
  return n;
}

const smtpf_section *smtpf_section_at(const smtpf_section *s, const char *name, size_t i)
{
  return element(s, name, i);
}

int smtpf_section_fail(const smtpf_section *s, const char *name, smtpf_error *err, int code, const char *what,
                       smtpf_str value, const char *expected)
{
  if (err)
    snprintf(err->text, sizeof err->text, "%.150s: %.100s: %.*s: expected %.100s", path_in(s, name), what,
             value.n < 100 ? (int)value.n : 100, value.n ? value.p : "", expected);
  return code;
}

const smtpf_mem *smtpf_section_mem(const smtpf_section *s)
{
  (void)s;
  return &mem;
}

/* ---- smtpf_task -------------------------------------------------------------------------------------- */

static void copy(char *to, size_t cap, smtpf_str s)
{
  ck_assert_uint_lt(s.n, cap);
  if (s.n)
    memcpy(to, s.p, s.n);
  to[s.n] = '\0';
}

/* What ext/check.h promises of a finding holds for every finding of every test. */
int smtpf_task_report(smtpf_task *t, const smtpf_finding *f)
{
  fake_finding *to = &t->findings[t->n];

  ck_assert_uint_lt(t->n++, FAKE_FINDINGS);
  ck_assert_uint_eq(f->size, sizeof *f);
  ck_assert(f->kind == SMTPF_CLEAR || f->kind == SMTPF_HIT || f->kind == SMTPF_UNKNOWN);
  ck_assert(f->code && *f->code);
  ck_assert(f->kind != SMTPF_UNKNOWN || f->score == 0);
  if (f->flags & SMTPF_FINDING_REFUSE)
    ck_assert(f->kind == SMTPF_HIT && (!f->reply || f->reply / 100 == 5) && (!f->enhanced || *f->enhanced == '5'));
  else if (f->flags & SMTPF_FINDING_ELECTIVE)
    ck_assert(f->kind != SMTPF_CLEAR && (!f->reply || f->reply / 100 == 4) && (!f->enhanced || *f->enhanced == '4'));
  else if (f->flags & SMTPF_FINDING_DEFER)
    ck_assert(f->kind == SMTPF_UNKNOWN && (!f->reply || f->reply / 100 == 4) && (!f->enhanced || *f->enhanced == '4'));
  else
    ck_assert_msg(!f->reply && !f->enhanced, "%s: a reply code and yet no reply", f->code);
  if ((f->score > 0 || (f->flags & (SMTPF_FINDING_REFUSE | SMTPF_FINDING_DEFER))) && !fake_fail_at)
    ck_assert_msg(f->text.n > 0, "%s: a client that pays is told why", f->code);
  *to = (fake_finding){f->kind, f->code, f->enhanced, f->score, f->flags, f->reply, f->recipient, "", ""};
  if (f->flags & SMTPF_FINDING_ELECTIVE)
    ck_assert(f->text.n > 0);
  if (f->flags & (SMTPF_FINDING_REFUSE | SMTPF_FINDING_DEFER)) { /* the defaults the core fills in */
    const int refuse = f->kind == SMTPF_HIT;
    to->reply = f->reply ? f->reply : refuse ? 550 : 451;
    to->enhanced = f->enhanced ? f->enhanced : refuse ? "5.7.1" : "4.7.1";
  }
  copy(to->detail, sizeof to->detail, f->detail);
  copy(to->text, sizeof to->text, f->text);
  return SMTPF_OK;
}

int smtpf_task_clear(smtpf_task *t, const char *code)
{
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_CLEAR, .code = code};
  return smtpf_task_report(t, &f);
}

int smtpf_task_unknown(smtpf_task *t, const char *cause, smtpf_str detail)
{
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_UNKNOWN, .code = cause, .detail = detail};
  return smtpf_task_report(t, &f);
}

int smtpf_task_delay(smtpf_task *t, int64_t ms)
{
  t->delay_ms = ms > t->delay_ms ? ms : t->delay_ms;
  return SMTPF_OK;
}

const smtpf_event *smtpf_task_event(const smtpf_task *t)
{
  return &t->ev;
}

int32_t smtpf_task_score(const smtpf_task *t)
{
  return t->score;
}

void *smtpf_task_alloc(smtpf_task *t, size_t n)
{
  void *p = fake_alloc(NULL, n);
  ck_assert_uint_lt(t->n_memory, FAKE_MEMORY);
  if (p)
    t->memory[t->n_memory++] = memset(p, 0, n);
  return p;
}

void **smtpf_task_slot(smtpf_task *t)
{
  return &t->slot;
}

int smtpf_task_fact_set(smtpf_task *t, const char *name, smtpf_str value, int connection)
{
  size_t i = 0;
  while (i < t->n_facts && strcmp(t->facts[i].name, name) != 0)
    i++;
  if (++fake_count == fake_fail_at)
    return SMTPF_ENOMEM;
  ck_assert_uint_lt(i, FAKE_MAX);
  t->n_facts += i == t->n_facts;
  t->facts[i].name = name;
  t->facts[i].connection = connection;
  copy(t->facts[i].value, sizeof t->facts[i].value, value);
  return SMTPF_OK;
}

smtpf_str smtpf_task_fact(const smtpf_task *t, const char *name)
{
  for (size_t i = 0; i < t->n_facts; i++)
    if (!strcmp(t->facts[i].name, name))
      return smtpf_str_of(t->facts[i].value);
  return (smtpf_str){NULL, 0};
}

static int question(smtpf_task *t, int kind, int type, smtpf_str name, int64_t ms, uint32_t tag)
{
  fake_question *q = &t->questions[t->asked];

  if (t->asked_max && t->asked == t->asked_max)
    return SMTPF_ELIMIT;
  if (++fake_count == fake_fail_at)
    return SMTPF_ENOMEM;
  ck_assert_uint_lt(t->asked++, 2 * FAKE_MAX);
  *q = (fake_question){.kind = kind, .type = type, .tag = tag, .ms = ms, .open = 1};
  copy(q->name, sizeof q->name, name);
  return SMTPF_OK;
}

int smtpf_task_query(smtpf_task *t, int type, smtpf_str name, uint32_t tag)
{
  ck_assert_uint_le(name.n, 253);
  return question(t, SMTPF_ANSWER_DNS, type, name, 0, tag);
}

int smtpf_task_lookup(smtpf_task *t, smtpf_str address, uint32_t tag)
{
  return question(t, SMTPF_ANSWER_DIRECTORY, 0, address, 0, tag);
}

int smtpf_task_get(smtpf_task *t, smtpf_str key, uint32_t tag)
{
  ck_assert(key.n >= 1 && key.n <= 64);
  return question(t, SMTPF_ANSWER_STORE, 0, (smtpf_str){NULL, 0}, 0, tag);
}

static void note_change(smtpf_task *t, const smtpf_change *c, int settled)
{
  smtpf_change *to = &t->changes[t->n_changes];
  char *bytes = t->change_bytes[t->n_changes];

  ck_assert_uint_lt(t->n_changes, sizeof t->changes / sizeof t->changes[0]);
  ck_assert_uint_eq(c->size, sizeof *c);
  ck_assert(c->key.n >= 1 && c->key.n <= 64 && c->value.n <= sizeof t->change_bytes[0] - 64);
  t->settled[t->n_changes++] = settled;
  *to = *c;
  memcpy(bytes, c->key.p, c->key.n);
  if (c->value.n)
    memcpy(bytes + 64, c->value.p, c->value.n);
  to->key.p = bytes;
  to->value.p = bytes + 64;
}

int smtpf_task_commit(smtpf_task *t, const smtpf_change *changes, size_t n, uint32_t tag)
{
  int r = question(t, SMTPF_ANSWER_STORE, 0, (smtpf_str){NULL, 0}, 0, tag);
  for (size_t i = 0; r == SMTPF_OK && i < n; i++)
    note_change(t, &changes[i], 0);
  return r;
}

int smtpf_task_settle(smtpf_task *t, const smtpf_change *changes, size_t n)
{
  if (++fake_count == fake_fail_at)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < n; i++)
    note_change(t, &changes[i], 1);
  return SMTPF_OK;
}

int smtpf_task_note(smtpf_task *t, const smtpf_change *changes, size_t n)
{
  if (++fake_count == fake_fail_at)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < n; i++)
    note_change(t, &changes[i], 0);
  return SMTPF_OK;
}

int smtpf_task_greylists(const smtpf_task *t)
{
  return t->greylists;
}

int smtpf_task_timer(smtpf_task *t, int64_t ms, uint32_t tag)
{
  return question(t, SMTPF_ANSWER_TIMER, 0, (smtpf_str){NULL, 0}, ms, tag);
}

/* ---- driving a check ----------------------------------------------------------------------------------- */

int fake_open(smtpf_task *t, const smtpf_check *check, smtpf_error *err)
{
  static struct smtpf_section root;

  memset(t, 0, sizeof *t);
  t->check = checks_rows = check;
  t->ev.size = sizeof t->ev;
  t->ev.protocol = SMTPF_SMTP;
  t->ev.client = &t->client;
  t->ev.local = &t->local;
  t->status = check->open(&t->self, &root, err);
  ck_assert_msg(t->status == SMTPF_OK || !t->self, "%s: open failed and yet wrote *self", check->name);
  return t->status;
}

/* The evidence of the last run dies. */
static void forget(smtpf_task *t)
{
  while (t->n_memory)
    fake_free(NULL, t->memory[--t->n_memory]);
  t->n = t->asked = t->n_changes = t->n_edits = 0;
  t->delay_ms = 0;
  t->slot = NULL;
  t->seen = 0;
}

void fake_close(smtpf_task *t)
{
  forget(t);
  if (t->room)
    t->room_done(t->room);
  t->room = NULL;
  t->check->close(t->self);
  t->self = NULL;
}

void fake_client(smtpf_task *t, const char *address)
{
  ck_assert_int_eq(smtpf_ip_parse(smtpf_str_of(address), &t->client), SMTPF_OK);
  t->ev.client_text = (smtpf_str){t->client_text, smtpf_ip_format(&t->client, t->client_text)};
}

void fake_local(smtpf_task *t, const char *address)
{
  ck_assert_int_eq(smtpf_ip_parse(smtpf_str_of(address), &t->local), SMTPF_OK);
}

void fake_sender(smtpf_task *t, const char *path)
{
  ck_assert_int_eq(smtpf_path_parse(smtpf_str_of(path), &t->sender), SMTPF_OK);
  t->ev.sender = &t->sender;
}

void fake_recipient(smtpf_task *t, const char *path)
{
  ck_assert_int_eq(smtpf_path_parse(smtpf_str_of(path), &t->recipient), SMTPF_OK);
  t->ev.recipient = &t->recipient;
  t->ev.mailbox = t->recipient.form == SMTPF_PATH_MAILBOX ? t->recipient.address : (smtpf_str){"", 0};
  t->ev.returns_to = (smtpf_str){"", 0};
  t->ev.signature = SMTPF_SIGNATURE_NONE;
}

int fake_run(smtpf_task *t, int stage)
{
  forget(t);
  t->ev.stage = stage;
  ck_assert(t->check->stages & (uint32_t)stage);
  return t->status = t->check->run(t->self, t, &t->ev);
}

static fake_question *find(smtpf_task *t, int kind, int type, const char *name, int64_t ms)
{
  for (size_t i = 0; i < t->asked; i++) {
    fake_question *q = &t->questions[i];
    if (q->open && q->kind == kind && q->type == type && q->ms == ms && !strcmp(q->name, name))
      return q;
  }
  return NULL;
}

static int answer(smtpf_task *t, fake_question *q, smtpf_answer *a)
{
  ck_assert_msg(q != NULL, "nobody asked");
  ck_assert_int_eq(t->status, SMTPF_PENDING);
  q->open = 0;
  a->size = sizeof *a;
  a->kind = q->kind;
  a->tag = q->tag;
  return t->status = t->check->resume(t->self, t, a);
}

int fake_asked(const smtpf_task *t, int type, const char *name)
{
  int n = 0;
  for (size_t i = 0; i < t->asked; i++)
    n += t->questions[i].kind == SMTPF_ANSWER_DNS && t->questions[i].type == type &&
         (!name || !strcmp(t->questions[i].name, name));
  return n;
}

int fake_dns(smtpf_task *t, int type, const char *name, int status, const char *const *records, size_t n)
{
  smtpf_dns_record r[64] = {{0}};
  smtpf_dns_answer dns = {sizeof dns, status, 60, n, r};
  smtpf_answer a = {.dns = &dns};

  ck_assert_uint_le(n, 64);
  for (size_t i = 0; i < n; i++) {
    r[i].type = type;
    r[i].text = smtpf_str_of(records[i]);
    if (type == SMTPF_DNS_A || type == SMTPF_DNS_AAAA)
      ck_assert_int_eq(smtpf_ip_parse(r[i].text, &r[i].ip), SMTPF_OK);
  }
  return answer(t, find(t, SMTPF_ANSWER_DNS, type, name, 0), &a);
}

int fake_dns_fails(smtpf_task *t, int type, const char *name, int status)
{
  return fake_dns(t, type, name, status, NULL, 0);
}

int fake_directory(smtpf_task *t, const char *address, int status, const char *cause)
{
  smtpf_directory_answer d = {.size = sizeof d, .status = status, .cause = smtpf_str_of(cause)};
  smtpf_answer a = {.directory = &d};
  return answer(t, find(t, SMTPF_ANSWER_DIRECTORY, 0, address, 0), &a);
}

int fake_timer(smtpf_task *t, int64_t ms)
{
  smtpf_answer a = {0};
  return answer(t, find(t, SMTPF_ANSWER_TIMER, 0, "", ms), &a);
}

int fake_store(smtpf_task *t, uint32_t tag, int status, smtpf_str value)
{
  smtpf_answer a = {.store = status, .value = value};
  fake_question *q = NULL;
  for (size_t i = 0; i < t->asked && !q; i++)
    if (t->questions[i].open && t->questions[i].kind == SMTPF_ANSWER_STORE && t->questions[i].tag == tag)
      q = &t->questions[i];
  return answer(t, q, &a);
}
