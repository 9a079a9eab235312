/* SPDX-License-Identifier: MIT
 *
 * Messages that requests are about. A connection asks about one at a time, and about one in several states; Postfix may
 * close it in between and ask on over another. So a message is found by its name, until its connection asks about
 * another one, until nobody has asked about it for `policyd.instance_timeout`, or until it is the one that nobody has
 * asked about longest of `policyd.instances`.
 */
#include <stdlib.h>
#include <string.h>

#include "policyd.h"

/* FNV-1a: Postfix chooses the names. */
uint32_t instance_hash(smtpf_str name)
{
  uint32_t h = 2166136261U;
  for (size_t i = 0; i < name.n; i++)
    h = (h ^ (unsigned char)name.p[i]) * 16777619U;
  return h;
}

static instance **bucket(instance_table *t, smtpf_str name)
{
  return &t->buckets[instance_hash(name) % BUCKETS];
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

static void touch(loop *l, instance *i)
{
  i->seen_ms = l->base.now_ms;
  unlink_time(&l->instances, i);
  link_newest(&l->instances, i);
}

void instance_expire(loop *l)
{
  const int64_t before = l->base.now_ms - loop_settings(l)->keep_ms;
  for (instance *i = l->instances.oldest, *next; i && i->seen_ms <= before; i = next) {
    next = i->newer;
    if (i->asked)
      touch(l, i);
    else
      instance_free(l, i);
  }
}

/* ---- life -------------------------------------------------------------------------------------------------- */

void instance_free(loop *l, instance *i)
{
  instance_table *t = &l->instances;
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
  server_settings_unref(&i->settings->base);
  free(i);
}

void instance_free_all(loop *l)
{
  while (l->instances.oldest)
    instance_free(l, l->instances.oldest);
}

void instance_leave(instance *i)
{
  if (i->asked || !i->name[0]) {
    instance_free(i->at->loop, i);
    return;
  }
  i->at->about = NULL;
  i->at = NULL;
}

int instance_is_under_way(const instance *i)
{
  return i->settings->decide != DECIDE_NEVER && !i->ends && (i->told == RCPT || i->told == DATA) &&
         smtpf_verdict_recipient_count(smtpf_session_verdict(i->session)) > 0;
}

unsigned instance_capabilities(enum decide decide)
{
  static const unsigned can[] = {
      [DECIDE_DATA] = SMTPF_CAN_DELAY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE,
      [DECIDE_END] = SMTPF_CAN_DELAY | SMTPF_CAN_QUARANTINE,
      [DECIDE_NEVER] = SMTPF_CAN_DELAY,
  };
  return can[decide];
}

int instance_renew(loop *l, instance *i)
{
  settings *s = loop_settings(l);
  const smtpf_session_options o = {
      .size = sizeof o, .user = i, .protocol = SMTPF_SMTP, .capabilities = instance_capabilities(s->decide)};
  smtpf_session *session = NULL;
  if (smtpf_session_new(&session, l->base.driver, &o) != SMTPF_OK)
    return 0;
  smtpf_session_free(i->session);
  server_settings_ref(&s->base);
  if (i->settings)
    server_settings_unref(&i->settings->base);
  i->session = session;
  i->settings = s;
  i->told = NOTHING;
  i->ends = i->incomplete = 0;
  i->given = i->repeated = 0;
  return 1;
}

static void make_room(loop *l)
{
  instance_table *t = &l->instances;
  for (instance *i = t->oldest, *next; i && t->n >= loop_settings(l)->instances; i = next) {
    next = i->newer;
    if (!i->asked)
      instance_free(l, i);
  }
}

/* A name too long to be one of Postfix's, or taken by who is being answered, finds nothing later. */
static instance *make(connection *c, smtpf_str name)
{
  loop *l = c->loop;
  instance *i = calloc(1, sizeof *i);
  if (!i)
    return NULL;
  if (!instance_renew(l, i)) {
    free(i);
    return NULL;
  }
  make_room(l);
  if (name.n && name.n < sizeof i->name) {
    memcpy(i->name, name.p, name.n);
    instance **p = bucket(&l->instances, name);
    i->same = *p;
    *p = i;
  }
  i->seen_ms = l->base.now_ms;
  link_newest(&l->instances, i);
  l->instances.n++;
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
  loop *l = c->loop;
  smtpf_str name = c->request.instance;
  instance *i = find(&l->instances, name);
  *fresh = 0;
  if (i && i->asked) { /* over another connection, at this moment: no Postfix does that */
    i = NULL;
    name.n = 0;
  }
  if (c->about && c->about != i)
    instance_free(l, c->about);
  if (i) {
    touch(l, i);
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
