/* SPDX-License-Identifier: MIT
 *
 * walk: every sequence of events, to a depth of eight, that a sender, its client, the host and the world can make of
 * one message to two recipients, played on the real session.
 *
 *   between connections   attempt (all that is still queued), a minute passes, ten minutes pass, the store fails or
 *                         comes back, the scanner turns from clean to down to spam
 *   in one, once the end  the copies are durable, fail, are refused; the first one alone; the reply is lost on its way;
 *   of message is said    the client leaves; the host overrules with 451 or 554; the store fails or comes back
 *
 * The sender sends again what was deferred or never answered, and gives up what was refused. Asserted are L1, one owner
 * of each copy at any time, no 2xx before it is durable, nothing taken twice where the memory of lost acknowledgements
 * could know it; and L7, elective deferrals by the count of an outsider who saw nothing but the replies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

enum { RECIPIENTS = 2, DEPTH = 8 };
enum { BUDGET_DEFERRALS = 2, BUDGET_TIME = 600, BUDGET_WAIT = 60 };

enum event {
  ATTEMPT,
  MINUTE,
  TEN_MINUTES,
  STORE,
  SCANNER, /* between */
  ALL_OK,
  ALL_FAILED,
  ALL_REFUSED,
  FIRST_OK,
  REPLY_LOST,
  LEAVES,
  OVERRULED,
  OVERRULED_FOR_GOOD,
  STORE_MEANWHILE, /* within */
  EVENTS
};
static const char *const words[] = {"attempt", "a minute",        "ten minutes",     "store",          "scanner",
                                    "ok",      "failed",          "refused",         "first ok",       "reply lost",
                                    "leaves",  "451 by the host", "554 by the host", "store meanwhile"};

enum owner { QUEUED, TAKEN, GIVEN_UP };

/* What the sender and an onlooker know of one recipient. */
typedef struct pair {
  int32_t owner;      /* as the sender sees it */
  int32_t copies;     /* made durable here */
  int32_t excused;    /* of those, how many the client could not know of */
  int32_t remembered; /* one of them the memory of lost acknowledgements must know */
  int32_t deferrals;  /* that count */
  int32_t unused;
  int64_t first_s, last_s;
} pair;

typedef struct state {
  stage_world world;
  pair pairs[RECIPIENTS];
} state;

/* One connection, from its end of message on. */
typedef struct open_message {
  smtpf_session *s;
  int whose[RECIPIENTS];                                          /* recipient of each accepted index */
  int durable[RECIPIENTS], refused[RECIPIENTS], seen[RECIPIENTS]; /* by index */
  size_t n;
  int open; /* commits are awaited */
} open_message;

static const stage_setting *setting;
static state now;
static struct {
  unsigned long long sequences, states, connections, failed;
} sum;
static int trace[DEPTH + 1], traced;

static void broken(const char *what)
{
  if (++sum.failed > 10)
    return;
  printf("FAIL %s\n  %s:", what, setting->name);
  for (int i = 0; i < traced; i++)
    printf(" %s;", words[trace[i]]);
  printf("\n");
  if (getenv("SMTPF_FAIL_FAST")) /* mutate.py need not know more */
    exit(1);
}

#define HOLDS(what, why)                                                                                               \
  do {                                                                                                                 \
    if (!(what))                                                                                                       \
      broken(why);                                                                                                     \
  } while (0)

/* ---- what the replies mean -------------------------------------------------------------------------------- */

/* L7, by the replies alone. */
static void put_off(pair *p)
{
  const int64_t t = now.world.wall_s;
  HOLDS(!now.world.store_down, "L7: deferred electively while the counter cannot be read");
  HOLDS(p->deferrals < BUDGET_DEFERRALS, "L7: deferred electively more often than the budget allows");
  HOLDS(!p->deferrals || t - p->first_s < BUDGET_TIME, "L7: deferred electively for longer than the budget allows");
  if (!p->deferrals)
    p->first_s = t;
  if (!p->deferrals || t - p->last_s >= BUDGET_WAIT) {
    p->deferrals++;
    p->last_s = t;
  }
}

static smtpf_recipient_info info_of(const open_message *m, size_t i)
{
  smtpf_recipient_info info = {.size = sizeof info};
  if (smtpf_verdict_recipient(smtpf_session_verdict(m->s), i, &info) != SMTPF_OK)
    broken("L1: a recipient is missing in the verdict");
  return info;
}

static int is_refusal(int disposition)
{
  return disposition == SMTPF_REJECTED || disposition == SMTPF_DEFERRED;
}

static int each(void)
{
  return (setting->capabilities & SMTPF_CAN_REPLY_PER_RCPT) != 0;
}

/* A disposition, once final, stays. */
static void look(open_message *m)
{
  HOLDS(smtpf_verdict_recipient_count(smtpf_session_verdict(m->s)) == m->n, "L1: not one entry for each recipient");
  for (size_t i = 0; i < m->n; i++) {
    const smtpf_recipient_info info = info_of(m, i);
    HOLDS(info.disposition >= SMTPF_DELIVERED && info.disposition <= SMTPF_DEFERRED, "L1: no disposition");
    HOLDS(!m->seen[i] || m->seen[i] == info.disposition, "L1: a final disposition has changed");
    m->seen[i] = info.final ? info.disposition : 0;
  }
}

/* The replies have reached the client. */
static void answered(open_message *m, int code)
{
  for (size_t i = 0; i < m->n; i++) {
    const smtpf_recipient_info info = info_of(m, i);
    pair *p = &now.pairs[m->whose[i]];
    int own = each() ? info.reply_code : code;
    if (setting->protocol == SMTPF_SMTP && each() && own / 100 == 2)
      own = code; /* PRDR: taken only when both say so */
    HOLDS(own / 100 != 2 || p->copies > 0, "L1: a 2xx for what is not durable");
    HOLDS(own / 100 != 2 || m->durable[i] || info.known, "L1: a 2xx for what this message did not make durable");
    HOLDS(!each() || own / 100 != 5 || !m->durable[i], "L1: a copy that is durable is refused");
    HOLDS(own / 100 != 4 || !m->durable[i] || !each() || setting->protocol == SMTPF_SMTP,
          "L1: a durable copy is deferred");
    p->owner = own / 100 == 2 ? TAKEN : own / 100 == 5 ? GIVEN_UP : QUEUED;
    p->excused += m->durable[i] && p->owner != TAKEN;
  }
}

/* They never did. */
static void unanswered(open_message *m)
{
  for (size_t i = 0; i < m->n; i++)
    now.pairs[m->whose[i]].excused += m->durable[i];
}

/* What the engine may write down when all is closed: whose copy was taken owes no deferral any more. */
static void remember(open_message *m)
{
  for (size_t i = 0; i < m->n; i++) {
    pair *p = &now.pairs[m->whose[i]];
    if (!m->durable[i] || now.world.store_down)
      continue;
    p->remembered |= setting->lost_ack;
    p->deferrals = 0;
  }
}

static void end(open_message *m)
{
  smtpf_session_free(m->s);
  m->s = NULL;
  m->open = 0;
}

/* ---- one connection --------------------------------------------------------------------------------------- */

/* The verdict at end of message. */
static void provisional(open_message *m, int code)
{
  int open = 0;
  look(m);
  for (size_t i = 0; i < m->n; i++) {
    const smtpf_recipient_info info = info_of(m, i);
    pair *p = &now.pairs[m->whose[i]];
    open |= !info.final;
    HOLDS(info.known == (p->remembered && !now.world.store_down), "L1: known, or not, against what was taken before");
    HOLDS(!info.known || p->copies, "L1: called known, and never taken");
    HOLDS(info.disposition != SMTPF_REJECTED || (now.world.scanner == SCANNER_SPAM && m->whose[i] == 0),
          "L4: refused without a cause");
    if (info.disposition == SMTPF_DEFERRED)
      put_off(p);
    if (now.world.scanner == SCANNER_DOWN && !info.known)
      HOLDS(info.disposition == SMTPF_DEFERRED || info.disposition == SMTPF_QUARANTINED ||
                info.disposition == SMTPF_TAGGED,
            "L7: past the budget an unknown is neither quarantined nor tagged");
  }
  m->open = open;
  HOLDS(open ? code == 250 : 1, "L1: copies are awaited, and the reply refuses");
}

static void attempt(open_message *m)
{
  static const char *const paths[] = {"<a@x.example>", "<b@x.example>"};
  const int prdr = each() && setting->protocol == SMTPF_SMTP;
  size_t taken;
  *m = (open_message){.s = stage_session(setting)};
  sum.connections++;
  HOLDS(stage_code(m->s, smtpf_session_mail(m->s, SMTPF_LIT("<from@client.example>"),
                                            prdr ? SMTPF_LIT("PRDR") : SMTPF_LIT(""))) == 250,
        "MAIL refused");
  for (int r = 0; r < RECIPIENTS; r++) {
    if (now.pairs[r].owner != QUEUED)
      continue;
    const int code = stage_code(m->s, smtpf_session_rcpt(m->s, (smtpf_str){paths[r], strlen(paths[r])}, SMTPF_LIT("")));
    HOLDS(code / 100 != 5, "L4: refused at RCPT, and nothing was found");
    if (code / 100 == 4)
      put_off(&now.pairs[r]);
    else
      m->whose[m->n++] = r;
  }
  if (!m->n) {
    end(m);
    return;
  }
  static const char text[] = "Subject: one\r\n\r\nmessage\r\n";
  HOLDS(stage_code(m->s, smtpf_session_data(m->s)) == 354, "DATA refused");
  HOLDS(smtpf_session_body(m->s, text, sizeof text - 1, &taken) == SMTPF_OK && taken == sizeof text - 1,
        "body not taken");
  const int code = stage_code(m->s, smtpf_session_eom(m->s));
  provisional(m, code);
  if (!m->open) {
    answered(m, code);
    end(m);
  }
}

static void commit_one(open_message *m, size_t i, int result)
{
  const smtpf_recipient_info info = info_of(m, i);
  if (info.final)
    return;
  if (result == SMTPF_COMMIT_OK) {
    pair *p = &now.pairs[m->whose[i]];
    p->copies++;
    m->durable[i] = 1;
    HOLDS(info.disposition >= SMTPF_DELIVERED && info.disposition <= SMTPF_QUARANTINED, "L3: dropped without consent");
    HOLDS(p->copies <= 1 + p->excused, "L1: taken twice, and the client knew");
  }
  m->refused[i] = result == SMTPF_COMMIT_REFUSED;
}

/* Copies are reported; the reply arrives unless it is lost. */
static void commit(open_message *m, size_t which, int result, int lost)
{
  for (size_t i = 0; i < m->n; i++)
    if (which == SMTPF_ALL || which == i)
      commit_one(m, i, result);
  const int code = stage_code(m->s, smtpf_session_commit(m->s, which, result));
  int open = 0;
  look(m);
  for (size_t i = 0; i < m->n; i++) {
    const smtpf_recipient_info info = info_of(m, i);
    open |= !info.final;
    if (info.final && !info.known && !m->durable[i] && m->seen[i])
      HOLDS(is_refusal(info.disposition), "L1: final, taken, and not durable");
  }
  if (open)
    return;
  remember(m);
  if (lost)
    unanswered(m);
  else
    answered(m, code);
  end(m);
}

static size_t first_open(const open_message *m)
{
  size_t i = 0;
  while (i < m->n && info_of(m, i).final)
    i++;
  return i;
}

/* 1 when the event was possible. */
static int overrule(open_message *m, int code)
{
  if (smtpf_session_overrule(m->s, SMTPF_EOM, code) != SMTPF_OK)
    return 0;
  for (size_t i = 0; i < m->n; i++)
    if (code / 100 == 5)
      now.pairs[m->whose[i]].owner = GIVEN_UP;
  unanswered(m);
  end(m);
  return 1;
}

static int within(open_message *m, int e)
{
  switch (e) {
  case ALL_OK: commit(m, SMTPF_ALL, SMTPF_COMMIT_OK, 0); break;
  case ALL_FAILED: commit(m, SMTPF_ALL, SMTPF_COMMIT_FAILED, 0); break;
  case ALL_REFUSED: commit(m, SMTPF_ALL, SMTPF_COMMIT_REFUSED, 0); break;
  case FIRST_OK: commit(m, first_open(m), SMTPF_COMMIT_OK, 0); break;
  case REPLY_LOST: commit(m, SMTPF_ALL, SMTPF_COMMIT_OK, 1); break;
  case LEAVES:
    HOLDS(smtpf_session_abort(m->s) == SMTPF_OK, "abort refused");
    unanswered(m);
    end(m);
    break;
  case OVERRULED: return overrule(m, 451);
  case OVERRULED_FOR_GOOD: return overrule(m, 554);
  default: now.world.store_down = !now.world.store_down;
  }
  return 1;
}

/* ---- every sequence --------------------------------------------------------------------------------------- */

static unsigned long long walk(const state *from, int left);

/* Goes on from within a connection that began at `from` with an attempt and `n` events. */
static unsigned long long walk_within(const state *from, int n, int left)
{
  unsigned long long sequences = 0;
  for (int e = ALL_OK; e < EVENTS; e++) {
    open_message m;
    int possible = 1;
    now = *from;
    traced -= n;
    attempt(&m);
    for (int i = 0; i < n; i++)
      (void)within(&m, trace[traced++]);
    if (m.open) {
      trace[traced++] = e;
      possible = within(&m, e);
      const state after = now;
      const int still = m.open;
      if (m.s)
        end(&m);
      if (possible)
        sequences += left == 1 ? 1 : still ? walk_within(from, n + 1, left - 1) : walk(&after, left - 1);
      traced--;
    }
  }
  return sequences;
}

/* States met before with so many events left need not be walked again: what follows is the same. */
enum { SLOTS = 1 << 17 };
static struct {
  uint64_t hash;
  int left;
  unsigned long long sequences;
} * met;

static uint64_t hash_of(const state *s, int left)
{
  const unsigned char *p = (const unsigned char *)s;
  uint64_t h = 1469598103934665603u + (uint64_t)left;
  for (size_t i = 0; i < sizeof *s; i++)
    h = (h ^ p[i]) * 1099511628211u;
  return h;
}

static unsigned long long between(const state *from, int e, int left)
{
  open_message m;
  now = *from;
  trace[traced++] = e;
  unsigned long long sequences = 0;
  switch (e) {
  case MINUTE: now.world.wall_s += BUDGET_WAIT; break;
  case TEN_MINUTES: now.world.wall_s += BUDGET_TIME; break;
  case STORE: now.world.store_down = !now.world.store_down; break;
  case SCANNER: now.world.scanner = (now.world.scanner + 1) % SCANNER_STATES; break;
  default: attempt(&m);
  }
  const state after = now;
  if (e == ATTEMPT && m.open) {
    end(&m);
    sequences = left == 1 ? 1 : walk_within(from, 0, left - 1);
  } else {
    sequences = left == 1 ? 1 : walk(&after, left - 1);
  }
  traced--;
  return sequences;
}

static unsigned long long walk(const state *from, int left)
{
  const uint64_t h = hash_of(from, left);
  size_t slot = (size_t)(h % SLOTS);
  unsigned long long sequences = 0;
  int queued = 0;
  if (met[slot].hash == h && met[slot].left == left)
    return met[slot].sequences;
  sum.states++;
  for (int r = 0; r < RECIPIENTS; r++)
    queued |= from->pairs[r].owner == QUEUED;
  for (int e = ATTEMPT; e <= SCANNER; e++)
    if (e != ATTEMPT || queued)
      sequences += between(from, e, left);
  met[slot].hash = h;
  met[slot].left = left;
  met[slot].sequences = sequences;
  return sequences;
}

int main(int argc, char **argv)
{
  enum { TAKES = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_REPORT_COMMIT };
  static const unsigned lmtp =
      TAKES | SMTPF_CAN_REPLY_PER_RCPT | SMTPF_CAN_DROP_RCPT | SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_QUARANTINE_PER_RCPT;
  static const stage_setting settings[] = {
      {"one reply", TAKES, SMTPF_SMTP, 0, 0},
      {"one reply, greylist", TAKES, SMTPF_SMTP, 0, 1},
      {"one reply, lost acknowledgements", TAKES, SMTPF_SMTP, 1, 0},
      {"PRDR", TAKES | SMTPF_CAN_REPLY_PER_RCPT, SMTPF_SMTP, 0, 0},
      {"PRDR, lost acknowledgements", TAKES | SMTPF_CAN_REPLY_PER_RCPT, SMTPF_SMTP, 1, 0},
      {"LMTP", lmtp, SMTPF_LMTP, 0, 0},
      {"LMTP, lost acknowledgements, greylist", lmtp, SMTPF_LMTP, 1, 1},
  };
  const int whole = argc > 1 && strcmp(argv[1], "whole") == 0, depth = whole ? DEPTH : DEPTH - 2;
  met = calloc(SLOTS, sizeof *met);
  for (size_t i = 0; met && i < sizeof settings / sizeof *settings; i++) {
    static state start;
    const unsigned long long failed = sum.failed;
    memset(met, 0, SLOTS * sizeof *met);
    memset(&start, 0, sizeof start);
    start.world.wall_s = 1700000000;
    setting = &settings[i];
    stage_open(setting, &now.world);
    const unsigned long long sequences = walk(&start, depth);
    stage_close();
    sum.sequences += sequences;
    printf("%-40s %10llu sequences, %llu failed\n", setting->name, sequences, sum.failed - failed);
    fflush(stdout);
  }
  free(met);
  if (whole)
    printf("{\"name\":\"walk\",\"cases\":%llu,\"failed\":%llu,\"depth\":%d,\"states\":%llu,\"connections\":%llu}\n",
           sum.sequences, sum.failed, depth, sum.states, sum.connections);
  else
    printf("%llu passed, %llu failed, 0 skipped\n", sum.sequences - sum.failed, sum.failed);
  return sum.failed || !sum.sequences;
}
