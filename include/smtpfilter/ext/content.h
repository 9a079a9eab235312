/* SPDX-License-Identifier: MIT */
/**
 * @file ext/content.h
 * What a message holds, piece by piece, while it comes: header fields, parts, their data with the transfer encoding
 * undone, and the text a reader would see. The library walks through a message once for all checks that ask
 * (smtpf_check.content). Pieces are the same however the bytes were cut on the wire. Stable within a minor version.
 *
 *     FIELD*  BEGIN  (DATA TEXT)*  END          of a part that holds data
 *     FIELD*  BEGIN  parts, OUTSIDE*  END       of a part that holds parts
 *
 * RFC 5322, RFC 2045, RFC 2046, RFC 2047, RFC 2231, RFC 2183; broken messages are read as mail user agents read them.
 */
#ifndef SMTPFILTER_EXT_CONTENT_H
#define SMTPFILTER_EXT_CONTENT_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a piece is. */
enum smtpf_piece_kind {
  SMTPF_PIECE_FIELD = 1, /**< a header field: `name`, `bytes` its value unfolded, encoded words decoded to UTF-8 */
  SMTPF_PIECE_BEGIN,     /**< a part's header section is complete: `part` says all of it */
  SMTPF_PIECE_DATA,      /**< `bytes` of a part without its transfer encoding */
  SMTPF_PIECE_TEXT,      /**< `bytes` of a text part as UTF-8, without markup */
  SMTPF_PIECE_END,       /**< the part is complete */
  SMTPF_PIECE_OUTSIDE,   /**< `bytes` that belong to no part: preamble, epilogue, parts beyond the limits */
  SMTPF_PIECE_DEFECT,    /**< something is wrong with the part's form: `name` says what, e.g. `no-boundary` */
};

/** A part. Valid during the call. */
typedef struct smtpf_part {
  size_t size;           /**< sizeof(smtpf_part) */
  uint32_t index;        /**< 0 is the message, then in order of appearance */
  uint32_t parent;       /**< of the part around it */
  uint32_t depth;        /**< parts around it */
  int holds_parts;       /**< multipart or message: 1; a leaf: 0 */
  smtpf_str type;        /**< `text/plain`, in lower case; the default where none is given */
  smtpf_str charset;     /**< as given */
  smtpf_str disposition; /**< `attachment`, in lower case; empty when none is given */
  smtpf_str filename;    /**< UTF-8, of Content-Disposition, else the name of Content-Type; empty when there is none */
} smtpf_part;

/** One piece. Valid during the call. */
typedef struct smtpf_piece {
  size_t size;            /**< sizeof(smtpf_piece) */
  int kind;               /**< smtpf_piece_kind */
  uint32_t index;         /**< of the part */
  const smtpf_part *part; /**< BEGIN, DATA, TEXT: the part; else NULL */
  smtpf_str name;         /**< FIELD: the field's name as written; DEFECT: which one */
  smtpf_str bytes;        /**< as the kind says */
  smtpf_str raw;          /**< FIELD: the value unfolded, not decoded */
} smtpf_piece;

#ifdef __cplusplus
}
#endif
#endif
