#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Scanners that fail, through smtpf-proxy and the library's own ports: for each type and each way to fail, what the client
was answered, how long after its final dot, and what the log says (`./bootstrap show scanner-faults`). A fault is never a
5xx and never a 2xx as if the message were clean: mail is put off."""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import free_port  # pylint: disable=wrong-import-position
from proxy_harness import Client, Proxy, Sink  # pylint: disable=wrong-import-position
from scanner_fakes import PROTOCOLS, Server  # pylint: disable=wrong-import-position

TIMEOUT = 1.0  # the policy's
HEAD = b"From: <sender@example.org>\r\nTo: <user@example.net>\r\nSubject: faults\r\n\r\n"
LINE = b"The quick brown fox jumps over the lazy dog and looks back once.\r\n"
BIG = HEAD + LINE * 12000  # 800 KB: nobody's socket buffers hold it
HUGE = HEAD + LINE * 140000  # 9 MB: more than a socket's buffer can grow to
SMALL = HEAD + LINE
TEMPORARY = b"451 4.3.0"
LOCK = threading.Lock()
rows = []
counts = {"cases": 0, "failed": 0, "skipped": 0}


def policy(kind, servers, spool="", timeout=int(TIMEOUT * 1000)):
    """A policy file with one instance of this type; None: with no scanner."""
    instance = """{ name = "one"; type = "%s"; kind = "virus"; timeout = "%dms"; connect_timeout = "300ms";
               servers = [ %s ]; %s }""" % (kind, timeout, ", ".join('"%s"' % s for s in servers),
                                            'service = "fake";' if kind == "icap" else "")
    with tempfile.NamedTemporaryFile("w", prefix="scanner-faults-", suffix=".conf", delete=False, encoding="ascii") as f:
        f.write("""local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev", "early_talk" ]; };
proxy = { log_verdicts = "all"; drain = "3s"; };
scanners = ( %s );
%s
""" % (instance if kind else "", spool))
    return f.name


class Site:
    """The proxy before a sink."""

    def __init__(self, kind, servers, spool_group=""):
        self.sink = Sink()
        self.policy = policy(kind, servers, spool_group)
        self.proxy = Proxy(self.sink.port, policy=self.policy, arguments=["--explain"])

    def send(self, data, sender=b"<sender@example.org>"):
        client = Client(self.proxy)
        client.begin(sender=sender)
        client.send(data)
        begun = time.monotonic()
        client.send(b".\r\n")
        client.socket.settimeout(60)
        reply = client.reply()
        took = time.monotonic() - begun
        client.close()
        return reply, took

    def close(self):
        log = self.proxy.stop()
        os.unlink(self.policy)
        kept = len(self.sink.messages)
        self.sink.close()
        return log, kept


def why(log):
    """The words of the log about the scan: the verdict's reason, or what the scanner's port said."""
    found = re.findall(r"virus (?:[a-z-]+)", log) or re.findall(r"event=[a-z-]*scan[a-z-]*[^\n]*", log)
    return found[-1] if found else ""


def count(bad):
    with LOCK:
        counts["cases"] += 1
        counts["failed"] += bool(bad)


def row(kind, fault, wanted, got, took, log, extra_bad=""):
    text = got.decode("ascii", "replace").strip()
    bad = "" if any(text.startswith(w) for w in wanted) else "answered %s" % text[:60]
    if took > TIMEOUT + 15:
        bad += " after %.1f s" % took
    bad += extra_bad
    words = why(log)
    if not words and wanted[0] == "451":
        bad += " the log does not say why"
    count(bad)
    if bad:
        print(log[-2000:], file=sys.stderr)
    rows.append((kind, fault, text[:9], took, words, bad))
    print("%-5s%-8s %-34s %-9s %6.2f s  %s%s" % ("FAIL " if bad else "ok", kind, fault, text[:9], took, words,
                                                 "  <- " + bad if bad else ""), flush=True)


def expect(good, what):
    count(not good)
    if not good:
        print("FAIL " + what, flush=True)


def one(kind, fault, servers, wanted=("451",), data=BIG, spool_group="", times=1):
    site = Site(kind, servers, spool_group)
    bad = ""
    for i in range(times):
        reply, took = site.send(data, b"<sender%d@example.org>" % i)
        if i + 1 < times and not reply.startswith(b"451"):
            bad += " attempt %d was answered %r" % (i + 1, reply[:20])
    log, kept = site.close()
    if wanted[0] == "451" and kept:
        bad += " and yet it was delivered"
    row(kind, fault, wanted, reply, took, log, bad)
    return log


def closed_port():
    return "127.0.0.1:%d" % free_port()


def with_servers(kind, fault, ways, wanted=("451",), data=BIG, **rest):
    servers = [Server(kind, way, **rest) for way in ways]
    try:
        one(kind, fault, [s.address for s in servers], wanted, data)
        return [s.scans for s in servers]
    finally:
        for s in servers:
            s.close()


def restarts(kind):
    """A server that goes away while mail comes, and is back: mail is put off meanwhile, and then taken."""
    port = free_port()
    server = Server(kind, port=port)
    site = Site(kind, [server.address])
    replies = [site.send(SMALL)[0]]
    server.close()
    replies.append(site.send(SMALL, b"<second@example.org>")[0])
    server = Server(kind, port=port)
    reply, took, begun = b"", 0.0, time.monotonic()
    while time.monotonic() - begun < 20 and not reply.startswith(b"250"):
        reply, took = site.send(SMALL, b"<third@example.org>")
    server.close()
    log, kept = site.close()
    bad = "" if [r[:3] for r in replies] == [b"250", b"451"] and kept == 2 else " %r, %d delivered" % (replies, kept)
    row(kind, "restarts", ("250",), reply, took, log, bad)


def one_of_three(kind):
    """One of three servers is down: the others judge, nobody notices, and what is found is found."""
    servers = [Server(kind), Server(kind)]
    site = Site(kind, [closed_port()] + [s.address for s in servers])
    bad = ""
    for i in range(6):
        reply, took = site.send(SMALL, b"<s%d@example.org>" % i)
        if not reply.startswith(b"250"):
            bad += " %r" % reply[:40]
    evil, _ = site.send(SMALL + b"EVIL\r\n")
    if not evil.startswith(b"550"):
        bad += " what is found was answered %r" % evil[:40]
    if sum(s.scans for s in servers) != 7:
        bad += " scanned %d of 7" % sum(s.scans for s in servers)
    for s in servers:
        s.close()
    log, _ = site.close()
    row(kind, "1 of 3 servers down", ("250",), reply, took, log, bad)


def spool(kind):
    """No room for the message: nobody can scan what is not there."""
    server = Server(kind)
    try:
        one(kind, "no folder for the spool", [server.address],
            spool_group='spool = { memory = "0"; path = "/nonexistent"; };')
        with tempfile.TemporaryDirectory() as folder:
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True,
                                     check=False)
            if mounted.returncode:
                counts["skipped"] += 1
                print("SKIP disk full in the spool: a file system cannot be mounted here", flush=True)
                return
            try:
                log = one(kind, "disk full in the spool", [server.address],
                          spool_group='spool = { memory = "4k"; path = "%s"; };' % folder)
                expect("spool-full" in log, "%s: the log has no spool-full" % kind)
            finally:
                subprocess.run(["umount", folder], check=False)
    finally:
        server.close()


def all_rows(kind):
    scans = with_servers(kind, "(clean)", ["good"], ("250",))
    expect(scans == [1], "%s: the server of the test was asked %r times" % (kind, scans))
    with_servers(kind, "(found)", ["good"], ("550",), BIG + b"EVIL\r\n")
    one(kind, "refused", [closed_port()])
    with_servers(kind, "accepts and says nothing", ["silent"])
    with_servers(kind, "dies half way", ["dies"])
    with_servers(kind, "dies half way, all three", ["dies"] * 3)
    with_servers(kind, "dies once, another is there", ["dies", "good", "good"], ("250",))
    with_servers(kind, "half a line", ["half"])
    with_servers(kind, "garbage", ["garbage"])
    with_servers(kind, "says clean before it has read all", ["early"], data=HUGE)
    with_servers(kind, "too slow", ["slow"], delay=TIMEOUT * 4)
    restarts(kind)
    one_of_three(kind)


def missing(kind):
    """What keeps this build from having the type, or None."""
    path = policy(kind, ["127.0.0.1:1"])
    tried = subprocess.run([os.environ.get("SMTPF_PROXY", "./smtpf-proxy"), "--check", "-c", path], capture_output=True,
                           text=True, timeout=60, check=False)
    os.unlink(path)
    return (tried.stdout + tried.stderr).strip() if tried.returncode else None


def played(kind):
    absent = missing(kind)
    if absent and re.search("no such type|no such option", absent):
        with LOCK:
            counts["skipped"] += 1
        print("SKIP %s: this build has no such scanner" % kind, flush=True)
    elif absent:
        expect(False, "%s: %s" % (kind, absent))
    else:
        all_rows(kind)
        spool(kind)


def main(argv):
    kinds = [kind for kind in PROTOCOLS if not argv or kind in argv]
    with concurrent.futures.ThreadPoolExecutor(len(kinds) or 1) as pool:  # most of it is waiting
        list(pool.map(played, kinds))
    print("%d passed, %d failed, %d skipped" % (max(0, counts["cases"] - counts["failed"]), counts["failed"], counts["skipped"]))
    print(json.dumps({"name": "scanner-faults", **counts,
                      "longest_s": round(max([r[3] for r in rows if r[2].startswith("451")] or [0]), 2), "timeout_s": TIMEOUT}))
    return 1 if counts["failed"] or not counts["cases"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
