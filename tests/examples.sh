#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs the short examples and compares what they print.
set -u
dir=$(mktemp -d examples-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

expect() { # NAME COMMAND...: the command's output must be what stands on standard input
  name=$1
  shift
  cat >"$dir/expected"
  if "$@" >"$dir/got" 2>"$dir/error" </dev/null; then status=0; else status=$?; fi
  if [ $status = 0 ] && cmp -s "$dir/expected" "$dir/got"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAIL $name: exit $status"
    diff "$dir/expected" "$dir/got"
    cat "$dir/error"
  fi
}

cat >"$dir/policy.conf" <<'POLICY'
local_domains = [ "example.net" ];
iprev = { enable = false; };
POLICY

# A conversation in CRLF; the replies and the message are looked at.
conversation() {
  printf '%s\r\n' 'EHLO mail.example.org' 'MAIL FROM:<a@example.org>' 'RCPT TO:<b@elsewhere.example>' \
    'RCPT TO:<b@example.net>' DATA 'Subject: hello' '' '..a dot' . QUIT |
    ./examples/01-sync "$dir/policy.conf" 192.0.2.25 "$dir/message" | tr -d '\r' | sed 's/^250-.*//;/^$/d;s/ .*//' | tr '\n' ' '
  echo
  tr -d '\r' <"$dir/message"
}
expect 01-sync conversation <<'EXPECTED'
220 250 250 550 250 354 250 221 
Subject: hello

.a dot
EXPECTED

expect 02-callback ./examples/02-callback <<'EXPECTED'
192.0.2.1: pending
192.0.2.2: pending
192.0.2.2: 220
192.0.2.1: 220
EXPECTED

expect 03-own-check ./examples/03-own-check '<a1234567@example.org>' '<anna@example.org>' '<>' <<'EXPECTED'
<a1234567@example.org>: digits, 4500 thousandths
<anna@example.org>: letters, 0 thousandths
<>: letters, 0 thousandths
EXPECTED

expect 04-own-directory ./examples/04-own-directory '<b@example.net>' '<nobody@example.net>' <<'EXPECTED'
<b@example.net>: asked, 250 recipient ok
<nobody@example.net>: asked, 550 no such mailbox here
EXPECTED

expect 05-own-scanner ./examples/05-own-scanner word hello 'mal, malware' <<'EXPECTED'
hello: at once, 250 taken
mal, malware: at once, 550 the message carries malicious content: a bad word
EXPECTED

expect 05-own-scanner-later ./examples/05-own-scanner slow hello malware <<'EXPECTED'
hello: later, 250 taken
malware: later, 550 the message carries malicious content: a bad word
EXPECTED

# Two clients at a time; the second one's message is taken while the first one still talks.
talk() {
  python3 - "$dir/policy.conf" "$dir/mailbox" <<'TALK'
import smtplib, subprocess, sys
server = subprocess.Popen(["./examples/06-poll", sys.argv[1], "0", sys.argv[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
port = int(server.stdout.readline().rsplit(":", 1)[1])
first, second = (smtplib.SMTP("127.0.0.1", port, "client.example", 20) for _ in range(2))
print(first.ehlo()[0], first.mail("a@example.org")[0], first.rcpt("b@elsewhere.example")[0], first.rcpt("b@example.net")[0])
print(second.sendmail("c@example.org", ["b@example.net"], "Subject: second\n\n.dot\n"))
print(first.data("Subject: first\n\nhello\n")[0], first.quit()[0], second.quit()[0])
server.stdin.close()
print(server.wait(20), open(sys.argv[2]).read().split())
TALK
}
expect 06-poll talk <<'EXPECTED'
250 250 550 250
{}
250 221 221
0 ['Subject:', 'second', '.dot', 'Subject:', 'first', 'hello']
EXPECTED

skipped=0
if [ -x examples/07-libuv ]; then
  expect 07-libuv ./examples/07-libuv "$dir/policy.conf" 192.0.2.1 192.0.2.2 <<'EXPECTED'
192.0.2.1: 220 accept
192.0.2.2: 220 accept
EXPECTED
else
  skipped=1
  echo "SKIP 07-libuv: built without libuv"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
