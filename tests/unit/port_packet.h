/* SPDX-License-Identifier: MIT
 *
 * port_packet: which question a DNS packet answers, so that tests can ask it; and what every answer must keep to.
 */
#ifndef SMTPF_TESTS_PORT_PACKET_H
#define SMTPF_TESTS_PORT_PACKET_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "port/dns/name.h"
#include "port/dns/packet.h"

/* The first question, when it is an uncompressed name that a resolver would ask. 1 found, 0 not. */
static inline int packet_question(const unsigned char *p, size_t n, char out[SMTPF_DNS_NAME_MAX + 1], size_t *len,
                                  int *type)
{
  char text[300];
  size_t at = 12, o = 0;
  while (at < n && p[at] && p[at] < 64 && at + p[at] < n && o + p[at] + 1u < sizeof text) {
    memcpy(text + o, p + at + 1, p[at]);
    o += p[at];
    text[o++] = '.';
    at += p[at] + 1u;
  }
  if (at + 3 > n || p[at] != 0 || smtpf_dns_name_fold((smtpf_str){text, o}, out, len) != SMTPF_OK)
    return 0;
  *type = p[at + 1] << 8 | p[at + 2];
  return *type > 0;
}

static inline void packet_must(int holds)
{
  if (!holds)
    abort();
}

/* Reads a packet as the answer to a question and aborts when the answer is not whole. Returns its status. */
static inline int packet_check(const unsigned char *p, size_t n, int type, smtpf_str name)
{
  smtpf_arena arena;
  smtpf_dns_answer a = {.size = 0};
  smtpf_arena_init(&arena, &smtpf_mem_default, 0, 1024 * 1024);
  packet_must(smtpf_dns_packet_read(p, n, type, name, &arena, &a) == SMTPF_OK);
  packet_must(a.size == sizeof a && a.ttl <= INT32_MAX);
  packet_must(a.status >= SMTPF_DNS_OK && a.status <= SMTPF_DNS_SERVFAIL);
  packet_must((a.count > 0) == (a.status == SMTPF_DNS_OK) && a.count <= SMTPF_DNS_PACKET_RECORDS);
  for (size_t i = 0; i < a.count; i++) {
    const smtpf_dns_record *r = &a.records[i];
    packet_must(r->type == type && r->ttl >= a.ttl);
    size_t sum = 0;
    for (size_t b = 0; b < r->text.n; b++) {
      char c = r->text.p[b];
      sum += (unsigned char)c; /* reads every byte */
      packet_must(type == SMTPF_DNS_TXT || (c > ' ' && c < 0x7f));
    }
    packet_must(sum != SIZE_MAX && (type == SMTPF_DNS_TXT || r->text.n <= 1024));
  }
  smtpf_arena_clear(&arena);
  return a.status;
}

#endif
