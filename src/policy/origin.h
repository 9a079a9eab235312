/* SPDX-License-Identifier: MIT
 *
 * origin: who the client is to one recipient, and what may be done to that recipient's copy because of it: the only
 * place where this is decided, for all checks (promise L5).
 *
 *   in this order, the first that holds
 *   own         authenticated, or from own_networks
 *   backup-mx   in one of the site's `backup_mx` scopes
 *   forwarder   in one of the site's or the recipient's `forwarders` scopes
 *   list        in one of the recipient's `lists` scopes, and the message not of another list
 *   stranger    everybody else; also the three above while their own address is listed as an open relay or proxy
 *
 *                        own     backup-mx forwarder list   stranger
 *   refuse for what the  only    yes       yes       yes    yes        envelope facts: relay, no such mailbox; the
 *     envelope says      OWN_TOO                                     target of a forward that refuses (ROUTE)
 *   refuse for any other only    no        no        no     yes        conduct, reputation, content
 *     fact               OWN_TOO
 *   refuse for a score   no      no        no        no     yes
 *     or a deny entry
 *   restricted           yes     yes       yes       yes    yes        only_from is about the path, not about trust
 *   defer for a greylist no      no        no        no     yes
 *   defer, quarantine or only    yes       yes       yes    yes        a scanner that could not scan
 *     tag for an unknown OWN_TOO
 *   believe lists about  -       no        no        no     yes        it only passes mail on: the source behind it is
 *     the client itself                                              judged instead, by what lists say of that
 *   discard, quarantine  own mail is never judged by scores; for all others as the recipient wishes
 *   and tag for a score
 *
 * What else proves who brings a message makes it be in one more scope: a sealed chain (ARC) would be a member of
 * `scopes` beside networks, names and HELO, known at end of message as List-Id is.
 */
#ifndef SMTPF_POLICY_ORIGIN_H
#define SMTPF_POLICY_ORIGIN_H

#include "evidence.h"
#include "profile.h"

/* What is known of the client: scopes it is in, as bits. */
typedef struct smtpf_standing {
  uint64_t scopes;     /* all it is in */
  uint64_t backup_mx;  /* the site's, as configured */
  uint64_t forwarders; /* the site's, as configured */
  uint64_t other_list; /* scopes of `lists` whose lists this message is not from, by its List-Id */
  int own;
  int open_relay; /* its address is listed as one, or it has lost its trust otherwise */
} smtpf_standing;

/* The scopes by which a recipient with this profile trusts the client, whether or not it has lost that trust. */
uint64_t smtpf_origin_trust(const smtpf_standing *client, const smtpf_profile *profile);

/* smtpf_origin of the client to a recipient with this profile. */
int smtpf_origin_of(const smtpf_standing *client, const smtpf_profile *profile);

/* Whether `only_from` keeps the client out. */
int smtpf_origin_restricted(const smtpf_standing *client, const smtpf_profile *profile, int null_sender);

/* Whether a fact of this family, with these flags, may refuse mail from this origin. */
int smtpf_origin_may_refuse(int origin, int family, unsigned flags);

/* Whether the mail is somebody else's, whom the client only passes it on for: what lists say of the client itself is
 * nothing against it. */
static inline int smtpf_origin_passes_on(int origin)
{
  return origin == SMTPF_ORIGIN_BACKUP_MX || origin == SMTPF_ORIGIN_FORWARDER || origin == SMTPF_ORIGIN_LIST;
}

/* Whether reputation, content or a personal entry may refuse mail from this origin. */
static inline int smtpf_origin_may_reject(int origin)
{
  return origin == SMTPF_ORIGIN_STRANGER;
}

#endif
