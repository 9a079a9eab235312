/* SPDX-License-Identifier: MIT
 *
 * A whole SMTP receiver for one client: the conversation on standard input and output, the message into a file.
 *
 *     01-sync POLICY CLIENT-ADDRESS FILE
 */
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Waits for the verdict and answers. At the end of a message the copy is made durable first: only then may 250 be said.
 * Returns whether the conversation goes on. */
static int answer(smtpf_smtpd *codec, smtpf_session *s, int result, FILE *message)
{
  char reply[SMTPF_REPLY_MAX];
  if (result == SMTPF_PENDING)
    result = smtpf_session_wait(s, -1);
  const smtpf_verdict *v = result == SMTPF_OK ? smtpf_session_verdict(s) : NULL;
  if (v && smtpf_verdict_stage(v) == SMTPF_EOM && smtpf_verdict_action(v) == SMTPF_ACCEPT) {
    int durable = fflush(message) == 0 && fsync(fileno(message)) == 0;
    if (smtpf_session_commit(s, SMTPF_ALL, durable ? SMTPF_COMMIT_OK : SMTPF_COMMIT_FAILED) == SMTPF_OK)
      v = smtpf_session_verdict(s);
  }
  int n = v ? smtpf_smtpd_answer(codec, v, reply, sizeof reply) : -1;
  return n >= 0 && write(STDOUT_FILENO, reply, (size_t)n) == n && !smtpf_verdict_closes(v);
}

static void converse(smtpf_smtpd *codec, smtpf_session *s, smtpf_str client, FILE *message)
{
  char in[4096];
  smtpf_smtpd_event ev;
  ssize_t n;
  int open = answer(codec, s, smtpf_session_connect(s, &(smtpf_peer){sizeof(smtpf_peer), .address = client}), message);
  while (open && (n = read(STDIN_FILENO, in, sizeof in)) > 0) {
    const char *p = in;
    for (size_t left = (size_t)n; open && smtpf_smtpd_next(codec, &p, &left, &ev) == SMTPF_OK;) {
      if (ev.kind == SMTPF_SMTPD_BODY)
        fwrite(ev.body.p, 1, ev.body.n, message);
      int result = smtpf_smtpd_apply(codec, s, &ev);
      if (ev.kind != SMTPF_SMTPD_BODY)
        open = answer(codec, s, result, message);
    }
  }
}

int main(int argc, char **argv)
{
  smtpf_config *config = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *driver = NULL;
  smtpf_session *session = NULL;
  smtpf_smtpd *codec = NULL;
  smtpf_error err = {.size = sizeof err};
  smtpf_smtpd_options options = {.size = sizeof options, .hostname = SMTPF_LIT("mx.example.net")};
  FILE *message = argc == 4 ? fopen(argv[3], "wb") : NULL;

  if (!message || smtpf_config_new(&config, NULL) || smtpf_config_load(config, argv[1], &err) ||
      smtpf_engine_new(&engine, config, &err) || smtpf_driver_new(&driver, engine, NULL) ||
      smtpf_session_new(&session, driver, NULL) || smtpf_smtpd_new(&codec, &options, NULL))
    fprintf(stderr, "%s:%d: %s\n", err.file, err.line, err.text);
  else
    converse(codec, session, (smtpf_str){argv[2], strlen(argv[2])}, message);

  int bad = !codec || !message || fclose(message);
  smtpf_smtpd_free(codec);
  smtpf_session_free(session);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_config_free(config);
  return bad;
}
