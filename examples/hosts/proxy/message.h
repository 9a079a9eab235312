/* SPDX-License-Identifier: MIT
 *
 * message: the form in which a message leaves: one trace field and the verdict's edits before or inside the header
 * section, then the message as it came.
 */
#ifndef PROXY_MESSAGE_H
#define PROXY_MESSAGE_H

#include <smtpfilter/smtpfilter.h>

#include "../../common/spool.h"
#include "../../common/text.h"

/* What a Received field says (RFC 5321 4.4). */
typedef struct trace {
  smtpf_str helo, rdns, address; /* the client; rdns may be empty */
  smtpf_str by;                  /* our name */
  const char *with;              /* SMTP, ESMTP, LMTP, UTF8SMTP, UTF8LMTP (RFC 3848, 6531) */
  smtpf_str id;
  smtpf_str for_path; /* the recipient when there is one only, else empty */
  int64_t wall_s;
  int stays; /* the copy was to be forwarded, and is not: it has not been Delivered-To this mailbox */
} trace;

/* A message on its way out: `prefix`, then the spool from `from` on. */
typedef struct outgoing {
  text prefix;
  size_t prefix_at;
  uint64_t from;
  smtpf_dot dot;
  int ended;
  int failed; /* the spool could not be read */
} outgoing;

/* Builds the prefix, with the verdict's edits for all recipients and for this one. `extra` (complete fields, each with
 * CRLF) goes before all others. 0, or an errno. */
int outgoing_begin(outgoing *o, const trace *t, const smtpf_verdict *v, size_t recipient, smtpf_str extra,
                   const spool *s);
/* The next bytes, dot-stuffed, with the final dot at the end; 0 when all is written, or `failed`. */
size_t outgoing_fill(outgoing *o, const spool *s, char *out, size_t cap);
/* The next bytes as they are, without dots: for a file. */
size_t outgoing_plain(outgoing *o, const spool *s, char *out, size_t cap);
void outgoing_end(outgoing *o);

#endif
