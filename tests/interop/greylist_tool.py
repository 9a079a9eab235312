#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-greylist beside smtpf-policyd on one store, LMDB and Redis; servers that were apart are joined, in any order."""
import itertools
import json
import os
import pty
import random
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import policyd  # noqa: E402
from harness import conclude, skipped  # noqa: E402

TOOL = os.path.abspath("smtpf-greylist")
POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "%s" ];
check = { disable = [ "iprev" ]; };
profiles = ( { name = "default"; greylist = true; } );
greylist = { wait = "4s"; auto_allow = 3; };
budget = { wait = "4s"; };
store = { %s };
"""
LMDB = 'type = "lmdb"; path = "%s";'
REDIS = 'type = "redis"; redis = { servers = [ "%s" ]; database = %d; };'


def tool(policy, *words, text=None):
    run = subprocess.run([TOOL, "-c", policy, *words], input=text, capture_output=True, text=True, timeout=60, check=False)
    return run.returncode, run.stdout, run.stderr


def listed(policy, *words):
    code, out, err = tool(policy, "list", "--json", *words)
    return code, [json.loads(line) for line in out.splitlines()]


def server(tmp, name, redis=None):
    """`redis`: address and database; else it has a store of its own on disk."""
    folder = os.path.join(tmp, name)
    os.mkdir(folder)
    store = REDIS % redis if redis else LMDB % os.path.join(folder, "store")
    return policyd.Server(folder, policy=POLICY % (name, store))


class Watch:
    """`smtpf-greylist watch` while a server works."""

    def __init__(self, policy, *words):
        self.process = subprocess.Popen([TOOL, "-c", policy, "watch", "1", *words], stdout=subprocess.PIPE, text=True)

    def line(self):
        """The next one; empty when none comes."""
        return self.process.stdout.readline() if select.select([self.process.stdout], [], [], 8)[0] else ""

    def stop(self):
        """What else it says for two more looks."""
        time.sleep(2.5)
        self.process.terminate()
        return self.process.communicate(timeout=10)[0]


def watched(tmp, check, redis=None):
    s = server(tmp, "mx6.example.net" if redis else "mx5.example.net", redis)
    with s.connect() as c:
        w = Watch(s.policy, "--json", "--kind", "triplet")
        time.sleep(0.5)
        policyd.ask(c, sender="w1@watched.example", client="172.16.1.1")
        line = w.line()
        check("watch: a first sight", line and json.loads(line)["sender"] == "w1@watched.example", line)
        time.sleep(4.2)
        got = policyd.ask(c, sender="w1@watched.example", client="172.16.1.1")
        line = w.line()
        check("watch: let through", got == "action=DUNNO" and line and json.loads(line)["state"] == "known", (got, line))
        said = w.stop()
        check("watch: each once", said == "", said)
    check("watch: the server ends", s.stop()[0] == 0)


def one_server(tmp, check, redis=None):
    s = server(tmp, "mx3.example.net" if redis else "mx1.example.net", redis)
    later = policyd.LATER
    with s.connect() as c:
        policyd.ask(c, sender="a@example.org")
        policyd.ask(c, sender="list-17-b=example.net@list.example", client="198.51.100.7")
        code, records = listed(s.policy, "--sort", "client")
        check("two triplets are seen", code == 0 and [r["client"] for r in records] == ["192.0.2.0/24", "198.51.100.0/24"], records)
        check("and what was compared", records and records[1]["sender"] == "list-#@list.example" and records[1]["state"] == "waiting", records)
        code, records = listed(s.policy, "--sort", "client", "--reverse")
        check("the other way round", [r["client"] for r in records] == ["198.51.100.0/24", "192.0.2.0/24"], records)
        code, out, _ = tool(s.policy, "show", "192.0.2.0/24", "a@example.org", "b@example.net")
        check("a triplet's story", code == 0 and "a retry counts in" in out, out)
        code, out, _ = tool(s.policy, "show", "192.0.2.0/24", "a@example.org", "b@example.net", "--json")
        story = [json.loads(line) for line in out.splitlines()]
        check("in JSON", code == 0 and [r["kind"] for r in story if r["state"] == "waiting"] == ["triplet"], out)
        time.sleep(4.2)
        got = policyd.ask(c, sender="a@example.org")
        code, out, _ = tool(s.policy, "list", "--state", "known", "--kind", "triplet")
        check("let through, and known", got == "action=DUNNO" and code == 0 and "passes=1" in out, (got, out))
        code, out, _ = tool(s.policy, "list", "--kind", "client")
        check("its client has passed once", code == 0 and "client=192.0.2.0/24" in out and "passes=1" in out, out)
        check("nothing fits", tool(s.policy, "list", "--sender", "nobody")[0] == 1)
        check("allow", tool(s.policy, "allow", "203.0.113.77")[0] == 0)
        got = policyd.ask(c, sender="x@example.org", client="203.0.113.1")
        check("an allowed network is not put off", got == "action=DUNNO", got)
        check("deny", tool(s.policy, "deny", "203.0.113.0/24")[0] == 0)
        got = policyd.ask(c, sender="y@example.org", client="203.0.113.1")
        check("a denied one is", got.startswith(later), got)
        time.sleep(4.2)
        got = policyd.ask(c, sender="y@example.org", client="203.0.113.1")
        check("each time", got.startswith(later), got)
        code, out, _ = tool(s.policy, "stats", "--json")
        stats = json.loads(out)
        check("stats", stats["known"] == 1 and stats["denied"] == 1 and stats["ripe"] == 1, stats)
        check("and what may run out", redis or 0 < stats["store.map_used"] < stats["store.map_max"], stats)
        code, out, _ = tool(s.policy, "forget", "203.0.113.0/24")
        policyd.ask(c, sender="z@example.org", client="203.0.113.1")
        time.sleep(4.2)
        got = policyd.ask(c, sender="z@example.org", client="203.0.113.1")
        check("forgotten: it waits like others", code == 0 and got == "action=DUNNO", (code, got))
        code, out, _ = tool(s.policy, "forget", "--sender", "a@example.org")
        got = policyd.ask(c, sender="a@example.org")
        check("a forgotten triplet is new", out == "forgotten 1\n" and got.startswith(later), (out, got))
        check("expire finds nothing", tool(s.policy, "expire")[1] == "expired 0\n")
        for bad in (("allow", "not a client"), ("list", "--state", "odd"), ("nothing",), ("show", "a", "b")):
            check("refused: " + " ".join(bad), tool(s.policy, *bad)[0] == 2)
    return s


def two_servers(tmp, first, check):
    second = server(tmp, "mx2.example.net")
    with first.connect() as a, second.connect() as b:
        policyd.ask(a, sender="p@pool.example", client="10.1.1.1")
        policyd.ask(b, sender="q@pool.example", client="10.1.2.1")
        time.sleep(4.2)
        code, out, _ = tool(first.policy, "export")
        lines = out.count("\n")
        for times in range(2):
            code, said, err = tool(second.policy, "import", "-", text=out)
            check("import, %d" % times, code == 0 and said == "joined %d\n" % lines, (said, err))
        got = policyd.ask(b, sender="p@pool.example", client="10.1.1.2")
        check("what the first has seen, the second knows", got == "action=DUNNO", got)
        code, said, err = tool(first.policy, "merge", second.policy)
        check("merge", code == 0 and said.startswith("joined "), (said, err))
        got = policyd.ask(a, sender="q@pool.example", client="10.1.2.2")
        check("and the other way", got == "action=DUNNO", got)
        code, mine = listed(first.policy, "--recipient", "b@example.net", "--sender", "p@pool.example")
        check("passes are those of the one that let it through", [r["passes"] for r in mine] == [1], mine)
        code, said, err = tool(second.policy, "import", "-", text="00 0 00\n")
        check("a broken file names its line", code == 2 and ":1:" in err, err)
    check("they end", first.stop()[0] == 0 and second.stop()[0] == 0)


# ---- the join, of files and stores ----------------------------------------------------------------------


def field(ident, how, data):
    return struct.pack("<BBH", ident, how, len(data)) + data


def record(rng, i):
    """One server's record of the triplet i, as include/smtpfilter/ext/record.h has it."""
    nodes = b"".join(struct.pack("<Qq", node, rng.randrange(9)) for node in range(1, 4) if rng.randrange(2))
    fields = [field(1, 1, struct.pack("<q", rng.randrange(10**9))), field(2, 2, struct.pack("<q", rng.randrange(10**9)))]
    fields += [field(3, 3, nodes)] if nodes else []
    fields += [field(4, 4, b"10.0.%d.0/24" % i), field(5, 4, b"s@x.example"), field(6, 4, b"b@example.net")]
    value = b"J" + bytes([1, 1, len(fields)]) + b"".join(fields)
    return "%s %d %s\n" % ((b"%032d" % i).hex(), rng.choice([0, 4 * 10**9, 5 * 10**9]), value.hex())


def joins(tmp, check):
    """Commutative, associative, idempotent: three servers' records in any order, by file or store to store."""
    rng = random.Random(20)
    parts = ["".join(record(rng, i) for i in range(200) if rng.randrange(4)) for _ in range(3)]

    def policy(name):
        path = os.path.join(tmp, name + ".conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(POLICY % (name + ".example.net", LMDB % os.path.join(tmp, name)))
        return path

    def content(p):
        return sorted(tool(p, "export")[1].splitlines())

    results = []
    for n, order in enumerate(itertools.permutations(parts)):
        p = policy("order%d" % n)
        for part in order + (order[0],):
            code, said, err = tool(p, "import", "-", text=part)
            check("import of many", code == 0, (said, err))
        results.append(content(p))
    check("any order, and again, is the same", len(results[0]) > 150 and all(r == results[0] for r in results), [len(r) for r in results])
    for n, part in enumerate(parts):
        tool(policy("part%d" % n), "import", "-", text=part)
    conf = [policy("part%d" % n) for n in range(3)]
    check("b and c", tool(conf[1], "merge", conf[2])[0] == 0)
    check("a and (b and c)", tool(conf[0], "merge", conf[1])[0] == 0 and content(conf[0]) == results[0])
    check("and back", tool(conf[2], "merge", conf[0])[0] == 0 and content(conf[2]) == results[0])
    fresh = policy("fresh")
    code, out, _ = tool(conf[0], "export")
    check("moved to another database", tool(fresh, "import", "-", text=out)[0] == 0 and tool(fresh, "export")[1] == out)
    check("and listed the same", listed(fresh, "--sort", "client") == listed(conf[0], "--sort", "client"))


def progress(tmp, check):
    """Long work says on the terminal how far it is: an import from a slow pipe."""
    path, rng = os.path.join(tmp, "slow.conf"), random.Random(21)
    with open(path, "w", encoding="ascii") as f:
        f.write(POLICY % ("slow.example.net", LMDB % os.path.join(tmp, "slow")))
    try:
        terminal, end = pty.openpty()
    except OSError as e:
        skipped("progress on a terminal", e)
        return
    run = subprocess.Popen([TOOL, "-c", path, "import", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=end, text=True)
    os.close(end)
    for piece in range(3):
        run.stdin.write("".join(record(rng, 100 * piece + i) for i in range(100)))
        run.stdin.flush()
        time.sleep(1.1)
    out, _ = run.communicate(timeout=20)
    said = os.read(terminal, 4096).decode()
    os.close(terminal)
    told = [int(n) for n in re.findall(r"\r(\d+) records", said)]
    check("long work says how far it is", run.returncode == 0 and out == "joined 300\n" and told and told[0] in (128, 256), (out, said))


# ---- Redis -------------------------------------------------------------------------------------------------


def with_redis(tmp, check):
    if not shutil.which("redis-server"):
        skipped("smtpf-greylist on Redis", "no redis-server")
        return
    port, folder = policyd.free_port(), os.path.join(tmp, "redis")
    os.mkdir(folder)
    redis = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "", "--appendonly", "no"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        probe = os.path.join(tmp, "probe.conf")
        with open(probe, "w", encoding="ascii") as f:
            f.write(POLICY % ("probe.example.net", REDIS % ("127.0.0.1:%d" % port, 0)))
        for _ in range(50):
            code, _, err = tool(probe, "list")
            if code == 1 or "probe.conf:" in err:
                break
            time.sleep(0.1)
        if code != 1:
            skipped("smtpf-greylist on Redis", err.strip())
            return
        beside = Beside(watched, tmp, check, ("127.0.0.1:%d" % port, 1))
        s = one_server(tmp, check, ("127.0.0.1:%d" % port, 0))
        check("it ends", s.stop()[0] == 0)
        beside.join()
    finally:
        redis.terminate()
        redis.wait(10)


class Beside(threading.Thread):
    """A part with a store of its own, while others run; what breaks it off is a case that failed."""

    def __init__(self, part, tmp, check, *rest):
        super().__init__(target=self.guarded, args=(part, tmp, check, *rest))
        self.start()

    @staticmethod
    def guarded(part, tmp, check, *rest):
        try:
            part(tmp, check, *rest)
        except Exception:  # pylint: disable=broad-except
            check(part.__name__, False, traceback.format_exc())


def main():
    with tempfile.TemporaryDirectory() as tmp:
        beside = [Beside(with_redis, tmp, lambda name, *rest: policyd.check("Redis: " + name, *rest))]
        beside += [Beside(part, tmp, policyd.check) for part in (watched, joins, progress)]  # each waits, most of its time
        first = one_server(tmp, policyd.check)
        two_servers(tmp, first, policyd.check)
        for part in beside:
            part.join()
        memory = os.path.join(tmp, "memory.conf")
        with open(memory, "w", encoding="ascii") as f:
            f.write('local_domains = [ "example.net" ];\n')
        code, _, err = tool(memory, "list")
        policyd.check("a store in memory cannot be looked at", code == 2 and "memory" in err, err)
    conclude()


if __name__ == "__main__":
    main()
