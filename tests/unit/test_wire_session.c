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
  int commit; /* smtpf_commit_result for what was accepted */
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
  smtpf_session_options so = {
      .size = sizeof so, .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_REPORT_COMMIT, .protocol = protocol};
  must(smtpf_session_new(&h->session, h->driver, &so));
  smtpf_smtpd_options o = feed_options();
  o.protocol = protocol;
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

/* As the head of wire.h says. */
static void talk(struct host *h, const char *in)
{
  size_t n = strlen(in);
  smtpf_smtpd_event ev;
  h->n = 0;
  while (smtpf_smtpd_next(h->codec, &in, &n, &ev) == SMTPF_OK) {
    int r = smtpf_smtpd_apply(h->codec, h->session, &ev);
    must(r == SMTPF_PENDING ? smtpf_session_wait(h->session, 1000) : r);
    if (ev.kind == SMTPF_SMTPD_BODY)
      continue;
    int accepted = smtpf_verdict_action(smtpf_session_verdict(h->session)) == SMTPF_ACCEPT;
    if (ev.kind == SMTPF_SMTPD_END && ev.last && accepted)
      must(smtpf_session_commit(h->session, SMTPF_ALL, h->commit));
    answer(h);
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
  smtpf_smtpd_event ev;
  const char *in = "From: a@c.example\r\n\r\nhi\r\n.\r\n";
  size_t n = strlen(in);
  while (smtpf_smtpd_next(h.codec, &in, &n, &ev) == SMTPF_OK)
    ck_assert_int_ge(smtpf_smtpd_apply(h.codec, h.session, &ev), 0);
  /* Promise L1: nothing is said before every copy's fate is known. */
  ck_assert_int_eq(smtpf_smtpd_answer(h.codec, smtpf_session_verdict(h.session), h.out, sizeof h.out), SMTPF_ESTATE);
  must(smtpf_session_commit(h.session, 0, SMTPF_COMMIT_REFUSED));
  ck_assert_int_eq(smtpf_smtpd_answer(h.codec, smtpf_session_verdict(h.session), h.out, sizeof h.out), SMTPF_ESTATE);
  must(smtpf_session_commit(h.session, 1, SMTPF_COMMIT_OK));
  h.n = 0;
  answer(&h);
  h.out[h.n] = '\0';
  ck_assert_str_eq(codes(&h), "554 250");
  close_host(&h);
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
  const TTest *const tests[] = {a_conversation,     chunks_are_answered,     commit_decides_the_reply, lmtp,
                                early_talk_is_told, the_host_s_own_business, too_many_errors_close,    NULL};
  add_case(suite, "session", tests);
  return suite;
}
