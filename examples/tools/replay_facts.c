/* SPDX-License-Identifier: MIT
 *
 * What the directory knows: @directory and @member. The latest that is said of an address holds.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

struct member {
  char *address, *profile, *forward;
  int route;
};

struct replay_fact {
  struct replay_fact *next;
  int status;
  uint32_t ttl;
  char *address, *profile, *canonical;
  struct member *members;
  size_t n_members;
};

static char *copy(const char *s)
{
  return s ? replay_strdup(s, strlen(s)) : NULL;
}

static struct replay_fact *find(const struct replay_defer *d, smtpf_str address)
{
  struct replay_fact *f = d->facts;
  while (f && !smtpf_str_equal_nocase(address, smtpf_str_of(f->address)))
    f = f->next;
  return f;
}

static struct replay_fact *add(struct replay_defer *d, const char *address, int status)
{
  struct replay_fact *f = replay_alloc(sizeof *f);
  *f = (struct replay_fact){.next = d->facts, .status = status, .address = copy(address)};
  d->facts = f;
  return f;
}

static void add_member(struct replay_fact *f, const struct replay_item *item)
{
  const char *forward = replay_value(item, "forward");
  struct member *members = replay_alloc((f->n_members + 1) * sizeof *members);
  if (f->n_members)
    memcpy(members, f->members, f->n_members * sizeof *members);
  free(f->members);
  f->members = members;
  members[f->n_members++] = (struct member){.address = copy(item->words[1]),
                                            .profile = copy(replay_value(item, "profile")),
                                            .forward = copy(forward),
                                            .route = item->number ? (int)item->number
                                                     : forward    ? SMTPF_ROUTE_FORWARD
                                                                  : 0};
}

void replay_facts_add(struct replay_defer *d, const struct replay_item *item)
{
  if (item->kind == REPLAY_MEMBER) {
    struct replay_fact *f = find(d, smtpf_str_of(item->words[0]));
    add_member(f ? f : add(d, item->words[0], SMTPF_DIRECTORY_EXISTS), item);
    return;
  }
  struct replay_fact *f = add(d, item->words[0], (int)item->number);
  const char *ttl = replay_value(item, "ttl");
  int64_t seconds = 0;
  if (ttl)
    replay_number(ttl, UINT32_MAX, &seconds, NULL);
  f->ttl = (uint32_t)seconds;
  f->profile = copy(item->words[2]);
  f->canonical = copy(replay_value(item, "canonical"));
}

int replay_facts_answer(struct replay_defer *d, smtpf_op op, smtpf_str address)
{
  const struct replay_fact *f = find(d, address);
  if (!f)
    return 0;
  smtpf_directory_member *members = replay_alloc(f->n_members * sizeof *members);
  for (size_t i = 0; i < f->n_members; i++)
    members[i] = (smtpf_directory_member){sizeof *members, smtpf_str_of(f->members[i].address),
                                          smtpf_str_of(f->members[i].profile), f->members[i].route,
                                          smtpf_str_of(f->members[i].forward)};
  smtpf_directory_answer a = {.size = sizeof a,
                              .status = f->status,
                              .canonical = smtpf_str_of(f->canonical),
                              .profile = smtpf_str_of(f->profile),
                              .ttl = f->ttl,
                              .n_members = f->n_members,
                              .members = f->n_members ? members : NULL};
  if (f->status == SMTPF_DIRECTORY_UNKNOWN)
    a.cause = SMTPF_LIT("script");
  smtpf_op_directory(d->driver, op, &a);
  free(members);
  return 1;
}

void replay_facts_free(struct replay_defer *d)
{
  while (d->facts) {
    struct replay_fact *f = d->facts;
    d->facts = f->next;
    for (size_t i = 0; i < f->n_members; i++) {
      free(f->members[i].address);
      free(f->members[i].profile);
      free(f->members[i].forward);
    }
    free(f->members);
    free(f->address);
    free(f->profile);
    free(f->canonical);
    free(f);
  }
}
