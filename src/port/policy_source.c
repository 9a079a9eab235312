/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "policy_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

enum { PATH_ROOM = 4096 };

/* One file being copied into the text. */
typedef struct scanner {
  smtpf_policy_source *s;
  const char *file;
  const char *p;
  size_t n, at;
  int line;
  int depth;
  smtpf_error *err;
} scanner;

static int fail(const scanner *c, int code, const char *what, smtpf_str detail)
{
  return SMTPF_ERROR(c->err, code, c->file, c->line, smtpf_str_of(what), detail);
}

static int no_memory(const scanner *c)
{
  return fail(c, SMTPF_ENOMEM, smtpf_strerror(SMTPF_ENOMEM), (smtpf_str){NULL, 0});
}

/* ---- the text --------------------------------------------------------------------------------------- */

static int put(const scanner *c, const char *p, size_t n)
{
  smtpf_policy_source *s = c->s;
  void *text = s->text;
  if (n >= SMTPF_SOURCE_MAX - s->n)
    return fail(c, SMTPF_ELIMIT, "the policy is too large", (smtpf_str){NULL, 0});
  if (smtpf_mem_grow(s->mem, &text, &s->cap, s->n + n + 1, 1) != SMTPF_OK)
    return no_memory(c);
  s->text = text;
  memcpy(s->text + s->n, p, n);
  s->n += n;
  s->text[s->n] = '\0';
  for (size_t i = 0; i < n; i++)
    s->lines += p[i] == '\n';
  return SMTPF_OK;
}

static int begin_piece(const scanner *c)
{
  smtpf_policy_source *s = c->s;
  void *pieces = s->pieces;
  if (smtpf_mem_grow(s->mem, &pieces, &s->cap_pieces, s->n_pieces + 1, sizeof *s->pieces) != SMTPF_OK)
    return no_memory(c);
  s->pieces = pieces;
  s->pieces[s->n_pieces++] = (smtpf_policy_source_piece){s->lines, c->line, c->file};
  return SMTPF_OK;
}

smtpf_policy_source_piece smtpf_policy_source_place(const smtpf_policy_source *s, int line)
{
  smtpf_policy_source_piece place = {line, 0, NULL};
  for (size_t i = 0; i < s->n_pieces && s->pieces[i].at <= line; i++) {
    place.file = s->pieces[i].file;
    place.line = s->pieces[i].line + (line - s->pieces[i].at);
  }
  return place;
}

/* ---- tokens ----------------------------------------------------------------------------------------- */

static char ahead(const scanner *c, size_t n)
{
  return n < c->n - c->at ? c->p[c->at + n] : '\0';
}

static int starts(const scanner *c, const char *word)
{
  return smtpf_str_starts((smtpf_str){c->p + c->at, c->n - c->at}, smtpf_str_of(word));
}

/* Copies up to the byte before `end`, counting lines. */
static int copy_to(scanner *c, size_t end)
{
  size_t from = c->at;
  for (; c->at < end; c->at++)
    c->line += c->p[c->at] == '\n';
  return put(c, c->p + from, end - from);
}

static int copy_line_comment(scanner *c)
{
  const char *end = memchr(c->p + c->at, '\n', c->n - c->at);
  return copy_to(c, end ? (size_t)(end - c->p) : c->n);
}

static int copy_comment(scanner *c)
{
  const char *end = memmem(c->p + c->at + 2, c->n - c->at - 2, "*/", 2);
  return end ? copy_to(c, (size_t)(end - c->p) + 2)
             : fail(c, SMTPF_EPARSE, "comment without end", (smtpf_str){NULL, 0});
}

/* libconfig keeps strings that end at their first NUL: one written as \x00 would cut off what follows. */
static int copy_string(scanner *c)
{
  size_t end = c->at + 1;
  while (end < c->n && c->p[end] != '"') {
    if (c->n - end >= 4 && memcmp(c->p + end, "\\x00", 4) == 0)
      return fail(c, SMTPF_EPARSE, "\\x00: a text cannot hold NUL", (smtpf_str){NULL, 0});
    end += c->p[end] == '\\' ? 2 : 1;
  }
  return end < c->n ? copy_to(c, end + 1) : fail(c, SMTPF_EPARSE, "text without closing quote", (smtpf_str){NULL, 0});
}

static int is_name(char ch)
{
  return smtpf_is_alnum(ch) || ch == '_' || ch == '-' || ch == '*';
}

/* 0 when the digits make a number above `max`. */
static int within(smtpf_str digits, unsigned base, uint64_t max)
{
  uint64_t v = 0;
  for (size_t i = 0; i < digits.n; i++) {
    char ch = smtpf_lower(digits.p[i]);
    uint64_t d = (uint64_t)(smtpf_is_digit(ch) ? ch - '0' : ch - 'a' + 10);
    if (d > max || v > (max - d) / base)
      return 0;
    v = v * base + d;
  }
  return 1;
}

static int is_hex(char ch)
{
  ch = smtpf_lower(ch);
  return smtpf_is_digit(ch) || (ch >= 'a' && ch <= 'f');
}

/* Decimal (leading zeros and all: 010 is ten), hexadecimal after 0x, 64 bits with L behind. Floats pass. */
static int copy_number(scanner *c)
{
  int hex = ahead(c, 0) == '0' && smtpf_lower(ahead(c, 1)) == 'x';
  int minus = c->at > 0 && c->p[c->at - 1] == '-';
  size_t n = hex ? 2 : 0;
  while (hex ? is_hex(ahead(c, n)) : smtpf_is_digit(ahead(c, n)))
    n++;
  smtpf_str digits = {c->p + c->at + (hex ? 2 : 0), n - (hex ? 2 : 0)};
  char next = ahead(c, n);
  if (!hex && (next == '.' || smtpf_lower(next) == 'e')) {
    while (smtpf_is_digit(ahead(c, n)) || ahead(c, n) == '.' || smtpf_lower(ahead(c, n)) == 'e' ||
           ((ahead(c, n) == '+' || ahead(c, n) == '-') && smtpf_lower(ahead(c, n - 1)) == 'e'))
      n++;
  } else if (next == 'L') {
    if (!within(digits, hex ? 16 : 10, INT64_MAX))
      return fail(c, SMTPF_EPARSE, "expected a number below 2^63: ", digits);
  } else if (!within(digits, hex ? 16 : 10, (uint64_t)INT32_MAX + (minus ? 1u : 0u))) {
    return fail(c, SMTPF_EPARSE, "expected a number below 2^31, or one with L behind it: ", digits);
  }
  return copy_to(c, c->at + n);
}

/* ---- files ------------------------------------------------------------------------------------------ */

static int read_file(smtpf_policy_source *s, const char *path, const scanner *from, smtpf_error *err);

/* A name within the folder of the including file; an absolute one as it is. */
static int include(scanner *c, smtpf_str name)
{
  char room[PATH_ROOM];
  smtpf_out o;
  smtpf_str folder = smtpf_str_of(c->file);
  while (folder.n && folder.p[folder.n - 1] != '/')
    folder.n--;
  smtpf_out_init(&o, room, sizeof room - 1);
  if (name.n == 0 || name.p[0] != '/')
    smtpf_out_str(&o, folder);
  smtpf_out_str(&o, name);
  room[o.n] = '\0';
  if (o.full || name.n == 0)
    return fail(c, SMTPF_EPARSE, "expected @include \"FILE\"", (smtpf_str){NULL, 0});
  if (c->depth >= SMTPF_SOURCE_DEPTH)
    return fail(c, SMTPF_ELIMIT, "includes within includes: too deep at ", name);
  int code = put(c, "\n", 1);
  if (code == SMTPF_OK)
    code = read_file(c->s, room, c, c->err);
  if (code == SMTPF_OK)
    code = put(c, "\n", 1);
  return code == SMTPF_OK ? begin_piece(c) : code;
}

/* At the beginning of a line: takes an @include, if there is one. */
static int take_include(scanner *c)
{
  size_t n = 0;
  while (ahead(c, n) == ' ' || ahead(c, n) == '\t')
    n++;
  scanner at = *c;
  at.at += n;
  if (!starts(&at, "@include"))
    return SMTPF_OK;
  at.at += sizeof "@include" - 1;
  while (ahead(&at, 0) == ' ' || ahead(&at, 0) == '\t')
    at.at++;
  smtpf_str rest = {at.p + at.at, at.n - at.at};
  size_t end = 1;
  while (end < rest.n && rest.p[end] != '"' && rest.p[end] != '\n' && rest.p[end] != '\\')
    end++;
  if (end >= rest.n || rest.p[0] != '"' || rest.p[end] != '"')
    return fail(c, SMTPF_EPARSE, "expected @include \"FILE\"", (smtpf_str){NULL, 0});
  c->at = at.at + end + 1;
  return include(c, (smtpf_str){rest.p + 1, end - 1});
}

static int scan(scanner *c)
{
  int code = begin_piece(c);
  if (code == SMTPF_OK && memchr(c->p, '\0', c->n))
    return fail(c, SMTPF_EPARSE, "the file holds NUL bytes", (smtpf_str){NULL, 0});
  if (code == SMTPF_OK)
    code = take_include(c);
  while (code == SMTPF_OK && c->at < c->n) {
    char ch = ahead(c, 0);
    if (ch == '#' || starts(c, "//")) {
      code = copy_line_comment(c);
    } else if (starts(c, "/*")) {
      code = copy_comment(c);
    } else if (ch == '"') {
      code = copy_string(c);
    } else if (smtpf_is_digit(ch) || ch == '.') {
      code = copy_number(c);
    } else if (is_name(ch) && ch != '-') {
      size_t n = 1;
      while (is_name(ahead(c, n)))
        n++;
      code = copy_to(c, c->at + n);
    } else {
      code = copy_to(c, c->at + 1);
      if (code == SMTPF_OK && ch == '\n')
        code = take_include(c);
    }
  }
  return code;
}

/* The bytes of anything but a folder. */
static int load(const smtpf_mem *mem, int fd, char **out, size_t *out_n)
{
  struct stat st;
  void *p = NULL;
  size_t n = 0, cap = 0;
  ssize_t got = fstat(fd, &st);
  if (got == 0 && S_ISDIR(st.st_mode)) {
    errno = EISDIR;
    got = -1;
  }
  while (got >= 0) {
    if (n >= SMTPF_SOURCE_MAX || smtpf_mem_grow(mem, &p, &cap, n + 4096, 1) != SMTPF_OK) {
      errno = n >= SMTPF_SOURCE_MAX ? EFBIG : ENOMEM;
      break;
    }
    got = read(fd, (char *)p + n, cap - n);
    if (got == 0) {
      *out = p;
      *out_n = n;
      return SMTPF_OK;
    }
    if (got > 0)
      n += (size_t)got;
    else if (errno == EINTR)
      got = 0;
  }
  smtpf_mem_free(mem, p);
  return errno == ENOMEM ? SMTPF_ENOMEM : SMTPF_EIO;
}

/* strerror(3) speaks the host's language and may share its room with other threads. */
static const char *reason(int code)
{
  switch (code) {
  case ENOENT: return "no such file";
  case EACCES: return "permission denied";
  case EISDIR: return "it is a directory";
  case EFBIG: return "it is too large";
  default: return "input or output failed";
  }
}

static int read_file(smtpf_policy_source *s, const char *path, const scanner *from, smtpf_error *err)
{
  scanner c = {.s = s, .file = path, .line = 1, .depth = from ? from->depth + 1 : 0, .err = err};
  smtpf_str name;
  char *bytes = NULL;
  if (smtpf_arena_copy(&s->names, smtpf_str_of(path), &name) != SMTPF_OK)
    return no_memory(&c);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  int code = fd >= 0 ? load(s->mem, fd, &bytes, &c.n) : SMTPF_EIO;
  const char *why = code == SMTPF_EIO ? reason(errno) : "";
  if (fd >= 0)
    close(fd);
  if (code == SMTPF_ENOMEM)
    return no_memory(&c);
  if (code != SMTPF_OK) /* the place is where it was asked for; for the first file there is none */
    return SMTPF_ERROR(err, code, from ? from->file : path, from ? from->line : 0, SMTPF_LIT("cannot read "), name,
                       SMTPF_LIT(": "), smtpf_str_of(why));
  c.file = name.p;
  c.p = bytes;
  code = scan(&c);
  smtpf_mem_free(s->mem, bytes);
  return code;
}

int smtpf_policy_source_read(smtpf_policy_source *s, const smtpf_mem *mem, const char *path, smtpf_error *err)
{
  *s = (smtpf_policy_source){.mem = mem, .lines = 1};
  smtpf_arena_init(&s->names, mem, 1024, SMTPF_SOURCE_MAX);
  const scanner c = {.s = s, .file = path, .err = err};
  int code = put(&c, "", 0);
  return code == SMTPF_OK ? read_file(s, path, NULL, err) : code;
}

void smtpf_policy_source_free(smtpf_policy_source *s)
{
  smtpf_mem_free(s->mem, s->text);
  smtpf_mem_free(s->mem, s->pieces);
  smtpf_arena_clear(&s->names);
  *s = (smtpf_policy_source){.mem = s->mem};
}
