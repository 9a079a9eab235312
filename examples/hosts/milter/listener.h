/* SPDX-License-Identifier: MIT
 *
 * listener: listening sockets, shared by all threads: those that systemd gave us (LISTEN_FDS), else the policy's.
 */
#ifndef MILTER_LISTENER_H
#define MILTER_LISTENER_H

#include "loop.h"

/* Opens every address of `s`. 0, or -1 after a log line. */
int listener_open(shared *sh, const settings *s);
/* No more connections: a successor may listen at once. What was accepted goes on. */
void listener_stop(shared *sh);
void listener_close(shared *sh);
/* Takes what waits, within bounds. */
void listener_accept(loop *l, const listening *from);

#endif
