/* SPDX-License-Identifier: MIT
 *
 * base: memory, strings and containers. Knows nothing of mail; does no I/O.
 *
 * mem: the injectable allocator, and its default.
 */
#ifndef SMTPF_BASE_MEM_H
#define SMTPF_BASE_MEM_H

#include <smtpfilter/types.h>

/* malloc(3) and its family. */
extern const smtpf_mem smtpf_mem_default;

/* `mem`, or the default when it is NULL. */
smtpf_mem smtpf_mem_or_default(const smtpf_mem *mem);

void *smtpf_mem_alloc(const smtpf_mem *mem, size_t n);
void *smtpf_mem_zalloc(const smtpf_mem *mem, size_t n);
void smtpf_mem_free(const smtpf_mem *mem, void *p);

/* Makes room for at least `want` elements of `size` bytes in *array, doubling; *cap is updated.
 * On SMTPF_ENOMEM the array is as it was. */
int smtpf_mem_grow(const smtpf_mem *mem, void **array, size_t *cap, size_t want, size_t size);

#endif
