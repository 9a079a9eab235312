/* SPDX-License-Identifier: MIT
 *
 * A directory of the host's own that answers later: a table of mailboxes behind a delay, as a database would be. The
 * library asks it at RCPT; nothing that does not exist is accepted and bounced.
 *
 *     04-own-directory '<recipient>'...
 */
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const mailboxes[] = {"b@example.net", "staff@example.net"};

/* One question on its way. */
struct question {
  smtpf_driver *driver;
  smtpf_op op;
  int status;
  struct question *next;
  smtpf_op timer;
};

struct directory {
  smtpf_driver *driver;
  struct question *open;
};

static void forget(struct directory *d, struct question *q)
{
  for (struct question **p = &d->open; *p; p = &(*p)->next)
    if (*p == q) {
      *p = q->next;
      break;
    }
  free(q);
}

static struct directory the_directory;

/* The database has answered: inside smtpf_driver_process(). */
static void answered(void *user)
{
  struct question *q = user;
  smtpf_directory_answer a = {.size = sizeof a, .status = q->status, .ttl = 300};
  smtpf_driver *driver = q->driver;
  smtpf_op op = q->op;
  forget(&the_directory, q);
  smtpf_op_directory(driver, op, &a);
}

static int start(void *shared, smtpf_driver *driver, void **self)
{
  struct directory *d = shared;
  d->driver = driver;
  *self = d;
  return SMTPF_OK;
}

static int lookup(void *self, smtpf_op op, smtpf_str address)
{
  struct directory *d = self;
  struct question *q = calloc(1, sizeof *q);
  if (!q)
    return SMTPF_ENOMEM;
  *q = (struct question){d->driver, op, SMTPF_DIRECTORY_ABSENT, d->open, 0};
  for (size_t i = 0; i < sizeof mailboxes / sizeof *mailboxes; i++)
    if (smtpf_str_equal_nocase(address, smtpf_str_of(mailboxes[i])))
      q->status = SMTPF_DIRECTORY_EXISTS;
  d->open = q;
  int result = smtpf_driver_timer(d->driver, 5, answered, q, &q->timer);
  if (result != SMTPF_OK)
    forget(d, q);
  return result;
}

static void cancel(void *self, smtpf_op op)
{
  struct directory *d = self;
  for (struct question *q = d->open; q; q = q->next)
    if (q->op == op) {
      smtpf_driver_timer_cancel(d->driver, q->timer);
      forget(d, q);
      return;
    }
}

static void stop(void *self)
{
  struct directory *d = self;
  while (d->open)
    cancel(d, d->open->op);
}

static const smtpf_directory port = {sizeof port, "table", start, lookup, cancel, stop};

/* ---- a host to show it ----------------------------------------------------------------------------------------------
 */

static int wait_for(smtpf_session *s, int result)
{
  return result == SMTPF_PENDING ? smtpf_session_wait(s, 10000) : result;
}

int main(int argc, char **argv)
{
  smtpf_config *config = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *driver = NULL;
  smtpf_session *s = NULL;
  smtpf_error err = {.size = sizeof err};
  smtpf_ports ports = {.size = sizeof ports, .directory = &port, .directory_shared = &the_directory};
  if (smtpf_config_new(&config, NULL) || smtpf_config_append(config, "local_domains", "example.net", &err) ||
      smtpf_config_set(config, "iprev.enable", "false", &err) || smtpf_engine_new(&engine, config, &err) ||
      smtpf_driver_new(&driver, engine, &ports) || smtpf_session_new(&s, driver, NULL))
    return fprintf(stderr, "%s\n", err.text), 2;

  int ok = !wait_for(s, smtpf_session_connect(s, &(smtpf_peer){sizeof(smtpf_peer), .address = {"192.0.2.25", 10}})) &&
           !wait_for(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.example.org"))) &&
           !wait_for(s, smtpf_session_mail(s, SMTPF_LIT("<a@example.org>"), SMTPF_LIT("")));
  for (int i = 1; ok && i < argc; i++) {
    int result = smtpf_session_rcpt(s, smtpf_str_of(argv[i]), SMTPF_LIT(""));
    printf("%s: %s", argv[i], result == SMTPF_PENDING ? "asked, " : "");
    if (wait_for(s, result) == SMTPF_OK) {
      const smtpf_verdict *v = smtpf_session_verdict(s);
      printf("%d %.*s\n", smtpf_verdict_code(v), (int)smtpf_verdict_text(v).n, smtpf_verdict_text(v).p);
    }
  }
  smtpf_session_free(s);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_config_free(config);
  return !ok;
}
