#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""format: clang-format has nothing to change. Headers under include/ are laid out by hand."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402


def main():
    tool = shutil.which("clang-format") or shutil.which("clang-format-14")
    if not tool:
        source.skip("clang-format is not installed")
    findings, looked = [], 0
    style = "--style=file:" + os.path.abspath(os.path.join(source.SRC, ".clang-format"))
    for path in source.files("src", "examples", "bindings", "tests"):
        looked += 1
        text = source.read(path)
        run = subprocess.run([tool, style, "--assume-filename=" + path], input=text, capture_output=True, text=True,
                             check=True)
        if run.stdout != text:
            at = next((i for i, (a, b) in enumerate(zip(run.stdout.splitlines(), text.splitlines()), 1) if a != b), 0)
            findings.append("%s:%d: run clang-format -i" % (path, at))
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
