/* SPDX-License-Identifier: MIT
 *
 * addrlist: the postmaster's own lists of client addresses, each from a file of addresses and prefixes or from
 * the policy itself. A list speaks against a client, for it (a negative score), or refuses it. Read once, when the
 * policy is frozen, into a prefix trie: a million lines cost one walk of at most 128 bits for each connection. A new
 * policy reads them anew while the old one goes on serving, so that a reload is no pause.
 *
 * At the end of a message they are asked once more, about the host that gave it to a client whom a recipient trusts
 * (sources.h).
 */
#include <stdio.h>

#include "sources.h"

#define FILE_MAX ((size_t)1 << 30) /* far beyond the whole IPv4 space in /24s */

static const smtpf_option rows[] = {
    {"addrlists[name]", SMTPF_OPTION_LIST, NULL, 0, 1000, NULL,
     "Local lists of client addresses. Every list is looked at; in each, the longest matching prefix is named in the "
     "log. Own clients are exempt."},
    {"addrlists[name].file", SMTPF_OPTION_STRING, NULL, 0, 0, NULL,
     "A file with one address or prefix a line, IPv4 or IPv6, e.g. `192.0.2.0/24`. `#` and `;` begin comments, and "
     "what follows the first space is ignored. An error names the file and its line. Read again when the policy is."},
    {"addrlists[name].entries", SMTPF_OPTION_STRINGS, NULL, 0, 1000000, NULL,
     "Addresses and prefixes in the policy itself, beside or instead of a file."},
    {"addrlists[name].score", SMTPF_OPTION_SCORE, "10", -100000, 100000, NULL,
     "What a listed client is charged; a negative number speaks for it. The default is a usual refusal threshold: "
     "who puts an address on a list of their own has made up their mind."},
    {"addrlists[name].refuse", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether a listed client is refused with 550 5.7.1, whatever the scores. Not with a negative score."},
    {"addrlists[name].text", SMTPF_OPTION_STRING, NULL, 0, 0, NULL,
     "What a refused client is told after its address, e.g. `wrote to our spam trap, see https://example.net/trap`; "
     "without it, `is blocked here`."},
};

typedef struct list {
  smtpf_str name, text;
  int32_t score;
  int refuse;
  smtpf_trie *trie;
} list;

typedef struct addrlist {
  smtpf_mem mem;
  int sources; /* some recipient may trust some client */
  size_t n;
  list lists[];
} addrlist;

/* An error inside a list file: its own name and line, not the policy's. */
static int fail_in_file(smtpf_error *err, int code, smtpf_str file, size_t line)
{
  static const char text[] = "not an address or prefix: expected e.g. 192.0.2.0/24 or 2001:db8::/32, host bits zero";
  if (err) {
    size_t n = file.n < sizeof err->file ? file.n : sizeof err->file - 1;
    err->code = code;
    err->line = (int)line;
    memcpy(err->file, file.p, n);
    err->file[n] = '\0';
    memcpy(err->text, text, sizeof text);
  }
  return code;
}

/* The whole file in memory of the configuration. */
static int read_all(const smtpf_mem *mem, FILE *in, char **text, size_t *n)
{
  size_t cap = 0, len = 0;
  char *buf = NULL;

  for (;;) {
    if (len == cap) {
      size_t want = cap ? 2 * cap : 65536;
      char *bigger = want <= FILE_MAX ? mem->realloc(mem->user, buf, want) : NULL;
      if (!bigger) {
        mem->free(mem->user, buf);
        return want <= FILE_MAX ? SMTPF_ENOMEM : SMTPF_ELIMIT;
      }
      buf = bigger;
      cap = want;
    }
    size_t got = fread(buf + len, 1, cap - len, in);
    len += got;
    if (!got)
      break;
  }
  if (ferror(in)) {
    mem->free(mem->user, buf);
    return SMTPF_EIO;
  }
  *text = buf;
  *n = len;
  return SMTPF_OK;
}

static int add_file(list *l, const smtpf_section *s, const smtpf_mem *mem, smtpf_error *err)
{
  smtpf_str file = smtpf_section_string(s, "file");
  size_t n = 0, line = 0;
  char *text = NULL;
  FILE *in;
  int r;

  if (!file.n)
    return SMTPF_OK;
  in = fopen(file.p, "rb");
  if (!in)
    return smtpf_section_fail(s, "file", err, SMTPF_EIO, "cannot open", file, "a file that can be read");
  r = read_all(mem, in, &text, &n);
  fclose(in);
  if (r != SMTPF_OK)
    return smtpf_section_fail(s, "file", err, r, "cannot read", file, "a file of at most 1 GiB that can be read");
  r = smtpf_trie_add_text(l->trie, (smtpf_str){text, n}, 1, &line);
  mem->free(mem->user, text);
  return r == SMTPF_EPARSE ? fail_in_file(err, r, file, line) : r;
}

static int add_entries(list *l, const smtpf_section *s, smtpf_error *err)
{
  size_t n = smtpf_section_count(s, "entries");
  smtpf_prefix p;

  for (size_t i = 0; i < n; i++) {
    smtpf_str e = smtpf_section_string_at(s, "entries", i);
    if (smtpf_prefix_parse(e, &p) != SMTPF_OK)
      return smtpf_section_fail(s, "entries", err, SMTPF_EPARSE, "not an address or prefix", e,
                                "e.g. 192.0.2.0/24 or 2001:db8::/32, host bits zero");
    if (smtpf_trie_add(l->trie, &p, 1) != SMTPF_OK)
      return SMTPF_ENOMEM;
  }
  return SMTPF_OK;
}

static int open_list(list *l, const smtpf_section *s, const smtpf_mem *mem, smtpf_error *err)
{
  int r;

  l->name = smtpf_section_string(s, "name");
  l->text = smtpf_section_string(s, "text");
  l->score = (int32_t)smtpf_section_number(s, "score");
  l->refuse = smtpf_section_number(s, "refuse") != 0;
  if (l->refuse && l->score < 0)
    return smtpf_section_fail(s, "refuse", err, SMTPF_EINVAL, "a list that speaks for clients cannot refuse", l->name,
                              "a negative score or refuse, not both");
  if (!smtpf_section_has(s, "file") && !smtpf_section_has(s, "entries"))
    return smtpf_section_fail(s, "name", err, SMTPF_EINVAL, "an empty address list", l->name, "file or entries");
  r = smtpf_trie_new(&l->trie, mem);
  if (r == SMTPF_OK)
    r = add_file(l, s, mem, err);
  return r == SMTPF_OK ? add_entries(l, s, err) : r;
}

static void addrlist_close(void *self)
{
  addrlist *a = self;
  if (!a)
    return;
  for (size_t i = 0; i < a->n; i++)
    smtpf_trie_free(a->lists[i].trie);
  a->mem.free(a->mem.user, a);
}

static int addrlist_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  size_t n = smtpf_section_count(policy, "addrlists");
  addrlist *a;

  if (!n)
    return SMTPF_OK;
  a = mem->alloc(mem->user, sizeof *a + n * sizeof a->lists[0]);
  if (!a)
    return SMTPF_ENOMEM;
  memset(a, 0, sizeof *a + n * sizeof a->lists[0]);
  a->mem = *mem;
  a->n = n;
  a->sources = sources_expected(policy);
  for (size_t i = 0; i < n; i++) {
    int r = open_list(&a->lists[i], smtpf_section_at(policy, "addrlists", i), mem, err);
    if (r != SMTPF_OK) {
      addrlist_close(a);
      return r;
    }
  }
  *self = a;
  return SMTPF_OK;
}

/* What a list says of an address. */
static smtpf_finding finding_of(smtpf_task *t, const list *l, smtpf_str address, const smtpf_prefix *match)
{
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT, .code = "listed", .score = l->score};
  char prefix[SMTPF_IP_TEXT];

  smtpf_str place = {prefix, smtpf_prefix_format(match, prefix)};
  f.flags = l->refuse ? SMTPF_FINDING_REFUSE : 0;
  f.detail = SMTPF_JOIN(t, l->name, SMTPF_LIT(" "), place);
  if (l->refuse || l->score > 0)
    f.text = SMTPF_JOIN(t, address, SMTPF_LIT(" "), l->text.n ? l->text : SMTPF_LIT("is blocked here"));
  return f;
}

static int look_at_sources(const addrlist *a, smtpf_task *t)
{
  sources s;
  smtpf_prefix match;
  int r = sources_find(t, &s);
  for (size_t i = 0; r == SMTPF_OK && i < a->n; i++)
    for (size_t k = 0; r == SMTPF_OK && k < s.n; k++)
      if (smtpf_trie_find(a->lists[i].trie, &s.v[k].ip, NULL, &match)) {
        const smtpf_finding f = finding_of(t, &a->lists[i], s.v[k].text, &match);
        r = sources_report(t, &s, k, &f);
      }
  return r;
}

static int addrlist_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const addrlist *a = self;
  smtpf_prefix match;
  int listed = 0;

  if (ev->stage == SMTPF_EOM)
    return a->sources ? look_at_sources(a, t) : SMTPF_OK;
  if (ev->own || !ev->client || !ev->client->family)
    return smtpf_task_clear(t, "exempt");
  for (size_t i = 0; i < a->n; i++) {
    int r;
    if (!smtpf_trie_find(a->lists[i].trie, ev->client, NULL, &match))
      continue;
    const smtpf_finding f = finding_of(t, &a->lists[i], ev->client_text, &match);
    listed = 1;
    if ((r = smtpf_task_report(t, &f)) != SMTPF_OK)
      return r;
  }
  return listed ? SMTPF_OK : smtpf_task_clear(t, "not-listed");
}

static int addrlist_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_SOURCE;
}

/* At the end it looks at hosts behind trusted clients. */
static int addrlist_reads(const void *self)
{
  (void)self;
  return SMTPF_READS_TRUSTED;
}

const smtpf_check smtpf_check_addrlist = {
    .size = sizeof(smtpf_check),
    .name = "addrlist",
    .family = SMTPF_FAMILY_LIST,
    .stages = SMTPF_CONNECT | SMTPF_EOM,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = addrlist_open,
    .run = addrlist_run,
    .close = addrlist_close,
    .apart = addrlist_apart,
    .reads = addrlist_reads,
};
