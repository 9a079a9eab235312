/* SPDX-License-Identifier: MIT
 *
 * listener: listening sockets, shared by all threads, and what is accepted on them.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "loop.h"

/* Opens every address of `s`. Inherits nothing. 0, or -1 after a log line. */
int listener_open(shared *sh, const settings *s);
void listener_close(shared *sh);
/* Takes what waits, within bounds. */
void listener_accept(loop *l, const listening *from);

#endif
