/* SPDX-License-Identifier: MIT
 *
 * A whole session out of any bytes: the first says what the host can do and how it waits, the second how many bytes are
 * fed at a time and what becomes of copies; the rest is what the client sends. The runner sees to it that each event
 * has one verdict and each verdict one reply that a client can read; here it is seen to that the replies make a legal
 * conversation.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/tools/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char zone_text[] = "25.2.0.192.in-addr.arpa PTR mail.example.org\n"
                                "mail.example.org A 192.0.2.25\n"
                                "25.2.0.192.bl.example A 127.0.0.2\n"
                                "25.2.0.192.down.example SERVFAIL\n";

static const char *const settings[] = {"+local_domains",
                                       "example.net",
                                       "directory.complete",
                                       "true",
                                       "recipients[\"b@example.net\"].profile",
                                       "default",
                                       "recipients[\"c@example.net\"].profile",
                                       "strict",
                                       "profiles[\"default\"].reject",
                                       "10",
                                       "profiles[\"strict\"].reject",
                                       "4",
                                       "dnslists[\"bl.example\"].score",
                                       "5",
                                       "dnslists[\"down.example\"].score",
                                       "5",
                                       "limits.recipients",
                                       "5",
                                       "limits.message",
                                       "4096",
                                       "limits.header",
                                       "1024",
                                       "limits.received",
                                       "3",
                                       "limits.errors",
                                       "12",
                                       NULL};

/* What a client would make of the replies. */
struct model {
  int greeted, sender, message, closed, quarantine;
  size_t recipients;
};

static void must(int holds)
{
  if (!holds)
    abort();
}

static void end_of_message(struct model *m, const struct replay_record *r)
{
  must(m->message);
  must(r->n_recipients == m->recipients);
  for (size_t i = 0; i < r->n_recipients; i++) {
    const int d = r->recipients[i].disposition;
    must(d >= SMTPF_DELIVERED && d <= SMTPF_HANDED_OVER);
    must(d != SMTPF_DISCARDED); /* nobody asked for it */
    must(d != SMTPF_QUARANTINED || m->quarantine);
    if (r->each)
      must((d == SMTPF_REJECTED) == (r->recipients[i].reply.code >= 500) &&
           (d == SMTPF_DEFERRED) == (r->recipients[i].reply.code / 100 == 4));
    else if (r->reply.code < 400)
      must(d != SMTPF_REJECTED && d != SMTPF_DEFERRED); /* 2xx: nobody is lost */
  }
  m->sender = m->message = 0;
  m->recipients = 0;
}

static void look(void *user, const struct replay_record *r)
{
  struct model *m = user;
  const int ok = r->reply.code < 400;
  must(!m->closed);
  if (strcmp(r->event, "helo") == 0 && ok) {
    m->greeted = 1;
    m->sender = m->message = 0;
    m->recipients = 0;
  } else if (strcmp(r->event, "mail") == 0 && ok) {
    must(m->greeted && !m->sender);
    m->sender = 1;
  } else if (strcmp(r->event, "rcpt") == 0 && ok) {
    must(m->sender && !m->message);
    m->recipients++;
    must(m->recipients <= 5);
  } else if (strcmp(r->event, "data") == 0 && ok) {
    must(r->reply.code == 354 && m->sender && m->recipients && !m->message);
    m->message = 1;
  } else if (strcmp(r->event, "end-of-message") == 0) {
    end_of_message(m, r);
  } else if (strcmp(r->event, "reset") == 0 && ok) {
    m->sender = m->message = 0;
    m->recipients = 0;
  } else if (strcmp(r->event, "violation") == 0) {
    must(r->reply.code >= 400);
    if (m->message) {
      m->sender = m->message = 0;
      m->recipients = 0;
    }
  }
  m->closed = r->closes;
}

/* One driver for each way to wait, made once: a policy takes far longer to read than a conversation. */
static struct replay *player(int wait, int single)
{
  static struct replay players[6];
  static smtpf_zone *zone;
  struct replay *r = &players[(wait - REPLAY_SYNC) * 2 + single];
  size_t line;
  if (!zone)
    must(smtpf_zone_new(&zone, (smtpf_str){zone_text, sizeof zone_text - 1}, NULL, &line) == SMTPF_OK);
  if (!r->driver) {
    struct replay_options o = {
        .zone = zone, .now = REPLAY_NOW, .wait = wait, .single = single, .sink = look, .settings = settings};
    smtpf_error err = {.size = sizeof err};
    must(replay_open(r, &o, &err) == SMTPF_OK);
  }
  return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const hosts[] = {"proxy", "milter", "policyd", "lmtp"};
  static const int results[] = {SMTPF_COMMIT_OK, SMTPF_COMMIT_FAILED, SMTPF_COMMIT_REFUSED};
  static const size_t feeds[] = {0, 1, 7, 64};
  text ignored = {0};
  if (size < 2)
    return 0;
  struct replay *r = player(REPLAY_SYNC + data[0] / 4 % 3, data[0] / 16 % 2);
  const char *host = data[0] % 4 == 0 && data[0] / 32 % 2 ? "prdr" : hosts[data[0] % 4];
  must(replay_host_parse(&r->options.host, host, &ignored) == 0);
  struct model model = {.quarantine = (r->options.host.capabilities & SMTPF_CAN_QUARANTINE) != 0};
  r->options.feed = feeds[data[1] % 4];
  r->options.user = &model;

  char address[] = "192.0.2.25", ok[] = "ok", name[] = "fuzz";
  struct replay_item items[] = {
      {.kind = REPLAY_CONNECT, .line = 1, .words = {address}, .arg = address},
      {.kind = REPLAY_BYTES, .line = 2, .bytes = {(const char *)data + 2, size - 2}},
      {.kind = REPLAY_COMMIT, .line = 3, .words = {ok}, .arg = ok, .number = results[data[1] / 4 % 3]},
  };
  const struct replay_script script = {name, items, sizeof items / sizeof *items, 0};
  must(replay_play(r, &script) == SMTPF_OK);
  must(r->events == r->verdicts);
  return 0;
}
