/* SPDX-License-Identifier: MIT
 *
 * smtpf_engine_lint(): what a policy says that cannot be meant, or that this host cannot keep. It only looks; nothing
 * here changes what is decided.
 *
 * A wish is looked at where it was written: a recipient or profile that only inherits a contradiction is not told of it
 * again.
 */
#include <string.h>

#include "base/str.h"
#include "engine.h"

typedef struct lint {
  const smtpf_engine *e;
  unsigned host; /* smtpf_capability bits */
  smtpf_lint_fn fn;
  void *user;
  size_t n;
} lint;

/* A warning at the place where `option` of `s` was set: its path, what is wrong, and of what. */
static void warn(lint *l, const smtpf_section *s, const char *option, const char *what, smtpf_str value)
{
  smtpf_error at = {.size = sizeof at};
  l->n++;
  if (!l->fn)
    return;
  (void)smtpf_section_fail(s, option, &at, SMTPF_EINVAL, what, value, NULL);
  l->fn(l->user, *at.file ? at.file : NULL, at.line, smtpf_str_of(at.text));
}

static const smtpf_str nothing = {NULL, 0};

static int is_empty(const smtpf_section *scope)
{
  return !smtpf_section_count(scope, "networks") && !smtpf_section_number(scope, "authenticated") &&
         !smtpf_section_count(scope, "identities") && !smtpf_section_count(scope, "names") &&
         !smtpf_section_count(scope, "helo");
}

/* ---- wishes that do not fit together -------------------------------------------------------------------------- */

static int on(int32_t threshold)
{
  return threshold != SMTPF_SCORE_OFF;
}

static int discard_without_reject(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return on(p->discard) && !on(p->reject);
}

static int discard_below_reject(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return on(p->reject) && p->discard < p->reject;
}

static int discard_is_reject(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return on(p->reject) && p->discard == p->reject;
}

static int discard_before_quarantine(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return on(p->quarantine) && p->discard <= p->quarantine;
}

static int discard_before_tag(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return on(p->tag) && p->discard <= p->tag;
}

static int reject_before_quarantine(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return on(p->quarantine) && p->quarantine >= p->reject;
}

static int quarantine_before_tag(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return on(p->tag) && p->tag >= p->quarantine;
}

static int reject_before_tag(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return on(p->tag) && p->tag >= p->reject && !on(p->quarantine);
}

static int never_acts(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return !on(p->reject) && !on(p->quarantine) && !on(p->tag) && !on(p->discard);
}

static int rejects_all(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return p->reject <= 0;
}

static int discards_all(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return p->discard <= 0;
}

static int quarantines_all(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return p->quarantine <= 0;
}

/* Whether some check finds such evidence. */
static int is_examined(const lint *l, int family)
{
  size_t i = 0;
  while (i < l->e->n_checks && l->e->checks[i].check->family != family)
    i++;
  return i < l->e->n_checks;
}

static int no_greylist(const lint *l, const smtpf_profile *p)
{
  return p->greylist && !is_examined(l, SMTPF_FAMILY_GREYLIST);
}

static int weighs_nothing(const lint *l, const smtpf_profile *p)
{
  size_t silent = 0, heard = 0;
  for (size_t i = 0; i < l->e->n_checks; i++)
    if (!(l->e->checks[i].check->failure & SMTPF_FINDING_DEFER))
      *(smtpf_profile_weight(p, (unsigned)i) ? &heard : &silent) += 1;
  return silent && !heard;
}

static int restricts_nobody(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return !p->null_sender && !p->only_from;
}

static int address_without_route(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return p->forward.n && p->route == SMTPF_WISH_MAILBOX;
}

static int sender_without_route(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return p->forward_sender.n && !p->forward.n;
}

static int failure_without_forward(const lint *l, const smtpf_profile *p)
{
  (void)l;
  return p->forward_failed != SMTPF_FAILED_REFUSE && p->route == SMTPF_WISH_MAILBOX;
}

static int no_signatures(const lint *l, const smtpf_profile *p)
{
  return p->bounces == SMTPF_BOUNCES_SIGNED && !is_examined(l, SMTPF_FAMILY_BOUNCE);
}

static int no_proofs(const lint *l, const smtpf_profile *p)
{
  return p->bounces == SMTPF_BOUNCES_PROVEN && !is_examined(l, SMTPF_FAMILY_PROOF);
}

/* ---- wishes that the host cannot keep --------------------------------------------------------------------------- */

static int lacks(const lint *l, unsigned any)
{
  return !(l->host & any);
}

static int cannot_quarantine(const lint *l, const smtpf_profile *p)
{
  return on(p->quarantine) && lacks(l, SMTPF_CAN_QUARANTINE | SMTPF_CAN_QUARANTINE_PER_RCPT);
}

static int cannot_keep(const lint *l, const smtpf_profile *p)
{
  return p->fallback == SMTPF_FALLBACK_QUARANTINE && lacks(l, SMTPF_CAN_QUARANTINE | SMTPF_CAN_QUARANTINE_PER_RCPT);
}

static int cannot_tag(const lint *l, const smtpf_profile *p)
{
  return on(p->tag) && lacks(l, SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT);
}

static int cannot_drop(const lint *l, const smtpf_profile *p)
{
  return on(p->discard) && lacks(l, SMTPF_CAN_DROP_RCPT | SMTPF_CAN_REPLY_PER_RCPT);
}

static int cannot_vary_sender(const lint *l, const smtpf_profile *p)
{
  return p->route != SMTPF_WISH_MAILBOX && p->forward_sender.n && lacks(l, SMTPF_CAN_SENDER_PER_RCPT);
}

static int cannot_prove(const lint *l, const smtpf_profile *p)
{
  return p->bounces == SMTPF_BOUNCES_PROVEN && lacks(l, SMTPF_CAN_SEE_BODY);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

/* It is told where `option` or `other` was written, or where nothing more can be inherited. */
static const struct rule {
  int (*holds)(const lint *l, const smtpf_profile *p);
  const char *option, *other;
  const char *what;
} rules[] = {
    {discard_without_reject, "discard", "reject", "reject is off: mail is lost and no sender is ever told"},
    {discard_below_reject, "discard", "reject",
     "discard is below reject: the milder mail is lost, only the worse is refused"},
    {discard_is_reject, "discard", "reject", "discard equals reject, which decides: no stranger's mail is discarded"},
    {discard_before_quarantine, "discard", "quarantine",
     "discard is not above quarantine: nothing will ever be quarantined"},
    {discard_before_tag, "discard", "tag", "discard is not above tag: nothing will ever be tagged"},
    {reject_before_quarantine, "quarantine", "reject",
     "quarantine is not below reject: only what may not be refused will ever be quarantined"},
    {quarantine_before_tag, "tag", "quarantine", "tag is not below quarantine: nothing will ever be tagged"},
    {reject_before_tag, "tag", "reject", "tag is not below reject: only what may not be refused will ever be tagged"},
    {never_acts, "reject", "tag", "reject, quarantine and tag are off: nothing is ever done about a score"},
    {rejects_all, "reject", "reject", "reject is not above 0: mail that nothing speaks against is refused"},
    {discards_all, "discard", "discard", "discard is not above 0: mail that nothing speaks against is lost"},
    {quarantines_all, "quarantine", "quarantine",
     "quarantine is not above 0: mail that nothing speaks against is quarantined"},
    {no_greylist, "greylist", "greylist", "nothing greylists under this policy"},
    {weighs_nothing, "weights", "weights", "every check that runs is weighed 0: nothing is ever found"},
    {restricts_nobody, "null_sender", "only_from", "it means nothing without only_from"},
    {address_without_route, "forward", "route", "the route is the mailbox: nothing is forwarded"},
    {sender_without_route, "forward_sender", "forward", "nothing is forwarded"},
    {failure_without_forward, "forward_failed", "route", "nothing is forwarded"},
    {no_signatures, "bounces", "bounces", "nothing looks for signed addresses under this policy"},
    {no_proofs, "bounces", "bounces", "nothing looks for what proves a bounce under this policy"},
    {cannot_quarantine, "quarantine", "quarantine", "this host cannot quarantine"},
    {cannot_keep, "fallback", "fallback", "this host cannot quarantine"},
    {cannot_tag, "tag", "tag", "this host cannot edit headers"},
    {cannot_drop, "discard", "discard",
     "this host cannot drop one recipient's copy: kept only when all recipients of a message wish it"},
    {cannot_vary_sender, "forward_sender", "forward_sender",
     "this host has one envelope sender for all copies: kept only when all recipients of a message wish the same"},
    {cannot_prove, "bounces", "bounces", "this host does not show messages"},
};

/* The last one of what a section inherits from: what it does not say is the default. */
static int is_root(const smtpf_section *s)
{
  return smtpf_str_equal(s->list, SMTPF_LIT("profiles")) && !smtpf_section_has(s, "inherit");
}

static void look_at_rules(lint *l, const smtpf_profile *p, const smtpf_section *s)
{
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    const struct rule *r = &rules[i];
    const int first = smtpf_section_has(s, r->option), second = smtpf_section_has(s, r->other);
    if ((first || second || is_root(s)) && r->holds(l, p))
      warn(l, s, first || !second ? r->option : r->other, r->what, nothing);
  }
}

/* ---- lists of a profile -------------------------------------------------------------------------------------------
 */

/* What an option names must hold somebody. */
static void look_at_scopes(lint *l, const smtpf_section *s, const char *option, const char *what)
{
  for (size_t i = 0; i < smtpf_section_count(s, option); i++) {
    const smtpf_str name = smtpf_section_string_at(s, option, i);
    for (size_t k = 0; k < l->e->scopes.n; k++) {
      const smtpf_section *scope = smtpf_section_at(l->e->tree.root, "scopes", k);
      if (smtpf_str_equal(scope->key, name) && is_empty(scope))
        warn(l, s, option, what, name);
    }
  }
}

static int has_entry(const smtpf_str *v, size_t n, smtpf_str entry)
{
  for (size_t i = 0; i < n; i++)
    if (smtpf_str_equal(v[i], entry))
      return 1;
  return 0;
}

static void look_at_entries(lint *l, const smtpf_profile *p, const smtpf_section *s)
{
  const uint64_t trusted = p->forwarders | p->lists | l->e->forwarders | l->e->backup_mx;
  smtpf_prefix net;
  if (smtpf_section_has(s, "deny") || smtpf_section_has(s, "allow"))
    for (size_t i = 0; i < p->n_deny; i++)
      if (has_entry(p->allow, p->n_allow, p->deny[i]))
        warn(l, s, smtpf_section_has(s, "deny") ? "deny" : "allow", "allow has the same entry, and decides",
             p->deny[i]);
  if (!smtpf_section_has(s, "deny"))
    return;
  for (size_t i = 0; i < p->n_deny; i++) {
    if (smtpf_prefix_parse(p->deny[i], &net) != SMTPF_OK)
      continue;
    if (smtpf_trie_find(l->e->own_networks, &net.ip, NULL, NULL))
      warn(l, s, "deny", "one of own_networks, whose mail is never judged", p->deny[i]);
    else if (smtpf_engine_scopes(l->e, &net.ip, 0, nothing, nothing) & trusted)
      warn(l, s, "deny", "a forwarder, list or backup MX: what it brings is not refused, only quarantined or tagged",
           p->deny[i]);
  }
}

static void look_at_weights(lint *l, const smtpf_section *s)
{
  for (size_t i = 0; i < smtpf_section_count(s, "weights"); i++) {
    const smtpf_section *w = smtpf_section_at(s, "weights", i);
    size_t k = 0;
    while (k < l->e->n_checks && !smtpf_str_equal(smtpf_str_of(l->e->checks[k].check->name), w->key))
      k++;
    if (k == l->e->n_checks)
      warn(l, w, "percent", "this check does not run under this policy", w->key);
  }
}

/* ---- where mail goes ------------------------------------------------------------------------------------------------
 */

/* The profile of an address that is here; NULL when it is somebody else's. */
static const smtpf_profile *profile_of(const smtpf_engine *e, smtpf_str address)
{
  const smtpf_profile *p = smtpf_engine_recipient(e, address);
  return p ? p : smtpf_engine_is_local(e, address) ? e->site : NULL;
}

/* Whether what is sent to an address comes back to it. */
static int goes_in_a_ring(const smtpf_engine *e, smtpf_str start)
{
  enum { HOPS = 16 };
  smtpf_str at = start;
  for (int i = 0; i < HOPS; i++) {
    const smtpf_profile *p = profile_of(e, at);
    if (!p || p->route == SMTPF_WISH_MAILBOX)
      return 0;
    at = p->forward;
    if (smtpf_str_equal_nocase(at, start))
      return 1;
  }
  return 0;
}

static void look_at_route(lint *l, const smtpf_profile *p, const smtpf_section *s)
{
  if (p->route != SMTPF_WISH_MAILBOX && (smtpf_section_has(s, "forward") || smtpf_section_has(s, "route")) &&
      goes_in_a_ring(l->e, p->forward))
    warn(l, s, smtpf_section_has(s, "forward") ? "forward" : "route", "what is forwarded there comes back", p->forward);
}

/* ---- the site
 * --------------------------------------------------------------------------------------------------------- */

static void look_at_use(lint *l)
{
  uint64_t used = l->e->backup_mx | l->e->forwarders;
  for (size_t i = 0; i < l->e->n_profiles; i++)
    used |= l->e->profiles[i].only_from | l->e->profiles[i].forwarders | l->e->profiles[i].lists;
  for (size_t i = 0; i < l->e->scopes.n; i++)
    if (!(used >> i & 1))
      warn(l, smtpf_section_at(l->e->tree.root, "scopes", i), "name",
           "no only_from, forwarders, lists or backup_mx names it", nothing);
  for (size_t i = 0; i < l->e->n_named; i++)
    if (!l->e->used[i])
      warn(l, l->e->wishes[i], "name",
           "nobody has this profile, and none inherits from it: only a directory can name it", nothing);
}

/* Mail that falls back to the postmaster needs one. */
static void look_at_postmaster(lint *l)
{
  char room[SMTPF_ADDRESS_MAX];
  smtpf_out o;
  const smtpf_section *root = l->e->tree.root;
  size_t i = 0;
  while (i < l->e->n_profiles && l->e->profiles[i].fallback != SMTPF_FALLBACK_POSTMASTER)
    i++;
  if (i == l->e->n_profiles || !l->e->directory_complete || !smtpf_section_count(root, "local_domains"))
    return;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, "postmaster@");
  smtpf_out_str(&o, smtpf_section_string_at(root, "local_domains", 0));
  if (!smtpf_engine_recipient(l->e, smtpf_out_done(&o)))
    warn(l, root, "directory.complete", "the fallback of mail that fails later is no recipient", smtpf_out_done(&o));
}

static void look_at_content(lint *l)
{
  if (l->host & SMTPF_CAN_SEE_BODY)
    return;
  for (size_t i = 0; i < l->e->n_profiles; i++)
    if (l->e->profiles[i].reject_content && smtpf_section_has(l->e->wishes[i], "reject_content"))
      warn(l, l->e->wishes[i], "reject_content", "this host does not show messages", nothing);
  for (size_t i = 0; i < l->e->n_checks; i++) {
    const smtpf_check *c = l->e->checks[i].check;
    const int apart = c->apart ? c->apart(l->e->checks[i].self) : SMTPF_APART_NEVER;
    if (apart != SMTPF_APART_JOIN && (c->family == SMTPF_FAMILY_CONTENT || (c->stages & SMTPF_BODY)))
      warn(l, l->e->tree.root, "check", "it looks into messages, which this host does not show", smtpf_str_of(c->name));
  }
}

/* ---- signed addresses ---------------------------------------------------------------------------------------------
 */

static const char exposed[] = "others can read or write this file: whoever has the keys can sign";

static void look_at_keys(lint *l)
{
  static const char *const files[] = {"srs.key_file", "batv.key_file"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (l->e->signing.exposed[i])
      warn(l, l->e->tree.root, files[i], exposed, smtpf_section_string(l->e->tree.root, files[i]));
}

static void look_at_signing(lint *l, const smtpf_profile *p, const smtpf_section *s)
{
  if (p->batv && !l->e->signing.prvs.signer.n && smtpf_section_has(s, "batv"))
    warn(l, s, "batv", "there are no keys to sign with (`batv.keys`)", nothing);
}

/* What the checks themselves know. */
static void pass_on(void *user, const char *file, int line, smtpf_str text)
{
  lint *l = user;
  l->n++;
  if (l->fn)
    l->fn(l->user, file, line, text);
}

size_t smtpf_engine_lint(const smtpf_engine *e, unsigned capabilities, smtpf_lint_fn fn, void *user)
{
  static const struct {
    const char *option, *what;
  } of_profile[] = {{"only_from", "nobody is in this scope, hence nobody gets in by it"},
                    {"forwarders", "nobody is in this scope"},
                    {"lists", "nobody is in this scope"}};
  lint l = {e, capabilities, fn, user, 0};
  for (size_t i = 0; i < e->n_profiles; i++) {
    const smtpf_section *s = e->wishes[i];
    look_at_rules(&l, &e->profiles[i], s);
    for (size_t k = 0; k < sizeof of_profile / sizeof *of_profile; k++)
      look_at_scopes(&l, s, of_profile[k].option, of_profile[k].what);
    look_at_entries(&l, &e->profiles[i], s);
    look_at_weights(&l, s);
    look_at_route(&l, &e->profiles[i], s);
    look_at_signing(&l, &e->profiles[i], s);
  }
  look_at_scopes(&l, e->tree.root, "backup_mx", "nobody is in this scope");
  look_at_scopes(&l, e->tree.root, "forwarders", "nobody is in this scope");
  look_at_use(&l);
  look_at_postmaster(&l);
  look_at_content(&l);
  look_at_keys(&l);
  for (size_t i = 0; i < e->n_checks; i++)
    if (e->checks[i].check->lint)
      e->checks[i].check->lint(e->checks[i].self, e->loaded_s, pass_on, &l);
  return l.n;
}

void smtpf_engine_lint_keys(const smtpf_engine *e, smtpf_lint_fn fn, void *user)
{
  lint l = {e, 0, fn, user, 0};
  look_at_keys(&l);
}
