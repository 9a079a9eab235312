#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What scanning while the message arrives saves: the time from the client's final dot to its reply, through smtpf-proxy,
against the same without a scanner plus a scan that is begun after the end (`./bootstrap show scan-overlap`).

The servers are models on loopback that begin to think when the message is complete, and think for a stated time, as
clamd, spamd and rspamd do; then the real ones, where they are to be had: started here, or where SMTPF_CLAMD, SMTPF_SPAMD
or SMTPF_RSPAMD says their `address:port`. The rows `rules` are the library's own rules: what smtpf-replay takes longer with
them is the scan after the end. All of a row is measured interleaved, in one run; medians are printed. Words on the command
line choose kinds."""
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import Client, Proxy, Sink, Skip  # pylint: disable=wrong-import-position
from scanner_faults import missing, policy  # pylint: disable=wrong-import-position
from rspamd import Rspamd  # pylint: disable=wrong-import-position
from spamd_icap import Daemon, accepts, free_port, program, spamd, write  # pylint: disable=wrong-import-position
from scanner_fakes import Server, Stream  # pylint: disable=wrong-import-position

THINKS = {"clamd": 0.05, "spamd": 0.2, "rspamd": 0.1}  # seconds, of the models
SIZES = (("50KB", 50_000, 5), ("1MB", 1_000_000, 5), ("10MB", 10_000_000, 3))
REAL_SIZES = {"spamd": (("50KB", 50_000, 5), ("400KB", 400_000, 3))}  # above spamc's limit nobody asks it
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


def words(n):
    """Rules for what does not come, in text and in body; no word in them says so at once."""
    return "".join("rule W%d\n  match %s /\\b[a-z]{3,}\\s+[qxz]{%d,}[0-9]\\b/i\n  score 0.1\n" % (i, ("text", "body")[i % 2], 2 + i)
                   for i in range(n))


def rules_policy(folder, with_them):
    write(folder + "/own.rules", words(40))
    return write(folder + "/policy-%d" % with_them, """local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev", "early_talk" ]; };
proxy = { log_verdicts = "all"; drain = "3s"; };
%s
""" % ('rules = { files = [ "%s/own.rules" ]; };' % folder if with_them else ""))


def replay(folder, with_them):
    begun = time.monotonic()
    subprocess.run([os.environ.get("SMTPF_REPLAY", "./smtpf-replay"), "-c", "%s/policy-%d" % (folder, with_them), folder + "/script"],
                   check=True, stdout=subprocess.DEVNULL, timeout=120)
    return time.monotonic() - begun


def rules_alone(folder, data):
    with open(folder + "/message", "wb") as f:
        f.write(data)
    write(folder + "/script", "@connect 192.0.2.25\nEHLO mail.example.org\nMAIL FROM:<a@example.org>\nRCPT TO:<b@example.net>\n"
          "DATA\n@file %s/message\n@commit ok\nQUIT\n" % folder)
    tries = [(replay(folder, True), replay(folder, False)) for _ in range(5)]
    return max(1e-5, min(t[0] for t in tries) - min(t[1] for t in tries))


def start_real(kind, folder):
    """The address of a real server, and how to end it. Skip: there is none."""
    given = os.environ.get("SMTPF_" + kind.upper())
    if given:
        return given, lambda: None
    if kind == "rspamd":
        server = Rspamd(folder)
        server.start()
        return server.address, server.stop
    port = free_port()
    if kind == "spamd":
        return "127.0.0.1:%d" % port, spamd(folder, port).stop
    path = program("clamd")[0]
    os.mkdir(folder + "/db")
    write(folder + "/db/test.ndb", "Test.Marker:0:*:%s\n" % b"a marker that is a virus here".hex())
    write(folder + "/conf", "Foreground yes\nTCPSocket %d\nTCPAddr 127.0.0.1\nDatabaseDirectory %s/db\nOfficialDatabaseOnly no\n"
          "TemporaryDirectory %s\nStreamMaxLength 50M\nMaxThreads 4\nSelfCheck 0\n%s" % (
              port, folder, folder, "User root\n" if os.getuid() == 0 else ""))
    return "127.0.0.1:%d" % port, Daemon(folder, [path, "-c", folder + "/conf"], lambda: accepts(port)).stop


def policies(kind, address, folder):
    if kind == "rules":
        return rules_policy(folder, True), rules_policy(folder, False)
    return policy(kind, [address], timeout=120000), policy(None, [])


def measure(kind, address, folder, label, size, runs, speed, bytes_a_second):
    sink = Sink(extensions=("PIPELINING", "8BITMIME", "SIZE 50000000"))
    with_scanner, without = policies(kind, address, folder)
    ours, alone = Proxy(sink.port, policy=with_scanner), Proxy(sink.port, policy=without)
    data, times = message(size), {"ours": [], "none": [], "own": []}
    try:
        for _ in range(runs):
            times["none"].append(send(alone, data, bytes_a_second))
            times["ours"].append(send(ours, data, bytes_a_second))
            times["own"].append(rules_alone(folder, data) if kind == "rules" else ask(kind, address, data))
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


def rows_of(kind, address, server, sizes, folder=""):
    rows = []
    for label, size, runs in sizes:
        for speed, rate in SPEEDS:
            rows.append(measure(kind, address, folder, label, size, runs, speed, rate))
            rows[-1]["server"] = server
    return rows


def of_model(kind):
    model = Server(kind, delay=THINKS[kind])
    print("-- %s, a model that thinks for %d ms" % (kind, 1000 * THINKS[kind]), flush=True)
    try:
        return rows_of(kind, model.address, "model", SIZES)
    finally:
        model.close()


def of_real(kind):
    with tempfile.TemporaryDirectory(prefix="smtpf-overlap-") as folder:
        os.chmod(folder, 0o755)
        if kind == "rules":
            print("-- the library's own rules", flush=True)
            return rows_of(kind, "", "own", SIZES, folder)
        address, stop = start_real(kind, folder)
        print("-- %s, the real one" % kind, flush=True)
        try:
            return rows_of(kind, address, "real", REAL_SIZES.get(kind, SIZES))
        finally:
            stop()


def main(argv):
    table, skipped = [], []
    for kind in [k for k in (*THINKS, "rules") if not argv or k in argv]:
        absent = kind in THINKS and missing(kind)
        if absent:
            skipped.append(kind)
            print("SKIP %s: %s" % (kind, absent.rsplit("what=", 1)[-1]), flush=True)
            continue
        if kind in THINKS:
            table += of_model(kind)
        try:
            table += of_real(kind)
        except Skip as why:
            skipped.append(kind + " (real)")
            print("SKIP %s: %s" % (kind, why), flush=True)
    ratios = {"%s_%s_%s_%s_vs_after_end" % (r["scanner"], r["server"], r["size"], r["speed"]): r["ratio"] for r in table}
    waits = {"rules_%s_%s" % (r["size"], r["speed"]): r["waits_vs_scan"] for r in table if r["scanner"] == "rules"}
    print(json.dumps({"name": "scan-overlap", "ratios": ratios, "rules_wait_vs_scan": waits, "rows": table, "skipped": skipped,
                      "worst": max(ratios.values(), default=None)}))
    judged = [r["ratio"] for r in table if r["after_end_ms"] >= 20]  # below, it is the machine's noise that is measured
    return 0 if judged and max(judged) <= 1.10 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
