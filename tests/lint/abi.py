#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""abi: against the last release's tests/abi/baseline.abi, nothing was taken away or changed.

    tests/lint/abi.py --update          dumps a baseline from the built library (at a release)
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

LIBRARY = os.environ.get("SMTPF_LIBRARY", ".libs/libsmtpfilter.so")
INCOMPATIBLE = 8  # bit of abidiff's exit status


def main():
    baseline = os.path.join(source.SRC, "tests", "abi", "baseline.abi")
    headers = os.path.join(source.SRC, "include")
    if not shutil.which("abidiff"):
        source.skip("abidiff is not installed")
    if not os.path.exists(LIBRARY):
        source.skip("no shared library was built")
    if "--update" in sys.argv:
        subprocess.run(["abidw", "--headers-dir", headers, "--drop-private-types", "--no-corpus-path", "--no-comp-dir-path",
                        "--out-file", baseline, LIBRARY], check=True)
        return
    if not os.path.exists(baseline):
        source.skip("no release has been made yet: tests/abi/baseline.abi is absent")
    run = subprocess.run(["abidiff", "--headers-dir2", headers, baseline, LIBRARY], capture_output=True, text=True, check=False)
    print(run.stdout + run.stderr, end="")
    source.finish(["incompatible"] if run.returncode & INCOMPATIBLE or run.returncode & 3 else [], 1)


if __name__ == "__main__":
    main()
