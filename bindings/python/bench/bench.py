#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench python: what filtering costs an aiosmtpd server, side by side in one run, interleaved; medians; JSON last.

    bench.py [--rounds N] [--messages N]

A ratio is named OURS_vs_PEER and is the median over the rounds of (ours / peer of the same round): throughput of
smtp-source's messages, higher is better; `_cpu_vs_`: the server's processor time for one, lower is better. Peers: aiosmtpd alone, and the stack of stack.py, which makes the same checks
(reverse DNS, two lists, greeting, sender's domain, recipient, greylist) in Python.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from nameserver import Nameserver

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = {("1.0.0.127.in-addr.arpa", "PTR"): ["client.example"], ("client.example", "A"): ["127.0.0.1"],
         ("client.example", "MX"): ["10 client.example"], ("2.0.0.127.bl.example", "A"): ["127.0.0.2"],
         ("2.0.0.127.other.example", "A"): ["127.0.0.2"]}
KINDS = ("alone", "ours", "handler", "python-pycares", "python-dnspython")
SIZES = {"1k": 1024, "64k": 65536}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One server of ours; ended by its pid."""

    def __init__(self, kind, dns, folder, uvloop=False):
        self.kind, self.port, self.folder = kind, free_port(), os.path.join(folder, kind)
        os.makedirs(self.folder)
        self.log = os.path.join(self.folder, "log")
        env = dict(os.environ, SMTPF_UVLOOP="1") if uvloop else os.environ
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), kind, str(self.port), str(dns),
                                             self.folder], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            sys.exit("%s did not start: %s" % (kind, log.read()[-3000:]))

    def cpu(self):
        """Seconds of processor time so far, by the kernel's clock of that process (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def source(server, size, sessions, count, may_fail=False):
    """Messages per second, and microseconds of the server's processor time for each."""
    argv = ["smtp-source", "-s", str(sessions), "-l", str(size), "-m", str(count), "-f", "a@client.example", "-t", "b@example.net",
            "-M", "client.example", "127.0.0.1:%d" % server.port]
    if may_fail:
        argv.insert(1, "-A")
    begun, cpu = time.monotonic(), server.cpu()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    took = time.monotonic() - begun
    if not may_fail and (done.returncode or done.stderr.strip()):
        with open(server.log, encoding="utf-8", errors="replace") as log:
            sys.exit("smtp-source at %s: %s%s\n%s" % (server.kind, done.stderr, done.stdout, log.read()[-3000:]))
    return count / took, (server.cpu() - cpu) / count * 1e6


def latency(server, count):
    """Milliseconds of one conversation with one message, from connect to the reply to QUIT."""
    took = []
    for _ in range(count):
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), 10) as s, s.makefile("rb") as f:
            for line in (None, b"EHLO client.example", b"MAIL FROM:<a@client.example>", b"RCPT TO:<b@example.net>", b"DATA",
                         b"Subject: x\r\n\r\nx\r\n.", b"QUIT"):
                if line:
                    s.sendall(line + b"\r\n")
                while True:
                    got = f.readline()
                    if got[:1] not in (b"2", b"3"):
                        sys.exit("%s answered %r to %r" % (server.kind, got, line))
                    if got[3:4] != b"-":
                        break
        took.append((time.monotonic() - begun) * 1000)
    return statistics.median(took)


def measure(rounds, messages, folder, kinds):
    rates, cpus, times = {}, {}, {}
    with Nameserver(TABLE) as dns:
        servers = [Server(kind, dns.port, folder) for kind in kinds]
        try:
            for server in servers:  # the greylist's wait, and every cache
                source(server, 100, 1, 1, may_fail=True)
            time.sleep(2.2)
            for server in servers:
                source(server, 100, 5, 50)
            for i in range(rounds):
                for size, length in SIZES.items():
                    for sessions in (1, 10):
                        for server in servers[i % len(servers):] + servers[:i % len(servers)]:
                            rate, cpu = source(server, length, sessions, messages // (4 if size == "64k" else 1))
                            rates.setdefault((size, sessions), {}).setdefault(server.kind, []).append(rate)
                            cpus.setdefault((size, sessions), {}).setdefault(server.kind, []).append(cpu)
                for server in servers:
                    times.setdefault(server.kind, []).append(latency(server, 40))
        finally:
            for server in servers:
                server.stop()
    return rates, cpus, times


def median(values):
    return round(statistics.median(values), 3)


def figures(rates, cpus, times):
    ratios, plain = {}, {}
    for (size, sessions), got in rates.items():
        where = "%s_%d" % (size, sessions)
        for ours, peers in (("ours", ("alone", "python-pycares", "python-dnspython")), ("handler", ("alone",)),
                            ("python-pycares", ("alone",))):
            for peer in peers:
                if ours in got and peer in got:
                    name = "%s_vs_%s_%s" % (ours, peer, where)
                    ratios[name.replace("-", "_")] = median([a / b for a, b in zip(got[ours], got[peer])])
                    spent = cpus[size, sessions]
                    ratios[name.replace("_vs_", "_cpu_vs_").replace("-", "_")] = median(
                        [a / b for a, b in zip(spent[ours], spent[peer])])
        for kind in got:
            plain["%s_per_second_%s" % (kind.replace("-", "_"), where)] = median(got[kind])
            plain["%s_cpu_us_%s" % (kind.replace("-", "_"), where)] = median(cpus[size, sessions][kind])
    for kind in times:
        plain["%s_conversation_ms" % kind.replace("-", "_")] = median(times[kind])
    return ratios, plain


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--messages", type=int, default=1000)
    p.add_argument("--kinds", default=",".join(KINDS))
    p.add_argument("--only", choices=["servers", "checks"])
    args = p.parse_args()
    ratios, plain = {}, {}
    folder = tempfile.mkdtemp(prefix="smtpf-bench-python-")
    try:
        if args.only != "checks":
            ratios, plain = figures(*measure(args.rounds, args.messages, folder, args.kinds.split(",")))
        if args.only != "servers":
            done = subprocess.run([sys.executable, os.path.join(HERE, "checks.py"), str(args.rounds)], stdout=subprocess.PIPE,
                                  timeout=600, check=True)
            more = json.loads(done.stdout)
            ratios.update(more.pop("ratios"))
            plain.update(more)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"name": "python", "ratios": ratios, **plain, "runs": args.rounds}))


if __name__ == "__main__":
    main()
