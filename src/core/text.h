/* SPDX-License-Identifier: MIT
 *
 * text: the words of refusals. A site writes them as templates, one for each situation, in as many languages as it
 * likes; `{name}` stands for a field. What a field holds is never read as a template, cannot add a line, and is made
 * printable; every line fits RFC 5321 4.5.3.1.5, all of them fit one reply. Templates are read when the policy is
 * loaded: what could fail fails then.
 *
 * A reply that serves several recipients tells nothing of one of them: neither its address, nor what was found about it
 * alone, nor that it was its own wish that decided, nor its language.
 */
#ifndef SMTPF_CORE_TEXT_H
#define SMTPF_CORE_TEXT_H

#include <smtpfilter/error.h>
#include <smtpfilter/wire.h>

#include "base/str.h"

/* ---- text.c: templates ------------------------------------------------------------------------------------------- */

enum smtpf_field {
  SMTPF_FIELD_TEXT = 0,  /* what the finding says, e.g. a list's TXT; else our own words */
  SMTPF_FIELD_CHECK,     /* the check that found it */
  SMTPF_FIELD_CODE,      /* its short word */
  SMTPF_FIELD_CLIENT,    /* the client's address */
  SMTPF_FIELD_SENDER,    /* the envelope sender */
  SMTPF_FIELD_RECIPIENT, /* the recipient the reply is about */
  SMTPF_FIELD_CONTACT,   /* `reply.contact` */
  SMTPF_FIELD_ID,        /* the session's, as in the log */
  SMTPF_FIELD_QUEUE_ID,  /* the host's, of the message */
  SMTPF_FIELD_HOST,      /* our name */
  SMTPF_FIELDS
};

enum {
  SMTPF_TEXT_LINES = 8,      /* of one template */
  SMTPF_TEXT_TEMPLATE = 400, /* longest line of a template */
  SMTPF_TEXT_HEAD = 14,      /* `550-5.999.999 ` */
  SMTPF_TEXT_LINE = 512 - 2 - SMTPF_TEXT_HEAD,
  SMTPF_TEXT_MAX = SMTPF_REPLY_MAX,
};

/* One line for each line of the reply; a line of the reply that is too long is wrapped. */
typedef struct smtpf_template {
  const smtpf_str *lines;
  size_t n;
} smtpf_template;

/* Looks at one line of a template: printable ASCII, `{name}` of a field that is in `fields` (a set of bits), `{{` for a
 * brace. NULL, or what is wrong with it, and in *where the part that is. */
const char *smtpf_template_fault(smtpf_str line, unsigned fields, smtpf_str *where);

/* Fills in. The result is in `room`, of SMTPF_TEXT_MAX bytes: lines separated by LF, none longer than SMTPF_TEXT_LINE;
 * those that would not fit one reply are left out. */
smtpf_str smtpf_template_expand(const smtpf_template *t, const smtpf_str values[SMTPF_FIELDS], char *room);

/* ---- text_reply.c: what the policy says, and which words a reply takes ------------------------------------------- */

/* What a refusal comes from. In the order of the options of `texts[language]`. */
enum smtpf_situation {
  SMTPF_TEXT_REFUSED = 0,    /* the score, or anything that has no word of its own below */
  SMTPF_TEXT_FACT,           /* a fact that refuses by itself */
  SMTPF_TEXT_RESTRICTED,     /* `only_from` */
  SMTPF_TEXT_DENIED,         /* a personal deny entry */
  SMTPF_TEXT_MISSING,        /* an answer without which the mail cannot be taken */
  SMTPF_TEXT_DEFERRED,       /* it should come again: greylist, scanner */
  SMTPF_TEXT_SPLIT,          /* partition: this recipient in a message of its own */
  SMTPF_TEXT_COMMIT_FAILED,  /* not durable */
  SMTPF_TEXT_COMMIT_REFUSED, /* by the next hop */
  SMTPF_SITUATIONS
};

typedef struct smtpf_language {
  smtpf_str name;
  smtpf_template templates[SMTPF_SITUATIONS]; /* without lines: not given */
  smtpf_str several;                          /* for {recipient} where a reply serves several */
} smtpf_language;

/* Part of an engine. */
typedef struct smtpf_texts {
  smtpf_str contact, host, language;
  smtpf_language *languages;
  size_t n;
} smtpf_texts;

struct smtpf_engine;
struct smtpf_outcome;
struct smtpf_rcpt;

/* Reads `reply` and `texts`, when profiles and recipients are read. */
int smtpf_engine_read_texts(struct smtpf_engine *e, smtpf_error *err);

/* The situation of an outcome that defers or rejects. */
int smtpf_text_situation(const struct smtpf_outcome *o);

/* The words of a refusal: about recipient `to` alone, or, NULL, to all that the message has. `o` NULL: nothing that was
 * found has led to it. In the arena of the stage; without memory they are plain. */
smtpf_str smtpf_text_words(smtpf_session *s, int situation, const struct smtpf_outcome *o, const struct smtpf_rcpt *to);

#endif
