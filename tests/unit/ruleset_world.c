/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "ruleset_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

smtpf_task ruleset;
char ruleset_file[] = "/tmp/test_check_ruleset.XXXXXX";
smtpf_error ruleset_err;

void ruleset_fresh(void)
{
  fake_reset();
  memcpy(ruleset_file + sizeof ruleset_file - 7, "XXXXXX", 6);
  const int fd = mkstemp(ruleset_file);
  ck_assert_int_ge(fd, 0);
  close(fd);
  fake_set("rules.files", ruleset_file);
}

void ruleset_done(void)
{
  unlink(ruleset_file);
}

int ruleset_load(const char *text)
{
  FILE *f = fopen(ruleset_file, "wb");
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
  ck_assert_int_eq(fclose(f), 0);
  ruleset_err = (smtpf_error){.size = sizeof ruleset_err};
  return fake_open(&ruleset, &smtpf_check_rules, &ruleset_err);
}

void ruleset_must_load(const char *text)
{
  ck_assert_msg(ruleset_load(text) == SMTPF_OK, "%d: %s", ruleset_err.line, ruleset_err.text);
  ck_assert_ptr_nonnull(ruleset.self);
}
