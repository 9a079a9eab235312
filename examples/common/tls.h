/* SPDX-License-Identifier: MIT
 *
 * tls: TLS without I/O: bytes of the wire in, plain bytes out, and the other way round. The caller owns the socket, and
 * after each call sends what there is to send. With OpenSSL (tls.c), or with nothing that works (tls_none.c): then no
 * context can be had, and the error says so.
 *
 *     tls_new(&t, context, NULL, 0);                        // a client begins to speak by that
 *     for (;;) {
 *       send(fd, tls_out(t).p, tls_out(t).n); tls_sent(t, sent);
 *       n = recv(fd, in, sizeof in, 0);
 *       while ((got = tls_read(t, &p, &n, room, sizeof room)) > 0) ...  // the handshake goes on by itself
 *       if (got < 0) ...                                    // the end; send what there still is, close
 *       if (tls_up(t)) tls_write(t, reply, length);
 *     }
 */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include <smtpfilter/error.h>

typedef struct tls_context tls_context; /* certificates and rules: shared by threads, counted, never changed */
typedef struct tls tls;                 /* one connection, one thread */

enum { TLS_PAIRS = 4 };

typedef struct tls_options {
  int client;                         /* 1: asks for connections; 0: takes them, which needs a certificate */
  const char *certificate[TLS_PAIRS]; /* PEM files, the whole chain; of different kinds, e.g. ECDSA and RSA */
  const char *key[TLS_PAIRS];         /* PEM files; NULL where it stands with the certificate */
  const char *authorities;            /* client: PEM file of those whom it believes; NULL for the system's */
  const char *ciphers;                /* of TLS 1.2, in OpenSSL's words; NULL for OpenSSL's own choice */
  int minimum;                        /* 12 for TLS 1.2, 13 for TLS 1.3; 0 for TLS 1.2 */
} tls_options;

enum tls_end {
  TLS_CLOSED = -1, /* the peer has said that it sends no more */
  TLS_FAILED = -2, /* tls_why() says why */
};

/* A context. SMTPF_OK, SMTPF_EUNSUPPORTED (built without), SMTPF_ENOMEM or SMTPF_EINVAL with `err` filled. Changed
 * files are seen by making a new one; connections keep theirs, and keys of session tickets live as long as their
 * context. */
int tls_context_new(tls_context **out, const tls_options *o, smtpf_error *err);
tls_context *tls_context_ref(tls_context *c);
void tls_context_unref(tls_context *c);

/* A connection, which takes a reference of the context. A client's has a server name, sent to the server (SNI) where it
 * is a name; with `verify` the server's certificate must be of that name or address, and be believed. SMTPF_OK,
 * SMTPF_EINVAL (a name that cannot be verified) or SMTPF_ENOMEM. */
int tls_new(tls **out, tls_context *c, const char *name, int verify);
void tls_free(tls *t);

/* Takes bytes of the wire, `in` and `n` are advanced past what was used, and gives plain ones: how many; 0 when it
 * needs more (then all were used); or a tls_end, for good. */
int tls_read(tls *t, const char **in, size_t *n, char *room, size_t cap);
/* Takes plain bytes, all of them, once it is up. SMTPF_OK, SMTPF_ESTATE (not up, or over) or SMTPF_ENOMEM. */
int tls_write(tls *t, const char *p, size_t n);
/* What is to be sent now, and that `n` bytes of it were sent. Valid until the next call. */
smtpf_str tls_out(const tls *t);
void tls_sent(tls *t, size_t n);
/* Says that we send no more. */
void tls_close(tls *t);

/* 1 once the handshake is done. */
int tls_up(const tls *t);
/* `TLSv1.3`, `TLS_AES_256_GCM_SHA384`; empty before it is up. */
const char *tls_protocol(const tls *t);
const char *tls_cipher(const tls *t);
/* Why it failed, in words for the log; empty when it did not. */
const char *tls_why(const tls *t);

#endif
