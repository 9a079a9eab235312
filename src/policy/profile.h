/* SPDX-License-Identifier: MIT
 *
 * profile: one recipient's wishes.
 */
#ifndef SMTPF_POLICY_PROFILE_H
#define SMTPF_POLICY_PROFILE_H

#include <smtpfilter/types.h>

typedef struct smtpf_profile {
  smtpf_str name;
  int32_t reject;     /* thousandths; SMTPF_SCORE_OFF: never */
  int32_t quarantine; /* likewise */
  int32_t tag;        /* likewise */
} smtpf_profile;

#endif
