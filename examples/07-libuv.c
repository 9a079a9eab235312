/* SPDX-License-Identifier: MIT
 *
 * The driver in somebody else's event loop, here libuv's: one descriptor to watch, one function to call.
 *
 *     07-libuv POLICY CLIENT-ADDRESS...
 */
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static uv_poll_t watch;
static int open_sessions;

/* The loop says that the driver has something to do. */
static void on_readable(uv_poll_t *handle, int status, int events)
{
  (void)events;
  if (status == 0)
    smtpf_driver_process(handle->data);
}

/* Whatever its client does next: here, nothing. The loop ends with the last session. */
static void end(smtpf_session *session)
{
  smtpf_session_free(session);
  if (--open_sessions == 0)
    uv_close((uv_handle_t *)&watch, NULL);
}

static void ready(void *user, smtpf_session *session)
{
  const char *address = smtpf_session_user(session);
  const smtpf_verdict *v = smtpf_session_verdict(session);
  (void)user;
  printf("%s: %d %.*s\n", address, smtpf_verdict_code(v), (int)smtpf_verdict_rule(v).n, smtpf_verdict_rule(v).p);
  end(session);
}

static void begin(smtpf_driver *driver, char *address)
{
  smtpf_session *session;
  const smtpf_session_options options = {.size = sizeof options, .capabilities = SMTPF_CAN_SEE_BODY, .user = address};
  if (smtpf_session_new(&session, driver, &options) != SMTPF_OK)
    return;
  open_sessions++;
  const smtpf_peer peer = {.size = sizeof peer, .address = {address, strlen(address)}};
  const int r = smtpf_session_connect(session, &peer);
  if (r == SMTPF_OK)
    ready(NULL, session);
  else if (r != SMTPF_PENDING)
    end(session);
}

int main(int argc, char **argv)
{
  smtpf_config *config = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *driver = NULL;
  smtpf_error err = {.size = sizeof err};
  uv_loop_t *loop = uv_default_loop();

  if (argc < 3 || smtpf_config_new(&config, NULL) || smtpf_config_load(config, argv[1], &err) ||
      smtpf_engine_new(&engine, config, &err) || smtpf_driver_new(&driver, engine, NULL) ||
      uv_poll_init(loop, &watch, smtpf_driver_fd(driver)))
    return fprintf(stderr, "%s:%d: %s\n", err.file, err.line, err.text), 2;
  smtpf_driver_set_ready(driver, ready, NULL);
  watch.data = driver;
  uv_poll_start(&watch, UV_READABLE, on_readable);
  open_sessions = 1; /* until all have begun */
  for (int i = 2; i < argc; i++)
    begin(driver, argv[i]);
  if (--open_sessions == 0)
    uv_close((uv_handle_t *)&watch, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  uv_loop_close(loop);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_config_free(config);
  return 0;
}
