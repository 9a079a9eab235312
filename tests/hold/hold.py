#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy under clients that come, misbehave, fall silent and go, for as long as is asked: its memory does not grow.
Then it is told to end, and ends without losing a message; and it is killed, again and again, and everything it had
answered for has arrived at the next hop. Clients and next hop are one program (tests/hold), which counts both.

`./bootstrap show hold`: 2000 sessions at a time for ten minutes. As an ordinary test: a hundred, for seconds.

    hold.py [--sessions N] [--seconds N] [--kills N] [--seed N] [--threads N]
"""
import argparse
import json
import os
import random
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from harness import free_port  # noqa: E402

SANITIZED = "SMTPF_SANITIZED" in os.environ

POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev", "forward_target" ]; };
addrlists = ( { name = "listed"; entries = [ "127.1.7.0/24" ]; score = 20.0; },
              { name = "dubious"; entries = [ "127.1.8.0/24" ]; score = 6.0; } );
rules = { files = [ "%(tmp)s/rules" ]; };
profiles = ( { name = "default"; reject = 10.0; }, { name = "tags"; inherit = "default"; tag = 5.0; } );
directory = { complete = true; };
recipients = ( { address = "user@example.net"; }, { address = "grey@example.net"; greylist = true; },
               { address = "tags@example.net"; profile = "tags"; } );
greylist = { wait = "1s"; };
store = { type = "lmdb"; path = "%(tmp)s/store"; };
proxy = {
  listen = [ "127.0.0.1:%(port)d" ];
  next_hop = "127.0.0.1:%(sink)d";
  log_verdicts = "none";
  connections_per_client = 0;
  threads = %(threads)d;
  idle_timeout = "%(patience)ds";
  command_timeout = "%(patience)ds";
  data_timeout = "%(patience)ds";
  drain = "%(drain)ds";
};
"""
RULES = "rule UNWANTED\n  match header Subject /unwanted offer/\n  score 20\n"
DRAIN = 20
WARM = 0.4      # of the time: who falls silent stays as long as the server lets him
GROWTH = 1.03   # after that, of its memory; and
SLACK = 4 << 20  # what an allocator may keep, however little there is: 3 KiB a session of the short form


class Failure(Exception):
    """What must not happen, and what did."""


class Load:
    def __init__(self, program, sink, port, sessions, seed, think):
        self.process = subprocess.Popen([program, str(sink), str(port), str(sessions), str(seed), str(think)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def ask(self, what="report", within=30):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], within)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise Failure("the clients say nothing")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Proxy:
    def __init__(self, program, policy, log):
        with open(log, "ab") as f:
            ours, theirs = os.pipe()
            self.process = subprocess.Popen([program, "-c", policy, "--ready-fd", str(theirs)], stdout=f, stderr=f, pass_fds=(theirs,))
        os.close(theirs)
        ready, _, _ = select.select([ours], [], [], 30)
        line = os.read(ours, 200) if ready else b""
        os.close(ours)
        if not line:
            self.kill()
            with open(log, encoding="utf-8", errors="replace") as f:
                raise Failure("smtpf-proxy did not start: " + f.read()[-1000:])

    def memory(self):
        """Bytes of its own; what is mapped from files is not counted."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            return int(f.read().split("RssAnon:")[1].split()[0]) * 1024

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def drain(self):
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        if status:
            raise Failure("smtpf-proxy ended with %d" % status)
        return time.monotonic() - begun

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def watch(proxy, load, seconds):
    """Holds. What the clients say, and the memory: its course in tenths, early and late once it was warm, the most of it."""
    samples, begun = [], time.monotonic()
    every = max(0.25, seconds / 120)
    while time.monotonic() - begun < seconds:
        time.sleep(every)
        if proxy.process.poll() is not None:
            raise Failure("smtpf-proxy ended by itself: %d" % proxy.process.returncode)
        samples.append((time.monotonic() - begun, proxy.memory()))
    report = load.ask()
    tenths = [round(statistics.median([m for t, m in samples if i <= t / seconds * 10 < i + 1] or [0]) / 1024) for i in range(10)]
    warm = [m for t, m in samples if t >= seconds * WARM]
    half = len(warm) // 2
    return report, tenths, statistics.median(warm[:half]), statistics.median(warm[half:]), max(m for _, m in samples)


def demand(report, what, *nothing):
    for key in nothing:
        if report[key]:
            raise Failure("%s: %s is %d: %s" % (what, key, report[key], json.dumps(report)))


def settle(load, sessions):
    """Until most clients are in a session again; bounded."""
    end = time.monotonic() + 15
    before = load.ask()["answered"]
    while time.monotonic() < end and load.ask()["answered"] < before + sessions // 10 + 5:
        time.sleep(0.1)


def whole(a, tmp, program, policy, load):
    log, result = os.path.join(tmp, "log"), {}
    proxy = Proxy(program, policy, log)
    try:
        time.sleep(0.1)
        report, tenths, early, late, most = watch(proxy, load, a.seconds)
        result.update(sessions=report["sessions"], messages=report["messages"], answered=report["answered"],
                      memory_early_kib=round(early / 1024), memory_late_kib=round(late / 1024), memory_most_kib=round(most / 1024),
                      memory_tenths_kib=tenths,
                      growth=round(late / early, 4), descriptors=proxy.descriptors())
        print("  held: %s" % json.dumps(result), flush=True)
        demand(report, "while it was held", "lost", "unwanted", "cut")
        if report["answered"] < a.sessions // 4:
            raise Failure("hardly anything was sent: %s" % json.dumps(report))
        if SANITIZED:
            print("SKIP its memory: ASan keeps what was freed for a while")
        elif late > early * GROWTH + SLACK:
            raise Failure("its memory grows: %s" % json.dumps(result))
        took = proxy.drain()
        time.sleep(0.3)
        report = load.ask()
        result.update(drain_seconds=round(took, 1), drained_cut=report["cut_message"])
        demand(report, "drained", "lost", "unwanted", "cut_message")
        if a.patience < DRAIN / 2 and took > DRAIN - 2:
            raise Failure("a client that falls silent holds the drain up: %.1f s" % took)
        print("  drained in %.1f s: nothing is lost, no message was cut off" % took, flush=True)
        for _ in range(a.kills):
            proxy = Proxy(program, policy, log)
            settle(load, a.sessions)
            proxy.kill()
            time.sleep(0.2)
            demand(load.ask(), "killed", "lost", "unwanted")
        proxy = Proxy(program, policy, log)
        report = load.ask("stop", 150)
        demand(report, "at the end", "lost", "unwanted")
        proxy.drain()
        print("  killed %d times: nothing it had answered for is lost" % a.kills, flush=True)
        result.update(total_sessions=report["sessions"], total_answered=report["answered"], kills=a.kills,
                      lost=report["lost"], arrived_unanswered=report["unanswered"])
    finally:
        proxy.kill()
    return result


def main():
    shown = "builddir" in os.environ  # `show`; `make check` does not set it
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=2000 if shown else 100)
    parser.add_argument("--seconds", type=float, default=600 if shown else 8)
    parser.add_argument("--kills", type=int, default=20 if shown else 3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--think", type=int, default=1500 if shown else 60, help="milliseconds, at most, between a client's steps")
    parser.add_argument("--patience", type=int, default=0, help="seconds the server has for who is silent")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    a = parser.parse_args()
    a.patience = a.patience or max(2, min(60, int(a.seconds / 5)))
    build = os.environ.get("builddir", ".")
    program = os.environ.get("SMTPF_PROXY", os.path.join(build, "smtpf-proxy"))
    failed, result = 0, {}
    if shown:
        subprocess.run(["make", "-s", "-C", build, "tests/hold/hold"], check=True)
    with tempfile.TemporaryDirectory(prefix="smtpf-hold-") as tmp:
        sink, port = free_port(), free_port()
        with open(os.path.join(tmp, "rules"), "w", encoding="ascii") as f:
            f.write(RULES)
        policy = os.path.join(tmp, "policy.conf")
        with open(policy, "w", encoding="ascii") as f:
            f.write(POLICY % {"tmp": tmp, "port": port, "sink": sink, "threads": a.threads, "drain": DRAIN, "patience": a.patience})
        load = Load(os.path.join(build, "tests/hold/hold"), sink, port, a.sessions, a.seed, a.think)
        try:
            result = whole(a, tmp, program, policy, load)
        except Failure as e:
            failed = 1
            print("FAIL %s" % e)
        finally:
            load.close()
    if shown:
        print(json.dumps({"name": "hold", "cases": 3 + a.kills, "failed": failed, **result, "seed": a.seed}))
    else:
        print("seed %d\n%d passed, %d failed, %d skipped" % (a.seed, 1 - failed, failed, SANITIZED))
    return failed


if __name__ == "__main__":
    sys.exit(main())
