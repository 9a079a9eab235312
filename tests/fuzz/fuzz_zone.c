/* SPDX-License-Identifier: MIT
 *
 * A zone text; when it is one, every name and type in it is asked for, and a name below and above each.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "port/dns/name.h"
#include "port/dns/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
  if (!holds)
    abort();
}

static void ask(const smtpf_zone *zone, int type, smtpf_str name)
{
  smtpf_dns_answer a = {.size = 0};
  smtpf_zone_ask(zone, type, name, &a);
  must(a.size == sizeof a && a.status >= SMTPF_DNS_OK && a.status <= SMTPF_DNS_TIMEOUT);
  must((a.count > 0) == (a.status == SMTPF_DNS_OK) && a.ttl <= INT32_MAX);
  for (size_t i = 0; i < a.count; i++)
    must(a.records[i].type == type && (a.records[i].text.n == 0 || a.records[i].text.p != NULL));
}

static void ask_all(const smtpf_zone *zone, smtpf_str name)
{
  static const int types[] = {SMTPF_DNS_A,  SMTPF_DNS_NS,  SMTPF_DNS_CNAME, SMTPF_DNS_PTR,
                              SMTPF_DNS_MX, SMTPF_DNS_TXT, SMTPF_DNS_AAAA,  77};
  char below[SMTPF_DNS_NAME_MAX + 3] = "x.";
  memcpy(below + 2, name.p, name.n);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    ask(zone, types[i], name);
    if (name.n + 2 <= SMTPF_DNS_NAME_MAX)
      ask(zone, types[i], (smtpf_str){below, name.n + 2});
    if (smtpf_dns_name_parent(name).n)
      ask(zone, types[i], smtpf_dns_name_parent(name));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  smtpf_zone *zone;
  size_t line = 0, i = 0;
  int r = smtpf_zone_new(&zone, (smtpf_str){(const char *)data, size}, NULL, &line);
  if (r != SMTPF_OK) {
    must(r == SMTPF_EPARSE && line > 0);
    return 0;
  }
  for (const smtpf_map_entry *e; (e = smtpf_map_next(&zone->nodes, &i));)
    ask_all(zone, e->key);
  smtpf_zone_free(zone);
  return 0;
}
