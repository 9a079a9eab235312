/* SPDX-License-Identifier: MIT
 *
 * srs: the Sender Rewriting Scheme (M. Wong, 2003). Mail that leaves by a forward has a sender of ours, so that it is
 * ours to send, and its bounces come to us, signed, and are led back.
 *
 *     user@a.example                          a stranger's
 *     SRS0=HHHH=TT=a.example=user@b           b has forwarded it: hash, day, domain, local part
 *     SRS1=HHHH=b==HHHH=TT=a.example=user@c   c has forwarded that: what b signed is kept, and only where it goes is
 *                                             added, however many forwarders follow
 *
 * The hash is the beginning of HMAC-SHA1 in base64, in the alphabet for file names (RFC 4648 5), of which the usual one
 * is accepted too, and either in any case. The day counts from 1970, modulo 1024, in base32.
 */
#ifndef SMTPF_FORWARD_SRS_H
#define SMTPF_FORWARD_SRS_H

#include "signer.h"

typedef struct smtpf_srs {
  smtpf_signer signer;
  smtpf_str domain;     /* ours, in lower case */
  char separator;       /* behind SRS0 and SRS1: `=`, `+` or `-`; each of them is accepted */
  uint8_t hash_length;  /* characters that are written, 4 to 27 */
  uint8_t hash_min;     /* fewest that are accepted */
  int64_t max_age_days; /* less than 1000 */
} smtpf_srs;

/*
 * The sender of a forward. SRS0 of our own stays; an SRS1 that leads to one becomes that one again.
 * SMTPF_OK with a NUL behind *n bytes; SMTPF_EPARSE: no mailbox of a domain with a dot; SMTPF_ELIMIT: longer than a
 * mailbox may be (RFC 5321 4.5.3.1), or than `cap`; SMTPF_EIO.
 */
int smtpf_srs_wrap(const smtpf_srs *srs, smtpf_str sender, int64_t wall_s, char *out, size_t cap, size_t *n);

/* 1 when an address looks like one of ours, whoever made it. */
int smtpf_srs_has_form(smtpf_str domain, smtpf_str address);

/*
 * What is behind an address of our domain. *signature is written in any case but SMTPF_EIO.
 * SMTPF_OK: it is GOOD; SMTPF_ENOTFOUND: it is not; SMTPF_ELIMIT: it is, and longer than `cap`; SMTPF_EIO.
 */
int smtpf_srs_unwrap(const smtpf_srs *srs, smtpf_str address, int64_t wall_s, char *out, size_t cap, size_t *n,
                     int *signature);

#endif
