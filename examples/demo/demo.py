#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""demo: smtpf-proxy between real clients and a real next hop, on loopback; one line for each attempt.

    demo.py --build FOLDER [--keep]

Starts smtp-sink (the next hop), rbldnsd (a DNS list) and smtpf-proxy with examples/policy.conf, sends mail with swaks,
prints what was sent, what was answered, why, and what arrived behind. Exits 1 when a row is not as it should be. Ends what
it started, by pid; with --keep only when Enter is pressed.
"""
import argparse
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POLICY = os.path.join("examples", "policy.conf")
LISTED = """$SOA 300 ns.zen.example. hostmaster.zen.example. 1 3600 600 86400 60
$NS 300 ns.zen.example.
127.0.0.66 :127.0.0.2:sends spam since Tuesday
127.0.0.67 :127.0.0.10:an address of a residential range
"""
SMUGGLED = ("From: a@client.example\r\nTo: alice@example.net\r\nSubject: outer\r\n\r\nouter\n.\r\n"
            "MAIL FROM:<ceo@example.net>\r\nRCPT TO:<alice@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\ninner\r\n.\r\n")


class Row:
    """One attempt: what is sent, by swaks or (talk) by hand; what must come of it."""

    def __init__(self, sent, code, arrives, address="127.0.0.9", to="alice@example.net", helo="mail.client.example",
                 data=None, talk=None, marked=False):
        self.sent, self.code, self.arrives, self.address, self.to = sent, code, arrives, address, to
        self.helo, self.data, self.talk, self.marked = helo, data, talk, marked


ROWS = [
    Row("a letter to alice", "250", 1),
    Row("a letter from a client on a DNS list (127.0.0.2)", "550", 0, address="127.0.0.66"),
    Row("a letter to alice from a residential range: score 6 of 10", "250", 1, address="127.0.0.67", marked=True),
    Row("the same to bob, whose profile is strict", "550", 0, address="127.0.0.67", to="bob@example.net"),
    Row("a letter for somebody elsewhere", "550", 0, to="someone@elsewhere.example"),
    Row("a letter to nobody@, who does not exist", "550", 0, to="nobody@example.net"),
    Row("HELO with our own name", "550", 0, helo="mx.example.net"),
    Row("talk before the banner", "554", 0, talk=True),
    Row("two messages in one, by a bare LF (smuggling)", "5", 0, data=SMUGGLED),
]


def free_port(kind=socket.SOCK_STREAM, wish=0):
    with socket.socket(socket.AF_INET, kind) as s:
        try:
            s.bind(("127.0.0.1", wish))
        except OSError:
            s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def find(program):
    path = shutil.which(program)
    if not path:
        sys.exit("demo: %s is not here; ./bootstrap demo fetches it" % program)
    return path


class Stage:
    """What runs: the three servers, their folder, their logs."""

    def __init__(self, build, keep):
        self.folder = tempfile.mkdtemp(prefix="smtpf-demo.")
        os.chmod(self.folder, 0o755)  # rbldnsd drops its privileges
        self.started = []
        self.hop, self.port, self.dns = free_port(), free_port(wish=2525 if keep else 0), free_port(socket.SOCK_DGRAM)
        self.build = os.path.abspath(build)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def start(self, name, argv, port=None):
        with open(self.path(name + ".log"), "wb") as log:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=TREE)
        self.started.append((name, child))
        for _ in range(100):
            if child.poll() is not None:
                break
            if not port:
                time.sleep(0.3)
                if child.poll() is None:
                    return
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("demo: %s did not start: %s" % (name, self.log(name)[-1500:]))

    def log(self, name):
        with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def open(self):
        os.mkdir(self.path("mail"))
        os.chmod(self.path("mail"), 0o777)
        root = os.getuid() == 0  # then both servers drop their privileges
        place = ["-u", "nobody", "-R", self.path("mail"), "-d", "%s."] if root else ["-d", self.path("mail", "%s.")]
        self.start("smtp-sink", [find("smtp-sink"), *place, "127.0.0.1:%d" % self.hop, "64"], self.hop)
        with open(self.path("listed"), "w", encoding="ascii") as f:
            f.write(LISTED)
        os.chmod(self.path("listed"), 0o644)
        user = ["-u", "nobody:nogroup"] if root else []
        self.start("rbldnsd", [find("rbldnsd"), "-n", "-q", *user, "-b", "127.0.0.1/%d" % self.dns, "-w", self.folder,
                               "zen.example:ip4set:listed"])
        self.start("smtpf-proxy", [os.path.join(self.build, "smtpf-proxy"), *self.arguments(), "--log", "json", "--explain"], self.port)

    def arguments(self):
        return ["-c", POLICY, "--listen", "127.0.0.1:%d" % self.port, "--hop", "127.0.0.1:%d" % self.hop,
                "--set", "resolver.servers=127.0.0.1:%d" % self.dns]

    def close(self):
        for _, child in reversed(self.started):
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def arrived(self):
        """The messages behind, as text."""
        found = []
        for path in sorted(glob.glob(self.path("mail", "*"))):
            with open(path, encoding="latin-1", newline="") as f:
                found.append(f.read())
        return found


def by_hand(stage, row):
    """A client that does not wait for the banner. All replies, in order."""
    lines = ["EHLO " + row.helo, "MAIL FROM:<a@client.example>", "RCPT TO:<%s>" % row.to, "QUIT"]
    replies = []
    with socket.create_connection(("127.0.0.1", stage.port), 10, source_address=(row.address, 0)) as s:
        s.sendall((lines[0] + "\r\n").encode())
        with s.makefile("r", encoding="latin-1", newline="\r\n") as f:
            for line in [None, None] + lines[1:]:
                if line:
                    s.sendall((line + "\r\n").encode())
                reply = f.readline()
                while reply[3:4] == "-":
                    reply = f.readline()
                if not reply:
                    break
                replies.append(reply.strip())
    return replies


def by_swaks(stage, row):
    argv = [find("swaks"), "--server", "127.0.0.1", "--port", str(stage.port), "--local-interface", row.address, "--helo", row.helo,
            "--from", "a@client.example", "--to", row.to, "--timeout", "30"]
    if row.data:
        path = stage.path("data")
        with open(path, "w", encoding="ascii", newline="") as f:
            f.write(row.data)
        argv += ["--no-data-fixup", "--data", "@" + path]
    else:
        argv += ["--header", "Subject: " + row.sent]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    return [m.group(1) for m in re.finditer(r"^<\S*\s+(\d{3}(?: .*)?)$", run.stdout, re.M)]


def verdicts(stage, skip):
    """The proxy's verdicts since the first `skip` characters of its log."""
    for line in stage.log("smtpf-proxy")[skip:].splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "reply" in entry:
            yield entry


def reason(entries):
    """Why: what was found by the checks, in the verdict that refused, else in the last that has findings."""
    refused = [e for e in entries if e["reply"]["code"] >= 400]
    for entry in refused or [e for e in reversed(entries) if any(f["kind"] == "hit" for f in e.get("evidence", []))][:1]:
        hits = ["%s: %s%s" % (f["check"], f["code"], " (" + f["detail"] + ")" if f.get("detail") else "")
                for f in entry.get("evidence", []) if f["kind"] == "hit"]
        return "; ".join(dict.fromkeys(hits)) or "the protocol: " + entry.get("rule", "")
    return "nothing against it"


def attempt(stage, row):
    """(reply, why, arrived, good)"""
    skip, before = len(stage.log("smtpf-proxy")), len(stage.arrived())
    replies = (by_hand if row.talk else by_swaks)(stage, row)
    wrong = [r for r in replies if r[0] in "45"]
    answers = [r for r in replies if not r.startswith("221")]
    reply = (wrong or answers[-1:] or ["no answer"])[0]
    for _ in range(40):  # the sink writes its file after its answer
        if len(stage.arrived()) - before >= row.arrives:
            break
        time.sleep(0.05)
    new = stage.arrived()[before:]
    why = reason(list(verdicts(stage, skip)))
    marked = any(re.search(r"^X-Smtpfilter:", m, re.M) for m in new)
    behind = "nothing" if not new else "the letter, tagged" if marked else "the letter"
    good = reply.startswith(row.code) and len(new) == row.arrives and marked == row.marked
    good = good and not any("smuggled" in m for m in new)
    return reply, why, behind, good


WIDTHS = (34, 44, 46, 20)


def show(cells):
    wrapped = [textwrap.wrap(c, w) or [""] for c, w in zip(cells, WIDTHS)]
    for i in range(max(map(len, wrapped))):
        print("  ".join((c[i] if i < len(c) else "").ljust(w) for c, w in zip(wrapped, WIDTHS)).rstrip())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--keep", action="store_true")
    args = p.parse_args()
    stage = Stage(args.build, args.keep)
    bad = 0
    try:
        stage.open()
        print()
        show(("what was sent", "what was answered", "why", "what arrived behind"))
        show(tuple("-" * w for w in WIDTHS))
        for row in ROWS:
            reply, why, behind, good = attempt(stage, row)
            show((row.sent, reply, why, behind + ("" if good else "  <- NOT AS EXPECTED")))
            bad += not good
            sys.stdout.flush()
        print("\n%d of %d as expected." % (len(ROWS) - bad, len(ROWS)))
        talk = "swaks --server 127.0.0.1 --port %d --helo mail.client.example --from you@client.example --to alice@example.net"
        if args.keep:
            print("Talk to it:  " + talk % stage.port)
            input("Enter ends it. ")
        else:
            print("By hand:  ./bootstrap demo --keep   keeps it running and says how to talk to it, for example\n  " + talk % 2525)
            print("or your own, before the mail server that listens on port 10025:\n  build/smtpf-proxy -c %s --explain" % POLICY)
    finally:
        stage.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
