/* SPDX-License-Identifier: MIT
 *
 * What an answer to RESPMOD means. Two things look like "clean" and are not: an answer that began before the server had
 * the whole message, and the message given back by a server that could have said 204. Real servers pass on so what is
 * above their limit, without having scanned it.
 */
#include "base/str.h"
#include "icap.h"

static smtpf_icap_verdict failed(const char *cause, smtpf_str why, int blame)
{
  return (smtpf_icap_verdict){.meaning = SMTPF_ICAP_MEANS_FAILED, .cause = cause, .why = why, .blame = blame};
}

static smtpf_icap_verdict unknown(const char *cause, smtpf_str why)
{
  return (smtpf_icap_verdict){.meaning = SMTPF_ICAP_MEANS_UNKNOWN, .cause = cause, .why = why};
}

static smtpf_icap_verdict hit(smtpf_str name, smtpf_str otherwise)
{
  return (smtpf_icap_verdict){.meaning = SMTPF_ICAP_MEANS_HIT, .name = name.n ? name : otherwise};
}

static const smtpf_icap_verdict clean = {.meaning = SMTPF_ICAP_MEANS_CLEAN};

/* 200: something else is to go on instead of the message. */
static smtpf_icap_verdict changed(const smtpf_icap_reply *r, const smtpf_icap_circumstances *how)
{
  switch (r->found) {
  case SMTPF_ICAP_INFECTION: return hit(r->name, SMTPF_LIT("infected"));
  case SMTPF_ICAP_VIOLATION: return hit(r->name, SMTPF_LIT("violation"));
  case SMTPF_ICAP_CONTAINER: return unknown("unscanned", r->name.n ? r->name : SMTPF_LIT("it could not be opened"));
  default: break;
  }
  if (!how->sent && how->unchanged)
    return unknown("unscanned", SMTPF_LIT("passed on before the server had read all"));
  if (!how->sent)
    return failed("garbage", SMTPF_LIT("an answer before it had read all"), 1);
  if (r->http >= 500)
    return failed("error", SMTPF_LIT("the response within says so"), 0);
  if (!how->unchanged)
    return hit((smtpf_str){NULL, 0}, SMTPF_LIT("modified"));
  return how->may_204 ? unknown("unscanned", SMTPF_LIT("passed on, without a word that it is clean")) : clean;
}

smtpf_icap_verdict smtpf_icap_judge(const smtpf_icap_reply *r, const smtpf_icap_circumstances *how)
{
  switch (r->code) {
  case 200: return changed(r, how);
  case 204:
    if (r->found)
      return failed("garbage", SMTPF_LIT("something found, and nothing changed"), 1);
    return how->sent ? clean : failed("garbage", SMTPF_LIT("204 before it had read all"), 1);
  case 413: return unknown("too-large", r->reason);
  default: break;
  }
  if (r->code < 400)
    return failed("garbage", SMTPF_LIT("an answer nobody asked for"), 1);
  /* No such service, no RESPMOD, overloaded: of no use. Anything else may be due to this message alone. */
  return failed("error", r->reason, r->code == 404 || r->code == 405 || r->code == 503);
}
