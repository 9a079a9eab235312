/* SPDX-License-Identifier: MIT
 *
 * greylist_identity: who a client is to the greylist. A pool retries from any of its addresses; so its identity is what
 * its names have in common, where the client has a name that leads back to it, else the network it is in.
 */
#include "greylist.h"

/* ---- names ---------------------------------------------------------------------------------------- */

/* Second-level labels under which registries of countries register. */
static int is_category(smtpf_str label)
{
  static const char *const words[] = {"ac",  "co", "com", "edu", "gen", "go",   "gob",    "gouv", "gov", "govt",
                                      "gv",  "id", "ltd", "me",  "mil", "muni", "ne",     "net",  "nhs", "nic",
                                      "nom", "or", "org", "plc", "res", "sch",  "school", "web"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (smtpf_str_equal_nocase(label, smtpf_str_of(words[i])))
      return 1;
  return 0;
}

/* Where the label before `at` begins. */
static size_t label_before(smtpf_str name, size_t at)
{
  while (at && name.p[at - 1] != '.')
    at--;
  return at;
}

smtpf_str greylist_registered(smtpf_str name)
{
  if (name.n && name.p[name.n - 1] == '.')
    name.n--;
  const size_t top = label_before(name, name.n);
  if (!top)
    return name;
  size_t second = label_before(name, top - 1);
  const smtpf_str label = {name.p + second, top - 1 - second};
  if (name.n - top == 2 && second && is_category(label))
    second = label_before(name, second - 1);
  return (smtpf_str){name.p + second, name.n - second};
}

/* ---- names that hold the address ----------------------------------------------------------------------- */

/* The decimal number at `*at`, and past it; -1 for more than three digits. */
static int number_at(smtpf_str s, size_t *at)
{
  int v = 0, digits = 0;
  for (; *at < s.n && greylist_is_digit(s.p[*at]); ++*at, digits++)
    v = digits < 3 ? v * 10 + (s.p[*at] - '0') : -1;
  return digits > 3 ? -1 : v;
}

/* Three numbers that follow each other in the address, in either direction. */
static int is_part(const int v[3], const smtpf_ip *ip)
{
  const uint8_t *b = ip->bytes;
  for (size_t i = 0; i < 2; i++)
    if (v[1] == b[i + 1] && ((v[0] == b[i] && v[2] == b[i + 2]) || (v[0] == b[i + 2] && v[2] == b[i])))
      return 1;
  return 0;
}

/* Three bytes of an IPv4 address as numbers of their own: `192-0-2-25.pool.isp.example`. Two are not enough: large
 * senders number their machines like that. */
static int holds_numbers(smtpf_str name, const smtpf_ip *ip)
{
  int v[3] = {-1, -1, -1};
  for (size_t i = 0; i < name.n;) {
    if (!greylist_is_digit(name.p[i])) {
      if (name.p[i] != '.' && name.p[i] != '-' && name.p[i] != '_' && name.p[i] != 'x')
        v[1] = v[2] = -1;
      i++;
      continue;
    }
    v[0] = v[1];
    v[1] = v[2];
    v[2] = number_at(name, &i);
    if (v[0] >= 0 && is_part(v, ip))
      return 1;
  }
  return 0;
}

/* All its digits in a row, hexadecimal or decimal with leading zeros. */
static int holds_run(smtpf_str name, const char *digits, size_t n)
{
  for (size_t i = 0; i + n <= name.n; i++) {
    size_t k = 0;
    while (k < n && greylist_lower(name.p[i + k]) == digits[k])
      k++;
    if (k == n)
      return 1;
  }
  return 0;
}

int greylist_is_generic(smtpf_str name, const smtpf_ip *ip)
{
  static const char hex[] = "0123456789abcdef";
  char run[32], decimal[12];
  const size_t bytes = ip->family == 4 ? 4 : 8; /* of IPv6 the interface, where it differs within a /64 */
  const unsigned char *from = ip->bytes + (ip->family == 4 ? 0 : 8);
  if (!ip->family)
    return 0;
  for (size_t i = 0; i < bytes; i++) {
    run[2 * i] = hex[from[i] >> 4];
    run[2 * i + 1] = hex[from[i] & 15];
  }
  if (holds_run(name, run, 2 * bytes))
    return 1;
  if (ip->family != 4)
    return 0;
  for (size_t i = 0; i < 4; i++) {
    decimal[3 * i] = (char)('0' + from[i] / 100);
    decimal[3 * i + 1] = (char)('0' + from[i] / 10 % 10);
    decimal[3 * i + 2] = (char)('0' + from[i] % 10);
  }
  return holds_numbers(name, ip) || holds_run(name, decimal, sizeof decimal);
}

/* ---- identity ---------------------------------------------------------------------------------------- */

static smtpf_str network(const greylist_naming *how, const smtpf_ip *ip, char room[GREYLIST_IDENTITY_MAX])
{
  smtpf_prefix p = {.ip = {.family = ip->family}, .len = ip->family == 4 ? how->ip4 : how->ip6};
  for (size_t i = 0; i < 16u && 8 * i < p.len; i++) {
    const unsigned left = p.len - 8u * (unsigned)i;
    p.ip.bytes[i] = (uint8_t)(left >= 8 ? ip->bytes[i] : ip->bytes[i] & (0xff00u >> left));
  }
  return (smtpf_str){room, smtpf_prefix_format(&p, room)};
}

_Static_assert((int)GREYLIST_IDENTITY_MAX >= SMTPF_IP_TEXT, "a prefix fits");

smtpf_str greylist_identity(const greylist_naming *how, const smtpf_ip *ip, smtpf_str name,
                            char room[GREYLIST_IDENTITY_MAX])
{
  if (how->by_name && smtpf_domain_form(name) == SMTPF_DOMAIN_QUALIFIED && !greylist_is_generic(name, ip)) {
    const smtpf_str owner = greylist_registered(name);
    greylist_text t = {room, 0, GREYLIST_IDENTITY_MAX};
    for (size_t i = 0; i < owner.n; i++)
      greylist_put(&t, greylist_lower(owner.p[i]));
    return (smtpf_str){room, t.n};
  }
  return ip->family ? network(how, ip, room) : (smtpf_str){room, 0};
}
