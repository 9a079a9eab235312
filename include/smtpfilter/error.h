/* SPDX-License-Identifier: MIT */
/**
 * @file error.h
 * Errors: a negative result, and, where a person must be told, a text with its place.
 */
#ifndef SMTPFILTER_ERROR_H
#define SMTPFILTER_ERROR_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * An error for a person, owned by the caller. Set `size` to `sizeof(smtpf_error)` before the call.
 * Functions that take one accept NULL and write it only when they fail.
 */
typedef struct smtpf_error {
  size_t size;    /**< sizeof(smtpf_error) */
  int code;       /**< the negative result that was returned */
  int line;       /**< line in `file`, from 1; 0 when there is none */
  char file[256]; /**< the file, NUL-terminated; empty when there is none */
  char text[512]; /**< what is wrong and what was expected, NUL-terminated, one line */
} smtpf_error;

/**
 * The words for a result.
 * @param code any smtpf_result
 * @return a static NUL-terminated string, never NULL
 * @note any thread. Since 0.1.
 */
SMTPF_API const char *smtpf_strerror(int code);

#ifdef __cplusplus
}
#endif
#endif
