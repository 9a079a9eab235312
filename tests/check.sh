# SPDX-License-Identifier: MIT
#
# check: every test, in suites. Read by bootstrap, whose functions it uses. Each suite adds lines `passed failed skipped`
# to build/logs/tally, and lines about what failed or was skipped to build/logs/remarks. Last line: the sum.

tally=$logs/tally
remarks=$logs/remarks

# one TITLE LOG COMMAND...: a step that is one case.
one() {
  step "$@" && status=0 || status=$?
  case $status in
  0) echo "1 0 0" >>"$tally" ;;
  77)
    echo "0 0 1" >>"$tally"
    echo "SKIP $1: $(sed -n 's/^SKIP //p' "$logs/$2.log" | head -n 1)" >>"$remarks"
    ;;
  *) failed "$1" ;;
  esac
}

# harness SUITE FOLDER: `make check` in a folder, its cases counted one by one. Most tests of servers wait for somebody:
# two for each processor.
harness() {
  suite=$1 folder=$2
  shift 2
  shown=0 # what failed is listed at the end
  step "$suite: make check" "$suite-check" in_folder "$folder" timeout 3000 make -k -j "$((2 * jobs))" check "$@" || :
  shown=40
  python3 tests/tally.py "$suite" "$folder" "$logs/$suite-check.log" >"$logs/$suite.tally" || :
  sed '$d' "$logs/$suite.tally" >>"$remarks"
  tail -n 1 "$logs/$suite.tally" >>"$tally"
}

failed() { # WHAT: a case that failed without having run
  echo "0 1 0" >>"$tally"
  echo "FAIL $*" >>"$remarks"
  return 1
}

# built SUITE FOLDER OPTION...: configured and compiled, or a failed case.
built() {
  suite=$1 in=$2
  shift 2
  configured "$in" "$suite" "$@"
  step "$suite: make" "$suite-make" make_in "$in" all || failed "$suite: make"
}

suite_unit() { # the ordinary build: units, transcripts, lint, examples, corpora of the fuzz targets
  built unit build CFLAGS="${CFLAGS:--O2 -g}" || return 0
  [ -n "$(make -s -C build print-unit-tests)" ] || failed "unit: no unit programs: configure did not find libcheck" || :
  harness unit build
}

suite_sanitize() { # the same with gcc's ASan and UBSan; shared, since Exim loads a module
  built sanitize build-san --enable-sanitizers=address,undefined --disable-static CFLAGS="-O1 -g" || return 0
  harness sanitize build-san
}

suite_threads() { # the threaded programs under TSan
  built threads build-tsan --enable-sanitizers=thread --disable-shared CFLAGS="-O1 -g" || return 0
  harness threads build-tsan TESTS="$(make -s -C build-tsan print-threaded-tests)"
}

valgrind="valgrind -q --num-callers=40 --leak-check=full --show-leak-kinds=definite,possible --errors-for-leak-kinds=definite,possible --error-exitcode=9"

suite_valgrind() { # the unit programs under valgrind, and the quick scenarios of host programs
  built unit build CFLAGS="${CFLAGS:--O2 -g}" || return 0
  find build -name '*.trs' -delete # what the suite `unit` left is counted
  CK_FORK=no SMTPF_VALGRIND=1 harness valgrind build TESTS="$(make -s -C build print-unit-tests)" \
    LOG_COMPILER="$top/build/libtool --mode=execute $valgrind"
  find build -name '*.trs' -delete
  SMTPF_WRAPPER=$valgrind harness valgrind-hosts build TESTS="$(make -s -C build print-watched-tests)"
}

suite_install() { # clang's build, installed; the checks compiled against what was installed
  built install build-clang CC=clang --enable-werror --prefix="$top/build-clang/root" CFLAGS="-O2 -g -gdwarf-4" || return 0
  harness install build-clang TESTS="$(make -s -C build-clang print-plain-tests)"
  one "install: make install" install-install make -C build-clang install || return 0
  one "install: make installcheck" install-installcheck make -C build-clang installcheck || return 0
  rm -rf build-clang/stage
  one "install: make install DESTDIR=" install-destdir make -C build-clang install DESTDIR="$top/build-clang/stage"
}

suite_fuzz() { # each fuzz target for a few seconds
  build_fuzz || failed "fuzz: build" || return 0
  status=0
  step "fuzz: each target for ${FUZZ_SECONDS:-5} s" fuzz-all \
    python3 tests/fuzz/run.py --build build-fuzz --tally "$tally" "${FUZZ_SECONDS:-5}" || status=$?
  [ "$status" -eq 0 ] || echo "FAIL fuzz: $(grep -c FINDING "$logs/fuzz-all.log") targets: build/logs/fuzz-all.log" >>"$remarks"
}

suite_docs() { # Doxygen, whose warnings are errors
  configured build unit CFLAGS="${CFLAGS:--O2 -g}"
  one "docs: doxygen" docs make -C build docs || :
}

# whole_tarball: what git has is in it, and beside that only what the autotools made. Skipped where there is no git.
whole_tarball() {
  git rev-parse HEAD >/dev/null 2>&1 || { echo "SKIP not a git checkout" && return 77; }
  git ls-files | grep -v -e '^\.gitattributes$' -e '^\.gitignore$' | sort >build/kept
  tar tf build/libsmtpfilter-*.tar.xz | sed -e 's,^[^/]*/,,' -e '/\/$/d' -e '/^$/d' | sort >build/packed
  grep -v -e '^build-aux/' -e '^m4/l' -e 'Makefile\.in$' -e '^aclocal\.m4$' -e '^config\.h\.in$' -e '^configure$' \
    -e '^docs/man/smtpfilter\.conf\.5$' build/packed | diff build/kept -
}

# What a packager does. The tests of units and of servers have run in the suite `unit`; `make distcheck` by hand runs all.
suite_dist() {
  configured build unit CFLAGS="${CFLAGS:--O2 -g}"
  one "dist: make distcheck" dist timeout 3000 make -j "$jobs" -C build distcheck \
    DISTCHECK_CONFIGURE_FLAGS=CFLAGS=-O0 TESTS="$(make -s -C build print-tree-tests)" ||
    sed -n -e 's/^\(FAIL: .*\)/  \1/p' -e 's/^ERROR: /  &/p' "$logs/dist.log" >>"$remarks"
  one "dist: the tarball is whole" dist-whole whole_tarball || :
}

check() {
  [ $# -gt 0 ] || set -- unit sanitize threads valgrind install fuzz docs dist
  for suite; do
    case " unit sanitize threads valgrind install fuzz docs dist " in
    *" $suite "*) ;;
    *) die "no suite is called \`$suite': unit sanitize threads valgrind install fuzz docs dist" ;;
    esac
  done
  # shellcheck disable=SC2086
  need $TOOLS $TEST_TOOLS $MAIL_TOOLS spamc
  borrow smtp-sink postfix
  borrow rbldnsd rbldnsd
  borrow_redis
  borrow smtpd opensmtpd
  borrow exim4 exim4-daemon-heavy
  borrow_rspamd
  borrow_postsrsd
  borrow clamd clamav-daemon
  borrow clamdscan clamdscan
  borrow_scanners
  borrow spamass-milter spamass-milter
  borrow_milter_peers
  mkdir -p "$logs"
  : >"$tally"
  : >"$remarks"
  for suite; do
    say "$suite"
    "suite_$suite"
  done
  [ ! -s "$remarks" ] || { say "" && cat "$remarks"; }
  awk '{ p += $1; f += $2; s += $3 }
    END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit !(p + f > 0 && f == 0) }' "$tally"
}
