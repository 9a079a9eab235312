/* SPDX-License-Identifier: MIT
 *
 * The milter protocol: what the MTA says. A packet is four bytes of length, a letter, and what the letter's row says
 * it holds. Nothing is looked at before it is whole; strings stay where they are.
 */
#include <smtpfilter/milter.h>
#include <stddef.h>
#include <string.h>

#include "wire/milter_packet.h"

/* What follows the letter. */
enum shape {
  ANY,     /* of a command that is not known: passed over */
  NOTHING, /* perhaps bytes that mean nothing */
  BYTES,
  ONE,     /* a string */
  PAIR,    /* two strings */
  SEVERAL, /* a string, and more of them */
  OPTIONS, /* three numbers, perhaps more */
  CLIENT,  /* a string, a letter, a port, a string */
  MACROS,  /* a letter, pairs of strings */
};

static enum shape shape_of(int command)
{
  switch (command) {
  case SMTPF_MILTER_ABORT:
  case SMTPF_MILTER_QUIT:
  case SMTPF_MILTER_QUIT_NC:
  case SMTPF_MILTER_EOH:
  case SMTPF_MILTER_DATA: return NOTHING;
  case SMTPF_MILTER_BODY:
  case SMTPF_MILTER_BODYEOB: return BYTES;
  case SMTPF_MILTER_HELO:
  case SMTPF_MILTER_UNKNOWN: return ONE;
  case SMTPF_MILTER_HEADER: return PAIR;
  case SMTPF_MILTER_MAIL:
  case SMTPF_MILTER_RCPT: return SEVERAL;
  case SMTPF_MILTER_OPTNEG: return OPTIONS;
  case SMTPF_MILTER_CONNECT: return CLIENT;
  case SMTPF_MILTER_MACRO: return MACROS;
  default: return ANY;
  }
}

/* ---- reading --------------------------------------------------------------------------------------- */

int smtpf_milter_string(smtpf_str *rest, smtpf_str *out)
{
  const char *end = rest->n ? memchr(rest->p, '\0', rest->n) : NULL;
  if (!end)
    return SMTPF_ENOTFOUND;
  const size_t n = (size_t)(end - rest->p);
  *out = (smtpf_str){rest->p, n};
  *rest = (smtpf_str){end + 1, rest->n - n - 1};
  return SMTPF_OK;
}

/* Every string is ended. */
static int ends(smtpf_str s)
{
  return !s.n || s.p[s.n - 1] == '\0';
}

/* `U` alone: nobody knows. Some MTAs leave out port and address then, some send an empty address. */
static int read_client(smtpf_str data, smtpf_milter_packet *out)
{
  if (smtpf_milter_string(&data, &out->name) != SMTPF_OK || !data.n)
    return SMTPF_EPARSE;
  out->family = (unsigned char)data.p[0];
  data = (smtpf_str){data.p + 1, data.n - 1};
  if (out->family == SMTPF_MILTER_FAMILY_UNKNOWN)
    return SMTPF_OK;
  if (data.n < 2)
    return SMTPF_EPARSE;
  out->port = (uint16_t)((unsigned char)data.p[0] << 8 | (unsigned char)data.p[1]);
  data = (smtpf_str){data.p + 2, data.n - 2};
  return smtpf_milter_string(&data, &out->value) == SMTPF_OK ? SMTPF_OK : SMTPF_EPARSE;
}

static int read_macros(smtpf_str data, smtpf_milter_packet *out)
{
  size_t strings = 0;
  if (!data.n)
    return SMTPF_EPARSE;
  out->stage = (unsigned char)data.p[0];
  out->rest = (smtpf_str){data.p + 1, data.n - 1};
  for (size_t i = 0; i < out->rest.n; i++)
    strings += out->rest.p[i] == '\0';
  return ends(out->rest) && strings % 2 == 0 ? SMTPF_OK : SMTPF_EPARSE;
}

static int read_strings(smtpf_str data, enum shape shape, smtpf_milter_packet *out)
{
  if (smtpf_milter_string(&data, &out->name) != SMTPF_OK ||
      (shape == PAIR && smtpf_milter_string(&data, &out->value) != SMTPF_OK))
    return SMTPF_EPARSE;
  if (shape == SEVERAL)
    out->rest = data;
  return shape == SEVERAL ? (ends(data) ? SMTPF_OK : SMTPF_EPARSE) : data.n ? SMTPF_EPARSE : SMTPF_OK;
}

static int read_data(smtpf_str data, smtpf_milter_packet *out)
{
  const enum shape shape = shape_of(out->command);
  switch (shape) {
  case BYTES: out->rest = data; return SMTPF_OK;
  case OPTIONS: return milter_read_terms(data, &out->offer);
  case CLIENT: return read_client(data, out);
  case MACROS: return read_macros(data, out);
  case ONE:
  case PAIR:
  case SEVERAL: return read_strings(data, shape, out);
  default: return SMTPF_OK;
  }
}

size_t smtpf_milter_wanted(smtpf_str bytes)
{
  return bytes.n < MILTER_LENGTH ? 0 : MILTER_LENGTH + (size_t)milter_number_at(bytes.p);
}

int smtpf_milter_read(smtpf_str bytes, uint32_t max, smtpf_milter_packet *out)
{
  smtpf_milter_packet packet = {.size = sizeof packet};
  smtpf_str data;
  if (out->size < sizeof packet)
    return SMTPF_EINVAL;
  const int n = milter_packet_at(bytes, max, &packet.command, &data);
  const int r = n > 0 ? read_data(data, &packet) : SMTPF_OK;
  if (r != SMTPF_OK)
    return r;
  if (n > 0)
    *out = packet;
  return n;
}

/* ---- macros ---------------------------------------------------------------------------------------- */

/* Long names come in braces. */
static int is_named(smtpf_str s, const char *name, size_t n)
{
  if (s.n == n + 2 && s.p[0] == '{' && s.p[n + 1] == '}')
    s = (smtpf_str){s.p + 1, n};
  return s.n == n && memcmp(s.p, name, n) == 0;
}

smtpf_str smtpf_milter_macro(const smtpf_milter_packet *packet, const char *name)
{
  const size_t n = strlen(name);
  smtpf_str rest = packet->rest, key, value;
  if (packet->command == SMTPF_MILTER_MACRO)
    while (smtpf_milter_string(&rest, &key) == SMTPF_OK && smtpf_milter_string(&rest, &value) == SMTPF_OK)
      if (is_named(key, name, n))
        return value;
  return (smtpf_str){NULL, 0};
}
