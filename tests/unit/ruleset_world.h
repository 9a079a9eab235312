/* SPDX-License-Identifier: MIT
 *
 * ruleset_world: the check rules over a file of rules that a test writes.
 */
#ifndef RULESET_WORLD_H
#define RULESET_WORLD_H

#include "fake_check.h"

extern smtpf_task ruleset;
extern smtpf_error ruleset_err; /* of the last ruleset_load() */
extern char ruleset_file[];

void ruleset_fresh(void);
void ruleset_done(void);
int ruleset_load(const char *text); /* what fake_open() says */
void ruleset_must_load(const char *text);

TCase *ruleset_file_case(void);

#endif
