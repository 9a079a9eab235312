/* SPDX-License-Identifier: MIT
 *
 * trie: which of many prefixes is the longest that contains an address.
 *
 * A node stands for six bits of the address: sixty-four slots. Bitmaps say what a slot holds, and where it is in the
 * node's arrays is the number of set bits before its own:
 *
 *     child  a node below             leaf  the only prefix below, whole
 *     full   a prefix of six bits     part  prefixes of none to five bits, as a binary heap: bit (1 << n) + first n
 * bits
 *
 * A lone prefix costs a leaf and no node. Levels at which nothing branches are left out, four at most: the bits that
 * are skipped stand in the node below them. IPv4 addresses get four zero bits in front, so that their last level is
 * full. A prefix of n > 0 bits belongs to the level of its last bit; which nodes there are follows from the set alone,
 * save that chains of more than four skipped levels are cut where the first two prefixes met.
 */
#include <smtpfilter/ext/mail.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/pool.h"

enum { STRIDE = 6, SLOTS = 1 << STRIDE, SKIP_MAX = 4, PAD4 = 4 };

struct node {
  uint64_t child, leaf, full, part;
  uint32_t nodes, leaves, values; /* arrays in the pools; values: those of `full`, then those of `part` */
  uint32_t skip;                  /* levels left out above it << 24, and their bits */
};

/* The first `len` bits of hi:lo. For an address being looked up `len` has no meaning. */
struct key {
  uint64_t hi, lo;
  unsigned len;
};

struct leaf4 {
  uint32_t bits, len, value;
};
struct leaf6 {
  uint32_t bits[4], len, value;
};

struct smtpf_trie {
  smtpf_mem mem;
  size_t count;
  smtpf_pool nodes; /* 0 is the root of IPv4, 1 of IPv6 */
  smtpf_pool values;
  smtpf_pool leaves[2]; /* leaf4, leaf6 */
};

/* ---- bits --------------------------------------------------------------------------------------- */

static inline unsigned ones(uint64_t v)
{
  v -= (v >> 1) & 0x5555555555555555u;
  v = (v & 0x3333333333333333u) + ((v >> 2) & 0x3333333333333333u);
  v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return (unsigned)((v * 0x0101010101010101u) >> 56);
}

/* Index of the highest set bit; v is not 0. */
static inline unsigned highest(uint64_t v)
{
#if defined(__GNUC__)
  return 63u - (unsigned)__builtin_clzll(v);
#else
  unsigned n = 0;
  while (v >>= 1)
    n++;
  return n;
#endif
}

static inline uint64_t bit(unsigned i)
{
  return (uint64_t)1 << i;
}

/* How many bits of `set` are below bit i: the place of i's element in its array. */
static inline unsigned rank(uint64_t set, unsigned i)
{
  return ones(set & (bit(i) - 1));
}

/* `n` bits (1-24) of a key from bit `pos` on, zeros beyond its end. */
static inline uint32_t bits_at(const struct key *k, unsigned pos, unsigned n)
{
  uint64_t v = pos < 64 ? k->hi << pos | (k->lo >> 1) >> (63 - pos) : k->lo << (pos - 64);
  return (uint32_t)(v >> (64 - n));
}

static inline unsigned slot_at(const struct key *k, unsigned pos)
{
  return bits_at(k, pos, STRIDE);
}

/* How many leading bits two keys share, 128 at most. */
static inline unsigned shared(const struct key *a, const struct key *b)
{
  if (a->hi != b->hi)
    return 63 - highest(a->hi ^ b->hi);
  return a->lo != b->lo ? 127 - highest(a->lo ^ b->lo) : 128;
}

/* The level a prefix belongs to, as the position of its first bit. */
static inline unsigned home(const struct key *k)
{
  return k->len ? (k->len - 1) / STRIDE * STRIDE : 0;
}

/* Place in a heap of the first `n` bits of slot i. */
static inline unsigned heap_place(unsigned i, unsigned n)
{
  return 1u << n | i >> (STRIDE - n);
}

/* The heap places of everything that contains slot i. */
static inline uint64_t heap_path(unsigned i)
{
  return bit(1) | bit(2 | i >> 5) | bit(4 | i >> 4) | bit(8 | i >> 3) | bit(16 | i >> 2) | bit(32 | i >> 1);
}

/* ---- keys --------------------------------------------------------------------------------------- */

static uint64_t big_endian(const uint8_t *p, int n)
{
  uint64_t v = 0;
  for (int i = 0; i < n; i++)
    v = v << 8 | p[i];
  return v;
}

static struct key key_of(const smtpf_ip *ip)
{
  if (ip->family == 4)
    return (struct key){.hi = big_endian(ip->bytes, 4) << (32 - PAD4)};
  return (struct key){.hi = big_endian(ip->bytes, 8), .lo = big_endian(ip->bytes + 8, 8)};
}

/* Clears what is behind the first k->len bits. */
static void mask(struct key *k)
{
  k->hi &= k->len >= 64 ? UINT64_MAX : ~(UINT64_MAX >> k->len);
  k->lo &= k->len >= 128 ? UINT64_MAX : k->len > 64 ? ~(UINT64_MAX >> (k->len - 64)) : 0;
}

static smtpf_prefix prefix_of(struct key k, int family)
{
  smtpf_prefix p = {.ip.family = (uint8_t)family};
  mask(&k);
  p.len = (uint8_t)(family == 4 ? k.len - PAD4 : k.len);
  uint64_t hi = family == 4 ? k.hi << PAD4 : k.hi;
  for (int i = 0; i < (family == 4 ? 4 : 8); i++) {
    p.ip.bytes[i] = (uint8_t)(hi >> (56 - 8 * i));
    if (family == 6)
      p.ip.bytes[8 + i] = (uint8_t)(k.lo >> (56 - 8 * i));
  }
  return p;
}

/* ---- leaves ------------------------------------------------------------------------------------- */

static struct key leaf_key(const smtpf_trie *t, unsigned which, uint32_t index, uint32_t *value)
{
  const void *p = smtpf_pool_at(&t->leaves[which], index);
  if (which == 0) {
    const struct leaf4 *l = p;
    *value = l->value;
    return (struct key){.hi = (uint64_t)l->bits << (32 - PAD4), .len = l->len};
  }
  const struct leaf6 *l = p;
  *value = l->value;
  return (struct key){
      .hi = (uint64_t)l->bits[0] << 32 | l->bits[1], .lo = (uint64_t)l->bits[2] << 32 | l->bits[3], .len = l->len};
}

static int leaf_insert(smtpf_trie *t, unsigned which, uint32_t *base, uint64_t set, unsigned slot, const struct key *k,
                       uint32_t value)
{
  struct leaf4 l4 = {(uint32_t)(k->hi >> (32 - PAD4)), k->len, value};
  struct leaf6 l6 = {
      {(uint32_t)(k->hi >> 32), (uint32_t)k->hi, (uint32_t)(k->lo >> 32), (uint32_t)k->lo}, k->len, value};
  const void *leaf = which == 0 ? (const void *)&l4 : (const void *)&l6;
  return smtpf_pool_insert(&t->leaves[which], &t->mem, base, ones(set), rank(set, slot), leaf);
}

/* Gives the leaf a new value if it is k's. 1 when it is. */
static int leaf_replace(smtpf_trie *t, unsigned which, uint32_t index, const struct key *k, uint32_t value)
{
  uint32_t before;
  const struct key old = leaf_key(t, which, index, &before);
  if (old.len != k->len || old.hi != k->hi || old.lo != k->lo)
    return 0;
  void *p = smtpf_pool_at(&t->leaves[which], index);
  if (which == 0)
    ((struct leaf4 *)p)->value = value;
  else
    ((struct leaf6 *)p)->value = value;
  return 1;
}

/* ---- growing ------------------------------------------------------------------------------------ */

static struct node *node_at(const smtpf_trie *t, uint32_t index)
{
  return (struct node *)t->nodes.v + index;
}

/* Puts into node n, at level `pos`, a prefix that belongs there. 1 when it is new, 0 when it replaced a value. */
static int put_value(smtpf_trie *t, struct node *n, unsigned pos, const struct key *k, uint32_t value)
{
  const unsigned len = k->len - pos, slot = slot_at(k, pos), fulls = ones(n->full);
  const unsigned place = len == STRIDE ? slot : heap_place(slot, len);
  uint64_t *set = len == STRIDE ? &n->full : &n->part;
  const unsigned at = (len == STRIDE ? 0 : fulls) + rank(*set, place);
  if (*set & bit(place)) {
    *(uint32_t *)smtpf_pool_at(&t->values, n->values + at) = value;
    return 0;
  }
  int r = smtpf_pool_insert(&t->values, &t->mem, &n->values, fulls + ones(n->part), at, &value);
  if (r != SMTPF_OK)
    return r;
  *set |= bit(place);
  return 1;
}

/* Two prefixes meet in a slot of node `index`: the leaf there gives way to a node that holds it, at the level where
 * they part or one of them belongs, or on the way to it. SMTPF_OK, or SMTPF_ENOMEM with nothing changed. */
static int split_leaf(smtpf_trie *t, unsigned which, uint32_t index, unsigned pos, const struct key *k)
{
  struct node *n = node_at(t, index);
  const unsigned slot = slot_at(k, pos);
  uint32_t value;
  const struct key old = leaf_key(t, which, n->leaves + rank(n->leaf, slot), &value);
  unsigned level = shared(&old, k) / STRIDE * STRIDE;
  level = level < home(k) ? level : home(k);
  level = level < home(&old) ? level : home(&old);
  unsigned skip = (level - pos) / STRIDE - 1;
  skip = skip < SKIP_MAX ? skip : SKIP_MAX;
  level = pos + (1 + skip) * STRIDE;

  struct node below = {.skip = skip ? skip << 24 | bits_at(&old, pos + STRIDE, skip * STRIDE) : 0};
  const int is_value = home(&old) == level;
  int r;
  if (is_value) {
    r = put_value(t, &below, level, &old, value);
  } else {
    r = leaf_insert(t, which, &below.leaves, 0, slot_at(&old, level), &old, value);
    below.leaf = bit(slot_at(&old, level));
  }
  if (r < 0)
    return r;
  uint32_t base = n->nodes;
  r = smtpf_pool_insert(&t->nodes, &t->mem, &base, ones(n->child), rank(n->child, slot), &below);
  if (r != SMTPF_OK) {
    smtpf_pool_remove(is_value ? &t->values : &t->leaves[which], is_value ? below.values : below.leaves, 1, 0);
    return r;
  }
  n = node_at(t, index);
  n->nodes = base;
  n->child |= bit(slot);
  smtpf_pool_remove(&t->leaves[which], n->leaves, ones(n->leaf), rank(n->leaf, slot));
  n->leaf &= ~bit(slot);
  return SMTPF_OK;
}

/* Puts a node in front of node `index`, behind the first `keep` of the levels it skips. */
static int split_skip(smtpf_trie *t, uint32_t index, unsigned keep)
{
  struct node old = *node_at(t, index);
  const unsigned skip = old.skip >> 24, rest = skip - keep - 1;
  const uint32_t bits = old.skip & 0xffffff;
  old.skip = rest ? rest << 24 | (bits & ((1u << rest * STRIDE) - 1)) : 0;
  struct node front = {.child = bit(bits >> rest * STRIDE & (SLOTS - 1)),
                       .skip = keep ? keep << 24 | bits >> (rest + 1) * STRIDE : 0};
  int r = smtpf_pool_insert(&t->nodes, &t->mem, &front.nodes, 0, 0, &old);
  if (r == SMTPF_OK)
    *node_at(t, index) = front;
  return r;
}

/* How many of the levels that the node skips, from `pos` on, lie on k's way and above its home. */
static unsigned levels_followed(const struct node *n, unsigned pos, const struct key *k)
{
  const unsigned skip = n->skip >> 24;
  unsigned i = 0;
  for (; i < skip && home(k) > pos + i * STRIDE; i++)
    if (slot_at(k, pos + i * STRIDE) != (n->skip >> (skip - 1 - i) * STRIDE & (SLOTS - 1)))
      break;
  return i;
}

/* Walks down to where k belongs, making room on the way. 1 when it is new, 0 when a value was replaced, or
 * SMTPF_ENOMEM. */
static int add(smtpf_trie *t, unsigned which, const struct key *k, uint32_t value)
{
  uint32_t index = which;
  unsigned pos = 0;
  for (;;) {
    struct node *n = node_at(t, index);
    if (home(k) == pos)
      return put_value(t, n, pos, k, value);
    const unsigned slot = slot_at(k, pos);
    if (n->child & bit(slot)) {
      index = n->nodes + rank(n->child, slot);
      pos += STRIDE;
      unsigned skip = node_at(t, index)->skip >> 24, follow = levels_followed(node_at(t, index), pos, k);
      if (follow < skip && split_skip(t, index, follow) != SMTPF_OK)
        return SMTPF_ENOMEM;
      pos += follow * STRIDE;
      continue;
    }
    if (!(n->leaf & bit(slot))) {
      if (leaf_insert(t, which, &n->leaves, n->leaf, slot, k, value) != SMTPF_OK)
        return SMTPF_ENOMEM;
      n->leaf |= bit(slot);
      return 1;
    }
    if (leaf_replace(t, which, n->leaves + rank(n->leaf, slot), k, value))
      return 0;
    if (split_leaf(t, which, index, pos, k) != SMTPF_OK)
      return SMTPF_ENOMEM;
  }
}

/* ---- looking up --------------------------------------------------------------------------------- */

/* The longest prefix of node n, at level `pos`, that contains the address; there is one. */
static uint32_t node_value(const smtpf_trie *t, const struct node *n, unsigned pos, struct key *k)
{
  const unsigned slot = slot_at(k, pos);
  unsigned at = rank(n->full, slot), len = STRIDE;
  if (!(n->full & bit(slot))) {
    const unsigned place = highest(n->part & heap_path(slot));
    at = ones(n->full) + rank(n->part, place);
    len = highest(place);
  }
  k->len = pos + len;
  return *(const uint32_t *)smtpf_pool_at(&t->values, n->values + at);
}

/* Writes the value, and into k->len how long the prefix is. 1 when there is one. */
static int find(const smtpf_trie *t, unsigned which, struct key *k, uint32_t *value)
{
  const struct node *nodes = t->nodes.v, *n = nodes + which, *best = NULL;
  unsigned pos = 0, best_pos = 0;
  for (;;) {
    const unsigned slot = slot_at(k, pos);
    if ((n->full & bit(slot)) || (n->part & heap_path(slot))) {
      best = n;
      best_pos = pos;
    }
    if (!(n->child & bit(slot))) {
      if (!(n->leaf & bit(slot)))
        break;
      const struct key leaf = leaf_key(t, which, n->leaves + rank(n->leaf, slot), value);
      if (shared(&leaf, k) < leaf.len)
        break;
      k->len = leaf.len;
      return 1;
    }
    n = nodes + n->nodes + rank(n->child, slot);
    pos += STRIDE;
    if (n->skip) {
      const unsigned skipped = (n->skip >> 24) * STRIDE;
      if (bits_at(k, pos, skipped) != (n->skip & 0xffffff))
        break;
      pos += skipped;
    }
  }
  if (best)
    *value = node_value(t, best, best_pos, k);
  return best != NULL;
}

/* ---- the public face ---------------------------------------------------------------------------- */

int smtpf_trie_new(smtpf_trie **out, const smtpf_mem *mem)
{
  const smtpf_mem m = smtpf_mem_or_default(mem);
  smtpf_trie *t = smtpf_mem_zalloc(&m, sizeof *t);
  if (!t)
    return SMTPF_ENOMEM;
  t->mem = m;
  if (smtpf_pool_init(&t->nodes, &t->mem, sizeof(struct node), 2) != SMTPF_OK ||
      smtpf_pool_init(&t->values, &t->mem, sizeof(uint32_t), 1) != SMTPF_OK ||
      smtpf_pool_init(&t->leaves[0], &t->mem, sizeof(struct leaf4), 1) != SMTPF_OK ||
      smtpf_pool_init(&t->leaves[1], &t->mem, sizeof(struct leaf6), 1) != SMTPF_OK) {
    smtpf_trie_free(t);
    return SMTPF_ENOMEM;
  }
  *out = t;
  return SMTPF_OK;
}

void smtpf_trie_free(smtpf_trie *t)
{
  if (!t)
    return;
  const smtpf_mem mem = t->mem;
  smtpf_pool_free(&t->nodes, &mem);
  smtpf_pool_free(&t->values, &mem);
  smtpf_pool_free(&t->leaves[0], &mem);
  smtpf_pool_free(&t->leaves[1], &mem);
  smtpf_mem_free(&mem, t);
}

int smtpf_trie_add(smtpf_trie *t, const smtpf_prefix *p, uint32_t value)
{
  const int four = p->ip.family == 4;
  if ((!four && p->ip.family != 6) || p->len > (four ? 32 : 128))
    return SMTPF_EINVAL;
  struct key k = key_of(&p->ip);
  k.len = four ? p->len + (unsigned)PAD4 : p->len;
  mask(&k);
  int r = add(t, four ? 0 : 1, &k, value);
  if (r < 0)
    return r;
  t->count += (size_t)r;
  return SMTPF_OK;
}

int smtpf_trie_find(const smtpf_trie *t, const smtpf_ip *ip, uint32_t *value, smtpf_prefix *match)
{
  uint32_t v;
  if (ip->family != 4 && ip->family != 6)
    return 0;
  struct key k = key_of(ip);
  if (!find(t, ip->family == 4 ? 0 : 1, &k, &v))
    return 0;
  if (value)
    *value = v;
  if (match)
    *match = prefix_of(k, ip->family);
  return 1;
}

size_t smtpf_trie_count(const smtpf_trie *t)
{
  return t->count;
}

size_t smtpf_trie_memory(const smtpf_trie *t)
{
  const smtpf_pool *pools[] = {&t->nodes, &t->values, &t->leaves[0], &t->leaves[1]};
  size_t n = sizeof *t;
  for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
    n += (size_t)pools[i]->cap * pools[i]->elem;
  return n;
}

int smtpf_trie_add_text(smtpf_trie *t, smtpf_str text, uint32_t value, size_t *line)
{
  for (size_t number = 1; text.n; number++) {
    smtpf_str entry = smtpf_str_trim(smtpf_str_cut(&text, '\n'));
    size_t n = 0;
    while (n < entry.n && !memchr(" \t#;", entry.p[n], 4))
      n++;
    if (n == 0)
      continue;
    smtpf_prefix p;
    int r = smtpf_prefix_parse((smtpf_str){entry.p, n}, &p);
    if (r == SMTPF_OK)
      r = smtpf_trie_add(t, &p, value);
    if (r != SMTPF_OK) {
      if (line)
        *line = number;
      return r;
    }
  }
  return SMTPF_OK;
}
