/* SPDX-License-Identifier: MIT */
/**
 * @file ext/mail.h
 * Pure, bounded parsers for people who write checks and ports: addresses, domains, IP addresses, prefixes.
 * No allocation unless it says so, no I/O, no locale. Stable within a minor version.
 */
#ifndef SMTPFILTER_EXT_MAIL_H
#define SMTPFILTER_EXT_MAIL_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- IP addresses ------------------------------------------------------------------------------- */

/** An IPv4 or IPv6 address. IPv4-mapped IPv6 addresses are turned into IPv4 by the parser. */
typedef struct smtpf_ip {
  uint8_t family;    /**< 4, 6, or 0 for none */
  uint8_t bytes[16]; /**< network order; IPv4 in the first four, the rest zero */
} smtpf_ip;

/** An address and how many of its leading bits count. Bits beyond are zero. */
typedef struct smtpf_prefix {
  smtpf_ip ip; /**< the network */
  uint8_t len; /**< 0-32 or 0-128 */
} smtpf_prefix;

/** Room for any address or prefix as text, with NUL. */
#define SMTPF_IP_TEXT 56

/** Parses `192.0.2.1`, `2001:db8::1`, `IPv6:...`, with or without `[ ]`. Strict: no leading zeros in IPv4. @return
 * SMTPF_OK or SMTPF_EPARSE. Since 0.1. */
SMTPF_API int smtpf_ip_parse(smtpf_str text, smtpf_ip *out);
/** Writes the canonical text (RFC 5952), NUL-terminated. @return its length. Since 0.1. */
SMTPF_API size_t smtpf_ip_format(const smtpf_ip *ip, char out[SMTPF_IP_TEXT]);
/** Parses `192.0.2.0/24` or a lone address; host bits must be zero. @return SMTPF_OK or SMTPF_EPARSE. Since 0.1. */
SMTPF_API int smtpf_prefix_parse(smtpf_str text, smtpf_prefix *out);
/** Writes `192.0.2.0/24`, NUL-terminated. @return its length. Since 0.1. */
SMTPF_API size_t smtpf_prefix_format(const smtpf_prefix *p, char out[SMTPF_IP_TEXT]);
/** 1 when `ip` lies in `p`. Since 0.1. */
SMTPF_API int smtpf_prefix_contains(const smtpf_prefix *p, const smtpf_ip *ip);
/** 1 when equal. Since 0.1. */
SMTPF_API int smtpf_ip_equal(const smtpf_ip *a, const smtpf_ip *b);
/**
 * The name under which a DNS list keeps an address (RFC 5782 2.1, 2.4), or the reverse name:
 * reversed octets or nibbles, a dot, then `zone`. NUL-terminated.
 * @return its length, SMTPF_ELIMIT when it does not fit `cap` or exceeds 253, or SMTPF_EINVAL without an address or a
 * zone. Since 0.1.
 */
SMTPF_API int smtpf_ip_reverse(const smtpf_ip *ip, smtpf_str zone, char *out, size_t cap);

/** A set of prefixes, each with a small value; longest match wins. Built by one thread, then read by all. */
typedef struct smtpf_trie smtpf_trie;
/** A new empty trie. `mem` is copied; NULL for malloc(3). @return SMTPF_OK or SMTPF_ENOMEM. Since 0.1. */
SMTPF_API SMTPF_USE_RESULT int smtpf_trie_new(smtpf_trie **out, const smtpf_mem *mem);
/** Frees. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_trie_free(smtpf_trie *t);
/** Adds a prefix, or replaces its value. @return SMTPF_OK, SMTPF_EINVAL (no such family or length) or SMTPF_ENOMEM.
 * Since 0.1. */
SMTPF_API SMTPF_USE_RESULT int smtpf_trie_add(smtpf_trie *t, const smtpf_prefix *p, uint32_t value);
/**
 * The longest prefix that contains `ip`.
 * @param t         the trie
 * @param ip        the address
 * @param[out] value,match  of the prefix found; may be NULL
 * @return 1 found, 0 not. Any thread. Since 0.1.
 */
SMTPF_API int smtpf_trie_find(const smtpf_trie *t, const smtpf_ip *ip, uint32_t *value, smtpf_prefix *match);
/** How many prefixes it holds. Since 0.1. */
SMTPF_API size_t smtpf_trie_count(const smtpf_trie *t);
/** Bytes it holds. Since 0.1. */
SMTPF_API size_t smtpf_trie_memory(const smtpf_trie *t);
/**
 * Adds every prefix of a text: one a line, `#` and `;` begin comments, blank lines are skipped, what follows the
 * first space is ignored.
 * @param t         the trie
 * @param text      the whole file
 * @param value     value of each
 * @param[out] line the line at fault, from 1
 * @return SMTPF_OK, SMTPF_EPARSE or SMTPF_ENOMEM; on failure the lines before are in. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_trie_add_text(smtpf_trie *t, smtpf_str text, uint32_t value, size_t *line);

/* ---- domains ------------------------------------------------------------------------------------ */

/** What a domain name looks like. */
enum smtpf_domain_form {
  SMTPF_DOMAIN_BAD = 0,          /**< not a host name */
  SMTPF_DOMAIN_QUALIFIED = 1,    /**< two labels or more, RFC 1123 letters, digits, hyphens */
  SMTPF_DOMAIN_UNQUALIFIED = 2,  /**< one label */
  SMTPF_DOMAIN_UNDERSCORE = 3,   /**< as qualified, with underscores: tolerated, not legal */
  SMTPF_DOMAIN_LITERAL = 4,      /**< `[address]` (RFC 5321 4.1.3) */
  SMTPF_DOMAIN_BARE_ADDRESS = 5, /**< an address without brackets */
  SMTPF_DOMAIN_UTF8 = 6,         /**< as qualified, with U-labels (RFC 6531) */
};
/** Classifies a HELO argument or a domain. One trailing dot is allowed and ignored. At most 255 bytes, labels 63. Since
 * 0.1. */
SMTPF_API int smtpf_domain_form(smtpf_str text);
/** 1 when equal without regard to ASCII case and a trailing dot. Since 0.1. */
SMTPF_API int smtpf_domain_equal(smtpf_str a, smtpf_str b);
/** 1 when `name` is `parent` or below it. Since 0.1. */
SMTPF_API int smtpf_domain_within(smtpf_str name, smtpf_str parent);

/* ---- paths and mailboxes ------------------------------------------------------------------------ */

/** What a path holds. */
enum smtpf_path_form {
  SMTPF_PATH_MAILBOX = 1,    /**< `local-part@domain` */
  SMTPF_PATH_NULL = 2,       /**< `<>` */
  SMTPF_PATH_POSTMASTER = 3, /**< `<Postmaster>` without a domain (RFC 5321 4.1.1.3) */
};
/** A parsed path. Strings point into the text. */
typedef struct smtpf_path {
  int form;             /**< smtpf_path_form */
  smtpf_str address;    /**< `local-part@domain` without brackets and route */
  smtpf_str local_part; /**< as written, with quotes if quoted */
  smtpf_str domain;     /**< as written, with brackets if literal; empty for POSTMASTER and NULL */
  smtpf_str route;      /**< obsolete source route `@a,@b`, without the colon; usually empty (RFC 5321 appendix C) */
  int quoted;           /**< local part is a quoted string */
  int literal;          /**< domain is an address literal */
  int utf8;             /**< contains bytes above 0x7f (well-formed UTF-8, RFC 6531) */
} smtpf_path;
/** Parses a reverse-path or forward-path with its brackets (RFC 5321 4.1.2, lengths 4.5.3.1; RFC 6531). @return
 * SMTPF_OK or SMTPF_EPARSE. Since 0.1. */
SMTPF_API int smtpf_path_parse(smtpf_str text, smtpf_path *out);
/** Parses a Mailbox without brackets (RFC 5321 4.1.2). @return SMTPF_OK or SMTPF_EPARSE. Since 0.1. */
SMTPF_API int smtpf_mailbox_parse(smtpf_str text, smtpf_path *out);

/** What smtpf_path_unwrap() takes off. */
enum smtpf_unwrap {
  SMTPF_UNWRAP_SIGNED = 1 << 0,    /**< signatures of any make: `prvs=`, `msprvs1=`, `btv1==` */
  SMTPF_UNWRAP_FORWARDED = 1 << 1, /**< the Sender Rewriting Scheme, SRS0 and SRS1: the domain is another one then */
};
/**
 * The sender behind one that was signed or rewritten, by anybody: for comparing, since such an address changes from day
 * to day. Nothing is verified: whoever writes the address can claim any sender.
 * @param path              a mailbox
 * @param kinds             smtpf_unwrap bits
 * @param[out] local,domain pieces of the path's text; its own when there is nothing to take off
 * @return 1 when something was taken off. Any thread. Since 0.1.
 */
SMTPF_API int smtpf_path_unwrap(const smtpf_path *path, int kinds, smtpf_str *local, smtpf_str *domain);

/** Walks ESMTP parameters (RFC 5321 4.1.2 esmtp-param). Each call takes one off the front of `*rest`.
 *  @return SMTPF_OK (one was taken), SMTPF_ENOTFOUND (none left) or SMTPF_EPARSE. Since 0.1. */
SMTPF_API int smtpf_param_next(smtpf_str *rest, smtpf_str *keyword, smtpf_str *value);

/** Bytes of a digest. */
#define SMTPF_DIGEST_BYTES 32
/**
 * A digest (SHA-256) of texts, each with its end: for keys of stored records, fixed in size and the same in every
 * process. Begin with a word for the kind of record, so that no two kinds meet.
 * @param parts,n  the texts
 * @param[out] out the digest. Any thread. Since 0.1.
 */
SMTPF_API void smtpf_digest(const smtpf_str *parts, size_t n, unsigned char out[SMTPF_DIGEST_BYTES]);

/** 1 when equal without regard to ASCII case. Since 0.1. */
SMTPF_API int smtpf_str_equal_nocase(smtpf_str a, smtpf_str b);
/** A NUL-terminated string as smtpf_str; NULL gives the empty string. Since 0.1. */
SMTPF_API smtpf_str smtpf_str_of(const char *s);

#ifdef __cplusplus
}
#endif
#endif
