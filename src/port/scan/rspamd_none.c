/* SPDX-License-Identifier: MIT
 *
 * In a build without libcurl or jansson, in the place of the rspamd scanner: a policy that names it does not load.
 */
#include "port/port.h"
#include "rspamd.h"

static int check(const smtpf_section *settings, smtpf_error *err)
{
  return smtpf_section_fail(settings, "type", err, SMTPF_EUNSUPPORTED, "this build has no rspamd scanner",
                            SMTPF_LIT("rspamd"), "a build with libcurl and jansson (configure --with-rspamd)");
}

static int start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  (void)shared;
  (void)driver;
  (void)settings;
  (void)self;
  return SMTPF_EUNSUPPORTED;
}

static int open_scan(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  (void)self;
  (void)op;
  (void)request;
  (void)scan;
  return SMTPF_EUNSUPPORTED;
}

static size_t feed(void *scan, const char *bytes, size_t n)
{
  (void)scan;
  (void)bytes;
  return n;
}

static int finish(void *scan)
{
  (void)scan;
  return SMTPF_EUNSUPPORTED;
}

static void end(void *any)
{
  (void)any;
}

const smtpf_scanner *smtpf_scanner_rspamd(void)
{
  static const smtpf_scanner type = {
      sizeof type, "rspamd", smtpf_rspamd_rows, SMTPF_RSPAMD_ROWS, check, start, open_scan, feed, finish, end,
      end,         NULL};
  return &type;
}
