#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""headers: every public header compiles alone, as C11 and C++17, with gcc and clang, without a warning."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

WARN = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
COMPILERS = [("gcc", "c11", ".c"), ("clang", "c11", ".c"), ("g++", "c++17", ".cc"), ("clang++", "c++17", ".cc")]


def main():
    findings, looked, absent = [], 0, []
    with tempfile.TemporaryDirectory() as tmp:
        for path in source.files("include", ext=(".h",)):
            for compiler, std, ext in COMPILERS:
                if not shutil.which(compiler):
                    absent.append(compiler)
                    continue
                unit = os.path.join(tmp, "alone" + ext)
                name = os.path.relpath(path, "include")
                with open(unit, "w", encoding="ascii") as f:  # twice: the guard must hold
                    f.write("#include <%s>\n#include <%s>\nextern int used;\nint used;\n" % (name, name))
                looked += 1
                run = subprocess.run([compiler, "-std=" + std, "-I", os.path.join(source.SRC, "include"), *WARN, unit],
                                     capture_output=True, text=True, check=False)
                if run.returncode:
                    findings.append("%s with %s -std=%s:\n%s" % (path, compiler, std, run.stderr))
    for compiler in sorted(set(absent)):
        print("note: %s is not installed" % compiler)
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
