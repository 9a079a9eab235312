/* SPDX-License-Identifier: MIT
 *
 * State x event, all of it. The table below is written from session.h and the RFCs, not from the code: what each call
 * returns in each state, what the reply is, and where the session is afterwards, told by how it behaves.
 */
#include <check.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>
#include <stdlib.h>
#include <string.h>

/* ---- states, each with the way to it ------------------------------------------------------------------------ */

enum state { NEW, CONNECTED, REFUSED, GREETED, MAIL, TRIED, RCPT, DATA, EOM, DONE, QUIT, ABORTED, STATES };
static const char state_letters[] = "NCXGMTRDEFQA";

enum event {
  CONNECT_EV,
  REBIND_EV,
  EARLY_EV,
  HELO_EV,
  EHLO_EV,
  LHLO_EV,
  STARTTLS_EV,
  AUTH_EV,
  MAIL_EV,
  NULL_EV,
  RCPT_EV,
  RELAY_EV,
  DATA_EV,
  BODY_EV,
  EOM_EV,
  COMMIT_OK_EV,
  COMMIT_FAILED_EV,
  COMMIT_REFUSED_EV,
  COMMIT_ONE_EV,
  COMMIT_NONE_EV,
  RESET_EV,
  NOOP_EV,
  UNKNOWN_EV,
  VIOLATION_EV,
  QUIT_EV,
  ABORT_EV,
  OVER_CONNECT_EV,
  OVER_HELO_EV,
  OVER_MAIL_EV,
  OVER_RCPT_EV,
  OVER_DATA_EV,
  OVER_EOM_EV,
  OVER_BAD_EV,
  QUEUE_ID_EV,
  WAIT_EV,
  EVENTS
};

/*
 * One word a cell: what is returned, then `>` and the state it leads to; without `>` it stays.
 *   ---   SMTPF_ESTATE       nothing changed, and the verdict that was there is there
 *   inv   SMTPF_EINVAL       likewise
 *   nof   SMTPF_ENOTFOUND    likewise
 *   250   SMTPF_OK, and a verdict with this reply code
 *   ok    SMTPF_OK, no event, hence no new verdict
 * N new, C connected, X refused at CONNECT, G greeted, M a sender, T a sender and only refused recipients, R
 * recipients, D in the message, E taken provisionally, F after the message (as G: nothing may be left of it), Q closed,
 * A aborted.
 */
static const struct row {
  const char *name;
  const char *cells[STATES];
} rows[EVENTS] = {
    /* N, C, X, G, M, T, R, D, E, F, Q, A */
    [CONNECT_EV] = {"connect", {"220>C", "---", "---", "---", "---", "---", "---", "---", "---", "---", "---", "---"}},
    [REBIND_EV] = {"rebind",
                   {"---", "220>C", "220>C", "220>C", "220>C", "220>C", "220>C", "---", "---", "220>C", "---", "---"}},
    [EARLY_EV] = {"early talk", {"ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "---", "---"}},
    [HELO_EV] = {"HELO",
                 {"---", "250>G", "503", "250>G", "250>G", "250>G", "250>G", "503", "---", "250>G", "---", "---"}},
    [EHLO_EV] = {"EHLO",
                 {"---", "250>G", "503", "250>G", "250>G", "250>G", "250>G", "503", "---", "250>G", "---", "---"}},
    [LHLO_EV] = {"LHLO", {"---", "500", "503", "500", "500", "500", "500", "503", "---", "500", "---", "---"}},
    [STARTTLS_EV] = {"starttls",
                     {"---", "220>C", "---", "220>C", "220>C", "220>C", "220>C", "---", "---", "220>C", "---", "---"}},
    [AUTH_EV] = {"auth", {"---", "235", "---", "235", "503", "503", "503", "503", "---", "235>G", "---", "---"}},
    [MAIL_EV] = {"MAIL", {"---", "503", "503", "250>M", "503", "503", "503", "503", "---", "250>M", "---", "---"}},
    [NULL_EV] = {"MAIL <>", {"---", "503", "503", "250>M", "503", "503", "503", "503", "---", "250>M", "---", "---"}},
    [RCPT_EV] = {"RCPT", {"---", "503", "503", "503", "250>R", "250>R", "250", "503", "---", "503>G", "---", "---"}},
    [RELAY_EV] = {"RCPT elsewhere",
                  {"---", "503", "503", "503", "550>T", "550", "550", "503", "---", "503>G", "---", "---"}},
    [DATA_EV] = {"DATA", {"---", "503", "503", "503", "503", "554", "354>D", "503", "---", "503>G", "---", "---"}},
    [BODY_EV] = {"body", {"---", "---", "---", "---", "---", "---", "---", "ok", "---", "---", "---", "---"}},
    [EOM_EV] = {"end of message",
                {"---", "---", "---", "---", "---", "---", "---", "250>E", "---", "---", "---", "---"}},
    [COMMIT_OK_EV] = {"commit all ok",
                      {"---", "---", "---", "---", "---", "---", "---", "---", "250>F", "---", "---", "---"}},
    [COMMIT_FAILED_EV] = {"commit all failed",
                          {"---", "---", "---", "---", "---", "---", "---", "---", "451>G", "---", "---", "---"}},
    [COMMIT_REFUSED_EV] = {"commit all refused",
                           {"---", "---", "---", "---", "---", "---", "---", "---", "554>G", "---", "---", "---"}},
    [COMMIT_ONE_EV] = {"commit 0 ok",
                       {"---", "---", "---", "---", "---", "---", "---", "---", "250>F", "---", "---", "---"}},
    [COMMIT_NONE_EV] = {"commit 7 ok",
                        {"---", "---", "---", "---", "---", "---", "---", "---", "nof", "---", "---", "---"}},
    [RESET_EV] = {"RSET",
                  {"---", "250", "503", "250", "250>G", "250>G", "250>G", "250>G", "---", "250>G", "---", "---"}},
    [NOOP_EV] = {"NOOP", {"---", "250", "503", "250", "250", "250", "250", "250", "---", "250>G", "---", "---"}},
    [UNKNOWN_EV] = {"XYZZY", {"---", "500", "503", "500", "500", "500", "500", "500", "---", "500>G", "---", "---"}},
    [VIOLATION_EV] = {"violation",
                      {"---", "500", "500", "500", "500", "500", "500", "500>G", "---", "500>G", "---", "---"}},
    [QUIT_EV] = {"QUIT",
                 {"---", "221>Q", "221>Q", "221>Q", "221>Q", "221>Q", "221>Q", "221>Q", "---", "221>Q", "---", "---"}},
    [ABORT_EV] = {"abort",
                  {"ok>A", "ok>A", "ok>A", "ok>A", "ok>A", "ok>A", "ok>A", "ok>A", "ok>A", "ok>A", "ok", "ok"}},
    [OVER_CONNECT_EV] = {"overrule connect",
                         {"---", "ok>X", "---", "---", "---", "---", "---", "---", "---", "---", "---", "---"}},
    [OVER_HELO_EV] = {"overrule helo",
                      {"---", "---", "---", "ok>C", "---", "---", "---", "---", "---", "---", "---", "---"}},
    [OVER_MAIL_EV] = {"overrule mail",
                      {"---", "---", "---", "---", "ok>G", "---", "---", "---", "---", "---", "---", "---"}},
    [OVER_RCPT_EV] = {"overrule rcpt",
                      {"---", "---", "---", "---", "---", "---", "ok>T", "---", "---", "---", "---", "---"}},
    [OVER_DATA_EV] = {"overrule data",
                      {"---", "---", "---", "---", "---", "---", "---", "ok>R", "---", "---", "---", "---"}},
    [OVER_EOM_EV] = {"overrule end of message",
                     {"---", "---", "---", "---", "---", "---", "---", "---", "ok>G", "---", "---", "---"}},
    [OVER_BAD_EV] = {"overrule with 250",
                     {"inv", "inv", "inv", "inv", "inv", "inv", "inv", "inv", "inv", "inv", "inv", "inv"}},
    [QUEUE_ID_EV] = {"queue id", {"---", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "---", "---"}},
    [WAIT_EV] = {"wait", {"---", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "---"}},
};

/* What differs for other hosts: one that cannot report commits, where the end of the message is final; and LMTP, which
 * has its own greeting (RFC 2033 4.1) and its own answer to DATA without a recipient. */
enum host { PLAIN, NO_COMMIT, LMTP, HOSTS };

static const char *cell_of(int host, int state, int event)
{
  if (host == NO_COMMIT && event == EOM_EV && state == DATA)
    return "250>F";
  if (host == NO_COMMIT && event == OVER_EOM_EV && state == DONE)
    return "ok>G"; /* the host's only way to say that it failed */
  if (host == LMTP && (event == HELO_EV || event == EHLO_EV))
    return rows[LHLO_EV].cells[state];
  if (host == LMTP && event == DATA_EV && state == TRIED)
    return "503"; /* RFC 2033 4.2 */
  if (host == LMTP && event == LHLO_EV)
    return rows[EHLO_EV].cells[state];
  return rows[event].cells[state];
}

/* ---- a driver on nothing but memory -------------------------------------------------------------------------- */

static smtpf_config *config;
static smtpf_engine *engine, *refusing;
static smtpf_driver *driver;

static smtpf_engine *make_engine(int refuse)
{
  static const char *const options[][2] = {{"iprev.enable", "false"}, {"addrlists[\"bad\"].refuse", "true"}};
  smtpf_engine *e = NULL;
  smtpf_error err = {.size = sizeof err};
  smtpf_config_free(config);
  config = NULL;
  ck_assert_int_eq(smtpf_config_new(&config, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_append(config, "local_domains", "example.net", &err), SMTPF_OK);
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    ck_assert_msg(smtpf_config_set(config, options[i][0], options[i][1], &err) == SMTPF_OK, "%s", err.text);
  ck_assert_int_eq(smtpf_config_append(config, "addrlists[\"bad\"].entries", "192.0.2.66", &err), SMTPF_OK);
  if (refuse)
    ck_assert_int_eq(smtpf_config_set(config, "refuse.stage", "connect", &err), SMTPF_OK);
  ck_assert_msg(smtpf_engine_new(&e, config, &err) == SMTPF_OK, "%s", err.text);
  return e;
}

static void set_up(void)
{
  static smtpf_zone *zone;
  size_t line;
  smtpf_zone_free(zone);
  zone = NULL;
  ck_assert_int_eq(smtpf_zone_new(&zone, SMTPF_LIT("example.net A 192.0.2.1\n"), NULL, &line), SMTPF_OK);
  smtpf_ports ports = {.size = sizeof ports, .resolver = smtpf_resolver_zone(), .resolver_shared = zone};
  engine = make_engine(0);
  refusing = make_engine(1);
  ck_assert_int_eq(smtpf_driver_new(&driver, engine, &ports), SMTPF_OK);
}

static void tear_down(void)
{
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_engine_unref(refusing);
  smtpf_config_free(config);
  config = NULL;
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static int call(smtpf_session *s, int event)
{
  const smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("192.0.2.25")};
  const smtpf_str none = {0};
  size_t taken = 0;
  switch (event) {
  case CONNECT_EV: return smtpf_session_connect(s, &peer);
  case REBIND_EV: return smtpf_session_rebind(s, &peer);
  case EARLY_EV: return smtpf_session_early_talk(s);
  case HELO_EV: return smtpf_session_helo(s, SMTPF_GREET_HELO, SMTPF_LIT("mail.example.org"));
  case EHLO_EV: return smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.example.org"));
  case LHLO_EV: return smtpf_session_helo(s, SMTPF_GREET_LHLO, SMTPF_LIT("mail.example.org"));
  case STARTTLS_EV: return smtpf_session_starttls(s, SMTPF_LIT("TLSv1.3"), SMTPF_LIT("TLS_AES_256_GCM_SHA384"));
  case AUTH_EV: return smtpf_session_auth(s, SMTPF_LIT("PLAIN"), SMTPF_LIT("me"));
  case MAIL_EV: return smtpf_session_mail(s, SMTPF_LIT("<a@example.org>"), none);
  case NULL_EV: return smtpf_session_mail(s, SMTPF_LIT("<>"), none);
  case RCPT_EV: return smtpf_session_rcpt(s, SMTPF_LIT("<b@example.net>"), none);
  case RELAY_EV: return smtpf_session_rcpt(s, SMTPF_LIT("<b@elsewhere.example>"), none);
  case DATA_EV: return smtpf_session_data(s);
  case BODY_EV: return smtpf_session_body(s, "Subject: x\r\n", 12, &taken);
  case EOM_EV: return smtpf_session_eom(s);
  case COMMIT_OK_EV: return smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK);
  case COMMIT_FAILED_EV: return smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_FAILED);
  case COMMIT_REFUSED_EV: return smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_REFUSED);
  case COMMIT_ONE_EV: return smtpf_session_commit(s, 0, SMTPF_COMMIT_OK);
  case COMMIT_NONE_EV: return smtpf_session_commit(s, 7, SMTPF_COMMIT_OK);
  case RESET_EV: return smtpf_session_reset(s);
  case NOOP_EV: return smtpf_session_command(s, SMTPF_LIT("NOOP"));
  case UNKNOWN_EV: return smtpf_session_command(s, SMTPF_LIT("XYZZY"));
  case VIOLATION_EV: return smtpf_session_violation(s, 500, SMTPF_LIT("5.5.2"), SMTPF_LIT("Line too long"));
  case QUIT_EV: return smtpf_session_quit(s);
  case ABORT_EV: return smtpf_session_abort(s);
  case OVER_CONNECT_EV: return smtpf_session_overrule(s, SMTPF_CONNECT, 554);
  case OVER_HELO_EV: return smtpf_session_overrule(s, SMTPF_HELO, 550);
  case OVER_MAIL_EV: return smtpf_session_overrule(s, SMTPF_MAIL, 550);
  case OVER_RCPT_EV: return smtpf_session_overrule(s, SMTPF_RCPT, 452);
  case OVER_DATA_EV: return smtpf_session_overrule(s, SMTPF_DATA, 451);
  case OVER_EOM_EV: return smtpf_session_overrule(s, SMTPF_EOM, 451);
  case OVER_BAD_EV: return smtpf_session_overrule(s, SMTPF_RCPT, 250);
  case QUEUE_ID_EV: return smtpf_session_queue_id(s, SMTPF_LIT("4F1A2"));
  case WAIT_EV: return smtpf_session_wait(s, 0);
  default: return SMTPF_EINVAL;
  }
}

/* An event of the way to a state, which must be accepted. */
static void go(smtpf_session *s, int event)
{
  int result = call(s, event);
  if (result == SMTPF_PENDING)
    result = smtpf_session_wait(s, 10000);
  ck_assert_int_eq(result, SMTPF_OK);
}

static smtpf_session *reach(int host, int state)
{
  static const int way[] = {CONNECT_EV, EHLO_EV, MAIL_EV, RCPT_EV, DATA_EV, EOM_EV, COMMIT_OK_EV};
  static const size_t steps[STATES] = {[CONNECTED] = 1, [GREETED] = 2, [MAIL] = 3, [TRIED] = 3, [RCPT] = 4,
                                       [DATA] = 5,      [EOM] = 6,     [DONE] = 7, [QUIT] = 2,  [ABORTED] = 4};
  smtpf_session *s = NULL;
  smtpf_driver_set_engine(driver, state == REFUSED ? refusing : engine);
  const smtpf_session_options options = {.size = sizeof options,
                                         .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT |
                                                         (host == NO_COMMIT ? 0 : SMTPF_CAN_REPORT_COMMIT),
                                         .protocol = host == LMTP ? SMTPF_LMTP : SMTPF_SMTP};
  ck_assert_int_eq(smtpf_session_new(&s, driver, &options), SMTPF_OK);
  for (size_t i = 0; i < steps[state]; i++)
    if (host != NO_COMMIT || way[i] != COMMIT_OK_EV)
      go(s, host == LMTP && way[i] == EHLO_EV ? LHLO_EV : way[i]);
  if (state == REFUSED) {
    const smtpf_peer bad = {.size = sizeof bad, .address = SMTPF_LIT("192.0.2.66")};
    ck_assert_int_eq(smtpf_session_connect(s, &bad), SMTPF_OK);
    ck_assert_int_eq(smtpf_verdict_code(smtpf_session_verdict(s)), 554);
  } else if (state == TRIED) {
    ck_assert_int_eq(call(s, RELAY_EV), SMTPF_OK);
  } else if (state == QUIT) {
    go(s, QUIT_EV);
  } else if (state == ABORTED) {
    ck_assert_int_eq(smtpf_session_abort(s), SMTPF_OK);
  }
  return s;
}

/* ---- where a session is, by what it does: each probe destroys it, so it is reached anew ------------------------- */

struct probe {
  int event;
  const char *answer[STATES];
};

static int code_of(const smtpf_session *s)
{
  const smtpf_verdict *v = smtpf_session_verdict(s);
  return v ? smtpf_verdict_code(v) : 0;
}

/* What a call did, in the table's words; the state it leads to is left out. */
static void describe(smtpf_session *s, int event, char out[8])
{
  const int is_event = event != EARLY_EV && event != BODY_EV && event != ABORT_EV && event != QUEUE_ID_EV &&
                       event != WAIT_EV && (event < OVER_CONNECT_EV || event > OVER_BAD_EV);
  int result = call(s, event);
  if (result == SMTPF_PENDING) {
    ck_assert_ptr_null(smtpf_session_verdict(s));
    result = smtpf_session_wait(s, 10000);
  }
  const char *word = result == SMTPF_ESTATE      ? "---"
                     : result == SMTPF_EINVAL    ? "inv"
                     : result == SMTPF_ENOTFOUND ? "nof"
                     : result == SMTPF_OK        ? "ok"
                                                 : "?";
  memset(out, 0, 8);
  memcpy(out, word, strlen(word));
  if (result == SMTPF_OK && is_event) {
    int code = code_of(s);
    ck_assert_int_ne(code, 0);
    out[0] = (char)('0' + code / 100);
    out[1] = (char)('0' + code / 10 % 10);
    out[2] = (char)('0' + code % 10);
  }
}

static int expected_state(const char *cell, int state)
{
  const char *to = strchr(cell, '>');
  return to ? (int)(strchr(state_letters, to[1]) - state_letters) : state;
}

static int same_word(const char *cell, const char *got)
{
  size_t n = strcspn(cell, ">");
  return strlen(got) == n && memcmp(cell, got, n) == 0;
}

/* The event itself, then every event again in the state it is said to lead to: that is how it is told from others. */
START_TEST(every_cell)
{
  int host = _i / (STATES * EVENTS), state = _i / EVENTS % STATES, event = _i % EVENTS;
  const char *cell = cell_of(host, state, event);
  char got[8];
  int to = expected_state(cell, state);
  if (host == NO_COMMIT && state == EOM)
    return; /* is never in it */
  for (int probe = -1; probe < EVENTS; probe++) {
    smtpf_session *s = reach(host, state);
    const smtpf_verdict *before = smtpf_session_verdict(s);
    int code_before = code_of(s);
    describe(s, event, got);
    ck_assert_msg(same_word(cell, got), "host %d, %s in state %c: expected %s, got %s", host, rows[event].name,
                  state_letters[state], cell, got);
    if (*cell == '-' || *cell == 'i' || *cell == 'n') {
      ck_assert_ptr_eq(smtpf_session_verdict(s), before);
      ck_assert_int_eq(code_of(s), code_before);
    }
    int after_overrule = probe >= OVER_CONNECT_EV && probe <= OVER_EOM_EV;
    if (probe >= 0 && (!after_overrule || event == ABORT_EV)) {
      const char *then = cell_of(host, to, probe);
      describe(s, probe, got);
      ck_assert_msg(same_word(then, got), "host %d, %s in state %c, then %s in %c: expected %s, got %s", host,
                    rows[event].name, state_letters[state], rows[probe].name, state_letters[to], then, got);
    }
    smtpf_session_free(s);
  }
}
END_TEST

/* While an event is pending every other one is refused as busy; abort and early talk are not. */
static int never_lookup(void *self, smtpf_op op, smtpf_str address)
{
  (void)self;
  (void)op;
  (void)address;
  return SMTPF_OK;
}
static int never_start(void *shared, smtpf_driver *d, void **self)
{
  (void)d;
  *self = shared;
  return SMTPF_OK;
}
static void never_cancel(void *self, smtpf_op op)
{
  (void)op;
  ++*(int *)self;
}
static void never_stop(void *self)
{
  (void)self;
}

START_TEST(while_pending)
{
  static const smtpf_directory never = {sizeof never, "never", never_start, never_lookup, never_cancel, never_stop};
  int cancelled = 0;
  smtpf_ports ports = {.size = sizeof ports, .directory = &never, .directory_shared = &cancelled};
  smtpf_driver *d = NULL;
  smtpf_session *s = NULL;
  ck_assert_int_eq(smtpf_driver_new(&d, engine, &ports), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_new(&s, d, NULL), SMTPF_OK);
  go(s, CONNECT_EV);
  go(s, EHLO_EV);
  go(s, MAIL_EV);
  ck_assert_int_eq(call(s, RCPT_EV), SMTPF_PENDING);
  for (int event = 0; event < EVENTS; event++) {
    if (event == ABORT_EV)
      continue;
    int expected = event == EARLY_EV || event == QUEUE_ID_EV          ? SMTPF_OK
                   : event == WAIT_EV                                 ? SMTPF_ETIMEOUT
                   : event == OVER_BAD_EV                             ? SMTPF_EINVAL
                   : event >= OVER_CONNECT_EV && event <= OVER_EOM_EV ? SMTPF_ESTATE
                                                                      : SMTPF_EBUSY;
    int got = call(s, event);
    ck_assert_msg(got == expected || (got == SMTPF_EBUSY && expected == SMTPF_ESTATE), "%s: expected %s, got %s",
                  rows[event].name, smtpf_strerror(expected), smtpf_strerror(got));
    ck_assert_ptr_null(smtpf_session_verdict(s));
  }
  ck_assert_int_eq(cancelled, 0);
  ck_assert_int_eq(smtpf_session_abort(s), SMTPF_OK);
  ck_assert_int_eq(cancelled, 1);
  ck_assert_int_eq(smtpf_session_wait(s, 0), SMTPF_ESTATE);
  smtpf_session_free(s);
  smtpf_driver_free(d);
}
END_TEST

/* Aborting or freeing with an event pending cancels what was asked, and nothing comes of it afterwards. */
START_TEST(free_while_pending)
{
  static const smtpf_directory never = {sizeof never, "never", never_start, never_lookup, never_cancel, never_stop};
  int cancelled = 0;
  smtpf_ports ports = {.size = sizeof ports, .directory = &never, .directory_shared = &cancelled};
  smtpf_driver *d = NULL;
  smtpf_session *s = NULL;
  ck_assert_int_eq(smtpf_driver_new(&d, engine, &ports), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_new(&s, d, NULL), SMTPF_OK);
  go(s, CONNECT_EV);
  go(s, EHLO_EV);
  go(s, MAIL_EV);
  ck_assert_int_eq(call(s, RCPT_EV), SMTPF_PENDING);
  smtpf_session_free(s);
  ck_assert_int_eq(cancelled, 1);
  ck_assert_int_eq(smtpf_driver_process(d), 0);
  ck_assert_ptr_null(smtpf_driver_next(d));
  smtpf_driver_free(d);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("session states");
  TCase *all = tcase_create("state x event");
  tcase_add_checked_fixture(all, set_up, tear_down);
  tcase_add_loop_test(all, every_cell, 0, HOSTS * STATES * EVENTS);
  suite_add_tcase(suite, all);
  TCase *pending = tcase_create("pending");
  tcase_add_checked_fixture(pending, set_up, tear_down);
  tcase_add_test(pending, while_pending);
  tcase_add_test(pending, free_while_pending);
  suite_add_tcase(suite, pending);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
