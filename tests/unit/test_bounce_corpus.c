/* SPDX-License-Identifier: MIT
 *
 * Bounces that other people's servers have sent, each through a whole session, as mail from the null sender:
 *
 *   to one who takes all bounces           never refused
 *   to one who asks for proof              refused at the end of the message, or unknown when it cannot be read
 *   the same, to the signed address        taken
 *   the same, marked before it was sent    taken: the mark is put where the bounce quotes the Message-ID
 *
 * What is recognised neither by its type nor by a header section that it quotes stands in bounce_misses.txt with the
 * reason; what stands there and is recognised is a failure too. So is what stands there as `unmarked` and could be.
 *
 *     test_bounce_corpus [-v]      -v: what each is taken for
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ROOM = 1 << 20, NAMES = 1000, TEXT = 200 };

static char names[NAMES][TEXT], misses[64 * 1024];
static char file[ROOM], message[2 * ROOM], marked[2 * ROOM];
static size_t n_names, passed, failed, marks, unmarked;
static int verbose;

static void need(int ok, const char *what)
{
  if (ok)
    return;
  fprintf(stderr, "test_bounce_corpus: %s\n", what);
  exit(1);
}

/* ---- files ------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
  return strcmp(a, b);
}

static void list(const char *folder)
{
  static const char *const kinds[] = {"bsd", "dos", "mac", "not"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char path[4 * TEXT];
    (void)snprintf(path, sizeof path, "%s/%s", folder, kinds[i]);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
      if (strstr(e->d_name, ".eml") && n_names < NAMES)
        (void)snprintf(names[n_names++], TEXT, "%s/%.180s", kinds[i], e->d_name);
    if (d)
      closedir(d);
  }
  qsort(names, n_names, sizeof *names, by_name);
}

static size_t load(const char *folder, const char *name, char *room, size_t cap)
{
  char path[4 * TEXT];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "rb");
  need(f != NULL, path);
  const size_t n = fread(room, 1, cap - 1, f);
  fclose(f);
  room[n] = '\0';
  return n;
}

/* Lines as SMTP has them, into `message`. */
static size_t with_crlf(const char *from, size_t n)
{
  size_t to = 0;
  for (size_t i = 0; i < n; i++) {
    if (from[i] == '\n' && (!i || from[i - 1] != '\r'))
      message[to++] = '\r';
    message[to++] = from[i];
  }
  return to;
}

/* ---- sessions ---------------------------------------------------------------------------------------- */

static smtpf_engine *engine;
static smtpf_driver *driver;

static void set(smtpf_config *c, const char *path, const char *value)
{
  smtpf_error err = {.size = sizeof err};
  need(smtpf_config_append(c, path, value, &err) == SMTPF_OK || smtpf_config_set(c, path, value, &err) == SMTPF_OK,
       err.text);
}

static void begin(void)
{
  static const char *const idle[] = {"early_talk", "helo", "iprev"};
  smtpf_config *c = NULL;
  smtpf_error err = {.size = sizeof err};
  need(smtpf_config_new(&c, NULL) == SMTPF_OK, "memory");
  for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
    set(c, "check.disable", idle[i]);
  set(c, "local_domains", "ours.test");
  set(c, "hostnames", "mx.ours.test");
  set(c, "own_networks", "198.51.100.0/24");
  set(c, "bounce.keys", "a key of this test alone");
  set(c, "batv.keys", "another key of this test");
  set(c, "recipients[\"alice@ours.test\"].bounces", "proven");
  set(c, "recipients[\"carol@ours.test\"].bounces", "all");
  need(smtpf_engine_new(&engine, c, &err) == SMTPF_OK, err.text);
  smtpf_config_free(c);
  const int r = smtpf_driver_new(&driver, engine, NULL);
  if (r == SMTPF_EUNSUPPORTED) {
    puts("SKIP a build without crypto");
    exit(77);
  }
  need(r == SMTPF_OK, "no driver");
}

static const smtpf_verdict *answer(smtpf_session *s, int r)
{
  if (r == SMTPF_PENDING)
    r = smtpf_session_wait(s, 10000);
  need(r == SMTPF_OK, "no verdict");
  return smtpf_session_verdict(s);
}

/* A message to one recipient; the caller frees the session. */
static const smtpf_verdict *send_it(smtpf_session **out, const char *client, const char *from, const char *to,
                                    smtpf_str m)
{
  smtpf_session *s = NULL;
  need(smtpf_session_new(&s, driver, NULL) == SMTPF_OK, "no session");
  *out = s;
  answer(s, smtpf_session_connect(s, &(smtpf_peer){sizeof(smtpf_peer), .address = {client, strlen(client)}}));
  answer(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, (smtpf_str){"mx.test", 7}));
  answer(s, smtpf_session_mail(s, (smtpf_str){from, strlen(from)}, (smtpf_str){NULL, 0}));
  const smtpf_verdict *v = answer(s, smtpf_session_rcpt(s, (smtpf_str){to, strlen(to)}, (smtpf_str){NULL, 0}));
  need(smtpf_verdict_code(v) == 250, to);
  v = answer(s, smtpf_session_data(s));
  if (smtpf_verdict_code(v) != 354)
    return v;
  for (size_t i = 0; i < m.n;) {
    size_t took = 0;
    need(smtpf_session_body(s, m.p + i, m.n - i, &took) == SMTPF_OK && took, "body");
    i += took;
  }
  return answer(s, smtpf_session_eom(s));
}

/* What `bounce` found: its code, and what it takes the message for. */
static void found(const smtpf_verdict *v, char code[TEXT], char kind[TEXT])
{
  code[0] = kind[0] = '\0';
  for (size_t i = 0; i < smtpf_verdict_evidence_count(v); i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    if (smtpf_verdict_evidence(v, i, &e) != SMTPF_OK || strcmp(e.check, "bounce") != 0)
      continue;
    const char *colon = e.detail.n ? memchr(e.detail.p, ':', e.detail.n) : NULL;
    const size_t n = colon ? (size_t)(colon - e.detail.p) : e.detail.n;
    (void)snprintf(code, TEXT, "%.*s", (int)e.code.n, e.code.p);
    (void)snprintf(kind, TEXT, "%.*s", (int)n, e.detail.p);
  }
}

static void check(const char *name, const char *what, int ok, const char *got)
{
  passed += ok != 0;
  failed += !ok;
  if (!ok)
    printf("FAIL %s: %s (%s)\n", name, what, got);
}

/* ---- the mark ---------------------------------------------------------------------------------------- */

/* The mark that a message of Alice's with this identifier leaves with. */
static void mark_of(const char *id, size_t n, char out[TEXT])
{
  char text[1024];
  smtpf_session *s = NULL;
  const int len = snprintf(text, sizeof text, "Message-ID: %.*s\r\n\r\n", (int)n, id);
  const smtpf_verdict *v =
      send_it(&s, "198.51.100.1", "<alice@ours.test>", "<bob@else.test>", (smtpf_str){text, (size_t)len});
  smtpf_edit_info e = {.size = sizeof e};
  need(smtpf_verdict_edit_count(v) == 1 && smtpf_verdict_edit(v, 0, &e) == SMTPF_OK, "no mark");
  (void)snprintf(out, TEXT, "%.*s: %.*s", (int)e.name.n, e.name.p, (int)e.value.n, e.value.p);
  smtpf_session_free(s);
}

/* Where the message quotes a Message-ID: the line, its first letter, the identifier. */
static int find_id(size_t n, size_t *line, size_t *field, const char **id, size_t *id_n)
{
  const char *body = strstr(message, "\r\n\r\n");
  for (size_t i = body ? (size_t)(body - message) + 2 : n; i < n;) {
    const char *end = memchr(message + i, '\n', n - i);
    const size_t stop = end ? (size_t)(end - message) : n;
    size_t k = i;
    while (k < stop && strchr(" \t>|", message[k]))
      k++;
    if (stop - k > 11 && !strncasecmp(message + k, "message-id:", 11)) {
      const char *open = memchr(message + k, '<', stop - k);
      const char *close = open ? memchr(open, '>', stop - (size_t)(open - message)) : NULL;
      if (close && close - open < 200) {
        *line = i, *field = k, *id = open, *id_n = (size_t)(close + 1 - open);
        return 1;
      }
    }
    i = stop + 1;
  }
  return 0;
}

/* `message` as it would have come back with the mark; 0 when it quotes no identifier that is to be seen. */
static size_t mark_it(size_t n)
{
  size_t line, field, id_n, at = 0;
  const char *id;
  char mark[TEXT];
  if (!find_id(n, &line, &field, &id, &id_n))
    return 0;
  mark_of(id, id_n, mark);
  memcpy(marked, message, line);
  at = line;
  memcpy(marked + at, message + line, field - line);
  at += field - line;
  at += (size_t)snprintf(marked + at, TEXT, "%s\r\n", mark);
  memcpy(marked + at, message + line, n - line);
  return at + n - line;
}

/* ---- one bounce -------------------------------------------------------------------------------------- */

static int is_missed(const char *name, const char *how)
{
  char line[2 * TEXT];
  (void)snprintf(line, sizeof line, "\n%s %s ", name, how);
  return strstr(misses, line) != NULL;
}

static void marked_one(const char *name, size_t n)
{
  char code[TEXT], kind[TEXT];
  smtpf_session *s = NULL;
  const size_t m = mark_it(n);
  if (!m) {
    unmarked++;
    return;
  }
  const smtpf_verdict *v = send_it(&s, "192.0.2.1", "<>", "<alice@ours.test>", (smtpf_str){marked, m});
  found(v, code, kind);
  const int proven = !strcmp(code, "proven") && smtpf_verdict_code(v) == 250;
  check(name, is_missed(name, "unmarked") ? "listed as unmarked, and proven" : "marked, and not proven",
        proven != is_missed(name, "unmarked"), code);
  marks += proven != 0;
  smtpf_session_free(s);
}

static void one(const char *name, size_t n)
{
  char code[TEXT], kind[TEXT], address[SMTPF_ADDRESS_ROOM], to[TEXT + SMTPF_ADDRESS_ROOM];
  smtpf_session *s = NULL;
  const smtpf_str m = {message, n};
  const smtpf_verdict *v = send_it(&s, "192.0.2.1", "<>", "<carol@ours.test>", m);
  found(v, code, kind);
  check(name, "refused to one who takes all", smtpf_verdict_code(v) == 250, code);
  smtpf_session_free(s);
  v = send_it(&s, "192.0.2.1", "<>", "<alice@ours.test>", m);
  found(v, code, kind);
  const int refused = smtpf_verdict_code(v) == 550, told = !strcmp(code, "unproven") || !strcmp(code, "not-ours");
  check(name, "without proof, and not refused", refused && told, code);
  const int known = strcmp(kind, "message") != 0;
  check(name, known ? "listed as a miss, and recognised" : "not recognised", known != is_missed(name, "unknown"), kind);
  if (verbose)
    printf("%s %s %s\n", name, kind, code);
  smtpf_session_free(s);
  need(smtpf_batv_sign(driver, (smtpf_str){"alice@ours.test", 15}, address, sizeof address, NULL) == SMTPF_OK, "batv");
  (void)snprintf(to, sizeof to, "<%s>", address);
  v = send_it(&s, "192.0.2.1", "<>", to, m);
  found(v, code, kind);
  check(name, "signed, and not taken", smtpf_verdict_code(v) == 250 && !strcmp(code, "signed"), code);
  smtpf_session_free(s);
  marked_one(name, n);
}

int main(int argc, char **argv)
{
  const char *shared = getenv("SMTPF_SHARED"), *source = getenv("srcdir");
  char folder[2 * TEXT];
  source = source ? source : ".";
  verbose = argc > 1 && !strcmp(argv[1], "-v");
  if (shared)
    (void)snprintf(folder, sizeof folder, "%s/data/corpus-dsn-sisimai", shared);
  else
    (void)snprintf(folder, sizeof folder, "%s/../shared/data/corpus-dsn-sisimai", source);
  list(folder);
  if (!n_names) {
    printf("SKIP no bounces in %s\n", folder);
    return 77;
  }
  misses[0] = '\n';
  (void)load(source, "tests/unit/bounce_misses.txt", misses + 1, sizeof misses - 1);
  begin();
  for (size_t i = 0; i < n_names; i++)
    one(names[i], with_crlf(file, load(folder, names[i], file, ROOM)));
  printf("%zu bounces, %zu proven by a mark, %zu quote no identifier\n", n_names, marks, unmarked);
  printf("%zu passed, %zu failed, 0 skipped\n", passed, failed);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  return failed != 0;
}
