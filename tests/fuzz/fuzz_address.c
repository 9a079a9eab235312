/* SPDX-License-Identifier: MIT
 *
 * Paths, mailboxes, parameters, domains, IP addresses, prefixes: no overrun, and what each says agrees with the others.
 */
#include <smtpfilter/ext/mail.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

static int inside(smtpf_str part, smtpf_str whole)
{
  return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void mailbox(smtpf_str text, const smtpf_path *p)
{
  smtpf_path again;
  MUST(inside(p->address, text) && inside(p->local_part, text) && inside(p->domain, text) && inside(p->route, text));
  if (p->form != SMTPF_PATH_MAILBOX)
    return;
  MUST(p->local_part.n >= 1 && p->local_part.n <= 64 && p->domain.n >= 1 && p->address.n <= 254);
  MUST(p->address.n == p->local_part.n + 1 + p->domain.n && p->local_part.p[p->local_part.n] == '@');
  MUST(smtpf_mailbox_parse(p->address, &again) == SMTPF_OK);
  MUST(smtpf_str_equal(again.domain, p->domain) && again.quoted == p->quoted && again.literal == p->literal);
  for (size_t i = 0; i < p->address.n; i++)
    MUST((unsigned char)p->address.p[i] >= 0x20 && p->address.p[i] != 0x7f);
  if (!p->literal)
    MUST(smtpf_domain_form(p->domain) != SMTPF_DOMAIN_BAD);
}

static void path(smtpf_str text)
{
  smtpf_path p, whole;
  size_t used = 0;
  int taken = smtpf_path_take(text, &p, &used) == SMTPF_OK;
  MUST((smtpf_path_parse(text, &whole) == SMTPF_OK) == (taken && used == text.n));
  if (taken) {
    MUST(used <= text.n && used <= SMTPF_PATH_MAX && text.p[used - 1] == '>');
    mailbox(text, &p);
  }
  if (smtpf_mailbox_parse(text, &p) == SMTPF_OK)
    mailbox(text, &p);
}

static void parameters(smtpf_str text)
{
  smtpf_str rest = text, key, value;
  for (size_t before = rest.n; smtpf_param_next(&rest, &key, &value) == SMTPF_OK; before = rest.n) {
    MUST(rest.n < before && key.n && inside(key, text) && inside(value, text));
    MUST(!memchr(key.p, ' ', key.n) && (!value.n || !memchr(value.p, ' ', value.n)));
  }
}

static void addresses(smtpf_str text)
{
  smtpf_ip ip, ip_again;
  smtpf_prefix prefix, prefix_again;
  char out[SMTPF_IP_TEXT], name[300];
  if (smtpf_ip_parse(text, &ip) == SMTPF_OK) {
    smtpf_str formatted = {out, smtpf_ip_format(&ip, out)};
    MUST(smtpf_ip_parse(formatted, &ip_again) == SMTPF_OK && smtpf_ip_equal(&ip, &ip_again));
    int n = smtpf_ip_reverse(&ip, text, name, sizeof name);
    MUST(n < 0 || strlen(name) >= (size_t)(ip.family == 4 ? 8 : 64));
  }
  if (smtpf_prefix_parse(text, &prefix) == SMTPF_OK) {
    smtpf_str formatted = {out, smtpf_prefix_format(&prefix, out)};
    MUST(smtpf_prefix_parse(formatted, &prefix_again) == SMTPF_OK && prefix.len == prefix_again.len);
    MUST(smtpf_ip_equal(&prefix.ip, &prefix_again.ip) && smtpf_prefix_contains(&prefix, &prefix.ip));
  }
}

/* The text as a list of prefixes, then each of its lines looked up in it. */
static void list(smtpf_str text)
{
  smtpf_trie *t;
  size_t line;
  MUST(smtpf_trie_new(&t, NULL) == SMTPF_OK);
  if (smtpf_trie_add_text(t, text, 1, &line) == SMTPF_OK && smtpf_trie_count(t))
    for (smtpf_str rest = text; rest.n;) {
      smtpf_prefix p;
      if (smtpf_prefix_parse(smtpf_str_trim(smtpf_str_cut(&rest, '\n')), &p) == SMTPF_OK)
        MUST(smtpf_trie_find(t, &p.ip, NULL, NULL));
    }
  smtpf_trie_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const smtpf_str text = {(const char *)data, size};
  const size_t half = size / 2;
  path(text);
  parameters(text);
  addresses(text);
  list(text);
  (void)smtpf_domain_form(text);
  MUST(smtpf_domain_equal(text, text));
  if (smtpf_domain_form(text) != SMTPF_DOMAIN_BAD)
    MUST(smtpf_domain_within(text, text));
  (void)smtpf_domain_within(text, (smtpf_str){text.p + half, size - half});
  return 0;
}
