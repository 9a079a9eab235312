#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/policy.conf is complete and true: every option of the library, its checks and programs stands in it,
what it shows as a default is the default, and it loads as it is and with every option switched on."""
import os
import re
import subprocess
import sys
import tempfile

SRC = os.environ.get("srcdir", ".")
POLICY = os.path.join(SRC, "examples", "policy.conf")


def rows():
    out = subprocess.run(["docs/man/options-table", "tsv"], check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def uncommented(text):
    return re.sub(r"^(\s*)#(?=[a-z{}])", r"\1", text, flags=re.M)


def without_type(text, kind):
    """Without the scanners of a type that this build does not have, and the comma before the last one's end."""
    text = re.sub(r"\{[^{}]*type = \"%s\";[^{}]*\},?" % re.escape(kind), "", text)
    return re.sub(r",(\s*\))", r"\1", text)


def settings(text):
    """(path without keys, value as text) of every setting, by following groups and lists."""
    text = re.sub(r'("(?:\\.|[^"\\])*")|#[^\n]*', lambda m: m.group(1) or "", text)
    token = re.compile(r'\s*("(?:\\.|[^"\\])*"|[A-Za-z_][\w-]*|-?[\d.]+|[={}()\[\],;])')
    at, stack, name = 0, [], None
    while at < len(text.rstrip()):
        m = token.match(text, at)
        at, t = m.end(), m.group(1)
        if re.match(r"[A-Za-z_]", t) and t not in ("true", "false"):
            name = t
        elif t == "=":
            yield ".".join(stack + [name]), re.match(r"\s*([^;]*?)\s*;", text[at:], re.S).group(1)
        elif t in "({[":
            stack += [name] if name and t != "[" else []
            stack += [] if name and t != "[" else [""]
            name = None
        elif t in ")}]":
            stack.pop()
            name = None
        elif t in ";,":
            name = None


def same(value, default, kind):
    value = value.strip('"')
    if kind == "score" and value != "off" and default != "off":
        return float(value) == float(default)
    return value == default


def loads(path, extra):
    run = subprocess.run(["./smtpf-proxy", "--check", "-c", path] + extra, capture_output=True, text=True, timeout=60, check=False)
    return run.returncode == 0, run.stdout + run.stderr


def main():
    failed = passed = 0

    def judge(good, what):
        nonlocal failed, passed
        passed, failed = passed + bool(good), failed + (not good)
        if not good:
            print("FAIL " + what)

    with open(POLICY, encoding="ascii") as f:
        text = f.read()
    shown = {}
    for path, value in settings(uncommented(text)):
        shown.setdefault(re.sub(r"\.+", ".", path), []).append(value)
    for path, kind, default, _, _ in rows():
        flat = re.sub(r"\[[^\]]*\]", "", path)
        judge(flat in shown, "not in examples/policy.conf: " + path)
        for m in re.finditer(r"^\s*#%s = (.*);$" % re.escape(flat.rsplit(".", 1)[-1]), text, re.M):
            if len(shown.get(flat, [])) == 1 and m.group(1) == shown[flat][0] and default and kind not in ("strings", "list"):
                judge(same(m.group(1), default, kind), "%s: shown as %s, is %s" % (path, m.group(1), default))
    known = {re.sub(r"\[[^\]]*\]", "", r[0]) for r in rows()}
    keys = {re.sub(r"\[[^\]]*\]", "", r[0]) + "." + re.search(r"\[(\w+)\]$", r[0]).group(1) for r in rows() if r[0].endswith("]")}
    groups = {k.rsplit(".", 1)[0] for k in known if "." in k}
    for path in shown:
        judge(path in known | keys | groups, "no such option: " + path)
    good, said = loads(POLICY, [])
    judge(good, "it does not load: " + said)
    with tempfile.TemporaryDirectory() as tmp:
        listed = os.path.join(tmp, "blocked.txt")
        with open(listed, "w", encoding="ascii") as f:
            f.write("192.0.2.1\n")
        whole = os.path.join(tmp, "whole.conf")
        everything = uncommented(text).replace("/etc/smtpfilter/blocked.txt", listed)
        keys = os.path.join(tmp, "keys")
        with open(keys, "w", encoding="ascii") as f:
            f.write("# of nobody\nthe key of a test, and of nothing else\n")
        everything = re.sub(r"/etc/smtpfilter/(srs|batv)\.keys", keys, everything)
        # files and users that are not here
        everything = re.sub(r"^ *((hop_)?tls_(authorities|certificate|key)|user|group) = .*\n", "", everything, flags=re.M)
        everything = everything.replace("/usr/share/smtpfilter/rules", os.path.abspath(os.path.join(SRC, "examples/rules")))
        everything = everything.replace("/var/spool/smtpfilter/quarantine", os.path.join(tmp, "quarantine"))
        for _ in range(8):
            with open(whole, "w", encoding="ascii") as f:
                f.write(everything)
            good, said = loads(whole, [])
            absent = re.search(r"(?:no such type of scanner here: |this build has no )(\w+)", said)
            if not absent:
                break
            print("SKIP this build has no scanner of type " + absent.group(1))
            everything = without_type(everything, absent.group(1))
        judge(good, "it does not load with everything switched on: " + said)
        broken = os.path.join(tmp, "broken.conf")
        with open(broken, "w", encoding="ascii") as f:
            f.write(text + "\nno_such_option = 1;\n")
        good, said = loads(broken, [])
        judge(not good and "broken.conf:%d" % (text.count("\n") + 2) in said, "an unknown option is not refused by file:line: " + said)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
