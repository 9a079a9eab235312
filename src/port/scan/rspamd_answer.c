/* SPDX-License-Identifier: MIT
 *
 * A reply of rspamd, read: its action, its score, what it has found, and the header fields it wishes to change. Only
 * `reject` and `discard` are hits. What rspamd would put off (`soft reject`) is unknown, because only what is unknown
 * may put mail off, within the budget of deferrals; every other action is a score among the scores of other checks.
 */
#include <jansson.h>
#include <string.h>

#include "base/str.h"
#include "rspamd.h"

enum { SYMBOLS_MAX = 24 }; /* in the detail: those with the greatest scores */

typedef struct reader {
  smtpf_arena *a;
  const smtpf_rspamd_names *names;
  smtpf_scan_result *out;
  smtpf_scan_edit *edits;
  size_t used; /* bytes of all values */
} reader;

/* ---- text ------------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 sequence at p; 0 when it is none (RFC 3629). */
static size_t sequence(const unsigned char *p, size_t n)
{
  const size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
  if (len == 0 || len > n)
    return 0;
  for (size_t i = 1; i < len; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
      (p[0] == 0xf4 && p[1] > 0x8f))
    return 0;
  return len;
}

/* Words of the message come back as they were, and what is not UTF-8 is no JSON. */
static void make_utf8(char *bytes, size_t n)
{
  for (size_t i = 0; i < n;) {
    const size_t len = sequence((const unsigned char *)bytes + i, n - i);
    if (len == 0)
      bytes[i] = '?';
    i += len ? len : 1;
  }
}

static smtpf_str text_of(const json_t *j)
{
  return json_is_string(j) ? (smtpf_str){json_string_value(j), json_string_length(j)} : (smtpf_str){NULL, 0};
}

/* A copy in the arena, on one line: folding becomes one blank, what does not belong into a field `?`. */
static smtpf_str one_line(smtpf_arena *a, smtpf_str s)
{
  const smtpf_str none = {NULL, 0};
  s = smtpf_str_trim(s);
  char *p = smtpf_arena_bytes(a, s.n + 1);
  if (!p)
    return none;
  size_t n = 0;
  for (size_t i = 0; i < s.n; i++) {
    const char c = s.p[i];
    if (c == '\r' || c == '\n') {
      while (i + 1 < s.n && strchr("\r\n\t ", s.p[i + 1]) && s.p[i + 1])
        i++;
      p[n++] = ' ';
    } else {
      p[n++] = c == '\t' || (c >= ' ' && c <= '~') ? c : '?';
    }
  }
  p[n] = '\0';
  return (smtpf_str){p, n};
}

/* `add header` and `add_header` are the same word. */
static int is_action(smtpf_str action, const char *word)
{
  size_t i = 0;
  while (i < action.n && word[i] && (action.p[i] == '_' ? ' ' : smtpf_lower(action.p[i])) == word[i])
    i++;
  return i == action.n && !word[i];
}

static int32_t thousandths(double v)
{
  const double limit = 1000000.0;
  if (v > limit)
    v = limit;
  if (v < -limit)
    v = -limit;
  return (int32_t)(v * 1000.0 + (v < 0 ? -0.5 : 0.5));
}

/* ---- header edits ----------------------------------------------------------------------------------------------- */

static int is_field_name(smtpf_str name)
{
  for (size_t i = 0; i < name.n; i++)
    if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
      return 0;
  return name.n > 0 && name.n < 200;
}

static void edit(reader *r, int op, const char *name, smtpf_str value, int occurrence)
{
  smtpf_str copy;
  if (r->out->n_edits == SMTPF_RSPAMD_EDITS || !is_field_name(smtpf_str_of(name)) || value.n > SMTPF_RSPAMD_VALUE ||
      value.n > SMTPF_RSPAMD_VALUES - r->used || smtpf_arena_copy(r->a, smtpf_str_of(name), &copy) != SMTPF_OK)
    return;
  value = op == SMTPF_EDIT_DELETE ? SMTPF_LIT("") : one_line(r->a, value);
  r->used += value.n;
  if (value.p)
    r->edits[r->out->n_edits++] = (smtpf_scan_edit){sizeof(smtpf_scan_edit), op, copy, value, occurrence};
}

/* 0: all fields of that name, n: the nth, -n: the nth from the last. */
static void remove_field(reader *r, const char *name, const json_t *which)
{
  if (!json_is_number(which))
    return;
  const double n = json_number_value(which);
  const unsigned there = smtpf_rspamd_names_count(r->names, smtpf_str_of(name));
  if (n >= 0 && n <= 100000)
    edit(r, SMTPF_EDIT_DELETE, name, SMTPF_LIT(""), (int)n);
  else if (n < 0 && -n <= there)
    edit(r, SMTPF_EDIT_DELETE, name, SMTPF_LIT(""), (int)(there + 1 + n));
  else if (n == -1 && !there) /* perhaps not counted */
    edit(r, SMTPF_EDIT_DELETE, name, SMTPF_LIT(""), -1);
}

/* `order` from 0 is a place near the top, negative near the end; without one at the end. */
static void add_field(reader *r, const char *name, const json_t *field)
{
  const json_t *order = json_object_get(field, "order");
  if (!order)
    order = json_object_get(field, "index");
  if (json_is_object(field))
    field = json_object_get(field, "value");
  if (json_is_string(field))
    edit(r, json_is_number(order) && json_number_value(order) >= 0 ? SMTPF_EDIT_PREPEND : SMTPF_EDIT_APPEND, name,
         text_of(field), 0);
}

/* A value, or an array of values. */
static void each(reader *r, const char *name, const json_t *value,
                 void (*fn)(reader *r, const char *name, const json_t *value))
{
  if (!json_is_array(value)) {
    fn(r, name, value);
    return;
  }
  for (size_t i = 0; i < json_array_size(value); i++)
    fn(r, name, json_array_get(value, i));
}

static void each_field(reader *r, json_t *fields, void (*fn)(reader *r, const char *name, const json_t *value))
{
  const char *name;
  json_t *value;
  json_object_foreach(fields, name, value) each(r, name, value, fn);
}

static void sign(reader *r, const char *name, const json_t *value)
{
  if (json_is_string(value))
    edit(r, SMTPF_EDIT_PREPEND, name, text_of(value), 0);
}

static void read_edits(reader *r, const json_t *root, smtpf_str action)
{
  const json_t *milter = json_object_get(root, "milter");
  const smtpf_str subject = text_of(json_object_get(root, "subject"));
  r->out->edits = r->edits;
  each_field(r, json_object_get(milter, "remove_headers"), remove_field);
  each_field(r, json_object_get(milter, "add_headers"), add_field);
  each(r, "DKIM-Signature", json_object_get(root, "dkim-signature"), sign);
  if (is_action(action, "rewrite subject") && subject.n && r->out->n_edits + 2 <= SMTPF_RSPAMD_EDITS) {
    edit(r, SMTPF_EDIT_DELETE, "Subject", SMTPF_LIT(""), 0);
    edit(r, SMTPF_EDIT_PREPEND, "Subject", subject, 0);
  }
}

/* ---- detail ----------------------------------------------------------------------------------------------------- */

typedef struct symbol {
  const char *name;
  int32_t score, weight; /* weight: without its sign */
} symbol;

/* The greatest first; equal ones as they stand. */
static size_t read_symbols(const json_t *root, symbol *v)
{
  size_t n = 0;
  const char *name;
  json_t *value;
  json_object_foreach(json_object_get(root, "symbols"), name, value)
  {
    const int32_t score = thousandths(json_number_value(json_object_get(value, "score")));
    const symbol s = {name, score, score < 0 ? -score : score};
    size_t at = n;
    while (at > 0 && v[at - 1].weight < s.weight)
      at--;
    if (at == SYMBOLS_MAX)
      continue;
    const size_t move = n - at - (n == SYMBOLS_MAX);
    memmove(v + at + 1, v + at, move * sizeof *v);
    v[at] = s;
    n += n < SYMBOLS_MAX;
  }
  return n;
}

/* `add header 7/15 "message" SYMBOL(7) OTHER(-0.5)` */
static void read_detail(reader *r, const json_t *root, smtpf_str action)
{
  char room[SMTPF_RSPAMD_DETAIL];
  smtpf_out o;
  symbol v[SYMBOLS_MAX];
  const size_t n = read_symbols(root, v);
  const smtpf_str says = text_of(json_object_get(json_object_get(root, "messages"), "smtp_message"));
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_printable(&o, action.n > 40 ? (smtpf_str){action.p, 40} : action, 0);
  if (r->out->scored) {
    smtpf_out_char(&o, ' ');
    smtpf_out_milli(&o, r->out->score);
    smtpf_out_char(&o, '/');
    smtpf_out_milli(&o, thousandths(json_number_value(json_object_get(root, "required_score"))));
  }
  if (json_is_true(json_object_get(root, "is_skipped")))
    smtpf_out_cstr(&o, " skipped");
  if (says.n) {
    smtpf_out_cstr(&o, " \"");
    smtpf_out_printable(&o, says.n > 160 ? (smtpf_str){says.p, 160} : says, 0);
    smtpf_out_char(&o, '"');
  }
  for (size_t i = 0; i < n && o.n + strlen(v[i].name) + 20 < o.cap; i++) {
    smtpf_out_char(&o, ' ');
    smtpf_out_printable(&o, smtpf_str_of(v[i].name), 0);
    smtpf_out_char(&o, '(');
    smtpf_out_milli(&o, v[i].score);
    smtpf_out_char(&o, ')');
  }
  if (smtpf_arena_copy(r->a, smtpf_out_done(&o), &r->out->detail) != SMTPF_OK)
    r->out->detail = SMTPF_LIT("");
}

/* ---- result ----------------------------------------------------------------------------------------------------- */

static void unknown(smtpf_scan_result *out, const char *cause)
{
  out->status = SMTPF_SCAN_UNKNOWN;
  out->cause = cause;
  out->scored = 0;
  out->score = 0;
  out->n_edits = 0;
}

/* `500 invalid command` */
static void read_error(reader *r, const json_t *root, long status)
{
  char room[200];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_int(&o, status);
  smtpf_out_char(&o, ' ');
  smtpf_out_printable(&o, text_of(json_object_get(root, "error")), 0);
  if (smtpf_arena_copy(r->a, smtpf_str_trim(smtpf_out_done(&o)), &r->out->detail) != SMTPF_OK)
    r->out->detail = SMTPF_LIT("");
  unknown(r->out, "error");
}

static void read_result(reader *r, const json_t *root)
{
  smtpf_scan_result *out = r->out;
  const smtpf_str action = text_of(json_object_get(root, "action"));
  const json_t *score = json_object_get(root, "score"), *milter = json_object_get(root, "milter");
  if (!action.n || (score && !json_is_number(score)) || (milter && !json_is_object(milter))) {
    unknown(out, "garbage");
    return;
  }
  const int rejects = is_action(action, "reject"), discards = is_action(action, "discard");
  const int ignored = json_is_true(json_object_get(milter, "no_action")); /* said by its configuration */
  out->scored = score != NULL && !ignored;
  out->score = out->scored ? thousandths(json_number_value(score)) : 0;
  read_detail(r, root, action);
  if (is_action(action, "soft reject") && !ignored) {
    unknown(out, "soft-reject");
    return;
  }
  out->status = (rejects || discards) && !ignored ? SMTPF_SCAN_HIT : SMTPF_SCAN_CLEAN;
  if (out->status == SMTPF_SCAN_HIT)
    out->name = rejects ? SMTPF_LIT("reject") : SMTPF_LIT("discard");
  read_edits(r, root, action);
}

void smtpf_rspamd_answer_read(smtpf_arena *a, char *bytes, size_t n, long status, const smtpf_rspamd_names *names,
                              smtpf_scan_result *out)
{
  const uint64_t seen = out->seen;
  reader r = {a, names, out, smtpf_arena_alloc(a, SMTPF_RSPAMD_EDITS * sizeof(smtpf_scan_edit)), 0};
  memset(out, 0, sizeof *out);
  out->size = sizeof *out;
  out->seen = seen;
  out->name = out->detail = SMTPF_LIT("");
  if (!r.edits) {
    unknown(out, "no-memory");
    return;
  }
  make_utf8(bytes, n);
  json_t *root = json_loadb(bytes, n, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
  if (status != 200 || json_is_string(json_object_get(root, "error")))
    read_error(&r, root, status);
  else if (json_is_object(root))
    read_result(&r, root);
  else
    unknown(out, "garbage");
  json_decref(root);
}
