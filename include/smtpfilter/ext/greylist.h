/* SPDX-License-Identifier: MIT */
/**
 * @file ext/greylist.h
 * What the greylist keeps in the store: records that merge (ext/record.h), so that servers that were apart can be
 * joined by file or by any replication. For tools, and for other programs that share the store. Stable within a minor
 * version.
 *
 *     triplet   client, sender, recipient: when it was first seen, when last, how often it was let through.
 *               Until it has been let through it expires with the retry window, then with the memory.
 *     client    a client identity: how many of its triplets have waited as they should, and what the postmaster says
 *               of it. The latest of ALLOWED, DENIED and FORGOTTEN holds; those records do not expire.
 *
 * Times are seconds since 1970. A key is smtpf_digest() over the kind's word and the texts.
 */
#ifndef SMTPFILTER_EXT_GREYLIST_H
#define SMTPFILTER_EXT_GREYLIST_H

#include "mail.h"
#include "record.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Kinds of records. */
enum smtpf_greylist_kind {
  SMTPF_GREYLIST_TRIPLET = 1, /**< client identity, sender, recipient; without a sender for the null sender */
  SMTPF_GREYLIST_CLIENT = 2,  /**< client identity */
};

/** Fields, by id. */
enum smtpf_greylist_field {
  SMTPF_GREYLIST_FIRST = 1, /**< MIN: first seen. Both kinds */
  SMTPF_GREYLIST_LAST = 2,  /**< MAX: last seen, written at most daily. Both kinds */
  SMTPF_GREYLIST_PASSES =
      3, /**< NODES: how often it was let through; of a client: how many triplets were. Both kinds */
  SMTPF_GREYLIST_IDENTITY = 4,  /**< TEXT: `192.0.2.0/24`, `example.org`. Both kinds */
  SMTPF_GREYLIST_SENDER = 5,    /**< TEXT: as it is compared. TRIPLET */
  SMTPF_GREYLIST_RECIPIENT = 6, /**< TEXT: as it is compared. TRIPLET */
  SMTPF_GREYLIST_ALLOWED = 7,   /**< MAX: never to be put off, said when. CLIENT */
  SMTPF_GREYLIST_DENIED = 8,    /**< MAX: always to be put off, as long as the budget lasts. CLIENT */
  SMTPF_GREYLIST_FORGOTTEN = 9, /**< MAX: neither any more. CLIENT */
};

/** What the postmaster says of a client identity. */
enum smtpf_greylist_word { SMTPF_GREYLIST_NOTHING = 0, SMTPF_GREYLIST_ALLOW = 1, SMTPF_GREYLIST_DENY = 2 };

/** The key of a triplet's record. Texts as they are compared. Any thread. Since 0.1. */
static inline void smtpf_greylist_triplet_key(smtpf_str identity, smtpf_str sender, smtpf_str recipient,
                                              unsigned char out[SMTPF_DIGEST_BYTES])
{
  const smtpf_str parts[4] = {{"greylist", 8}, identity, sender, recipient};
  smtpf_digest(parts, 4, out);
}

/** The key of a client identity's record. Any thread. Since 0.1. */
static inline void smtpf_greylist_client_key(smtpf_str identity, unsigned char out[SMTPF_DIGEST_BYTES])
{
  const smtpf_str parts[2] = {{"greylist-client", 15}, identity};
  smtpf_digest(parts, 2, out);
}

/** What a client's record says of it: the latest word, ALLOW before DENY of the same second. Any thread. Since 0.1. */
static inline int smtpf_greylist_says(smtpf_str record)
{
  int64_t allowed = INT64_MIN, denied = INT64_MIN, forgotten = INT64_MIN;
  (void)smtpf_record_read(record, SMTPF_GREYLIST_ALLOWED, &allowed);
  (void)smtpf_record_read(record, SMTPF_GREYLIST_DENIED, &denied);
  (void)smtpf_record_read(record, SMTPF_GREYLIST_FORGOTTEN, &forgotten);
  if (forgotten >= allowed && forgotten >= denied) /* also when none was ever said */
    return SMTPF_GREYLIST_NOTHING;
  return allowed >= denied ? SMTPF_GREYLIST_ALLOW : SMTPF_GREYLIST_DENY;
}

#ifdef __cplusplus
}
#endif
#endif
