/* SPDX-License-Identifier: MIT */
/**
 * @file engine.h
 * A frozen policy. Immutable after smtpf_engine_new(), hence shared by all threads without a lock.
 * A reload is a new engine handed to smtpf_driver_set_engine(); open sessions keep theirs.
 */
#ifndef SMTPFILTER_ENGINE_H
#define SMTPFILTER_ENGINE_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Freezes a configuration: opens every check, resolves profiles, proves bounds.
 * @param[out] out  the engine with one reference, the caller's; untouched on failure
 * @param cfg       stays the caller's; may be changed and frozen again
 * @param[out] err  file:line of the option at fault; NULL accepted
 * @return SMTPF_OK, SMTPF_EINVAL (a contradiction), SMTPF_ENOTFOUND (a profile or file that is named
 *         and not there), SMTPF_EIO, SMTPF_EPARSE or SMTPF_ENOMEM. May read files. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_engine_new(smtpf_engine **out, smtpf_config *cfg, smtpf_error *err);

/** Takes another reference. Any thread. @return `engine`. Since 0.1. */
SMTPF_API smtpf_engine *smtpf_engine_ref(smtpf_engine *engine);

/** Gives a reference back; the last one frees. NULL is accepted. Any thread. Since 0.1. */
SMTPF_API void smtpf_engine_unref(smtpf_engine *engine);

/**
 * The capabilities (smtpf_capability bits) that some profile of this policy can ask for, for example
 * SMTPF_CAN_QUARANTINE. A host that lacks one should refuse to start. Any thread. Since 0.1.
 */
SMTPF_API unsigned smtpf_engine_needs(const smtpf_engine *engine);

/** Receives one warning: the place in the policy (file NULL when it was set by a call), and what does not fit together.
 */
typedef void (*smtpf_lint_fn)(void *user, const char *file, int line, smtpf_str text);

/**
 * Looks for contradictions that do not keep a policy from loading: discard without reject, thresholds out of order,
 * `only_from` of a scope that matches nobody, forwarders that nobody lists, wishes that a host cannot keep ...
 * @param engine        the policy
 * @param capabilities  smtpf_capability bits of the host it is for
 * @param fn, user      receiver, called for each; NULL only counts
 * @return how many there are. Any thread. Since 0.1.
 */
SMTPF_API size_t smtpf_engine_lint(const smtpf_engine *engine, unsigned capabilities, smtpf_lint_fn fn, void *user);

/**
 * Reads one option of the frozen policy as text, for hosts that keep their own settings in the same
 * file (`proxy.listen` ...; smtpf_config_add_options() of ext/check.h).
 * @param engine  the engine
 * @param path    NUL-terminated option path
 * @param index   0 for a single value, 0..n-1 for a list of strings or of groups
 * @param[out] out  the value (or its default), of a list of groups the key of one, `zen.example` of `dnslists`;
 *                  NUL-terminated, valid as long as the engine
 * @return SMTPF_OK or SMTPF_ENOTFOUND. Any thread. Since 0.1.
 */
SMTPF_API int smtpf_engine_option(const smtpf_engine *engine, const char *path, size_t index, smtpf_str *out);

/**
 * Reads one option of the frozen policy as a number: count, milliseconds, bytes, thousandths of a
 * score, 0 or 1. Results as smtpf_engine_option(), or SMTPF_EINVAL when it is not a number. Since 0.1.
 */
SMTPF_API int smtpf_engine_number(const smtpf_engine *engine, const char *path, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
