/* SPDX-License-Identifier: MIT
 *
 * rules: the parts of the check.
 *
 *   rules_file.c     reads rule files: text in, a table of rules out; errors as file:line
 *   rules_set.c      makes the table ready: who refers to whom, in which order to judge, patterns into sets
 *   rules_lint.c     what the rules say that cannot be meant, or no longer holds
 *   rules_mail.c     one message: gives its parts to the patterns while they come
 *   rules_judge.c    hit, clear or unknown for each rule, and the evidence
 *   rules.c          the check, and its rows
 *
 * Everything in a rules_set is read-only once it is ready, and shared by all threads.
 */
#ifndef SMTPF_CHECK_RULES_H
#define SMTPF_CHECK_RULES_H

#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/pattern.h>

/* What a pattern looks at. */
enum rules_place {
  RULES_CLIENT,      /* the client's address */
  RULES_CLIENT_NAME, /* its verified name */
  RULES_HELO,
  RULES_SENDER,
  RULES_RECIPIENT,
  RULES_HEADER,     /* a field of the message's header, decoded */
  RULES_RAW_HEADER, /* the same, only unfolded */
  RULES_PART,       /* a field of a part's header, decoded */
  RULES_TEXT,       /* the text of a part, as a reader sees it */
  RULES_BODY,       /* what follows the message's header, as it came */
  RULES_ATTACHMENT, /* a part's file name */
  RULES_DEFECT,     /* what is wrong with a part's form */
  RULES_PLACES,
};

/* In rising order: all is the least, any the greatest, not turns them round. */
enum rules_state { RULES_CLEAR = 0, RULES_UNKNOWN = 1, RULES_HIT = 2 };

/* `match PLACE [FIELD] PATTERN`: the strings are pieces of the file's text. */
typedef struct rules_match {
  uint32_t rule;
  uint32_t target, index; /* which target, and which pattern of it */
  int line;
  uint8_t place;   /* rules_place */
  uint8_t nothing; /* it matches the empty text anywhere */
  uint32_t flags;  /* smtpf_pattern_flag */
  smtpf_str field; /* HEADER, RAW_HEADER, PART: its name, or `*` */
  smtpf_str pattern;
} rules_match;

enum rules_word { RULES_ALL, RULES_ANY, RULES_NOT };

/* One name behind `all`, `any` or `not`. */
typedef struct rules_ref {
  uint8_t word; /* rules_word */
  int line;
  uint32_t target; /* the rule */
  smtpf_str name;
} rules_ref;

typedef struct rules_rule {
  smtpf_str name; /* NUL-terminated */
  smtpf_str text;
  uint32_t file;
  int line;
  uint32_t match, n_matches; /* its part of the matches */
  uint32_t ref, n_refs;      /* and of the references */
  int32_t score;             /* thousandths */
  uint8_t scored;            /* it has one, if only 0: it is evidence; else only what others refer to */
  uint8_t late;              /* differs from one recipient to the next */
  uint8_t used;              /* others refer to it */
  int64_t expires;           /* seconds since 1970; INT64_MAX: never */
} rules_rule;

typedef struct rules_file {
  smtpf_str name; /* the policy's */
  char *text;
} rules_file;

/* All patterns that look at the same thing. */
typedef struct rules_target {
  uint8_t place;
  smtpf_str field;
  smtpf_patterns *patterns;
  uint32_t *matches; /* by the pattern's number */
  uint32_t n, cap;
} rules_target;

typedef struct rules_limits {
  smtpf_pattern_limits pattern;
  smtpf_pattern_window window;
  uint64_t text, body; /* bytes of a message that are looked at */
  uint64_t tries;      /* how often in a message match_limit is granted whole */
} rules_limits;

typedef struct rules_set {
  smtpf_mem mem;
  rules_limits limits;
  rules_file *files;
  rules_rule *rules;
  rules_match *matches;
  rules_ref *refs;
  rules_target *targets;
  uint32_t *order;              /* rules, each behind those that it refers to */
  uint32_t *names;              /* rules by the hash of their names, from 1 */
  uint32_t *fields;             /* targets with a field by the hash of it, from 1 */
  uint32_t fixed[RULES_PLACES]; /* targets without one, from 1; RULES_HEADER and its like: that of `*` */
  size_t n_files, n_rules, n_matches, n_refs, n_targets;
  size_t cap_files, cap_rules, cap_matches, cap_refs, cap_targets, cap_names, cap_fields;
  size_t n_late;
  uint32_t places; /* those that some pattern looks at, as bits */
} rules_set;

/* Room for one more in an array. SMTPF_OK or SMTPF_ENOMEM. */
int rules_grow(const smtpf_mem *mem, void **array, size_t *cap, size_t n, size_t size);

char rules_lower(char c);
/* FNV-1a, without regard to ASCII case. */
uint32_t rules_hash(smtpf_str s, uint32_t seed);

/* An error at a place of a rule file: `what: value: expected ...`. Returns `code`. */
int rules_fail(const rules_set *s, smtpf_error *err, int code, uint32_t file, int line, const char *what,
               smtpf_str value, const char *expected);

/* ---- rules_file.c ---- */

/* Takes a file's text in, which has room for one byte behind it; the set keeps it, and `name` must outlive it.
 * SMTPF_OK or an error in *err. */
int rules_parse(rules_set *s, smtpf_str name, char *text, size_t n, smtpf_error *err);

/* Reads a file and takes it in. `policy` is where a file that cannot be read is complained of. */
int rules_read(rules_set *s, const smtpf_section *policy, smtpf_str name, smtpf_error *err);

const char *rules_place_word(int place);

/* ---- rules_set.c ---- */

/* Once, after the last file. SMTPF_OK or an error in *err. */
int rules_ready(rules_set *s, smtpf_error *err);
void rules_close(rules_set *s);

/* The target of a field of this place; NULL when nobody looks at it. */
const rules_target *rules_target_of(const rules_set *s, int place, smtpf_str field);
/* The target of a place, or of `*` there. */
const rules_target *rules_target_at(const rules_set *s, int place);

/* ---- rules_lint.c ---- */

void rules_lint(const rules_set *s, int64_t now, smtpf_lint_fn say, void *user);

/* ---- rules_mail.c ---- */

/* Why a pattern could not be judged. */
typedef struct rules_excess {
  struct rules_excess *next;
  uint32_t match;
  const char *cause;
} rules_excess;

/* A text that comes in pieces. */
typedef struct rules_stream {
  smtpf_pattern_stream *at; /* NULL before there is something to match */
  uint64_t bytes;           /* of the message that it was given */
  uint8_t cr;               /* the last one was CR, which is kept back: it may belong to a line end */
} rules_stream;

/* One message, in memory of its task. */
typedef struct rules_mail {
  const rules_set *set;
  smtpf_task *task;
  smtpf_pattern_room *room;
  smtpf_mem mem;         /* the task's, as an allocator */
  uint8_t *matches;      /* rules_state of each */
  uint8_t *by_recipient; /* the same for those of RULES_RECIPIENT, recipient by recipient */
  size_t n_recipients;
  rules_excess *excess, **excess_end;
  uint64_t **open; /* of each target: masks of patterns that are still looked for; NULL: all */
  uint64_t tries;  /* left */
  rules_stream text, body;
  uint32_t part;     /* whose text is being read */
  uint8_t reading;   /* some part's is */
  uint8_t no_memory; /* for some pattern: the mail has to come again */
  uint8_t header;    /* where in the message's header the bytes are; 0: behind it */
  uint32_t partial;  /* places that were not looked at whole, as bits */
  uint64_t bytes;
  char *line; /* a field, whole */
  size_t line_cap;
} rules_mail;

/* The envelope is known. SMTPF_OK or SMTPF_ENOMEM. */
int rules_mail_begin(rules_mail **out, const rules_set *s, smtpf_task *t);
void rules_mail_piece(rules_mail *m, const smtpf_piece *piece);
void rules_mail_bytes(rules_mail *m, const char *p, size_t n);
void rules_mail_end(rules_mail *m);

/* ---- rules_judge.c ---- */

/* All is known: the evidence. SMTPF_OK or an error of the task's. */
int rules_judge(const rules_mail *m);

#endif
