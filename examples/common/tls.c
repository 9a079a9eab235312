/* SPDX-License-Identifier: MIT
 *
 * OpenSSL reads from, and writes to, a BIO of our own: it takes from the span that tls_read() was given, and adds to a
 * text. So nothing is copied twice, and an idle connection holds no buffers of ours.
 */
#include "tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum {
  OUT_KEEP = 4096,  /* room for unsent bytes that an idle connection may keep */
  TICKETS = 1,      /* for each client */
  LIFETIME = 7200,  /* seconds that a ticket is good for */
  CHAIN_DEPTH = 10, /* certificates between a server's and one that is believed */
};

struct tls_context {
  atomic_uint refs;
  SSL_CTX *ssl;
  BIO_METHOD *wire;
  int client;
};

struct tls {
  tls_context *context;
  SSL *ssl;
  const char *in; /* of the tls_read() that is at work */
  size_t in_n;
  text out;
  size_t out_at;
  int end; /* a tls_end, 0 before */
  char why[200];
};

/* ---- the BIO ---------------------------------------------------------------------------------------- */

static int wire_read(BIO *b, char *room, int cap)
{
  tls *t = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  if (!t->in_n) {
    BIO_set_retry_read(b);
    return -1;
  }
  const size_t n = t->in_n < (size_t)cap ? t->in_n : (size_t)cap;
  memcpy(room, t->in, n);
  t->in += n;
  t->in_n -= n;
  return (int)n;
}

static int wire_write(BIO *b, const char *p, int n)
{
  tls *t = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  text_add(&t->out, (smtpf_str){p, (size_t)n});
  return t->out.failed ? -1 : n;
}

static long wire_control(BIO *b, int command, long number, void *pointer)
{
  (void)b, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *wire_new(void)
{
  BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wire");
  if (m && BIO_meth_set_read(m, wire_read) && BIO_meth_set_write(m, wire_write) && BIO_meth_set_ctrl(m, wire_control))
    return m;
  BIO_meth_free(m);
  return NULL;
}

/* ---- contexts --------------------------------------------------------------------------------------- */

/* What OpenSSL says was wrong, the innermost of it; of files in words that lead to the cause. */
static const char *reason(void)
{
  const unsigned long e = ERR_peek_error();
  if (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE)
    return "has none in PEM form";
#ifdef ERR_LIB_OSSL_DECODER
  if (ERR_GET_LIB(e) == ERR_LIB_OSSL_DECODER)
    return "has none in PEM form that can be read";
#endif
  const char *said = !e                              ? NULL
                     : ERR_GET_LIB(e) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(e))
                                                     : ERR_reason_error_string(e);
  return said ? said : "no reason given";
}

static int refuse(smtpf_error *err, const char *what, const char *value, const char *why)
{
  if (err) {
    *err = (smtpf_error){.size = sizeof *err, .code = SMTPF_EINVAL};
    snprintf(err->text, sizeof err->text, "%s `%s`: %s", what, value, why);
  }
  ERR_clear_error();
  return SMTPF_EINVAL;
}

static int wrong(smtpf_error *err, const char *what, const char *value)
{
  return refuse(err, what, value, reason());
}

/* Each pair is of a kind of its own: a second one of a kind would silently take the first one's place. */
static int load_pair(SSL_CTX *c, const char *certificate, const char *key, int *kinds, int n, smtpf_error *err)
{
  if (SSL_CTX_use_certificate_chain_file(c, certificate) != 1)
    return wrong(err, "certificate", certificate);
  kinds[n] = EVP_PKEY_base_id(X509_get0_pubkey(SSL_CTX_get0_certificate(c)));
  for (int i = 0; i < n; i++)
    if (kinds[i] == kinds[n])
      return refuse(err, "certificate", certificate, "expected one of another kind than those before");
  if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(c) != 1)
    return wrong(err, "key", key);
  return SMTPF_OK;
}

static int load_pairs(SSL_CTX *c, const tls_options *o, smtpf_error *err)
{
  int kinds[TLS_PAIRS], r = SMTPF_OK;
  for (int i = 0; i < TLS_PAIRS && o->certificate[i] && !r; i++)
    r = load_pair(c, o->certificate[i], o->key[i] ? o->key[i] : o->certificate[i], kinds, i, err);
  return r;
}

static int load_server(SSL_CTX *c, const tls_options *o, smtpf_error *err)
{
  if (!o->certificate[0])
    return refuse(err, "certificate", "", "expected a PEM file");
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* sessions live in tickets alone */
  SSL_CTX_set_num_tickets(c, TICKETS);
  SSL_CTX_set_timeout(c, LIFETIME);
  return SMTPF_OK;
}

static int load_client(SSL_CTX *c, const tls_options *o, smtpf_error *err)
{
  SSL_CTX_set_verify_depth(c, CHAIN_DEPTH);
  if (!o->authorities)
    return SSL_CTX_set_default_verify_paths(c) == 1 ? SMTPF_OK : wrong(err, "authorities", "of the system");
  return SSL_CTX_load_verify_locations(c, o->authorities, NULL) == 1 ? SMTPF_OK
                                                                     : wrong(err, "authorities", o->authorities);
}

static int load(SSL_CTX *c, const tls_options *o, smtpf_error *err)
{
  SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_min_proto_version(c, o->minimum == 13 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1)
    return refuse(err, "minimum", "", "OpenSSL does not have it");
  if (o->ciphers && SSL_CTX_set_cipher_list(c, o->ciphers) != 1)
    return wrong(err, "ciphers", o->ciphers);
  const int r = load_pairs(c, o, err);
  return r ? r : o->client ? load_client(c, o, err) : load_server(c, o, err);
}

int tls_context_new(tls_context **out, const tls_options *o, smtpf_error *err)
{
  ERR_clear_error();
  tls_context *c = calloc(1, sizeof *c);
  if (!c)
    return SMTPF_ENOMEM;
  atomic_init(&c->refs, 1);
  c->client = o->client;
  c->wire = wire_new();
  c->ssl = SSL_CTX_new(o->client ? TLS_client_method() : TLS_server_method());
  const int r = c->wire && c->ssl ? load(c->ssl, o, err) : SMTPF_ENOMEM;
  if (r)
    tls_context_unref(c);
  else
    *out = c;
  return r;
}

tls_context *tls_context_ref(tls_context *c)
{
  if (c)
    atomic_fetch_add(&c->refs, 1);
  return c;
}

void tls_context_unref(tls_context *c)
{
  if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
    return;
  SSL_CTX_free(c->ssl);
  BIO_meth_free(c->wire);
  free(c);
}

/* ---- connections ------------------------------------------------------------------------------------ */

/* Whom the client wants to speak with. An address is no name for SNI (RFC 6066 3). */
static int expect(SSL *ssl, const char *name, int verify)
{
  ASN1_OCTET_STRING *address = name ? a2i_IPADDRESS(name) : NULL;
  const int is_address = address != NULL;
  ASN1_OCTET_STRING_free(address);
  if (!name || !*name)
    return !verify;
  if (!is_address && SSL_set_tlsext_host_name(ssl, name) != 1)
    return 0;
  if (!verify)
    return 1;
  SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return (is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) : SSL_set1_host(ssl, name)) == 1;
}

/* Goes on with the handshake, which is all that is done here; what comes of it is seen by the next tls_read(). */
static void shake(tls *t)
{
  ERR_clear_error();
  SSL_do_handshake(t->ssl);
  ERR_clear_error();
}

static int attach(tls *t)
{
  BIO *b = BIO_new(t->context->wire);
  if (!b)
    return 0;
  BIO_set_data(b, t);
  BIO_set_init(b, 1);
  SSL_set_bio(t->ssl, b, b);
  return 1;
}

int tls_new(tls **out, tls_context *c, const char *name, int verify)
{
  tls *t = calloc(1, sizeof *t);
  if (!t)
    return SMTPF_ENOMEM;
  t->context = tls_context_ref(c);
  t->ssl = SSL_new(c->ssl);
  int r = t->ssl && attach(t) ? SMTPF_OK : SMTPF_ENOMEM;
  if (!r && c->client && !expect(t->ssl, name, verify))
    r = SMTPF_EINVAL;
  if (r) {
    ERR_clear_error();
    tls_free(t);
    return r;
  }
  if (c->client) {
    SSL_set_connect_state(t->ssl);
    shake(t);
  } else {
    SSL_set_accept_state(t->ssl);
  }
  *out = t;
  return SMTPF_OK;
}

void tls_free(tls *t)
{
  if (!t)
    return;
  SSL_free(t->ssl);
  tls_context_unref(t->context);
  text_free(&t->out);
  free(t);
}

/* A certificate's fault says more than `certificate verify failed`. */
static int fail(tls *t)
{
  const long fault = SSL_get_verify_result(t->ssl);
  const int unverified = SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE && fault != X509_V_OK && !tls_up(t);
  snprintf(t->why, sizeof t->why, "%s", unverified ? X509_verify_cert_error_string(fault) : reason());
  ERR_clear_error();
  return t->end = TLS_FAILED;
}

int tls_read(tls *t, const char **in, size_t *n, char *room, size_t cap)
{
  if (t->end)
    return t->end;
  t->in = *in;
  t->in_n = *n;
  ERR_clear_error();
  const int r = SSL_read(t->ssl, room, cap > INT_MAX ? INT_MAX : (int)cap);
  const int what = r > 0 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);
  *in = t->in;
  *n = t->in_n;
  t->in = NULL;
  t->in_n = 0;
  if (what == SSL_ERROR_NONE)
    return r;
  if (what == SSL_ERROR_ZERO_RETURN)
    return t->end = TLS_CLOSED;
  return what == SSL_ERROR_WANT_READ && !t->out.failed ? 0 : fail(t);
}

int tls_write(tls *t, const char *p, size_t n)
{
  if (!tls_up(t) || t->end == TLS_FAILED)
    return SMTPF_ESTATE;
  ERR_clear_error();
  while (n) {
    const int r = SSL_write(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
    if (r <= 0) { /* the wire takes all that there is memory for */
      fail(t);
      return SMTPF_ENOMEM;
    }
    p += r;
    n -= (size_t)r;
  }
  return SMTPF_OK;
}

smtpf_str tls_out(const tls *t)
{
  return (smtpf_str){t->out.n ? t->out.p + t->out_at : "", t->out.n - t->out_at};
}

void tls_sent(tls *t, size_t n)
{
  t->out_at += n;
  if (t->out_at < t->out.n)
    return;
  t->out_at = 0;
  text_clear(&t->out);
  if (t->out.cap > OUT_KEEP)
    text_free(&t->out);
}

void tls_close(tls *t)
{
  ERR_clear_error();
  if (tls_up(t) && t->end != TLS_FAILED)
    SSL_shutdown(t->ssl);
  ERR_clear_error();
}

int tls_up(const tls *t)
{
  return SSL_is_init_finished(t->ssl);
}

const char *tls_protocol(const tls *t)
{
  return tls_up(t) ? SSL_get_version(t->ssl) : "";
}

const char *tls_cipher(const tls *t)
{
  const char *name = tls_up(t) ? SSL_get_cipher_name(t->ssl) : NULL;
  return name ? name : "";
}

const char *tls_why(const tls *t)
{
  return t->why;
}
