/* SPDX-License-Identifier: MIT
 *
 * source: which host gave the message to those this recipient trusts: the first in the chain of Received fields that
 * nobody behind us answers for (RFC 5321 4.4). The fields are walked from the top. Each is believed because the host
 * that wrote it is trusted: the first was written by the client, each further one by the host that the one above it
 * leads to. What stands below the first untrusted host is never looked at: whoever that is may have written it.
 *
 *   the field, in this order                                             then
 *   broken: `from`, `by` or `with` is there twice, or it was cut         unclear
 *   the host knew who it was: with ESMTPA, ESMTPSA ...; HTTP; POP3, IMAP inside: it answers for its own user
 *   no `from`; with local, LMTP                                          the same site's inside: on to the next field
 *   no address                                                           unclear
 *   loopback, link-local, private, shared; the client's own address      the same: on to the next field
 *   an address of ours                                                   inside: own mail is not judged
 *   an address this recipient trusts                                     that host wrote the next field
 *   any other address                                                    the source
 *
 *   no field is left                                                     inside: the mail began with a trusted host
 *   more fields than `received.hops`                                     unclear
 *
 * Unclear and inside both mean that there is nobody to blame. HELO, host name and what the client says of itself are
 * shown and never believed: only addresses lead on.
 */
#ifndef SMTPF_POLICY_SOURCE_H
#define SMTPF_POLICY_SOURCE_H

#include <smtpfilter/ext/mail.h>

enum smtpf_hop_kind {
  SMTPF_HOP_BROKEN = 0, /* nothing in it can be relied on */
  SMTPF_HOP_USER,       /* from a user the host knows */
  SMTPF_HOP_LOCAL,      /* within the host, or the site */
  SMTPF_HOP_FROM,       /* from another host; `ip` says which one, family 0: it does not */
};

/* What one Received field says of where its host had the message from. */
typedef struct smtpf_hop {
  smtpf_str helo, name; /* what that one called itself; its name as its address gave it; empty when not known */
  smtpf_ip ip;
  uint8_t kind; /* smtpf_hop_kind */
} smtpf_hop;

/* Reads the value of a Received field, unfolded. Strings point into it; those of `by` too, which may be NULL. */
smtpf_hop smtpf_hop_read(smtpf_str value, smtpf_str *by);

/* 1 for addresses that nobody else can have: loopback, link-local, private, shared (RFC 6890), unspecified. */
int smtpf_source_is_inside(const smtpf_ip *ip);

enum smtpf_source_end {
  SMTPF_SOURCE_FOUND = 1,
  SMTPF_SOURCE_INSIDE,  /* the mail began inside of what is trusted */
  SMTPF_SOURCE_UNCLEAR, /* the chain does not say */
};

/* What a host is to the recipient. */
enum smtpf_source_host { SMTPF_HOST_STRANGE = 0, SMTPF_HOST_TRUSTED, SMTPF_HOST_OWN };
typedef int smtpf_source_host_fn(const void *user, const smtpf_ip *ip);

typedef struct smtpf_source_walk {
  const smtpf_ip *client; /* trusted */
  const smtpf_hop *hops;  /* from the top */
  size_t n;
  size_t most; /* fields that are walked at most */
  int whole;   /* 1: the message has no further fields */
  smtpf_source_host_fn *host;
  const void *user;
} smtpf_source_walk;

/* smtpf_source_end. FOUND: *at is the hop that names the source, *trusted how many trusted hosts are before it. */
int smtpf_source_find(const smtpf_source_walk *walk, size_t *at, size_t *trusted);

#endif
