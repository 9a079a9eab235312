/* SPDX-License-Identifier: MIT */
#include "mail/ip.h"

#include <string.h>

#include "base/str.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}; /* RFC 4291 2.5.5.2 */

/* ---- reading ------------------------------------------------------------------------------------ */

int smtpf_ip_dotted(smtpf_str text, uint8_t out[4])
{
  uint8_t v[4];
  size_t at = 0;
  for (int i = 0; i < 4; i++) {
    if (i && (at == text.n || text.p[at++] != '.'))
      return 0;
    unsigned n = 0;
    size_t first = at;
    while (at < text.n && at - first < 3 && smtpf_is_digit(text.p[at]))
      n = n * 10 + (unsigned)(text.p[at++] - '0');
    if (at == first || n > 255 || (text.p[first] == '0' && at - first > 1))
      return 0;
    v[i] = (uint8_t)n;
  }
  if (at != text.n)
    return 0;
  memcpy(out, v, 4);
  return 1;
}

static int hex_value(char c)
{
  if (smtpf_is_digit(c))
    return c - '0';
  c = smtpf_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to four hexadecimal digits at text.p + at. How many there were. */
static size_t hex_group(smtpf_str text, size_t at, uint8_t out[2])
{
  unsigned v = 0;
  size_t n = 0;
  for (; n < 4 && at + n < text.n; n++) {
    int h = hex_value(text.p[at + n]);
    if (h < 0)
      break;
    v = v << 4 | (unsigned)h;
  }
  out[0] = (uint8_t)(v >> 8);
  out[1] = (uint8_t)v;
  return n;
}

/* Groups between single colons from *at on, the last of them perhaps dotted decimal; stops at the end or at `::`.
 * Bytes written to `out`, which holds `room`; -1 when malformed. */
static int groups(smtpf_str text, size_t *at, uint8_t *out, int room)
{
  int n = 0;
  while (*at < text.n && text.p[*at] != ':') {
    uint8_t pair[2];
    size_t len = hex_group(text, *at, pair);
    size_t next = *at + len;
    if (!len)
      return -1;
    if (next < text.n && text.p[next] == '.') {
      smtpf_str rest = {text.p + *at, text.n - *at};
      if (room - n < 4 || !smtpf_ip_dotted(rest, out + n))
        return -1;
      *at = text.n;
      return n + 4;
    }
    if (room - n < 2 || (next < text.n && text.p[next] != ':'))
      return -1;
    memcpy(out + n, pair, 2);
    n += 2;
    *at = next;
    /* One colon must be followed by a group; two are for the caller. */
    if (next + 1 < text.n && text.p[next + 1] == ':')
      break;
    if (next < text.n && ++*at == text.n)
      return -1;
  }
  return n;
}

int smtpf_ip_colons(smtpf_str text, uint8_t out[16], int *elided)
{
  uint8_t front[16], back[16];
  size_t at = 0;
  int n = groups(text, &at, front, 16), m = 0;
  if (n < 0)
    return 0;
  if (at == text.n) {
    if (n != 16)
      return 0;
    *elided = 0;
  } else {
    if (n > 14 || text.n - at < 2 || text.p[at + 1] != ':')
      return 0;
    at += 2;
    m = groups(text, &at, back, 14 - n);
    if (m < 0 || at != text.n)
      return 0;
    *elided = (16 - n - m) / 2;
  }
  memset(out, 0, 16);
  memcpy(out, front, (size_t)n);
  memcpy(out + 16 - m, back, (size_t)m);
  return 1;
}

int smtpf_ip_untag(smtpf_str *text)
{
  if (text->n < 5 || !smtpf_str_equal_nocase((smtpf_str){text->p, 5}, SMTPF_LIT("IPv6:")))
    return 0;
  text->p += 5;
  text->n -= 5;
  return 1;
}

int smtpf_ip_parse(smtpf_str text, smtpf_ip *out)
{
  smtpf_ip ip = {.family = 4};
  uint8_t v6[16];
  int elided;
  if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']') {
    text.p++;
    text.n -= 2;
  }
  int tagged = smtpf_ip_untag(&text);
  if (!tagged && smtpf_ip_dotted(text, ip.bytes)) {
    *out = ip;
    return SMTPF_OK;
  }
  if (!smtpf_ip_colons(text, v6, &elided))
    return SMTPF_EPARSE;
  if (memcmp(v6, mapped, sizeof mapped) == 0) {
    memcpy(ip.bytes, v6 + 12, 4);
  } else {
    ip.family = 6;
    memcpy(ip.bytes, v6, 16);
  }
  *out = ip;
  return SMTPF_OK;
}

/* 1 when the bits of `ip` from `len` on are zero. */
static int rest_is_zero(const smtpf_ip *ip, unsigned len)
{
  unsigned bytes = ip->family == 4 ? 4 : 16;
  unsigned at = len / 8;
  if (at < bytes && (ip->bytes[at] & (0xff >> len % 8)))
    return 0;
  for (at++; at < bytes; at++)
    if (ip->bytes[at])
      return 0;
  return 1;
}

int smtpf_prefix_parse(smtpf_str text, smtpf_prefix *out)
{
  smtpf_prefix p;
  smtpf_str len = text;
  smtpf_str address = smtpf_str_cut(&len, '/');
  if (smtpf_ip_parse(address, &p.ip) != SMTPF_OK)
    return SMTPF_EPARSE;
  const unsigned bits = p.ip.family == 4 ? 32 : 128;
  p.len = (uint8_t)bits;
  if (len.p) {
    const int was_mapped = p.ip.family == 4 && memchr(address.p, ':', address.n) != NULL;
    uint64_t n;
    if (smtpf_str_uint(len, was_mapped ? 128 : bits, &n) != SMTPF_OK || (len.n > 1 && len.p[0] == '0'))
      return SMTPF_EPARSE;
    if (was_mapped && n < 96)
      return SMTPF_EPARSE; /* would cover more than IPv4 */
    p.len = (uint8_t)(was_mapped ? n - 96 : n);
  }
  if (!rest_is_zero(&p.ip, p.len))
    return SMTPF_EPARSE;
  *out = p;
  return SMTPF_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static void write_dotted(smtpf_out *o, const uint8_t *b)
{
  for (int i = 0; i < 4; i++) {
    if (i)
      smtpf_out_char(o, '.');
    smtpf_out_uint(o, b[i]);
  }
}

/* The group without leading zeros. */
static void write_group(smtpf_out *o, unsigned v)
{
  smtpf_out_hex(o, v, v > 0xfff ? 4 : v > 0xff ? 3 : v > 0xf ? 2 : 1);
}

/* RFC 5952 section 4: lower case, the first longest run of two zero groups or more as `::`; section 5: mapped
 * addresses with a dotted end. */
static void write_colons(smtpf_out *o, const uint8_t *b)
{
  if (memcmp(b, mapped, sizeof mapped) == 0) {
    smtpf_out_cstr(o, "::ffff:");
    write_dotted(o, b + 12);
    return;
  }
  int run = -1, run_len = 1;
  for (int i = 0, len; i < 8; i += len ? len : 1) {
    for (len = 0; i + len < 8 && !b[2 * (i + len)] && !b[2 * (i + len) + 1];)
      len++;
    if (len > run_len) {
      run = i;
      run_len = len;
    }
  }
  for (int i = 0; i < 8; i++) {
    if (i == run) {
      smtpf_out_cstr(o, "::");
      i += run_len - 1;
      continue;
    }
    if (i && i != run + run_len)
      smtpf_out_char(o, ':');
    write_group(o, (unsigned)b[2 * i] << 8 | b[2 * i + 1]);
  }
}

size_t smtpf_ip_format(const smtpf_ip *ip, char out[SMTPF_IP_TEXT])
{
  smtpf_out o;
  smtpf_out_init(&o, out, SMTPF_IP_TEXT - 1);
  if (ip->family == 4)
    write_dotted(&o, ip->bytes);
  else if (ip->family == 6)
    write_colons(&o, ip->bytes);
  out[o.n] = '\0';
  return o.n;
}

size_t smtpf_prefix_format(const smtpf_prefix *p, char out[SMTPF_IP_TEXT])
{
  smtpf_out o;
  smtpf_out_init(&o, out, SMTPF_IP_TEXT - 1);
  o.n = smtpf_ip_format(&p->ip, out);
  if (o.n) {
    smtpf_out_char(&o, '/');
    smtpf_out_uint(&o, p->len);
  }
  out[o.n] = '\0';
  return o.n;
}

/* Nibbles or octets from the last to the first, then the zone. */
static void write_reverse(smtpf_out *o, const smtpf_ip *ip)
{
  if (ip->family == 4) {
    for (int i = 3; i >= 0; i--) {
      smtpf_out_uint(o, ip->bytes[i]);
      smtpf_out_char(o, '.');
    }
    return;
  }
  for (int i = 15; i >= 0; i--) {
    smtpf_out_hex(o, ip->bytes[i] & 15, 1);
    smtpf_out_char(o, '.');
    smtpf_out_hex(o, ip->bytes[i] >> 4, 1);
    smtpf_out_char(o, '.');
  }
}

int smtpf_ip_reverse(const smtpf_ip *ip, smtpf_str zone, char *out, size_t cap)
{
  enum { NAME_MAX_TEXT = 253 };
  char room[NAME_MAX_TEXT + 1];
  smtpf_out o;
  if ((ip->family != 4 && ip->family != 6) || !zone.n)
    return SMTPF_EINVAL;
  smtpf_out_init(&o, room, NAME_MAX_TEXT);
  write_reverse(&o, ip);
  smtpf_out_str(&o, zone);
  if (o.full || o.n >= cap)
    return SMTPF_ELIMIT;
  memcpy(out, room, o.n);
  out[o.n] = '\0';
  return (int)o.n;
}

/* ---- comparing ---------------------------------------------------------------------------------- */

int smtpf_ip_equal(const smtpf_ip *a, const smtpf_ip *b)
{
  return a->family == b->family && memcmp(a->bytes, b->bytes, a->family == 4 ? 4 : 16) == 0;
}

int smtpf_prefix_contains(const smtpf_prefix *p, const smtpf_ip *ip)
{
  if (p->ip.family != ip->family || !ip->family || p->len > (ip->family == 4 ? 32 : 128))
    return 0;
  unsigned whole = p->len / 8, bits = p->len % 8;
  if (memcmp(p->ip.bytes, ip->bytes, whole))
    return 0;
  return !bits || ((p->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - bits)) == 0;
}
