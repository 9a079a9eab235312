/* SPDX-License-Identifier: MIT
 *
 * scanner_policy: the rows that all types of scanners have in common, and what the two checks read of them. The rows of
 * a type (a program's path, a password) are registered with the type.
 */
#include "scanner.h"

#define SECOND 1000
#define HOUR (3600 * (int64_t)SECOND)
#define MIB ((int64_t)1 << 20)
#define VIRUS_SCORE 100000
#define SLACK SECOND /* a scanner's own deadline comes first: the finding then says which one it was */

const smtpf_option scanner_rows[] = {
    {"scanners[name].kind", SMTPF_OPTION_CHOICE, "spam", 0, 0, "spam|virus",
     "`virus`: belongs to the check `virus`, and is asked before the others. `spam`: belongs to the check `scanner`."},
    {"scanners[name].servers", SMTPF_OPTION_STRINGS, NULL, 0, 32, NULL,
     "Where it is reached: `unix:/path`, `192.0.2.1:3310` or `[2001:db8::1]:3310`; no names. With several the load is "
     "spread, and another one is tried as long as nothing was judged."},
    {"scanners[name].connections", SMTPF_OPTION_INT, "8", 1, 10000, NULL,
     "Most connections to each server, on each driver. Further scans wait for one."},
    {"scanners[name].connect_timeout", SMTPF_OPTION_TIME, "2s", 1, 5 * 60 * SECOND, NULL,
     "How long a connection to one server may take."},
    {"scanners[name].timeout", SMTPF_OPTION_TIME, "60s", 1, HOUR, NULL,
     "How long it may take from the end of the message to its answer; then it is unknown. Clients wait 10 minutes "
     "(RFC 5321 4.5.3.2.6)."},
    {"scanners[name].limit", SMTPF_OPTION_SIZE, "50m", 1, 16 * 1024 * MIB, NULL,
     "The largest message it is given. A larger one is unknown (`too-large`), never clean. As another attempt would be "
     "as large, nothing is put off for that: `defer` then means what comes after the last deferral."},
    {"scanners[name].on_unknown", SMTPF_OPTION_CHOICE, "defer", 0, 0, "defer|accept|tag|quarantine",
     "What becomes of mail it could not judge. `defer`: it should come again, as long as the budget of sender and "
     "recipient lasts; then quarantine, or a tag where the recipient has none. `tag`, `quarantine`: a copy that would "
     "be taken is. `accept`: the log says that it was not judged, nothing else."},
    {"scanners[name].score", SMTPF_OPTION_SCORE, "10", -100000, 100000, NULL,
     "What a hit is worth where the scanner gives no score of its own. Without the option 100 for kind `virus`: more "
     "than any threshold, for mail that may not be refused, of a forwarder or a list, which is then quarantined."},
    {"scanners[name].use_score", SMTPF_OPTION_SCORE, "1", -1000, SMTPF_SCORE_OFF, NULL,
     "By what the scanner's own score is multiplied, hit or not: 2 for one whose limit is 5 where `reject` is 10. "
     "`off`: it is ignored, a hit is worth `score`, and what is clean nothing."},
    {"scanners[name].refuse", SMTPF_OPTION_BOOL, NULL, 0, 1, NULL,
     "Whether a hit refuses by itself, whatever the thresholds: 550 5.7.1. Not from a trusted forwarder, a backup MX "
     "or "
     "a list: there it is quarantined. Without the option: true for kind `virus`, else false."},
    {"scanners[name].own_too", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether mail of own clients is given to it too, and refused with `refuse`. What could not be judged of theirs is "
     "treated by `on_unknown`, as everybody else's."},
    {"scanners[name].header", SMTPF_OPTION_STRING, NULL, 0, 0, NULL,
     "The name of a header field for the result, in copies that are taken: `clean`, `found NAME` or `unknown CAUSE`. "
     "Fields of this name that came with the message are removed."},
    {"scanners[name].edits", SMTPF_OPTION_BOOL, "false", 0, 1, NULL,
     "Whether header edits that the scanner itself wishes are made. They need a host that can edit."},
    {"scanners[name].per", SMTPF_OPTION_CHOICE, "message", 0, 0, "message|profile|recipient",
     "`message`: one scan for all recipients, by the scanner's own settings; each recipient's thresholds make of its "
     "score what they will. `profile`, `recipient`: one scan for each, where the scanner keeps settings of users."},
    {"scanners[name].user", SMTPF_OPTION_CHOICE, "address", 0, 0, "address|local_part|profile",
     "The user name for `per = \"recipient\"`. For `per = \"profile\"` it is always the profile's name."},
    {"scanners[name].classes", SMTPF_OPTION_INT, "8", 1, 1000, NULL,
     "Most scans of one message where there is one for each recipient or profile. The recipients beyond share one "
     "more, "
     "by the scanner's own settings."},
};

/* ---- open --------------------------------------------------------------------------------------------- */

/* RFC 5322 3.6.8. */
static int is_field_name(smtpf_str s)
{
  size_t i = 0;
  while (i < s.n && s.p[i] > ' ' && s.p[i] < 127 && s.p[i] != ':')
    i++;
  return i == s.n;
}

/* Whether no row before this one has the same header. */
static int is_first(const smtpf_section *policy, size_t row, smtpf_str header)
{
  for (size_t i = 0; i < row; i++)
    if (smtpf_str_equal_nocase(smtpf_section_string(smtpf_section_at(policy, "scanners", i), "header"), header))
      return 0;
  return 1;
}

static int open_one(scanner_rules *r, const smtpf_section *s, smtpf_error *err)
{
  r->name = smtpf_section_string(s, "name");
  r->header = smtpf_section_string(s, "header");
  r->virus = smtpf_section_number(s, "kind") == 1;
  r->refuse = smtpf_section_has(s, "refuse") ? smtpf_section_number(s, "refuse") != 0 : r->virus;
  r->own_too = smtpf_section_number(s, "own_too") != 0;
  r->edits = smtpf_section_number(s, "edits") != 0;
  r->on_unknown = (enum scanner_act)smtpf_section_number(s, "on_unknown");
  r->per = (enum scanner_per)smtpf_section_number(s, "per");
  r->user = (enum scanner_user)smtpf_section_number(s, "user");
  r->limit = (uint64_t)smtpf_section_number(s, "limit");
  r->score = smtpf_section_has(s, "score") || !r->virus ? (int32_t)smtpf_section_number(s, "score") : VIRUS_SCORE;
  r->use_score = (int32_t)smtpf_section_number(s, "use_score");
  r->timeout_ms = smtpf_section_number(s, "timeout");
  r->classes = smtpf_section_number(s, "classes");
  if (!smtpf_section_string(s, "type").n)
    return smtpf_section_fail(s, "type", err, SMTPF_EINVAL, "a scanner of no type", r->name,
                              "clamd, spamd, rspamd ...");
  if (!is_field_name(r->header))
    return smtpf_section_fail(s, "header", err, SMTPF_EPARSE, "not a field name", r->header, "X-Virus-Status");
  return SMTPF_OK;
}

static size_t count(const smtpf_section *policy, int virus)
{
  size_t n = 0;
  for (size_t i = 0; i < smtpf_section_count(policy, "scanners"); i++)
    n += (smtpf_section_number(smtpf_section_at(policy, "scanners", i), "kind") == 1) == virus;
  return n;
}

int scanner_set_open(void **out, int virus, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  const size_t n = count(policy, virus);
  if (!n)
    return SMTPF_OK;
  scanner_set *set = mem->alloc(mem->user, sizeof *set + n * sizeof set->list[0]);
  if (!set)
    return SMTPF_ENOMEM;
  memset(set, 0, sizeof *set + n * sizeof set->list[0]);
  set->mem = *mem;
  for (size_t i = 0; i < smtpf_section_count(policy, "scanners"); i++) {
    scanner_rules r = {.sweep = 0};
    const int result = open_one(&r, smtpf_section_at(policy, "scanners", i), err);
    if (result != SMTPF_OK) {
      scanner_set_close(set);
      return result;
    }
    if (r.virus != virus)
      continue;
    r.sweep = r.header.n && is_first(policy, i, r.header);
    set->flags |= (r.refuse ? SMTPF_FINDING_REFUSE : 0u) | (r.own_too ? SMTPF_FINDING_OWN_TOO : 0u);
    if (r.timeout_ms + SLACK > set->patience_ms)
      set->patience_ms = r.timeout_ms + SLACK;
    set->list[set->n++] = r;
  }
  *out = set;
  return SMTPF_OK;
}

void scanner_set_close(void *self)
{
  scanner_set *set = self;
  if (set)
    set->mem.free(set->mem.user, set);
}
