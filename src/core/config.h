/* SPDX-License-Identifier: MIT
 *
 * config: what the postmaster wants, while it is being written.
 */
#ifndef SMTPF_CORE_CONFIG_H
#define SMTPF_CORE_CONFIG_H

#include <smtpfilter/config.h>
#include <smtpfilter/ext/check.h>

#include <smtpfilter/ext/scan.h>

#include "section.h"

struct smtpf_scanner_type;

struct smtpf_config {
  smtpf_mem mem;
  smtpf_options options;
  smtpf_tree tree;
  const smtpf_check **checks; /* in the order of evidence */
  size_t n_checks, cap_checks;
  struct smtpf_scanner_type *scanners; /* types */
  size_t n_scanners, cap_scanners;
  int (*ports)(const smtpf_section *policy,
               smtpf_error *err); /* what the default ports ask of a policy; NULL: nothing */
  /* Reads a file that the policy names: SMTPF_OK, SMTPF_ENOTFOUND, SMTPF_EIO, SMTPF_ELIMIT (it is larger); *exposed:
   * others can write or read it. NULL: nobody can. */
  int (*read_file)(const char *path, char *room, size_t cap, size_t *n, int *exposed);
  const smtpf_clock *clock; /* what time it is when a policy is loaded; NULL: nobody knows */
  smtpf_log_fn log;
  void *log_user;
  int log_level;
};

/* An empty configuration with the library's own options and no checks. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_config_create(smtpf_config **out, const smtpf_mem *mem);

/* smtpf_config_set() or, with `append`, smtpf_config_append(), with the place it comes from. */
int smtpf_config_set_at(smtpf_config *cfg, const char *path, const char *value, int append, const char *file, int line,
                        smtpf_error *err);

/* The key member of the list a path names (`dnslists`, `dnslists["x"].codes`): SMTPF_OK or SMTPF_ENOTFOUND. */
int smtpf_config_list_key(const smtpf_config *cfg, const char *list_path, smtpf_str *key);

#endif
