/* SPDX-License-Identifier: MIT
 *
 * A journal file from anybody. What the scan tells must cover the file without a gap; a promise that is added behind
 * what was whole counts, and changes nothing before it.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "port/journal/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
  if (!holds)
    abort();
}

/* Every byte belongs to the header, a record, a damage, or the torn tail. */
static int walk(int fd, uint64_t size, uint64_t *end)
{
  smtpf_walk s;
  smtpf_found f = {.offset = 0};
  uint64_t at = 0;
  int step;
  *end = size;
  if (smtpf_walk_init(&s, &smtpf_mem_default, fd, 0, size) != SMTPF_OK)
    return SMTPF_ENOMEM;
  while ((step = smtpf_walk_next(&s, &f)) > 0) {
    if (at == 0 && f.offset == SMTPF_RECORD_START)
      at = SMTPF_RECORD_START;
    must(step == SMTPF_WALK_TORN ? f.offset <= at : f.offset == at);
    must(f.length > 0 && f.offset + f.length <= size);
    at = f.offset + f.length;
    if (step == SMTPF_WALK_RECORD)
      must(smtpf_record_legal(&f.record) && smtpf_record_size(&f.record) == f.length);
    if (step == SMTPF_WALK_TORN)
      *end = f.offset;
  }
  smtpf_walk_free(&s);
  must(step < 0 || at == size || (size == SMTPF_RECORD_START && at == 0));
  return step;
}

static uint64_t count_open(int fd, uint64_t size, smtpf_journal_stats *stats)
{
  smtpf_journal_index x;
  uint64_t n = 0;
  int r = smtpf_journal_index_read(&x, &smtpf_mem_default, fd, size, NULL);
  must(r == SMTPF_OK || r == SMTPF_ENOMEM);
  for (const smtpf_link *l = x.open.next; l != &x.open; l = l->next)
    n++;
  must(n == x.stats.open && x.stats.promised >= x.stats.open + x.stats.settled);
  *stats = x.stats;
  smtpf_journal_index_free(&x);
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char bytes[SMTPF_RECORD_MAX];
  smtpf_journal_stats before, after;
  uint64_t end;
  int fd = memfd_create("journal", MFD_CLOEXEC);
  if (fd < 0)
    return 0;
  must(write(fd, data, size) == (ssize_t)size);
  int r = walk(fd, size, &end);
  must(r == SMTPF_OK || r == SMTPF_EPARSE || r == SMTPF_EUNSUPPORTED);
  if (r == SMTPF_OK && end >= SMTPF_RECORD_START) {
    count_open(fd, size, &before);
    smtpf_record added = {
        SMTPF_RECORD_PROMISE, 0,        SMTPF_DELIVERED, 1, SMTPF_LIT("added by the fuzz target"), {NULL, 0},
        SMTPF_LIT("r"),       {NULL, 0}};
    size_t n = smtpf_record_write(&added, bytes);
    must(ftruncate(fd, (off_t)end) == 0 && pwrite(fd, bytes, n, (off_t)end) == (ssize_t)n);
    must(count_open(fd, end + n, &after) > 0 && after.promised == before.promised + 1);
    must(after.settled == before.settled && after.damages == before.damages && after.damaged == before.damaged &&
         after.torn == 0);
  }
  close(fd);
  return 0;
}
