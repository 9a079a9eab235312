/* SPDX-License-Identifier: MIT
 *
 * mime: walks through a message's parts while its bytes arrive (RFC 2045, RFC 2046), and says what they are, what their
 * transfer encodings hide, and what is wrong with them.
 *
 * Takes pieces of any size, header section included. Every event, and every piece of data in it, is the same however
 * the bytes were cut. All memory is the caller's and bounded by the limits; nested parts are a stack, not a recursion.
 * Nothing is an error: what breaks the grammar is read as mail user agents read it, and named as a defect. Every byte
 * comes out: in a field, as data, or `outside` of the parts; only delimiter lines do not.
 *
 *     room = smtpf_mime_room(&limits);                  bytes to allocate
 *     smtpf_mime_init(&m, &limits, memory, &handler, me);
 *     smtpf_mime_feed(&m, p, n);                        for each piece
 *     smtpf_mime_finish(&m);
 *
 * Events of one part: `field` for each header field, `begin`, `data` for a leaf or the events of its parts and
 * `outside` for a container, `end`; defects anywhere between.
 */
#ifndef SMTPF_MAIL_MIME_H
#define SMTPF_MAIL_MIME_H

#include "base/str.h"
#include "mail/decode.h"
#include "mail/header.h"

typedef struct smtpf_mime_limits {
  uint32_t depth;    /* containers within each other; a deeper one is a leaf */
  uint32_t parts;    /* of one message; what begins later is outside */
  uint32_t header;   /* bytes of one part's header section that are read without complaint */
  uint32_t field;    /* bytes kept of one field */
  uint32_t text;     /* bytes for type, charset, names and disposition of a part together */
  uint32_t boundary; /* bytes for the boundaries of all open multiparts together, 70 at least */
  uint32_t piece;    /* bytes of one piece of data, 512 at least */
} smtpf_mime_limits;

/* 16, 1000, 256 KiB, 16 KiB, 4 KiB, 4 KiB, 4 KiB. */
extern const smtpf_mime_limits smtpf_mime_limits_default;

/* As bits: what a part is found to have stands in one number. Each is told once for a part: those of its header section
 * before `begin`, those of its data before `end`. */
enum smtpf_mime_defect {
  SMTPF_MIME_NO_END = 1 << 0,          /* a multipart without its end delimiter */
  SMTPF_MIME_NO_PARTS = 1 << 1,        /* a multipart whose delimiter never came */
  SMTPF_MIME_NO_BOUNDARY = 1 << 2,     /* a multipart without a boundary, or with one beyond limits.boundary: a leaf */
  SMTPF_MIME_BOUNDARY_LONG = 1 << 3,   /* more than 70 bytes (RFC 2046 5.1.1) */
  SMTPF_MIME_TOO_DEEP = 1 << 4,        /* a container beyond limits.depth: a leaf */
  SMTPF_MIME_TOO_MANY = 1 << 5,        /* a part beyond limits.parts: the rest is outside */
  SMTPF_MIME_HEADER_LONG = 1 << 6,     /* beyond limits.header */
  SMTPF_MIME_FIELD_CUT = 1 << 7,       /* a field beyond limits.field */
  SMTPF_MIME_TEXT_CUT = 1 << 8,        /* names and the like beyond limits.text */
  SMTPF_MIME_HEADER_HIGH = 1 << 9,     /* bytes above 0x7f in a field */
  SMTPF_MIME_HEADER_CONTROL = 1 << 10, /* NUL or a bare CR in a field */
  SMTPF_MIME_HEADER_BAD = 1 << 11,     /* a line that is no field */
  SMTPF_MIME_FIELD_TWICE = 1 << 12,    /* a second Content-Type, -Transfer-Encoding or -Disposition: the first counts */
  SMTPF_MIME_TYPE_BAD = 1 << 13,       /* a Content-Type without a type: text/plain (RFC 2045 5.2) */
  SMTPF_MIME_PARAM_BAD = 1 << 14,      /* a parameter that is broken, given twice, or in a form of its own */
  SMTPF_MIME_ENCODING_UNKNOWN = 1 << 15, /* a Content-Transfer-Encoding nobody knows: data as it stands */
  SMTPF_MIME_ENCODING_ILLEGAL = 1 << 16, /* base64 or the like around parts: a multipart is read as it stands, a
                                            message is a leaf whose data is a message */
  SMTPF_MIME_ENCODING_BAD = 1 << 17,     /* data that its encoding does not have */
  SMTPF_MIME_NUL = 1 << 18,              /* NUL in a body */
  SMTPF_MIME_HEADER_OPEN = 1 << 19, /* no empty line between a multipart's header section and its first delimiter */
};

enum smtpf_mime_encoding {
  SMTPF_MIME_IDENTITY = 0, /* 7bit, 8bit, binary, unknown */
  SMTPF_MIME_BASE64,
  SMTPF_MIME_QP,
  SMTPF_MIME_UU,
};

enum smtpf_mime_kind { SMTPF_MIME_LEAF = 0, SMTPF_MIME_MULTIPART, SMTPF_MIME_MESSAGE };

/* Valid during the callback; of a leaf until its `end`. */
typedef struct smtpf_mime_part {
  uint32_t index;         /* 0 is the message, then in order of appearance */
  uint32_t parent;        /* of the container; 0 for the message itself */
  uint32_t depth;         /* containers around it */
  uint8_t kind;           /* smtpf_mime_kind */
  uint8_t encoding;       /* smtpf_mime_encoding */
  uint8_t charset;        /* smtpf_charset */
  uint32_t defects;       /* smtpf_mime_defect so far */
  smtpf_str type;         /* `text/plain`, in lower case; the default where none is given */
  smtpf_str charset_name; /* as given */
  smtpf_str disposition;  /* `attachment`, in lower case; empty when none is given */
  smtpf_str filename;     /* of Content-Disposition, UTF-8 */
  smtpf_str name;         /* of Content-Type, UTF-8 */
  uint64_t header;        /* offset of its header section in the message */
  uint64_t body;          /* offset of what follows it */
} smtpf_mime_part;

enum smtpf_mime_where { SMTPF_MIME_PREAMBLE = 1, SMTPF_MIME_EPILOGUE, SMTPF_MIME_BEYOND };

/* Any may be NULL. */
typedef struct smtpf_mime_handler {
  void (*field)(void *user, uint32_t part, const smtpf_header_field *field);
  void (*begin)(void *user, const smtpf_mime_part *part);
  void (*data)(void *user, const smtpf_mime_part *part, smtpf_str piece);
  void (*outside)(void *user, uint32_t part, int where, smtpf_str piece);
  void (*end)(void *user, uint32_t part, uint64_t offset);
  void (*defect)(void *user, uint32_t part, int defect, uint64_t offset);
} smtpf_mime_handler;

/* A container that is open. */
typedef struct smtpf_mime_level {
  uint32_t part, defects;
  uint32_t at, n; /* the boundary, in the walker's room */
  uint8_t kind;   /* smtpf_mime_kind */
  uint8_t digest; /* its parts are messages unless they say otherwise (RFC 2046 5.1.5) */
  uint8_t begun;  /* a delimiter was seen */
  uint8_t ended;  /* the last one was seen */
} smtpf_mime_level;

typedef struct smtpf_mime {
  uint64_t bytes;   /* taken so far */
  uint32_t parts;   /* begun so far */
  uint32_t defects; /* smtpf_mime_defect of all parts so far */
  /* The rest is the walker's own. */
  smtpf_mime_limits limits;
  smtpf_mime_handler handler;
  void *user;
  smtpf_mime_level *levels; /* limits.depth */
  char *boundaries;         /* limits.boundary, one behind the other */
  uint32_t depth;           /* levels in use */
  uint32_t reach;           /* bytes of a line that decide whether it is a delimiter; 0: no boundary is waited for */
  uint8_t mode;
  uint8_t seen;       /* fields of this part that were seen */
  uint8_t line_start; /* nothing of the line is known */
  uint8_t after;      /* the rest of the line is a delimiter's */
  uint8_t eol;        /* a line end is held back: 1 LF, 2 CRLF */
  uint8_t cr;         /* a CR is held back that may yet be a line end's */
  uint8_t nul;        /* one was in this body */
  uint64_t here;      /* offset of what is being noticed */
  uint64_t line_at;   /* offset of the line */
  char *line;         /* what may be a delimiter */
  uint32_t held;      /* bytes of it */
  smtpf_header header;
  smtpf_mime_part part; /* being read, or the last leaf */
  smtpf_out text;       /* its strings */
  uint32_t boundary;    /* bytes of the one its header section gives */
  union {
    smtpf_base64 base64;
    smtpf_qp qp;
    smtpf_uu uu;
  } decoder;
  char *piece;
  uint32_t filled;
} smtpf_mime;

/* Bytes that a walker with these limits needs. */
size_t smtpf_mime_room(const smtpf_mime_limits *limits);

/* `room` has smtpf_mime_room() bytes, aligned as from malloc(3), and outlives the walker; the others are copied. NULL
 * for the default limits. SMTPF_OK, or SMTPF_EINVAL when a limit is too small. */
int smtpf_mime_init(smtpf_mime *m, const smtpf_mime_limits *limits, void *room, const smtpf_mime_handler *handler,
                    void *user);

void smtpf_mime_feed(smtpf_mime *m, const char *p, size_t n);

/* The message has ended. */
void smtpf_mime_finish(smtpf_mime *m);

#endif
