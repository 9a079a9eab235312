/* SPDX-License-Identifier: MIT
 *
 * prvs: Bounce Address Tag Validation, its simple private signature (draft-levine-smtp-batv-01 section 3.2). What our
 * users send has a signed sender; a bounce to an address without a signature returns mail that we never sent.
 *
 *     prvs=KDDDSSSSSS=local@domain
 *
 * K is the key's number, DDD the day on which it expires, from 1970, modulo 1000, SSSSSS the first three bytes, in
 * hexadecimal digits, of HMAC-SHA1 over `KDDDlocal@domain`.
 */
#ifndef SMTPF_FORWARD_PRVS_H
#define SMTPF_FORWARD_PRVS_H

#include "signer.h"

typedef struct smtpf_prvs {
  smtpf_signer signer;
  int64_t max_age_days; /* less than 990 */
} smtpf_prvs;

/* The signed sender, the same for a whole day. One of ours is signed anew, not once more. Results as smtpf_srs_wrap().
 */
int smtpf_prvs_sign(const smtpf_prvs *prvs, smtpf_str sender, int64_t wall_s, char *out, size_t cap, size_t *n);

/* 1 when an address looks like a signed one, whoever made it. */
int smtpf_prvs_has_form(smtpf_str address);

/* The mailbox behind it. Results as smtpf_srs_unwrap(). */
int smtpf_prvs_verify(const smtpf_prvs *prvs, smtpf_str address, int64_t wall_s, char *out, size_t cap, size_t *n,
                      int *signature);

#endif
