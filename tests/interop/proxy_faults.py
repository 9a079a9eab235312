#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy before a next hop that fails at random, for each way in which either side can reply; and before several
next hops of two servers each, plain and under TLS, which take a message at times and do not say so. Of every recipient
who was told 2xx the copy is where it belongs, once and whole, and of nobody who was told 5xx alone; nobody has two.

    proxy_faults.py [--seed N] [--messages N]
"""
import argparse
import os
import random
import ssl
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from certificates import Authority  # noqa: E402
from proxy_harness import Client, Proxy, Sink, Skip, stuffed  # noqa: E402
from proxy_split import BAD, WISHES  # noqa: E402

VERBS = ("BANNER", "EHLO", "LHLO", "MAIL", "RCPT", "RSET", "DATA", "DOT", "EACH")
NAMES = ("a", "b", "tags", "discards", "away", "nonspam")
GOOD_COPY = {"away": "me@elsewhere.example", "nonspam": "ham@elsewhere.example"}
BAD_COPY = {"away": "me@elsewhere.example", "discards": None}


def faults(rng):
    def fault(sink, connection, line):
        with sink.lock:
            x = rng.random()
        return None if x < 0.04 else (b"451 4.3.0 at random\r\n" if x < 0.08 else b"550 5.7.1 at random\r\n" if x < 0.11 else
                                      b"421 4.3.2 bye\r\n" if x < 0.13 else b"")
    return {verb: fault for verb in VERBS}


class Run:
    def __init__(self, client, hop, rng, messages):
        self.how, self.rng, self.messages, self.client = client, rng, messages, None
        self.told = {b"2": 0, b"4": 0, b"5": 0}
        extensions = ["DSN"] + ([] if hop == "no pipelining" else ["PIPELINING"]) + (["PRDR"] if hop == "PRDR" else [])
        self.sinks = [Sink(extensions, faults(rng), lmtp=hop == "LMTP")]
        self.proxy = Proxy(self.sinks[0].address, WISHES + [("limits.errors", "10000"), ("limits.transactions", "10000")],
                           listen=("lmtp:" if client == "LMTP" else "") + "127.0.0.1:0")

    def replies(self, n):
        """One for each of `n` recipients, as their sender must read them."""
        if self.how == "LMTP":
            return [self.client.reply() for _ in range(n)]
        first = self.client.reply()
        if not first.startswith(b"353"):
            return [first] * n
        own = [self.client.reply() for _ in range(n)]
        final = self.client.reply()
        return [r if final[:1] == b"2" or r[:1] != b"2" else final for r in own]

    def one(self, number):
        bad = self.rng.random() < 0.5
        self.client = Client(self.proxy, source=BAD if bad else "127.0.0.1", verb=b"LHLO" if self.how == "LMTP" else b"EHLO")
        body = b"Subject: n%d-\r\n\r\n%s\r\n" % (number, b"y" * self.rng.choice((1, 5000, 70000)))
        self.client.expect(b"MAIL FROM:<s%d@example.org>%s" % (number, b" PRDR" if self.how == "PRDR" else b""), b"250")
        taken = [n for n in self.rng.sample(NAMES, self.rng.randint(1, 5))
                 if self.client.expect(b"RCPT TO:<%s@example.net>" % n.encode(), b"2", b"4", b"5").startswith(b"2")]
        if taken:
            self.client.expect(b"DATA", b"354")
            self.client.send(stuffed(body))
            for name, reply in zip(taken, self.replies(len(taken))):
                self.compare(number, name, reply, bad, body)
        self.client.expect(b"QUIT", b"221")
        self.client.close()

    def compare(self, number, name, reply, bad, body):
        where = (BAD_COPY if bad else GOOD_COPY).get(name, name + "@example.net")
        copies = [m for sink in self.sinks for m in list(sink.messages) if b"Subject: n%d-\r\n" % number in m.data and where and
                  any(b"<%s>" % where.encode() in r for r in m.recipients)]
        self.told[reply[:1]] += 1
        if len(copies) > 1:
            raise AssertionError("message %d: %s was told %r and has %d copies" % (number, name, reply, len(copies)))
        if any(not m.data.endswith(body) for m in copies):
            raise AssertionError("message %d changed" % number)
        if reply[:1] == b"2" and len(copies) != (where is not None):
            raise AssertionError("message %d: %s was told %r and has %d copies" % (number, name, reply, len(copies)))
        if reply[:1] == b"5" and self.how != "one reply" and copies:
            raise AssertionError("message %d: %s was told %r and has a copy" % (number, name, reply))

    def all(self):
        try:
            for number in range(self.messages):
                self.one(number)
            self.proxy.stop()
        finally:
            for sink in self.sinks:
                sink.close()
            if self.proxy.process.poll() is None:
                self.proxy.process.kill()
                self.proxy.process.wait()


class Forgetful(Sink):
    """At times it takes a message, and the connection goes before it says so."""
    rng = None

    def end(self, *message):
        reply = super().end(*message)
        with self.lock:
            return None if self.rng.random() < 0.05 else reply


class Several(Run):
    """Two next hops by domain, each of two servers."""

    def __init__(self, client, kind, rng, messages):
        self.how, self.rng, self.messages, self.client = client, rng, messages, None
        self.told = {b"2": 0, b"4": 0, b"5": 0}
        self.sinks, options = [], list(WISHES)
        folder = tempfile.TemporaryDirectory()
        for i in range(4):
            sink = Forgetful(["DSN", "PIPELINING"] + (["STARTTLS"] if kind == "TLS" else []), faults(rng), lmtp=kind == "LMTP" and i % 2 == 1)
            sink.rng = rng
            self.sinks.append(sink)
        if kind == "TLS":
            authority = Authority(folder.name)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.certificate("IP:127.0.0.1"))
            for sink in self.sinks:
                sink.tls = context
            options += [("proxy.hop_tls", "verify"), ("proxy.hop_tls_authorities", authority.path)]
        at = [sink.address for sink in self.sinks]
        options += [("proxy.next_hop", at[0]), ("proxy.next_hop+", at[1]), ('proxy.routes["elsewhere.example"].servers', at[2]),
                    ('proxy.routes["elsewhere.example"].servers+', at[3]), ("proxy.hop_retry", "200ms"), ("proxy.threads", "2"),
                    ("proxy.hops_together", "true"), ("limits.errors", "10000"), ("limits.transactions", "10000")]
        self.proxy = Proxy(None, options, listen=("lmtp:" if client == "LMTP" else "") + "127.0.0.1:0")
        folder.cleanup()


def kinds():
    for client in ("one reply", "PRDR", "LMTP"):
        for hop in ("one reply", "no pipelining", "PRDR", "LMTP"):
            yield Run, client, hop
        for hop in ("plain", "LMTP", "TLS"):
            yield Several, client, hop


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--messages", type=int, default=40)
    arguments = parser.parse_args()
    failed = passed = skipped = 0
    told = {b"2": 0, b"4": 0, b"5": 0}
    for how, client, hop in kinds():
        name = "client %s, %s %s" % (client, "next hop" if how is Run else "several next hops,", hop)
        try:
            run = how(client, hop, random.Random("%d %s" % (arguments.seed, name)), arguments.messages)
            run.all()
            for kind, n in run.told.items():
                told[kind] += n
            passed += 1
            print("ok   %s: %s" % (name, {k.decode() + "xx": v for k, v in run.told.items()}))
        except Skip as reason:
            skipped += 1
            print("SKIP %s: %s" % (name, reason))
        except (AssertionError, OSError) as error:
            failed += 1
            print("FAIL %s, --seed %d: %s" % (name, arguments.seed, error))
    if passed and not all(told.values()):  # of all together: forty messages may well be without one kind
        failed += 1
        print("FAIL --seed %d: not every kind of reply came about: %r" % (arguments.seed, told))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
