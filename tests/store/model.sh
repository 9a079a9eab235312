#!/bin/sh
# SPDX-License-Identifier: MIT
# greylist-model: every store against a plain table that knows what the words mean (`./bootstrap show greylist-model
# [OPERATIONS]`). Redis where SMTPF_REDIS names a server, `address:port`, whose database 9 may be used.
set -eu
make -s -C "$builddir" tests/store/model
model=$builddir/tests/store/model
n=${1:-1000000}
out=$builddir/tests/store/model.out
: >"$out"
try() { # NAME OPTION...
  name=$1
  shift
  printf '  %s\n' "$name" >&2
  "$model" "$n" "$@" | sed "s/\"greylist-model\"/\"$name\"/" >>"$out" || :
}
try memory store.memory=256m
try lmdb store.type=lmdb store.path=. store.map_size=1m
try lmdb-inline store.type=lmdb store.path=. store.writer=inline store.durability=batch
[ -z "${SMTPF_REDIS:-}" ] || try redis store.type=redis "store.redis.servers=$SMTPF_REDIS" store.redis.database=9
failed=$(sed 's/.*"failed":\([0-9]*\).*/\1/' "$out" | awk '{ s += $1 } END { print s + 0 }')
wanted=3
[ -z "${SMTPF_REDIS:-}" ] || wanted=4
[ "$(wc -l <"$out")" -eq "$wanted" ] || failed=$((failed + 1))
printf '{"name":"greylist-model","operations":%s,"failed":%s,"stores":[%s]}\n' "$n" "$failed" "$(paste -sd, "$out")"
rm -f "$out"
[ "$failed" -eq 0 ]
