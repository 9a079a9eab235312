/* SPDX-License-Identifier: MIT
 *
 * The one file that wires the house together: the built-in checks into a new configuration, the default ports into a
 * new driver.
 */
#include <string.h>

#include <smtpfilter/version.h>

#include "check/checks.h"
#include "core/config.h"
#include "core/driver.h"
#include "port.h"
#include "port/callout/callout.h"
#include "port/store/stores.h"

const char *smtpf_version(void)
{
  return SMTPF_VERSION_STRING;
}

/* Types of scanners a policy may name. */
static const smtpf_scanner *(*const scanners[])(void) = {
    smtpf_scanner_clamd, smtpf_scanner_command, smtpf_scanner_icap, smtpf_scanner_rspamd, smtpf_scanner_spamd,
};

/* What the default ports ask of a policy. */
static int check_policy(const smtpf_section *policy, smtpf_error *err)
{
  const int r = smtpf_store_check_policy(policy, err);
  return r == SMTPF_OK ? smtpf_callout_check_policy(policy, err) : r;
}

int smtpf_config_new(smtpf_config **out, const smtpf_mem *mem)
{
  smtpf_config *cfg;
  int r = smtpf_config_create(&cfg, mem);
  if (r != SMTPF_OK)
    return r;
  for (size_t i = 0; r == SMTPF_OK && i < smtpf_checks_count; i++)
    r = smtpf_config_add_check(cfg, smtpf_checks[i]);
  for (size_t i = 0; r == SMTPF_OK && i < sizeof scanners / sizeof *scanners; i++)
    r = smtpf_config_add_scanner(cfg, scanners[i](), NULL);
  if (r != SMTPF_OK) {
    smtpf_config_free(cfg);
    return r;
  }
  cfg->ports = check_policy;
  cfg->clock = smtpf_clock_system();
  cfg->read_file = smtpf_file_read;
  *out = cfg;
  return SMTPF_OK;
}

int smtpf_driver_new(smtpf_driver **out, smtpf_engine *engine, const smtpf_ports *ports)
{
  smtpf_ports p = {0};
  if (ports)
    memcpy(&p, ports, ports->size < sizeof p ? ports->size : sizeof p);
  p.size = sizeof p;
  if (!p.clock)
    p.clock = smtpf_clock_system();
  if (!p.random)
    p.random = smtpf_random_system();
  if (!p.poller)
    p.poller = smtpf_poller_epoll();
  if (!p.resolver)
    p.resolver = smtpf_resolver_cares();
  if (!p.directory)
    p.directory = smtpf_directory_policy();
  if (!p.store)
    p.store = smtpf_store_of_policy(engine);
  if (!p.spool)
    p.spool = smtpf_spool_file();
  if (!p.crypto)
    p.crypto = smtpf_crypto_openssl();
  if (!p.callout)
    p.callout = smtpf_callout_smtp();
  return smtpf_driver_create(out, engine, &p);
}
