/* SPDX-License-Identifier: MIT
 *
 * tls_pair: self-signed certificates in files, and two ends of TLS that are joined in memory.
 */
#ifndef TESTS_TLS_PAIR_H
#define TESTS_TLS_PAIR_H

#include "../../examples/common/tls.h"

typedef struct tls_pair {
  tls *client, *server;
  size_t step;       /* bytes that reach the other end at a time; 0 for all there are */
  char heard[70000]; /* plain bytes that the server, and behind them those the client, have read */
  size_t server_n, client_n;
  int server_end, client_end;
} tls_pair;

/* A certificate for mail.example.net and 127.0.0.1 with its key in one PEM file: ECDSA, or RSA. 1 when it was written.
 */
int tls_pair_certificate(const char *path, int rsa);
/* Carries bytes between the ends until nothing moves. The server's plain text is at `heard`, the client's in its second
 * half. */
void tls_pair_run(tls_pair *p);

#endif
