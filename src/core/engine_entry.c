/* SPDX-License-Identifier: MIT
 *
 * Personal entries: whom a recipient always, or never, wants mail from.
 */
#include "base/str.h"
#include "engine.h"

/* How exact an entry is: one address, a domain, a user of any domain, networks by their length. */
enum { RANK_NETWORK = 1, RANK_USER = 200, RANK_DOMAIN = 300, RANK_ADDRESS = 400 };

/* Splits at the last `@`. 0 when there is none: a network. */
static int split(smtpf_str entry, smtpf_str *local, smtpf_str *domain)
{
  size_t at = entry.n;
  while (at && entry.p[at - 1] != '@')
    at--;
  if (!at)
    return 0;
  *local = (smtpf_str){entry.p, at - 1};
  *domain = (smtpf_str){entry.p + at, entry.n - at};
  return 1;
}

int smtpf_engine_entry_sound(smtpf_str entry)
{
  char room[SMTPF_ADDRESS_MAX + 16];
  smtpf_str local, domain;
  smtpf_prefix prefix;
  smtpf_path path;
  smtpf_out o;
  if (entry.n > SMTPF_ADDRESS_MAX)
    return 0;
  if (!split(entry, &local, &domain))
    return smtpf_prefix_parse(entry, &prefix) == SMTPF_OK;
  if (!local.n) {
    const int form = smtpf_domain_form(domain);
    return form != SMTPF_DOMAIN_BAD && form != SMTPF_DOMAIN_BARE_ADDRESS;
  }
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_str(&o, entry);
  if (!domain.n)
    smtpf_out_cstr(&o, "x.example");
  return smtpf_mailbox_parse(smtpf_out_done(&o), &path) == SMTPF_OK;
}

/* How exactly an entry of an address covers a sender. */
static int rank_of(smtpf_str local, smtpf_str domain, smtpf_str sender_local, smtpf_str sender_domain)
{
  if ((local.n && !smtpf_str_equal_nocase(local, sender_local)) ||
      (domain.n && !smtpf_domain_equal(domain, sender_domain)))
    return 0;
  return !domain.n ? RANK_USER : !local.n ? RANK_DOMAIN : RANK_ADDRESS;
}

/* Whom it is compared with: the sender as written, and as what it was made of. */
typedef struct correspondent {
  const smtpf_path *written; /* NULL: none, or the null sender */
  smtpf_str local, domain;   /* behind it */
  const smtpf_ip *client;
} correspondent;

static correspondent look_behind(const smtpf_path *sender, const smtpf_ip *client, int kinds)
{
  correspondent c = {.written = sender && sender->form == SMTPF_PATH_MAILBOX ? sender : NULL, .client = client};
  if (c.written)
    (void)smtpf_path_unwrap(sender, kinds, &c.local, &c.domain);
  return c;
}

/* How exactly an entry covers this sender or client; 0 when it does not. */
static int rank(smtpf_str entry, const correspondent *c)
{
  smtpf_str local, domain;
  smtpf_prefix prefix;
  if (!split(entry, &local, &domain))
    return c->client && c->client->family && smtpf_prefix_parse(entry, &prefix) == SMTPF_OK &&
                   smtpf_prefix_contains(&prefix, c->client)
               ? RANK_NETWORK + prefix.len
               : 0;
  if (!c->written)
    return 0;
  const int as_written = rank_of(local, domain, c->written->local_part, c->written->domain);
  const int behind = rank_of(local, domain, c->local, c->domain);
  return as_written > behind ? as_written : behind;
}

static int best(const smtpf_str *entries, size_t n, const correspondent *c)
{
  int most = 0;
  for (size_t i = 0; i < n; i++) {
    const int r = rank(entries[i], c);
    most = r > most ? r : most;
  }
  return most;
}

/* A signature leaves the domain as it is. What a forwarder rewrote is his word: it speaks against a mail, and for it
 * only where he is trusted. */
int smtpf_engine_entry(const smtpf_profile *p, const smtpf_path *sender, const smtpf_ip *client, int trusted)
{
  if (!p->n_allow && !p->n_deny)
    return SMTPF_ENTRY_NONE;
  const int both = SMTPF_UNWRAP_SIGNED | SMTPF_UNWRAP_FORWARDED;
  const correspondent friend = look_behind(sender, client, trusted ? both : SMTPF_UNWRAP_SIGNED);
  const correspondent other = look_behind(sender, client, both);
  const int allow = best(p->allow, p->n_allow, &friend);
  const int deny = best(p->deny, p->n_deny, &other);
  return deny > allow ? SMTPF_ENTRY_DENY : allow ? SMTPF_ENTRY_ALLOW : SMTPF_ENTRY_NONE;
}
