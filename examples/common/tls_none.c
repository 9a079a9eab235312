/* SPDX-License-Identifier: MIT
 *
 * Built without OpenSSL: no context can be had, so nothing else is ever called with one.
 */
#include <stdio.h>

#include "tls.h"

int tls_context_new(tls_context **out, const tls_options *o, smtpf_error *err)
{
  (void)out, (void)o;
  if (err) {
    *err = (smtpf_error){.size = sizeof *err, .code = SMTPF_EUNSUPPORTED};
    snprintf(err->text, sizeof err->text, "TLS: expected a program that was built with OpenSSL (libssl-dev)");
  }
  return SMTPF_EUNSUPPORTED;
}

tls_context *tls_context_ref(tls_context *c)
{
  return c;
}

void tls_context_unref(tls_context *c)
{
  (void)c;
}

int tls_new(tls **out, tls_context *c, const char *name, int verify)
{
  (void)out, (void)c, (void)name, (void)verify;
  return SMTPF_EUNSUPPORTED;
}

void tls_free(tls *t)
{
  (void)t;
}

int tls_read(tls *t, const char **in, size_t *n, char *room, size_t cap)
{
  (void)t, (void)in, (void)n, (void)room, (void)cap;
  return TLS_FAILED;
}

int tls_write(tls *t, const char *p, size_t n)
{
  (void)t, (void)p, (void)n;
  return SMTPF_EUNSUPPORTED;
}

smtpf_str tls_out(const tls *t)
{
  (void)t;
  return (smtpf_str){"", 0};
}

void tls_sent(tls *t, size_t n)
{
  (void)t, (void)n;
}

void tls_close(tls *t)
{
  (void)t;
}

int tls_up(const tls *t)
{
  (void)t;
  return 0;
}

const char *tls_protocol(const tls *t)
{
  (void)t;
  return "";
}

const char *tls_cipher(const tls *t)
{
  (void)t;
  return "";
}

const char *tls_why(const tls *t)
{
  (void)t;
  return "";
}
