/* SPDX-License-Identifier: MIT
 *
 * section: the tree of values that were set. A section is a flat table of dotted names (`resolver.timeout`);
 * a LIST value holds child sections, found by their key.
 */
#ifndef SMTPF_CORE_SECTION_H
#define SMTPF_CORE_SECTION_H

#include "base/arena.h"
#include "option.h"

typedef struct smtpf_value {
  smtpf_str name; /* within its section */
  const smtpf_option *row;
  int64_t number;
  smtpf_str *texts;                /* one, or a STRINGS option's */
  struct smtpf_section **sections; /* a LIST option's */
  smtpf_map by_key;                /* the same by key */
  size_t n, cap;
  smtpf_str file; /* where it was set last; empty: by call */
  int line;
} smtpf_value;

/* What all sections of one tree share. Its memory is an arena: values die with the tree. */
typedef struct smtpf_tree {
  smtpf_arena arena;
  smtpf_mem in_arena; /* the arena as an allocator that never frees, for maps */
  const smtpf_options *options;
  struct smtpf_section *root;
} smtpf_tree;

struct smtpf_section {
  smtpf_tree *tree;
  smtpf_str prefix; /* pattern: empty, `dnslists[zone]`, `dnslists[zone].codes[match]` */
  smtpf_str key;    /* this element's key */
  const struct smtpf_section *parent;
  smtpf_str list; /* the list's name in the parent */
  smtpf_str file; /* where the element was begun; empty: by call */
  int line;
  smtpf_value **v;
  size_t n, cap;
};

int smtpf_tree_init(smtpf_tree *t, const smtpf_mem *mem, const smtpf_options *options); /* SMTPF_OK or SMTPF_ENOMEM */
void smtpf_tree_free(smtpf_tree *t);
int smtpf_tree_copy(smtpf_tree *to, const smtpf_tree *from); /* `to` is initialised and empty */

/* Sets, or appends to, the option at a path; see smtpf_config_set(). */
int smtpf_tree_set(smtpf_tree *t, smtpf_str path, smtpf_str value, int append, smtpf_str file, int line,
                   smtpf_error *err);

/* The LIST row a path names: `dnslists`, `dnslists["x"].codes`; NULL when it is none. */
const smtpf_option *smtpf_tree_list(const smtpf_tree *t, smtpf_str path);

/* The value at a path; NULL when it was not set. *row, if not NULL, is its row, NULL when there is none. */
const smtpf_value *smtpf_tree_find(const smtpf_tree *t, smtpf_str path, const smtpf_option **row);

#endif
