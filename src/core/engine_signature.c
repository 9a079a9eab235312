/* SPDX-License-Identifier: MIT
 *
 * What a policy says of signed addresses: domains, keys, ages.
 */
#include "base/mem.h"
#include "base/str.h"
#include "engine.h"

enum {
  KEY_MIN = 16, /* bytes: who gets one signed address can try keys at home */
  KEYS_MAX = 16,
  FILE_ROOM = 16 * 1024,
};
static const int64_t DAY_MS = 86400 * 1000;

/* Keys as they are found, the first one first. */
typedef struct keys {
  smtpf_engine *e;
  smtpf_str v[KEYS_MAX];
  size_t n;
} keys;

/* Never with the key in its text. */
static int fail(const keys *k, const char *option, smtpf_error *err, const char *what, const char *expected)
{
  return smtpf_section_fail(k->e->tree.root, option, err, SMTPF_EINVAL, what, (smtpf_str){"", 0}, expected);
}

static int add(keys *k, const char *option, smtpf_str key, smtpf_error *err)
{
  if (key.n < KEY_MIN)
    return fail(k, option, err, "a key is too short", "at least 16 bytes, e.g. of `openssl rand -base64 24`");
  if (k->n == KEYS_MAX)
    return fail(k, option, err, "too many keys", "at most 16, those of `keys` and of `key_file` together");
  k->v[k->n++] = key;
  return SMTPF_OK;
}

static int add_lines(keys *k, const char *option, smtpf_str text, smtpf_error *err)
{
  int r = SMTPF_OK;
  while (r == SMTPF_OK && text.n) {
    smtpf_str line = smtpf_str_trim(smtpf_str_cut(&text, '\n'));
    if (!line.n || line.p[0] == '#')
      continue;
    r = smtpf_arena_copy(&k->e->tree.arena, line, &line);
    if (r == SMTPF_OK)
      r = add(k, option, line, err);
  }
  return r;
}

/* One key a line. */
static int read_file(keys *k, const smtpf_config *cfg, const char *option, int *exposed, smtpf_error *err)
{
  const smtpf_str path = smtpf_section_string(k->e->tree.root, option);
  size_t n = 0, before = k->n;
  if (!path.n)
    return SMTPF_OK;
  char *room = smtpf_mem_alloc(&k->e->mem, FILE_ROOM);
  if (!room)
    return SMTPF_ENOMEM;
  int r = cfg->read_file ? cfg->read_file(path.p, room, FILE_ROOM, &n, exposed) : SMTPF_EUNSUPPORTED;
  if (r == SMTPF_OK)
    r = add_lines(k, option, (smtpf_str){room, n}, err);
  else
    r = smtpf_section_fail(k->e->tree.root, option, err, r, "cannot be read", path, "a file with one key a line");
  if (r == SMTPF_OK && k->n == before)
    r = fail(k, option, err, "holds no key", "one a line");
  volatile char *secret = room; /* which the compiler must not leave there */
  for (size_t i = 0; i < FILE_ROOM; i++)
    secret[i] = 0;
  smtpf_mem_free(&k->e->mem, room);
  return r;
}

static int read_keys(smtpf_engine *e, const smtpf_config *cfg, const char *list, const char *file, smtpf_signer *out,
                     int *exposed, smtpf_error *err)
{
  keys k = {.e = e};
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < smtpf_section_count(e->tree.root, list); i++)
    r = add(&k, list, smtpf_section_string_at(e->tree.root, list, i), err);
  if (r == SMTPF_OK)
    r = read_file(&k, cfg, file, exposed, err);
  if (r != SMTPF_OK || !k.n)
    return r;
  smtpf_str *v = smtpf_arena_alloc(&e->tree.arena, k.n * sizeof *v);
  if (!v)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < k.n; i++)
    v[i] = k.v[i];
  out->keys = v;
  out->n = k.n;
  return SMTPF_OK;
}

/* ---- SRS ----------------------------------------------------------------------------------------------------------
 */

/* Local, as whoever takes its mail must see it; `alone`: nothing but signed addresses is there. */
static int read_srs_domain(smtpf_engine *e, smtpf_error *err)
{
  const smtpf_str name = smtpf_section_string(e->tree.root, "srs.domain");
  const int form = smtpf_domain_form(name);
  if (form != SMTPF_DOMAIN_QUALIFIED && form != SMTPF_DOMAIN_UTF8)
    return smtpf_section_fail(e->tree.root, "srs.domain", err, SMTPF_EPARSE, "not a domain", name,
                              "a name such as forwards.example.org");
  int r = smtpf_engine_lower_copy(e, name, &e->signing.srs.domain);
  if (r != SMTPF_OK || smtpf_map_get(&e->local_domains, e->signing.srs.domain))
    return r;
  e->signing.srs_alone = 1;
  return smtpf_map_set(&e->local_domains, e->signing.srs.domain, e);
}

static int read_srs(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  static const char separators[] = "=+-";
  const smtpf_section *root = e->tree.root;
  smtpf_srs *srs = &e->signing.srs;
  int r = read_keys(e, cfg, "srs.keys", "srs.key_file", &srs->signer, &e->signing.exposed[0], err);
  if (r != SMTPF_OK)
    return r;
  const int has_domain = smtpf_section_has(root, "srs.domain");
  if (has_domain != (srs->signer.n > 0))
    return smtpf_section_fail(root, has_domain ? "srs.domain" : "srs.keys", err, SMTPF_EINVAL, "is not enough",
                              (smtpf_str){"", 0}, "`srs.domain`, and `srs.keys` or `srs.key_file`");
  srs->separator = separators[smtpf_section_number(root, "srs.separator")];
  srs->hash_length = (uint8_t)smtpf_section_number(root, "srs.hash_length");
  srs->hash_min = (uint8_t)smtpf_section_number(root, "srs.hash_min");
  srs->max_age_days = smtpf_section_number(root, "srs.max_age") / DAY_MS;
  if (srs->hash_min > srs->hash_length)
    return smtpf_section_fail(root, "srs.hash_min", err, SMTPF_EINVAL, "is more than `srs.hash_length`",
                              (smtpf_str){"", 0}, "at most as much");
  return has_domain ? read_srs_domain(e, err) : SMTPF_OK;
}

/* ---- BATV ---------------------------------------------------------------------------------------------------------
 */

/* `user@domain` as it is, `@domain` without its sign. */
static int read_exempt(smtpf_engine *e, smtpf_error *err)
{
  const smtpf_section *root = e->tree.root;
  for (size_t i = 0; i < smtpf_section_count(root, "batv.exempt"); i++) {
    const smtpf_str text = smtpf_section_string_at(root, "batv.exempt", i);
    smtpf_str key = text;
    smtpf_path path;
    const int is_domain = text.n > 1 && text.p[0] == '@';
    if (is_domain)
      key = (smtpf_str){text.p + 1, text.n - 1};
    if (is_domain ? smtpf_domain_form(key) == SMTPF_DOMAIN_BAD : smtpf_mailbox_parse(text, &path) != SMTPF_OK)
      return smtpf_section_fail(root, "batv.exempt", err, SMTPF_EPARSE, "not an address", text,
                                "`user@domain` or `@domain`");
    int r = smtpf_engine_lower_copy(e, key, &key);
    if (r == SMTPF_OK)
      r = smtpf_map_set(&e->signing.exempt, key, e);
    if (r != SMTPF_OK)
      return r;
  }
  return SMTPF_OK;
}

static int read_batv(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  smtpf_prvs *prvs = &e->signing.prvs;
  int r = read_keys(e, cfg, "batv.keys", "batv.key_file", &prvs->signer, &e->signing.exposed[1], err);
  prvs->max_age_days = smtpf_section_number(e->tree.root, "batv.max_age") / DAY_MS;
  return r == SMTPF_OK ? read_exempt(e, err) : r;
}

int smtpf_engine_read_signing(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  int r = read_srs(e, cfg, err);
  return r == SMTPF_OK ? read_batv(e, cfg, err) : r;
}
