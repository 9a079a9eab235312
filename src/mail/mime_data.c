/* SPDX-License-Identifier: MIT
 *
 * Decoded bytes gather until a piece is full, so that where pieces end does not depend on how the message was cut.
 */
#include <string.h>

#include "mail/mime_walk.h"

/* No decoder gives more than it is given and this, which it may have held. */
enum { SPARE = 104 };

void smtpf_mime_data_begin(smtpf_mime *m)
{
  memset(&m->decoder, 0, sizeof m->decoder);
  m->nul = 0;
}

static int where(const smtpf_mime *m)
{
  if (m->mode == SMTPF_MIME_LOST || !m->depth)
    return SMTPF_MIME_BEYOND;
  return m->levels[m->depth - 1].ended ? SMTPF_MIME_EPILOGUE : SMTPF_MIME_PREAMBLE;
}

void smtpf_mime_data_flush(smtpf_mime *m)
{
  const smtpf_str piece = {m->piece, m->filled};
  m->filled = 0;
  if (!piece.n)
    return;
  if (m->mode == SMTPF_MIME_IN_LEAF) {
    if (m->handler.data)
      m->handler.data(m->user, &m->part, piece);
  } else if (m->handler.outside) {
    m->handler.outside(m->user, m->depth ? m->levels[m->depth - 1].part : 0, where(m), piece);
  }
}

static size_t decode(smtpf_mime *m, const char *p, size_t n, char *to)
{
  switch (m->mode == SMTPF_MIME_IN_LEAF ? m->part.encoding : SMTPF_MIME_IDENTITY) {
  case SMTPF_MIME_BASE64: return smtpf_base64_feed(&m->decoder.base64, p, n, to);
  case SMTPF_MIME_QP: return smtpf_qp_feed(&m->decoder.qp, p, n, to);
  case SMTPF_MIME_UU: return smtpf_uu_feed(&m->decoder.uu, p, n, to);
  default: memcpy(to, p, n); return n;
  }
}

/* Gives one piece away when it is full. What was decoded beyond its end begins the next one. */
static void gathered(smtpf_mime *m, size_t n)
{
  const uint32_t all = m->filled + (uint32_t)n;
  m->filled = all;
  if (all < m->limits.piece)
    return;
  m->filled = m->limits.piece;
  smtpf_mime_data_flush(m);
  m->filled = all - m->limits.piece;
  memmove(m->piece, m->piece + m->limits.piece, m->filled);
}

void smtpf_mime_data(smtpf_mime *m, const char *p, size_t n)
{
  m->nul |= n && memchr(p, '\0', n);
  while (n) {
    const size_t most = m->limits.piece - m->filled;
    const size_t take = n < most ? n : most;
    gathered(m, decode(m, p, take, m->piece + m->filled));
    p += take;
    n -= take;
  }
}

void smtpf_mime_data_end(smtpf_mime *m)
{
  char *to = m->piece + m->filled;
  size_t n = 0;
  unsigned flags = 0;
  if (m->mode == SMTPF_MIME_IN_LEAF && m->part.encoding == SMTPF_MIME_BASE64) {
    n = smtpf_base64_finish(&m->decoder.base64, to);
    flags = m->decoder.base64.flags;
  } else if (m->mode == SMTPF_MIME_IN_LEAF && m->part.encoding == SMTPF_MIME_QP) {
    n = smtpf_qp_finish(&m->decoder.qp, to);
    flags = m->decoder.qp.flags;
  } else if (m->mode == SMTPF_MIME_IN_LEAF && m->part.encoding == SMTPF_MIME_UU) {
    n = smtpf_uu_finish(&m->decoder.uu, to);
    flags = m->decoder.uu.flags;
  }
  gathered(m, n);
  smtpf_mime_data_flush(m);
  /* Only now: the place of an event among the pieces must not depend on the cuts. */
  if (flags)
    smtpf_mime_note(m, SMTPF_MIME_ENCODING_BAD);
  if (m->nul)
    smtpf_mime_note(m, SMTPF_MIME_NUL);
  m->nul = 0;
}
