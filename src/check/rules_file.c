/* SPDX-License-Identifier: MIT
 *
 * rules_file: the form of rule files. A line is a comment (`#`), empty, or a word and what belongs to it:
 *
 *   rule NAME                          begins a rule; the lines below it are its own
 *     match PLACE [FIELD] /PATTERN/imsx    or "these very bytes"i
 *     all NAME ...    any NAME ...    not NAME ...
 *     score 2.5
 *     text fit for a reply
 *     expires 2027-06-30
 */
#include <stdio.h>

#include "rules.h"

enum { LINE_MAX = 16384, NAME_MAX_BYTES = 64, FIELD_MAX = 128, TEXT_MAX = 300, FILE_MAX = 16 << 20 };
enum { RULES_MAX = 20000, SCORE_MAX = 1000 };

typedef struct reader {
  rules_set *set;
  uint32_t file;
  int line;
  rules_rule *rule; /* the one being read; NULL before the first */
  unsigned seen;    /* words that may come once, as bits */
  smtpf_error *err;
} reader;

static const struct {
  const char *word;
  uint8_t named;   /* a field's name follows */
  uint8_t decoded; /* UTF-8, by the walker's care */
} places[RULES_PLACES] = {
    [RULES_CLIENT] = {"client", 0, 0},
    [RULES_CLIENT_NAME] = {"client-name", 0, 0},
    [RULES_HELO] = {"helo", 0, 0},
    [RULES_SENDER] = {"sender", 0, 0},
    [RULES_RECIPIENT] = {"recipient", 0, 0},
    [RULES_HEADER] = {"header", 1, 1},
    [RULES_RAW_HEADER] = {"raw-header", 1, 0},
    [RULES_PART] = {"part", 1, 1},
    [RULES_TEXT] = {"text", 0, 1},
    [RULES_BODY] = {"body", 0, 0},
    [RULES_ATTACHMENT] = {"attachment", 0, 1},
    [RULES_DEFECT] = {"defect", 0, 0},
};

const char *rules_place_word(int place)
{
  return places[place].word;
}

static int fail(const reader *r, int code, const char *what, smtpf_str value, const char *expected)
{
  return rules_fail(r->set, r->err, code, r->file, r->line, what, value, expected);
}

/* ---- words ---------------------------------------------------------------------------------------------- */

static int is_blank(char c)
{
  return c == ' ' || c == '\t';
}

static int is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static smtpf_str trim(smtpf_str s)
{
  while (s.n && is_blank(s.p[0]))
    s.p++, s.n--;
  while (s.n && is_blank(s.p[s.n - 1]))
    s.n--;
  return s;
}

static int is(smtpf_str s, const char *word)
{
  const size_t n = strlen(word);
  return s.n == n && !memcmp(s.p, word, n);
}

/* The first word of *rest, which moves behind it and the blanks that follow. */
static smtpf_str next_word(smtpf_str *rest)
{
  smtpf_str w = {rest->p, 0};
  while (w.n < rest->n && !is_blank(w.p[w.n]))
    w.n++;
  *rest = trim((smtpf_str){rest->p + w.n, rest->n - w.n});
  return w;
}

/* Letters, digits, hyphen, underscore, dot; a letter first. */
static int is_name(smtpf_str s)
{
  if (!s.n || s.n > NAME_MAX_BYTES || rules_lower(s.p[0]) < 'a' || rules_lower(s.p[0]) > 'z')
    return 0;
  for (size_t i = 0; i < s.n; i++) {
    const char c = rules_lower(s.p[i]);
    if (!((c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '.'))
      return 0;
  }
  return 1;
}

/* RFC 5322 3.6.8, or `*`. */
static int is_field(smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == ':')
      return 0;
  return s.n > 0 && s.n <= FIELD_MAX;
}

/* ---- match ---------------------------------------------------------------------------------------------- */

static int read_flags(const reader *r, smtpf_str letters, uint32_t *flags)
{
  for (size_t i = 0; i < letters.n; i++) {
    const char c = letters.p[i];
    const uint32_t flag = c == 'i'   ? SMTPF_PATTERN_CASELESS
                          : c == 'm' ? SMTPF_PATTERN_MULTILINE
                          : c == 's' ? SMTPF_PATTERN_DOTALL
                          : c == 'x' ? SMTPF_PATTERN_EXTENDED
                                     : 0;
    if (!flag || ((*flags & SMTPF_PATTERN_LITERAL) && c != 'i'))
      return fail(r, SMTPF_EPARSE, "no such flag", (smtpf_str){letters.p + i, 1},
                  *flags & SMTPF_PATTERN_LITERAL ? "i, behind the closing quote"
                                                 : "i, m, s or x, behind the last slash");
    *flags |= flag;
  }
  return SMTPF_OK;
}

/* /.../imsx or "..."i: it ends at the last such sign of the line, hence none inside needs a backslash. */
static int read_pattern(const reader *r, smtpf_str s, rules_match *m)
{
  const char sign = s.n ? s.p[0] : '\0';
  size_t end = s.n;
  if (sign != '/' && sign != '"')
    return fail(r, SMTPF_EPARSE, "not a pattern", s, "/an expression/ or \"these very bytes\"");
  while (s.p[end - 1] != sign)
    end--;
  if (end == 1)
    return fail(r, SMTPF_EPARSE, "this pattern does not end", s,
                sign == '/' ? "a slash behind it" : "a quote behind it");
  m->pattern = (smtpf_str){s.p + 1, end - 2};
  m->flags |= sign == '"' ? SMTPF_PATTERN_LITERAL : 0;
  if (!m->pattern.n)
    return fail(r, SMTPF_EPARSE, "an empty pattern, which matches everything", (smtpf_str){NULL, 0}, NULL);
  return read_flags(r, (smtpf_str){s.p + end, s.n - end}, &m->flags);
}

static int read_match(reader *r, smtpf_str rest)
{
  const smtpf_str word = next_word(&rest);
  rules_set *s = r->set;
  rules_match m = {.rule = (uint32_t)(r->rule - s->rules), .line = r->line};
  int place = 0;
  while (place < RULES_PLACES && !is(word, places[place].word))
    place++;
  if (place == RULES_PLACES)
    return fail(r, SMTPF_EPARSE, "no such place", word,
                "client, client-name, helo, sender, recipient, header, raw-header, part, text, body, attachment or "
                "defect");
  m.place = (uint8_t)place;
  m.flags = places[place].decoded ? SMTPF_PATTERN_UTF : 0;
  if (places[place].named) {
    m.field = next_word(&rest);
    if (!is_field(m.field))
      return fail(r, SMTPF_EPARSE, "not a field name", m.field, "e.g. Subject, or * for all fields");
  }
  const int code = read_pattern(r, rest, &m);
  if (code != SMTPF_OK)
    return code;
  if (rules_grow(&s->mem, (void **)&s->matches, &s->cap_matches, s->n_matches, sizeof m) != SMTPF_OK)
    return SMTPF_ENOMEM;
  s->matches[s->n_matches++] = m;
  r->rule->n_matches++;
  return SMTPF_OK;
}

/* ---- the other words -------------------------------------------------------------------------------------- */

static int read_refs(reader *r, int word, smtpf_str rest)
{
  rules_set *s = r->set;
  if (!rest.n)
    return fail(r, SMTPF_EPARSE, "names of rules are missing", rest, NULL);
  while (rest.n) {
    rules_ref ref = {.word = (uint8_t)word, .line = r->line, .name = next_word(&rest)};
    if (!is_name(ref.name))
      return fail(r, SMTPF_EPARSE, "not the name of a rule", ref.name,
                  "letters, digits, `-`, `_`, `.`, a letter first");
    if (rules_grow(&s->mem, (void **)&s->refs, &s->cap_refs, s->n_refs, sizeof ref) != SMTPF_OK)
      return SMTPF_ENOMEM;
    s->refs[s->n_refs++] = ref;
    r->rule->n_refs++;
  }
  return SMTPF_OK;
}

/* `-2.125` into thousandths. */
static int read_score(reader *r, smtpf_str s)
{
  const int minus = s.n && s.p[0] == '-';
  size_t i = (size_t)minus, decimals = 0, digits = 0;
  int64_t v = 0;
  for (int point = 0; i < s.n && v <= SCORE_MAX * 1000; i++) {
    if (s.p[i] == '.' && !point && digits) {
      point = 1;
      continue;
    }
    if (!is_digit(s.p[i]) || decimals == 3)
      break;
    v = v * 10 + (s.p[i] - '0');
    decimals += (size_t)point;
    digits++;
  }
  const int whole = i == s.n && digits && s.p[s.n - 1] != '.';
  for (; decimals < 3; decimals++)
    v *= 10;
  if (!whole || v > SCORE_MAX * 1000)
    return fail(r, SMTPF_EPARSE, "not a score", s, "e.g. 2.5 or -1, at most three decimals, from -1000 to 1000");
  r->rule->score = (int32_t)(minus ? -v : v);
  r->rule->scored = 1;
  return SMTPF_OK;
}

static int read_text(reader *r, smtpf_str s)
{
  if (!s.n || s.n > TEXT_MAX)
    return fail(r, SMTPF_EPARSE, "a text fit for a reply", (smtpf_str){NULL, 0}, "1 to 300 bytes");
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] < ' ' || s.p[i] >= 0x7f)
      return fail(r, SMTPF_EPARSE, "a reply is printable ASCII", s, NULL);
  r->rule->text = s;
  return SMTPF_OK;
}

static int number(smtpf_str s, size_t at, size_t n)
{
  int v = 0;
  for (size_t i = at; i < at + n; i++) {
    if (!is_digit(s.p[i]))
      return -1;
    v = v * 10 + (s.p[i] - '0');
  }
  return v;
}

/* Seconds since 1970 of the beginning of a day. */
static int64_t seconds_of(int64_t y, int m, int d)
{
  const int64_t from_march = y - (m <= 2), era = from_march / 400, of_era = from_march - era * 400;
  const int64_t day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return (era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719468) * 86400;
}

static int read_expires(reader *r, smtpf_str s)
{
  static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int form = s.n == 10 && s.p[4] == '-' && s.p[7] == '-';
  const int y = form ? number(s, 0, 4) : -1, m = form ? number(s, 5, 2) : -1, d = form ? number(s, 8, 2) : -1;
  const int leap = y > 0 && m == 2 && (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
  if (y < 1970 || m < 1 || m > 12 || d < 1 || d > days[m - 1] + leap)
    return fail(r, SMTPF_EPARSE, "not a date", s, "e.g. 2027-06-30");
  r->rule->expires = seconds_of(y, m, d);
  return SMTPF_OK;
}

/* ---- rules ------------------------------------------------------------------------------------------------- */

/* The rule that ends here says when it hits. */
static int end_rule(const reader *r)
{
  if (!r->rule || r->rule->n_matches || r->rule->n_refs)
    return SMTPF_OK;
  return rules_fail(r->set, r->err, SMTPF_EINVAL, r->file, r->rule->line, "a rule without a condition", r->rule->name,
                    "match, all, any or not below it");
}

/* The name becomes a word of its own in the file's text: what is behind it has been read. */
static int begin_rule(reader *r, smtpf_str name)
{
  char *text = r->set->files[r->file].text;
  rules_set *s = r->set;
  const int code = end_rule(r);
  if (code != SMTPF_OK)
    return code;
  if (!is_name(name))
    return fail(r, SMTPF_EPARSE, "not a name for a rule", name, "letters, digits, `-`, `_`, `.`, a letter first");
  if (s->n_rules == RULES_MAX)
    return fail(r, SMTPF_ELIMIT, "more than 20000 rules", (smtpf_str){NULL, 0}, NULL);
  if (rules_grow(&s->mem, (void **)&s->rules, &s->cap_rules, s->n_rules, sizeof *s->rules) != SMTPF_OK)
    return SMTPF_ENOMEM;
  text[name.p + name.n - text] = '\0';
  r->rule = &s->rules[s->n_rules++];
  *r->rule = (rules_rule){.name = name,
                          .file = r->file,
                          .line = r->line,
                          .match = (uint32_t)s->n_matches,
                          .ref = (uint32_t)s->n_refs,
                          .expires = INT64_MAX};
  r->seen = 0;
  return SMTPF_OK;
}

/* Words that say one thing come once. */
static int once(reader *r, smtpf_str word, unsigned bit)
{
  if (r->seen & bit)
    return fail(r, SMTPF_EINVAL, "a second time in this rule", word, NULL);
  r->seen |= bit;
  return SMTPF_OK;
}

static int read_line(reader *r, smtpf_str line)
{
  smtpf_str rest = line;
  const smtpf_str word = next_word(&rest);
  int code = SMTPF_OK;
  if (is(word, "rule"))
    return begin_rule(r, rest);
  if (!r->rule)
    return fail(r, SMTPF_EPARSE, "outside of a rule", word, "rule NAME before it");
  if (is(word, "match"))
    return read_match(r, rest);
  if (is(word, "all"))
    return read_refs(r, RULES_ALL, rest);
  if (is(word, "any"))
    return read_refs(r, RULES_ANY, rest);
  if (is(word, "not"))
    return read_refs(r, RULES_NOT, rest);
  if (is(word, "score"))
    return (code = once(r, word, 1)) == SMTPF_OK ? read_score(r, rest) : code;
  if (is(word, "text"))
    return (code = once(r, word, 2)) == SMTPF_OK ? read_text(r, rest) : code;
  if (is(word, "expires"))
    return (code = once(r, word, 4)) == SMTPF_OK ? read_expires(r, rest) : code;
  return fail(r, SMTPF_EPARSE, "no such word", word, "rule, match, all, any, not, score, text or expires");
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static int check_bytes(const reader *r, smtpf_str line)
{
  if (line.n > LINE_MAX)
    return fail(r, SMTPF_ELIMIT, "a line of more than 16384 bytes", (smtpf_str){NULL, 0}, NULL);
  for (size_t i = 0; i < line.n; i++)
    if ((unsigned char)line.p[i] < ' ' && line.p[i] != '\t')
      return fail(r, SMTPF_EPARSE, "a control character", (smtpf_str){NULL, 0}, NULL);
  return SMTPF_OK;
}

int rules_parse(rules_set *s, smtpf_str name, char *text, size_t n, smtpf_error *err)
{
  reader r = {.set = s, .file = (uint32_t)s->n_files, .err = err};
  smtpf_str rest = {text, n};
  int code = rules_grow(&s->mem, (void **)&s->files, &s->cap_files, s->n_files, sizeof *s->files);
  if (code != SMTPF_OK) {
    s->mem.free(s->mem.user, text);
    return code;
  }
  s->files[s->n_files++] = (rules_file){name, text};
  while (rest.n && code == SMTPF_OK) {
    const char *lf = memchr(rest.p, '\n', rest.n);
    smtpf_str line = {rest.p, lf ? (size_t)(lf - rest.p) : rest.n};
    const size_t taken = line.n + (lf != NULL);
    rest = (smtpf_str){rest.p + taken, rest.n - taken};
    r.line++;
    line.n -= line.n && line.p[line.n - 1] == '\r';
    code = check_bytes(&r, line);
    line = trim(line);
    if (code == SMTPF_OK && line.n && line.p[0] != '#')
      code = read_line(&r, line);
  }
  return code == SMTPF_OK ? end_rule(&r) : code;
}

/* The whole file in memory of the set. */
static int read_all(const smtpf_mem *mem, FILE *in, char **text, size_t *n)
{
  size_t cap = 65536, len = 0, got = 1;
  char *buf = mem->alloc(mem->user, cap);
  if (!buf)
    return SMTPF_ENOMEM;
  while (got && len <= FILE_MAX) {
    if (len + 1 == cap) { /* a byte stays free */
      char *bigger = mem->realloc(mem->user, buf, cap * 2);
      if (!bigger) {
        mem->free(mem->user, buf);
        return SMTPF_ENOMEM;
      }
      buf = bigger;
      cap *= 2;
    }
    got = fread(buf + len, 1, cap - len - 1, in);
    len += got;
  }
  if (got || ferror(in)) {
    mem->free(mem->user, buf);
    return got ? SMTPF_ELIMIT : SMTPF_EIO;
  }
  *text = buf;
  *n = len;
  return SMTPF_OK;
}

int rules_read(rules_set *s, const smtpf_section *policy, smtpf_str name, smtpf_error *err)
{
  size_t n = 0;
  char *text = NULL;
  FILE *in = name.n ? fopen(name.p, "rb") : NULL;
  if (!in)
    return smtpf_section_fail(policy, "rules.files", err, SMTPF_EIO, "cannot open", name, "a file that can be read");
  const int code = read_all(&s->mem, in, &text, &n);
  fclose(in);
  if (code == SMTPF_EIO || code == SMTPF_ELIMIT)
    return smtpf_section_fail(policy, "rules.files", err, code, "cannot read", name, "a file of at most 16 MiB");
  return code == SMTPF_OK ? rules_parse(s, name, text, n, err) : code;
}
