/* SPDX-License-Identifier: MIT */
#include <string.h>

#include <smtpfilter/verdict.h>

#include "mail/reply.h"
#include "wire/ehlo.h"
#include "wire/smtpd.h"

enum { EHLO_MAX = 1024 };

/* ---- what is written ---------------------------------------------------------------------------- */

static int is_greeting(int verb)
{
  return verb == SMTPF_VERB_HELO || verb == SMTPF_VERB_EHLO || verb == SMTPF_VERB_LHLO;
}

/* RFC 2034 section 4: none in the banner and in the reply to HELO or EHLO. */
static smtpf_str enhanced_or_none(const smtpf_smtpd *c, smtpf_str enhanced)
{
  int none = !(c->extensions & SMTPF_EXT_ENHANCEDSTATUSCODES) || c->due == SMTPF_DUE_BANNER ||
             (c->due == SMTPF_DUE_COMMAND && is_greeting(c->verb));
  return none ? (smtpf_str){NULL, 0} : enhanced;
}

static int write_banner(const smtpf_smtpd *c, int code, smtpf_str text, char *out, size_t cap)
{
  char room[EHLO_MAX];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_str(&o, c->hostname);
  smtpf_out_char(&o, ' ');
  smtpf_out_str(&o, c->banner.n ? c->banner : c->lmtp ? SMTPF_LIT("LMTP") : SMTPF_LIT("ESMTP"));
  return smtpf_reply_format(code, (smtpf_str){NULL, 0}, c->hostname.n ? smtpf_out_done(&o) : text, out, cap);
}

static int write_greeting(const smtpf_smtpd *c, int code, smtpf_str text, char *out, size_t cap)
{
  char room[EHLO_MAX];
  smtpf_out o;
  smtpf_announced a = {c->extensions, c->lmtp, c->message_max};
  if (c->verb == SMTPF_VERB_HELO)
    a.extensions = 0;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_str rest = text;
  smtpf_ehlo_write(&o, c->hostname.n ? c->hostname : smtpf_str_cut(&rest, '\n'), c->auth, &a);
  return smtpf_reply_format(code, (smtpf_str){NULL, 0}, smtpf_out_done(&o), out, cap);
}

/* A challenge of AUTH is one line, however long (RFC 4954 section 4). */
static int write_challenge(smtpf_str text, char *out, size_t cap)
{
  smtpf_out o;
  smtpf_out_init(&o, out, cap);
  smtpf_out_cstr(&o, "334 ");
  smtpf_out_printable(&o, text, 0);
  smtpf_out_cstr(&o, "\r\n");
  return o.full ? SMTPF_ELIMIT : (int)o.n;
}

static int write_one(const smtpf_smtpd *c, int code, smtpf_str enhanced, smtpf_str text, char *out, size_t cap)
{
  if (c->due == SMTPF_DUE_BANNER && code / 100 == 2)
    return write_banner(c, code, text, out, cap);
  if (c->due == SMTPF_DUE_COMMAND && is_greeting(c->verb) && code / 100 == 2)
    return write_greeting(c, code, text, out, cap);
  if (code == 334)
    return write_challenge(text, out, cap);
  return smtpf_reply_format(code, enhanced_or_none(c, enhanced), text, out, cap);
}

/* ---- a reply for each recipient ----------------------------------------------------------------- */

/* The words of one reply. */
struct words {
  int code;
  smtpf_str enhanced, text;
};

/* Adds a reply behind the `n` bytes that are there. The new length, or an error. */
static int add(const smtpf_smtpd *c, const struct words *w, char *out, size_t cap, int n)
{
  int r = n < 0 ? n : write_one(c, w->code, w->enhanced, w->text, out + n, cap - (size_t)n);
  return r < 0 ? r : r > INT32_MAX - n ? SMTPF_ELIMIT : n + r;
}

/* What the verdict says to recipient `i` alone. 1 when there is such a thing. */
static int own_words(const smtpf_verdict *v, size_t i, struct words *w)
{
  smtpf_recipient_info info = {.size = sizeof info};
  if (!v || smtpf_verdict_recipient(v, i, &info) != SMTPF_OK || !info.reply_code)
    return 0;
  *w = (struct words){info.reply_code, info.enhanced, info.text};
  return 1;
}

/* Adds one for each: its own, or the message's where it has none. */
static int add_each(const smtpf_smtpd *c, const smtpf_verdict *v, const struct words *all, char *out, size_t cap, int n)
{
  for (size_t i = 0; i < c->recipients && n >= 0; i++) {
    struct words own;
    n = add(c, own_words(v, i, &own) ? &own : all, out, cap, n);
  }
  return n;
}

/* PRDR: 353, one for each, the final one. */
static int write_block(const smtpf_smtpd *c, const smtpf_verdict *v, const struct words *all, char *out, size_t cap)
{
  const struct words begins = {353, {NULL, 0}, SMTPF_LIT("A reply for each recipient follows")};
  int n = add(c, &begins, out, cap, 0);
  n = add_each(c, v, all, out, cap, n);
  return add(c, all, out, cap, n);
}

/* Whether the message ends by such a block: not where it broke the protocol, where we close, or where the host answers
 * by itself. These are one reply for all. */
static int is_block(const smtpf_smtpd *c, const smtpf_verdict *v, int code)
{
  return c->prdr && c->due == SMTPF_DUE_MESSAGE && c->recipients && !c->scan.bad && code != 421 && v &&
         smtpf_verdict_stage(v) == SMTPF_EOM && smtpf_verdict_recipient_count(v) == c->recipients;
}

/* ---- BDAT: the refusal waits until the chunk has been swallowed --------------------------------- */

static void keep_refusal(smtpf_smtpd *c, int code, smtpf_str enhanced, smtpf_str text)
{
  char room[SMTPF_REPLY_MAX];
  int n = write_one(c, code, enhanced, text, room, sizeof room);
  smtpf_line_drop(&c->line, &c->mem);
  c->refusal = (uint16_t)code;
  if (n > 0 && smtpf_line_room(&c->line, &c->mem, (size_t)n) == SMTPF_OK) {
    memcpy(c->line.p, room, (size_t)n);
    c->line.n = (uint32_t)n;
  }
}

static int write_kept(const smtpf_smtpd *c, char *out, size_t cap)
{
  if (!c->line.n) /* there was no memory for it */
    return smtpf_reply_format(c->refusal, (smtpf_str){NULL, 0}, SMTPF_LIT("refused"), out, cap);
  if (c->line.n > cap)
    return SMTPF_ELIMIT;
  memcpy(out, c->line.p, c->line.n);
  return (int)c->line.n;
}

static int write_refusal(const smtpf_smtpd *c, size_t times, char *out, size_t cap)
{
  int n = 0;
  for (size_t i = 0; i < times; i++) {
    int r = write_kept(c, out + n, cap - (size_t)n);
    if (r < 0 || r > INT32_MAX - n)
      return SMTPF_ELIMIT;
    n += r;
  }
  return n;
}

static int write_received(const smtpf_smtpd *c, char *out, size_t cap)
{
  char room[64];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_uint(&o, c->chunk_size);
  smtpf_out_cstr(&o, " octets received");
  return write_one(c, 250, SMTPF_LIT("2.0.0"), smtpf_out_done(&o), out, cap);
}

/* ---- what follows from it ----------------------------------------------------------------------- */

static void settle_chunk(smtpf_smtpd *c, int accepted)
{
  c->state = accepted ? SMTPF_READ_CHUNK : SMTPF_READ_SWALLOW;
  c->bdat = accepted ? SMTPF_BDAT_OPEN : SMTPF_BDAT_DEAD;
  if (accepted)
    smtpf_scan_start(&c->scan, 0);
  c->message_n = 0;
}

static void settle_command(smtpf_smtpd *c, int code)
{
  int ok = code / 100 == 2;
  switch (c->verb) {
  case SMTPF_VERB_HELO:
  case SMTPF_VERB_EHLO:
  case SMTPF_VERB_LHLO:
    if (!ok)
      break;
    c->extended = c->verb != SMTPF_VERB_HELO;
    smtpf_smtpd_forget(c);
    break;
  case SMTPF_VERB_RCPT: c->recipients += ok ? 1u : 0u; break;
  case SMTPF_VERB_MAIL:
  case SMTPF_VERB_RSET:
    if (ok)
      smtpf_smtpd_forget(c);
    c->prdr = ok ? c->prdr_asked : c->prdr;
    break;
  case SMTPF_VERB_XCLIENT:
    if (code != 220)
      break;
    c->extended = 0;
    smtpf_smtpd_forget(c);
    break;
  case SMTPF_VERB_DATA:
    if (code / 100 != 3)
      break;
    smtpf_scan_start(&c->scan, 1);
    c->message_n = 0;
    c->state = SMTPF_READ_DATA;
    break;
  case SMTPF_VERB_AUTH: c->state = code == 334 ? SMTPF_READ_AUTH : SMTPF_READ_COMMAND; break;
  case SMTPF_VERB_STARTTLS: c->state = code == 220 ? SMTPF_READ_TLS : SMTPF_READ_COMMAND; break;
  case SMTPF_VERB_QUIT: c->state = SMTPF_READ_CLOSED; break;
  default: break;
  }
}

static void settle(smtpf_smtpd *c, int code)
{
  int due = c->due;
  c->due = SMTPF_DUE_NOTHING;
  smtpf_line_drop(&c->line, &c->mem);
  if (due == SMTPF_DUE_COMMAND)
    settle_command(c, code);
  else if (due == SMTPF_DUE_LINE)
    c->state = code == 334 ? SMTPF_READ_AUTH : SMTPF_READ_COMMAND;
  else if (due == SMTPF_DUE_MESSAGE)
    smtpf_smtpd_forget(c);
  else if (due == SMTPF_DUE_CHUNK && code >= 400)
    c->bdat = SMTPF_BDAT_DEAD;
  c->refusal = 0;
  if (code == 421 || c->fatal)
    c->state = SMTPF_READ_CLOSED;
}

/* ---- the two doors ------------------------------------------------------------------------------ */

static int give(smtpf_smtpd *c, const smtpf_verdict *v, int code, smtpf_str enhanced, smtpf_str text, char *out,
                size_t cap)
{
  if (c->due == SMTPF_DUE_COMMAND && c->verb == SMTPF_VERB_BDAT) {
    if (code >= 400)
      keep_refusal(c, code, enhanced, text);
    else
      smtpf_line_drop(&c->line, &c->mem);
    c->due = SMTPF_DUE_NOTHING;
    settle_chunk(c, code < 400);
    return 0;
  }
  const struct words all = {code, enhanced, text};
  int each = c->lmtp && c->each && c->recipients, n;
  if (c->due == SMTPF_DUE_CHUNK && c->refusal) {
    n = write_refusal(c, each ? c->recipients : 1, out, cap);
    code = c->refusal;
  } else if (each) {
    n = add_each(c, c->due == SMTPF_DUE_MESSAGE ? v : NULL, &all, out, cap, 0);
  } else if (is_block(c, v, code)) {
    n = write_block(c, v, &all, out, cap);
  } else {
    n = write_one(c, code, enhanced, text, out, cap);
  }
  if (n >= 0)
    settle(c, code);
  return n;
}

int smtpf_smtpd_reply(smtpf_smtpd *c, int code, smtpf_str enhanced, smtpf_str text, char *out, size_t cap)
{
  if (!c->due)
    return SMTPF_ESTATE;
  if (code < 200 || code > 599)
    return SMTPF_EINVAL;
  return give(c, NULL, code, enhanced, text, out, cap);
}

/* Promise L1: no 2xx at end of message, to all or to one recipient, while the host has to commit that copy. */
static int is_provisional(const smtpf_verdict *v)
{
  if (smtpf_verdict_stage(v) != SMTPF_EOM)
    return 0;
  int accepts = smtpf_verdict_action(v) == SMTPF_ACCEPT;
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r) == SMTPF_OK && !r.final && (accepts || r.reply_code / 100 == 2))
      return 1;
  }
  return 0;
}

/* A verdict that takes a message must be about the recipients who were accepted here: replies are told to them in turn.
 */
static int is_about_others(const smtpf_smtpd *c, const smtpf_verdict *v)
{
  return (c->lmtp || c->prdr) && c->due == SMTPF_DUE_MESSAGE && smtpf_verdict_code(v) / 100 == 2 &&
         smtpf_verdict_recipient_count(v) != c->recipients;
}

int smtpf_smtpd_answer(smtpf_smtpd *c, const smtpf_verdict *v, char *out, size_t cap)
{
  if (!c->due)
    return SMTPF_ESTATE;
  if (c->due == SMTPF_DUE_CHUNK && !c->refusal) {
    int n = write_received(c, out, cap);
    if (n >= 0)
      settle(c, 250);
    return n;
  }
  if (!v)
    return c->due == SMTPF_DUE_CHUNK ? give(c, NULL, c->refusal, (smtpf_str){NULL, 0}, (smtpf_str){NULL, 0}, out, cap)
                                     : SMTPF_EINVAL;
  if (is_about_others(c, v))
    return SMTPF_EINVAL;
  if (is_provisional(v))
    return SMTPF_ESTATE;
  int closes = smtpf_verdict_closes(v);
  int n = give(c, v, smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v), out, cap);
  if (n >= 0 && closes && c->state != SMTPF_READ_SWALLOW)
    c->state = SMTPF_READ_CLOSED;
  return n;
}
