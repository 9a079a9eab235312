/* SPDX-License-Identifier: MIT
 *
 * edits: the header edits of a verdict, applied to a message.
 */
#ifndef COMMON_EDITS_H
#define COMMON_EDITS_H

#include <smtpfilter/smtpfilter.h>

#include "text.h"

/* A field with its CRLF, folded at blanks. */
void edits_field(text *t, smtpf_str name, smtpf_str value);

/* The fields that go before the header section, for this recipient or, with SMTPF_ALL, only those for all; none named
 * `but`. 1 when the section itself changes too: edits_section(). */
int edits_prepend(text *t, const smtpf_verdict *v, size_t recipient, smtpf_str but);

/* The header section (complete lines, without the empty one) as it is after the edits. */
void edits_section(text *t, const smtpf_verdict *v, size_t recipient, smtpf_str section);

#endif
