/* SPDX-License-Identifier: MIT
 *
 * greylist: mail from a stranger is put off the first time; who comes again after the wait is let through, and known
 * from then on. What has been seen is in the store:
 *
 *     run     who is never put off?               -> clear, and nothing is kept
 *             read two records: triplet, client
 *     resume  the postmaster's word on the client -> clear `allowed`, or put off
 *             client has passed often enough      -> clear `auto-allowed`
 *             triplet known, or has waited        -> clear `known`, `waited`; written when the mail is taken
 *             triplet too early                   -> put off
 *             new                                 -> noted, and put off
 *     a store that fails                          -> unknown: the mail passes
 *
 * First sight is written whatever else becomes of the mail, so that delays do not add up, in one transaction with the
 * debt of the deferral; when that cannot be written the mail passes. A pass is written only by the verdict that lets it
 * through. Whether a deferral counts is not for the check to say: the recipient's profile, the origin of
 * the client and the budget do. Runs behind all others, so that nothing certain is delayed and no record is kept of
 * mail that is refused. The null sender is put off at DATA, since a 4xx at RCPT would break callouts.
 */
#include "greylist.h"

#define SECOND 1000
#define MINUTE (60 * (int64_t)SECOND)
#define DAY (24 * 60 * MINUTE)
#define TIER 3 /* behind all others */
#define FACT "greylist.recipient"

static const smtpf_option rows[] = {
    {"greylist.wait", SMTPF_OPTION_TIME, "5m", 0, DAY, NULL,
     "How long a stranger has to wait. Long enough for most bots to be gone and for lists to learn of the others; many "
     "servers retry after 5 to 15 minutes, so that a longer wait costs honest mail more than it gains. Deferrals "
     "closer together than `budget.wait` count as one in the budget: keep both the same."},
    {"greylist.window", SMTPF_OPTION_TIME, "1d", MINUTE, 30 * DAY, NULL,
     "How long after the first attempt a retry counts. Some servers retry only after 4 to 6 hours, some lists once a "
     "day."},
    {"greylist.memory", SMTPF_OPTION_TIME, "36d", MINUTE, 3650 * DAY, NULL,
     "How long who was let through is known without mail. 36 days outlast what is sent once a month, whichever day it "
     "is."},
    {"greylist.identity", SMTPF_OPTION_CHOICE, "iprev", 0, 0, "iprev|prefix|spf",
     "Who a client is. `iprev`: the registered part of the name that leads back to its address, so that a pool may "
     "retry from anywhere; without such a name, or when the name holds the address itself as those of end users do, as "
     "`prefix`. There is no list of public suffixes: the last two labels count, three under `co.uk` and the like. "
     "`prefix`: the network, by greylist.ip4_prefix and greylist.ip6_prefix. `spf` needs a check that finds the "
     "authorised domain; there is none yet."},
    {"greylist.ip4_prefix", SMTPF_OPTION_INT, "24", 8, 32, NULL, "Bits of an IPv4 address that tell clients apart."},
    {"greylist.ip6_prefix", SMTPF_OPTION_INT, "64", 16, 128, NULL,
     "Bits of an IPv6 address that tell clients apart. 64: one client can choose the rest anew for each attempt."},
    {"greylist.auto_allow", SMTPF_OPTION_INT, "5", 0, 1000000, NULL,
     "A client of which so many triplets have waited is not put off any more, until it is silent for greylist.memory. "
     "0 "
     "for never."},
    {"greylist.when", SMTPF_OPTION_CHOICE, "always", 0, 0, "always|suspicious",
     "`suspicious`: only who has a score of greylist.score or more when RCPT is answered."},
    {"greylist.score", SMTPF_OPTION_SCORE, "1", -1000000, 1000000, NULL, "With greylist.when = `suspicious`."},
    {"greylist.node", SMTPF_OPTION_INT, "0", 0, INT64_MAX, NULL,
     "The number under which this server counts, where several share what they know. Each needs its own. 0: made from "
     "the first of `hostnames`."},
    {"greylist.allow_clients", SMTPF_OPTION_STRINGS, NULL, 0, 100000, NULL,
     "Clients that are never put off: addresses, networks, domains of verified names (with those below), or "
     "`/regex/`."},
    {"greylist.allow_clients_files", SMTPF_OPTION_STRINGS, NULL, 0, 100, NULL,
     "Files with such entries, one a line, as postgrey's whitelist_clients. Of regular expressions `^ $ . * + ? [...] "
     "(...|...)` and `\\d \\w \\s` are understood; a file with others does not load."},
    {"greylist.allow_recipients", SMTPF_OPTION_STRINGS, NULL, 0, 100000, NULL,
     "Recipients whose mail is never put off: `bob@example.net`, `abuse@`, `example.net` with those below, or "
     "`/regex/`."},
    {"greylist.allow_recipients_files", SMTPF_OPTION_STRINGS, NULL, 0, 100, NULL,
     "Files with such entries, as postgrey's whitelist_recipients."},
};

typedef struct greylist {
  smtpf_mem mem;
  greylist_times times;
  greylist_naming naming;
  greylist_exempt *exempt;
  uint64_t node;
  int64_t auto_allow;
  int suspicious;
  int32_t score;
} greylist;

/* ---- open ------------------------------------------------------------------------------------------- */

static int asked_for(const smtpf_section *policy)
{
  static const char *const lists[] = {"profiles", "recipients"};
  for (size_t k = 0; k < 2; k++)
    for (size_t i = 0; i < smtpf_section_count(policy, lists[k]); i++)
      if (smtpf_section_number(smtpf_section_at(policy, lists[k], i), "greylist"))
        return 1;
  return 0;
}

static uint64_t node_of(const smtpf_section *policy)
{
  unsigned char digest[SMTPF_DIGEST_BYTES];
  uint64_t node = (uint64_t)smtpf_section_number(policy, "greylist.node");
  const smtpf_str name = smtpf_section_string_at(policy, "hostnames", 0);
  if (node)
    return node;
  smtpf_digest(&name, 1, digest);
  for (size_t i = 0; i < 8; i++)
    node = node << 8 | digest[i];
  return node;
}

static int times_fit(const greylist_times *t, const smtpf_section *policy, smtpf_error *err)
{
  if (t->wait >= t->window)
    return smtpf_section_fail(policy, "greylist.wait", err, SMTPF_EINVAL, "nobody can come again in time",
                              smtpf_section_string(policy, "greylist.wait"), "less than greylist.window");
  return SMTPF_OK;
}

enum { BY_IPREV, BY_PREFIX, BY_SPF };

static int read_options(greylist *g, const smtpf_section *policy, smtpf_error *err)
{
  const int64_t identity = smtpf_section_number(policy, "greylist.identity");
  g->times.wait = smtpf_section_number(policy, "greylist.wait") / SECOND;
  g->times.window = smtpf_section_number(policy, "greylist.window") / SECOND;
  g->times.memory = smtpf_section_number(policy, "greylist.memory") / SECOND;
  g->naming.by_name = identity == BY_IPREV;
  g->naming.ip4 = (uint8_t)smtpf_section_number(policy, "greylist.ip4_prefix");
  g->naming.ip6 = (uint8_t)smtpf_section_number(policy, "greylist.ip6_prefix");
  g->auto_allow = smtpf_section_number(policy, "greylist.auto_allow");
  g->suspicious = smtpf_section_number(policy, "greylist.when") != 0;
  g->score = (int32_t)smtpf_section_number(policy, "greylist.score");
  g->node = node_of(policy);
  if (identity == BY_SPF)
    return smtpf_section_fail(policy, "greylist.identity", err, SMTPF_EINVAL, "no check finds it yet", SMTPF_LIT("spf"),
                              "iprev or prefix");
  return times_fit(&g->times, policy, err);
}

static void greylist_close(void *self)
{
  greylist *g = self;
  if (!g)
    return;
  greylist_exempt_close(g->exempt);
  g->mem.free(g->mem.user, g);
}

static int greylist_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  greylist *g;
  if (!asked_for(policy))
    return SMTPF_OK;
  g = mem->alloc(mem->user, sizeof *g);
  if (!g)
    return SMTPF_ENOMEM;
  *g = (greylist){.mem = *mem};
  int r = read_options(g, policy, err);
  if (r == SMTPF_OK)
    r = greylist_exempt_open(&g->exempt, policy, err);
  if (r != SMTPF_OK) {
    greylist_close(g);
    return r;
  }
  *self = g;
  return SMTPF_OK;
}

/* ---- what is known ------------------------------------------------------------------------------------ */

enum { TRIPLET, CLIENT };

/* One mail under way; in memory of the task. */
typedef struct contact {
  greylist_subject triplet, client;
  greylist_view seen, standing;
  int says; /* smtpf_greylist_word */
  int due;  /* answers */
  int failed;
  char identity[GREYLIST_IDENTITY_MAX], sender[GREYLIST_ADDRESS_MAX], recipient[GREYLIST_ADDRESS_MAX];
} contact;

static smtpf_str verified_name(const smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_str name = smtpf_task_fact(t, "iprev.name");
  return name.n ? name : ev->rdns;
}

/* ---- what is said ----------------------------------------------------------------------------------------- */

static smtpf_str time_left(smtpf_task *t, int64_t seconds)
{
  char room[24];
  size_t at = sizeof room;
  const int minutes = seconds > 90, hours = seconds > 90 * 60;
  int64_t n = hours ? (seconds + 3599) / 3600 : minutes ? (seconds + 59) / 60 : seconds > 0 ? seconds : 1;
  const int one = n == 1;
  for (; n; n /= 10)
    room[--at] = (char)('0' + n % 10);
  const smtpf_str number = {room + at, sizeof room - at};
  return SMTPF_JOIN(t, number,
                    hours     ? SMTPF_LIT(" hour")
                    : minutes ? SMTPF_LIT(" minute")
                              : SMTPF_LIT(" second"),
                    one ? SMTPF_LIT("") : SMTPF_LIT("s"));
}

static int put_off(smtpf_task *t, const contact *c, const char *why, int64_t seconds)
{
  const smtpf_finding f = {
      .size = sizeof f,
      .kind = SMTPF_HIT,
      .code = "greylisted",
      .flags = SMTPF_FINDING_ELECTIVE,
      .reply = 451,
      .enhanced = "4.7.1",
      .detail = SMTPF_JOIN(t, smtpf_str_of(why), SMTPF_LIT(" "), c->client.identity),
      .text = SMTPF_JOIN(t, SMTPF_LIT("greylisted, please come back in "), time_left(t, seconds)),
  };
  return smtpf_task_report(t, &f);
}

static int let_by(smtpf_task *t, const char *code, smtpf_str detail)
{
  const smtpf_finding f = {.size = sizeof f, .kind = SMTPF_CLEAR, .code = code, .detail = detail};
  return smtpf_task_report(t, &f);
}

/* ---- what is decided ---------------------------------------------------------------------------------------- */

/* Once more seen, and where `pass`, let through; written when the mail is taken. */
static int renew(const greylist *g, smtpf_task *t, const greylist_subject *about, const greylist_view *v, int pass)
{
  greylist_change c;
  int r = SMTPF_OK;
  if (about->kind == SMTPF_GREYLIST_TRIPLET && !about->sender.n)
    greylist_spend(&c, about);
  else
    r = greylist_renew(&c, about, &g->times, v, pass, g->node, smtpf_task_event(t)->wall_s);
  return r == SMTPF_OK ? smtpf_task_settle(t, &c.change, 1) : r;
}

static int pass(const greylist *g, smtpf_task *t, const contact *c)
{
  int r = renew(g, t, &c->triplet, &c->seen, 1);
  if (r == SMTPF_OK)
    r = renew(g, t, &c->client, &c->standing, 1);
  return r == SMTPF_OK ? let_by(t, "waited", c->client.identity) : r;
}

static int begin(const greylist *g, smtpf_task *t, const contact *c)
{
  greylist_change first;
  int r = greylist_begin(&first, &c->triplet, &g->times, &c->seen, smtpf_task_event(t)->wall_s);
  if (r == SMTPF_OK)
    r = smtpf_task_note(t, &first.change, 1);
  return r == SMTPF_OK ? put_off(t, c, "new", g->times.wait) : r;
}

static int decide(const greylist *g, smtpf_task *t, const contact *c)
{
  const int64_t now = smtpf_task_event(t)->wall_s;
  int r = SMTPF_OK;
  if (c->failed)
    return smtpf_task_unknown(t, "store", SMTPF_LIT("the store does not answer"));
  if (c->says == SMTPF_GREYLIST_ALLOW)
    return let_by(t, "allowed", c->client.identity);
  if (c->says == SMTPF_GREYLIST_DENY)
    return put_off(t, c, "denied", g->times.wait);
  if (g->auto_allow && c->standing.standing == GREYLIST_KNOWN && c->standing.passes >= g->auto_allow) {
    if (c->standing.stale)
      r = renew(g, t, &c->client, &c->standing, 0);
    return r == SMTPF_OK ? let_by(t, "auto-allowed", c->client.identity) : r;
  }
  switch (c->seen.standing) {
  case GREYLIST_NEW: return begin(g, t, c);
  case GREYLIST_EARLY: return put_off(t, c, "early", c->seen.first + g->times.wait - now);
  case GREYLIST_WAITED: return pass(g, t, c);
  default:
    if (c->seen.stale)
      r = renew(g, t, &c->triplet, &c->seen, 1);
    return r == SMTPF_OK ? let_by(t, "known", c->client.identity) : r;
  }
}

/* ---- run ---------------------------------------------------------------------------------------------------- */

static int ask(smtpf_task *t, const greylist_subject *about, uint32_t tag)
{
  unsigned char key[SMTPF_DIGEST_BYTES];
  return smtpf_task_get(t, greylist_key(about, key), tag);
}

/* The recipient as it is compared; without a sender, by the network or name and the recipient alone. */
static int look_up(const greylist *g, smtpf_task *t, const smtpf_event *ev, smtpf_str recipient, const smtpf_path *to)
{
  contact *c = smtpf_task_alloc(t, sizeof *c);
  if (!c)
    return SMTPF_ENOMEM;
  *smtpf_task_slot(t) = c;
  c->client.kind = SMTPF_GREYLIST_CLIENT;
  c->client.identity = greylist_identity(&g->naming, ev->client, verified_name(t, ev), c->identity);
  c->triplet = (greylist_subject){SMTPF_GREYLIST_TRIPLET, c->client.identity, {"", 0}, recipient};
  if (to) {
    c->triplet.sender = greylist_sender(ev->sender, to, c->sender);
    c->triplet.recipient = greylist_recipient(to, c->recipient);
  }
  int r = ask(t, &c->triplet, TRIPLET);
  if (r == SMTPF_OK)
    r = ask(t, &c->client, CLIENT);
  c->due = 2;
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static int is_exempt(const greylist *g, const smtpf_task *t, const smtpf_event *ev)
{
  return ev->own || !ev->client || !ev->client->family ||
         greylist_exempt_client(g->exempt, ev->client, verified_name(t, ev));
}

static int run_rcpt(const greylist *g, smtpf_task *t, const smtpf_event *ev)
{
  char room[GREYLIST_ADDRESS_MAX];
  if (is_exempt(g, t, ev) || greylist_exempt_recipient(g->exempt, ev->recipient))
    return smtpf_task_clear(t, "exempt");
  if (ev->signature == SMTPF_SIGNATURE_GOOD)
    return smtpf_task_clear(t, "signed"); /* an answer to what was sent from here */
  if (g->suspicious && smtpf_task_score(t) < g->score)
    return smtpf_task_clear(t, "unsuspicious");
  if (!greylist_is_callout(ev->sender))
    return look_up(g, t, ev, (smtpf_str){"", 0}, ev->recipient);
  if (smtpf_task_fact(t, FACT).n)
    return SMTPF_OK; /* the first recipient stands for all: a bounce has one */
  return smtpf_task_fact_set(t, FACT, greylist_recipient(ev->recipient, room), 0);
}

static int greylist_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const greylist *g = self;
  if (!ev->sender || !smtpf_task_greylists(t))
    return SMTPF_OK;
  if (ev->stage == SMTPF_RCPT)
    return run_rcpt(g, t, ev);
  const smtpf_str recipient = smtpf_task_fact(t, FACT);
  return recipient.n ? look_up(g, t, ev, recipient, NULL) : SMTPF_OK;
}

static int greylist_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  const greylist *g = self;
  contact *c = *smtpf_task_slot(t);
  const int64_t now = smtpf_task_event(t)->wall_s;
  const smtpf_str record = a->store == SMTPF_STORE_FOUND ? a->value : (smtpf_str){"", 0};
  c->failed |= a->store != SMTPF_STORE_FOUND && a->store != SMTPF_STORE_ABSENT;
  if (a->tag == TRIPLET)
    c->seen = greylist_look(&g->times, SMTPF_GREYLIST_TRIPLET, record, g->node, now);
  else {
    c->standing = greylist_look(&g->times, SMTPF_GREYLIST_CLIENT, record, g->node, now);
    c->says = smtpf_record_kind(record) == SMTPF_GREYLIST_CLIENT ? smtpf_greylist_says(record) : 0;
  }
  return --c->due ? SMTPF_PENDING : decide(g, t, c);
}

const smtpf_check smtpf_check_greylist = {
    .size = sizeof(smtpf_check),
    .name = "greylist",
    .family = SMTPF_FAMILY_GREYLIST,
    .stages = SMTPF_RCPT | SMTPF_DATA,
    .tier = TIER,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = greylist_open,
    .run = greylist_run,
    .resume = greylist_resume,
    .close = greylist_close,
};
