/* SPDX-License-Identifier: MIT
 *
 * milter_packet: the form of every packet of the milter protocol, whoever sends it: four bytes of length, a letter,
 * data.
 */
#ifndef SMTPF_WIRE_MILTER_PACKET_H
#define SMTPF_WIRE_MILTER_PACKET_H

#include <smtpfilter/milter.h>

#include "base/str.h"

enum { MILTER_LENGTH = 4 };

/* ---- reading: the bytes are there ------------------------------------------------------------------- */

static inline uint32_t milter_number_at(const char *p)
{
  const unsigned char *b = (const unsigned char *)p;
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Whether a packet is whole: its bytes in all, with letter and data; 0 for more to come; SMTPF_ELIMIT when it is none,
 * or longer than `max`; SMTPF_EINVAL for a `max` that cannot be. */
static inline int milter_packet_at(smtpf_str bytes, uint32_t max, int *letter, smtpf_str *data)
{
  if (max > INT32_MAX - MILTER_LENGTH)
    return SMTPF_EINVAL;
  if (bytes.n < MILTER_LENGTH)
    return 0;
  const uint32_t n = milter_number_at(bytes.p);
  if (!n || n > max)
    return SMTPF_ELIMIT;
  if (bytes.n < MILTER_LENGTH + (size_t)n)
    return 0;
  *letter = (unsigned char)bytes.p[MILTER_LENGTH];
  *data = (smtpf_str){bytes.p + MILTER_LENGTH + 1, n - 1};
  return (int)(MILTER_LENGTH + n);
}

/* What is offered or agreed on: three numbers. */
static inline int milter_read_terms(smtpf_str data, smtpf_milter_terms *out)
{
  if (data.n < (size_t)3 * MILTER_LENGTH)
    return SMTPF_EPARSE;
  *out = (smtpf_milter_terms){milter_number_at(data.p), milter_number_at(data.p + MILTER_LENGTH),
                              milter_number_at(data.p + (size_t)2 * MILTER_LENGTH)};
  return SMTPF_OK;
}

/* ---- writing: what does not fit sets `o->full` --------------------------------------------------------- */

static inline void milter_put_number(char *p, uint32_t v)
{
  p[0] = (char)(v >> 24);
  p[1] = (char)(v >> 16);
  p[2] = (char)(v >> 8);
  p[3] = (char)v;
}

static inline void milter_add_number(smtpf_out *o, uint32_t v)
{
  char bytes[MILTER_LENGTH];
  milter_put_number(bytes, v);
  smtpf_out_str(o, (smtpf_str){bytes, sizeof bytes});
}

static inline void milter_add_string(smtpf_out *o, smtpf_str s)
{
  smtpf_out_str(o, s);
  smtpf_out_char(o, '\0');
}

static inline void milter_begin(smtpf_out *o, int letter, char *room, size_t cap)
{
  smtpf_out_init(o, room, cap);
  milter_add_number(o, 0);
  smtpf_out_char(o, (char)letter);
}

/* The length is known now. Bytes of the packet, or SMTPF_ELIMIT. */
static inline int milter_end(smtpf_out *o)
{
  if (o->full || o->n < MILTER_LENGTH || o->n > INT32_MAX)
    return SMTPF_ELIMIT;
  milter_put_number(o->p, (uint32_t)(o->n - MILTER_LENGTH));
  return (int)o->n;
}

#endif
