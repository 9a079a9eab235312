/* SPDX-License-Identifier: MIT
 *
 * ehlo: the list of extensions, written for our reply to EHLO and read from another server's.
 */
#ifndef SMTPF_WIRE_EHLO_H
#define SMTPF_WIRE_EHLO_H

#include "base/str.h"
#include "wire/command.h"

/* Writes the lines of our reply, separated by LF: who we are, then what we announce. */
void smtpf_ehlo_write(smtpf_out *o, smtpf_str hostname, smtpf_str auth, const smtpf_announced *a);

#endif
