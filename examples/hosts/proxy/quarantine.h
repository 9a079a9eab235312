/* SPDX-License-Identifier: MIT
 *
 * quarantine: a directory of messages that people may look at. What is there is on disk: file and directory are
 * synchronised before the name is returned.
 */
#ifndef PROXY_QUARANTINE_H
#define PROXY_QUARANTINE_H

#include "message.h"

/* Makes the directory and its `tmp`, `new` and `cur` where they are missing, and tries to write. 0, or an errno. */
int quarantine_open(const char *directory);

/* Keeps one message under `id`: `head` (complete fields), then what `o` holds. `name` receives the path, for
 * quarantine_undo(). 0, or an errno; after a failure nothing is left behind. */
int quarantine_keep(const char *directory, smtpf_str id, outgoing *o, const spool *s, char *name, size_t cap);

/* Takes it back: the client was answered 4xx after all and will come again. */
void quarantine_undo(const char *name);

#endif
