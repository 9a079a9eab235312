/* SPDX-License-Identifier: MIT
 *
 * Messages that requests are about. A connection asks about one at a time, and about one in several states; Postfix may
 * close it in between and ask on over another. So a message is found by its name, until its connection asks about
 * another one, until nobody has asked about it for `policyd.instance_timeout`, or until it is the one that nobody has
 * asked about longest of `policyd.instances`.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policyd.h"

static int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* FNV-1a: Postfix chooses the names. */
static instance **bucket(instance_table *t, smtpf_str name)
{
  uint32_t h = 2166136261U;
  for (size_t i = 0; i < name.n; i++)
    h = (h ^ (unsigned char)name.p[i]) * 16777619U;
  return &t->buckets[h % BUCKETS];
}

static smtpf_str name_of(const instance *i)
{
  return (smtpf_str){i->name, strlen(i->name)};
}

/* ---- the order of time ------------------------------------------------------------------------------------ */

static void unlink_time(instance_table *t, instance *i)
{
  *(i->older ? &i->older->newer : &t->oldest) = i->newer;
  *(i->newer ? &i->newer->older : &t->newest) = i->older;
}

static void link_newest(instance_table *t, instance *i)
{
  i->older = t->newest;
  i->newer = NULL;
  *(t->newest ? &t->newest->newer : &t->oldest) = i;
  t->newest = i;
}

static void touch(instance_table *t, instance *i)
{
  i->seen_ms = now_ms();
  unlink_time(t, i);
  link_newest(t, i);
}

static void expire(void *user);

static void set_timer(server *s)
{
  instance_table *t = &s->instances;
  if (t->timer || !t->oldest)
    return;
  const int64_t left = t->oldest->seen_ms + t->keep_ms - now_ms();
  if (smtpf_driver_timer(s->driver, left > 0 ? left + 1 : 1, expire, s, &t->timer) != SMTPF_OK)
    t->timer = 0; /* the number is bounded all the same */
}

static void expire(void *user)
{
  server *s = user;
  instance_table *t = &s->instances;
  const int64_t before = now_ms() - t->keep_ms;
  t->timer = 0;
  for (instance *i = t->oldest, *next; i && i->seen_ms <= before; i = next) {
    next = i->newer;
    if (i->asked)
      touch(t, i);
    else
      instance_free(s, i);
  }
  set_timer(s);
}

/* ---- life -------------------------------------------------------------------------------------------------- */

void instance_free(server *s, instance *i)
{
  instance_table *t = &s->instances;
  answer_tell_lost(i);
  smtpf_session_free(i->session);
  if (i->at)
    i->at->about = NULL;
  if (i->name[0]) {
    instance **p = bucket(t, name_of(i));
    while (*p != i)
      p = &(*p)->same;
    *p = i->same;
  }
  unlink_time(t, i);
  t->n--;
  free(i);
}

void instance_free_all(server *s)
{
  while (s->instances.oldest)
    instance_free(s, s->instances.oldest);
  if (s->instances.timer)
    smtpf_driver_timer_cancel(s->driver, s->instances.timer);
}

void instance_leave(instance *i)
{
  server *s = i->at->server;
  if (i->asked || !i->name[0]) {
    instance_free(s, i);
    return;
  }
  i->at->about = NULL;
  i->at = NULL;
}

int instance_renew(server *s, instance *i)
{
  static const unsigned can[] = {
      [DECIDE_DATA] = SMTPF_CAN_DELAY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE,
      [DECIDE_END] = SMTPF_CAN_DELAY | SMTPF_CAN_QUARANTINE,
      [DECIDE_NEVER] = SMTPF_CAN_DELAY,
  };
  const smtpf_session_options o = {.size = sizeof o, .user = i, .protocol = SMTPF_SMTP, .capabilities = can[s->decide]};
  smtpf_session *session = NULL;
  if (smtpf_session_new(&session, s->driver, &o) != SMTPF_OK)
    return 0;
  smtpf_session_free(i->session);
  i->session = session;
  i->told = NOTHING;
  i->ends = i->incomplete = 0;
  i->given = i->repeated = 0;
  return 1;
}

static void make_room(server *s)
{
  instance_table *t = &s->instances;
  for (instance *i = t->oldest, *next; i && t->n >= t->max; i = next) {
    next = i->newer;
    if (!i->asked)
      instance_free(s, i);
  }
}

/* A name too long to be one of Postfix's, or taken by who is being answered, finds nothing later. */
static instance *make(connection *c, smtpf_str name)
{
  server *s = c->server;
  instance *i = calloc(1, sizeof *i);
  if (!i)
    return NULL;
  if (!instance_renew(s, i)) {
    free(i);
    return NULL;
  }
  make_room(s);
  if (name.n && name.n < sizeof i->name) {
    memcpy(i->name, name.p, name.n);
    instance **p = bucket(&s->instances, name);
    i->same = *p;
    *p = i;
  }
  i->seen_ms = now_ms();
  link_newest(&s->instances, i);
  s->instances.n++;
  set_timer(s);
  return i;
}

static instance *find(instance_table *t, smtpf_str name)
{
  instance *i = name.n ? *bucket(t, name) : NULL;
  while (i && (strlen(i->name) != name.n || memcmp(i->name, name.p, name.n) != 0))
    i = i->same;
  return i;
}

instance *instance_of(connection *c, int may_be_new, int *fresh)
{
  server *s = c->server;
  smtpf_str name = c->request.instance;
  instance *i = find(&s->instances, name);
  *fresh = 0;
  if (i && i->asked) { /* over another connection, at this moment: no Postfix does that */
    i = NULL;
    name.n = 0;
  }
  if (c->about && c->about != i)
    instance_free(s, c->about);
  if (i) {
    touch(&s->instances, i);
  } else if (may_be_new) {
    i = make(c, name);
    *fresh = 1;
  }
  if (i && i->at != c) {
    if (i->at)
      i->at->about = NULL;
    i->at = c;
    c->about = i;
  }
  return i;
}
