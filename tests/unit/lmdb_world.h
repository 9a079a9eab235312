/* SPDX-License-Identifier: MIT
 *
 * lmdb_world: a folder for a store on disk, its options, and what its programs of tests share.
 */
#ifndef SMTPF_TESTS_LMDB_WORLD_H
#define SMTPF_TESTS_LMDB_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store_contract.h"

enum { OPTIONS = 7, PATIENCE_MS = 20000, MIB = 1 << 20 };

static char folder[64];
static char numbers[3][16];
static fake_option options[OPTIONS] = {{"store.path", folder},        {"store.map_size", numbers[0]},
                                       {"store.map_max", numbers[1]}, {"store.readers", numbers[2]},
                                       {"store.writer", "thread"},    {"store.durability", "full"},
                                       {"store.sync", "20"}};
static const contract_store disk = {smtpf_store_lmdb, options, OPTIONS, NULL, NULL};

static void settings(int64_t map_size, int64_t map_max, int readers)
{
  snprintf(numbers[0], sizeof numbers[0], "%lld", (long long)map_size);
  snprintf(numbers[1], sizeof numbers[1], "%lld", (long long)map_max);
  snprintf(numbers[2], sizeof numbers[2], "%d", readers);
}

static void make_folder(void)
{
  snprintf(folder, sizeof folder, "/dev/shm/smtpf-lmdb-XXXXXX"); /* what a disk adds is shown elsewhere */
  if (!mkdtemp(folder))
    snprintf(folder, sizeof folder, "/tmp/smtpf-lmdb-XXXXXX");
  ck_assert(access(folder, W_OK) == 0 || mkdtemp(folder));
  settings(16 * MIB, 64 * MIB, 64);
}

static void remove_folder(void)
{
  static const char *const names[] = {"store.mdb", "store.mdb-lock"};
  char path[128];
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    unlink(path);
  }
  rmdir(folder);
}

static void as(const char *writer, const char *durability)
{
  options[4].value = writer;
  options[5].value = durability;
  make_folder();
}
static void threaded(void)
{
  as("thread", "full");
}
static void alone(void)
{
  as("inline", "full");
}
static void batched(void)
{
  as("thread", "batch");
}

static inline void reopen(void)
{
  contract_close();
  contract_open(&disk);
}

static inline int said(const char *event)
{
  return strstr(contract_driver->log, event) != NULL;
}

/* Turns the loop, so that what waits to be said is said. */
static inline int heard(const char *event)
{
  for (int i = 0; i < 100 && !said(event); i++)
    fake_run(contract_driver, SIZE_MAX, 50);
  return said(event);
}

/* Writes records of 4000 bytes until a commit fails, at most `most`; how many were written. */
static inline int fill(int begin, int most, int64_t expires)
{
  static char big[4001];
  char key[16];
  memset(big, 'x', sizeof big - 1);
  for (int i = begin; i < begin + most; i++) {
    snprintf(key, sizeof key, "big%d", i);
    smtpf_change c = contract_change(SMTPF_CHANGE_SET, key, big);
    c.expires = expires;
    if (contract_one(c) != SMTPF_STORE_DONE)
      return i - begin;
  }
  return most;
}

#endif
