#!/bin/sh
# SPDX-License-Identifier: MIT
# redis-faults: mail while Redis fails (`./bootstrap show redis-faults`; `make check` does it with few letters).
set -eu
make -s -C "$builddir" tests/interop/redis_faults
exec "$builddir/tests/interop/redis_faults" "${1:-400}"
