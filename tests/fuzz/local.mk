# SPDX-License-Identifier: MIT
# fuzz targets. Included by the Makefile.am of the whole house.

# ---- tests/fuzz: with --enable-fuzz libFuzzer targets, else each replays its corpus as a test ---------------
# A new target: its name in FUZZ_TARGETS, what it is linked with, seeds in tests/fuzz/corpus/NAME/.
FUZZ_TARGETS =
if FUZZ
FUZZ_LIBS = libsmtpf_all.la $(FUZZ_ENGINE)
noinst_PROGRAMS += $(FUZZ_TARGETS)
else
FUZZ_LIBS = libfuzzdriver.la libsmtpf_all.la
check_LTLIBRARIES += libfuzzdriver.la
libfuzzdriver_la_SOURCES = tests/fuzz/driver.c
check_PROGRAMS += $(FUZZ_TARGETS)
TESTS += $(FUZZ_TARGETS)
endif
EXTRA_DIST += tests/fuzz/driver.c tests/fuzz/run.py tests/fuzz/corpus

FUZZ_TARGETS += tests/fuzz/fuzz_address \
	tests/fuzz/fuzz_clamd \
	tests/fuzz/fuzz_delegation \
	tests/fuzz/fuzz_dns \
	tests/fuzz/fuzz_dsn \
	tests/fuzz/fuzz_field \
	tests/fuzz/fuzz_header \
	tests/fuzz/fuzz_icap \
	tests/fuzz/fuzz_journal \
	tests/fuzz/fuzz_milter \
	tests/fuzz/fuzz_mime \
	tests/fuzz/fuzz_opensmtpd \
	tests/fuzz/fuzz_patterns \
	tests/fuzz/fuzz_policy \
	tests/fuzz/fuzz_proxy \
	tests/fuzz/fuzz_prvs \
	tests/fuzz/fuzz_received \
	tests/fuzz/fuzz_record \
	tests/fuzz/fuzz_reply \
	tests/fuzz/fuzz_rules \
	tests/fuzz/fuzz_session \
	tests/fuzz/fuzz_smtpc \
	tests/fuzz/fuzz_smtpd \
	tests/fuzz/fuzz_spamd \
	tests/fuzz/fuzz_srs \
	tests/fuzz/fuzz_text \
	tests/fuzz/fuzz_zone
if HAVE_RSPAMD
FUZZ_TARGETS += tests/fuzz/fuzz_rspamd
endif

tests_fuzz_fuzz_address_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_clamd_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_delegation_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_dns_SOURCES = tests/fuzz/fuzz_dns.c tests/unit/port_packet.h
tests_fuzz_fuzz_dns_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_dsn_SOURCES = tests/fuzz/fuzz_dsn.c tests/unit/piece_walk.c tests/unit/piece_walk.h
tests_fuzz_fuzz_dsn_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -D_DEFAULT_SOURCE
tests_fuzz_fuzz_dsn_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_field_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_header_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_icap_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_journal_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_milter_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_mime_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_opensmtpd_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_patterns_SOURCES = tests/fuzz/fuzz_patterns.c tests/unit/match_world.h
tests_fuzz_fuzz_patterns_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE $(PCRE2_CFLAGS)
tests_fuzz_fuzz_patterns_LDADD = $(FUZZ_LIBS) $(PCRE2_LIBS)
tests_fuzz_fuzz_policy_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_proxy_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_prvs_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_received_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_record_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_reply_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_rspamd_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_rules_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_session_LDADD = libreplay.la $(FUZZ_LIBS)
tests_fuzz_fuzz_smtpc_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_smtpd_SOURCES = tests/fuzz/fuzz_smtpd.c tests/unit/wire_feed.c tests/unit/wire_feed.h
tests_fuzz_fuzz_smtpd_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_spamd_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_srs_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_text_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_zone_LDADD = $(FUZZ_LIBS)
