/* SPDX-License-Identifier: MIT
 *
 * helo: what a client calls itself. A bare address, our own name or address, and characters that no host
 * name has are refused; so is an address literal from outside, since real mail servers have names. One
 * label alone is objected to only on request. An underscore is tolerated, a leading hyphen is not. Own clients, and
 * LMTP clients, which are our own mail system, may call themselves what they like.
 *
 * A name that some scope's `helo` covers is looked up: when its addresses contain the client's it is kept as fact
 * `helo.verified`, which makes the client be in that scope. No other name is looked up. While the DNS does not answer,
 * a client with such a name is put off.
 */
#include <smtpfilter/ext/check.h>

enum act { ACT_OFF, ACT_SCORE, ACT_REFUSE }; /* in the order of ACTS */
#define ACTS "off|score|refuse"

enum rule { IMPERSONATION, BARE_ADDRESS, LITERAL, SYNTAX, UNQUALIFIED, RULES, NONE = RULES };

/* How a rule is switched, and what a client hears of it. */
static const struct {
  const char *act, *score, *code, *text;
} rules[RULES] = {
    {"helo.impersonation", "helo.impersonation_score", "impersonation", "your HELO uses a name or address of ours"},
    {"helo.bare_address", "helo.bare_address_score", "bare-address", "your HELO is an address, not a host name"},
    {"helo.literal", "helo.literal_score", "literal", "your HELO is an address literal, not a host name"},
    {"helo.syntax", "helo.syntax_score", "syntax", "your HELO is not a host name"},
    {"helo.unqualified", "helo.unqualified_score", "unqualified", "your HELO is not a fully qualified host name"},
};

static const smtpf_option rows[] = {
    {"helo.impersonation", SMTPF_OPTION_CHOICE, "refuse", 0, 0, ACTS,
     "What to do with a client from outside whose HELO is one of `hostnames`, or the address it connected to, bare "
     "or as a literal. It cannot be us: `refuse` answers 550 5.7.1, `score` charges helo.impersonation_score, `off` "
     "looks away. Own clients are exempt."},
    {"helo.impersonation_score", SMTPF_OPTION_SCORE, "10", -100000, 100000, NULL,
     "What impersonation is charged. A lie about us has no innocent reason, so it weighs as much as a usual refusal "
     "threshold."},
    {"helo.bare_address", SMTPF_OPTION_CHOICE, "refuse", 0, 0, ACTS,
     "What to do with a HELO that is an IP address without brackets, which RFC 5321 4.1.3 does not allow."},
    {"helo.bare_address_score", SMTPF_OPTION_SCORE, "5", -100000, 100000, NULL,
     "What a bare address is charged: half a refusal, as a few appliances in good hands do it too."},
    {"helo.literal", SMTPF_OPTION_CHOICE, "refuse", 0, 0, ACTS,
     "What to do with a HELO that is an address literal, e.g. `[192.0.2.1]`. It is legal (RFC 5321 4.1.4), yet from "
     "outside it is practically always an infected end-user machine. Own clients, for whom it was made, are exempt."},
    {"helo.literal_score", SMTPF_OPTION_SCORE, "4", -100000, 100000, NULL,
     "What a literal is charged: a little less than what is plainly illegal."},
    {"helo.syntax", SMTPF_OPTION_CHOICE, "refuse", 0, 0, ACTS,
     "What to do with a HELO that is not a host name at all: empty or too long labels, a leading or trailing hyphen, "
     "bytes that are not letters, digits or hyphens. Underscores are tolerated."},
    {"helo.syntax_score", SMTPF_OPTION_SCORE, "5", -100000, 100000, NULL,
     "What a HELO that is not a host name is charged: half a refusal, as with a bare address."},
    {"helo.unqualified", SMTPF_OPTION_CHOICE, "off", 0, 0, ACTS,
     "What to do with a HELO of one label, e.g. `mailserver`. RFC 5321 2.3.5 wants a fully qualified name, but many "
     "small sites with good mail are careless here, hence `off`."},
    {"helo.unqualified_score", SMTPF_OPTION_SCORE, "2", -100000, 100000, NULL,
     "What an unqualified name is charged: enough to matter with other signs, not by itself."},
};

typedef struct helo {
  smtpf_mem mem;
  int act[RULES];
  int32_t score[RULES];
  size_t n, n_scoped;
  smtpf_str *scoped; /* domains of scopes, behind the hostnames */
  smtpf_str hostnames[];
} helo;

/* All domains of all scopes' `helo`, into `out` where it is not NULL. How many there are. */
static size_t scoped_domains(const smtpf_section *policy, smtpf_str *out)
{
  size_t n = 0;
  for (size_t i = 0; i < smtpf_section_count(policy, "scopes"); i++) {
    const smtpf_section *scope = smtpf_section_at(policy, "scopes", i);
    for (size_t k = 0; k < smtpf_section_count(scope, "helo"); k++, n++)
      if (out)
        out[n] = smtpf_section_string_at(scope, "helo", k);
  }
  return n;
}

static int helo_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  const size_t n = smtpf_section_count(policy, "hostnames"), n_scoped = scoped_domains(policy, NULL);
  helo *h = mem->alloc(mem->user, sizeof *h + (n + n_scoped) * sizeof h->hostnames[0]);

  (void)err;
  if (!h)
    return SMTPF_ENOMEM;
  h->mem = *mem;
  h->n = n;
  h->n_scoped = n_scoped;
  h->scoped = h->hostnames + n;
  (void)scoped_domains(policy, h->scoped);
  for (size_t i = 0; i < n; i++)
    h->hostnames[i] = smtpf_section_string_at(policy, "hostnames", i);
  for (size_t i = 0; i < RULES; i++) {
    h->act[i] = (int)smtpf_section_number(policy, rules[i].act);
    h->score[i] = (int32_t)smtpf_section_number(policy, rules[i].score);
  }
  *self = h;
  return SMTPF_OK;
}

static int is_ours(const helo *h, const smtpf_event *ev)
{
  smtpf_ip ip;
  for (size_t i = 0; i < h->n; i++)
    if (smtpf_domain_equal(ev->helo, h->hostnames[i]))
      return 1;
  return ev->local && ev->local->family && smtpf_ip_parse(ev->helo, &ip) == SMTPF_OK && smtpf_ip_equal(&ip, ev->local);
}

/* The first rule that is switched on and that this HELO breaks. */
static size_t broken_rule(const helo *h, const smtpf_event *ev)
{
  size_t rule;

  if (h->act[IMPERSONATION] != ACT_OFF && is_ours(h, ev))
    return IMPERSONATION;
  switch (smtpf_domain_form(ev->helo)) {
  case SMTPF_DOMAIN_QUALIFIED:
  case SMTPF_DOMAIN_UNDERSCORE: return NONE;
  case SMTPF_DOMAIN_UNQUALIFIED: rule = UNQUALIFIED; break;
  case SMTPF_DOMAIN_LITERAL: rule = LITERAL; break;
  case SMTPF_DOMAIN_BARE_ADDRESS: rule = BARE_ADDRESS; break;
  default: rule = SYNTAX; break; /* also U-labels: RFC 6531 3.7.1 wants A-labels here */
  }
  return h->act[rule] != ACT_OFF ? rule : NONE;
}

/* ---- a name that gives standing --------------------------------------------------------------------------- */

static int is_scoped(const helo *h, const smtpf_event *ev)
{
  size_t i = 0;
  while (i < h->n_scoped && !smtpf_domain_within(ev->helo, h->scoped[i]))
    i++;
  return i < h->n_scoped && ev->client && ev->client->family;
}

/* Whoever it is may be trusted: to refuse what it brings would be a refusal by a failure of the DNS (promise L4). */
static int not_known(smtpf_task *t)
{
  const smtpf_finding f = {.size = sizeof f,
                           .kind = SMTPF_UNKNOWN,
                           .code = "temperror",
                           .flags = SMTPF_FINDING_DEFER,
                           .detail = smtpf_task_event(t)->helo,
                           .text = SMTPF_LIT("your HELO name cannot be looked up just now"),
                           .reply = 451,
                           .enhanced = "4.4.3"};
  return smtpf_task_report(t, &f);
}

static int ask(smtpf_task *t, const smtpf_event *ev)
{
  const int type = ev->client->family == 6 ? SMTPF_DNS_AAAA : SMTPF_DNS_A;
  return smtpf_task_query(t, type, ev->helo, 0) == SMTPF_OK ? SMTPF_PENDING : not_known(t);
}

static int helo_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  const smtpf_event *ev = smtpf_task_event(t);
  const smtpf_dns_answer *dns = a->dns;

  (void)self;
  if (dns->status == SMTPF_DNS_SERVFAIL || dns->status == SMTPF_DNS_TIMEOUT)
    return not_known(t);
  for (size_t i = 0; dns->status == SMTPF_DNS_OK && i < dns->count; i++)
    if (smtpf_ip_equal(&dns->records[i].ip, ev->client)) {
      const int r = smtpf_task_fact_set(t, "helo.verified", ev->helo, 1);
      return r == SMTPF_OK ? smtpf_task_clear(t, "verified") : r;
    }
  return smtpf_task_clear(t, "not-verified");
}

static int helo_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const helo *h = self;
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT};
  size_t rule;

  if (ev->own || ev->protocol == SMTPF_LMTP)
    return smtpf_task_clear(t, "exempt");
  rule = broken_rule(h, ev);
  if (rule == NONE)
    return is_scoped(h, ev) ? ask(t, ev) : smtpf_task_clear(t, "host-name");
  f.code = rules[rule].code;
  f.score = h->score[rule];
  f.flags = h->act[rule] == ACT_REFUSE ? SMTPF_FINDING_REFUSE : 0;
  f.detail = ev->helo;
  f.text = smtpf_str_of(rules[rule].text);
  return smtpf_task_report(t, &f);
}

static void helo_close(void *self)
{
  helo *h = self;
  if (h)
    h->mem.free(h->mem.user, h);
}

const smtpf_check smtpf_check_helo = {
    .size = sizeof(smtpf_check),
    .name = "helo",
    .stages = SMTPF_HELO,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = helo_open,
    .run = helo_run,
    .resume = helo_resume,
    .close = helo_close,
};
