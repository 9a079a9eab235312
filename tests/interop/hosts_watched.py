#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`./bootstrap show hosts-valgrind`: every program of examples/hosts under valgrind while it goes through its scenarios, with the
real mail servers where it has some. A host without a scenario, or one that could not be run, counts as failed. Last line: JSON."""
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
VALGRIND = ("valgrind -q --num-callers=40 --leak-check=full --show-leak-kinds=definite,possible --errors-for-leak-kinds=definite,possible "
            "--error-exitcode=9")
RUNS = (("milter", "milter_client.py"), ("milter", "milter_peer.py"), ("milter", "milter_postfix.py"), ("milter", "milter_sendmail.py"),
        ("opensmtpd", "opensmtpd.py"), ("policyd", "policyd.py"), ("policyd", "policyd_postfix.py"), ("policyd", "policyd_server.py"), ("exim", "exim_module.py"),
        ("proxy", "proxy_basic.py"), ("proxy", "proxy_split.py"), ("proxy", "proxy_forward.py"), ("spool", "ledger_crash.py"))


def run(program):
    environment = dict(os.environ, SMTPF_WRAPPER=VALGRIND, top_srcdir=TOP, srcdir=TOP)
    environment.pop("builddir", None)  # each is run as `make check` does
    out = subprocess.run([sys.executable, os.path.join(HERE, program)], cwd=os.environ.get("builddir", "."), env=environment,
                         capture_output=True, text=True, timeout=1800, check=False)
    text = out.stdout + out.stderr
    counts = re.search(r"^(\d+) passed, (\d+) failed", text, re.M)
    if out.returncode or not counts:
        print("\n".join([line for line in text.splitlines() if re.match("FAIL|SKIP|==", line)][:40] or text.splitlines()[-20:]))
    return (int(counts[1]), int(counts[2])) if counts else (0, 1)


def main():
    result = {"name": "hosts-valgrind", "cases": 0, "failed": 0, "hosts": {}}
    hosts = sorted(name for name in os.listdir(os.path.join(TOP, "examples/hosts")))
    for host in hosts:
        if not any(host == name for name, _ in RUNS):
            print("%-10s nobody runs it" % host)
            result["failed"] += 1
    for host, program in RUNS:
        if sys.argv[1:] and host not in sys.argv[1:]:
            continue
        begun = time.monotonic()
        passed, failed = run(program)
        print("%-10s %-20s %3d passed, %d failed, %.0f s" % (host, program, passed, failed, time.monotonic() - begun), flush=True)
        result["cases"] += passed + failed
        result["failed"] += failed
        result["hosts"][host] = result["hosts"].get(host, 0) + passed
    print(json.dumps(result))
    sys.exit(1 if result["failed"] else 0)


if __name__ == "__main__":
    main()
