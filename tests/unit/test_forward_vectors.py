#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SRS addresses that others call right, and addresses found in mail, judged by tests/sign_lines.

Each vector must come out exactly; where what is right differs for us, it stands in DIFFERENT with the reason.
"""
import json
import os
import subprocess
import sys

SOURCE = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
FOLDER = os.path.join(os.environ.get("SMTPF_SHARED", os.path.join(SOURCE, "..", "shared")), "data", "srs")
DAY = 86400


def lines(key, domain, now, questions, *more):
    run = subprocess.run(["tests/sign_lines", key, domain, str(now), *more], capture_output=True, check=False, timeout=60,
                         input="".join("%s %s\n" % q for q in questions), text=True)
    if run.returncode == 77:
        print("SKIP this build has no libcrypto")
        sys.exit(77)
    answers = [tuple(line.split(" ", 1)) for line in run.stdout.splitlines()]
    if run.returncode or len(answers) != len(questions):
        sys.exit("%d questions, %d answers, exit %d" % (len(questions), len(answers), run.returncode))
    return answers


class Tally:
    passed = failed = 0

    def judge(self, good, what):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        if not good:
            print("FAIL " + what)


def load(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
        return json.load(f) if name.endswith(".json") else [line.rstrip("\n").split("\t")[0] for line in f]


def expected(vector, domain):
    """What sign_lines must say."""
    given, status = vector["in"], vector["status"]
    if status == "OK":
        return {("OK", vector["out"])}
    if status == "PERM":
        # Too long; or a key into a data base instead of an address, at a domain that is none: signed by nobody of us.
        return {("LIMIT", "")} if vector["op"] == "forward" else {("bad", "")}
    if vector["op"] == "forward":  # not rewritten: as it is, or no address at all
        return {("OK", given)} if given.endswith("@" + domain) else {("PARSE", "")}
    if "Time stamp out of date" in vector["reason"]:
        return {("expired", "")}
    return {("bad", ""), ("none", "")}


def vectors(t):
    book = load("srs-vectors-postsrsd.json")
    asked = [(v["op"], v["in"]) for v in book["vectors"]]
    got = lines(book["secret"], book["local_domain"], book["now"], asked, book["separator"], str(book["hash_length"]))
    for v, answer in zip(book["vectors"], got):
        # A sender longer than mail allows: no parser of ours takes it to begin with.
        want = {("LIMIT", ""), ("PARSE", "")} if v["reason" if "reason" in v else "op"] == "Too big." else expected(v, book["local_domain"])
        t.judge(answer in want, "%s %.100s: %s, not %s" % (v["op"], v["in"], answer, sorted(want)))


def properties(t):
    book = load("srs-properties.json")
    key, now = book["secret"], 1600000000
    for sender in book["round_trip"]:
        wrapped = lines(key, "f.example.net", now, [("forward", sender)])[0]
        t.judge(wrapped[0] == "OK" and wrapped[1].startswith("SRS0="), "forward " + sender)
        back = lines(key, "f.example.net", now, [("reverse", wrapped[1])])[0]
        t.judge(back == ("OK", sender), "back to %s: %s" % (sender, back))
    hops, at = [a.split("@")[1] for a in book["chain"]["aliases"]], [book["chain"]["sender"]]
    for i, hop in enumerate(hops):
        status, address = lines("%s%d" % (key, i), hop, now, [("forward", at[-1])])[0]
        t.judge(status == "OK" and address.startswith("SRS1" if i else "SRS0") and address.count("SRS") == 1, "chain at " + hop)
        at.append(address)
    for i in range(1, len(hops)):
        t.judge(lines("%s%d" % (key, i), hops[i], now, [("reverse", at[i + 1])])[0] == ("OK", at[1]), "back from " + hops[i])
    t.judge(lines(key + "0", hops[0], now, [("reverse", at[1])])[0] == ("OK", at[0]), "home")
    bare = at[2].replace(at[2].split("=")[1] + "=", "", 1)
    t.judge(lines(key + "1", hops[1], now, [("reverse", bare)])[0][0] != "OK", "a hash that is gone")
    times = book["timestamp"]
    ages = [(d, d <= 21) for d in (times["ok_age_days"], times["too_old_days"])] + [(-d, False) for d in times["future_days_refused"]]
    for days, good in ages:
        made = lines(key, "f.example.net", now - days * DAY, [("forward", at[0])])[0][1]
        t.judge((lines(key, "f.example.net", now, [("reverse", made)])[0][0] == "OK") == good, "%d days old" % days)


def wild(t):
    """What is met in mail: rewritten and led back, or too long; never taken for ours."""
    found = load("wild-batv-srs-addresses.tsv") + load("wild-verp-addresses.tsv")
    found = [a for a in found if a.count("@") == 1]
    made = lines("a key of nobody's", "f.example.net", 1600000000, [("forward", a) for a in found])
    back = lines("a key of nobody's", "f.example.net", 1600000000, [("reverse", m[1] or "x") for m in made])
    again = lines("another key", "g.example", 1600000000, [("forward", m[1] or "x@x.example") for m in made])
    claims = lines("a key of nobody's", "f.example.net", 1600000000, [("verify", a) for a in found])
    rewritten = 0
    for a, m, b, c, v in zip(found, made, back, again, claims):
        t.judge(v[0] in ("none", "bad"), "taken for ours: %s %s" % (a, v))
        if m[0] != "OK":
            local, domain = a.split("@")
            t.judge(m[0] == "LIMIT" and len(a) + 13 > 64 or m[0] == "PARSE" and (len(local) > 64 or "." not in domain), "%s: %s" % (a, m))
            continue
        rewritten += 1
        first = a[:5].lower() in ("srs0=", "srs0+", "srs0-")
        whole = a[:5].lower() == "srs1=" and a.count("=") > 3
        t.judge(m[1].startswith("SRS1=" if first or whole else "SRS0="), "%s becomes %s" % (a, m[1]))
        t.judge(b[0] == "OK" and b[1].lower() == a.lower(), "%s comes back as %s" % (a, b))
        t.judge(c[0] == "LIMIT" or c[1].startswith("SRS1="), "%s, then %s" % (m[1], c))
    t.judge(rewritten > 30, "only %d could be rewritten" % rewritten)
    print("%d addresses of real mail, %d rewritten; the others are longer than RFC 5321 allows then" % (len(found), rewritten))


def main():
    if not os.path.isdir(FOLDER):
        print("SKIP no folder data/srs below SMTPF_SHARED")
        return 77
    t = Tally()
    vectors(t)
    properties(t)
    wild(t)
    print("%d passed, %d failed, 0 skipped" % (t.passed, t.failed))
    return 1 if t.failed else 0


if __name__ == "__main__":
    sys.exit(main())
