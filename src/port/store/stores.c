/* SPDX-License-Identifier: MIT */
#include "stores.h"

#include <smtpfilter/engine.h>

#include "base/str.h"
#include "port/port.h"

/* A word of `store.type`, the port behind it, and what it asks of the policy. */
typedef struct kind {
  const char *word;
  const smtpf_store *(*port)(void);
  int (*check)(const smtpf_section *policy, smtpf_error *err); /* NULL: nothing */
} kind;

static int check_lmdb(const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_str type = SMTPF_LIT("lmdb");
  if (!smtpf_section_string(policy, "store.path").n)
    return smtpf_section_fail(policy, "store.type", err, SMTPF_EINVAL, "needs a folder", type, "`store.path`");
  if (smtpf_section_number(policy, "store.map_max") < smtpf_section_number(policy, "store.map_size"))
    return smtpf_section_fail(policy, "store.map_max", err, SMTPF_EINVAL, "is less than `store.map_size`", type, NULL);
  return SMTPF_OK;
}

static const kind kinds[] = {
    {"memory", smtpf_store_memory, NULL},
    {"lmdb", smtpf_store_lmdb, check_lmdb},
    {"redis", smtpf_store_redis, smtpf_redis_policy},
};

static const kind *find(smtpf_str word)
{
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (smtpf_str_equal(word, smtpf_str_of(kinds[i].word)))
      return &kinds[i];
  return &kinds[0];
}

const smtpf_store *smtpf_store_of_policy(const smtpf_engine *engine)
{
  smtpf_str word;
  return smtpf_engine_option(engine, "store.type", 0, &word) == SMTPF_OK ? find(word)->port() : kinds[0].port();
}

int smtpf_store_check_policy(const smtpf_section *policy, smtpf_error *err)
{
  const kind *k = find(smtpf_section_string(policy, "store.type"));
  return k->check ? k->check(policy, err) : SMTPF_OK;
}
