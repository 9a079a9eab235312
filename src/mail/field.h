/* SPDX-License-Identifier: MIT
 *
 * field: what structured header fields hold (RFC 5322 3.3-3.6 with the obsolete forms of section 4, RFC 5321 4.4).
 * Values are unfolded, as header.h gives them. Broken ones are read as far as they go, and flagged.
 */
#ifndef SMTPF_MAIL_FIELD_H
#define SMTPF_MAIL_FIELD_H

#include <smtpfilter/ext/mail.h>

#include "base/str.h"

/* ---- From, To, Cc, Reply-To, Sender: mailbox_list.c ---- */

enum smtpf_mailbox_flag {
  SMTPF_MAILBOX_BAD = 1,      /* does not follow the grammar: an open quote or bracket, words beside the address */
  SMTPF_MAILBOX_NONE = 2,     /* a name and no address */
  SMTPF_MAILBOX_ROUTE = 4,    /* had an obsolete route `<@a,@b:c@d>` */
  SMTPF_MAILBOX_GROUP = 8,    /* member of a group */
  SMTPF_MAILBOX_COMMENT = 16, /* the name stood in a comment behind the address */
  SMTPF_MAILBOX_WORDS = 32,   /* the name has encoded words */
  SMTPF_MAILBOX_CHARSET = 64, /* in a charset that is not known: bytes were kept */
  SMTPF_MAILBOX_CUT = 128,    /* did not fit */
};

typedef struct smtpf_mailbox {
  smtpf_str name;    /* for people: UTF-8, without quotes */
  smtpf_str address; /* `local-part@domain` without blanks and comments; empty without one */
  smtpf_str domain;  /* behind the last `@` of it */
  unsigned flags;    /* smtpf_mailbox_flag */
} smtpf_mailbox;

/* Takes one mailbox off the front of the list *rest. `room` holds its strings: five times what the list has is always
 * enough. SMTPF_OK, or SMTPF_ENOTFOUND when none is left. */
int smtpf_mailbox_next(smtpf_str *rest, char *room, size_t cap, smtpf_mailbox *out);

/* ---- Date, and the end of Received: date.c ---- */

enum smtpf_date_flag {
  SMTPF_DATE_OBSOLETE = 1, /* a year of two or three digits, a zone's name, comments (RFC 5322 4.3) */
  SMTPF_DATE_WEEKDAY = 2,  /* the day of the week is another one */
  SMTPF_DATE_ZONE = 4,     /* no zone, or one without a meaning: taken as -0000 */
  SMTPF_DATE_TAIL = 8,     /* something follows */
};

typedef struct smtpf_date {
  int64_t epoch;  /* seconds since 1970-01-01 00:00:00 UTC */
  int16_t zone;   /* minutes east of UTC */
  unsigned flags; /* smtpf_date_flag */
} smtpf_date;

/* SMTPF_OK or SMTPF_EPARSE. */
int smtpf_date_parse(smtpf_str value, smtpf_date *out);

/* ---- Message-ID, In-Reply-To, References: message_id.c ---- */

enum smtpf_message_id_flag {
  SMTPF_MESSAGE_ID_BAD = 1,      /* not `<left@right>` by the grammar */
  SMTPF_MESSAGE_ID_OBSOLETE = 2, /* quoted left side, blanks or comments within (RFC 5322 4.5.4) */
};

typedef struct smtpf_message_id {
  smtpf_str whole;       /* between the brackets */
  smtpf_str left, right; /* of its last `@`; empty when there is none */
  unsigned flags;        /* smtpf_message_id_flag */
} smtpf_message_id;

/* Takes one off the front of *rest; all strings point into it. What stands outside of brackets is BAD once and passed
 * over. SMTPF_OK, or SMTPF_ENOTFOUND when none is left. */
int smtpf_message_id_next(smtpf_str *rest, smtpf_message_id *out);

/* ---- Received: received.c ---- */

typedef struct smtpf_received {
  smtpf_str from;                     /* what the client called itself */
  smtpf_str rdns;                     /* its name in the comment that follows; empty without one */
  smtpf_ip ip;                        /* its address, from a comment, else from a literal; family 0 without one */
  smtpf_str by;                       /* the server */
  smtpf_str via, with, id, recipient; /* recipient: of `for`, without brackets */
  smtpf_date date;                    /* behind the last `;` */
  uint8_t dated;                      /* 1 when there is a date */
  uint8_t twice; /* 1 when `from`, `by`, `with` or another address is there again: by the client's HELO */
} smtpf_received;

/* All strings point into `value`; clauses in any order, the first of each counts. SMTPF_OK, or SMTPF_EPARSE when it has
 * neither `from` nor `by`. */
int smtpf_received_parse(smtpf_str value, smtpf_received *out);

#endif
