/* SPDX-License-Identifier: MIT
 *
 * bench_greylist: what the greylist adds to a RCPT when its triplet is known, beside what its two reads cost in raw
 * mdb_get with a read transaction that is renewed for each: the same number of records, keys of 32 bytes, values of the
 * same length, in the same folder. Rounds alternate. Up to two million, records are put in as mail comes, in no order
 * of their keys; beyond, by their keys, which takes minutes and not hours. Prints one JSON object of figures.
 *
 *     bench_greylist [RECORDS...]            10000 and 1000000
 *     bench_greylist fill FOLDER RECORDS     a store that knows the triplets of policy_load, and nothing more
 */
#define _GNU_SOURCE
#include <lmdb.h>
#include <smtpfilter/ext/greylist.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "triplet.h"

enum { ROUNDS = 7, RCPTS = 20000, BATCH = 500, BATCH_RAW = 100000 };

static char folder[] = "/tmp/bench-greylist.XXXXXX";

static void must(int ok, const char *what)
{
  if (ok)
    return;
  fprintf(stderr, "bench_greylist: %s\n", what);
  exit(2);
}

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

/* ---- triplets ------------------------------------------------------------------------------------------ */

static uint64_t picked; /* a walk through all of them in no order */
static uint64_t next_of(uint64_t records)
{
  picked = picked * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (picked >> 33) % records;
}

/* ---- in which order they are put in ---- */

typedef struct place {
  unsigned char key[SMTPF_DIGEST_BYTES];
  uint32_t n;
} place;

enum { BY_KEY_FROM = 2000000 };

static place *places; /* NULL: as they are numbered */

static void key_of(const triplet *t, unsigned char key[SMTPF_DIGEST_BYTES])
{
  smtpf_greylist_triplet_key(smtpf_str_of(t->identity), smtpf_str_of(t->sender), smtpf_str_of(t->recipient), key);
}

static int by_key(const void *a, const void *b)
{
  return memcmp(((const place *)a)->key, ((const place *)b)->key, SMTPF_DIGEST_BYTES);
}

static void order(uint64_t records)
{
  free(places);
  places = NULL;
  if (records < BY_KEY_FROM)
    return;
  places = malloc(records * sizeof *places);
  must(places && records < UINT32_MAX, "memory");
  for (uint64_t i = 0; i < records; i++) {
    triplet t;
    triplet_of(i, &t);
    key_of(&t, places[i].key);
    places[i].n = (uint32_t)i;
  }
  qsort(places, records, sizeof *places, by_key);
}

static void triplet_in_order(uint64_t i, triplet *t)
{
  triplet_of(places ? places[i].n : i, t);
}

static smtpf_str record_of(const triplet *t, int64_t now, char room[1024])
{
  smtpf_record r;
  smtpf_str out = {"", 0};
  smtpf_record_begin(&r, room, 1024, SMTPF_GREYLIST_TRIPLET);
  smtpf_record_number(&r, SMTPF_GREYLIST_FIRST, SMTPF_JOIN_MIN, now - 1000);
  smtpf_record_number(&r, SMTPF_GREYLIST_LAST, SMTPF_JOIN_MAX, now);
  smtpf_record_count(&r, SMTPF_GREYLIST_PASSES, 1, 1);
  smtpf_record_text(&r, SMTPF_GREYLIST_IDENTITY, smtpf_str_of(t->identity));
  smtpf_record_text(&r, SMTPF_GREYLIST_SENDER, smtpf_str_of(t->sender));
  smtpf_record_text(&r, SMTPF_GREYLIST_RECIPIENT, smtpf_str_of(t->recipient));
  must(smtpf_record_end(&r, &out) == SMTPF_OK, "record");
  return out;
}

/* ---- ours ---------------------------------------------------------------------------------------------- */

static smtpf_driver *driver_for(const char *path, int greylist)
{
  smtpf_error err = {.size = sizeof err};
  smtpf_config *cfg = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *d = NULL;
  static const char *const off[] = {"iprev", "helo", "early_talk", "null_sender"};
  must(smtpf_config_new(&cfg, NULL) == SMTPF_OK, "config");
  must(smtpf_config_append(cfg, "local_domains", "example.net", &err) == SMTPF_OK, err.text);
  for (size_t i = 0; i < sizeof off / sizeof *off; i++)
    must(smtpf_config_append(cfg, "check.disable", off[i], &err) == SMTPF_OK, err.text);
  must(smtpf_config_set(cfg, "profiles[\"default\"].greylist", greylist ? "true" : "false", &err) == SMTPF_OK,
       err.text);
  must(smtpf_config_set(cfg, "store.type", greylist ? "lmdb" : "memory", &err) == SMTPF_OK, err.text);
  must(smtpf_config_set(cfg, "store.path", path, &err) == SMTPF_OK, err.text);
  must(smtpf_config_set(cfg, "store.map_size", "32g", &err) == SMTPF_OK, err.text);
  must(smtpf_engine_new(&engine, cfg, &err) == SMTPF_OK, err.text);
  must(smtpf_driver_new(&d, engine, NULL) == SMTPF_OK, "driver");
  smtpf_config_free(cfg);
  smtpf_engine_unref(engine);
  return d;
}

static void committed(void *user, int status, smtpf_str value)
{
  (void)value;
  *(int *)user = status;
}

static void fill(smtpf_driver *d, uint64_t records)
{
  static char rooms[BATCH][1024];
  static unsigned char keys[BATCH][SMTPF_DIGEST_BYTES];
  static smtpf_change changes[BATCH];
  const int64_t now = (int64_t)time(NULL);
  for (uint64_t i = 0; i < records;) {
    size_t n = 0;
    int status = 0;
    for (; n < BATCH && i < records; n++, i++) {
      triplet t;
      triplet_in_order(i, &t);
      key_of(&t, keys[n]);
      changes[n] = (smtpf_change){.size = sizeof *changes,
                                  .op = SMTPF_CHANGE_SET,
                                  .key = {(const char *)keys[n], SMTPF_DIGEST_BYTES},
                                  .value = record_of(&t, now, rooms[n]),
                                  .expires = now + 36 * 86400};
    }
    must(smtpf_driver_commit(d, changes, n, committed, &status) == SMTPF_OK, "commit");
    while (!status)
      must(smtpf_driver_process(d) >= 0, "process");
    must(status == SMTPF_STORE_DONE, "the store is full");
  }
}

typedef struct walk {
  char cursor[64];
  size_t n;
  int more;
} walk;

static void walked(void *user, int status, const smtpf_stored *records, size_t n, smtpf_str cursor)
{
  walk *w = user;
  (void)records;
  (void)n;
  must(status == SMTPF_STORE_MORE || status == SMTPF_STORE_DONE, "scan");
  w->more = status == SMTPF_STORE_MORE;
  w->n = cursor.n;
  if (cursor.n)
    memcpy(w->cursor, cursor.p, cursor.n);
}

static void accepted(smtpf_session *s, int result, const char *what)
{
  if (result == SMTPF_PENDING)
    result = smtpf_session_wait(s, 10000);
  must(result == SMTPF_OK && smtpf_verdict_code(smtpf_session_verdict(s)) < 400, what);
}

/* Seconds of a RCPT, in sessions of one. */
static double rcpts(smtpf_driver *d, uint64_t records)
{
  double spent = 0;
  for (int i = 0; i < RCPTS; i++) {
    triplet t;
    char from[80], to[80];
    smtpf_session *s;
    triplet_of(next_of(records), &t);
    const smtpf_peer peer = {.size = sizeof peer, .address = smtpf_str_of(t.client)};
    snprintf(from, sizeof from, "<%s>", t.sender);
    snprintf(to, sizeof to, "<%s>", t.recipient);
    must(smtpf_session_new(&s, d, NULL) == SMTPF_OK, "session");
    accepted(s, smtpf_session_connect(s, &peer), "connect");
    accepted(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.example")), "helo");
    accepted(s, smtpf_session_mail(s, smtpf_str_of(from), SMTPF_LIT("")), "mail");
    const double begun = seconds();
    accepted(s, smtpf_session_rcpt(s, smtpf_str_of(to), SMTPF_LIT("")), "rcpt: not known");
    spent += seconds() - begun;
    smtpf_session_free(s);
  }
  return spent / RCPTS;
}

/* Every page is mapped, as in a server that has run for a while. */
static void warm(smtpf_driver *d, uint64_t records)
{
  walk w = {.more = 1};
  while (w.more)
    must(smtpf_driver_scan(d, (smtpf_str){w.cursor, w.n}, 256, walked, &w) == SMTPF_OK, "scan");
  (void)rcpts(d, records);
}

/* ---- theirs -------------------------------------------------------------------------------------------- */

typedef struct raw {
  MDB_env *env;
  MDB_dbi dbi;
  MDB_txn *txn;
} raw;

static void raw_open(raw *r, const char *path, uint64_t records)
{
  char room[1024];
  must(!mkdir(path, 0700) && !mdb_env_create(&r->env), "mdb_env_create");
  must(!mdb_env_set_mapsize(r->env, (size_t)32 << 30), "mdb_env_set_mapsize");
  must(!mdb_env_open(r->env, path, MDB_NOSYNC | MDB_NOTLS, 0600), "mdb_env_open");
  must(!mdb_txn_begin(r->env, NULL, 0, &r->txn) && !mdb_dbi_open(r->txn, NULL, 0, &r->dbi), "mdb_dbi_open");
  for (uint64_t i = 0; i < records; i++) {
    triplet t;
    unsigned char key[SMTPF_DIGEST_BYTES];
    triplet_in_order(i, &t);
    key_of(&t, key);
    const smtpf_str value = record_of(&t, 1000000, room);
    MDB_val k = {sizeof key, key}, v = {value.n, (void *)(uintptr_t)value.p};
    must(!mdb_put(r->txn, r->dbi, &k, &v, 0), "mdb_put");
    if (i % BATCH_RAW == BATCH_RAW - 1)
      must(!mdb_txn_commit(r->txn) && !mdb_txn_begin(r->env, NULL, 0, &r->txn), "mdb_txn_commit");
  }
  must(!mdb_txn_commit(r->txn) && !mdb_txn_begin(r->env, NULL, MDB_RDONLY, &r->txn), "mdb_txn_begin");
  mdb_txn_reset(r->txn);
}

/* Seconds of one get that finds, and of one that does not: what the check reads. Keys are made beforehand. */
static double gets(raw *r, uint64_t records)
{
  static unsigned char keys[RCPTS][2][SMTPF_DIGEST_BYTES];
  for (size_t i = 0; i < RCPTS; i++) {
    triplet t;
    triplet_of(next_of(records), &t);
    key_of(&t, keys[i][0]);
    smtpf_greylist_client_key(smtpf_str_of(t.identity), keys[i][1]);
  }
  const double begun = seconds();
  for (size_t i = 0; i < RCPTS; i++)
    for (size_t k = 0; k < 2; k++) {
      MDB_val key = {SMTPF_DIGEST_BYTES, keys[i][k]}, value;
      must(!mdb_txn_renew(r->txn), "mdb_txn_renew");
      const int found = mdb_get(r->txn, r->dbi, &key, &value);
      must(found == (k ? MDB_NOTFOUND : 0), "mdb_get");
      mdb_txn_reset(r->txn);
    }
  return (seconds() - begun) / RCPTS;
}

static void raw_warm(raw *r)
{
  MDB_cursor *c = NULL;
  MDB_val k, v;
  must(!mdb_txn_renew(r->txn) && !mdb_cursor_open(r->txn, r->dbi, &c), "mdb_cursor_open");
  while (!mdb_cursor_get(c, &k, &v, MDB_NEXT))
    ;
  mdb_cursor_close(c);
  mdb_txn_reset(r->txn);
}

/* ---- a size -------------------------------------------------------------------------------------------- */

static double file_bytes(const char *where, const char *name)
{
  char path[200];
  struct stat st;
  snprintf(path, sizeof path, "%s/%s", where, name);
  must(!stat(path, &st), path);
  return (double)st.st_size;
}

/* Memory of this process's own: pages of the files are the kernel's cache. */
static double anonymous_bytes(void)
{
  char line[200];
  long kib = 0;
  FILE *f = fopen("/proc/self/smaps_rollup", "r");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, "Anonymous:", 10) == 0)
      kib = strtol(line + 10, NULL, 10);
  if (f)
    fclose(f);
  return (double)kib * 1024;
}

static unsigned depth_of(const raw *r)
{
  MDB_stat st;
  must(!mdb_env_stat(r->env, &st), "mdb_env_stat");
  return st.ms_depth;
}

static void figure(const char *name, uint64_t records, double value)
{
  static int any;
  printf("%s\"%s_%llu\":%.3f", any ? "," : "", name, (unsigned long long)records, value);
  any = 1;
}

static void measure(uint64_t records)
{
  char ours[80], theirs[80], command[200];
  double with[ROUNDS], without[ROUNDS], get[ROUNDS], check[ROUNDS], ratio[ROUNDS];
  raw r;
  snprintf(ours, sizeof ours, "%s/ours", folder);
  snprintf(theirs, sizeof theirs, "%s/theirs", folder);
  order(records);
  const double before = anonymous_bytes();
  smtpf_driver *d = driver_for(ours, 1), *plain = driver_for(ours, 0);
  fill(d, records);
  warm(d, records);
  const double held = anonymous_bytes() - before;
  raw_open(&r, theirs, records);
  raw_warm(&r);
  (void)gets(&r, records);
  for (int i = 0; i < ROUNDS; i++) {
    without[i] = rcpts(plain, records);
    with[i] = rcpts(d, records);
    get[i] = gets(&r, records);
    check[i] = with[i] - without[i];
    ratio[i] = check[i] / (get[i] + 1e-6);
  }
  figure("check_known_vs_gets_and_1us", records, median(ratio));
  figure("check_known_us", records, median(check) * 1e6);
  figure("gets_us", records, median(get) * 1e6);
  figure("rcpt_without_us", records, median(without) * 1e6);
  figure("tree_depth", records, depth_of(&r));
  figure("file_bytes_per_record", records, file_bytes(ours, "store.mdb") / (double)records);
  figure("mdb_file_bytes_per_record", records, file_bytes(theirs, "data.mdb") / (double)records);
  figure("memory_kib", records, held / 1024);
  mdb_txn_abort(r.txn);
  mdb_env_close(r.env);
  smtpf_driver_free(d);
  smtpf_driver_free(plain);
  snprintf(command, sizeof command, "rm -rf %s %s", ours, theirs);
  must(system(command) == 0, "rm");
}

static int fill_folder(const char *path, uint64_t records)
{
  smtpf_driver *d = driver_for(path, 1);
  order(records);
  fill(d, records);
  smtpf_driver_free(d);
  printf("{\"file_bytes_per_record\":%.3f}\n", file_bytes(path, "store.mdb") / (double)records);
  return 0;
}

int main(int argc, char **argv)
{
  static const uint64_t usual[] = {10000, 1000000};
  if (argc == 4 && !strcmp(argv[1], "fill"))
    return fill_folder(argv[2], strtoull(argv[3], NULL, 10));
  must(mkdtemp(folder) != NULL, "mkdtemp");
  printf("{");
  for (int i = 0; i < (argc > 1 ? argc - 1 : 2); i++)
    measure(argc > 1 ? strtoull(argv[i + 1], NULL, 10) : usual[i]);
  printf("}\n");
  free(places);
  return rmdir(folder) != 0;
}
