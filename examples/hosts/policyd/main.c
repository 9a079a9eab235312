/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <smtpfilter/ext/check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../../common/host_policy.h"
#include "policyd.h"

enum { SETS_MAX = 64, SET_BYTES = 1100 };

/* The command line. Options of postgrey's set the options of the policy that mean the same. */
struct arguments {
  host_policy policy;
  const char *listen[LISTEN_MAX]; /* as --unix and --inet gave them, in turn */
  int is_unix[LISTEN_MAX];
  size_t n_listen;
  char sets[SETS_MAX][SET_BYTES]; /* what policy.set points to */
  const char *set[SETS_MAX];
  int check;
};

static const char usage[] =
    "usage: smtpf-policyd [-c POLICY] [--unix PATH] [--inet [HOST:]PORT] [--check]\n"
    "       [--delay SECONDS] [--max-age DAYS] [--retry-window DAYS|HOURSh] [--auto-whitelist-clients N]\n"
    "       [--lookup-by-host] [--whitelist-clients FILE] [--whitelist-recipients FILE]\n"
    "       [--dbdir DIRECTORY] [--ipv4cidr BITS] [--ipv6cidr BITS]\n";

/* ---- the policy -------------------------------------------------------------------------------------- */

/* Without a policy of the postmaster's it does what postgrey does: Postfix has judged all else, and knows for whom it
 * takes mail. So `relay` and `recipient`, which no policy may switch off, give way to checks that find nothing. */
static const char *const alone[][2] = {
    {"profiles[\"default\"].greylist", "true"}, {"check.disable", "helo"},  {"check.disable", "early_talk"},
    {"check.disable", "null_sender"},           {"check.disable", "iprev"},
};

static int idle_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  (void)self;
  (void)policy;
  (void)err;
  return SMTPF_OK;
}

static int idle_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)t;
  (void)ev;
  return SMTPF_OK;
}

static void idle_close(void *self)
{
  (void)self;
}

#define IDLE(as)                                                                                                       \
  {                                                                                                                    \
    .size = sizeof(smtpf_check), .name = as, .stages = SMTPF_RCPT, .open = idle_open, .run = idle_run,                 \
    .close = idle_close, .family = SMTPF_FAMILY_ENVELOPE                                                               \
  }

static const smtpf_check judged[] = {IDLE("relay"), IDLE("recipient")};

static int stand_alone(smtpf_config *cfg, void *user, smtpf_error *err)
{
  (void)user;
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < sizeof judged / sizeof *judged; i++)
    r = smtpf_config_add_check(cfg, &judged[i]);
  for (size_t i = 0; r == SMTPF_OK && i < sizeof alone / sizeof *alone; i++)
    r = strcmp(alone[i][0], "check.disable") ? smtpf_config_set(cfg, alone[i][0], alone[i][1], err)
                                             : smtpf_config_append(cfg, alone[i][0], alone[i][1], err);
  return r;
}

static smtpf_engine *load(struct arguments *a)
{
  a->policy.before = a->policy.file ? NULL : stand_alone;
  a->policy.set = a->set;
  return host_policy_engine(&a->policy);
}

static void use_options(server *s, const smtpf_engine *engine)
{
  static const char *const states[] = {"data", "end-of-message", "never", NULL}; /* as enum decide */
  s->decide = (enum decide)host_choice(engine, "policyd.decide", states);
  s->instances.max = (size_t)host_number(engine, "policyd.instances", 2000);
  s->instances.keep_ms = host_number(engine, "policyd.instance_timeout", 15 * 60 * 1000);
}

void policy_reload(server *s)
{
  smtpf_engine *engine = load(s->arguments);
  fprintf(stderr, "smtpf-policyd: %s\n", engine ? "new policy" : "the old policy serves on");
  metrics_count(s->metrics, METRICS_RELOADS, engine ? "taken" : "failed", NULL);
  if (engine) {
    smtpf_driver_set_engine(s->driver, engine);
    use_options(s, engine);
  }
  smtpf_engine_unref(engine);
}

/* ---- the command line ---------------------------------------------------------------------------------- */

enum {
  INET = 256,
  UNIX,
  CHECK,
  DELAY,
  MAX_AGE,
  RETRY,
  AUTO,
  BY_HOST,
  CLIENTS,
  RECIPIENTS,
  DBDIR,
  IP4,
  IP6,
  HELP,
  VERSION
};

static int set(struct arguments *a, const char *path, const char *value, const char *unit)
{
  const size_t i = a->policy.sets;
  const char *how = strstr(path, "_files") ? "+=" : "=";
  if (i == SETS_MAX || snprintf(a->sets[i], SET_BYTES, "%s%s%s%s", path, how, value, unit) >= SET_BYTES)
    return 0;
  a->set[a->policy.sets++] = a->sets[i];
  return 1;
}

static int add_listener(struct arguments *a, const char *where, int is_unix)
{
  if (a->n_listen == LISTEN_MAX)
    return 0;
  a->is_unix[a->n_listen] = is_unix;
  a->listen[a->n_listen++] = where;
  return 1;
}

/* `2` is days, `35h` hours. */
static int retry_window(struct arguments *a, const char *value)
{
  return set(a, "greylist.window", value, strchr(value, 'h') ? "" : "d");
}

static int take_option(struct arguments *a, int option)
{
  switch (option) {
  case 'c': a->policy.file = optarg; return 1;
  case INET: return add_listener(a, optarg, 0);
  case UNIX: return add_listener(a, optarg, 1);
  case CHECK: return a->check = 1;
  case DELAY: return set(a, "greylist.wait", optarg, "s") && set(a, "budget.wait", optarg, "s");
  case MAX_AGE: return set(a, "greylist.memory", optarg, "d");
  case RETRY: return retry_window(a, optarg);
  case AUTO: return set(a, "greylist.auto_allow", optarg ? optarg : "5", "");
  case BY_HOST: return set(a, "greylist.identity", "prefix", "") && set(a, "greylist.ip4_prefix", "32", "");
  case CLIENTS: return set(a, "greylist.allow_clients_files", optarg, "");
  case DBDIR: return set(a, "store.type", "lmdb", "") && set(a, "store.path", optarg, "");
  case IP4: return set(a, "greylist.identity", "prefix", "") && set(a, "greylist.ip4_prefix", optarg, "");
  case IP6: return set(a, "greylist.ip6_prefix", optarg, "");
  case RECIPIENTS: return set(a, "greylist.allow_recipients_files", optarg, "");
  case HELP: fputs(usage, stdout); exit(EXIT_SUCCESS);
  case VERSION: printf("smtpf-policyd %s\n", smtpf_version()); exit(EXIT_SUCCESS);
  default: return 0;
  }
}

static int read_arguments(struct arguments *a, int argc, char **argv)
{
  static const struct option options[] = {
      {"inet", required_argument, NULL, INET},
      {"unix", required_argument, NULL, UNIX},
      {"check", no_argument, NULL, CHECK},
      {"delay", required_argument, NULL, DELAY},
      {"max-age", required_argument, NULL, MAX_AGE},
      {"retry-window", required_argument, NULL, RETRY},
      {"auto-whitelist-clients", optional_argument, NULL, AUTO},
      {"lookup-by-host", no_argument, NULL, BY_HOST},
      {"whitelist-clients", required_argument, NULL, CLIENTS},
      {"whitelist-recipients", required_argument, NULL, RECIPIENTS},
      {"dbdir", required_argument, NULL, DBDIR},
      {"ipv4cidr", required_argument, NULL, IP4},
      {"ipv6cidr", required_argument, NULL, IP6},
      {"help", no_argument, NULL, HELP},
      {"version", no_argument, NULL, VERSION},
      {NULL, 0, NULL, 0},
  };
  int option;
  while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1)
    if (!take_option(a, option))
      return 0;
  return optind == argc;
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static int listen_everywhere(server *s, const smtpf_engine *engine)
{
  const struct arguments *a = s->arguments;
  smtpf_str where;
  for (size_t i = 0; i < a->n_listen; i++)
    if (a->is_unix[i] ? server_listen_unix(s, a->listen[i]) : server_listen_inet(s, a->listen[i]))
      return -1;
  for (size_t i = 0; !a->n_listen && smtpf_engine_option(engine, "policyd.listen", i, &where) == SMTPF_OK; i++)
    if (server_listen(s, where))
      return -1;
  return s->n_listeners ? 0 : server_listen_inet(s, "127.0.0.1:10023");
}

static int start(server *s, smtpf_engine *engine)
{
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  s->epoll = epoll_create1(EPOLL_CLOEXEC);
  s->signals = (item){SIGNALS, signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC)};
  const int r = smtpf_driver_new(&s->driver, engine, NULL);
  if (r != SMTPF_OK || s->epoll < 0 || s->signals.fd < 0) {
    fprintf(stderr, "smtpf-policyd: %s\n", r != SMTPF_OK ? smtpf_strerror(r) : strerror(errno));
    return -1;
  }
  smtpf_driver_set_ready(s->driver, request_ready, s);
  use_options(s, engine);
  const char *where = host_string(engine, "policyd.metrics", 0);
  if (where && metrics_open(&s->all, where, "smtpf-policyd"))
    return -1;
  s->metrics = metrics_part_new(s->all, s->driver);
  return listen_everywhere(s, engine) || metrics_start(s->all) ? -1 : 0;
}

int main(int argc, char **argv)
{
  static struct arguments a;
  static server s;
  int status = EXIT_FAILURE;
  if (!read_arguments(&a, argc, argv)) {
    fputs(usage, stderr);
    return EXIT_FAILURE;
  }
  smtpf_engine *engine = load(&a);
  if (!engine)
    return EXIT_FAILURE;
  s.arguments = &a;
  if (a.check)
    status = EXIT_SUCCESS;
  else if (!start(&s, engine) && !server_run(&s))
    status = EXIT_SUCCESS;
  server_close(&s);
  metrics_part_leave(s.metrics);
  metrics_close(s.all);
  smtpf_driver_free(s.driver);
  smtpf_engine_unref(engine);
  return status;
}
