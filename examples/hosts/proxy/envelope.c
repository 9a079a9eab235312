/* SPDX-License-Identifier: MIT */
#include "envelope.h"

#include <smtpfilter/ext/mail.h>

static int is(smtpf_str key, const char *word)
{
  return smtpf_str_equal_nocase(key, smtpf_str_of(word));
}

int envelope_has(smtpf_str params, smtpf_str wanted, smtpf_str content)
{
  smtpf_str key, value;
  while (smtpf_param_next(&params, &key, &value) == SMTPF_OK)
    if (smtpf_str_equal_nocase(key, wanted) && (!content.n || smtpf_str_equal_nocase(value, content)))
      return 1;
  return 0;
}

/* The extension a parameter needs. With `*may_go`, the mail means the same without it. */
static unsigned need_of(smtpf_str key, smtpf_str value, int *may_go)
{
  *may_go = 0;
  if (is(key, "SIZE")) {
    *may_go = 1;
    return SMTPF_EXT_SIZE;
  }
  if (is(key, "BODY")) {
    *may_go = is(value, "7BIT");
    return SMTPF_EXT_8BITMIME;
  }
  return is(key, "SMTPUTF8") ? SMTPF_EXT_SMTPUTF8 : SMTPF_EXT_DSN; /* RET ENVID NOTIFY ORCPT */
}

static void add(text *out, smtpf_str key, smtpf_str value)
{
  text_char(out, ' ');
  text_add(out, key);
  if (value.n) {
    text_char(out, '=');
    text_add(out, value);
  }
}

/* Path and parameters; `own` is the key whose value is ours when `quiet`. */
static unsigned finish(text *out, const envelope *e, const char *own, smtpf_str quiet)
{
  const int replace = e->quiet && e->extensions & SMTPF_EXT_DSN;
  unsigned missing = 0;
  smtpf_str rest = e->params, key, value;
  text_add(out, e->path);
  while (smtpf_param_next(&rest, &key, &value) == SMTPF_OK) {
    int may_go;
    const unsigned need = need_of(key, value, &may_go);
    if (is(key, "PRDR") || (replace && is(key, own)))
      continue; /* a matter between two neighbours; or replaced below */
    if (need & e->extensions)
      add(out, key, value);
    else if (!may_go && !(e->bare && need == SMTPF_EXT_DSN))
      missing |= need;
  }
  if (replace)
    add(out, smtpf_str_of(own), quiet);
  return missing;
}

unsigned envelope_mail(text *out, const envelope *e)
{
  text_cstr(out, "MAIL FROM:");
  const unsigned missing = finish(out, e, "RET", SMTPF_LIT("HDRS"));
  text_cstr(out, e->prdr && e->extensions & SMTPF_EXT_PRDR ? " PRDR\r\n" : "\r\n");
  return missing;
}

unsigned envelope_rcpt(text *out, const envelope *e)
{
  text_cstr(out, "RCPT TO:");
  const unsigned missing = finish(out, e, "NOTIFY", SMTPF_LIT("NEVER"));
  text_cstr(out, "\r\n");
  return missing;
}
