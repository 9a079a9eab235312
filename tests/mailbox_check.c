/* SPDX-License-Identifier: MIT
 *
 * mailbox_check: reads one address a line, in hexadecimal; writes 1 or 0 a line: whether it is a Mailbox of RFC 5321.
 * The same address in brackets must be judged alike as a path.
 */
#include <smtpfilter/ext/mail.h>
#include <stdio.h>
#include <string.h>

enum { ADDRESS_MAX = 4096 };

static int digit(char c)
{
  const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

int main(void)
{
  static char line[2 * ADDRESS_MAX + 2], address[ADDRESS_MAX + 2];
  while (fgets(line, sizeof line, stdin)) {
    size_t n = 0;
    address[0] = '<';
    for (size_t i = 0; digit(line[i]) >= 0 && digit(line[i + 1]) >= 0; i += 2)
      address[++n] = (char)(digit(line[i]) << 4 | digit(line[i + 1]));
    if (line[2 * n] != '\n')
      return 2;
    address[n + 1] = '>';
    smtpf_path mailbox, path;
    int is_mailbox = smtpf_mailbox_parse((smtpf_str){address + 1, n}, &mailbox) == SMTPF_OK;
    int is_path = smtpf_path_parse((smtpf_str){address, n + 2}, &path) == SMTPF_OK && path.form == SMTPF_PATH_MAILBOX;
    if (is_mailbox != is_path)
      return 3;
    puts(is_mailbox ? "1" : "0");
  }
  return 0;
}
