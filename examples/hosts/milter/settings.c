/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/host_policy.h"

static host_policy policy_of(const arguments *a)
{
  return (host_policy){a->policy, a->set, a->sets};
}

static int read_addresses(settings *s, const arguments *a, smtpf_error *err)
{
  const host_policy p = policy_of(a);
  for (size_t i = 0; i < MILTER_LISTEN_MAX; i++) {
    const char *v = a->listens ? (i < a->listens ? a->listen[i] : NULL) : host_string(s->engine, "milter.listen", i);
    if (!v && !i)
      v = "127.0.0.1:8891";
    if (!v)
      break;
    if (!address_parse(v, &s->listen[s->listens++]) || s->listen[s->listens - 1].lmtp)
      return host_policy_fail(err, SMTPF_EPARSE, &p, "milter.listen", v,
                              "an address such as 127.0.0.1:8891, [::1]:8891 or unix:/run/smtpf-milter/socket");
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

static int read_socket(settings *s, const arguments *a, smtpf_error *err)
{
  const host_policy p = policy_of(a);
  const char *mode = host_string(s->engine, "milter.socket_mode", 0);
  const char *group = host_string(s->engine, "milter.socket_group", 0);
  s->socket_mode = 0660;
  s->socket_group = (gid_t)-1;
  if (mode && !read_mode(mode, &s->socket_mode))
    return host_policy_fail(err, SMTPF_EINVAL, &p, "milter.socket_mode", mode, "an octal mode such as 0660");
  if (!group)
    return SMTPF_OK;
  const struct group *g = getgrnam(group); /* before any thread, and on reload on the main thread alone */
  if (!g)
    return host_policy_fail(err, SMTPF_EINVAL, &p, "milter.socket_group", group, "the name of a group");
  s->socket_group = g->gr_gid;
  return SMTPF_OK;
}

static int read_settings(settings *s, const arguments *a, smtpf_error *err)
{
  static const char *const verdicts[] = {"all", "refused", "none", NULL};
  static const char *const forms[] = {"text", "json", NULL};
  const smtpf_engine *e = s->engine;
  s->threads = a->threads ? a->threads : (int)host_number(e, "milter.threads", 1);
  s->log_json = a->log ? !strcmp(a->log, "json") : host_choice(e, "milter.log", forms);
  s->log_verdicts = host_choice(e, "milter.log_verdicts", verdicts);
  s->explain = a->explain;
  s->connections = host_number(e, "milter.connections", 10000);
  s->idle_ms = host_number(e, "milter.idle_timeout", 7200000);
  s->progress_ms = host_number(e, "milter.progress", 10000);
  s->drain_ms = host_number(e, "milter.drain", 30000);
  const int r = read_addresses(s, a, err);
  return r != SMTPF_OK ? r : read_socket(s, a, err);
}

int settings_load(settings **out, const arguments *a, smtpf_error *err)
{
  const host_policy p = policy_of(a);
  settings *s = calloc(1, sizeof *s);
  if (!s)
    return host_policy_fail(err, SMTPF_ENOMEM, &p, "policy", a->policy ? a->policy : "", "memory");
  atomic_init(&s->refs, 1);
  int r = host_policy_load(&s->engine, &p, err);
  if (r == SMTPF_OK)
    r = read_settings(s, a, err);
  if (r != SMTPF_OK) {
    settings_unref(s);
    return r;
  }
  *out = s;
  return SMTPF_OK;
}

settings *settings_ref(settings *s)
{
  atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
  return s;
}

void settings_unref(settings *s)
{
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
    return;
  smtpf_engine_unref(s->engine);
  free(s);
}
