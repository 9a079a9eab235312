/* SPDX-License-Identifier: MIT */
#include "base/str.h"
#include "rspamd.h"

enum { IN_NAME = 0, IN_REST, IN_BODY };

#define HASH_FIRST UINT64_C(0xcbf29ce484222325) /* FNV-1a */
#define HASH_NEXT UINT64_C(0x100000001b3)

static uint64_t hash_byte(uint64_t hash, char c)
{
  return (hash ^ (unsigned char)smtpf_lower(c)) * HASH_NEXT;
}

static void count(smtpf_rspamd_names *names, uint64_t hash)
{
  size_t i = 0;
  while (i < names->n && names->v[i].hash != hash)
    i++;
  if (i == SMTPF_RSPAMD_NAMES)
    return;
  if (i == names->n) {
    names->v[names->n].hash = hash;
    names->v[names->n++].count = 0;
  }
  names->v[i].count++;
}

static void end_line(smtpf_rspamd_names *names)
{
  names->state = names->column ? IN_NAME : IN_BODY;
  names->column = 0;
}

void smtpf_rspamd_names_feed(smtpf_rspamd_names *names, const char *bytes, size_t n)
{
  for (size_t i = 0; i < n && names->state != IN_BODY; i++) {
    const char c = bytes[i];
    if (c == '\n') {
      end_line(names);
      continue;
    }
    if (c == '\r' && !names->column)
      continue; /* the line end of an empty line */
    if (!names->column++)
      names->hash = HASH_FIRST;
    if (names->state == IN_REST)
      continue;
    if (c == ':') {
      count(names, names->hash);
      names->state = IN_REST;
    } else if (c != ' ' && c != '\t') {
      names->hash = hash_byte(names->hash, c);
    } else if (names->column == 1) {
      names->state = IN_REST; /* a folded line */
    }
  }
}

unsigned smtpf_rspamd_names_count(const smtpf_rspamd_names *names, smtpf_str name)
{
  uint64_t hash = HASH_FIRST;
  for (size_t i = 0; i < name.n; i++)
    hash = hash_byte(hash, name.p[i]);
  for (size_t i = 0; i < names->n; i++)
    if (names->v[i].hash == hash)
      return names->v[i].count;
  return 0;
}
