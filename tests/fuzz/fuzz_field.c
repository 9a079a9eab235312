/* SPDX-License-Identifier: MIT
 *
 * Structured fields and encoded words: the first byte chooses which reader gets the rest, the second how much room.
 */
#include <stdlib.h>
#include <string.h>

#include "mail/content.h"
#include "mail/encoded_word.h"
#include "mail/field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

static int inside(smtpf_str s, const char *p, size_t n)
{
  return s.n == 0 || (s.p >= p && s.p + s.n <= p + n);
}

static void mailboxes(smtpf_str list, char *room, size_t cap)
{
  smtpf_mailbox m;
  for (size_t before = list.n; smtpf_mailbox_next(&list, room, cap, &m) == SMTPF_OK; before = list.n) {
    MUST(list.n < before);
    MUST(inside(m.address, room, cap) && inside(m.domain, m.address.p, m.address.n));
    MUST(m.flags & SMTPF_MAILBOX_COMMENT || inside(m.name, room, cap));
  }
}

static void params(smtpf_str value, char *room, size_t cap)
{
  static const char *const names[] = {"boundary", "charset", "name", "filename", "x"};
  smtpf_content c;
  smtpf_content_read(value, &c);
  MUST(inside(c.type, value.p, value.n) && inside(c.subtype, value.p, value.n) && inside(c.params, value.p, value.n));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    smtpf_out out;
    unsigned flags;
    smtpf_out_init(&out, room, cap);
    smtpf_content_param(c.params, smtpf_str_of(names[i]), (int)(i & 1), &out, &flags);
    MUST(out.n <= cap);
  }
}

static void ids(smtpf_str list)
{
  smtpf_message_id id;
  const smtpf_str all = list;
  for (size_t before = list.n; smtpf_message_id_next(&list, &id) == SMTPF_OK; before = list.n) {
    MUST(list.n < before);
    MUST(inside(id.whole, all.p, all.n) && inside(id.left, all.p, all.n) && inside(id.right, all.p, all.n));
    MUST(id.flags != 0 || (id.left.n && id.right.n));
  }
}

static void trace(smtpf_str value)
{
  smtpf_received r;
  if (smtpf_received_parse(value, &r) != SMTPF_OK)
    return;
  const smtpf_str strings[] = {r.from, r.rdns, r.by, r.via, r.with, r.id, r.recipient};
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
    MUST(inside(strings[i], value.p, value.n));
  MUST(r.ip.family == 0 || r.ip.family == 4 || r.ip.family == 6);
}

static void words(smtpf_str value, char *room, size_t cap)
{
  smtpf_out out;
  smtpf_words about;
  smtpf_out_init(&out, room, cap);
  smtpf_words_decode(value, &out, &about);
  MUST(out.n <= cap && inside(about.charset, value.p, value.n));
  MUST(!(about.flags & SMTPF_WORDS_CHARSET) || about.flags & SMTPF_WORDS_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 2)
    return 0;
  const size_t n = size - 2, cap = data[1] * 8u;
  char *exact = malloc(n + (n == 0)), *room = malloc(cap + (cap == 0));
  MUST(exact && room);
  memcpy(exact, data + 2, n);
  const smtpf_str value = {exact, n};
  smtpf_date date;
  switch (data[0] % 6) {
  case 0: mailboxes(value, room, cap); break;
  case 1: params(value, room, cap); break;
  case 2:
    if (smtpf_date_parse(value, &date) == SMTPF_OK)
      MUST(date.zone > -6060 && date.zone < 6060);
    break;
  case 3: ids(value); break;
  case 4: trace(value); break;
  default: words(value, room, cap); break;
  }
  free(exact);
  free(room);
  return 0;
}
