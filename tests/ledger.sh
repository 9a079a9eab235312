#!/bin/sh
# SPDX-License-Identifier: MIT
#
# smtpf-ledger on journals that are whole, torn and damaged: what it prints, what it changes, how it exits.
set -u
journals=${srcdir:-.}/tests/fuzz/corpus/journal
dir=$(mktemp -d ledger-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

expect() { # NAME STATUS ARGUMENT...: the exit status, and on standard input what is printed
  name=$1 status=$2
  shift 2
  cat >"$dir/expected"
  ./smtpf-ledger "$@" >"$dir/got" 2>"$dir/error" </dev/null
  got=$?
  if [ $got = "$status" ] && cmp -s "$dir/expected" "$dir/got"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAIL $name: exit $got instead of $status"
    diff "$dir/expected" "$dir/got"
    cat "$dir/error"
  fi
}

row='2023-11-14T22:13:20Z message='
expect list 0 "$journals/usual" <<EOT
${row}m1 recipient=c@x sender=a@x disposition=delivered
${row}m2 recipient=b@x sender=a@x disposition=delivered
${row}m3 recipient=b@x sender=a@x disposition=delivered
EOT
expect 'damage is told' 3 "$journals/damaged" <<EOT
${row}m1 recipient=c@x sender=a@x disposition=delivered
${row}m3 recipient=b@x sender=a@x disposition=delivered
EOT
expect 'a group without its end' 0 --verify "$journals/open-group" <<'EOT'
bytes=253 promised=4 settled=1 open=3 torn=40 damaged=0 damages=0
EOT
expect 'figures as JSON' 3 --verify --json "$journals/header" <<'EOT'
{"bytes":213,"promised":4,"settled":1,"open":3,"torn":0,"damaged":16,"damages":1}
EOT

cp "$journals/usual" "$dir/journal"
expect 'close a recipient that is not there' 1 "$dir/journal" --close m1 b@x --as delivered <<'EOT'
closed 0
EOT
expect 'close one' 0 "$dir/journal" --close m1 c@x --as quarantined <<'EOT'
closed 1
EOT
expect 'close a message' 0 "$dir/journal" --close m2 --as rejected <<'EOT'
closed 1
EOT
expect 'compact' 0 "$dir/journal" --compact </dev/null
expect 'JSON' 0 --json "$dir/journal" <<'EOT'
{"message":"m3","recipient":"b@x","sender":"a@x","disposition":"delivered","time":1700000000}
EOT
expect 'figures' 0 "$dir/journal" --verify <<'EOT'
bytes=56 promised=1 settled=0 open=1 torn=0 damaged=0 damages=0
EOT

cp "$journals/damaged" "$dir/damaged"
expect 'damage is not compacted away' 3 "$dir/damaged" --compact </dev/null
cmp -s "$journals/damaged" "$dir/damaged" && passed=$((passed + 1)) || { failed=$((failed + 1)); echo 'FAIL it was changed'; }
expect 'but when that is said' 0 "$dir/damaged" --compact --drop-damage </dev/null
expect 'and is gone' 0 "$dir/damaged" --verify <<'EOT'
bytes=96 promised=2 settled=0 open=2 torn=0 damaged=0 damages=0
EOT

echo 'not a journal' >"$dir/other"
expect 'not a journal' 2 "$dir/other" --compact </dev/null
[ "$(cat "$dir/other")" = 'not a journal' ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo 'FAIL it was changed'; }
expect 'no journal' 2 "$dir/absent" --compact </dev/null
[ ! -e "$dir/absent" ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo 'FAIL it was made'; }
expect 'no arguments' 2 </dev/null
expect 'close as nothing' 2 "$dir/journal" --close m1 </dev/null
expect 'two acts' 2 "$dir/journal" --verify --compact </dev/null
expect 'no such disposition' 2 "$dir/journal" --close m1 --as lost </dev/null

echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
