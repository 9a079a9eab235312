/* SPDX-License-Identifier: MIT
 *
 * trie: which of many prefixes is the longest that contains an address.
 *
 * A node stands for six bits of the address: sixty-four slots. Bitmaps say what a slot holds, and where it is in the
 * node's arrays follows from the number of set bits before its own:
 *
 *     child  a node below             leaf  the only one to four prefixes below, whole; how many more than one: more
 *     full   a prefix of six bits     part  prefixes of none to five bits, as a binary heap: bit (1 << n) + first n
 * bits
 *
 * Few prefixes cost leaves and no node, and lie side by side: a look-up in a large set misses the cache once or
 * twice. Levels at which nothing branches are left out, four at most: the bits that are skipped stand in the node below
 * them. IPv4 addresses get four zero bits in front, so that their last level is full. A prefix of n > 0 bits belongs to
 * the level of its last bit.
 */
#include <smtpfilter/ext/mail.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/pool.h"

enum { STRIDE = 6, SLOTS = 1 << STRIDE, SKIP_MAX = 4, LEAVES_MAX = 4, PAD4 = 4 };

struct node {
  uint64_t child, leaf, full, part;
  uint64_t more[2];               /* leaves of a slot less one, as a binary number: its low and its high bit */
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

/* The pools: nodes (0 is the root of IPv4, 1 of IPv6), values, leaf4, leaf6. */
enum { NODES, VALUES, LEAVES, POOLS = LEAVES + 2 };

struct smtpf_trie {
  smtpf_mem mem;
  size_t count;
  smtpf_pool pool[POOLS];
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
  const void *p = smtpf_pool_at(&t->pool[LEAVES + which], index);
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

/* How many leaves are in the slots of `slots`. */
static inline unsigned leaves_in(const struct node *n, uint64_t slots)
{
  return ones(n->leaf & slots) + ones(n->more[0] & slots) + 2 * ones(n->more[1] & slots);
}

static inline unsigned leaves_of(const struct node *n, unsigned slot)
{
  return (unsigned)((n->leaf >> slot & 1) + (n->more[0] >> slot & 1) + 2 * (n->more[1] >> slot & 1));
}

/* Index of the slot's first leaf. */
static inline uint32_t first_leaf(const struct node *n, unsigned slot)
{
  return n->leaves + leaves_in(n, bit(slot) - 1);
}

static void set_leaves_of(struct node *n, unsigned slot, unsigned count)
{
  const uint64_t values[] = {count > 0, (count - 1) & 1, (count - 1) >> 1 & 1};
  uint64_t *const sets[] = {&n->leaf, &n->more[0], &n->more[1]};
  for (int i = 0; i < 3; i++)
    *sets[i] = (*sets[i] & ~bit(slot)) | (count ? values[i] : 0) << slot;
}

/* Adds a leaf to a slot that has fewer than LEAVES_MAX. */
static int leaf_insert(smtpf_trie *t, unsigned which, struct node *n, unsigned slot, const struct key *k,
                       uint32_t value)
{
  struct leaf4 l4 = {(uint32_t)(k->hi >> (32 - PAD4)), k->len, value};
  struct leaf6 l6 = {
      {(uint32_t)(k->hi >> 32), (uint32_t)k->hi, (uint32_t)(k->lo >> 32), (uint32_t)k->lo}, k->len, value};
  const void *leaf = which == 0 ? (const void *)&l4 : (const void *)&l6;
  const unsigned at = leaves_in(n, bit(slot) - 1);
  int r = smtpf_pool_insert(&t->pool[LEAVES + which], &t->mem, &n->leaves, leaves_in(n, UINT64_MAX), at, leaf);
  if (r == SMTPF_OK)
    set_leaves_of(n, slot, leaves_of(n, slot) + 1);
  return r;
}

/* Gives k's leaf a new value if the slot has one. 1 when it has. */
static int leaf_replace(smtpf_trie *t, unsigned which, const struct node *n, unsigned slot, const struct key *k,
                        uint32_t value)
{
  uint32_t before, at = first_leaf(n, slot), end = at + leaves_of(n, slot);
  for (; at < end; at++) {
    const struct key old = leaf_key(t, which, at, &before);
    if (old.len != k->len || old.hi != k->hi || old.lo != k->lo)
      continue;
    void *p = smtpf_pool_at(&t->pool[LEAVES + which], at);
    if (which == 0)
      ((struct leaf4 *)p)->value = value;
    else
      ((struct leaf6 *)p)->value = value;
    return 1;
  }
  return 0;
}

/* The longest of a slot's leaves that contains the address. Its length, 0 when there is none. */
static unsigned leaf_find(const smtpf_trie *t, unsigned which, const struct node *n, unsigned slot, const struct key *k,
                          uint32_t *value)
{
  uint32_t at = first_leaf(n, slot), end = at + leaves_of(n, slot), v;
  unsigned best = 0;
  for (; at < end; at++) {
    const struct key leaf = leaf_key(t, which, at, &v);
    if (leaf.len > best && shared(&leaf, k) >= leaf.len) {
      best = leaf.len;
      *value = v;
    }
  }
  return best;
}

/* ---- growing ------------------------------------------------------------------------------------ */

static struct node *node_at(const smtpf_trie *t, uint32_t index)
{
  return (struct node *)t->pool[NODES].v + index;
}

/* Puts into node n, at level `pos`, a prefix that belongs there. 1 when it is new, 0 when it replaced a value. */
static int put_value(smtpf_trie *t, struct node *n, unsigned pos, const struct key *k, uint32_t value)
{
  const unsigned len = k->len - pos, slot = slot_at(k, pos), fulls = ones(n->full);
  const unsigned place = len == STRIDE ? slot : heap_place(slot, len);
  uint64_t *set = len == STRIDE ? &n->full : &n->part;
  const unsigned at = (len == STRIDE ? 0 : fulls) + rank(*set, place);
  if (*set & bit(place)) {
    *(uint32_t *)smtpf_pool_at(&t->pool[VALUES], n->values + at) = value;
    return 0;
  }
  int r = smtpf_pool_insert(&t->pool[VALUES], &t->mem, &n->values, fulls + ones(n->part), at, &value);
  if (r != SMTPF_OK)
    return r;
  *set |= bit(place);
  return 1;
}

/* Where a node for the leaves of a slot and k must be: at the level at which two of them part, or one belongs. */
static unsigned split_level(const struct key *old, unsigned count, const struct key *k)
{
  unsigned level = home(k);
  for (unsigned i = 0; i < count; i++) {
    const unsigned part = shared(&old[i], k) / STRIDE * STRIDE;
    level = part < level ? part : level;
    level = home(&old[i]) < level ? home(&old[i]) : level;
  }
  return level;
}

/* A slot of node `index` has all the leaves it can have, and k comes: they give way to a node that holds them, at
 * the level where they part or on the way to it. SMTPF_OK, or SMTPF_ENOMEM with nothing changed. */
static int split_leaves(smtpf_trie *t, unsigned which, uint32_t index, unsigned pos, const struct key *k)
{
  struct node *n = node_at(t, index);
  const unsigned slot = slot_at(k, pos);
  struct key old[LEAVES_MAX];
  uint32_t value[LEAVES_MAX];
  for (unsigned i = 0; i < LEAVES_MAX; i++)
    old[i] = leaf_key(t, which, first_leaf(n, slot) + i, &value[i]);
  unsigned skip = (split_level(old, LEAVES_MAX, k) - pos) / STRIDE - 1;
  skip = skip < SKIP_MAX ? skip : SKIP_MAX;
  const unsigned level = pos + (1 + skip) * STRIDE;

  struct node below = {.skip = skip ? skip << 24 | bits_at(k, pos + STRIDE, skip * STRIDE) : 0};
  int r = SMTPF_OK;
  for (unsigned i = 0; i < LEAVES_MAX && r >= 0; i++)
    r = home(&old[i]) == level ? put_value(t, &below, level, &old[i], value[i])
                               : leaf_insert(t, which, &below, slot_at(&old[i], level), &old[i], value[i]);
  uint32_t base = n->nodes;
  if (r >= 0)
    r = smtpf_pool_insert(&t->pool[NODES], &t->mem, &base, ones(n->child), rank(n->child, slot), &below);
  if (r < 0) {
    smtpf_pool_drop(&t->pool[VALUES], below.values, ones(below.full) + ones(below.part));
    smtpf_pool_drop(&t->pool[LEAVES + which], below.leaves, leaves_in(&below, UINT64_MAX));
    return r;
  }
  n = node_at(t, index);
  n->nodes = base;
  n->child |= bit(slot);
  for (unsigned left = LEAVES_MAX; left > 0; left--) {
    smtpf_pool_remove(&t->pool[LEAVES + which], n->leaves, leaves_in(n, UINT64_MAX), leaves_in(n, bit(slot) - 1));
    set_leaves_of(n, slot, left - 1);
  }
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
  int r = smtpf_pool_insert(&t->pool[NODES], &t->mem, &front.nodes, 0, 0, &old);
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
    if (leaf_replace(t, which, n, slot, k, value))
      return 0;
    if (leaves_of(n, slot) < LEAVES_MAX)
      return leaf_insert(t, which, n, slot, k, value) == SMTPF_OK ? 1 : SMTPF_ENOMEM;
    if (split_leaves(t, which, index, pos, k) != SMTPF_OK)
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
  return *(const uint32_t *)smtpf_pool_at(&t->pool[VALUES], n->values + at);
}

/* Writes the value, and into k->len how long the prefix is. 1 when there is one. */
static int find(const smtpf_trie *t, unsigned which, struct key *k, uint32_t *value)
{
  const struct node *nodes = t->pool[NODES].v, *n = nodes + which, *best = NULL;
  unsigned pos = 0, best_pos = 0;
  for (;;) {
    const unsigned slot = slot_at(k, pos);
    if ((n->full & bit(slot)) || (n->part & heap_path(slot))) {
      best = n;
      best_pos = pos;
    }
    if (!(n->child & bit(slot))) {
      const unsigned len = n->leaf & bit(slot) ? leaf_find(t, which, n, slot, k, value) : 0;
      if (!len)
        break;
      k->len = len;
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

/* ---- packing ------------------------------------------------------------------------------------ */

static void free_pools(smtpf_trie *t)
{
  for (int i = 0; i < POOLS; i++)
    smtpf_pool_free(&t->pool[i], &t->mem);
}

/* Makes the pools of `t`, with room for what is in use in those of `like`. */
static int make_pools(smtpf_trie *t, const smtpf_trie *like)
{
  const size_t elem[POOLS] = {sizeof(struct node), sizeof(uint32_t), sizeof(struct leaf4), sizeof(struct leaf6)};
  for (int i = 0; i < POOLS; i++)
    if (smtpf_pool_init(&t->pool[i], &t->mem, elem[i], i == NODES ? 2 : 1, like ? like->pool[i].live : 0) != SMTPF_OK) {
      free_pools(t);
      return SMTPF_ENOMEM;
    }
  return SMTPF_OK;
}

/* Node `index` of `to` is a copy whose arrays are still those of `from`: copies them, and all below. */
static int pack_below(smtpf_trie *to, const smtpf_trie *from, unsigned which, uint32_t index)
{
  struct node n = *node_at(to, index);
  const unsigned nodes = ones(n.child), values = ones(n.full) + ones(n.part), leaves = leaves_in(&n, UINT64_MAX);
  const smtpf_pool *old = from->pool;
  if (smtpf_pool_copy(&to->pool[NODES], &to->mem, &old[NODES], &n.nodes, nodes) != SMTPF_OK ||
      smtpf_pool_copy(&to->pool[VALUES], &to->mem, &old[VALUES], &n.values, values) != SMTPF_OK ||
      smtpf_pool_copy(&to->pool[LEAVES + which], &to->mem, &old[LEAVES + which], &n.leaves, leaves) != SMTPF_OK)
    return SMTPF_ENOMEM;
  *node_at(to, index) = n;
  for (unsigned i = 0; i < nodes; i++)
    if (pack_below(to, from, which, n.nodes + i) != SMTPF_OK)
      return SMTPF_ENOMEM;
  return SMTPF_OK;
}

/* Arrays that grew have left gaps of sizes nobody asks for any more. When an eighth of the memory is not in use, copies
 * what is in use to where it is needed next. Without memory everything stays as it is. */
static void pack(smtpf_trie *t)
{
  size_t live = 0;
  for (int i = 0; i < POOLS; i++)
    live += (size_t)t->pool[i].live * t->pool[i].elem;
  smtpf_trie packed = {.mem = t->mem, .count = t->count};
  if (live >= smtpf_trie_memory(t) / 8 * 7 || make_pools(&packed, t) != SMTPF_OK)
    return;
  memcpy(packed.pool[NODES].v, t->pool[NODES].v, 2 * sizeof(struct node));
  if (pack_below(&packed, t, 0, 0) != SMTPF_OK || pack_below(&packed, t, 1, 1) != SMTPF_OK) {
    free_pools(&packed);
    return;
  }
  free_pools(t);
  *t = packed;
}

/* ---- the public face ---------------------------------------------------------------------------- */

int smtpf_trie_new(smtpf_trie **out, const smtpf_mem *mem)
{
  const smtpf_mem m = smtpf_mem_or_default(mem);
  smtpf_trie *t = smtpf_mem_zalloc(&m, sizeof *t);
  if (!t)
    return SMTPF_ENOMEM;
  t->mem = m;
  if (make_pools(t, NULL) != SMTPF_OK) {
    smtpf_mem_free(&m, t);
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
  free_pools(t);
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
  size_t n = sizeof *t;
  for (int i = 0; i < POOLS; i++)
    n += (size_t)t->pool[i].cap * t->pool[i].elem;
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
  pack(t);
  return SMTPF_OK;
}
