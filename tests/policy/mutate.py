#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mutate: whether the proofs of src/policy have teeth.

Every table cell, comparison, constant, condition and statement of its files is changed, one at a time and by rule, and
the proofs run against the result: enumerate, the unit tests, walk. A mutant that none of them notices is a survivor and
is printed; those that no test could notice stand in mutants-equivalent.txt, each with its reason. A mutant that does not
compile, or compiles to the same code, is none.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FILES = ["judge.c", "origin.c", "partition.c", "ledger.c", "budget.c"]
TIMEOUT = 180  # seconds; less once it is known how long a suite takes

FAMILIES = [
    ["SMTPF_ACT_" + w for w in "ACCEPT TAG QUARANTINE DISCARD DEFER REJECT".split()],
    ["SMTPF_RULE_" + w for w in "FACT RESTRICTED MISSING OWN ALLOW DENY DISCARD REJECT ELECTIVE SPENT QUARANTINE TAG ACCEPT".split()],
    ["SMTPF_CAN_" + w for w in "REPLY_PER_RCPT DROP_RCPT EDIT_PER_RCPT SENDER_PER_RCPT QUARANTINE_PER_RCPT QUARANTINE EDIT REPORT_COMMIT CUT_THROUGH".split()],
    ["SMTPF_DSN_" + w for w in "ALLOWED HEADERS_ONLY NEVER".split()],
    ["SMTPF_BUDGET_" + w for w in "LEFT SPENT UNREADABLE".split()],
    ["SMTPF_FAMILY_" + w for w in "CLIENT ENVELOPE LIST GREYLIST CONTENT BOUNCE PROOF".split()],
    ["SMTPF_FINDING_" + w for w in "REFUSE DEFER OWN_TOO ELECTIVE ROUTE".split()],
    ["SMTPF_ORIGIN_" + w for w in "OWN BACKUP_MX FORWARDER LIST STRANGER".split()],
    ["SMTPF_ENTRY_" + w for w in "NONE ALLOW DENY".split()],
    ["SMTPF_BOUNCES_" + w for w in "ALL SIGNED PROVEN".split()],
    ["SMTPF_FAILED_" + w for w in "REFUSE MAILBOX".split()],
    ["SMTPF_" + w for w in "MAIL RCPT DATA".split()],
    ["SMTPF_WISH_" + w for w in "MAILBOX FORWARD FORWARD_NONSPAM".split()],
    ["SMTPF_" + w for w in "DELIVERED TAGGED QUARANTINED DISCARDED REJECTED DEFERRED HANDED_OVER".split()],
    ["SMTPF_" + w for w in "CLEAR HIT UNKNOWN".split()],
    ["SMTPF_COMMIT_" + w for w in "OK FAILED REFUSED".split()],
    ["NOTHING", "FACT", "UNSCANNED", "ELECTIVE"],
]
NEXT = {w: family[(i + 1) % len(family)] for family in FAMILIES for i, w in enumerate(family)}
SWAPS = [
    (r"(?<![<>=!+\-*/&|^])==(?!=)", ["!="]), (r"!=", ["=="]), (r"<=", ["<", ">"]), (r"(?<!-)>=", [">", "<"]),
    (r"(?<![<])<(?![<=])", ["<=", ">="]), (r"(?<![->])>(?![>=])", [">=", "<="]), (r"&&", ["||"]), (r"\|\|", ["&&"]),
    (r"\+=", ["-="]), (r"\|=", ["&="]), (r"&=", ["|="]), (r"(?<= )\+(?= )", ["-"]), (r"(?<= )-(?= )", ["+"]),
    (r"(?<= )\*(?= )", ["/"]), (r"(?<= )/(?= )", ["*"]), (r"(?<= )%(?= )", ["/"]), (r"(?<= )&(?= )", ["|"]), (r"(?<= )\|(?= )", ["&"]),
    (r"!(?=[\w(])", [""]), (r"\+\+", ["--"]),
]
STATEMENT = re.compile(r"^\s+(?!\s|return|const|static|size_t|int |int64_t|uint64_t|smtpf_\w+ [\w*]|struct|enum|goto|break|continue|else|\} )[^{}]*;$")
ROW = re.compile(r"^\s+\{.*\},$")


def bare(line):
    """The line with comments and strings blanked, columns kept."""
    line = re.sub(r'"(\\.|[^"\\])*"', lambda m: " " * len(m.group()), line)
    return re.sub(r"/\*.*?\*/", lambda m: " " * len(m.group()), line)


def variants_of(line):
    code = bare(line)
    for pattern, news in SWAPS:
        for m in re.finditer(pattern, code):
            for new in news:
                yield line[:m.start()] + new + line[m.end():]
    for m in re.finditer(r"\b[A-Z]\w+\b", code):
        if m.group() in NEXT:
            yield line[:m.start()] + NEXT[m.group()] + line[m.end():]
    for m in re.finditer(r"(?<![\w.])\d+(?![\w.])", code):
        value = int(m.group())
        for new in {0: [1], 1: [0]}.get(value, [value - 1, value + 1]):
            yield line[:m.start()] + str(new) + line[m.end():]
    m = re.match(r"^(\s*(?:\} )?(?:else )?if \()(.*)(\)(?: \{)?)$", code)
    if m:
        for constant in ("0 && (", "1 || ("):
            yield line[:m.end(1)] + constant + line[m.start(2):m.end(2)] + ")" + line[m.start(3):]
    m = re.match(r"^(\s+)return (.+);$", code)
    if m:
        for new in ("return !(%s);" % line[m.start(2):m.end(2)], "return 0;", "return 1;"):
            yield m.group(1) + new
    m = re.match(r"^(\s+\{)([^{},]+)(,.*\},)$", code)
    if m:
        for constant in ("0", "1"):
            yield line[:m.end(1)] + constant + line[m.start(3):]
    if STATEMENT.match(code):
        yield re.match(r"\s+", line).group() + ";"
    if ROW.match(code):
        yield ""


def changed(name, since):
    """The numbers of the lines that differ from a revision; None: all are looked at."""
    if not since:
        return None
    out, path = set(), os.path.join("src/policy", name)
    diff = subprocess.run(["git", "-C", TOP, "diff", "-U0", since, "--", path], capture_output=True, text=True, check=True).stdout
    for m in re.finditer(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", diff, re.M):
        out.update(range(int(m.group(1)), int(m.group(1)) + int(m.group(2) or 1)))
    return out


def mutants(name, since=None):
    these = changed(name, since)
    with open(os.path.join(TOP, "src/policy", name), encoding="ascii") as f:
        lines = f.read().split("\n")
    comment = False
    for i, line in enumerate(lines):
        comment = comment or line.lstrip().startswith("/*")
        skip = comment or line.startswith("#") or not line.startswith(" ")
        if "*/" in line:
            skip = skip or line.lstrip().startswith(("/*", "*")) or comment and "/*" not in line
            comment = False
        if skip or (these is not None and i + 1 not in these):
            continue
        seen = {line}
        for new in variants_of(line):
            if new not in seen:
                seen.add(new)
                yield {"file": name, "line": i + 1, "old": line.strip(), "new": new.strip(),
                       "text": "\n".join(lines[:i] + [new] + lines[i + 1:])}


class Bench:
    """What mutants are compiled with and linked to."""

    def __init__(self, build, room):
        self.build, self.room, self.patience = build, room, {}
        self.cc = os.environ.get("CC", "gcc").split()
        # what leaves a table or overflows is noticed where it happens
        self.flags = ["-std=c11", "-O1", "-w", "-fsanitize=bounds,signed-integer-overflow", "-fsanitize-undefined-trap-on-error", "-I" + os.path.join(TOP, "include"), "-I" + os.path.join(TOP, "src"),
                      "-I" + os.path.join(TOP, "src/policy")]
        libs, check = self.of_archive(os.path.join(build, "libsmtpf_all.la")), self.of_package("--cflags", "--libs", "check")
        whole = os.path.join(room, "whole.a")
        shutil.copy(os.path.join(build, ".libs/libsmtpf_all.a"), whole)
        few = os.path.join(room, "few.a")
        subprocess.run(["ar", "rc", few] + self.objects([os.path.join(TOP, "src", n) for n in ["base/str.c", "base/record.c"] + ["policy/" + f for f in FILES]]), check=True)
        own = [p for p in sorted(glob.glob(os.path.join(HERE, "*.c"))) if os.path.basename(p) not in ("walk.c", "stage.c")]
        unit = sorted(glob.glob(os.path.join(TOP, "tests/unit/test_policy*.c")))
        walk = [os.path.join(HERE, n) for n in ("walk.c", "stage.c")]
        self.suites = [("enumerate", self.objects(own), [few]), ("unit", self.objects(unit), [few, whole] + libs + check),
                       ("walk", self.objects(walk), [whole] + libs)]

    @staticmethod
    def of_archive(path):
        """What libtool says the library needs itself."""
        with open(path, encoding="ascii") as f:
            return re.search(r"^dependency_libs='(.*)'", f.read(), re.M).group(1).split()

    @staticmethod
    def of_package(*words):
        done = subprocess.run(["pkg-config"] + list(words), capture_output=True, text=True)
        if done.returncode:
            sys.exit("mutate: pkg-config %s: %s" % (" ".join(words), done.stderr.strip()))
        return done.stdout.split()

    def compile(self, source, target):
        return subprocess.run(self.cc + self.flags + ["-c", source, "-o", target], capture_output=True).returncode == 0

    def objects(self, sources):
        made = []
        for source in sources:
            target = os.path.join(self.room, os.path.basename(source) + ".o")
            if not self.compile(source, target):
                sys.exit("mutate: %s does not compile" % source)
            made.append(target)
        return made

    def plain(self, name):
        target = os.path.join(self.room, name + ".plain.o")
        if not self.compile(os.path.join(TOP, "src/policy", name), target):
            sys.exit("mutate: %s does not compile" % name)
        with open(target, "rb") as f:
            return f.read()

    def killer(self, obj, tag, file):
        """The suite that notices, or None. enumerate knows nothing of budgets, which others hand it."""
        for name, objects, libs in self.suites[file == "budget.c":]:
            program = os.path.join(self.room, "%s.%s" % (name, tag))
            link = subprocess.run(self.cc + ["-o", program, obj] + objects + libs, capture_output=True, text=True)
            if link.returncode:
                sys.exit("mutate: cannot link %s: %s" % (name, link.stderr[-2000:]))
            env = dict(os.environ, CK_FORK="no", CK_VERBOSITY="silent", SMTPF_FAIL_FAST="1")
            begun = time.time()
            try:
                status = subprocess.run([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
                                        timeout=self.patience.get(name, TIMEOUT)).returncode
            except subprocess.TimeoutExpired:
                status = "timeout"
            os.unlink(program)
            if tag == "plain":
                self.patience[name] = max(self.patience.get(name, 0), 5 + 5 * (time.time() - begun))
            if status:
                return name
        return None

    def judge(self, m):
        folder = os.path.join(self.room, "%d" % m["number"])
        source, obj = os.path.join(folder, m["file"]), folder + ".o"
        os.mkdir(folder)
        with open(source, "w", encoding="ascii") as f:
            f.write(m["text"])
        try:
            if not self.compile(source, obj):
                return "invalid"
            with open(obj, "rb") as f:
                if f.read() == m["plain"]:
                    return "same"
            return self.killer(obj, m["number"], m["file"]) or "survived"
        finally:
            os.unlink(source)
            os.rmdir(folder)
            if os.path.exists(obj):
                os.unlink(obj)


def excused():
    """{(file, old, new): reason} of mutants-equivalent.txt."""
    out, path = {}, os.path.join(HERE, "mutants-equivalent.txt")
    with open(path, encoding="ascii") as f:
        blocks = re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n", "", f.read()).strip())
    for block in filter(None, blocks):
        lines = [line.strip() for line in block.split("\n")]
        if len(lines) < 4 or not lines[1].startswith("- ") or not lines[2].startswith("+ "):
            sys.exit("mutate: not FILE, - OLD, + NEW, reason: " + block)
        out[(lines[0], lines[1][2:], lines[2][2:])] = " ".join(lines[3:])
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30, help="stop after so long; what was left out is counted")
    parser.add_argument("--only", help="one file of src/policy")
    parser.add_argument("--since", help="only lines that differ from this revision")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    build = os.environ.get("builddir") or os.getcwd()
    subprocess.run(["make", "-s", "-C", build, "libsmtpf_all.la"], check=True)
    reasons, used, begun = excused(), set(), time.time()
    counts = {"mutants": 0, "killed": 0, "equivalent": 0, "survived": 0, "left_out": 0, "invalid": 0, "same": 0}
    by = {}
    with tempfile.TemporaryDirectory() as room:
        bench = Bench(build, room)
        for name in FILES:
            whole = bench.killer(os.path.join(room, name + ".o"), "plain", name)
            if whole:
                sys.exit("mutate: %s fails without any mutant" % whole)
        todo = []
        for name in FILES:
            if not args.only or args.only == name:
                plain = bench.plain(name)
                todo += [dict(m, plain=plain) for m in mutants(name, args.since)]
        for i, m in enumerate(todo):
            m["number"] = i

        def run(m):
            return "left_out" if time.time() - begun > args.minutes * 60 else bench.judge(m)

        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            for done, (m, result) in enumerate(zip(todo, pool.map(run, todo)), 1):
                key = (m["file"], m["old"], m["new"])
                if result == "survived" and key in reasons:
                    result = "equivalent"
                    used.add(key)
                if result == "survived":
                    print("SURVIVED %s:%d\n  - %s\n  + %s" % (m["file"], m["line"], m["old"], m["new"]), flush=True)
                if result in counts:
                    counts[result] += 1
                else:
                    counts["killed"] += 1
                    by[result] = by.get(result, 0) + 1
                if done % 100 == 0:
                    print("  %d of %d, %d s" % (done, len(todo), time.time() - begun), file=sys.stderr, flush=True)
    counts["mutants"] = counts["killed"] + counts["equivalent"] + counts["survived"]
    stale = [k for k in reasons if k not in used and not args.only and not args.since and not counts["left_out"]]
    for key in stale:
        print("STALE in mutants-equivalent.txt: %s\n  - %s\n  + %s" % key)
    print(json.dumps(dict({"name": "mutate"}, **counts, killed_by=by, stale=len(stale), seconds=round(time.time() - begun))))
    return 1 if counts["survived"] or counts["left_out"] or stale else 0


if __name__ == "__main__":
    sys.exit(main())
