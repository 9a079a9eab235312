/* SPDX-License-Identifier: MIT */
/**
 * @file ext/target.h
 * What is remembered of the targets of forwards, in the store: what their servers refused, and what callouts found. For
 * checks, tools, and other programs that share the store. Stable within a minor version.
 *
 *     unknown   target: its server said that there is no such mailbox. Value: the reply, `550 5.1.1 words`
 *     spam      target, client's network, sender: its server called such mail spam. Value: the reply
 *     policy    target: how often its server has refused mail for who we are. Value: SMTPF_CHANGE_ADD's number
 *     callout   target: what a callout found. Value: the reply, `250` or `550 5.1.1 words`
 *
 * A key is smtpf_digest() over the kind's word and the texts, without regard to case. Records expire.
 */
#ifndef SMTPFILTER_EXT_TARGET_H
#define SMTPFILTER_EXT_TARGET_H

#include "mail.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Kinds of records. */
enum smtpf_target_kind {
  SMTPF_TARGET_UNKNOWN = 1, /**< there is no such mailbox */
  SMTPF_TARGET_SPAM,        /**< mail of this client and sender was called spam */
  SMTPF_TARGET_POLICY,      /**< refused for who we are */
  SMTPF_TARGET_CALLOUT,     /**< a callout's answer */
};

/** Room for any address as it is compared. */
#define SMTPF_TARGET_ROOM 320

/** An address in lower case, in caller's room; what is too long stays as it is. Any thread. Since 0.1. */
static inline smtpf_str smtpf_target_lower(smtpf_str address, char room[SMTPF_TARGET_ROOM])
{
  smtpf_str lower = address;
  if (address.n > SMTPF_TARGET_ROOM)
    return lower;
  for (size_t i = 0; i < address.n; i++) {
    const char c = address.p[i];
    room[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
  }
  lower.p = room;
  return lower;
}

/**
 * The key of a record.
 * @param kind     smtpf_target_kind
 * @param target   the address mail is forwarded to
 * @param client   SPAM: the client; what counts is its /24, or /64 of IPv6. NULL else
 * @param sender   SPAM: envelope sender of the mail as it came, without brackets; empty for the null sender
 * @param[out] out the key. Any thread. Since 0.1.
 */
static inline void smtpf_target_key(int kind, smtpf_str target, const smtpf_ip *client, smtpf_str sender,
                                    unsigned char out[SMTPF_DIGEST_BYTES])
{
  static const smtpf_str words[] = {
      {"", 0}, {"forward-unknown", 15}, {"forward-spam", 12}, {"forward-policy", 14}, {"callout", 7}};
  char room[SMTPF_TARGET_ROOM], sender_room[SMTPF_TARGET_ROOM];
  smtpf_str parts[4] = {{"", 0}, {"", 0}, {"", 0}, {"", 0}};
  parts[0] = words[kind];
  parts[1] = smtpf_target_lower(target, room);
  if (kind == SMTPF_TARGET_SPAM) {
    if (client && client->family) {
      parts[2].p = (const char *)client->bytes;
      parts[2].n = client->family == 4 ? 3 : 8;
    }
    parts[3] = smtpf_target_lower(sender, sender_room);
  }
  smtpf_digest(parts, 4, out);
}

#ifdef __cplusplus
}
#endif
#endif
