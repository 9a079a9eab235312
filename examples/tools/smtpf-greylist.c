/* SPDX-License-Identifier: MIT
 *
 * smtpf-greylist: looks into the greylist, and changes it, while the hosts run.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "greylist.h"

static const char usage[] =
    "usage: smtpf-greylist -c POLICY COMMAND\n"
    "  list [--client TEXT] [--sender TEXT] [--recipient TEXT] [--state STATE] [--kind triplet|client]\n"
    "       [--sort first|last|passes|client|sender|recipient] [--reverse] [--json]\n"
    "  show WORD | show CLIENT SENDER RECIPIENT [--json]\n"
    "  allow CLIENT...   deny CLIENT...   forget CLIENT | forget --client TEXT ...\n"
    "  stats [--json]    watch [SECONDS] [--json]    expire\n"
    "  export            import FILE|-               merge OTHER_POLICY\n";

static const struct {
  const char *name;
  int (*run)(store *s, const request *q);
  int least, most; /* words behind it */
} commands[] = {
    {"list", command_list, 0, 0},     {"show", command_show, 1, 3},     {"stats", command_stats, 0, 0},
    {"watch", command_watch, 0, 1},   {"allow", command_allow, 1, 100}, {"deny", command_deny, 1, 100},
    {"forget", command_forget, 0, 1}, {"expire", command_expire, 0, 0}, {"export", command_export, 0, 0},
    {"import", command_import, 1, 1}, {"merge", command_merge, 1, 1},
};

enum { CLIENT = 256, SENDER, RECIPIENT, STATE, KIND, SORT, REVERSE, JSON, HELP, VERSION };

static int is_one_of(const char *word, const char *const *words)
{
  while (*words && strcmp(*words, word))
    words++;
  return *words != NULL;
}

static int take_option(request *q, int option)
{
  static const char *const sorts[] = {"first", "last", "passes", "client", "sender", "recipient", NULL};
  switch (option) {
  case 'c': q->policy = optarg; return 1;
  case CLIENT: q->filter.client = optarg; return 1;
  case SENDER: q->filter.sender = optarg; return 1;
  case RECIPIENT: q->filter.recipient = optarg; return 1;
  case STATE: q->filter.state = optarg; return entry_is_state(optarg);
  case KIND:
    q->filter.kind = !strcmp(optarg, "triplet")  ? SMTPF_GREYLIST_TRIPLET
                     : !strcmp(optarg, "client") ? SMTPF_GREYLIST_CLIENT
                                                 : 0;
    return q->filter.kind != 0;
  case SORT: q->sort = optarg; return is_one_of(optarg, sorts);
  case REVERSE: return q->reverse = 1;
  case JSON: return q->json = 1;
  case HELP: fputs(usage, stdout); exit(DONE);
  case VERSION: printf("smtpf-greylist %s\n", smtpf_version()); exit(DONE);
  default: return 0;
  }
}

static int read_options(request *q, int argc, char **argv)
{
  static const struct option options[] = {
      {"client", required_argument, NULL, CLIENT},
      {"sender", required_argument, NULL, SENDER},
      {"recipient", required_argument, NULL, RECIPIENT},
      {"state", required_argument, NULL, STATE},
      {"kind", required_argument, NULL, KIND},
      {"sort", required_argument, NULL, SORT},
      {"reverse", no_argument, NULL, REVERSE},
      {"json", no_argument, NULL, JSON},
      {"help", no_argument, NULL, HELP},
      {"version", no_argument, NULL, VERSION},
      {NULL, 0, NULL, 0},
  };
  int option;
  while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1)
    if (!take_option(q, option))
      return 0;
  return q->policy && optind < argc;
}

int main(int argc, char **argv)
{
  request q = {0};
  store s = {0};
  size_t i = 0;
  if (!read_options(&q, argc, argv)) {
    fputs(usage, stderr);
    return FAILED;
  }
  const char *name = argv[optind];
  q.words = argv + optind + 1;
  q.n_words = argc - optind - 1;
  while (i < sizeof commands / sizeof *commands && strcmp(commands[i].name, name))
    i++;
  if (i == sizeof commands / sizeof *commands || q.n_words < commands[i].least || q.n_words > commands[i].most ||
      (commands[i].run == command_show && q.n_words == 2)) {
    fputs(usage, stderr);
    return FAILED;
  }
  int status = store_open(&s, q.policy);
  if (!status)
    status = commands[i].run(&s, &q);
  store_close(&s);
  return status;
}
