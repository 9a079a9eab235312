/* SPDX-License-Identifier: MIT
 *
 * Senders that are signed (BATV) or rewritten (SRS), by anybody: what was the address before.
 */
#include <string.h>

#include "base/str.h"
#include "mail/address.h"

static smtpf_str from(smtpf_str s, size_t at)
{
  return at < s.n ? (smtpf_str){s.p + at, s.n - at} : (smtpf_str){s.p + s.n, 0};
}

static int begins(smtpf_str s, const char *word)
{
  const smtpf_str w = smtpf_str_of(word);
  return s.n >= w.n && smtpf_str_equal_nocase((smtpf_str){s.p, w.n}, w);
}

/* What is behind the next `=`; empty without one. The first part is *head. */
static smtpf_str behind(smtpf_str s, smtpf_str *head)
{
  size_t i = 0;
  while (i < s.n && s.p[i] != '=')
    i++;
  *head = (smtpf_str){s.p, i};
  return from(s, i + 1);
}

/* `prvs=` and `msprvs1=`, a tag, `=`; `btv1==`, a tag, `==`. 1 when the local part is of one of these kinds. */
static int take_signature(smtpf_str *local)
{
  const int twice = begins(*local, "btv1==");
  const size_t n = begins(*local, "prvs=") ? 5 : begins(*local, "msprvs1=") ? 8 : twice ? 6 : 0;
  smtpf_str tag, rest;
  if (!n)
    return 0;
  rest = behind(from(*local, n), &tag);
  if (twice && (rest.n < 2 || rest.p[0] != '='))
    return 0;
  rest = from(rest, (size_t)twice);
  if (!tag.n || !rest.n)
    return 0;
  *local = rest;
  return 1;
}

/* SRS0=hash=time=domain=local, the first separator one of = + -. */
static int take_srs0(smtpf_str s, smtpf_str *local, smtpf_str *domain)
{
  smtpf_str hash, time, host;
  s = behind(s, &hash);
  s = behind(s, &time);
  s = behind(s, &host);
  if (!hash.n || !time.n || !host.n || !s.n)
    return 0;
  *local = s;
  *domain = host;
  return 1;
}

static int is_separator(char c)
{
  return c == '=' || c == '+' || c == '-';
}

static int take_srs(smtpf_str *local, smtpf_str *domain)
{
  smtpf_str hash, host, s = *local;
  if (s.n < 6 || !is_separator(s.p[4]))
    return 0;
  if (begins(s, "SRS0"))
    return take_srs0(from(s, 5), local, domain);
  if (!begins(s, "SRS1"))
    return 0;
  s = behind(from(s, 5), &hash); /* SRS1=hash=host of the first forwarder, then its SRS0 without the word */
  s = behind(s, &host);
  return hash.n && host.n && s.n > 1 && is_separator(s.p[0]) && take_srs0(from(s, 1), local, domain);
}

int smtpf_path_unwrap(const smtpf_path *path, int kinds, smtpf_str *local, smtpf_str *domain)
{
  enum { DEPTH = 4 }; /* signed, forwarded, signed again */
  int taken = 0;
  smtpf_str l = path->local_part, d = path->domain;
  while (
      path->form == SMTPF_PATH_MAILBOX && !path->quoted && taken < DEPTH &&
      (((kinds & SMTPF_UNWRAP_SIGNED) && take_signature(&l)) || ((kinds & SMTPF_UNWRAP_FORWARDED) && take_srs(&l, &d))))
    taken++;
  *local = l;
  *domain = d;
  return taken > 0;
}
