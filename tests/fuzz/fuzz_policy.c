/* SPDX-License-Identifier: MIT
 *
 * A policy file, from its bytes to the frozen engine and its lint. The file lies in memory; the only file it can
 * include is itself. What loads must keep what profile.h promises, and what does not must say where and why.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <smtpfilter/engine.h>

#include "base/str.h"
#include "check/checks.h"
#include "core/config.h"
#include "core/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ITSELF "100"

/* libconfig keeps a string that stands before a fault of syntax. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
  return "leak:libconfig.so";
}

enum { ITSELF_FD = 100 };

static void must(int holds)
{
  if (!holds)
    abort();
}

/* Files of this machine are not part of the test: nothing but a name without a folder, and of numbers only its own. */
static int harmless(const uint8_t *data, size_t size)
{
  const uint8_t *p = data, *end = data + size;
  while ((p = memmem(p, (size_t)(end - p), "@include", 8)) != NULL) {
    p += 8;
    const uint8_t *name = memchr(p, '"', (size_t)(end - p));
    const uint8_t *close = name ? memchr(name + 1, '"', (size_t)(end - name - 1)) : NULL;
    if (!close)
      return 1;
    const size_t n = (size_t)(close - name - 1);
    if (n == sizeof ITSELF - 1 && memcmp(name + 1, ITSELF, n) == 0)
      continue;
    for (size_t i = 1; i <= n; i++)
      if (name[i] == '/' || smtpf_is_digit((char)name[i]))
        return 0;
  }
  return 1;
}

static void write_file(const uint8_t *data, size_t size)
{
  const int fd = memfd_create("policy", MFD_CLOEXEC);
  must(fd >= 0 && dup2(fd, ITSELF_FD) == ITSELF_FD);
  close(fd);
  while (size) {
    const ssize_t n = write(ITSELF_FD, data, size);
    must(n > 0);
    data += n;
    size -= (size_t)n;
  }
}

/* Without the checks that read files of their own. */
static smtpf_config *new_config(void)
{
  smtpf_config *cfg;
  must(smtpf_config_create(&cfg, NULL) == SMTPF_OK);
  for (size_t i = 0; i < smtpf_checks_count; i++)
    if (smtpf_checks[i] != &smtpf_check_addrlist && smtpf_checks[i] != &smtpf_check_rules)
      must(smtpf_config_add_check(cfg, smtpf_checks[i]) == SMTPF_OK);
  return cfg;
}

static void check_error(int r, const smtpf_error *err)
{
  must(r < 0 && r != SMTPF_ENOMEM && err->code == r && err->text[0] && err->line >= 0);
  must(memchr(err->text, '\0', sizeof err->text) && memchr(err->file, '\0', sizeof err->file));
  for (const char *p = err->text; *p; p++)
    must((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
}

static void check_profile(const smtpf_engine *e, const smtpf_profile *p)
{
  static const smtpf_path sender = {
      .form = SMTPF_PATH_MAILBOX, .address = {"a@x.example", 11}, .local_part = {"a", 1}, .domain = {"x.example", 9}};
  static const smtpf_ip client = {4, {192, 0, 2, 1}};
  const uint64_t all = e->scopes.n < 64 ? (UINT64_C(1) << e->scopes.n) - 1 : UINT64_MAX;
  must(p->name.p != NULL);
  must(p->fallback == SMTPF_FALLBACK_QUARANTINE || p->fallback == SMTPF_FALLBACK_POSTMASTER);
  must(p->route <= SMTPF_WISH_FORWARD_NONSPAM && (p->route == SMTPF_WISH_MAILBOX || p->forward.n));
  must(!((p->only_from | p->forwarders | p->lists) & ~all));
  must(p->forward_failed <= SMTPF_FAILED_MAILBOX && p->bounces <= SMTPF_BOUNCES_PROVEN);
  must(p->reject_lists <= 1 && p->reject_content <= 1 && p->greylist <= 1 && p->null_sender <= 1);
  for (unsigned i = 0; i < e->n_checks; i++)
    must(smtpf_profile_weight(p, i) <= 1000);
  for (size_t i = 0; i < p->n_allow; i++)
    must(smtpf_engine_entry_sound(p->allow[i]));
  must(smtpf_engine_entry(p, &sender, &client, 1) <= SMTPF_ENTRY_DENY);
}

static void hear(void *user, const char *file, int line, smtpf_str text)
{
  must(line >= 0 && text.n > 0 && (!file || *file));
  ++*(size_t *)user;
}

static void check_engine(const smtpf_engine *e)
{
  static const smtpf_ip clients[] = {{4, {192, 0, 2, 1}}, {6, {0x20, 0x01, 0x0d, 0xb8}}};
  must(e->n_named > 0 && e->n_profiles >= e->n_named && e->site);
  for (size_t i = 0; i < e->n_profiles; i++) {
    check_profile(e, &e->profiles[i]);
    must(i >= e->n_named || smtpf_engine_profile(e, e->profiles[i].name) == &e->profiles[i]);
  }
  for (size_t i = 0; i < smtpf_section_count(e->tree.root, "recipients"); i++)
    must(smtpf_engine_recipient(e, smtpf_section_at(e->tree.root, "recipients", i)->key) != NULL);
  for (size_t i = 0; i < 2; i++) {
    const uint64_t in = smtpf_engine_scopes(e, &clients[i], 1, SMTPF_LIT("alice"), SMTPF_LIT("mx.x.example"));
    must(e->scopes.n == 64 || in >> e->scopes.n == 0);
  }
  size_t heard = 0;
  must(smtpf_engine_lint(e, 0, hear, &heard) == heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (!harmless(data, size))
    return 0;
  write_file(data, size);
  smtpf_config *cfg = new_config();
  smtpf_engine *e = NULL;
  smtpf_error err = {.size = sizeof err};
  int r = smtpf_config_load(cfg, "/proc/self/fd/" ITSELF, &err);
  if (r == SMTPF_OK)
    r = smtpf_engine_new(&e, cfg, &err);
  if (r == SMTPF_OK)
    check_engine(e);
  else
    check_error(r, &err);
  smtpf_engine_unref(e);
  smtpf_config_free(cfg);
  close(ITSELF_FD);
  return 0;
}
