# SPDX-License-Identifier: MIT
# everything `make check` runs. A program without _SOURCES is its own .c file; one without _LDADD is linked
# with every object of the library and libcheck. Included by the Makefile.am of the whole house.

# ---- tests/unit of src/port ----------------------------------------------------------------------------------
PORT_TESTS = tests/unit/test_port_poll tests/unit/test_port_zone tests/unit/test_port_dns tests/unit/test_port_store tests/unit/test_port_lmdb \
	tests/unit/test_port_lmdb_health \
	tests/unit/test_port_lmdb_threads \
	tests/unit/test_port_cares tests/unit/test_port_policy tests/unit/test_port_live \
	tests/unit/test_port_journal tests/unit/test_port_journal_sync
STORE_CONTRACT = tests/unit/store_contract.c tests/unit/store_contract.h
SCAN_WORLD = tests/unit/scan_world.c tests/unit/scan_world.h tests/unit/scan_server.c tests/unit/port_run.h
PORT_FAKE = tests/unit/port_fake.c tests/unit/port_fake.h tests/unit/port_run.h
if HAVE_CHECK
check_PROGRAMS += $(PORT_TESTS)
TESTS += $(PORT_TESTS)
check_PROGRAMS += tests/unit/test_port_scan
TESTS += tests/unit/test_port_scan
tests_unit_test_port_scan_SOURCES = tests/unit/test_port_scan.c $(SCAN_WORLD)
check_PROGRAMS += tests/unit/test_port_scan_types
TESTS += tests/unit/test_port_scan_types
tests_unit_test_port_scan_types_SOURCES = tests/unit/test_port_scan_types.c tests/unit/scan_script.c tests/unit/scan_script.h $(SCAN_WORLD)
check_PROGRAMS += tests/unit/test_port_clamd
TESTS += tests/unit/test_port_clamd
tests_unit_test_port_clamd_SOURCES = tests/unit/test_port_clamd.c $(SCAN_WORLD)
check_PROGRAMS += tests/unit/test_port_clamd_live
TESTS += tests/unit/test_port_clamd_live
tests_unit_test_port_clamd_live_SOURCES = tests/unit/test_port_clamd_live.c tests/unit/clamd_real.h $(SCAN_WORLD)
check_PROGRAMS += tests/unit/test_port_command
TESTS += tests/unit/test_port_command
tests_unit_test_port_command_SOURCES = tests/unit/test_port_command.c $(SCAN_WORLD)
tests_unit_test_port_poll_SOURCES = tests/unit/test_port_poll.c tests/unit/port_run.h
tests_unit_test_port_zone_SOURCES = tests/unit/test_port_zone.c $(PORT_FAKE)
tests_unit_test_port_dns_SOURCES = tests/unit/test_port_dns.c tests/unit/port_packet.h tests/unit/port_run.h
tests_unit_test_port_store_SOURCES = tests/unit/test_port_store.c $(STORE_CONTRACT) $(PORT_FAKE)
tests_unit_test_port_lmdb_threads_SOURCES = tests/unit/test_port_lmdb_threads.c tests/unit/port_run.h
tests_unit_test_port_lmdb_threads_CFLAGS = $(AM_CFLAGS) -pthread
tests_unit_test_port_lmdb_SOURCES = tests/unit/test_port_lmdb.c tests/unit/lmdb_world.h $(STORE_CONTRACT) $(PORT_FAKE)
tests_unit_test_port_lmdb_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
tests_unit_test_port_lmdb_LDADD = libsmtpf_all.la $(CHECK_LIBS) $(LMDB_LIBS)
tests_unit_test_port_lmdb_health_SOURCES = tests/unit/test_port_lmdb_health.c tests/unit/lmdb_world.h $(STORE_CONTRACT) $(PORT_FAKE)
tests_unit_test_port_lmdb_health_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
tests_unit_test_port_lmdb_health_LDADD = libsmtpf_all.la $(CHECK_LIBS) $(LMDB_LIBS)
tests_unit_test_port_cares_SOURCES = tests/unit/test_port_cares.c tests/unit/free_port.h tests/unit/port_dns_server.c \
	tests/unit/port_dns_server.h $(PORT_FAKE)
tests_unit_test_port_policy_SOURCES = tests/unit/test_port_policy.c tests/unit/port_run.h
tests_unit_test_port_live_SOURCES = tests/unit/test_port_live.c tests/unit/free_port.h tests/unit/port_dns_server.c \
	tests/unit/port_dns_server.h tests/unit/port_run.h
tests_unit_test_port_journal_SOURCES = tests/unit/test_port_journal.c tests/unit/journal_world.h tests/unit/port_run.h
tests_unit_test_port_journal_sync_SOURCES = tests/unit/test_port_journal_sync.c tests/unit/journal_world.h $(PORT_FAKE)
endif

TESTS += tests/interop/spamd_icap.py
EXTRA_DIST += tests/interop/harness.py tests/interop/namespace.py tests/interop/spamd_icap.py tests/interop/watched.py tests/interop/hosts_watched.py
TESTS += tests/interop/watched_test.py
EXTRA_DIST += tests/interop/watched_test.py
TESTS += tests/interop/rspamd.py
EXTRA_DIST += tests/interop/rspamd.py
if HAVE_CHECK
if HAVE_RSPAMD
RSPAMD_TESTS = tests/unit/test_port_rspamd tests/unit/test_port_rspamd_answer
check_PROGRAMS += $(RSPAMD_TESTS)
TESTS += $(RSPAMD_TESTS)
tests_unit_test_port_rspamd_SOURCES = tests/unit/test_port_rspamd.c tests/unit/rspamd_world.h tests/unit/http_server.c \
	tests/unit/http_server.h $(PORT_FAKE)
tests_unit_test_port_rspamd_answer_SOURCES = tests/unit/test_port_rspamd_answer.c tests/unit/port_run.h
endif
endif

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_port_scan_replies
TESTS += tests/unit/test_port_scan_replies
endif
tests_unit_test_port_scan_replies_SOURCES = tests/unit/test_port_scan_replies.c tests/unit/port_run.h

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_port_redis_live
TESTS += tests/unit/test_port_redis_live
tests_unit_test_port_redis_live_SOURCES = tests/unit/test_port_redis_live.c tests/unit/free_port.h tests/unit/redis_server.c tests/unit/redis_server.h \
	tests/unit/port_run.h
if HAVE_HIREDIS
REDIS_TESTS = tests/unit/test_port_redis tests/unit/test_port_redis_cluster tests/unit/test_port_redis_faults
REDIS_WORLD = tests/unit/free_port.h tests/unit/redis_server.c tests/unit/redis_server.h tests/unit/redis_world.h $(PORT_FAKE)
check_PROGRAMS += $(REDIS_TESTS)
TESTS += $(REDIS_TESTS)
tests_unit_test_port_redis_SOURCES = tests/unit/test_port_redis.c $(STORE_CONTRACT) $(REDIS_WORLD)
tests_unit_test_port_redis_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
tests_unit_test_port_redis_cluster_SOURCES = tests/unit/test_port_redis_cluster.c $(REDIS_WORLD)
tests_unit_test_port_redis_cluster_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
tests_unit_test_port_redis_faults_SOURCES = tests/unit/test_port_redis_faults.c $(REDIS_WORLD)
tests_unit_test_port_redis_faults_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
endif
endif

check_PROGRAMS += tests/interop/redis_faults
TESTS += tests/interop/redis_faults
tests_interop_redis_faults_SOURCES = tests/interop/redis_faults.c tests/unit/free_port.h tests/unit/redis_server.c tests/unit/redis_server.h
tests_interop_redis_faults_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_interop_redis_faults_LDADD = libsmtpfilter.la
EXTRA_DIST += tests/interop/redis_faults.sh

# ---- tests/unit of the scanner checks -------------------------------------------------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_check_scanner
TESTS += tests/unit/test_check_scanner
tests_unit_test_check_scanner_SOURCES = tests/unit/test_check_scanner.c tests/unit/fake_scanner.c tests/unit/fake_scanner.h
tests_unit_test_check_scanner_CPPFLAGS = -I$(top_srcdir)/include $(CHECK_CFLAGS)
tests_unit_test_check_scanner_LDADD = libsmtpfilter.la $(CHECK_LIBS)
endif

# ---- tests/interop: rules before a corpus of mail -------------------------------------------------------------
check_PROGRAMS += tests/interop/rules_corpus
TESTS += tests/interop/chunking_short.sh
tests_interop_rules_corpus_SOURCES = tests/interop/rules_corpus.c
tests_interop_rules_corpus_LDADD = libsmtpfilter.la
EXTRA_DIST += tests/interop/chunking.sh tests/interop/chunking_short.sh tests/interop/rules_corpus.sh

# ---- tests --------------------------------------------------------------------------------------------
# A test exits 0, 77 (skipped, its last line says why) or anything else; docs/CONTRIBUTING.md says how cases are counted.
TEST_EXTENSIONS = .py .sh
PY_LOG_COMPILER = $(PYTHON)
AM_TESTS_ENVIRONMENT = export CC='$(CC)' CFLAGS='$(CFLAGS)' top_srcdir='$(top_srcdir)' \
	SMTPF_SHARED="$${SMTPF_SHARED-$(abs_top_srcdir)/../shared}"; $(SANITIZED_ENVIRONMENT)
if SANITIZED
SANITIZED_ENVIRONMENT = export SMTPF_SANITIZED=1 CK_FORK=no;
endif
EXTRA_DIST += tests/no-python tests/check.sh tests/tally.py tests/tally_test.py tests/show.txt
TESTS += tests/tally_test.py
TESTS += tests/policy_conf.py
EXTRA_DIST += tests/policy_conf.py examples/demo/demo.py

# ---- tests/lint: what the house's LAW and the style ask for, each a case -----------------------------------
LINTS = tests/lint/layers.py tests/lint/includes.py tests/lint/banned.py tests/lint/sizes.py tests/lint/headers.py \
	tests/lint/symbols.py tests/lint/abi.py tests/lint/documented.py tests/lint/format.py tests/lint/itself.py \
	tests/lint/readme.py tests/lint/guide.py tests/lint/selftest.py
if !SANITIZED
TESTS += $(LINTS)
endif
EXTRA_DIST += $(LINTS) tests/lint/source.py tests/lint/allowed-base.txt tests/lint/allowed-mail.txt tests/lint/allowed-match.txt \
	tests/lint/allowed-policy.txt tests/lint/allowed-forward.txt tests/lint/allowed-core.txt tests/lint/allowed-wire.txt tests/lint/allowed-check.txt \
	tests/abi/manifest.txt

# ---- tests/transcripts, tests/oom: conversations and what must come of them ------------------------------------
check_PROGRAMS += tests/transcripts/run tests/oom/oom
TESTS += tests/transcripts/run tests/oom/oom
TRANSCRIPT = tests/transcripts/transcript.c tests/transcripts/transcript.h
tests_transcripts_run_SOURCES = tests/transcripts/run.c $(TRANSCRIPT)
tests_transcripts_run_LDADD = libreplay.la libsmtpf_all.la
tests_oom_oom_SOURCES = tests/oom/oom.c $(TRANSCRIPT)
tests_oom_oom_LDADD = libreplay.la libsmtpf_all.la
TESTS += tests/transcripts/replay.sh
EXTRA_DIST += tests/transcripts/replay.sh
dist-hook:
	cp $(srcdir)/tests/transcripts/*.md $(srcdir)/tests/transcripts/*.eml $(distdir)/tests/transcripts/
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_session_states
TESTS += tests/unit/test_session_states
endif

# ---- tests/unit of src/wire ----------------------------------------------------------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_wire
TESTS += tests/unit/test_wire
endif
tests_unit_test_wire_SOURCES = tests/unit/suites.h tests/unit/test_wire.c tests/unit/test_wire_bdat.c \
	tests/unit/test_wire_chunks.c tests/unit/test_wire_codec.c tests/unit/test_wire_command.c \
	tests/unit/test_wire_scan.c tests/unit/test_wire_session.c tests/unit/test_wire_smtpc.c \
	tests/unit/test_wire_transfer.c tests/unit/wire_feed.c tests/unit/wire_feed.h tests/unit/wire_suites.h
# What other people's false ends of data and dialogues are given to.
check_PROGRAMS += tests/wire_cat tests/smtp_stdio
tests_wire_cat_SOURCES = tests/wire_cat.c tests/unit/wire_feed.c tests/unit/wire_feed.h
tests_wire_cat_LDADD = libsmtpf_all.la
tests_smtp_stdio_SOURCES = tests/smtp_stdio.c
tests_smtp_stdio_LDADD = libsmtpfilter.la
WIRE_TESTS = tests/unit/test_wire_smuggling.py tests/interop/dialogs.py
TESTS += $(WIRE_TESTS)
EXTRA_DIST += $(WIRE_TESTS)

# ---- tests/unit of src/base and src/mail --------------------------------------------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_base tests/unit/test_mail
TESTS += tests/unit/test_base tests/unit/test_mail
endif
tests_unit_test_base_SOURCES = tests/unit/suites.h tests/unit/test_base.c tests/unit/test_base_cache.c tests/unit/test_base_memory.c \
	tests/unit/test_base_record.c tests/unit/test_base_str.c
tests_unit_test_mail_SOURCES = tests/unit/suites.h tests/unit/test_mail.c tests/unit/test_mail_address.c \
	tests/unit/test_mail_decode.c tests/unit/test_mail_domain.c tests/unit/test_mail_header.c \
	tests/unit/test_mail_ip.c tests/unit/test_mail_reply.c tests/unit/test_mail_trie.c
tests_unit_test_mail_SOURCES += tests/unit/test_mail_field.c tests/unit/test_mail_mime.c
# What the is_email addresses are given to.
check_PROGRAMS += tests/mailbox_check
tests_mailbox_check_SOURCES = tests/mailbox_check.c
tests_mailbox_check_LDADD = libsmtpf_all.la
TESTS += tests/unit/test_mail_isemail.py
EXTRA_DIST += tests/unit/test_mail_isemail.py
# What the messages of others are given to.
check_PROGRAMS += tests/mime_tree
tests_mime_tree_SOURCES = tests/mime_tree.c
tests_mime_tree_LDADD = libsmtpf_all.la
TESTS += tests/unit/test_mail_mime_sets.py
EXTRA_DIST += tests/unit/test_mail_mime_sets.py tests/unit/mime_misses.txt
check_PROGRAMS += tests/field_check
tests_field_check_SOURCES = tests/field_check.c
tests_field_check_LDADD = libsmtpf_all.la
TESTS += tests/unit/test_mail_field_sets.py
EXTRA_DIST += tests/unit/test_mail_field_sets.py tests/unit/field_misses.txt
# What paths and the trie cost; built so that it does not rot.
check_PROGRAMS += tests/bench/bench_mail
tests_bench_bench_mail_SOURCES = tests/bench/bench_mail.c
tests_bench_bench_mail_LDADD = libsmtpf_all.la
check_PROGRAMS += tests/bench/bench_content
tests_bench_bench_content_SOURCES = tests/bench/bench_content.c
tests_bench_bench_content_LDADD = libsmtpf_all.la

# ---- tests/hold: many clients of every kind before smtpf-proxy ------------------------------------------------
check_PROGRAMS += tests/hold/hold
tests_hold_hold_SOURCES = tests/hold/client.c tests/hold/hold.h tests/hold/main.c tests/hold/sink.c tests/hold/wheel.h
tests_hold_hold_LDADD =
TESTS += tests/hold/hold.py
EXTRA_DIST += tests/hold/hold.py

# ---- tests/bench: built by `make check` so that they do not rot, run by bootstrap -----------------------------
BENCHES = tests/bench/bench_greylist tests/bench/policy_echo tests/bench/policy_load tests/bench/sink tests/bench/relay tests/bench/bench_policy tests/bench/bench_session tests/bench/bench_store tests/bench/bench_wire
tests_bench_bench_policy_SOURCES = tests/bench/bench_policy.c
tests_bench_bench_policy_LDADD = libsmtpf_all.la
BENCHES += tests/bench/bench_scanner
tests_bench_bench_scanner_SOURCES = tests/bench/bench_scanner.c tests/unit/clamd_real.h
tests_bench_bench_scanner_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -D_GNU_SOURCE
tests_bench_bench_scanner_LDADD = libsmtpfilter.la
check_PROGRAMS += $(BENCHES)
tests_bench_sink_SOURCES = tests/bench/sink.c tests/bench/net.h
tests_bench_sink_LDADD =
tests_bench_relay_SOURCES = tests/bench/relay.c tests/bench/net.h
tests_bench_relay_LDADD =
tests_bench_bench_greylist_SOURCES = tests/bench/bench_greylist.c tests/bench/triplet.h
tests_bench_bench_greylist_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
tests_bench_bench_greylist_LDADD = libsmtpfilter.la $(LMDB_LIBS)
tests_bench_policy_echo_SOURCES = tests/bench/policy_echo.c tests/bench/net.h
tests_bench_policy_echo_LDADD =
tests_bench_policy_load_SOURCES = tests/bench/policy_load.c tests/bench/net.h tests/bench/triplet.h
tests_bench_policy_load_LDADD =
tests_bench_bench_session_SOURCES = tests/bench/bench_session.c
tests_bench_bench_session_LDADD = libsmtpfilter.la
tests_bench_bench_wire_SOURCES = tests/bench/bench_wire.c
tests_bench_bench_store_SOURCES = tests/bench/bench_store.c $(STORE_WORLD)
tests_bench_bench_store_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) $(LMDB_CFLAGS)
tests_bench_bench_store_LDADD = libsmtpfilter.la $(LMDB_LIBS)
tests_bench_bench_wire_LDADD = libsmtpf_all.la
BENCHES += tests/bench/bench_rules
tests_bench_bench_rules_SOURCES = tests/bench/bench_rules.c tests/bench/bench_rules_peer.h
tests_bench_bench_rules_CPPFLAGS = $(AM_CPPFLAGS) $(PCRE2_CFLAGS) $(HS_CFLAGS)
tests_bench_bench_rules_LDADD = libsmtpfilter.la $(PCRE2_LIBS) $(HS_LIBS)
EXTRA_DIST += tests/bench/rules.txt
BENCHES += tests/bench/milter_load tests/bench/smtp_load
tests_bench_milter_load_SOURCES = tests/bench/milter_load.c tests/bench/net.h
tests_bench_milter_load_LDADD =
tests_bench_smtp_load_SOURCES = tests/bench/smtp_load.c tests/bench/net.h
tests_bench_smtp_load_LDADD =
if HAVE_LIBMILTER
BENCHES += tests/bench/milter_null
endif
tests_bench_milter_null_LDADD = -lmilter -lpthread
EXTRA_DIST += tests/bench/common.py tests/bench/exim_clients.py tests/bench/hosts.py
bench-programs: $(BENCHES) tests/bench/bench_mail tests/bench/bench_content
EXTRA_DIST += tests/bench/run.py
.PHONY: bench-programs

# ---- tests/unit of src/policy and src/core -------------------------------------------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_policy tests/unit/test_core tests/unit/test_core_threads
TESTS += tests/unit/test_policy tests/unit/test_core tests/unit/test_core_threads
endif
tests_unit_test_policy_SOURCES = tests/unit/port_run.h tests/unit/test_policy.h tests/unit/test_policy_budget.c \
	tests/unit/test_policy_judge.c tests/unit/test_policy_members.c tests/unit/test_policy_origin.c \
	tests/unit/test_policy_partition.c \
	tests/unit/test_policy_ledger.c tests/unit/test_policy_main.c tests/unit/test_policy_source.c
tests_unit_test_core_SOURCES = tests/unit/core_world.c tests/unit/core_world.h tests/unit/port_run.h \
	tests/unit/test_core.h tests/unit/test_core_driver.c tests/unit/test_core_main.c \
	tests/unit/test_core_engine.c tests/unit/test_core_epoll.c tests/unit/test_core_lint.c tests/unit/test_core_message.c tests/unit/test_core_ops.c \
	tests/unit/test_core_options.c tests/unit/test_core_oom.c tests/unit/test_core_profiles.c \
	tests/unit/core_store.c tests/unit/core_store.h tests/unit/test_core_commits.c tests/unit/test_core_wants.c tests/unit/test_core_wills.c \
	tests/unit/test_core_scan.c tests/unit/core_scanning.c tests/unit/core_scanning.h tests/unit/test_core_scanning.c tests/unit/test_core_nested.c tests/unit/test_core_scopes.c tests/unit/test_core_session.c tests/unit/test_core_stages.c
tests_unit_test_core_threads_SOURCES = tests/unit/port_run.h tests/unit/test_core_threads.c
tests_unit_test_core_threads_CFLAGS = $(AM_CFLAGS) -pthread

# ---- tests/unit of callouts and forwards ---------------------------------------------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_mail_hosts tests/unit/test_port_callout tests/unit/test_forward_refusal \
	tests/unit/test_forward_report
TESTS += tests/unit/test_mail_hosts tests/unit/test_port_callout tests/unit/test_forward_refusal \
	tests/unit/test_forward_report
endif
tests_unit_test_port_callout_SOURCES = tests/unit/callout_world.c tests/unit/callout_world.h tests/unit/port_run.h \
	tests/unit/test_port_callout.c
tests_unit_test_forward_report_SOURCES = tests/unit/port_run.h tests/unit/suites.h tests/unit/test_forward_report.c
tests_unit_test_forward_refusal_SOURCES = tests/unit/port_run.h tests/unit/suites.h tests/unit/test_forward_refusal.c
tests_unit_test_mail_hosts_SOURCES = tests/unit/port_run.h tests/unit/suites.h tests/unit/test_mail_hosts.c

# ---- tests/unit of signed addresses ---------------------------------------------------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_core_signature tests/unit/test_forward
TESTS += tests/unit/test_core_signature tests/unit/test_forward
endif
tests_unit_test_core_signature_SOURCES = tests/unit/core_world.c tests/unit/core_world.h tests/unit/port_run.h \
	tests/unit/suites.h tests/unit/test_core_signature.c
tests_unit_test_forward_SOURCES = tests/unit/suites.h tests/unit/test_forward.c
check_PROGRAMS += tests/sign_lines
tests_sign_lines_SOURCES = tests/sign_lines.c
tests_sign_lines_LDADD = libsmtpf_all.la
TESTS += tests/unit/test_forward_vectors.py tests/interop/postsrsd.py
EXTRA_DIST += tests/unit/test_forward_vectors.py tests/interop/postsrsd.py

# ---- tests/unit of src/match ---------------------------------------------------------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_match
TESTS += tests/unit/test_match
endif
tests_unit_test_match_SOURCES = tests/unit/match_random.h tests/unit/match_suites.h tests/unit/match_world.h \
	tests/unit/test_match.c tests/unit/test_match_property.c tests/unit/test_match_set.c
tests_unit_test_match_CPPFLAGS = $(AM_CPPFLAGS) $(PCRE2_CFLAGS)
tests_unit_test_match_LDADD = libsmtpf_all.la $(CHECK_LIBS) $(PCRE2_LIBS)

# ---- tests/unit of reply texts -------------------------------------------------------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_text
TESTS += tests/unit/test_text
endif
tests_unit_test_text_SOURCES = tests/unit/suites.h tests/unit/test_text.c

# ---- tests/policy: the promises over every combination and every sequence ----------------------------------------
PROOFS = tests/policy/enumerate tests/policy/walk
check_PROGRAMS += $(PROOFS)
TESTS += $(PROOFS)
ORACLE = tests/policy/cast.c tests/policy/cast.h tests/policy/oracle.c tests/policy/oracle.h tests/policy/tables.c \
	tests/policy/tables.h tests/policy/tables_ledger.c
tests_policy_enumerate_SOURCES = $(ORACLE) tests/policy/enumerate.c tests/policy/enumerate.h \
	tests/policy/enumerate_flow.c tests/policy/enumerate_judge.c tests/policy/enumerate_ledger.c
tests_policy_enumerate_LDADD = libsmtpf_all.la
tests_policy_walk_SOURCES = tests/policy/stage.c tests/policy/stage.h tests/policy/walk.c
tests_policy_walk_LDADD = libsmtpf_all.la
EXTRA_DIST += tests/policy/enumerate.sh tests/policy/walk.sh tests/policy/mutate.py tests/policy/mutants-equivalent.txt

# ---- tests/store: stores against a model, killed, and full ---------------------------------------------------
STORE_SHOWS = tests/store/model tests/store/kill tests/store/full
check_PROGRAMS += $(STORE_SHOWS)
TESTS += tests/store/short.sh
STORE_WORLD = tests/store/world.c tests/store/world.h
tests_store_model_SOURCES = tests/store/model.c $(STORE_WORLD)
tests_store_model_LDADD = libsmtpfilter.la
tests_store_kill_SOURCES = tests/store/kill.c $(STORE_WORLD)
tests_store_kill_LDADD = libsmtpfilter.la
tests_store_full_SOURCES = tests/store/full.c $(STORE_WORLD)
tests_store_full_LDADD = libsmtpfilter.la
EXTRA_DIST += tests/store/model.sh tests/store/kill.sh tests/store/full.sh tests/store/short.sh

# ---- tests/unit of src/check: fakes instead of the core, which is not linked --------------------------------
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_check
TESTS += tests/unit/test_check
endif
tests_unit_test_check_SOURCES = tests/unit/fake_check.c tests/unit/fake_check.h tests/unit/test_check.c \
	tests/unit/test_check_addrlist.c tests/unit/test_check_dnslist.c tests/unit/test_check_envelope.c \
	tests/unit/test_check_greylist.c tests/unit/test_check_trace.c tests/unit/test_check_iprev.c tests/unit/test_check_rules.c \
	tests/unit/fake_forward.c tests/unit/test_check_forward.c \
	tests/unit/fake_message.c tests/unit/ruleset_world.c tests/unit/ruleset_world.h tests/unit/test_check_ruleset.c \
	tests/unit/test_check_ruleset_file.c tests/unit/test_check_signature.c tests/unit/test_check_bounce.c \
	tests/unit/piece_walk.c tests/unit/piece_walk.h

check_PROGRAMS += tests/unit/test_bounce_corpus
TESTS += tests/unit/test_bounce_corpus
EXTRA_DIST += tests/unit/bounce_misses.txt

# ---- tests/installcheck: every check built against the installed library, and run ---------------------------
EXTRA_DIST += tests/installcheck/host.c tests/installcheck/run.sh
installcheck-local:
	DESTDIR='$(DESTDIR)' CC='$(CC)' CFLAGS='$(CFLAGS)' LDFLAGS='$(LDFLAGS)' PKG_CONFIG='$(PKG_CONFIG)' \
	  $(SHELL) $(srcdir)/tests/installcheck/run.sh '$(srcdir)' '$(pkgconfigdir)' '$(libdir)'

# ---- tests/interop/scenarios: the same mail through every server -----------------------------------------------
SCENARIOS = tests/interop/scenarios
TESTS += $(SCENARIOS)/run.py
EXTRA_DIST += $(SCENARIOS)/book.py $(SCENARIOS)/clients.py $(SCENARIOS)/differences.txt $(SCENARIOS)/expectations.txt \
	$(SCENARIOS)/host.py $(SCENARIOS)/hosts/exim_acl.py $(SCENARIOS)/hosts/exim_client.py $(SCENARIOS)/hosts/exim_scan.py $(SCENARIOS)/hosts/opensmtpd.py \
	$(SCENARIOS)/hosts/postfix_milter.py $(SCENARIOS)/hosts/postfix_policyd.py $(SCENARIOS)/hosts/proxy.py \
	$(SCENARIOS)/hosts/sendmail_milter.py $(SCENARIOS)/judge.py $(SCENARIOS)/place.py $(SCENARIOS)/play.py \
	$(SCENARIOS)/policy.conf.in $(SCENARIOS)/rules $(SCENARIOS)/run.py $(SCENARIOS)/table.py

# ---- tests/lab: the same mail through four arrangements of a mail server ------------------------------------------
TESTS += tests/lab/short.py
EXTRA_DIST += tests/lab/accounting.py tests/lab/arrangements.py tests/lab/names.py tests/lab/policy.py tests/lab/report.py tests/lab/run.py \
	tests/lab/scorer.py tests/lab/senders.py tests/lab/short.py tests/lab/sinks.py tests/lab/world.py

# ---- for bootstrap: what is what ---------------------------------------------------------------------------
print-unit-tests:
	@printf '%s\n' $(check_PROGRAMS) | grep '^tests/unit/'
# What the compiler could make differ; what talks to other programs or looks at sources is the ordinary build's.
print-plain-tests:
	@printf '%s\n' $(check_PROGRAMS) $(TESTS) | sort | uniq -d | grep -v '^tests/interop/'
# What looks at the tree itself: enough for a tarball whose files are known to be all there.
print-tree-tests:
	@printf '%s\n' $(TESTS) | grep -v -e '^tests/unit/' -e '^tests/interop/' -e '^tests/lab/' -e '^tests/hold/' -e '^bindings/' \
	  -e '^tests/policy/' -e '^tests/oom/'
print-fuzz-targets:
	@printf '%s\n' $(FUZZ_TARGETS) | sed -n 's/.*fuzz_//p'
print-threaded-tests:
	@echo $(THREADED_TESTS)
THREADED_TESTS = tests/interop/milter_client.py tests/interop/proxy_threads.py
if HAVE_CHECK
THREADED_TESTS += tests/unit/test_port_poll tests/unit/test_port_zone tests/unit/test_core_threads tests/unit/test_port_lmdb_threads
endif
# Short scenarios of host programs that are run under valgrind; all of them: ./bootstrap show hosts-valgrind.
print-watched-tests:
	@echo $(WATCHED_TESTS)
WATCHED_TESTS = tests/interop/milter_peer.py tests/interop/opensmtpd.py tests/interop/policyd.py tests/interop/policyd_postfix.py
.PHONY: print-watched-tests print-unit-tests print-plain-tests print-tree-tests print-fuzz-targets print-threaded-tests
