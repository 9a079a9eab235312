# SPDX-License-Identifier: MIT
# the library: its public headers and its rooms. Included by the Makefile.am of the whole house.

# ---- include ----------------------------------------------------------------------------------------
smtpfincludedir = $(includedir)/smtpfilter
smtpfextincludedir = $(includedir)/smtpfilter/ext
smtpfinclude_HEADERS = \
	include/smtpfilter/config.h include/smtpfilter/driver.h include/smtpfilter/engine.h \
	include/smtpfilter/error.h include/smtpfilter/session.h include/smtpfilter/smtpfilter.h \
	include/smtpfilter/types.h include/smtpfilter/verdict.h include/smtpfilter/version.h \
	include/smtpfilter/forward.h include/smtpfilter/milter.h include/smtpfilter/opensmtpd.h \
	include/smtpfilter/proxy.h \
	include/smtpfilter/wire.h
smtpfextinclude_HEADERS = \
	include/smtpfilter/ext/check.h \
	include/smtpfilter/ext/content.h \
	include/smtpfilter/ext/greylist.h \
	include/smtpfilter/ext/journal.h \
	include/smtpfilter/ext/mail.h \
	include/smtpfilter/ext/pattern.h \
	include/smtpfilter/ext/port.h \
	include/smtpfilter/ext/record.h \
	include/smtpfilter/ext/scan.h \
	include/smtpfilter/ext/target.h

# ---- the library: libsmtpf_all holds every object, so that tests can reach inside -----------------------
libsmtpf_all_la_SOURCES = $(BASE) $(MAIL) $(MATCH) $(POLICY) $(FORWARD) $(CORE) $(CHECKS) $(WIRE) $(PORT)
libsmtpf_all_la_CPPFLAGS = $(AM_CPPFLAGS) $(CARES_CFLAGS) $(LIBCONFIG_CFLAGS) $(LMDB_CFLAGS) $(PCRE2_CFLAGS) \
	$(HIREDIS_CFLAGS) $(HIREDIS_SSL_CFLAGS) $(RSPAMD_CFLAGS) $(CRYPTO_CFLAGS)
libsmtpf_all_la_CFLAGS = $(AM_CFLAGS) -pthread
libsmtpf_all_la_LIBADD = $(CARES_LIBS) $(LIBCONFIG_LIBS) $(LMDB_LIBS) $(PCRE2_LIBS) \
	$(HIREDIS_SSL_LIBS) $(HIREDIS_LIBS) $(RSPAMD_LIBS) $(CRYPTO_LIBS) -lpthread
libsmtpfilter_la_SOURCES =
libsmtpfilter_la_LIBADD = libsmtpf_all.la
libsmtpfilter_la_LDFLAGS = -version-info $(SMTPF_LT_VERSION) -no-undefined
EXTRA_DIST += src/libsmtpfilter.map
if VERSION_SCRIPT
libsmtpfilter_la_LDFLAGS += -Wl,--version-script=$(top_srcdir)/src/libsmtpfilter.map
libsmtpfilter_la_DEPENDENCIES = libsmtpf_all.la src/libsmtpfilter.map
endif

# ---- src/base -----------------------------------------------------------------------------------------
BASE = src/base/arena.c src/base/arena.h src/base/cache.c src/base/cache.h src/base/error.c src/base/error.h src/base/heap.c src/base/heap.h \
	src/base/list.h src/base/map.c src/base/map.h src/base/mem.c src/base/mem.h src/base/record.c src/base/sha256.c \
	src/base/sha256.h src/base/sha256_x86.c src/base/str.c src/base/str.h

# ---- src/mail -----------------------------------------------------------------------------------------
MAIL = src/mail/address.c src/mail/address.h src/mail/class.c src/mail/class.h src/mail/digest.c src/mail/domain.c src/mail/domain.h \
	src/mail/header.c src/mail/header.h src/mail/ip.c src/mail/ip.h src/mail/param.c src/mail/pool.c src/mail/pool.h \
	src/mail/reply.c src/mail/reply.h src/mail/trie.c src/mail/unwrap.c
# Content: transfer encodings, charsets, fields, MIME.
MAIL += src/mail/base64.c src/mail/cfws.c src/mail/charset.c src/mail/charset.h src/mail/charset_table.c \
	src/mail/content.c src/mail/content.h src/mail/date.c src/mail/decode.h src/mail/encoded_word.c \
	src/mail/encoded_word.h src/mail/field.h src/mail/html_text.c src/mail/mailbox_list.c src/mail/message_id.c \
	src/mail/mime.c src/mail/mime.h src/mail/mime_data.c src/mail/mime_part.c src/mail/mime_walk.h \
	src/mail/quoted_printable.c src/mail/received.c src/mail/text.c src/mail/text.h src/mail/uuencode.c

# ---- src/match ----------------------------------------------------------------------------------------
MATCH = src/match/factor.c src/match/factor.h src/match/gram.c src/match/gram.h src/match/match.h src/match/room.c \
	src/match/scan.c src/match/set.c src/match/stream.c src/match/syntax.c src/match/syntax.h \
	src/match/syntax_class.c src/match/syntax_node.c src/match/syntax_node.h

# ---- src/policy ---------------------------------------------------------------------------------------
POLICY = src/policy/budget.c src/policy/budget.h src/policy/evidence.h src/policy/judge.c src/policy/judge.h \
	src/policy/ledger.c src/policy/ledger.h src/policy/origin.c src/policy/origin.h src/policy/partition.c \
	src/policy/partition.h src/policy/profile.h src/policy/source.c src/policy/source.h

# ---- src/forward --------------------------------------------------------------------------------------
FORWARD = \
	src/forward/prvs.c \
	src/forward/prvs.h \
	src/forward/refusal.c \
	src/forward/signer.c \
	src/forward/signer.h \
	src/forward/srs.c \
	src/forward/srs.h

# ---- src/core -----------------------------------------------------------------------------------------
CORE = \
	src/core/call.c \
	src/core/call.h \
	src/core/callout.c \
	src/core/callout.h \
	src/core/config.c \
	src/core/config.h \
	src/core/content_reader.c \
	src/core/content_reader.h \
	src/core/directory.c \
	src/core/directory.h \
	src/core/dns.c \
	src/core/dns.h \
	src/core/driver.c \
	src/core/driver.h \
	src/core/edit.c \
	src/core/edit_wish.c \
	src/core/engine.c \
	src/core/engine.h \
	src/core/engine_entry.c \
	src/core/engine_policy.c \
	src/core/engine_profile.c \
	src/core/engine_scanner.c \
	src/core/engine_scope.c \
	src/core/engine_signature.c \
	src/core/evidence.c \
	src/core/forward.c \
	src/core/forward.h \
	src/core/key.c \
	src/core/key.h \
	src/core/lint.c \
	src/core/log.c \
	src/core/lookup.c \
	src/core/lookup.h \
	src/core/mail_hosts.c \
	src/core/mail_hosts.h \
	src/core/message.h \
	src/core/op.c \
	src/core/op.h \
	src/core/option.c \
	src/core/option.h \
	src/core/options.def \
	src/core/rule.c \
	src/core/run.c \
	src/core/run.h \
	src/core/scan.c \
	src/core/scan.h \
	src/core/scanning.c \
	src/core/scanning.h \
	src/core/section.c \
	src/core/section.h \
	src/core/session.c \
	src/core/session.h \
	src/core/signature.c \
	src/core/signature.h \
	src/core/spool.c \
	src/core/spool.h \
	src/core/stage_connect.c \
	src/core/stage_envelope.c \
	src/core/stage_eom.c \
	src/core/stage_message.c \
	src/core/stage_other.c \
	src/core/stats.h \
	src/core/step.c \
	src/core/step.h \
	src/core/step_budget.c \
	src/core/step_commit.c \
	src/core/task.c \
	src/core/task_message.c \
	src/core/tenure.c \
	src/core/tenure.h \
	src/core/text.c \
	src/core/text.h \
	src/core/text_reply.c \
	src/core/timer.c \
	src/core/timer.h \
	src/core/trace.c \
	src/core/trace.h \
	src/core/verdict.c \
	src/core/wants.c \
	src/core/will.c \
	src/core/will.h

# ---- src/check ----------------------------------------------------------------------------------------
CHECKS = src/check/addrlist.c src/check/backscatter.c src/check/bounce.c src/check/bounce.h src/check/bounce_lines.c \
	src/check/bounce_mark.c src/check/bounce_names.c src/check/bounce_reader.c src/check/sent_mark.c \
	 src/check/checks.c src/check/checks.h src/check/delay.c src/check/dnslist.c \
	src/check/early_talk.c src/check/forward_target.c src/check/forwarder.c src/check/loop.c src/check/greylist.c src/check/greylist.h src/check/greylist_exempt.c \
	src/check/greylist_identity.c src/check/greylist_memory.c src/check/greylist_pattern.c \
	src/check/greylist_sender.c src/check/helo.c src/check/iprev.c src/check/null_sender.c src/check/recipient.c \
	src/check/relay.c src/check/scanner.c src/check/scanner.h src/check/scanner_class.c src/check/scanner_policy.c \
	src/check/scanner_say.c src/check/signed_address.c src/check/sources.c src/check/sources.h src/check/unsigned_bounce.c \
	src/check/rules.c src/check/rules.h src/check/rules_file.c src/check/rules_judge.c src/check/rules_lint.c \
	src/check/rules_mail.c src/check/rules_set.c

# ---- src/wire -----------------------------------------------------------------------------------------
WIRE = src/wire/command.c src/wire/command.h src/wire/delegation.c src/wire/ehlo.c src/wire/ehlo.h src/wire/line.c src/wire/line.h \
	src/wire/milter.c src/wire/milter_client.c src/wire/milter_packet.h src/wire/milter_reply.c src/wire/opensmtpd.c \
	src/wire/params.c src/wire/plain.c src/wire/plain.h src/wire/plain_x86.c src/wire/proxy.c src/wire/scan.c src/wire/scan.h \
	src/wire/smtpc.c src/wire/smtpd.c src/wire/smtpd.h src/wire/smtpd_reply.c src/wire/smtpd_session.c src/wire/stuff.c \
	src/wire/transfer.c

# ---- src/port -----------------------------------------------------------------------------------------
PORT = \
	src/port/callout/ask.c \
	src/port/callout/callout.h \
	src/port/callout/rate.c \
	src/port/callout/talk.c \
	src/port/dns/cares.c \
	src/port/dns/name.c \
	src/port/dns/name.h \
	src/port/dns/packet.c \
	src/port/dns/packet.h \
	src/port/dns/zone.c \
	src/port/dns/zone.h \
	src/port/dns/zone_parse.c \
	src/port/dns/zone_resolver.c \
	src/port/file.c \
	src/port/journal/compact.c \
	src/port/journal/file.c \
	src/port/journal/journal.h \
	src/port/journal/log.c \
	src/port/journal/read.c \
	src/port/journal/record.c \
	src/port/journal/record.h \
	src/port/journal/walk.c \
	src/port/journal/walk.h \
	src/port/library.c \
	src/port/lmdb/apply.c \
	src/port/lmdb/care.c \
	src/port/lmdb/env.c \
	src/port/lmdb/health.c \
	src/port/lmdb/lmdb.h \
	src/port/lmdb/map.c \
	src/port/lmdb/read.c \
	src/port/lmdb/store.c \
	src/port/lmdb/write.c \
	src/port/policy_file.c \
	src/port/policy_source.c \
	src/port/policy_source.h \
	src/port/poll_epoll.c \
	src/port/port.h \
	src/port/process.c \
	src/port/process.h \
	src/port/scan/child.c \
	src/port/scan/child.h \
	src/port/scan/clamd.c \
	src/port/scan/clamd.h \
	src/port/scan/clamd_reply.c \
	src/port/scan/command.c \
	src/port/scan/command.h \
	src/port/scan/command_exits.c \
	src/port/scan/conn.c \
	src/port/scan/conn.h \
	src/port/scan/icap.c \
	src/port/scan/icap.h \
	src/port/scan/icap_reply.c \
	src/port/scan/icap_reply.h \
	src/port/scan/icap_request.c \
	src/port/scan/icap_verdict.c \
	src/port/scan/pool.c \
	src/port/scan/pool.h \
	src/port/scan/rspamd.h \
	src/port/scan/rspamd_rows.c \
	src/port/scan/server.c \
	src/port/scan/spamd.c \
	src/port/scan/spamd_reply.c \
	src/port/scan/spamd_reply.h \
	src/port/scan/talk.c \
	src/port/spool_file.c \
	src/port/store/change.c \
	src/port/store/change.h \
	src/port/store/memory.c \
	src/port/store/stores.c \
	src/port/store/stores.h \
	src/port/system.c
REDIS = \
	src/port/redis/adapter.c \
	src/port/redis/cluster.c \
	src/port/redis/command.c \
	src/port/redis/link.c \
	src/port/redis/node.c \
	src/port/redis/policy.c \
	src/port/redis/redis.h \
	src/port/redis/reply.c \
	src/port/redis/request.c \
	src/port/redis/scan.c \
	src/port/redis/script.c \
	src/port/redis/sentinel.c \
	src/port/redis/settings.c \
	src/port/redis/store.c
RSPAMD = \
	src/port/scan/rspamd.c \
	src/port/scan/rspamd_answer.c \
	src/port/scan/rspamd_fields.c \
	src/port/scan/rspamd_http.c \
	src/port/scan/rspamd_names.c
if HAVE_HIREDIS
PORT += $(REDIS)
if HAVE_HIREDIS_SSL
PORT += src/port/redis/tls.c
else
PORT += src/port/redis/tls_none.c
endif
else
PORT += src/port/redis/none.c
endif
if HAVE_RSPAMD
PORT += $(RSPAMD)
else
PORT += src/port/scan/rspamd_none.c
endif
if HAVE_OPENSSL
PORT += src/port/crypto/openssl.c
else
PORT += src/port/crypto/none.c
endif
