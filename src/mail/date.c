/* SPDX-License-Identifier: MIT
 *
 *     [day-of-week ,] day month year hour : minute [: second] zone        blanks and comments anywhere
 */
#include <string.h>

#include "mail/content.h"
#include "mail/field.h"

struct reader {
  smtpf_str s;
  unsigned flags;
};

/* Skips blanks; a comment is obsolete before the zone. */
static void skip(struct reader *r)
{
  const smtpf_str after = smtpf_skip_cfws(r->s);
  r->s = after;
}

static int number(struct reader *r, size_t most, unsigned *out, size_t *digits)
{
  unsigned v = 0;
  size_t n = 0;
  skip(r);
  for (; n < r->s.n && n < most && smtpf_is_digit(r->s.p[n]); n++)
    v = v * 10 + (unsigned)(r->s.p[n] - '0');
  if (!n || (n < r->s.n && smtpf_is_digit(r->s.p[n])))
    return 0;
  r->s = (smtpf_str){r->s.p + n, r->s.n - n};
  *out = v;
  if (digits)
    *digits = n;
  return 1;
}

/* The place of the next word's first three letters in `names`, or -1. */
static int name(struct reader *r, const char *names, size_t count)
{
  size_t n = 0;
  skip(r);
  while (n < r->s.n && smtpf_is_alpha(r->s.p[n]))
    n++;
  const smtpf_str word = {r->s.p, n};
  r->s = (smtpf_str){r->s.p + n, r->s.n - n};
  for (size_t i = 0; i < count && n >= 3; i++)
    if (smtpf_str_equal_nocase((smtpf_str){word.p, 3}, (smtpf_str){names + 3 * i, 3}))
      return (int)i;
  return -1;
}

static int mark(struct reader *r, char c)
{
  skip(r);
  if (!r->s.n || *r->s.p != c)
    return 0;
  r->s = (smtpf_str){r->s.p + 1, r->s.n - 1};
  return 1;
}

/* Days since 1970-01-01 of the Gregorian calendar: years begin in March, so that a leap day is the last. */
static int64_t days(int64_t year, unsigned month, unsigned day)
{
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t of_era = year - era * 400;
  const int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static unsigned month_days(unsigned year, unsigned month)
{
  static const uint8_t n[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return n[month - 1] + (unsigned)(month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static int16_t zone(struct reader *r)
{
  static const struct {
    char name[4];
    int16_t hours;
  } known[] = {{"UT", 0},   {"GMT", 0},  {"UTC", 0},  {"Z", 0},    {"EST", -5}, {"EDT", -4},
               {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
  skip(r);
  if (r->s.n && (*r->s.p == '+' || *r->s.p == '-')) {
    const int sign = *r->s.p == '-' ? -1 : 1;
    unsigned v;
    size_t digits;
    r->s = (smtpf_str){r->s.p + 1, r->s.n - 1};
    if (number(r, 4, &v, &digits) && digits == 4 && v % 100 < 60)
      return (int16_t)(sign * (int)(v / 100 * 60 + v % 100));
    r->flags |= SMTPF_DATE_ZONE;
    return 0;
  }
  size_t n = 0;
  while (n < r->s.n && smtpf_is_alpha(r->s.p[n]))
    n++;
  const smtpf_str word = {r->s.p, n};
  r->s = (smtpf_str){r->s.p + n, r->s.n - n};
  r->flags |= n ? SMTPF_DATE_OBSOLETE : 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (smtpf_str_equal_nocase(word, smtpf_str_of(known[i].name)))
      return (int16_t)(known[i].hours * 60);
  r->flags |= SMTPF_DATE_ZONE;
  return 0;
}

int smtpf_date_parse(smtpf_str value, smtpf_date *out)
{
  struct reader r = {.s = smtpf_skip_cfws(value)};
  unsigned day, year, hour, minute, second = 0;
  size_t digits;
  int weekday = -1;
  if (r.s.n && smtpf_is_alpha(*r.s.p)) {
    weekday = name(&r, "ThuFriSatSunMonTueWed", 7); /* day 0 was a Thursday */
    mark(&r, ',');
  }
  if (!number(&r, 2, &day, NULL))
    return SMTPF_EPARSE;
  mark(&r, '-');
  const int month = name(&r, "JanFebMarAprMayJunJulAugSepOctNovDec", 12) + 1;
  mark(&r, '-');
  if (!month || !number(&r, 6, &year, &digits))
    return SMTPF_EPARSE;
  if (digits < 4) {
    r.flags |= SMTPF_DATE_OBSOLETE;
    year += digits == 2 && year < 50 ? 2000 : 1900;
  }
  if (!number(&r, 2, &hour, NULL) || !mark(&r, ':') || !number(&r, 2, &minute, NULL) ||
      (mark(&r, ':') && !number(&r, 2, &second, NULL)))
    return SMTPF_EPARSE;
  if (!day || day > month_days(year, (unsigned)month) || hour > 23 || minute > 59 || second > 60)
    return SMTPF_EPARSE;
  const int64_t since = days(year, (unsigned)month, day);
  const int16_t minutes = zone(&r);
  skip(&r);
  r.flags |= r.s.n ? SMTPF_DATE_TAIL : 0;
  if (weekday >= 0 && ((since % 7) + 7) % 7 != weekday)
    r.flags |= SMTPF_DATE_WEEKDAY;
  *out = (smtpf_date){since * 86400 + hour * 3600 + minute * 60 + second - minutes * 60, minutes, r.flags};
  return SMTPF_OK;
}
