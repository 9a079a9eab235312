/* SPDX-License-Identifier: MIT
 *
 * milter_null PORT|/PATH: a filter on libmilter that looks at everything and says nothing: what the protocol costs
 * there.
 */
#include <libmilter/mfapi.h>
#include <stdio.h>
#include <sys/stat.h>

static sfsistat client(SMFICTX *c, char *name, _SOCK_ADDR *address)
{
  (void)c, (void)name, (void)address;
  return SMFIS_CONTINUE;
}

static sfsistat word(SMFICTX *c, char *w)
{
  (void)c, (void)w;
  return SMFIS_CONTINUE;
}

static sfsistat path(SMFICTX *c, char **arguments)
{
  (void)c, (void)arguments;
  return SMFIS_CONTINUE;
}

static sfsistat field(SMFICTX *c, char *name, char *value)
{
  (void)c, (void)name, (void)value;
  return SMFIS_CONTINUE;
}

static sfsistat nothing(SMFICTX *c)
{
  (void)c;
  return SMFIS_CONTINUE;
}

static sfsistat piece(SMFICTX *c, unsigned char *bytes, size_t n)
{
  (void)c, (void)bytes, (void)n;
  return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
  char where[256];
  struct smfiDesc filter = {.xxfi_name = "null",
                            .xxfi_version = SMFI_VERSION,
                            .xxfi_connect = client,
                            .xxfi_helo = word,
                            .xxfi_envfrom = path,
                            .xxfi_envrcpt = path,
                            .xxfi_header = field,
                            .xxfi_eoh = nothing,
                            .xxfi_body = piece,
                            .xxfi_eom = nothing,
                            .xxfi_abort = nothing,
                            .xxfi_close = nothing};
  if (argc != 2)
    return 2;
  if (argv[1][0] == '/')
    snprintf(where, sizeof where, "unix:%s", argv[1]);
  else
    snprintf(where, sizeof where, "inet:%s@127.0.0.1", argv[1]);
  umask(0); /* Postfix's smtpd is another user */
  if (smfi_setconn(where) == MI_FAILURE || smfi_register(filter) == MI_FAILURE || smfi_setbacklog(1024) == MI_FAILURE)
    return 1;
  return smfi_main();
}
