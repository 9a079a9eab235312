#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a next hop thinks of a client that smtpf-proxy told it of by XCLIENT: who is refused, in whose words, and that
nobody pays, or passes, for somebody else."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import HAM, Client, Sink, run  # noqa: E402
from proxy_routes import Several, closed  # noqa: E402


def a_client_that_is_refused_by_xclient_harms_nobody():
    """What a server thinks of one client, or of the name that it greets with, is no failure of that server."""
    for verb in ("XCLIENT", "EHLO"):
        def refuses(_sink, _connection, line):
            return b"554-5.7.1 client refused:\r\n554 5.7.1 ask elsewhere\r\n" if b"bad.example" in line else b""

        a = Sink(extensions=("8BITMIME", "XCLIENT NAME ADDR HELO"), rules={verb: refuses, "HELO": refuses})
        b = Sink()
        proxy = Several([a.address, b.address])
        probed = b.connections
        client = Client(proxy, hello=False)
        client.expect(b"EHLO bad.example", b"250")
        client.expect(b"MAIL FROM:<s@example.org>", b"250")
        for _ in range(2):
            assert client.say(b"RCPT TO:<x@example.net>") == b"554-5.7.1 client refused:\r\n554 5.7.1 ask elsewhere\r\n"
        client.expect(b"DATA", b"503", b"554")
        assert b.connections == probed, "another server was asked for a second opinion"
        client.close()
        good = Client(proxy)
        assert good.deliver(HAM, b"<x@example.net>").startswith(b"250")
        assert len(a.messages) == 1
        good.close()
        log = proxy.stop()
        assert "hop-down" not in log and "next-hop-failed" not in log and log.count("final=554") == 2, log
        closed(a, b)


def a_client_does_not_suffer_for_the_one_before():
    """A server that takes one XCLIENT a connection, whatever it offers: its 5xx over a kept connection is not the last word."""
    seen = set()

    def once(_sink, connection, line):
        if connection in seen:
            return b"550 5.7.1 somebody else was here\r\n"
        seen.add(connection)
        return b""

    a = Sink(extensions=("8BITMIME", "XCLIENT NAME ADDR HELO"), rules={"XCLIENT": once})
    proxy = Several([a.address], [("proxy.threads", "1")])
    for _ in range(2):
        client = Client(proxy)
        assert client.deliver(HAM).startswith(b"250")
        client.close()
    log = proxy.stop()
    assert len(a.messages) == 2 and "hop-down" not in log and "next-hop-failed" not in log, log
    a.close()


def nobody_is_taken_for_the_one_before():
    """EHLO behind XCLIENT fails, HELO does not: the server is not known to take another client over that connection."""
    def later(sink, _connection, _line):
        return b"450 4.3.0 later\r\n" if sink.lines[-2:][0].startswith(b"XCLIENT") else b""

    a = Sink(extensions=("8BITMIME", "XCLIENT NAME ADDR HELO"), rules={"EHLO": later})
    proxy = Several([a.address], [("proxy.threads", "1")])
    for i in (2, 3):
        client = Client(proxy, source="127.0.0.%d" % i)
        assert client.deliver(HAM).startswith(b"250")
        client.close()
    told = [m.identity[-1] for m in a.messages]
    assert b"127.0.0.2" in told[0] and b"127.0.0.3" in told[1], told
    closed(proxy, a)


def a_server_that_does_not_understand_xclient_refuses_nobody():
    """50x and 4xx are no judgement of the client: it never hears 5xx for them, and another server may take its mail."""
    for reply in (b"501 5.5.4 no such attribute\r\n", b"421 4.7.0 later\r\n"):
        a, b = Sink(extensions=("XCLIENT NAME ADDR HELO",), rules={"XCLIENT": reply}), Sink()
        with_second, alone = Several([a.address, b.address]), Several([a.address])
        assert Client(with_second).deliver(HAM).startswith(b"250") and len(b.messages) == 1
        client = Client(alone)
        client.expect(b"MAIL FROM:<s@example.org>", b"250")
        client.expect(b"RCPT TO:<x@example.net>", b"451 4.4.1")
        closed(client, with_second, alone, a, b)


def a_client_that_is_refused_at_the_end_of_its_message():
    """The connection of RCPT is gone by then, and the server that takes its place has changed its mind."""
    refused = []

    def refuses(sink, connection, line):
        return b"550 5.7.1 listed since\r\n" if refused else b""

    a = Sink(extensions=("XCLIENT NAME ADDR HELO",), rules={"XCLIENT": refuses})
    proxy = Several([a.address])
    client = Client(proxy)
    client.begin(b"<x@example.net>")
    refused.append(1)
    a.cut()
    time.sleep(0.1)
    assert client.message(HAM) == b"550 5.7.1 listed since\r\n"
    assert not a.messages
    closed(client, proxy, a)


CASES = [a_client_that_is_refused_by_xclient_harms_nobody,
         a_client_does_not_suffer_for_the_one_before,
         nobody_is_taken_for_the_one_before,
         a_server_that_does_not_understand_xclient_refuses_nobody,
         a_client_that_is_refused_at_the_end_of_its_message]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:], together=4))
