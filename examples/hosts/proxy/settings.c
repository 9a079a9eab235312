/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/host_options.h"
#include "../../common/log.h"

/* ---- reading the policy ------------------------------------------------------------------------ */

static int fail(smtpf_error *err, int code, const arguments *a, const char *what, const char *value,
                const char *expected)
{
  *err = (smtpf_error){.size = sizeof *err, .code = code};
  if (a->policy)
    snprintf(err->file, sizeof err->file, "%s", a->policy);
  snprintf(err->text, sizeof err->text, "%s `%s`: expected %s", what, value, expected);
  return code;
}

static int64_t number(const smtpf_engine *e, const char *path, int64_t otherwise)
{
  int64_t v;
  return smtpf_engine_number(e, path, &v) == SMTPF_OK ? v : otherwise;
}

static const char *string(const smtpf_engine *e, const char *path, size_t i)
{
  smtpf_str v;
  return smtpf_engine_option(e, path, i, &v) == SMTPF_OK && v.n ? v.p : NULL;
}

/* Which of `words` (NULL-terminated) the option says. */
static int choice(const smtpf_engine *e, const char *path, const char *const *words)
{
  const char *v = string(e, path, 0);
  for (int i = 0; v && words[i]; i++)
    if (!strcmp(v, words[i]))
      return i;
  return 0;
}

static int read_addresses(settings *s, const arguments *a, smtpf_error *err)
{
  static const char expected[] = "an address such as 127.0.0.1:25, [::1]:25, lmtp:127.0.0.1:24 or lmtp:unix:/run/lmtp";
  for (size_t i = 0; i < PROXY_LISTEN_MAX; i++) {
    const char *v = a->listens ? (i < a->listens ? a->listen[i] : NULL) : string(s->engine, "proxy.listen", i);
    if (!v && !i)
      v = "127.0.0.1:2525";
    if (!v)
      break;
    if (!address_parse(v, &s->listen[s->listens++]))
      return fail(err, SMTPF_EPARSE, a, "proxy.listen", v, expected);
  }
  for (size_t i = 0; i < PROXY_SERVERS_MAX; i++) {
    const char *v = string(s->engine, "proxy.forward_servers", i);
    if (!v)
      break;
    if (!address_parse(v, &s->forward_servers[s->n_forward_servers++]))
      return fail(err, SMTPF_EPARSE, a, "proxy.forward_servers", v, expected);
  }
  const char *hop = a->hop ? a->hop : string(s->engine, "proxy.next_hop", 0);
  if (!hop || !address_parse(hop, &s->hop))
    return fail(err, SMTPF_EPARSE, a, "proxy.next_hop", hop ? hop : "", expected);
  address_format((const struct sockaddr *)&s->hop.sa, s->hop_text, sizeof s->hop_text);
  return SMTPF_OK;
}

static void read_numbers(settings *s)
{
  const smtpf_engine *e = s->engine;
  static const char *const identities[] = {"auto", "xclient", "xforward", "none", NULL};
  static const char *const verdicts[] = {"all", "refused", "none", NULL};
  static const char *const forms[] = {"text", "json", NULL};
  static const char *const forwards[] = {"hop", "inline", NULL};
  static const char *const fallbacks[] = {"defer", "hop", NULL};
  static const char *const line_ends[] = {"refuse", "normalise", NULL};
  s->identity = choice(e, "proxy.identity", identities);
  s->log_verdicts = choice(e, "proxy.log_verdicts", verdicts);
  s->log_json = choice(e, "proxy.log", forms);
  s->split = (int)number(e, "proxy.split", 1);
  s->prdr = (int)number(e, "proxy.prdr", 1);
  s->forward_inline = choice(e, "proxy.forward", forwards);
  s->forward_to_hop = choice(e, "proxy.forward_fallback", fallbacks);
  s->forward_port = (unsigned)number(e, "proxy.forward_port", 25);
  s->forward_ms = number(e, "proxy.forward_timeout", 60000);
  s->forward_final_ms = number(e, "proxy.forward_final_timeout", 240000);
  s->threads = (int)number(e, "proxy.threads", 1);
  s->connections = number(e, "proxy.connections", 10000);
  s->connections_per_client = number(e, "proxy.connections_per_client", 0);
  s->idle_ms = number(e, "proxy.idle_timeout", 300000);
  s->command_ms = number(e, "proxy.command_timeout", 300000);
  s->data_ms = number(e, "proxy.data_timeout", 300000);
  s->message_ms = number(e, "proxy.message_timeout", 3600000);
  s->hop_connect_ms = number(e, "proxy.hop_connect_timeout", 30000);
  s->hop_ms = number(e, "proxy.hop_timeout", 240000);
  s->hop_final_ms = number(e, "proxy.hop_final_timeout", 540000);
  s->drain_ms = number(e, "proxy.drain", 30000);
  s->pool = number(e, "proxy.pool", 64);
  s->pool_age_ms = number(e, "proxy.pool_age", 10000);
  s->pool_messages = number(e, "proxy.pool_messages", 1000);
  s->spool_total = number(e, "proxy.spool_total", 0);
  s->spool_memory = (size_t)number(e, "proxy.spool_memory", 262144);
  s->smtpd.line_max = (uint32_t)number(e, "limits.line", 0);
  s->smtpd.text_line_max = (uint32_t)number(e, "limits.text_line", 0);
  s->smtpd.message_max = (uint64_t)number(e, "limits.message", 0);
  s->smtpd.line_ends = choice(e, "smtp.line_ends", line_ends) ? SMTPF_LINE_ENDS_NORMALISE : SMTPF_LINE_ENDS_REFUSE;
}

static int read_quarantine(settings *s, const arguments *a, smtpf_error *err)
{
  s->quarantine_directory = string(s->engine, "quarantine.directory", 0);
  s->quarantine_redirect = string(s->engine, "quarantine.redirect", 0);
  s->spool_directory = string(s->engine, "proxy.spool_directory", 0);
  s->capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY | SMTPF_CAN_REPORT_COMMIT | SMTPF_CAN_EDIT;
  if (s->split)
    s->capabilities |= SMTPF_CAN_DROP_RCPT | SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_SENDER_PER_RCPT;
  if (s->forward_inline)
    s->capabilities |= SMTPF_CAN_CUT_THROUGH;
  if (s->prdr)
    s->capabilities |= SMTPF_CAN_REPLY_PER_RCPT;
  const char *to = s->quarantine_directory ? NULL : s->quarantine_redirect;
  if (to && (strpbrk(to, "<> \t\r\n") || !strchr(to, '@') || strlen(to) > 254))
    return fail(err, SMTPF_EINVAL, a, "quarantine.redirect", to, "an address such as spam@example.net");
  if (s->quarantine_directory || to)
    s->capabilities |= SMTPF_CAN_QUARANTINE | (s->split ? (unsigned)SMTPF_CAN_QUARANTINE_PER_RCPT : 0U);
  if (smtpf_engine_needs(s->engine) & SMTPF_CAN_QUARANTINE & ~s->capabilities)
    return fail(err, SMTPF_EINVAL, a, "quarantine", "a profile quarantines",
                "quarantine.directory or quarantine.redirect");
  return SMTPF_OK;
}

static void read_hostname(settings *s)
{
  const char *name = string(s->engine, "hostnames", 0);
  if (name)
    snprintf(s->hostname, sizeof s->hostname, "%s", name);
  else if (gethostname(s->hostname, sizeof s->hostname - 1) || !s->hostname[0])
    snprintf(s->hostname, sizeof s->hostname, "localhost");
  s->smtpd.size = sizeof s->smtpd;
  s->smtpd.hostname = (smtpf_str){s->hostname, strlen(s->hostname)};
}

static int read_settings(settings *s, const arguments *a, smtpf_error *err)
{
  read_numbers(s);
  read_hostname(s);
  if (a->threads)
    s->threads = a->threads;
  if (a->log)
    s->log_json = !strcmp(a->log, "json");
  s->explain = a->explain;
  int r = read_addresses(s, a, err);
  return r ? r : read_quarantine(s, a, err);
}

/* ---- loading ----------------------------------------------------------------------------------- */

/* `PATH=VALUE`, or `PATH+=VALUE` for one more of a list. */
static int apply_set(smtpf_config *cfg, const arguments *a, const char *set, smtpf_error *err)
{
  char path[256];
  const char *eq = strchr(set, '=');
  const int more = eq && eq > set && eq[-1] == '+';
  if (!eq || (size_t)(eq - set) >= sizeof path)
    return fail(err, SMTPF_EPARSE, a, "--set", set, "PATH=VALUE or PATH+=VALUE");
  memcpy(path, set, (size_t)(eq - set));
  path[eq - set - more] = 0;
  return more ? smtpf_config_append(cfg, path, eq + 1, err) : smtpf_config_set(cfg, path, eq + 1, err);
}

static int apply_sets(smtpf_config *cfg, const arguments *a, smtpf_error *err)
{
  for (size_t i = 0; i < a->sets; i++) {
    int r = apply_set(cfg, a, a->set[i], err);
    if (r)
      return r;
  }
  return SMTPF_OK;
}

static int load_engine(smtpf_engine **out, const arguments *a, smtpf_error *err)
{
  smtpf_config *cfg = NULL;
  int r = smtpf_config_new(&cfg, NULL);
  if (r)
    return fail(err, r, a, "policy", a->policy ? a->policy : "", "memory");
  r = host_options_add(cfg);
  if (r)
    r = fail(err, r, a, "options", "proxy", smtpf_strerror(r));
  smtpf_config_set_log(cfg, SMTPF_LOG_WARNING, log_library, NULL);
  if (!r && a->policy)
    r = smtpf_config_load(cfg, a->policy, err);
  if (!r)
    r = apply_sets(cfg, a, err);
  if (!r)
    r = smtpf_engine_new(out, cfg, err);
  smtpf_config_free(cfg);
  return r;
}

int settings_load(settings **out, const arguments *a, smtpf_error *err)
{
  settings *s = calloc(1, sizeof *s);
  if (!s)
    return fail(err, SMTPF_ENOMEM, a, "policy", a->policy ? a->policy : "", "memory");
  atomic_init(&s->refs, 1);
  int r = load_engine(&s->engine, a, err);
  if (!r)
    r = read_settings(s, a, err);
  if (r) {
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
