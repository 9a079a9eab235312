/* SPDX-License-Identifier: MIT
 *
 * dnslist: lists of client addresses that are kept in the DNS (RFC 5782), those that block and those that allow.
 * All lists are asked at once for an A record; what it says is worth what the policy says. Only answers that were
 * asked for count: 127.255.255.0/24 is how public lists say that they will not answer, and an address outside
 * 127.0.0.0/8 comes from a zone that has died or a resolver that lies; both are unknown, and so is an
 * answer that fails or does not come in time. The text for the client, a TXT record, is fetched only when
 * the A record counted against it.
 *
 * Findings are reported in the order of the lists in the policy, whatever the order of the answers.
 *
 * At the end of a message the lists are asked once more, about the host that gave it to a client whom a recipient
 * trusts (sources.h): what they say of the client itself is nothing to that recipient.
 */
#include "sources.h"

#define RECORDS_MAX 32  /* of one answer */
#define TXT_MAX 200     /* bytes shown of a TXT record */
#define REVERSED_MAX 64 /* 32 nibbles and their dots */

static const smtpf_option rows[] = {
    {"dnslists[zone]", SMTPF_OPTION_LIST, NULL, 0, 100, NULL,
     "DNS lists of client addresses, by their zone, e.g. `zen.example`. All are asked at once when a client "
     "connects; their scores add up. Own clients are not looked up. A list that fails is unknown and adds nothing. "
     "A recipient's forwarders, mailing lists and backup MXs are not charged; at the end of the message the host that "
     "gave it to them is asked about instead. Each list takes two of `limits.operations`."},
    {"dnslists[zone].score", SMTPF_OPTION_SCORE, "5", -100000, 100000, NULL,
     "What a listing is worth in a list without `codes`, where every answer in 127.0.0.0/8 but those in "
     "127.255.255.0/24 counts; negative for a list of good clients. The default is half a usual refusal: one list "
     "errs, two seldom do."},
    {"dnslists[zone].timeout", SMTPF_OPTION_TIME, "5s", 10, 60000, NULL,
     "How long this list may take, the TXT record included. Then it is unknown, or listed without its text."},
    {"dnslists[zone].txt", SMTPF_OPTION_BOOL, "true", 0, 1, NULL,
     "Whether a client that is charged is told the list's own words: its TXT record."},
    {"dnslists[zone].text", SMTPF_OPTION_STRING, NULL, 0, 0, NULL,
     "What the client is told instead of the TXT record, which is then not asked for."},
    {"dnslists[zone].as", SMTPF_OPTION_STRING, NULL, 0, 0, NULL,
     "The list's name in replies, for zones whose name is a secret key. A TXT record that contains the zone is then "
     "not shown either. The log has the zone."},
    {"dnslists[zone].ipv6", SMTPF_OPTION_BOOL, "true", 0, 1, NULL,
     "Whether the list is asked about IPv6 clients. Switch it off for zones that hold IPv4 addresses only."},
    {"dnslists[zone].codes[match]", SMTPF_OPTION_LIST, NULL, 0, 256, NULL,
     "Which answers count, and for how much; all others count for nothing. A match is one address (`127.0.0.2`), a "
     "range in the last octet (`127.0.0.4-7`) or a prefix (`127.0.2.0/24`), inside 127.0.0.0/8; 127.255.255.0/24 "
     "never counts. Of several codes that match one answer, the one whose score is farthest from zero counts; each "
     "code counts once, however many answers match it; the scores of different codes add up."},
    {"dnslists[zone].codes[match].score", SMTPF_OPTION_SCORE, "5", -100000, INT32_MAX, NULL,
     "What this answer is worth; negative speaks for the client. `off`: as if the code were not there. The default "
     "is that of a whole list."},
    {"dnslists[zone].codes[match].as", SMTPF_OPTION_STRING, NULL, 0, 0, NULL,
     "What this answer means, in words for the client and the log: `known spammer`."},
    {"dnslists[zone].codes[match].open_relay", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether this answer says that the client is an open relay or proxy. A forwarder, backup MX or mailing list is no "
     "longer trusted while it is: what it hands on is refused like a stranger's."},
};

typedef struct code {
  uint32_t lo, hi; /* addresses that match; lo > hi for none */
  int32_t score;
  int open_relay;
  smtpf_str as;
} code;

typedef struct list {
  smtpf_str zone, name, text;
  int32_t score;
  int64_t timeout_ms;
  int txt, ipv6, hide;
  code *codes;
  size_t n;
} list;

typedef struct dnslist {
  smtpf_mem mem;
  int sources; /* some recipient may trust some client */
  size_t n;
  list lists[];
} dnslist;

/* ---- policy ---------------------------------------------------------------------------------------- */

static uint32_t number_of(const smtpf_ip *ip)
{
  return (uint32_t)ip->bytes[0] << 24 | (uint32_t)ip->bytes[1] << 16 | (uint32_t)ip->bytes[2] << 8 | ip->bytes[3];
}

/* Inside 127.0.0.0/8, outside 127.255.255.0/24. */
static int is_sane(uint32_t address)
{
  return address >> 24 == 127 && address >> 8 != 0x7fffff;
}

/* `127.0.0.2`, `127.0.0.4-7`, `127.0.2.0/24` */
static int parse_match(smtpf_str text, uint32_t *lo, uint32_t *hi)
{
  const char *hyphen = text.n ? memchr(text.p, '-', text.n) : NULL;
  smtpf_str first = {text.p, hyphen ? (size_t)(hyphen - text.p) : text.n};
  smtpf_prefix p;

  if (smtpf_prefix_parse(first, &p) != SMTPF_OK || p.ip.family != 4)
    return SMTPF_EPARSE;
  *lo = number_of(&p.ip);
  *hi = p.len ? *lo | (p.len == 32 ? 0 : UINT32_MAX >> p.len) : UINT32_MAX;
  if (hyphen) {
    uint32_t last = 0;
    smtpf_str digits = {hyphen + 1, text.n - first.n - 1};
    if (p.len != 32 || memchr(first.p, '/', first.n) || !digits.n || digits.n > 3)
      return SMTPF_EPARSE;
    for (size_t i = 0; i < digits.n; i++) {
      if (digits.p[i] < '0' || digits.p[i] > '9')
        return SMTPF_EPARSE;
      last = last * 10 + (uint32_t)(digits.p[i] - '0');
    }
    if (last > 255 || last < (*lo & 255))
      return SMTPF_EPARSE;
    *hi = (*lo & ~UINT32_C(255)) | last;
  }
  return *hi >= *lo && is_sane(*lo) && *hi >> 24 == 127 ? SMTPF_OK : SMTPF_EPARSE;
}

static int open_code(code *c, const smtpf_section *s, smtpf_error *err)
{
  smtpf_str match = smtpf_section_string(s, "match");

  c->as = smtpf_section_string(s, "as");
  c->score = (int32_t)smtpf_section_number(s, "score");
  c->open_relay = smtpf_section_number(s, "open_relay") != 0;
  if (parse_match(match, &c->lo, &c->hi) != SMTPF_OK)
    return smtpf_section_fail(s, "match", err, SMTPF_EPARSE, "not an answer of a DNS list", match,
                              "127.0.0.2, 127.0.0.4-7 or 127.0.2.0/24, outside 127.255.255.0/24");
  if (c->score == SMTPF_SCORE_OFF) {
    c->lo = 1;
    c->hi = 0;
  }
  return SMTPF_OK;
}

static int open_list(list *l, const smtpf_section *s, const smtpf_mem *mem, smtpf_error *err)
{
  size_t n = smtpf_section_count(s, "codes");
  smtpf_str as = smtpf_section_string(s, "as");
  int form;

  l->zone = smtpf_section_string(s, "zone");
  if (l->zone.n && l->zone.p[l->zone.n - 1] == '.')
    l->zone.n--;
  form = smtpf_domain_form(l->zone);
  if ((form != SMTPF_DOMAIN_QUALIFIED && form != SMTPF_DOMAIN_UNQUALIFIED && form != SMTPF_DOMAIN_UNDERSCORE) ||
      l->zone.n > 253 - REVERSED_MAX)
    return smtpf_section_fail(s, "zone", err, SMTPF_EPARSE, "not a zone", l->zone,
                              "a domain name of at most 189 bytes");
  l->name = as.n ? as : l->zone;
  l->hide = as.n > 0;
  l->text = smtpf_section_string(s, "text");
  l->score = (int32_t)smtpf_section_number(s, "score");
  l->timeout_ms = smtpf_section_number(s, "timeout");
  l->txt = smtpf_section_number(s, "txt") != 0 && !l->text.n;
  l->ipv6 = smtpf_section_number(s, "ipv6") != 0;
  if (n) {
    l->codes = mem->alloc(mem->user, n * sizeof *l->codes);
    if (!l->codes)
      return SMTPF_ENOMEM;
  }
  for (l->n = 0; l->n < n; l->n++) {
    int r = open_code(&l->codes[l->n], smtpf_section_at(s, "codes", l->n), err);
    if (r != SMTPF_OK)
      return r;
  }
  return SMTPF_OK;
}

static void dnslist_close(void *self)
{
  dnslist *d = self;
  if (!d)
    return;
  for (size_t i = 0; i < d->n; i++)
    d->mem.free(d->mem.user, d->lists[i].codes);
  d->mem.free(d->mem.user, d);
}

static int dnslist_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  size_t n = smtpf_section_count(policy, "dnslists");
  dnslist *d;

  if (!n)
    return SMTPF_OK;
  d = mem->alloc(mem->user, sizeof *d + n * sizeof d->lists[0]);
  if (!d)
    return SMTPF_ENOMEM;
  memset(d, 0, sizeof *d + n * sizeof d->lists[0]);
  d->mem = *mem;
  d->n = n;
  d->sources = sources_expected(policy);
  for (size_t i = 0; i < n; i++) {
    int r = open_list(&d->lists[i], smtpf_section_at(policy, "dnslists", i), mem, err);
    if (r != SMTPF_OK) {
      dnslist_close(d);
      return r;
    }
  }
  *self = d;
  return SMTPF_OK;
}

/* ---- one client, or the sources behind it ------------------------------------------------------------ */

enum { TAG_A, TAG_TXT, TAG_TIMER, TAGS }; /* a tag is TAGS * (index of the entry) + one of these */

enum phase { SKIPPED, ASKS_A, ASKS_TXT, SETTLED };

/* What is known of one address by one list. */
typedef struct entry {
  const list *list;
  size_t source; /* which one; of the client itself 0 */
  enum phase phase;
  int kind; /* smtpf_evidence_kind, once settled */
  const char *word;
  int32_t score;
  int open_relay;
  smtpf_str detail, as, txt;
} entry;

typedef struct inquiry {
  sources sources; /* none: it is about the client */
  size_t reported; /* entries before this one are */
  size_t n;
  entry entries[]; /* by list, then by source */
} inquiry;

static const smtpf_ip *ip_of(smtpf_task *t, const inquiry *q, const entry *e)
{
  return q->sources.n ? &q->sources.v[e->source].ip : smtpf_task_event(t)->client;
}

static smtpf_str text_of(smtpf_task *t, const inquiry *q, const entry *e)
{
  return q->sources.n ? q->sources.v[e->source].text : smtpf_task_event(t)->client_text;
}

static void settle(entry *e, int kind, const char *word, int32_t score, smtpf_str detail)
{
  e->phase = SETTLED;
  e->kind = kind;
  e->word = word;
  e->score = score;
  e->detail = detail;
}

/* `192.0.2.25 is listed by zen.example as known spammer: see https://...` */
static smtpf_str text_for(smtpf_task *t, smtpf_str address, const entry *e)
{
  const list *l = e->list;
  smtpf_str words = l->text.n ? l->text : e->txt;

  if (e->kind != SMTPF_HIT || e->score <= 0)
    return (smtpf_str){NULL, 0};
  return SMTPF_JOIN(t, address, SMTPF_LIT(" is listed by "), l->name, e->as.n ? SMTPF_LIT(" as ") : SMTPF_LIT(""),
                    e->as, words.n ? SMTPF_LIT(": ") : SMTPF_LIT(""), words);
}

/* Reports every entry that is settled and has no open one before it. */
static int report(smtpf_task *t, inquiry *q)
{
  for (; q->reported < q->n; q->reported++) {
    const entry *e = &q->entries[q->reported];
    smtpf_finding f = {.size = sizeof f, .kind = e->kind, .code = e->word, .score = e->score};
    int r;
    if (e->phase == SKIPPED)
      continue;
    if (e->phase != SETTLED)
      return SMTPF_PENDING;
    f.detail = SMTPF_JOIN(t, e->list->zone, e->detail.n ? SMTPF_LIT(" ") : SMTPF_LIT(""), e->detail);
    f.text = text_for(t, text_of(t, q, e), e);
    if (e->kind == SMTPF_HIT && e->open_relay)
      f.flags |= SMTPF_FINDING_OPEN_RELAY;
    r = q->sources.n ? sources_report(t, &q->sources, e->source, &f) : smtpf_task_report(t, &f);
    if (r != SMTPF_OK)
      return r;
  }
  return SMTPF_OK;
}

static int ask(smtpf_task *t, const inquiry *q, const entry *e, int type, uint32_t tag)
{
  char name[256];
  int n = smtpf_ip_reverse(ip_of(t, q, e), e->list->zone, name, sizeof name);
  return n < 0 ? n : smtpf_task_query(t, type, (smtpf_str){name, (size_t)n}, tag);
}

/* The code that an answer counts as: of those that match, the one farthest from zero; NULL for none. */
static const code *code_of(const list *l, uint32_t address)
{
  const code *best = NULL;
  for (size_t i = 0; i < l->n; i++) {
    const code *c = &l->codes[i];
    int64_t weight = c->score < 0 ? -(int64_t)c->score : c->score;
    if (address >= c->lo && address <= c->hi &&
        (!best || weight > (best->score < 0 ? -(int64_t)best->score : best->score)))
      best = c;
  }
  return best;
}

/* What the addresses that a list answered are worth: fills score, `as` and detail. Returns whether any counts. */
static int judge(smtpf_task *t, const list *l, entry *e, const uint32_t *addresses, size_t n)
{
  const code *counted[RECORDS_MAX], *strongest = NULL;
  smtpf_str parts[2 * RECORDS_MAX];
  char text[RECORDS_MAX][SMTPF_IP_TEXT];
  size_t codes = 0, any = 0, k;
  int64_t score = l->n ? 0 : l->score;

  for (size_t i = 0; i < n; i++) {
    const smtpf_ip ip = {4,
                         {(uint8_t)(addresses[i] >> 24), (uint8_t)(addresses[i] >> 16), (uint8_t)(addresses[i] >> 8),
                          (uint8_t)addresses[i]}};
    const code *c = code_of(l, addresses[i]);
    parts[2 * i] = i ? SMTPF_LIT(" ") : SMTPF_LIT("");
    parts[2 * i + 1] = (smtpf_str){text[i], smtpf_ip_format(&ip, text[i])};
    any |= !l->n || c;
    for (k = 0; c && k < codes && counted[k] != c; k++)
      ;
    if (!c || k < codes)
      continue;
    counted[codes++] = c;
    score += c->score;
    e->open_relay |= c->open_relay;
    if (!strongest || c->score > strongest->score)
      strongest = c;
  }
  e->score = (int32_t)(score < SMTPF_SCORE_OFF ? score : SMTPF_SCORE_OFF - 1); /* 32 codes of a million each */
  e->as = strongest ? strongest->as : (smtpf_str){NULL, 0};
  e->detail = smtpf_task_join(t, parts, 2 * n);
  return any != 0;
}

static int answer_a(smtpf_task *t, const inquiry *q, entry *e, const smtpf_dns_answer *dns, uint32_t tag)
{
  const list *l = e->list;
  uint32_t addresses[RECORDS_MAX];
  size_t n = 0;

  switch (dns->status) {
  case SMTPF_DNS_OK: break;
  case SMTPF_DNS_NXDOMAIN:
  case SMTPF_DNS_NODATA: settle(e, SMTPF_CLEAR, "not-listed", 0, (smtpf_str){NULL, 0}); return SMTPF_OK;
  case SMTPF_DNS_TIMEOUT: settle(e, SMTPF_UNKNOWN, "timeout", 0, (smtpf_str){NULL, 0}); return SMTPF_OK;
  default: settle(e, SMTPF_UNKNOWN, "servfail", 0, (smtpf_str){NULL, 0}); return SMTPF_OK;
  }
  for (size_t i = 0; i < dns->count && n < RECORDS_MAX; i++) {
    const smtpf_dns_record *r = &dns->records[i];
    char text[SMTPF_IP_TEXT];
    if (r->type != SMTPF_DNS_A || r->ip.family != 4)
      continue;
    addresses[n] = number_of(&r->ip);
    if (!is_sane(addresses[n++])) {
      smtpf_str address = {text, smtpf_ip_format(&r->ip, text)};
      settle(e, SMTPF_UNKNOWN, "bad-answer", 0, smtpf_task_join(t, &address, 1));
      return SMTPF_OK;
    }
  }
  if (!n)
    settle(e, SMTPF_UNKNOWN, "bad-answer", 0, SMTPF_LIT("no address"));
  else if (!judge(t, l, e, addresses, n))
    settle(e, SMTPF_CLEAR, "not-listed", 0, e->detail);
  else if (e->score > 0 && l->txt && ask(t, q, e, SMTPF_DNS_TXT, tag + TAG_TXT) == SMTPF_OK)
    e->phase = ASKS_TXT;
  else
    settle(e, SMTPF_HIT, "listed", e->score, e->detail);
  return SMTPF_OK;
}

/* Whether a text names the zone, which may be a key. */
static int names_zone(smtpf_str text, smtpf_str zone)
{
  for (size_t i = 0; i + zone.n <= text.n; i++)
    if (smtpf_str_equal_nocase((smtpf_str){text.p + i, zone.n}, zone))
      return 1;
  return 0;
}

static void answer_txt(smtpf_task *t, entry *e, const smtpf_dns_answer *dns)
{
  const list *l = e->list;
  if (dns->status == SMTPF_DNS_OK && dns->count && dns->records[0].type == SMTPF_DNS_TXT) {
    smtpf_str txt = dns->records[0].text;
    if (txt.n > TXT_MAX)
      txt.n = TXT_MAX;
    if (!l->hide || !names_zone(dns->records[0].text, l->zone))
      e->txt = smtpf_task_join(t, &txt, 1);
  }
  settle(e, SMTPF_HIT, "listed", e->score, e->detail);
}

static void begin(smtpf_task *t, const inquiry *q, entry *e, uint32_t tag)
{
  int r;
  if (ip_of(t, q, e)->family == 6 && !e->list->ipv6)
    return;
  e->phase = ASKS_A;
  r = smtpf_task_timer(t, e->list->timeout_ms, tag + TAG_TIMER);
  if (r == SMTPF_OK)
    r = ask(t, q, e, SMTPF_DNS_A, tag + TAG_A);
  if (r != SMTPF_OK)
    settle(e, SMTPF_UNKNOWN, "not-asked", 0, smtpf_str_of(smtpf_strerror(r)));
}

/* Asks every list about the client, or about each of the sources. */
static int inquire(const dnslist *d, smtpf_task *t, const sources *behind)
{
  const size_t each = behind ? behind->n : 1;
  inquiry *q = smtpf_task_alloc(t, sizeof *q + d->n * each * sizeof q->entries[0]);

  if (!q)
    return SMTPF_ENOMEM;
  *smtpf_task_slot(t) = q;
  if (behind)
    q->sources = *behind;
  for (; q->n < d->n * each; q->n++)
    q->entries[q->n] = (entry){.list = &d->lists[q->n / each], .source = q->n % each};
  for (size_t i = 0; i < q->n; i++)
    begin(t, q, &q->entries[i], (uint32_t)(TAGS * i));
  return report(t, q);
}

static int dnslist_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const dnslist *d = self;
  sources behind = {.n = 0};

  if (ev->stage == SMTPF_EOM) {
    const int r = d->sources ? sources_find(t, &behind) : SMTPF_OK;
    return r == SMTPF_OK && behind.n ? inquire(d, t, &behind) : r;
  }
  if (ev->own || !ev->client || !ev->client->family)
    return smtpf_task_clear(t, "exempt");
  return inquire(d, t, NULL);
}

static int dnslist_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  inquiry *q = *smtpf_task_slot(t);
  const uint32_t i = a->tag / TAGS, what = a->tag % TAGS;
  entry *e = &q->entries[i];
  int r = SMTPF_OK;

  (void)self;
  if (what == TAG_A && e->phase == ASKS_A)
    r = answer_a(t, q, e, a->dns, i * TAGS);
  else if (what == TAG_TXT && e->phase == ASKS_TXT)
    answer_txt(t, e, a->dns);
  else if (what == TAG_TIMER && e->phase == ASKS_A)
    settle(e, SMTPF_UNKNOWN, "timeout", 0, (smtpf_str){NULL, 0});
  else if (what == TAG_TIMER && e->phase == ASKS_TXT)
    settle(e, SMTPF_HIT, "listed", e->score, e->detail);
  return r != SMTPF_OK ? r : report(t, q);
}

static int dnslist_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_SOURCE;
}

/* At the end it looks at hosts behind trusted clients. */
static int dnslist_reads(const void *self)
{
  (void)self;
  return SMTPF_READS_TRUSTED;
}

const smtpf_check smtpf_check_dnslist = {
    .size = sizeof(smtpf_check),
    .name = "dnslist",
    .family = SMTPF_FAMILY_LIST,
    .stages = SMTPF_CONNECT | SMTPF_EOM,
    .tier = 2,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = dnslist_open,
    .run = dnslist_run,
    .resume = dnslist_resume,
    .close = dnslist_close,
    .apart = dnslist_apart,
    .reads = dnslist_reads,
};
