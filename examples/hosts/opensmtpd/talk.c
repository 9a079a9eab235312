/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "filter.h"

/* smtpd's own lines are far shorter; one that is not whole by then is not smtpd's. */
#define LINE_MAX_BYTES (1U << 20)

/* Takes up whole lines; what is left moves to the front. 0, or -1 when a line has no end. */
static int take_lines(filter *f)
{
  size_t at = 0;
  char *lf;
  while ((lf = memchr(f->in.p + at, '\n', f->in.n - at)) != NULL) {
    const size_t n = (size_t)(lf - (f->in.p + at));
    event_line(f, (smtpf_str){f->in.p + at, n});
    at += n + 1;
  }
  memmove(f->in.p, f->in.p + at, f->in.n - at);
  f->in.n -= at;
  return f->in.n > LINE_MAX_BYTES ? -1 : 0;
}

int talk_read(filter *f)
{
  enum { BLOCK = 65536, ROUNDS = 16 };
  for (int i = 0; i < ROUNDS; i++) {
    if (!text_room(&f->in, BLOCK))
      return 0; /* smtpd keeps it for us */
    const ssize_t n = read(STDIN_FILENO, f->in.p + f->in.n, BLOCK);
    if (n < 0)
      return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
      return -1;
    f->in.n += (size_t)n;
    if (take_lines(f))
      return -1;
  }
  return 0;
}

/* What has been written makes room, once it is more than what has not: else a pipe that is never empty would grow. */
static void make_room(filter *f)
{
  if (f->out_at < f->out.n - f->out_at)
    return;
  memmove(f->out.p, f->out.p + f->out_at, f->out.n - f->out_at);
  f->out.n -= f->out_at;
  f->out_at = 0;
}

int talk_write(filter *f)
{
  while (f->out_at < f->out.n) {
    const ssize_t n = write(STDOUT_FILENO, f->out.p + f->out_at, f->out.n - f->out_at);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      make_room(f);
      return 0;
    }
    if (n < 0)
      return -1;
    f->out_at += (size_t)n;
  }
  text_clear(&f->out);
  f->out_at = 0;
  return 0;
}
