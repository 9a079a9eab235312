/* SPDX-License-Identifier: MIT
 *
 * server: what a daemon with event loops does whatever it speaks: the command line, policies and their reload, sockets,
 * threads, signals, readiness, draining. A program describes itself in a server_program and gives hooks.
 *
 *     process ── arguments, settings, listener     the main thread: signals, policies, sockets
 *       └─ loop                                    a thread each: an epoll set that nests the driver's
 *            └─ the program's hooks                connections, and what is said on them
 *
 * A program's settings and loop are structs of its own that begin with the ones here, in a member `base`.
 * May call: the public headers, its neighbours in common. Never: a program.
 */
#ifndef COMMON_SERVER_H
#define COMMON_SERVER_H

#include <pthread.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "../address.h"
#include "../host_policy.h"
#include "../metrics/metrics.h"
#include "../privileges.h"
#include "../report.h"
#include "../ring.h"
#include "../text.h"

enum { SERVER_LISTEN_MAX = 16, SERVER_LOOPS_MAX = 256 };

/* ---- what a policy says -------------------------------------------------------------------------- */

/* One loaded policy: frozen and counted; every connection keeps the one it began with. */
typedef struct server_settings {
  const struct server_program *program;
  atomic_uint refs;
  smtpf_engine *engine;
  address listen[SERVER_LISTEN_MAX];
  size_t listens;
  mode_t socket_mode;
  gid_t socket_group;    /* (gid_t)-1: as it comes */
  privileges privileges; /* of the process, from the moment that its sockets are open */
  int threads, log_json, explain;
  enum report_which log_verdicts;
  int64_t connections, drain_ms;
  unsigned capabilities; /* of its sessions at best, for `--check` */
  const char *metrics;   /* where they are asked for; NULL: nowhere */
} server_settings;

server_settings *server_settings_ref(server_settings *s);
void server_settings_unref(server_settings *s);

/* ---- the command line ------------------------------------------------------------------------------ */

/* An argument of a program's own: `--NAME VALUE` stands for `--set PATH=VALUE`; without a path the program's `argument`
 * says what it stands for. A table ends with a NULL name. */
typedef struct server_argument {
  const char *name, *path;
  enum { ARGUMENT_VALUE, ARGUMENT_MAY_VALUE, ARGUMENT_ALONE } takes;
} server_argument;

/* Lasts as long as the process. */
typedef struct server_arguments {
  const struct server_program *program;
  host_policy policy; /* file, and whatever is set over it */
  char **made;        /* the strings of policy.set */
  const char *pid_file, *log;
  size_t listens; /* how often --listen was given */
  int ready_fd;   /* -1: none */
  int check, explain;
} server_arguments;

/* For a program's `argument`: `PATH` `how` `VALUE``unit`, as `--set` has it; one more `--listen`. Return -1, or the
 * exit status when there is no memory. */
int server_argument_set(server_arguments *a, const char *path, const char *how, const char *value, const char *unit);
int server_argument_listen(server_arguments *a, const char *where);

/* ---- sockets ---------------------------------------------------------------------------------------- */

/* What an epoll event points to: the first member of everything in the set. */
enum { ITEM_LISTENER = 1, ITEM_DRIVER, ITEM_WAKE, ITEM_OWN /* the program's kinds begin here */ };
typedef struct item {
  int kind;
  int fd;
} item;

typedef struct listening {
  item item;
  address at;    /* of an inherited one: what its name says */
  int inherited; /* from systemd: it stays open when we end */
  char path[ADDRESS_TEXT];
  dev_t device; /* of the path, so that a successor's is not removed */
  ino_t inode;
} listening;

/* ---- the process, and its loops ----------------------------------------------------------------------- */

typedef struct server_loop server_loop;

/* Shared by all threads. A program's own begins with it, in a member `base`. */
typedef struct server_process {
  const struct server_program *program;
  server_arguments arguments;
  server_settings *settings; /* the newest; the main thread's */
  int may_execute;           /* programs may still be started */
  server_loop *loops[SERVER_LOOPS_MAX];
  int n;
  listening listener[SERVER_LISTEN_MAX]; /* read-only once threads run */
  size_t listeners;
  metrics *metrics;                /* NULL: nobody may ask */
  metrics_part *counted;           /* what the main thread counts */
  atomic_int_fast64_t connections; /* of programs that ask server_admit() */
  atomic_int running;              /* loops */
  atomic_int draining;             /* 1: to the end of what is open; 2: now */
  atomic_int stopped;              /* loops that take no more connections */
} server_process;

/* What is closed during a turn is freed at its end, so that no event of the same turn meets a dead connection. A
 * connection that may go on is put on the `resume` ring and run once the events have been dealt with: nothing
 * re-enters. */
struct server_loop {
  server_process *process;
  pthread_t thread;
  int started;
  int epoll;
  item wake, driver_item;
  smtpf_driver *driver;
  server_settings *settings;       /* of new connections */
  _Atomic(server_settings *) next; /* a reload's, waiting to be taken */
  ring resume;
  size_t count;                     /* connections; the program counts */
  int64_t now_ms, wall_s, swept_ms; /* of this turn */
  int64_t drain_until;              /* 0 while not draining */
  int listening;
  text log; /* lines of this turn */
  metrics_part *metrics;
};

/* Puts a descriptor into the set: edge-triggered, both directions. 0, or -1 with errno. */
int server_watch(server_loop *l, item *it);
/* The same for input alone, until server_watch_output(): a Unix socket tells of room each time the peer has read. */
int server_watch_input(server_loop *l, item *it);
int server_watch_output(server_loop *l, item *it);
/* Whether the policy's `connections` let one more in, which is counted; else it is closed. Any thread. */
int server_admit(server_loop *l, int fd);
/* One that was let in is over. Any thread. */
void server_dismiss(server_loop *l);
/* server_program.trial of a host that nobody tells what became of a message. */
int server_trial_untold(server_loop *l, unsigned capabilities);
/* Takes it out again; events of this turn may still be to come. */
int server_unwatch(server_loop *l, item *it);
/* Any thread: makes the loop call `woken`, and look at `draining`. */
void server_loop_wake(server_loop *l);

/* ---- a program ------------------------------------------------------------------------------------------ */

typedef struct server_program {
  const char *name, *usage;
  const char *section;         /* of the policy: `proxy` for proxy.listen, proxy.threads ... */
  const char *listen;          /* where, when nothing says it */
  const char *listen_expected; /* what an address looks like */
  const server_argument *arguments;
  /* -1 to go on, else the exit status. `value` is NULL where there is none. NULL: all arguments have a path. */
  int (*argument)(server_arguments *a, const char *name, const char *value);
  host_policy_more unconfigured; /* what is set where no policy file is named. NULL: nothing */
  size_t settings_size, loop_size;

  /* The rest of a loaded policy. SMTPF_OK, or a negative result with `err` filled. */
  int (*read)(server_settings *s, const host_policy *policy, smtpf_error *err);
  /* What must be there before it serves: folders, servers. 0 after a log line when it must not. NULL: nothing. */
  int (*prepare)(server_settings *s);
  void (*forget)(server_settings *s); /* what `read` made; NULL: nothing */

  int (*open)(server_loop *l);   /* its own part, which is zero. SMTPF_OK or a negative result */
  void (*close)(server_loop *l); /* everything that uses the driver; called for what `open` began */
  void (*free)(server_loop *l);  /* the rest, when the driver is gone. NULL: nothing */
  int (*trial)(server_loop *l);  /* whether sessions can be made under this policy; says why not. NULL: they can */

  /* A connection; the descriptor is its own now. */
  void (*accepted)(server_loop *l, const listening *from, int fd, const struct sockaddr *peer);
  /* One that came when no loop takes any more; the main thread. NULL: it is closed. */
  void (*late)(server_process *p, const listening *from, int fd);
  void (*event)(server_loop *l, item *it, uint32_t events); /* of kinds from ITEM_OWN on */
  void (*ready)(smtpf_session *session);                    /* its verdict is there, or it takes more */
  void (*woken)(server_loop *l);                            /* somebody has woken it. NULL: nothing */
  void (*go_on)(ring *link);                                /* of what was on the resume ring */
  void (*sweep)(server_loop *l);                            /* timeouts, four times a second, and in draining */
  int (*busy)(const server_loop *l);                        /* whether more than connections may time out; NULL: no */
  void (*bury)(server_loop *l);                             /* frees what was closed in this turn */
  void (*measure)(server_loop *l);                          /* sets gauges in its metrics. NULL: it has none */

  void (*stopped)(server_process *p); /* all loops have ended: the last log line. NULL: one without figures */
} server_program;

/* From the command line to the exit status. `p` is the program's own, zero but for what it sets. */
int server_main(server_process *p, const server_program *program, int argc, char **argv);

#endif
