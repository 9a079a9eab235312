#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The counting of cases, counted."""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tally  # noqa: E402

CASES = [  # result, log, (passed, failed, skipped)
    ("PASS", "100%: Checks: 7, Failures: 0, Errors: 0\n", (7, 0, 0)),
    ("FAIL", "60%: Checks: 5, Failures: 1, Errors: 1\nx.c:1:F: no\n", (3, 2, 0)),
    ("FAIL", "", (0, 1, 0)),
    ("FAIL", "100%: Checks: 7, Failures: 0, Errors: 0\nLeakSanitizer: 3 bytes\n", (7, 1, 0)),
    ("PASS", "all fine\n", (1, 0, 0)),
    ("PASS", "100%: Checks: 4, Failures: 0, Errors: 0\nSKIP no data\n", (3, 0, 1)),
    ("SKIP", "SKIP no tool\n", (0, 0, 1)),
    ("SKIP", "", (0, 0, 1)),
    ("PASS", "12 passed, 0 failed, 2 skipped\n", (12, 0, 2)),
    ("ERROR", "12 passed, 0 failed, 0 skipped\n", (12, 1, 0)),
]


def main():
    bad = 0
    for result, log, want in CASES:
        have = tally.count(result, log)
        if have != want:
            bad += 1
            print("%s %r: %s, expected %s" % (result, log, have, want))
    with tempfile.TemporaryDirectory() as empty:  # nothing ran: a failure
        make_log = os.path.join(empty, "make.log")
        with open(make_log, "w", encoding="ascii") as f:
            f.write("make[1]: *** [Makefile:9: x.o] Error 1\n")
        out = subprocess.run([sys.executable, tally.__file__, "unit", empty, make_log], capture_output=True, text=True, check=True)
        if out.stdout.split("\n")[-2] != "0 1 0":
            bad += 1
            print("a broken build is not counted: " + out.stdout)
    print("%d passed, %d failed, 0 skipped" % (len(CASES) + 1 - bad, bad))
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
