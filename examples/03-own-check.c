/* SPDX-License-Identifier: MIT
 *
 * A check of one's own: senders whose local part has more digits than letters are charged, with an option for how much.
 *
 *     03-own-check '<sender>'...
 */
#include <smtpfilter/ext/check.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <string.h>

static const smtpf_option rows[] = {
    {"digits.score", SMTPF_OPTION_SCORE, "3", 0, 100000, NULL, "What digits are charged."}};
static _Thread_local int32_t score_of_policy; /* one policy a thread is enough here; a real check allocates its self */

static int digits_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  (void)err;
  score_of_policy = (int32_t)smtpf_section_number(policy, "digits.score");
  *self = &score_of_policy;
  return SMTPF_OK;
}

static int digits_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  size_t digits = 0;
  smtpf_str name = ev->sender->local_part;
  for (size_t i = 0; i < name.n; i++)
    digits += name.p[i] >= '0' && name.p[i] <= '9';
  if (2 * digits <= name.n)
    return smtpf_task_clear(t, "letters");
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT, .code = "digits", .score = *(int32_t *)self, .detail = name};
  return smtpf_task_report(t, &f);
}

static void digits_close(void *self)
{
  (void)self;
}

static const smtpf_check digits = {.size = sizeof digits,
                                   .name = "digits",
                                   .stages = SMTPF_MAIL,
                                   .options = rows,
                                   .n_options = 1,
                                   .open = digits_open,
                                   .run = digits_run,
                                   .close = digits_close};

/* ---- and a host to show it --------------------------------------------------------------------------------------- */

static void show(smtpf_driver *driver, const char *sender)
{
  smtpf_session *s = NULL;
  if (smtpf_session_new(&s, driver, NULL) != SMTPF_OK)
    return;
  if (smtpf_session_connect(s, &(smtpf_peer){sizeof(smtpf_peer), .address = {"192.0.2.25", 10}}) == SMTPF_OK &&
      smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.example.org")) == SMTPF_OK &&
      smtpf_session_mail(s, (smtpf_str){sender, strlen(sender)}, SMTPF_LIT("")) == SMTPF_OK) {
    const smtpf_verdict *v = smtpf_session_verdict(s);
    smtpf_evidence_info e = {.size = sizeof e};
    for (size_t i = 0; smtpf_verdict_evidence(v, i, &e) == SMTPF_OK; i++)
      if (strcmp(e.check, "digits") == 0)
        printf("%s: %.*s, %d thousandths\n", sender, (int)e.code.n, e.code.p, (int)e.score);
  }
  smtpf_session_free(s);
}

int main(int argc, char **argv)
{
  smtpf_config *config = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *driver = NULL;
  smtpf_error err = {.size = sizeof err};
  if (smtpf_config_new(&config, NULL) || smtpf_config_add_check(config, &digits) ||
      smtpf_config_set(config, "digits.score", "4.5", &err) ||
      smtpf_config_set(config, "iprev.enable", "false", &err) || smtpf_engine_new(&engine, config, &err) ||
      smtpf_driver_new(&driver, engine, NULL))
    return fprintf(stderr, "%s\n", err.text), 2;
  for (int i = 1; i < argc; i++)
    show(driver, argv[i]);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_config_free(config);
  return 0;
}
