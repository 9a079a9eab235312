/* SPDX-License-Identifier: MIT
 *
 * scan: the checks that read the message while it comes (stage BODY). Each has a task that lives from DATA to end of
 * message and is at a place of its own in the message:
 *
 *     run --PENDING--> READING --feed, all taken--> READING
 *                              --feed, part taken-> FULL --a port answers--> READING: the rest is offered again
 *                                                   FULL --deadline--> DONE, unknown(timeout)
 *                              --end of message---> finish --PENDING--> ENDING --resume--> DONE
 *         --OK-------> DONE                                --OK-------> DONE
 *
 * Bytes are not kept here: who is behind makes smtpf_session_body() take less (back-pressure), and who is ahead skips
 * what it has had when it is offered again. At the end the cheaper tier finishes first; a check that says the message
 * is clear, having seen less of it than there is, is unknown (promise L4).
 */
#ifndef SMTPF_CORE_SCAN_H
#define SMTPF_CORE_SCAN_H

#include "run.h"

/* The message begins. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_scan_begin(smtpf_session *s);

/* How many of these bytes, the next ones of the message, everybody has now. */
size_t smtpf_scan_feed(smtpf_session *s, const char *bytes, size_t n);

/* The message is complete. SMTPF_OK (all are done, their findings gathered) or SMTPF_PENDING. */
int smtpf_scan_finish(smtpf_session *s);

/* Ports have answered. SMTPF_OK when the session has something to tell: more bytes can be taken, or all are done. */
int smtpf_scan_continue(smtpf_session *s);

void smtpf_scan_cancel(smtpf_session *s);

#endif
