/* SPDX-License-Identifier: MIT
 *
 * Postfix's policy delegation protocol: attributes in, an action out. Bytes belong to the caller; a request is looked
 * at only when it is whole.
 */
#include <smtpfilter/session.h>
#include <smtpfilter/wire.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

/* ---- attributes ------------------------------------------------------------------------------------ */

typedef struct attribute {
  smtpf_str name;
  size_t at;   /* of a string in smtpf_delegation */
  int unknown; /* `unknown` is Postfix's word for nothing */
} attribute;

#define NAMED(text, field, unknown)                                                                                    \
  {                                                                                                                    \
    {text, sizeof(text) - 1}, offsetof(smtpf_delegation, field), unknown                                               \
  }

static const attribute attributes[] = {
    NAMED("helo_name", helo_name, 0),
    NAMED("queue_id", queue_id, 0),
    NAMED("sender", sender, 0),
    NAMED("recipient", recipient, 0),
    NAMED("recipient_count", recipient_count, 0),
    NAMED("client_address", client_address, 1),
    NAMED("client_name", client_name, 1),
    NAMED("client_port", client_port, 1),
    NAMED("instance", instance, 0),
    NAMED("sasl_method", sasl_method, 0),
    NAMED("sasl_username", sasl_username, 0),
    NAMED("size", message_size, 0),
    NAMED("encryption_protocol", encryption_protocol, 0),
    NAMED("encryption_cipher", encryption_cipher, 0),
    NAMED("server_address", server_address, 1),
    NAMED("server_port", server_port, 1),
};

static int stage_of(smtpf_str state)
{
  static const struct {
    smtpf_str word;
    int stage;
  } states[] = {
      {{"RCPT", 4}, SMTPF_RCPT},       {{"DATA", 4}, SMTPF_DATA}, {{"END-OF-MESSAGE", 14}, SMTPF_EOM},
      {{"MAIL", 4}, SMTPF_MAIL},       {{"EHLO", 4}, SMTPF_HELO}, {{"HELO", 4}, SMTPF_HELO},
      {{"CONNECT", 7}, SMTPF_CONNECT},
  };
  for (size_t i = 0; i < sizeof states / sizeof *states; i++)
    if (smtpf_str_equal(state, states[i].word))
      return states[i].stage;
  return 0;
}

/* What must be seen of a request beside its strings. */
typedef struct seen {
  int request;
  smtpf_delegation out;
} seen;

static void take(seen *s, smtpf_str name, smtpf_str value)
{
  for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
    const attribute *a = &attributes[i];
    if (!smtpf_str_equal(name, a->name))
      continue;
    if (a->unknown && smtpf_str_equal(value, SMTPF_LIT("unknown")))
      value.n = 0;
    memcpy((char *)&s->out + a->at, &value, sizeof value);
    return;
  }
  if (smtpf_str_equal(name, SMTPF_LIT("request")))
    s->request = smtpf_str_equal(value, SMTPF_LIT("smtpd_access_policy"));
  else if (smtpf_str_equal(name, SMTPF_LIT("protocol_state")))
    s->out.stage = stage_of(value);
  else if (smtpf_str_equal(name, SMTPF_LIT("protocol_name")))
    s->out.greeting = smtpf_str_equal(value, SMTPF_LIT("ESMTP"))  ? SMTPF_GREET_EHLO
                      : smtpf_str_equal(value, SMTPF_LIT("SMTP")) ? SMTPF_GREET_HELO
                                                                  : 0;
}

/* ---- requests -------------------------------------------------------------------------------------- */

/* Bytes up to and with the empty line; 0 when it has not come. */
static size_t whole(smtpf_str bytes)
{
  const char *p = bytes.p;
  size_t left = bytes.n;
  if (left && *p == '\n')
    return 1;
  while (left) {
    const char *end = memchr(p, '\n', left);
    if (!end || end + 1 == bytes.p + bytes.n)
      return 0;
    if (end[1] == '\n')
      return (size_t)(end + 2 - bytes.p);
    left -= (size_t)(end + 1 - p);
    p = end + 1;
  }
  return 0;
}

static int read_line(seen *s, smtpf_str line)
{
  const char *equals = memchr(line.p, '=', line.n);
  if (!equals || memchr(line.p, '\0', line.n))
    return SMTPF_EPARSE;
  const size_t n = (size_t)(equals - line.p);
  take(s, (smtpf_str){line.p, n}, (smtpf_str){equals + 1, line.n - n - 1});
  return SMTPF_OK;
}

int smtpf_delegation_read(smtpf_str bytes, smtpf_delegation *out)
{
  seen s = {.out = {.size = sizeof s.out}};
  if (out->size < sizeof *out)
    return SMTPF_EINVAL;
  const size_t n = whole((smtpf_str){bytes.p, bytes.n < SMTPF_DELEGATION_MAX ? bytes.n : SMTPF_DELEGATION_MAX});
  if (!n)
    return bytes.n >= SMTPF_DELEGATION_MAX ? SMTPF_ELIMIT : 0;
  for (size_t i = 0; i + 1 < n;) {
    const char *end = memchr(bytes.p + i, '\n', n - i);
    const smtpf_str line = {bytes.p + i, (size_t)(end - (bytes.p + i))};
    if (read_line(&s, line) != SMTPF_OK)
      return SMTPF_EPARSE;
    i += line.n + 1;
  }
  if (!s.request)
    return SMTPF_EPARSE;
  *out = s.out;
  return (int)n;
}

/* ---- answers --------------------------------------------------------------------------------------- */

int smtpf_delegation_answer(int code, smtpf_str enhanced, smtpf_str text, char *room, size_t cap)
{
  enum { LEAST = 64 };
  smtpf_out o;
  if (cap < LEAST)
    return SMTPF_ELIMIT;
  smtpf_out_init(&o, room, cap - 2); /* the end is never cut off */
  smtpf_out_str(&o, SMTPF_LIT("action="));
  if (code < 400) {
    smtpf_out_str(&o, SMTPF_LIT("DUNNO"));
  } else {
    if (code == 450 || code == 451)
      smtpf_out_str(&o, SMTPF_LIT("DEFER_IF_PERMIT"));
    else
      smtpf_out_uint(&o, (uint64_t)code);
    smtpf_out_char(&o, ' ');
    smtpf_out_str(&o, enhanced);
    smtpf_out_char(&o, ' ');
    for (size_t i = 0; i < text.n; i++)
      smtpf_out_char(&o, text.p[i] == '\n' ? ' ' : text.p[i] < 0x20 || text.p[i] > 0x7e ? '?' : text.p[i]);
  }
  const smtpf_str done = smtpf_out_done(&o);
  room[done.n] = room[done.n + 1] = '\n';
  return (int)(done.n + 2);
}
