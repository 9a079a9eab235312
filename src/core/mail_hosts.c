/* SPDX-License-Identifier: MIT */
#include "mail_hosts.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "driver.h"

/* NAMES is also how many hosts are given; no name may fill that list alone. */
enum { NAMES = 16, ADDRESSES_OF_ONE = 4, FAMILIES = 2, NAME_MAX_LENGTH = 253 };

typedef struct name {
  char text[NAME_MAX_LENGTH];
  uint8_t n;
  uint16_t preference;
  uint32_t order; /* among equal ones: random */
  smtpf_ip ips[FAMILIES][ADDRESSES_OF_ONE];
  uint8_t count[FAMILIES];
} name;

typedef struct search search;

/* One question. */
typedef struct ask {
  search *of;
  uint8_t name, family;
} ask;

struct search {
  smtpf_link in_driver;
  smtpf_driver *driver;
  smtpf_mail_hosts_fn fn;
  void *user;
  char domain[NAME_MAX_LENGTH + 1];
  size_t open; /* questions under way, and one as long as more are being asked */
  int failed;  /* the DNS did not answer one of them */
  size_t n;
  name names[NAMES];
  ask asks[NAMES][FAMILIES];
};

static void tell(search *s, int status, const smtpf_mail_host *hosts, size_t n)
{
  const smtpf_mail_hosts_fn fn = s->fn;
  void *user = s->user;
  smtpf_list_remove(&s->in_driver);
  fn(user, status, hosts, n);
  smtpf_mem_free(&s->driver->mem, s);
}

void smtpf_mail_hosts_free(smtpf_driver *d)
{
  while (!smtpf_list_empty(&d->searches)) {
    search *s = SMTPF_OF(d->searches.next, search, in_driver);
    smtpf_list_remove(&s->in_driver);
    smtpf_mem_free(&d->mem, s);
  }
}

/* ---- addresses ---- */

static void finish(search *s)
{
  smtpf_mail_host hosts[NAMES];
  size_t n = 0;
  for (size_t i = 0; i < s->n; i++)
    for (size_t family = 0; family < FAMILIES; family++)
      for (size_t k = 0; k < s->names[i].count[family] && n < NAMES; k++)
        hosts[n++] = (smtpf_mail_host){.size = sizeof *hosts,
                                       .name = {s->names[i].text, s->names[i].n},
                                       .ip = s->names[i].ips[family][k],
                                       .preference = s->names[i].preference};
  if (n)
    tell(s, SMTPF_MAIL_HOSTS_OK, hosts, n);
  else
    tell(s, s->failed ? SMTPF_MAIL_HOSTS_UNKNOWN : SMTPF_MAIL_HOSTS_ABSENT, NULL, 0);
}

static void one_less(search *s)
{
  if (--s->open == 0)
    finish(s);
}

static int failed(const smtpf_dns_answer *a)
{
  return a->status == SMTPF_DNS_SERVFAIL || a->status == SMTPF_DNS_TIMEOUT;
}

/* `0.0.0.0` and `::` are no hosts: a connection there would find ourselves. */
static int is_host(const smtpf_ip *ip)
{
  static const uint8_t none[sizeof ip->bytes] = {0};
  return ip->family && memcmp(ip->bytes, none, sizeof none) != 0;
}

static void got_addresses(void *user, const smtpf_dns_answer *a)
{
  const ask *q = user;
  search *s = q->of;
  name *of = &s->names[q->name];
  s->failed |= failed(a);
  for (size_t i = 0; a->status == SMTPF_DNS_OK && i < a->count; i++)
    if (is_host(&a->records[i].ip) && of->count[q->family] < ADDRESSES_OF_ONE)
      of->ips[q->family][of->count[q->family]++] = a->records[i].ip;
  one_less(s);
}

static void ask_addresses(search *s)
{
  static const int types[FAMILIES] = {SMTPF_DNS_A, SMTPF_DNS_AAAA};
  s->open++; /* answers that come at once must not end it */
  for (size_t i = 0; i < s->n; i++)
    for (size_t family = 0; family < FAMILIES; family++) {
      ask *q = &s->asks[i][family];
      *q = (ask){s, (uint8_t)i, (uint8_t)family};
      s->open++;
      const smtpf_str host = {s->names[i].text, s->names[i].n};
      const int r = smtpf_driver_query(s->driver, types[family], host, got_addresses, q);
      if (r != SMTPF_OK) {
        s->failed |= r != SMTPF_EINVAL; /* a name that cannot be asked for has no address */
        s->open--;
      }
    }
  one_less(s);
}

/* ---- names ---- */

static int comes_before(const name *a, const name *b)
{
  return a->preference != b->preference ? a->preference < b->preference : a->order < b->order;
}

/* Among the best, unless there are enough better ones. */
static void add_name(search *s, smtpf_str text, uint16_t preference, uint32_t order)
{
  name one = {.preference = preference, .order = order};
  if (!text.n || text.n > sizeof one.text)
    return;
  memcpy(one.text, text.p, text.n);
  one.n = (uint8_t)text.n;
  size_t at = s->n < NAMES ? s->n++ : NAMES;
  for (; at > 0 && comes_before(&one, &s->names[at - 1]); at--)
    if (at < NAMES)
      s->names[at] = s->names[at - 1];
  if (at < NAMES)
    s->names[at] = one;
}

static uint32_t random_order(const smtpf_driver *d)
{
  uint32_t order = 0;
  if (d->ports.random->fill(d->ports.random->user, &order, sizeof order) != SMTPF_OK)
    order = 0; /* then they keep the order of the answer */
  return order;
}

static void got_mx(void *user, const smtpf_dns_answer *a)
{
  search *s = user;
  const smtpf_str domain = smtpf_str_of(s->domain);
  if (a->status == SMTPF_DNS_NXDOMAIN) {
    tell(s, SMTPF_MAIL_HOSTS_ABSENT, NULL, 0);
  } else if (failed(a)) {
    tell(s, SMTPF_MAIL_HOSTS_UNKNOWN, NULL, 0);
  } else if (a->status == SMTPF_DNS_OK && a->count == 1 && !a->records[0].text.n) {
    tell(s, SMTPF_MAIL_HOSTS_NULL, NULL, 0);
  } else {
    for (size_t i = 0; a->status == SMTPF_DNS_OK && i < a->count; i++)
      add_name(s, a->records[i].text, a->records[i].preference, random_order(s->driver));
    if (a->status != SMTPF_DNS_OK || !a->count)
      add_name(s, domain, 0, 0);
    ask_addresses(s);
  }
}

int smtpf_driver_mail_hosts(smtpf_driver *d, smtpf_str domain, smtpf_mail_hosts_fn fn, void *user)
{
  smtpf_mail_host literal = {.size = sizeof literal, .name = domain};
  if (smtpf_ip_parse(domain, &literal.ip) == SMTPF_OK) {
    const size_t n = is_host(&literal.ip) ? 1 : 0;
    fn(user, n ? SMTPF_MAIL_HOSTS_OK : SMTPF_MAIL_HOSTS_ABSENT, &literal, n);
    return SMTPF_OK;
  }
  if (domain.n && domain.p[domain.n - 1] == '.')
    domain.n--;
  if (!domain.n || domain.n > NAME_MAX_LENGTH || memchr(domain.p, '\0', domain.n))
    return SMTPF_EINVAL;
  search *s = smtpf_mem_zalloc(&d->mem, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->driver = d;
  s->fn = fn;
  s->user = user;
  memcpy(s->domain, domain.p, domain.n);
  smtpf_list_append(&d->searches, &s->in_driver);
  int r = smtpf_driver_query(d, SMTPF_DNS_MX, domain, got_mx, s);
  if (r != SMTPF_OK) {
    smtpf_list_remove(&s->in_driver);
    smtpf_mem_free(&d->mem, s);
  }
  return r;
}
