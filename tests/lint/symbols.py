#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""symbols: the shared library exports exactly tests/abi/manifest.txt, every public declaration among it.

    tests/lint/symbols.py --update      rewrites the manifest from the built library
"""
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

MANIFEST = os.path.join("tests", "abi", "manifest.txt")


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", "-P", library], check=True, capture_output=True, text=True).stdout
    names = (line.split()[0].split("@")[0] for line in out.splitlines() if line.split()[1] != "A")
    return sorted(set(names))


def declared():
    names = set()
    for path in source.files("include", ext=(".h",)):
        text = source.bare(source.read(path))
        for m in re.finditer(r"SMTPF_API\b([^;{]*?)\b(smtpf_\w+)\s*\(", text):
            names.add(m.group(2))
    return names


def main():
    libraries = glob.glob(os.environ.get("SMTPF_LIBRARY", ".libs/libsmtpfilter.so"))
    if not libraries:
        source.skip("no shared library was built")
    have = exported(libraries[0])
    path = os.path.join(source.SRC, MANIFEST)
    if "--update" in sys.argv:
        with open(path, "w", encoding="ascii") as f:
            f.write("".join(n + "\n" for n in have))
        print("%s: %d symbols" % (path, len(have)))
        return
    want = source.read(MANIFEST).split()
    findings = ["exported, not in the manifest: " + n for n in have if n not in want]
    findings += ["in the manifest, not exported: " + n for n in want if n not in have]
    findings += ["exported, not ours by name: " + n for n in have if not n.startswith("smtpf_")]
    findings += ["declared in a public header, not exported: " + n for n in sorted(declared() - set(have))]
    findings += ["exported, in no public header: " + n for n in sorted(set(have) - declared())]
    if findings:
        findings.append("when this is meant: python3 tests/lint/symbols.py --update (docs/API-STABILITY.md)")
    source.finish(findings, len(have))


if __name__ == "__main__":
    main()
