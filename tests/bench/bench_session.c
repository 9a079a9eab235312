/* SPDX-License-Identifier: MIT
 *
 * bench_session: what one decision and one idle connection cost, without a network: static resolver, one core.
 * Prints one JSON object of figures; run.py repeats it and takes medians.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SESSIONS = 20000, VERDICTS = 8, IDLE = 10000, BODY = 4096 };

static const char zone_text[] = "2.0.0.127.bl.example A 127.0.0.2\n"
                                "7.100.51.198.bl.example NXDOMAIN\n"
                                "7.100.51.198.in-addr.arpa PTR mail.client.example\n"
                                "mail.client.example A 198.51.100.7\n";

static size_t held; /* bytes of the heap that belong to the library */

static void *counted_alloc(void *user, size_t n)
{
  (void)user;
  void *p = malloc(n);
  held += p ? malloc_usable_size(p) : 0;
  return p;
}

static void counted_free(void *user, void *p)
{
  (void)user;
  held -= p ? malloc_usable_size(p) : 0;
  free(p);
}

static void *counted_realloc(void *user, void *p, size_t n)
{
  (void)user;
  size_t before = p ? malloc_usable_size(p) : 0;
  void *q = realloc(p, n);
  if (q)
    held = held - before + malloc_usable_size(q);
  return q;
}

static const smtpf_mem counted = {sizeof counted, NULL, counted_alloc, counted_realloc, counted_free};

static void must(int result, const char *what)
{
  if (result != SMTPF_OK) {
    fprintf(stderr, "bench_session: %s: %s\n", what, smtpf_strerror(result));
    exit(2);
  }
}

static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static smtpf_engine *policy(const smtpf_mem *mem)
{
  smtpf_config *cfg;
  smtpf_engine *engine;
  smtpf_error err = {.size = sizeof err};
  must(smtpf_config_new(&cfg, mem), "config");
  must(smtpf_config_append(cfg, "local_domains", "example.net", &err), err.text);
  must(smtpf_config_append(cfg, "hostnames", "mx.example.net", &err), err.text);
  must(smtpf_config_set(cfg, "dnslists[\"bl.example\"].codes[\"127.0.0.2\"].score", "10", &err), err.text);
  must(smtpf_engine_new(&engine, cfg, &err), err.text);
  smtpf_config_free(cfg);
  return engine;
}

static smtpf_driver *driver_on(smtpf_engine *engine, smtpf_zone *zone)
{
  smtpf_driver *d;
  smtpf_ports ports = {.size = sizeof ports, .resolver = smtpf_resolver_zone(), .resolver_shared = zone};
  must(smtpf_driver_new(&d, engine, &ports), "driver");
  return d;
}

/* An event's end: its verdict, which must be as expected. */
static void verdict(smtpf_session *s, int result, int action, const char *event)
{
  if (result == SMTPF_PENDING)
    result = smtpf_session_wait(s, 1000);
  must(result, event);
  const smtpf_verdict *v = smtpf_session_verdict(s);
  if (smtpf_verdict_action(v) != action) {
    fprintf(stderr, "bench_session: %s was answered %d\n", event, smtpf_verdict_code(v));
    exit(2);
  }
}

static smtpf_session *greet(smtpf_driver *d)
{
  smtpf_session *s;
  smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("198.51.100.7"), .port = 4711};
  must(smtpf_session_new(&s, d, NULL), "session");
  verdict(s, smtpf_session_connect(s, &peer), SMTPF_ACCEPT, "connect");
  verdict(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.client.example")), SMTPF_ACCEPT, "helo");
  return s;
}

static void whole(smtpf_driver *d, const char *message, size_t n)
{
  smtpf_session *s = greet(d);
  verdict(s, smtpf_session_mail(s, SMTPF_LIT("<a@client.example>"), SMTPF_LIT("SIZE=4096")), SMTPF_ACCEPT, "mail");
  verdict(s, smtpf_session_rcpt(s, SMTPF_LIT("<b@example.net>"), SMTPF_LIT("")), SMTPF_ACCEPT, "rcpt");
  verdict(s, smtpf_session_data(s), SMTPF_ACCEPT, "data");
  for (size_t at = 0; at < n;) {
    size_t taken = 0;
    int r = smtpf_session_body(s, message + at, n - at, &taken);
    at += taken;
    if (r == SMTPF_PENDING)
      r = smtpf_session_wait(s, 1000);
    must(r, "body");
  }
  verdict(s, smtpf_session_eom(s), SMTPF_ACCEPT, "end of message");
  verdict(s, smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_ACCEPT, "commit");
  verdict(s, smtpf_session_quit(s), SMTPF_ACCEPT, "quit");
  smtpf_session_free(s);
}

static size_t message_of(char *out, size_t cap)
{
  size_t n = (size_t)snprintf(out, cap,
                              "From: a@client.example\r\nTo: b@example.net\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
                              "Message-ID: <1@client.example>\r\nSubject: bench\r\n\r\n");
  while (n + 72 <= cap) {
    memset(out + n, 'x', 70);
    memcpy(out + n + 70, "\r\n", 2);
    n += 72;
  }
  return n;
}

static void decisions(smtpf_driver *d)
{
  char message[BODY];
  size_t n = message_of(message, sizeof message);
  for (int i = 0; i < SESSIONS / 20; i++) /* caches warm */
    whole(d, message, n);
  double begun = seconds();
  for (int i = 0; i < SESSIONS; i++)
    whole(d, message, n);
  double each = (seconds() - begun) / SESSIONS;
  printf("\"sessions_per_second\":%.0f,\"decisions_per_second\":%.0f,\"decision_us\":%.3f", 1 / each, VERDICTS / each,
         each * 1e6 / VERDICTS);
}

static void idle(smtpf_driver *d)
{
  static smtpf_session *s[IDLE];
  static smtpf_smtpd *c[IDLE];
  static const char ehlo[] = "EHLO mail.client.example\r\n";
  smtpf_smtpd_options o = {
      .size = sizeof o, .hostname = SMTPF_LIT("mx.example.net"), .extensions = SMTPF_EXT_PIPELINING};
  size_t before = held, told = 0;
  for (int i = 0; i < IDLE; i++) {
    char out[SMTPF_REPLY_MAX];
    const char *in = ehlo;
    size_t n = sizeof ehlo - 1;
    smtpf_smtpd_event ev;
    smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("198.51.100.7"), .port = 4711};
    must(smtpf_smtpd_new(&c[i], &o, &counted), "codec");
    must(smtpf_session_new(&s[i], d, NULL), "session");
    verdict(s[i], smtpf_session_connect(s[i], &peer), SMTPF_ACCEPT, "connect");
    if (smtpf_smtpd_answer(c[i], smtpf_session_verdict(s[i]), out, sizeof out) < 0)
      must(SMTPF_ESTATE, "banner");
    must(smtpf_smtpd_next(c[i], &in, &n, &ev), "next");
    verdict(s[i], smtpf_smtpd_apply(c[i], s[i], &ev), SMTPF_ACCEPT, "helo");
    if (smtpf_smtpd_answer(c[i], smtpf_session_verdict(s[i]), out, sizeof out) < 0)
      must(SMTPF_ESTATE, "answer");
    told += smtpf_session_memory(s[i]) + smtpf_smtpd_memory(c[i]);
  }
  size_t heap = held - before;
  printf(",\"idle_sessions\":%d,\"idle_session_bytes\":%zu,\"idle_session_heap_bytes\":%zu", IDLE, told / IDLE,
         heap / IDLE);
  printf(",\"idle_session_vs_2_kib\":%.3f", (double)told / IDLE / 2048); /* lower is better */
  for (int i = 0; i < IDLE; i++) {
    smtpf_smtpd_free(c[i]);
    smtpf_session_free(s[i]);
  }
}

int main(void)
{
  smtpf_zone *zone;
  size_t line;
  must(smtpf_zone_new(&zone, smtpf_str_of(zone_text), NULL, &line), "zone");
  smtpf_engine *engine = policy(NULL), *watched = policy(&counted);
  smtpf_driver *d = driver_on(engine, zone), *w = driver_on(watched, zone);
  printf("{");
  decisions(d);
  idle(w);
  printf("}\n");
  smtpf_driver_free(d);
  smtpf_driver_free(w);
  smtpf_engine_unref(engine);
  smtpf_engine_unref(watched);
  smtpf_zone_free(zone);
  return 0;
}
