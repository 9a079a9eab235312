/* SPDX-License-Identifier: MIT
 *
 * greylist_pattern: the regular expressions that postgrey's lists hold, and no more: a row of atoms, each with at most
 * one of * + ?, groups of alternatives among them, ^ in front and $ behind of all. Matching goes back and forth, hence
 * the count of steps.
 */
#include "greylist.h"

enum { STEPS_MAX = 20000, DEPTH_MAX = 8 };

static smtpf_str skip(smtpf_str p, size_t n)
{
  return (smtpf_str){p.p + n, p.n - n};
}

/* A set with its brackets; 0 when it does not end. */
static size_t set_length(smtpf_str p)
{
  size_t n = 1;
  n += n < p.n && p.p[n] == '^';
  n += n < p.n && p.p[n] == ']';
  while (n < p.n && p.p[n] != ']')
    n += p.p[n] == '\\' && n + 1 < p.n ? 2 : 1;
  return n < p.n ? n + 1 : 0;
}

/* A sign, an escape, a set; a group's bracket is one sign. 0 when it does not end. */
static size_t token_length(smtpf_str p)
{
  if (p.p[0] == '\\')
    return p.n > 1 ? 2 : 0;
  return p.p[0] == '[' ? set_length(p) : 1;
}

/* A group with its brackets; 0 when it does not end. */
static size_t group_length(smtpf_str p)
{
  size_t n = 0, depth = 0;
  while (n < p.n) {
    const size_t k = token_length(skip(p, n));
    if (!k)
      return 0;
    depth += p.p[n] == '(';
    if (p.p[n] == ')' && !--depth)
      return n + 1;
    n += k;
  }
  return 0;
}

static int is_one_of(char c, const char *signs)
{
  return c && memchr(signs, c, strlen(signs)) != NULL;
}

/* Bytes of the atom in front; 0 when there is none. */
static size_t atom_length(smtpf_str p)
{
  if (!p.n || is_one_of(p.p[0], ")|{*+?^$"))
    return 0;
  return p.p[0] == '(' ? group_length(p) : token_length(p);
}

static int is_repeat(smtpf_str p)
{
  return p.n && is_one_of(p.p[0], "*+?");
}

/* Past a repeat; a `?` behind it asks for fewer first, which finds the same. */
static smtpf_str past_repeat(smtpf_str p)
{
  if (!is_repeat(p))
    return p;
  p = skip(p, 1);
  return p.n && p.p[0] == '?' ? skip(p, 1) : p;
}

/* What is inside a group: (...) and (?:...). */
static smtpf_str inside(smtpf_str group)
{
  smtpf_str in = {group.p + 1, group.n - 2};
  return in.n > 1 && in.p[0] == '?' && in.p[1] == ':' ? skip(in, 2) : in;
}

/* The alternative in front, up to a `|` that is in no group. */
static smtpf_str alternative(smtpf_str p)
{
  size_t n = 0;
  while (n < p.n && p.p[n] != '|') {
    const size_t k = p.p[n] == '(' ? group_length(skip(p, n)) : token_length(skip(p, n));
    n = k ? n + k : p.n;
  }
  return (smtpf_str){p.p, n};
}

/* Past it and its `|`; 0 behind the last. */
static int next_alternative(smtpf_str *p, smtpf_str one)
{
  if (one.n == p->n)
    return 0;
  *p = skip(*p, one.n + 1);
  return 1;
}

static int is_row(smtpf_str p, int depth);

static int are_alternatives(smtpf_str p, int depth)
{
  smtpf_str one;
  do {
    one = alternative(p);
    if (!is_row(one, depth))
      return 0;
  } while (next_alternative(&p, one));
  return 1;
}

static int is_known_escape(smtpf_str p)
{
  const char l = p.p[0] == '\\' && p.n > 1 ? greylist_lower(p.p[1]) : '\0';
  return l < 'a' || l > 'z' || is_one_of(p.p[1], "dws");
}

static int is_row(smtpf_str p, int depth)
{
  while (p.n && !(p.n == 1 && p.p[0] == '$' && !depth)) {
    const size_t n = atom_length(p);
    if (!n || !is_known_escape(p) || depth > DEPTH_MAX)
      return 0;
    if (p.p[0] == '(' && !are_alternatives(inside((smtpf_str){p.p, n}), depth + 1))
      return 0;
    p = past_repeat(skip(p, n));
  }
  return 1;
}

int greylist_pattern_ok(smtpf_str p)
{
  if (p.n && p.p[0] == '^')
    p = skip(p, 1);
  return is_row(p, 0);
}

static int is_class(char name, char c)
{
  const char l = greylist_lower(c);
  if (name == 'd')
    return greylist_is_digit(c);
  if (name == 's')
    return c == ' ' || c == '\t';
  return name == 'w' ? greylist_is_digit(c) || (l >= 'a' && l <= 'z') || c == '_' : l == greylist_lower(name);
}

/* A set between brackets, without them. */
static int in_set(smtpf_str set, char c)
{
  const int negated = set.n && set.p[0] == '^';
  int found = 0;
  set = skip(set, negated ? 1 : 0);
  while (set.n) {
    if (set.p[0] == '\\' && set.n > 1) {
      found |= is_class(set.p[1], c);
      set = skip(set, 2);
    } else if (set.n > 2 && set.p[1] == '-') {
      found |= greylist_lower(c) >= greylist_lower(set.p[0]) && greylist_lower(c) <= greylist_lower(set.p[2]);
      set = skip(set, 3);
    } else {
      found |= greylist_lower(set.p[0]) == greylist_lower(c);
      set = skip(set, 1);
    }
  }
  return found != negated;
}

static int fits(smtpf_str atom, char c)
{
  if (atom.p[0] == '.' && atom.n == 1)
    return 1;
  if (atom.p[0] == '\\')
    return is_class(atom.p[1], c);
  if (atom.p[0] == '[')
    return in_set((smtpf_str){atom.p + 1, atom.n - 2}, c);
  return greylist_lower(atom.p[0]) == greylist_lower(c);
}

/* What is to be matched behind a group, and where the group began. */
typedef struct behind {
  smtpf_str pattern;
  const struct behind *next;
  int again;    /* `pattern` begins with a group that has matched once: further times are free */
  size_t began; /* bytes that were left then: a round without progress is the last */
} behind;

static int match(smtpf_str p, smtpf_str s, const behind *k, int *steps);

/* The group in front of `p`, then what is behind it. */
static int match_group(smtpf_str p, smtpf_str s, const behind *k, int again, int *steps)
{
  const size_t n = atom_length(p);
  const smtpf_str after = skip(p, n);
  const char repeat = is_repeat(after) ? after.p[0] : '\0';
  const smtpf_str rest = past_repeat(after);
  const int many = repeat == '*' || repeat == '+';
  const behind then = {many ? p : rest, k, many, s.n};
  smtpf_str in = inside((smtpf_str){p.p, n}), one;
  do {
    one = alternative(in);
    if (match(one, s, &then, steps))
      return 1;
  } while (next_alternative(&in, one));
  return (again || repeat == '*' || repeat == '?') && match(rest, s, k, steps);
}

static int match_rest(smtpf_str s, const behind *k, int *steps)
{
  if (!k)
    return 1;
  if (!k->again)
    return match(k->pattern, s, k->next, steps);
  if (s.n < k->began)
    return match_group(k->pattern, s, k->next, 1, steps);
  return match(past_repeat(skip(k->pattern, atom_length(k->pattern))), s, k->next, steps);
}

/* `p` at the beginning of `s`, then `k`. */
static int match(smtpf_str p, smtpf_str s, const behind *k, int *steps)
{
  if (--*steps <= 0)
    return 0;
  if (!p.n)
    return match_rest(s, k, steps);
  if (p.n == 1 && p.p[0] == '$')
    return !s.n;
  if (p.p[0] == '(')
    return match_group(p, s, k, 0, steps);
  const smtpf_str atom = {p.p, atom_length(p)}, after = skip(p, atom.n);
  const char repeat = is_repeat(after) ? after.p[0] : '\0';
  const size_t least = repeat == '*' || repeat == '?' ? 0 : 1;
  const size_t most = repeat == '*' || repeat == '+' ? s.n : 1;
  size_t n = 0;
  while (n < most && n < s.n && fits(atom, s.p[n]))
    n++;
  for (size_t left = n + 1; left-- > least;)
    if (match(past_repeat(after), skip(s, left), k, steps))
      return 1;
  return 0;
}

int greylist_pattern_find(smtpf_str pattern, smtpf_str text)
{
  int steps = STEPS_MAX;
  if (pattern.n && pattern.p[0] == '^')
    return match(skip(pattern, 1), text, NULL, &steps);
  for (size_t i = 0; i <= text.n && steps > 0; i++)
    if (match(pattern, skip(text, i), NULL, &steps))
      return 1;
  return 0;
}
