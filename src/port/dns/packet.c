/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <string.h>

#include "base/str.h"
#include "name.h"

enum {
  TYPE_SOA = 6,
  CLASS_IN = 1,
  HEADER = 12,      /* bytes */
  WIRE_NAME = 255,  /* bytes of a name without compression */
  TEXT_NAME = 1024, /* the same when every byte is escaped */
};

/* A place in the packet. A read beyond the end gives 0 and sets `bad`; nothing is read after that. */
typedef struct reader {
  const unsigned char *p;
  size_t n;
  size_t at;
  int bad;
} reader;

typedef struct rr {
  char owner[TEXT_NAME];
  size_t owner_n;
  unsigned type, class;
  uint32_t ttl;
  size_t data, data_n; /* place and length of RDATA */
} rr;

static unsigned read_bytes(reader *r, size_t n)
{
  unsigned v = 0;
  if (r->bad || n > r->n - r->at) {
    r->bad = 1;
    return 0;
  }
  for (size_t i = 0; i < n; i++)
    v = v << 8 | r->p[r->at++];
  return v;
}

/* Every name of every answer passes here: a byte costs a store, not a call. */
static void put(smtpf_out *o, char c)
{
  if (o->n < o->cap)
    o->p[o->n++] = c;
  else
    o->full = 1;
}

static void put_label(smtpf_out *o, const unsigned char *p, size_t n)
{
  if (o->n)
    put(o, '.');
  for (size_t i = 0; i < n; i++) {
    unsigned char c = p[i];
    if (c > ' ' && c < 0x7f && c != '.' && c != '\\') {
      put(o, (char)c);
      continue;
    }
    put(o, '\\');
    if (c == '.' || c == '\\') {
      put(o, (char)c);
    } else {
      put(o, (char)('0' + c / 100));
      put(o, (char)('0' + c / 10 % 10));
      put(o, (char)('0' + c % 10));
    }
  }
}

/* Reads a name and moves behind it. Every pointer must lead to before the labels read last, so that it ends. */
static size_t read_name(reader *r, char out[TEXT_NAME])
{
  smtpf_out o;
  smtpf_out_init(&o, out, TEXT_NAME);
  size_t wire = 0, behind = 0, from = r->at;
  reader at = *r;
  while (!at.bad) {
    size_t here = at.at;
    unsigned len = read_bytes(&at, 1);
    if (len >= 0xc0) {
      size_t to = (len & 0x3f) << 8 | read_bytes(&at, 1);
      behind = behind ? behind : at.at;
      at.bad |= to >= from || to < HEADER;
      at.at = from = to;
    } else if (len >= 0x40 || (wire += len + 1) > WIRE_NAME || len > at.n - at.at) {
      at.bad = 1;
    } else if (len == 0) {
      behind = behind ? behind : here + 1;
      break;
    } else {
      put_label(&o, at.p + at.at, len);
      at.at += len;
    }
  }
  r->bad |= at.bad | o.full;
  r->at = r->bad ? r->n : behind;
  return o.n;
}

static void read_rr(reader *r, rr *out)
{
  out->owner_n = read_name(r, out->owner);
  out->type = read_bytes(r, 2);
  out->class = read_bytes(r, 2);
  out->ttl = read_bytes(r, 4);
  if (out->ttl > INT32_MAX)
    out->ttl = 0; /* RFC 2181 8 */
  out->data_n = read_bytes(r, 2);
  out->data = r->at;
  if (r->bad || out->data_n > r->n - r->at)
    r->bad = 1;
  else
    r->at += out->data_n;
}

static smtpf_str owner(const rr *x)
{
  return (smtpf_str){x->owner, x->owner_n};
}

/* A name inside RDATA may point anywhere before it, but must end where RDATA ends. */
static int read_data_name(const reader *r, const rr *x, size_t skip, smtpf_arena *arena, smtpf_str *out)
{
  char text[TEXT_NAME];
  reader d = *r;
  d.at = x->data + skip;
  d.n = x->data + x->data_n;
  if (skip > x->data_n)
    return SMTPF_EPARSE;
  size_t n = read_name(&d, text);
  if (d.bad || d.at != d.n)
    return SMTPF_EPARSE;
  return smtpf_arena_copy(arena, (smtpf_str){text, n}, out);
}

static int read_txt(const reader *r, const rr *x, smtpf_arena *arena, smtpf_str *out)
{
  char *room = smtpf_arena_bytes(arena, x->data_n + 1);
  if (!room)
    return SMTPF_ENOMEM;
  smtpf_out o;
  smtpf_out_init(&o, room, x->data_n);
  const unsigned char *p = r->p + x->data;
  for (size_t i = 0, len; i < x->data_n; i += len + 1) {
    len = p[i];
    if (len > x->data_n - i - 1)
      return SMTPF_EPARSE;
    smtpf_out_str(&o, (smtpf_str){(const char *)p + i + 1, len});
  }
  *out = smtpf_out_done(&o);
  return SMTPF_OK;
}

static int read_record(const reader *r, const rr *x, smtpf_arena *arena, smtpf_dns_record *out)
{
  *out = (smtpf_dns_record){.type = (int)x->type, .ttl = x->ttl};
  const unsigned char *p = r->p + x->data;
  switch (x->type) {
  case SMTPF_DNS_A:
  case SMTPF_DNS_AAAA:
    out->ip.family = x->type == SMTPF_DNS_A ? 4 : 6;
    if (x->data_n != (x->type == SMTPF_DNS_A ? 4 : 16))
      return SMTPF_EPARSE;
    memcpy(out->ip.bytes, p, x->data_n);
    return SMTPF_OK;
  case SMTPF_DNS_MX:
    if (x->data_n < 3)
      return SMTPF_EPARSE;
    out->preference = (uint16_t)(p[0] << 8 | p[1]);
    return read_data_name(r, x, 2, arena, &out->text);
  case SMTPF_DNS_TXT: return read_txt(r, x, arena, &out->text);
  case SMTPF_DNS_NS:
  case SMTPF_DNS_CNAME:
  case SMTPF_DNS_PTR: return read_data_name(r, x, 0, arena, &out->text);
  default: return SMTPF_OK;
  }
}

/* Follows CNAMEs from `name` through the answer section, which begins at `answers`. Servers write the chain in order,
 * so that one walk does; a chain out of order takes one walk for each alias. */
static int follow(const reader *answers, unsigned count, int type, smtpf_arena *arena, smtpf_str *name, uint32_t *ttl)
{
  int aliases = 0, found = type != SMTPF_DNS_CNAME;
  while (found) {
    reader r = *answers;
    found = 0;
    for (unsigned i = 0; i < count && !r.bad; i++) {
      rr x;
      read_rr(&r, &x);
      if (r.bad || x.type != SMTPF_DNS_CNAME || x.class != CLASS_IN || !smtpf_str_equal_nocase(owner(&x), *name))
        continue;
      int code = ++aliases > SMTPF_DNS_PACKET_ALIASES ? SMTPF_EPARSE : read_data_name(&r, &x, 0, arena, name);
      if (code != SMTPF_OK)
        return code;
      *ttl = x.ttl < *ttl ? x.ttl : *ttl;
      found = 1;
    }
    if (r.bad)
      return SMTPF_EPARSE;
  }
  return SMTPF_OK;
}

/* The records of `type` at `name`; moves `r` behind the answer section. */
static int collect(reader *r, unsigned count, int type, smtpf_str name, smtpf_arena *arena, smtpf_dns_answer *out)
{
  smtpf_dns_record *records = NULL;
  for (unsigned i = 0; i < count; i++) {
    rr x;
    read_rr(r, &x);
    if (r->bad)
      return SMTPF_EPARSE;
    if (x.type != (unsigned)type || x.class != CLASS_IN || !smtpf_str_equal_nocase(owner(&x), name))
      continue;
    if (!records && !(records = smtpf_arena_alloc(arena, (count - i) * sizeof *records)))
      return SMTPF_ENOMEM;
    int code = read_record(r, &x, arena, &records[out->count]);
    if (code != SMTPF_OK)
      return code;
    out->ttl = x.ttl < out->ttl ? x.ttl : out->ttl;
    out->count++;
  }
  out->records = records;
  return SMTPF_OK;
}

/* How long a negative answer may be kept: the lesser of the SOA's own TTL and its last field (RFC 2308 3, 5). */
static uint32_t negative_ttl(reader *r, unsigned count)
{
  for (unsigned i = 0; i < count && i < SMTPF_DNS_PACKET_RECORDS; i++) {
    rr x;
    char ignored[TEXT_NAME];
    read_rr(r, &x);
    if (r->bad)
      break;
    if (x.type != TYPE_SOA || x.class != CLASS_IN)
      continue;
    reader soa = *r;
    soa.at = x.data;
    soa.n = x.data + x.data_n;
    read_name(&soa, ignored);
    read_name(&soa, ignored);
    for (int field = 0; field < 4; field++)
      read_bytes(&soa, 4);
    uint32_t minimum = read_bytes(&soa, 4);
    if (!soa.bad)
      return minimum < x.ttl ? minimum : x.ttl;
  }
  return SMTPF_DNS_TTL_NEGATIVE;
}

smtpf_dns_answer smtpf_dns_answer_status(int status)
{
  int negative = status == SMTPF_DNS_NXDOMAIN || status == SMTPF_DNS_NODATA;
  return (smtpf_dns_answer){sizeof(smtpf_dns_answer), status, negative ? SMTPF_DNS_TTL_NEGATIVE : SMTPF_DNS_TTL_FAILURE,
                            0, NULL};
}

/* Header and question: SMTPF_OK when this is a response, answer or denial, to the question asked. */
static int read_head(reader *r, int type, smtpf_str name, unsigned counts[3], unsigned *rcode)
{
  char asked[TEXT_NAME];
  read_bytes(r, 2);
  unsigned flags = read_bytes(r, 2), questions = read_bytes(r, 2);
  for (int i = 0; i < 3; i++)
    counts[i] = read_bytes(r, 2);
  size_t n = read_name(r, asked);
  unsigned qtype = read_bytes(r, 2), qclass = read_bytes(r, 2);
  *rcode = flags & 15;
  if (r->bad || !(flags & 0x8000) || (flags >> 11 & 15) != 0 || questions != 1 || counts[0] > SMTPF_DNS_PACKET_RECORDS)
    return SMTPF_EPARSE;
  if (qtype != (unsigned)type || qclass != CLASS_IN || !smtpf_str_equal_nocase((smtpf_str){asked, n}, name))
    return SMTPF_EPARSE;
  return SMTPF_OK;
}

int smtpf_dns_packet_read(const unsigned char *packet, size_t n, int type, smtpf_str name, smtpf_arena *arena,
                          smtpf_dns_answer *out)
{
  enum { NOERROR = 0, NXDOMAIN = 3 };
  reader r = {packet, n, 0, 0};
  unsigned counts[3], rcode;
  smtpf_dns_answer a = {.size = sizeof a, .status = SMTPF_DNS_SERVFAIL, .ttl = INT32_MAX};
  int code = read_head(&r, type, name, counts, &rcode);
  if (code == SMTPF_OK && rcode != NOERROR && rcode != NXDOMAIN)
    code = SMTPF_EPARSE;
  if (code == SMTPF_OK)
    code = follow(&r, counts[0], type, arena, &name, &a.ttl);
  if (code == SMTPF_OK)
    code = collect(&r, counts[0], type, name, arena, &a);
  if (code == SMTPF_ENOMEM)
    return code;
  if (code != SMTPF_OK) {
    *out = smtpf_dns_answer_status(SMTPF_DNS_SERVFAIL);
    return SMTPF_OK;
  }
  if (rcode == NXDOMAIN) { /* of the last name of the chain (RFC 6604 3) */
    a.status = SMTPF_DNS_NXDOMAIN;
    a.count = 0;
    a.records = NULL;
  } else {
    a.status = a.count ? SMTPF_DNS_OK : SMTPF_DNS_NODATA;
  }
  if (a.status != SMTPF_DNS_OK) {
    uint32_t ttl = negative_ttl(&r, counts[1]);
    a.ttl = ttl < a.ttl ? ttl : a.ttl;
  }
  *out = a;
  return SMTPF_OK;
}
