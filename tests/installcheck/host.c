/* SPDX-License-Identifier: MIT
 *
 * One check, compiled out of tree, run by the installed library: usage
 *
 *     host EVIDENCE [path=value | path+=value]...
 *
 * CHECK is the check's symbol. A copy of it, whose `run` counts, takes the built-in one's place; an engine is made
 * with these options; one client connects, greets, and goes as far as RCPT, or, for a check of the message, to its end.
 * Succeeds when the copy was run and EVIDENCE is among what it found. There is a scanner of type `word`, which finds
 * the word `malware`.
 */
#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/scan.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const smtpf_check CHECK;

static const char zone_text[] = "25.2.0.192.list.example A 127.0.0.2\n"
                                "25.2.0.192.list.example TXT \"wrote to a trap\"\n"
                                "25.2.0.192.in-addr.arpa NXDOMAIN\n";

static int runs;

static int counted_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  runs++;
  return CHECK.run(self, t, ev);
}

static void need(int ok, const char *what)
{
  if (ok)
    return;
  fprintf(stderr, "%s: %s\n", CHECK.name, what);
  exit(1);
}

static void set_option(smtpf_config *cfg, char *text)
{
  smtpf_error err = {.size = sizeof err};
  char *value = strchr(text, '=');
  int append, r;

  need(value && value > text, "an option without a value");
  append = value[-1] == '+';
  value[-append] = '\0';
  r = append ? smtpf_config_append(cfg, text, value + 1, &err) : smtpf_config_set(cfg, text, value + 1, &err);
  need(r == SMTPF_OK, err.text);
}

/* Waits where needed; returns whether the verdict on this event has the check's evidence. */
static int found(smtpf_session *s, int r, const char *code)
{
  const smtpf_verdict *v;

  if (r == SMTPF_PENDING)
    r = smtpf_session_wait(s, 30000);
  need(r == SMTPF_OK, "no verdict");
  v = smtpf_session_verdict(s);
  for (size_t i = 0; i < smtpf_verdict_evidence_count(v); i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    need(smtpf_verdict_evidence(v, i, &e) == SMTPF_OK, "evidence cannot be read");
    if (!strcmp(e.check, CHECK.name) && e.code.n == strlen(code) && !memcmp(e.code.p, code, e.code.n))
      return 1;
  }
  return 0;
}

/* ---- the scanner: a counter of what has matched is all it keeps --------------------- */

struct scan {
  smtpf_driver *driver;
  smtpf_op op;
  size_t matched;
  uint64_t seen;
};

static const char word[] = "malware";

static int word_start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  (void)shared;
  (void)settings;
  *self = driver;
  return SMTPF_OK;
}

static int word_open(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  struct scan *c = calloc(1, sizeof *c);
  (void)request;
  if (!c)
    return SMTPF_ENOMEM;
  c->driver = self;
  c->op = op;
  *scan = c;
  return SMTPF_OK;
}

static size_t word_feed(void *scan, const char *bytes, size_t n)
{
  struct scan *c = scan;
  for (size_t i = 0; i < n && word[c->matched]; i++)
    c->matched = bytes[i] == word[c->matched] ? c->matched + 1 : bytes[i] == *word;
  c->seen += n;
  return n;
}

static int word_finish(void *scan)
{
  struct scan *c = scan;
  const smtpf_scan_result r = {.size = sizeof r,
                               .status = word[c->matched] ? SMTPF_SCAN_CLEAN : SMTPF_SCAN_HIT,
                               .name = SMTPF_LIT("a word"),
                               .seen = c->seen};
  (void)smtpf_op_scanned(c->driver, c->op, &r);
  return SMTPF_OK;
}

static const smtpf_scanner scanner = {.size = sizeof scanner,
                                      .name = "word",
                                      .start = word_start,
                                      .open = word_open,
                                      .feed = word_feed,
                                      .finish = word_finish,
                                      .close = free};

static const char message[] =
    "Received: by a.example\r\nReceived: by b.example\r\nSubject: hello\r\n\r\nsome malware\r\n\r\n"
    "Received: from pc.example.com by relay.example.com\r\nFrom: somebody@example.com\r\n";

/* A check of the message: on with it to its end. */
static int send_message(smtpf_session *s, const char *code)
{
  size_t taken = 0;
  int n = found(s, smtpf_session_data(s), code);
  need(smtpf_session_body(s, message, sizeof message - 1, &taken) == SMTPF_OK && taken == sizeof message - 1,
       "the message is not taken");
  n += found(s, smtpf_session_eom(s), code);
  return n;
}

static int converse(smtpf_session *s, const char *code)
{
  const smtpf_peer peer = {.size = sizeof peer,
                           .address = SMTPF_LIT("192.0.2.25"),
                           .local_address = SMTPF_LIT("198.51.100.1"),
                           .port = 40000,
                           .local_port = 25};
  int n;

  need(smtpf_session_early_talk(s) == SMTPF_OK || smtpf_session_early_talk(s) == SMTPF_ESTATE, "early talk");
  n = found(s, smtpf_session_connect(s, &peer), code);
  (void)smtpf_session_early_talk(s);
  n += found(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("192.0.2.25")), code);
  n += found(s, smtpf_session_mail(s, SMTPF_LIT("<>"), SMTPF_LIT("")), code);
  n += found(s, smtpf_session_rcpt(s, SMTPF_LIT("<nobody@example.net>"), SMTPF_LIT("")), code);
  return n || !(CHECK.stages & (SMTPF_BODY | SMTPF_EOM)) ? n : send_message(s, code);
}

int main(int argc, char **argv)
{
  smtpf_check copy = CHECK;
  smtpf_ports ports = {.size = sizeof ports, .resolver = smtpf_resolver_zone()};
  smtpf_error err = {.size = sizeof err};
  smtpf_config *cfg = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *driver = NULL;
  smtpf_session *s = NULL;
  smtpf_zone *zone = NULL;
  size_t line = 0;
  int n;

  need(argc > 1, "usage: host EVIDENCE [path=value]...");
  copy.run = counted_run;
  need(smtpf_config_new(&cfg, NULL) == SMTPF_OK, "no configuration");
  need(smtpf_config_add_check(cfg, &copy) == SMTPF_OK, "not taken");
  need(smtpf_config_add_scanner(cfg, &scanner, NULL) == SMTPF_OK, "no scanner");
  for (int i = 2; i < argc; i++)
    set_option(cfg, argv[i]);
  need(smtpf_engine_new(&engine, cfg, &err) == SMTPF_OK, err.text);
  smtpf_config_free(cfg);
  need(smtpf_zone_new(&zone, SMTPF_LIT(zone_text), NULL, &line) == SMTPF_OK, "no zone");
  ports.resolver_shared = zone;
  need(smtpf_driver_new(&driver, engine, &ports) == SMTPF_OK, "no driver");
  need(smtpf_session_new(&s, driver, NULL) == SMTPF_OK, "no session");
  n = converse(s, argv[1]);
  need(runs > 0, "was not run");
  need(n > 0, "did not find what it should");
  smtpf_session_free(s);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_zone_free(zone);
  printf("%s: ran %d times, found %s\n", CHECK.name, runs, argv[1]);
  return 0;
}
