/* SPDX-License-Identifier: MIT
 *
 * The PROXY protocol. Version 1 is a line, version 2 a block:
 *
 *     PROXY TCP4|TCP6 CLIENT LOCAL PORT PORT CRLF        PROXY UNKNOWN anything CRLF       at most 107 bytes
 *
 *     signature  version/command  family/protocol  length   | addresses  extras |
 *        12            1                 1           2      |      length       |
 */
#include <smtpfilter/ext/mail.h>
#include <smtpfilter/proxy.h>
#include <string.h>

#include "base/str.h"

enum {
  LINE_MAX_V1 = 107, /* with CRLF */
  SIGNATURE = 12,
  FIXED = 16,     /* of version 2, before what `length` counts */
  EXTRA_HEAD = 3, /* type, length */
  SSL_HEAD = 5,   /* of the value of an extra SSL: who, and whether verified */
  SSL_VERSION = 0x21,
  SSL_CIPHER = 0x23,
  SSL_IS_ON = 0x01,
  CRC = 4
};

static const char signature[SIGNATURE + 1] = "\r\n\r\n\0\r\nQUIT\n";

static unsigned byte_at(const char *p)
{
  return (unsigned char)*p;
}

static uint16_t port_at(const char *p)
{
  return (uint16_t)(byte_at(p) << 8 | byte_at(p + 1));
}

/* ---- version 1 --------------------------------------------------------------------------------------- */

/* An address of this family, written as the family's addresses are: an IPv4 address in IPv6's clothes stands in TCP6.
 */
static int read_address(smtpf_str word, int family, char out[SMTPF_PROXY_ADDRESS])
{
  smtpf_ip ip;
  const int colons = word.n && memchr(word.p, ':', word.n) != NULL;
  const int plain = word.n && (word.p[0] == ':' || smtpf_is_alnum(word.p[0])) && smtpf_lower(word.p[0]) != 'i';
  if (!plain || colons != (family == 6) || smtpf_ip_parse(word, &ip) != SMTPF_OK)
    return 0;
  smtpf_ip_format(&ip, out);
  return 1;
}

static int read_port(smtpf_str word, uint16_t *out)
{
  uint64_t v;
  if ((word.n > 1 && word.p[0] == '0') || smtpf_str_uint(word, UINT16_MAX, &v) != SMTPF_OK)
    return 0;
  *out = (uint16_t)v;
  return 1;
}

static int read_words(smtpf_str rest, smtpf_proxy_header *h)
{
  const smtpf_str family = smtpf_str_cut(&rest, ' ');
  if (smtpf_str_equal(family, SMTPF_LIT("UNKNOWN"))) {
    h->kind = SMTPF_PROXY_UNKNOWN;
    return 1;
  }
  const int v = smtpf_str_equal(family, SMTPF_LIT("TCP4")) ? 4 : smtpf_str_equal(family, SMTPF_LIT("TCP6")) ? 6 : 0;
  h->kind = SMTPF_PROXY_CLIENT;
  return v && read_address(smtpf_str_cut(&rest, ' '), v, h->client) &&
         read_address(smtpf_str_cut(&rest, ' '), v, h->local_address) &&
         read_port(smtpf_str_cut(&rest, ' '), &h->client_port) &&
         read_port(smtpf_str_cut(&rest, ' '), &h->local_port) && !rest.p;
}

static int read_line(smtpf_str bytes, smtpf_proxy_header *h)
{
  static const smtpf_str word = {"PROXY ", 6};
  const size_t looked = bytes.n < LINE_MAX_V1 ? bytes.n : LINE_MAX_V1;
  const char *end = memchr(bytes.p, '\n', looked);
  if (memcmp(bytes.p, word.p, bytes.n < word.n ? bytes.n : word.n) != 0)
    return SMTPF_EPARSE;
  if (!end)
    return looked == LINE_MAX_V1 ? SMTPF_EPARSE : 0;
  const size_t n = (size_t)(end - bytes.p);
  if (n <= word.n || bytes.p[n - 1] != '\r' || memchr(bytes.p, '\r', n - 1))
    return SMTPF_EPARSE;
  h->version = 1;
  return read_words((smtpf_str){bytes.p + word.n, n - 1 - word.n}, h) ? (int)n + 1 : SMTPF_EPARSE;
}

/* ---- version 2: extras ------------------------------------------------------------------------------- */

int smtpf_proxy_extra(smtpf_str *rest, int *type, smtpf_str *value)
{
  if (rest->n < EXTRA_HEAD || rest->n - EXTRA_HEAD < port_at(rest->p + 1))
    return SMTPF_ENOTFOUND;
  const size_t n = port_at(rest->p + 1);
  *type = (int)byte_at(rest->p);
  *value = (smtpf_str){rest->p + EXTRA_HEAD, n};
  *rest = (smtpf_str){rest->p + EXTRA_HEAD + n, rest->n - EXTRA_HEAD - n};
  return SMTPF_OK;
}

/* CRC32c of a header whose checksum counts as zero (RFC 4960, appendix B). */
static uint32_t checksum(smtpf_str header, const char *hole)
{
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < header.n; i++) {
    const char *p = header.p + i;
    crc ^= p >= hole && p < hole + CRC ? 0 : byte_at(p);
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
  }
  return ~crc;
}

static int is_sound(smtpf_str header, smtpf_str value)
{
  return value.n == CRC && checksum(header, value.p) == ((uint32_t)port_at(value.p) << 16 | port_at(value.p + 2));
}

/* What is not printable is no name of a protocol or cipher. */
static smtpf_str name_of(smtpf_str value)
{
  for (size_t i = 0; i < value.n; i++)
    if (value.p[i] <= ' ' || value.p[i] > '~')
      return (smtpf_str){NULL, 0};
  return value;
}

static int read_ssl(smtpf_str value, smtpf_proxy_header *h)
{
  int type;
  smtpf_str one, rest;
  if (value.n < SSL_HEAD)
    return 0;
  for (rest = (smtpf_str){value.p + SSL_HEAD, value.n - SSL_HEAD}; smtpf_proxy_extra(&rest, &type, &one) == SMTPF_OK;) {
    if (type == SSL_VERSION && byte_at(value.p) & SSL_IS_ON)
      h->tls_protocol = name_of(one);
    else if (type == SSL_CIPHER && byte_at(value.p) & SSL_IS_ON)
      h->tls_cipher = name_of(one);
  }
  return !rest.n;
}

static int read_extras(smtpf_str header, smtpf_str extras, smtpf_proxy_header *h)
{
  int type;
  smtpf_str value, rest = extras;
  while (smtpf_proxy_extra(&rest, &type, &value) == SMTPF_OK)
    if ((type == SMTPF_PROXY_CRC32C && !is_sound(header, value)) || (type == SMTPF_PROXY_SSL && !read_ssl(value, h)))
      return 0;
  h->extras = extras;
  return !rest.n;
}

/* ---- version 2 --------------------------------------------------------------------------------------- */

static void put_address(const char *p, uint8_t family, char out[SMTPF_PROXY_ADDRESS])
{
  static const char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '\xff', '\xff'};
  smtpf_ip ip = {.family = family};
  if (family == 6 && !memcmp(p, mapped, sizeof mapped)) {
    ip.family = 4;
    p += sizeof mapped;
  }
  memcpy(ip.bytes, p, ip.family == 4 ? 4 : 16);
  smtpf_ip_format(&ip, out);
}

/* Addresses and ports: how many bytes; 0 when there are too few. */
static size_t read_endpoints(smtpf_str block, uint8_t family, smtpf_proxy_header *h)
{
  const size_t each = family == 4 ? 4 : 16, n = 2 * each + 4;
  if (block.n < n)
    return 0;
  h->kind = SMTPF_PROXY_CLIENT;
  put_address(block.p, family, h->client);
  put_address(block.p + each, family, h->local_address);
  h->client_port = port_at(block.p + 2 * each);
  h->local_port = port_at(block.p + 2 * each + 2);
  return n;
}

/* What the family and the protocol of a PROXY command make of the block. */
static int read_block(smtpf_str header, unsigned family, unsigned protocol, smtpf_proxy_header *h)
{
  static const size_t lengths[] = {0, 12, 36, 216}; /* AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX */
  smtpf_str block = {header.p + FIXED, header.n - FIXED};
  if (family > 3 || protocol > 2)
    return 0;
  h->kind = SMTPF_PROXY_UNKNOWN;
  if (!family || !protocol) /* whatever stands there says nothing */
    return 1;
  if (block.n < lengths[family] || (protocol == 1 && family < 3 && !read_endpoints(block, family == 1 ? 4 : 6, h)))
    return 0;
  return read_extras(header, (smtpf_str){block.p + lengths[family], block.n - lengths[family]}, h);
}

static int read_binary(smtpf_str bytes, smtpf_proxy_header *h)
{
  if (memcmp(bytes.p, signature, bytes.n < SIGNATURE ? bytes.n : SIGNATURE) != 0)
    return SMTPF_EPARSE;
  if (bytes.n > SIGNATURE && byte_at(bytes.p + SIGNATURE) >> 1 != 0x20 >> 1) /* version 2; LOCAL or PROXY */
    return SMTPF_EPARSE;
  if (bytes.n < FIXED)
    return 0;
  const size_t n = FIXED + (size_t)port_at(bytes.p + 14);
  if (n > SMTPF_PROXY_MAX)
    return SMTPF_ELIMIT;
  if (bytes.n < n)
    return 0;
  const unsigned command = byte_at(bytes.p + SIGNATURE) & 1, family = byte_at(bytes.p + SIGNATURE + 1);
  h->version = 2;
  h->kind = SMTPF_PROXY_LOCAL;
  if (command && !read_block((smtpf_str){bytes.p, n}, family >> 4, family & 15, h))
    return SMTPF_EPARSE;
  return (int)n;
}

int smtpf_proxy_read(smtpf_str bytes, smtpf_proxy_header *out)
{
  smtpf_proxy_header h = {.size = sizeof h};
  if (out->size < sizeof h)
    return SMTPF_EINVAL;
  if (!bytes.n)
    return 0;
  const int r = bytes.p[0] == 'P' ? read_line(bytes, &h) : read_binary(bytes, &h);
  if (r > 0)
    *out = h;
  return r;
}
