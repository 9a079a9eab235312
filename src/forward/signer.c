/* SPDX-License-Identifier: MIT */
#include "signer.h"

#include <string.h>

int smtpf_signer_mac(const smtpf_signer *s, size_t key, const smtpf_str *parts, size_t n,
                     unsigned char out[SMTPF_MAC_BYTES])
{
  char room[SMTPF_SIGNED_MAX];
  unsigned char mac[32];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  for (size_t i = 0; i < n; i++)
    smtpf_out_str(&o, parts[i]);
  if (o.full)
    return SMTPF_ELIMIT;
  for (size_t i = 0; i < o.n; i++)
    room[i] = smtpf_lower(room[i]);
  if (s->crypto->hmac(s->shared, SMTPF_HMAC_SHA1, s->keys[key], smtpf_out_done(&o), mac) != SMTPF_OK)
    return SMTPF_EIO;
  memcpy(out, mac, SMTPF_MAC_BYTES);
  return SMTPF_OK;
}

int smtpf_same_bytes(const char *a, const char *b, size_t n)
{
  unsigned differ = 0;
  for (size_t i = 0; i < n; i++)
    differ |= (unsigned)(unsigned char)a[i] ^ (unsigned)(unsigned char)b[i];
  return differ == 0;
}

int smtpf_mailbox_split(smtpf_str address, smtpf_mailbox *out)
{
  size_t at = address.n;
  while (at && address.p[at - 1] != '@')
    at--;
  if (at < 2 || at == address.n)
    return SMTPF_EPARSE;
  smtpf_mailbox m = {{address.p, at - 1}, {address.p + at, address.n - at}, 0};
  m.quoted = m.local.n > 2 && m.local.p[0] == '"' && m.local.p[m.local.n - 1] == '"';
  if (m.quoted)
    m.local = (smtpf_str){m.local.p + 1, m.local.n - 2};
  *out = m;
  return SMTPF_OK;
}

int smtpf_take_until(smtpf_str *text, char sep, smtpf_str *out)
{
  const char *at = text->n ? memchr(text->p, sep, text->n) : NULL;
  if (!at)
    return 0;
  *out = (smtpf_str){text->p, (size_t)(at - text->p)};
  *text = (smtpf_str){at + 1, text->n - out->n - 1};
  return 1;
}

int smtpf_rewritten(smtpf_out *o, size_t *n)
{
  const size_t length = o->n;
  smtpf_out_char(o, '\0');
  if (o->full)
    return SMTPF_ELIMIT;
  if (n)
    *n = length;
  return SMTPF_OK;
}
