/* SPDX-License-Identifier: MIT
 *
 * Two clients at a time on one thread: events return at once, a callback says when a verdict is ready, and one
 * descriptor tells when there is something to do. What takes time here is a check that sleeps, as a DNS question would.
 *
 *     02-callback
 */
#include <poll.h>
#include <smtpfilter/ext/check.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>

/* ---- a check that takes its time: the client whose address ends in 1 longer ------------------------------------ */

static int sleepy_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  int slow = ev->client_text.n && ev->client_text.p[ev->client_text.n - 1] == '1';
  return smtpf_task_timer(t, slow ? 60 : 10, 0) == SMTPF_OK ? SMTPF_PENDING
                                                            : smtpf_task_unknown(t, "timer", (smtpf_str){0});
}

static int sleepy_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  (void)a;
  return smtpf_task_clear(t, "slept");
}

static int sleepy_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  static int something;
  (void)policy;
  (void)err;
  *self = &something; /* NULL would mean: idle */
  return SMTPF_OK;
}

static void sleepy_close(void *self)
{
  (void)self;
}

static const smtpf_check sleepy = {.size = sizeof sleepy,
                                   .name = "sleepy",
                                   .stages = SMTPF_CONNECT,
                                   .open = sleepy_open,
                                   .run = sleepy_run,
                                   .resume = sleepy_resume,
                                   .close = sleepy_close};

/* ---- the host ---------------------------------------------------------------------------------------------------- */

struct client {
  smtpf_str address;
  smtpf_session *session;
};

static int served;

static void print(const struct client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  printf("%.*s: %d\n", (int)c->address.n, c->address.p, smtpf_verdict_code(v));
}

/* Called inside smtpf_driver_process() alone; here the session may even be freed. */
static void ready(void *user, smtpf_session *session)
{
  (void)user;
  struct client *c = smtpf_session_user(session);
  print(c);
  smtpf_session_free(session);
  c->session = NULL;
  served++;
}

static int start(smtpf_driver *driver, struct client *c)
{
  smtpf_session_options options = {.size = sizeof options, .capabilities = SMTPF_CAN_SEE_BODY, .user = c};
  if (smtpf_session_new(&c->session, driver, &options) != SMTPF_OK)
    return SMTPF_ENOMEM;
  return smtpf_session_connect(c->session, &(smtpf_peer){sizeof(smtpf_peer), .address = c->address});
}

int main(void)
{
  struct client clients[] = {{SMTPF_LIT("192.0.2.1"), NULL}, {SMTPF_LIT("192.0.2.2"), NULL}};
  smtpf_config *config = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *driver = NULL;
  smtpf_error err = {.size = sizeof err};

  if (smtpf_config_new(&config, NULL) || smtpf_config_add_check(config, &sleepy) ||
      smtpf_config_set(config, "iprev.enable", "false", &err) || smtpf_engine_new(&engine, config, &err) ||
      smtpf_driver_new(&driver, engine, NULL))
    return fprintf(stderr, "%s\n", err.text), 2;
  smtpf_driver_set_ready(driver, ready, NULL);

  for (int i = 0; i < 2; i++)
    printf("%s: %s\n", clients[i].address.p, start(driver, &clients[i]) == SMTPF_PENDING ? "pending" : "not pending");
  while (served < 2) {
    struct pollfd p = {.fd = smtpf_driver_fd(driver), .events = POLLIN};
    if (poll(&p, 1, 10000) <= 0)
      break;
    smtpf_driver_process(driver);
  }
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_config_free(config);
  return served == 2 ? 0 : 1;
}
