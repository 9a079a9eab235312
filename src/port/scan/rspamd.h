/* SPDX-License-Identifier: MIT
 *
 * scan_rspamd: the scanner type `rspamd` (docs/decisions: libcurl and jansson).
 *
 *   rows     scan_rspamd_rows.c     what a policy may say; in every build
 *   answer   scan_rspamd_answer.c   bytes -> result; pure, fuzzed; jansson
 *   names    scan_rspamd_names.c    how often each field name stands in the message; pure
 *   fields   scan_rspamd_fields.c   the envelope as fields of a request
 *   http     scan_rspamd_http.c     transfers on a driver; libcurl
 *   scanner  scan_rspamd.c          servers, waiting, deadlines, another server when nothing was judged
 *
 * scan_rspamd_none.c stands in the place of the last five where a library is missing.
 */
#ifndef SMTPF_PORT_SCAN_RSPAMD_H
#define SMTPF_PORT_SCAN_RSPAMD_H

#include <smtpfilter/ext/scan.h>

#include "base/arena.h"

enum {
  SMTPF_RSPAMD_ROWS = 2,
  SMTPF_RSPAMD_PORT = 11333,
  SMTPF_RSPAMD_EDITS = 64,          /* header edits of one answer */
  SMTPF_RSPAMD_VALUE = 8192,        /* bytes of a value; a longer field is left out */
  SMTPF_RSPAMD_VALUES = 128 * 1024, /* bytes of all of them */
  SMTPF_RSPAMD_DETAIL = 600,        /* bytes of result.detail */
  SMTPF_RSPAMD_NAMES = 96,          /* different field names that are counted */
};

/* ---- rows ------------------------------------------------------------------------------------------------------- */

extern const smtpf_option smtpf_rspamd_rows[SMTPF_RSPAMD_ROWS];

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* Field names of the message, counted as its bytes pass: an answer may mean the last of several fields. */
typedef struct smtpf_rspamd_names {
  struct {
    uint64_t hash;
    unsigned count;
  } v[SMTPF_RSPAMD_NAMES];
  size_t n;
  uint64_t hash; /* of the name on this line so far */
  size_t column; /* bytes of this line so far */
  int state;
} smtpf_rspamd_names;

/* Zeroed before the first bytes. */
void smtpf_rspamd_names_feed(smtpf_rspamd_names *names, const char *bytes, size_t n);
/* 0: none, or one too many to have been counted. */
unsigned smtpf_rspamd_names_count(const smtpf_rspamd_names *names, smtpf_str name);

/* ---- answer ----------------------------------------------------------------------------------------------------- */

/*
 * Reads a reply to POST /checkv2.
 *   bytes, n   its body; changed where it is not UTF-8
 *   status     of HTTP
 *   names      of the message
 *   a          holds what the result points to
 *   out        HIT: `reject` or `discard`. CLEAN: every other action; its score counts. UNKNOWN: `soft-reject`,
 *              `garbage`, `error`, `no-memory`. `seen` is left alone
 */
void smtpf_rspamd_answer_read(smtpf_arena *a, char *bytes, size_t n, long status, const smtpf_rspamd_names *names,
                              smtpf_scan_result *out);

/* ---- http ------------------------------------------------------------------------------------------------------- */

typedef struct smtpf_rspamd_http smtpf_rspamd_http;
typedef struct smtpf_rspamd_transfer smtpf_rspamd_transfer;

/* What the owner of transfers is asked. `read` and `write` are called inside libcurl and call nobody; `done` and `idle`
 * outside of it. */
typedef struct smtpf_rspamd_http_user {
  /* Bytes of the message: how many were written to `room`; 0 with *more 1: not now, with *more 0: that was all. */
  size_t (*read)(void *user, char *room, size_t cap, int *more);
  /* Bytes of the reply's body. 1, or 0 for too many. */
  int (*write)(void *user, const char *bytes, size_t n);
  /* The transfer is over and gone. `cause` NULL: there is a reply with this status. Else a static word; `blame`: it is
   * the server's fault; `stale`: a connection that had been kept was dead. */
  void (*done)(void *user, const char *cause, const char *text, long status, int blame, int stale);
  /* libcurl has done what it could. */
  void (*idle)(void *owner);
} smtpf_rspamd_http_user;

typedef struct smtpf_rspamd_request {
  const char *url, *unix_path;    /* `http://192.0.2.1:11333/checkv2`; path of a socket or NULL */
  const struct sockaddr *address; /* the only one that may be connected to */
  size_t address_n;
  void *fields; /* struct curl_slist; lives as long as the transfer */
  int64_t size; /* of the message; -1: not yet known */
  int64_t connect_ms;
  int fresh; /* on a new connection */
} smtpf_rspamd_request;

/* The envelope as fields of a request. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_rspamd_fields(void **out, const smtpf_scan_request *request, smtpf_str settings_id);
void smtpf_rspamd_fields_free(void *fields);

int smtpf_rspamd_http_start(smtpf_rspamd_http **out, smtpf_driver *driver, const smtpf_rspamd_http_user *calls,
                            void *owner, size_t connections);
/* No transfer is open. NULL is accepted. */
void smtpf_rspamd_http_stop(smtpf_rspamd_http *http);
/* SMTPF_OK or SMTPF_ENOMEM. Calls nobody. */
int smtpf_rspamd_transfer_open(smtpf_rspamd_transfer **out, smtpf_rspamd_http *http, const smtpf_rspamd_request *r,
                               void *user);
/* There is something to read again. Not inside libcurl. */
void smtpf_rspamd_transfer_more(smtpf_rspamd_transfer *t);
/* Ends it; NULL is accepted. Not inside libcurl. */
void smtpf_rspamd_transfer_close(smtpf_rspamd_transfer *t);

#endif
