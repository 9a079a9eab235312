/* SPDX-License-Identifier: MIT
 *
 * What servers say: errors by their first word, addresses, records, slots. Everything here is hostile.
 */
#include <string.h>

#include "base/str.h"
#include "port/store/change.h"
#include "redis.h"

smtpf_str smtpf_redis_text(const redisReply *r)
{
  if (!r || !r->str || (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS && r->type != REDIS_REPLY_ERROR))
    return (smtpf_str){NULL, 0};
  return (smtpf_str){r->str, r->len};
}

static int has(smtpf_str text, smtpf_str word)
{
  for (size_t at = 0; at + word.n <= text.n; at++)
    if (memcmp(text.p + at, word.p, word.n) == 0)
      return 1;
  return 0;
}

/* Before version 7 what a script ran into stood inside a text of its own: `ERR Error running script ...: -READONLY`. */
int smtpf_redis_error_of(const redisReply *r)
{
  static const struct {
    const char *word, *within;
    int error;
  } rows[] = {
      {"NOSCRIPT", "", SMTPF_REDIS_NOSCRIPT},
      {"MOVED", "", SMTPF_REDIS_MOVED},
      {"ASK", "", SMTPF_REDIS_ASK},
      {"CLUSTERDOWN", ": -CLUSTERDOWN", SMTPF_REDIS_MAP},
      {"TRYAGAIN", "", SMTPF_REDIS_AGAIN},
      {"READONLY", ": -READONLY", SMTPF_REDIS_REPLICA},
      {"LOADING", ": -LOADING", SMTPF_REDIS_UNFIT},
      {"MASTERDOWN", ": -MASTERDOWN", SMTPF_REDIS_UNFIT},
      {"NOAUTH", "", SMTPF_REDIS_UNFIT},
      {"WRONGPASS", "", SMTPF_REDIS_UNFIT},
      {"DENIED", "", SMTPF_REDIS_UNFIT},
  };
  if (!r || r->type != REDIS_REPLY_ERROR)
    return 0;
  const smtpf_str text = smtpf_redis_text(r);
  smtpf_str rest = text;
  const smtpf_str word = smtpf_str_cut(&rest, ' ');
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (smtpf_str_equal(word, smtpf_str_of(rows[i].word)) ||
        (*rows[i].within && has(text, smtpf_str_of(rows[i].within))))
      return rows[i].error;
  return SMTPF_REDIS_OTHER;
}

/* ---- addresses ---------------------------------------------------------------------------------------- */

int smtpf_redis_address_of(smtpf_str host, uint64_t port, smtpf_redis_address *out)
{
  smtpf_ip ip;
  smtpf_out o;
  if (port == 0 || port > UINT16_MAX || host.n >= sizeof out->host || smtpf_ip_parse(host, &ip) != SMTPF_OK)
    return SMTPF_EPARSE;
  smtpf_redis_address a = {.port = (int)port};
  const size_t n = smtpf_ip_format(&ip, a.host);
  a.host[n] = '\0';
  const int colons = memchr(a.host, ':', n) != NULL;
  smtpf_out_init(&o, a.text, sizeof a.text - 1);
  smtpf_out_cstr(&o, colons ? "[" : "");
  smtpf_out_str(&o, (smtpf_str){a.host, n});
  smtpf_out_cstr(&o, colons ? "]:" : ":");
  smtpf_out_uint(&o, port);
  *out = a;
  return SMTPF_OK;
}

static int path_of(smtpf_str path, smtpf_redis_address *out)
{
  smtpf_out o;
  if (path.n == 0 || path.n >= sizeof out->host || path.p[0] != '/' || memchr(path.p, '\0', path.n))
    return SMTPF_EPARSE;
  smtpf_redis_address a = {.port = 0};
  memcpy(a.host, path.p, path.n);
  smtpf_out_init(&o, a.text, sizeof a.text - 1);
  smtpf_out_cstr(&o, "unix:");
  smtpf_out_str(&o, path);
  *out = a;
  return SMTPF_OK;
}

int smtpf_redis_address_parse(smtpf_str text, smtpf_redis_address *out)
{
  uint64_t port;
  size_t colon = text.n;
  if (smtpf_str_starts(text, SMTPF_LIT("unix:")))
    return path_of((smtpf_str){text.p + 5, text.n - 5}, out);
  while (colon > 0 && text.p[colon - 1] != ':')
    colon--;
  if (colon < 2 || smtpf_str_uint((smtpf_str){text.p + colon, text.n - colon}, UINT16_MAX, &port) != SMTPF_OK)
    return SMTPF_EPARSE;
  smtpf_str host = {text.p, colon - 1};
  if (host.p[0] == '[' && host.p[host.n - 1] == ']')
    host = (smtpf_str){host.p + 1, host.n - 2};
  else if (memchr(host.p, ':', host.n))
    return SMTPF_EPARSE; /* without brackets it is not known where the port begins */
  return smtpf_redis_address_of(host, port, out);
}

/* `MOVED 3999 127.0.0.1:6381`; `MOVED 3999 :6381` means the same host; an IPv6 address has no brackets here. */
int smtpf_redis_error_target(const redisReply *r, const smtpf_redis_address *asked, uint16_t *slot,
                             smtpf_redis_address *out)
{
  smtpf_str rest = smtpf_redis_text(r);
  uint64_t number, port;
  (void)smtpf_str_cut(&rest, ' ');
  if (smtpf_str_uint(smtpf_str_cut(&rest, ' '), SMTPF_REDIS_SLOTS - 1, &number) != SMTPF_OK)
    return SMTPF_EPARSE;
  const smtpf_str target = smtpf_str_cut(&rest, ' ');
  size_t colon = target.n;
  while (colon > 0 && target.p[colon - 1] != ':')
    colon--;
  if (colon == 0 || smtpf_str_uint((smtpf_str){target.p + colon, target.n - colon}, UINT16_MAX, &port) != SMTPF_OK)
    return SMTPF_EPARSE;
  const smtpf_str host = colon > 1 ? (smtpf_str){target.p, colon - 1} : smtpf_str_of(asked->host);
  const int code = smtpf_redis_address_of(host, port, out);
  if (code == SMTPF_OK)
    *slot = (uint16_t)number;
  return code;
}

/* ---- records and slots -------------------------------------------------------------------------------- */

int smtpf_redis_record(smtpf_str bytes, smtpf_stored *out)
{
  uint64_t expires = 0;
  if (bytes.n < SMTPF_REDIS_HEAD || bytes.n > SMTPF_REDIS_HEAD + SMTPF_VALUE_MAX || bytes.p[0] != SMTPF_REDIS_FORMAT)
    return SMTPF_EPARSE;
  for (size_t i = SMTPF_REDIS_HEAD - 1; i > 0; i--)
    expires = expires << 8 | (unsigned char)bytes.p[i];
  out->value = (smtpf_str){bytes.p + SMTPF_REDIS_HEAD, bytes.n - SMTPF_REDIS_HEAD};
  out->expires = (int64_t)expires;
  return SMTPF_OK;
}

/* CRC-16/XMODEM of the key, or of what stands between its first `{` and the next `}`, when that is anything. */
uint16_t smtpf_redis_slot(smtpf_str prefix, smtpf_str key)
{
  char room[SMTPF_REDIS_PREFIX + SMTPF_KEY_MAX];
  smtpf_out o;
  unsigned crc = 0;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_str(&o, prefix);
  smtpf_out_str(&o, key);
  smtpf_str all = smtpf_out_done(&o);
  const char *open = all.n ? memchr(all.p, '{', all.n) : NULL;
  const char *close = open ? memchr(open, '}', (size_t)(all.p + all.n - open)) : NULL;
  if (close && close > open + 1)
    all = (smtpf_str){open + 1, (size_t)(close - open - 1)};
  for (size_t i = 0; i < all.n; i++) {
    crc ^= (unsigned)(unsigned char)all.p[i] << 8;
    for (int bit = 0; bit < 8; bit++)
      crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return (uint16_t)(crc % SMTPF_REDIS_SLOTS);
}
