/* SPDX-License-Identifier: MIT
 *
 * The type of scanner `command`: a program that reads the message from its standard input, says by its exit status what
 * it found, and in the first line of its output the name of that. No shell is involved. It is started once the message
 * is complete, so that a slow client holds no process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "child.h"
#include "command.h"
#include "pool.h"
#include "port/port.h"

enum { ARGUMENTS = 64, LINE = 256, LOOK_AGAIN = 20 /* ms */ };

typedef struct command command;

/* One process. It outlives its scan by the moment it takes to end. */
typedef struct process {
  smtpf_link in;
  command *of;
  struct command_scan *scan; /* NULL: nobody wants to know */
  smtpf_child child;
  smtpf_op look; /* timer: without a pidfd */
  uint64_t wrote;
  size_t n_line;
  char line[LINE]; /* first bytes of its output */
} process;

typedef struct command_scan {
  command *of;
  smtpf_op op;
  smtpf_link in; /* those that wait */
  process *process;
  smtpf_op timer;
  int waiting, wanted, over;
  int fed; /* it has all of the message */
} command_scan;

struct command {
  smtpf_driver *driver;
  const smtpf_mem *mem;
  smtpf_command_exits exits;
  smtpf_child_spec spec;
  char *argv[ARGUMENTS + 1], *envp[ARGUMENTS + 1];
  int64_t timeout_ms;
  uint64_t output;
  size_t most, n_processes, n_waiting;
  int by_descriptor, serving;
  smtpf_link processes, waiting;
};

static void serve(command *c);

/* ---- results ---------------------------------------------------------------------------------------------------- */

static void report(command_scan *s, const smtpf_scan_result *r)
{
  smtpf_driver *d = s->of->driver;
  if (s->timer)
    smtpf_driver_timer_cancel(d, s->timer);
  s->timer = 0;
  s->over = 1;
  if (s->waiting) {
    smtpf_list_remove(&s->in);
    s->of->n_waiting--;
    s->waiting = 0;
  }
  (void)smtpf_op_scanned(d, s->op, r);
}

static void unknown(command_scan *s, const char *cause, smtpf_str detail)
{
  const smtpf_scan_result r = {.size = sizeof r, .status = SMTPF_SCAN_UNKNOWN, .cause = cause, .detail = detail};
  report(s, &r);
}

/* Nobody wants to know what it says any more. */
static void abandon(command_scan *s)
{
  if (!s->process)
    return;
  smtpf_child_kill(&s->process->child);
  s->process->scan = NULL;
  s->process = NULL;
}

static smtpf_str first_line(const process *p)
{
  smtpf_str rest = {p->line, p->n_line};
  return smtpf_str_trim(smtpf_str_cut(&rest, '\n'));
}

/* It has ended. `status` as waitpid(2) has it; clean only what has read all. */
static void judge(command_scan *s, const process *p, int status)
{
  char room[32];
  smtpf_out o;
  smtpf_scan_result r = {.size = sizeof r, .status = SMTPF_SCAN_UNKNOWN, .cause = "error"};
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, WIFEXITED(status) ? "exit status " : "signal ");
  smtpf_out_uint(&o, (uint64_t)(WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)));
  r.detail = smtpf_out_done(&o);
  const int kind = WIFEXITED(status) ? smtpf_command_exit(&s->of->exits, WEXITSTATUS(status)) : SMTPF_SCAN_UNKNOWN;
  if (kind == SMTPF_SCAN_HIT) {
    r.status = kind;
    r.name = first_line(p);
    r.name = r.name.n ? r.name : SMTPF_LIT("unnamed");
  } else if (kind == SMTPF_SCAN_CLEAN && s->fed && smtpf_child_unread(&p->child) == 0) {
    r.status = kind;
  } else if (kind == SMTPF_SCAN_CLEAN) {
    r.cause = "garbage";
    r.detail = SMTPF_LIT("it ended well before it had read all");
  }
  if (r.status != SMTPF_SCAN_UNKNOWN) {
    r.cause = NULL;
    r.detail = smtpf_str_of(s->of->argv[0]);
    r.seen = smtpf_op_scan_size(s->of->driver, s->op);
  }
  report(s, &r);
}

/* ---- processes -------------------------------------------------------------------------------------------------- */

static void unwatch(process *p, int fd)
{
  if (fd >= 0)
    (void)smtpf_driver_watch(p->of->driver, fd, 0, NULL, NULL);
}

static void free_process(process *p)
{
  command *c = p->of;
  unwatch(p, p->child.in);
  unwatch(p, p->child.out);
  unwatch(p, p->child.pidfd);
  if (p->look)
    smtpf_driver_timer_cancel(c->driver, p->look);
  smtpf_child_close(&p->child);
  smtpf_list_remove(&p->in);
  c->n_processes--;
  smtpf_mem_free(c->mem, p);
}

/* Reads what is there. 0 when it is more than it may write. */
static int read_output(process *p)
{
  char bytes[4096];
  ssize_t n;
  while ((n = read(p->child.out, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR)) {
    if (n < 0)
      continue;
    const size_t room = sizeof p->line - p->n_line, more = (size_t)n < room ? (size_t)n : room;
    memcpy(p->line + p->n_line, bytes, more);
    p->n_line += more;
    p->wrote += (uint64_t)n;
    if (p->wrote > p->of->output)
      return 0;
  }
  if (n == 0)
    unwatch(p, p->child.out); /* it would be readable for ever */
  return 1;
}

static void on_output(void *user, int fd, unsigned events)
{
  process *p = user;
  command_scan *s = p->scan;
  (void)fd;
  (void)events;
  if (read_output(p))
    return;
  unwatch(p, p->child.out);
  if (!s) {
    smtpf_child_kill(&p->child);
    return;
  }
  abandon(s);
  unknown(s, "garbage", SMTPF_LIT("more output than it may write"));
}

static void ended(process *p)
{
  command *c = p->of;
  command_scan *s = p->scan;
  int status = 0;
  const int r = smtpf_child_reap(&p->child, 0, &status);
  if (r == SMTPF_PENDING)
    return;
  if (s) {
    s->process = NULL;
    if (r != SMTPF_OK)
      unknown(s, "error", SMTPF_LIT("somebody else has taken its exit status"));
    else if (!read_output(p))
      unknown(s, "garbage", SMTPF_LIT("more output than it may write"));
    else
      judge(s, p, status);
  }
  free_process(p);
  serve(c);
}

static void on_end(void *user, int fd, unsigned events)
{
  (void)fd;
  (void)events;
  ended(user);
}

static int look_later(process *p);

static void on_look(void *user)
{
  process *p = user;
  p->look = 0;
  if (look_later(p) != SMTPF_OK)
    smtpf_child_kill(&p->child);
  ended(p);
}

static int look_later(process *p)
{
  return smtpf_driver_timer(p->of->driver, LOOK_AGAIN, on_look, p, &p->look);
}

static void on_room(void *user, int fd, unsigned events)
{
  process *p = user;
  (void)fd;
  (void)events;
  unwatch(p, p->child.in);
  if (p->scan)
    (void)smtpf_op_scan_room(p->of->driver, p->scan->op);
}

static int watch_all(process *p)
{
  smtpf_driver *d = p->of->driver;
  int r = smtpf_driver_watch(d, p->child.out, SMTPF_FD_READ, on_output, p);
  if (r == SMTPF_OK)
    r = p->child.pidfd >= 0 ? smtpf_driver_watch(d, p->child.pidfd, SMTPF_FD_READ, on_end, p) : look_later(p);
  return r;
}

/* The file with an offset of its own, and not to be written to. */
static int message_file(command_scan *s)
{
  return s->of->by_descriptor ? smtpf_scan_file_again(smtpf_op_scan_fd(s->of->driver, s->op)) : -1;
}

/* Nothing is judged: what cannot be started is unknown. */
static void begin(command_scan *s)
{
  command *c = s->of;
  process *p = smtpf_mem_zalloc(c->mem, sizeof *p);
  const int file = p ? message_file(s) : -1;
  const int r = p ? smtpf_child_start(&p->child, &c->spec, file) : SMTPF_ENOMEM;
  if (file >= 0)
    (void)close(file);
  if (r != SMTPF_OK) {
    smtpf_mem_free(c->mem, p);
    unknown(s, "resources", SMTPF_LIT("no process could be started"));
    return;
  }
  p->of = c;
  p->scan = s;
  s->process = p;
  s->fed = file >= 0;
  smtpf_list_append(&c->processes, &p->in);
  c->n_processes++;
  if (watch_all(p) != SMTPF_OK) {
    abandon(s);
    int status;
    (void)smtpf_child_reap(&p->child, 1, &status);
    free_process(p);
    unknown(s, "resources", SMTPF_LIT("no memory"));
  } else if (file < 0 && smtpf_op_scan_again(c->driver, s->op) == SMTPF_EIO) {
    abandon(s);
    unknown(s, "spool", SMTPF_LIT("the message cannot be read again"));
  }
}

static void serve(command *c)
{
  if (c->serving)
    return;
  c->serving = 1;
  while (!smtpf_list_empty(&c->waiting) && c->n_processes < c->most) {
    command_scan *s = SMTPF_OF(c->waiting.next, command_scan, in);
    smtpf_list_remove(&s->in);
    c->n_waiting--;
    s->waiting = 0;
    begin(s);
  }
  c->serving = 0;
}

static void on_deadline(void *user)
{
  command_scan *s = user;
  const int had_none = !s->process;
  s->timer = 0;
  abandon(s);
  unknown(s, "timeout", had_none ? SMTPF_LIT("too many processes run already") : SMTPF_LIT("it did not end in time"));
}

/* ---- a scan ----------------------------------------------------------------------------------------------------- */

static int open_scan(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  command *c = self;
  (void)request;
  command_scan *s = smtpf_mem_zalloc(c->mem, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->of = c;
  s->op = op;
  smtpf_list_init(&s->in);
  *scan = s;
  return SMTPF_OK;
}

static size_t feed(void *scan, const char *bytes, size_t n)
{
  command_scan *s = scan;
  process *p = s->process;
  ssize_t r;
  if (!p || p->child.in < 0)
    return n; /* it is in the spool */
  while ((r = write(p->child.in, bytes, n)) < 0 && errno == EINTR)
    ;
  const size_t took = r > 0 ? (size_t)r : 0;
  if (took < n && smtpf_driver_watch(s->of->driver, p->child.in, SMTPF_FD_WRITE, on_room, p) != SMTPF_OK) {
    abandon(s);
    unknown(s, "resources", SMTPF_LIT("no memory"));
    return n;
  }
  return took;
}

static int finish(void *scan)
{
  command_scan *s = scan;
  command *c = s->of;
  if (s->over)
    return SMTPF_OK;
  if (s->process) {
    unwatch(s->process, s->process->child.in);
    smtpf_child_close_input(&s->process->child);
    s->fed = 1;
    return SMTPF_OK;
  }
  if (c->n_waiting >= SMTPF_SCAN_WAITING) {
    unknown(s, "busy", SMTPF_LIT("too many scans wait already"));
    return SMTPF_OK;
  }
  if (smtpf_driver_timer(c->driver, c->timeout_ms, on_deadline, s, &s->timer) != SMTPF_OK)
    return SMTPF_ENOMEM;
  smtpf_list_append(&c->waiting, &s->in);
  c->n_waiting++;
  s->waiting = 1;
  serve(c);
  return SMTPF_OK;
}

static void close_scan(void *scan)
{
  command_scan *s = scan;
  if (s->waiting)
    s->of->n_waiting--;
  smtpf_list_remove(&s->in);
  if (s->timer)
    smtpf_driver_timer_cancel(s->of->driver, s->timer);
  abandon(s);
  smtpf_mem_free(s->of->mem, s);
}

/* ---- an instance ------------------------------------------------------------------------------------------------ */

static int check(const smtpf_section *settings, smtpf_error *err)
{
  smtpf_command_exits exits;
  const smtpf_str none = {"", 0}, path = smtpf_section_string_at(settings, "command", 0);
  const size_t n = smtpf_section_count(settings, "command"), names = smtpf_section_count(settings, "environment");
  if (n == 0 || path.n == 0 || path.p[0] != '/')
    return smtpf_section_fail(settings, "command", err, SMTPF_EINVAL, n ? "not an absolute path" : "no command", path,
                              "the path of a program, then its arguments");
  if (n > ARGUMENTS)
    return smtpf_section_fail(settings, "command", err, SMTPF_EINVAL, "too many arguments", none, "at most 64");
  if (names > ARGUMENTS)
    return smtpf_section_fail(settings, "environment", err, SMTPF_EINVAL, "too many variables", none, "at most 64");
  for (size_t i = 0; i < names; i++) {
    const smtpf_str text = smtpf_section_string_at(settings, "environment", i);
    const char *equal = text.n ? memchr(text.p, '=', text.n) : NULL;
    if (!equal || equal == text.p)
      return smtpf_section_fail(settings, "environment", err, SMTPF_EINVAL, "not a variable", text, "`NAME=value`");
  }
  return smtpf_command_exits_read(&exits, settings, err);
}

static void *text_at(const smtpf_section *settings, const char *name, size_t i)
{
  return (void *)(uintptr_t)smtpf_section_string_at(settings, name, i).p; /* execve(2) does not write to it */
}

static int start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  (void)shared;
  const smtpf_mem *mem = smtpf_driver_mem(driver);
  command *c = smtpf_mem_zalloc(mem, sizeof *c);
  if (!c)
    return SMTPF_ENOMEM;
  c->driver = driver;
  c->mem = mem;
  smtpf_list_init(&c->processes);
  smtpf_list_init(&c->waiting);
  for (size_t i = 0; i < smtpf_section_count(settings, "command") && i < ARGUMENTS; i++)
    c->argv[i] = text_at(settings, "command", i);
  for (size_t i = 0; i < smtpf_section_count(settings, "environment") && i < ARGUMENTS; i++)
    c->envp[i] = text_at(settings, "environment", i);
  c->spec = (smtpf_child_spec){c->argv, c->envp, (uint64_t)smtpf_section_number(settings, "memory"),
                               (uint64_t)(smtpf_section_number(settings, "cpu") + 999) / 1000};
  c->timeout_ms = smtpf_section_number(settings, "timeout");
  c->output = (uint64_t)smtpf_section_number(settings, "output");
  c->most = (size_t)smtpf_section_number(settings, "connections");
  c->by_descriptor = smtpf_section_number(settings, "descriptor") != 0;
  const int r = c->argv[0] ? smtpf_command_exits_read(&c->exits, settings, NULL) : SMTPF_EINVAL;
  if (r == SMTPF_OK)
    *self = c;
  else
    smtpf_mem_free(mem, c);
  return r;
}

/* Each process is ended and waited for: it takes no longer than the kernel does. */
static void stop(void *self)
{
  command *c = self;
  int status;
  while (!smtpf_list_empty(&c->processes)) {
    process *p = SMTPF_OF(c->processes.next, process, in);
    smtpf_child_kill(&p->child);
    (void)smtpf_child_reap(&p->child, 1, &status);
    free_process(p);
  }
  smtpf_mem_free(c->mem, c);
}

const smtpf_scanner *smtpf_scanner_command(void)
{
  static const smtpf_option options[] = {
      {"scanners[name].command", SMTPF_OPTION_STRINGS, NULL, 0, ARGUMENTS, NULL,
       "Type command: the absolute path of a program and its arguments. It reads the message from its standard input. "
       "No "
       "shell is involved."},
      {"scanners[name].environment", SMTPF_OPTION_STRINGS, NULL, 0, ARGUMENTS, NULL,
       "Type command: `NAME=value`; all of its environment."},
      {"scanners[name].memory", SMTPF_OPTION_SIZE, "1g", 1 << 20, INT64_MAX, NULL,
       "Type command: address space it may use."},
      {"scanners[name].cpu", SMTPF_OPTION_TIME, "60s", 1000, 86400000, NULL, "Type command: CPU time it may use."},
      {"scanners[name].output", SMTPF_OPTION_SIZE, "64k", 256, 1 << 30, NULL,
       "Type command: how much it may write. The first line is the name of what it found."},
      {"scanners[name].exit_clean", SMTPF_OPTION_STRING, "0", 0, 0, NULL,
       "Type command: exit statuses that mean clean, `0` or `0,4,10-12`. What is in neither list is unknown."},
      {"scanners[name].exit_hit", SMTPF_OPTION_STRING, "1", 0, 0, NULL,
       "Type command: exit statuses that mean that something was found."},
  };
  static const smtpf_scanner table = {sizeof table, "command",  options,   sizeof options / sizeof *options,
                                      check,        start,      open_scan, feed,
                                      finish,       close_scan, stop,      NULL};
  return &table;
}
