/* SPDX-License-Identifier: MIT */
#include "lookup.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "driver.h"
#include "session.h"

/* What everybody gets when there is no memory for an answer. Never freed. */
static const smtpf_lookup no_memory = {
    .cached = {.refs = 1},
    .answer = {.size = sizeof(smtpf_directory_answer), .status = SMTPF_DIRECTORY_UNKNOWN, .cause = {"memory", 6}}};

void smtpf_lookup_release(smtpf_driver *d, smtpf_lookup *lookup)
{
  if (lookup && lookup != &no_memory)
    smtpf_cache_release(&d->lookups, &lookup->cached);
}

/* ---- asking ---------------------------------------------------------------------------------------------------------
 */

static void answered(smtpf_driver *d, smtpf_op_slot *slot, smtpf_lookup *lookup)
{
  slot->lookup = lookup;
  if (slot->of_recipient)
    smtpf_session_directory_says(slot->task->session, &lookup->answer);
  smtpf_driver_answered(d, slot);
}

void smtpf_lookup_ask(smtpf_driver *d, smtpf_op_slot *slot, smtpf_str address)
{
  char room[SMTPF_ADDRESS_MAX];
  smtpf_str key = {NULL, 0};
  if (smtpf_engine_lower(address, room, &key) == SMTPF_OK) {
    smtpf_cached *e = smtpf_cache_get(&d->lookups, key, d->now_ns);
    if (e) {
      d->stats[SMTPF_STAT_DIRECTORY_CACHED]++;
      answered(d, slot, SMTPF_OF(e, smtpf_lookup, cached));
      return;
    }
  }
  d->stats[SMTPF_STAT_DIRECTORY_ASKED]++;
  slot->value = key;
  if (!key.n || smtpf_op_copy(d, slot, &slot->value) != SMTPF_OK)
    slot->value = (smtpf_str){NULL, 0}; /* asked, not kept */
  const smtpf_op token = smtpf_op_token(slot);
  const int r = d->ports.directory->lookup(d->directory, token, address);
  if (r == SMTPF_OK)
    return;
  /* A port that refuses to begin has answered: it could not be found out. */
  const smtpf_directory_answer unknown = {
      .size = sizeof unknown, .status = SMTPF_DIRECTORY_UNKNOWN, .cause = smtpf_str_of(smtpf_strerror(r))};
  (void)smtpf_op_directory(d, token, &unknown);
}

/* ---- copying an answer ----------------------------------------------------------------------------------------------
 */

/* Copies a text to *at, with a NUL, and moves behind it. */
static void put(char **at, smtpf_str *text)
{
  if (text->n)
    memcpy(*at, text->p, text->n);
  text->p = *at;
  *at += text->n + 1;
}

/* What the port knew of this version's members. More mailboxes than may be: all of them must be heard, so none can be
 * (promise L6). */
static smtpf_directory_answer read_answer(const smtpf_driver *d, const smtpf_directory_answer *given)
{
  smtpf_directory_answer a = {0};
  memcpy(&a, given, given->size < sizeof a ? given->size : sizeof a);
  a.size = sizeof a;
  if (a.n_members > (size_t)d->engine->limits.directory_members)
    return (smtpf_directory_answer){
        .size = sizeof a, .status = SMTPF_DIRECTORY_UNKNOWN, .cause = SMTPF_LIT("more members than directory.members")};
  return a;
}

/* One block: the entry, its members, its key, all texts. NULL without memory. */
static smtpf_lookup *copy(smtpf_driver *d, smtpf_str key, const smtpf_directory_answer *given)
{
  smtpf_directory_answer a = read_answer(d, given);
  const smtpf_directory_member *from = a.members;
  const size_t n = a.n_members;
  size_t texts = key.n + a.canonical.n + a.profile.n + a.cause.n + 4;
  for (size_t i = 0; i < n; i++)
    texts += from[i].address.n + from[i].profile.n + from[i].forward.n + 3;
  smtpf_lookup *l = smtpf_mem_zalloc(&d->mem, sizeof *l + n * sizeof *from + texts);
  if (!l)
    return NULL;
  smtpf_directory_member *members = (smtpf_directory_member *)(void *)(l + 1);
  char *at = (char *)(members + n);
  put(&at, &key);
  put(&at, &a.canonical);
  put(&at, &a.profile);
  put(&at, &a.cause);
  for (size_t i = 0; i < n; i++) {
    members[i] = from[i];
    put(&at, &members[i].address);
    put(&at, &members[i].profile);
    put(&at, &members[i].forward);
  }
  a.members = members;
  smtpf_cached_init(&l->cached, key);
  l->answer = a;
  return l;
}

static void keep(smtpf_driver *d, smtpf_lookup *l)
{
  const uint32_t ttl = l->answer.ttl;
  if (ttl && l->answer.status != SMTPF_DIRECTORY_UNKNOWN)
    smtpf_cache_keep(&d->lookups, &l->cached, smtpf_timer_at(d->now_ns, (int64_t)ttl * 1000),
                     (size_t)d->engine->limits.directory_cache);
}

int smtpf_op_directory(smtpf_driver *d, smtpf_op op, const smtpf_directory_answer *answer)
{
  smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_DIRECTORY);
  if (!slot)
    return SMTPF_ENOTFOUND;
  smtpf_lookup *l = copy(d, slot->value, answer);
  if (!l)
    slot->task->session->no_memory = 1;
  else if (slot->value.n)
    keep(d, l);
  answered(d, slot, l ? l : (smtpf_lookup *)(uintptr_t)&no_memory);
  return SMTPF_OK;
}
