/* SPDX-License-Identifier: MIT
 *
 * text: what a part of text says, as UTF-8 and without markup, while it arrives. For rules, not for the eye: roughly
 * what a person would read.
 */
#ifndef SMTPF_MAIL_TEXT_H
#define SMTPF_MAIL_TEXT_H

#include "mail/charset.h"

/* ---- HTML: html_text.c ---- */

enum { SMTPF_HTML_WORD = 10 };

typedef struct smtpf_html {
  uint8_t state;
  uint8_t gap;                /* what stands before the next text: nothing, a blank, a line end */
  uint8_t begun;              /* text was written */
  uint8_t n;                  /* bytes of the word; of what ends a comment or script */
  uint8_t quote;              /* within an attribute's value: its quote; `=` right before one */
  char word[SMTPF_HTML_WORD]; /* an entity, or a tag's name */
  uint8_t raw;                /* script or style: nothing is text until it ends */
} smtpf_html;

#define SMTPF_HTML_ROOM(n) ((n) + SMTPF_HTML_WORD + 6)

/* Begins zeroed. `p` is UTF-8, or bytes of which ASCII means itself. Tags are left out: those that begin a new line for
 * the eye leave a line end, others nothing, so that `V<b></b>I` reads `VI`. Comments, scripts and styles are left out;
 * numeric entities and the common named ones are turned into UTF-8; runs of white space become one blank or line end.
 * Bytes written to `out`, which has SMTPF_HTML_ROOM(n). */
size_t smtpf_html_feed(smtpf_html *h, const char *p, size_t n, char *out);
/* The end: at most SMTPF_HTML_ROOM(0). */
size_t smtpf_html_finish(smtpf_html *h, char *out);

/* ---- charset and markup together: text.c ---- */

typedef struct smtpf_text {
  smtpf_charset_reader chars;
  smtpf_html html;
  uint8_t is_html;
} smtpf_text;

#define SMTPF_TEXT_ROOM(n) (SMTPF_HTML_ROOM(SMTPF_CHARSET_ROOM(n)) + SMTPF_CHARSET_ROOM(0))

/* `type` as the walker gives it: `text/html` and `application/xhtml+xml` have markup, others none. */
void smtpf_text_init(smtpf_text *t, smtpf_str type, int charset);
/* Bytes written to `out`, which has SMTPF_TEXT_ROOM(n). */
size_t smtpf_text_feed(smtpf_text *t, const char *p, size_t n, char *out);
/* The end: at most SMTPF_TEXT_ROOM(0). */
size_t smtpf_text_finish(smtpf_text *t, char *out);

#endif
