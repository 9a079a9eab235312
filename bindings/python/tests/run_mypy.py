#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_mypy: the annotations of the package hold (mypy --strict), what is generated among them."""
import os
import shutil
import subprocess
import sys

LIB = os.path.abspath(os.path.join("bindings", "python", "lib"))
HERE = os.path.dirname(os.path.abspath(__file__))


def command():
    if subprocess.run([sys.executable, "-c", "import mypy"], capture_output=True, check=False).returncode == 0:
        return [sys.executable, "-m", "mypy"]
    return [shutil.which("mypy")] if shutil.which("mypy") else None


def main():
    mypy = command()
    if not os.path.exists(os.path.join(LIB, "built")):
        print("SKIP the Python bindings were not built: " + (os.environ.get("python_why") or "no reason known"))
        sys.exit(77)
    if not mypy:
        print("SKIP no mypy")
        sys.exit(77)
    if os.environ.get("SMTPF_SANITIZED"):
        print("SKIP types are looked at in the ordinary build")
        sys.exit(77)
    config = os.path.join(os.path.dirname(HERE), "pyproject.toml")
    cache = os.path.join(LIB, "..", "build", "mypy")
    run = subprocess.run([*mypy, "--config-file", config, "--cache-dir", cache], cwd=LIB, check=False)
    sys.exit(1 if run.returncode else 0)


if __name__ == "__main__":
    chosen = os.environ.pop("SMTPF_PYTHON", "")  # the interpreter that configure found for the bindings
    if chosen and chosen != sys.executable:
        os.execv(chosen, [chosen, *sys.argv])
    main()
