/* SPDX-License-Identifier: MIT
 *
 * Received fields, one a line, and the walk through them. The first byte says how many are walked and whether there are
 * more. Strings of a hop lie within its field; the walk names an untrusted host, and what stands below it changes
 * nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "mail/field.h"
#include "policy/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

enum { HOPS = 32 };

static const smtpf_prefix trusted = {{4, {198, 51, 100}}, 24}, own = {{4, {192, 0, 2}}, 24};

static int host_of(const void *user, const smtpf_ip *ip)
{
  (void)user;
  MUST(ip->family == 4 || ip->family == 6);
  return smtpf_prefix_contains(&own, ip) ? SMTPF_HOST_OWN : smtpf_prefix_contains(&trusted, ip);
}

static void must_lie_in(smtpf_str part, smtpf_str whole)
{
  MUST(!part.n || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static smtpf_hop read_one(smtpf_str line)
{
  smtpf_str by;
  smtpf_received r;
  char *exact = malloc(line.n ? line.n : 1); /* so that a byte too many is seen */
  MUST(exact);
  if (line.n)
    memcpy(exact, line.p, line.n);
  const smtpf_str copy = {exact, line.n};
  smtpf_hop h = smtpf_hop_read(copy, &by);
  must_lie_in(h.helo, copy);
  must_lie_in(h.name, copy);
  must_lie_in(by, copy);
  MUST(h.kind <= SMTPF_HOP_FROM);
  if (smtpf_received_parse(copy, &r) == SMTPF_OK) {
    must_lie_in(r.id, copy);
    must_lie_in(r.via, copy);
    must_lie_in(r.with, copy);
    must_lie_in(r.recipient, copy);
    MUST(r.from.n || r.by.n);
    MUST(!r.twice || h.kind == SMTPF_HOP_BROKEN);
  }
  h.helo = h.name = (smtpf_str){"", 0};
  free(exact);
  return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const smtpf_ip client = {4, {198, 51, 100, 1}};
  smtpf_hop hops[HOPS];
  size_t n = 0, at = HOPS, behind = 0;
  if (!size)
    return 0;
  smtpf_str rest = {(const char *)data + 1, size - 1};
  while (rest.n && n < HOPS)
    hops[n++] = read_one(smtpf_str_cut(&rest, '\n'));
  smtpf_source_walk w = {&client, hops, n, data[0] & 31u, data[0] >> 7, host_of, NULL};
  const int end = smtpf_source_find(&w, &at, &behind);
  MUST(end >= SMTPF_SOURCE_FOUND && end <= SMTPF_SOURCE_UNCLEAR);
  if (end != SMTPF_SOURCE_FOUND) {
    MUST(at == HOPS);
    return 0;
  }
  MUST(at < n && at < w.most && behind >= 1 && behind <= at + 1);
  MUST(host_of(NULL, &hops[at].ip) == SMTPF_HOST_STRANGE && !smtpf_source_is_inside(&hops[at].ip));
  w.n = at + 1; /* nothing below it counts */
  size_t again = HOPS;
  MUST(smtpf_source_find(&w, &again, &behind) == SMTPF_SOURCE_FOUND && again == at);
  return 0;
}
