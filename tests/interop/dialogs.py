#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SMTP dialogues that other servers' authors wrote, spoken with tests/smtp_stdio: every reply must be of the class (first
digit) they expect. Those that do not apply are named with the reason; `-v` lists them, and what was said where one fails.

Read from SMTPF_SHARED: data/smtp-chasquid/*.cmy, and the dialogues of data/smtp-exim/dialogs.jsonl in which a client
expects replies.
"""
import ast
import collections
import glob
import json
import os
import re
import select
import subprocess
import sys

CHECKS = ("iprev", "delay", "helo", "null_sender")  # not the protocol
VERBOSE = "-v" in sys.argv

# ---- the other side ------------------------------------------------------------------------------


class Mismatch(Exception):
    pass


class Server:
    """One process of smtp_stdio, and what it says."""

    def __init__(self, options):
        self.process = subprocess.Popen(["tests/smtp_stdio", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.buffer, self.said = b"", []

    def send(self, data):
        self.said.append("C: %r" % data[:100])
        try:
            self.process.stdin.write(data)
        except BrokenPipeError:
            self.said.append("(closed)")

    def line(self):
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], 20)[0]:
                raise Mismatch("no reply within 20 s")
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                return ""
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        self.said.append("S: %r" % line[:100])
        return line.decode("latin-1").rstrip("\r")

    def reply(self):
        """The code of the next whole reply; empty at the end of the connection."""
        while True:
            line = self.line()
            if not line or line[3:4] != "-":
                return line[:3]

    def expect(self, text):
        got = self.reply()
        if text == "eof" and not got:
            return
        if not got or got[0] != text[0]:
            raise Mismatch("expected %s, got %s" % (text[:40], got or "the end of the connection"))

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if self.process.returncode not in (0, -13):
            raise Mismatch("smtp_stdio ended with %d" % self.process.returncode)


# ---- chasquid ------------------------------------------------------------------------------------

CHASQUID_NOT = {
    "auth_multi_dialog.cmy": "AUTH and TLS are the host's",
    "auth_too_many_failures.cmy": "AUTH and TLS are the host's",
    "bad_data.cmy": "refuses a header section that does not parse: a check of the message, not of the protocol",
}


def chasquid(path, options):
    server = None
    with open(path, encoding="utf-8") as f:
        for line in f.read().split("\n"):
            line = line.removeprefix("c ") if line.startswith("c ") else ""
            word, _, rest = line.partition(" ")
            if word in ("tcp_connect", "close"):
                if server:
                    server.close()
                server = Server(options) if word == "tcp_connect" else None
            elif word == "->":
                server.send(rest.encode("utf-8") + b"\r\n")
            elif word == "~>":
                server.send(product(rest))
            elif word in ("<-", "<~", "<..."):
                server.expect(rest)
    if server:
        server.close()


def product(text):
    """`'literal'` or `('literal' + ...) * number`, as bytes."""
    tree = ast.parse(text.strip(), mode="eval").body

    def value(node):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
            a, b = value(node.left), value(node.right)
            return a + b if isinstance(node.op, ast.Add) else a * b
        raise Mismatch("cannot read " + text)

    return value(tree).encode("utf-8")


# ---- Exim ----------------------------------------------------------------------------------------

# By script, or by script and number of the dialogue in it (from 1).
SYNC = "drops a client that talks early; here it is evidence, and judged"
CONTENT = "refuses by the header section: a check of the message, not of the protocol"
NO_HELO = "lets mail begin without HELO; RFC 5321 4.1.4 does not"
UNQUALIFIED = "takes a sender without a domain, or a domain that is none; RFC 5321 4.1.2 does not"
SPF = "refuses by SPF"
PRDR = "PRDR is not announced"
PROXY = "the PROXY protocol is the host's"
OCTETS = "takes a local part of more than 64 octets; RFC 5321 4.5.3.1.1 and RFC 6531 3.2 do not ask for it"
AUTH = "the parameter AUTH is not announced"
EXIM_NOT = {
    "0000-Basic/0214#1": CONTENT,
    "0000-Basic/0287": "ETRN is not announced",
    "0000-Basic/0300#1": SYNC,
    "0000-Basic/0300#2": SYNC,
    "0000-Basic/0300#3": SYNC,
    "0000-Basic/0300#4": SYNC,
    "0000-Basic/0300#5": SYNC,
    "0000-Basic/0300#7": SYNC,
    "0000-Basic/0300#9": SYNC,
    "0000-Basic/0416 stdin#2": NO_HELO,
    "0000-Basic/0465 stdin#2": UNQUALIFIED,
    "0000-Basic/0482#1": CONTENT,
    "0000-Basic/0556": SYNC,
    "0000-Basic/0566 stdin#5": AUTH,
    "0000-Basic/0566 stdin#6": AUTH,
    "0000-Basic/0566 stdin#7": AUTH,
    "0000-Basic/0566 stdin#8": "takes the last of two SIZE parameters; RFC 1869 6 allows each once",
    "0000-Basic/0583#1": "refuses by a quota",
    "0000-Basic/0619": UNQUALIFIED,
    "0000-Basic/0620": UNQUALIFIED,
    "0000-Basic/0629#1": "refuses by a configured rule",
    "0000-Basic/0901#4": "waits until its own timeout",
    "0000-Basic/0901#5": "refuses an empty chunk; RFC 3030 does not",
    "0000-Basic/0901#8": SYNC,
    "1000-Basic-ipv6/1001#1": "refuses HELO by its syntax; here it is evidence, and judged at RCPT",
    "3400-plaintext/3414": AUTH,
    "4030-proxy-protocol/4030": PROXY,
    "4030-proxy-protocol/4031": PROXY,
    "4200-International/4203": OCTETS,
    "4200-International/4207": OCTETS,
    "4600-SPF/4600#1": SPF,
    "4600-SPF/4600#3": SPF,
    "4600-SPF/4600#8": SPF,
    "4608-SPF-libspf2/4608#1": SPF,
    "4608-SPF-libspf2/4608#4": SPF,
    "5500-PRDR/5500": PRDR,
    "9400-local_scan/9400": NO_HELO,
}


MACROS = {"HOSTIPV4": "192.0.2.25", "HOSTIPV6": "2001:db8::25", "V4NET": "192", "V6NET:": "2001:db8:"}


def unescaped(text):
    for name, value in MACROS.items():
        text = text.replace(name, value)
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")  # each character stands for a byte


def steps_of(dialogue):
    """(send, bytes) and (expect, text); the lines of one multi-line reply are one."""
    inside = False
    for step in dialogue["steps"]:
        if "send" in step:
            yield "send", unescaped(step["send"]) + b"\r\n"
        elif "send_raw_nocrlf" in step:
            yield "send", unescaped(step["send_raw_nocrlf"].removeprefix(" "))
        elif step.get("expect") and not step.get("optional"):
            if re.match(r"\d\d\d-", step["expect"]):
                inside = True
                continue
            yield "expect", step["expect"]
            inside = False
    if inside:
        yield "expect", step["expect"]


# What a dialogue takes for granted of the other's configuration.
MORE = {
    "0000-Basic/0214#2": ["--line-max=16384"],
    "0000-Basic/0460#1": ["--normalise"],
}


def exim(dialogue, options):
    server = Server(options + ["local_domains+=" + d for d in domains_of(dialogue)])
    try:
        for kind, what in steps_of(dialogue):
            if kind == "send":
                server.send(what)
            else:
                server.expect(what)
        server.close()
    except Mismatch:
        server.process.kill()
        server.process.wait()
        if VERBOSE:
            print("\n".join("      " + s for s in server.said))
        raise


def domains_of(dialogue):
    """Every domain that mail is sent to: what may be relayed depends on the other's configuration, which is not ours."""
    found = set()
    for step in dialogue["steps"]:
        found.update(re.findall(r"(?ia)rcpt to:\s*<?[^@\s]*@([A-Za-z0-9.-]+)", step.get("send", "")))
    return sorted(found)


def exim_cases(path):
    """Name, dialogue, and what speaks it. What has no expectations of its own has its replies in stdout/NNNN; taken where
    these are of the protocol alone, and no refusal that was configured."""
    clients, files = {}, {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            d = json.loads(line)
            if d["kind"] == "client":
                clients[d["script"]] = clients.get(d["script"], 0) + 1
                if any("expect" in s for s in d["steps"]) and any("send" in s for s in d["steps"]):
                    yield "%s#%d" % (d["script"], clients[d["script"]]), d, exim
            else:
                files.setdefault(d["script"], []).append(d)
    for script, dialogues in files.items():
        sessions = recorded(os.path.join(os.path.dirname(path), "stdout", script.split("/")[1]))
        if len(sessions) != len(dialogues):
            continue
        for number, (d, codes) in enumerate(zip(dialogues, sessions), 1):
            if set(codes) <= PROTOCOL:
                yield "%s stdin#%d" % (script, number), dict(d, replies=codes), exim_at_once


PROTOCOL = {"220", "221", "250", "252", "214", "354", "500", "501", "502", "503", "504", "555"}


def recorded(path):
    """The codes of all replies, a list for each session."""
    sessions = []
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                if re.match(r"\d\d\d ", line):
                    if line.startswith("220"):
                        sessions.append([])
                    if sessions:
                        sessions[-1].append(line[:3])
    return sessions


def exim_at_once(dialogue, options):
    """All sent without waiting, as a file on standard input is."""
    server = Server(options + ["local_domains+=" + d for d in domains_of(dialogue)])
    server.send(b"".join(what for kind, what in steps_of(dialogue) if kind == "send"))
    server.process.stdin.close()
    got = []
    while code := server.reply():
        got.append(code)
    server.close()
    want = dialogue["replies"]
    if [c[0] for c in got[:len(want)]] != [c[0] for c in want]:
        if VERBOSE:
            print("\n".join("      " + s for s in server.said))
        raise Mismatch("expected %s, got %s" % (" ".join(want), " ".join(got)))


# ---- all -----------------------------------------------------------------------------------------


def main():
    source = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    data = os.path.join(os.environ.get("SMTPF_SHARED", os.path.join(source, "..", "shared")), "data")
    options = ["hostnames+=mx.example.net", "limits.message=1m"] + ["check.disable+=" + c for c in CHECKS]
    cases = []
    for path in sorted(glob.glob(os.path.join(data, "smtp-chasquid", "*.cmy"))):
        name = os.path.basename(path)
        cases.append(("chasquid " + name, CHASQUID_NOT.get(name), lambda p=path: chasquid(p, [*options, "local_domains+=testserver", "--line-max=1000"])))
    dialogues = os.path.join(data, "smtp-exim", "dialogs.jsonl")
    if os.path.exists(dialogues):
        for name, d, speak in exim_cases(dialogues):
            why = EXIM_NOT.get(name) or EXIM_NOT.get(re.split("[ #]", name)[0])
            if any("send_file" in s for s in d["steps"]):
                why = "sends a file that is not in the set"
            cases.append(("exim " + name, why, lambda d=d, speak=speak, more=tuple(MORE.get(name, ())): speak(d, [*options, *more])))
    if not cases:
        print("SKIP no data/smtp-chasquid and data/smtp-exim below SMTPF_SHARED")
        return 77
    passed, failed = 0, 0
    left_out = collections.Counter()
    named = {re.sub(r"^\w+ ", "", name) for name, _, _ in cases}
    if os.path.exists(dialogues):
        for name in EXIM_NOT:
            if name not in named and not any(n.startswith((name + "#", name + " ")) for n in named):
                failed += 1
                print("an exception that is no dialogue: " + name)
    for name, why, speak in cases:
        if why:
            left_out[why] += 1
            if VERBOSE:
                print("  does not apply: %s: %s" % (name, why))
            continue
        try:
            speak()
            passed += 1
        except Mismatch as e:
            failed += 1
            print("%s: %s" % (name, e))
    for why, n in left_out.most_common():
        print("SKIP %d that do not apply: %s" % (n, why))
    print("%d passed, %d failed, %d skipped" % (passed, failed, sum(left_out.values())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
