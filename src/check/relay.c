/* SPDX-License-Identifier: MIT
 *
 * relay: whom we take mail for. A recipient's domain must be one of `local_domains` or `relay_domains`, or the
 * client our own: anything else is refused, for an open relay is everybody's spam cannon. Local parts that
 * try to be routed further by whoever delivers them (the percent hack, bang paths, a slash, a pipe, a leading dot) and
 * source routes are refused as well. `<Postmaster>` without a domain is always ours (RFC 5321 4.1.1.3).
 *
 * An address that we have signed is taken whatever its local part holds; so is one of `srs.domain`, which leads back to
 * where it came from.
 *
 * Leaves the fact `relay.class` for the checks that follow on this recipient: `local`, `relay`, `returns` (SRS, with a
 * good signature), `foreign`, or `refused` for an address that nobody should be bothered with.
 */
#include <smtpfilter/ext/check.h>

static const smtpf_option rows[] = {
    {"relay.refuse_characters", SMTPF_OPTION_STRING, "@%!/|.", 0, 0, NULL,
     "Characters that the local part of a recipient may not contain, with or without quotes; a dot stands for a "
     "leading dot. They once meant routes and files to the programs behind us (`user%elsewhere`, `host!user`, "
     "`/etc/passwd`, `|command`), and who sends them from outside looks for one that still obeys. Take out what your "
     "own addresses use; empty for no such test."},
    {"relay.source_route", SMTPF_OPTION_CHOICE, "refuse", 0, 0, "ignore|refuse",
     "What to do with a recipient that has a source route, `<@a.example:user@b.example>`. RFC 5321 appendix C lets "
     "us decline it; `ignore` judges what stands behind the colon alone."},
    {"relay.literal", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether `user@[address]` is local when the address is the one the client connected to. The directory must then "
     "know such recipients."},
};

/* The domains as a hash table: filled at open, then only read. A host may serve a hundred thousand. */
typedef struct domain_set {
  smtpf_str *slot; /* a power of two, half of them empty (n 0) */
  size_t mask;
} domain_set;

typedef struct relay {
  smtpf_mem mem;
  domain_set local, relay;
  smtpf_str srs;
  smtpf_str characters;
  int refuse_route, literal;
} relay;

/* What becomes of the address: the values of `relay.class`. */
static const char LOCAL[] = "local", RELAY[] = "relay", RETURNS[] = "returns", FOREIGN[] = "foreign",
                  REFUSED[] = "refused";

static smtpf_str without_dot(smtpf_str domain)
{
  if (domain.n && domain.p[domain.n - 1] == '.')
    domain.n--;
  return domain;
}

/* Where `domain` is, or the empty slot where it would be. FNV-1a: the keys are the postmaster's, not a peer's. */
static smtpf_str *domain_slot(const domain_set *s, smtpf_str domain)
{
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < domain.n; i++) {
    unsigned char c = (unsigned char)domain.p[i];
    h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 16777619u;
  }
  for (size_t i = h & s->mask;; i = (i + 1) & s->mask)
    if (!s->slot[i].n || smtpf_domain_equal(s->slot[i], domain))
      return &s->slot[i];
}

static int has_domain(const domain_set *s, smtpf_str domain)
{
  domain = without_dot(domain);
  return domain.n && domain_slot(s, domain)->n;
}

static int read_domains(domain_set *s, const smtpf_mem *mem, const smtpf_section *policy, const char *option)
{
  size_t n = smtpf_section_count(policy, option), slots = 2;

  while (slots < 2 * n)
    slots *= 2;
  s->slot = mem->alloc(mem->user, slots * sizeof *s->slot);
  if (!s->slot)
    return SMTPF_ENOMEM;
  memset(s->slot, 0, slots * sizeof *s->slot);
  s->mask = slots - 1;
  for (size_t i = 0; i < n; i++) {
    smtpf_str domain = without_dot(smtpf_section_string_at(policy, option, i));
    if (domain.n)
      *domain_slot(s, domain) = domain;
  }
  return SMTPF_OK;
}

static void relay_close(void *self)
{
  relay *r = self;
  if (!r)
    return;
  r->mem.free(r->mem.user, r->local.slot);
  r->mem.free(r->mem.user, r->relay.slot);
  r->mem.free(r->mem.user, r);
}

static int relay_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  relay *r = mem->alloc(mem->user, sizeof *r);

  (void)err;
  if (!r)
    return SMTPF_ENOMEM;
  memset(r, 0, sizeof *r);
  r->mem = *mem;
  r->srs = smtpf_section_string(policy, "srs.domain");
  r->characters = smtpf_section_string(policy, "relay.refuse_characters");
  r->refuse_route = smtpf_section_number(policy, "relay.source_route") != 0;
  r->literal = smtpf_section_number(policy, "relay.literal") != 0;
  if (read_domains(&r->local, mem, policy, "local_domains") != SMTPF_OK ||
      read_domains(&r->relay, mem, policy, "relay_domains") != SMTPF_OK) {
    relay_close(r);
    return SMTPF_ENOMEM;
  }
  *self = r;
  return SMTPF_OK;
}

/* Where the address leads, hack or not. */
static const char *class_of(const relay *r, const smtpf_event *ev)
{
  const smtpf_path *to = ev->recipient;
  smtpf_ip ip;

  if (to->form == SMTPF_PATH_POSTMASTER)
    return LOCAL;
  if (to->literal)
    return r->literal && ev->local && ev->local->family && smtpf_ip_parse(to->domain, &ip) == SMTPF_OK &&
                   smtpf_ip_equal(&ip, ev->local)
               ? LOCAL
               : FOREIGN;
  if (ev->returns_to.n)
    return RETURNS;
  if (has_domain(&r->local, to->domain) || (r->srs.n && smtpf_domain_equal(r->srs, to->domain)))
    return LOCAL;
  return has_domain(&r->relay, to->domain) ? RELAY : FOREIGN;
}

/* Whether the local part holds one of the refused characters; quotes and backslashes around them do not matter. */
static int is_hack(const relay *r, const smtpf_path *to)
{
  smtpf_str s = to->local_part;
  if (to->quoted && s.n >= 2)
    s = (smtpf_str){s.p + 1, s.n - 2};
  if (to->quoted && s.n && s.p[0] == '\\')
    s = (smtpf_str){s.p + 1, s.n - 1};
  for (size_t i = 0; i < s.n; i++)
    if ((s.p[i] != '.' || i == 0) && r->characters.n && memchr(r->characters.p, s.p[i], r->characters.n))
      return 1;
  return 0;
}

static int leave_class(smtpf_task *t, const char *class)
{
  return smtpf_task_fact_set(t, "relay.class", smtpf_str_of(class), 0);
}

static int refuse(smtpf_task *t, const char *code, const char *class, smtpf_str detail, const char *text)
{
  const int denied = class == FOREIGN;
  smtpf_finding f = {.size = sizeof f,
                     .kind = SMTPF_HIT,
                     .code = code,
                     .flags = SMTPF_FINDING_REFUSE,
                     .detail = detail,
                     .text = smtpf_str_of(text),
                     .reply = denied ? 550 : 553,
                     .enhanced = denied ? "5.7.1" : "5.1.3"};
  int rc = leave_class(t, class);
  return rc != SMTPF_OK ? rc : smtpf_task_report(t, &f);
}

static int relay_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const relay *r = self;
  const smtpf_path *to = ev->recipient;
  const char *class = class_of(r, ev);
  int rc;

  if (!ev->own) {
    if (r->refuse_route && to->route.n)
      return refuse(t, "source-route", REFUSED, to->route, "source routes are not accepted");
    if (ev->signature != SMTPF_SIGNATURE_GOOD && is_hack(r, to))
      return refuse(t, "address-hack", REFUSED, to->local_part, "such a local part is not accepted");
    if (class == FOREIGN)
      return refuse(t, "denied", FOREIGN, to->domain, "relaying denied");
  }
  rc = leave_class(t, class);
  return rc != SMTPF_OK ? rc : smtpf_task_clear(t, ev->own ? "own" : class);
}

const smtpf_check smtpf_check_relay = {
    .size = sizeof(smtpf_check),
    .name = "relay",
    .family = SMTPF_FAMILY_ENVELOPE,
    .stages = SMTPF_RCPT,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = relay_open,
    .run = relay_run,
    .close = relay_close,
    .failure = SMTPF_FINDING_DEFER,
};
