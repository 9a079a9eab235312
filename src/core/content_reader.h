/* SPDX-License-Identifier: MIT
 *
 * content_reader: walks once through the message that is coming, and tells every check that asks what it holds
 * (ext/content.h). The walker is src/mail's; here its events become pieces.
 */
#ifndef SMTPF_CORE_CONTENT_READER_H
#define SMTPF_CORE_CONTENT_READER_H

#include "run.h"

/* Where some task of this run asks for pieces: the session's reader. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_content_begin(smtpf_session *s, struct smtpf_run *r);

/* The next bytes of the message; its end, once. */
void smtpf_content_feed(smtpf_session *s, const char *bytes, size_t n);
void smtpf_content_finish(smtpf_session *s);

/* Nobody reads any more. */
void smtpf_content_end(smtpf_session *s);

#endif
