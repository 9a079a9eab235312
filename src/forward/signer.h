/* SPDX-License-Identifier: MIT
 *
 * forward: what happens to mail after us, as pure functions: envelope senders that prove something (SRS, BATV). Holds
 * their forms and signatures; may call base and mail, and the crypto port through the table it is handed; never does
 * I/O, never reads a clock, never allocates.
 *
 * signer: keys that sign, and addresses as what is signed.
 */
#ifndef SMTPF_FORWARD_SIGNER_H
#define SMTPF_FORWARD_SIGNER_H

#include <smtpfilter/ext/port.h>
#include <smtpfilter/forward.h>

#include "base/str.h"

/* The first key signs, every one verifies: a new key is put in front of the old one, which goes when the last address
 * it signed has expired. */
typedef struct smtpf_signer {
  const smtpf_crypto *crypto;
  void *shared;
  const smtpf_str *keys;
  size_t n;
} smtpf_signer;

enum { SMTPF_MAC_BYTES = 20 };

/* HMAC-SHA1 of the parts, one after the other, without regard to case: mail servers on the way change it. At most
 * SMTPF_SIGNED_MAX bytes. SMTPF_OK, SMTPF_ELIMIT or SMTPF_EIO. */
enum { SMTPF_SIGNED_MAX = 1024 };
int smtpf_signer_mac(const smtpf_signer *s, size_t key, const smtpf_str *parts, size_t n,
                     unsigned char out[SMTPF_MAC_BYTES]);

/* 1 when equal, in a time that does not tell where they differ. */
int smtpf_same_bytes(const char *a, const char *b, size_t n);

/* An address taken apart: its local part without quotes, which are put back when it is put together. Of any length. */
typedef struct smtpf_mailbox {
  smtpf_str local, domain;
  int quoted;
} smtpf_mailbox;

/* By the last `@`. SMTPF_OK, or SMTPF_EPARSE when there is nothing before or behind it. */
int smtpf_mailbox_split(smtpf_str address, smtpf_mailbox *out);

/* Bytes of *text up to `sep`, which goes too. 1, or 0 with *text untouched when there is none. */
int smtpf_take_until(smtpf_str *text, char sep, smtpf_str *out);

/* Ends what was written as an address. SMTPF_OK with a NUL behind it, or SMTPF_ELIMIT when it was too much. */
int smtpf_rewritten(smtpf_out *o, size_t *n);

#endif
