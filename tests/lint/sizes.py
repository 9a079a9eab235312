#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sizes: files of at most 600 lines, functions of C of at most 100; those above 60 are reported, not refused."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

FILE_MAX, FUNCTION_AIM, FUNCTION_MAX = 600, 60, 100


def functions(text):
    """(name, first line, lines) of each function: a body that begins with `{` alone in column one."""
    lines = source.bare(text).splitlines()
    start = None
    for i, line in enumerate(lines):
        if line == "{" and start is None:
            start = i
        elif line.startswith("}") and start is not None:
            head = " ".join(lines[max(0, start - 4):start])
            names = re.findall(r"(\w+)\s*\(", head)
            yield (names[-1] if names else "?", start + 1, i - start + 1)
            start = None


def too_long(path, text):
    n = text.count("\n")
    return ["%s: %d lines, at most %d" % (path, n, FILE_MAX)] if n > FILE_MAX else []


def main():
    findings, looked, longer = [], 0, []
    for path in source.files("src", "include", "examples", "bindings", "tests"):
        text = source.read(path)
        looked += 1
        findings += too_long(path, text)
        for name, line, length in functions(text):
            if length > FUNCTION_MAX:
                findings.append("%s:%d: %s is %d lines, at most %d" % (path, line, name, length, FUNCTION_MAX))
            elif length > FUNCTION_AIM:
                longer.append("%s:%d: note: %s is %d lines, aim at %d" % (path, line, name, length, FUNCTION_AIM))
    for path in source.files("bindings", "tests", "examples", ext=(".py",)):
        looked += 1
        findings += too_long(path, source.read(path))
    print("\n".join(longer) + ("\n" if longer else ""), end="")
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
