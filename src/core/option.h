/* SPDX-License-Identifier: MIT
 *
 * core: config, engine, driver, session. May call base, mail, policy, and ports through ext/port.h; never does
 * I/O, never reads a clock.
 *
 * option: the table of rows, and values as text.
 */
#ifndef SMTPF_CORE_OPTION_H
#define SMTPF_CORE_OPTION_H

#include <smtpfilter/ext/check.h>

#include "base/map.h"

/* Rows by pattern: `limits.line`; for a LIST without its key: `dnslists`, `dnslists[zone].codes`. */
typedef struct smtpf_options {
  const smtpf_mem *mem;
  const smtpf_option **v; /* in the order they came */
  size_t n, cap;
  smtpf_map by_path;
} smtpf_options;

extern const smtpf_option smtpf_core_options[];
extern const size_t smtpf_core_options_count;

void smtpf_options_init(smtpf_options *o, const smtpf_mem *mem);
void smtpf_options_free(smtpf_options *o);

/* SMTPF_OK, SMTPF_EINVAL (a path twice, or a row that makes no sense) or SMTPF_ENOMEM. All or none. */
int smtpf_options_add(smtpf_options *o, const smtpf_option *rows, size_t n);
void smtpf_options_remove(smtpf_options *o, const smtpf_option *rows, size_t n);
/* Rows in the place of others: SMTPF_OK, or as smtpf_options_add() with everything as it was. */
int smtpf_options_replace(smtpf_options *o, const smtpf_option *old, size_t n_old, const smtpf_option *rows, size_t n);
const smtpf_option *smtpf_options_find(const smtpf_options *o, smtpf_str pattern);

/* The key member of a LIST row: `zone` of `dnslists[zone]`. */
smtpf_str smtpf_option_key(const smtpf_option *row);

/* Parses a value by its row. Numbers, bools and choices go to *number. SMTPF_OK, SMTPF_EPARSE (not of
 * this type) or SMTPF_EINVAL (out of bounds). */
int smtpf_option_parse(const smtpf_option *row, smtpf_str text, int64_t *number);

/* What a row accepts, in words: `a time such as 250ms, 3s, 5m, from 50 to 60000 ms`. At most `cap`. */
smtpf_str smtpf_option_expected(const smtpf_option *row, char *room, size_t cap);

/* `bool`, `int`, `time` ...; a CHOICE gives its words. */
const char *smtpf_option_type_name(const smtpf_option *row);

#endif
