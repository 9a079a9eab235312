/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "exim.h"

#define RECIPIENT "${quote_local_part:$local_part}@$domain"

static int yield_answer(uschar **yield, exim_answer a)
{
  char room[1024];
  if (a.code < 400) {
    *yield = exim_copy("ok");
    return OK;
  }
  int n = snprintf(room, sizeof room, "%d %.*s %.*s", a.code, (int)a.enhanced.n, a.enhanced.p, (int)a.text.n, a.text.p);
  for (int i = 0; i < n && i < (int)sizeof room - 1; i++)
    room[i] = room[i] == '\n' ? ' ' : room[i];
  *yield = exim_copy(room);
  return OK;
}

#define FUNCTION(name)                                                                                                 \
  EXPORT int name(uschar **yield, int argc, uschar *argv[]);                                                           \
  int name(uschar **yield, int argc, uschar *argv[])
#define UNUSED ((void)argc, (void)argv)
#define ARGUMENT(i) (argc > (i) ? (const char *)argv[i] : "")

/* In the daemon, before it forks: an option that is expanded there asks for it. */
FUNCTION(smtpf_preload)
{
  client_load(ARGUMENT(0));
  *yield = exim_copy(argc > 1 && argv[1][0] ? (const char *)argv[1] : "0");
  return OK;
}

FUNCTION(smtpf_connect)
{
  client_begin(ARGUMENT(0), ARGUMENT(1), ARGUMENT(2), 0);
  return yield_answer(yield, client_connect());
}

FUNCTION(smtpf_helo)
{
  UNUSED;
  const smtpf_str command = exim_expand("$smtp_command");
  return yield_answer(yield, client_helo(command.n && (command.p[0] == 'H' || command.p[0] == 'h')));
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

FUNCTION(smtpf_mail)
{
  UNUSED;
  return yield_answer(yield, client_mail(exim_expand("$sender_address"), params_of(exim_expand("$smtp_command"))));
}

FUNCTION(smtpf_rcpt)
{
  UNUSED;
  return yield_answer(yield, client_rcpt(exim_expand(RECIPIENT), params_of(exim_expand("$smtp_command"))));
}

FUNCTION(smtpf_predata)
{
  UNUSED;
  return yield_answer(yield, client_data());
}

/* Nothing is done to the message before every recipient has been answered: Exim walks through them meanwhile. */
FUNCTION(smtpf_prdr)
{
  UNUSED;
  (void)client_end_of_message(-1);
  return yield_answer(yield, client_reply_to(exim_expand(RECIPIENT)));
}

/* After PRDR every recipient has been answered: what is left of the message is taken. */
FUNCTION(smtpf_data)
{
  UNUSED;
  const exim_answer a = client_end_of_message(-1);
  if (a.code < 400)
    client_apply();
  return yield_answer(yield, a);
}

FUNCTION(smtpf_notquit)
{
  UNUSED;
  client_end();
  *yield = exim_copy("ok");
  return OK;
}
