/* SPDX-License-Identifier: MIT
 *
 * rules_set: from what was read to what can be asked. Names are found, rules put behind those they refer to, and every
 * pattern joins those that look at the same thing.
 */
#include "rules.h"

char rules_lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

uint32_t rules_hash(smtpf_str s, uint32_t seed)
{
  uint32_t h = 2166136261u ^ seed;
  for (size_t i = 0; i < s.n; i++)
    h = (h ^ (unsigned char)rules_lower(s.p[i])) * 16777619u;
  return h ^ h >> 16;
}

int rules_grow(const smtpf_mem *mem, void **array, size_t *cap, size_t n, size_t size)
{
  if (n < *cap)
    return SMTPF_OK;
  const size_t more = *cap ? *cap * 2 : 16;
  void *p = mem->realloc(mem->user, *array, more * size);
  if (!p)
    return SMTPF_ENOMEM;
  *array = p;
  *cap = more;
  return SMTPF_OK;
}

/* ---- errors --------------------------------------------------------------------------------------------- */

static void put(smtpf_error *err, size_t *n, smtpf_str s)
{
  for (size_t i = 0; i < s.n && *n < sizeof err->text - 1; i++)
    err->text[(*n)++] = (char)(s.p[i] >= ' ' && s.p[i] < 0x7f ? s.p[i] : '?');
  err->text[*n] = '\0';
}

int rules_fail(const rules_set *s, smtpf_error *err, int code, uint32_t file, int line, const char *what,
               smtpf_str value, const char *expected)
{
  enum { SHOWN = 100 };
  if (!err)
    return code;
  const smtpf_str name = s->files[file].name;
  const size_t n = name.n < sizeof err->file ? name.n : sizeof err->file - 1;
  size_t at = 0;
  err->code = code;
  err->line = line;
  if (n)
    memcpy(err->file, name.p, n);
  err->file[n] = '\0';
  put(err, &at, smtpf_str_of(what));
  if (value.n) {
    put(err, &at, SMTPF_LIT(": "));
    put(err, &at, (smtpf_str){value.p, value.n < SHOWN ? value.n : SHOWN});
  }
  if (expected) {
    put(err, &at, SMTPF_LIT(": expected "));
    put(err, &at, smtpf_str_of(expected));
  }
  return code;
}

static int fail_rule(const rules_set *s, const rules_rule *r, int line, smtpf_error *err, int code, const char *what,
                     smtpf_str value)
{
  return rules_fail(s, err, code, r->file, line, what, value, NULL);
}

/* ---- names ---------------------------------------------------------------------------------------------- */

static void *zeroed(const smtpf_mem *mem, size_t n)
{
  void *p = mem->alloc(mem->user, n ? n : 1);
  return p ? memset(p, 0, n ? n : 1) : NULL;
}

/* A power of two, twice as many as there are names. */
static size_t slots_for(size_t n)
{
  size_t cap = 16;
  while (cap < 2 * n)
    cap *= 2;
  return cap;
}

/* Where a name stands or would stand. */
static uint32_t *slot_of(const rules_set *s, smtpf_str name)
{
  size_t i = rules_hash(name, 0) & (s->cap_names - 1);
  while (s->names[i] && !smtpf_str_equal_nocase(s->rules[s->names[i] - 1].name, name))
    i = (i + 1) & (s->cap_names - 1);
  return &s->names[i];
}

static int duplicate(const rules_set *s, const rules_rule *again, const rules_rule *first, smtpf_error *err)
{
  const int code =
      fail_rule(s, again, again->line, err, SMTPF_EINVAL, "a rule of this name is there already", again->name);
  char digits[12];
  size_t n = sizeof digits, at = err ? strlen(err->text) : 0;
  if (!err)
    return code;
  for (unsigned v = (unsigned)first->line; n == sizeof digits || v; v /= 10)
    digits[--n] = (char)('0' + v % 10);
  put(err, &at, SMTPF_LIT(", in "));
  put(err, &at, s->files[first->file].name);
  put(err, &at, SMTPF_LIT(":"));
  put(err, &at, (smtpf_str){digits + n, sizeof digits - n});
  return code;
}

static int find_names(rules_set *s, smtpf_error *err)
{
  s->cap_names = slots_for(s->n_rules);
  s->names = zeroed(&s->mem, s->cap_names * sizeof *s->names);
  if (!s->names)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < s->n_rules; i++) {
    uint32_t *slot = slot_of(s, s->rules[i].name);
    if (*slot)
      return duplicate(s, &s->rules[i], &s->rules[*slot - 1], err);
    *slot = (uint32_t)i + 1;
  }
  for (size_t i = 0; i < s->n_rules; i++)
    for (size_t k = 0; k < s->rules[i].n_refs; k++) {
      rules_ref *ref = &s->refs[s->rules[i].ref + k];
      const uint32_t *slot = slot_of(s, ref->name);
      if (!*slot)
        return fail_rule(s, &s->rules[i], ref->line, err, SMTPF_ENOTFOUND, "no such rule", ref->name);
      ref->target = *slot - 1;
      s->rules[ref->target].used = 1;
    }
  return SMTPF_OK;
}

/* ---- order ---------------------------------------------------------------------------------------------- */

enum { UNSEEN, OPEN, PLACED };

typedef struct walk {
  uint8_t *mark;   /* of each rule */
  uint32_t *stack; /* rules that are open */
  uint32_t *next;  /* of each, the reference that is looked at next */
  size_t depth;
} walk;

static int visit(rules_set *s, walk *w, size_t *placed, smtpf_error *err)
{
  while (w->depth) {
    const uint32_t at = w->stack[w->depth - 1];
    rules_rule *r = &s->rules[at];
    if (w->next[at] == r->n_refs) {
      w->mark[at] = PLACED;
      s->order[(*placed)++] = at;
      w->depth--;
      continue;
    }
    const rules_ref *ref = &s->refs[r->ref + w->next[at]++];
    if (w->mark[ref->target] == OPEN)
      return fail_rule(s, r, ref->line, err, SMTPF_EINVAL, "rules that refer to each other in a ring", ref->name);
    if (w->mark[ref->target] == UNSEEN) {
      w->mark[ref->target] = OPEN;
      w->stack[w->depth++] = ref->target;
    }
  }
  return SMTPF_OK;
}

/* Without recursion: a chain may be as long as there are rules. */
static int put_in_order(rules_set *s, smtpf_error *err)
{
  walk w = {0};
  size_t placed = 0;
  int r = SMTPF_ENOMEM;
  s->order = zeroed(&s->mem, s->n_rules * sizeof *s->order);
  w.mark = zeroed(&s->mem, s->n_rules);
  w.stack = zeroed(&s->mem, s->n_rules * sizeof *w.stack);
  w.next = zeroed(&s->mem, s->n_rules * sizeof *w.next);
  if (s->order && w.mark && w.stack && w.next) {
    r = SMTPF_OK;
    for (uint32_t i = 0; r == SMTPF_OK && i < s->n_rules; i++)
      if (w.mark[i] == UNSEEN) {
        w.mark[i] = OPEN;
        w.stack[w.depth++] = i;
        r = visit(s, &w, &placed, err);
      }
  }
  s->mem.free(s->mem.user, w.mark);
  s->mem.free(s->mem.user, w.stack);
  s->mem.free(s->mem.user, w.next);
  return r;
}

/* Rules that look at recipients, and those that refer to such. */
static void find_late(rules_set *s)
{
  for (size_t i = 0; i < s->n_rules; i++) {
    rules_rule *r = &s->rules[s->order[i]];
    for (size_t k = 0; k < r->n_matches; k++)
      r->late |= s->matches[r->match + k].place == RULES_RECIPIENT;
    for (size_t k = 0; k < r->n_refs; k++)
      r->late |= s->rules[s->refs[r->ref + k].target].late;
    s->n_late += r->late;
  }
}

/* ---- targets -------------------------------------------------------------------------------------------- */

static int has_field(int place)
{
  return place == RULES_HEADER || place == RULES_RAW_HEADER || place == RULES_PART;
}

static int is_any(smtpf_str field)
{
  return field.n == 1 && field.p[0] == '*';
}

static uint32_t *field_slot(const rules_set *s, int place, smtpf_str field)
{
  size_t i = rules_hash(field, (uint32_t)place) & (s->cap_fields - 1);
  for (;; i = (i + 1) & (s->cap_fields - 1)) {
    uint32_t *slot = &s->fields[i];
    if (!*slot || (s->targets[*slot - 1].place == place && smtpf_str_equal_nocase(s->targets[*slot - 1].field, field)))
      return slot;
  }
}

const rules_target *rules_target_of(const rules_set *s, int place, smtpf_str field)
{
  const uint32_t *slot = field_slot(s, place, field);
  return *slot ? &s->targets[*slot - 1] : NULL;
}

const rules_target *rules_target_at(const rules_set *s, int place)
{
  return s->fixed[place] ? &s->targets[s->fixed[place] - 1] : NULL;
}

static int target_for(rules_set *s, rules_match *m)
{
  uint32_t *slot = has_field(m->place) && !is_any(m->field) ? field_slot(s, m->place, m->field) : &s->fixed[m->place];
  if (!*slot) {
    if (rules_grow(&s->mem, (void **)&s->targets, &s->cap_targets, s->n_targets, sizeof *s->targets) != SMTPF_OK)
      return SMTPF_ENOMEM;
    rules_target *t = &s->targets[s->n_targets];
    *t = (rules_target){.place = m->place, .field = m->field};
    if (smtpf_patterns_new(&t->patterns, &s->mem) != SMTPF_OK)
      return SMTPF_ENOMEM;
    *slot = (uint32_t)++s->n_targets;
  }
  m->target = *slot - 1;
  s->places |= UINT32_C(1) << m->place;
  return SMTPF_OK;
}

/* "pattern, at its byte 12: ..." */
static int bad_pattern(const rules_set *s, const rules_match *m, size_t offset, int code, const smtpf_error *why,
                       smtpf_error *err)
{
  const smtpf_str rest = {m->pattern.p + (offset < m->pattern.n ? offset : m->pattern.n),
                          m->pattern.n - (offset < m->pattern.n ? offset : m->pattern.n)};
  char what[sizeof why->text + 64];
  static const char end[] = ", at the end of the pattern", at[] = ", before";
  size_t n = strlen(why->text);
  memcpy(what, why->text, n);
  memcpy(what + n, rest.n ? at : end, rest.n ? sizeof at : sizeof end);
  return rules_fail(s, err, code, s->rules[m->rule].file, m->line, what, rest, NULL);
}

static int add_pattern(rules_set *s, rules_match *m, smtpf_error *err)
{
  smtpf_error why = {.size = sizeof why};
  size_t offset = 0, cap;
  int r = target_for(s, m);
  if (r != SMTPF_OK)
    return r;
  rules_target *t = &s->targets[m->target];
  cap = t->cap;
  r = rules_grow(&s->mem, (void **)&t->matches, &cap, t->n, sizeof *t->matches);
  t->cap = (uint32_t)cap;
  if (r == SMTPF_OK)
    r = smtpf_patterns_add(t->patterns, m->pattern, m->flags, &m->index, &offset, &why);
  if (r == SMTPF_EPARSE || r == SMTPF_ELIMIT)
    return bad_pattern(s, m, offset, r, &why, err);
  if (r == SMTPF_OK)
    t->matches[t->n++] = (uint32_t)(m - s->matches);
  return r;
}

/* A pattern that matches no bytes at all in the midst of a text matches everything, unless it asks where it is. */
typedef struct nothing {
  rules_set *set;
  const rules_target *target;
} nothing;

static int note_nothing(void *user, const smtpf_pattern_hit *hit)
{
  const nothing *n = user;
  rules_match *m = &n->set->matches[n->target->matches[hit->index]];
  if (hit->result == SMTPF_PATTERN_HIT && hit->from == hit->to && !memchr("^$(\\", m->pattern.p[0], 4))
    m->nothing = 1;
  return 0;
}

static int seal(rules_set *s)
{
  smtpf_pattern_room *room;
  int r = smtpf_pattern_room_new(&room, &s->limits.pattern, &s->mem);
  if (r != SMTPF_OK)
    return r;
  for (size_t i = 0; r == SMTPF_OK && i < s->n_targets; i++) {
    nothing n = {s, &s->targets[i]};
    r = smtpf_patterns_seal(s->targets[i].patterns);
    if (r == SMTPF_OK)
      r = smtpf_patterns_scan(s->targets[i].patterns, room, SMTPF_LIT("\x01"), NULL, note_nothing, &n);
  }
  smtpf_pattern_room_free(room);
  return r;
}

static int make_targets(rules_set *s, smtpf_error *err)
{
  int r = SMTPF_OK;
  s->cap_fields = slots_for(s->n_matches);
  s->fields = zeroed(&s->mem, s->cap_fields * sizeof *s->fields);
  if (!s->fields)
    return SMTPF_ENOMEM;
  for (size_t i = 0; r == SMTPF_OK && i < s->n_matches; i++)
    r = add_pattern(s, &s->matches[i], err);
  return r == SMTPF_OK ? seal(s) : r;
}

/* ---- whole ---------------------------------------------------------------------------------------------- */

int rules_ready(rules_set *s, smtpf_error *err)
{
  int r = find_names(s, err);
  if (r == SMTPF_OK)
    r = put_in_order(s, err);
  if (r != SMTPF_OK)
    return r;
  find_late(s);
  return make_targets(s, err);
}

void rules_close(rules_set *s)
{
  if (!s)
    return;
  const smtpf_mem mem = s->mem;
  for (size_t i = 0; i < s->n_files; i++)
    mem.free(mem.user, s->files[i].text);
  for (size_t i = 0; i < s->n_targets; i++) {
    smtpf_patterns_free(s->targets[i].patterns);
    mem.free(mem.user, s->targets[i].matches);
  }
  void *const arrays[] = {s->files, s->rules, s->matches, s->refs, s->targets, s->order, s->names, s->fields, s};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    mem.free(mem.user, arrays[i]);
}
