/* SPDX-License-Identifier: MIT
 *
 * memory: a store in one file, so that what the library remembers of copies it took (`lost_ack`) outlives this process.
 *
 * Small enough to be read: every change is a record that is appended, the file is read at the start and written anew
 * without what has expired. A host that is more than an example has a database instead.
 */
#ifndef SPOOL_MEMORY_H
#define SPOOL_MEMORY_H

#include <smtpfilter/ext/port.h>

typedef struct memory memory;

/* Reads the file, or makes it. NULL with errno. */
memory *memory_open(const char *path);
void memory_close(memory *m);

/* Sees to it that there is a record of this key until so many seconds from now. 1 when there is. */
int memory_keep(memory *m, smtpf_str key, int64_t seconds);

/* The port: `memory` is its `store_shared`, for one driver. */
const smtpf_store *memory_port(void);

#endif
