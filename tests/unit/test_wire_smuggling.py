#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""False ends of data that others have found, given to the server codec by tests/wire_cat: none ends the message but
CRLF.CRLF itself, and none is passed on as it came.
"""
import base64
import json
import os
import re
import subprocess
import sys

BEFORE = b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\nfirst"
BEHIND = b"MAIL FROM:<smuggled@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nsecond\r\n.\r\nNOOP\r\n"
END = b"\r\n.\r\n"


def stuffed(body):
    return re.sub(rb"(^|\n)\.", rb"\1..", body)


def judge(attempt, mode, size):
    """What is wrong, or nothing."""
    run = subprocess.run(["tests/wire_cat", *mode, str(size)], input=BEFORE + attempt + BEHIND, capture_output=True, timeout=60,
                         check=False)
    log = run.stdout.decode("ascii")
    if run.returncode:
        return "a BODY event held what is forbidden"
    messages = len(re.findall(r"^END last$|^VIOLATION 55\d ", log, re.M))
    if END in attempt:  # it ends the message, truly; what follows is read as commands, and must be proper ones
        rest = attempt.split(END, 1)[1]
        if rest and not re.search(r"END last\n[^\n]*\nVIOLATION 500 ", log):
            return "what follows the true end was taken"
        return ""
    if messages != 1 or log.count("COMMAND MAIL") != 1 or log.count("COMMAND NOOP") != 1:
        return "it ended the message"
    body = re.search(r'^BODY "(.*)"\nEND last$', log, re.M)
    if body:
        onward = stuffed(body.group(1).encode("ascii").decode("unicode_escape").encode("latin-1"))
        if b"first" + attempt + b"MAIL" in onward:
            return "it was passed on unaltered"
        if re.search(rb"[^\r]\n|\r[^\n]|\0", onward):
            return "a bare CR, bare LF or NUL was passed on"
    elif not mode and "VIOLATION 554" not in log:
        return "neither taken nor refused"
    return ""


def main():
    source = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    path = os.path.join(os.environ.get("SMTPF_SHARED", os.path.join(source, "..", "shared")), "data", "smtp-smuggling",
                        "eod-sequences.json")
    if not os.path.exists(path):
        print("SKIP no data/smtp-smuggling below SMTPF_SHARED")
        return 77
    with open(path, encoding="utf-8") as f:
        cases = json.load(f)
    done, failed = 0, 0
    for case in cases:
        attempt = base64.b64decode(case["bytes_b64"])
        for mode in ([], ["normalise"]):
            for size in (0, 1, 7):
                done += 1
                wrong = judge(attempt, mode, size)
                if wrong:
                    failed += 1
                    print("%s %s in pieces of %d: %s" % (case["repr"], " ".join(mode), size, wrong))
        if END in attempt:
            print("%s holds CRLF.CRLF, the true end: what follows it is refused as a command line" % case["repr"])
    print("%d passed, %d failed, 0 skipped" % (done - failed, failed))
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main())
