/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "driver.h"
#include "session.h"

/* ---- what the policy says ------------------------------------------------------------------------------------------
 */

static const char *const options[SMTPF_SITUATIONS] = {"refused",  "fact",  "restricted",    "denied",        "missing",
                                                      "deferred", "split", "commit_failed", "commit_refused"};

/* Where the policy has no words. */
static const smtpf_str plain[SMTPF_SITUATIONS] = {
    {"refused by policy", 17},
    {"refused by policy", 17},
    {"this recipient takes no mail from outside", 41},
    {"this recipient does not want mail from you", 42},
    {"cannot decide about this mail now, try again later", 50},
    {"not now, try again later", 24},
    {"please send this recipient's copy in a message of its own", 57},
    {"could not be stored, try again later", 36},
    {"refused by the next hop", 23},
};

static const smtpf_language *find_language(const smtpf_texts *t, smtpf_str name)
{
  for (size_t i = 0; i < t->n; i++)
    if (smtpf_str_equal_nocase(t->languages[i].name, name))
      return &t->languages[i];
  return NULL;
}

static int exists(const smtpf_texts *t, smtpf_str name)
{
  return smtpf_str_equal_nocase(name, SMTPF_LIT("en")) || find_language(t, name) != NULL;
}

static int read_template(smtpf_engine *e, const smtpf_section *s, const char *option, unsigned fields,
                         smtpf_template *out, smtpf_error *err)
{
  const size_t n = smtpf_section_count(s, option);
  if (!n)
    return SMTPF_OK;
  smtpf_str *lines = smtpf_arena_alloc(&e->tree.arena, n * sizeof *lines);
  if (!lines)
    return SMTPF_ENOMEM;
  size_t said = 0;
  for (size_t i = 0; i < n; i++) {
    smtpf_str where;
    lines[i] = smtpf_section_string_at(s, option, i);
    said += smtpf_str_trim(lines[i]).n;
    const char *fault = smtpf_template_fault(lines[i], fields, &where);
    if (fault)
      return smtpf_section_fail(s, option, err, SMTPF_EPARSE, fault, where,
                                "{text} {check} {code} {client} {sender} {recipient} {contact} (with reply.contact) "
                                "{id} {queue_id} {host} (with hostnames); {{ for a brace");
  }
  if (!said)
    return smtpf_section_fail(s, option, err, SMTPF_EINVAL, "a text that says nothing", lines[0], "a reason");
  *out = (smtpf_template){lines, n};
  return SMTPF_OK;
}

static int read_language(smtpf_engine *e, const smtpf_section *s, unsigned fields, smtpf_language *out,
                         smtpf_error *err)
{
  smtpf_str where;
  int r = SMTPF_OK;
  out->name = s->key;
  out->several = smtpf_section_string(s, "several");
  if (!out->several.n)
    out->several = SMTPF_LIT("the recipients");
  const char *fault = smtpf_template_fault(out->several, 0, &where);
  if (fault)
    return smtpf_section_fail(s, "several", err, SMTPF_EPARSE, fault, where, "words without fields");
  for (size_t i = 0; r == SMTPF_OK && i < SMTPF_SITUATIONS; i++)
    r = read_template(e, s, options[i], fields, &out->templates[i], err);
  return r;
}

/* Who names a language that nobody has written. */
static int check_languages(const smtpf_engine *e, smtpf_error *err)
{
  const char *expected = "a key of `texts`, or en";
  if (!exists(&e->texts, e->texts.language))
    return smtpf_section_fail(e->tree.root, "reply.language", err, SMTPF_ENOTFOUND, "no such language",
                              e->texts.language, expected);
  for (size_t i = 0; i < e->n_profiles; i++) {
    const smtpf_str name = e->profiles[i].language;
    if (name.n && !exists(&e->texts, name))
      return smtpf_section_fail(smtpf_engine_holder(e, e->wishes[i], "language"), "language", err, SMTPF_ENOTFOUND,
                                "no such language", name, expected);
  }
  return SMTPF_OK;
}

int smtpf_engine_read_texts(smtpf_engine *e, smtpf_error *err)
{
  const smtpf_section *root = e->tree.root;
  smtpf_texts *t = &e->texts;
  smtpf_str where;
  t->contact = smtpf_section_string(root, "reply.contact");
  t->language = smtpf_section_string(root, "reply.language");
  t->host = smtpf_section_string_at(root, "hostnames", 0);
  const char *fault = smtpf_template_fault(t->contact, 0, &where);
  if (fault)
    return smtpf_section_fail(root, "reply.contact", err, SMTPF_EPARSE, fault, where, "a URL or an address");
  unsigned fields = (1u << SMTPF_FIELDS) - 1;
  if (!t->contact.n)
    fields &= ~(1u << SMTPF_FIELD_CONTACT);
  if (!t->host.n)
    fields &= ~(1u << SMTPF_FIELD_HOST);
  const size_t n = smtpf_section_count(root, "texts");
  t->languages = n ? smtpf_arena_alloc(&e->tree.arena, n * sizeof *t->languages) : NULL;
  if (n && !t->languages)
    return SMTPF_ENOMEM;
  int r = SMTPF_OK;
  for (; r == SMTPF_OK && t->n < n; t->n++)
    r = read_language(e, smtpf_section_at(root, "texts", t->n), fields, &t->languages[t->n], err);
  return r == SMTPF_OK ? check_languages(e, err) : r;
}

/* ---- which words a reply takes -------------------------------------------------------------------------------------
 */

int smtpf_text_situation(const smtpf_outcome *o)
{
  switch (o->rule) {
  case SMTPF_RULE_FACT: return SMTPF_TEXT_FACT;
  case SMTPF_RULE_RESTRICTED: return SMTPF_TEXT_RESTRICTED;
  case SMTPF_RULE_DENY: return SMTPF_TEXT_DENIED;
  case SMTPF_RULE_MISSING: return SMTPF_TEXT_MISSING;
  case SMTPF_RULE_ELECTIVE: return SMTPF_TEXT_DEFERRED;
  default: return o->act == SMTPF_ACT_DEFER ? SMTPF_TEXT_MISSING : SMTPF_TEXT_REFUSED;
  }
}

/* The one recipient a reply is about; NULL: it serves several. */
static const smtpf_rcpt *only_one(const smtpf_session *s, const smtpf_rcpt *to)
{
  return !to && s->n_rcpts == 1 ? s->rcpts[0] : to;
}

/* What `to` may know: the finding that is said, or NULL; and the situation as it may be told. */
static const smtpf_evidence *may_tell(const smtpf_outcome *o, const smtpf_rcpt *to, int *situation)
{
  const int wish =
      *situation == SMTPF_TEXT_RESTRICTED || *situation == SMTPF_TEXT_DENIED || *situation == SMTPF_TEXT_SPLIT;
  const smtpf_evidence *e = o && !wish ? o->cause : NULL; /* beside a wish a finding says nothing of the refusal */
  if (to)
    return e;
  if (wish)
    *situation = *situation == SMTPF_TEXT_SPLIT ? SMTPF_TEXT_MISSING : SMTPF_TEXT_REFUSED;
  return e && !smtpf_evidence_of_recipient(e) ? e : NULL;
}

/* The language of the one, or of all when they have the same; else the site's. */
static smtpf_str language_for(const smtpf_session *s, const smtpf_rcpt *to)
{
  const smtpf_str site = s->engine->texts.language;
  smtpf_str all = to ? to->profile->language : s->n_rcpts ? s->rcpts[0]->profile->language : site;
  for (size_t i = 1; !to && i < s->n_rcpts; i++)
    if (!smtpf_str_equal_nocase(all, s->rcpts[i]->profile->language))
      all = site;
  return all.n ? all : site;
}

static const smtpf_template *template_for(const smtpf_texts *t, const smtpf_language *l, int situation)
{
  static const smtpf_str lines[] = {{"{text}", 6}, {"help: {contact}, session {id}", 29}};
  static const smtpf_template bare = {lines, 1}, with_contact = {lines, 2};
  const smtpf_language *site = find_language(t, t->language);
  if (l && l->templates[situation].n)
    return &l->templates[situation];
  if (site && site->templates[situation].n)
    return &site->templates[situation];
  return t->contact.n ? &with_contact : &bare;
}

static smtpf_str or_dash(smtpf_str s)
{
  return s.n ? s : SMTPF_LIT("-");
}

smtpf_str smtpf_text_words(smtpf_session *s, int situation, const smtpf_outcome *o, const smtpf_rcpt *to)
{
  const smtpf_texts *t = &s->engine->texts;
  to = only_one(s, to);
  const smtpf_evidence *e = may_tell(o, to, &situation);
  const smtpf_str text = e && e->text.n ? e->text : plain[situation];
  const smtpf_language *l = find_language(t, language_for(s, to));
  const smtpf_template *template = template_for(t, l, situation);
  if (!t->n && !t->contact.n && text.n <= SMTPF_TEXT_LINE)
    return text;
  const smtpf_str values[SMTPF_FIELDS] = {
      [SMTPF_FIELD_TEXT] = text,
      [SMTPF_FIELD_CHECK] = e ? smtpf_str_of(e->check) : SMTPF_LIT("policy"),
      [SMTPF_FIELD_CODE] = e ? smtpf_str_of(e->code) : SMTPF_LIT("-"),
      [SMTPF_FIELD_CLIENT] = or_dash(s->client_text),
      [SMTPF_FIELD_SENDER] = s->sender.form == SMTPF_PATH_NULL ? SMTPF_LIT("<>") : or_dash(s->sender.address),
      [SMTPF_FIELD_RECIPIENT] = to  ? to->address
                                : l ? l->several
                                    : SMTPF_LIT("the recipients"),
      [SMTPF_FIELD_CONTACT] = t->contact,
      [SMTPF_FIELD_ID] = smtpf_str_of(s->id),
      [SMTPF_FIELD_QUEUE_ID] = or_dash(smtpf_str_of(s->queue_id)),
      [SMTPF_FIELD_HOST] = t->host,
  };
  char room[SMTPF_TEXT_MAX];
  smtpf_str words;
  const smtpf_str expanded = smtpf_template_expand(template, values, room);
  return smtpf_arena_copy(smtpf_session_arena(s, s->stage), expanded, &words) == SMTPF_OK ? words : text;
}

smtpf_reply smtpf_outcome_reply(smtpf_session *s, const smtpf_outcome *o, const smtpf_rcpt *to)
{
  const int defer = o->act == SMTPF_ACT_DEFER;
  int situation = smtpf_text_situation(o), told = situation;
  const smtpf_evidence *e = may_tell(o, only_one(s, to), &told);
  smtpf_reply r = {defer ? 451 : 550, defer ? SMTPF_LIT("4.7.1") : SMTPF_LIT("5.7.1"),
                   smtpf_text_words(s, situation, o, to)};
  if (!e || (o->rule != SMTPF_RULE_FACT && o->rule != SMTPF_RULE_MISSING && o->rule != SMTPF_RULE_ELECTIVE))
    return r;
  if (e->reply)
    r.code = e->reply;
  if (e->enhanced)
    r.enhanced = smtpf_str_of(e->enhanced);
  return r;
}

/* What an accepted copy came to when the host reported. */
static smtpf_reply commit_reply(smtpf_session *s, int act, const smtpf_rcpt *to)
{
  if (act == SMTPF_ACT_DEFER)
    return (smtpf_reply){451, SMTPF_LIT("4.3.0"), smtpf_text_words(s, SMTPF_TEXT_COMMIT_FAILED, NULL, to)};
  return (smtpf_reply){554, SMTPF_LIT("5.0.0"), smtpf_text_words(s, SMTPF_TEXT_COMMIT_REFUSED, NULL, to)};
}

void smtpf_session_own_replies(smtpf_session *s)
{
  for (size_t i = 0; (s->can & SMTPF_CAN_REPLY_PER_RCPT) && i < s->n_rcpts; i++) {
    smtpf_rcpt *rcpt = s->rcpts[i];
    const int act = smtpf_ledger_reply(&rcpt->entry);
    if (act == SMTPF_ACT_ACCEPT || !rcpt->entry.disposition)
      rcpt->own = (smtpf_reply){0};
    else if (rcpt->entry.outcome.act == act)
      rcpt->own = smtpf_outcome_reply(s, &rcpt->entry.outcome, rcpt);
    else if (s->event == SMTPF_EV_COMMIT)
      rcpt->own = commit_reply(s, act, rcpt);
  }
}

smtpf_reply smtpf_session_commit_reply(smtpf_session *s, int act)
{
  return commit_reply(s, act, NULL);
}
