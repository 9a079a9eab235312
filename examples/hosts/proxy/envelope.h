/* SPDX-License-Identifier: MIT
 *
 * envelope: MAIL and RCPT as the next hop is told them: the client's parameters as far as it knows them, and over them
 * what the verdict says of later delivery status notifications (RFC 3461): `never` is NOTIFY=NEVER, `headers-only` is
 * RET=HDRS.
 */
#ifndef PROXY_ENVELOPE_H
#define PROXY_ENVELOPE_H

#include <smtpfilter/smtpfilter.h>

#include "../../common/text.h"

typedef struct envelope {
  smtpf_str path;      /* with brackets */
  smtpf_str params;    /* the client's */
  unsigned extensions; /* the next hop's, smtpf_extension bits */
  int quiet;           /* MAIL: RET=HDRS; RCPT: NOTIFY=NEVER; where it has DSN */
  int prdr;            /* MAIL: with PRDR */
  int bare;            /* what belongs to DSN is left out where that is not there */
} envelope;

/* Append one command line. They return the extensions that are needed and not there: the line is of no use then. */
unsigned envelope_mail(text *out, const envelope *e);
unsigned envelope_rcpt(text *out, const envelope *e);

/* Whether the parameters have `key`, with that value unless it is empty. */
int envelope_has(smtpf_str params, smtpf_str key, smtpf_str value);

#endif
