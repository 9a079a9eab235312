/* SPDX-License-Identifier: MIT */
#include "name.h"

#include <string.h>

#include "base/str.h"

int smtpf_dns_name_fold(smtpf_str name, char out[SMTPF_DNS_NAME_MAX + 1], size_t *n)
{
  if (name.n && name.p[name.n - 1] == '.')
    name.n--;
  if (name.n == 0 || name.n > SMTPF_DNS_NAME_MAX)
    return SMTPF_EINVAL;
  size_t label = 0;
  for (size_t i = 0; i < name.n; i++) {
    char c = name.p[i];
    if (c == '.') {
      if (label == 0)
        return SMTPF_EINVAL;
      label = 0;
    } else if (c <= ' ' || c >= 0x7f || c == '\\' || ++label > SMTPF_DNS_LABEL_MAX) {
      return SMTPF_EINVAL;
    }
    out[i] = smtpf_lower(c);
  }
  if (label == 0)
    return SMTPF_EINVAL;
  out[name.n] = '\0';
  *n = name.n;
  return SMTPF_OK;
}

smtpf_str smtpf_dns_name_parent(smtpf_str name)
{
  smtpf_str rest = name;
  smtpf_str_cut(&rest, '.');
  return rest;
}
