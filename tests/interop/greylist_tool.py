#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-greylist beside smtpf-policyd on one LMDB store; two servers that were apart are joined."""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import policyd  # noqa: E402

TOOL = os.path.abspath("smtpf-greylist")
POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "%s" ];
check = { disable = [ "iprev" ]; };
profiles = ( { name = "default"; greylist = true; } );
greylist = { wait = "4s"; auto_allow = 3; };
budget = { wait = "4s"; };
store = { type = "lmdb"; path = "%s"; };
"""


def tool(policy, *words, text=None):
    run = subprocess.run([TOOL, "-c", policy, *words], input=text, capture_output=True, text=True, timeout=60, check=False)
    return run.returncode, run.stdout, run.stderr


def listed(policy, *words):
    code, out, err = tool(policy, "list", "--json", *words)
    return code, [json.loads(line) for line in out.splitlines()]


def server(tmp, name):
    folder = os.path.join(tmp, name)
    os.mkdir(folder)
    return policyd.Server(folder, policy=POLICY % (name, os.path.join(folder, "store")))


def one_server(tmp, check):
    s = server(tmp, "mx1.example.net")
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


def main():
    with tempfile.TemporaryDirectory() as tmp:
        first = one_server(tmp, policyd.check)
        two_servers(tmp, first, policyd.check)
        memory = os.path.join(tmp, "memory.conf")
        with open(memory, "w", encoding="ascii") as f:
            f.write('local_domains = [ "example.net" ];\n')
        code, _, err = tool(memory, "list")
        policyd.check("a store in memory cannot be looked at", code == 2 and "memory" in err, err)
    print("%d passed, %d failed, 0 skipped" % (len(policyd.PASSED), len(policyd.FAILED)))
    sys.exit(1 if policyd.FAILED else 0)


if __name__ == "__main__":
    main()
