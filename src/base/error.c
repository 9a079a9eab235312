/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <string.h>

#include "str.h"

const char *smtpf_strerror(int code)
{
  switch (code) {
  case SMTPF_OK: return "done";
  case SMTPF_PENDING: return "pending";
  case SMTPF_EINVAL: return "argument not legal";
  case SMTPF_ENOMEM: return "out of memory";
  case SMTPF_ESTATE: return "not legal in this state";
  case SMTPF_EBUSY: return "busy: re-entry, or an event is pending";
  case SMTPF_ENOTFOUND: return "not found";
  case SMTPF_ELIMIT: return "a limit was reached";
  case SMTPF_EPARSE: return "syntax error";
  case SMTPF_EFORK: return "made in another process";
  case SMTPF_EIO: return "input or output failed";
  case SMTPF_ETIMEOUT: return "time ran out";
  case SMTPF_EUNSUPPORTED: return "not supported here";
  default: return "unknown result";
  }
}

int smtpf_error_set(smtpf_error *err, int code, const char *file, int line, const smtpf_str *parts, size_t n)
{
  if (!err || err->size < sizeof *err)
    return code;
  err->code = code;
  err->line = line;
  smtpf_out o;
  smtpf_out_init(&o, err->file, sizeof err->file - 1);
  smtpf_out_cstr(&o, file);
  err->file[o.n] = '\0';
  smtpf_out_init(&o, err->text, sizeof err->text - 1);
  for (size_t i = 0; i < n; i++)
    smtpf_out_escaped(&o, parts[i]);
  err->text[o.n] = '\0';
  return code;
}
