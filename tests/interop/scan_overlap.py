#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What scanning while the message arrives saves: the time from the client's final dot to its reply, through smtpf-proxy,
against the same without a scanner plus a scan that is begun after the end (`./bootstrap show scan-overlap`).

The servers are models on loopback that begin to think when the message is complete, and think for a stated time, as
clamd, spamd and rspamd do. A real one is measured in a model's place where SMTPF_CLAMD, SMTPF_SPAMD or SMTPF_RSPAMD
says its `address:port`. All of a row is measured interleaved, in one run; medians are printed."""
import json
import os
import socket
import statistics
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import Client, Proxy, Sink  # pylint: disable=wrong-import-position
from scanner_faults import missing, policy  # pylint: disable=wrong-import-position
from scanner_fakes import Server, Stream  # pylint: disable=wrong-import-position

THINKS = {"clamd": 0.05, "spamd": 0.2, "rspamd": 0.1}  # seconds, of the models
SIZES = (("50KB", 50_000, 5), ("1MB", 1_000_000, 5), ("10MB", 10_000_000, 3))
SPEEDS = (("10Mbit", 10_000_000 / 8), ("full", None))
LINE = b"All work and no play makes a dull test, so this line goes on " * 14 + b"\r\n"


def message(size):
    head = b"From: <sender@example.org>\r\nTo: <user@example.net>\r\nSubject: overlap\r\n\r\n"
    return head + LINE * ((size - len(head)) // len(LINE))


def send(proxy, data, bytes_a_second):
    """From the final dot to the reply, in seconds; and the reply."""
    client = Client(proxy)
    client.begin()
    begun, at = time.monotonic(), 0
    while at < len(data):
        client.send(data[at:at + 16384])
        at += 16384
        if bytes_a_second:
            time.sleep(max(0.0, begun + at / bytes_a_second - time.monotonic()))
    client.socket.settimeout(120)
    dot = time.monotonic()
    client.send(b".\r\n")
    reply = client.reply()
    took = time.monotonic() - dot
    client.close()
    if not reply.startswith(b"250"):
        raise AssertionError("answered %r" % reply)
    return took


def ask(kind, address, data):
    """A scan that is begun with the whole message in hand; its seconds."""
    host, port = address.rsplit(":", 1)
    begun = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=120) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if kind == "clamd":
            s.sendall(b"zINSTREAM\0" + b"".join(struct.pack(">I", len(data[i:i + 65536])) + data[i:i + 65536]
                                                for i in range(0, len(data), 65536)) + struct.pack(">I", 0))
            end = b"\0"
        elif kind == "spamd":
            s.sendall(b"SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(data) + data)
            end = b"Spam:"
        else:
            s.sendall(b"POST /checkv2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            end = b"}"
        Stream(s).upto(end)
    return time.monotonic() - begun


def measure(kind, address, label, size, runs, speed, bytes_a_second):
    sink = Sink(extensions=("PIPELINING", "8BITMIME", "SIZE 50000000"))
    with_scanner = policy(kind, [address], timeout=120000)
    without = policy(None, [])
    ours, alone = Proxy(sink.port, policy=with_scanner), Proxy(sink.port, policy=without)
    data, times = message(size), {"ours": [], "none": [], "own": []}
    try:
        for _ in range(runs):
            times["none"].append(send(alone, data, bytes_a_second))
            times["ours"].append(send(ours, data, bytes_a_second))
            times["own"].append(ask(kind, address, data))
    finally:
        for p in (ours, alone):
            p.stop()
        sink.close()
        os.unlink(with_scanner)
        os.unlink(without)
    ms = {k: 1000 * statistics.median(v) for k, v in times.items()}
    after_end = ms["none"] + ms["own"]
    row = {"scanner": kind, "size": label, "speed": speed, "ours_ms": round(ms["ours"], 1), "no_scanner_ms": round(ms["none"], 1),
           "scan_ms": round(ms["own"], 1), "after_end_ms": round(after_end, 1), "ratio": round(ms["ours"] / after_end, 2),
           "waits_vs_scan": round((ms["ours"] - ms["none"]) / ms["own"], 2)}
    print("%-7s %-5s %-6s ours %8.1f ms   after the end %8.1f ms (%.1f without scanner + %.1f scan)   ratio %.2f" % (
        kind, label, speed, row["ours_ms"], row["after_end_ms"], row["no_scanner_ms"], row["scan_ms"], row["ratio"]), flush=True)
    return row


def main(argv):
    table, skipped = [], []
    for kind, thinks in THINKS.items():
        if argv and kind not in argv:
            continue
        absent = missing(kind)
        if absent:
            skipped.append(kind)
            print("SKIP %s: %s" % (kind, absent.rsplit("what=", 1)[-1]), flush=True)
            continue
        real = os.environ.get("SMTPF_" + kind.upper())
        model = None if real else Server(kind, delay=thinks)
        for label, size, runs in SIZES:
            for speed, rate in SPEEDS:
                table.append(measure(kind, real or model.address, label, size, runs, speed, rate))
                table[-1]["server"] = "real" if real else "model, thinks %d ms" % (1000 * thinks)
        if model:
            model.close()
    ratios = {"%s_%s_%s_vs_after_end" % (r["scanner"], r["size"], r["speed"]): r["ratio"] for r in table}
    print(json.dumps({"name": "scan-overlap", "ratios": ratios, "rows": table, "skipped": skipped,
                      "worst": max(ratios.values(), default=None)}))
    return 0 if table and max(ratios.values()) <= 1.10 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
