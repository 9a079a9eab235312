/* SPDX-License-Identifier: MIT */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

/* `proxy.listen`, for the program whose section is `proxy`. */
typedef struct option_path {
  char text[64];
} option_path;

static option_path path_of(const server_settings *s, const char *name)
{
  option_path p;
  snprintf(p.text, sizeof p.text, "%s.%s", s->program->section, name);
  return p;
}

static const char *string(const server_settings *s, const char *name, size_t i)
{
  return host_string(s->engine, path_of(s, name).text, i);
}

static int64_t number(const server_settings *s, const char *name, int64_t otherwise)
{
  return host_number(s->engine, path_of(s, name).text, otherwise);
}

static int choice(const server_settings *s, const char *name, const char *const *words)
{
  return host_choice(s->engine, path_of(s, name).text, words);
}

static int wrong(const server_settings *s, const host_policy *p, smtpf_error *err, int code, const char *name,
                 const char *value, const char *expected)
{
  return host_policy_fail(err, code, p, path_of(s, name).text, value, expected);
}

static int read_addresses(server_settings *s, const host_policy *p, smtpf_error *err)
{
  for (size_t i = 0; i < SERVER_LISTEN_MAX; i++) {
    const char *v = string(s, "listen", i);
    if (!v && !i)
      v = s->program->listen;
    if (!v)
      break;
    if (!address_parse_listener(v, &s->listen[s->listens++]))
      return wrong(s, p, err, SMTPF_EPARSE, "listen", v, s->program->listen_expected);
  }
  return SMTPF_OK;
}

/* Three or four octal digits. */
static int read_mode(const char *v, mode_t *out)
{
  unsigned mode = 0, digits = 0;
  for (; v[digits] >= '0' && v[digits] <= '7' && digits < 5; digits++)
    mode = mode * 8 + (unsigned)(v[digits] - '0');
  if (v[digits] || digits < 3 || mode > 0777)
    return 0;
  *out = (mode_t)mode;
  return 1;
}

static int read_socket(server_settings *s, const host_policy *p, smtpf_error *err)
{
  const char *mode = string(s, "socket_mode", 0), *group = string(s, "socket_group", 0);
  s->socket_mode = 0660;
  s->socket_group = (gid_t)-1;
  if (mode && !read_mode(mode, &s->socket_mode))
    return wrong(s, p, err, SMTPF_EINVAL, "socket_mode", mode, "an octal mode such as 0660");
  if (!group)
    return SMTPF_OK;
  const struct group *g = getgrnam(group); /* the main thread alone asks */
  if (!g)
    return wrong(s, p, err, SMTPF_EINVAL, "socket_group", group, "the name of a group");
  s->socket_group = g->gr_gid;
  return SMTPF_OK;
}

/* Whether a scanner is a program that is started. */
static int starts_programs(const smtpf_engine *e)
{
  char path[300];
  const char *name, *type;
  for (size_t i = 0; (name = host_string(e, "scanners", i)); i++) {
    snprintf(path, sizeof path, "scanners[\"%s\"].type", name);
    type = host_string(e, path, 0);
    if (type && !strcmp(type, "command"))
      return 1;
  }
  return 0;
}

static int read_privileges(server_settings *s, const host_policy *p, smtpf_error *err)
{
  const char *user = string(s, "user", 0), *group = string(s, "group", 0);
  const struct passwd *u = user ? getpwnam(user) : NULL;
  const struct group *g = group ? getgrnam(group) : NULL;
  if (user && !u)
    return wrong(s, p, err, SMTPF_EINVAL, "user", user, "the name of a user");
  if (group && !g)
    return wrong(s, p, err, SMTPF_EINVAL, "group", group, "the name of a group");
  s->privileges = (privileges){.user = user,
                               .uid = u ? u->pw_uid : 0,
                               .gid = g   ? g->gr_gid
                                      : u ? u->pw_gid
                                          : (gid_t)-1,
                               .keep_calls = !number(s, "sandbox", 1),
                               .execute = starts_programs(s->engine)};
  return SMTPF_OK;
}

static int read_settings(server_settings *s, const server_arguments *a, smtpf_error *err)
{
  static const char *const forms[] = {"text", "json", NULL};
  s->threads = (int)number(s, "threads", 1);
  s->log_json = choice(s, "log", forms);
  s->log_verdicts = report_which(s->engine, s->program->section);
  s->explain = a->explain;
  s->connections = number(s, "connections", 10000);
  s->drain_ms = number(s, "drain", 30000);
  s->metrics = string(s, "metrics", 0);
  int r = read_addresses(s, &a->policy, err);
  if (r == SMTPF_OK)
    r = read_socket(s, &a->policy, err);
  if (r == SMTPF_OK)
    r = read_privileges(s, &a->policy, err);
  return r == SMTPF_OK ? s->program->read(s, &a->policy, err) : r;
}

int server_settings_load(server_settings **out, const server_program *program, const server_arguments *a,
                         smtpf_error *err)
{
  server_settings *s = calloc(1, program->settings_size);
  if (!s)
    return host_policy_fail(err, SMTPF_ENOMEM, &a->policy, "policy", a->policy.file ? a->policy.file : "", "memory");
  s->program = program;
  atomic_init(&s->refs, 1);
  int r = host_policy_load(&s->engine, &a->policy, err);
  if (r == SMTPF_OK)
    r = read_settings(s, a, err);
  if (r != SMTPF_OK) {
    server_settings_unref(s);
    return r;
  }
  *out = s;
  return SMTPF_OK;
}

server_settings *server_settings_ref(server_settings *s)
{
  atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
  return s;
}

void server_settings_unref(server_settings *s)
{
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
    return;
  if (s->program->forget)
    s->program->forget(s);
  smtpf_engine_unref(s->engine);
  free(s);
}
