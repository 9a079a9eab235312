/* SPDX-License-Identifier: MIT
 *
 * Without a policy of the postmaster's it does what postgrey does: Postfix has judged all else, and knows for whom it
 * takes mail. So `relay` and `recipient`, which no policy may switch off, give way to checks that find nothing.
 */
#include <smtpfilter/ext/check.h>
#include <string.h>

#include "policyd.h"

static const char *const sets[][2] = {
    {"profiles[\"default\"].greylist", "true"}, {"check.disable", "helo"},  {"check.disable", "early_talk"},
    {"check.disable", "null_sender"},           {"check.disable", "iprev"},
};

static int idle_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  (void)self;
  (void)policy;
  (void)err;
  return SMTPF_OK;
}

static int idle_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)t;
  (void)ev;
  return SMTPF_OK;
}

static void idle_close(void *self)
{
  (void)self;
}

#define IDLE(as)                                                                                                       \
  {                                                                                                                    \
    .size = sizeof(smtpf_check), .name = as, .stages = SMTPF_RCPT, .open = idle_open, .run = idle_run,                 \
    .close = idle_close, .family = SMTPF_FAMILY_ENVELOPE                                                               \
  }

static const smtpf_check judged[] = {IDLE("relay"), IDLE("recipient")};

int alone(smtpf_config *cfg, void *user, smtpf_error *err)
{
  (void)user;
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < sizeof judged / sizeof *judged; i++)
    r = smtpf_config_add_check(cfg, &judged[i]);
  for (size_t i = 0; r == SMTPF_OK && i < sizeof sets / sizeof *sets; i++)
    r = strcmp(sets[i][0], "check.disable") ? smtpf_config_set(cfg, sets[i][0], sets[i][1], err)
                                            : smtpf_config_append(cfg, sets[i][0], sets[i][1], err);
  return r;
}
