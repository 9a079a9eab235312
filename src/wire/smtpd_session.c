/* SPDX-License-Identifier: MIT */
#include <smtpfilter/session.h>
#include <smtpfilter/wire.h>

static int apply_command(smtpf_session *s, const smtpf_smtpd_event *ev)
{
  switch (ev->verb) {
  case SMTPF_VERB_HELO: return smtpf_session_helo(s, SMTPF_GREET_HELO, ev->arg);
  case SMTPF_VERB_EHLO: return smtpf_session_helo(s, SMTPF_GREET_EHLO, ev->arg);
  case SMTPF_VERB_LHLO: return smtpf_session_helo(s, SMTPF_GREET_LHLO, ev->arg);
  case SMTPF_VERB_MAIL: return smtpf_session_mail(s, ev->arg, ev->params);
  case SMTPF_VERB_RCPT: return smtpf_session_rcpt(s, ev->arg, ev->params);
  case SMTPF_VERB_DATA:
  case SMTPF_VERB_BDAT: return smtpf_session_data(s);
  case SMTPF_VERB_RSET: return smtpf_session_reset(s);
  case SMTPF_VERB_QUIT: return smtpf_session_quit(s);
  case SMTPF_VERB_AUTH:
  case SMTPF_VERB_STARTTLS:
  case SMTPF_VERB_XCLIENT:
  case SMTPF_VERB_XFORWARD: return SMTPF_EUNSUPPORTED;
  default: return smtpf_session_command(s, ev->name);
  }
}

static int apply_body(smtpf_session *s, smtpf_smtpd_event *ev)
{
  size_t taken = 0;
  int r = smtpf_session_body(s, ev->body.p, ev->body.n, &taken);
  if (r >= 0)
    ev->body = (smtpf_str){ev->body.p + taken, ev->body.n - taken};
  return r;
}

int smtpf_smtpd_apply(smtpf_smtpd *c, smtpf_session *s, smtpf_smtpd_event *ev)
{
  (void)c;
  if (ev->pipelined) {
    (void)smtpf_session_early_talk(s); /* refused only where it no longer matters */
    ev->pipelined = 0;
  }
  switch (ev->kind) {
  case SMTPF_SMTPD_COMMAND: return apply_command(s, ev);
  case SMTPF_SMTPD_BODY: return apply_body(s, ev);
  case SMTPF_SMTPD_END: return ev->last ? smtpf_session_eom(s) : SMTPF_OK;
  case SMTPF_SMTPD_VIOLATION: return smtpf_session_violation(s, ev->code, ev->enhanced, ev->text);
  default: return SMTPF_EUNSUPPORTED;
  }
}
