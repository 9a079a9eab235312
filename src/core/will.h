/* SPDX-License-Identifier: MIT
 *
 * will: the session's knowledge as the policy room wants it: who the client is to a recipient, the wills behind a
 * recipient, and what is in view of them.
 */
#ifndef SMTPF_CORE_WILL_H
#define SMTPF_CORE_WILL_H

#include "session.h"

/* Judges by the site's profile, before there is a recipient: of its wishes only scores and facts count. */
smtpf_outcome smtpf_will_before_rcpt(smtpf_session *s, smtpf_view view);

/* One recipient as a party: its wills, renewed by what is known now, each with what is in view of it; what is in view
 * stays the session's view. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_will_party(smtpf_session *s, smtpf_rcpt *rcpt, smtpf_party *out);

/* 1 when two parties are one to the partition: whatever will be found, they come to the same. */
int smtpf_will_alike(const smtpf_party *a, const smtpf_party *b);

/* The recipient's outcome by what is known now, into its entry. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_will_judge(smtpf_session *s, smtpf_rcpt *rcpt);

/* Whether a greylist's deferral by this task would count for the recipient, by what is known before the task's tier. */
int smtpf_will_greylists(smtpf_session *s, smtpf_rcpt *rcpt, const smtpf_task *t);

/* Whether nothing the task may still find, with findings that carry such flags, would change what becomes of the
 * accepted recipient of this number (from 1), by what is known before the task's tier. */
int smtpf_will_certain(smtpf_session *s, size_t recipient, const smtpf_task *t, unsigned flags);

/* Every recipient's outcome; then the whole message's evidence is in view. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_will_judge_all(smtpf_session *s);

/* Whether two accepted recipients, or one and the one in progress, can share the message, whatever may yet be found:
 * of its content, of its source, of the list it is from. */
int smtpf_will_joins(smtpf_session *s, smtpf_rcpt *a, const smtpf_party *of_a, smtpf_rcpt *b, const smtpf_party *of_b);

/* Who the client is to a recipient; of several members' to the first that trusts it. */
typedef struct smtpf_trust {
  int origin;   /* smtpf_origin */
  uint64_t by;  /* scopes of the client's that make it so, or did before it lost the trust */
  uint64_t all; /* all scopes that are trusted */
} smtpf_trust;
void smtpf_will_trust(smtpf_session *s, const smtpf_rcpt *rcpt, smtpf_trust *out);

#endif
