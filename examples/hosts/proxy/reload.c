/* SPDX-License-Identifier: MIT */
#include "reload.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../common/log.h"
#include "hop.h"
#include "quarantine.h"

#define PROBE_MS 2000

void reload_complain(const smtpf_error *err, const char *event)
{
  char where[300];
  if (err->file[0])
    snprintf(where, sizeof where, err->line ? "%s:%d" : "%s", err->file, err->line);
  else
    snprintf(where, sizeof where, "(command line)");
  log_line(
      "error", event,
      (log_field[]){{"where", {where, strlen(where)}}, {"what", {err->text, strlen(err->text)}}, {NULL, {NULL, 0}}});
}

static int same_listen(const settings *a, const settings *b)
{
  if (a->listens != b->listens)
    return 0;
  for (size_t i = 0; i < a->listens; i++)
    if (memcmp(&a->listen[i].sa, &b->listen[i].sa, sizeof a->listen[i].sa) || a->listen[i].lmtp != b->listen[i].lmtp)
      return 0;
  return 1;
}

/* The loader's thread. */
static void *load(void *user)
{
  process *p = user;
  settings *s = NULL;
  smtpf_error err = {.size = sizeof err};
  if (settings_load(&s, p->arguments, &err)) {
    reload_complain(&err, "reload-failed");
  } else if (s->quarantine_directory && quarantine_open(s->quarantine_directory)) {
    log_text("error", "reload-failed", "quarantine", s->quarantine_directory);
    settings_unref(s);
  } else {
    if (!same_listen(s, p->settings) || s->threads != p->settings->threads)
      log_text("warning", "reload", "note", "proxy.listen and proxy.threads take effect at the next start");
    if (!hop_probe(s, PROBE_MS))
      log_text("warning", "next-hop-unknown", "address", s->hop_text);
    for (int i = 0; i < p->n; i++)
      loop_reload(p->loops[i], s);
    settings_unref(p->settings);
    p->settings = s;
    log_text("info", "reloaded", "policy", p->arguments->policy ? p->arguments->policy : "(none)");
  }
  atomic_store(&p->loaded, 1);
  kill(getpid(), SIGUSR1); /* the main thread waits for signals: SIGUSR1 says that the loader is done */
  return NULL;
}

void reload_begin(process *p)
{
  if (p->loading) {
    p->again = 1;
    return;
  }
  atomic_store(&p->loaded, 0);
  p->again = 0;
  if (pthread_create(&p->loader, NULL, load, p))
    log_text("error", "reload-failed", "why", "no thread");
  else
    p->loading = 1;
}

void reload_end(process *p, int wait)
{
  if (!p->loading || (!wait && !atomic_load(&p->loaded)))
    return;
  pthread_join(p->loader, NULL);
  p->loading = 0;
  if (p->again && !wait)
    reload_begin(p);
}
