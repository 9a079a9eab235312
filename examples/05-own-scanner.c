/* SPDX-License-Identifier: MIT
 *
 * Scanners of one's own, of two types: `word` looks for a word while the message comes and answers at once; `slow`
 * stands for one that asks somebody else: it answers later, from a timer, as it would from a socket.
 *
 *     05-own-scanner word|slow '<line of the message>'...
 */
#include <smtpfilter/ext/scan.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char word[] = "malware";

struct scan {
  smtpf_driver *driver;
  smtpf_op op, timer; /* timer: 0 when none runs */
  size_t matched;     /* letters of the word, across pieces */
  uint64_t seen;
};

/* One instance on one driver. It needs nothing of its own; the driver is all it has. */
static int start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  (void)shared;
  (void)settings; /* its rows, e.g. smtpf_section_number(settings, "timeout") */
  *self = driver;
  return SMTPF_OK;
}

static int open_scan(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  struct scan *c = calloc(1, sizeof *c);
  (void)request; /* who it is from, and for whom */
  if (!c)
    return SMTPF_ENOMEM;
  c->driver = self;
  c->op = op;
  *scan = c;
  return SMTPF_OK;
}

static size_t feed(void *scan, const char *bytes, size_t n)
{
  struct scan *c = scan;
  for (size_t i = 0; i < n && word[c->matched]; i++)
    c->matched = bytes[i] == word[c->matched] ? c->matched + 1 : bytes[i] == word[0];
  c->seen += n;
  return n; /* all of it; with less, smtpf_op_scan_room() says when to go on */
}

/* Says how much it has seen, too: less than the whole message is not clean. */
static void answer(struct scan *c)
{
  const smtpf_scan_result r = {.size = sizeof r,
                               .status = word[c->matched] ? SMTPF_SCAN_CLEAN : SMTPF_SCAN_HIT,
                               .name = SMTPF_LIT("a bad word"),
                               .seen = c->seen};
  (void)smtpf_op_scanned(c->driver, c->op, &r);
}

static int finish_now(void *scan)
{
  answer(scan);
  return SMTPF_OK;
}

static void on_timer(void *user)
{
  struct scan *c = user;
  c->timer = 0;
  answer(c);
}

static int finish_later(void *scan)
{
  struct scan *c = scan;
  return smtpf_driver_timer(c->driver, 10, on_timer, c, &c->timer);
}

static void close_scan(void *scan)
{
  struct scan *c = scan;
  if (c->timer)
    smtpf_driver_timer_cancel(c->driver, c->timer);
  free(c);
}

static const smtpf_scanner at_once = {.size = sizeof at_once,
                                      .name = "word",
                                      .start = start,
                                      .open = open_scan,
                                      .feed = feed,
                                      .finish = finish_now,
                                      .close = close_scan};
static const smtpf_scanner slowly = {.size = sizeof slowly,
                                     .name = "slow",
                                     .start = start,
                                     .open = open_scan,
                                     .feed = feed,
                                     .finish = finish_later,
                                     .close = close_scan};

/* ---- and a host to show it --------------------------------------------------------------------------------------- */

static int settled(smtpf_session *s, int result)
{
  return result == SMTPF_PENDING ? smtpf_session_wait(s, 10000) : result;
}

static void show(smtpf_driver *driver, const char *line)
{
  smtpf_session *s = NULL;
  size_t taken = 0;
  int r = smtpf_session_new(&s, driver, NULL);
  if (r == SMTPF_OK)
    r = settled(s, smtpf_session_connect(s, &(smtpf_peer){sizeof(smtpf_peer), .address = SMTPF_LIT("192.0.2.25")}));
  if (r == SMTPF_OK)
    r = settled(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.example.org")));
  if (r == SMTPF_OK)
    r = settled(s, smtpf_session_mail(s, SMTPF_LIT("<a@example.org>"), SMTPF_LIT("")));
  if (r == SMTPF_OK)
    r = settled(s, smtpf_session_rcpt(s, SMTPF_LIT("<b@example.net>"), SMTPF_LIT("")));
  if (r == SMTPF_OK)
    r = settled(s, smtpf_session_data(s));
  if (r == SMTPF_OK)
    r = smtpf_session_body(s, "\r\n", 2, &taken);
  if (r == SMTPF_OK)
    r = smtpf_session_body(s, line, strlen(line), &taken); /* PENDING: a check wants the client to wait; none here */
  const int first = r == SMTPF_OK ? smtpf_session_eom(s) : r;
  r = r == SMTPF_OK ? settled(s, first) : r;
  const smtpf_verdict *v = r == SMTPF_OK ? smtpf_session_verdict(s) : NULL;
  if (v)
    printf("%s: %s, %d %.*s\n", line, first == SMTPF_PENDING ? "later" : "at once", smtpf_verdict_code(v),
           (int)smtpf_verdict_text(v).n, smtpf_verdict_text(v).p);
  smtpf_session_free(s);
}

int main(int argc, char **argv)
{
  smtpf_config *config = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *driver = NULL;
  smtpf_error err = {.size = sizeof err};
  if (argc < 2 || smtpf_config_new(&config, NULL) || smtpf_config_add_scanner(config, &at_once, NULL) ||
      smtpf_config_add_scanner(config, &slowly, NULL) ||
      smtpf_config_append(config, "local_domains", "example.net", &err) ||
      smtpf_config_append(config, "check.disable", "iprev", &err) ||
      smtpf_config_set(config, "scanners[\"mine\"].type", argv[1], &err) ||
      smtpf_config_set(config, "scanners[\"mine\"].kind", "virus", &err) || smtpf_engine_new(&engine, config, &err) ||
      smtpf_driver_new(&driver, engine, NULL))
    return fprintf(stderr, "%s\n", err.text), 2;
  for (int i = 2; i < argc; i++)
    show(driver, argv[i]);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_config_free(config);
  return 0;
}
