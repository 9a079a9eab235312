/* SPDX-License-Identifier: MIT
 *
 * wire_cat [normalise] [SIZE]: what the server codec makes of standard input, fed in pieces of SIZE bytes, as a log
 * (tests/unit/wire_feed.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/wire_feed.h"

int main(int argc, char **argv)
{
  static char in[1 << 20];
  size_t n = fread(in, 1, sizeof in, stdin);
  smtpf_smtpd_options o = feed_options();
  int size = FEED_WHOLE;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "normalise") == 0)
      o.line_ends = SMTPF_LINE_ENDS_NORMALISE;
    else
      size = (int)strtol(argv[i], NULL, 10);
  }
  struct feed f;
  feed_open(&f, &o);
  feed_give(&f, in, n, size);
  fputs(f.log, stdout);
  int bad = f.bad_body;
  feed_close(&f);
  return bad;
}
