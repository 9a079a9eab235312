/* SPDX-License-Identifier: MIT
 *
 * host_policy: a policy file and what the command line says over it, as an engine; options of a host's own.
 */
#ifndef COMMON_HOST_POLICY_H
#define COMMON_HOST_POLICY_H

#include <smtpfilter/smtpfilter.h>

/* What a program adds of its own (checks, ports). SMTPF_OK or an error, with `err`. */
typedef int (*host_policy_more)(smtpf_config *cfg, void *user, smtpf_error *err);

typedef struct host_policy {
  const char *file;       /* NULL for none */
  const char *const *set; /* `PATH=VALUE`, or `PATH+=VALUE` for one more of a list; over the file */
  size_t sets;
  host_policy_more before; /* the file is read; NULL: nothing */
  void *user;              /* handed to it */
} host_policy;

/* Fills `err`: WHAT `VALUE`: expected EXPECTED. Returns `code`. */
int host_policy_fail(smtpf_error *err, int code, const host_policy *p, const char *what, const char *value,
                     const char *expected);
/* SMTPF_OK, or a negative result with `err` filled. Warnings of the library go to the log. */
int host_policy_load(smtpf_engine **out, const host_policy *p, smtpf_error *err);
/* The same for who only logs what is wrong: the engine, owned by the caller, or NULL. */
smtpf_engine *host_policy_engine(const host_policy *p);
/* Logs what is wrong with a policy: file, line, what was expected. */
void host_policy_complain(const smtpf_error *err, const char *event);

/* An option of the engine's. */
int64_t host_number(const smtpf_engine *e, const char *path, int64_t otherwise);
/* NULL when it is empty, or there is no `i`th. */
const char *host_string(const smtpf_engine *e, const char *path, size_t i);
/* Which of `words` (NULL-terminated) it says; the first when it says none. */
int host_choice(const smtpf_engine *e, const char *path, const char *const *words);

#endif
