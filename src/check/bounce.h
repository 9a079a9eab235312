/* SPDX-License-Identifier: MIT
 *
 * bounce: the parts of the checks `bounce`, `backscatter` and `sent_mark`.
 *
 *   bounce_lines.c   lines -> fields -> header blocks, quoted in whatever way; pure and bounded
 *   bounce_reader.c  pieces of a message -> what kind of notification it is, what it reports, the blocks it quotes;
 * pure bounce_names.c   which names and addresses are ours bounce_mark.c    the mark: its keys, making it, believing it
 *   bounce.c         the check that reads bounces
 *   backscatter.c    the check that scores what it found
 *   sent_mark.c      the check that marks what our own clients send
 */
#ifndef SMTPF_CHECK_BOUNCE_H
#define SMTPF_CHECK_BOUNCE_H

#include <smtpfilter/ext/check.h>

#define BOUNCE_FACT_NOT_OURS "bounce.not-ours"
#define BOUNCE_TEXT_NOT_OURS "the message that this bounce returns was not sent from here"

/* Text in room of its owner; what does not fit is left out, and told. */
typedef struct bounce_text {
  char *p;
  size_t n, cap;
  uint8_t cut;
} bounce_text;

static inline void bounce_put(bounce_text *t, smtpf_str s)
{
  const size_t n = s.n <= t->cap - t->n ? s.n : t->cap - t->n;
  if (n)
    memcpy(t->p + t->n, s.p, n);
  t->n += n;
  t->cut |= n < s.n;
}

static inline smtpf_str bounce_str(const bounce_text *t)
{
  return (smtpf_str){t->p, t->n};
}

static inline char bounce_lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline int bounce_blank(char c)
{
  return c == ' ' || c == '\t';
}

static inline smtpf_str bounce_trim(smtpf_str s)
{
  while (s.n && bounce_blank(s.p[0]))
    s = (smtpf_str){s.p + 1, s.n - 1};
  while (s.n && bounce_blank(s.p[s.n - 1]))
    s.n--;
  return s;
}

/* ---- bounce_names.c ---- */

/* Hosts, domains and networks that are ours: found by hash, for a site may have a hundred thousand. */
typedef struct bounce_names bounce_names;

int bounce_names_new(bounce_names **out, const smtpf_section *policy);
void bounce_names_free(bounce_names *s);
/* Whether some word of a text is one of our names or below one, or an address in brackets of our networks. */
int bounce_names_in(const bounce_names *s, smtpf_str text);

/* ---- bounce_lines.c ---- */

/* Fields that header sections have and other text has not; bits of bounce_block.fields. */
enum bounce_field {
  BOUNCE_RECEIVED = 1 << 0,
  BOUNCE_MESSAGE_ID = 1 << 1,
  BOUNCE_FROM = 1 << 2,
  BOUNCE_MARK = 1 << 3,
  BOUNCE_FIELDS = 18 /* how many are known, these and others */
};

enum { BOUNCE_IDS = 4, BOUNCE_ID_MAX = 250, BOUNCE_MARK_MAX = 64, BOUNCE_LINE_MAX = 1024, BOUNCE_VALUE_MAX = 4096 };

/* A header section that was found in the message. */
typedef struct bounce_block {
  uint32_t fields; /* which known ones it has */
  uint8_t ours;    /* one of them names us */
  uint8_t cut;     /* something of it was too long to be looked at */
  uint8_t n_ids, n_marks;
  smtpf_str ids[BOUNCE_IDS], marks[BOUNCE_IDS];
  bounce_text text; /* theirs */
  char room[BOUNCE_IDS * (BOUNCE_ID_MAX + BOUNCE_MARK_MAX)];
} bounce_block;

/* How many of the known fields it has: two make a header section of what else is a line with a colon. */
int bounce_block_fields(const bounce_block *b);

typedef struct bounce_lines {
  const bounce_names *names;
  smtpf_str mark;                                             /* name of the mark's field; empty */
  void (*field)(void *user, smtpf_str name, smtpf_str value); /* each field; may be NULL */
  void (*block)(void *user, const bounce_block *b);           /* each block that has a known field */
  void *user;
  bounce_block now;
  uint8_t strict;     /* it is a header section, not quoted: what begins with a blank is folded */
  size_t indent;      /* what stands before the block's first field */
  size_t name;        /* bytes of the field's name; 0: there is no field */
  uint8_t cr;         /* the last byte was one */
  bounce_text line;   /* without its end */
  bounce_text gather; /* the field: name, then value */
  char line_room[BOUNCE_LINE_MAX], gather_room[BOUNCE_VALUE_MAX];
} bounce_lines;

void bounce_lines_init(bounce_lines *l, const bounce_names *names, smtpf_str mark);
void bounce_lines_feed(bounce_lines *l, smtpf_str bytes);
/* A field that somebody else has read. */
void bounce_lines_field(bounce_lines *l, smtpf_str name, smtpf_str value);
/* No more of this text: what is open is complete. */
void bounce_lines_end(bounce_lines *l);
/* The first message identifier (RFC 5322 3.6.4) of a value, with its brackets; what there is, without them. */
smtpf_str bounce_message_id(smtpf_str value);

/* ---- bounce_reader.c ---- */

enum bounce_kind {
  BOUNCE_NONE = 0,
  BOUNCE_QUOTES,          /* no report, but it quotes a header section (RFC 5321 leaves the form open) */
  BOUNCE_DELIVERY_STATUS, /* RFC 3464 */
  BOUNCE_DISPOSITION,     /* RFC 8098 */
  BOUNCE_FEEDBACK,        /* RFC 5965 */
};

/* Of a report: what stands there of the message, and of the first recipient. */
enum bounce_report_field {
  BOUNCE_REPORTING_MTA,
  BOUNCE_ENVELOPE_ID,
  BOUNCE_ORIGINAL_RECIPIENT,
  BOUNCE_FINAL_RECIPIENT,
  BOUNCE_ACTION,
  BOUNCE_STATUS,
  BOUNCE_DIAGNOSTIC,
  BOUNCE_REPORT_FIELDS
};

enum { BOUNCE_REPORT_MAX = 128 };

typedef struct bounce_reader {
  int kind;            /* bounce_kind */
  uint32_t recipients; /* that the report is about */
  smtpf_str report[BOUNCE_REPORT_FIELDS];
  const char *hidden; /* why some of the message was not looked at; NULL: all was */
  void (*block)(void *user, const bounce_block *b);
  void *user;
  bounce_lines lines;
  uint32_t part;      /* the lines are of this part */
  uint8_t open;       /* there are some */
  uint8_t report_now; /* they are a report's */
  char report_room[BOUNCE_REPORT_FIELDS][BOUNCE_REPORT_MAX];
} bounce_reader;

void bounce_reader_init(bounce_reader *r, const bounce_names *names, smtpf_str mark,
                        void (*block)(void *user, const bounce_block *b), void *user);
void bounce_reader_piece(bounce_reader *r, const smtpf_piece *piece);
void bounce_reader_end(bounce_reader *r);
const char *bounce_kind_name(int kind);

/* ---- bounce_mark.c ---- */

typedef struct bounce_keys bounce_keys;

/* `*out` stays NULL when the policy has no `bounce.keys`. */
int bounce_keys_new(bounce_keys **out, const smtpf_section *policy, smtpf_error *err);
void bounce_keys_free(bounce_keys *k);
/* Name of the field. */
smtpf_str bounce_keys_field(const bounce_keys *k);
/* The mark of a message that is sent today. SMTPF_OK, or what the crypto port says. */
int bounce_mark_make(const bounce_keys *k, smtpf_task *t, smtpf_str id, smtpf_str sender, char room[BOUNCE_MARK_MAX],
                     smtpf_str *out);
/* Whether it was made for a message of this identifier and sender: *out is smtpf_signature. SMTPF_OK, or what the
 * crypto port says. */
int bounce_mark_check(const bounce_keys *k, smtpf_task *t, smtpf_str mark, smtpf_str id, smtpf_str sender, int *out);
/* 1 when one of our keys may have made it: only then it is worth computing. */
int bounce_mark_known(const bounce_keys *k, smtpf_str mark);

#endif
