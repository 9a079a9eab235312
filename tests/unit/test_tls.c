/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../examples/common/conduit.h"
#include "tls_pair.h"

static char directory[] = "/tmp/test_tls.XXXXXX";
static char ecdsa[64], rsa[64], other[64];
static tls_context *server, *client;
static tls_pair pair;

static tls_context *context(const tls_options *o)
{
  tls_context *c = NULL;
  smtpf_error err = {.size = sizeof err};
  const int r = tls_context_new(&c, o, &err);
  ck_assert_msg(r == SMTPF_OK, "%s", err.text);
  return c;
}

static void setup(void)
{
  server = context(&(tls_options){.certificate = {ecdsa, rsa}});
  client = context(&(tls_options){.client = 1, .authorities = ecdsa});
}

static void teardown(void)
{
  tls_free(pair.client);
  tls_free(pair.server);
  pair = (tls_pair){0};
  tls_context_unref(server);
  tls_context_unref(client);
}

static void join(const char *name, int verify, size_t step)
{
  pair.step = step;
  ck_assert_int_eq(tls_new(&pair.server, server, NULL, 0), SMTPF_OK);
  ck_assert_int_eq(tls_new(&pair.client, client, name, verify), SMTPF_OK);
  ck_assert_uint_gt(tls_out(pair.client).n, 0); /* a client begins by itself */
  ck_assert_uint_eq(tls_out(pair.server).n, 0);
  tls_pair_run(&pair);
}

static void ck_both_up(void)
{
  ck_assert_msg(tls_up(pair.client), "%s", tls_why(pair.client));
  ck_assert_msg(tls_up(pair.server), "%s", tls_why(pair.server));
}

/* By 1 byte, by 7, whole. */
START_TEST(carries_bytes)
{
  static const size_t steps[] = {1, 7, 0};
  char sent[20000];
  for (size_t i = 0; i < sizeof sent; i++)
    sent[i] = (char)(i * 31);
  join("mail.example.net", 1, steps[_i]);
  ck_both_up();
  ck_assert_int_eq(tls_write(pair.client, sent, sizeof sent), SMTPF_OK);
  ck_assert_int_eq(tls_write(pair.server, "220 ready\r\n", 11), SMTPF_OK);
  tls_pair_run(&pair);
  ck_assert_uint_eq(pair.server_n, sizeof sent);
  ck_assert_mem_eq(pair.heard, sent, sizeof sent);
  ck_assert_uint_eq(pair.client_n, 11);
  ck_assert_mem_eq(pair.heard + sizeof pair.heard / 2, "220 ready\r\n", 11);
  ck_assert_str_eq(tls_protocol(pair.server), "TLSv1.3");
  ck_assert_str_eq(tls_cipher(pair.server), tls_cipher(pair.client));
  ck_assert_uint_gt(strlen(tls_cipher(pair.server)), 0);
}
END_TEST

START_TEST(closes_each_way)
{
  join(NULL, 0, 0);
  ck_both_up();
  tls_close(pair.client);
  tls_pair_run(&pair);
  ck_assert_int_eq(pair.server_end, TLS_CLOSED);
  ck_assert_int_eq(tls_write(pair.server, "221 bye\r\n", 9), SMTPF_OK);
  tls_pair_run(&pair);
  ck_assert_uint_eq(pair.client_n, 9);
}
END_TEST

START_TEST(writes_nothing_before_it_is_up)
{
  ck_assert_int_eq(tls_new(&pair.server, server, NULL, 0), SMTPF_OK);
  ck_assert_int_eq(tls_write(pair.server, "220 x\r\n", 7), SMTPF_ESTATE);
  ck_assert_uint_eq(tls_out(pair.server).n, 0);
  ck_assert_str_eq(tls_protocol(pair.server), "");
}
END_TEST

static const struct {
  const char *name;
  int good;
} names[] = {{"mail.example.net", 1}, {"127.0.0.1", 1}, {"other.example.net", 0}, {"127.0.0.2", 0}};

START_TEST(verifies_names)
{
  join(names[_i].name, 1, 0);
  ck_assert_int_eq(tls_up(pair.client), names[_i].good);
  if (!names[_i].good) {
    ck_assert_int_eq(pair.client_end, TLS_FAILED);
    ck_assert_ptr_nonnull(strstr(tls_why(pair.client), "mismatch"));
    ck_assert_int_eq(pair.server_end, TLS_FAILED); /* the alert has reached it */
  }
}
END_TEST

START_TEST(verifies_nothing_unless_asked)
{
  join("other.example.net", 0, 0);
  ck_both_up();
}
END_TEST

START_TEST(believes_only_authorities)
{
  tls_context_unref(client);
  client = context(&(tls_options){.client = 1, .authorities = other});
  join("mail.example.net", 1, 0);
  ck_assert_int_eq(pair.client_end, TLS_FAILED);
  ck_assert_ptr_nonnull(strstr(tls_why(pair.client), "self-signed"));
}
END_TEST

START_TEST(needs_a_name_to_verify)
{
  tls *t = NULL;
  ck_assert_int_eq(tls_new(&t, client, NULL, 1), SMTPF_EINVAL);
  ck_assert_int_eq(tls_new(&t, client, "", 1), SMTPF_EINVAL);
  ck_assert_ptr_null(t);
}
END_TEST

static const char *const garbage[] = {"EHLO mail.example.org\r\n", "\x16\x03\x01\xff\xff",
                                      "\x15\x03\x03\x00\x02\x02\x28"};

START_TEST(fails_on_what_is_not_tls)
{
  char room[64];
  const char *in = garbage[_i];
  size_t n = _i == 2 ? 7 : strlen(in);
  ck_assert_int_eq(tls_new(&pair.server, server, NULL, 0), SMTPF_OK);
  ck_assert_int_eq(tls_read(pair.server, &in, &n, room, sizeof room), TLS_FAILED);
  ck_assert_uint_gt(strlen(tls_why(pair.server)), 0);
  ck_assert_int_eq(tls_read(pair.server, &in, &n, room, sizeof room), TLS_FAILED); /* for good */
  ck_assert_int_eq(tls_write(pair.server, "x", 1), SMTPF_ESTATE);
}
END_TEST

START_TEST(keeps_to_the_minimum)
{
  tls_context_unref(server);
  server = context(&(tls_options){.certificate = {rsa}, .minimum = 13});
  tls_context_unref(client);
  client = context(&(tls_options){.client = 1, .authorities = rsa, .minimum = 13});
  join("mail.example.net", 1, 0);
  ck_both_up();
  ck_assert_str_eq(tls_protocol(pair.client), "TLSv1.3");
}
END_TEST

/* A context that is replaced lives as long as its connections. */
START_TEST(outlives_its_context)
{
  ck_assert_int_eq(tls_new(&pair.server, server, NULL, 0), SMTPF_OK);
  ck_assert_int_eq(tls_new(&pair.client, client, "mail.example.net", 1), SMTPF_OK);
  tls_context_unref(server);
  tls_context_unref(client);
  server = client = NULL;
  tls_pair_run(&pair);
  ck_both_up();
}
END_TEST

/* A peer that speaks TLS, and says nothing by it: new keys, again and again, as long as somebody listens. */
static void *babble(void *user)
{
  const int *fd = user;
  SSL_CTX *c = SSL_CTX_new(TLS_client_method());
  SSL *s = SSL_new(c);
  SSL_set_fd(s, *fd);
  if (SSL_connect(s) == 1)
    for (int i = 0; i < 100000 && SSL_key_update(s, SSL_KEY_UPDATE_NOT_REQUESTED) && SSL_do_handshake(s) == 1; i++)
      continue;
  SSL_free(s);
  SSL_CTX_free(c);
  return NULL;
}

START_TEST(ends_with_who_says_nothing)
{
  int fds[2];
  char room[CONDUIT_ROOM];
  pthread_t peer;
  ssize_t n;
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  ck_assert_int_eq(pthread_create(&peer, NULL, babble, &fds[1]), 0);
  conduit c = {.fd = fds[0]};
  ck_assert_int_eq(conduit_start(&c, server, NULL, 0), 0);
  n = conduit_read(&c, room, sizeof room); /* the socket blocks: what never ends shows */
  ck_assert_int_eq((int)n, -1);
  ck_assert_int_eq(errno, EBADMSG);
  conduit_free(&c);
  close(fds[0]);
  pthread_join(peer, NULL);
  close(fds[1]);
}
END_TEST

static const struct {
  const char *certificate[2], *key, *authorities, *ciphers, *says;
  int client;
} bad[] = {
    {{NULL}, NULL, NULL, NULL, "expected a PEM file", 0},
    {{"/nonexistent"}, NULL, NULL, NULL, "certificate `/nonexistent`", 0},
    {{ecdsa}, rsa, NULL, NULL, "key `", 0},
    {{ecdsa, other}, NULL, NULL, NULL, "another kind", 0},
    {{ecdsa}, NULL, NULL, "NO-SUCH-CIPHER", "ciphers `NO-SUCH-CIPHER`", 0},
    {{NULL}, NULL, "/nonexistent", NULL, "authorities `/nonexistent`", 1},
};

START_TEST(refuses_bad_files)
{
  tls_context *c = NULL;
  smtpf_error err = {.size = sizeof err};
  const tls_options o = {.client = bad[_i].client,
                         .certificate = {bad[_i].certificate[0], bad[_i].certificate[1]},
                         .key = {bad[_i].key},
                         .authorities = bad[_i].authorities,
                         .ciphers = bad[_i].ciphers};
  ck_assert_int_eq(tls_context_new(&c, &o, &err), SMTPF_EINVAL);
  ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s", err.text);
  ck_assert_ptr_null(c);
  ck_assert_int_eq(tls_context_new(&c, &o, NULL), SMTPF_EINVAL);
}
END_TEST

static int prepare(void)
{
  char *const files[] = {ecdsa, rsa, other};
  static const char *const names_of[] = {"ecdsa", "rsa", "other"};
  if (!mkdtemp(directory))
    return 0;
  for (int i = 0; i < 3; i++) {
    snprintf(files[i], sizeof ecdsa, "%s/%s.pem", directory, names_of[i]);
    if (!tls_pair_certificate(files[i], i == 1))
      return 0;
  }
  return 1;
}

int main(void)
{
  Suite *s = suite_create("tls");
  TCase *t = tcase_create("tls");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, carries_bytes, 0, 3);
  tcase_add_test(t, closes_each_way);
  tcase_add_test(t, writes_nothing_before_it_is_up);
  tcase_add_loop_test(t, verifies_names, 0, sizeof names / sizeof names[0]);
  tcase_add_test(t, verifies_nothing_unless_asked);
  tcase_add_test(t, believes_only_authorities);
  tcase_add_test(t, needs_a_name_to_verify);
  tcase_add_loop_test(t, fails_on_what_is_not_tls, 0, sizeof garbage / sizeof garbage[0]);
  tcase_add_test(t, keeps_to_the_minimum);
  tcase_add_test(t, outlives_its_context);
  tcase_add_test(t, ends_with_who_says_nothing);
  tcase_add_loop_test(t, refuses_bad_files, 0, sizeof bad / sizeof bad[0]);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  int failed = 1;
  signal(SIGPIPE, SIG_IGN);
  if (prepare()) {
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
  }
  unlink(ecdsa);
  unlink(rsa);
  unlink(other);
  rmdir(directory);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
