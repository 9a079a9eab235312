/* SPDX-License-Identifier: MIT
 *
 * Reads the text of zone.h. Strict: what is not understood is an error with its line, never skipped.
 */
#include <string.h>

#include <smtpfilter/ext/mail.h>

#include "base/mem.h"
#include "base/str.h"
#include "name.h"
#include "zone.h"

enum {
  ARENA_CHUNK = 16384,
  ARENA_CAP = 512 * 1024 * 1024, /* a name of 127 labels has 126 ancestors: memory is a multiple of the text */
};

typedef struct word {
  smtpf_str text; /* without the quotes, escapes as written */
  int quoted;
} word;

typedef struct name_value {
  const char *name;
  int value;
} name_value;

static const name_value types[] = {
    {"A", SMTPF_DNS_A},   {"AAAA", SMTPF_DNS_AAAA}, {"CNAME", SMTPF_DNS_CNAME}, {"MX", SMTPF_DNS_MX},
    {"NS", SMTPF_DNS_NS}, {"PTR", SMTPF_DNS_PTR},   {"TXT", SMTPF_DNS_TXT},
};
static const name_value statuses[] = {
    {"NXDOMAIN", SMTPF_DNS_NXDOMAIN},
    {"NODATA", SMTPF_DNS_NODATA},
    {"SERVFAIL", SMTPF_DNS_SERVFAIL},
    {"TIMEOUT", SMTPF_DNS_TIMEOUT},
};

static int value_of(const name_value *table, size_t n, const word *w)
{
  for (size_t i = 0; i < n && !w->quoted; i++)
    if (smtpf_str_equal_nocase(smtpf_str_of(table[i].name), w->text))
      return table[i].value;
  return 0;
}

static int type_of(const word *w)
{
  return value_of(types, sizeof types / sizeof *types, w);
}

static int status_of(const word *w)
{
  return value_of(statuses, sizeof statuses / sizeof *statuses, w);
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static void skip(smtpf_str *s, size_t n)
{
  s->p += n;
  s->n -= n;
}

/* Takes the next word off the line: SMTPF_OK, SMTPF_ENOTFOUND at its end or at a comment, SMTPF_EPARSE. */
static int next_word(smtpf_str *line, word *out)
{
  while (line->n && is_blank(line->p[0]))
    skip(line, 1);
  if (line->n == 0 || line->p[0] == ';' || line->p[0] == '#')
    return SMTPF_ENOTFOUND;
  out->quoted = line->p[0] == '"';
  if (out->quoted)
    skip(line, 1);
  size_t n = 0;
  if (out->quoted) {
    while (n < line->n && line->p[n] != '"')
      n += line->p[n] == '\\' ? 2 : 1;
    if (n >= line->n)
      return SMTPF_EPARSE;
  } else {
    while (n < line->n && !is_blank(line->p[n]))
      if (line->p[n++] == '"')
        return SMTPF_EPARSE;
  }
  out->text = (smtpf_str){line->p, n};
  skip(line, n + (out->quoted ? 1 : 0));
  if (out->quoted && line->n && !is_blank(line->p[0]) && line->p[0] != '"')
    return SMTPF_EPARSE;
  return SMTPF_OK;
}

/* Resolves `\X` and `\DDD`; never longer than what it came from. */
static int unescape(smtpf_str s, smtpf_out *o)
{
  for (size_t i = 0; i < s.n; i++) {
    uint64_t code;
    if (s.p[i] != '\\') {
      smtpf_out_char(o, s.p[i]);
    } else if (++i >= s.n) {
      return SMTPF_EPARSE;
    } else if (!smtpf_is_digit(s.p[i])) {
      smtpf_out_char(o, s.p[i]);
    } else if (s.n - i < 3 || smtpf_str_uint((smtpf_str){s.p + i, 3}, 255, &code) != SMTPF_OK) {
      return SMTPF_EPARSE;
    } else {
      smtpf_out_char(o, (char)(unsigned char)code);
      i += 2;
    }
  }
  return SMTPF_OK;
}

static int read_txt(smtpf_zone *zone, word w, smtpf_str *line, smtpf_dns_record *r)
{
  const size_t cap = w.text.n + line->n;
  char *room = smtpf_arena_bytes(&zone->arena, cap + 1);
  if (!room)
    return SMTPF_ENOMEM;
  smtpf_out o;
  smtpf_out_init(&o, room, cap);
  int code;
  do {
    if (!w.quoted)
      smtpf_out_str(&o, w.text);
    else if (unescape(w.text, &o) != SMTPF_OK)
      return SMTPF_EPARSE;
    code = next_word(line, &w);
  } while (code == SMTPF_OK);
  r->text = smtpf_out_done(&o);
  return code == SMTPF_ENOTFOUND ? SMTPF_OK : code;
}

/* A name as data. `.` alone is the root, written as the empty string (null MX, RFC 7505). */
static int read_name(smtpf_zone *zone, const word *w, smtpf_dns_record *r)
{
  char name[SMTPF_DNS_NAME_MAX + 1];
  size_t n = 0;
  if (w->quoted)
    return SMTPF_EPARSE;
  int root = w->text.n == 1 && w->text.p[0] == '.';
  if (root ? r->type == SMTPF_DNS_CNAME : smtpf_dns_name_fold(w->text, name, &n) != SMTPF_OK)
    return SMTPF_EPARSE;
  return smtpf_arena_copy(&zone->arena, (smtpf_str){name, n}, &r->text);
}

static int read_ip(const word *w, smtpf_dns_record *r)
{
  smtpf_ip ip;
  char first = w->text.n && !w->quoted ? w->text.p[0] : '\0';
  int six = first != '\0' && memchr(w->text.p, ':', w->text.n) != NULL;
  if (first == '[' || first == 'I' || first == 'i' || six != (r->type == SMTPF_DNS_AAAA) ||
      smtpf_ip_parse(w->text, &ip) != SMTPF_OK)
    return SMTPF_EPARSE;
  if (six && ip.family == 4) { /* ::ffff:192.0.2.1: an AAAA record is sixteen bytes whatever they mean */
    memcpy(ip.bytes + 12, ip.bytes, 4);
    memset(ip.bytes, 0, 10);
    memset(ip.bytes + 10, 0xff, 2);
    ip.family = 6;
  }
  r->ip = ip;
  return SMTPF_OK;
}

/* RDATA; `w` is its first word. */
static int read_record(smtpf_zone *zone, word w, smtpf_str *line, smtpf_dns_record *r)
{
  uint64_t preference;
  int code;
  switch (r->type) {
  case SMTPF_DNS_TXT: return read_txt(zone, w, line, r);
  case SMTPF_DNS_A:
  case SMTPF_DNS_AAAA: code = read_ip(&w, r); break;
  case SMTPF_DNS_MX:
    if (w.quoted || smtpf_str_uint(w.text, UINT16_MAX, &preference) != SMTPF_OK || next_word(line, &w) != SMTPF_OK)
      return SMTPF_EPARSE;
    r->preference = (uint16_t)preference;
    code = read_name(zone, &w, r);
    break;
  default: code = read_name(zone, &w, r); break;
  }
  if (code == SMTPF_OK && next_word(line, &w) != SMTPF_ENOTFOUND)
    return SMTPF_EPARSE;
  return code;
}

/* The set for a line of this type and status. Data and status of one type contradict each other, and a name has one
 * alias. */
static int set_for(smtpf_zone *zone, smtpf_zone_node *node, int type, int status, uint32_t ttl, smtpf_zone_set **out)
{
  smtpf_zone_set *set = smtpf_zone_set_find(node, type);
  if (set) {
    if (set->status != SMTPF_DNS_OK || status != SMTPF_DNS_OK || type == SMTPF_DNS_CNAME)
      return SMTPF_EPARSE;
    set->ttl = ttl < set->ttl ? ttl : set->ttl;
    *out = set;
    return SMTPF_OK;
  }
  set = smtpf_arena_alloc(&zone->arena, sizeof *set);
  if (!set)
    return SMTPF_ENOMEM;
  set->type = type;
  set->status = status;
  set->ttl = ttl;
  set->next = node->sets;
  node->sets = set;
  *out = set;
  return SMTPF_OK;
}

/* Sets grow by doubling inside the arena; what is left behind is at most what is kept. */
static int add_record(smtpf_zone *zone, smtpf_zone_set *set, const smtpf_dns_record *r)
{
  if (set->count == set->cap) {
    size_t cap = set->cap ? set->cap * 2 : 1;
    smtpf_dns_record *bigger = smtpf_arena_alloc(&zone->arena, cap * sizeof *bigger);
    if (!bigger)
      return SMTPF_ENOMEM;
    if (set->count)
      memcpy(bigger, set->records, set->count * sizeof *bigger);
    set->records = bigger;
    set->cap = cap;
  }
  set->records[set->count++] = *r;
  return SMTPF_OK;
}

/* What follows the name and the TTL. */
static int read_data(smtpf_zone *zone, smtpf_str name, const uint32_t *ttl, word w, smtpf_str *line)
{
  int type = type_of(&w), status = SMTPF_DNS_OK, code;
  if (!type && (status = status_of(&w)) == 0)
    return SMTPF_EPARSE;
  smtpf_dns_record r = {.type = type, .ttl = ttl ? *ttl : SMTPF_ZONE_TTL};
  if (type) {
    if (next_word(line, &w) != SMTPF_OK)
      return SMTPF_EPARSE;
    if ((status = status_of(&w)) == 0) {
      if ((code = read_record(zone, w, line, &r)) != SMTPF_OK)
        return code;
      status = SMTPF_DNS_OK;
    }
  }
  if (status != SMTPF_DNS_OK && next_word(line, &w) != SMTPF_ENOTFOUND)
    return SMTPF_EPARSE;
  smtpf_zone_node *node = smtpf_zone_node_make(zone, name);
  if (!node)
    return SMTPF_ENOMEM;
  uint32_t keep = status != SMTPF_DNS_OK && !ttl ? SMTPF_ZONE_TTL_NEGATIVE : r.ttl;
  smtpf_zone_set *set;
  code = set_for(zone, node, type ? type : SMTPF_ZONE_ANY, status, keep, &set);
  return code == SMTPF_OK && status == SMTPF_DNS_OK ? add_record(zone, set, &r) : code;
}

static int read_line(smtpf_zone *zone, smtpf_str line)
{
  word w;
  int code = next_word(&line, &w);
  if (code != SMTPF_OK)
    return code == SMTPF_ENOTFOUND ? SMTPF_OK : code;
  char name[SMTPF_DNS_NAME_MAX + 1];
  size_t n;
  if (w.quoted || smtpf_dns_name_fold(w.text, name, &n) != SMTPF_OK || next_word(&line, &w) != SMTPF_OK)
    return SMTPF_EPARSE;
  uint64_t number;
  uint32_t ttl;
  int has_ttl = !w.quoted && smtpf_str_uint(w.text, INT32_MAX, &number) == SMTPF_OK;
  if (has_ttl) {
    ttl = (uint32_t)number;
    if (next_word(&line, &w) != SMTPF_OK)
      return SMTPF_EPARSE;
  }
  if (!w.quoted && smtpf_str_equal_nocase(w.text, SMTPF_LIT("IN")) && next_word(&line, &w) != SMTPF_OK)
    return SMTPF_EPARSE;
  return read_data(zone, (smtpf_str){name, n}, has_ttl ? &ttl : NULL, w, &line);
}

int smtpf_zone_new(smtpf_zone **out, smtpf_str text, const smtpf_mem *mem, size_t *line)
{
  /* The text is written by whoever runs us, not by a peer: a fixed seed is enough and makes runs equal. */
  static const uint64_t seed[2] = {0x7a6f6e65u, 0x74657874u};
  smtpf_mem m = smtpf_mem_or_default(mem);
  smtpf_zone *zone = smtpf_mem_zalloc(&m, sizeof *zone);
  size_t at = 0;
  int code = zone ? SMTPF_OK : SMTPF_ENOMEM;
  if (zone) {
    zone->mem = m;
    smtpf_arena_init(&zone->arena, &zone->mem, ARENA_CHUNK, ARENA_CAP);
    smtpf_map_init(&zone->nodes, &zone->mem, seed);
  }
  while (code == SMTPF_OK && text.p) {
    at++;
    code = read_line(zone, smtpf_str_cut(&text, '\n'));
  }
  if (code != SMTPF_OK) {
    smtpf_zone_free(zone);
    if (line)
      *line = at;
    return code;
  }
  *out = zone;
  return SMTPF_OK;
}
