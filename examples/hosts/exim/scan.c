/* SPDX-License-Identifier: MIT
 *
 * local_scan, for who will not touch the ACLs: the whole conversation at its end. Recipients who would have been
 * refused at RCPT are answered together with all others then.
 */
#include <stdio.h>
#include <string.h>

#include "exim.h"

EXPORT int local_scan_version_major(void);
int local_scan_version_major(void)
{
  return LOCAL_SCAN_ABI_VERSION_MAJOR;
}

EXPORT int local_scan_version_minor(void);
int local_scan_version_minor(void)
{
  return LOCAL_SCAN_ABI_VERSION_MINOR;
}

static smtpf_str str(const uschar *s)
{
  return (smtpf_str){(const char *)s, strlen((const char *)s)};
}

/* Up to the first refusal: one answer serves all, and the client must not be told that who refused has it. */
static exim_answer whole_conversation(int fd)
{
  const smtpf_str none = {"", 0};
  exim_answer a = client_connect();
  if (a.code < 400)
    a = client_helo(0);
  if (a.code < 400)
    a = client_mail(str(sender_address), none);
  for (int i = 0; i < recipients_count && a.code < 400; i++)
    a = client_rcpt(str(recipients_list[i].address), none);
  if (a.code < 400 && recipients_count)
    a = client_data();
  return a.code < 400 && recipients_count ? client_end_of_message(fd) : a;
}

int local_scan(int fd, uschar **ret)
{
  static const char *const options[] = {"${if def:acl_m_smtpf_policy {$acl_m_smtpf_policy}}",
                                        "${if def:acl_m_smtpf_failure {$acl_m_smtpf_failure}}",
                                        "${if def:acl_m_smtpf_timeout {$acl_m_smtpf_timeout}}"};
  if (!sender_host_address) /* a user of this machine, who has no session that could be answered */
    return LOCAL_SCAN_ACCEPT;
  client_begin(exim_expand(options[0]).p, exim_expand(options[1]).p, exim_expand(options[2]).p, 1);
  const exim_answer a = whole_conversation(fd);
  if (a.code < 400) {
    client_apply();
  } else { /* Exim has the code */
    char room[1024];
    int n = snprintf(room, sizeof room, "%.*s %.*s", (int)a.enhanced.n, a.enhanced.p, (int)a.text.n, a.text.p);
    for (int i = 0; i < n && i < (int)sizeof room - 1; i++)
      room[i] = room[i] == '\n' ? ' ' : room[i];
    *ret = exim_copy(room);
  }
  client_end();
  return a.code < 400 ? LOCAL_SCAN_ACCEPT : a.code < 500 ? LOCAL_SCAN_TEMPREJECT : LOCAL_SCAN_REJECT;
}
