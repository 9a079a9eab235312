/* SPDX-License-Identifier: MIT
 *
 * rules_mail: one message before the patterns. What is short (envelope, fields, names) is matched at once and whole;
 * text and body are streams, matched window by window while they come. So at the end of the message less than a window
 * of each is left. What does not come whole, or cannot be matched, is remembered as not known.
 */
#include "rules.h"

/* Where in the message's header the bytes are. */
enum { BEHIND, IN_LINE, LINE_START, AFTER_CR };

/* ---- memory of the task ----------------------------------------------------------------------------------- */

/* Each piece knows its size, for realloc; it goes with the task, not before. */
typedef union head {
  size_t n;
  max_align_t align;
} head;

static void *take(void *task, size_t n)
{
  head *h = n <= SIZE_MAX - sizeof *h ? smtpf_task_alloc(task, sizeof *h + n) : NULL;
  if (!h)
    return NULL;
  h->n = n;
  return h + 1;
}

static void *take_more(void *task, void *p, size_t n)
{
  void *more = take(task, n);
  if (more && p) {
    const size_t had = ((head *)p - 1)->n;
    memcpy(more, p, had < n ? had : n);
  }
  return more;
}

static void keep(void *task, void *p)
{
  (void)task;
  (void)p;
}

/* ---- what patterns say ------------------------------------------------------------------------------------ */

typedef struct listener {
  rules_mail *mail;
  const rules_target *target;
  uint8_t *states; /* of the target's own patterns, where they are kept apart; else NULL */
} listener;

static void is_partial(rules_mail *m, int place)
{
  m->partial |= UINT32_C(1) << place;
}

/* A pattern function has failed: there is no memory for it. */
static void has_failed(rules_mail *m, int place)
{
  is_partial(m, place);
  m->no_memory = 1;
}

static void note_excess(rules_mail *m, uint32_t match, const char *cause)
{
  rules_excess *x = smtpf_task_alloc(m->task, sizeof *x);
  if (!x) {
    is_partial(m, m->set->matches[match].place);
    return;
  }
  *x = (rules_excess){.match = match, .cause = cause};
  *m->excess_end = x;
  m->excess_end = &x->next;
}

/* A pattern is not looked for again in this message: one that hit need not be, one that takes too long must not. */
static void leave(rules_mail *m, const rules_target *t, uint32_t index)
{
  uint64_t **open = &m->open[t - m->set->targets];
  const size_t n = smtpf_patterns_mask_words(t->patterns) * sizeof **open;
  if (!*open) {
    *open = smtpf_task_alloc(m->task, n);
    if (!*open)
      return; /* then it is, once more: rules.tries bounds that too */
    memset(*open, 0xff, n);
  }
  (*open)[index / 64] &= ~(UINT64_C(1) << index % 64);
}

static int listen(void *user, const smtpf_pattern_hit *hit)
{
  const listener *l = user;
  const uint32_t match = l->target->matches[hit->index];
  uint8_t *state = l->states ? &l->states[hit->index] : &l->mail->matches[match];
  if (hit->result == SMTPF_PATTERN_HIT)
    *state = RULES_HIT;
  else if (*state == RULES_CLEAR) {
    *state = RULES_UNKNOWN;
    note_excess(l->mail, match, hit->cause);
  }
  if (!l->states || hit->result == SMTPF_PATTERN_LIMIT)
    leave(l->mail, l->target, hit->index);
  return 0;
}

/* The room is the thread's; how many tries it grants is this message's. */
static void enter(rules_mail *m)
{
  smtpf_pattern_room_tries(m->room, m->tries);
}

static void exit_room(rules_mail *m)
{
  m->tries = smtpf_pattern_room_tries(m->room, UINT64_MAX);
}

static void scan(rules_mail *m, const rules_target *t, smtpf_str s, uint8_t *states)
{
  listener l = {m, t, states};
  if (!t)
    return;
  enter(m);
  if (smtpf_patterns_scan(t->patterns, m->room, s, m->open[t - m->set->targets], listen, &l) != SMTPF_OK)
    has_failed(m, t->place);
  exit_room(m);
}

/* ---- the envelope ----------------------------------------------------------------------------------------- */

/* Patterns that took too long for an earlier recipient were left alone for this one. */
static void spread_unknown(const rules_mail *m, const rules_target *t, uint8_t *states)
{
  const uint64_t *open = m->open[t - m->set->targets];
  for (size_t i = 0; open && i < t->n; i++)
    if (!(open[i / 64] >> i % 64 & 1) && states[i] == RULES_CLEAR)
      states[i] = RULES_UNKNOWN;
}

static int scan_recipients(rules_mail *m)
{
  const rules_target *t = rules_target_at(m->set, RULES_RECIPIENT);
  smtpf_str address;
  while (smtpf_task_recipient(m->task, m->n_recipients + 1, NULL, NULL) == SMTPF_OK)
    m->n_recipients++;
  if (!t || !m->n_recipients)
    return SMTPF_OK;
  m->by_recipient = smtpf_task_alloc(m->task, m->n_recipients * t->n);
  if (!m->by_recipient)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < m->n_recipients; i++)
    if (smtpf_task_recipient(m->task, i + 1, &address, NULL) == SMTPF_OK) {
      scan(m, t, address, m->by_recipient + i * t->n);
      spread_unknown(m, t, m->by_recipient + i * t->n);
    }
  return SMTPF_OK;
}

static void scan_envelope(rules_mail *m, const smtpf_event *ev)
{
  const smtpf_str own = smtpf_task_fact(m->task, "iprev.name"), name = ev->rdns.n ? ev->rdns : own;
  if (ev->client_text.n)
    scan(m, rules_target_at(m->set, RULES_CLIENT), ev->client_text, NULL);
  if (name.n)
    scan(m, rules_target_at(m->set, RULES_CLIENT_NAME), name, NULL);
  if (ev->helo.n)
    scan(m, rules_target_at(m->set, RULES_HELO), ev->helo, NULL);
  if (ev->sender)
    scan(m, rules_target_at(m->set, RULES_SENDER), ev->sender->address, NULL);
}

static void free_room(void *room)
{
  smtpf_pattern_room_free(room);
}

/* The thread's, made with the first message. */
static int find_room(const rules_set *s, smtpf_task *t, smtpf_pattern_room **out)
{
  void **mine = smtpf_task_room(t, free_room);
  if (!mine)
    return SMTPF_ENOMEM;
  if (!*mine) {
    smtpf_pattern_room *room = NULL;
    const int r = smtpf_pattern_room_new(&room, &s->limits.pattern, &s->mem);
    if (r != SMTPF_OK)
      return r;
    *mine = room;
  }
  *out = *mine;
  return SMTPF_OK;
}

int rules_mail_begin(rules_mail **out, const rules_set *s, smtpf_task *t)
{
  rules_mail *m = smtpf_task_alloc(t, sizeof *m);
  if (!m)
    return SMTPF_ENOMEM;
  m->set = s;
  m->task = t;
  m->mem = (smtpf_mem){sizeof m->mem, t, take, take_more, keep};
  m->excess_end = &m->excess;
  m->header = LINE_START;
  m->matches = smtpf_task_alloc(t, s->n_matches + 1);
  m->open = smtpf_task_alloc(t, s->n_targets * sizeof(uint64_t *) + 1);
  m->tries = s->limits.tries;
  int r = m->matches && m->open ? find_room(s, t, &m->room) : SMTPF_ENOMEM;
  if (r == SMTPF_OK)
    r = scan_recipients(m);
  if (r != SMTPF_OK)
    return r;
  scan_envelope(m, smtpf_task_event(t));
  *out = m;
  return SMTPF_OK;
}

/* ---- streams ---------------------------------------------------------------------------------------------- */

static void give(rules_mail *m, rules_stream *to, const rules_target *t, smtpf_str s)
{
  listener l = {m, t, NULL};
  int r = SMTPF_OK;
  if (!s.n)
    return;
  if (!to->at)
    r = smtpf_pattern_stream_new(&to->at, t->patterns, NULL, &m->set->limits.window, &m->mem);
  if (r == SMTPF_OK)
    r = smtpf_pattern_stream_feed(to->at, m->room, s, listen, &l);
  if (r != SMTPF_OK)
    has_failed(m, t->place);
}

/* Lines end with LF before the patterns: of CR LF the CR is left out, wherever the pieces are cut. */
static void give_lines(rules_mail *m, rules_stream *to, const rules_target *t, smtpf_str s)
{
  while (s.n) {
    if (to->cr && s.p[0] != '\n')
      give(m, to, t, SMTPF_LIT("\r"));
    const char *cr = memchr(s.p, '\r', s.n);
    to->cr = cr != NULL;
    const size_t n = cr ? (size_t)(cr - s.p) : s.n;
    give(m, to, t, (smtpf_str){s.p, n});
    s = (smtpf_str){s.p + n + to->cr, s.n - n - to->cr};
  }
}

/* Gives a stream as much of `s` as the limit leaves. */
static void stream(rules_mail *m, rules_stream *to, int place, smtpf_str s, uint64_t limit)
{
  const rules_target *t = rules_target_at(m->set, place);
  if (!t)
    return;
  if (s.n > limit - to->bytes) {
    s.n = (size_t)(limit - to->bytes);
    is_partial(m, place);
  }
  to->bytes += s.n;
  enter(m);
  give_lines(m, to, t, s);
  exit_room(m);
}

static void end_stream(rules_mail *m, rules_stream *to, int place)
{
  const rules_target *t = rules_target_at(m->set, place);
  listener l = {m, t, NULL};
  enter(m);
  if (to->cr)
    give(m, to, t, SMTPF_LIT("\r"));
  to->cr = 0;
  if (to->at && smtpf_pattern_stream_finish(to->at, m->room, listen, &l) != SMTPF_OK)
    has_failed(m, place);
  exit_room(m);
}

/* ---- pieces ----------------------------------------------------------------------------------------------- */

/* `Name: value`, in room that serves every field. */
static smtpf_str whole_field(rules_mail *m, smtpf_str name, smtpf_str value)
{
  const size_t n = name.n + 2 + value.n;
  if (n > m->line_cap) {
    m->line_cap = 2 * n;
    m->line = smtpf_task_alloc(m->task, m->line_cap);
  }
  if (!m->line) {
    m->line_cap = 0;
    return (smtpf_str){NULL, 0};
  }
  if (name.n)
    memcpy(m->line, name.p, name.n);
  memcpy(m->line + name.n, ": ", 2);
  if (value.n)
    memcpy(m->line + name.n + 2, value.p, value.n);
  return (smtpf_str){m->line, n};
}

static void scan_field(rules_mail *m, int place, smtpf_str name, smtpf_str value)
{
  const rules_target *of_any = rules_target_at(m->set, place);
  scan(m, rules_target_of(m->set, place, name), value, NULL);
  if (!of_any)
    return;
  const smtpf_str line = whole_field(m, name, value);
  if (line.n)
    scan(m, of_any, line, NULL);
  else
    is_partial(m, place);
}

static void on_field(rules_mail *m, const smtpf_piece *p)
{
  if (p->index) {
    scan_field(m, RULES_PART, p->name, p->bytes);
    return;
  }
  scan_field(m, RULES_HEADER, p->name, p->bytes);
  scan_field(m, RULES_RAW_HEADER, p->name, p->raw);
}

static void end_text(rules_mail *m)
{
  if (m->reading)
    end_stream(m, &m->text, RULES_TEXT);
  m->reading = 0;
}

static void on_text(rules_mail *m, const smtpf_piece *p)
{
  if (m->reading && m->part != p->index)
    end_text(m);
  if (!m->reading && m->text.at)
    smtpf_pattern_stream_next(m->text.at);
  m->reading = 1;
  m->part = p->index;
  stream(m, &m->text, RULES_TEXT, p->bytes, m->set->limits.text);
}

/* What the walker does not look into holds text that nobody saw. */
static void on_defect(rules_mail *m, smtpf_str name)
{
  static const smtpf_str hides[] = {{"too-deep", 8}, {"too-many", 8}};
  scan(m, rules_target_at(m->set, RULES_DEFECT), name, NULL);
  for (size_t i = 0; i < sizeof hides / sizeof *hides; i++)
    if (name.n == hides[i].n && !memcmp(name.p, hides[i].p, name.n))
      m->partial |= UINT32_C(1) << RULES_TEXT | UINT32_C(1) << RULES_ATTACHMENT | UINT32_C(1) << RULES_PART;
}

void rules_mail_piece(rules_mail *m, const smtpf_piece *p)
{
  switch (p->kind) {
  case SMTPF_PIECE_FIELD: on_field(m, p); break;
  case SMTPF_PIECE_BEGIN:
    if (p->part->filename.n)
      scan(m, rules_target_at(m->set, RULES_ATTACHMENT), p->part->filename, NULL);
    break;
  case SMTPF_PIECE_TEXT: on_text(m, p); break;
  case SMTPF_PIECE_END:
    if (p->index == m->part)
      end_text(m);
    break;
  case SMTPF_PIECE_DEFECT: on_defect(m, p->name); break;
  default: break;
  }
}

/* ---- bytes ------------------------------------------------------------------------------------------------ */

/* How many of these bytes belong to the header, the empty line behind it too. */
static size_t header_bytes(rules_mail *m, const char *p, size_t n)
{
  size_t i = 0;
  while (i < n && m->header != BEHIND) {
    if (m->header == IN_LINE) {
      const char *lf = memchr(p + i, '\n', n - i);
      if (!lf)
        return n;
      i = (size_t)(lf - p);
    }
    const char c = p[i++];
    if (c == '\n')
      m->header = m->header == IN_LINE ? LINE_START : BEHIND;
    else
      m->header = c == '\r' && m->header == LINE_START ? AFTER_CR : IN_LINE;
  }
  return i;
}

void rules_mail_bytes(rules_mail *m, const char *p, size_t n)
{
  m->bytes += n;
  if (!m->set->fixed[RULES_BODY])
    return;
  const size_t header = header_bytes(m, p, n);
  stream(m, &m->body, RULES_BODY, (smtpf_str){p + header, n - header}, m->set->limits.body);
}

void rules_mail_end(rules_mail *m)
{
  end_text(m);
  end_stream(m, &m->body, RULES_BODY);
}
