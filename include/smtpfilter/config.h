/* SPDX-License-Identifier: MIT */
/**
 * @file config.h
 * The policy while it is being written: options, checks, log. Used by one thread, then frozen into an
 * engine. Every option has a path, for example `limits.line`, `profiles["default"].reject` or
 * `dnslists["zen.example"].codes["127.0.0.2"].score`; smtpfilter.conf(5) lists them all.
 */
#ifndef SMTPFILTER_CONFIG_H
#define SMTPFILTER_CONFIG_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A new configuration that holds every default and the built-in checks.
 * @param[out] out  the configuration, owned by the caller; untouched on failure
 * @param mem       the allocator of everything that will be made from it, copied; NULL for malloc(3)
 * @return SMTPF_OK or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_config_new(smtpf_config **out, const smtpf_mem *mem);

/** Frees a configuration. Engines made from it live on. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_config_free(smtpf_config *cfg);

/**
 * Reads a policy file (libconfig syntax, smtpfilter.conf(5)) over what is there. An option that nobody has registered is
 * an error: those of the host programs (`proxy` ...) are theirs, and a host registers its own before, by
 * smtpf_config_add_options() of ext/check.h.
 * @param cfg       the configuration
 * @param path      NUL-terminated path of the file
 * @param[out] err  file, line, and what was expected; NULL accepted
 * @return SMTPF_OK, SMTPF_EIO (cannot be read), SMTPF_EPARSE (syntax), SMTPF_ENOTFOUND (no such
 *         option), SMTPF_EINVAL (value out of bounds) or SMTPF_ENOMEM. After a failure the
 *         configuration must only be freed. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_config_load(smtpf_config *cfg, const char *path, smtpf_error *err);

/**
 * Sets one option. A list element that is named and does not exist is made.
 * @param cfg    the configuration
 * @param path   NUL-terminated path, e.g. `profiles["default"].reject`
 * @param value  NUL-terminated text: `10.0`, `5m`, `true`, `64k`, `zen.example`
 * @param[out] err  what is wrong and what was expected; NULL accepted
 * @return SMTPF_OK, SMTPF_ENOTFOUND, SMTPF_EINVAL, SMTPF_EPARSE or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_config_set(smtpf_config *cfg, const char *path, const char *value,
                                                smtpf_error *err);

/**
 * Appends one value to an option that is a list of strings, e.g. `local_domains`.
 * Parameters and results as smtpf_config_set(). Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_config_append(smtpf_config *cfg, const char *path, const char *value,
                                                   smtpf_error *err);

/** One row of the option table, for manuals and bindings. All strings are static or the check's. */
typedef struct smtpf_option_info {
  size_t size;       /**< sizeof(smtpf_option_info) */
  const char *path;  /**< e.g. `dnslists[zone].codes[match].score`: a list names its key in brackets */
  const char *type;  /**< `bool`, `int`, `time`, `size`, `score`, `string`, `strings`, `list` or `a|b|c` */
  const char *deflt; /**< default as text; NULL when there is none */
  int64_t min;       /**< least value: count, milliseconds, bytes, thousandths of a score */
  int64_t max;       /**< greatest value */
  const char *doc;   /**< one paragraph */
} smtpf_option_info;

/** Receives option rows. */
typedef void (*smtpf_option_fn)(void *user, const smtpf_option_info *row);

/** Calls `fn` for every option known to `cfg`, the library's first, then each check's. Since 0.1. */
SMTPF_API void smtpf_config_each_option(const smtpf_config *cfg, smtpf_option_fn fn, void *user);

/** One field of a log line. Values are escaped: no byte below 0x20, none above 0x7e. */
typedef struct smtpf_log_field {
  const char *name; /**< static */
  smtpf_str value;  /**< valid during the call */
} smtpf_log_field;

/** Receives log lines, on the thread of the public call in progress. It must not call the library. */
typedef void (*smtpf_log_fn)(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n);

/**
 * Where log lines go. Without it the library is silent.
 * @param cfg    the configuration
 * @param level  the greatest smtpf_log_level that is wanted
 * @param fn     receiver; NULL for silence
 * @param user   passed back. Since 0.1.
 */
SMTPF_API void smtpf_config_set_log(smtpf_config *cfg, int level, smtpf_log_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
