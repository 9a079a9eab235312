/* SPDX-License-Identifier: MIT
 *
 * Memory and containers: arena, map, heap, list, the allocator.
 */
#include <stdalign.h>

#include "base/arena.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "suites.h"

/* ---- arena -------------------------------------------------------------------------------------- */

START_TEST(arena_gives_aligned_zeroed_memory)
{
  for (size_t chunk = 0; chunk <= 1024; chunk += 512) {
    smtpf_arena a;
    smtpf_arena_init(&a, &smtpf_mem_default, chunk, 1 << 20);
    unsigned char *all[100];
    for (size_t i = 0; i < 100; i++) {
      size_t n = i * 7 % 90 + 1;
      (void)smtpf_arena_bytes(&a, i % 3);
      all[i] = smtpf_arena_alloc(&a, n);
      ck_assert_ptr_nonnull(all[i]);
      ck_assert_uint_eq((uintptr_t)all[i] % alignof(max_align_t), 0);
      for (size_t k = 0; k < n; k++)
        MUST(all[i][k] == 0);
      memset(all[i], (int)i, n);
    }
    for (size_t i = 0; i < 100; i++) /* nothing overlaps */
      for (size_t k = 0; k < i * 7 % 90 + 1; k++)
        MUST(all[i][k] == i);
    smtpf_arena_clear(&a);
    ck_assert_uint_eq(a.held, 0);
    ck_assert_ptr_nonnull(smtpf_arena_alloc(&a, 10));
    smtpf_arena_clear(&a);
  }
}
END_TEST

START_TEST(arena_never_holds_more_than_its_cap)
{
  uint64_t seed = 1;
  for (size_t chunk = 0; chunk <= 512; chunk += 256)
    for (size_t cap = 0; cap < 3000; cap += 97) {
      struct miser m = {.left = 1000000};
      const smtpf_mem mem = miser_mem(&m);
      smtpf_arena a;
      smtpf_arena_init(&a, &mem, chunk, cap);
      int refused = 0;
      for (int i = 0; i < 200; i++) {
        refused += !smtpf_arena_alloc(&a, next_random(&seed) % 60 + 1);
        MUST(a.held <= cap);
      }
      ck_assert_int_gt(refused, 0);
      ck_assert_ptr_null(smtpf_arena_alloc(&a, SIZE_MAX));
      ck_assert_ptr_null(smtpf_arena_bytes(&a, SIZE_MAX - 40));
      smtpf_arena_clear(&a);
      ck_assert_int_eq(m.blocks, 0);
    }
}
END_TEST

/* Chunks double, yet what the cap allows is given to the last byte: only the heads are lost. */
START_TEST(arena_gives_what_its_cap_allows)
{
  enum { CAP = 4096, HEADS = 6 * 40 };
  smtpf_arena a;
  size_t given = 0;
  smtpf_arena_init(&a, &smtpf_mem_default, 512, CAP);
  while (given < CAP && smtpf_arena_bytes(&a, 1))
    given++;
  ck_assert_uint_eq(a.held, CAP);
  ck_assert_uint_ge(given, CAP - HEADS);
  smtpf_arena_clear(&a);
}
END_TEST

START_TEST(arena_of_chunk_0_asks_for_each)
{
  struct miser m = {.left = 1000};
  const smtpf_mem mem = miser_mem(&m);
  smtpf_arena a;
  smtpf_str copy = S("before");
  smtpf_arena_init(&a, &mem, 0, 1 << 16);
  for (long i = 1; i <= 20; i++) {
    ck_assert_ptr_nonnull(i % 2 ? smtpf_arena_alloc(&a, 8) : (void *)smtpf_arena_bytes(&a, 3));
    ck_assert_int_eq(m.blocks, i);
  }
  m.left = 0;
  ck_assert_ptr_null(smtpf_arena_alloc(&a, 8));
  ck_assert_int_eq(smtpf_arena_copy(&a, S("x"), &copy), SMTPF_ENOMEM);
  ASSERT_STR(copy, "before");
  smtpf_arena_clear(&a);
  ck_assert_int_eq(m.blocks, 0);
}
END_TEST

START_TEST(arena_goes_back_to_a_mark)
{
  uint64_t seed = 3;
  for (size_t chunk = 0; chunk <= 256; chunk += 64)
    for (int round = 0; round < 50; round++) {
      struct miser m = {.left = 1000000};
      const smtpf_mem mem = miser_mem(&m);
      smtpf_arena a;
      smtpf_arena_init(&a, &mem, chunk, 1 << 20);
      size_t before = next_random(&seed) % 20;
      for (size_t i = 0; i < before; i++)
        memset(smtpf_arena_alloc(&a, 24), 7, 24);
      smtpf_str kept;
      ck_assert_int_eq(smtpf_arena_copy(&a, S("kept"), &kept), SMTPF_OK);
      const smtpf_arena_mark mark = smtpf_arena_here(&a);
      const size_t held = a.held;
      const long blocks = m.blocks;
      for (int again = 0; again < 3; again++) {
        for (size_t i = next_random(&seed) % 30; i; i--)
          memset(smtpf_arena_alloc(&a, i * 20), 9, i * 20);
        smtpf_arena_back(&a, mark);
        ck_assert_uint_eq(a.held, held);
        ck_assert_int_eq(m.blocks, blocks);
        ASSERT_STR(kept, "kept");
      }
      smtpf_arena_clear(&a);
      ck_assert_int_eq(m.blocks, 0);
    }
}
END_TEST

/* A thousand small requests cost few blocks, and what is asked of the allocator is not much more than was needed. */
START_TEST(arena_asks_seldom)
{
  struct miser m = {.left = 1000};
  const smtpf_mem mem = miser_mem(&m);
  smtpf_arena a;
  smtpf_arena_init(&a, &mem, 1024, 1 << 20);
  for (int i = 0; i < 1000; i++)
    ck_assert_ptr_nonnull(smtpf_arena_alloc(&a, 32));
  ck_assert_int_le(m.blocks, 33);
  ck_assert_uint_ge(a.held, 32000);
  ck_assert_uint_le(a.held, 3 * 32000);
  smtpf_arena_clear(&a);
}
END_TEST

START_TEST(arena_copies)
{
  smtpf_arena a;
  smtpf_str copy;
  smtpf_arena_init(&a, &smtpf_mem_default, 256, 4096);
  ck_assert_int_eq(smtpf_arena_copy(&a, S("a\0b"), &copy), SMTPF_OK);
  ASSERT_STR(copy, "a\0b");
  ck_assert_int_eq(copy.p[3], 0);
  ck_assert_int_eq(smtpf_arena_copy(&a, (smtpf_str){NULL, 0}, &copy), SMTPF_OK);
  ck_assert(copy.n == 0 && copy.p && copy.p[0] == 0);
  smtpf_arena_clear(&a);
}
END_TEST

START_TEST(growing)
{
  struct miser m = {.left = 2};
  const smtpf_mem mem = miser_mem(&m);
  void *v = NULL;
  size_t cap = 0;
  ck_assert_int_eq(smtpf_mem_grow(&mem, &v, &cap, 1, 8), SMTPF_OK);
  size_t before = cap;
  ck_assert_uint_ge(cap, 1);
  ck_assert_int_eq(smtpf_mem_grow(&mem, &v, &cap, before, 8), SMTPF_OK);
  ck_assert_uint_eq(cap, before);
  ck_assert_int_eq(smtpf_mem_grow(&mem, &v, &cap, 1000, 8), SMTPF_OK);
  ck_assert_uint_ge(cap, 1000);
  before = cap;
  ck_assert_int_eq(smtpf_mem_grow(&mem, &v, &cap, 100000, 8), SMTPF_ENOMEM);
  ck_assert_int_eq(smtpf_mem_grow(&smtpf_mem_default, &v, &cap, SIZE_MAX / 4, 8), SMTPF_ENOMEM);
  ck_assert_int_eq(smtpf_mem_grow(&smtpf_mem_default, &v, &cap, SIZE_MAX, 1), SMTPF_ENOMEM);
  ck_assert_uint_eq(cap, before);
  smtpf_mem_free(&mem, v);
  smtpf_mem_free(&mem, NULL);
  ck_assert_int_eq(m.blocks, 0);
}
END_TEST

/* ---- map ---------------------------------------------------------------------------------------- */

/* The reference vectors of SipHash-2-4: key 00..0f, input 00, 00 01, 00 01 02 ... */
START_TEST(siphash_reference)
{
  static const uint64_t want[16] = {0x726fdb47dd0e0e31u, 0x74f839c593dc67fdu, 0x0d6c8009d9a94f5au, 0x85676696d7fb7e2du,
                                    0xcf2794e0277187b7u, 0x18765564cd99a68du, 0xcbc9466e58fee3ceu, 0xab0200f58b01d137u,
                                    0x93f5f5799a932462u, 0x9e0082df0ba9e4b0u, 0x7a5dbbc594ddb9f3u, 0xf4b32f46226bada7u,
                                    0x751e8fbc860ee5fbu, 0x14ea5627c0843d90u, 0xf723ca908e7af2eeu, 0xa129ca6149be45e5u};
  const uint64_t seed[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
  unsigned char input[16];
  for (size_t n = 0; n < 16; n++) {
    ck_assert_uint_eq(smtpf_siphash(seed, input, n), want[n]);
    input[n] = (unsigned char)n;
  }
}
END_TEST

enum { KEYS = 512 };

/* Many insertions and removals against an array. */
START_TEST(map_agrees_with_a_model)
{
  static char names[KEYS][2];
  int values[KEYS] = {0}, here[KEYS] = {0};
  uint64_t seed = 42;
  const uint64_t key[2] = {1, 2};
  size_t n = 0;
  smtpf_map m;
  smtpf_map_init(&m, &smtpf_mem_default, key);
  ck_assert_ptr_null(smtpf_map_get(&m, S("x")));
  ck_assert_ptr_null(smtpf_map_remove(&m, S("x")));
  for (int i = 0; i < 200000; i++) {
    size_t k = next_random(&seed) % (i / 50000 % 2 ? 40 : KEYS); /* it empties and fills again */
    names[k][0] = (char)k;
    names[k][1] = (char)(k >> 8);
    smtpf_str name = {names[k], 2};
    if (next_random(&seed) % 5 < 3) {
      MUST(smtpf_map_set(&m, name, &values[k]) == SMTPF_OK);
      n += !here[k];
      here[k] = 1;
    } else {
      MUST(smtpf_map_remove(&m, name) == (here[k] ? &values[k] : NULL));
      n -= (size_t)here[k];
      here[k] = 0;
    }
    MUST(m.n == n);
    size_t probe = next_random(&seed) % KEYS;
    char bytes[2] = {(char)probe, (char)(probe >> 8)};
    MUST(smtpf_map_get(&m, (smtpf_str){bytes, 2}) == (here[probe] ? &values[probe] : NULL));
  }
  size_t walked = 0;
  smtpf_map_entry *e;
  for (size_t i = 0; (e = smtpf_map_next(&m, &i));) {
    ck_assert(here[(int *)e->value - values]);
    walked++;
  }
  ck_assert_uint_eq(walked, n);
  smtpf_map_free(&m);
}
END_TEST

START_TEST(map_without_memory)
{
  struct miser m = {.left = 2};
  const smtpf_mem mem = miser_mem(&m);
  const uint64_t key[2] = {3, 4};
  static char names[64];
  int value, r = SMTPF_OK;
  size_t n = 0;
  smtpf_map map;
  smtpf_map_init(&map, &mem, key);
  while (n < sizeof names && r == SMTPF_OK) {
    names[n] = (char)n;
    r = smtpf_map_set(&map, (smtpf_str){names + n, 1}, &value);
    n += r == SMTPF_OK;
  }
  ck_assert_int_eq(r, SMTPF_ENOMEM);
  ck_assert_uint_ge(n, 8);
  ck_assert_uint_eq(map.n, n);
  for (size_t i = 0; i < n; i++)
    ck_assert_ptr_eq(smtpf_map_get(&map, (smtpf_str){names + i, 1}), &value);
  ck_assert_ptr_null(smtpf_map_get(&map, (smtpf_str){names + n, 1}));
  smtpf_map_free(&map);
  ck_assert_int_eq(m.blocks, 0);
}
END_TEST

/* ---- heap and list ------------------------------------------------------------------------------ */

START_TEST(heap_gives_the_least_first)
{
  static smtpf_heap_node nodes[500];
  uint64_t seed = 7;
  smtpf_heap h;
  smtpf_heap_init(&h, &smtpf_mem_default);
  ck_assert_ptr_null(smtpf_heap_first(&h));
  for (int i = 0; i < 100000; i++) {
    smtpf_heap_node *node = &nodes[next_random(&seed) % 500];
    if (node->place) {
      smtpf_heap_remove(&h, node);
      MUST(node->place == 0);
      smtpf_heap_remove(&h, node); /* not in it: nothing */
    } else {
      node->at = next_random(&seed) % 1000;
      MUST(smtpf_heap_add(&h, node) == SMTPF_OK);
    }
    if (i % 97)
      continue;
    uint64_t least = UINT64_MAX;
    size_t n = 0;
    for (size_t k = 0; k < 500; k++)
      if (nodes[k].place) {
        n++;
        least = nodes[k].at < least ? nodes[k].at : least;
        MUST(h.v[nodes[k].place - 1] == &nodes[k]);
      }
    ck_assert_uint_eq(h.n, n);
    ck_assert(n == 0 || smtpf_heap_first(&h)->at == least);
  }
  uint64_t last = 0;
  for (smtpf_heap_node *node; (node = smtpf_heap_first(&h));) {
    ck_assert_uint_ge(node->at, last);
    last = node->at;
    smtpf_heap_remove(&h, node);
  }
  smtpf_heap_free(&h);
}
END_TEST

START_TEST(heap_without_memory)
{
  struct miser m = {.left = 1};
  const smtpf_mem mem = miser_mem(&m);
  smtpf_heap_node nodes[100] = {{0}};
  smtpf_heap h;
  smtpf_heap_init(&h, &mem);
  size_t n = 0;
  while (n < 100 && smtpf_heap_add(&h, &nodes[n]) == SMTPF_OK)
    n++;
  ck_assert(n > 0 && n < 100);
  ck_assert_uint_eq(h.n, n);
  ck_assert_uint_eq(nodes[n].place, 0);
  smtpf_heap_free(&h);
  ck_assert_int_eq(m.blocks, 0);
}
END_TEST

START_TEST(list_is_a_ring)
{
  struct item {
    int n;
    smtpf_link link;
  } items[3] = {{.n = 0}, {.n = 1}, {.n = 2}};
  smtpf_link ring;
  smtpf_list_init(&ring);
  ck_assert(smtpf_list_empty(&ring));
  for (int i = 0; i < 3; i++)
    smtpf_list_append(&ring, &items[i].link);
  int want = 0;
  for (smtpf_link *l = ring.next; l != &ring; l = l->next)
    ck_assert_int_eq(SMTPF_OF(l, struct item, link)->n, want++);
  ck_assert_int_eq(want, 3);
  smtpf_list_remove(&items[1].link);
  smtpf_list_remove(&items[1].link);
  ck_assert_ptr_eq(ring.next->next, &items[2].link);
  smtpf_list_remove(&items[0].link);
  smtpf_list_remove(&items[2].link);
  ck_assert(smtpf_list_empty(&ring));
}
END_TEST

Suite *smtpf_suite_base_memory(void)
{
  Suite *s = suite_create("base memory");
  const TTest *arena[] = {arena_gives_aligned_zeroed_memory,
                          arena_never_holds_more_than_its_cap,
                          arena_gives_what_its_cap_allows,
                          arena_of_chunk_0_asks_for_each,
                          arena_goes_back_to_a_mark,
                          arena_asks_seldom,
                          arena_copies,
                          growing,
                          NULL};
  const TTest *map[] = {siphash_reference, map_agrees_with_a_model, map_without_memory, NULL};
  const TTest *others[] = {heap_gives_the_least_first, heap_without_memory, list_is_a_ring, NULL};
  add_case(s, "arena", arena);
  add_case(s, "map", map);
  add_case(s, "heap, list", others);
  return s;
}
