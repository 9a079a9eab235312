/* SPDX-License-Identifier: MIT */
/**
 * @file version.h
 * The version this header belongs to, and the version that is linked.
 */
#ifndef SMTPFILTER_VERSION_H
#define SMTPFILTER_VERSION_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SMTPF_VERSION_MAJOR 0        /**< changes with the SONAME */
#define SMTPF_VERSION_MINOR 1        /**< changes when something is added */
#define SMTPF_VERSION_PATCH 0        /**< changes when something is mended */
#define SMTPF_VERSION_STRING "0.1.0" /**< the three as text */

/**
 * The version of the library that is linked, as `MAJOR.MINOR.PATCH`.
 * @return a static string. Any thread. Since 0.1.
 */
SMTPF_API const char *smtpf_version(void);

#ifdef __cplusplus
}
#endif
#endif
