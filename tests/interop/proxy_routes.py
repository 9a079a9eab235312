#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy with several next hops: which of them a recipient's mail goes to, and what becomes of it when one of them
refuses, is silent, dies at each point of a transaction, or is back. Nobody is told 2xx whose copy no next hop has; no
copy is there twice, but where a client was told 4xx."""
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import HAM, Client, Proxy, Sink, eventually, run, stuffed, tried, without_trace  # noqa: E402

DOMAINS = [("local_domains", "example.net"), ("local_domains+", "b.example"), ("local_domains+", "c.example"),
           ("local_domains+", "sub.c.example")]


def routes(table):
    """Options for {domain: [address, ...]}; one reply may stand for several of them."""
    return DOMAINS + [("proxy.hops_together", "true")] + [('proxy.routes["%s"].servers%s' % (domain, "+" if i else ""), address)
                      for domain, servers in table.items() for i, address in enumerate(servers)]


def hops(*servers):
    """Options for several servers in proxy.next_hop; the first is given to Proxy."""
    return [("proxy.next_hop" + ("+" if i else ""), s) for i, s in enumerate(servers)]


class Several(Proxy):
    """A proxy whose next hops are all options."""

    def __init__(self, servers, options=None):
        super().__init__(None, DOMAINS + hops(*servers) + list(options or []))


class Silent:
    """Takes connections, says nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def close(self):
        self.listener.close()


def nobody():
    """An address that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return "127.0.0.1:%d" % s.getsockname()[1]


def bodies(sink):
    return [without_trace(m.data) for m in sink.messages]


def closed(*things):
    for thing in things:
        if isinstance(thing, Proxy):
            thing.stop()
        else:
            thing.close()


# ---- by domain -------------------------------------------------------------------------------------------------


def each_domain_has_its_hop():
    with tempfile.TemporaryDirectory() as folder:
        a, b, c = Sink(), Sink(), Sink(lmtp=True, path=folder + "/lmtp")
        proxy = Proxy(a.address, routes({"b.example": [b.address], ".c.example": [c.address]}))
        client = Client(proxy)
        reply = client.deliver(HAM, b"<x@example.net>", b"<y@b.example>", b"<z@sub.c.example>", b"<u@c.example>", b"<v@B.Example>")
        assert reply.startswith(b"250"), reply
        client.close()
        told = [sorted(r.split(b":")[1].strip() for m in s.messages for r in m.recipients) for s in (a, b, c)]
        assert told == [[b"<u@c.example>", b"<x@example.net>"], [b"<v@B.Example>", b"<y@b.example>"], [b"<z@sub.c.example>"]], told
        assert all(bodies(s) == [HAM] for s in (a, b, c))
        closed(proxy, a, b, c)


def one_reply_speaks_for_one_hop():
    """Who gets one reply is split at RCPT by hop, and every copy arrives."""
    a, b = Sink(), Sink(rules={"DOT": b"554 5.6.0 not here\r\n"})
    proxy = Proxy(a.address, [o for o in routes({"b.example": [b.address]}) if o[0] != "proxy.hops_together"])
    client = Client(proxy)
    client.expect(b"MAIL FROM:<s@example.org>", b"250")
    client.expect(b"RCPT TO:<x@example.net>", b"250")
    client.expect(b"RCPT TO:<y@b.example>", b"452 4.5.3 send this recipient")
    client.expect(b"RCPT TO:<u@example.net>", b"250")
    client.expect(b"DATA", b"354")
    assert client.message(HAM).startswith(b"250")
    client.expect(b"MAIL FROM:<s@example.org>", b"250")
    client.expect(b"RCPT TO:<y@b.example>", b"250")
    client.expect(b"DATA", b"354")
    assert client.message(HAM).startswith(b"554 5.6.0 not here")
    assert [len(m.recipients) for m in a.messages] == [2] and not b.messages
    assert not any(b"b.example" in line for line in a.lines)
    closed(client, proxy, a, b)


def a_refusal_is_its_own_hops():
    a, b = Sink(), Sink(rules={"RCPT": b"550 5.1.1 b knows nobody\r\n"})
    proxy = Proxy(a.address, routes({"b.example": [b.address]}))
    client = Client(proxy)
    client.expect(b"MAIL FROM:<s@example.org>", b"250")
    client.expect(b"RCPT TO:<y@b.example>", b"550 5.1.1 b knows nobody")
    client.expect(b"RCPT TO:<x@example.net>", b"250")
    client.expect(b"DATA", b"354")
    assert client.message(HAM).startswith(b"250")
    assert len(a.messages) == 1 and not b.messages
    closed(client, proxy, a, b)


def a_dead_hop_is_its_own_domains():
    a = Sink()
    proxy = Proxy(a.address, routes({"b.example": [nobody()]}))
    client = Client(proxy)
    client.expect(b"MAIL FROM:<s@example.org>", b"250")
    client.expect(b"RCPT TO:<y@b.example>", b"451 4.4.1")
    client.expect(b"RCPT TO:<x@example.net>", b"250")
    client.expect(b"DATA", b"354")
    assert client.message(HAM).startswith(b"250")
    closed(client, proxy, a)


def a_hop_that_fails_after_another_took_is_told():
    """One reply for two hops: 451, and the copy that was taken is known when the client comes again."""
    with tempfile.TemporaryDirectory() as folder:
        a, b = Sink(), Sink(rules={"DOT": b"451 4.3.0 not now\r\n"})
        proxy = Proxy(a.address, routes({"b.example": [b.address]}) +
                      [("lost_ack.enable", "true"), ("store.type", "lmdb"), ("store.path", folder)])
        client = Client(proxy)
        assert client.deliver(HAM, b"<x@example.net>", b"<y@b.example>").startswith(b"451 4.3.0 not now")
        assert len(a.messages) == 1 and not b.messages
        b.rules.clear()
        client.close()
        client = Client(proxy)
        assert client.deliver(HAM, b"<x@example.net>", b"<y@b.example>").startswith(b"250")
        assert len(a.messages) == 1 and bodies(b) == [HAM], (len(a.messages), len(b.messages))
        client.close()
        log = proxy.stop()
        assert "copies=" in log, log
        closed(a, b)


def who_has_a_reply_each_is_told_each():
    a, b = Sink(), Sink(rules={"DOT": b"554 5.6.0 not here\r\n"})
    proxy = Proxy(a.address, routes({"b.example": [b.address]}), listen="lmtp:127.0.0.1:0")
    client = Client(proxy, verb=b"LHLO")
    client.begin(b"<x@example.net>", b"<y@b.example>")
    replies = client.message_each(HAM, 2)
    assert replies[0].startswith(b"250") and replies[1].startswith(b"554 5.6.0 not here"), replies
    closed(client, proxy, a, b)


def a_hop_lost_meanwhile_is_tried_first():
    """Its connection went while the message came: whether it can be had anew shows before the other hop has a copy."""
    a, b = Sink(), Sink()
    proxy = Proxy(a.address, routes({"b.example": [b.address]}))
    client = Client(proxy)
    client.begin(b"<x@example.net>", b"<y@b.example>")
    b.close()
    assert client.message(HAM).startswith(b"451 4.4.1")
    assert not a.messages
    closed(client, proxy, a)


def forwards_go_by_their_own_domain():
    a, b = Sink(), Sink()
    proxy = Proxy(a.address, routes({"b.example": [b.address]}) +
                  [('recipients["x@example.net"].forward', "other@b.example"), ('recipients["x@example.net"].route', "forward")])
    client = Client(proxy)
    assert client.deliver(HAM, b"<x@example.net>").startswith(b"250")
    assert not a.messages and [m.recipients[0].strip() for m in b.messages] == [b"RCPT TO:<other@b.example>"]
    assert any(b"x@example.net" in line for line in a.lines), "its mailbox was not asked"
    closed(client, proxy, a, b)


def what_is_offered_is_what_all_have():
    a, b = Sink(["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 5000"]), Sink(["8BITMIME", "DSN", "SIZE 3000"])
    proxy = Proxy(a.address, routes({"b.example": [b.address]}))
    client = Client(proxy)
    assert b"8BITMIME" in client.extensions and b"SIZE 3000" in client.extensions, client.extensions
    assert b"SMTPUTF8" not in client.extensions and b"DSN" not in client.extensions
    closed(client, proxy, a, b)


# ---- failover ---------------------------------------------------------------------------------------------------


def goes_to_the_second(first, options=(), within=8):
    """`first` does not serve: the second server gets the message, once, the client 250."""
    b = Sink()
    proxy = Several([first if isinstance(first, str) else first.address, b.address], options)
    client = Client(proxy)
    begun = time.monotonic()
    reply = client.deliver(HAM)
    assert reply.startswith(b"250"), reply
    assert time.monotonic() - begun < within
    assert bodies(b) == [HAM]
    assert isinstance(first, str) or not getattr(first, "messages", [])
    client.close()
    log = proxy.stop()
    closed(b)
    if not isinstance(first, str):
        first.close()
    return log


def a_server_that_refuses_connections():
    log = goes_to_the_second(nobody())
    assert "hop-down" in log, log


def a_server_that_is_silent():
    log = goes_to_the_second(Silent(), [("proxy.hop_connect_timeout", "300ms")])
    assert "took too long to answer" in log, log


def a_server_that_says_421_or_554():
    goes_to_the_second(Sink(rules={"BANNER": b"421 4.3.2 too busy\r\n"}))
    goes_to_the_second(Sink(rules={"BANNER": b"554 5.3.2 no mail here\r\n"}))


def a_server_that_is_silent_after_its_greeting():
    def late(*_):
        time.sleep(3)
        return b""
    goes_to_the_second(Sink(rules={"EHLO": late}), [("proxy.hop_connect_timeout", "500ms")])


def a_server_that_dies_at(verb):
    log = goes_to_the_second(Sink(rules={verb: lambda *_: None}))
    assert "next-hop-failed" in log, log


def a_server_that_dies_before_the_message():
    for verb in ("EHLO", "MAIL", "RCPT", "DATA"):
        a_server_that_dies_at(verb)


def a_server_that_says_421_at_rcpt():
    goes_to_the_second(Sink(rules={"RCPT": b"421 4.3.2 closing\r\n"}))


def a_silent_server_at_rcpt():
    def never(*_):
        time.sleep(3)
        return None
    first, b = Sink(rules={"RCPT": never}), Sink()
    proxy = Several([first.address, b.address], [("proxy.hop_timeout", "600ms")])
    client = Client(proxy)
    client.expect(b"MAIL FROM:<s@example.org>", b"250")
    client.expect(b"RCPT TO:<x@example.net>", b"451 4.4.1")  # no time is left for the other
    client.expect(b"RCPT TO:<x@example.net>", b"250")  # which is known to be the better one now
    client.expect(b"DATA", b"354")
    assert client.message(HAM).startswith(b"250") and bodies(b) == [HAM]
    closed(client, proxy, first, b)


def a_server_lost_inside_the_message_is_replaced():
    """What lacks its final dot nobody has taken: it is sent again, to the next server."""
    class Hasty(Sink):
        def read_message(self, reader):
            reader.read(5000)
            self.cut()
            return None
    first, b = Hasty(receive_buffer=8192), Sink()
    proxy = Several([first.address, b.address])
    client = Client(proxy)
    big = HAM + b"".join(b"line %06d of a long message\r\n" % i for i in range(280000))
    assert client.deliver(big).startswith(b"250")
    assert bodies(b) == [big]
    log = proxy.stop()
    assert "next-hop-failed" in log
    closed(client, first, b)


def after_the_dot_nothing_is_repeated():
    """The first server has the message and goes without an answer: it may have taken it. 451, and the second has none."""
    for how in ("dies", "silent"):
        def end(sink, *_, how=how):
            if how == "silent":
                time.sleep(2)
            return None
        first, b = Sink(rules={"DOT": end}), Sink()
        proxy = Several([first.address, b.address], [("proxy.hop_final_timeout", "500ms")])
        client = Client(proxy)
        reply = client.deliver(HAM)
        assert reply.startswith(b"451 4.4.2"), (how, reply)
        assert not b.messages
        closed(client, proxy, first, b)


def a_refusal_is_no_failure():
    """What a server answers stands: another is not asked for a second opinion."""
    for verb, reply in (("RCPT", b"550 5.1.1 nobody\r\n"), ("RCPT", b"451 4.7.1 greylisted\r\n"), ("MAIL", b"550 5.7.1 no\r\n")):
        first, b = Sink(rules={verb: reply}), Sink()
        proxy = Several([first.address, b.address])
        client = Client(proxy)
        client.expect(b"MAIL FROM:<s@example.org>", b"250")
        client.expect(b"RCPT TO:<x@example.net>", reply[:9])
        assert not b.connections or not any(l.startswith(b"MAIL") for l in b.lines)
        closed(client, proxy, first, b)


def all_servers_are_dead():
    proxy = Several([nobody(), nobody()])
    client = Client(proxy)
    client.expect(b"MAIL FROM:<s@example.org>", b"250")
    client.expect(b"RCPT TO:<x@example.net>", b"451 4.4.1")
    closed(client, proxy)


def one_that_was_down_is_asked_last_and_comes_back():
    first = Sink(rules={"BANNER": b"421 4.3.2 busy\r\n"})
    b = Sink()
    proxy = Several([first.address, b.address], [("proxy.hop_retry", "1s"), ("proxy.pool", "0")])
    begun = first.connections
    client = Client(proxy)
    for _ in range(5):
        assert client.deliver(HAM).startswith(b"250")
    assert first.connections - begun == 1, "a server that is down was asked %d times" % (first.connections - begun)
    assert len(b.messages) == 5
    first.rules.clear()
    time.sleep(1.2)
    assert client.deliver(HAM).startswith(b"250")
    assert len(first.messages) == 1 and len(b.messages) == 5
    client.close()
    log = proxy.stop()
    assert log.count("hop-down") == 1 and log.count("hop-up") == 1, log
    closed(first, b)


def one_finds_out_for_all():
    """Half open: while one connection waits for a server that may be back, others go to the next at once."""
    def attempt():
        first, b = Silent(), Sink()
        proxy = Several([first.address, b.address], [("proxy.hop_retry", "300ms"), ("proxy.hop_connect_timeout", "1500ms"), ("proxy.pool", "0")])
        try:
            assert Client(proxy).deliver(HAM).startswith(b"250")  # it is down from now on
            time.sleep(0.7)
            probing = Client(proxy)
            probing.expect(b"MAIL FROM:<s@example.org>", b"250")
            probing.send(b"RCPT TO:<x@example.net>\r\n")
            time.sleep(0.1)
            for _ in range(4):
                client = Client(proxy)
                assert client.deliver(HAM).startswith(b"250")
                client.close()
            assert not select.select([probing.socket], [], [], 0)[0], "others waited too"
            assert probing.reply().startswith(b"250")
        finally:
            closed(proxy, first, b)

    tried(attempt)


def an_idle_connection_that_was_closed_is_replaced():
    a, b = Sink(), Sink()
    proxy = Several([a.address, b.address])
    client = Client(proxy)
    assert client.deliver(HAM).startswith(b"250")
    a.cut()
    assert client.deliver(HAM).startswith(b"250")
    assert len(a.messages) == 2 and not b.messages, (len(a.messages), len(b.messages))
    closed(client, proxy, a, b)


def a_server_is_tried_again_though_an_idle_connection_was_there():
    """It was down for a while; when its time comes an idle connection is there, which tells nothing of it."""
    def banner(sink, *_):
        return b"421 4.3.2 not now\r\n" if sink.connections == said[0] + 2 else b""

    a, b = Sink(rules={"BANNER": banner, "RCPT": lambda _s, _c, line: b"550 no\r\n" if b"<no@" in line else b""}), Sink()
    said = [1]  # of hop_probe()
    proxy = Several([a.address, b.address], [("proxy.hop_retry", "500ms"), ("proxy.pool_age", "60s"), ("proxy.threads", "1")])
    said[0] = a.connections
    first, second = Client(proxy), Client(proxy)
    first.expect(b"MAIL FROM:<s@example.org>", b"250")
    first.expect(b"RCPT TO:<x@example.net>", b"250")
    assert second.deliver(HAM).startswith(b"250") and len(b.messages) == 1  # a is down
    first.expect(b"RSET", b"250")  # and has an idle connection
    time.sleep(1)
    first.expect(b"MAIL FROM:<s@example.org>", b"250")
    first.expect(b"RCPT TO:<no@example.net>", b"550")
    first.expect(b"RSET", b"250")
    assert second.deliver(HAM).startswith(b"250")
    assert len(a.messages) == 1, "it is never tried again"
    closed(first, proxy, a, b)


def recipients_of_before_are_put_to_the_new_server():
    """The first server dies at the second RCPT: the one that takes its place has both recipients."""
    def second(sink, connection, line):
        return None if b"<two@" in line else b""
    first, b = Sink(rules={"RCPT": second}), Sink()
    proxy = Several([first.address, b.address])
    client = Client(proxy)
    assert client.deliver(HAM, b"<one@example.net>", b"<two@example.net>").startswith(b"250")
    assert [sorted(r[8:].strip() for r in m.recipients) for m in b.messages] == [[b"<one@example.net>", b"<two@example.net>"]]
    closed(client, proxy, first, b)


def a_client_that_leaves_before_354_harms_nobody():
    """A server that was told DATA, and then nothing, does not answer: that is not its fault."""
    def slow(*_):
        time.sleep(0.4)
        return b""

    a, b = Sink(rules={"DATA": slow}), Sink()
    proxy = Several([a.address, b.address], [("proxy.hop_timeout", "1s")])
    client = Client(proxy)
    client.begin(b"<x@example.net>")
    client.send(stuffed(HAM))
    time.sleep(0.2)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    time.sleep(2)
    log = proxy.stop()
    assert "hop-down" not in log, log
    assert not a.messages and not b.messages
    closed(a, b)


def an_lmtp_hop_in_parts():
    """LMTP: those that have their 250 are taken, those behind the end of the connection are not, and nothing is sent
    anew; the client that has a reply each is told each."""
    def each(sink, connection, line):
        return None if b"<two@" in line else b""
    with tempfile.TemporaryDirectory() as folder:
        first, b = Sink(lmtp=True, path=folder + "/a", rules={"EACH": each}), Sink(lmtp=True, path=folder + "/b")
        proxy = Proxy(None, DOMAINS + hops(first.address, b.address), listen="lmtp:127.0.0.1:0")
        client = Client(proxy, verb=b"LHLO")
        client.begin(b"<one@example.net>", b"<two@example.net>", b"<three@example.net>")
        replies = client.message_each(HAM, 3)
        assert [r[:9] for r in replies] == [b"250 2.0.0", b"451 4.4.2", b"451 4.4.2"], replies
        assert not b.messages
        closed(client, proxy, first, b)


def a_slow_answer_is_forgotten():
    """A server that was too slow for one message is up again when it has taken the next over a connection that was kept."""
    def slow(sink, connection, line):
        if sink.rules.pop("DOT", None):
            time.sleep(1.5)
        return b""
    first = Sink()
    proxy = Several([first.address], [("proxy.hop_final_timeout", "600ms")])
    kept, client = Client(proxy), Client(proxy)
    kept.begin()
    first.rules["DOT"] = slow
    assert client.deliver(HAM).startswith(b"451 4.4.2")
    assert kept.message(HAM).startswith(b"250")
    log = proxy.stop()
    assert log.count("hop-down") == 1 and log.count("hop-up") == 1, log
    closed(kept, client, first)


def a_reload_changes_the_hops():
    """New transactions go by the new policy's routes, an open one by its own; what was known of servers is forgotten."""
    a, b = Sink(), Sink()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        def write(*servers):
            f.seek(0)
            f.truncate()
            f.write('local_domains = [ "example.net" ];\nproxy = { next_hop = [ %s ]; };\n' % ", ".join('"%s"' % s for s in servers))
            f.flush()
        write(nobody(), a.address)
        proxy = Proxy(None, policy=f.name)
        old = Client(proxy)
        assert old.deliver(HAM).startswith(b"250")
        old.begin()
        write(b.address)
        proxy.signal(signal.SIGHUP)
        eventually("it is read anew", lambda: "event=reloaded" in proxy.log())
        new = Client(proxy)
        assert new.deliver(HAM).startswith(b"250") and len(b.messages) == 1
        assert old.message(HAM).startswith(b"250") and len(a.messages) == 2 and len(b.messages) == 1
        closed(old, new, proxy)
    closed(a, b)


def wrong_options_do_not_load():
    for options, word in ((routes({"b.example": ["nowhere"]}), "proxy.routes"), (routes({"b.example": []}) + [('proxy.routes["b.example"]', "")], "servers"),
                          (routes({"not a domain": ["127.0.0.1:1"]}), "domain"), (hops("127.0.0.1"), "proxy.next_hop")):
        try:
            Proxy(None if word == "proxy.next_hop" else "127.0.0.1:1", options).stop()
        except AssertionError as e:
            assert word in str(e), (word, e)
        else:
            raise AssertionError("it loads: %r" % options)


def a_policy_file_says_so_too():
    a, b = Sink(), Sink()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write('local_domains = [ "example.net", "b.example" ];\nhostnames = [ "mx.example.net" ];\n'
                'proxy = { next_hop = [ "%s", "%s" ];\n  routes = ( { domain = "b.example"; servers = [ "%s" ]; } ); };\n'
                % (nobody(), a.address, b.address))
        f.flush()
        proxy = Proxy(None, policy=f.name)
        client = Client(proxy)
        assert all(client.deliver(HAM, to).startswith(b"250") for to in (b"<x@example.net>", b"<y@b.example>"))
        assert bodies(a) == [HAM] and bodies(b) == [HAM]
        closed(client, proxy)
    closed(a, b)


def descriptors_stay():
    first, b = Sink(rules={"MAIL": lambda *_: None}), Sink()
    proxy = Several([first.address, b.address], [("proxy.hop_retry", "100ms"), ("proxy.pool", "0")])
    Client(proxy).deliver(HAM)
    before = proxy.descriptors()
    for _ in range(20):
        client = Client(proxy)
        assert client.deliver(HAM).startswith(b"250")
        client.close()
    eventually("connections are closed", lambda: proxy.descriptors() <= before + 1)
    closed(proxy, first, b)


CASES = [each_domain_has_its_hop, one_reply_speaks_for_one_hop, a_refusal_is_its_own_hops, a_dead_hop_is_its_own_domains,
         a_hop_that_fails_after_another_took_is_told, who_has_a_reply_each_is_told_each, a_hop_lost_meanwhile_is_tried_first,
         forwards_go_by_their_own_domain, what_is_offered_is_what_all_have, a_server_that_refuses_connections,
         a_server_that_is_silent, a_server_that_says_421_or_554, a_server_that_is_silent_after_its_greeting,
         a_server_that_dies_before_the_message, a_server_that_says_421_at_rcpt, a_silent_server_at_rcpt,
         a_server_lost_inside_the_message_is_replaced, after_the_dot_nothing_is_repeated, a_refusal_is_no_failure,
         all_servers_are_dead, one_that_was_down_is_asked_last_and_comes_back, one_finds_out_for_all,
         an_idle_connection_that_was_closed_is_replaced,
         a_server_is_tried_again_though_an_idle_connection_was_there, recipients_of_before_are_put_to_the_new_server,
         a_client_that_leaves_before_354_harms_nobody, an_lmtp_hop_in_parts, a_slow_answer_is_forgotten, a_reload_changes_the_hops, wrong_options_do_not_load, a_policy_file_says_so_too, descriptors_stay]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:], together=4))
