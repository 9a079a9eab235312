/* SPDX-License-Identifier: MIT
 *
 * Reads values of header fields and says what they hold: for test_mail_field_sets.py.
 *
 *     field_check addresses|content|date|ids|words      one value a line in hexadecimal; one line of text fields
 *                                                       separated by TAB, each in hexadecimal or a number
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/content.h"
#include "mail/decode.h"
#include "mail/encoded_word.h"
#include "mail/field.h"

enum { LINE = 1 << 17 };

static char line[LINE], value[LINE / 2], room[5 * LINE / 2 + 16];

static void hex(smtpf_str s)
{
  putchar('=');
  for (size_t i = 0; i < s.n; i++)
    printf("%02x", (unsigned char)s.p[i]);
  putchar('\t');
}

static void addresses(smtpf_str s)
{
  smtpf_mailbox m;
  while (smtpf_mailbox_next(&s, room, sizeof room, &m) == SMTPF_OK) {
    hex(m.name);
    hex(m.address);
    printf("%u\t", m.flags);
  }
}

static void ids(smtpf_str s)
{
  smtpf_message_id id;
  while (smtpf_message_id_next(&s, &id) == SMTPF_OK) {
    hex(id.whole);
    printf("%u\t", id.flags);
  }
}

static void date(smtpf_str s)
{
  smtpf_date d;
  if (smtpf_date_parse(s, &d) == SMTPF_OK)
    printf("%lld\t%d\t%u", (long long)d.epoch, d.zone, d.flags);
}

/* The type, the subtype, and the values of the parameters that the line names behind an LF. */
static void content(smtpf_str s)
{
  smtpf_content c;
  const char *lf = s.n ? memchr(s.p, '\n', s.n) : NULL;
  smtpf_str names = {lf ? lf + 1 : NULL, lf ? (size_t)(s.p + s.n - lf - 1) : 0};
  s.n = lf ? (size_t)(lf - s.p) : s.n;
  smtpf_content_read(s, &c);
  hex(c.type);
  hex(c.subtype);
  while (names.n) {
    smtpf_out out;
    unsigned flags;
    smtpf_out_init(&out, room, sizeof room);
    if (smtpf_content_param(c.params, smtpf_str_cut(&names, '\n'), 1, &out, &flags))
      hex(smtpf_out_done(&out));
    else
      printf("none\t");
  }
}

static void words(smtpf_str s)
{
  smtpf_out out;
  smtpf_out_init(&out, room, sizeof room);
  smtpf_words_decode(s, &out, NULL);
  hex(smtpf_out_done(&out));
}

int main(int argc, char **argv)
{
  static const struct {
    const char *word;
    void (*read)(smtpf_str s);
  } known[] = {{"addresses", addresses}, {"content", content}, {"date", date}, {"ids", ids}, {"words", words}};
  for (size_t i = 0; argc == 2 && i < sizeof known / sizeof *known; i++) {
    if (strcmp(argv[1], known[i].word) != 0)
      continue;
    while (fgets(line, sizeof line, stdin)) {
      size_t n = 0;
      for (; smtpf_hex_value(line[2 * n]) >= 0 && smtpf_hex_value(line[2 * n + 1]) >= 0; n++)
        value[n] = (char)(smtpf_hex_value(line[2 * n]) * 16 + smtpf_hex_value(line[2 * n + 1]));
      char *exact = malloc(n + 1);
      if (!exact)
        return 2;
      memcpy(exact, value, n);
      known[i].read((smtpf_str){exact, n});
      free(exact);
      putchar('\n');
    }
    return 0;
  }
  return 2;
}
