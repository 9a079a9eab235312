/* SPDX-License-Identifier: MIT
 *
 * A reply of rspamd: two bytes for the HTTP status, a message's header up to an empty line, then the reply's body.
 * Whatever it is: the result is one of three, bounded, and nothing of an unknown one counts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "port/scan/rspamd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
  if (!holds)
    abort();
}

static void is_line(smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++)
    must(s.p[i] == '\t' || (s.p[i] >= ' ' && s.p[i] <= '~'));
}

static void check_edit(const smtpf_scan_edit *e)
{
  must(e->size == sizeof *e && e->name.n > 0);
  must(memchr(e->name.p, ':', e->name.n) == NULL && memchr(e->name.p, ' ', e->name.n) == NULL);
  must(e->op == SMTPF_EDIT_DELETE ? e->value.n == 0 && e->occurrence >= -1
                                  : e->occurrence == 0 && e->value.n <= SMTPF_RSPAMD_VALUE);
  is_line(e->name);
  is_line(e->value);
}

static void check(const smtpf_scan_result *r, long status)
{
  must(r->size == sizeof *r && r->seen == 77);
  must(r->status == SMTPF_SCAN_CLEAN || r->status == SMTPF_SCAN_HIT || r->status == SMTPF_SCAN_UNKNOWN);
  must(r->detail.n <= SMTPF_RSPAMD_DETAIL && r->n_edits <= SMTPF_RSPAMD_EDITS);
  must(r->score >= -1000000000 && r->score <= 1000000000 && (r->scored || r->score == 0));
  must((r->status == SMTPF_SCAN_HIT) == (r->name.n > 0));
  if (r->status == SMTPF_SCAN_UNKNOWN)
    must(r->cause && !r->scored && r->n_edits == 0);
  else
    must(status == 200);
  is_line(r->detail);
  for (size_t i = 0; i < r->n_edits; i++)
    check_edit(&r->edits[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static smtpf_rspamd_names whole, pieces;
  smtpf_scan_result r;
  smtpf_arena a;
  if (size < 2)
    return 0;
  const long status = data[0] == '2' ? 200 : (long)data[0] * 4 + data[1];
  char *bytes = malloc(size - 2 + 1);
  must(bytes != NULL);
  memcpy(bytes, data + 2, size - 2);
  const size_t n = size - 2;
  size_t body = 0;
  while (body < n && !(bytes[body] == '\n' && (body + 1 == n || bytes[body + 1] == '\n')))
    body++;
  memset(&whole, 0, sizeof whole);
  memset(&pieces, 0, sizeof pieces);
  smtpf_rspamd_names_feed(&whole, bytes, body);
  for (size_t i = 0; i < body; i++)
    smtpf_rspamd_names_feed(&pieces, bytes + i, 1);
  must(memcmp(&whole, &pieces, sizeof whole) == 0);
  smtpf_arena_init(&a, &smtpf_mem_default, 1024, 4 * 1024 * 1024);
  r.seen = 77;
  smtpf_rspamd_answer_read(&a, bytes + body, n - body, status, &whole, &r);
  check(&r, status);
  smtpf_arena_clear(&a);
  free(bytes);
  return 0;
}
