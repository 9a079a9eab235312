/* SPDX-License-Identifier: MIT */
#include <smtpfilter/ext/mail.h>

#include "mail/class.h"

/* Length of the esmtp-value in front of p (RFC 5321 4.1.2, RFC 6531 3.3). */
static size_t value_length(const char *p, const char *end)
{
  const char *at = p;
  while (at < end) {
    size_t n = 1;
    if (!smtpf_is_class(*at, SMTPF_CLASS_VALUE))
      n = smtpf_utf8_length(at, (size_t)(end - at));
    if (!n)
      break;
    at += n;
  }
  return (size_t)(at - p);
}

int smtpf_param_next(smtpf_str *rest, smtpf_str *keyword, smtpf_str *value)
{
  if (!rest->n)
    return SMTPF_ENOTFOUND;
  const char *p = rest->p;
  const char *end = p + rest->n;
  while (p < end && *p == ' ')
    p++;
  if (p == end) {
    *rest = (smtpf_str){p, 0};
    return SMTPF_ENOTFOUND;
  }
  smtpf_str key = {p, 0}, val = {NULL, 0};
  while (p < end && smtpf_is_class(*p, SMTPF_CLASS_LDH))
    p++;
  key.n = (size_t)(p - key.p);
  if (!key.n || key.p[0] == '-')
    return SMTPF_EPARSE;
  if (p < end && *p == '=') {
    p++;
    val = (smtpf_str){p, value_length(p, end)};
    if (!val.n)
      return SMTPF_EPARSE;
    p += val.n;
  }
  if (p < end && *p != ' ')
    return SMTPF_EPARSE;
  *rest = (smtpf_str){p, (size_t)(end - p)};
  *keyword = key;
  *value = val;
  return SMTPF_OK;
}
