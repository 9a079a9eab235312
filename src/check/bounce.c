/* SPDX-License-Identifier: MIT
 *
 * bounce: mail from the null sender returns what somebody sent, or reports on it. A recipient may want only what is
 * proven to be about his own mail: it comes to an address that we signed (BATV, SRS), or it quotes a header section
 * with our mark (sent_mark). What is not proven is refused to who asked for that, never to others. A bounce that could
 * not be read to its end is unknown. Other senders are never refused; what `mailer-daemon` and `postmaster` send is
 * read all the same.
 *
 * Leaves facts: at RCPT `bounce.recipients`, their addresses, a line each; of the message `bounce.not-ours`, for each
 * recipient 1 when it positively quotes mail that was never here: Received fields, and a Message-ID or From, none of
 * which names us.
 */
#include "bounce.h"

static const smtpf_option rows[] = {
    {"bounce.keys", SMTPF_OPTION_STRINGS, NULL, 0, 16, NULL,
     "Keys with which mail of our own clients is marked, at least 16 bytes each: a bounce that quotes the mark proves "
     "itself. The first one marks, all of them are believed: a new key is put in front, the old one taken out when "
     "`bounce.max_age` has passed. All servers of a site have the same; `@include` keeps them in a file of their own. "
     "Without any nothing is marked."},
    {"bounce.mark", SMTPF_OPTION_STRING, "X-Smtpfilter-Sent", 0, 0, NULL,
     "Name of the header field that is the mark. Such fields of messages that our own clients send are removed first."},
    {"bounce.max_age", SMTPF_OPTION_TIME, "14d", 86400000, INT64_C(400) * 86400000, NULL,
     "How long after it was made a mark proves a bounce, in whole days. Servers give up after five days; some notify "
     "later. Who finds a mark in mail that was sent to him can send bounces to its sender until then."},
};

#define FACT_RECIPIENTS "bounce.recipients"
enum { RECIPIENTS = 32, TRIES = 64 };

typedef struct bounce {
  smtpf_mem mem;
  bounce_names *names;
  bounce_keys *keys;
  int provable; /* there are keys that could prove a bounce */
} bounce;

/* One recipient, and what is known of the bounce for him. */
typedef struct target {
  smtpf_str address, canonical;
  int signature; /* smtpf_signature of the address he was given as */
  int mark;      /* the best a quoted mark proves */
} target;

typedef struct mail {
  const bounce *self;
  smtpf_task *task;
  uint64_t bytes;
  size_t n;
  unsigned tries; /* left, of HMACs */
  uint8_t quoted; /* a block that says where a message came from */
  uint8_t ours;   /* some block names us */
  uint8_t cut;    /* some block was not looked at whole */
  const char *unknown;
  target targets[RECIPIENTS];
  bounce_reader reader;
} mail;

static void bounce_close(void *self)
{
  bounce *b = self;
  if (!b)
    return;
  bounce_names_free(b->names);
  bounce_keys_free(b->keys);
  b->mem.free(b->mem.user, b);
}

static int bounce_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  bounce *b = mem->alloc(mem->user, sizeof *b);
  if (!b)
    return SMTPF_ENOMEM;
  *b = (bounce){.mem = *mem};
  int r = bounce_keys_new(&b->keys, policy, err);
  if (r == SMTPF_OK)
    r = bounce_names_new(&b->names, policy);
  b->provable = b->keys || smtpf_section_count(policy, "batv.keys") || smtpf_section_string(policy, "batv.key_file").n;
  if (r == SMTPF_OK)
    *self = b;
  else
    bounce_close(b);
  return r;
}

/* ---- RCPT: whom it is for ---------------------------------------------------------------------------- */

static int is_null(const smtpf_event *ev)
{
  return ev->sender && ev->sender->form == SMTPF_PATH_NULL;
}

/* The address that mail was sent with, which the directory may call otherwise. */
static int note_recipient(smtpf_task *t, const smtpf_event *ev)
{
  if (!is_null(ev) || ev->own || ev->recipients >= RECIPIENTS)
    return SMTPF_OK;
  const smtpf_str list = SMTPF_JOIN(t, smtpf_task_fact(t, FACT_RECIPIENTS), ev->mailbox, SMTPF_LIT("\n"));
  return list.n ? smtpf_task_fact_set(t, FACT_RECIPIENTS, list, 0) : SMTPF_ENOMEM;
}

static void read_recipients(mail *m)
{
  smtpf_str rest = smtpf_task_fact(m->task, FACT_RECIPIENTS);
  while (m->n < RECIPIENTS) {
    target *to = &m->targets[m->n];
    if (smtpf_task_recipient(m->task, m->n + 1, &to->canonical, NULL) != SMTPF_OK)
      return;
    to->signature = smtpf_task_signature(m->task, ++m->n);
    const char *end = rest.n ? memchr(rest.p, '\n', rest.n) : NULL;
    if (!end)
      continue;
    to->address = (smtpf_str){rest.p, (size_t)(end - rest.p)};
    rest = (smtpf_str){end + 1, rest.n - to->address.n - 1};
  }
  if (smtpf_task_recipient(m->task, RECIPIENTS + 1, NULL, NULL) == SMTPF_OK)
    m->unknown = "recipients";
}

/* ---- BODY: what it quotes ---------------------------------------------------------------------------- */

/* Whether the mark belongs to a message of this sender: with an identifier that the block has, or with none, for the
 * field may have been added after the mark. */
static void try_mark(mail *m, const bounce_block *b, smtpf_str mark, smtpf_str sender, target *to)
{
  for (size_t i = 0; i <= b->n_ids && sender.n && to->mark != SMTPF_SIGNATURE_GOOD; i++) {
    int found = SMTPF_SIGNATURE_NONE;
    if (!m->tries) {
      m->unknown = "marks";
      return;
    }
    m->tries--;
    if (bounce_mark_check(m->self->keys, m->task, mark, i < b->n_ids ? b->ids[i] : SMTPF_LIT(""), sender, &found) !=
        SMTPF_OK)
      m->unknown = "hmac";
    else if (found == SMTPF_SIGNATURE_GOOD || found == SMTPF_SIGNATURE_EXPIRED)
      to->mark = found;
  }
}

static void on_block(void *user, const bounce_block *b)
{
  mail *m = user;
  const uint32_t who = BOUNCE_MESSAGE_ID | BOUNCE_FROM;
  m->quoted |= (b->fields & BOUNCE_RECEIVED) && (b->fields & who);
  m->ours |= b->ours;
  m->cut |= b->cut;
  for (size_t i = 0; m->self->keys && i < b->n_marks; i++) {
    if (!bounce_mark_known(m->self->keys, b->marks[i]))
      continue;
    for (size_t k = 0; k < m->n; k++) {
      target *to = &m->targets[k];
      try_mark(m, b, b->marks[i], to->address, to);
      if (!smtpf_str_equal_nocase(to->address, to->canonical))
        try_mark(m, b, b->marks[i], to->canonical, to);
    }
  }
}

static int is_daemon(const smtpf_path *sender)
{
  static const char *const names[] = {"mailer-daemon", "postmaster"};
  for (size_t i = 0; sender && i < sizeof names / sizeof *names; i++)
    if (smtpf_str_equal_nocase(sender->local_part, smtpf_str_of(names[i])))
      return 1;
  return 0;
}

static int bounce_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  if (ev->stage == SMTPF_RCPT)
    return note_recipient(t, ev);
  if (ev->own || !(is_null(ev) || is_daemon(ev->sender)))
    return SMTPF_OK;
  mail *m = smtpf_task_alloc(t, sizeof *m);
  if (!m)
    return SMTPF_ENOMEM;
  m->self = self;
  m->task = t;
  m->tries = TRIES;
  read_recipients(m);
  bounce_reader_init(&m->reader, m->self->names, bounce_keys_field(m->self->keys), on_block, m);
  *smtpf_task_slot(t) = m;
  return SMTPF_PENDING;
}

static void bounce_content(void *self, smtpf_task *t, const smtpf_piece *piece)
{
  mail *m = *smtpf_task_slot(t);
  (void)self;
  bounce_reader_piece(&m->reader, piece);
}

static size_t bounce_feed(void *self, smtpf_task *t, const char *bytes, size_t n)
{
  mail *m = *smtpf_task_slot(t);
  (void)self;
  (void)bytes;
  m->bytes += n;
  return n;
}

/* ---- end of message ---------------------------------------------------------------------------------- */

/* What it is, in a line for the log: `delivery-status: failed 5.1.1 for rfc822;bob@example.org by dns;mx.example.org`
 */
static smtpf_str describe(mail *m)
{
  const bounce_reader *r = &m->reader;
  const smtpf_str *f = r->report,
                  to = f[BOUNCE_FINAL_RECIPIENT].n ? f[BOUNCE_FINAL_RECIPIENT] : f[BOUNCE_ORIGINAL_RECIPIENT];
  const smtpf_str none = SMTPF_LIT(""), kind = smtpf_str_of(bounce_kind_name(r->kind));
  if (!f[BOUNCE_ACTION].n && !to.n)
    return kind;
  return SMTPF_JOIN(m->task, kind, SMTPF_LIT(": "), f[BOUNCE_ACTION], SMTPF_LIT(" "), f[BOUNCE_STATUS],
                    SMTPF_LIT(" for "), to, f[BOUNCE_REPORTING_MTA].n ? SMTPF_LIT(" by ") : none,
                    f[BOUNCE_REPORTING_MTA]);
}

static int is_not_ours(const mail *m)
{
  return m->quoted && !m->ours && !m->cut && !m->unknown;
}

static int refuse(mail *m, size_t recipient, const char *code, smtpf_str text)
{
  const smtpf_finding f = {.size = sizeof f,
                           .kind = SMTPF_HIT,
                           .code = code,
                           .flags = SMTPF_FINDING_REFUSE,
                           .detail = describe(m),
                           .text = text,
                           .recipient = recipient};
  return smtpf_task_report(m->task, &f);
}

static int report_as(mail *m, size_t recipient, int kind, const char *code)
{
  smtpf_finding f = {.size = sizeof f, .kind = kind, .code = code, .detail = describe(m), .recipient = recipient};
  return smtpf_task_report(m->task, &f);
}

static int is_proven(const target *to)
{
  return to->signature == SMTPF_SIGNATURE_GOOD || to->mark == SMTPF_SIGNATURE_GOOD;
}

/* Of one recipient. Without keys nothing could be proven, so that nothing is said. */
static int judge(mail *m, size_t recipient)
{
  const target *to = &m->targets[recipient - 1];
  if (is_proven(to))
    return report_as(m, recipient, SMTPF_CLEAR, to->mark == SMTPF_SIGNATURE_GOOD ? "proven" : "signed");
  if (!is_null(smtpf_task_event(m->task)) || !m->self->provable)
    return SMTPF_OK;
  if (m->unknown)
    return report_as(m, recipient, SMTPF_UNKNOWN, m->unknown);
  if (is_not_ours(m))
    return refuse(m, recipient, "not-ours", SMTPF_LIT(BOUNCE_TEXT_NOT_OURS));
  if (to->mark == SMTPF_SIGNATURE_EXPIRED || to->signature == SMTPF_SIGNATURE_EXPIRED)
    return refuse(m, recipient, "expired", SMTPF_LIT("the message that this bounce returns was sent too long ago"));
  return refuse(m, recipient, "unproven",
                SMTPF_LIT("this address takes bounces of mail that it sent, and this one does not prove to be one"));
}

/* For `backscatter`. */
static int tell_not_ours(mail *m)
{
  char found[RECIPIENTS];
  if (!is_not_ours(m))
    return SMTPF_OK;
  for (size_t i = 0; i < m->n; i++)
    found[i] = is_proven(&m->targets[i]) ? '0' : '1';
  return smtpf_task_fact_set(m->task, BOUNCE_FACT_NOT_OURS, (smtpf_str){found, m->n}, 0);
}

static int bounce_finish(void *self, smtpf_task *t)
{
  mail *m = *smtpf_task_slot(t);
  int r = smtpf_task_seen(t, m->bytes);
  (void)self;
  bounce_reader_end(&m->reader);
  if (m->reader.hidden && !m->unknown)
    m->unknown = m->reader.hidden;
  for (size_t i = 1; r == SMTPF_OK && i <= m->n; i++)
    r = judge(m, i);
  return r == SMTPF_OK ? tell_not_ours(m) : r;
}

/* Bounces have one recipient, as a rule (null_sender.recipients). */
static int bounce_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_JOIN;
}

const smtpf_check smtpf_check_bounce = {
    .size = sizeof(smtpf_check),
    .name = "bounce",
    .family = SMTPF_FAMILY_PROOF,
    .stages = SMTPF_RCPT | SMTPF_BODY,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = bounce_open,
    .run = bounce_run,
    .close = bounce_close,
    .feed = bounce_feed,
    .finish = bounce_finish,
    .content = bounce_content,
    .apart = bounce_apart,
};
