#!/bin/sh
# SPDX-License-Identifier: MIT
# greylist-model: every store against a plain table that knows what the words mean (`./bootstrap show greylist-model
# [OPERATIONS]`). Redis: the server that SMTPF_REDIS names, `address:port`, whose database 9 may be used; without that one
# of its own, on loopback. Where there is no redis-server that store is left out, visibly.
set -eu
make -s -C "$builddir" tests/store/model
model=$builddir/tests/store/model
n=${1:-1000000}
out=$builddir/tests/store/model.out
folder=$(mktemp -d)
server=
ended() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || :
  rm -rf "$folder" "$out"
}
trap ended EXIT
trap 'exit 130' INT TERM
: >"$out"
wanted=3
try() { # NAME OPTION...
  name=$1
  shift
  printf '  %s\n' "$name" >&2
  "$model" "$n" "$@" | sed "s/\"greylist-model\"/\"$name\"/" >>"$out" || :
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
start_redis() {
  port=$(free_port)
  redis-server --bind 127.0.0.1 --port "$port" --dir "$folder" --save '' --appendonly no --daemonize no >"$folder/log" 2>&1 &
  server=$!
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ "$(redis-cli -p "$port" ping 2>/dev/null)" != PONG ] || break
    sleep 0.2
  done
  SMTPF_REDIS=127.0.0.1:$port
}
try memory store.memory=256m
try lmdb store.type=lmdb store.path=. store.map_size=1m
try lmdb-inline store.type=lmdb store.path=. store.writer=inline store.durability=batch
[ -n "${SMTPF_REDIS:-}" ] || ! command -v redis-server >/dev/null || start_redis
if [ -n "${SMTPF_REDIS:-}" ]; then
  wanted=4
  try redis store.type=redis "store.redis.servers=$SMTPF_REDIS" store.redis.database=9
else
  echo "SKIP redis: no redis-server here" >&2
fi
failed=$(sed 's/.*"failed":\([0-9]*\).*/\1/' "$out" | awk '{ s += $1 } END { print s + 0 }')
[ "$(wc -l <"$out")" -eq "$wanted" ] || failed=$((failed + 1))
printf '{"name":"greylist-model","operations":%s,"failed":%s,"stores":[%s]}\n' "$n" "$failed" "$(paste -sd, "$out")"
[ "$failed" -eq 0 ]
