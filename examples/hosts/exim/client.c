/* SPDX-License-Identifier: MIT
 *
 * This process's client. What fails once is not asked again before the next message: then everything is told anew, to
 * who may be there again.
 */
#include <dlfcn.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exim.h"

#define DEFAULT_POLICY "/etc/smtpfilter.conf"
#define SCHEME "unix:"
enum { PATH_ROOM = 1100, TIMEOUT_S = 60, TIMEOUT_MAX_S = 3600 };

static struct {
  const exim_asker *asker; /* NULL: none has been found */
  char where[1024];
  int timeout_s, pass, join;
  int failed;
  int greeted, tls_told, auth_told; /* what the asker knows */
  int begun, ended, decided;        /* DATA has been told, the end has been asked about, and there is a verdict */
  exim_answer end;                  /* of this message */
} x;

/* ---- Exim's texts --------------------------------------------------------------------------------------- */

smtpf_str exim_expand(const char *text)
{
  const uschar *got = expand_string((uschar *)(uintptr_t)text);
  return got ? (smtpf_str){(const char *)got, strlen((const char *)got)} : (smtpf_str){"", 0};
}

unsigned exim_number(const char *text)
{
  const smtpf_str s = exim_expand(text);
  return s.n ? (unsigned)strtoul(s.p, NULL, 10) : 0;
}

uschar *exim_copy(const char *text)
{
  return string_copy((const uschar *)text);
}

/* ---- who is asked ---------------------------------------------------------------------------------------- */

/* The library and all it needs: not loaded where smtpf-milter is asked. It lies beside this file. */
static const exim_asker *inside(void)
{
  static const exim_asker *found;
  char file[1024], path[1100];
  Dl_info own;
  if (found || !dladdr((const void *)&x, &own) || strlen(own.dli_fname) >= sizeof file)
    return found;
  memcpy(file, own.dli_fname, strlen(own.dli_fname) + 1);
  snprintf(path, sizeof path, "%s/smtpf_exim_policy.so", dirname(file));
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  found = library ? dlsym(library, EXIM_INSIDE) : NULL;
  if (!found)
    log_write(0, LOG_MAIN | LOG_PANIC, "smtpf_exim: %s", dlerror());
  return found;
}

static int is_socket(const char *where)
{
  return strncmp(where, SCHEME, sizeof SCHEME - 1) == 0;
}

static const char *path_in(const char *where)
{
  return is_socket(where) ? where + sizeof SCHEME - 1 : where;
}

static exim_answer nothing_decided(const char *what)
{
  if (!x.failed)
    log_write(0, LOG_MAIN, "smtpf_exim: %s: nothing can be decided (%s): %s", x.where, what,
              x.pass ? "mail passes" : "clients are put off");
  x.failed = 1;
  if (x.pass)
    return (exim_answer){.code = 250};
  return (exim_answer){451, SMTPF_LIT("4.3.0"), SMTPF_LIT("cannot be decided now, try again later")};
}

static exim_answer tell(const exim_event *e, const char *what)
{
  exim_answer a;
  return !x.failed && x.asker && x.asker->tell(e, &a) ? a : nothing_decided(what);
}

static void log_of_exim(const char *line)
{
  log_write(0, LOG_MAIN, "smtpf_exim:%s", line);
}

void client_load(const char *where)
{
  const exim_asker *asker = is_socket(where) ? NULL : inside();
  if (asker && !asker->load(*where ? where : DEFAULT_POLICY, log_of_exim))
    log_write(0, LOG_MAIN | LOG_PANIC, "smtpf_exim: no policy from %s", where);
}

static void open_asker(void)
{
  x.asker = is_socket(x.where) ? &exim_outside : inside();
  x.failed = x.greeted = x.tls_told = x.auth_told = x.begun = x.ended = x.decided = 0;
  if (!x.asker || !x.asker->open(path_in(x.where), x.timeout_s, x.join, log_of_exim))
    (void)nothing_decided("connect");
}

void client_begin(const char *where, const char *failure, const char *timeout, int join)
{
  const long seconds = strtol(timeout, NULL, 10);
  client_end();
  snprintf(x.where, sizeof x.where, "%s", *where ? where : DEFAULT_POLICY);
  x.join = join;
  x.pass = strcmp(failure, "pass") == 0;
  if (*failure && !x.pass && strcmp(failure, "defer") != 0)
    log_write(0, LOG_MAIN, "smtpf_exim: failure `%s`: expected defer or pass; it is defer", failure);
  x.timeout_s = seconds > 0 && seconds <= TIMEOUT_MAX_S ? (int)seconds : TIMEOUT_S;
  open_asker();
}

void client_end(void)
{
  if (x.asker)
    x.asker->close();
  memset(&x, 0, sizeof x);
}

/* ---- events --------------------------------------------------------------------------------------------- */

exim_answer client_connect(void)
{
  const smtpf_peer peer = {.size = sizeof peer,
                           .address = exim_expand("$sender_host_address"),
                           .port = (uint16_t)exim_number("$sender_host_port"),
                           .local_address = exim_expand("$received_ip_address"),
                           .local_port = (uint16_t)exim_number("$received_port"),
                           .rdns = exim_expand("$sender_host_name")};
  return tell(&(exim_event){.kind = EXIM_CONNECT, .peer = &peer}, "connect");
}

exim_answer client_helo(int plain)
{
  x.greeted = 1;
  return tell(&(exim_event){.kind = EXIM_HELO, .first = exim_expand("$sender_helo_name"), .plain = plain}, "helo");
}

/* TLS and AUTH come without an ACL that always runs: told before the mail that follows them. */
static exim_answer tell_news(void)
{
  const smtpf_str cipher = exim_expand("$tls_in_cipher"), identity = exim_expand("$authenticated_id");
  exim_answer a = {.code = 250};
  if (cipher.n && !x.tls_told) {
    x.tls_told = 1;
    a = tell(&(exim_event){.kind = EXIM_TLS, .first = exim_expand("$tls_in_ver"), .second = cipher}, "starttls");
    if (a.code < 400)
      a = client_helo(0);
  }
  if (a.code < 400 && identity.n && !x.auth_told) {
    x.auth_told = 1;
    a = tell(&(exim_event){.kind = EXIM_AUTH, .first = exim_expand("$sender_host_authenticated"), .second = identity},
             "auth");
  }
  return a;
}

/* All that an asker must know who has just come, or come again. */
static exim_answer tell_again(void)
{
  exim_answer a;
  if (x.asker)
    x.asker->close();
  open_asker();
  a = client_connect();
  return a.code < 400 && exim_expand("$sender_helo_name").n ? client_helo(0) : a;
}

static smtpf_str path_of(char room[PATH_ROOM], smtpf_str address)
{
  const int n = snprintf(room, PATH_ROOM, "<%.*s>", (int)address.n, address.p);
  return (smtpf_str){room, n > 0 && n < PATH_ROOM ? (size_t)n : PATH_ROOM - 1};
}

exim_answer client_mail(smtpf_str address, smtpf_str params)
{
  char room[PATH_ROOM];
  exim_answer a = {.code = 250};
  if (x.failed)
    a = tell_again();
  else if (x.asker)
    x.asker->forget(); /* Exim does not say RSET */
  x.begun = x.ended = x.decided = 0;
  if (a.code < 400)
    a = tell_news();
  if (a.code >= 400)
    return a;
  return tell(&(exim_event){.kind = EXIM_MAIL, .first = path_of(room, address), .second = params}, "mail");
}

exim_answer client_rcpt(smtpf_str address, smtpf_str params)
{
  char room[PATH_ROOM];
  return tell(&(exim_event){.kind = EXIM_RCPT, .first = path_of(room, address), .second = params}, "rcpt");
}

exim_answer client_data(void)
{
  x.begun = 1;
  return tell(&(exim_event){.kind = EXIM_DATA}, "data");
}

/* ---- the message ---------------------------------------------------------------------------------------- */

/* Exim has no ACL for a message that comes by BDAT (RFC 3030) before it is there. */
exim_answer client_end_of_message(int fd)
{
  if (x.ended)
    return x.end;
  x.ended = 1;
  x.end = x.begun ? (exim_answer){.code = 250} : client_data();
  if (x.end.code >= 400)
    return x.end;
  if (x.failed || !x.asker || !message_feed(x.asker, fd))
    x.end = nothing_decided("message");
  else
    x.end = tell(&(exim_event){.kind = EXIM_END, .first = exim_expand("$message_exim_id")}, "end of message");
  x.decided = !x.failed;
  return x.end;
}

exim_answer client_reply_to(smtpf_str address)
{
  char room[PATH_ROOM];
  exim_answer a = x.end;
  if (!x.failed && x.asker && x.decided)
    x.asker->reply_to(path_of(room, address), &a);
  return a;
}

void client_apply(void)
{
  if (!x.failed && x.asker)
    x.asker->apply(&message_changes);
}
