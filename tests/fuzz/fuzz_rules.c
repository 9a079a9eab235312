/* SPDX-License-Identifier: MIT
 *
 * fuzz_rules: a rule file. What is refused is refused with a place in the file and a printable reason; what is taken
 * has every reference behind it in the order of judging, every pattern in one target, and can be looked over.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "check/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
  if (!holds)
    abort();
}

static int lines_of(const uint8_t *data, size_t size)
{
  int n = 1;
  for (size_t i = 0; i < size; i++)
    n += data[i] == '\n';
  return n;
}

static void check_error(int r, const smtpf_error *err, int lines)
{
  must(r < 0 && r != SMTPF_ENOMEM && err->code == r && err->text[0]);
  must(err->line >= 1 && err->line <= lines && !strcmp(err->file, "fuzzed.rules"));
  must(memchr(err->text, '\0', sizeof err->text) != NULL);
  for (const char *p = err->text; *p; p++)
    must(*p >= 0x20 && *p < 0x7f);
}

static void hear(void *user, const char *file, int line, smtpf_str text)
{
  must(!strcmp(file, "fuzzed.rules") && line >= 1 && line <= *(const int *)user && text.n > 0);
}

static void check_rule(const rules_set *s, const rules_rule *r)
{
  must(r->n_matches + r->n_refs > 0 && strlen(r->name.p) == r->name.n && r->name.n > 0);
  must(r->match + r->n_matches <= s->n_matches && r->ref + r->n_refs <= s->n_refs);
  for (size_t i = 0; i < r->n_matches; i++) {
    const rules_match *m = &s->matches[r->match + i];
    must(&s->rules[m->rule] == r && m->target < s->n_targets && m->place < RULES_PLACES);
    const rules_target *t = &s->targets[m->target];
    must(t->place == m->place && m->index < t->n && &s->matches[t->matches[m->index]] == m);
    must(smtpf_patterns_count(t->patterns) == t->n);
    must(s->places >> m->place & 1);
  }
}

static void check_order(const rules_set *s)
{
  uint32_t *at = calloc(s->n_rules + 1, sizeof *at);
  must(at != NULL);
  for (uint32_t i = 0; i < s->n_rules; i++) {
    must(s->order[i] < s->n_rules && !at[s->order[i]]);
    at[s->order[i]] = i + 1;
  }
  for (size_t i = 0; i < s->n_rules; i++)
    for (size_t k = 0; k < s->rules[i].n_refs; k++) {
      const uint32_t to = s->refs[s->rules[i].ref + k].target;
      must(at[to] < at[i] && s->rules[to].used && (!s->rules[to].late || s->rules[i].late));
    }
  free(at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const smtpf_mem *mem = &smtpf_mem_default;
  int lines = lines_of(data, size);
  smtpf_error err = {.size = sizeof err};
  rules_set *s = mem->alloc(mem->user, sizeof *s);
  char *text = mem->alloc(mem->user, size + 1);
  must(s && text);
  memset(s, 0, sizeof *s);
  s->mem = *mem;
  s->limits.pattern.size = sizeof s->limits.pattern;
  if (size)
    memcpy(text, data, size);
  int r = rules_parse(s, SMTPF_LIT("fuzzed.rules"), text, size, &err);
  if (r == SMTPF_OK)
    r = rules_ready(s, &err);
  if (r == SMTPF_OK) {
    for (size_t i = 0; i < s->n_rules; i++)
      check_rule(s, &s->rules[i]);
    check_order(s);
    rules_lint(s, 1700000000, hear, &lines);
  } else
    check_error(r, &err, lines);
  rules_close(s);
  return 0;
}
