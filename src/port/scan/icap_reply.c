/* SPDX-License-Identifier: MIT
 *
 * Lines until the head is whole, then the head within (its length is told), then chunks (RFC 9112 7.1). What was found
 * is read from the fields servers use for it: X-Infection-Found says most, then X-Virus-ID, then X-Violations-Found.
 */
#include "icap_reply.h"

#include <string.h>

#include "base/str.h"

enum state { STATUS, FIELDS, WITHIN, SIZE, DATA, GAP, TRAILER, WHOLE, BROKEN };
enum rank { BY_NONE, BY_VIOLATIONS, BY_VIRUS_ID, BY_INFECTION };

#define IS(text, word) smtpf_str_equal_nocase((text), SMTPF_LIT(word))

void smtpf_icap_reply_init(smtpf_icap_reply *r)
{
  memset(r, 0, sizeof *r);
  r->preview = r->ttl = -1;
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static void keep(smtpf_str *out, char *room, size_t cap, smtpf_str text)
{
  smtpf_out o;
  smtpf_out_init(&o, room, cap);
  smtpf_out_printable(&o, smtpf_str_trim(text), 0);
  *out = smtpf_out_done(&o);
}

static void found(smtpf_icap_reply *r, int rank, int what, smtpf_str name)
{
  if (rank < r->rank)
    return;
  r->rank = rank;
  r->found = what;
  keep(&r->name, r->name_room, sizeof r->name_room, name);
}

/* `Type=0; Resolution=2; Threat=Name;` */
static int infection(smtpf_icap_reply *r, smtpf_str value)
{
  smtpf_str type = {NULL, 0}, threat = {NULL, 0};
  while (value.n) {
    smtpf_str part = smtpf_str_cut(&value, ';');
    const smtpf_str name = smtpf_str_trim(smtpf_str_cut(&part, '='));
    if (IS(name, "Type"))
      type = smtpf_str_trim(part);
    else if (IS(name, "Threat"))
      threat = part;
  }
  const int what = IS(type, "0") ? SMTPF_ICAP_INFECTION : IS(type, "2") ? SMTPF_ICAP_CONTAINER : SMTPF_ICAP_VIOLATION;
  found(r, BY_INFECTION, what, threat);
  return SMTPF_ICAP_MORE;
}

/* `2`; then, folded, four lines for each: file, name, number, what was done. The first one's name is kept. */
static int violations(smtpf_icap_reply *r, smtpf_str value)
{
  uint64_t n;
  if (smtpf_str_uint(value, 1000000, &n) != SMTPF_OK)
    return SMTPF_ICAP_GARBAGE;
  if (n)
    found(r, BY_VIOLATIONS, SMTPF_ICAP_VIOLATION, (smtpf_str){NULL, 0});
  r->violations = n > 0;
  return SMTPF_ICAP_MORE;
}

static void folded(smtpf_icap_reply *r, smtpf_str line)
{
  if (r->violations && ++r->folded == 2)
    found(r, BY_VIOLATIONS, SMTPF_ICAP_VIOLATION, line);
}

/* `res-hdr=0, res-body=137`: where each part begins. The last one is the body, or says that there is none. */
static int encapsulated(smtpf_icap_reply *r, smtpf_str value)
{
  uint64_t offset, before = 0;
  if (r->has_encapsulated || !value.n)
    return SMTPF_ICAP_GARBAGE;
  r->has_encapsulated = 1;
  for (unsigned parts = 0; value.n; parts++) {
    smtpf_str part = smtpf_str_cut(&value, ',');
    const smtpf_str name = smtpf_str_trim(smtpf_str_cut(&part, '='));
    if (smtpf_str_uint(smtpf_str_trim(part), SMTPF_ICAP_HEAD, &offset) != SMTPF_OK || offset < before ||
        (parts == 0 && offset))
      return SMTPF_ICAP_GARBAGE;
    before = r->head = offset;
    r->has_body = IS(name, "res-body") || IS(name, "opt-body");
    if (r->has_body || IS(name, "null-body"))
      return value.n ? SMTPF_ICAP_GARBAGE : SMTPF_ICAP_MORE;
    if (r->has_response || (!IS(name, "res-hdr") && !IS(name, "req-hdr")))
      return SMTPF_ICAP_GARBAGE;
    r->has_response = IS(name, "res-hdr");
    r->response = offset;
  }
  return SMTPF_ICAP_GARBAGE; /* no body named */
}

/* 1 when a list of words has this one. */
static int listed(smtpf_str list, smtpf_str word)
{
  while (list.n)
    if (smtpf_str_equal_nocase(smtpf_str_trim(smtpf_str_cut(&list, ',')), word))
      return 1;
  return 0;
}

static int number(smtpf_str value, uint64_t max, int64_t *out)
{
  uint64_t n;
  if (smtpf_str_uint(value, max, &n) != SMTPF_OK)
    return SMTPF_ICAP_GARBAGE;
  *out = (int64_t)n;
  return SMTPF_ICAP_MORE;
}

static int field(smtpf_icap_reply *r, smtpf_str line)
{
  r->violations = 0;
  r->folded = 0;
  const int named = memchr(line.p, ':', line.n) != NULL;
  const smtpf_str name = smtpf_str_cut(&line, ':'), value = smtpf_str_trim(line);
  if (!named || !name.n)
    return SMTPF_ICAP_GARBAGE;
  if (IS(name, "Encapsulated"))
    return encapsulated(r, value);
  if (IS(name, "X-Infection-Found"))
    return infection(r, value);
  if (IS(name, "X-Violations-Found"))
    return violations(r, value);
  if (IS(name, "Preview"))
    return number(value, INT32_MAX, &r->preview);
  if (IS(name, "Options-TTL"))
    return number(value, INT32_MAX, &r->ttl);
  if (IS(name, "X-Virus-ID"))
    found(r, BY_VIRUS_ID, SMTPF_ICAP_INFECTION, value);
  else if (IS(name, "Connection"))
    r->close |= listed(value, SMTPF_LIT("close"));
  else if (IS(name, "Allow"))
    r->allow_204 |= listed(value, SMTPF_LIT("204"));
  else if (IS(name, "Methods"))
    r->respmod |= listed(value, SMTPF_LIT("RESPMOD"));
  else if (IS(name, "ISTag") && value.n < sizeof r->istag) {
    memcpy(r->istag, value.p, value.n);
    r->istag[value.n] = '\0';
  }
  return SMTPF_ICAP_MORE;
}

/* ---- lines --------------------------------------------------------------------------------------------- */

/* `ICAP/1.0 204 No Content`, `HTTP/1.1 403 Forbidden`: the number, 0 when it is neither. */
static int status(smtpf_str line, smtpf_str protocol, smtpf_str *reason)
{
  uint64_t code;
  const smtpf_str version = smtpf_str_cut(&line, ' '), number = smtpf_str_cut(&line, ' ');
  if (version.n != protocol.n + 3 || !smtpf_str_starts(version, protocol) || !smtpf_is_digit(version.p[protocol.n]) ||
      version.p[protocol.n + 1] != '.' || !smtpf_is_digit(version.p[protocol.n + 2]) || number.n != 3 ||
      smtpf_str_uint(number, 599, &code) != SMTPF_OK || code < 100)
    return 0;
  *reason = line;
  return (int)code;
}

/* The fields are over. */
static int head_done(smtpf_icap_reply *r)
{
  if (r->code == 100) /* it wants the rest */
    return r->has_encapsulated && r->head ? SMTPF_ICAP_GARBAGE : SMTPF_ICAP_DONE;
  if (!r->has_encapsulated) { /* only what has no content may leave it out; behind an error nothing is certain */
    r->close |= r->code >= 300;
    return r->code == 200 && !r->respmod ? SMTPF_ICAP_GARBAGE : SMTPF_ICAP_DONE;
  }
  r->state = r->head ? WITHIN : SIZE;
  return r->head || r->has_body ? SMTPF_ICAP_MORE : SMTPF_ICAP_DONE;
}

/* `1a`, `1a; name=value` */
static int chunk_size(smtpf_icap_reply *r, smtpf_str line)
{
  const smtpf_str digits = smtpf_str_trim(smtpf_str_cut(&line, ';'));
  r->chunk = 0;
  if (!digits.n || digits.n > 8)
    return SMTPF_ICAP_GARBAGE;
  for (size_t i = 0; i < digits.n; i++) {
    const char c = smtpf_lower(digits.p[i]);
    if (!smtpf_is_digit(c) && (c < 'a' || c > 'f'))
      return SMTPF_ICAP_GARBAGE;
    r->chunk = r->chunk * 16 + (uint64_t)(smtpf_is_digit(c) ? c - '0' : c - 'a' + 10);
  }
  r->state = r->chunk ? DATA : TRAILER;
  r->lines = 0;
  return SMTPF_ICAP_MORE;
}

static int line_done(smtpf_icap_reply *r)
{
  smtpf_str reason;
  const smtpf_str line = {r->line, r->n - 2};
  if (r->n < 2 || r->line[r->n - 2] != '\r')
    return SMTPF_ICAP_GARBAGE;
  r->n = 0;
  switch (r->state) {
  case STATUS:
    r->code = status(line, SMTPF_LIT("ICAP/"), &reason);
    if (!r->code)
      return SMTPF_ICAP_GARBAGE;
    keep(&r->reason, r->reason_room, sizeof r->reason_room, reason);
    r->state = FIELDS;
    return SMTPF_ICAP_MORE;
  case FIELDS:
    if (!line.n)
      return head_done(r);
    if (++r->lines > SMTPF_ICAP_LINES)
      return SMTPF_ICAP_GARBAGE;
    if (line.p[0] != ' ' && line.p[0] != '\t')
      return field(r, line);
    folded(r, line);
    return r->lines > 1 ? SMTPF_ICAP_MORE : SMTPF_ICAP_GARBAGE;
  case SIZE: return chunk_size(r, line);
  case GAP: r->state = SIZE; return line.n ? SMTPF_ICAP_GARBAGE : SMTPF_ICAP_MORE;
  default: /* TRAILER */
    if (!line.n)
      return SMTPF_ICAP_DONE;
    return ++r->lines > SMTPF_ICAP_LINES ? SMTPF_ICAP_GARBAGE : SMTPF_ICAP_MORE;
  }
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

/* Lines, as far as they are looked at. */
static int lines(smtpf_icap_reply *r, const char *bytes, size_t n, size_t *used)
{
  const char *lf = memchr(bytes, '\n', n);
  const size_t take = lf ? (size_t)(lf - bytes) + 1 : n;
  *used += take;
  if (take > sizeof r->line - r->n)
    return SMTPF_ICAP_GARBAGE;
  memcpy(r->line + r->n, bytes, take);
  r->n += take;
  return lf ? line_done(r) : SMTPF_ICAP_MORE;
}

/* The head within: only the first line of the response's is of interest. */
static int within(smtpf_icap_reply *r, const char *bytes, size_t n, size_t *used)
{
  const size_t take = n < r->head - r->at ? n : (size_t)(r->head - r->at);
  for (size_t i = 0; r->has_response && i < take && r->n < sizeof r->line; i++)
    if (r->at + i >= r->response)
      r->line[r->n++] = bytes[i];
  r->at += take;
  *used += take;
  if (r->at < r->head)
    return SMTPF_ICAP_MORE;
  const char *lf = memchr(r->line, '\n', r->n);
  smtpf_str reason, line = {r->line, lf ? (size_t)(lf - r->line) : 0};
  if (r->has_response && !(r->http = status(smtpf_str_trim(line), SMTPF_LIT("HTTP/"), &reason)))
    return SMTPF_ICAP_GARBAGE;
  r->n = 0;
  r->state = SIZE;
  return r->has_body ? SMTPF_ICAP_MORE : SMTPF_ICAP_DONE;
}

static int data(smtpf_icap_reply *r, const char *bytes, size_t n, size_t *used, smtpf_str *piece)
{
  const size_t take = n < r->chunk ? n : (size_t)r->chunk;
  *piece = (smtpf_str){bytes, take};
  *used += take;
  r->chunk -= take;
  if (!r->chunk)
    r->state = GAP;
  return SMTPF_ICAP_MORE;
}

int smtpf_icap_reply_feed(smtpf_icap_reply *r, const char *bytes, size_t n, size_t *used, smtpf_str *piece)
{
  int progress = r->state == WHOLE ? SMTPF_ICAP_DONE : r->state == BROKEN ? SMTPF_ICAP_GARBAGE : SMTPF_ICAP_MORE;
  *used = 0;
  *piece = (smtpf_str){NULL, 0};
  while (progress == SMTPF_ICAP_MORE && *used < n && !piece->n) {
    const char *at = bytes + *used;
    const size_t left = n - *used;
    if (r->state == WITHIN)
      progress = within(r, at, left, used);
    else if (r->state == DATA)
      progress = data(r, at, left, used, piece);
    else
      progress = lines(r, at, left, used);
  }
  if (progress != SMTPF_ICAP_MORE)
    r->state = progress == SMTPF_ICAP_DONE ? WHOLE : BROKEN;
  return progress;
}
