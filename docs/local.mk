# SPDX-License-Identifier: MIT
# manual pages and Doxygen. Included by the Makefile.am of the whole house.

# ---- docs ---------------------------------------------------------------------------------------------
dist_doc_DATA += examples/policy.conf
dist_doc_DATA += docs/guide/exim.md docs/guide/forwarding.md docs/guide/greylisting.md docs/guide/hosts.md docs/guide/lab.md \
	docs/guide/lab.svg docs/guide/many-wills.md docs/guide/metrics.md docs/guide/milter.md docs/guide/opensmtpd.md \
	docs/guide/policyd.md docs/guide/proxy.md docs/guide/rules.md docs/guide/scanners.md
EXTRA_DIST += docs/api.dox
rulesdir = $(datadir)/smtpfilter/rules
dist_rules_DATA = examples/rules/default.rules
EXTRA_DIST += docs/man/smtpfilter.conf.5.in
noinst_PROGRAMS += docs/man/options-table
docs_man_options_table_SOURCES = docs/man/options-table.c examples/common/host_options.c examples/common/host_options.h
docs_man_options_table_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/examples
docs_man_options_table_LDADD = libsmtpfilter.la
# The table of options is made from the rows themselves; a release carries the page, so that it needs no build to read it.
man5_MANS += docs/man/smtpfilter.conf.5 docs/man/smtpfilter-rules.5
EXTRA_DIST += docs/man/smtpfilter.conf.5 docs/man/smtpfilter-rules.5
OPTION_ROWS = src/core/options.def $(CHECKS) examples/common/host_options.c
docs/man/smtpfilter.conf.5: docs/man/smtpfilter.conf.5.in docs/man/options-table.c $(OPTION_ROWS) | docs/man/options-table$(EXEEXT)
	$(AM_V_GEN)docs/man/options-table$(EXEEXT) roff >docs/man/options.tmp && \
	$(SED) -e '/^@OPTIONS@$$/r docs/man/options.tmp' -e '/^@OPTIONS@$$/d' -e 's|[@]docdir[@]|$(docdir)|' \
		$(srcdir)/docs/man/smtpfilter.conf.5.in >$@.tmp && mv $@.tmp $@ && rm -f docs/man/options.tmp
MAINTAINERCLEANFILES = docs/man/smtpfilter.conf.5

docs: docs/Doxyfile
	$(DOXYGEN) docs/Doxyfile
clean-local:
	rm -rf docs/html
.PHONY: docs
