/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <smtpfilter/ext/mail.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/host_policy.h"
#include "exim.h"

#define DEFAULT_POLICY "/etc/smtpfilter.conf"
#define RECIPIENT "${quote_local_part:$local_part}@$domain"
#define EXPORT __attribute__((visibility("default")))

static exim_state x;

/* ---- Exim's texts --------------------------------------------------------------------------------------- */

smtpf_str exim_expand(const char *text)
{
  const uschar *got = expand_string((uschar *)(uintptr_t)text);
  return got ? (smtpf_str){(const char *)got, strlen((const char *)got)} : (smtpf_str){"", 0};
}

static unsigned exim_number(const char *text)
{
  const smtpf_str s = exim_expand(text);
  return s.n ? (unsigned)strtoul(s.p, NULL, 10) : 0;
}

/* In memory that lives as long as Exim's message; what Exim would expand again is none of it. */
static uschar *exim_copy(const char *text)
{
  return string_copy((const uschar *)text);
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static int yield_code(uschar **yield, int code, smtpf_str enhanced, smtpf_str text)
{
  char room[1024];
  if (code < 400) {
    *yield = exim_copy("ok");
    return OK;
  }
  int n = snprintf(room, sizeof room, "%d %.*s %.*s", code, (int)enhanced.n, enhanced.p, (int)text.n, text.p);
  for (int i = 0; i < n && i < (int)sizeof room - 1; i++)
    room[i] = room[i] == '\n' ? ' ' : room[i];
  *yield = exim_copy(room);
  return OK;
}

static int yield_failure(uschar **yield)
{
  x.failed = 1;
  return yield_code(yield, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("cannot be decided now, try again later"));
}

/* Waits for the verdict of an event; NULL when there is none. */
static const smtpf_verdict *verdict_of(int result)
{
  if (result == SMTPF_PENDING)
    result = smtpf_session_wait(x.session, -1);
  return result == SMTPF_OK ? smtpf_session_verdict(x.session) : NULL;
}

static int yield_verdict(uschar **yield, int result)
{
  const smtpf_verdict *v = verdict_of(result);
  if (!v)
    return yield_failure(yield);
  if (smtpf_verdict_delay(v) > 0)
    poll(NULL, 0, (int)smtpf_verdict_delay(v));
  return yield_code(yield, smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v));
}

/* ---- life --------------------------------------------------------------------------------------------------- */

static void end(void)
{
  if (x.session)
    smtpf_session_abort(x.session);
  smtpf_session_free(x.session);
  smtpf_driver_free(x.driver);
  smtpf_engine_unref(x.engine);
  x = (exim_state){0};
}

static int begin(const char *policy)
{
  const host_policy from = {.file = policy};
  const smtpf_session_options o = {.size = sizeof o,
                                   .protocol = SMTPF_SMTP,
                                   .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY | SMTPF_CAN_EDIT |
                                                   SMTPF_CAN_DROP_RCPT | SMTPF_CAN_REPLY_PER_RCPT};
  end();
  x.engine = host_policy_engine(&from);
  if (!x.engine || smtpf_driver_new(&x.driver, x.engine, NULL) != SMTPF_OK ||
      smtpf_session_new(&x.session, x.driver, &o) != SMTPF_OK) {
    log_write(0, LOG_MAIN | LOG_PANIC, "smtpf_exim: no policy from %s", policy);
    end();
    return 0;
  }
  return 1;
}

static int tell_connect(void)
{
  const smtpf_peer peer = {.size = sizeof peer,
                           .address = exim_expand("$sender_host_address"),
                           .port = (uint16_t)exim_number("$sender_host_port"),
                           .local_address = exim_expand("$received_ip_address"),
                           .local_port = (uint16_t)exim_number("$received_port"),
                           .rdns = exim_expand("$sender_host_name")};
  return smtpf_session_connect(x.session, &peer);
}

/* ---- what Exim calls ------------------------------------------------------------------------------------------ */

#define FUNCTION(name)                                                                                                 \
  EXPORT int name(uschar **yield, int argc, uschar *argv[]);                                                           \
  int name(uschar **yield, int argc, uschar *argv[])
#define UNUSED ((void)argc, (void)argv)
#define NEEDS_SESSION                                                                                                  \
  if (!x.session || x.failed)                                                                                          \
  return yield_failure(yield)

FUNCTION(smtpf_connect)
{
  if (!begin(argc > 0 && argv[0][0] ? (const char *)argv[0] : DEFAULT_POLICY))
    return yield_failure(yield);
  return yield_verdict(yield, tell_connect());
}

static int tell_helo(void)
{
  const smtpf_str command = exim_expand("$smtp_command");
  const int plain = command.n && (command.p[0] == 'H' || command.p[0] == 'h');
  x.greeted = 1;
  return smtpf_session_helo(x.session, plain ? SMTPF_GREET_HELO : SMTPF_GREET_EHLO, exim_expand("$sender_helo_name"));
}

FUNCTION(smtpf_helo)
{
  UNUSED;
  NEEDS_SESSION;
  return yield_verdict(yield, tell_helo());
}

/* TLS and AUTH come without an ACL that always runs: told before the mail that follows them. 1 when all is well. */
static int tell_news(uschar **yield)
{
  const smtpf_str cipher = exim_expand("$tls_in_cipher"), identity = exim_expand("$authenticated_id");
  const smtpf_verdict *v;
  if (cipher.n && !x.tls_told) {
    x.tls_told = 1;
    v = verdict_of(smtpf_session_starttls(x.session, exim_expand("$tls_in_ver"), cipher));
    if (!v || !(v = verdict_of(tell_helo())))
      return yield_failure(yield), 0;
  }
  if (identity.n && !x.auth_told) {
    x.auth_told = 1;
    v = verdict_of(smtpf_session_auth(x.session, exim_expand("$sender_host_authenticated"), identity));
    if (!v)
      return yield_failure(yield), 0;
  }
  return 1;
}

/* `MAIL FROM:<path> params`: Exim has parsed the path, and the parameters are ours to read. */
static smtpf_str params_of(smtpf_str command)
{
  const char *end = command.n ? memchr(command.p, '>', command.n) : NULL;
  size_t at = end ? (size_t)(end + 1 - command.p) : command.n;
  while (at < command.n && command.p[at] == ' ')
    at++;
  return (smtpf_str){command.p + at, command.n - at};
}

static smtpf_str path_of(char room[1100], smtpf_str address)
{
  const int n = snprintf(room, 1100, "<%.*s>", (int)address.n, address.p);
  return (smtpf_str){room, n > 0 && n < 1100 ? (size_t)n : 1099};
}

FUNCTION(smtpf_mail)
{
  char room[1100];
  UNUSED;
  NEEDS_SESSION;
  smtpf_session_reset(x.session); /* Exim does not say RSET */
  x.ended = 0;
  if (!tell_news(yield))
    return OK;
  return yield_verdict(yield, smtpf_session_mail(x.session, path_of(room, exim_expand("$sender_address")),
                                                 params_of(exim_expand("$smtp_command"))));
}

FUNCTION(smtpf_rcpt)
{
  char room[1100];
  UNUSED;
  NEEDS_SESSION;
  return yield_verdict(yield, smtpf_session_rcpt(x.session, path_of(room, exim_expand(RECIPIENT)),
                                                 params_of(exim_expand("$smtp_command"))));
}

FUNCTION(smtpf_predata)
{
  UNUSED;
  NEEDS_SESSION;
  return yield_verdict(yield, smtpf_session_data(x.session));
}

/* Once a message. NULL when it has no verdict. */
static const smtpf_verdict *end_of_message(int fd)
{
  if (x.ended)
    return smtpf_session_verdict(x.session);
  x.ended = 1;
  if (message_feed(&x, fd) != SMTPF_OK)
    return NULL;
  return verdict_of(smtpf_session_eom(x.session));
}

/* Not before every recipient has been answered: Exim walks through them meanwhile. */
static int is_taken(const smtpf_verdict *v)
{
  if (smtpf_verdict_action(v) != SMTPF_ACCEPT)
    return 0;
  message_apply(v);
  return 1;
}

static int same(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

FUNCTION(smtpf_prdr)
{
  const smtpf_verdict *v;
  UNUSED;
  NEEDS_SESSION;
  if (!(v = end_of_message(-1)))
    return yield_failure(yield);
  char room[1100];
  const smtpf_str path = path_of(room, exim_expand(RECIPIENT));
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r) == SMTPF_OK && same(r.path, path))
      return yield_code(yield, r.reply_code ? r.reply_code : smtpf_verdict_code(v), r.enhanced, r.text);
  }
  return yield_code(yield, smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v));
}

/* After PRDR every recipient has been answered: what is left of the message is taken. */
FUNCTION(smtpf_data)
{
  UNUSED;
  NEEDS_SESSION;
  const smtpf_verdict *v = end_of_message(-1);
  if (!v)
    return yield_failure(yield);
  if (is_taken(v))
    return yield_code(yield, 250, (smtpf_str){"", 0}, (smtpf_str){"", 0});
  return yield_code(yield, smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v));
}

FUNCTION(smtpf_notquit)
{
  UNUSED;
  end();
  *yield = exim_copy("ok");
  return OK;
}

/* ---- local_scan ------------------------------------------------------------------------------------------------ */

/* For who will not touch the ACLs: the whole conversation at its end. Recipients who would have been refused at RCPT
 * are answered together with all others then. */

EXPORT int local_scan_version_major(void);
int local_scan_version_major(void)
{
  return LOCAL_SCAN_ABI_VERSION_MAJOR;
}

EXPORT int local_scan_version_minor(void);
int local_scan_version_minor(void)
{
  return LOCAL_SCAN_ABI_VERSION_MINOR;
}

static int refused(const smtpf_verdict *v)
{
  return !v || smtpf_verdict_action(v) != SMTPF_ACCEPT;
}

/* Up to the first refusal that concerns all. */
static const smtpf_verdict *whole_envelope(void)
{
  char room[1100];
  size_t taken = 0;
  const smtpf_verdict *v = verdict_of(tell_connect());
  if (!refused(v))
    v = verdict_of(smtpf_session_helo(x.session, SMTPF_GREET_EHLO, exim_expand("$sender_helo_name")));
  uschar *ignored;
  if (!refused(v) && !tell_news(&ignored))
    return NULL;
  if (!refused(v))
    v = verdict_of(
        smtpf_session_mail(x.session, path_of(room, smtpf_str_of((const char *)sender_address)), (smtpf_str){"", 0}));
  if (refused(v))
    return v;
  for (int i = 0; i < recipients_count; i++) {
    const smtpf_str to = smtpf_str_of((const char *)recipients_list[i].address);
    v = verdict_of(smtpf_session_rcpt(x.session, path_of(room, to), (smtpf_str){"", 0}));
    if (refused(v))
      return v; /* one answer for all: the client must not be told that this one has it */
    taken++;
  }
  return taken ? verdict_of(smtpf_session_data(x.session)) : v;
}

int local_scan(int fd, uschar **ret)
{
  const smtpf_str policy = exim_expand("${if def:acl_m_smtpf_policy {$acl_m_smtpf_policy}{" DEFAULT_POLICY "}}");
  const smtpf_verdict *v = NULL;
  if (!sender_host_address) /* a user of this machine, who has no session that could be answered */
    return LOCAL_SCAN_ACCEPT;
  if (begin(policy.p) && !refused(v = whole_envelope()))
    v = end_of_message(fd);
  if (!v) {
    *ret = exim_copy("cannot be decided now, try again later");
    end();
    return LOCAL_SCAN_TEMPREJECT;
  }
  const int action = smtpf_verdict_action(v);
  if (!x.ended || !is_taken(v)) {
    uschar *text;
    yield_code(&text, smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v));
    *ret = text + 4; /* Exim has the code */
  }
  end();
  return action == SMTPF_ACCEPT ? LOCAL_SCAN_ACCEPT : action == SMTPF_DEFER ? LOCAL_SCAN_TEMPREJECT : LOCAL_SCAN_REJECT;
}
