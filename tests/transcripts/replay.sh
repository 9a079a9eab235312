#!/bin/sh
# SPDX-License-Identifier: MIT
#
# smtpf-replay's command line: options, standard input, --diff, --lint, --store, exit codes, and the same bytes each time.
set -u
replay=./smtpf-replay
dir=$(mktemp -d replay-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

# check NAME STATUS COMMAND...: exit status, and, when "$dir/expected" is there, standard output and error together.
check() {
  name=$1 want=$2
  shift 2
  "$@" >"$dir/got" 2>&1
  status=$?
  if [ $status = "$want" ] && { [ ! -f "$dir/expected" ] || cmp -s "$dir/expected" "$dir/got"; }; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAIL $name: exit $status, expected $want"
    if [ -f "$dir/expected" ]; then diff "$dir/expected" "$dir/got"; else cat "$dir/got"; fi
  fi
  rm -f "$dir/expected"
}

# has NAME TEXT: in what the last command printed
has() {
  if grep -qF -- "$2" "$dir/got"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAIL $1: not found: $2"
    cat "$dir/got"
  fi
}

cat >"$dir/a.conf" <<'E'
local_domains = [ "example.net" ];
early_talk = { score = 7.0; };
E
cat >"$dir/b.conf" <<'E'
local_domains = [ "example.net" ];
early_talk = { score = 7.0; };
profiles = ( { name = "default"; reject = 6.0; tag = 4.0; } );
E
cat >"$dir/bad.conf" <<'E'
local_domains = [ "example.net" ];
no_such_option = 3;
E
cat >"$dir/order.conf" <<'E'
profiles = ( { name = "default"; reject = 6.0;
               tag = 8.0; },
             { name = "late"; inherit = "default";
               quarantine = 9.0; } );
quarantine = { directory = "/nonexistent"; };
E
cat >"$dir/zone" <<'E'
25.2.0.192.in-addr.arpa PTR mail.example.org
mail.example.org A 192.0.2.25
E
cat >"$dir/script" <<'E'
# a comment
@early-talk
@connect 192.0.2.25
EHLO mail.example.org
MAIL FROM:<a@example.org>
RCPT TO:<b@example.net>
DATA
@file message.eml   # beside the script
QUIT
E
printf 'Subject: x\n\n.\n' >"$dir/message.eml"

check 'a script' 0 $replay -c "$dir/a.conf" --dns "$dir/zone" "$dir/script"
has 'text form' 'MESSAGE -> 250 2.0.0 taken'
has 'disposition' 'b@example.net tagged, dsn never'
cp "$dir/got" "$dir/expected"
check 'the same bytes again' 0 $replay -c "$dir/a.conf" --dns "$dir/zone" --now 1767225600 --host proxy "$dir/script"

check 'standard input' 0 sh -c "grep -v @file '$dir/script' | $replay -c '$dir/a.conf' -"
has 'standard input' 'RCPT <b@example.net> -> 250'

check 'json' 0 $replay -c "$dir/a.conf" --dns "$dir/zone" --json "$dir/script"
has 'json' '{"event":"rcpt","arg":"<b@example.net>","reply":{"code":250,"enhanced":"2.1.5","text":"recipient ok"},"delay_ms":0,'
has 'json' '"recipients":[{"address":"b@example.net","disposition":"tagged","dsn":"never","reason":'

grep -v early-talk "$dir/script" >"$dir/quiet"
check 'capabilities' 0 $replay -c "$dir/a.conf" --host milter "$dir/quiet"
has 'capabilities' 'b@example.net handed-over'
check 'a capability that is none' 2 $replay --host fly "$dir/script"

cat >"$dir/expected" <<E
$dir/script:6: rcpt <b@example.net>
  old: 250 2.1.5 recipient ok
  new: 550 5.7.1 your client does not wait for our replies
  why: reject: early_talk early; score 7 >= 6, profile default
$dir/script:7: data
  old: 354 end data with <CR><LF>.<CR><LF>
  new: 554 5.5.1 no valid recipients
  why: sequence
$dir/script:8: end-of-message
  old: 250 2.0.0 taken; b@example.net tagged
  new: does not come to it
E
check 'a policy that refuses more' 1 $replay -c "$dir/a.conf" --dns "$dir/zone" --diff "$dir/b.conf" "$dir/script"
check 'the same as JSON' 1 $replay -c "$dir/a.conf" --dns "$dir/zone" --json --diff "$dir/b.conf" "$dir/script"
has 'diff as JSON' '{"event":"rcpt","arg":"<b@example.net>","line":6,"old":{"code":250,'
: >"$dir/expected"
check 'nothing changes' 0 $replay -c "$dir/a.conf" --diff "$dir/a.conf" "$dir/script"

: >"$dir/expected"
check 'a policy without fault' 0 $replay --lint "$dir/a.conf" "$dir/b.conf"
: >"$dir/expected"
check 'the policy we show has no fault' 0 $replay --lint "${srcdir:-.}/examples/policy.conf"
check 'a wish this host cannot keep' 1 $replay --lint --host policyd-rcpt "$dir/b.conf"
has 'a tag it cannot write' "$dir/b.conf:3: profiles[\"default\"].tag: this host cannot edit headers"
check 'a policy with a fault' 1 $replay --lint -c "$dir/bad.conf"
has 'file and line' "$dir/bad.conf:2:"
check 'thresholds out of order' 1 $replay --lint "$dir/order.conf"
has 'tag above reject' "$dir/order.conf:2: profiles[\"default\"].tag: tag is not below reject"
has 'quarantine above reject' "$dir/order.conf:4: profiles[\"late\"].quarantine: quarantine is not below reject"
check 'a broken policy starts nothing' 1 $replay -c "$dir/bad.conf" "$dir/script"

printf 'rules = { files = [ "%s" ]; };\n' "${srcdir:-.}/examples/rules/default.rules" >"$dir/rules.conf"
: >"$dir/expected"
check 'the rules we install have no fault' 0 $replay --lint "$dir/rules.conf"
printf 'rules = { files = [ "%s" ]; };\n' "$dir/own.rules" >"$dir/rules.conf"
printf 'rule OLD\n  match text /x/\n  expires 2020-01-01\nrule X\n  all OLD\n  score 1\n' >"$dir/own.rules"
check 'rules that cannot be meant' 1 $replay --lint "$dir/rules.conf"
has 'an expired rule' "$dir/own.rules:1: rule OLD: it has expired, and is off"
has 'a rule that needs it' "$dir/own.rules:5: rule X: it can never hit, for it needs OLD"
printf 'rule A\n  match text /(x/\n' >"$dir/own.rules"
check 'rules with a fault' 1 $replay --lint "$dir/rules.conf"
has 'file and line of a rule' "$dir/own.rules:2:"

mkdir "$dir/store"
check 'a store' 0 $replay -c "$dir/a.conf" --store "$dir/store" "$dir/script"
cat >"$dir/greylist.conf" <<'E'
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo", "early_talk" ]; };
profiles = ( { name = "default"; greylist = true; } );
E
printf '%s\n' '@connect 192.0.2.25' 'EHLO mail.example.org' 'MAIL FROM:<a@example.org>' 'RCPT TO:<b@example.net>' DATA 'Subject: x' '' . >"$dir/mail"
rm -f "$dir/store/records"
known() { $replay -c "$dir/greylist.conf" --store "$dir/store" --now "$1" "$dir/mail" | sed -n 's/.*greylist:\([a-z]*\).*/\1/p'; }
for when in 1700000000 1700000100 1700000400 1700086800 1703000000; do known "$when"; done >"$dir/seen"
printf '%s\n' greylisted greylisted waited known known >"$dir/expected"
check 'a store remembers from run to run' 0 cat "$dir/seen"
: >"$dir/expected"
check 'as smtpf-greylist exports it' 0 grep -q '^[0-9a-f]\{64\} [0-9]* 4a0101' "$dir/store/records"
echo 'nonsense' >"$dir/store/records"
check 'a broken store' 2 $replay -c "$dir/a.conf" --store "$dir/store" "$dir/script"
has 'a broken store' "$dir/store/records:1:"

cat >"$dir/small.conf" <<'E'
local_domains = [ "example.net" ];
resolver = { servers = [ "127.0.0.1" ]; timeout = "3s"; };
store = { type = "lmdb"; path = "/var/lib/smtpfilter"; };

dnslists = (
  { zone = "zen.example";
    codes = ( { match = "127.0.0.2";     score = 10.0; as = "known spammer"; },
              { match = "127.0.0.4-7";   score = 8.0;  as = "compromised host"; },
              { match = "127.0.0.10-11"; score = 6.0;  as = "residential range"; } ); } );

scopes   = ( { name = "department"; networks = [ "192.0.2.0/24" ]; authenticated = true; } );
profiles = ( { name = "default"; reject = 10.0; quarantine = 6.0; tag = 4.0; greylist = true; },
             { name = "wants-discard"; inherit = "default"; discard = 15.0; } );
recipients = ( { address = "staff@example.net"; only_from = [ "department" ]; },
               { address = "me@example.net"; profile = "wants-discard"; forward = "me@elsewhere.example"; route = "forward-nonspam"; } );
E
cat >"$dir/small.zone" <<'E'
elsewhere.example MX 10 mx.elsewhere.example
mx.elsewhere.example A 192.0.2.99
25.2.0.192.zen.example NXDOMAIN
9.100.51.198.zen.example A 127.0.0.2
E
cat >"$dir/small" <<'E'
@connect 192.0.2.25
EHLO mail.example.org
MAIL FROM:<a@example.org>
RCPT TO:<staff@example.net>
RCPT TO:<me@example.net>
@connect 198.51.100.9
EHLO mail.example.org
MAIL FROM:<a@example.org>
RCPT TO:<staff@example.net>
RCPT TO:<me@example.net>
E
check 'a policy of one screen' 0 $replay -c "$dir/small.conf" --dns "$dir/small.zone" "$dir/small"
for text in 'RCPT <staff@example.net> -> 451 4.7.1 greylisted' 'RCPT <staff@example.net> -> 550 5.7.1 ' \
  'RCPT <me@example.net> -> 451 4.7.1 greylisted' 'RCPT <me@example.net> -> 550 5.7.1 198.51.100.9 '; do
  has 'a policy of one screen' "$text"
done
check 'and it holds what it says' 0 $replay --lint --host proxy "$dir/small.conf"

check 'no script' 2 $replay
check 'a script that is not there' 2 $replay "$dir/nowhere"
echo '@fly' >"$dir/broken"
check 'a directive that is none' 2 $replay "$dir/broken"
has 'file and line' "$dir/broken:1: no such directive: @fly"
echo '@advance soon' >"$dir/broken"
check 'a time that is none' 2 $replay "$dir/broken"
# refused WHAT LINE TEXT: a script of this line
refused() {
  printf '%s\n' "$2" >"$dir/broken"
  check "$1" 2 $replay "$dir/broken"
  has "$1" "$dir/broken:1: $3"
}
refused 'a finding of no check' '@finding rcpt score=5' 'expected check=NAME'
refused 'a stage that is none' '@finding body check=x' 'expected one of connect, helo,'
refused 'a score that is none' '@finding rcpt check=x score=5.' 'expected a score such as 5 or -2.5: 5.'
refused 'a score of what is unknown' '@finding rcpt check=x kind=unknown score=5' 'what is unknown has no score'
refused 'a flag that is none' '@finding rcpt check=x flags=refuse,maybe' 'expected one of refuse, defer,'
refused 'a reply that accepts' '@finding rcpt check=x reply=250' 'expected a reply code from 400 to 599: 250'
refused 'a word too many' '@finding rcpt check=x colour=red' 'too many arguments: finding'
refused 'a route that is none' '@member a@example.net b@example.net route=elsewhere' 'expected one of mailbox, forward'
refused 'a store that is neither' '@store slow' 'expected one of ok, fail: slow'
printf '@finding rcpt check=x family=list\n@finding rcpt check=x family=content\n' >"$dir/broken"
check 'a check of two families' 1 $replay "$dir/broken"
has 'a check of two families' "$dir/broken:2: this check has another family already"
echo '25.2.0.192 NONSENSE x' >"$dir/badzone"
check 'a broken zone' 2 $replay --dns "$dir/badzone" "$dir/script"
has 'file and line' "$dir/badzone:1:"
check 'version' 0 $replay --version

echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
