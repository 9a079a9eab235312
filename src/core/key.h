/* SPDX-License-Identifier: MIT
 *
 * key: names of the core's own records in the store. A key is a digest over what it is about, so that it is fixed in
 * size and says nothing; what it is about begins with the kind of record, so that no two kinds meet.
 */
#ifndef SMTPF_CORE_KEY_H
#define SMTPF_CORE_KEY_H

#include "base/sha256.h"
#include "session.h"

typedef struct smtpf_key {
  unsigned char bytes[SMTPF_SHA256_BYTES];
} smtpf_key;

/* Deferrals of mail from this session's sender to this recipient. The sender is an identity whoever delivers it: a pool
 * of forty servers is one. The null sender is nobody's, hence it is the client's network. */
smtpf_key smtpf_key_budget(const smtpf_session *s, const smtpf_rcpt *rcpt);

/* This message, by its digest, from this sender to this recipient: letter by letter, for who has two mailboxes that
 * differ only in case must not lose a copy by it (RFC 5321 2.4). */
smtpf_key smtpf_key_message(const smtpf_session *s, const smtpf_rcpt *rcpt,
                            const unsigned char digest[SMTPF_SHA256_BYTES]);

static inline smtpf_str smtpf_key_str(const smtpf_key *key)
{
  return (smtpf_str){(const char *)key->bytes, sizeof key->bytes};
}

#endif
