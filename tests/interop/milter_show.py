#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`./bootstrap show milter`: smtpf-milter before everybody who can play the MTA, more of it than `make check` has time for.
Each peer that is left out counts as failed. Last line: JSON."""
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("builddir", ".")
RUNS = (("client", "milter_client.py", []), ("miltertest", "milter_peer.py", []), ("postfix", "milter_postfix.py", ["--long"]),
        ("sendmail", "milter_sendmail.py", []))


def run(program, argv):
    out = subprocess.run([sys.executable, os.path.join(HERE, program), *argv], cwd=BUILD, capture_output=True, text=True, timeout=900,
                         check=False)
    text = out.stdout + out.stderr
    counts = re.search(r"^(\d+) passed, (\d+) failed", text, re.M)
    if out.returncode or not counts:
        print("\n".join([line for line in text.splitlines() if line.startswith("FAIL")] or text.splitlines()[-20:]))
    return (int(counts[1]), int(counts[2])) if counts else (0, 1)


def main():
    result = {"name": "milter", "cases": 0, "failed": 0, "peers": {}}
    for name, program, argv in RUNS:
        begun = time.monotonic()
        passed, failed = run(program, argv)
        print("%-18s %3d passed, %d failed, %.0f s" % (name, passed, failed, time.monotonic() - begun), flush=True)
        result["cases"] += passed + failed
        result["failed"] += failed
        result["peers"][name] = passed
    print(json.dumps(result))
    sys.exit(1 if result["failed"] else 0)


if __name__ == "__main__":
    main()
