/* SPDX-License-Identifier: MIT
 *
 * profile: one recipient's wishes, frozen.
 */
#ifndef SMTPF_POLICY_PROFILE_H
#define SMTPF_POLICY_PROFILE_H

#include <smtpfilter/types.h>

/* `profiles[name].route`. */
enum smtpf_profile_route {
  SMTPF_WISH_MAILBOX = 0,
  SMTPF_WISH_FORWARD,         /* everything that is taken */
  SMTPF_WISH_FORWARD_NONSPAM, /* what is known not to be spam; the rest stays in the mailbox */
};

/* `profiles[name].forward_failed`: what becomes of a copy whose forward is known to be refused. */
enum smtpf_profile_failed { SMTPF_FAILED_REFUSE = 0, SMTPF_FAILED_MAILBOX };

/* `profiles[name].bounces`: what a bounce has to show. */
enum smtpf_profile_bounces {
  SMTPF_BOUNCES_ALL = 0, /* nothing */
  SMTPF_BOUNCES_SIGNED,  /* that it comes to an address we have signed */
  SMTPF_BOUNCES_PROVEN,  /* that, or the mail it is about */
};

/* A personal entry that covers this sender or client. */
enum smtpf_entry_kind { SMTPF_ENTRY_NONE = 0, SMTPF_ENTRY_ALLOW, SMTPF_ENTRY_DENY };

typedef struct smtpf_profile {
  smtpf_str name;
  int32_t reject;                /* thousandths; SMTPF_SCORE_OFF: never */
  int32_t quarantine;            /* likewise */
  int32_t tag;                   /* likewise */
  int32_t discard;               /* likewise: the recipient's consent (promise L3) */
  uint8_t reject_lists;          /* reputation may refuse */
  uint8_t reject_content;        /* content may refuse */
  uint8_t greylist;              /* strangers may be deferred by a greylist */
  uint8_t batv;                  /* what this user sends has a signed sender */
  uint8_t route;                 /* smtpf_profile_route */
  uint8_t null_sender;           /* the null sender passes `only_from` */
  uint8_t fallback;              /* smtpf_fallback */
  uint8_t forward_failed;        /* smtpf_profile_failed */
  uint8_t bounces;               /* smtpf_profile_bounces */
  uint64_t only_from;            /* scopes, as bits; 0: anybody */
  uint64_t forwarders;           /* scopes this recipient trusts as forwarders */
  uint64_t lists;                /* scopes of the mailing lists the recipient subscribed to */
  smtpf_str forward;             /* address to forward to */
  smtpf_str forward_sender;      /* envelope sender of what is forwarded; empty: the sender's own */
  smtpf_str language;            /* of reply texts */
  const uint16_t *weights;       /* per cent, by the order of the engine's checks; NULL: 100 each */
  const smtpf_str *allow, *deny; /* `user@domain`, `@domain`, `user@`, networks; lower case */
  size_t n_allow, n_deny;
} smtpf_profile;

/* What a check's score counts for this recipient, in per cent. 0: nothing of it counts. */
static inline unsigned smtpf_profile_weight(const smtpf_profile *p, unsigned check)
{
  return p->weights ? p->weights[check] : 100;
}

#endif
