/* SPDX-License-Identifier: MIT
 *
 * rules: the postmaster's own rules about what mail looks like. Each has a name, patterns and where they look, or other
 * rules that it combines, and a score; the scores of those that hit add up, and each is named in the evidence. Matching
 * is done while the message comes; at its end the rules are judged. A pattern that takes too long is not known and
 * named; no mail is refused for that.
 */
#include "rules.h"

static const smtpf_option rows[] = {
    {"rules.files", SMTPF_OPTION_STRINGS, NULL, 0, 1000, NULL,
     "Files of rules, see smtpfilter-rules(5). All are one table: a rule may refer to one in another file. Read again "
     "when the policy is; an error names the file and its line, and the policy that was there stays."},
    {"rules.text", SMTPF_OPTION_SIZE, "1m", 1024, (int64_t)1 << 30, NULL,
     "How much of a message's text, decoded, rules look at. What is beyond is not known to rules about text: those "
     "that "
     "did not hit before are unknown, not clear, and the evidence says `partial`."},
    {"rules.body", SMTPF_OPTION_SIZE, "1m", 1024, (int64_t)1 << 30, NULL,
     "How much of the message as it came, behind its header, rules look at; beyond as with `rules.text`."},
    {"rules.window", SMTPF_OPTION_SIZE, "8k", 1024, 1 << 20, NULL,
     "Text and body are matched in windows of this size as soon as one is full. A smaller window leaves less to do "
     "when "
     "the message is complete, a larger one does less twice."},
    {"rules.overlap", SMTPF_OPTION_SIZE, "1k", 64, 1 << 19, NULL,
     "How much of a window is seen again in the next one, at most half of it: a match in text or body that is longer, "
     "with what it looks at before and behind, may be missed."},
    {"rules.match_limit", SMTPF_OPTION_INT, "20000", 100, 100000000, NULL,
     "How often a pattern may go back and try another way at one place. One that needs more is not known "
     "(`limit` in the evidence, with the rule's name), and is left alone for the rest of the message."},
    {"rules.tries", SMTPF_OPTION_INT, "64", 1, 1000000, NULL,
     "How often in one message rules.match_limit is granted whole, all patterns together: each time to one pattern at "
     "up "
     "to 256 places. Before that a pattern may go back 256 times at each place, which nearly always does. When none is "
     "left, patterns that need more are not known (`tries-limit` in the evidence)."},
    {"rules.depth_limit", SMTPF_OPTION_INT, "5000", 10, 100000000, NULL,
     "How deep a pattern's ways may nest, where PCRE2 does not compile to machine code."},
    {"rules.heap_limit", SMTPF_OPTION_SIZE, "4m", 65536, (int64_t)1 << 30, NULL,
     "Memory one pattern may take while it is matched, where PCRE2 does not compile to machine code."},
};

static void read_limits(rules_set *s, const smtpf_section *policy)
{
  s->limits = (rules_limits){
      .pattern = {.size = sizeof(smtpf_pattern_limits),
                  .match = (uint32_t)smtpf_section_number(policy, "rules.match_limit"),
                  .depth = (uint32_t)smtpf_section_number(policy, "rules.depth_limit"),
                  .heap = (uint32_t)(smtpf_section_number(policy, "rules.heap_limit") / 1024)},
      .window = {.size = sizeof(smtpf_pattern_window),
                 .window = (uint32_t)smtpf_section_number(policy, "rules.window"),
                 .overlap = (uint32_t)smtpf_section_number(policy, "rules.overlap")},
      .text = (uint64_t)smtpf_section_number(policy, "rules.text"),
      .body = (uint64_t)smtpf_section_number(policy, "rules.body"),
      .tries = (uint64_t)smtpf_section_number(policy, "rules.tries"),
  };
}

static int open_files(rules_set *s, const smtpf_section *policy, smtpf_error *err)
{
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < smtpf_section_count(policy, "rules.files"); i++)
    r = rules_read(s, policy, smtpf_section_string_at(policy, "rules.files", i), err);
  return r == SMTPF_OK ? rules_ready(s, err) : r;
}

static int rules_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  rules_set *s;
  int r;

  if (smtpf_section_number(policy, "rules.overlap") * 2 > smtpf_section_number(policy, "rules.window"))
    return smtpf_section_fail(policy, "rules.overlap", err, SMTPF_EINVAL, "more than half of rules.window",
                              (smtpf_str){NULL, 0}, NULL);
  if (!smtpf_section_count(policy, "rules.files"))
    return SMTPF_OK;
  s = mem->alloc(mem->user, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  memset(s, 0, sizeof *s);
  s->mem = *mem;
  read_limits(s, policy);
  r = open_files(s, policy, err);
  if (r != SMTPF_OK || !s->n_rules) {
    rules_close(s);
    return r;
  }
  *self = s;
  return SMTPF_OK;
}

static int rules_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  rules_mail *m;
  (void)ev;
  if (smtpf_task_certain(t, 0))
    return SMTPF_OK; /* nothing a rule finds would change what becomes of this message */
  const int r = rules_mail_begin(&m, self, t);
  if (r != SMTPF_OK)
    return r;
  *smtpf_task_slot(t) = m;
  return SMTPF_PENDING;
}

static void rules_content(void *self, smtpf_task *t, const smtpf_piece *piece)
{
  (void)self;
  rules_mail_piece(*smtpf_task_slot(t), piece);
}

static size_t rules_feed(void *self, smtpf_task *t, const char *bytes, size_t n)
{
  (void)self;
  rules_mail_bytes(*smtpf_task_slot(t), bytes, n);
  return n;
}

static int rules_finish(void *self, smtpf_task *t)
{
  rules_mail *m = *smtpf_task_slot(t);
  (void)self;
  rules_mail_end(m);
  return rules_judge(m);
}

static void rules_say(const void *self, int64_t wall_s, smtpf_lint_fn say, void *user)
{
  rules_lint(self, wall_s, say, user);
}

static void rules_shut(void *self)
{
  rules_close(self);
}

const smtpf_check smtpf_check_rules = {
    .size = sizeof(smtpf_check),
    .name = "rules",
    .family = SMTPF_FAMILY_CONTENT,
    .stages = SMTPF_BODY,
    .tier = 3,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = rules_open,
    .run = rules_run,
    .close = rules_shut,
    .feed = rules_feed,
    .finish = rules_finish,
    .content = rules_content,
    .lint = rules_say,
};
