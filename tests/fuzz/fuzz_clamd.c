/* SPDX-License-Identifier: MIT
 *
 * Answers of clamd, one after the other: each has one meaning, its words lie within it, and only the very words are
 * clean. Lists of exit statuses, beside them.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <smtpfilter/ext/scan.h>

#include "port/scan/clamd.h"
#include "port/scan/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
  if (!holds)
    abort();
}

static void look(smtpf_str all, const smtpf_clamd_reply *r)
{
  must(r->kind >= SMTPF_CLAMD_CLEAN && r->kind <= SMTPF_CLAMD_GARBAGE);
  must(r->kind != SMTPF_CLAMD_HIT || r->text.n > 0);
  if (r->text.n)
    must(r->text.p >= all.p && r->text.p + r->text.n < all.p + all.n);
  if (r->kind == SMTPF_CLAMD_CLEAN)
    must(all.n >= 6 && memcmp(all.p + all.n - 5, ": OK", 5) == 0);
  if (r->kind == SMTPF_CLAMD_HIT)
    must(all.n >= 9 && memcmp(all.p + all.n - 7, " FOUND", 7) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  smtpf_str rest = {(const char *)data, size};
  smtpf_command_exits exits = {{0}};
  smtpf_clamd_reply r;
  size_t n;
  const int list = smtpf_command_exits_add(&exits, rest, SMTPF_SCAN_HIT);
  for (int i = 0; i < 256; i++) {
    const int kind = smtpf_command_exit(&exits, i);
    must(kind == SMTPF_SCAN_UNKNOWN || (kind == SMTPF_SCAN_HIT && size > 0));
  }
  must(list == SMTPF_OK || list == SMTPF_EPARSE);
  while ((n = smtpf_clamd_reply_read(rest, &r)) > 0) {
    must(n <= rest.n && rest.p[n - 1] == '\0');
    look((smtpf_str){rest.p, n}, &r);
    rest.p += n;
    rest.n -= n;
  }
  must(!rest.n || !memchr(rest.p, '\0', rest.n));
  return 0;
}
