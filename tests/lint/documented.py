#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""documented: every public function has a Doxygen comment of its own that says since which version it exists."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

DECLARATION = re.compile(r"^SMTPF_API\b[^;]*?\b(smtpf_\w+)\s*\(", re.M)


def main():
    findings, looked = [], 0
    for path in source.files("include", ext=(".h",)):
        text = source.read(path)
        for m in DECLARATION.finditer(text):
            looked += 1
            before = text[:m.start()].rstrip()
            line = text.count("\n", 0, m.start()) + 1
            start = before.rfind("/*")
            comment = before[start:] if before.endswith("*/") else ""
            if not comment.startswith("/**"):
                findings.append("%s:%d: %s has no comment" % (path, line, m.group(1)))
            elif not re.search(r"[Ss]ince\s+(\*\s*)?\d+\.\d+", comment):
                findings.append("%s:%d: %s does not say since when" % (path, line, m.group(1)))
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
