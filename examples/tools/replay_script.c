/* SPDX-License-Identifier: MIT
 *
 * The script reader. A line is the client's, unless it begins with `@`. What the client sends after DATA is known when
 * the script is read (a `.` follows, or @file), so that a message whose DATA is refused can be left unsent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

struct reader {
  struct replay_script *script;
  const char *folder;
  smtpf_str rest; /* unread text */
  int line;       /* of the last line read */
  text *error;
};

static int fail(struct reader *r, const char *what, const char *value)
{
  replay_format(r->error, "%s:%d: %s%s%s", r->script->name, r->line, what, value ? ": " : "", value ? value : "");
  return -1;
}

/* The next line without its line end; 0 at the end. */
static int next_line(struct reader *r, smtpf_str *out)
{
  if (!r->rest.n)
    return 0;
  const char *nl = memchr(r->rest.p, '\n', r->rest.n);
  size_t n = nl ? (size_t)(nl - r->rest.p) : r->rest.n;
  *out = (smtpf_str){r->rest.p, n};
  if (out->n && out->p[out->n - 1] == '\r')
    out->n--;
  r->rest.p += n + (nl != NULL);
  r->rest.n -= n + (nl != NULL);
  r->line++;
  return 1;
}

static struct replay_item *add_item(struct reader *r, int kind)
{
  struct replay_script *s = r->script;
  if (s->n == s->cap) {
    size_t cap = s->cap ? 2 * s->cap : 16;
    struct replay_item *items = replay_alloc(cap * sizeof *items);
    if (s->n)
      memcpy(items, s->items, s->n * sizeof *items);
    free(s->items);
    s->items = items;
    s->cap = cap;
  }
  struct replay_item *item = &s->items[s->n++];
  item->kind = kind;
  item->line = r->line;
  return item;
}

/* The item owns the text from here on. */
static void give_bytes(struct replay_item *item, text *t)
{
  item->bytes = (smtpf_str){t->p, t->n};
}

static int is_line(smtpf_str line, const char *word)
{
  while (line.n && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
    line.n--;
  return smtpf_str_equal_nocase(line, smtpf_str_of(word));
}

static void add_line(text *t, smtpf_str line)
{
  text_add(t, line);
  text_cstr(t, "\r\n");
}

/* Is a message typed here? Only when its `.` comes before the next DATA, @connect or the end. */
static int message_follows(struct reader *r)
{
  struct reader ahead = *r;
  smtpf_str line;
  for (int first = 1; next_line(&ahead, &line); first = 0) {
    if ((first && line.n && line.p[0] == '@') || is_line(line, "DATA") ||
        (line.n >= 8 && strncmp(line.p, "@connect", 8) == 0))
      return 0;
    if (is_line(line, "."))
      return 1;
  }
  return 0;
}

static void read_message(struct reader *r)
{
  struct replay_item *item = add_item(r, REPLAY_MESSAGE);
  text t = {0};
  smtpf_str line;
  item->line++;
  while (next_line(r, &line)) {
    add_line(&t, line);
    if (is_line(line, "."))
      break;
  }
  give_bytes(item, &t);
}

/* ---- arguments of directives -------------------------------------------------------------------------------- */

/* Reads a file named relative to the script; LF becomes CRLF, a CRLF stays. */
static int read_file(struct reader *r, const char *name, text *out)
{
  text path = {0}, raw = {0};
  if (r->folder && name[0] != '/')
    replay_format(&path, "%s/", r->folder);
  text_cstr(&path, name);
  int bad = replay_read(&raw, replay_cstr(&path));
  if (bad)
    fail(r, strerror(errno), replay_cstr(&path));
  for (size_t i = 0; !bad && i < raw.n; i++) {
    if (raw.p[i] == '\n' && (i == 0 || raw.p[i - 1] != '\r'))
      text_char(out, '\r');
    text_char(out, raw.p[i]);
  }
  text_free(&path);
  text_free(&raw);
  return bad;
}

static void stuff(text *out, const text *message)
{
  smtpf_dot dot = {0};
  const char *p = message->p;
  size_t n = message->n;
  char room[4096], end[5];
  while (n)
    text_add(out, (smtpf_str){room, smtpf_dot_stuff(&dot, &p, &n, room, sizeof room)});
  text_add(out, (smtpf_str){end, smtpf_dot_end(&dot, end)});
}

static int hex(char c)
{
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

static int unescape(struct reader *r, const char *s, text *out)
{
  for (; *s; s++) {
    char c = *s;
    if (c == '\\') {
      switch (*++s) {
      case 'r': c = '\r'; break;
      case 'n': c = '\n'; break;
      case 't': c = '\t'; break;
      case '0': c = '\0'; break;
      case '\\': c = '\\'; break;
      case 'x':
        if (hex(s[1]) < 0 || hex(s[2]) < 0)
          return fail(r, "\\x needs two hexadecimal digits", NULL);
        c = (char)(hex(s[1]) * 16 + hex(s[2]));
        s += 2;
        break;
      default: return fail(r, "expected \\r \\n \\t \\0 \\\\ or \\xHH", NULL);
      }
    }
    text_char(out, c);
  }
  return 0;
}

int replay_number(const char *s, int64_t max, int64_t *out, const char **end)
{
  int64_t v = 0;
  const char *p = s;
  for (; *p >= '0' && *p <= '9'; p++) {
    if (v > (max - (*p - '0')) / 10)
      return -1;
    v = v * 10 + (*p - '0');
  }
  if (p == s || (!end && *p))
    return -1;
  *out = v;
  if (end)
    *end = p;
  return 0;
}

static int read_time(struct reader *r, struct replay_item *item)
{
  static const struct {
    const char *unit;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
  const char *end = NULL;
  int64_t v = 0;
  if (replay_number(item->words[0], 1000000000, &v, &end) == 0)
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
      if (strcmp(end, units[i].unit) == 0) {
        item->number = v * units[i].ms;
        return 0;
      }
  return fail(r, "expected a time such as 250ms, 3s, 6m, 4h or 1d", item->words[0]);
}

static int read_count(struct reader *r, struct replay_item *item, int word, int64_t max)
{
  if (item->words[word] && replay_number(item->words[word], max, &item->number, NULL))
    return fail(r, "expected a number", item->words[word]);
  return 0;
}

int replay_choice(const char *word, const char *const *list, text *error)
{
  for (int i = 0; list[i]; i++)
    if (strcmp(word, list[i]) == 0)
      return i + 1;
  for (int i = 0; list[i]; i++)
    replay_format(error, "%s%s", i ? ", " : "expected one of ", list[i]);
  replay_format(error, ": %s", word);
  return 0;
}

static int read_word(struct reader *r, struct replay_item *item, const char *word, const char *const *list)
{
  text what = {0};
  item->number = replay_choice(word, list, &what);
  if (!item->number)
    fail(r, replay_cstr(&what), NULL);
  text_free(&what);
  return item->number ? 0 : -1;
}

const char *replay_value(const struct replay_item *item, const char *name)
{
  for (int i = 0; i < REPLAY_PAIRS && item->pairs[i].name; i++)
    if (strcmp(item->pairs[i].name, name) == 0)
      return item->pairs[i].value;
  return NULL;
}

/* ---- directives ------------------------------------------------------------------------------------------------ */

static int file_args(struct reader *r, struct replay_item *item)
{
  text message = {0}, wire = {0};
  int bad = read_file(r, item->words[0], &message);
  if (!bad && item->kind == REPLAY_BDAT)
    bad = read_count(r, item, 1, 1 << 30);
  if (item->kind == REPLAY_MESSAGE) {
    stuff(&wire, &message);
    give_bytes(item, &wire);
    text_free(&message);
  } else {
    give_bytes(item, &message);
  }
  return bad;
}

/* Whether the client has just said DATA. */
static int after_data(const struct replay_script *s)
{
  const struct replay_item *before = s->n > 1 ? &s->items[s->n - 2] : NULL;
  smtpf_str b = before && before->kind == REPLAY_BYTES ? before->bytes : (smtpf_str){0};
  return b.n >= 6 && smtpf_str_equal_nocase((smtpf_str){b.p + b.n - 6, 6}, SMTPF_LIT("DATA\r\n"));
}

static int raw_args(struct reader *r, struct replay_item *item)
{
  text t = {0};
  if (after_data(r->script))
    item->kind = REPLAY_MESSAGE;
  int bad = unescape(r, item->arg, &t);
  give_bytes(item, &t);
  return bad;
}

static int chunk_args(struct reader *r, struct replay_item *item)
{
  return read_count(r, item, 0, 1 << 30);
}

static int overrule_args(struct reader *r, struct replay_item *item)
{
  static const char *const stages[] = {"connect", "helo", "mail", "rcpt", "data", "body", "end-of-message", NULL};
  if (read_word(r, item, item->words[0], stages) || read_count(r, item, 1, 599))
    return -1;
  return item->number < 400 ? fail(r, "expected a reply code from 400 to 599", item->words[1]) : 0;
}

static int commit_args(struct reader *r, struct replay_item *item)
{
  static const char *const results[] = {"ok", "failed", "refused", NULL};
  return read_word(r, item, item->words[item->words[1] ? 1 : 0], results);
}

static int directory_args(struct reader *r, struct replay_item *item)
{
  static const char *const states[] = {"exists", "absent", "unknown", NULL};
  const char *ttl = replay_value(item, "ttl");
  int64_t seconds;
  if (ttl && replay_number(ttl, UINT32_MAX, &seconds, NULL))
    return fail(r, "expected seconds", ttl);
  return read_word(r, item, item->words[1], states);
}

static int member_args(struct reader *r, struct replay_item *item)
{
  static const char *const routes[] = {"mailbox", "forward", NULL};
  const char *route = replay_value(item, "route");
  return route ? read_word(r, item, route, routes) : 0;
}

static int store_args(struct reader *r, struct replay_item *item)
{
  static const char *const states[] = {"ok", "fail", NULL};
  return read_word(r, item, item->words[0], states);
}

static int finding_args(struct reader *r, struct replay_item *item)
{
  struct replay_said said;
  text what = {0};
  if (strcmp(item->words[0], "none") == 0)
    return 0;
  int bad = replay_finding_read(&said, item, &what);
  if (bad)
    fail(r, replay_cstr(&what), NULL);
  text_free(&what);
  return bad;
}

/* What a reader of one kind of directive has to say against it. */
static int forward_args(struct reader *r, struct replay_item *item, int (*read)(struct replay_item *, text *))
{
  text what = {0};
  int bad = read(item, &what);
  if (bad)
    fail(r, replay_cstr(&what), NULL);
  text_free(&what);
  return bad;
}

static int callout_args(struct reader *r, struct replay_item *item)
{
  return forward_args(r, item, replay_callout_read);
}

static int report_args(struct reader *r, struct replay_item *item)
{
  return forward_args(r, item, replay_report_read);
}

static int scanner_args(struct reader *r, struct replay_item *item)
{
  struct replay_scanned said;
  text what = {0};
  if (strcmp(item->words[0], "none") == 0)
    return 0;
  int bad = replay_scanner_read(&said, item, &what);
  if (bad)
    fail(r, replay_cstr(&what), NULL);
  text_free(&what);
  return bad;
}

static const struct directive {
  const char *name;
  int kind, least, most; /* words */
  int (*args)(struct reader *r, struct replay_item *item);
  const char *const *keys; /* of its pairs; what follows `text=` is its value up to the end of the line */
} directives[] = {
    {"connect", REPLAY_CONNECT, 1, 2, NULL, NULL},
    {"file", REPLAY_MESSAGE, 1, 1, file_args, NULL},
    {"bdat", REPLAY_BDAT, 1, 2, file_args, NULL},
    {"commit", REPLAY_COMMIT, 1, 2, commit_args, (const char *const[]){"code", "enhanced", "text", NULL}},
    {"callout", REPLAY_CALLOUT, 2, 2, callout_args, (const char *const[]){"code", "enhanced", "cause", "text", NULL}},
    {"forward-report", REPLAY_REPORT, 2, 2, report_args,
     (const char *const[]){"code", "enhanced", "class", "sender", "client", "text", NULL}},
    {"advance", REPLAY_ADVANCE, 1, 1, read_time, NULL},
    {"set-back", REPLAY_SET_BACK, 1, 1, read_time, NULL},
    {"early-talk", REPLAY_EARLY_TALK, 0, 0, NULL, NULL},
    {"starttls", REPLAY_STARTTLS, 0, 2, NULL, NULL},
    {"auth", REPLAY_AUTH, 2, 2, NULL, NULL},
    {"rebind", REPLAY_REBIND, 1, 2, NULL, NULL},
    {"overrule", REPLAY_OVERRULE, 2, 2, overrule_args, NULL},
    {"queue-id", REPLAY_QUEUE_ID, 1, 1, NULL, NULL},
    {"abort", REPLAY_ABORT, 0, 0, NULL, NULL},
    {"raw", REPLAY_BYTES, 1, 0, raw_args, NULL},
    {"directory", REPLAY_DIRECTORY, 2, 3, directory_args, (const char *const[]){"canonical", "ttl", NULL}},
    {"member", REPLAY_MEMBER, 2, 2, member_args, (const char *const[]){"profile", "route", "forward", NULL}},
    {"store", REPLAY_STORE, 1, 1, store_args, NULL},
    {"finding", REPLAY_FINDING, 1, 1, finding_args,
     (const char *const[]){"check", "family", "kind", "code", "score", "flags", "for", "reply", "enhanced", "detail",
                           "text", NULL}},
    {"scanner", REPLAY_SCANNER, 1, 3, scanner_args,
     (const char *const[]){"score", "seen", "early", "after", "takes", "again", "user", "detail", "add", "remove",
                           NULL}},
    {"local", REPLAY_LOCAL, 1, 1, NULL, NULL},
    {"chunk", REPLAY_CHUNK, 1, 1, chunk_args, NULL},
};

/* Whether a word is a pair of one of these keys: how long the key is. */
static size_t key_of(smtpf_str word, const char *const *keys)
{
  for (; keys && *keys; keys++) {
    size_t n = strlen(*keys);
    if (word.n > n && word.p[n] == '=' && memcmp(word.p, *keys, n) == 0)
      return n;
  }
  return 0;
}

static void add_pair(struct replay_item *item, smtpf_str word, size_t key)
{
  int i = 0;
  while (i < REPLAY_PAIRS - 1 && item->pairs[i].name)
    i++;
  if (!item->pairs[i].name)
    item->pairs[i] =
        (struct replay_pair){replay_strdup(word.p, key), replay_strdup(word.p + key + 1, word.n - key - 1)};
}

/* The arguments: what follows ` #` is a comment, unless they are bytes as they are. */
static smtpf_str cut_comment(smtpf_str rest, int whole)
{
  if (!whole)
    for (size_t i = 1; i < rest.n; i++)
      if (rest.p[i] == '#' && (rest.p[i - 1] == ' ' || rest.p[i - 1] == '\t'))
        rest.n = i;
  while (rest.n && (*rest.p == ' ' || *rest.p == '\t'))
    rest.p++, rest.n--;
  while (rest.n && (rest.p[rest.n - 1] == ' ' || rest.p[rest.n - 1] == '\t'))
    rest.n--;
  return rest;
}

/* Cuts the arguments into words and pairs. How many words there are. */
static int cut_words(struct replay_item *item, smtpf_str rest, const char *const *keys)
{
  int words = 0;
  size_t n = 0;
  item->arg = replay_strdup(rest.p, rest.n);
  while (n < rest.n) {
    size_t start = n;
    while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\t')
      n++;
    size_t key = key_of((smtpf_str){rest.p + start, n - start}, keys);
    if (key == 4 && memcmp(rest.p + start, "text", 4) == 0)
      n = rest.n;
    if (key) {
      add_pair(item, (smtpf_str){rest.p + start, n - start}, key);
    } else {
      if (words < 3)
        item->words[words] = replay_strdup(rest.p + start, n - start);
      words++;
    }
    while (n < rest.n && (rest.p[n] == ' ' || rest.p[n] == '\t'))
      n++;
  }
  return words;
}

static int read_directive(struct reader *r, smtpf_str line)
{
  size_t n = 1;
  while (n < line.n && line.p[n] != ' ' && line.p[n] != '\t')
    n++;
  for (size_t i = 0; i < sizeof directives / sizeof *directives; i++) {
    const struct directive *d = &directives[i];
    if (strlen(d->name) != n - 1 || strncmp(d->name, line.p + 1, n - 1) != 0)
      continue;
    struct replay_item *item = add_item(r, d->kind);
    int words = cut_words(item, cut_comment((smtpf_str){line.p + n, line.n - n}, d->kind == REPLAY_BYTES), d->keys);
    if (words < d->least)
      return fail(r, "too few arguments", d->name);
    if (d->most >= d->least && d->kind != REPLAY_BYTES && words > d->most)
      return fail(r, "too many arguments", d->name);
    return d->args ? d->args(r, item) : 0;
  }
  text word = {0};
  replay_escaped(&word, (smtpf_str){line.p, n});
  fail(r, "no such directive", replay_cstr(&word));
  text_free(&word);
  return -1;
}

int replay_script_read(struct replay_script *s, const char *name, const char *folder, smtpf_str source, text *error)
{
  *s = (struct replay_script){.name = replay_strdup(name, strlen(name))};
  struct reader r = {s, folder, source, 0, error};
  smtpf_str line;
  while (next_line(&r, &line)) {
    if (!line.n || line.p[0] == '#')
      continue;
    if (line.p[0] == '@') {
      if (read_directive(&r, line))
        return -1;
      continue;
    }
    text t = {0};
    add_line(&t, line);
    give_bytes(add_item(&r, REPLAY_BYTES), &t);
    if (is_line(line, "DATA") && message_follows(&r))
      read_message(&r);
  }
  return 0;
}

void replay_script_free(struct replay_script *s)
{
  for (size_t i = 0; i < s->n; i++) {
    for (int w = 0; w < 3; w++)
      free(s->items[i].words[w]);
    for (int k = 0; k < REPLAY_PAIRS; k++) {
      free(s->items[i].pairs[k].name);
      free(s->items[i].pairs[k].value);
    }
    free(s->items[i].arg);
    free((void *)(uintptr_t)s->items[i].bytes.p);
  }
  free(s->items);
  free(s->name);
  *s = (struct replay_script){0};
}
