/* SPDX-License-Identifier: MIT
 *
 * Commands in wire form (RESP2): an array of bulk strings.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "port/store/change.h"
#include "redis.h"

void smtpf_redis_raw(smtpf_redis_bytes *b, smtpf_str s)
{
  void *array = b->p;
  if (b->broken || !s.n)
    return;
  if (smtpf_mem_grow(b->mem, &array, &b->cap, b->n + s.n + 1, 1) != SMTPF_OK) {
    b->broken = 1;
    return;
  }
  b->p = array;
  memcpy(b->p + b->n, s.p, s.n);
  b->n += s.n;
  b->p[b->n] = '\0'; /* hiredis looks one byte beyond the end */
}

void smtpf_redis_bytes_free(smtpf_redis_bytes *b)
{
  smtpf_mem_free(b->mem, b->p);
  b->p = NULL;
  b->n = b->cap = 0;
}

/* `*3` or `$3`, with its end of line. */
static void head(smtpf_redis_bytes *b, char kind, uint64_t n)
{
  char room[32];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_char(&o, kind);
  smtpf_out_uint(&o, n);
  smtpf_out_cstr(&o, "\r\n");
  smtpf_redis_raw(b, smtpf_out_done(&o));
}

void smtpf_redis_array(smtpf_redis_bytes *b, size_t n)
{
  head(b, '*', n);
}

void smtpf_redis_bulk(smtpf_redis_bytes *b, smtpf_str s)
{
  head(b, '$', s.n);
  smtpf_redis_raw(b, s);
  smtpf_redis_raw(b, SMTPF_LIT("\r\n"));
}

void smtpf_redis_script_bulk(smtpf_redis_bytes *b)
{
  size_t n = 0;
  for (size_t i = 0; smtpf_redis_script[i]; i++)
    n += strlen(smtpf_redis_script[i]);
  head(b, '$', n);
  for (size_t i = 0; smtpf_redis_script[i]; i++)
    smtpf_redis_raw(b, smtpf_str_of(smtpf_redis_script[i]));
  smtpf_redis_raw(b, SMTPF_LIT("\r\n"));
}

void smtpf_redis_words(smtpf_redis_bytes *b, const char *words)
{
  smtpf_str rest = smtpf_str_of(words);
  while (rest.p)
    smtpf_redis_bulk(b, smtpf_str_cut(&rest, ' '));
}

void smtpf_redis_number(smtpf_redis_bytes *b, uint64_t v)
{
  char room[24];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_uint(&o, v);
  smtpf_redis_bulk(b, smtpf_out_done(&o));
}

static void eight(smtpf_redis_bytes *b, int64_t v)
{
  char room[8];
  for (size_t i = 0; i < sizeof room; i++)
    room[i] = (char)(unsigned char)((uint64_t)v >> (8 * i));
  smtpf_redis_bulk(b, (smtpf_str){room, sizeof room});
}

void smtpf_redis_key(smtpf_redis_bytes *b, smtpf_str prefix, smtpf_str key)
{
  char room[SMTPF_REDIS_PREFIX + SMTPF_KEY_MAX];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_str(&o, prefix);
  smtpf_out_str(&o, key);
  smtpf_redis_bulk(b, smtpf_out_done(&o));
}

/* How many, the keys; then now, the slack; then operation, value and expiry of each. */
void smtpf_redis_changes(smtpf_redis_bytes *b, smtpf_str prefix, const smtpf_change *changes, size_t n,
                         const uint16_t *slots, uint16_t slot, int64_t wall, size_t *count)
{
  size_t keys = 0;
  for (size_t i = 0; i < n; i++)
    keys += !slots || slots[i] == slot;
  smtpf_redis_number(b, keys);
  for (size_t i = 0; i < n; i++)
    if (!slots || slots[i] == slot)
      smtpf_redis_key(b, prefix, changes[i].key);
  eight(b, wall);
  smtpf_redis_number(b, SMTPF_REDIS_SLACK);
  for (size_t i = 0; i < n; i++) {
    if (slots && slots[i] != slot)
      continue;
    smtpf_redis_number(b, (uint64_t)changes[i].op);
    smtpf_redis_bulk(b, changes[i].value);
    eight(b, changes[i].expires >= 0 ? changes[i].expires : 1); /* before 1970: gone */
  }
  *count = 1 + keys + 2 + 3 * keys;
}
