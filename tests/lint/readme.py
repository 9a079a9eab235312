#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""readme: the C host of the README compiles without a warning, links with the library, and is short."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

LINES_MAX = 25
WARN = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]


def program(text):
    """The indented block that begins with the first #include."""
    m = re.search(r"((?:^    .*\n|^\n)*?^    #include(?:.*\n)(?:^    .*\n|^\n)*)", text, re.M)
    lines = m.group(1).splitlines() if m else []
    lines = [line[4:] for line in lines if not line.startswith("    cc ")]
    while lines and not lines[0].startswith("#"):
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def main():
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        source.skip("no compiler")
    findings, lines = [], program(source.read("README"))
    if len([line for line in lines if line]) > LINES_MAX:
        findings.append("README: the host has %d lines, at most %d" % (len(lines), LINES_MAX))
    with tempfile.TemporaryDirectory() as tmp:
        unit = os.path.join(tmp, "host.c")
        with open(unit, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        library = os.path.abspath(os.environ.get("SMTPF_LIBRARY", ".libs/libsmtpfilter.so"))
        link = [library, "-o", os.path.join(tmp, "host")] if os.path.exists(library) else ["-fsyntax-only"]
        run = subprocess.run([compiler, *WARN, "-I", os.path.join(source.SRC, "include"), unit, *link], capture_output=True,
                             text=True, check=False)
        if run.returncode:
            findings.append(run.stderr)
    source.finish(findings, len(lines))


if __name__ == "__main__":
    main()
