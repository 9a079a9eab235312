/* SPDX-License-Identifier: MIT */
#include "wire/command.h"

#include <smtpfilter/ext/mail.h>
#include <string.h>

#include "base/str.h"

/* ---- the verbs ---------------------------------------------------------------------------------- */

enum argument { NONE, OPTIONAL, NEEDED, PATH, CHUNK };

#define LAST 1      /* must be the last command in a group */
#define SMTP_ONLY 2 /* RFC 2033 4.1 */
#define LMTP_ONLY 4

static const struct rule {
  uint64_t word;
  uint8_t verb;
  uint8_t argument;
  uint8_t flags;
  unsigned extension; /* must be announced */
} rules[] = {
    {SMTPF_WORD('M', 'A', 'I', 'L', 0, 0, 0, 0), SMTPF_VERB_MAIL, PATH, 0, 0},
    {SMTPF_WORD('R', 'C', 'P', 'T', 0, 0, 0, 0), SMTPF_VERB_RCPT, PATH, 0, 0},
    {SMTPF_WORD('D', 'A', 'T', 'A', 0, 0, 0, 0), SMTPF_VERB_DATA, NONE, LAST, 0},
    {SMTPF_WORD('E', 'H', 'L', 'O', 0, 0, 0, 0), SMTPF_VERB_EHLO, NEEDED, LAST | SMTP_ONLY, 0},
    {SMTPF_WORD('Q', 'U', 'I', 'T', 0, 0, 0, 0), SMTPF_VERB_QUIT, NONE, LAST, 0},
    {SMTPF_WORD('R', 'S', 'E', 'T', 0, 0, 0, 0), SMTPF_VERB_RSET, NONE, 0, 0},
    {SMTPF_WORD('B', 'D', 'A', 'T', 0, 0, 0, 0), SMTPF_VERB_BDAT, CHUNK, 0, SMTPF_EXT_CHUNKING},
    {SMTPF_WORD('H', 'E', 'L', 'O', 0, 0, 0, 0), SMTPF_VERB_HELO, NEEDED, LAST | SMTP_ONLY, 0},
    {SMTPF_WORD('L', 'H', 'L', 'O', 0, 0, 0, 0), SMTPF_VERB_LHLO, NEEDED, LAST | LMTP_ONLY, 0},
    {SMTPF_WORD('N', 'O', 'O', 'P', 0, 0, 0, 0), SMTPF_VERB_NOOP, OPTIONAL, LAST, 0},
    {SMTPF_WORD('V', 'R', 'F', 'Y', 0, 0, 0, 0), SMTPF_VERB_VRFY, NEEDED, LAST, 0},
    {SMTPF_WORD('E', 'X', 'P', 'N', 0, 0, 0, 0), SMTPF_VERB_EXPN, NEEDED, LAST, 0},
    {SMTPF_WORD('H', 'E', 'L', 'P', 0, 0, 0, 0), SMTPF_VERB_HELP, OPTIONAL, 0, 0},
    {SMTPF_WORD('A', 'U', 'T', 'H', 0, 0, 0, 0), SMTPF_VERB_AUTH, NEEDED, LAST, SMTPF_EXT_AUTH},
    {SMTPF_WORD('S', 'T', 'A', 'R', 'T', 'T', 'L', 'S'), SMTPF_VERB_STARTTLS, NONE, LAST, SMTPF_EXT_STARTTLS},
    {SMTPF_WORD('X', 'C', 'L', 'I', 'E', 'N', 'T', 0), SMTPF_VERB_XCLIENT, NEEDED, LAST, SMTPF_EXT_XCLIENT},
    {SMTPF_WORD('X', 'F', 'O', 'R', 'W', 'A', 'R', 'D'), SMTPF_VERB_XFORWARD, NEEDED, 0, SMTPF_EXT_XFORWARD},
};

enum { N_RULES = sizeof rules / sizeof rules[0] };

static const struct rule *find_rule(smtpf_str name, const smtpf_announced *a)
{
  uint64_t w = smtpf_word(name);
  for (size_t i = 0; i < N_RULES; i++) {
    const struct rule *r = &rules[i];
    if (r->word != w)
      continue;
    int known = !(r->flags & (a->lmtp ? SMTP_ONLY : LMTP_ONLY));
    return known && (r->extension & a->extensions) == r->extension ? r : NULL;
  }
  return NULL;
}

int smtpf_verb_is_last(int verb)
{
  for (size_t i = 0; i < N_RULES; i++)
    if (rules[i].verb == verb)
      return (rules[i].flags & LAST) != 0;
  return 0;
}

/* ---- violations --------------------------------------------------------------------------------- */

void smtpf_event_violate(smtpf_smtpd_event *ev, int code, smtpf_str enhanced, smtpf_str text)
{
  ev->kind = SMTPF_SMTPD_VIOLATION;
  ev->code = code;
  ev->enhanced = enhanced;
  ev->text = text;
}

static void bad_line(smtpf_smtpd_event *ev, smtpf_str text)
{
  smtpf_event_violate(ev, 500, SMTPF_LIT("5.5.2"), text);
}

static void bad_argument(smtpf_smtpd_event *ev, smtpf_str text)
{
  smtpf_event_violate(ev, 501, SMTPF_LIT("5.5.4"), text);
}

/* ---- the bytes of a line ------------------------------------------------------------------------ */

int smtpf_line_judge(smtpf_str *line, int *high, smtpf_smtpd_event *ev)
{
  size_t n = line->n - 1;
  int proper = n && line->p[n - 1] == '\r';
  *line = (smtpf_str){line->p, proper ? n - 1 : n};
  *high = 0;
  if (!proper) {
    bad_line(ev, SMTPF_LIT("line must end in CRLF, not in a bare LF"));
    return 0;
  }
  for (size_t i = 0; i < line->n; i++) {
    unsigned char c = (unsigned char)line->p[i];
    if (c == '\0' || c == '\r' || c == 0x7f || (c < ' ' && c != '\t')) {
      bad_line(ev, c == '\0'   ? SMTPF_LIT("line with a NUL")
                   : c == '\r' ? SMTPF_LIT("line with a bare CR")
                               : SMTPF_LIT("line with a control character"));
      return 0;
    }
    *high |= c > 0x7f;
  }
  return 1;
}

/* ---- arguments ---------------------------------------------------------------------------------- */

static int is_blank(char c)
{
  return c == ' ' || c == '\t';
}

/* Where the path in front of `s` ends, brackets included; 0 when it does not end. A quoted string may hold `>`; it can
 * stand only in front or behind a source route. */
static size_t path_end(smtpf_str s)
{
  if (s.n > 1 && s.p[1] != '"' && s.p[1] != '@') {
    const char *close = memchr(s.p, '>', s.n);
    return close ? (size_t)(close + 1 - s.p) : 0;
  }
  int quoted = 0;
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (quoted && c == '\\')
      i++;
    else if (c == '"')
      quoted = !quoted;
    else if (c == '>' && !quoted)
      return i + 1;
  }
  return 0;
}

/* Length of `FROM:` or `TO:` in front of `s`, 0 when it is not there. */
static size_t path_key(int verb, smtpf_str s)
{
  size_t n = verb == SMTPF_VERB_MAIL ? 4 : 2;
  uint64_t want =
      verb == SMTPF_VERB_MAIL ? SMTPF_WORD('F', 'R', 'O', 'M', 0, 0, 0, 0) : SMTPF_WORD('T', 'O', 0, 0, 0, 0, 0, 0);
  return s.n > n && s.p[n] == ':' && smtpf_word((smtpf_str){s.p, n}) == want ? n + 1 : 0;
}

/* `FROM:` or `TO:`, at most one space, the path, its parameters. */
static int split_path(smtpf_smtpd_event *ev, smtpf_str rest)
{
  size_t at = path_key(ev->verb, rest);
  if (!at)
    return 0;
  at += at < rest.n && rest.p[at] == ' ';
  smtpf_str s = {rest.p + at, rest.n - at};
  if (!s.n || is_blank(s.p[0]))
    return 0;
  size_t n = 0;
  if (s.p[0] == '<') {
    n = path_end(s);
  } else {
    while (n < s.n && s.p[n] != ' ' && s.p[n] != '<' && s.p[n] != '>')
      n++;
  }
  if (!n || (n < s.n && s.p[n] != ' '))
    return 0;
  ev->arg = (smtpf_str){s.p, n};
  ev->params = n < s.n ? (smtpf_str){s.p + n + 1, s.n - n - 1} : (smtpf_str){NULL, 0};
  return 1;
}

static void parse_path(smtpf_smtpd_event *ev, smtpf_str rest, const smtpf_announced *a)
{
  if (!split_path(ev, rest))
    bad_argument(ev, ev->verb == SMTPF_VERB_MAIL ? SMTPF_LIT("syntax: MAIL FROM:<address> [parameters]")
                                                 : SMTPF_LIT("syntax: RCPT TO:<address> [parameters]"));
  else if (ev->params.n)
    smtpf_params_check(ev, a);
}

/* BDAT SP 1*20DIGIT [SP LAST] (RFC 3030 section 2). A size that cannot be read leaves no way to find the next command.
 */
static void parse_chunk(smtpf_smtpd_event *ev, smtpf_str rest)
{
  smtpf_str size = smtpf_str_cut(&rest, ' ');
  if (!size.n) {
    bad_argument(ev, SMTPF_LIT("syntax: BDAT size [LAST]"));
    return;
  }
  if (smtpf_str_uint(size, UINT64_MAX, &ev->chunk) != SMTPF_OK ||
      (rest.n && !smtpf_str_equal_nocase(rest, SMTPF_LIT("LAST")))) {
    bad_argument(ev, SMTPF_LIT("syntax: BDAT size [LAST]"));
    ev->fatal = 1;
    return;
  }
  ev->last = rest.n != 0;
}

/* Bytes above 0x7f: in the path or argument of these only, and only where SMTPUTF8 is announced (RFC 6531 3.7.4.2). */
static int may_be_high(int verb, const smtpf_announced *a)
{
  return (a->extensions & SMTPF_EXT_SMTPUTF8) &&
         (verb == SMTPF_VERB_MAIL || verb == SMTPF_VERB_RCPT || verb == SMTPF_VERB_VRFY || verb == SMTPF_VERB_EXPN);
}

void smtpf_command_parse(smtpf_str line, int high, const smtpf_announced *a, smtpf_smtpd_event *ev)
{
  while (line.n && is_blank(line.p[line.n - 1]))
    line.n--;
  size_t n = 4; /* as nearly all have */
  const struct rule *r = NULL;
  if (line.n == n || (line.n > n && line.p[n] == ' '))
    r = find_rule((smtpf_str){line.p, n}, a);
  if (!r) {
    for (n = 0; n < line.n && !is_blank(line.p[n]);)
      n++;
    r = find_rule((smtpf_str){line.p, n}, a);
  }
  ev->name = (smtpf_str){line.p, n};
  while (n < line.n && is_blank(line.p[n]))
    n++;
  smtpf_str rest = {line.p + n, line.n - n};
  ev->kind = SMTPF_SMTPD_COMMAND;
  ev->verb = r ? r->verb : SMTPF_VERB_UNKNOWN;
  ev->arg = rest;
  if (high && !may_be_high(ev->verb, a))
    smtpf_event_violate(ev, r ? 501 : 500, SMTPF_LIT("5.5.2"), SMTPF_LIT("command with bytes beyond ASCII"));
  else if (r && r->argument == PATH)
    parse_path(ev, rest, a);
  else if (r && r->argument == CHUNK)
    parse_chunk(ev, rest);
  else if (r && r->argument == NEEDED && !rest.n)
    bad_argument(ev, SMTPF_LIT("command needs an argument"));
  else if (r && r->argument == NONE && rest.n)
    bad_argument(ev, SMTPF_LIT("command takes no argument"));
}
