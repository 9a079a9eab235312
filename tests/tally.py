#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tally SUITE FOLDER [LOG]: counts the cases of one `make check`, from automake's .trs and .log files.

A program's own count is used where it prints one: libcheck's summary, or a last line `N passed, N failed, N skipped`.
Else the program is one case. Lines `SKIP reason` in a log are skipped cases. A program that failed without naming a
failed case counts as one failure. Prints a line for each failed or skipped case, then `passed failed skipped`.
With LOG (make's own output) a test that was to run and left no result is a failure too.
"""
import os
import re
import sys

LIBCHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
OWN = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
SKIP = re.compile(r"^SKIP\s+(.*)$", re.M)
STATUS = re.compile(r"^[A-Z]+ \S+ \(exit status: \d+\)\n?", re.M)  # automake's own last line
RESULT = re.compile(r"^:test-result:\s*(\w+)", re.M)


def count(result, log):
    """(passed, failed, skipped) of one test program."""
    skips = len(SKIP.findall(log))
    if result == "SKIP":
        return 0, 0, max(1, skips)
    own, check = OWN.findall(log), LIBCHECK.findall(log)
    if own:
        passed, failed, skips = (int(x) for x in own[-1])
    elif check:
        failed = sum(int(f) + int(e) for _, f, e in check)
        passed = max(0, sum(int(n) for n, _, _ in check) - failed - skips)
    else:
        passed, failed = int(result == "PASS"), int(result != "PASS")
    if result != "PASS" and not failed:
        failed = 1
    return passed, failed, skips


def tests(folder):
    for at, _, names in os.walk(folder):
        for name in sorted(names):
            if name.endswith(".trs"):
                yield os.path.join(at, name[:-4])


def text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def main(suite, folder, make_log=None):
    total = [0, 0, 0]
    for base in tests(folder):
        name, log = os.path.relpath(base, folder), STATUS.sub("", text(base + ".log"))
        result = (RESULT.findall(text(base + ".trs")) or ["ERROR"])[0]
        figures = count(result, log)
        total = [a + b for a, b in zip(total, figures)]
        if figures[1]:
            print("FAIL %s: %s (%d failed)" % (suite, name, figures[1]))
            print("\n".join("  | " + line for line in log.splitlines()[-25:]))
        for reason in SKIP.findall(log) or ([""] if figures[2] and result == "SKIP" else []):
            print("SKIP %s: %s: %s" % (suite, name, reason or "gave no reason"))
    ran = sum(total) > 0
    if make_log is not None and (not ran or broken(text(make_log))):
        print("FAIL %s: make check did not get through: %s" % (suite, make_log))
        total[1] += 1
    print("%d %d %d" % tuple(total))
    return 0


def broken(log):
    """make's complaints other than that tests have failed."""
    ordinary = r"test-suite\.log|check-TESTS|check-am|\[check\]|: check\]|check-recursive"
    return "\n".join(line for line in log.splitlines() if "***" in line and not re.search(ordinary, line))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
