/* SPDX-License-Identifier: MIT */
#include "directory.h"

#include "driver.h"
#include "session.h"

static int start(void *shared, smtpf_driver *driver, void **self)
{
  (void)shared;
  *self = driver;
  return SMTPF_OK;
}

/* Who is named in the policy exists. Who is not, exists unless the policy calls its list complete. */
static int lookup(void *self, smtpf_op op, smtpf_str address)
{
  smtpf_driver *d = self;
  const smtpf_op_slot *slot = smtpf_op_find(&d->ops, op, SMTPF_OP_TASK);
  if (!slot)
    return SMTPF_ENOTFOUND;
  const smtpf_engine *e = slot->task->session->engine; /* a session keeps the policy it began with */
  const smtpf_profile *p = smtpf_engine_recipient(e, address);
  const int complete = e->directory_complete || smtpf_engine_is_srs_alone(e, address);
  const int absent = !p && complete && smtpf_engine_is_local(e, address);
  const smtpf_directory_answer a = {
      .size = sizeof a,
      .status = absent ? SMTPF_DIRECTORY_ABSENT : SMTPF_DIRECTORY_EXISTS,
  };
  return smtpf_op_directory(d, op, &a);
}

static void cancel(void *self, smtpf_op op)
{
  (void)self;
  (void)op;
}

static void stop(void *self)
{
  (void)self;
}

const smtpf_directory *smtpf_directory_policy(void)
{
  static const smtpf_directory port = {sizeof port, "policy", start, lookup, cancel, stop};
  return &port;
}
