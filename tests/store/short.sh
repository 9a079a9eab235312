#!/bin/sh
# SPDX-License-Identifier: MIT
# What `./bootstrap show` does with stores at length, in a minute. Last line: the sum.
set -u
passed=0 failed=0
run() { # WHAT PROGRAM ARGUMENT...
  what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAIL $what"
  fi
}
run "memory and the model" tests/store/model 50000 store.memory=256m
run "LMDB and the model" tests/store/model 20000 store.type=lmdb store.path=. store.map_size=1m store.durability=batch
run "LMDB without a thread and the model" tests/store/model 20000 store.type=lmdb store.path=. store.writer=inline store.durability=batch
run "processes that are killed" tests/store/kill 20
run "a full map" tests/store/full -
run "a full map, without a thread" tests/store/full - store.writer=inline
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
