/* SPDX-License-Identifier: MIT
 *
 * The grammar: alternatives, sequences, quantifiers, groups. Depth and work are bounded: each byte is read once.
 */
#include "match/syntax.h"

#include <string.h>

#include "match/syntax_node.h"

static int alternatives(smtpf_reader *r, smtpf_node *out);

/* White space and comments, where they mean nothing. */
static void skip_space(smtpf_reader *r)
{
  while (r->extended && r->i < r->n) {
    unsigned char c = r->p[r->i];
    if (c == '#') {
      while (r->i < r->n && r->p[r->i] != '\n')
        r->i++;
    } else if (c == ' ' || (c >= 9 && c <= 13)) {
      r->i++;
    } else {
      return;
    }
  }
}

static int at(const smtpf_reader *r, const char *word)
{
  size_t n = strlen(word);
  return r->n - r->i >= n && memcmp(r->p + r->i, word, n) == 0;
}

/* Behind a `(`, whatever follows it was read: to the `)`. */
static int group_body(smtpf_reader *r, smtpf_node *out)
{
  int extended = r->extended;
  if (++r->depth > SMTPF_SYNTAX_DEPTH || !alternatives(r, out))
    return smtpf_reader_lose(r);
  r->depth--;
  r->extended = extended;
  if (r->i >= r->n || r->p[r->i] != ')')
    return smtpf_reader_lose(r);
  r->i++;
  return 1;
}

/* Looks ahead or behind: takes no bytes itself. */
static int look_around(smtpf_reader *r, int behind, smtpf_node *out)
{
  smtpf_node inner;
  r->behind += (unsigned)behind;
  if (r->behind > r->most_behind)
    r->most_behind = r->behind;
  if (!group_body(r, &inner))
    return 0;
  r->behind -= (unsigned)behind;
  if (!behind)
    r->ahead = smtpf_sum(r->ahead, inner.max);
  return smtpf_node_empty(r, out);
}

/* `(?i)`, `(?x-i:...)`. *group: a group follows. */
static int option_letters(smtpf_reader *r, int *group)
{
  for (int on = 1; r->i < r->n; r->i++) {
    switch (r->p[r->i]) {
    case 'i': r->caseless |= on; break;
    case 's': r->dotall |= on; break;
    case 'x':
      r->extended = on;
      if (r->i + 1 < r->n && r->p[r->i + 1] == 'x')
        return smtpf_reader_lose(r);
      break;
    case 'm':
    case 'n':
    case 'J':
    case 'U': break;
    case '-': on = 0; break;
    case ':':
    case ')': *group = r->p[r->i++] == ':'; return 1;
    default: return smtpf_reader_lose(r);
    }
  }
  return smtpf_reader_lose(r);
}

static int group_name(smtpf_reader *r, unsigned char end)
{
  while (r->i < r->n && r->p[r->i] != end)
    r->i++;
  if (r->i >= r->n)
    return smtpf_reader_lose(r);
  r->i++;
  return 1;
}

/* Behind a `(`. */
static int group(smtpf_reader *r, smtpf_node *out)
{
  if (at(r, "*")) {
    r->verbs = 1;
    return smtpf_reader_lose(r);
  }
  if (!at(r, "?"))
    return group_body(r, out);
  r->i++;
  static const struct {
    const char *word;
    char kind; /* a: ahead, b: behind, n: a name up to the next character of its kind, g: a group */
  } heads[] = {{":", 'g'},  {"|", 'g'},  {">", 'g'},  {"=", 'a'}, {"!", 'a'},
               {"<=", 'b'}, {"<!", 'b'}, {"P<", 'n'}, {"<", 'n'}, {"'", 'q'}};
  if (at(r, "<*"))
    return smtpf_reader_lose(r);
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    if (!at(r, heads[i].word))
      continue;
    r->i += strlen(heads[i].word);
    switch (heads[i].kind) {
    case 'a': return look_around(r, 0, out);
    case 'b': return look_around(r, 1, out);
    case 'n': return group_name(r, '>') && group_body(r, out);
    case 'q': return group_name(r, '\'') && group_body(r, out);
    default: return group_body(r, out);
    }
  }
  int extended = r->extended, body = 0;
  if (!option_letters(r, &body))
    return 0;
  if (!body) /* from here to the end of the group around */
    return smtpf_node_empty(r, out);
  int inside = group_body(r, out);
  r->extended = extended;
  return inside;
}

/* `\Q...\E`: all but the last byte go into the chain, the last is the item. */
static int quoted(smtpf_reader *r, smtpf_chain *c, smtpf_node *item)
{
  size_t end = r->i;
  while (end < r->n && !(r->p[end] == '\\' && end + 1 < r->n && r->p[end + 1] == 'E'))
    end++;
  if (end == r->i)
    return smtpf_reader_lose(r);
  for (;;) {
    if (!smtpf_read_literal(r, item) || r->i > end)
      return smtpf_reader_lose(r);
    if (r->i == end)
      break;
    if (!smtpf_chain_add(r, c, item))
      return 0;
  }
  if (r->i < r->n)
    r->i += 2;
  return 1;
}

static int dot(smtpf_reader *r, smtpf_node *out)
{
  if (r->utf) {
    smtpf_node_any(1, 4, out);
    return 1;
  }
  smtpf_bytes s = {{0}};
  if (!r->dotall)
    smtpf_bytes_add(&s, '\n');
  smtpf_bytes_invert(&s);
  return smtpf_node_set(r, &s, out);
}

static int item(smtpf_reader *r, smtpf_chain *c, smtpf_node *out)
{
  unsigned char byte = r->p[r->i];
  switch (byte) {
  case '(': r->i++; return group(r, out);
  case '[': r->i++; return smtpf_read_class(r, out);
  case '.': r->i++; return dot(r, out);
  case '^':
  case '$': r->i++; return smtpf_node_empty(r, out);
  case '\\':
    r->i++;
    if (at(r, "Q")) {
      r->i++;
      return quoted(r, c, out);
    }
    if (at(r, "N") && !at(r, "N{")) {
      r->i++;
      smtpf_node_any(1, r->utf ? 4 : 1, out);
      return 1;
    }
    return smtpf_read_escape(r, out);
  case '*':
  case '+':
  case '?': return smtpf_reader_lose(r);
  default: return smtpf_read_literal(r, out);
  }
}

static int number(smtpf_reader *r, uint64_t *out)
{
  size_t begin = r->i;
  for (*out = 0; r->i < r->n && r->p[r->i] >= '0' && r->p[r->i] <= '9' && r->i - begin < 6; r->i++)
    *out = *out * 10 + (uint64_t)(r->p[r->i] - '0');
  return r->i > begin;
}

/* `{2,5}`. 1: read; 0: it is no quantifier, or lost. */
static int braces(smtpf_reader *r, uint64_t *least, uint64_t *most)
{
  size_t begin = r->i++;
  if (r->i < r->n && (r->p[r->i] == ' ' || r->p[r->i] == '\t' || r->p[r->i] == ','))
    return smtpf_reader_lose(r); /* a quantifier to some versions of PCRE2 */
  if (number(r, least)) {
    *most = *least;
    if (at(r, ",")) {
      r->i++;
      if (!number(r, most))
        *most = SMTPF_ENDLESS;
    }
    if (at(r, "}")) {
      r->i++;
      return 1;
    }
    if (r->i < r->n && (r->p[r->i] == ' ' || r->p[r->i] == '\t'))
      return smtpf_reader_lose(r);
  }
  r->i = begin;
  return 0;
}

/* How often the item before is there; 1 to 1 without a quantifier. */
static int quantifier(smtpf_reader *r, uint64_t *least, uint64_t *most)
{
  *least = *most = 1;
  skip_space(r);
  if (at(r, "*") || at(r, "+") || at(r, "?")) {
    *least = r->p[r->i] == '+';
    *most = r->p[r->i] == '?' ? 1 : SMTPF_ENDLESS;
    r->i++;
  } else if (!at(r, "{") || !braces(r, least, most)) {
    return !r->lost;
  }
  skip_space(r);
  if (at(r, "+") || at(r, "?"))
    r->i++;
  return 1;
}

static int sequence(smtpf_reader *r, smtpf_node *out)
{
  smtpf_chain c;
  if (!smtpf_chain_begin(r, &c))
    return 0;
  for (;;) {
    smtpf_node x;
    uint64_t least, most;
    skip_space(r);
    if (r->i >= r->n || r->p[r->i] == '|' || r->p[r->i] == ')')
      break;
    if (!item(r, &c, &x) || !quantifier(r, &least, &most) || !smtpf_chain_repeat(r, &c, &x, least, most))
      return smtpf_reader_lose(r);
  }
  return smtpf_chain_end(r, &c, out);
}

static int alternatives(smtpf_reader *r, smtpf_node *out)
{
  if (!sequence(r, out))
    return 0;
  while (at(r, "|")) {
    smtpf_node other;
    r->i++;
    if (!sequence(r, &other) || !smtpf_node_either(r, out, &other))
      return 0;
  }
  return 1;
}

static int literal(smtpf_reader *r, smtpf_node *out)
{
  smtpf_chain c;
  smtpf_node x;
  if (!smtpf_chain_begin(r, &c))
    return 0;
  while (r->i < r->n)
    if (!smtpf_read_literal(r, &x) || !smtpf_chain_add(r, &c, &x))
      return 0;
  return smtpf_chain_end(r, &c, out);
}

/* Costlier than a pass of its own for the pattern, in the same measure as smtpf_candidate.cost. */
static const double worth = 1.0;

int smtpf_syntax_read(smtpf_syntax *out, smtpf_str pattern, uint32_t flags, smtpf_arena *arena)
{
  smtpf_reader r = {0};
  smtpf_node node;
  memset(out, 0, sizeof *out);
  r.p = (const unsigned char *)pattern.p;
  r.n = pattern.n;
  r.arena = arena;
  r.utf = (flags & SMTPF_PATTERN_UTF) != 0;
  r.caseless = (flags & SMTPF_PATTERN_CASELESS) != 0;
  r.dotall = (flags & SMTPF_PATTERN_DOTALL) != 0;
  r.extended = (flags & SMTPF_PATTERN_EXTENDED) != 0;
  r.pool = smtpf_arena_alloc(arena, SMTPF_SETS_MAX * sizeof *r.pool);
  if (!r.pool)
    return SMTPF_ENOMEM;
  int read = flags & SMTPF_PATTERN_LITERAL ? literal(&r, &node) : alternatives(&r, &node);
  if (r.no_memory)
    return SMTPF_ENOMEM;
  out->verbs = r.verbs;
  if (!read || r.lost || r.i < r.n)
    return SMTPF_OK;
  out->known = 1;
  out->caseless = r.caseless;
  out->nested = r.most_behind;
  out->reach = smtpf_sum(smtpf_sum(node.max, r.ahead), 8); /* \b and $ look at a character more */
  out->pool = r.pool;
  out->n_pool = r.n_pool;
  if (node.best.n && node.best.cost < worth) {
    out->factors = node.best.v;
    out->n_factors = node.best.n;
    out->least = node.best.least;
    out->most = node.best.most;
  }
  return SMTPF_OK;
}
