/* SPDX-License-Identifier: MIT
 *
 * The PROXY protocol: the first byte says how the rest comes in pieces. A header read from a prefix is not there, or
 * refused as the whole is, never another one; its strings lie in it; its addresses are addresses; what it gives can be
 * given to a session's checks.
 */
#include <smtpfilter/ext/mail.h>
#include <smtpfilter/proxy.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

static void inside(smtpf_str s, smtpf_str header)
{
  MUST(!s.n || (s.p >= header.p && s.p + s.n <= header.p + header.n));
}

static void printable(smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++)
    MUST(s.p[i] > ' ' && s.p[i] < 0x7f);
}

/* Canonical: it is read, and written the same. */
static void is_address(const char *text, int wanted)
{
  smtpf_ip ip;
  char again[SMTPF_IP_TEXT];
  if (!wanted) {
    MUST(!*text);
    return;
  }
  MUST(smtpf_ip_parse((smtpf_str){text, strlen(text)}, &ip) == SMTPF_OK);
  smtpf_ip_format(&ip, again);
  MUST(!strcmp(text, again));
}

static void look(const smtpf_proxy_header *h, smtpf_str header)
{
  int type;
  smtpf_str rest = h->extras, value;
  MUST(h->version == 1 || h->version == 2);
  MUST(h->kind >= SMTPF_PROXY_CLIENT && h->kind <= SMTPF_PROXY_UNKNOWN);
  is_address(h->client, h->kind == SMTPF_PROXY_CLIENT);
  is_address(h->local_address, h->kind == SMTPF_PROXY_CLIENT);
  inside(h->extras, header);
  inside(h->tls_protocol, header);
  inside(h->tls_cipher, header);
  printable(h->tls_protocol);
  printable(h->tls_cipher);
  while (smtpf_proxy_extra(&rest, &type, &value) == SMTPF_OK)
    inside(value, header);
  MUST(!rest.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  smtpf_proxy_header h = {.size = sizeof h}, part = {.size = sizeof part};
  if (!size)
    return 0;
  const smtpf_str bytes = {(const char *)data + 1, size - 1};
  const int n = smtpf_proxy_read(bytes, &h);
  MUST(n <= SMTPF_PROXY_MAX && (n <= 0 || (size_t)n <= bytes.n) && (n != 0 || bytes.n < SMTPF_PROXY_MAX));
  for (size_t at = 0, step = data[0] + 1U; at < bytes.n; at += step) {
    const int r = smtpf_proxy_read((smtpf_str){bytes.p, at}, &part);
    MUST(r == 0 || r == n);
    MUST(n <= 0 || at >= (size_t)n || r == 0);
  }
  if (n > 0)
    look(&h, (smtpf_str){bytes.p, (size_t)n});
  return 0;
}
