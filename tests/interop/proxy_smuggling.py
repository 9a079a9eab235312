#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""False ends of data: none of them ends a message, and none reaches the next hop as it is, whether line ends are refused
or normalised, and however the bytes are cut.

The sequences are this project's own list and, where it is there, SMTPF_SHARED/data/smtp-smuggling/eod-sequences.json.
"""
import base64
import itertools
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import Client, Proxy, Sink, Skip, run, without_trace  # noqa: E402

ENDS = (b"\n", b"\r", b"\r\r\n", b"\r\0\n", b"\0\r\n", b"\n\r", b"\r\n")
OWN = [a + b"." + b for a, b in itertools.product(ENDS, ENDS) if (a, b) != (b"\r\n", b"\r\n")]
OWN += [b"\r\n.\0\r\n", b"\r\n\0.\r\n", b"\r\n.\r\r\n", b"\n\n.\n\n", b"\r\n. \r\n", b"\r\n .\r\n", b"\r\n.\t\r\n", b"\r\n..\r\n",
        b"\x85.\x85", b"\r\n\xef\xbc\x8e\r\n", b"\r\n.\x0b\r\n", b"\r\n.\r", b"\r\n.\n"]
SECOND = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n"


def shared():
    root = os.environ.get("SMTPF_SHARED") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared")
    path = os.path.join(root, "data", "smtp-smuggling", "eod-sequences.json")
    if not os.path.exists(path):
        raise Skip("no " + path)
    with open(path, encoding="utf-8") as f:
        rows = json.load(f)
    return [base64.b64decode(r["bytes_b64"]) for r in rows if not r["is_rfc5321_eod"]]


def clean(data):
    """No bare CR, bare LF or NUL."""
    rest = data.replace(b"\r\n", b"")
    return b"\r" not in rest and b"\n" not in rest and b"\0" not in rest


def is_dirty(sequence):
    """Whether it breaks the line-end rules between `body` and `MAIL`."""
    return not clean(b"body" + sequence + b"MAIL")


def cuts(sequence):
    """Ways to send it: whole, byte by byte, and in two at every place."""
    yield [sequence]
    yield [sequence[i:i + 1] for i in range(len(sequence))]
    for i in range(1, len(sequence)):
        yield [sequence[:i], sequence[i:]]


def send(proxy, parts):
    c = Client(proxy)
    c.begin()
    c.send(b"Subject: first\r\n\r\nbody")
    for part in parts:
        c.send(part)
    c.send(SECOND)
    c.send(b".\r\n")
    reply = c.reply()
    c.send(b"QUIT\r\n")
    rest = []
    while not rest or rest[-1]:
        rest.append(c.reply())
    c.close()
    return reply, rest[1:-1]  # without the answer to QUIT


def judge_true_end(sequence, line_ends, parts, reply, new):
    """What follows is the client's own next command; what came before is still judged."""
    first = sequence[:sequence.index(b"\r\n.\r\n")]
    refused = not clean(b"body" + first + b"\r\n") and (line_ends == "refuse" or b"\0" in first)
    if refused != reply.startswith(b"5"):
        return [(parts, "answered", reply)]
    return [(parts, "arrived as", m.data) for m in new if not clean(m.data)]


def try_all(sequences, line_ends):
    sink = Sink()
    proxy = Proxy(sink.port, {"smtp.line_ends": line_ends, "proxy.log_verdicts": "none", "limits.errors": "1000"})
    wrong = []
    try:
        for sequence in sequences:
            for parts in cuts(sequence):
                before = len(sink.messages)
                reply, rest = send(proxy, parts)
                new = sink.messages[before:]
                if b"\r\n.\r\n" in sequence:  # a true end with something wrong before or behind it
                    wrong += judge_true_end(sequence, line_ends, parts, reply, new)
                    continue
                must_refuse = is_dirty(sequence) and (line_ends == "refuse" or b"\0" in sequence)
                if rest:
                    wrong.append((parts, "a second answer", rest))
                if must_refuse and (new or not reply.startswith(b"5")):
                    wrong.append((parts, "taken", reply))
                if not must_refuse and (len(new) != 1 or not reply.startswith(b"250")):
                    wrong.append((parts, "not taken", reply))
                for m in new:
                    if m.sender != b"MAIL FROM:<sender@example.org>\r\n" or not clean(m.data) or SECOND not in m.data:
                        wrong.append((parts, "arrived as", m.sender, m.data[-200:]))
        if any(line not in (b"MAIL FROM:<sender@example.org>\r\n", b"MAIL FROM:<evil@example.org>\r\n") for line in sink.lines
               if line.startswith(b"MAIL")):
            wrong.append("a command that nobody gave")
    finally:
        proxy.stop()
        sink.close()
    if wrong:
        raise AssertionError("%d wrong, first: %r" % (len(wrong), wrong[0]))


def own_sequences_refused():
    try_all(OWN, "refuse")


def own_sequences_normalised():
    try_all(OWN, "normalise")


def known_sequences_refused():
    try_all(shared(), "refuse")


def known_sequences_normalised():
    try_all(shared(), "normalise")


def a_chunk_is_no_way_round():
    """What BDAT may carry, DATA must not end with."""
    sink = Sink()
    proxy = Proxy(sink.port)
    data = b"Subject: first\r\n\r\nbody\r\n.\r\n" + SECOND + b".\r\n.\r\n..\r\n"
    try:
        c = Client(proxy)
        c.expect(b"MAIL FROM:<sender@example.org>", b"250")
        c.expect(b"RCPT TO:<user@example.net>", b"250")
        c.send(b"BDAT %d LAST\r\n" % len(data) + data)
        reply = c.reply()
        assert reply.startswith(b"250"), reply
        c.expect(b"QUIT", b"221")
        assert len(sink.messages) == 1 and without_trace(sink.messages[0].data) == data, sink.messages[0].data
        for sequence in (b"\n.\n", b"\r.\r", b"a\0b"):
            c = Client(proxy)
            c.expect(b"MAIL FROM:<sender@example.org>", b"250")
            c.expect(b"RCPT TO:<user@example.net>", b"250")
            c.send(b"BDAT %d LAST\r\n" % (len(sequence) + 4) + b"x" + sequence + b"y\r\n")
            reply = c.reply()
            assert reply.startswith(b"5"), (sequence, reply)
        assert len(sink.messages) == 1, "delivered"
    finally:
        proxy.stop()
        sink.close()


CASES = [own_sequences_refused, own_sequences_normalised, known_sequences_refused, known_sequences_normalised,
         a_chunk_is_no_way_round]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:]))
