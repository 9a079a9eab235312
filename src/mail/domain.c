/* SPDX-License-Identifier: MIT */
#include "mail/domain.h"

#include <string.h>

#include "base/str.h"
#include "mail/class.h"

/* Length of the label in front of p: let-dig-hyphen, underscores if asked for, and UTF-8. */
static size_t label(const char *p, const char *end, int underscore, int *seen_underscore, int *utf8)
{
  const char *at = p;
  for (;;) {
    while (at < end && smtpf_is_class(*at, SMTPF_CLASS_LDH))
      at++;
    if (at == end)
      break;
    if (underscore && *at == '_') {
      *seen_underscore = 1;
      at++;
      continue;
    }
    size_t n = smtpf_is_class(*at, SMTPF_CLASS_HIGH) ? smtpf_utf8_length(at, (size_t)(end - at)) : 0;
    if (!n)
      break;
    *utf8 = 1;
    at += n;
  }
  size_t n = (size_t)(at - p);
  return n == 0 || n > SMTPF_LABEL_MAX || p[0] == '-' || p[n - 1] == '-' ? 0 : n;
}

size_t smtpf_domain_span(smtpf_str s, int *utf8)
{
  if (!s.n)
    return 0;
  const char *end = s.p + s.n;
  const char *p = s.p;
  for (;;) {
    size_t n = label(p, end, 0, NULL, utf8);
    if (!n)
      return p == s.p ? 0 : (size_t)(p - s.p) - 1;
    p += n;
    if (p == end || *p != '.')
      return (size_t)(p - s.p);
    p++;
  }
}

static int is_literal(smtpf_str text)
{
  smtpf_ip ip;
  return text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']' && smtpf_ip_parse(text, &ip) == SMTPF_OK;
}

int smtpf_domain_form(smtpf_str text)
{
  smtpf_ip ip;
  if (is_literal(text))
    return SMTPF_DOMAIN_LITERAL;
  if (smtpf_ip_parse(text, &ip) == SMTPF_OK)
    return SMTPF_DOMAIN_BARE_ADDRESS;
  if (text.n && text.p[text.n - 1] == '.')
    text.n--;
  if (text.n == 0 || text.n > SMTPF_DOMAIN_MAX)
    return SMTPF_DOMAIN_BAD;
  int utf8 = 0, underscore = 0, dots = 0;
  const char *end = text.p + text.n;
  for (const char *p = text.p;; p++, dots++) {
    size_t n = label(p, end, 1, &underscore, &utf8);
    p += n;
    if (!n || (p < end && *p != '.'))
      return SMTPF_DOMAIN_BAD;
    if (p == end)
      break;
  }
  if (!dots)
    return SMTPF_DOMAIN_UNQUALIFIED;
  return underscore ? SMTPF_DOMAIN_UNDERSCORE : utf8 ? SMTPF_DOMAIN_UTF8 : SMTPF_DOMAIN_QUALIFIED;
}

static smtpf_str without_dot(smtpf_str s)
{
  if (s.n > 1 && s.p[s.n - 1] == '.')
    s.n--;
  return s;
}

int smtpf_domain_equal(smtpf_str a, smtpf_str b)
{
  return smtpf_str_equal_nocase(without_dot(a), without_dot(b));
}

int smtpf_domain_within(smtpf_str name, smtpf_str parent)
{
  name = without_dot(name);
  parent = without_dot(parent);
  if (!parent.n || name.n < parent.n)
    return 0;
  size_t front = name.n - parent.n;
  if (front && name.p[front - 1] != '.')
    return 0;
  return smtpf_str_equal_nocase((smtpf_str){name.p + front, parent.n}, parent);
}
