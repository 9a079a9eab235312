/* SPDX-License-Identifier: MIT
 *
 * Questions. One deadline holds for all of it: finding the hosts, waiting for a connection, every host that is tried.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "callout.h"
#include "port/port.h"

enum state { RESOLVING, WAITING, TALKING };

/* A server that cannot be connected to may take this share of the time as long as there are others. */
enum { SHARES = 4 };

typedef struct question question;

/* A search for hosts cannot be called off: whoever asked may be gone when it ends. */
typedef struct ticket {
  smtpf_link in_port;
  smtpf_callouts *port;
  question *of;
} ticket;

struct question {
  smtpf_link in_port, in_waiting;
  smtpf_callouts *port;
  smtpf_callout_domain *domain;
  ticket *search;
  smtpf_callout_talk *talk;
  smtpf_op timer, *ops; /* ops: who waits for the answer */
  size_t n_ops, cap_ops;
  int state;
  smtpf_scan_server hosts[SMTPF_CALLOUT_HOSTS];
  size_t n_hosts, next;
  smtpf_callout_words words;
  smtpf_str key; /* sender, NUL, recipient */
  char bytes[];
};

int64_t smtpf_callout_option(const smtpf_callouts *c, const char *path)
{
  int64_t n = 0;
  (void)smtpf_engine_number(smtpf_driver_engine(c->driver), path, &n);
  return n;
}

/* ---- the end of a question --------------------------------------------------------------------------------------- */

/* Takes it out of everything; nobody is told. */
static void detach(question *q)
{
  smtpf_callouts *c = q->port;
  if (q->timer)
    (void)smtpf_driver_timer_cancel(c->driver, q->timer);
  if (q->search)
    q->search->of = NULL;
  if (q->talk)
    smtpf_callout_talk_drop(q->talk);
  if (q->state == TALKING)
    q->domain->talks--;
  smtpf_list_remove(&q->in_port);
  smtpf_list_remove(&q->in_waiting);
  (void)smtpf_map_remove(&c->by_key, q->key);
  smtpf_callout_domain_give(c, q->domain);
  c->n_questions--;
}

static void release(question *q)
{
  smtpf_mem_free(q->port->mem, q->ops);
  smtpf_mem_free(q->port->mem, q);
}

static void finish(question *q, const smtpf_callout_answer *a)
{
  smtpf_callouts *c = q->port;
  detach(q);
  for (size_t i = 0; i < q->n_ops; i++)
    (void)smtpf_op_callout(c->driver, q->ops[i], a);
  release(q);
  smtpf_callouts_serve(c);
}

static void give_up(question *q, const char *cause)
{
  const smtpf_callout_answer a = {.size = sizeof a, .status = SMTPF_CALLOUT_UNKNOWN, .cause = smtpf_str_of(cause)};
  finish(q, &a);
}

static void deadline(void *user)
{
  static const char *const causes[] = {[RESOLVING] = "dns", [WAITING] = "busy", [TALKING] = "timeout"};
  question *q = user;
  q->timer = 0;
  give_up(q, causes[q->state]);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void try_hosts(question *q);

static void told(void *user, const smtpf_callout_answer *a)
{
  question *q = user;
  q->talk = NULL;
  if (smtpf_str_equal(a->cause, SMTPF_LIT("connect")))
    try_hosts(q);
  else
    finish(q, a);
}

/* The next host that a connection can be begun to; without one: unknown. */
static void try_hosts(question *q)
{
  smtpf_callouts *c = q->port;
  const int64_t ms = smtpf_callout_option(c, "callout.timeout");
  const char *cause = "connect";
  while (!q->talk && q->next < q->n_hosts) {
    const smtpf_scan_server *host = &q->hosts[q->next++];
    const int64_t connect_ms = q->next < q->n_hosts ? ms / SHARES + 1 : ms;
    if (smtpf_callout_talk_start(&q->talk, c, host, connect_ms, &q->words, told, q) == SMTPF_ENOMEM)
      cause = "memory";
  }
  if (!q->talk)
    give_up(q, cause);
}

static int may_talk(const question *q)
{
  const smtpf_callouts *c = q->port;
  return (int64_t)c->n_talks < smtpf_callout_option(c, "callout.connections") &&
         (int64_t)q->domain->talks < smtpf_callout_option(c, "callout.concurrent");
}

/* Whoever may, the oldest first. A question that ends meanwhile begins the walk anew: others may have gone with it. */
void smtpf_callouts_serve(smtpf_callouts *c)
{
  if (c->serving)
    return;
  c->serving = 1;
  for (smtpf_link *l = c->waiting.next; l != &c->waiting;) {
    question *q = SMTPF_OF(l, question, in_waiting);
    l = l->next;
    if (!may_talk(q))
      continue;
    smtpf_list_remove(&q->in_waiting);
    q->state = TALKING;
    q->domain->talks++;
    try_hosts(q); /* may end this one, and no other: nobody serves meanwhile */
  }
  c->serving = 0;
}

static void wait_for_one(question *q)
{
  smtpf_callouts *c = q->port;
  q->state = WAITING;
  smtpf_list_append(&c->waiting, &q->in_waiting);
  smtpf_callouts_serve(c);
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static void found(void *user, int status, const smtpf_mail_host *hosts, size_t n)
{
  ticket *t = user;
  question *q = t->of;
  smtpf_callouts *c = t->port;
  smtpf_list_remove(&t->in_port);
  smtpf_mem_free(c->mem, t);
  if (!q)
    return;
  q->search = NULL;
  const unsigned port = (unsigned)smtpf_callout_option(c, "callout.port");
  for (size_t i = 0; i < n && q->n_hosts < SMTPF_CALLOUT_HOSTS; i++) {
    char text[SMTPF_IP_TEXT];
    const smtpf_str address = {text, smtpf_ip_format(&hosts[i].ip, text)};
    if (smtpf_scan_server_parse(&q->hosts[q->n_hosts], address, port) == SMTPF_OK)
      q->n_hosts++;
  }
  if (q->n_hosts)
    wait_for_one(q);
  else
    give_up(q, status == SMTPF_MAIL_HOSTS_UNKNOWN ? "dns" : "no-host");
}

/* The policy's own next hops stand in for those of the domain. */
static void take_servers(question *q)
{
  smtpf_engine *e = smtpf_driver_engine(q->port->driver);
  const unsigned port = (unsigned)smtpf_callout_option(q->port, "callout.port");
  smtpf_str text;
  for (size_t i = 0; q->n_hosts < SMTPF_CALLOUT_HOSTS; i++) {
    if (smtpf_engine_option(e, "callout.servers", i, &text) != SMTPF_OK)
      return;
    if (smtpf_scan_server_parse(&q->hosts[q->n_hosts], text, port) == SMTPF_OK)
      q->n_hosts++;
  }
}

static int search(question *q)
{
  smtpf_callouts *c = q->port;
  ticket *t = smtpf_mem_zalloc(c->mem, sizeof *t);
  if (!t)
    return SMTPF_ENOMEM;
  t->port = c;
  t->of = q;
  q->search = t;
  smtpf_list_append(&c->tickets, &t->in_port);
  const int r = smtpf_driver_mail_hosts(c->driver, q->domain->name, found, t);
  if (r != SMTPF_OK) {
    q->search = NULL;
    smtpf_list_remove(&t->in_port);
    smtpf_mem_free(c->mem, t);
  }
  return r;
}

/* ---- the port ---------------------------------------------------------------------------------------------------- */

enum { KEY_MAX = 2 * 320 };

/* The sender, a NUL, the recipient with its domain in lower case. 0 when they are no addresses. */
static size_t make_key(char room[KEY_MAX], smtpf_str recipient, smtpf_str sender, smtpf_path *to)
{
  smtpf_path from;
  smtpf_out o;
  if (smtpf_mailbox_parse(recipient, to) != SMTPF_OK || (sender.n && smtpf_mailbox_parse(sender, &from) != SMTPF_OK))
    return 0;
  smtpf_out_init(&o, room, KEY_MAX);
  smtpf_out_str(&o, sender);
  smtpf_out_char(&o, '\0');
  smtpf_out_str(&o, to->local_part);
  smtpf_out_char(&o, '@');
  for (size_t i = 0; i < to->domain.n; i++)
    smtpf_out_char(&o, smtpf_lower(to->domain.p[i]));
  return o.full ? 0 : o.n;
}

static int join(question *q, smtpf_op op)
{
  void *ops = q->ops;
  const int r = smtpf_mem_grow(q->port->mem, &ops, &q->cap_ops, q->n_ops + 1, sizeof *q->ops);
  q->ops = ops;
  if (r == SMTPF_OK)
    q->ops[q->n_ops++] = op;
  return r;
}

static void answer_at_once(smtpf_callouts *c, smtpf_op op, const char *cause)
{
  const smtpf_callout_answer a = {.size = sizeof a, .status = SMTPF_CALLOUT_UNKNOWN, .cause = smtpf_str_of(cause)};
  (void)smtpf_op_callout(c->driver, op, &a);
}

/* A new question, in every list, with its bucket. NULL without memory. */
static question *make(smtpf_callouts *c, smtpf_str key, smtpf_str sender, smtpf_callout_domain *domain, smtpf_op op)
{
  question *q = smtpf_mem_zalloc(c->mem, sizeof *q + key.n + 1);
  if (!q)
    return NULL;
  q->port = c;
  q->domain = domain;
  memcpy(q->bytes, key.p, key.n);
  q->key = (smtpf_str){q->bytes, key.n};
  q->words.sender = (smtpf_str){q->bytes, sender.n};
  q->words.recipient = (smtpf_str){q->bytes + sender.n + 1, key.n - sender.n - 1};
  smtpf_list_init(&q->in_waiting);
  const int64_t ms = smtpf_callout_option(c, "callout.timeout");
  if (join(q, op) != SMTPF_OK || smtpf_map_set(&c->by_key, q->key, q) != SMTPF_OK) {
    release(q);
    return NULL;
  }
  smtpf_list_append(&c->questions, &q->in_port);
  c->n_questions++;
  if (smtpf_driver_timer(c->driver, ms, deadline, q, &q->timer) == SMTPF_OK)
    return q;
  smtpf_list_remove(&q->in_port);
  (void)smtpf_map_remove(&c->by_key, q->key);
  c->n_questions--;
  release(q);
  return NULL;
}

static int begin(smtpf_callouts *c, smtpf_op op, smtpf_str key, smtpf_str sender, smtpf_str domain)
{
  smtpf_callout_domain *d = smtpf_callout_domain_take(c, domain);
  const int may = d && c->n_questions < SMTPF_CALLOUT_QUESTIONS &&
                  smtpf_callout_domain_may(d, smtpf_driver_now(c->driver), smtpf_callout_option(c, "callout.rate"));
  question *q = may ? make(c, key, sender, d, op) : NULL;
  if (!q) {
    if (d)
      smtpf_callout_domain_give(c, d);
    answer_at_once(c, op, may ? "memory" : "rate");
    return SMTPF_OK;
  }
  take_servers(q);
  if (q->n_hosts) {
    wait_for_one(q);
    return SMTPF_OK;
  }
  if (search(q) != SMTPF_OK)
    give_up(q, "memory");
  return SMTPF_OK;
}

static int ask(void *self, smtpf_op op, smtpf_str recipient, smtpf_str sender)
{
  smtpf_callouts *c = self;
  char room[KEY_MAX];
  smtpf_path to;
  const size_t n = make_key(room, recipient, sender, &to);
  if (!n)
    return SMTPF_EINVAL;
  const smtpf_str key = {room, n}, domain = {room + n - to.domain.n, to.domain.n};
  question *same = smtpf_map_get(&c->by_key, key);
  if (!same)
    return begin(c, op, key, sender, domain);
  if (join(same, op) != SMTPF_OK)
    answer_at_once(c, op, "memory");
  return SMTPF_OK;
}

/* Who leaves does not take the question along while others wait for it. */
static void cancel(void *self, smtpf_op op)
{
  smtpf_callouts *c = self;
  for (smtpf_link *l = c->questions.next; l != &c->questions; l = l->next) {
    question *q = SMTPF_OF(l, question, in_port);
    size_t i = 0;
    while (i < q->n_ops && q->ops[i] != op)
      i++;
    if (i == q->n_ops)
      continue;
    q->ops[i] = q->ops[--q->n_ops];
    if (!q->n_ops) {
      detach(q);
      release(q);
      smtpf_callouts_serve(c);
    }
    return;
  }
}

static int start(void *shared, smtpf_driver *driver, void **self)
{
  const smtpf_random *random = smtpf_random_system();
  uint64_t seed[2];
  smtpf_callouts *c = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *c);
  (void)shared;
  if (!c)
    return SMTPF_ENOMEM;
  c->driver = driver;
  c->mem = smtpf_driver_mem(driver);
  if (random->fill(random->user, seed, sizeof seed) != SMTPF_OK) {
    smtpf_mem_free(c->mem, c);
    return SMTPF_EIO;
  }
  smtpf_map_init(&c->by_key, c->mem, seed);
  smtpf_map_init(&c->domains, c->mem, seed);
  smtpf_link *const lists[] = {&c->questions, &c->waiting, &c->tickets, &c->talks};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    smtpf_list_init(lists[i]);
  *self = c;
  return SMTPF_OK;
}

static void stop(void *self)
{
  smtpf_callouts *c = self;
  while (!smtpf_list_empty(&c->questions)) {
    question *q = SMTPF_OF(c->questions.next, question, in_port);
    detach(q);
    release(q);
  }
  while (!smtpf_list_empty(&c->tickets)) { /* the searches go with the driver */
    ticket *t = SMTPF_OF(c->tickets.next, ticket, in_port);
    smtpf_list_remove(&t->in_port);
    smtpf_mem_free(c->mem, t);
  }
  smtpf_callout_talks_drop(c);
  smtpf_callout_domains_free(c);
  smtpf_map_free(&c->by_key);
  smtpf_mem_free(c->mem, c);
}

const smtpf_callout *smtpf_callout_smtp(void)
{
  static const smtpf_callout table = {sizeof table, "smtp", start, ask, cancel, stop};
  return &table;
}

int smtpf_callout_check_policy(const smtpf_section *policy, smtpf_error *err)
{
  smtpf_scan_server s;
  for (size_t i = 0; i < smtpf_section_count(policy, "callout.servers"); i++) {
    const smtpf_str text = smtpf_section_string_at(policy, "callout.servers", i);
    if (smtpf_scan_server_parse(&s, text, 25) != SMTPF_OK || s.local)
      return smtpf_section_fail(policy, "callout.servers", err, SMTPF_EINVAL, "not a server's address", text,
                                "`address`, `address:port` or `[address]:port`, the address literal");
  }
  return SMTPF_OK;
}
