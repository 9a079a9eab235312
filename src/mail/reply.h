/* SPDX-License-Identifier: MIT
 *
 * mail: pure, bounded parsers and formatters of what travels in mail: addresses, domains, IP addresses and prefixes,
 * ESMTP parameters, replies, header sections, structured fields, MIME parts and what they encode. May call base. Never
 * does I/O, reads a clock, or trusts its input.
 *
 * reply: SMTP replies (RFC 5321 4.2) with enhanced status codes (RFC 2034, RFC 3463), written and read. Whatever
 * stands in `text` or `enhanced`, what is written is exactly one reply.
 */
#ifndef SMTPF_MAIL_REPLY_H
#define SMTPF_MAIL_REPLY_H

#include <smtpfilter/types.h>

/* Longest line of a reply with its CRLF (RFC 5321 4.5.3.1.5). */
#define SMTPF_REPLY_LINE_MAX 512

/* Writes a whole reply: `250-2.1.0 first CRLF 250 2.1.0 second CRLF`.
 *   code      200-599
 *   enhanced  `5.7.1`; left out when empty, malformed, or of another class than `code`
 *   text      lines separated by LF (one at the end is ignored). Bytes that are not printable ASCII become `?`. Lines
 *             that would be too long are wrapped, at a space where there is one
 *   out, cap  SMTPF_REPLY_MAX (wire.h) is always enough: lines that do not fit that are dropped
 * Returns bytes written (no NUL), SMTPF_EINVAL (code) or SMTPF_ELIMIT (cap; what is in `out` is of no use). */
int smtpf_reply_format(int code, smtpf_str enhanced, smtpf_str text, char *out, size_t cap);

/* Takes at most `room` bytes off the front of the line *rest, and whole words if it can. */
smtpf_str smtpf_reply_wrap(smtpf_str *rest, size_t room);

/* Reads one line of a reply, given without its CRLF: `250-text`, `250 text` or `250`.
 * *more is 1 when further lines follow. Outputs may be NULL, and are written only on SMTPF_OK.
 * SMTPF_OK, or SMTPF_EPARSE: not a code of 200-599, another separator, or a CR, LF or NUL inside. */
int smtpf_reply_line(smtpf_str line, int *code, int *more, smtpf_str *text);

/* 1 when `enhanced` is a status code of RFC 3463, and of `code`'s class unless `code` is 0. */
int smtpf_enhanced_valid(smtpf_str enhanced, int code);

/* Takes `d.ddd.ddd` and the space behind it off the front of a reply's text. 1 and both outputs written when there is
 * one (valid in the sense above), else 0 and nothing written. `rest` may be NULL. */
int smtpf_enhanced_parse(smtpf_str text, int code, smtpf_str *enhanced, smtpf_str *rest);

#endif
