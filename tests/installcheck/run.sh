#!/bin/sh
# SPDX-License-Identifier: MIT
# The proof of the plugin contract: every check of src/check, its file or files alone in an empty folder, is compiled against the
# installed headers, linked with the installed library, takes the place of the built-in check, and runs.
# usage: run.sh SRCDIR PKGCONFIGDIR LIBDIR   (environment: DESTDIR, CC, CFLAGS, LDFLAGS, PKG_CONFIG)
set -eu
src=$(cd "$1" && pwd) pkgconfigdir=$2 libdir=$3
DESTDIR=${DESTDIR-} CC=${CC:-cc} PKG_CONFIG=${PKG_CONFIG:-pkg-config}
PKG_CONFIG_PATH=$DESTDIR$pkgconfigdir${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
if [ -n "$DESTDIR" ]; then
  PKG_CONFIG_SYSROOT_DIR=$DESTDIR
  export PKG_CONFIG_SYSROOT_DIR
fi
LD_LIBRARY_PATH=$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

work=$(mktemp -d "${TMPDIR:-/tmp}/installcheck.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
fail() {
  echo "installcheck: $*" >&2
  exit 1
}
cflags=$("$PKG_CONFIG" --cflags libsmtpfilter) || fail "no libsmtpfilter.pc in $DESTDIR$pkgconfigdir"
libs=$("$PKG_CONFIG" --libs libsmtpfilter)
warnings="-std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wundef -Werror"

n=0
for file in "$src"/src/check/*.c; do
  name=$(basename "$file" .c)
  case $name in # what it must find, and the options that let it
  checks) continue ;; # the table of built-in ones
  sources) continue ;; # shared by the lists
  greylist_* | rules_* | scanner_* | bounce_*) continue ;; # parts of those
  early_talk) set -- early ;;
  forward_target) set -- target-domain local_domains+=example.net helo.bare_address=off 'profiles["default"].route=forward' 'profiles["default"].forward=nobody@nowhere.example' ;;
  addrlist) set -- listed 'addrlists["ours"].entries+=192.0.2.0/24' ;;
  dnslist) set -- listed 'dnslists["list.example"].codes["127.0.0.2"].score=3' ;;
  iprev) set -- permerror iprev.enable=true ;;
  helo) set -- bare-address helo.bare_address=score ;;
  null_sender) set -- never-sends null_sender.never+=nobody@example.net ;;
  relay) set -- denied local_domains+=example.org ;;
  recipient) set -- absent local_domains+=example.net directory.complete=true ;;
  greylist) set -- exempt helo.bare_address=off 'profiles["default"].greylist=true' greylist.allow_clients+=192.0.2.0/24 local_domains+=example.net ;;
  scanner) set -- found 'scanners["word"].type=word' local_domains+=example.net helo.bare_address=off ;;
  rules)
    printf 'rule NAME\n  match text "malware"\n  score 1\n' >"$work/own.rules"
    set -- NAME helo.bare_address=off local_domains+=example.net "rules.files+=$work/own.rules"
    ;;
  bounce) set -- not-ours helo.bare_address=off local_domains+=example.net bounce.keys+=0123456789abcdef ;;
  backscatter) set -- not-ours helo.bare_address=off local_domains+=example.net ;;
  sent_mark | signed_address | unsigned_bounce) set -- ;; # find nothing in such a conversation: built, not run
  loop) set -- received loop.received=1 helo.bare_address=off local_domains+=example.net ;;
  forwarder) set -- leaks helo.bare_address=off local_domains+=example.net 'scopes["near"].networks+=192.0.2.0/24' forwarders+=near forwarder.least=1 forwarder.score=0.001 ;;
  delay) set -- delayed delay.connect=1ms ;;
  *) fail "src/check/$name.c has no line in tests/installcheck/run.sh" ;;
  esac
  mkdir "$work/$name"
  cp "$file" "$src/tests/installcheck/host.c" "$work/$name"
  for part in "$src/src/check/$name"_*.c "$src/src/check/$name".h; do
    [ ! -f "$part" ] || cp "$part" "$work/$name"
  done
  case $name in
  addrlist | dnslist | forwarder) cp "$src"/src/check/sources.[ch] "$work/$name" ;;
  backscatter | sent_mark) cp "$src"/src/check/bounce.h "$src"/src/check/bounce_*.c "$work/$name" ;;
  esac
  (
    cd "$work/$name"
    # shellcheck disable=SC2086
    for part in *.c; do
      [ "$part" != host.c ] || continue
      $CC $warnings ${CFLAGS-} $cflags -c "$part"
    done
    # shellcheck disable=SC2086
    $CC $warnings ${CFLAGS-} $cflags -DCHECK="smtpf_check_$name" ${LDFLAGS-} -o host host.c ./*.o $libs
  ) || fail "$name does not build against the installed library"
  [ $# -eq 0 ] || "$work/$name/host" "$@" || fail "$name"
  n=$((n + 1))
done
[ "$n" -gt 0 ] || fail "no checks in $src/src/check"
echo "installcheck: $n checks built out of tree and run"
