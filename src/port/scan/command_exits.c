/* SPDX-License-Identifier: MIT */
#include <smtpfilter/ext/scan.h>

#include <string.h>

#include "base/str.h"
#include "command.h"

int smtpf_command_exits_add(smtpf_command_exits *exits, smtpf_str list, int kind)
{
  while (list.n) {
    uint64_t first, last;
    smtpf_str range = smtpf_str_cut(&list, ',');
    const smtpf_str from = smtpf_str_trim(smtpf_str_cut(&range, '-'));
    if (smtpf_str_uint(from, 255, &first) != SMTPF_OK)
      return SMTPF_EPARSE;
    last = first;
    if (range.p && smtpf_str_uint(smtpf_str_trim(range), 255, &last) != SMTPF_OK)
      return SMTPF_EPARSE;
    if (last < first)
      return SMTPF_EPARSE;
    for (; first <= last; first++) {
      if (exits->kind[first])
        return SMTPF_EPARSE;
      exits->kind[first] = (unsigned char)kind;
    }
  }
  return SMTPF_OK;
}

int smtpf_command_exits_read(smtpf_command_exits *exits, const smtpf_section *settings, smtpf_error *err)
{
  static const struct {
    const char *name;
    int kind;
  } rows[] = {{"exit_clean", SMTPF_SCAN_CLEAN}, {"exit_hit", SMTPF_SCAN_HIT}};
  memset(exits, 0, sizeof *exits);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const smtpf_str list = smtpf_section_string(settings, rows[i].name);
    if (smtpf_command_exits_add(exits, list, rows[i].kind) != SMTPF_OK)
      return smtpf_section_fail(settings, rows[i].name, err, SMTPF_EINVAL, "not a list of exit statuses", list,
                                "`0,4,10-12`, none of them in both lists");
  }
  return SMTPF_OK;
}

int smtpf_command_exit(const smtpf_command_exits *exits, int status)
{
  const int kind = status >= 0 && status <= 255 ? exits->kind[status] : 0;
  return kind ? kind : SMTPF_SCAN_UNKNOWN;
}
