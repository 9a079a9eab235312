#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The is_email test addresses, judged as Mailbox of RFC 5321 4.1.2 by tests/mailbox_check.

Their categories tell what RFC 5321 allows from what only RFC 5322 allows. Where RFC 5321 itself says otherwise, the
address stands in EXCEPTIONS with what is right and why.
"""
import json
import os
import subprocess
import sys

VALID = {"ISEMAIL_VALID_CATEGORY", "ISEMAIL_RFC5321", "ISEMAIL_DNSWARN"}  # what DNS says is no matter of syntax
ONE_GROUP = "`::` for one group: RFC 5321 4.1.3 IPv6-comp has at most six groups beside it; the other file of the set agrees"
EXCEPTIONS = {
    "first.last@[IPv6:1111:2222:3333::4444:5555:6666:7777]": (False, ONE_GROUP),
    "first.last@[IPv6:::a2:a3:a4:b1:b2:b3:b4]": (False, ONE_GROUP),
}


def main():
    source = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    folder = os.path.join(os.environ.get("SMTPF_SHARED", os.path.join(source, "..", "shared")), "data", "address-isemail")
    if not os.path.isdir(folder):
        print("SKIP no folder data/address-isemail below SMTPF_SHARED")
        return 77
    cases = []
    for name in ("is_email-tests.json", "is_email-tests-original-extra.json"):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            cases += json.load(f)
    lines = "".join(c["address"].encode("utf-8").hex() + "\n" for c in cases)
    run = subprocess.run(["tests/mailbox_check"], input=lines, capture_output=True, text=True, timeout=60, check=True)
    answers = [line == "1" for line in run.stdout.splitlines()]
    if len(answers) != len(cases):
        sys.exit("%d addresses, %d answers" % (len(cases), len(answers)))
    failed, unused = 0, set(EXCEPTIONS)
    for case, answer in zip(cases, answers):
        expected = case["category"] in VALID
        if case["address"] in EXCEPTIONS:
            unused.discard(case["address"])
            expected = EXCEPTIONS[case["address"]][0]
        if answer != expected:
            failed += 1
            print("%s: %a (%s %s)" % ("taken" if answer else "refused", case["address"], case["category"], case["diagnosis"]))
    for address in unused:
        failed += 1
        print("an exception that is not among the addresses: %a" % address)
    print("%d passed, %d failed, 0 skipped" % (len(cases) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
