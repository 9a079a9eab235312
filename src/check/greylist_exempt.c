/* SPDX-License-Identifier: MIT
 *
 * greylist_exempt: lists of clients and recipients that are never put off, inline and in files as postgrey has them:
 * one entry a line, `#` begins a comment.
 *
 *   clients      example.org          the verified name is this or below it
 *                192.0.2.1  192.0.2  192.0.2.0/24  2001:db8::/32
 *                /^mx\d+\.example\.org$/
 *   recipients   example.net          everybody there and below
 *                abuse@               whatever the domain
 *                bob@example.net      also bob+detail@example.net
 *                /^info-/
 */
#include <stdio.h>

#include "greylist.h"

#define FILE_MAX ((size_t)64 << 20)

/* Words in lower case, found by hash; a power of two of slots, at most half of them taken. */
typedef struct set {
  smtpf_str *slots;
  size_t cap, n;
} set;

typedef struct list {
  set words;
  smtpf_str *patterns;
  size_t n_patterns;
} list;

struct greylist_exempt {
  smtpf_mem mem;
  smtpf_trie *networks;
  list clients, recipients;
};

/* Where what goes wrong is told: a file's own line, or the policy's. */
typedef struct place {
  const smtpf_section *policy;
  const char *option;
  smtpf_str file;
  int line;
  smtpf_error *err;
} place;

/* ---- words ------------------------------------------------------------------------------------------ */

static size_t hash(smtpf_str s)
{
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  for (size_t i = 0; i < s.n; i++)
    h = (h ^ (unsigned char)greylist_lower(s.p[i])) * 1099511628211u;
  return (size_t)(h ^ h >> 32);
}

static smtpf_str *slot_of(const set *s, smtpf_str word)
{
  size_t i = hash(word) & (s->cap - 1);
  while (s->slots[i].p && !smtpf_str_equal_nocase(s->slots[i], word))
    i = (i + 1) & (s->cap - 1);
  return &s->slots[i];
}

static int has(const set *s, smtpf_str word)
{
  return s->n && slot_of(s, word)->p != NULL;
}

static int grow(set *s, const smtpf_mem *mem)
{
  set bigger = {.cap = s->cap ? 2 * s->cap : 64, .n = s->n};
  bigger.slots = mem->alloc(mem->user, bigger.cap * sizeof *bigger.slots);
  if (!bigger.slots)
    return SMTPF_ENOMEM;
  memset(bigger.slots, 0, bigger.cap * sizeof *bigger.slots);
  for (size_t i = 0; i < s->cap; i++)
    if (s->slots[i].p)
      *slot_of(&bigger, s->slots[i]) = s->slots[i];
  mem->free(mem->user, s->slots);
  *s = bigger;
  return SMTPF_OK;
}

static int copy(const smtpf_mem *mem, smtpf_str from, smtpf_str *out)
{
  char *p = mem->alloc(mem->user, from.n + 1);
  if (!p)
    return SMTPF_ENOMEM;
  memcpy(p, from.p, from.n);
  p[from.n] = '\0';
  *out = (smtpf_str){p, from.n};
  return SMTPF_OK;
}

static int add_word(list *l, const smtpf_mem *mem, smtpf_str word)
{
  if (2 * (l->words.n + 1) > l->words.cap && grow(&l->words, mem) != SMTPF_OK)
    return SMTPF_ENOMEM;
  smtpf_str *slot = slot_of(&l->words, word);
  if (slot->p)
    return SMTPF_OK;
  if (copy(mem, word, slot) != SMTPF_OK)
    return SMTPF_ENOMEM;
  l->words.n++;
  return SMTPF_OK;
}

static int add_pattern(list *l, const smtpf_mem *mem, smtpf_str pattern)
{
  smtpf_str *more = mem->realloc(mem->user, l->patterns, (l->n_patterns + 1) * sizeof *more);
  if (!more)
    return SMTPF_ENOMEM;
  l->patterns = more;
  if (copy(mem, pattern, &more[l->n_patterns]) != SMTPF_OK)
    return SMTPF_ENOMEM;
  l->n_patterns++;
  return SMTPF_OK;
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static int bad(const place *at, smtpf_str entry, const char *expected)
{
  smtpf_error *err = at->err;
  if (!at->file.n)
    return smtpf_section_fail(at->policy, at->option, err, SMTPF_EPARSE, "cannot be meant", entry, expected);
  if (err) {
    const size_t n = at->file.n < sizeof err->file ? at->file.n : sizeof err->file - 1;
    const size_t t = strlen(expected) < sizeof err->text - 16 ? strlen(expected) : sizeof err->text - 16;
    err->code = SMTPF_EPARSE;
    err->line = at->line;
    memcpy(err->file, at->file.p, n);
    err->file[n] = '\0';
    memcpy(err->text, "expected ", 9);
    memcpy(err->text + 9, expected, t);
    err->text[9 + t] = '\0';
  }
  return SMTPF_EPARSE;
}

/* `192.0.2`: what is left out is any. */
static int short_prefix(smtpf_str e, smtpf_prefix *out)
{
  char full[SMTPF_IP_TEXT];
  greylist_text t = {full, 0, sizeof full};
  int dots = 0;
  for (size_t i = 0; i < e.n; i++) {
    if (e.p[i] != '.' && !greylist_is_digit(e.p[i]))
      return 0;
    dots += e.p[i] == '.';
  }
  if (!e.n || dots > 2 || e.p[e.n - 1] == '.')
    return 0;
  greylist_puts(&t, e);
  for (int i = dots; i < 3; i++)
    greylist_puts(&t, SMTPF_LIT(".0"));
  if (smtpf_ip_parse((smtpf_str){full, t.n}, &out->ip) != SMTPF_OK)
    return 0;
  out->len = (uint8_t)(8 * (dots + 1));
  return 1;
}

static int is_name(smtpf_str s)
{
  const int form = smtpf_domain_form(s);
  return form == SMTPF_DOMAIN_QUALIFIED || form == SMTPF_DOMAIN_UNQUALIFIED || form == SMTPF_DOMAIN_UNDERSCORE ||
         form == SMTPF_DOMAIN_UTF8;
}

static int is_recipient(smtpf_str s)
{
  smtpf_path path;
  return is_name(s) || (s.n > 1 && s.p[s.n - 1] == '@' && !memchr(s.p, '@', s.n - 1)) ||
         smtpf_mailbox_parse(s, &path) == SMTPF_OK;
}

static int add_entry(greylist_exempt *e, list *l, smtpf_str s, const place *at)
{
  smtpf_prefix prefix;
  if (s.n > 1 && s.p[0] == '/' && s.p[s.n - 1] == '/') {
    const smtpf_str pattern = {s.p + 1, s.n - 2};
    if (!greylist_pattern_ok(pattern))
      return bad(at, s, "a regular expression of ^ $ . * + ? [...] (...|...) \\d \\w \\s alone");
    return add_pattern(l, &e->mem, pattern);
  }
  if (l == &e->recipients)
    return is_recipient(s) ? add_word(l, &e->mem, s) : bad(at, s, "example.net, bob@example.net, bob@ or /regex/");
  if (smtpf_prefix_parse(s, &prefix) == SMTPF_OK || short_prefix(s, &prefix))
    return smtpf_trie_add(e->networks, &prefix, 1);
  return is_name(s) ? add_word(l, &e->mem, s) : bad(at, s, "an address, 192.0.2.0/24, example.org or /regex/");
}

static int is_space(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

/* A line's entry without comment and white space around it. */
static smtpf_str trim(smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] == '#')
      s.n = i;
  while (s.n && is_space(s.p[0]))
    s = (smtpf_str){s.p + 1, s.n - 1};
  while (s.n && is_space(s.p[s.n - 1]))
    s.n--;
  return s;
}

static int add_lines(greylist_exempt *e, list *l, smtpf_str text, place *at)
{
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < text.n;) {
    const char *end = memchr(text.p + i, '\n', text.n - i);
    const size_t n = end ? (size_t)(end - (text.p + i)) : text.n - i;
    const smtpf_str entry = trim((smtpf_str){text.p + i, n});
    at->line++;
    if (entry.n)
      r = add_entry(e, l, entry, at);
    i += n + 1;
  }
  return r;
}

/* ---- files ------------------------------------------------------------------------------------------ */

static int read_all(const smtpf_mem *mem, FILE *in, char **buf, size_t *n)
{
  size_t cap = 0, got = 1;
  for (; got; *n += got) {
    if (*n == cap) {
      cap = cap ? 2 * cap : 16384;
      char *bigger = cap <= FILE_MAX ? mem->realloc(mem->user, *buf, cap) : NULL;
      if (!bigger)
        return cap <= FILE_MAX ? SMTPF_ENOMEM : SMTPF_ELIMIT;
      *buf = bigger;
    }
    got = fread(*buf + *n, 1, cap - *n, in);
  }
  return ferror(in) ? SMTPF_EIO : SMTPF_OK;
}

static int add_file(greylist_exempt *e, list *l, place *at)
{
  char *buf = NULL;
  size_t n = 0;
  FILE *in = fopen(at->file.p, "rb");
  if (!in)
    return smtpf_section_fail(at->policy, at->option, at->err, SMTPF_EIO, "cannot open", at->file,
                              "a file that can be read");
  int r = read_all(&e->mem, in, &buf, &n);
  fclose(in);
  if (r == SMTPF_EIO || r == SMTPF_ELIMIT)
    r = smtpf_section_fail(at->policy, at->option, at->err, r, "cannot read", at->file,
                           "a file of at most 64 MiB that can be read");
  if (r == SMTPF_OK && n)
    r = add_lines(e, l, (smtpf_str){buf, n}, at);
  e->mem.free(e->mem.user, buf);
  return r;
}

static int add_all(greylist_exempt *e, list *l, const smtpf_section *policy, const char *inlined, const char *files,
                   smtpf_error *err)
{
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < smtpf_section_count(policy, inlined); i++) {
    const place at = {.policy = policy, .option = inlined, .err = err};
    r = add_entry(e, l, smtpf_section_string_at(policy, inlined, i), &at);
  }
  for (size_t i = 0; r == SMTPF_OK && i < smtpf_section_count(policy, files); i++) {
    place at = {.policy = policy, .option = files, .file = smtpf_section_string_at(policy, files, i), .err = err};
    r = add_file(e, l, &at);
  }
  return r;
}

int greylist_exempt_open(greylist_exempt **out, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  greylist_exempt *e = mem->alloc(mem->user, sizeof *e);
  if (!e)
    return SMTPF_ENOMEM;
  *e = (greylist_exempt){.mem = *mem};
  int r = smtpf_trie_new(&e->networks, mem);
  if (r == SMTPF_OK)
    r = add_all(e, &e->clients, policy, "greylist.allow_clients", "greylist.allow_clients_files", err);
  if (r == SMTPF_OK)
    r = add_all(e, &e->recipients, policy, "greylist.allow_recipients", "greylist.allow_recipients_files", err);
  if (r != SMTPF_OK) {
    greylist_exempt_close(e);
    return r;
  }
  *out = e;
  return SMTPF_OK;
}

static void drop(list *l, const smtpf_mem *mem)
{
  for (size_t i = 0; i < l->words.cap; i++)
    mem->free(mem->user, (void *)(uintptr_t)l->words.slots[i].p);
  for (size_t i = 0; i < l->n_patterns; i++)
    mem->free(mem->user, (void *)(uintptr_t)l->patterns[i].p);
  mem->free(mem->user, l->words.slots);
  mem->free(mem->user, l->patterns);
}

void greylist_exempt_close(greylist_exempt *e)
{
  if (!e)
    return;
  smtpf_trie_free(e->networks);
  drop(&e->clients, &e->mem);
  drop(&e->recipients, &e->mem);
  e->mem.free(e->mem.user, e);
}

/* ---- asking ----------------------------------------------------------------------------------------- */

static int fits_pattern(const list *l, smtpf_str text)
{
  for (size_t i = 0; i < l->n_patterns; i++)
    if (greylist_pattern_find(l->patterns[i], text))
      return 1;
  return 0;
}

/* A name, or one that it is below. */
static int has_domain(const set *s, smtpf_str name)
{
  while (s->n && name.n) {
    size_t i = 0;
    if (has(s, name))
      return 1;
    while (i < name.n && name.p[i] != '.')
      i++;
    i += i < name.n;
    name = (smtpf_str){name.p + i, name.n - i};
  }
  return 0;
}

int greylist_exempt_client(const greylist_exempt *e, const smtpf_ip *ip, smtpf_str name)
{
  return smtpf_trie_find(e->networks, ip, NULL, NULL) || has_domain(&e->clients.words, name) ||
         (name.n && fits_pattern(&e->clients, name));
}

int greylist_exempt_recipient(const greylist_exempt *e, const smtpf_path *to)
{
  char room[GREYLIST_ADDRESS_MAX];
  const set *words = &e->recipients.words;
  smtpf_str local = to->local_part;
  if (!words->n && !e->recipients.n_patterns)
    return 0;
  for (int detail = 1; detail >= 0; detail--) { /* with the detail, then without */
    greylist_text t = {room, 0, sizeof room};
    greylist_puts(&t, local);
    greylist_put(&t, '@');
    if (has(words, (smtpf_str){room, t.n}))
      return 1;
    greylist_puts(&t, to->domain);
    if (has(words, (smtpf_str){room, t.n}))
      return 1;
    const char *plus = to->local_part.n ? memchr(to->local_part.p, '+', to->local_part.n) : NULL;
    if (!plus)
      break;
    local.n = (size_t)(plus - to->local_part.p);
  }
  return has_domain(words, to->domain) || fits_pattern(&e->recipients, to->address);
}
