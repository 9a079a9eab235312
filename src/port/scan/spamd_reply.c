/* SPDX-License-Identifier: MIT
 *
 * Head line by line, then the symbols. An answer that lacks its score or length, says them twice or in other words is
 * garbage: nothing is guessed.
 */
#include "spamd_reply.h"

#include <string.h>

#include "base/str.h"

enum state { FIRST, FIELDS, BODY, WHOLE, BROKEN };

void smtpf_spamd_reply_init(smtpf_spamd_reply *r)
{
  memset(r, 0, sizeof *r);
  r->code = -1;
}

/* `-1.25` -> -1250. Digits behind the third are dropped. 1, or 0: no number, or out of all reason. */
static int milli(smtpf_str s, int32_t *out)
{
  const int negative = s.n && s.p[0] == '-';
  smtpf_str rest = negative ? (smtpf_str){s.p + 1, s.n - 1} : s;
  const int pointed = rest.n && memchr(rest.p, '.', rest.n) != NULL;
  const smtpf_str whole = smtpf_str_cut(&rest, '.');
  uint64_t v, part = 0;
  if (smtpf_str_uint(whole, 2000000, &v) != SMTPF_OK || (pointed && (rest.n == 0 || rest.n > 20)))
    return 0;
  for (size_t i = 0; i < (rest.n > 3 ? rest.n : 3); i++) {
    if (i < rest.n && !smtpf_is_digit(rest.p[i]))
      return 0;
    if (i < 3)
      part = part * 10 + (i < rest.n ? (uint64_t)(rest.p[i] - '0') : 0);
  }
  const int32_t value = (int32_t)(v * 1000 + part);
  *out = negative ? -value : value;
  return 1;
}

/* `True ; 6.0 / 5.0` */
static int spam_field(smtpf_spamd_reply *r, smtpf_str value)
{
  const smtpf_str word = smtpf_str_trim(smtpf_str_cut(&value, ';'));
  const smtpf_str score = smtpf_str_trim(smtpf_str_cut(&value, '/'));
  r->spam = smtpf_str_equal_nocase(word, SMTPF_LIT("True")) || smtpf_str_equal_nocase(word, SMTPF_LIT("Yes"));
  if (r->has_spam ||
      (!r->spam && !smtpf_str_equal_nocase(word, SMTPF_LIT("False")) && !smtpf_str_equal_nocase(word, SMTPF_LIT("No"))))
    return SMTPF_SPAMD_GARBAGE;
  r->has_spam = 1;
  return milli(score, &r->score) && milli(smtpf_str_trim(value), &r->threshold) ? SMTPF_SPAMD_MORE
                                                                                : SMTPF_SPAMD_GARBAGE;
}

static int field(smtpf_spamd_reply *r, smtpf_str line)
{
  const int named = line.n && memchr(line.p, ':', line.n) != NULL;
  const smtpf_str name = smtpf_str_cut(&line, ':');
  if (!named || !name.n || ++r->fields > SMTPF_SPAMD_FIELDS)
    return SMTPF_SPAMD_GARBAGE;
  if (smtpf_str_equal_nocase(name, SMTPF_LIT("Spam")))
    return spam_field(r, line);
  if (smtpf_str_equal_nocase(name, SMTPF_LIT("Content-length"))) {
    if (r->has_length || smtpf_str_uint(smtpf_str_trim(line), SMTPF_SPAMD_BODY, &r->length) != SMTPF_OK)
      return SMTPF_SPAMD_GARBAGE;
    r->has_length = 1;
  }
  return SMTPF_SPAMD_MORE;
}

/* `SPAMD/1.1 0 EX_OK` */
static int first(smtpf_spamd_reply *r, smtpf_str line)
{
  uint64_t code;
  const smtpf_str version = smtpf_str_cut(&line, ' '), number = smtpf_str_cut(&line, ' ');
  if (version.n != 9 || memcmp(version.p, "SPAMD/", 6) != 0 || !smtpf_is_digit(version.p[6]) || version.p[7] != '.' ||
      !smtpf_is_digit(version.p[8]) || number.n > 3 || smtpf_str_uint(number, 255, &code) != SMTPF_OK)
    return SMTPF_SPAMD_GARBAGE;
  r->code = (int)code;
  r->state = FIELDS;
  if (code == 0)
    return SMTPF_SPAMD_MORE;
  smtpf_out o; /* an error is this line alone */
  smtpf_out_init(&o, r->room, SMTPF_SPAMD_SYMBOLS);
  smtpf_out_printable(&o, smtpf_str_trim(line), 0);
  r->text = smtpf_out_done(&o);
  return SMTPF_SPAMD_DONE;
}

static int body_begins(smtpf_spamd_reply *r)
{
  r->state = BODY;
  r->symbols = (smtpf_str){r->room, 0};
  if (!r->has_spam || !r->has_length)
    return SMTPF_SPAMD_GARBAGE;
  return r->length == 0 ? SMTPF_SPAMD_DONE : SMTPF_SPAMD_MORE;
}

/* A line is whole, with its CRLF. */
static int line_done(smtpf_spamd_reply *r)
{
  const smtpf_str line = {r->line, r->n - 2};
  if (r->n < 2 || r->line[r->n - 2] != '\r')
    return SMTPF_SPAMD_GARBAGE;
  r->n = 0;
  if (r->state == FIRST)
    return first(r, line);
  return line.n ? field(r, line) : body_begins(r);
}

static int head(smtpf_spamd_reply *r, const char *bytes, size_t n, size_t *used)
{
  const char *lf = memchr(bytes, '\n', n);
  const size_t take = lf ? (size_t)(lf - bytes) + 1 : n;
  *used += take;
  if (take > sizeof r->line - r->n)
    return SMTPF_SPAMD_GARBAGE;
  memcpy(r->line + r->n, bytes, take);
  r->n += take;
  return lf ? line_done(r) : SMTPF_SPAMD_MORE;
}

/* What is kept ends with a whole symbol; `...` stands for the rest. */
static void keep(smtpf_spamd_reply *r, const char *bytes, size_t n)
{
  smtpf_out o;
  const size_t room = SMTPF_SPAMD_SYMBOLS - r->symbols.n;
  if (r->cut)
    return;
  smtpf_out_init(&o, r->room + r->symbols.n, room);
  smtpf_out_printable(&o, (smtpf_str){bytes, n < room ? n : room}, 0);
  r->symbols.n += o.n;
  if (n <= room)
    return;
  r->cut = 1;
  while (r->symbols.n && r->room[r->symbols.n - 1] != ',')
    r->symbols.n--;
  memcpy(r->room + r->symbols.n, "...", 3);
  r->symbols.n += 3;
}

static int body(smtpf_spamd_reply *r, const char *bytes, size_t n, size_t *used)
{
  const size_t take = n < r->length - r->body ? n : (size_t)(r->length - r->body);
  keep(r, bytes, take);
  r->body += take;
  *used += take;
  return r->body == r->length ? SMTPF_SPAMD_DONE : SMTPF_SPAMD_MORE;
}

static int settle(smtpf_spamd_reply *r, int progress)
{
  if (progress != SMTPF_SPAMD_MORE)
    r->state = progress == SMTPF_SPAMD_DONE ? WHOLE : BROKEN;
  return progress;
}

int smtpf_spamd_reply_feed(smtpf_spamd_reply *r, const char *bytes, size_t n, size_t *used)
{
  int progress = r->state == WHOLE ? SMTPF_SPAMD_DONE : r->state == BROKEN ? SMTPF_SPAMD_GARBAGE : SMTPF_SPAMD_MORE;
  *used = 0;
  while (progress == SMTPF_SPAMD_MORE && *used < n) {
    const char *at = bytes + *used;
    const size_t left = n - *used;
    progress = settle(r, r->state == BODY ? body(r, at, left, used) : head(r, at, left, used));
  }
  return progress;
}
