/* SPDX-License-Identifier: MIT
 *
 * signature: signed addresses (src/forward) where the session and the driver meet them: what a recipient's address
 * leads to, whom mail is sent as.
 */
#ifndef SMTPF_CORE_SIGNATURE_H
#define SMTPF_CORE_SIGNATURE_H

#include "forward/prvs.h"
#include "forward/srs.h"
#include "session.h"

/* The policy's ways to sign, with a driver's crypto. 0 when the policy has none, or the driver no crypto. */
int smtpf_signature_srs(const smtpf_driver *d, const smtpf_engine *e, smtpf_srs *out);
int smtpf_signature_prvs(const smtpf_driver *d, const smtpf_engine *e, smtpf_prvs *out);

/* A policy with keys needs crypto: SMTPF_OK or SMTPF_EUNSUPPORTED, with a line in its log. */
int smtpf_signature_possible(const smtpf_driver *d, const smtpf_engine *e);

/* What the recipient's address proves, into `signature`. Behind a good BATV signature `address` becomes the mailbox;
 * behind a good one of SRS `returns_to` is where it leads. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_signature_read(smtpf_session *s, smtpf_rcpt *rcpt);

/* The route of a recipient that leads back: away, in nobody's name but the sender's. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_signature_route(smtpf_session *s, smtpf_rcpt *rcpt);

/* What the sender of the transaction would be as a forward's, and signed. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_signature_senders(smtpf_session *s);

/* The envelope sender of a copy that keeps the message's own: signed or not. */
smtpf_str smtpf_signature_sender_of(const smtpf_session *s, const smtpf_rcpt *rcpt);

#endif
