/* SPDX-License-Identifier: MIT */
#include "tls_pair.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static EVP_PKEY *key_new(int rsa)
{
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(rsa ? EVP_PKEY_RSA : EVP_PKEY_EC, NULL);
  if (c && EVP_PKEY_keygen_init(c) == 1 &&
      (rsa ? EVP_PKEY_CTX_set_rsa_keygen_bits(c, 2048)
           : EVP_PKEY_CTX_set_ec_paramgen_curve_nid(c, NID_X9_62_prime256v1)) == 1)
    (void)EVP_PKEY_keygen(c, &key);
  EVP_PKEY_CTX_free(c);
  return key;
}

static int extend(X509 *x, int what, const char *value)
{
  X509V3_CTX c;
  X509V3_set_ctx(&c, x, x, NULL, NULL, 0);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &c, what, value);
  const int ok = e && X509_add_ext(x, e, -1) == 1;
  X509_EXTENSION_free(e);
  return ok;
}

static int fill(X509 *x, EVP_PKEY *key, long serial)
{
  X509_NAME *name = X509_get_subject_name(x);
  return X509_set_version(x, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x), serial) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(x), -60) && X509_gmtime_adj(X509_getm_notAfter(x), 3600) &&
         X509_set_pubkey(x, key) == 1 &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mail.example.net", -1, -1, 0) ==
             1 &&
         X509_set_issuer_name(x, name) == 1 && extend(x, NID_subject_alt_name, "DNS:mail.example.net,IP:127.0.0.1") &&
         X509_sign(x, key, EVP_sha256()) > 0;
}

int tls_pair_certificate(const char *path, int rsa)
{
  EVP_PKEY *key = key_new(rsa);
  X509 *x = X509_new();
  FILE *f = fopen(path, "w");
  int ok = key && x && f && fill(x, key, rsa + 1) && PEM_write_X509(f, x) == 1 &&
           PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
  if (f && fclose(f))
    ok = 0;
  X509_free(x);
  EVP_PKEY_free(key);
  return ok;
}

/* What one end has to say, to the other, as many bytes at a time as the test wants. */
static int carry(tls_pair *p, tls *from, tls *to, char *room, size_t cap, size_t *got, int *end)
{
  char wire[512];
  smtpf_str out = tls_out(from);
  size_t n = out.n < sizeof wire ? out.n : sizeof wire;
  if (p->step && n > p->step)
    n = p->step;
  if (!n)
    return 0;
  memcpy(wire, out.p, n);
  tls_sent(from, n);
  const char *in = wire;
  int r;
  do {
    r = tls_read(to, &in, &n, room + *got, cap - *got);
    *got += r > 0 ? (size_t)r : 0;
  } while (r > 0 && *got < cap);
  if (r < 0)
    *end = r;
  return 1;
}

void tls_pair_run(tls_pair *p)
{
  const size_t half = sizeof p->heard / 2;
  while (carry(p, p->client, p->server, p->heard, half, &p->server_n, &p->server_end) |
         carry(p, p->server, p->client, p->heard + half, half, &p->client_n, &p->client_end))
    continue;
}
