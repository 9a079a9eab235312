# SPDX-License-Identifier: MIT
# programs: short examples, hosts, tools. Included by the Makefile.am of the whole house.

# ---- examples -----------------------------------------------------------------------------------------
EXAMPLES = examples/01-sync examples/02-callback examples/03-own-check examples/04-own-directory \
	examples/05-own-scanner
check_PROGRAMS += $(EXAMPLES)
TESTS += tests/examples.sh
EXTRA_DIST += tests/examples.sh
examples_01_sync_SOURCES = examples/01-sync.c
examples_01_sync_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
examples_01_sync_LDADD = libsmtpfilter.la
examples_02_callback_SOURCES = examples/02-callback.c
examples_02_callback_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
examples_02_callback_LDADD = libsmtpfilter.la
examples_03_own_check_SOURCES = examples/03-own-check.c
examples_03_own_check_LDADD = libsmtpfilter.la
examples_04_own_directory_SOURCES = examples/04-own-directory.c
examples_04_own_directory_LDADD = libsmtpfilter.la
EXAMPLES += examples/06-poll
examples_06_poll_SOURCES = examples/06-poll.c
examples_06_poll_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
examples_06_poll_LDADD = libsmtpfilter.la
EXTRA_DIST += examples/07-libuv.c
if HAVE_LIBUV
EXAMPLES += examples/07-libuv
examples_07_libuv_SOURCES = examples/07-libuv.c
examples_07_libuv_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE $(LIBUV_CFLAGS)
examples_07_libuv_LDADD = libsmtpfilter.la $(LIBUV_LIBS)
endif
examples_05_own_scanner_SOURCES = examples/05-own-scanner.c
examples_05_own_scanner_LDADD = libsmtpfilter.la

# ---- examples/common: what the host programs share -----------------------------------------------------------
noinst_LTLIBRARIES += libhost.la
libhost_la_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
libhost_la_CFLAGS = $(AM_CFLAGS) -pthread
libhost_la_SOURCES = examples/common/address.c examples/common/address.h \
	examples/common/edits.c examples/common/edits.h examples/common/host_options.c examples/common/host_options.h \
	examples/common/host_policy.c examples/common/host_policy.h examples/common/log.c examples/common/log.h \
	examples/common/metrics/expose.c examples/common/metrics/metrics.c examples/common/metrics/metrics.h \
	examples/common/metrics/parts.h examples/common/metrics/serve.c examples/common/metrics/series.c examples/common/metrics/series.h \
	examples/common/notify.c examples/common/notify.h examples/common/print.c examples/common/print.h \
	examples/common/privileges.c examples/common/privileges.h examples/common/report.c examples/common/report.h \
	examples/common/ring.h \
	examples/common/server/arguments.c examples/common/server/listener.c examples/common/server/loop.c \
	examples/common/server/parts.h examples/common/server/process.c examples/common/server/server.h \
	examples/common/server/settings.c examples/common/spool.c examples/common/spool.h \
	examples/common/text.c examples/common/text.h

# ---- examples/tools: smtpf-replay, and what the transcripts are replayed with --------------------------------
noinst_LTLIBRARIES += libreplay.la
libreplay_la_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
libreplay_la_SOURCES = examples/tools/replay.h examples/tools/replay_checks.c examples/tools/replay_defer.c \
	examples/tools/replay_diff.c examples/tools/replay_directive.c examples/tools/replay_facts.c examples/tools/replay_forward.c \
	examples/tools/replay_feed.c examples/tools/replay_hosts.c examples/tools/replay_json.c \
	examples/tools/replay_lint.c examples/tools/replay_ports.c \
	examples/tools/replay_record.c examples/tools/replay_run.c examples/tools/replay_scanner.c examples/tools/replay_script.c \
	examples/tools/replay_store.c examples/tools/replay_text.c
libreplay_la_LIBADD = libhost.la
bin_PROGRAMS += smtpf-replay
smtpf_replay_SOURCES = examples/tools/smtpf-replay.c
smtpf_replay_LDADD = libreplay.la libsmtpfilter.la
man1_MANS += docs/man/smtpf-replay.1
EXTRA_DIST += docs/man/smtpf-replay.1

# ---- examples/tools: smtpf-ledger ----------------------------------------------------------------------------
bin_PROGRAMS += smtpf-ledger
smtpf_ledger_SOURCES = examples/tools/smtpf-ledger.c
smtpf_ledger_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
smtpf_ledger_LDADD = libhost.la libsmtpfilter.la
man1_MANS += docs/man/smtpf-ledger.1
EXTRA_DIST += docs/man/smtpf-ledger.1 tests/ledger.sh
TESTS += tests/ledger.sh

# ---- examples/hosts/spool: a host that finds after a crash what it had promised --------------------------------
noinst_PROGRAMS += examples/hosts/spool/spoold
examples_hosts_spool_spoold_SOURCES = examples/hosts/spool/client.c examples/hosts/spool/client.h \
	examples/hosts/spool/main.c examples/hosts/spool/memory.c examples/hosts/spool/memory.h \
	examples/hosts/spool/spool.c examples/hosts/spool/spool.h examples/common/text.c examples/common/text.h
examples_hosts_spool_spoold_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
examples_hosts_spool_spoold_LDADD = libsmtpfilter.la
TESTS += tests/interop/ledger_crash.py
EXTRA_DIST += tests/interop/ledger_crash.py

# ---- examples/hosts/proxy: smtpf-proxy -----------------------------------------------------------------------
# TLS for programs: with OpenSSL, or a stand-in that refuses.
if HAVE_LIBSSL
TLS = examples/common/conduit.c examples/common/conduit.h examples/common/tls.c examples/common/tls.h
else
TLS = examples/common/conduit.c examples/common/conduit.h examples/common/tls_none.c examples/common/tls.h
endif
EXTRA_DIST += examples/common/tls.c examples/common/tls_none.c
if HAVE_CHECK
if HAVE_LIBSSL
check_PROGRAMS += tests/unit/test_tls
TESTS += tests/unit/test_tls
endif
endif
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_proxy_protocol
TESTS += tests/unit/test_proxy_protocol
endif
tests_unit_test_tls_SOURCES = tests/unit/test_tls.c tests/unit/tls_pair.c tests/unit/tls_pair.h examples/common/text.c $(TLS)
tests_unit_test_tls_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE $(CHECK_CFLAGS) $(LIBSSL_CFLAGS)
tests_unit_test_tls_LDADD = $(CHECK_LIBS) $(LIBSSL_LIBS)
PROXY = examples/hosts/proxy
bin_PROGRAMS += smtpf-proxy
smtpf_proxy_SOURCES = $(TLS) $(PROXY)/answer.c $(PROXY)/arrive.c $(PROXY)/auth.c $(PROXY)/auth.h $(PROXY)/client.c $(PROXY)/client.h $(PROXY)/copies.c \
	$(PROXY)/deliver.c $(PROXY)/envelope.c $(PROXY)/envelope.h $(PROXY)/extend.c $(PROXY)/fates.c $(PROXY)/hop.c $(PROXY)/hop.h $(PROXY)/hop_dialogue.c \
	$(PROXY)/hop_dialogue.h $(PROXY)/hop_pool.c $(PROXY)/hop_pool.h $(PROXY)/hop_tls.c $(PROXY)/hop_tls.h $(PROXY)/identity.c $(PROXY)/identity.h \
	$(PROXY)/incoming.c $(PROXY)/incoming.h $(PROXY)/legs.c $(PROXY)/loop.h $(PROXY)/main.c $(PROXY)/message.c $(PROXY)/message.h $(PROXY)/peers.c \
	$(PROXY)/peers.h $(PROXY)/probe.c $(PROXY)/quarantine.c $(PROXY)/quarantine.h $(PROXY)/rcpt.c $(PROXY)/report.c $(PROXY)/routes.c $(PROXY)/routes.h \
	$(PROXY)/settings.c $(PROXY)/settings.h $(PROXY)/target.c $(PROXY)/target.h $(PROXY)/transaction.c $(PROXY)/transaction.h $(PROXY)/xclient.c \
	$(PROXY)/xclient.h
smtpf_proxy_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE $(LIBSSL_CFLAGS)
smtpf_proxy_CFLAGS = $(AM_CFLAGS) -pthread
smtpf_proxy_LDADD = libhost.la libsmtpfilter.la $(LIBSSL_LIBS)
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_proxy
TESTS += tests/unit/test_proxy
endif
tests_unit_test_proxy_SOURCES = tests/unit/test_proxy.c tests/unit/port_run.h examples/common/address.c examples/common/edits.c \
	examples/common/text.c $(PROXY)/envelope.c \
	$(PROXY)/identity.c $(PROXY)/message.c \
	$(PROXY)/peers.c examples/common/spool.c
tests_unit_test_proxy_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE $(CHECK_CFLAGS)
tests_unit_test_proxy_CFLAGS = $(AM_CFLAGS) -pthread
PROXY_TESTS = tests/interop/metrics.py tests/interop/proxy_auth.py tests/interop/proxy_basic.py tests/interop/proxy_split.py tests/interop/proxy_faults.py tests/interop/proxy_forward.py \
	tests/interop/proxy_guide.py tests/interop/proxy_hop_tls.py tests/interop/proxy_identity.py tests/interop/proxy_incoming.py \
	tests/interop/proxy_life.py tests/interop/proxy_privileges.py \
	tests/interop/proxy_routes.py \
	tests/interop/proxy_smuggling.py tests/interop/proxy_threads.py \
	tests/interop/corpus_identity.py tests/interop/forward_live.py tests/interop/many_wills.py tests/interop/scanner_faults.py
systemddir = $(docdir)/systemd
dist_systemd_DATA = examples/systemd/smtpf-milter.service examples/systemd/smtpf-policyd.service examples/systemd/smtpf-proxy.service
man8_MANS += docs/man/smtpf-proxy.8
EXTRA_DIST += docs/man/smtpf-proxy.8
TESTS += $(PROXY_TESTS)
EXTRA_DIST += $(PROXY_TESTS) tests/interop/certificates.py tests/interop/openmetrics.py tests/interop/mta.py tests/interop/dns_server.py tests/interop/exim.py tests/interop/proxy_harness.py tests/interop/scanner_fakes.py tests/interop/scan_overlap.py

# ---- examples/tools: smtpf-greylist --------------------------------------------------------------------------
bin_PROGRAMS += smtpf-greylist
smtpf_greylist_SOURCES = examples/tools/greylist.h examples/tools/greylist_edit.c examples/tools/greylist_entry.c \
	examples/tools/greylist_list.c examples/tools/greylist_store.c examples/tools/smtpf-greylist.c
smtpf_greylist_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
smtpf_greylist_LDADD = libhost.la libsmtpfilter.la
man1_MANS += docs/man/smtpf-greylist.1
EXTRA_DIST += docs/man/smtpf-greylist.1
TESTS += tests/interop/greylist_tool.py
EXTRA_DIST += tests/interop/greylist_tool.py

# ---- examples/hosts/milter: smtpf-milter ---------------------------------------------------------------------
bin_PROGRAMS += smtpf-milter
MILTER = examples/hosts/milter
smtpf_milter_SOURCES = $(MILTER)/answer.c $(MILTER)/changes.c $(MILTER)/connection.c $(MILTER)/connection.h $(MILTER)/dialog.c \
	$(MILTER)/loop.h $(MILTER)/main.c $(MILTER)/message.c $(MILTER)/report.c $(MILTER)/settings.h
smtpf_milter_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
smtpf_milter_CFLAGS = $(AM_CFLAGS) -pthread
smtpf_milter_LDADD = libhost.la libsmtpfilter.la
man8_MANS += docs/man/smtpf-milter.8
EXTRA_DIST += docs/man/smtpf-milter.8
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_milter tests/unit/test_milter_client
TESTS += tests/unit/test_milter tests/unit/test_milter_client
endif
MILTER_TESTS = tests/interop/milter_client.py tests/interop/milter_peer.py tests/interop/milter_postfix.py \
	tests/interop/milter_sendmail.py
TESTS += $(MILTER_TESTS)
EXTRA_DIST += $(MILTER_TESTS) tests/interop/milter.py tests/interop/milter_peer.lua tests/interop/milter_show.py \
	tests/interop/milter_spared.py tests/interop/milter_unanswered.py tests/interop/milter_world.py tests/interop/sendmail_server.py

# ---- examples/hosts/policyd: smtpf-policyd -------------------------------------------------------------------
bin_PROGRAMS += smtpf-policyd
POLICYD = examples/hosts/policyd
smtpf_policyd_SOURCES = $(POLICYD)/alone.c $(POLICYD)/answer.c $(POLICYD)/arguments.c $(POLICYD)/connection.c \
	$(POLICYD)/instance.c $(POLICYD)/main.c $(POLICYD)/policyd.h $(POLICYD)/report.c $(POLICYD)/request.c
smtpf_policyd_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
smtpf_policyd_CFLAGS = $(AM_CFLAGS) -pthread
smtpf_policyd_LDADD = libhost.la libsmtpfilter.la
man8_MANS += docs/man/smtpf-policyd.8
EXTRA_DIST += docs/man/smtpf-policyd.8
TESTS += tests/interop/policyd.py tests/interop/policyd_postfix.py tests/interop/policyd_server.py
EXTRA_DIST += tests/interop/policyd.py tests/interop/policyd_postfix.py tests/interop/policyd_server.py
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_delegation
TESTS += tests/unit/test_delegation
endif

# ---- examples/hosts/opensmtpd: smtpf-opensmtpd ---------------------------------------------------------------
bin_PROGRAMS += smtpf-opensmtpd
OPENSMTPD = examples/hosts/opensmtpd
smtpf_opensmtpd_SOURCES = $(OPENSMTPD)/events.c $(OPENSMTPD)/filter.h $(OPENSMTPD)/main.c $(OPENSMTPD)/message.c \
	$(OPENSMTPD)/report.c $(OPENSMTPD)/talk.c
smtpf_opensmtpd_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
smtpf_opensmtpd_LDADD = libhost.la libsmtpfilter.la
man8_MANS += docs/man/smtpf-opensmtpd.8
EXTRA_DIST += docs/man/smtpf-opensmtpd.8
TESTS += tests/interop/opensmtpd.py
EXTRA_DIST += tests/interop/opensmtpd.py tests/interop/opensmtpd_server.py
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_opensmtpd
TESTS += tests/unit/test_opensmtpd
endif

# ---- examples/hosts/exim: smtpf_exim.so, loaded by Exim ------------------------------------------------------
EXIM = examples/hosts/exim
EXIM_SOURCES = $(EXIM)/asker.h $(EXIM)/client.c $(EXIM)/exim.h $(EXIM)/message.c $(EXIM)/module.c $(EXIM)/outside.c \
	$(EXIM)/scan.c examples/common/text.c examples/common/text.h
EXIM_INSIDE = $(EXIM)/asker.h $(EXIM)/inside.c
EXTRA_DIST += $(EXIM_SOURCES) $(EXIM_INSIDE)
if HAVE_EXIM
eximdir = $(libexecdir)/smtpfilter
exim_LTLIBRARIES = smtpf_exim.la smtpf_exim_policy.la
# What Exim loads takes the codec in: who asks smtpf-milter need not load the library and all that it needs.
smtpf_exim_la_SOURCES = $(EXIM_SOURCES) src/base/str.c src/base/str.h src/wire/milter.c src/wire/milter_client.c
smtpf_exim_la_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/src -isystem /usr/include/exim4 -D_GNU_SOURCE
smtpf_exim_la_LDFLAGS = -module -avoid-version -shared -Wl,-z,nodelete \
	-export-symbols-regex "^(smtpf_(preload|connect|helo|mail|rcpt|predata|prdr|data|notquit)$$|local_scan)"
smtpf_exim_la_LIBADD =
smtpf_exim_policy_la_SOURCES = $(EXIM_INSIDE)
smtpf_exim_policy_la_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
smtpf_exim_policy_la_LDFLAGS = -module -avoid-version -shared -Wl,-z,nodelete -export-symbols-regex "^smtpf_exim_inside$$"
smtpf_exim_policy_la_LIBADD = libhost.la libsmtpfilter.la
endif
TESTS += tests/interop/exim_module.py tests/interop/exim_outside.py
EXTRA_DIST += tests/interop/exim_module.py tests/interop/exim_outside.py docs/guide/exim.md
