# SPDX-License-Identifier: MIT
"""What the lints share: where the tree is, how C is read, how a finding is reported.

A lint is a program: it prints one line for each finding and exits 0 (none), 1 (some) or 77 (cannot run here,
with a line that begins with SKIP). It reads the tree in $srcdir and the objects under the current folder, so that
selftest.py can point it at a bad example.
"""
import os
import re
import sys

SRC = os.environ.get("srcdir", ".")
ROOMS = ("base", "mail", "match", "policy", "forward", "core", "wire", "check", "port")


def files(*folders, ext=(".c", ".h")):
    """Paths below the folders, relative to the source tree, sorted."""
    found = []
    for folder in folders:
        top = os.path.join(SRC, folder)
        for at, inner, names in os.walk(top):
            inner[:] = [name for name in inner if name != "build" and not name.endswith(".egg-info")]  # pip's, in bindings
            found += [os.path.relpath(os.path.join(at, n), SRC) for n in names if n.endswith(ext)]
    return sorted(found)


def read(path):
    with open(os.path.join(SRC, path), encoding="utf-8", errors="surrogateescape") as f:
        return f.read()


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(text):
    """C text with comments and the inside of literals blanked; lines stay where they were."""
    def blank(m):
        s = m.group(0)
        if s[0] == "/":
            return re.sub(r"[^\n]", " ", s)
        return s[0] + " " * (len(s) - 2) + s[-1]
    return TOKEN.sub(blank, text)


def skip(reason):
    print("SKIP " + reason)
    sys.exit(77)


def finish(findings, looked_at):
    """Prints the findings and ends the program. Looking at nothing is a failure too."""
    for line in findings:
        print(line)
    if not looked_at:
        print("nothing was looked at: wrong folder?")
    print("%d looked at, %d findings" % (looked_at, len(findings)))
    sys.exit(1 if findings or not looked_at else 0)
