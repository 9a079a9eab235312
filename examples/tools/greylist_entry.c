/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "greylist.h"

static int64_t number(smtpf_str record, int id)
{
  int64_t v = 0;
  (void)smtpf_record_read(record, id, &v);
  return v;
}

static int state_of(const entry *e, const store *s)
{
  const int64_t now = smtpf_driver_wall(s->driver), age = now - e->first;
  const int says = e->kind == SMTPF_GREYLIST_CLIENT ? smtpf_greylist_says(e->value) : SMTPF_GREYLIST_NOTHING;
  if (says != SMTPF_GREYLIST_NOTHING)
    return says == SMTPF_GREYLIST_ALLOW ? ALLOWED : DENIED;
  if (e->passes > 0)
    return now - e->last > s->memory ? LATE : KNOWN;
  if (e->kind == SMTPF_GREYLIST_CLIENT)
    return SEEN;
  return age < s->wait ? WAITING : age <= s->window ? RIPE : LATE;
}

int entry_read(entry *out, const store *s, const smtpf_stored *record)
{
  *out = (entry){.kind = smtpf_record_kind(record->value),
                 .key = record->key,
                 .value = record->value,
                 .expires = record->expires,
                 .first = number(record->value, SMTPF_GREYLIST_FIRST),
                 .last = number(record->value, SMTPF_GREYLIST_LAST),
                 .passes = smtpf_record_total(record->value, SMTPF_GREYLIST_PASSES),
                 .identity = smtpf_record_read_text(record->value, SMTPF_GREYLIST_IDENTITY),
                 .sender = smtpf_record_read_text(record->value, SMTPF_GREYLIST_SENDER),
                 .recipient = smtpf_record_read_text(record->value, SMTPF_GREYLIST_RECIPIENT)};
  if (out->kind != SMTPF_GREYLIST_TRIPLET && out->kind != SMTPF_GREYLIST_CLIENT)
    return 0;
  out->state = state_of(out, s);
  return 1;
}

static const char *const states[] = {"", "waiting", "ripe", "known", "late", "seen", "allowed", "denied"};

const char *entry_state(const entry *e)
{
  return states[e->state];
}

int entry_is_state(const char *word)
{
  for (size_t i = 1; i < sizeof states / sizeof *states; i++)
    if (strcmp(states[i], word) == 0)
      return 1;
  return 0;
}

static int contains(smtpf_str s, const char *word)
{
  const size_t n = strlen(word);
  for (size_t i = 0; i + n <= s.n; i++)
    if (smtpf_str_equal_nocase((smtpf_str){s.p + i, n}, (smtpf_str){word, n}))
      return 1;
  return 0;
}

int entry_fits(const entry *e, const filter *f)
{
  return (!f->kind || f->kind == e->kind) && (!f->client || contains(e->identity, f->client)) &&
         (!f->sender || (e->kind == SMTPF_GREYLIST_TRIPLET && contains(e->sender, f->sender))) &&
         (!f->recipient || contains(e->recipient, f->recipient)) &&
         (!f->state || strcmp(f->state, entry_state(e)) == 0);
}

/* ---- writing ----------------------------------------------------------------------------------------- */

void entry_hex(text *t, smtpf_str bytes)
{
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < bytes.n; i++) {
    text_char(t, digits[(unsigned char)bytes.p[i] >> 4]);
    text_char(t, digits[(unsigned char)bytes.p[i] & 15]);
  }
}

static void name(text *t, const char *what, int json)
{
  if (t->n > 1)
    text_char(t, json ? ',' : ' ');
  if (json)
    text_char(t, '"');
  text_cstr(t, what);
  text_cstr(t, json ? "\":" : "=");
}

static void put_text(text *t, const char *what, smtpf_str value, int json)
{
  name(t, what, json);
  if (json)
    text_json(t, value);
  else
    text_quoted(t, value);
}

static void put_time(text *t, const char *what, int64_t value, int json)
{
  if (!value)
    return;
  name(t, what, json);
  if (json)
    text_int(t, value);
  else
    text_time(t, value);
}

void entry_print(text *t, const entry *e, int json)
{
  if (json)
    text_char(t, '{');
  put_text(t, "kind", smtpf_str_of(e->kind == SMTPF_GREYLIST_TRIPLET ? "triplet" : "client"), json);
  put_text(t, "state", smtpf_str_of(entry_state(e)), json);
  put_text(t, "client", e->identity, json);
  if (e->kind == SMTPF_GREYLIST_TRIPLET) {
    put_text(t, "sender", e->sender, json);
    put_text(t, "recipient", e->recipient, json);
  }
  put_time(t, "first", e->first, json);
  put_time(t, "last", e->last, json);
  name(t, "passes", json);
  text_int(t, e->passes);
  put_time(t, "expires", e->expires, json);
  if (json)
    text_char(t, '}');
  text_char(t, '\n');
}

int entry_flush(text *t)
{
  const int bad = t->failed || (t->n && fwrite(t->p, 1, t->n, stdout) != t->n);
  text_clear(t);
  return bad ? store_complain("cannot write") : 0;
}
