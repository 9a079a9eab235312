/* SPDX-License-Identifier: MIT
 *
 * iprev: whether the client's address has a name that leads back to it (RFC 8601 2.7.3). The PTR records of the
 * address are asked for, then the addresses of each name:
 *
 *     pass       one of the names has the client's address; the first such is kept as fact `iprev.name`
 *     fail       there are names, and none of them has it
 *     permerror  no PTR record is published
 *     temperror  the DNS failed before anything was certain
 *
 * A data point, never a refusal alone: much good mail comes from addresses without a name.
 */
#include <smtpfilter/ext/check.h>

#define NAMES_MAX 10 /* as SPF's ptr limit, RFC 7208 4.6.4: the answer's owner chooses how many lookups we make */
#define SCORE_MAX 5000

static const smtpf_option rows[] = {
    {"iprev.enable", SMTPF_OPTION_BOOL, "true", 0, 1, NULL,
     "Whether the client's name is looked up and verified (RFC 8601 iprev, also called FCrDNS). A host that hands "
     "over a verified name spares the lookups."},
    {"iprev.score_fail", SMTPF_OPTION_SCORE, "0", 0, SCORE_MAX, NULL,
     "What a client is charged whose names do not lead back to its address. Zero, because careless zones are common "
     "among honest senders; bounded so that it is no refusal by itself. Give it a point to let `delay.on_hit` act on "
     "it."},
    {"iprev.score_permerror", SMTPF_OPTION_SCORE, "0", 0, SCORE_MAX, NULL,
     "What a client is charged whose address has no name at all. As iprev.score_fail; end-user machines are often "
     "like that, and so are small sites whose provider does not delegate the reverse zone."},
};

typedef struct iprev {
  smtpf_mem mem;
  int32_t score_fail, score_permerror;
} iprev;

enum state { WAITS, AGREES, DIFFERS, FAILED };

typedef struct lookup {
  size_t n;
  struct {
    smtpf_str name;
    enum state state;
  } names[NAMES_MAX];
} lookup;

#define TAG_PTR NAMES_MAX /* else the index of the name */

static int iprev_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  iprev *p;

  (void)err;
  if (!smtpf_section_number(policy, "iprev.enable"))
    return SMTPF_OK;
  p = mem->alloc(mem->user, sizeof *p);
  if (!p)
    return SMTPF_ENOMEM;
  p->mem = *mem;
  p->score_fail = (int32_t)smtpf_section_number(policy, "iprev.score_fail");
  p->score_permerror = (int32_t)smtpf_section_number(policy, "iprev.score_permerror");
  *self = p;
  return SMTPF_OK;
}

static int report(smtpf_task *t, int kind, const char *code, int32_t score, smtpf_str detail)
{
  smtpf_finding f = {.size = sizeof f, .kind = kind, .code = code, .score = score, .detail = detail};
  if (score > 0)
    f.text = SMTPF_JOIN(t, smtpf_task_event(t)->client_text, SMTPF_LIT(" has no name that leads back to it"));
  return smtpf_task_report(t, &f);
}

static int pass(smtpf_task *t, smtpf_str name)
{
  int r = smtpf_task_fact_set(t, "iprev.name", name, 1);
  return r != SMTPF_OK ? r : report(t, SMTPF_CLEAR, "pass", 0, name);
}

/* Done as soon as the first name that agrees is certain: the order of the answer decides, not of arrival. */
static int conclude(const iprev *p, smtpf_task *t, const lookup *l)
{
  int failed = 0;
  for (size_t i = 0; i < l->n; i++)
    switch (l->names[i].state) {
    case WAITS: return SMTPF_PENDING;
    case AGREES: return pass(t, l->names[i].name);
    case FAILED: failed = 1; break;
    case DIFFERS: break;
    }
  if (failed)
    return report(t, SMTPF_UNKNOWN, "temperror", 0, SMTPF_LIT("address lookup failed"));
  return report(t, SMTPF_HIT, "fail", p->score_fail, l->names[0].name);
}

static int ask_addresses(const iprev *p, smtpf_task *t, lookup *l, const smtpf_dns_answer *ptr)
{
  int type = smtpf_task_event(t)->client->family == 6 ? SMTPF_DNS_AAAA : SMTPF_DNS_A;

  for (size_t i = 0; i < ptr->count && l->n < NAMES_MAX; i++)
    if (ptr->records[i].type == SMTPF_DNS_PTR && ptr->records[i].text.n) {
      l->names[l->n].name = smtpf_task_join(t, &ptr->records[i].text, 1);
      if (!l->names[l->n++].name.n)
        return SMTPF_ENOMEM;
    }
  if (!l->n)
    return report(t, SMTPF_UNKNOWN, "temperror", 0, SMTPF_LIT("PTR answer without a name"));
  for (size_t i = 0; i < l->n; i++)
    switch (smtpf_domain_form(l->names[i].name)) {
    case SMTPF_DOMAIN_QUALIFIED:
    case SMTPF_DOMAIN_UNQUALIFIED:
    case SMTPF_DOMAIN_UNDERSCORE:
      if (smtpf_task_query(t, type, l->names[i].name, (uint32_t)i) != SMTPF_OK)
        l->names[i].state = FAILED;
      break;
    default: l->names[i].state = DIFFERS; break; /* not a host name, hence without addresses */
    }
  return conclude(p, t, l);
}

static int iprev_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  char name[256];
  lookup *l;
  int r;

  (void)self;
  if (ev->rdns.n)
    return pass(t, ev->rdns);
  if (ev->own || !ev->client || !ev->client->family)
    return smtpf_task_clear(t, "exempt");
  l = smtpf_task_alloc(t, sizeof *l);
  if (!l)
    return SMTPF_ENOMEM;
  *smtpf_task_slot(t) = l;
  r = smtpf_ip_reverse(ev->client, ev->client->family == 6 ? SMTPF_LIT("ip6.arpa") : SMTPF_LIT("in-addr.arpa"), name,
                       sizeof name);
  if (r < 0)
    return r;
  r = smtpf_task_query(t, SMTPF_DNS_PTR, (smtpf_str){name, (size_t)r}, TAG_PTR);
  return r != SMTPF_OK ? r : SMTPF_PENDING;
}

static int iprev_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  const iprev *p = self;
  lookup *l = *smtpf_task_slot(t);
  const smtpf_dns_answer *dns = a->dns;
  const int none = dns->status == SMTPF_DNS_NXDOMAIN || dns->status == SMTPF_DNS_NODATA;

  if (a->tag == TAG_PTR) {
    if (none)
      return report(t, SMTPF_HIT, "permerror", p->score_permerror, SMTPF_LIT("no PTR record"));
    if (dns->status != SMTPF_DNS_OK)
      return report(t, SMTPF_UNKNOWN, "temperror", 0, SMTPF_LIT("PTR lookup failed"));
    return ask_addresses(p, t, l, dns);
  }
  if (a->tag >= l->n)
    return SMTPF_PENDING;
  l->names[a->tag].state = none || dns->status == SMTPF_DNS_OK ? DIFFERS : FAILED;
  for (size_t i = 0; dns->status == SMTPF_DNS_OK && i < dns->count; i++)
    if (smtpf_ip_equal(&dns->records[i].ip, smtpf_task_event(t)->client))
      l->names[a->tag].state = AGREES;
  return conclude(p, t, l);
}

static void iprev_close(void *self)
{
  iprev *p = self;
  if (p)
    p->mem.free(p->mem.user, p);
}

const smtpf_check smtpf_check_iprev = {
    .size = sizeof(smtpf_check),
    .name = "iprev",
    .stages = SMTPF_CONNECT,
    .tier = 2,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = iprev_open,
    .run = iprev_run,
    .resume = iprev_resume,
    .close = iprev_close,
};
