/* SPDX-License-Identifier: MIT
 *
 * message: what is kept of a message while it comes, and until its last answer. In the transaction arena.
 */
#ifndef SMTPF_CORE_MESSAGE_H
#define SMTPF_CORE_MESSAGE_H

#include "base/sha256.h"
#include "engine.h"
#include "mail/header.h"
#include "policy/ledger.h"
#include "session.h"
#include "trace.h"

/* Why a message cannot be taken, whatever its recipients wish. */
enum smtpf_flaw { SMTPF_FINE = 0, SMTPF_TOO_LARGE, SMTPF_HEADER_TOO_LARGE, SMTPF_LOOP };

/* How often a field's name was there. Names are told apart by a keyed hash; what does not fit is not counted. */
enum { SMTPF_NAMES = 256 };
typedef struct smtpf_name_count {
  uint64_t name; /* 0: free */
  uint32_t count;
} smtpf_name_count;

struct smtpf_message {
  uint64_t size;
  smtpf_header header;
  int64_t received;          /* Received fields so far */
  int64_t marks;             /* fields that carry our mark's name */
  smtpf_str mark;            /* our mark's name */
  smtpf_name_count *names;   /* SMTPF_NAMES; NULL where no check may edit */
  const uint64_t *seed;      /* of their hash */
  smtpf_wished_edit *wished; /* what checks ask for */
  size_t n_wished;
  enum smtpf_flaw flaw;
  smtpf_traces traces;
  smtpf_entry **entries; /* from end of message on: of every recipient */
  smtpf_sha256 *hash;    /* of all bytes, where lost acknowledgements are remembered; else NULL */
  unsigned char digest[SMTPF_SHA256_BYTES];
  uint8_t promised; /* the journal has it */
  char room[256];   /* of one field, where names are all that is looked at */
};

/* Counts a field's name; how often it was there. */
void smtpf_message_count(struct smtpf_message *m, smtpf_str name);
size_t smtpf_message_counted(const struct smtpf_message *m, smtpf_str name);

/* The first fault there is, as far as it has come. */
enum smtpf_flaw smtpf_message_flaw(const struct smtpf_message *m, const smtpf_limits *l);

#endif
