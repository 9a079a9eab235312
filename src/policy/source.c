/* SPDX-License-Identifier: MIT */
#include "source.h"

#include "base/str.h"
#include "mail/field.h"

/* ---- one field ------------------------------------------------------------------------------------------------------
 */

static int is_one_of(smtpf_str word, const char *const *words, size_t n)
{
  size_t i = 0;
  while (i < n && !smtpf_str_equal_nocase(word, smtpf_str_of(words[i])))
    i++;
  return i < n;
}

#define IS_ONE_OF(word, words) is_one_of((word), (words), sizeof(words) / sizeof *(words))

/* The host knew its client (RFC 3848, RFC 6531 4.3), or it was a web mail's, or it was fetched from a mailbox. */
static int is_users(const smtpf_received *r)
{
  static const char *const with[] = {"ESMTPA",    "ESMTPSA",    "LMTPA",     "LMTPSA", "POP3", "IMAP",       "IMAP4",
                                     "UTF8SMTPA", "UTF8SMTPSA", "UTF8LMTPA", "ASMTP",  "HTTP", "UTF8LMTPSA", "HTTPS"};
  return IS_ONE_OF(r->with, with) || smtpf_str_equal_nocase(r->via, SMTPF_LIT("HTTP"));
}

/* LMTP does not leave a site (RFC 2033 5). */
static int is_local(const smtpf_received *r)
{
  static const char *const with[] = {"local", "LMTP", "LMTPS", "UTF8LMTP", "UTF8LMTPS"};
  return !r->from.n || IS_ONE_OF(r->with, with);
}

/* A comment that does not end hides the clauses behind it; a HELO may have begun it. */
static int is_open(smtpf_str value)
{
  size_t depth = 0;
  for (size_t i = 0; i < value.n; i++) {
    if (value.p[i] == '\\' && depth)
      i++;
    else if (value.p[i] == '(')
      depth++;
    else if (value.p[i] == ')' && depth)
      depth--;
  }
  return depth > 0;
}

smtpf_hop smtpf_hop_read(smtpf_str value, smtpf_str *by)
{
  smtpf_received r = {.dated = 0};
  smtpf_hop hop = {.kind = SMTPF_HOP_LOCAL};
  if (smtpf_received_parse(value, &r) == SMTPF_OK) { /* else it has neither from nor by: `(qmail 1 invoked ...)` */
    hop = (smtpf_hop){.helo = r.from, .name = r.rdns, .ip = r.ip, .kind = SMTPF_HOP_FROM};
    if (r.twice)
      hop.kind = SMTPF_HOP_BROKEN;
    else if (is_users(&r))
      hop.kind = SMTPF_HOP_USER;
    else if (is_local(&r))
      hop.kind = SMTPF_HOP_LOCAL;
  }
  if (is_open(value))
    hop.kind = SMTPF_HOP_BROKEN;
  if (by)
    *by = r.by;
  return hop;
}

/* ---- addresses ------------------------------------------------------------------------------------------------------
 */

int smtpf_source_is_inside(const smtpf_ip *ip)
{
  static const smtpf_prefix inside[] = {{{4, {0}}, 8},           {{4, {10}}, 8},        {{4, {100, 64}}, 10},
                                        {{4, {127}}, 8},         {{4, {169, 254}}, 16}, {{4, {172, 16}}, 12},
                                        {{4, {192, 168}}, 16},   {{6, {0}}, 127}, /* :: and ::1 */
                                        {{6, {0xfe, 0x80}}, 10}, {{6, {0xfc}}, 7},      {{6, {0xfe, 0xc0}}, 10}};
  size_t i = 0;
  while (i < sizeof inside / sizeof *inside && !smtpf_prefix_contains(&inside[i], ip))
    i++;
  return i < sizeof inside / sizeof *inside;
}

/* ---- the chain ------------------------------------------------------------------------------------------------------
 */

int smtpf_source_find(const smtpf_source_walk *w, size_t *at, size_t *trusted)
{
  size_t behind = 1; /* the client */
  for (size_t i = 0; i < w->n; i++) {
    const smtpf_hop *h = &w->hops[i];
    if (i == w->most || h->kind == SMTPF_HOP_BROKEN)
      return SMTPF_SOURCE_UNCLEAR;
    if (h->kind == SMTPF_HOP_USER)
      return SMTPF_SOURCE_INSIDE;
    if (h->kind == SMTPF_HOP_LOCAL)
      continue;
    if (!h->ip.family)
      return SMTPF_SOURCE_UNCLEAR;
    if (smtpf_source_is_inside(&h->ip) || smtpf_ip_equal(&h->ip, w->client))
      continue;
    const int host = w->host(w->user, &h->ip);
    if (host == SMTPF_HOST_OWN)
      return SMTPF_SOURCE_INSIDE;
    if (host == SMTPF_HOST_STRANGE) {
      *at = i;
      *trusted = behind;
      return SMTPF_SOURCE_FOUND;
    }
    behind++;
  }
  return w->whole ? SMTPF_SOURCE_INSIDE : SMTPF_SOURCE_UNCLEAR;
}
