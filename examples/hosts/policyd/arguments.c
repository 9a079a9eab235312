/* SPDX-License-Identifier: MIT
 *
 * Options that postgrey has, as options of the policy that mean the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd.h"

enum { ADDRESS_ROOM = 256 };

const server_argument arguments[] = {{"inet", NULL, ARGUMENT_VALUE},
                                     {"unix", NULL, ARGUMENT_VALUE},
                                     {"user", "policyd.user", ARGUMENT_VALUE},
                                     {"group", "policyd.group", ARGUMENT_VALUE},
                                     {"delay", NULL, ARGUMENT_VALUE},
                                     {"max-age", NULL, ARGUMENT_VALUE},
                                     {"retry-window", NULL, ARGUMENT_VALUE},
                                     {"auto-whitelist-clients", NULL, ARGUMENT_MAY_VALUE},
                                     {"lookup-by-host", NULL, ARGUMENT_ALONE},
                                     {"whitelist-clients", NULL, ARGUMENT_VALUE},
                                     {"whitelist-recipients", NULL, ARGUMENT_VALUE},
                                     {"dbdir", NULL, ARGUMENT_VALUE},
                                     {"ipv4cidr", NULL, ARGUMENT_VALUE},
                                     {"ipv6cidr", "greylist.ip6_prefix", ARGUMENT_VALUE},
                                     {NULL, NULL, ARGUMENT_VALUE}};

/* An argument sets each of its lines: to what it was given, behind a bare number with `unit`, or to `value`. */
static const struct meaning {
  const char *name, *path, *how, *value, *unit;
} meanings[] = {
    {"delay", "greylist.wait", "=", NULL, "s"},
    {"delay", "budget.wait", "=", NULL, "s"},
    {"max-age", "greylist.memory", "=", NULL, "d"},
    {"lookup-by-host", "greylist.identity", "=", "prefix", ""},
    {"lookup-by-host", "greylist.ip4_prefix", "=", "32", ""},
    {"whitelist-clients", "greylist.allow_clients_files", "+=", NULL, ""},
    {"whitelist-recipients", "greylist.allow_recipients_files", "+=", NULL, ""},
    {"dbdir", "store.type", "=", "lmdb", ""},
    {"dbdir", "store.path", "=", NULL, ""},
    {"ipv4cidr", "greylist.identity", "=", "prefix", ""},
    {"ipv4cidr", "greylist.ip4_prefix", "=", NULL, ""},
};

/* `[HOST:]PORT`, with the brackets that an IPv6 address needs before a port. */
static int take_inet(server_arguments *a, const char *value)
{
  char where[ADDRESS_ROOM];
  const char *colon = strrchr(value, ':');
  const int bare = colon && value[0] != '[' && memchr(value, ':', (size_t)(colon - value));
  if (!colon)
    snprintf(where, sizeof where, "127.0.0.1:%s", value);
  else
    snprintf(where, sizeof where, bare ? "[%.*s]%s" : "%.*s%s", (int)(colon - value), value, colon);
  return server_argument_listen(a, where);
}

static int take_unix(server_arguments *a, const char *value)
{
  char where[ADDRESS_ROOM];
  snprintf(where, sizeof where, "unix:%s", value);
  return server_argument_listen(a, where);
}

/* A number alone is of postgrey's unit. */
static const char *unit_of(const char *value, const char *unit)
{
  return value[strspn(value, "0123456789")] ? "" : unit;
}

int arguments_take(server_arguments *a, const char *name, const char *value)
{
  int status = -1;
  if (!strcmp(name, "inet"))
    return take_inet(a, value);
  if (!strcmp(name, "unix"))
    return take_unix(a, value);
  if (!strcmp(name, "retry-window"))
    return server_argument_set(a, "greylist.window", "=", value, unit_of(value, "d"));
  if (!strcmp(name, "auto-whitelist-clients"))
    return server_argument_set(a, "greylist.auto_allow", "=", value ? value : "5", "");
  for (size_t i = 0; status < 0 && i < sizeof meanings / sizeof *meanings; i++) {
    const struct meaning *m = &meanings[i];
    if (!strcmp(m->name, name))
      status = server_argument_set(a, m->path, m->how, m->value ? m->value : value,
                                   m->value ? m->unit : unit_of(value, m->unit));
  }
  return status;
}
