/* SPDX-License-Identifier: MIT
 *
 * hop_pool: connections to next hops between two transactions. One is kept only while nothing on it was ever refused: a
 * server that counts errors must not count one client's against another.
 */
#ifndef PROXY_HOP_POOL_H
#define PROXY_HOP_POOL_H

#include "hop.h"

/* The idle connection to the server of `is`, for it from now on: it is ready, or will be. NULL when there is none. */
hop *pool_take(loop *l, const hop_for *is);
/* Its owner needs it no more: kept if it is clean, else left. */
void pool_release(hop *h);
/* Called by the loop: those that have waited long enough are left. */
void pool_sweep(loop *l);

#endif
