/* SPDX-License-Identifier: MIT
 *
 * greylist: the parts of the check, each pure.
 *
 *   greylist_identity.c   who a client is, whichever of its addresses it comes from
 *   greylist_sender.c     what of a sender's address is compared
 *   greylist_memory.c     records: what they say at a time, and what is written
 *   greylist_exempt.c     whom the postmaster never wants put off; reads those lists when the policy is loaded
 *   greylist.c            the check
 */
#ifndef SMTPF_CHECK_GREYLIST_H
#define SMTPF_CHECK_GREYLIST_H

#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/greylist.h>

/* Text in room of its owner. */
typedef struct greylist_text {
  char *p;
  size_t n, cap;
} greylist_text;

static inline void greylist_put(greylist_text *t, char c)
{
  if (t->n < t->cap)
    t->p[t->n++] = c;
}

static inline void greylist_puts(greylist_text *t, smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++)
    greylist_put(t, s.p[i]);
}

static inline char greylist_lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline int greylist_is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static inline int greylist_is_hex(char c)
{
  return greylist_is_digit(c) || (greylist_lower(c) >= 'a' && greylist_lower(c) <= 'f');
}

/* ---- greylist_identity.c ---- */

enum { GREYLIST_IDENTITY_MAX = 256 };

typedef struct greylist_naming {
  int by_name;      /* by the verified name where there is one, else by prefix alone */
  uint8_t ip4, ip6; /* lengths of prefixes */
} greylist_naming;

/* `example.org` or `192.0.2.0/24`; empty without an address and a name. `name` is the verified one, or empty. */
smtpf_str greylist_identity(const greylist_naming *how, const smtpf_ip *ip, smtpf_str name,
                            char room[GREYLIST_IDENTITY_MAX]);

/* The part of a name that its owner has registered, as well as it can be told without a list of public suffixes. */
smtpf_str greylist_registered(smtpf_str name);

/* Whether a name holds the address: an end user's or a tenant's machine. */
int greylist_is_generic(smtpf_str name, const smtpf_ip *ip);

/* ---- greylist_sender.c ---- */

enum { GREYLIST_ADDRESS_MAX = 384 };

/* Empty for the null sender. `recipient` is what VERP would have put into it. */
smtpf_str greylist_sender(const smtpf_path *sender, const smtpf_path *recipient, char room[GREYLIST_ADDRESS_MAX]);

/* In lower case, without a BATV tag. */
smtpf_str greylist_recipient(const smtpf_path *recipient, char room[GREYLIST_ADDRESS_MAX]);

/* 1 for senders that verify ours by callout: the null sender, and those that Postfix and others use for it. */
int greylist_is_callout(const smtpf_path *sender);

/* ---- greylist_memory.c ---- */

typedef struct greylist_times { /* seconds */
  int64_t wait, window, memory;
} greylist_times;

enum greylist_standing {
  GREYLIST_NEW = 1, /* never seen, or forgotten */
  GREYLIST_EARLY,   /* the wait is not over */
  GREYLIST_WAITED,  /* it has waited, and has not been let through yet */
  GREYLIST_KNOWN,   /* it has been let through */
};

/* What a record says. */
typedef struct greylist_view {
  int standing;       /* greylist_standing */
  int64_t first;      /* EARLY, WAITED: first seen */
  int64_t passes;     /* KNOWN: how often */
  int64_t own_passes; /* of this node */
  int restart;        /* NEW: what is there is to be replaced, not joined */
  int stale;          /* KNOWN: last seen more than a day ago, by the record */
} greylist_view;

/* `record` is empty where there is none. A client's record is KNOWN when some triplet of it has passed, else NEW. */
greylist_view greylist_look(const greylist_times *times, int kind, smtpf_str record, uint64_t node, int64_t now);

/* One record's change: key, value and change belong together and stay where they are. */
typedef struct greylist_change {
  smtpf_change change;
  unsigned char key[SMTPF_DIGEST_BYTES];
  char value[1536];
} greylist_change;

/* What a record is about. */
typedef struct greylist_subject {
  int kind; /* smtpf_greylist_kind */
  smtpf_str identity, sender, recipient;
} greylist_subject;

smtpf_str greylist_key(const greylist_subject *about, unsigned char out[SMTPF_DIGEST_BYTES]);

/* First contact: the record expires with the window. Another look: last seen, and where `pass`, once more let through;
 * it expires with the memory. SMTPF_OK or SMTPF_ELIMIT. */
int greylist_begin(greylist_change *out, const greylist_subject *about, const greylist_times *times,
                   const greylist_view *v, int64_t now);
int greylist_renew(greylist_change *out, const greylist_subject *about, const greylist_times *times,
                   const greylist_view *v, int pass, uint64_t node, int64_t now);

/* Its end: a null sender's record serves once. */
void greylist_spend(greylist_change *out, const greylist_subject *about);

/* ---- greylist_pattern.c ---- */

/* Regular expressions as postgrey's lists have them: ^ $ . * + ? [...] (...|...) \d \w \s and escaped signs. 1 when it
 * is one. */
int greylist_pattern_ok(smtpf_str pattern);
/* 1 when it matches somewhere, without regard to case. Gives up, 0, after some thousand steps. */
int greylist_pattern_find(smtpf_str pattern, smtpf_str text);

/* ---- greylist_exempt.c ---- */

typedef struct greylist_exempt greylist_exempt;

/* Of `greylist.allow_clients` and so on. SMTPF_OK or an error in *err. */
int greylist_exempt_open(greylist_exempt **out, const smtpf_section *policy, smtpf_error *err);
void greylist_exempt_close(greylist_exempt *e);

/* 1 when never to be put off. `name` is verified, or empty. */
int greylist_exempt_client(const greylist_exempt *e, const smtpf_ip *ip, smtpf_str name);
int greylist_exempt_recipient(const greylist_exempt *e, const smtpf_path *recipient);

#endif
