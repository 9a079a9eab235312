#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Values of header fields as mail-parser's vectors have them: addresses, Content-Type, Date, Message-ID, encoded words.
Each value is a case. tests/field_check reads them. What differs for a reason stands in field_misses.txt.
"""
import datetime
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("top_srcdir", os.path.join(HERE, "..", ".."))
DATA = os.path.join(os.environ.get("SMTPF_SHARED", os.path.join(SOURCE, "..", "shared")), "data", "mime-mailparser")


def field(header):
    """The first field's value, unfolded: what follows a line end without a blank is another field."""
    return re.sub(r"\r?\n([ \t])", r"\1", re.split(r"\r?\n(?![ \t])", header)[0]).strip(" \t\r\n")


def ask(kind, values):
    lines = "".join(v.hex() + "\n" for v in values)
    run = subprocess.run(["tests/field_check", kind], input=lines, capture_output=True, text=True, timeout=60, check=True)
    answers = run.stdout.split("\n")[:-1]
    if len(answers) != len(values):
        sys.exit("%d values, %d answers" % (len(values), len(answers)))
    return [a.split("\t") for a in answers]


def text(word):
    return bytes.fromhex(word[1:]).decode("utf-8", "replace") if word.startswith("=") else None


def load(name):
    with open(os.path.join(DATA, name + ".json"), encoding="utf-8") as f:
        return json.load(f)


def addresses():
    cases = load("address")
    for case, got in zip(cases, ask("addresses", [field(c["header"]).encode() for c in cases])):
        want = case["expected"].get("List")
        if want is None:
            want = [a for g in case["expected"]["Group"] for a in g["addresses"]]
        yield ("address", case["header"], [(a["name"] or "", a["address"] or "") for a in want],
               [(text(got[i]), text(got[i + 1])) for i in range(0, len(got) - 2, 3)])


def attributes(case):
    """The first value of each parameter; the language of one is none itself."""
    first = {}
    for name, value in (case["expected"] or {}).get("attributes") or []:
        if not name.endswith("-language"):
            first.setdefault(name.lower(), value)
    return first


def contents():
    cases = load("content_type")
    values = []
    for c in cases:
        values.append("\n".join([field(c["header"])] + sorted(attributes(c))).encode())
    for case, got in zip(cases, ask("content", values)):
        e = case["expected"] or {"c_type": "", "c_subtype": "", "attributes": None}
        first = attributes(case)
        yield ("content_type", case["header"], [e["c_type"], e["c_subtype"] or ""] + [first[n] for n in sorted(first)],
               [text(g).lower() for g in got[:2]] + [text(g) for g in got[2:-1]])


def dates():
    cases = load("date")
    for case, got in zip(cases, ask("date", [field(c["header"]).encode() for c in cases])):
        e, want = case["expected"], None
        if e:
            zone = (e["tz_hour"] * 60 + e["tz_minute"]) * (-1 if e["tz_before_gmt"] else 1)
            try:
                when = datetime.datetime(e["year"], e["month"], e["day"], e["hour"], e["minute"], e["second"],
                                         tzinfo=datetime.timezone(datetime.timedelta(minutes=zone)))
                want = [int(when.timestamp()), zone]
            except ValueError:
                pass
        yield "date", case["header"], want, [int(g) for g in got[:2]] if len(got) > 1 else None


def ids():
    cases = load("id")
    for case, got in zip(cases, ask("ids", [field(c["header"]).encode() for c in cases])):
        e = case["expected"]
        want = [] if e is None else [e] if isinstance(e, str) else e
        yield "id", case["header"], want, [text(g) for g in got[:-1:2]]


def words():
    cases = load("unstructured")
    for case, got in zip(cases, ask("words", [field(c["header"]).encode() for c in cases])):
        yield "unstructured", case["header"], case["expected"] or "", " ".join(text(got[0]).split())


def known_misses():
    known = {}
    with open(os.path.join(HERE, "field_misses.txt"), encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                kind, header, reason = line.rstrip("\n").split(" | ")
                known[(kind, json.loads(header))] = reason
    return known


def main():
    if not os.path.isdir(DATA):
        print("SKIP no folder data/mime-mailparser below SMTPF_SHARED")
        return 77
    known, used, passed, failed = known_misses(), set(), 0, 0
    for cases in (addresses, contents, dates, ids, words):
        agree = total = 0
        for kind, header, want, got in cases():
            total += 1
            differs = (" ".join(want.split()) if isinstance(want, str) else want) != got
            if (kind, header) in known:
                used.add((kind, header))
                if differs:
                    passed += 1
                    continue
            elif not differs:
                passed += 1
                agree += 1
                continue
            failed += 1
            print("%s | %s | %r, not %r" % (kind, json.dumps(header), got, want))
        print("  %-14s %3d values, %3d agree" % (kind, total, agree))
    for kind, header in sorted(set(known) - used):
        failed += 1
        print("%s %r stands in field_misses.txt, and there is no such value" % (kind, header))
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
