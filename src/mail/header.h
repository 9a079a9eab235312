/* SPDX-License-Identifier: MIT
 *
 * header: a streaming reader of a message's header section (RFC 5322 2.2, 3.6, with the obsolete forms of section 4).
 *
 * Takes pieces of any size and calls back once for each field, in order; what it reports does not depend on how the
 * bytes were cut. Lines end in CRLF or LF. The memory is the caller's and bounded: of a longer field only the front is
 * kept.
 *
 *     smtpf_header_init(&h, room, sizeof room, on_field, me);
 *     used = smtpf_header_feed(&h, p, n);      for each piece; p + used is where the body begins
 *     smtpf_header_finish(&h);                 at the end of the message
 */
#ifndef SMTPF_MAIL_HEADER_H
#define SMTPF_MAIL_HEADER_H

#include <smtpfilter/types.h>

/* What is odd about a field. */
enum smtpf_header_flag {
  SMTPF_HEADER_MALFORMED =
      1, /* no colon, an illegal name, or a continuation of nothing: name is empty, value is the line */
  SMTPF_HEADER_TRUNCATED = 2, /* longer than the room: value (or name) is the front of it */
  SMTPF_HEADER_OBSOLETE = 4,  /* blanks between name and colon (RFC 5322 4.5) */
  SMTPF_HEADER_HIGH = 8,      /* bytes above 0x7f in what was kept */
  SMTPF_HEADER_CONTROL = 16,  /* NUL or a bare CR in what was kept */
};

/* One field; valid during the callback. */
typedef struct smtpf_header_field {
  smtpf_str name;  /* as written */
  smtpf_str value; /* unfolded (RFC 5322 2.2.3), without blanks at its ends */
  uint64_t offset; /* of its first byte in the header section */
  uint64_t size;   /* bytes with all line ends */
  unsigned flags;  /* smtpf_header_flag */
} smtpf_header_field;

typedef void smtpf_header_fn(void *user, const smtpf_header_field *field);

typedef struct smtpf_header {
  uint64_t bytes;    /* taken so far; after the end: of the whole section with its empty line */
  uint32_t fields;   /* reported so far */
  uint8_t ended;     /* 1 after the empty line, or after smtpf_header_finish() */
  uint8_t separated; /* 1 when an empty line ended it */
  /* The rest is the reader's own. */
  uint8_t state;
  uint8_t cr; /* a CR was seen whose LF may yet come */
  uint8_t truncated;
  char *room;
  size_t n, cap;
  uint64_t begin; /* where the field in `room` began */
  smtpf_header_fn *field;
  void *user;
} smtpf_header;

/* `room` outlives the reader. `field` may be NULL to count only. */
void smtpf_header_init(smtpf_header *h, char *room, size_t cap, smtpf_header_fn *field, void *user);

/* Bytes that belong to the header section: `n` while it lasts, fewer when it ended inside this piece, then 0. */
size_t smtpf_header_feed(smtpf_header *h, const char *p, size_t n);

/* The bytes so far ended a line, and the next one will not go on with its field: reports that field now, if any. */
void smtpf_header_settle(smtpf_header *h);

/* The message has ended: reports the field that was being read, if any. */
void smtpf_header_finish(smtpf_header *h);

#endif
