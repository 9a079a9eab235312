/* SPDX-License-Identifier: MIT
 *
 * error: filling the caller's smtpf_error.
 */
#ifndef SMTPF_BASE_ERROR_H
#define SMTPF_BASE_ERROR_H

#include <smtpfilter/error.h>

/* Writes the parts one after the other, escaped, into err->text; err may be NULL. Returns `code`. */
int smtpf_error_set(smtpf_error *err, int code, const char *file, int line, const smtpf_str *parts, size_t n);

/* The same with the parts as arguments: SMTPF_ERROR(err, code, file, line, a, b, c). */
#define SMTPF_ERROR(err, code, file, line, ...)                                                                        \
  smtpf_error_set((err), (code), (file), (line), (const smtpf_str[]){__VA_ARGS__},                                     \
                  sizeof((const smtpf_str[]){__VA_ARGS__}) / sizeof(smtpf_str))

#endif
