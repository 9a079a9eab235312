#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy from its start to its end: reload, drain, what clients hear meanwhile, its log."""
import json
import os
import select
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_basic import check, stage  # noqa: E402
from proxy_harness import HAM, Client, eventually, run, stuffed  # noqa: E402


def reload_takes_a_good_policy_and_survives_a_bad_one():
    text = 'local_domains = [ "example.net"%s ];\nhostnames = [ "mx.example.net" ];\n'
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as f:
        f.write(text % "")
    try:
        with stage(policy=f.name) as (sink, proxy):
            old = Client(proxy)
            with open(f.name, "w", encoding="ascii") as g:
                g.write(text % "" + "limits = { line = ; };\n")
            proxy.signal(signal.SIGHUP)
            eventually("complaint", lambda: "reload-failed" in proxy.log())
            check(f.name + ":3" in proxy.log(), proxy.log())
            check(old.deliver(HAM).startswith(b"250") and Client(proxy).deliver(HAM).startswith(b"250"), "stopped working")
            with open(f.name, "w", encoding="ascii") as g:
                g.write(text % ', "example.com"')
            proxy.signal(signal.SIGHUP)
            eventually("reload", lambda: "reloaded" in proxy.log())
            check(Client(proxy).deliver(HAM, b"<u@example.com>").startswith(b"250"), "the new policy is not used")
            old.expect(b"MAIL FROM:<a@example.org>", b"250")
            old.expect(b"RCPT TO:<u@example.com>", b"5")
    finally:
        os.unlink(f.name)


def sigterm_drains():
    with stage() as (sink, proxy):
        idle, busy = Client(proxy), Client(proxy)
        busy.begin()
        busy.send(stuffed(HAM)[:-3])
        proxy.signal(signal.SIGTERM)
        check(idle.reply().startswith(b"421 4.3.2") and idle.reply() == b"", "the idle one was not told")
        check(busy.say(b".").startswith(b"250"), "the open transaction was lost")
        check(busy.reply().startswith(b"421") and busy.reply() == b"", "not closed after it")
        check(proxy.process.wait(20) == 0, "status")
        check(len(sink.messages) == 1, "not delivered")


def draining_is_bounded():
    with stage(options={"proxy.drain": "1s"}) as (sink, proxy):
        busy = Client(proxy)
        busy.begin()
        proxy.signal(signal.SIGTERM)
        check(proxy.process.wait(20) == 0, "status")
        check(busy.reply().startswith(b"421"), "not told")


def what_is_said_after_the_421_does_not_eat_it():
    """A client may have a command on its way, or half a message: a reset would take the place of what it was told."""
    with stage(options={"proxy.drain": "300ms"}) as (sink, proxy):
        idle, busy = Client(proxy), Client(proxy)
        busy.begin()
        proxy.signal(signal.SIGTERM)
        eventually("the end of the drain", lambda: select.select([busy.socket], [], [], 0)[0])
        for piece in (b"MAIL FROM:", b"<sender@example.org>", b"\r\n", b"QUIT\r\n"):
            idle.send(piece)
            busy.send(HAM)
            time.sleep(0.05)
        for c in (idle, busy):
            check(c.reply().startswith(b"421 4.3.2") and c.reply() == b"", "not told")
            c.socket.close()
        check(proxy.process.wait(20) == 0, "status")


def whoever_has_connected_is_not_reset():
    """More than a loop takes at once, while the proxy is told to end."""
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as f:
        many = min(600, int(f.read()) - 1)
    with stage(options={"proxy.threads": "1", "proxy.connections_per_client": "0"}) as (sink, proxy):
        proxy.signal(signal.SIGSTOP)
        clients = [Client(proxy, banner=False) for _ in range(many)]
        proxy.signal(signal.SIGTERM)
        proxy.signal(signal.SIGCONT)
        last = []
        for c in clients:
            first = c.reply()
            last.append(c.reply() if first.startswith(b"220") else first)
            c.socket.close()
        other = {reply for reply in last if not reply.startswith(b"421 4.3.2")}
        check(not other, other)
        check(proxy.process.wait(20) == 0, "status")


def json_log_has_one_object_a_verdict():
    with stage(arguments=["--log", "json", "--explain"]) as (sink, proxy):
        c = Client(proxy)
        c.deliver(HAM)
        c.expect(b"MAIL FROM:<a\"@example.org>", b"5")
        c.expect(b"QUIT", b"221")
        c.reply()
        eventually("log", lambda: '"quit"' in proxy.log())
        rows = [json.loads(line) for line in proxy.log().splitlines()]
        events = [r["event"] for r in rows]
        check(events[:7] == ["ready", "connect", "helo", "mail", "rcpt", "data", "end-of-message"], events)
        last = rows[6]
        check(last["recipients"][0]["disposition"] == "delivered" and last["evidence"] and last["reply"]["code"] == 250, last)


CASES = [value for name, value in list(globals().items())
         if callable(value) and getattr(value, "__module__", "") == "__main__" and name not in ("stage", "check")]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:], together=4))
