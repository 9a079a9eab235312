/* SPDX-License-Identifier: MIT
 *
 * Characters: those that stand for themselves, those behind a backslash, and classes.
 */
#include "match/syntax_node.h"

#include <string.h>

/* `c` or, where case may not matter, either case of it. */
int smtpf_read_byte(smtpf_reader *r, unsigned char c, smtpf_node *out)
{
  smtpf_bytes s = {{0}};
  smtpf_bytes_add(&s, c);
  if (r->caseless) {
    smtpf_bytes_fold(&s);
    if (c >= 0x80) /* whose other case is up to the tables */
      smtpf_bytes_range(&s, 0x80, 0xff);
  }
  if (!smtpf_node_set(r, &s, out))
    return 0;
  if (r->utf && r->caseless && strchr("kKsS", c) && c)
    out->max = 3; /* U+212A, U+017F */
  return 1;
}

/* One character that is not known better. */
static int any_character(smtpf_reader *r, smtpf_node *out)
{
  smtpf_bytes s = {{0}};
  smtpf_node_any(1, 4, out);
  if (r->utf)
    return 1;
  smtpf_bytes_invert(&s);
  return smtpf_node_set(r, &s, out);
}

int smtpf_read_literal(smtpf_reader *r, smtpf_node *out)
{
  unsigned char c = r->p[r->i++];
  if (c < 0x80 || !r->utf)
    return smtpf_read_byte(r, c, out);
  size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
  if (r->n - r->i < more)
    return smtpf_reader_lose(r);
  r->i += more;
  if (r->caseless)
    return any_character(r, out);
  smtpf_chain chain;
  if (!smtpf_chain_begin(r, &chain))
    return 0;
  for (size_t k = r->i - more - 1; k < r->i; k++) {
    smtpf_node byte;
    if (!smtpf_read_byte(r, r->p[k], &byte) || !smtpf_chain_add(r, &chain, &byte))
      return 0;
  }
  return smtpf_chain_end(r, &chain, out);
}

/* The set of `\d` and its like. 1, or 0: no such letter. *high: it has characters beyond ASCII. */
static int shorthand(unsigned char letter, smtpf_bytes *s, int *high)
{
  unsigned char lower = letter | 0x20;
  *high = lower != letter;
  memset(s, 0, sizeof *s);
  switch (lower) {
  case 'd': smtpf_bytes_range(s, '0', '9'); break;
  case 'w':
    smtpf_bytes_range(s, '0', '9');
    smtpf_bytes_range(s, 'a', 'z');
    smtpf_bytes_range(s, 'A', 'Z');
    smtpf_bytes_add(s, '_');
    break;
  case 's':
    smtpf_bytes_range(s, 9, 13);
    smtpf_bytes_add(s, ' ');
    break;
  case 'h':
    smtpf_bytes_add(s, 9);
    smtpf_bytes_add(s, ' ');
    smtpf_bytes_add(s, 0xa0);
    *high = 1;
    break;
  case 'v':
    smtpf_bytes_range(s, 10, 13);
    smtpf_bytes_add(s, 0x85);
    *high = 1;
    break;
  default: return 0;
  }
  if (lower != letter)
    smtpf_bytes_invert(s);
  return 1;
}

/* The byte of `\n`, `\x41`, `\.`, at the letter behind the backslash. 1 and r->i behind it; 0: it is no byte. */
static int escaped_byte(smtpf_reader *r, unsigned char *out)
{
  static const char letters[] = "aefnrt";
  static const unsigned char bytes[] = {7, 27, 12, 10, 13, 9};
  unsigned char c = r->p[r->i];
  const char *known = c ? strchr(letters, c) : NULL;
  if (known) {
    *out = bytes[known - letters];
    r->i++;
    return 1;
  }
  if (c == 'x') {
    unsigned value = 0, digits = 0;
    for (r->i++; digits < 2 && r->i < r->n; digits++, r->i++) {
      unsigned char d = r->p[r->i];
      unsigned l = d | 0x20u, v = d >= '0' && d <= '9' ? d - 48u : l >= 'a' && l <= 'f' ? l - 87u : 16u;
      if (v == 16)
        break;
      value = value * 16 + v;
    }
    *out = (unsigned char)value;
    return digits == 2 && !(r->utf && value >= 0x80);
  }
  if (c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
    return 0;
  *out = c;
  r->i++;
  return 1;
}

int smtpf_read_escape(smtpf_reader *r, smtpf_node *out)
{
  if (r->i >= r->n)
    return smtpf_reader_lose(r);
  unsigned char c = r->p[r->i], byte;
  smtpf_bytes s;
  int high;
  if (shorthand(c, &s, &high)) {
    r->i++;
    return r->utf && high ? any_character(r, out) : smtpf_node_set(r, &s, out);
  }
  switch (c) {
  case 'b':
  case 'B':
  case 'A':
  case 'Z':
  case 'z': r->i++; return smtpf_node_empty(r, out);
  case 'R':
    r->i++;
    smtpf_node_any(1, 3, out);
    return 1;
  case 'G':
  case 'K': r->verbs = 1; return smtpf_reader_lose(r);
  default: break;
  }
  if (c >= '1' && c <= '9') { /* a back reference, or, with more digits, a byte in octal */
    while (r->i < r->n && r->p[r->i] >= '0' && r->p[r->i] <= '9')
      r->i++;
    smtpf_node_any(0, SMTPF_ENDLESS, out);
    return 1;
  }
  return escaped_byte(r, &byte) ? smtpf_read_byte(r, byte, out) : smtpf_reader_lose(r);
}

struct class
{
  smtpf_bytes set;
  int high; /* it may match beyond ASCII */
};

/* One byte of a class, or a shorthand, which cannot begin a range. 1: a byte; 2: a shorthand, in *s; 0: lost. */
static int class_item(smtpf_reader *r, struct class *k, unsigned char *byte)
{
  unsigned char c = r->p[r->i];
  if (c == '[' && r->i + 1 < r->n && strchr(":.=", r->p[r->i + 1]) && r->p[r->i + 1])
    return smtpf_reader_lose(r); /* POSIX names */
  if (c >= 0x80 && r->utf)
    return smtpf_reader_lose(r);
  if (c != '\\') {
    *byte = c;
    r->i++;
    return 1;
  }
  if (++r->i >= r->n)
    return smtpf_reader_lose(r);
  smtpf_bytes s;
  int high;
  if (shorthand(r->p[r->i], &s, &high)) {
    for (int w = 0; w < 4; w++)
      k->set.bits[w] |= s.bits[w];
    k->high |= high;
    r->i++;
    return 2;
  }
  if (r->p[r->i] == 'b') {
    *byte = 8;
    r->i++;
    return 1;
  }
  return escaped_byte(r, byte) ? 1 : smtpf_reader_lose(r);
}

static int class_items(smtpf_reader *r, struct class *k)
{
  for (int first = 1; r->i < r->n; first = 0) {
    unsigned char from, to;
    if (r->p[r->i] == ']' && !first) {
      r->i++;
      return 1;
    }
    int what = class_item(r, k, &from);
    if (!what)
      return 0;
    if (what == 2 && r->i < r->n && r->p[r->i] == '-') { /* a hyphen here means itself, or the pattern has a fault */
      if (r->i + 1 < r->n && r->p[r->i + 1] != ']')
        return smtpf_reader_lose(r);
    }
    if (what == 2)
      continue;
    to = from;
    if (r->i + 1 < r->n && r->p[r->i] == '-' && r->p[r->i + 1] != ']') {
      r->i++;
      if (class_item(r, k, &to) != 1 || to < from)
        return smtpf_reader_lose(r);
    }
    smtpf_bytes_range(&k->set, from, to);
  }
  return smtpf_reader_lose(r);
}

int smtpf_read_class(smtpf_reader *r, smtpf_node *out)
{
  struct class k = {{{0}}, 0};
  int negated = r->i < r->n && r->p[r->i] == '^';
  r->i += (size_t)negated;
  if (!class_items(r, &k))
    return 0;
  if (r->caseless && !negated) { /* what the plain set leaves out is left out in either case */
    smtpf_bytes_fold(&k.set);
    if (k.set.bits[2] | k.set.bits[3])
      smtpf_bytes_range(&k.set, 0x80, 0xff);
  }
  int wide = k.high || (k.set.bits[2] | k.set.bits[3]) != 0;
  if (r->utf && (negated || wide))
    return any_character(r, out);
  if (negated)
    smtpf_bytes_invert(&k.set);
  if (!smtpf_node_set(r, &k.set, out))
    return 0;
  if (r->utf && r->caseless)
    out->max = 3;
  return 1;
}
