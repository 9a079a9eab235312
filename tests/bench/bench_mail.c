/* SPDX-License-Identifier: MIT
 *
 * How long a path takes to parse, and what the prefix trie costs: one line of JSON. Each figure is the best of several
 * runs and processor time, so that what else the machine does is left out as far as can be.
 *
 *     bench_mail [PREFIXES]      default 100000, 1000000 at most
 */
#define _POSIX_C_SOURCE 200809L
#include <smtpfilter/ext/mail.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 200, PATHS = 20000, LOOKUPS = 1000000 };

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 2685821657736338717u;
}

static double path_ns(void)
{
  const smtpf_str paths[] = {SMTPF_LIT("<bounce+SRS=ab12=user.name@lists.sender.example>"),
                             SMTPF_LIT("<first.last@local.example>"), SMTPF_LIT("<second.person@local.example>"),
                             SMTPF_LIT("<a@b.example>")};
  double best = 1e9;
  for (int run = 0; run < RUNS; run++) {
    double begin = now();
    for (size_t i = 0; i < PATHS; i++) {
      smtpf_path p;
      if (smtpf_path_parse(paths[i % 4], &p) != SMTPF_OK || p.domain.n < 9)
        exit(1);
    }
    double took = now() - begin;
    best = took < best ? took : best;
  }
  return best / PATHS * 1e9;
}

/* A random prefix: IPv4 as in a routing table or a list of addresses, IPv6 from 2000::/3. */
static smtpf_prefix any_prefix(int family, int hosts)
{
  const uint8_t len4[] = {24, 24, 24, 24, 22, 23, 20, 16}, len6[] = {48, 48, 48, 48, 32, 40, 64, 128};
  smtpf_prefix p = {.ip.family = (uint8_t)family};
  uint64_t a = next_random(), b = next_random();
  memcpy(p.ip.bytes, &a, family == 4 ? 4 : 8);
  if (family == 6) {
    memcpy(p.ip.bytes + 8, &b, 8);
    p.ip.bytes[0] = 0x20 | (p.ip.bytes[0] & 0x1f);
  }
  p.len = family == 6 ? len6[a >> 40 & 7] : hosts ? 32 : len4[a >> 40 & 7];
  for (unsigned bit = p.len; bit < (family == 4 ? 32u : 128u); bit++)
    p.ip.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
  return p;
}

static double lookups_per_second(const smtpf_trie *t, const smtpf_ip *queries, size_t *found)
{
  double best = 1e9;
  for (int run = 0; run < 3; run++) {
    double begin = now();
    *found = 0;
    for (size_t i = 0; i < LOOKUPS; i++) {
      uint32_t value;
      *found += (size_t)smtpf_trie_find(t, &queries[i], &value, NULL);
    }
    double took = now() - begin;
    best = took < best ? took : best;
  }
  return LOOKUPS / best;
}

static void trie(const char *name, int family, int hosts, size_t n)
{
  smtpf_trie *t;
  smtpf_prefix *made = malloc(n * sizeof *made);
  smtpf_ip *queries = malloc(LOOKUPS * sizeof *queries);
  if (!made || !queries || smtpf_trie_new(&t, NULL) != SMTPF_OK)
    exit(1);
  for (size_t i = 0; i < n; i++)
    made[i] = any_prefix(family, hosts);
  double begin = now();
  for (size_t i = 0; i < n; i++)
    if (smtpf_trie_add(t, &made[i], (uint32_t)i) != SMTPF_OK)
      exit(1);
  if (smtpf_trie_add_text(t, SMTPF_LIT("0.0.0.0/32"), 1, NULL) != SMTPF_OK) /* a text's end packs */
    exit(1);
  double added = (now() - begin) / (double)n * 1e9;
  size_t hits, found;
  for (size_t i = 0; i < LOOKUPS; i++)
    queries[i] = made[next_random() % n].ip;
  double hit = lookups_per_second(t, queries, &hits);
  for (size_t i = 0; i < LOOKUPS; i++)
    queries[i] = any_prefix(family, 1).ip;
  double any = lookups_per_second(t, queries, &found);
  printf(",\"%s\":{\"prefixes\":%zu,\"bytes_per_prefix\":%.1f,\"add_ns\":%.0f,\"hits_per_second\":%.0f,"
         "\"random_per_second\":%.0f,\"random_found\":%.3f}",
         name, smtpf_trie_count(t), (double)smtpf_trie_memory(t) / (double)smtpf_trie_count(t), added, hit, any,
         (double)found / LOOKUPS);
  if (hits != LOOKUPS)
    exit(1);
  smtpf_trie_free(t);
  free(made);
  free(queries);
}

int main(int argc, char **argv)
{
  size_t n = 100000;
  if (argc > 1)
    n = strtoul(argv[1], NULL, 10);
  if (n < 1 || n > 1000000)
    return 2;
  printf("{\"name\":\"mail\",\"path_parse_ns\":%.1f", path_ns());
  trie("ipv4_hosts", 4, 1, n);
  trie("ipv4_networks", 4, 0, n);
  trie("ipv6", 6, 0, n);
  puts("}");
  return 0;
}
