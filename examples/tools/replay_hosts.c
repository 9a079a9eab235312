/* SPDX-License-Identifier: MIT
 *
 * What hosts can do: the words of --host. The presets are the capability sets of the programs in examples/hosts.
 */
#include <string.h>

#include "replay.h"

/* smtpf-proxy as it is shipped; `proxy-whole` is the one with `proxy.split = false`. */
#define PROXY                                                                                                          \
  (SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_DELAY | SMTPF_CAN_REPORT_COMMIT |            \
   SMTPF_CAN_DROP_RCPT | SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_SENDER_PER_RCPT | SMTPF_CAN_QUARANTINE_PER_RCPT)

static const struct {
  const char *name;
  unsigned bits;
} words[] = {
    {"reply_per_rcpt", SMTPF_CAN_REPLY_PER_RCPT},
    {"drop_rcpt", SMTPF_CAN_DROP_RCPT},
    {"edit_per_rcpt", SMTPF_CAN_EDIT_PER_RCPT},
    {"sender_per_rcpt", SMTPF_CAN_SENDER_PER_RCPT},
    {"quarantine_per_rcpt", SMTPF_CAN_QUARANTINE_PER_RCPT},
    {"quarantine", SMTPF_CAN_QUARANTINE},
    {"sees_body", SMTPF_CAN_SEE_BODY},
    {"can_delay", SMTPF_CAN_DELAY},
    {"reports_commit", SMTPF_CAN_REPORT_COMMIT},
    {"edit", SMTPF_CAN_EDIT},
    {"cut_through", SMTPF_CAN_CUT_THROUGH},
    {"proxy", PROXY},
    {"prdr", PROXY | SMTPF_CAN_REPLY_PER_RCPT},
    {"proxy-whole",
     SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_DELAY | SMTPF_CAN_REPORT_COMMIT},
    {"milter", SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_DELAY | SMTPF_CAN_DROP_RCPT},
    {"policyd", SMTPF_CAN_DELAY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE},
    {"policyd-rcpt", SMTPF_CAN_DELAY}, /* with `policyd.decide = "never"` */
    {"join_only", SMTPF_CAN_JOIN_ONLY},
    {"exim", SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_DELAY | SMTPF_CAN_DROP_RCPT},
    {"exim-scan", SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_DELAY | SMTPF_CAN_DROP_RCPT | SMTPF_CAN_JOIN_ONLY},
    {"opensmtpd", SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_DELAY},
    {"lmtp", PROXY | SMTPF_CAN_REPLY_PER_RCPT},
};

int replay_host_parse(struct replay_host *out, const char *names, text *error)
{
  struct replay_host host = {0, SMTPF_SMTP};
  while (*names) {
    size_t n = strcspn(names, ",");
    size_t i = 0, count = sizeof words / sizeof *words;
    while (i < count && (strlen(words[i].name) != n || strncmp(words[i].name, names, n) != 0))
      i++;
    if (i == count) {
      replay_format(error, "no such capability or preset: ");
      replay_escaped(error, (smtpf_str){names, n});
      replay_format(error, "; expected");
      for (i = 0; i < count; i++)
        replay_format(error, " %s", words[i].name);
      return -1;
    }
    host.capabilities |= words[i].bits;
    if (strcmp(words[i].name, "lmtp") == 0)
      host.protocol = SMTPF_LMTP;
    names += n + (names[n] == ',');
  }
  *out = host;
  return 0;
}
