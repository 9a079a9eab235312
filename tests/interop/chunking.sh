#!/bin/sh
# SPDX-License-Identifier: MIT
# chunking: a corpus of mail before the rules that are installed, each message whole, by 1, by 7 and by random pieces: the
# same evidence (`./bootstrap show chunking [N]`: every N-th message).
set -eu
builddir=${builddir:-.} srcdir=${srcdir:-.}
corpus=$SMTPF_SHARED/data/corpus-spamassassin
[ -f "$corpus/labels.tsv" ] || {
  echo "SKIP no corpus in $corpus"
  exit 77
}
make -s -C "$builddir" tests/interop/rules_corpus
exec "$builddir/tests/interop/rules_corpus" chunking "$srcdir/examples/rules/default.rules" "$corpus" "${1:-1}"
