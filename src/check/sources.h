/* SPDX-License-Identifier: MIT
 *
 * sources: whom the lists of clients look at at the end of a message: the hosts that gave it to clients whom recipients
 * trust. Several recipients who see the same host share one entry, and one question.
 */
#ifndef SMTPF_CHECK_SOURCES_H
#define SMTPF_CHECK_SOURCES_H

#include <smtpfilter/ext/check.h>

typedef struct sources {
  size_t n; /* different ones */
  smtpf_source *v;
  size_t recipients;
  size_t *of;   /* of each recipient, in order: its place in `v`, from 1; 0: nobody is to be looked at */
  size_t blind; /* recipients with 0 */
} sources;

/* The fact that one of them is listed: its address. */
#define SOURCES_LISTED "source.listed"

/* Whether some recipient of the policy trusts some client: else there is nothing to look at. */
int sources_expected(const smtpf_section *policy);

/* All of them, in memory of the task. SMTPF_OK or SMTPF_ENOMEM. */
int sources_find(smtpf_task *t, sources *out);

/* Reports a finding about one of them (from 0) to all recipients whose it is; it never refuses, and says nothing of the
 * client itself. */
int sources_report(smtpf_task *t, const sources *s, size_t i, const smtpf_finding *f);

#endif
