#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A mail corpus through smtpf-proxy to a sink: behind it, every message is byte for byte what was sent, less the one
Received field that the proxy adds; messages with a bare CR or a NUL are refused, and listed.

Every other message is sent by BDAT, the rest by DATA, all at random chunk sizes. `./bootstrap show corpus-identity`
sends the whole corpus; as an ordinary test it is a sample. The corpus is SMTPF_SHARED/data/corpus-spamassassin: one
message a file, an mbox line first, LF line ends.

    corpus_identity.py [--seed N]
"""
import argparse
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import Client, Proxy, Sink, stuffed, without_trace  # noqa: E402

WORKERS = 4
SAMPLE = 12  # as an ordinary test: each so many-th message, and all with something to refuse


def corpus(root):
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not name.endswith(".txt"):
                continue
            with open(path, "rb") as f:
                data = f.read()
            if data.startswith(b"From "):
                data = data[data.index(b"\n") + 1:]
            data = data.replace(b"\n", b"\r\n")
            if not data.endswith(b"\r\n"):
                data += b"\r\n"  # a message in SMTP ends with a line
            yield os.path.relpath(path, root), data


def must_be_refused(data):
    return b"\0" in data or b"\r" in data.replace(b"\r\n", b"") or b"\r\r\n" in data


def pieces(data, rng):
    at = 0
    while at < len(data):
        n = rng.choice((1, 2, 3, 7, 100, 1000, 1460, 5000, 70000))
        yield data[at:at + n]
        at += n


class Worker(threading.Thread):
    """Sends its share of the messages over one session, and another when that is closed."""

    def __init__(self, proxy, share, seed):
        super().__init__(daemon=True)
        self.proxy, self.share, self.rng = proxy, share, random.Random(seed)
        self.client, self.replies, self.error = None, {}, None

    def send_pieces(self, data):
        for piece in pieces(data, self.rng):
            self.client.send(piece)

    def data(self, message):
        self.client.expect(b"DATA", b"354")
        self.send_pieces(stuffed(message))
        return self.client.reply()

    def bdat(self, message):
        chunks = list(pieces(message, self.rng)) or [b""]
        if len(chunks) > 500:  # a chunk is a round trip
            chunks = [message[:3], message[3:1000], message[1000:]]
        for i, chunk in enumerate(chunks):
            last = i == len(chunks) - 1
            self.client.send(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if last else b""))
            self.send_pieces(chunk)
            reply = self.client.reply()
            if not reply.startswith(b"250"):
                return reply
        return reply

    def one(self, number, message):
        if self.client is None:
            self.client = Client(self.proxy)
        self.client.expect(b"MAIL FROM:<corpus@example.org> BODY=8BITMIME", b"250")
        self.client.expect(b"RCPT TO:<m%d@example.net>" % number, b"250")
        reply = self.bdat(message) if number % 2 else self.data(message)
        if not reply.startswith(b"250"):
            self.client.close()
            self.client = None
        return reply

    def run(self):
        try:
            for number, message in self.share:
                self.replies[number] = self.one(number, message)
            if self.client:
                self.client.close()
        except (OSError, AssertionError) as e:
            self.error = e


def judge(messages, replies, arrived):
    """What is wrong, and what was refused as it had to be."""
    wrong, refused = [], []
    for number, (name, data) in enumerate(messages):
        reply, behind = replies.get(number, b"(none)"), arrived.get(number)
        if must_be_refused(data):
            refused.append(name)
            if not reply.startswith(b"5") or behind is not None:
                wrong.append("%s: has a bare CR or NUL, and was answered %r" % (name, reply))
        elif not reply.startswith(b"250"):
            wrong.append("%s: answered %r" % (name, reply))
        elif behind is None or without_trace(behind) != data:
            wrong.append("%s: not the same behind the proxy" % name)
    return wrong, refused


def send_all(proxy, messages, seed):
    shares = [[(n, m[1]) for n, m in enumerate(messages) if n // 2 % WORKERS == k] for k in range(WORKERS)]
    workers = [Worker(proxy, share, seed + k) for k, share in enumerate(shares)]
    for w in workers:
        w.start()
    end = time.monotonic() + 1500
    for w in workers:
        w.join(max(1, end - time.monotonic()))
    for w in workers:
        if w.error or w.is_alive():
            print("a sender stopped: %r" % (w.error or "too slow"))
    return {n: r for w in workers for n, r in w.replies.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    seed = parser.parse_args().seed
    whole = "builddir" in os.environ  # `show`; `make check` does not set it
    here = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    root = os.path.join(os.environ.get("SMTPF_SHARED") or os.path.join(here, "..", "shared"), "data", "corpus-spamassassin")
    if not os.path.isdir(root):
        print("SKIP no corpus at %s (SMTPF_SHARED)" % root)
        return 77
    messages = list(corpus(root))
    if not whole:
        messages = [m for i, m in enumerate(messages) if i % SAMPLE == 0 or must_be_refused(m[1])]
    sink = Sink()
    options = {"limits.transactions": "100000", "limits.commands": "10000000", "proxy.log_verdicts": "refused"}
    proxy = Proxy(sink.port, options, program=os.path.join(os.environ["builddir"], "smtpf-proxy") if whole else None)
    try:
        replies = send_all(proxy, messages, seed)
    finally:
        proxy.stop()
        sink.close()
    arrived = {int(m.recipients[0].split(b"<m")[1].split(b"@")[0]): m.data for m in sink.messages}
    wrong, refused = judge(messages, replies, arrived)
    for line in wrong:
        print("FAIL " + line)
    for name in refused:
        print("refused, as it must be: " + name)
    if whole:
        print(json.dumps({"name": "corpus-identity", "cases": len(messages), "failed": len(wrong), "identical": len(arrived),
                          "refused": len(refused), "seed": seed}))
    else:
        print("seed %d" % seed)
        print("%d passed, %d failed, 0 skipped" % (len(messages) - len(wrong), len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
