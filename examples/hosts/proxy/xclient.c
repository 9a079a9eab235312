/* SPDX-License-Identifier: MIT */
#include "xclient.h"

#include <smtpfilter/ext/mail.h>
#include <string.h>

static const char *const names[XCLIENT_ATTRIBUTES] = {"NAME", "ADDR",  "PORT",     "PROTO",
                                                      "HELO", "LOGIN", "DESTADDR", "DESTPORT"};

static int hex_value(char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xtext (RFC 3461 4). Bytes that are not printable have no business in any of these. */
static int decode(smtpf_str s, char out[XCLIENT_VALUE])
{
  size_t n = 0;
  for (size_t i = 0; i < s.n; i++) {
    int c = (unsigned char)s.p[i];
    if (c == '+') {
      const int high = i + 2 < s.n ? hex_value(s.p[i + 1]) : -1, low = high < 0 ? -1 : hex_value(s.p[i + 2]);
      if (low < 0)
        return 0;
      c = high * 16 + low;
      i += 2;
    } else if (c == '=') {
      return 0;
    }
    if (c <= ' ' || c > '~' || n + 1 >= XCLIENT_VALUE)
      return 0;
    out[n++] = (char)c;
  }
  out[n] = 0;
  return n > 0;
}

static int is_port(const char *s)
{
  unsigned v = 0;
  size_t n = 0;
  for (; s[n] >= '0' && s[n] <= '9' && n < 6; n++)
    v = v * 10 + (unsigned)(s[n] - '0');
  return n && !s[n] && v <= UINT16_MAX;
}

static int make_canonical(char value[XCLIENT_VALUE])
{
  smtpf_ip ip;
  if (strchr(value, '[') || smtpf_ip_parse(smtpf_str_of(value), &ip) != SMTPF_OK)
    return 0;
  smtpf_ip_format(&ip, value);
  return 1;
}

static int is_name(smtpf_str value)
{
  const int form = smtpf_domain_form(value);
  return form == SMTPF_DOMAIN_QUALIFIED || form == SMTPF_DOMAIN_UNQUALIFIED || form == SMTPF_DOMAIN_UNDERSCORE;
}

static int is_valid(int which, char value[XCLIENT_VALUE])
{
  switch (which) {
  case XCLIENT_ADDR:
  case XCLIENT_DESTADDR: return make_canonical(value);
  case XCLIENT_PORT:
  case XCLIENT_DESTPORT: return is_port(value);
  case XCLIENT_PROTO: return !strcmp(value, "SMTP") || !strcmp(value, "ESMTP");
  case XCLIENT_NAME: return is_name(smtpf_str_of(value));
  default: return 1;
  }
}

static const char *read_one(smtpf_str name, smtpf_str value, xclient *out)
{
  for (int i = 0; i < XCLIENT_ATTRIBUTES; i++) {
    if (!smtpf_str_equal_nocase(name, smtpf_str_of(names[i])))
      continue;
    out->told |= 1U << i;
    out->value[i][0] = 0;
    if (smtpf_str_equal_nocase(value, SMTPF_LIT("[UNAVAILABLE]")) ||
        smtpf_str_equal_nocase(value, SMTPF_LIT("[TEMPUNAVAIL]")))
      return NULL;
    return decode(value, out->value[i]) && is_valid(i, out->value[i]) ? NULL : "no such value of an attribute";
  }
  return "no such attribute";
}

const char *xclient_read(smtpf_str arg, xclient *out)
{
  *out = (xclient){0};
  while (arg.n) {
    const char *blank = memchr(arg.p, ' ', arg.n);
    const smtpf_str word = {arg.p, blank ? (size_t)(blank - arg.p) : arg.n};
    const char *equals = word.n ? memchr(word.p, '=', word.n) : NULL;
    arg = (smtpf_str){word.p + word.n + (blank != NULL), arg.n - word.n - (blank != NULL)};
    if (!word.n)
      continue;
    if (!equals)
      return "expected ATTRIBUTE=VALUE";
    const smtpf_str name = {word.p, (size_t)(equals - word.p)};
    const char *wrong = read_one(name, (smtpf_str){equals + 1, word.n - name.n - 1}, out);
    if (wrong)
      return wrong;
  }
  return out->told ? NULL : "expected ATTRIBUTE=VALUE";
}
