#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""itself: the project speaks of itself alone, and every source says its licence.

No absolute path of somebody's machine, no word that marks unfinished work, an SPDX line at the head.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

FOLDERS = ("src", "include", "examples", "bindings", "tests", "docs")
TEXT = (".c", ".h", ".py", ".sh", ".md", ".conf", ".in", ".def", ".txt", ".toml", ".pyi", ".1", ".5", ".8")
HEADED = (".c", ".h", ".py", ".sh", ".def")
ROOT = ("README", "CHANGELOG", "bootstrap", "Makefile.am", "configure.ac", ".ci/run")
UNFINISHED = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"))
BAD = [
    (re.compile(r"(?<![\w.])/(?:home|wor" + r"k|root|Users)/"), "a path of one machine"),
    (re.compile(r"\b(?:" + UNFINISHED + r")\b"), "unfinished"),
    (re.compile(r"\b(?:as an AI|AI assistant|language model|chat session|Claude|Copilot|ChatGPT)\b", re.I), "not about the project"),
]


def main():
    findings, looked = [], 0
    paths = source.files(*FOLDERS, ext=TEXT) + [p for p in ROOT if os.path.exists(os.path.join(source.SRC, p))]
    for path in paths:
        if "/corpus/" in path:
            continue
        looked += 1
        text = source.read(path)
        for number, line in enumerate(text.splitlines(), 1):
            for pattern, why in BAD:
                if pattern.search(line) and not path.endswith("itself.py"):
                    findings.append("%s:%d: %s: %s" % (path, number, why, line.strip()[:80]))
        if path.endswith(HEADED) and "SPDX-License-Identifier: MIT" not in "".join(text.splitlines(True)[:3]):
            findings.append("%s: no SPDX line at the head" % path)
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
