/* SPDX-License-Identifier: MIT
 *
 * spool: the bytes of a message that somebody may read later, and more than once: in memory up to `spool.memory`, as
 * long as the driver has no more than `spool.total` in memory, then in a file of the spool port; or in the host's own
 * file.
 *
 *     bytes     0 ........ in_memory ........ size
 *               blocks               file            in the file each byte stands at its place in the message
 */
#ifndef SMTPF_CORE_SPOOL_H
#define SMTPF_CORE_SPOOL_H

#include "driver.h"

typedef struct smtpf_spooled {
  smtpf_driver *driver;
  const smtpf_engine *engine; /* whose limits hold */
  uint64_t size;              /* bytes told */
  uint64_t in_memory;         /* of them, in blocks */
  char **blocks;
  size_t n_blocks, cap_blocks;
  int fd;          /* -1: none */
  uint8_t of_host; /* fd is the host's: it has every byte */
  uint8_t whole;   /* fd has every byte */
  uint8_t failed;  /* bytes are missing */
} smtpf_spooled;

/* An empty one. With `fd` not negative the host's file has the bytes before they are added. */
void smtpf_spooled_init(smtpf_spooled *sp, smtpf_driver *d, const smtpf_engine *e, int fd);
void smtpf_spooled_free(smtpf_spooled *sp);

/* The next bytes of the message. SMTPF_OK or SMTPF_EIO: there is no room; nothing of it can be read any more. */
int smtpf_spooled_add(smtpf_spooled *sp, const char *bytes, size_t n);

/* Bytes from `at` on, at most as many as lie together; good until the next call for any message of this driver.
 * SMTPF_OK or SMTPF_EIO. */
int smtpf_spooled_look(smtpf_spooled *sp, uint64_t at, smtpf_str *out);

/* A descriptor in which the whole message stands, or -1. */
int smtpf_spooled_fd(smtpf_spooled *sp);

#endif
