#!/bin/sh
# SPDX-License-Identifier: MIT
# store-kill: four processes that write are killed, again and again (`./bootstrap show store-kill [ROUNDS]`).
set -eu
make -s -C "$builddir" tests/store/kill
exec "$builddir/tests/store/kill" "${1:-500}"
