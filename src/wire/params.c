/* SPDX-License-Identifier: MIT */
#include <smtpfilter/ext/mail.h>

#include "base/str.h"
#include "wire/command.h"

/* ---- values ------------------------------------------------------------------------------------- */

static int is_hex(char c)
{
  return smtpf_is_digit(c) || (c >= 'A' && c <= 'F');
}

/* xtext (RFC 3461 section 4), with bytes above 0x7f (RFC 6533 section 3) where `high`. */
static int is_xtext(smtpf_str s, int high)
{
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == '+') {
      if (i + 2 >= s.n || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2]))
        return 0;
      i += 2;
    } else if (c == '=' || c < '!' || c == 0x7f || (c > '~' && !high)) {
      return 0;
    }
  }
  return 1;
}

static int is_size(smtpf_str v)
{
  uint64_t n;
  return v.n <= 20 && smtpf_str_uint(v, UINT64_MAX, &n) == SMTPF_OK;
}

static int is_body(smtpf_str v)
{
  uint64_t w = smtpf_word(v);
  return w == SMTPF_WORD('8', 'B', 'I', 'T', 'M', 'I', 'M', 'E') || w == SMTPF_WORD('7', 'B', 'I', 'T', 0, 0, 0, 0);
}

static int is_empty(smtpf_str v)
{
  return !v.n;
}

static int is_ret(smtpf_str v)
{
  uint64_t w = smtpf_word(v);
  return w == SMTPF_WORD('F', 'U', 'L', 'L', 0, 0, 0, 0) || w == SMTPF_WORD('H', 'D', 'R', 'S', 0, 0, 0, 0);
}

static int is_envid(smtpf_str v)
{
  return v.n && v.n <= 100 && is_xtext(v, 0);
}

static int is_auth(smtpf_str v)
{
  return v.n && is_xtext(v, 0);
}

/* NEVER alone, or a list of the others (RFC 3461 4.1). */
static int is_notify(smtpf_str v)
{
  if (smtpf_word(v) == SMTPF_WORD('N', 'E', 'V', 'E', 'R', 0, 0, 0))
    return 1;
  if (!v.n || v.p[v.n - 1] == ',')
    return 0;
  while (v.n) {
    uint64_t w = smtpf_word(smtpf_str_cut(&v, ','));
    if (w != SMTPF_WORD('S', 'U', 'C', 'C', 'E', 'S', 'S', 0) &&
        w != SMTPF_WORD('F', 'A', 'I', 'L', 'U', 'R', 'E', 0) && w != SMTPF_WORD('D', 'E', 'L', 'A', 'Y', 0, 0, 0))
      return 0;
  }
  return 1;
}

/* Address type, semicolon, address (RFC 3461 4.2). A line with bytes above 0x7f came so far only with SMTPUTF8. */
static int is_orcpt(smtpf_str v)
{
  smtpf_str rest = v;
  smtpf_str type = smtpf_str_cut(&rest, ';');
  return v.n <= 500 && type.n && type.n < v.n && rest.n && is_xtext(rest, 1);
}

/* ---- the parameters ----------------------------------------------------------------------------- */

#define WORD_PRDR SMTPF_WORD('P', 'R', 'D', 'R', 0, 0, 0, 0)

static const struct param {
  uint64_t word;
  uint8_t verb;
  unsigned extension;
  int (*good)(smtpf_str value);
} params[] = {
    {SMTPF_WORD('S', 'I', 'Z', 'E', 0, 0, 0, 0), SMTPF_VERB_MAIL, SMTPF_EXT_SIZE, is_size},
    {SMTPF_WORD('B', 'O', 'D', 'Y', 0, 0, 0, 0), SMTPF_VERB_MAIL, SMTPF_EXT_8BITMIME, is_body},
    {SMTPF_WORD('N', 'O', 'T', 'I', 'F', 'Y', 0, 0), SMTPF_VERB_RCPT, SMTPF_EXT_DSN, is_notify},
    {SMTPF_WORD('O', 'R', 'C', 'P', 'T', 0, 0, 0), SMTPF_VERB_RCPT, SMTPF_EXT_DSN, is_orcpt},
    {SMTPF_WORD('S', 'M', 'T', 'P', 'U', 'T', 'F', '8'), SMTPF_VERB_MAIL, SMTPF_EXT_SMTPUTF8, is_empty},
    {SMTPF_WORD('R', 'E', 'T', 0, 0, 0, 0, 0), SMTPF_VERB_MAIL, SMTPF_EXT_DSN, is_ret},
    {SMTPF_WORD('E', 'N', 'V', 'I', 'D', 0, 0, 0), SMTPF_VERB_MAIL, SMTPF_EXT_DSN, is_envid},
    {SMTPF_WORD('A', 'U', 'T', 'H', 0, 0, 0, 0), SMTPF_VERB_MAIL, SMTPF_EXT_AUTH, is_auth},
    {WORD_PRDR, SMTPF_VERB_MAIL, SMTPF_EXT_PRDR, is_empty},
};

enum { N_PARAMS = sizeof params / sizeof params[0] };

static const struct param *find_param(int verb, smtpf_str key, const smtpf_announced *a)
{
  uint64_t w = smtpf_word(key);
  for (size_t i = 0; i < N_PARAMS; i++)
    if (params[i].word == w && params[i].verb == verb)
      return params[i].extension & a->extensions ? &params[i] : NULL;
  return NULL;
}

static int too_big(smtpf_str size, const smtpf_announced *a)
{
  uint64_t n;
  return a->message_max && smtpf_str_uint(size, UINT64_MAX, &n) == SMTPF_OK && n > a->message_max;
}

/* One parameter: 0, or what is wrong with it. */
static const char *find_fault(const struct param *p, smtpf_str value, const smtpf_announced *a, int *code)
{
  *code = 555;
  if (!p)
    return "parameter not announced";
  if (p->good == is_body && !is_body(value))
    return "body type not announced";
  *code = 501;
  if (!p->good(value))
    return "parameter with a bad value";
  *code = 552;
  return p->good == is_size && too_big(value, a) ? "message is larger than we take (limits.message)" : NULL;
}

void smtpf_params_check(smtpf_smtpd_event *ev, const smtpf_announced *a)
{
  smtpf_str rest = ev->params, key, value;
  unsigned seen = 0;
  int r, code = 501;
  const char *fault = NULL;
  while (!fault && (r = smtpf_param_next(&rest, &key, &value)) == SMTPF_OK) {
    const struct param *p = find_param(ev->verb, key, a);
    fault = find_fault(p, value, a, &code);
    unsigned bit = p ? 1u << (p - params) : 0;
    if (!fault && seen & bit) {
      code = 501;
      fault = "parameter given twice";
    }
    seen |= bit;
  }
  if (!fault && r == SMTPF_EPARSE) {
    code = 501;
    fault = "parameter with a bad syntax";
  }
  if (fault)
    smtpf_event_violate(ev, code, code == 552 ? SMTPF_LIT("5.3.4") : SMTPF_LIT("5.5.4"), smtpf_str_of(fault));
}

int smtpf_params_prdr(smtpf_str rest)
{
  smtpf_str key, value;
  while (rest.n && smtpf_param_next(&rest, &key, &value) == SMTPF_OK)
    if (smtpf_word(key) == WORD_PRDR)
      return 1;
  return 0;
}
