/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <string.h>

static const char marker[4] = {'\xff', 'J', 'R', '\0'};
static const char magic[8] = {'s', 'm', 't', 'p', 'f', 'j', 'n', 'l'};

/* Places in a record's head, in a payload, and in the file's header. */
enum { AT_LENGTH = 4, AT_TYPE = 6, AT_FLAGS = 7, AT_PAYLOAD_CRC = 8, AT_HEAD_CRC = 12 };
enum { AT_WALL = 0, AT_DISPOSITION = 8, AT_MEMORY = 9, AT_MESSAGE = 10, AT_SENDER = 12, AT_RECIPIENT = 14 };
enum { AT_VERSION = 8, AT_START_CRC = 12 };
enum { FLAG_MORE = 1 };

static void put(char *out, uint64_t v, size_t bytes)
{
  for (size_t i = 0; i < bytes; i++)
    out[i] = (char)(unsigned char)(v >> (8 * i));
}

static uint64_t get(const char *p, size_t bytes)
{
  uint64_t v = 0;
  for (size_t i = bytes; i-- > 0;)
    v = v << 8 | (unsigned char)p[i];
  return v;
}

/* Castagnoli's polynomial (RFC 3720 appendix B.4), reflected, four bits at a time. */
uint32_t smtpf_crc32c(const void *bytes, size_t n)
{
  static const uint32_t table[16] = {
      0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
      0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
  };
  const unsigned char *p = bytes;
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < n; i++) {
    crc ^= p[i];
    crc = table[crc & 15] ^ crc >> 4;
    crc = table[crc & 15] ^ crc >> 4;
  }
  return ~crc;
}

static int is_clean(smtpf_str s, size_t max)
{
  if (s.n > max)
    return 0;
  for (size_t i = 0; i < s.n; i++)
    if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] == 0x7f || (unsigned char)s.p[i] == 0xff)
      return 0;
  return 1;
}

int smtpf_record_legal(const smtpf_record *r)
{
  int promise = r->type == SMTPF_RECORD_PROMISE;
  return (promise || (r->type == SMTPF_RECORD_SETTLE && !r->more && r->sender.n == 0 && r->memory.n == 0)) &&
         r->message.n > 0 && r->recipient.n > 0 && is_clean(r->message, SMTPF_JOURNAL_MESSAGE_MAX) &&
         is_clean(r->sender, SMTPF_JOURNAL_ADDRESS_MAX) && is_clean(r->recipient, SMTPF_JOURNAL_ADDRESS_MAX) &&
         r->memory.n <= SMTPF_JOURNAL_MEMORY_MAX && r->disposition >= SMTPF_DELIVERED &&
         r->disposition <= SMTPF_HANDED_OVER;
}

static size_t payload_size(const smtpf_record *r)
{
  return SMTPF_RECORD_FIXED + r->message.n + r->sender.n + r->recipient.n + r->memory.n;
}

size_t smtpf_record_size(const smtpf_record *r)
{
  return SMTPF_RECORD_HEAD + payload_size(r);
}

static char *put_str(char *out, smtpf_str s)
{
  if (s.n)
    memcpy(out, s.p, s.n);
  return out + s.n;
}

size_t smtpf_record_write(const smtpf_record *r, char *out)
{
  size_t n = payload_size(r);
  char *payload = out + SMTPF_RECORD_HEAD;
  put(payload + AT_WALL, (uint64_t)r->wall_s, 8);
  put(payload + AT_DISPOSITION, (uint64_t)r->disposition, 1);
  put(payload + AT_MEMORY, r->memory.n, 1);
  put(payload + AT_MESSAGE, r->message.n, 2);
  put(payload + AT_SENDER, r->sender.n, 2);
  put(payload + AT_RECIPIENT, r->recipient.n, 2);
  char *at = put_str(put_str(payload + SMTPF_RECORD_FIXED, r->message), r->sender);
  put_str(put_str(at, r->recipient), r->memory);
  memcpy(out, marker, sizeof marker);
  put(out + AT_LENGTH, n, 2);
  put(out + AT_TYPE, (uint64_t)r->type, 1);
  put(out + AT_FLAGS, r->more ? FLAG_MORE : 0, 1);
  put(out + AT_PAYLOAD_CRC, smtpf_crc32c(payload, n), 4);
  put(out + AT_HEAD_CRC, smtpf_crc32c(out, AT_HEAD_CRC), 4);
  return SMTPF_RECORD_HEAD + n;
}

/* The payload's members; 0 when its lengths do not add up. */
static int open_payload(const char *p, size_t n, smtpf_record *r)
{
  size_t message = (size_t)get(p + AT_MESSAGE, 2), sender = (size_t)get(p + AT_SENDER, 2);
  size_t recipient = (size_t)get(p + AT_RECIPIENT, 2);
  size_t memory = (size_t)get(p + AT_MEMORY, 1);
  if (n != SMTPF_RECORD_FIXED + message + sender + recipient + memory)
    return 0;
  r->wall_s = (int64_t)get(p + AT_WALL, 8);
  r->disposition = (int)get(p + AT_DISPOSITION, 1);
  p += SMTPF_RECORD_FIXED;
  r->message = (smtpf_str){p, message};
  r->sender = (smtpf_str){p + message, sender};
  r->recipient = (smtpf_str){p + message + sender, recipient};
  r->memory = (smtpf_str){p + message + sender + recipient, memory};
  return 1;
}

int smtpf_journal_record_read(const char *p, size_t n, smtpf_record *out, size_t *used)
{
  smtpf_record r = {0};
  if (memcmp(p, marker, n < sizeof marker ? n : sizeof marker) != 0)
    return SMTPF_RECORD_BAD;
  if (n < SMTPF_RECORD_HEAD)
    return SMTPF_RECORD_SHORT;
  size_t length = (size_t)get(p + AT_LENGTH, 2);
  unsigned flags = (unsigned)get(p + AT_FLAGS, 1);
  if (get(p + AT_HEAD_CRC, 4) != smtpf_crc32c(p, AT_HEAD_CRC) || length < SMTPF_RECORD_FIXED ||
      length > SMTPF_RECORD_MAX - SMTPF_RECORD_HEAD || flags > FLAG_MORE)
    return SMTPF_RECORD_BAD;
  if (n - SMTPF_RECORD_HEAD < length)
    return SMTPF_RECORD_CUT;
  r.type = (int)get(p + AT_TYPE, 1);
  r.more = flags == FLAG_MORE;
  const char *payload = p + SMTPF_RECORD_HEAD;
  if (get(p + AT_PAYLOAD_CRC, 4) != smtpf_crc32c(payload, length) || !open_payload(payload, length, &r) ||
      !smtpf_record_legal(&r))
    return SMTPF_RECORD_BAD;
  *out = r;
  *used = SMTPF_RECORD_HEAD + length;
  return SMTPF_RECORD_WHOLE;
}

void smtpf_record_start(char out[SMTPF_RECORD_START])
{
  memcpy(out, magic, sizeof magic);
  put(out + AT_VERSION, SMTPF_RECORD_VERSION, 4);
  put(out + AT_START_CRC, smtpf_crc32c(out, AT_START_CRC), 4);
}

int smtpf_record_started(const char *p, size_t n, unsigned *version)
{
  char ours[SMTPF_RECORD_START];
  smtpf_record_start(ours);
  if (n < sizeof ours)
    return memcmp(p, ours, n) == 0 ? SMTPF_RECORD_SHORT : SMTPF_RECORD_BAD;
  if (memcmp(p, magic, sizeof magic) != 0 || get(p + AT_START_CRC, 4) != smtpf_crc32c(p, AT_START_CRC))
    return SMTPF_RECORD_BAD;
  *version = (unsigned)get(p + AT_VERSION, 4);
  return SMTPF_RECORD_WHOLE;
}
