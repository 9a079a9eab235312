/* SPDX-License-Identifier: MIT
 *
 * scan_icap: what the files of the scanner type `icap` share: scan_icap.c talks, scan_icap_request.c writes what is
 * asked, scan_icap_verdict.c says what an answer means. The last two are pure.
 */
#ifndef SMTPF_PORT_SCAN_ICAP_H
#define SMTPF_PORT_SCAN_ICAP_H

#include <smtpfilter/ext/scan.h>

#include "icap_reply.h"

enum {
  SMTPF_ICAP_SERVICE = 128,  /* bytes of a service's name */
  SMTPF_ICAP_REQUEST = 1024, /* room for what comes before a message */
  SMTPF_ICAP_PREVIEW = 4096, /* most bytes that are shown first, however many the server wishes */
};

/* ---- scan_icap_request.c ---------------------------------------------------------------------------------------- */

typedef struct smtpf_icap_request {
  smtpf_str server;  /* as the policy writes it */
  int local;         /* it is a unix socket */
  smtpf_str service; /* `avscan` */
  smtpf_str client;  /* address of the SMTP client; empty */
  smtpf_str session; /* our id of it, for the server's log */
  int64_t preview;   /* bytes that are shown first; -1: no preview */
  int64_t size;      /* of the message; -1: not known yet */
} smtpf_icap_request;

/* 1 when it can stand in a request's first line. */
int smtpf_icap_service_valid(smtpf_str service);
/* Both write into `room`, SMTPF_ICAP_REQUEST bytes; what is valid fits. The bytes written. */
size_t smtpf_icap_write_options(char *room, const smtpf_icap_request *q);
size_t smtpf_icap_write_respmod(char *room, const smtpf_icap_request *q);

/* ---- scan_icap_verdict.c ---------------------------------------------------------------------------------------- */

/* How an answer came. */
typedef struct smtpf_icap_circumstances {
  int sent;      /* all of the message had been sent when the answer began */
  int may_204;   /* the server says that it answers 204 to what it leaves as it is */
  int unchanged; /* the body it gave back is the message */
} smtpf_icap_circumstances;

enum smtpf_icap_meaning {
  SMTPF_ICAP_MEANS_CLEAN = 1,
  SMTPF_ICAP_MEANS_HIT,     /* `name` */
  SMTPF_ICAP_MEANS_UNKNOWN, /* this server will not say more of this message: `cause`, `why` */
  SMTPF_ICAP_MEANS_FAILED,  /* another might: the same, and `blame` */
};

typedef struct smtpf_icap_verdict {
  int meaning;
  smtpf_str name;    /* in the reply, or static */
  const char *cause; /* static */
  smtpf_str why;     /* the same as name */
  int blame;         /* it is the server's fault */
} smtpf_icap_verdict;

/* What a whole answer to RESPMOD means; 100 is none. */
smtpf_icap_verdict smtpf_icap_judge(const smtpf_icap_reply *reply, const smtpf_icap_circumstances *how);

#endif
