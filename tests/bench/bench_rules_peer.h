/* SPDX-License-Identifier: MIT
 *
 * The same patterns in Hyperscan (or Vectorscan, its successor), when the library is there: only the bench links it.
 * A pattern of a kind that it does not support is compiled as HS_FLAG_PREFILTER: what it then finds is a candidate that
 * PCRE2 has to confirm, as its manual says. What it does not take even so is left to PCRE2 whole. Both are counted.
 */
#ifndef BENCH_RULES_PEER_H
#define BENCH_RULES_PEER_H

#include <hs.h>

enum { SUPPORTED, PREFILTER, LEFT_OUT };

struct peer {
  hs_database_t *block, *stream;
  hs_scratch_t *scratch;
  unsigned char kind[MOST];
  unsigned count[3];
};

static struct peer peer;

static void peer_compile(struct peer *p, unsigned n, const unsigned *flags, unsigned mode, hs_database_t **out)
{
  static const char *list[MOST];
  static unsigned flag[MOST], id[MOST];
  unsigned k = 0;
  hs_compile_error_t *err = NULL;
  for (unsigned i = 0; i < n; i++)
    if (p->kind[i] != LEFT_OUT) {
      list[k] = rule[i];
      flag[k] = flags[i];
      id[k++] = i;
    }
  if (hs_compile_multi(list, flag, id, k, mode, NULL, out, &err) != HS_SUCCESS) {
    fprintf(stderr, "bench_rules: %s\n", err->message);
    exit(1);
  }
  need(hs_alloc_scratch(*out, &p->scratch) == HS_SUCCESS, "no memory");
}

static int peer_takes(const char *pattern, unsigned flags)
{
  hs_database_t *db = NULL;
  hs_compile_error_t *err = NULL;
  const int ok = hs_compile(pattern, flags, HS_MODE_BLOCK, NULL, &db, &err) == HS_SUCCESS;
  hs_free_database(db);
  hs_free_compile_error(err);
  return ok;
}

static void peer_open(struct peer *p, unsigned n)
{
  static unsigned flags[MOST];
  memset(p, 0, sizeof *p);
  for (unsigned i = 0; i < n; i++) {
    flags[i] = HS_FLAG_CASELESS | HS_FLAG_MULTILINE | HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY;
    if (!peer_takes(rule[i], flags[i])) {
      flags[i] |= HS_FLAG_PREFILTER;
      p->kind[i] = peer_takes(rule[i], flags[i]) ? PREFILTER : LEFT_OUT;
    }
    p->count[p->kind[i]]++;
  }
  peer_compile(p, n, flags, HS_MODE_BLOCK, &p->block);
  peer_compile(p, n, flags, HS_MODE_STREAM, &p->stream);
}

static void peer_close(struct peer *p)
{
  hs_free_scratch(p->scratch);
  hs_free_database(p->block);
  hs_free_database(p->stream);
}

static int peer_hear(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *out)
{
  (void)from;
  (void)to;
  (void)flags;
  ((unsigned char *)out)[id] = 1;
  return 0;
}

/* What was only a candidate, or left out. */
static void peer_confirm(struct ways *w, const char *message_)
{
  for (unsigned i = 0; i < w->n; i++)
    if (peer.kind[i] == LEFT_OUT || (peer.kind[i] == PREFILTER && w->out[i]))
      w->out[i] = pcre2_jit_match(w->one[i], (PCRE2_SPTR)message_, BYTES, 0, 0, w->data, NULL) >= 0;
}

static void as_peer(struct ways *w, const char *p)
{
  need(hs_scan(peer.block, p, BYTES, 0, peer.scratch, peer_hear, w->out) == HS_SUCCESS, "hs_scan");
  peer_confirm(w, p);
}

static void as_peer_stream(struct ways *w, const char *p)
{
  hs_stream_t *s;
  need(hs_open_stream(peer.stream, 0, &s) == HS_SUCCESS, "hs_open_stream");
  for (size_t at = 0; at < BYTES; at += PIECE)
    need(hs_scan_stream(s, p + at, (unsigned)(BYTES - at < PIECE ? BYTES - at : PIECE), 0, peer.scratch, peer_hear,
                        w->out) == HS_SUCCESS,
         "hs_scan_stream");
  need(hs_close_stream(s, peer.scratch, peer_hear, w->out) == HS_SUCCESS, "hs_close_stream");
  peer_confirm(w, p); /* the whole text, which a stream would have had to keep */
}

#endif
