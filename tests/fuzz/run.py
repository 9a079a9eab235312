#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs libFuzzer targets: run.py --build FOLDER [TARGET...] [SECONDS]. One line of JSON last; exit 1 on a finding.

Without TARGET all are run, one on each processor. With --tally FILE a line `passed failed skipped` is added to it. New inputs stay in FOLDER/corpus/TARGET, findings in FOLDER/findings.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys

SEEDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def fuzz(build, target, seconds):
    program = os.path.join(build, "tests", "fuzz", "fuzz_" + target)
    work, findings = os.path.join(build, "corpus", target), os.path.join(build, "findings", target)
    os.makedirs(work, exist_ok=True)
    os.makedirs(findings, exist_ok=True)
    before = set(os.listdir(findings))
    seeds = [s for s in [os.path.join(SEEDS, target)] if os.path.isdir(s)]
    run = subprocess.run([program, "-max_total_time=%d" % seconds, "-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048",
                          "-artifact_prefix=" + findings + "/", work, *seeds], capture_output=True, text=True, errors="replace",
                         check=False)
    found = sorted(set(os.listdir(findings)) - before)
    executions = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
    coverage = re.findall(r"cov: (\d+)", run.stderr)
    print("  fuzzed %s for %d s: %s" % (target, seconds, "FINDING\n" + run.stderr[-4000:] if run.returncode else "clean"), flush=True)
    return {"seconds": seconds, "executions": int(executions.group(1)) if executions else 0,
            "edges": int(coverage[-1]) if coverage else 0, "findings": max(len(found), int(run.returncode != 0))}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--tally")
    p.add_argument("words", nargs="*")
    args = p.parse_args()
    build = os.path.abspath(args.build)
    known = sorted(os.path.basename(f)[5:] for f in glob.glob(os.path.join(build, "tests/fuzz/fuzz_*")) if os.access(f, os.X_OK)
                   and not os.path.isdir(f) and "." not in os.path.basename(f))
    numbers = [w for w in args.words if w.isdigit()]
    targets = [w for w in args.words if not w.isdigit()] or known
    unknown = [t for t in targets if t not in known]
    if unknown or not known:
        sys.exit("no fuzz target %s; there are: %s" % (" ".join(unknown), " ".join(known)))
    seconds = int(numbers[0]) if numbers else 60
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = dict(zip(targets, pool.map(lambda t: fuzz(build, t, seconds), targets)))
    bad = sum(r["findings"] for r in results.values())
    if args.tally:
        failed = sum(r["findings"] > 0 for r in results.values())
        with open(args.tally, "a", encoding="ascii") as f:
            f.write("%d %d 0\n" % (len(results) - failed, failed))
    print(json.dumps({"name": "fuzz", "findings": bad, "targets": results}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
