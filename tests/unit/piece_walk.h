/* SPDX-License-Identifier: MIT
 *
 * piece_walk: a message, piece by piece (ext/content.h), as a session tells it to checks.
 */
#ifndef PIECE_WALK_H
#define PIECE_WALK_H

#include <smtpfilter/ext/content.h>

/* Fed in chunks of `step` bytes; 0 for all at once. Aborts without memory. */
void piece_walk(smtpf_str message, size_t step, void (*tell)(void *user, const smtpf_piece *piece), void *user);

#endif
