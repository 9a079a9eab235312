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
  const char *name;
  size_t at;   /* of a string in smtpf_delegation */
  int unknown; /* `unknown` is Postfix's word for nothing */
} attribute;

#define TEXT(as, field, unknown)                                                                                       \
  {                                                                                                                    \
    as, offsetof(smtpf_delegation, field), unknown                                                                     \
  }

enum { LENGTH_MAX = 19, SAME_MAX = 4 };

/* By the length of the name, the end of each row empty. */
static const attribute attributes[LENGTH_MAX + 1][SAME_MAX] = {
    [4] = {TEXT("size", message_size, 0)},
    [6] = {TEXT("sender", sender, 0)},
    [8] = {TEXT("instance", instance, 0), TEXT("queue_id", queue_id, 0)},
    [9] = {TEXT("helo_name", helo_name, 0), TEXT("recipient", recipient, 0)},
    [11] = {TEXT("client_name", client_name, 1), TEXT("client_port", client_port, 1),
            TEXT("sasl_method", sasl_method, 0), TEXT("server_port", server_port, 1)},
    [13] = {TEXT("sasl_username", sasl_username, 0)},
    [14] = {TEXT("client_address", client_address, 1), TEXT("server_address", server_address, 1)},
    [15] = {TEXT("recipient_count", recipient_count, 0)},
    [17] = {TEXT("encryption_cipher", encryption_cipher, 0)},
    [19] = {TEXT("encryption_protocol", encryption_protocol, 0)},
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
  int request, broken;
  smtpf_delegation out;
} seen;

static int is(smtpf_str s, const char *text, size_t n)
{
  return s.n == n && memcmp(s.p, text, n) == 0;
}
#define IS(s, word) is(s, word, sizeof(word) - 1)

/* Those that are no strings to us. */
static void take_word(seen *s, smtpf_str name, smtpf_str value)
{
  if (IS(name, "request"))
    s->request = IS(value, "smtpd_access_policy");
  else if (IS(name, "protocol_state"))
    s->out.stage = stage_of(value);
  else if (IS(name, "protocol_name"))
    s->out.greeting = IS(value, "ESMTP") ? SMTPF_GREET_EHLO : IS(value, "SMTP") ? SMTPF_GREET_HELO : 0;
}

static void take(seen *s, smtpf_str name, smtpf_str value)
{
  const attribute *row = name.n <= LENGTH_MAX ? attributes[name.n] : attributes[0];
  for (size_t i = 0; i < SAME_MAX && row[i].name; i++) {
    if (*name.p != *row[i].name || memcmp(name.p, row[i].name, name.n) != 0)
      continue;
    if (row[i].unknown && IS(value, "unknown"))
      value.n = 0;
    memcpy((char *)&s->out + row[i].at, &value, sizeof value);
    return;
  }
  take_word(s, name, value);
}

/* ---- requests -------------------------------------------------------------------------------------- */

static void read_line(seen *s, smtpf_str line)
{
  const char *equals = memchr(line.p, '=', line.n);
  if (!equals) {
    s->broken = 1;
    return;
  }
  const size_t n = (size_t)(equals - line.p);
  take(s, (smtpf_str){line.p, n}, (smtpf_str){equals + 1, line.n - n - 1});
}

/* Bytes up to and with the empty line; 0 when it has not come. */
static size_t read_lines(seen *s, smtpf_str bytes)
{
  const char *p = bytes.p, *const end = bytes.p + bytes.n;
  while (p < end) {
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    if (!stop)
      return 0;
    if (stop == p)
      return (size_t)(p + 1 - bytes.p);
    read_line(s, (smtpf_str){p, (size_t)(stop - p)});
    p = stop + 1;
  }
  return 0;
}

int smtpf_delegation_read(smtpf_str bytes, smtpf_delegation *out)
{
  seen s = {.out = {.size = sizeof s.out}};
  if (out->size < sizeof *out)
    return SMTPF_EINVAL;
  const size_t n =
      read_lines(&s, (smtpf_str){bytes.p, bytes.n < SMTPF_DELEGATION_MAX ? bytes.n : SMTPF_DELEGATION_MAX});
  if (!n)
    return bytes.n >= SMTPF_DELEGATION_MAX ? SMTPF_ELIMIT : 0;
  if (!s.request || s.broken || memchr(bytes.p, '\0', n))
    return SMTPF_EPARSE;
  *out = s.out;
  return (int)n;
}

/* ---- answers --------------------------------------------------------------------------------------- */

enum { LEAST = 64 };

/* The end is never cut off. */
static void begin(smtpf_out *o, smtpf_str action, char *room, size_t cap)
{
  smtpf_out_init(o, room, cap - 2);
  smtpf_out_str(o, SMTPF_LIT("action="));
  smtpf_out_str(o, action);
}

static void put_text(smtpf_out *o, smtpf_str text)
{
  smtpf_out_char(o, ' ');
  for (size_t i = 0; i < text.n; i++)
    smtpf_out_char(o, text.p[i] == '\n' ? ' ' : text.p[i] < 0x20 || text.p[i] > 0x7e ? '?' : text.p[i]);
}

static int finish(const smtpf_out *o, char *room)
{
  const smtpf_str done = smtpf_out_done(o);
  room[done.n] = room[done.n + 1] = '\n';
  return (int)(done.n + 2);
}

int smtpf_delegation_answer(int code, smtpf_str enhanced, smtpf_str text, char *room, size_t cap)
{
  const int later = code == 450 || code == 451;
  smtpf_out o;
  if (cap < LEAST)
    return SMTPF_ELIMIT;
  begin(&o, code < 400 ? SMTPF_LIT("DUNNO") : later ? SMTPF_LIT("DEFER_IF_PERMIT") : SMTPF_LIT(""), room, cap);
  if (code >= 400 && !later)
    smtpf_out_uint(&o, (uint64_t)code);
  if (code >= 400) {
    put_text(&o, enhanced);
    put_text(&o, text);
  }
  return finish(&o, room);
}

int smtpf_delegation_action(smtpf_str action, smtpf_str text, char *room, size_t cap)
{
  smtpf_out o;
  if (cap < LEAST || action.n > LEAST / 2)
    return SMTPF_ELIMIT;
  begin(&o, action, room, cap);
  if (text.n)
    put_text(&o, text);
  return finish(&o, room);
}
