/* SPDX-License-Identifier: MIT
 *
 * Shows what the walker makes of messages, as lines of JSON; for test_mail_mime_sets.py.
 *
 *     mime_tree [-n] FILE...      -n: lines that end in LF get CRLF first
 *
 * Every message is read whole, byte by byte, by seven, and in pieces of random sizes: what comes out must be the same
 * to the last piece, and no fewer and no more bytes than went in (status 1 otherwise).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/charset.h"
#include "mail/mime.h"

/* Text that grows. */
struct text {
  char *p;
  size_t n, cap;
};

static void put(struct text *t, const char *p, size_t n)
{
  if (t->n + n > t->cap) {
    t->cap = (t->n + n) * 2 + 256;
    t->p = realloc(t->p, t->cap);
    if (!t->p)
      abort();
  }
  if (n)
    memcpy(t->p + t->n, p, n);
  t->n += n;
}

static void word(struct text *t, const char *s)
{
  put(t, s, strlen(s));
}

static void number(struct text *t, const char *name, uint64_t v)
{
  char line[96];
  int n = snprintf(line, sizeof line, ",\"%s\":%llu", name, (unsigned long long)v);
  put(t, line, (size_t)n);
}

/* Bytes as the string of code points 0-255 they are. */
static void string(struct text *t, const char *name, smtpf_str s)
{
  word(t, ",\"");
  word(t, name);
  word(t, "\":\"");
  for (size_t i = 0; i < s.n; i++) {
    const unsigned char c = (unsigned char)s.p[i];
    char code[8];
    if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
      put(t, code, (size_t)snprintf(code, sizeof code, "\\u%04x", c));
    else
      put(t, s.p + i, 1);
  }
  word(t, "\"");
}

static void on_field(void *user, uint32_t part, const smtpf_header_field *f)
{
  word(user, "{\"event\":\"field\"");
  number(user, "part", part);
  number(user, "offset", f->offset);
  number(user, "flags", f->flags);
  string(user, "name", f->name);
  string(user, "value", f->value);
  word(user, "}\n");
}

static void on_begin(void *user, const smtpf_mime_part *p)
{
  word(user, "{\"event\":\"begin\"");
  number(user, "part", p->index);
  number(user, "parent", p->parent);
  number(user, "depth", p->depth);
  number(user, "kind", p->kind);
  number(user, "encoding", p->encoding);
  number(user, "charset_id", p->charset);
  number(user, "header", p->header);
  number(user, "body", p->body);
  string(user, "type", p->type);
  string(user, "charset", p->charset_name);
  string(user, "disposition", p->disposition);
  string(user, "filename", p->filename);
  string(user, "name", p->name);
  word(user, "}\n");
}

static void on_data(void *user, const smtpf_mime_part *p, smtpf_str piece)
{
  word(user, "{\"event\":\"data\"");
  number(user, "part", p->index);
  string(user, "bytes", piece);
  word(user, "}\n");
}

static void on_outside(void *user, uint32_t part, int where, smtpf_str piece)
{
  word(user, "{\"event\":\"outside\"");
  number(user, "part", part);
  number(user, "where", (uint64_t)where);
  string(user, "bytes", piece);
  word(user, "}\n");
}

static void on_end(void *user, uint32_t part, uint64_t offset)
{
  word(user, "{\"event\":\"end\"");
  number(user, "part", part);
  number(user, "offset", offset);
  word(user, "}\n");
}

static void on_defect(void *user, uint32_t part, int defect, uint64_t offset)
{
  word(user, "{\"event\":\"defect\"");
  number(user, "part", part);
  number(user, "defect", (uint64_t)defect);
  number(user, "offset", offset);
  word(user, "}\n");
}

static uint64_t state = 88172645463325252u;

static size_t random_piece(void)
{
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 2685821657736338717u >> 55;
}

/* Reads in pieces of `piece` bytes; 0 for random ones. */
static struct text walk(const struct text *in, size_t piece)
{
  const smtpf_mime_handler handler = {on_field, on_begin, on_data, on_outside, on_end, on_defect};
  struct text out = {0};
  smtpf_mime m;
  void *room = malloc(smtpf_mime_room(&smtpf_mime_limits_default));
  if (!room || smtpf_mime_init(&m, NULL, room, &handler, &out) != SMTPF_OK)
    abort();
  for (size_t at = 0, n; at < in->n; at += n) {
    n = piece ? piece : 1 + random_piece();
    n = n < in->n - at ? n : in->n - at;
    char *exact = malloc(n);
    if (!exact)
      abort();
    memcpy(exact, in->p + at, n);
    smtpf_mime_feed(&m, exact, n);
    free(exact);
  }
  smtpf_mime_finish(&m);
  word(&out, "{\"event\":\"done\"");
  number(&out, "parts", m.parts);
  number(&out, "bytes", m.bytes);
  number(&out, "defects", m.defects);
  word(&out, "}\n");
  if (m.bytes != in->n)
    abort();
  free(room);
  return out;
}

static struct text read_file(const char *name, int crlf)
{
  struct text t = {0};
  FILE *f = fopen(name, "rb");
  if (!f)
    exit(2);
  for (int c, before = 0; (c = getc(f)) != EOF; before = c) {
    if (c == '\n' && before != '\r' && crlf)
      put(&t, "\r", 1);
    put(&t, &(char){(char)c}, 1);
  }
  fclose(f);
  return t;
}

int main(int argc, char **argv)
{
  const size_t pieces[] = {1, 7, 0};
  const int crlf = argc > 1 && strcmp(argv[1], "-n") == 0;
  int status = 0;
  for (int i = 1 + crlf; i < argc; i++) {
    struct text in = read_file(argv[i], crlf), whole = walk(&in, in.n + 1);
    printf("{\"event\":\"file\",\"at\":%d}\n", i - 1 - crlf);
    fwrite(whole.p, 1, whole.n, stdout);
    for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
      struct text cut = walk(&in, pieces[k]);
      if (cut.n != whole.n || memcmp(cut.p, whole.p, whole.n) != 0) {
        printf("{\"event\":\"differs\",\"piece\":%zu}\n", pieces[k]);
        fprintf(stderr, "%s: differs in pieces of %zu\n", argv[i], pieces[k]);
        status = 1;
      }
      free(cut.p);
    }
    free(whole.p);
    free(in.p);
  }
  return status;
}
