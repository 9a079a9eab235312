/* SPDX-License-Identifier: MIT
 *
 * bounce_reader: a notification, piece by piece.
 *
 *   fields of the message itself     multipart/report: what it reports (RFC 6522)
 *   fields of a part within it       a quoted message's header section (message/rfc822), or a part's own
 *   message/delivery-status          the report (RFC 3464, RFC 6533): fields of the message, then of each recipient
 *   text/rfc822-headers, other text  lines that may quote a header section
 *   what belongs to no part, or is a message or multipart that was not taken apart: lines as well
 *
 * Reads to the end whatever comes; nothing but a fixed room is kept.
 */
#include "bounce.h"

static int begins(smtpf_str s, const char *with)
{
  const size_t n = strlen(with);
  return s.n >= n && smtpf_str_equal_nocase((smtpf_str){s.p, n}, (smtpf_str){with, n});
}

static int is(smtpf_str s, const char *word)
{
  return smtpf_str_equal_nocase(s, smtpf_str_of(word));
}

const char *bounce_kind_name(int kind)
{
  static const char *const names[] = {"message", "quotes", "delivery-status", "disposition-notification",
                                      "feedback-report"};
  return names[kind];
}

static void is_kind(bounce_reader *r, int kind)
{
  r->kind = kind > r->kind ? kind : r->kind;
}

/* ---- what kind --------------------------------------------------------------------------------------- */

static const struct {
  const char *name; /* of the report, and of the part with it */
  int kind;
} kinds[] = {
    {"delivery-status", BOUNCE_DELIVERY_STATUS},
    {"global-delivery-status", BOUNCE_DELIVERY_STATUS},
    {"disposition-notification", BOUNCE_DISPOSITION},
    {"global-disposition-notification", BOUNCE_DISPOSITION},
    {"feedback-report", BOUNCE_FEEDBACK},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(smtpf_str name)
{
  for (size_t i = 0; i < KINDS; i++)
    if (is(name, kinds[i].name))
      return kinds[i].kind;
  return BOUNCE_NONE;
}

/* The value of `report-type` in a Content-Type; quotes, if any, left out. */
static smtpf_str report_type(smtpf_str s)
{
  const char *semicolon;
  if (!begins(bounce_trim(s), "multipart/report"))
    return (smtpf_str){NULL, 0};
  while (s.n && (semicolon = memchr(s.p, ';', s.n)) != NULL) {
    s = bounce_trim((smtpf_str){semicolon + 1, s.n - (size_t)(semicolon + 1 - s.p)});
    if (!begins(s, "report-type"))
      continue;
    smtpf_str v = bounce_trim((smtpf_str){s.p + 11, s.n - 11});
    if (!v.n || v.p[0] != '=')
      continue;
    v = bounce_trim((smtpf_str){v.p + 1, v.n - 1});
    if (v.n && v.p[0] == '"')
      v = (smtpf_str){v.p + 1, v.n - 1};
    size_t n = 0;
    while (n < v.n && v.p[n] != '"' && v.p[n] != ';' && !bounce_blank(v.p[n]))
      n++;
    return (smtpf_str){v.p, n};
  }
  return (smtpf_str){NULL, 0};
}

/* ---- the report -------------------------------------------------------------------------------------- */

/* What the first recipient's fields say stays; a field of the message counts as that recipient's. */
static void on_report_field(bounce_reader *r, smtpf_str name, smtpf_str value)
{
  static const char *const names[] = {
      "reporting-mta", "original-envelope-id", "original-recipient", "final-recipient", "action",
      "status",        "diagnostic-code"};
  if (is(name, "final-recipient"))
    r->recipients++;
  for (size_t i = 0; i < BOUNCE_REPORT_FIELDS; i++) {
    if (r->report[i].n || !is(name, names[i]))
      continue;
    bounce_text t = {.p = r->report_room[i], .cap = BOUNCE_REPORT_MAX};
    bounce_put(&t, value);
    r->report[i] = bounce_str(&t);
  }
}

static void on_line_field(void *user, smtpf_str name, smtpf_str value)
{
  bounce_reader *r = user;
  if (r->report_now)
    on_report_field(r, name, value);
}

/* ---- lines ------------------------------------------------------------------------------------------- */

static void on_block(void *user, const bounce_block *b)
{
  bounce_reader *r = user;
  if (bounce_block_fields(b) >= 2)
    is_kind(r, BOUNCE_QUOTES);
  r->block(r->user, b);
}

static void end_lines(bounce_reader *r)
{
  if (r->open)
    bounce_lines_end(&r->lines);
  r->open = r->report_now = 0;
}

static void read_lines(bounce_reader *r, const smtpf_piece *p)
{
  if (r->part != p->index)
    end_lines(r);
  r->part = p->index;
  r->open = 1;
  bounce_lines_feed(&r->lines, p->bytes);
}

/* ---- pieces ------------------------------------------------------------------------------------------ */

static void on_field(bounce_reader *r, const smtpf_piece *p)
{
  if (p->index) {
    bounce_lines_field(&r->lines, p->name, p->raw);
    r->open = 1;
  } else if (is(p->name, "content-type"))
    is_kind(r, kind_of(report_type(p->raw)));
}

static void on_begin(bounce_reader *r, const smtpf_part *part)
{
  end_lines(r);
  if (begins(part->type, "message/"))
    is_kind(r, kind_of((smtpf_str){part->type.p + 8, part->type.n - 8}));
}

static void on_data(bounce_reader *r, const smtpf_piece *p)
{
  if (!begins(p->part->type, "message/") && !begins(p->part->type, "multipart/"))
    return;
  if (r->part != p->index)
    end_lines(r);
  r->report_now = begins(p->part->type, "message/") && kind_of((smtpf_str){p->part->type.p + 8, p->part->type.n - 8});
  read_lines(r, p);
}

/* What stands behind these was not taken apart, or cannot be read. */
static void on_defect(bounce_reader *r, smtpf_str name)
{
  static const char *const hiding[] = {"too-deep", "too-many", "encoding-unknown"};
  for (size_t i = 0; i < sizeof hiding / sizeof *hiding; i++)
    if (is(name, hiding[i]))
      r->hidden = hiding[i];
}

void bounce_reader_piece(bounce_reader *r, const smtpf_piece *p)
{
  if (p->kind != SMTPF_PIECE_DATA && p->kind != SMTPF_PIECE_TEXT && p->kind != SMTPF_PIECE_OUTSIDE &&
      p->kind != SMTPF_PIECE_DEFECT && r->part != p->index)
    end_lines(r);
  switch (p->kind) {
  case SMTPF_PIECE_FIELD: on_field(r, p); break;
  case SMTPF_PIECE_BEGIN: on_begin(r, p->part); break;
  case SMTPF_PIECE_DATA: on_data(r, p); break;
  case SMTPF_PIECE_TEXT:
  case SMTPF_PIECE_OUTSIDE: read_lines(r, p); break;
  case SMTPF_PIECE_END: end_lines(r); break;
  case SMTPF_PIECE_DEFECT: on_defect(r, p->name); break;
  default: break;
  }
  if (p->kind != SMTPF_PIECE_DEFECT)
    r->part = p->index;
}

void bounce_reader_end(bounce_reader *r)
{
  end_lines(r);
}

void bounce_reader_init(bounce_reader *r, const bounce_names *names, smtpf_str mark,
                        void (*block)(void *user, const bounce_block *b), void *user)
{
  memset(r, 0, sizeof *r);
  bounce_lines_init(&r->lines, names, mark);
  r->lines.field = on_line_field;
  r->lines.block = on_block;
  r->lines.user = r;
  r->block = block;
  r->user = user;
}
