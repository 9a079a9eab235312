# SPDX-License-Identifier: MIT
# fuzz targets. Included by the Makefile.am of the whole house.

# ---- tests/fuzz: with --enable-fuzz libFuzzer targets, else each replays its corpus as a test ---------------
# A new target: its name in FUZZ_TARGETS, two lines for automake, seeds in tests/fuzz/corpus/NAME/.
FUZZ_TARGETS =
FUZZ_LIBS = libsmtpf_all.la $(FUZZ_ENGINE)
if FUZZ
FUZZ_MAIN =
noinst_PROGRAMS += $(FUZZ_TARGETS)
else
FUZZ_MAIN = tests/fuzz/driver.c
check_PROGRAMS += $(FUZZ_TARGETS)
TESTS += $(FUZZ_TARGETS)
endif
EXTRA_DIST += tests/fuzz/driver.c tests/fuzz/run.py tests/fuzz/corpus

FUZZ_TARGETS += tests/fuzz/fuzz_dns tests/fuzz/fuzz_journal tests/fuzz/fuzz_zone
tests_fuzz_fuzz_journal_SOURCES = tests/fuzz/fuzz_journal.c $(FUZZ_MAIN)
tests_fuzz_fuzz_journal_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
tests_fuzz_fuzz_journal_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_dns_SOURCES = tests/fuzz/fuzz_dns.c tests/unit/port_packet.h $(FUZZ_MAIN)
tests_fuzz_fuzz_dns_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_dns_LDADD = $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_clamd
tests_fuzz_fuzz_clamd_SOURCES = tests/fuzz/fuzz_clamd.c $(FUZZ_MAIN)
tests_fuzz_fuzz_clamd_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_clamd_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_zone_SOURCES = tests/fuzz/fuzz_zone.c $(FUZZ_MAIN)
tests_fuzz_fuzz_zone_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_zone_LDADD = $(FUZZ_LIBS)

if HAVE_RSPAMD
FUZZ_TARGETS += tests/fuzz/fuzz_rspamd
tests_fuzz_fuzz_rspamd_SOURCES = tests/fuzz/fuzz_rspamd.c $(FUZZ_MAIN)
tests_fuzz_fuzz_rspamd_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_rspamd_LDADD = $(FUZZ_LIBS)
endif
FUZZ_TARGETS += tests/fuzz/fuzz_icap tests/fuzz/fuzz_spamd
tests_fuzz_fuzz_icap_SOURCES = tests/fuzz/fuzz_icap.c $(FUZZ_MAIN)
tests_fuzz_fuzz_icap_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_icap_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_spamd_SOURCES = tests/fuzz/fuzz_spamd.c $(FUZZ_MAIN)
tests_fuzz_fuzz_spamd_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_spamd_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_milter
tests_fuzz_fuzz_milter_SOURCES = tests/fuzz/fuzz_milter.c $(FUZZ_MAIN)
tests_fuzz_fuzz_milter_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_milter_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_policy
tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c $(FUZZ_MAIN)
tests_fuzz_fuzz_policy_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_policy_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_address tests/fuzz/fuzz_header tests/fuzz/fuzz_reply
tests_fuzz_fuzz_address_SOURCES = tests/fuzz/fuzz_address.c $(FUZZ_MAIN)
tests_fuzz_fuzz_address_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_address_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_header_SOURCES = tests/fuzz/fuzz_header.c $(FUZZ_MAIN)
tests_fuzz_fuzz_header_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_header_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_reply_SOURCES = tests/fuzz/fuzz_reply.c $(FUZZ_MAIN)
tests_fuzz_fuzz_reply_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_reply_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_patterns
tests_fuzz_fuzz_patterns_SOURCES = tests/fuzz/fuzz_patterns.c tests/unit/match_world.h $(FUZZ_MAIN)
tests_fuzz_fuzz_patterns_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE $(PCRE2_CFLAGS)
tests_fuzz_fuzz_patterns_LDADD = $(FUZZ_LIBS) $(PCRE2_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_record
tests_fuzz_fuzz_record_SOURCES = tests/fuzz/fuzz_record.c $(FUZZ_MAIN)
tests_fuzz_fuzz_record_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_record_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_field tests/fuzz/fuzz_mime
tests_fuzz_fuzz_field_SOURCES = tests/fuzz/fuzz_field.c $(FUZZ_MAIN)
tests_fuzz_fuzz_field_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_field_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_mime_SOURCES = tests/fuzz/fuzz_mime.c $(FUZZ_MAIN)
tests_fuzz_fuzz_mime_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_mime_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_received
tests_fuzz_fuzz_received_SOURCES = tests/fuzz/fuzz_received.c $(FUZZ_MAIN)
tests_fuzz_fuzz_received_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_received_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_text
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz_text.c $(FUZZ_MAIN)
tests_fuzz_fuzz_text_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_text_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_rules
tests_fuzz_fuzz_rules_SOURCES = tests/fuzz/fuzz_rules.c $(FUZZ_MAIN)
tests_fuzz_fuzz_rules_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_rules_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_session
tests_fuzz_fuzz_session_SOURCES = tests/fuzz/fuzz_session.c $(FUZZ_MAIN)
tests_fuzz_fuzz_session_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_session_LDADD = libreplay.la $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_delegation
tests_fuzz_fuzz_delegation_SOURCES = tests/fuzz/fuzz_delegation.c $(FUZZ_MAIN)
tests_fuzz_fuzz_delegation_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_delegation_LDADD = $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_smtpd tests/fuzz/fuzz_smtpc
tests_fuzz_fuzz_smtpd_SOURCES = tests/fuzz/fuzz_smtpd.c tests/unit/wire_feed.c tests/unit/wire_feed.h $(FUZZ_MAIN)
tests_fuzz_fuzz_smtpd_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_smtpd_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_smtpc_SOURCES = tests/fuzz/fuzz_smtpc.c $(FUZZ_MAIN)
tests_fuzz_fuzz_smtpc_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_smtpc_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_opensmtpd
tests_fuzz_fuzz_opensmtpd_SOURCES = tests/fuzz/fuzz_opensmtpd.c $(FUZZ_MAIN)
tests_fuzz_fuzz_opensmtpd_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_opensmtpd_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_dsn
tests_fuzz_fuzz_dsn_SOURCES = tests/fuzz/fuzz_dsn.c tests/unit/piece_walk.c tests/unit/piece_walk.h $(FUZZ_MAIN)
tests_fuzz_fuzz_dsn_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -D_DEFAULT_SOURCE
tests_fuzz_fuzz_dsn_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_prvs tests/fuzz/fuzz_srs
tests_fuzz_fuzz_prvs_SOURCES = tests/fuzz/fuzz_prvs.c $(FUZZ_MAIN)
tests_fuzz_fuzz_prvs_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_prvs_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_srs_SOURCES = tests/fuzz/fuzz_srs.c $(FUZZ_MAIN)
tests_fuzz_fuzz_srs_CPPFLAGS = $(AM_CPPFLAGS) -D_DEFAULT_SOURCE
tests_fuzz_fuzz_srs_LDADD = $(FUZZ_LIBS)
