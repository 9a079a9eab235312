#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run: pytest over the package as this build made it, in development mode; under ASan where the library is."""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LIB = os.path.abspath(os.path.join("bindings", "python", "lib"))
SANITIZED = bool(os.environ.get("SMTPF_SANITIZED"))


def skip(why):
    print("SKIP " + why)
    sys.exit(77)


def environment():
    env = dict(os.environ, PYTHONPATH=LIB, SMTPF_BUILD=os.getcwd(), PYTHONDONTWRITEBYTECODE="1", PYTHONDEVMODE="1")
    if SANITIZED:
        compiler = (os.environ.get("CC") or "gcc").split()[0]
        asan = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        env.update(LD_PRELOAD=asan.stdout.strip(), PYTHONMALLOC="malloc", ASAN_OPTIONS="detect_leaks=0:" + env.get("ASAN_OPTIONS", ""))
    return env


def pytest():
    """An interpreter that has pytest: the one the package was made for."""
    run = subprocess.run([sys.executable, "-c", "import pytest"], capture_output=True, check=False)
    return run.returncode == 0


def main():
    if not os.path.exists(os.path.join(LIB, "built")):
        skip("the Python bindings were not built: " + (os.environ.get("python_why") or "no reason known"))
    if not pytest():
        skip("no pytest for %s (python3-pytest)" % sys.executable)
    if SANITIZED and not shutil.which((os.environ.get("CC") or "gcc").split()[0]):
        skip("no compiler to ask where ASan lies")
    command = [sys.executable, "-X", "dev", "-m", "pytest", "-p", "no:cacheprovider", "-rs", *sys.argv[1:]]
    run = subprocess.run(command, cwd=os.path.dirname(HERE), env=environment(), capture_output=True, text=True,
                         timeout=1500, check=False)
    print(run.stdout + run.stderr)
    last = [line for line in run.stdout.splitlines() if re.search(r"\d+ (passed|failed|skipped|error)", line)][-1:]
    count = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", " ".join(last))}
    for line in re.findall(r"^SKIPPED .*", run.stdout, re.M):
        print("SKIP " + line)
    failed = count.get("failed", 0) + count.get("error", 0)
    print("%d passed, %d failed, %d skipped" % (count.get("passed", 0), failed, count.get("skipped", 0)))
    sys.exit(run.returncode)


if __name__ == "__main__":
    chosen = os.environ.pop("SMTPF_PYTHON", "")  # the interpreter that configure found for the bindings
    if chosen and chosen != sys.executable:
        os.execv(chosen, [chosen, *sys.argv])
    main()
