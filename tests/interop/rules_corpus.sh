#!/bin/sh
# SPDX-License-Identifier: MIT
# rules-corpus: how often the installed rules hit the ham and the spam of a public corpus (`./bootstrap show rules-corpus`).
set -eu
corpus=$SMTPF_SHARED/data/corpus-spamassassin
[ -f "$corpus/labels.tsv" ] || {
  echo "SKIP no corpus in $corpus"
  exit 77
}
make -s -C "$builddir" tests/interop/rules_corpus
exec "$builddir/tests/interop/rules_corpus" corpus "$srcdir/examples/rules/default.rules" "$corpus"
