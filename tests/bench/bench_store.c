/* SPDX-License-Identifier: MIT
 *
 * bench_store: the LMDB store through the driver, against the library it stands on: mdb_get with a read transaction
 * that is renewed for each get, and mdb_put in transactions of 64. Keys of 16 random bytes, values of 32. Rounds of
 * ours and of theirs alternate on the same file system. Prints one JSON object of figures.
 *
 *     bench_store [RECORDS...]      10000 and 1000000
 */
#define _GNU_SOURCE
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/store/world.h"

enum { GROUP = 64, GETS = 20000, PUTS = 64 * 8, ROUNDS = 25, KEY = 16, VALUE = 32, HEAD = 8 };

#define LMDB(call) WORLD_MUST((call) == 0)

static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v)
{
  qsort(v, ROUNDS, sizeof *v, by_value);
  return v[ROUNDS / 2];
}

/* The key of a record's number: as a keyed hash would spread them. */
static void key_of(uint64_t n, char out[KEY])
{
  for (size_t half = 0; half < 2; half++) {
    uint64_t x = n * 2 + half + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    memcpy(out + 8 * half, &x, sizeof x);
  }
}

/* ---- theirs --------------------------------------------------------------------------------------- */

typedef struct raw {
  MDB_env *env;
  MDB_dbi dbi;
} raw;

static void raw_open(raw *r, const char *folder)
{
  char path[300];
  MDB_txn *txn;
  snprintf(path, sizeof path, "%s/raw.mdb", folder);
  LMDB(mdb_env_create(&r->env));
  LMDB(mdb_env_set_mapsize(r->env, (size_t)8 << 30));
  LMDB(mdb_env_open(r->env, path, MDB_NOSUBDIR | MDB_NOTLS, 0600));
  LMDB(mdb_txn_begin(r->env, NULL, 0, &txn));
  LMDB(mdb_dbi_open(txn, NULL, 0, &r->dbi));
  LMDB(mdb_txn_commit(txn));
}

static void raw_put(raw *r, uint64_t first, size_t n, size_t group)
{
  char key[KEY], value[HEAD + VALUE] = "";
  for (size_t i = 0; i < n;) {
    MDB_txn *txn;
    LMDB(mdb_txn_begin(r->env, NULL, 0, &txn));
    for (size_t j = 0; j < group && i < n; j++, i++) {
      MDB_val k = {KEY, key}, v = {sizeof value, value};
      key_of(first + i, key);
      LMDB(mdb_put(txn, r->dbi, &k, &v, 0));
    }
    LMDB(mdb_txn_commit(txn));
  }
}

static void raw_get(raw *r, uint64_t records, uint64_t *state, size_t n)
{
  char key[KEY], value[4096];
  MDB_txn *txn;
  LMDB(mdb_txn_begin(r->env, NULL, MDB_RDONLY, &txn));
  mdb_txn_reset(txn);
  for (size_t i = 0; i < n; i++) {
    MDB_val k = {KEY, key}, v;
    key_of(world_random(state) % records, key);
    LMDB(mdb_txn_renew(txn));
    LMDB(mdb_get(txn, r->dbi, &k, &v));
    memcpy(value, v.mv_data, v.mv_size);
    mdb_txn_reset(txn);
  }
  mdb_txn_abort(txn);
}

/* ---- ours ----------------------------------------------------------------------------------------- */

typedef struct count {
  size_t n, good;
} count;

static void counted(void *user, int status, smtpf_str value)
{
  count *c = user;
  c->n++;
  c->good += status == SMTPF_STORE_DONE || (status == SMTPF_STORE_FOUND && value.n == VALUE);
}

/* As many sessions at a time as they put in one transaction. */
static void our_put(world *w, uint64_t first, size_t n, size_t group, size_t each)
{
  static const char value[VALUE];
  char keys[256][KEY];
  smtpf_change changes[256];
  count c = {0, 0};
  for (size_t i = 0; i < n;) {
    const size_t before = c.n;
    size_t asked = 0;
    for (size_t j = 0; j < group && i < n; asked++) {
      size_t k = 0;
      for (; k < each && i < n; k++, i++, j++) {
        key_of(first + i, keys[k]);
        changes[k] = (smtpf_change){sizeof changes[k], SMTPF_CHANGE_SET, {keys[k], KEY}, {value, VALUE}, 0};
      }
      WORLD_MUST(smtpf_driver_commit(w->driver, changes, k, counted, &c) == SMTPF_OK);
    }
    world_until(w, &c.n, before + asked);
  }
  WORLD_MUST(c.good == c.n);
}

static void our_get(world *w, uint64_t records, uint64_t *state, size_t n)
{
  char key[KEY];
  count c = {0, 0};
  for (size_t i = 0; i < n; i++) {
    key_of(world_random(state) % records, key);
    WORLD_MUST(smtpf_driver_get(w->driver, (smtpf_str){key, KEY}, counted, &c) == SMTPF_OK);
  }
  WORLD_MUST(c.good == n);
}

/* ---- both ----------------------------------------------------------------------------------------- */

static double kib_resident(void)
{
  char line[200];
  long kib = 0;
  FILE *f = fopen("/proc/self/smaps_rollup", "r");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, "Anonymous:", 10) == 0)
      kib = strtol(line + 10, NULL, 10);
  if (f)
    fclose(f);
  return (double)kib;
}

static void measure(size_t records, int first)
{
  world w;
  raw r;
  char folder[200], path[256], file[300];
  const world_options options = {{"store.type=lmdb", path, "store.map_size=8g"}, 3};
  double get[2][ROUNDS], put[2][ROUNDS], ratio[2][ROUNDS];
  uint64_t next = records, state[2] = {4711, 4711};
  struct stat st;
  world_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "store.path=%s", folder);
  snprintf(file, sizeof file, "%s/store.mdb", folder);
  const double before = kib_resident();
  world_open(&w, &options, 1700000000);
  raw_open(&r, folder);
  raw_put(&r, 0, records, 10000);
  our_put(&w, 0, records, 10000, 250);
  our_get(&w, records, &state[0], GETS);
  raw_get(&r, records, &state[1], GETS);
  const double held = kib_resident() - before;
  WORLD_MUST(stat(file, &st) == 0);
  for (size_t i = 0; i < ROUNDS; i++, next += PUTS) {
    double t = seconds();
    our_get(&w, records, &state[0], GETS);
    get[0][i] = seconds() - t;
    t = seconds();
    raw_get(&r, records, &state[1], GETS);
    get[1][i] = seconds() - t;
    ratio[0][i] = get[0][i] / get[1][i];
    t = seconds();
    our_put(&w, next, PUTS, GROUP, 1);
    put[0][i] = seconds() - t;
    t = seconds();
    raw_put(&r, next, PUTS, GROUP);
    put[1][i] = seconds() - t;
    ratio[1][i] = put[0][i] / put[1][i];
  }
  printf("%s\"get_time_vs_mdb_get_%zu\":%.3f,\"put_time_vs_mdb_put_64_%zu\":%.3f,\"get_us_%zu\":%.3f,\"mdb_get_us_%"
         "zu\":%.3f,"
         "\"put_us_%zu\":%.2f,\"mdb_put_us_%zu\":%.2f,\"file_bytes_per_record_%zu\":%.1f,\"memory_kib_%zu\":%.0f",
         first ? "" : ",", records, median(ratio[0]), records, median(ratio[1]), records, median(get[0]) * 1e6 / GETS,
         records, median(get[1]) * 1e6 / GETS, records, median(put[0]) * 1e6 / PUTS, records,
         median(put[1]) * 1e6 / PUTS, records, (double)st.st_size / (double)records, records, held);
  mdb_env_close(r.env);
  world_close(&w);
  world_remove(folder);
}

int main(int argc, char **argv)
{
  printf("{\"name\":\"store\",");
  if (argc < 2) {
    measure(10000, 1);
    measure(1000000, 0);
  }
  for (int i = 1; i < argc; i++)
    measure((size_t)strtoull(argv[i], NULL, 10), i == 1);
  printf("}\n");
  return 0;
}
