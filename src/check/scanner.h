/* SPDX-License-Identifier: MIT
 *
 * The parts of the checks `virus` and `scanner`: what the policy says of each instance (scanner_policy.c), whom a scan
 * is for (scanner_class.c), and what its result is worth (scanner_say.c). They share this file alone.
 */
#ifndef SMTPF_CHECK_SCANNER_H
#define SMTPF_CHECK_SCANNER_H

#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/scan.h>

/* ---- scanner_policy.c: the policy -------------------------------------------------------------------- */

enum scanner_act { SCANNER_DEFER, SCANNER_ACCEPT, SCANNER_TAG, SCANNER_QUARANTINE }; /* words of on_unknown */
enum scanner_per { SCANNER_PER_MESSAGE, SCANNER_PER_PROFILE, SCANNER_PER_RECIPIENT };
enum scanner_user { SCANNER_USER_ADDRESS, SCANNER_USER_LOCAL_PART, SCANNER_USER_PROFILE };

/* One instance. */
typedef struct scanner_rules {
  smtpf_str name, header; /* header: empty for none */
  int sweep;              /* fields of that name that came with the message are removed here, not by a row before */
  int virus, refuse, own_too, edits;
  enum scanner_act on_unknown;
  enum scanner_per per;
  enum scanner_user user;
  uint64_t limit;           /* bytes */
  int32_t score, use_score; /* thousandths; use_score: SMTPF_SCORE_OFF for not at all */
  int64_t timeout_ms, classes;
} scanner_rules;

/* What a check has for `self`: the instances it asks, in the order of the policy. */
typedef struct scanner_set {
  smtpf_mem mem;
  unsigned flags; /* what findings of some instance may carry */
  int64_t patience_ms;
  size_t n;
  scanner_rules list[];
} scanner_set;

enum { SCANNER_ROWS = 16 };
extern const smtpf_option scanner_rows[SCANNER_ROWS];

/* SMTPF_OK, with *set NULL when there is no such instance, or an error. */
int scanner_set_open(void **set, int virus, const smtpf_section *policy, smtpf_error *err);
void scanner_set_close(void *set);

/* ---- scanner_class.c: whom a scan is for --------------------------------------------------------------- */

enum scanner_phase { SCANNER_OPEN = 1, SCANNER_ANSWERED };

/* One scan of the message. */
typedef struct scanner_scan {
  const scanner_rules *rules;
  enum scanner_phase phase;
  smtpf_str user;                  /* whose settings; empty for the site's */
  size_t *members;                 /* recipients, from 1, as smtpf_task_recipient() counts */
  size_t n_members;                /* how many */
  int for_all;                     /* they are all there are */
  const smtpf_scan_result *result; /* ANSWERED; in memory of the task */
} scanner_scan;

/* The scans of one message by all instances of a set. */
typedef struct scanner_plan {
  size_t open;  /* scans without a result */
  uint64_t fed; /* bytes of the message so far */
  int complete; /* the message is */
  size_t n;
  scanner_scan *scans; /* in the order of the policy, then of the recipients */
} scanner_plan;

/* NULL without memory. `own`: the client is one of ours. */
scanner_plan *scanner_plan_make(const scanner_set *set, smtpf_task *t, int own);
/* The addresses of a scan's recipients, in memory of the task; NULL without memory. */
const smtpf_str *scanner_addresses(smtpf_task *t, const scanner_scan *scan);

/* ---- scanner_say.c: what a result is worth -------------------------------------------------------------- */

/* Keeps a result. SMTPF_OK or SMTPF_ENOMEM. */
int scanner_keep(scanner_plan *plan, scanner_scan *scan, smtpf_task *t, const smtpf_scan_result *result);
/* The same for a scan that gives none: unknown. */
int scanner_give_up(scanner_plan *plan, scanner_scan *scan, smtpf_task *t, const char *cause);
/* Removes fields that a foreigner could have put there in a scanner's name. */
int scanner_sweep(const scanner_set *set, smtpf_task *t);
/* Reports every scan of a plan, all ANSWERED; `size`: of the message. */
int scanner_report(const scanner_plan *plan, smtpf_task *t, uint64_t size);

#endif
