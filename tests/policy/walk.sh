#!/bin/sh
# SPDX-License-Identifier: MIT
# walk: every sequence to a depth of eight (`./bootstrap show walk`; `make check` goes to six).
set -eu
make -s -C "$builddir" tests/policy/walk
exec "$builddir/tests/policy/walk" whole
