#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench NAME: ratios against peers and limits, measured interleaved (A B A B) in one run; medians; one line of JSON last.

    run.py --build FOLDER [--rounds N] proxy|policy|session|wire|mail|content|rules|store|greylist|scanner|hosts|greylist-large

Every ratio is named OURS_vs_PEER_SIZE_SESSIONS and is the median over the rounds of (ours / peer in the same round).
Throughput: higher is better. Processor time (`..._cpu_vs_...`): lower is better. Plain figures carry their unit.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from common import Server, fold, free_port, median, postgrey, run, source
from exim_clients import bench_exim
from hosts import bench_hosts

SIZES = {"4k": 4096, "64k": 65536}
SESSIONS = (1, 10, 50)
MESSAGES = {("4k", 1): 2000, ("4k", 10): 4000, ("4k", 50): 4000, ("64k", 1): 1500, ("64k", 10): 3000, ("64k", 50): 3000}

HAPROXY = """global
    maxconn 4000
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen smtp
    bind 127.0.0.1:{listen}
    server sink 127.0.0.1:{target}
"""

POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = {{ disable = [ "iprev" ]; }};   # no DNS: the wire is measured
proxy = {{
  listen = [ "127.0.0.1:{listen}" ];
  next_hop = "127.0.0.1:{target}";
  log_verdicts = "none";
  connections_per_client = 0;
}};
"""


def start_proxies(build, tmp):
    servers, names = [], []

    def add(name, argv, port):
        servers.append(Server(name, argv, port, tmp))
        names.append(name)
        return servers[-1]

    def write(name, text):
        path = os.path.join(tmp, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    sink = free_port()
    add("direct", [os.path.join(build, "tests/bench/sink"), str(sink)], sink)
    port = free_port()
    add("relay", [os.path.join(build, "tests/bench/relay"), str(port), str(sink)], port)
    if shutil.which("haproxy"):
        port = free_port()
        add("haproxy", ["haproxy", "-db", "-f", write("haproxy.cfg", HAPROXY.format(listen=port, target=sink))], port)
    port = free_port()
    policy = write("policy.conf", POLICY.format(listen=port, target=sink))
    add("proxy", [os.path.join(build, "smtpf-proxy"), "-c", policy], port)
    return servers


def bench_proxy(build, rounds):
    rate, cpu = {}, {}
    with tempfile.TemporaryDirectory() as tmp:
        servers = start_proxies(build, tmp)
        try:
            for case, count in MESSAGES.items():
                size, sessions = case
                for server in servers:  # once for warmth, not counted
                    source(server.port, SIZES[size], sessions, max(200, count // 10))
                for _ in range(rounds):
                    for server in servers:
                        before = server.cpu()
                        rate.setdefault((server.name, case), []).append(source(server.port, SIZES[size], sessions, count))
                        cpu.setdefault((server.name, case), []).append((server.cpu() - before) / count * 1e6)
                print("  %s %d sessions: " % case + ", ".join("%s %.0f/s" % (s.name, statistics.median(rate[s.name, case]))
                                                          for s in servers), flush=True)
        finally:
            for server in reversed(servers):
                server.stop()
    ratios, figures = {}, {}
    peers = [s.name for s in servers if s.name != "proxy"]
    for case in MESSAGES:
        tail = "%s_%d" % case
        for peer in peers:
            ratios["proxy_vs_%s_%s" % (peer, tail)] = median(a / b for a, b in zip(rate["proxy", case], rate[peer, case]))
        ratios["proxy_cpu_vs_relay_" + tail] = median([statistics.median(cpu["proxy", case]) /
                                                      max(statistics.median(cpu["relay", case]), 1)])
        figures["proxy_messages_per_second_" + tail] = round(statistics.median(rate["proxy", case]))
    for peer in peers:
        ratios["proxy_vs_" + peer] = median(ratios["proxy_vs_%s_%s_%d" % (peer, *case)] for case in MESSAGES)
    return {"name": "proxy", "ratios": ratios, **figures, "runs": rounds}


GREYLIST = """
local_domains = [ "example.net" ];
check = {{ disable = [ "iprev", "helo", "early_talk", "null_sender" ]; }};
profiles = ( {{ name = "default"; greylist = true; }} );
greylist = {{ wait = "1s"; identity = "prefix"; auto_allow = 0; }};
store = {{ type = "lmdb"; path = "{store}"; map_size = "32g"; }};
"""
TRIPLETS = 2000  # of postgrey's, which needs a second for as many
ASKED = {"postgrey": {1: 1000, 16: 2000}, "policyd": {1: 20000, 16: 60000}, "echo": {1: 20000, 16: 60000}}
CONNECTIONS = (1, 16)
RECORDS = {"greylist": (10 ** 4, 10 ** 6), "greylist-large": (10 ** 4, 10 ** 6, 10 ** 7)}


def ask(build, port, connections, requests, first, last=None):
    """Requests per second of one policy_load run, and how many were let through."""
    argv = [os.path.join(build, "tests/bench/policy_load"), str(port), str(connections), str(requests), str(first)]
    result = json.loads(run(argv + ([str(last)] if last else []), 300))
    return result["requests_per_second"], result["let_through"]


def known_to_policyd(build, tmp, records):
    """smtpf-policyd on a store that knows so many triplets already."""
    store = os.path.join(tmp, "store%d" % records)
    run([os.path.join(build, "tests/bench/bench_greylist"), "fill", store, str(records)], 3600)
    policy = os.path.join(tmp, "policy%d.conf" % records)
    with open(policy, "w", encoding="ascii") as f:
        f.write(GREYLIST.format(store=store))
    port = free_port()
    return Server("policyd", [os.path.join(build, "smtpf-policyd"), "-c", policy, "--inet", str(port)], port, tmp)


def known_to_postgrey(build, tmp):
    port = free_port()
    argv = postgrey(tmp, port)
    if not argv:
        return []
    server = Server("postgrey", argv, port, tmp)
    ask(build, port, 1, TRIPLETS, 0)
    time.sleep(2)
    return [server]


def all_through(build, server, count):
    through = ask(build, server.port, 1, count, 0)[1]
    if through != count:
        sys.exit("%s let %d of %d through" % (server.name, through, count))


def measure_policyd(build, rounds, tmp, records, with_postgrey):
    """Requests and processor seconds per second of each, interleaved: {(server, connections): [(rate, cpu us), ...]}."""
    servers, got = [], {}
    try:
        port = free_port()
        servers.append(Server("echo", [os.path.join(build, "tests/bench/policy_echo"), str(port)], port, tmp))
        servers.append(known_to_policyd(build, tmp, records))
        servers += known_to_postgrey(build, tmp) if with_postgrey else []
        for server in servers[1:]:
            all_through(build, server, TRIPLETS)
        for _ in range(rounds):
            for connections in CONNECTIONS:
                for server in servers:
                    count = ASKED[server.name][connections]
                    last = TRIPLETS if server.name == "postgrey" else records
                    before = server.cpu()
                    rate = ask(build, server.port, connections, count, 0, last)[0]
                    got.setdefault((server.name, connections), []).append((rate, (server.cpu() - before) / count * 1e6))
    finally:
        for server in reversed(servers):
            server.stop()
    return got


def figures_policyd(result, got, records):
    """Adds the ratios and figures of one size: against a server that only answers, and where it is there, postgrey."""
    for connections in CONNECTIONS:
        ours, tail = got["policyd", connections], "%d_%d" % (connections, records)
        for peer in [name for name, n in got if n == connections and name != "policyd"]:
            result["ratios"]["policyd_vs_%s_%s" % (peer, tail)] = median(a[0] / b[0] for a, b in zip(ours, got[peer, connections]))
        for name in [name for name, n in got if n == connections]:
            rates, times = zip(*got[name, connections])
            result["%s_requests_per_second_%s" % (name, tail)] = round(statistics.median(rates))
            result["%s_cpu_us_%s" % (name, tail)] = median(times)


def bench_policyd(build, rounds, name):
    """The policy server, over TCP, beside postgrey and beside a server that only answers: known triplets. And the check alone."""
    sizes = RECORDS[name]
    result = bench_program(build, max(1, rounds // 3), "greylist", [str(n) for n in sizes])
    result["name"] = name
    for i, records in enumerate(sizes):
        with tempfile.TemporaryDirectory() as tmp:
            figures_policyd(result, measure_policyd(build, rounds, tmp, records, i == 0), records)
    return {**result, "runs": rounds}


SLOW = {"store": 2, "greylist": 1, "rules": 2, "scanner": 1, "hosts": 5, "exim": 3}  # many rounds inside; seldom enough as a whole


def beside(name):
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)


GIVEN = {"rules": [beside("rules.txt")]}  # what a program reads


def bench_program(build, rounds, name, arguments=()):
    """A C program that prints one JSON object of figures a run; those named X_vs_Y are ratios."""
    runs, rounds = [], min(rounds, SLOW.get(name, rounds))
    for _ in range(rounds):
        printed = run([os.path.join(build, "tests/bench/bench_" + name), *(arguments or GIVEN.get(name, ()))], 3600)
        runs.append(json.loads(printed.strip().splitlines()[-1]))
    figures = fold(runs)
    ratios = {key: value for key, value in figures.items() if "_vs_" in key}
    figures = {key: value for key, value in figures.items() if key not in ratios and key != "name"}
    return {"name": name, "ratios": ratios, **figures, "runs": rounds}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("name", choices=["proxy", "policy", "session", "wire", "mail", "content", "rules", "store", "greylist", "scanner", "hosts", "exim", "greylist-large"])
    args = p.parse_args()
    build = os.path.abspath(args.build)
    result = (bench_proxy(build, args.rounds) if args.name == "proxy" else
              bench_hosts(build, min(args.rounds, SLOW["hosts"])) if args.name == "hosts" else
              bench_exim(build, min(args.rounds, SLOW["exim"])) if args.name == "exim" else
              bench_policyd(build, args.rounds, args.name) if args.name in RECORDS else
              bench_program(build, args.rounds, args.name))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
