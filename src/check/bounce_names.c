/* SPDX-License-Identifier: MIT
 *
 * bounce_names: what a header section that passed through us would name: `hostnames`, `local_domains`, `relay_domains`
 * and what is below them, and addresses of `own_networks`.
 */
#include "bounce.h"

struct bounce_names {
  smtpf_mem mem;
  smtpf_trie *networks;
  size_t mask;
  smtpf_str slots[]; /* a power of two, half of them empty at least */
};

static const char *const options[] = {"hostnames", "local_domains", "relay_domains"};
enum { OPTIONS = sizeof options / sizeof *options };

static smtpf_str without_dot(smtpf_str s)
{
  if (s.n && s.p[s.n - 1] == '.')
    s.n--;
  return s;
}

/* Where a name is, or would be. FNV-1a: the keys are the postmaster's, not a peer's. */
static smtpf_str *slot_of(bounce_names *s, smtpf_str name)
{
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < name.n; i++)
    h = (h ^ (unsigned char)bounce_lower(name.p[i])) * 16777619u;
  size_t i = h & s->mask;
  while (s->slots[i].n && !smtpf_str_equal_nocase(s->slots[i], name))
    i = (i + 1) & s->mask;
  return &s->slots[i];
}

static int has(const bounce_names *s, smtpf_str name)
{
  return name.n && slot_of((bounce_names *)s, name)->n;
}

static int read_networks(bounce_names *s, const smtpf_section *policy)
{
  int r = smtpf_trie_new(&s->networks, &s->mem);
  for (size_t i = 0; r == SMTPF_OK && i < smtpf_section_count(policy, "own_networks"); i++) {
    smtpf_prefix p;
    if (smtpf_prefix_parse(smtpf_section_string_at(policy, "own_networks", i), &p) == SMTPF_OK)
      r = smtpf_trie_add(s->networks, &p, 1);
  }
  return r;
}

int bounce_names_new(bounce_names **out, const smtpf_section *policy)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  size_t n = 0, slots = 2;
  for (size_t i = 0; i < OPTIONS; i++)
    n += smtpf_section_count(policy, options[i]);
  while (slots < 2 * n)
    slots *= 2;
  const size_t bytes = sizeof(bounce_names) + slots * sizeof(smtpf_str);
  bounce_names *s = mem->alloc(mem->user, bytes);
  if (!s)
    return SMTPF_ENOMEM;
  memset(s, 0, bytes);
  s->mem = *mem;
  s->mask = slots - 1;
  for (size_t i = 0; i < OPTIONS; i++)
    for (size_t k = 0; k < smtpf_section_count(policy, options[i]); k++) {
      const smtpf_str name = without_dot(smtpf_section_string_at(policy, options[i], k));
      if (name.n)
        *slot_of(s, name) = name;
    }
  const int r = read_networks(s, policy);
  if (r == SMTPF_OK)
    *out = s;
  else
    bounce_names_free(s);
  return r;
}

void bounce_names_free(bounce_names *s)
{
  if (!s)
    return;
  smtpf_trie_free(s->networks);
  s->mem.free(s->mem.user, s);
}

/* ---- a text ------------------------------------------------------------------------------------------ */

static int is_name(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_' || (unsigned char)c >= 0x80;
}

/* A name or what it is below. */
static int is_ours(const bounce_names *s, smtpf_str name)
{
  while (name.n && name.p[0] == '.')
    name = (smtpf_str){name.p + 1, name.n - 1};
  while (name.n && name.p[name.n - 1] == '.')
    name.n--;
  if (name.n > 255)
    return 0;
  while (name.n) {
    if (has(s, name))
      return 1;
    const char *dot = memchr(name.p, '.', name.n);
    if (!dot)
      return 0;
    name = (smtpf_str){dot + 1, name.n - (size_t)(dot + 1 - name.p)};
  }
  return 0;
}

/* `[192.0.2.1]`, `(192.0.2.1)`, `[IPv6:2001:db8::1]`: what follows the bracket. */
static int is_our_address(const bounce_names *s, smtpf_str rest)
{
  size_t n = 0;
  smtpf_ip ip;
  while (n < rest.n && n < SMTPF_IP_TEXT && (is_name(rest.p[n]) || rest.p[n] == ':'))
    n++;
  return n && smtpf_ip_parse((smtpf_str){rest.p, n}, &ip) == SMTPF_OK && smtpf_trie_find(s->networks, &ip, NULL, NULL);
}

int bounce_names_in(const bounce_names *s, smtpf_str text)
{
  size_t i = 0;
  while (i < text.n) {
    const size_t begin = i;
    while (i < text.n && is_name(text.p[i]))
      i++;
    if (i > begin && is_ours(s, (smtpf_str){text.p + begin, i - begin}))
      return 1;
    if (i < text.n && (text.p[i] == '[' || text.p[i] == '(') &&
        is_our_address(s, (smtpf_str){text.p + i + 1, text.n - i - 1}))
      return 1;
    i += i < text.n;
  }
  return 0;
}
