/* SPDX-License-Identifier: MIT
 *
 * The codec and a session of the library: every event reaches it, every verdict becomes the right reply.
 */
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>

#include "wire_suites.h"

struct host {
  smtpf_zone *zone;
  smtpf_driver *driver;
  smtpf_session *session;
  smtpf_smtpd *codec;
  int commit;   /* smtpf_commit_result for what was accepted */
  int each[3];  /* or for each recipient, where not 0 */
  size_t piece; /* the client's bytes come by so many, 0 for all at once */
  char out[16384];
  size_t n;
};

static void must(int r)
{
  ck_assert_int_eq(r, SMTPF_OK);
}

static void answer(struct host *h)
{
  int n = smtpf_smtpd_answer(h->codec, smtpf_session_verdict(h->session), h->out + h->n, sizeof h->out - h->n);
  ck_assert_int_ge(n, 0);
  h->n += (size_t)n;
}

static void open_host(struct host *h, int protocol)
{
  smtpf_config *cfg;
  smtpf_engine *engine;
  smtpf_error err = {.size = sizeof err};
  size_t line;
  *h = (struct host){.commit = SMTPF_COMMIT_OK};
  must(smtpf_zone_new(&h->zone, S(""), NULL, &line));
  must(smtpf_config_new(&cfg, NULL));
  must(smtpf_config_append(cfg, "local_domains", "example.net", &err));
  must(smtpf_config_append(cfg, "hostnames", "mx.example.net", &err));
  must(smtpf_config_append(cfg, "check.disable", "iprev", &err));
  must(smtpf_engine_new(&engine, cfg, &err));
  smtpf_config_free(cfg);
  smtpf_ports ports = {.size = sizeof ports, .resolver = smtpf_resolver_zone(), .resolver_shared = h->zone};
  must(smtpf_driver_new(&h->driver, engine, &ports));
  smtpf_engine_unref(engine);
  smtpf_session_options so = {.size = sizeof so,
                              .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_REPORT_COMMIT | SMTPF_CAN_REPLY_PER_RCPT,
                              .protocol = protocol};
  must(smtpf_session_new(&h->session, h->driver, &so));
  smtpf_smtpd_options o = feed_options();
  o.protocol = protocol;
  o.extensions |= SMTPF_EXT_PRDR;
  o.message_max = 4000;
  must(smtpf_smtpd_new(&h->codec, &o, NULL));
  smtpf_peer peer = {.size = sizeof peer, .address = S("192.0.2.1")};
  int r = smtpf_session_connect(h->session, &peer);
  must(r == SMTPF_PENDING ? smtpf_session_wait(h->session, 1000) : r);
  answer(h);
}

static void close_host(struct host *h)
{
  smtpf_smtpd_free(h->codec);
  smtpf_session_free(h->session);
  smtpf_driver_free(h->driver);
  smtpf_zone_free(h->zone);
}

/* What the host made of the copies. */
static void commit(struct host *h)
{
  for (size_t i = 0; i < 3 && h->each[i]; i++)
    must(smtpf_session_commit(h->session, i, h->each[i]));
  if (!h->each[0])
    must(smtpf_session_commit(h->session, SMTPF_ALL, h->commit));
}

/* As the head of wire.h says. */
static void listen_to(struct host *h, const char *in, size_t n)
{
  smtpf_smtpd_event ev;
  while (smtpf_smtpd_next(h->codec, &in, &n, &ev) == SMTPF_OK) {
    int r = smtpf_smtpd_apply(h->codec, h->session, &ev);
    must(r == SMTPF_PENDING ? smtpf_session_wait(h->session, 1000) : r);
    if (ev.kind == SMTPF_SMTPD_BODY)
      continue;
    int accepted = smtpf_verdict_action(smtpf_session_verdict(h->session)) == SMTPF_ACCEPT;
    if (ev.kind == SMTPF_SMTPD_END && ev.last && accepted)
      commit(h);
    answer(h);
  }
}

static void talk(struct host *h, const char *in)
{
  size_t n = strlen(in);
  h->n = 0;
  for (size_t at = 0, k; at < n; at += k) {
    k = h->piece && h->piece < n - at ? h->piece : n - at;
    listen_to(h, in + at, k);
  }
  h->out[h->n] = '\0';
}

/* The codes of all replies, multi-line ones once. */
static const char *codes(const struct host *h)
{
  static char list[256];
  size_t n = 0;
  for (const char *p = h->out; *p; p = strstr(p, "\r\n") + 2)
    if (p[3] == ' ')
      n += (size_t)snprintf(list + n, sizeof list - n, "%s%.3s", n ? " " : "", p);
  list[n] = '\0';
  return list;
}

#define EXPECT(in, want)                                                                                               \
  do {                                                                                                                 \
    talk(&h, in);                                                                                                      \
    ck_assert_msg(strcmp(codes(&h), want) == 0, "%s gave %s", in, h.out);                                              \
  } while (0)

START_TEST(a_conversation)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  h.out[h.n] = '\0';
  ck_assert_str_eq(h.out, "220 mx.example.net ESMTP\r\n");
  EXPECT("NOOP\r\nBOGUS\r\nVRFY x\r\nHELP\r\nDATA\r\n", "250 500 252 214 503");
  EXPECT("EHLO c.example\r\n", "250");
  ck_assert_ptr_nonnull(strstr(h.out, "250-PIPELINING\r\n"));
  ck_assert_ptr_null(strstr(h.out, "2.0.0"));
  EXPECT("MAIL FROM:<a@c.example> SIZE=5\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<b@elsewhere.example>\r\nDATA\r\n",
         "250 250 550 354");
  EXPECT("From: a@c.example\r\n\r\nhi\r\n.\r\n", "250");
  EXPECT("MAIL FROM:<a@@c.example>\r\nMAIL FROM:<a@c.example> X=1\r\nmail from: a@c.example\r\nRSET\r\n",
         "501 555 250 250");
  EXPECT("MAIL FROM:<>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n", "250 250 354");
  EXPECT("\r\na\nb\r\n.\r\nRCPT TO:<b@example.net>\r\nQUIT\r\n", "554 503 221");
  close_host(&h);
}
END_TEST

START_TEST(chunks_are_answered)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  EXPECT("EHLO c.example\r\nBDAT 4\r\nQUITBDAT 4 LAST\r\nQUIT", "250 503 503");
  EXPECT("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.net>\r\nBDAT 21\r\nFrom: a@c.example\r\n\r\n", "250 250 250");
  ck_assert_ptr_nonnull(strstr(h.out, "250 2.0.0 21 octets received\r\n"));
  EXPECT("NOOP\r\nBOGUS\r\nBDAT 4\r\nhi\r\nBDAT 0 LAST\r\n", "250 500 250 250");
  EXPECT("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.net>\r\nBDAT 3\r\na\nbBDAT 0 LAST\r\n", "250 250 554 503");
  EXPECT("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.net>\r\nBDAT 1\r\naMAIL FROM:<>\r\nBDAT 1 LAST\r\nb",
         "250 250 250 503 503");
  EXPECT("RSET\r\nQUIT\r\n", "250 221");
  close_host(&h);
}
END_TEST

START_TEST(commit_decides_the_reply)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  h.commit = SMTPF_COMMIT_FAILED;
  talk(&h, "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n");
  talk(&h, "From: a@c.example\r\n\r\nhi\r\n.\r\n");
  ck_assert_int_eq(codes(&h)[0], '4');
  close_host(&h);
}
END_TEST

#define MESSAGE_TEXT "From: a@c.example\r\n\r\nhi\r\n"

/* The message comes, and the host has not said anything about its copies yet. */
static void end_without_commit(struct host *h)
{
  const char *in = MESSAGE_TEXT ".\r\n";
  size_t n = strlen(in);
  smtpf_smtpd_event ev;
  while (smtpf_smtpd_next(h->codec, &in, &n, &ev) == SMTPF_OK)
    ck_assert_int_ge(smtpf_smtpd_apply(h->codec, h->session, &ev), 0);
  h->n = 0;
}

/* Promise L1: nothing is said before every copy's fate is known. */
static void expect_no_answer(struct host *h, int why)
{
  int r = smtpf_smtpd_answer(h->codec, smtpf_session_verdict(h->session), h->out, sizeof h->out);
  ck_assert_int_eq(r, why);
}

START_TEST(lmtp)
{
  struct host h;
  open_host(&h, SMTPF_LMTP);
  EXPECT("EHLO c.example\r\nLHLO c.example\r\n", "500 250");
  EXPECT("MAIL FROM:<a@c.example>\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<x@elsewhere.example>\r\nRCPT "
         "TO:<b@example.net>\r\nDATA\r\n",
         "250 250 550 250 354");
  EXPECT("From: a@c.example\r\n\r\nhi\r\n.\r\n", "250 250");
  talk(&h, "MAIL FROM:<a@c.example>\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n");
  EXPECT("a\nb\r\n.\r\n", "554 554");
  talk(&h, "MAIL FROM:<a@c.example>\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n");
  end_without_commit(&h);
  expect_no_answer(&h, SMTPF_ESTATE);
  must(smtpf_session_commit(h.session, 0, SMTPF_COMMIT_REFUSED));
  expect_no_answer(&h, SMTPF_ESTATE);
  must(smtpf_session_commit(h.session, 1, SMTPF_COMMIT_OK));
  h.n = 0;
  answer(&h);
  h.out[h.n] = '\0';
  ck_assert_str_eq(codes(&h), "554 250");
  close_host(&h);
}
END_TEST

#define BEGIN(params)                                                                                                  \
  "MAIL FROM:<a@c.example>" params "\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<x@elsewhere.example>\r\n"                  \
  "RCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\n"
#define BEGUN "250 250 550 250 250"

START_TEST(lmtp_chunks)
{
  struct host h;
  open_host(&h, SMTPF_LMTP);
  EXPECT("LHLO c.example\r\n", "250");
  ck_assert_ptr_null(strstr(h.out, "PRDR"));
  EXPECT(BEGIN("") "BDAT 9\r\nX: y\r\n\r\nhBDAT 1 LAST\r\ni", BEGUN " 250 250 250 250");
  EXPECT(BEGIN(" PRDR"), "555 503 503 503 503");
  EXPECT("MAIL FROM:<a@c.example>\r\nRCPT TO:<x@elsewhere.example>\r\nBDAT 2 LAST\r\nhi", "250 550 503");
  EXPECT("RSET\r\nMAIL FROM:<a@c.example>\r\nDATA\r\n", "250 250 503");
  /* each chunk has one reply, the last one of them one for each recipient, also after the message was given up */
  EXPECT("RSET\r\n" BEGIN("") "BDAT 3\r\na\nbBDAT 1\r\ncBDAT 1 LAST\r\nd", "250 " BEGUN " 554 503 503 503 503");
  close_host(&h);
}
END_TEST

START_TEST(lmtp_refused_chunk)
{
  struct host h;
  smtpf_smtpd_event ev;
  open_host(&h, SMTPF_LMTP);
  EXPECT("LHLO c.example\r\n" BEGIN(""), "250 " BEGUN);
  const char *in = "BDAT 2 LAST\r\nhiNOOP\r\n";
  size_t n = strlen(in);
  must(smtpf_smtpd_next(h.codec, &in, &n, &ev));
  ck_assert_int_eq(smtpf_smtpd_reply(h.codec, 452, S("4.3.1"), S("full"), h.out, sizeof h.out), 0);
  must(smtpf_smtpd_next(h.codec, &in, &n, &ev));
  for (size_t cap = 0; cap < 3 * strlen("452 4.3.1 full\r\n"); cap++)
    ck_assert_int_eq(smtpf_smtpd_answer(h.codec, NULL, h.out, cap), SMTPF_ELIMIT);
  h.n = 0;
  answer(&h);
  h.out[h.n] = '\0';
  ck_assert_str_eq(h.out, "452 4.3.1 full\r\n452 4.3.1 full\r\n452 4.3.1 full\r\n");
  close_host(&h);
}
END_TEST

START_TEST(prdr)
{
  static const size_t pieces[] = {0, 1, 7};
  for (size_t i = 0; i < 3; i++) {
    struct host h;
    open_host(&h, SMTPF_SMTP);
    EXPECT("EHLO c.example\r\n", "250");
    ck_assert_ptr_nonnull(strstr(h.out, "250-PRDR\r\n"));
    h.piece = pieces[i];
    EXPECT(BEGIN(" prdr SIZE=100") "DATA\r\n", BEGUN " 354");
    EXPECT(MESSAGE_TEXT ".\r\n", "353 250 250 250 250");
    ck_assert_int_eq(memcmp(h.out, "353 A reply", 11), 0);
    ck_assert_ptr_nonnull(strstr(h.out, "\r\n250 2."));
    h.each[0] = SMTPF_COMMIT_REFUSED, h.each[1] = SMTPF_COMMIT_OK, h.each[2] = SMTPF_COMMIT_FAILED;
    EXPECT(BEGIN(" PRDR") "DATA\r\n", BEGUN " 354");
    EXPECT(MESSAGE_TEXT ".\r\n", "353 554 250 451 250");
    EXPECT(BEGIN(" PRDR") "BDAT 1\r\nXBDAT 7 LAST\r\n: y\r\n\r\n", BEGUN " 250 353 554 250 451 250");
    /* one more time without it: the next transaction asks anew */
    h.each[0] = 0;
    EXPECT(BEGIN("") "DATA\r\n", BEGUN " 354");
    EXPECT(MESSAGE_TEXT ".\r\nQUIT\r\n", "250 221");
    close_host(&h);
  }
}
END_TEST

START_TEST(prdr_is_asked_for)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  EXPECT("EHLO c.example\r\nMAIL FROM:<a@c.example> PRDR=1\r\nMAIL FROM:<a@c.example> PRDR PRDR\r\n", "250 501 501");
  EXPECT("MAIL FROM:<a@@c.example> PRDR\r\n" BEGIN("") "DATA\r\n", "501 " BEGUN " 354");
  EXPECT(MESSAGE_TEXT ".\r\n", "250"); /* a MAIL that was refused asked for nothing */
  EXPECT(BEGIN(" PRDR") "MAIL FROM:<a@c.example>\r\nRCPT TO:<a@example.net> PRDR\r\nDATA\r\n", BEGUN " 503 555 354");
  EXPECT(MESSAGE_TEXT ".\r\n", "353 250 250 250 250"); /* nor does it take anything back */
  EXPECT(BEGIN(" PRDR") "RSET\r\n" BEGIN("") "DATA\r\n", BEGUN " 250 " BEGUN " 354");
  EXPECT(MESSAGE_TEXT ".\r\n", "250");
  EXPECT(BEGIN(" PRDR") "EHLO c.example\r\n" BEGIN("") "DATA\r\n", BEGUN " 250 " BEGUN " 354");
  EXPECT(MESSAGE_TEXT ".\r\n", "250");
  close_host(&h);
  smtpf_smtpd_options o = feed_options();
  static const char in[] = GREET "MAIL FROM:<a@b.example> PRDR\r\n";
  expect_with(&o, in, sizeof in - 1, GREETED "VIOLATION 555 5.5.4\n< 555 5.5.4 parameter not announced\\r\\n\n");
}
END_TEST

START_TEST(prdr_with_one_reply)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  EXPECT("EHLO c.example\r\n" BEGIN(" PRDR") "DATA\r\n", "250 " BEGUN " 354");
  EXPECT("a\nb\r\n.\r\n", "554");
  EXPECT(BEGIN(" PRDR") "DATA\r\n", BEGUN " 354");
  char big[4200];
  memset(big, 'x', sizeof big);
  for (size_t i = 78; i < sizeof big; i += 80)
    memcpy(big + i, "\r\n", 2);
  memcpy(big + sizeof big - 6, "\r\n.\r\n", 6);
  EXPECT(big, "552");
  EXPECT(BEGIN(" PRDR") "BDAT 3\r\na\nbBDAT 1 LAST\r\nc", BEGUN " 554 503");
  EXPECT("RSET\r\nMAIL FROM:<a@c.example> PRDR\r\nDATA\r\n", "250 250 503");
  EXPECT(BEGIN(" PRDR") "DATA\r\n", "503 250 550 250 250 354");
  end_without_commit(&h);
  int n = smtpf_smtpd_reply(h.codec, 421, S("4.3.2"), S("closing"), h.out, sizeof h.out);
  ck_assert_int_eq(n, 19);
  ck_assert_mem_eq(h.out, "421 4.3.2 closing\r\n", 19);
  close_host(&h);
}
END_TEST

START_TEST(prdr_waits_for_commit)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  EXPECT("EHLO c.example\r\n" BEGIN(" PRDR") "DATA\r\n", "250 " BEGUN " 354");
  end_without_commit(&h);
  expect_no_answer(&h, SMTPF_ESTATE);
  for (size_t i = 0; i < 3; i++) {
    expect_no_answer(&h, SMTPF_ESTATE);
    must(smtpf_session_commit(h.session, i, i == 1 ? SMTPF_COMMIT_FAILED : SMTPF_COMMIT_OK));
  }
  int need = smtpf_smtpd_answer(h.codec, smtpf_session_verdict(h.session), h.out, 0);
  for (size_t cap = 0; need == SMTPF_ELIMIT; cap++) /* what does not fit changes nothing */
    need = smtpf_smtpd_answer(h.codec, smtpf_session_verdict(h.session), h.out, cap);
  h.out[need] = '\0';
  ck_assert_str_eq(codes(&h), "353 250 451 250 250");
  ck_assert_int_lt(need, 5 * SMTPF_REPLY_MAX);
  close_host(&h);
}
END_TEST

START_TEST(replies_are_for_whom_the_client_knows)
{
  for (int protocol = SMTPF_SMTP; protocol <= SMTPF_LMTP; protocol++) {
    struct host h;
    smtpf_smtpd_event ev;
    open_host(&h, protocol);
    talk(&h, protocol == SMTPF_LMTP ? "LHLO c.example\r\n" : "EHLO c.example\r\n");
    talk(&h, protocol == SMTPF_LMTP ? BEGIN("") : BEGIN(" PRDR"));
    const char *in = "RCPT TO:<d@example.net>\r\n";
    size_t n = strlen(in);
    must(smtpf_smtpd_next(h.codec, &in, &n, &ev));
    int r = smtpf_smtpd_apply(h.codec, h.session, &ev);
    must(r == SMTPF_PENDING ? smtpf_session_wait(h.session, 1000) : r);
    /* the host refuses, and does not tell the session: its replies would be out of step */
    ck_assert_int_gt(smtpf_smtpd_reply(h.codec, 550, S(""), S("no"), h.out, sizeof h.out), 0);
    EXPECT("DATA\r\n", "354");
    end_without_commit(&h);
    must(smtpf_session_commit(h.session, SMTPF_ALL, SMTPF_COMMIT_OK));
    expect_no_answer(&h, SMTPF_EINVAL);
    close_host(&h);
  }
}
END_TEST

START_TEST(early_talk_is_told)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  smtpf_evidence_info e = {.size = sizeof e};
  talk(&h, "HELO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@example.net>\r\n");
  const smtpf_verdict *v = smtpf_session_verdict(h.session);
  int found = 0;
  for (size_t i = 0; i < smtpf_verdict_evidence_count(v); i++)
    if (smtpf_verdict_evidence(v, i, &e) == SMTPF_OK && e.kind == SMTPF_HIT)
      found |= strstr(e.check, "early") != NULL;
  ck_assert_int_eq(found, 1);
  close_host(&h);
}
END_TEST

START_TEST(the_host_s_own_business)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  smtpf_smtpd_event ev = {.kind = SMTPF_SMTPD_LINE};
  ck_assert_int_eq(smtpf_smtpd_apply(h.codec, h.session, &ev), SMTPF_EUNSUPPORTED);
  static const int verbs[] = {SMTPF_VERB_AUTH, SMTPF_VERB_STARTTLS, SMTPF_VERB_XCLIENT, SMTPF_VERB_XFORWARD};
  for (size_t i = 0; i < 4; i++) {
    ev = (smtpf_smtpd_event){.kind = SMTPF_SMTPD_COMMAND, .verb = verbs[i]};
    ck_assert_int_eq(smtpf_smtpd_apply(h.codec, h.session, &ev), SMTPF_EUNSUPPORTED);
  }
  close_host(&h);
}
END_TEST

START_TEST(too_many_errors_close)
{
  struct host h;
  open_host(&h, SMTPF_SMTP);
  for (int i = 0; i < 200 && !strstr(h.out, "421"); i++)
    talk(&h, "NO\nP\r\n");
  ck_assert_ptr_nonnull(strstr(h.out, "421"));
  EXPECT("NOOP\r\n", "");
  close_host(&h);
}
END_TEST

Suite *smtpf_suite_wire_session(void)
{
  Suite *suite = suite_create("wire and session");
  const TTest *const tests[] = {a_conversation,
                                chunks_are_answered,
                                commit_decides_the_reply,
                                lmtp,
                                lmtp_chunks,
                                lmtp_refused_chunk,
                                prdr,
                                prdr_is_asked_for,
                                prdr_with_one_reply,
                                prdr_waits_for_commit,
                                replies_are_for_whom_the_client_knows,
                                early_talk_is_told,
                                the_host_s_own_business,
                                too_many_errors_close,
                                NULL};
  add_case(suite, "session", tests);
  return suite;
}
