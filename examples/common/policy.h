/* SPDX-License-Identifier: MIT
 *
 * policy: a host program's policy, from its file. What is wrong goes to standard error, as do the library's own lines.
 */
#ifndef COMMON_POLICY_H
#define COMMON_POLICY_H

#include <smtpfilter/smtpfilter.h>

/* What a program adds before the policy is loaded (checks), or sets afterwards. SMTPF_OK or an error, with `err`. */
typedef int (*policy_more)(smtpf_config *cfg, void *user, smtpf_error *err);

typedef struct policy_source {
  const char *program;       /* for messages */
  const char *file;          /* NULL: none */
  policy_more before, after; /* NULL: nothing */
  void *user;                /* handed to both */
} policy_source;

/* An engine, owned by the caller; NULL when the policy is wrong. `source` lives as long as the engine: its log needs
 * it. */
smtpf_engine *policy_load(const policy_source *source);

#endif
