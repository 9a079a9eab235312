#!/bin/sh
# SPDX-License-Identifier: MIT
# enumerate: every combination there is (`./bootstrap show enumerate`; `make check` runs a sample of it).
set -eu
make -s -C "$builddir" tests/policy/enumerate
exec "$builddir/tests/policy/enumerate" whole
