/* SPDX-License-Identifier: MIT
 *
 * greylist_pattern: the regular expressions that postgrey's lists hold, and no more: a row of atoms, each with at most
 * one of * + ?, with ^ in front and $ behind where they stand. Matching goes back and forth, hence the count of steps.
 */
#include "greylist.h"

enum { STEPS_MAX = 20000 };

/* Bytes of the atom in front; 0 when there is none. */
static size_t atom_length(smtpf_str p)
{
  size_t n = 1;
  if (!p.n || p.p[0] == '(' || p.p[0] == ')' || p.p[0] == '|' || p.p[0] == '{' || p.p[0] == '*' || p.p[0] == '+' ||
      p.p[0] == '?' || p.p[0] == '^' || p.p[0] == '$')
    return 0;
  if (p.p[0] == '\\')
    return p.n > 1 ? 2 : 0;
  if (p.p[0] != '[')
    return 1;
  n += n < p.n && p.p[n] == '^';
  n += n < p.n && p.p[n] == ']';
  while (n < p.n && p.p[n] != ']')
    n += p.p[n] == '\\' && n + 1 < p.n ? 2 : 1;
  return n < p.n ? n + 1 : 0;
}

static int is_repeat(smtpf_str p)
{
  return p.n && (p.p[0] == '*' || p.p[0] == '+' || p.p[0] == '?');
}

static smtpf_str skip(smtpf_str p, size_t n)
{
  return (smtpf_str){p.p + n, p.n - n};
}

int greylist_pattern_ok(smtpf_str p)
{
  if (p.n && p.p[0] == '^')
    p = skip(p, 1);
  while (p.n && !(p.n == 1 && p.p[0] == '$')) {
    const size_t n = atom_length(p);
    if (!n)
      return 0;
    if (p.p[0] == '\\' && greylist_lower(p.p[1]) >= 'a' && greylist_lower(p.p[1]) <= 'z' && p.p[1] != 'd' &&
        p.p[1] != 'w' && p.p[1] != 's')
      return 0;
    p = skip(p, n);
    p = skip(p, is_repeat(p) ? 1 : 0);
  }
  return 1;
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

/* `p` at the beginning of `s`. Depth is that of the pattern's atoms. */
static int match(smtpf_str p, smtpf_str s, int *steps)
{
  if (!p.n)
    return 1;
  if (p.n == 1 && p.p[0] == '$')
    return !s.n;
  const size_t n = atom_length(p);
  const smtpf_str atom = {p.p, n}, behind = skip(p, n);
  const char repeat = is_repeat(behind) ? behind.p[0] : '\0';
  const size_t least = repeat == '*' || repeat == '?' ? 0 : 1;
  const size_t most = repeat == '*' || repeat == '+' ? s.n : 1;
  const smtpf_str rest = skip(behind, repeat ? 1 : 0);
  size_t k = 0;
  while (k < most && k < s.n && fits(atom, s.p[k]))
    k++;
  for (; k >= least && --*steps > 0; k--) {
    if (match(rest, skip(s, k), steps))
      return 1;
    if (!k)
      break;
  }
  return 0;
}

int greylist_pattern_find(smtpf_str pattern, smtpf_str text)
{
  int steps = STEPS_MAX;
  if (pattern.n && pattern.p[0] == '^')
    return match(skip(pattern, 1), text, &steps);
  for (size_t i = 0; i <= text.n && steps > 0; i++)
    if (match(pattern, skip(text, i), &steps))
      return 1;
  return 0;
}
