# SPDX-License-Identifier: MIT
# bindings/python: the package as this build makes it, in bindings/python/lib of the build folder. What people install is
# made by pip (bindings/python/README.md). Included by the Makefile.am of the whole house.

PYTHON_TESTS = bindings/python/tests/run.py bindings/python/tests/run_mypy.py bindings/python/tests/run_wheel.py
TESTS += $(PYTHON_TESTS)
EXTRA_DIST += bindings/python
AM_TESTS_ENVIRONMENT += export SMTPF_PYTHON='$(SMTPF_PYTHON)' python_why='$(python_why)' PYTHONDONTWRITEBYTECODE=1;

PYTHON_BUILT = bindings/python/lib/built
python: $(PYTHON_BUILT)
.PHONY: python
if HAVE_PYTHON
check_DATA = $(PYTHON_BUILT)
endif
$(PYTHON_BUILT): libsmtpfilter.la $(smtpfinclude_HEADERS) $(smtpfextinclude_HEADERS) $(srcdir)/bindings/python/glue.c \
		$(srcdir)/bindings/python/glue.h $(srcdir)/bindings/python/setup.py $(srcdir)/bindings/python/ffi_build/*.py \
		$(srcdir)/bindings/python/src/smtpfilter/*.py $(srcdir)/bindings/python/src/smtpfilter/*/*.py
	$(AM_V_GEN)rm -rf bindings/python/lib && mkdir -p bindings/python && top=`pwd` && cd $(srcdir)/bindings/python && PYTHONDONTWRITEBYTECODE=1 \
		CC='$(CC)' CFLAGS='$(CFLAGS)' SMTPFILTER_CFLAGS='-I$(abs_top_srcdir)/include' \
		SMTPFILTER_LIBS="$(LDFLAGS) -L$$top/.libs -lsmtpfilter -Wl,-rpath,$$top/.libs" \
		$(SMTPF_PYTHON) setup.py -q build -b "$$top/bindings/python/build" --build-lib "$$top/bindings/python/lib" \
		>"$$top/bindings/python/build.log" 2>&1 || { cat "$$top/bindings/python/build.log"; exit 1; }
	$(AM_V_at)touch $@
clean-python:
	rm -rf bindings/python/lib bindings/python/build bindings/python/build.log bindings/python/wheel
	rm -f bindings/python/examples/common/*.o # of a source outside the package, which setuptools puts beside its build folder
clean-local: clean-python
.PHONY: clean-python
# What pip and Python leave in the tree is nobody's release.
dist-python:
	cd $(distdir)/bindings/python && chmod -R u+w . && rm -rf build build.log dist lib wheel tests/*.log tests/*.trs src/*.egg-info src/smtpfilter/_enums.py \
		src/smtpfilter/_errors.py examples/common && find . \( -name __pycache__ -o -name '.*_cache' \) -prune -exec rm -rf {} +
dist-hook: dist-python
.PHONY: dist-python
