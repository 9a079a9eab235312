#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""guide: what docs/guide points at exists: transcripts behind `Shown:`, headings behind links, dotted names of options
and counters, capabilities."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402


def anchor(heading):
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def transcripts(text):
    for paragraph in re.findall(r"Shown: (.*?)(?:\n\n|\Z)", text, re.S):
        yield from re.findall(r"`([a-z0-9-]+)`", paragraph)


def main():
    findings, looked = [], 0
    code = "".join(source.read(p) for p in source.files("src", "examples", ext=(".c", ".h", ".def")))
    public = "".join(source.read(p) for p in source.files("include"))
    for path in source.files("docs/guide", ext=(".md",)):
        text = source.read(path)
        headings = {anchor(h) for h in re.findall(r"^#+ (.*)$", text, re.M)}
        wrong = ["no transcript %s" % n for n in transcripts(text)
                 if not os.path.exists(os.path.join(source.SRC, "tests/transcripts", n + ".md"))]
        wrong += ["no heading for #%s" % a for a in re.findall(r"\]\(#([^)]*)\)", text) if a not in headings]
        wrong += ["no option or counter %s" % n for n in re.findall(r"`(?!smtpf_)([a-z_]+\.[a-z_]+)(?: = [^`]*)?`", text)
                  if '"%s"' % n not in code]
        if "SMTPF_CAN_" in text:
            wrong += ["nothing about %s" % c for c in re.findall(r"\bSMTPF_CAN_(\w+) =", public) if "`%s`" % c not in text]
        looked += len(list(transcripts(text))) + len(headings)
        findings += ["%s: %s" % (path, w) for w in wrong]
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
