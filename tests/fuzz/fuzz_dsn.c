/* SPDX-License-Identifier: MIT
 *
 * fuzz_dsn: a notification. The first byte says how the rest is cut; whatever the cuts, what is read is the same, to
 * the last block. Texts stay in their room, counts within their bounds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "check/bounce.h"
#include "unit/piece_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
  if (!holds)
    abort();
}

typedef struct reading {
  bounce_reader reader;
  smtpf_sha256 said;
  size_t blocks;
} reading;

static void add(reading *r, smtpf_str s)
{
  const uint32_t n = (uint32_t)s.n;
  smtpf_sha256_add(&r->said, &n, sizeof n);
  smtpf_sha256_add(&r->said, s.p, s.n);
}

static void on_block(void *user, const bounce_block *b)
{
  reading *r = user;
  must(b->fields && !(b->fields >> BOUNCE_FIELDS) && b->n_ids <= BOUNCE_IDS && b->n_marks <= BOUNCE_IDS);
  must(bounce_block_fields(b) >= 1 && bounce_block_fields(b) <= BOUNCE_FIELDS && !b->text.cut);
  for (size_t i = 0; i < b->n_ids; i++) {
    must(b->ids[i].n && b->ids[i].n <= BOUNCE_ID_MAX && b->ids[i].p >= b->room);
    must(b->ids[i].p + b->ids[i].n <= b->room + sizeof b->room);
    add(r, b->ids[i]);
  }
  for (size_t i = 0; i < b->n_marks; i++) {
    must(b->marks[i].n && b->marks[i].n <= BOUNCE_MARK_MAX && !memchr(b->marks[i].p, ' ', b->marks[i].n));
    add(r, b->marks[i]);
  }
  add(r, (smtpf_str){(const char[]){(char)b->ours, (char)b->cut}, 2});
  r->blocks++;
}

static void on_piece(void *user, const smtpf_piece *piece)
{
  bounce_reader_piece(&((reading *)user)->reader, piece);
}

static void read_it(reading *r, smtpf_str message, size_t step, unsigned char out[SMTPF_SHA256_BYTES])
{
  smtpf_sha256_init(&r->said);
  r->blocks = 0;
  bounce_reader_init(&r->reader, NULL, SMTPF_LIT("X-Smtpfilter-Sent"), on_block, r);
  piece_walk(message, step, on_piece, r);
  bounce_reader_end(&r->reader);
  must(r->reader.kind >= BOUNCE_NONE && r->reader.kind <= BOUNCE_FEEDBACK && bounce_kind_name(r->reader.kind)[0]);
  must(r->reader.kind != BOUNCE_QUOTES || r->blocks > 0);
  for (size_t i = 0; i < BOUNCE_REPORT_FIELDS; i++) {
    must(r->reader.report[i].n <= BOUNCE_REPORT_MAX && !memchr(r->reader.report_room[i], '\n', r->reader.report[i].n));
    add(r, r->reader.report[i]);
  }
  smtpf_sha256_end(&r->said, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static reading whole, cut;
  unsigned char a[SMTPF_SHA256_BYTES], b[SMTPF_SHA256_BYTES];
  if (!size)
    return 0;
  const smtpf_str message = {(const char *)data + 1, size - 1};
  read_it(&whole, message, 0, a);
  read_it(&cut, message, data[0] ? data[0] : 1, b);
  must(whole.reader.kind == cut.reader.kind && whole.blocks == cut.blocks && !memcmp(a, b, sizeof a));
  return 0;
}
