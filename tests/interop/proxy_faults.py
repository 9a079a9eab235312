#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy before a next hop that fails at random, for each way in which either side can reply: of every recipient
who was told 2xx the copy is where it belongs, once and whole, and of nobody who was told 5xx alone.

    proxy_faults.py [--seed N] [--messages N]
"""
import argparse
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import Client, Proxy, Sink, stuffed  # noqa: E402
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
        self.sink = Sink(extensions, faults(rng), lmtp=hop == "LMTP")
        self.proxy = Proxy(self.sink.address, WISHES + [("limits.errors", "10000"), ("limits.transactions", "10000")],
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
        copies = [m for m in list(self.sink.messages) if b"Subject: n%d-\r\n" % number in m.data and where and
                  any(b"<%s>" % where.encode() in r for r in m.recipients)]
        self.told[reply[:1]] += 1
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
            self.sink.close()
            if self.proxy.process.poll() is None:
                self.proxy.process.kill()
                self.proxy.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--messages", type=int, default=40)
    arguments = parser.parse_args()
    failed = passed = 0
    for client in ("one reply", "PRDR", "LMTP"):
        for hop in ("one reply", "no pipelining", "PRDR", "LMTP"):
            run = Run(client, hop, random.Random("%d %s %s" % (arguments.seed, client, hop)), arguments.messages)
            try:
                run.all()
                if not all(run.told.values()):
                    raise AssertionError("not every kind of reply came about: %r" % run.told)
                passed += 1
                print("ok   client %s, next hop %s: %s" % (client, hop, {k.decode() + "xx": v for k, v in run.told.items()}))
            except (AssertionError, OSError) as error:
                failed += 1
                print("FAIL client %s, next hop %s, --seed %d: %s" % (client, hop, arguments.seed, error))
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
