/* SPDX-License-Identifier: MIT
 *
 * smtp_stdio [--lmtp] [--prdr] [--normalise] [--line-max=N] [NAME=VALUE | NAME+=VALUE]...: a whole mail server on
 * standard input and output, with a policy of these options and a name server that knows nothing. What is accepted
 * counts as delivered, and is dropped; but copies for `refused@` and `failed@` any domain become just that.
 */
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int r, const char *what)
{
  if (r == SMTPF_OK)
    return;
  fprintf(stderr, "smtp_stdio: %s: %s\n", what, smtpf_strerror(r));
  exit(2);
}

static void option(smtpf_config *cfg, char *text)
{
  smtpf_error err = {.size = sizeof err};
  char *equals = strchr(text, '=');
  if (!equals || equals == text)
    must(SMTPF_EINVAL, text);
  int append = equals[-1] == '+';
  equals[-append] = '\0';
  must(append ? smtpf_config_append(cfg, text, equals + 1, &err) : smtpf_config_set(cfg, text, equals + 1, &err), text);
}

static void put(const char *p, size_t n)
{
  while (n) {
    ssize_t k = write(STDOUT_FILENO, p, n);
    if (k <= 0)
      exit(0);
    p += k;
    n -= (size_t)k;
  }
}

static void settle(smtpf_session *s, int r)
{
  must(r == SMTPF_PENDING ? smtpf_session_wait(s, 30000) : r, "event");
}

static int fate_of(const smtpf_verdict *v, size_t i)
{
  smtpf_recipient_info r = {.size = sizeof r};
  must(smtpf_verdict_recipient(v, i, &r), "recipient");
  if (r.final)
    return 0;
  return r.address.n > 8 && memcmp(r.address.p, "refused@", 8) == 0  ? SMTPF_COMMIT_REFUSED
         : r.address.n > 7 && memcmp(r.address.p, "failed@", 7) == 0 ? SMTPF_COMMIT_FAILED
                                                                     : SMTPF_COMMIT_OK;
}

static void commit(smtpf_session *s)
{
  for (size_t i = 0, n = smtpf_verdict_recipient_count(smtpf_session_verdict(s)); i < n; i++) {
    int result = fate_of(smtpf_session_verdict(s), i);
    if (result)
      settle(s, smtpf_session_commit(s, i, result));
  }
}

/* One event. 0 when the connection is over. */
static int serve(smtpf_smtpd *c, smtpf_session *s, smtpf_smtpd_event *ev)
{
  static char out[256 * SMTPF_REPLY_MAX];
  int r;
  while ((r = smtpf_smtpd_apply(c, s, ev)) == SMTPF_PENDING && ev->kind == SMTPF_SMTPD_BODY)
    must(smtpf_session_wait(s, 30000), "body");
  settle(s, r);
  if (ev->kind == SMTPF_SMTPD_BODY)
    return 1;
  if (ev->kind == SMTPF_SMTPD_END && ev->last && smtpf_verdict_action(smtpf_session_verdict(s)) == SMTPF_ACCEPT)
    commit(s);
  const smtpf_verdict *v = smtpf_session_verdict(s);
  int n = smtpf_smtpd_answer(c, v, out, sizeof out);
  if (n < 0)
    must(n, "answer");
  put(out, (size_t)n);
  return !ev->fatal && !smtpf_verdict_closes(v);
}

static void talk(smtpf_smtpd *c, smtpf_session *s)
{
  char room[4096];
  ssize_t got;
  while ((got = read(STDIN_FILENO, room, sizeof room)) > 0) {
    const char *in = room;
    size_t n = (size_t)got;
    smtpf_smtpd_event ev;
    int r;
    while ((r = smtpf_smtpd_next(c, &in, &n, &ev)) == SMTPF_OK)
      if (!serve(c, s, &ev))
        return;
    if (r != SMTPF_PENDING)
      must(r, "next");
  }
}

int main(int argc, char **argv)
{
  smtpf_config *cfg;
  smtpf_engine *engine;
  smtpf_driver *d;
  smtpf_session *s;
  smtpf_smtpd *c;
  smtpf_zone *zone;
  size_t line;
  smtpf_error err = {.size = sizeof err};
  smtpf_session_options so = {.size = sizeof so,
                              .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_REPORT_COMMIT |
                                              SMTPF_CAN_REPLY_PER_RCPT};
  smtpf_smtpd_options co = {.size = sizeof co,
                            .hostname = SMTPF_LIT("mx.example.net"),
                            .message_max = 1 << 20,
                            .extensions = SMTPF_EXT_PIPELINING | SMTPF_EXT_SIZE | SMTPF_EXT_8BITMIME |
                                          SMTPF_EXT_SMTPUTF8 | SMTPF_EXT_ENHANCEDSTATUSCODES | SMTPF_EXT_DSN |
                                          SMTPF_EXT_CHUNKING};
  smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("192.0.2.25"), .port = 4711};
  must(smtpf_config_new(&cfg, NULL), "config");
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--lmtp") == 0)
      so.protocol = co.protocol = SMTPF_LMTP;
    else if (strcmp(argv[i], "--prdr") == 0)
      co.extensions |= SMTPF_EXT_PRDR;
    else if (strcmp(argv[i], "--normalise") == 0)
      co.line_ends = SMTPF_LINE_ENDS_NORMALISE;
    else if (strncmp(argv[i], "--line-max=", 11) == 0)
      co.line_max = (uint32_t)strtoul(argv[i] + 11, NULL, 10);
    else
      option(cfg, argv[i]);
  }
  must(smtpf_engine_new(&engine, cfg, &err), err.text);
  must(smtpf_zone_new(&zone, (smtpf_str){"", 0}, NULL, &line), "zone");
  smtpf_ports ports = {.size = sizeof ports, .resolver = smtpf_resolver_zone(), .resolver_shared = zone};
  must(smtpf_driver_new(&d, engine, &ports), "driver");
  must(smtpf_session_new(&s, d, &so), "session");
  must(smtpf_smtpd_new(&c, &co, NULL), "codec");
  settle(s, smtpf_session_connect(s, &peer));
  char out[SMTPF_REPLY_MAX];
  int n = smtpf_smtpd_answer(c, smtpf_session_verdict(s), out, sizeof out);
  if (n < 0)
    must(n, "banner");
  put(out, (size_t)n);
  talk(c, s);
  smtpf_smtpd_free(c);
  smtpf_session_free(s);
  smtpf_driver_free(d);
  smtpf_zone_free(zone);
  smtpf_engine_unref(engine);
  smtpf_config_free(cfg);
  return 0;
}
