/* SPDX-License-Identifier: MIT
 *
 * store_contract: what every store must do, as one suite for all of them. A program of a store's own says how one is
 * opened, and adds the cases that only that store has.
 */
#ifndef SMTPF_TESTS_STORE_CONTRACT_H
#define SMTPF_TESTS_STORE_CONTRACT_H

#include <check.h>

#include "port/store/change.h"
#include "port_fake.h"

/* A kind of store. `begin` before each case, on an empty place; `end` behind it. */
typedef struct contract_store {
  const smtpf_store *(*port)(void);
  const fake_option *options;
  size_t n_options;
  void (*begin)(void);
  void (*end)(void);
} contract_store;

/* The case's world, between contract_open() and contract_close(). */
extern smtpf_driver *contract_driver;
extern const smtpf_store *contract_port;
extern void *contract_self;

void contract_open(const contract_store *store);
void contract_close(void);

/* Adds the cases every store has to pass; at most four kinds in one program. */
void contract_add(Suite *suite, const contract_store *store);

/* ---- for cases of a store's own ---- */

smtpf_change contract_change(int op, const char *key, const char *value);
smtpf_change contract_number(const char *key, int64_t v); /* ADD; up to four at once */
/* Waits for the answer: smtpf_store_status, or the error of the call. */
int contract_commit(const smtpf_change *changes, size_t n);
int contract_one(smtpf_change c);
int contract_set(const char *key, const char *value);
/* The value of a key as text: `-` when it is absent, `!` when the store failed. */
const char *contract_get(const char *key);
int64_t contract_get_number(const char *key);
/* All keys by scan, in pages of `most`, joined by blanks in ascending order. */
const char *contract_scan(size_t most);

#endif
