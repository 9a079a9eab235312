#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy between a client and a next hop: what passes, what is refused, and what becomes of mail when either side
fails. Runs in the build folder; words on the command line choose cases."""
import contextlib
import os
import shutil
import select
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import HAM, Client, Proxy, Sink, eventually, run, stuffed, tried, without_trace  # noqa: E402


@contextlib.contextmanager
def stage(sink=None, options=None, **rest):
    """A next hop and a proxy before it."""
    sink = sink or Sink()
    proxy = None
    try:
        proxy = Proxy(sink.address, options, **rest)
        yield sink, proxy
        proxy.stop()
    finally:
        sink.close()
        if proxy and proxy.process.poll() is None:
            proxy.process.kill()
            proxy.process.wait()


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def count(sink, verb):
    return sum(line.upper().startswith(verb) for line in sink.lines)


# ---- what passes ------------------------------------------------------------------------------------------------


def ham_passes_unchanged_with_the_hops_answer():
    with stage() as (sink, proxy):
        c = Client(proxy)
        check(c.banner.startswith(b"220 mx.example.net "), c.banner)
        check(c.deliver(HAM) == b"250 2.0.0 kept as 1\r\n", "not the hop's own answer")
        c.expect(b"QUIT", b"221")
        check(c.reply() == b"", "not closed after QUIT")
        m = sink.messages[0]
        check(without_trace(m.data) == HAM, m.data)
        head = m.data[:len(m.data) - len(HAM)]
        check(b"from client.example.org (unknown [127.0.0.1])" in head and b"with ESMTP id " in head and
              b"for <user@example.net>;" in head and b"by mx.example.net " in head, head)


def several_messages_share_a_session_and_a_hop_connection():
    with stage() as (sink, proxy):
        c = Client(proxy)
        for i in range(5):
            check(c.deliver(HAM + b"%d\r\n" % i).startswith(b"250"), "refused")
        d = Client(proxy)
        check(d.deliver(HAM).startswith(b"250"), "refused")
        check(len(sink.messages) == 6, "lost")
        check(sink.connections == 2, "%d connections, with the probe" % sink.connections)


def a_whole_session_in_one_packet():
    with stage() as (sink, proxy):
        c = Client(proxy)
        c.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<u@example.net>\r\nRCPT TO:<v@example.net>\r\nDATA\r\n")
        replies = [c.reply()[:3] for _ in range(4)]
        check(replies == [b"250", b"250", b"250", b"354"], replies)
        c.send(stuffed(HAM) + b"MAIL FROM:<b@example.org>\r\nRCPT TO:<w@example.net>\r\nNOOP\r\nRSET\r\nQUIT\r\n")
        replies = [c.reply()[:3] for _ in range(6)]
        check(replies == [b"250"] * 5 + [b"221"], replies)
        check(len(sink.messages) == 1 and len(sink.messages[0].recipients) == 2, "wrong delivery")


def one_byte_at_a_time():
    with stage() as (sink, proxy):
        c = Client(proxy)
        c.begin()
        for byte in stuffed(HAM):
            c.send(bytes([byte]))
        check(c.reply().startswith(b"250"), "refused")
        check(without_trace(sink.messages[0].data) == HAM, "changed")


def bdat_in_chunks():
    with stage() as (sink, proxy):
        c = Client(proxy)
        check(b"CHUNKING" in c.extensions, c.extensions)
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        c.expect(b"RCPT TO:<u@example.net>", b"250")
        for chunk in (HAM[:7], HAM[7:30], HAM[30:]):
            c.send(b"BDAT %d\r\n" % len(chunk) + chunk)
            check(c.reply().startswith(b"250"), "chunk refused")
        c.expect(b"BDAT 0 LAST", b"250")
        check(without_trace(sink.messages[0].data) == HAM, sink.messages[0].data)
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        c.expect(b"RCPT TO:<u@example.net>", b"250")
        c.send(b"BDAT %d LAST\r\n" % len(HAM) + HAM + b"NOOP\r\n")
        check([c.reply()[:3], c.reply()[:3]] == [b"250", b"250"], "BDAT LAST")
        check(without_trace(sink.messages[1].data) == HAM, "changed")


def a_big_message_goes_through_a_temporary_file():
    with stage(options={"proxy.spool_memory": "20000", "proxy.spool_directory": tempfile.gettempdir()}) as (sink, proxy):
        big = b"Subject: big\r\n\r\n" + b"".join(b".%d %s\r\n" % (i, b"x" * (i % 997)) for i in range(6000))
        before = proxy.descriptors()
        c = Client(proxy)
        check(c.deliver(big).startswith(b"250"), "refused")
        check(without_trace(sink.messages[0].data) == big, "changed")
        c.close()
        eventually("descriptors given back", lambda: proxy.descriptors() <= before + 1)  # one idle hop connection


def what_all_messages_hold_is_bounded():
    part = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 78 + b"\r\n") * 800
    with stage(options={"proxy.spool_total": "100000", "proxy.spool_memory": "20000"}) as (sink, proxy):
        first, second = Client(proxy), Client(proxy)
        first.begin()
        first.send(part)
        check(Client(proxy).deliver(b"Subject: small\r\n\r\nx\r\n").startswith(b"250"), "there was room")
        second.begin()
        time.sleep(0.2)
        check(second.message(part).startswith(b"452 4.3.1"), "more than all may hold")
        check(first.say(b".").startswith(b"250"), "the first was in nobody's way")
        check(second.deliver(part).startswith(b"250") and len(sink.messages) == 3, "no room again")


def parameters_reach_the_hop_as_far_as_it_knows_them():
    with stage(Sink(["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 5000"])) as (sink, proxy):
        c = Client(proxy)
        for word in (b"8BITMIME", b"SMTPUTF8", b"DSN", b"SIZE 5000\r\n"):
            check(word in c.extensions, c.extensions)
        c.deliver(HAM, b"<u@example.net> NOTIFY=NEVER", params=b" BODY=8BITMIME SIZE=100 RET=HDRS")
        m = sink.messages[0]
        check(b"BODY=8BITMIME" in m.sender and b"SIZE=100" in m.sender and b"RET=HDRS" in m.sender, m.sender)
        check(b"NOTIFY=NEVER" in m.recipients[0], m.recipients)
    with stage(Sink(["PIPELINING"]), {"limits.message": "2m"}) as (sink, proxy):
        c = Client(proxy)
        check(b"8BITMIME" not in c.extensions and b"SMTPUTF8" not in c.extensions and b"DSN" not in c.extensions, c.extensions)
        check(b"SIZE 2097152" in c.extensions, c.extensions)
        check(c.deliver(HAM, params=b" SIZE=100").startswith(b"250"), "refused")
        check(b"SIZE" not in sink.messages[0].sender, sink.messages[0].sender)


def an_extension_that_the_hop_lost_is_a_temporary_failure():
    with stage(options={"proxy.pool": "0"}) as (sink, proxy):
        c = Client(proxy)
        sink.extensions = ["PIPELINING"]
        c.expect(b"MAIL FROM:<a@example.org> BODY=8BITMIME", b"250")
        c.expect(b"RCPT TO:<u@example.net>", b"451 4.6.3")
        check(b"8BITMIME" not in Client(proxy).extensions, "still announced")


def a_hop_that_knows_only_helo():
    with stage(Sink(rules={"EHLO": b"502 5.5.1 what?\r\n"})) as (sink, proxy):
        check(Client(proxy).deliver(HAM).startswith(b"250"), "refused")
        check(without_trace(sink.messages[0].data) == HAM, "changed")


# ---- who the client is ----------------------------------------------------------------------------------------------


def xforward_is_used_when_offered():
    with stage(Sink(["PIPELINING", "XFORWARD NAME ADDR PORT PROTO HELO SOURCE"])) as (sink, proxy):
        check(Client(proxy, source="127.0.0.7").deliver(HAM).startswith(b"250"), "refused")
        line = sink.messages[0].identity[0]
        for word in (b"ADDR=127.0.0.7", b"NAME=[UNAVAILABLE]", b"HELO=client.example.org", b"PROTO=ESMTP", b"SOURCE=REMOTE"):
            check(word in line, line)


def xclient_is_preferred_and_renewed_for_each_client():
    with stage(Sink(["PIPELINING", "XFORWARD NAME ADDR", "XCLIENT NAME ADDR PROTO HELO"])) as (sink, proxy):
        for source in ("127.0.0.7", "127.0.0.8"):
            c = Client(proxy, source=source)
            check(c.deliver(HAM).startswith(b"250"), "refused")
            c.close()
            m = sink.messages[-1]
            check(m.identity[-1].startswith(b"XCLIENT ") and b"ADDR=%s " % source.encode() in m.identity[-1], m.identity)
            check(m.helo == b"EHLO client.example.org\r\n", m.helo)
        check(count(sink, b"XFORWARD") == 0, "both were used")


def a_hop_that_takes_xclient_once_serves_one_client():
    def once(sink, connection, line):
        sink.extensions = ["PIPELINING"]
        return b"220 sink.example ESMTP\r\n"

    with stage(Sink(["PIPELINING", "XCLIENT NAME ADDR PROTO HELO"], {"XCLIENT": once})) as (sink, proxy):
        for source in ("127.0.0.7", "127.0.0.8"):
            sink.extensions = ["PIPELINING", "XCLIENT NAME ADDR PROTO HELO"]
            check(Client(proxy, source=source).deliver(HAM).startswith(b"250"), "refused")
            m = sink.messages[-1]
            check(len(m.identity) == 1 and b"ADDR=%s " % source.encode() in m.identity[0], m.identity)


def a_hop_that_refuses_xclient_gets_no_mail():
    with stage(Sink(["XCLIENT NAME ADDR"], {"XCLIENT": b"550 5.7.0 not you\r\n"})) as (sink, proxy):
        c = Client(proxy)
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        check(c.say(b"RCPT TO:<u@example.net>") == b"550 5.7.0 not you\r\n", "not the hop's words")
        check(not sink.messages, "delivered")


# ---- what is refused ------------------------------------------------------------------------------------------------


def the_hops_unknown_recipient_is_refused_at_rcpt():
    rule = lambda sink, connection, line: b"550 5.1.1 nobody of that name\r\n" if b"<nobody@" in line else b""
    with stage(Sink(rules={"RCPT": rule})) as (sink, proxy):
        c = Client(proxy)
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        check(c.say(b"RCPT TO:<nobody@example.net>") == b"550 5.1.1 nobody of that name\r\n", "not the hop's words")
        c.expect(b"DATA", b"503", b"554")
        c.expect(b"RCPT TO:<user@example.net>", b"250")
        c.expect(b"DATA", b"354")
        check(c.message(HAM).startswith(b"250"), "refused")
        check(sink.messages[0].recipients == [b"RCPT TO:<user@example.net>\r\n"], sink.messages[0].recipients)


def the_policys_refusal_never_reaches_the_hop():
    with stage() as (sink, proxy):
        c = Client(proxy)
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        c.expect(b"RCPT TO:<a@elsewhere.example>", b"550 5.7.1", b"554 5.7.1")
        c.expect(b"QUIT", b"221")
        check(count(sink, b"MAIL") == 0 and sink.connections == 1, "the hop was bothered")


def the_hops_refusal_of_mail_is_told_at_rcpt():
    for extensions in (["PIPELINING"], []):
        with stage(Sink(extensions, {"MAIL": b"553 5.1.8 that sender?\r\n", "RCPT": b"503 5.5.1 no MAIL\r\n"})) as (sink, proxy):
            c = Client(proxy)
            c.expect(b"MAIL FROM:<a@example.org>", b"250")
            for _ in range(2):
                check(c.say(b"RCPT TO:<u@example.net>") == b"553 5.1.8 that sender?\r\n", "not the hop's words")
            c.expect(b"RSET", b"250")
            sink.rules = {}
            check(c.deliver(HAM).startswith(b"250"), "refused")


def the_hops_last_word_is_the_clients():
    for words in (b"554 5.6.0 I do not like it\r\n", b"452 4.3.1 full\r\n", b"550-5.7.1 two\r\n550 5.7.1 lines\r\n"):
        with stage(Sink(rules={"DOT": words})) as (sink, proxy):
            c = Client(proxy)
            check(c.deliver(HAM) == words, "changed")
            sink.rules = {}
            check(c.deliver(HAM).startswith(b"250"), "the session is not usable any more")
    with stage(Sink(rules={"DATA": b"451 4.3.0 not now\r\n"})) as (sink, proxy):
        check(Client(proxy).deliver(HAM) == b"451 4.3.0 not now\r\n", "changed")


def a_hop_cannot_inject_replies():
    with stage(Sink(rules={"DOT": b"250 2.0.0 a\x01b\xff\r\n"})) as (sink, proxy):
        check(Client(proxy).deliver(HAM) == b"250 2.0.0 a?b?\r\n", "passed on")


# ---- failing hops ---------------------------------------------------------------------------------------------------


def a_hop_that_is_down():
    sink = Sink()
    sink.close()
    with stage(sink) as (_, proxy):
        c = Client(proxy)
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        c.expect(b"RCPT TO:<u@example.net>", b"451 4.4.1")
        back = Sink(port=sink.port)
        c.expect(b"RCPT TO:<u@example.net>", b"250")
        c.expect(b"DATA", b"354")
        check(c.message(HAM).startswith(b"250"), "refused")
        check(without_trace(back.messages[0].data) == HAM, "changed")
        back.close()


def a_hop_that_greets_with_a_refusal():
    with stage(Sink(rules={"BANNER": b"421 4.3.2 closed\r\n"})) as (sink, proxy):
        c = Client(proxy)
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        c.expect(b"RCPT TO:<u@example.net>", b"451 4.4.1")


def a_hop_that_dies_leaves_the_message_with_the_client():
    for stage_of_death in ("RCPT", "DATA", "DOT"):
        with stage(Sink(rules={stage_of_death: lambda *a: None})) as (sink, proxy):
            c = Client(proxy)
            c.expect(b"MAIL FROM:<a@example.org>", b"250")
            if stage_of_death == "RCPT":
                c.expect(b"RCPT TO:<u@example.net>", b"451 4.4.")
            else:
                c.expect(b"RCPT TO:<u@example.net>", b"250")
                c.expect(b"DATA", b"354")
                reply = c.message(HAM)
                check(reply.startswith(b"451 4.4."), reply)
            check(not sink.messages, "delivered")
            sink.rules = {}
            c.expect(b"RSET", b"250")
            check(c.deliver(HAM).startswith(b"250"), "no way back")


def a_hop_that_leaves_while_the_client_writes():
    with stage() as (sink, proxy):
        c = Client(proxy)
        c.begin(b"<u@example.net>", b"<v@example.net>")
        c.send(stuffed(HAM)[:-3])
        sink.cut()
        time.sleep(0.2)
        check(c.say(b".").startswith(b"250"), "the message was here, and could have been sent again")
        m = sink.messages[0]
        check(without_trace(m.data) == HAM and len(m.recipients) == 2, m.recipients)


def an_idle_hop_connection_that_died():
    with stage() as (sink, proxy):
        check(Client(proxy).deliver(HAM).startswith(b"250"), "refused")
        sink.rules = {"MAIL": lambda s, c, l: None if s.connections == 2 else b""}
        check(Client(proxy).deliver(HAM).startswith(b"250"), "the client was told of it")
        check(len(sink.messages) == 2 and sink.connections == 3, sink.connections)


def a_hop_that_says_nothing():
    told = threading.Event()
    with stage(Sink(rules={"RCPT": lambda *a: told.wait(60) and b""}), {"proxy.hop_timeout": "1s"}) as (sink, proxy):
        c = Client(proxy)
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        c.expect(b"RCPT TO:<u@example.net>", b"451 4.4.")
        told.set()


def a_hop_that_reads_slowly():
    sink = Sink(receive_buffer=4096)
    sink.slow = 0.0005
    with stage(sink) as (sink, proxy):
        big = b"Subject: big\r\n\r\n" + b"".join(b"%d %s\r\n" % (i, b"y" * 700) for i in range(2000))
        check(Client(proxy).deliver(big).startswith(b"250"), "refused")
        check(without_trace(sink.messages[0].data) == big, "changed")


# ---- clients --------------------------------------------------------------------------------------------------------


def a_client_that_leaves_at_any_moment():
    steps = [b"EHLO client.example.org\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<u@example.net>\r\n", b"DATA\r\n",
             stuffed(HAM)[:20], stuffed(HAM)[20:], b"QUIT\r\n"]
    with stage() as (sink, proxy):
        Client(proxy).close()
        eventually("closed", lambda: proxy.descriptors() > 0)
        base = proxy.descriptors()
        for hard in (False, True):
            for n in range(len(steps) + 1):
                c = Client(proxy, hello=False)
                for i, step in enumerate(steps[:n]):
                    c.send(step)
                    if i != 4:
                        c.reply()
                if hard:
                    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                c.close()
        check(Client(proxy).deliver(HAM).startswith(b"250"), "not usable any more")
        eventually("descriptors given back", lambda: proxy.descriptors() <= base + 10, 10)  # idle hop connections
        check(all(without_trace(m.data) == HAM for m in sink.messages), "a part was delivered")


def a_client_that_shuts_down_its_side():
    with stage() as (sink, proxy):
        c = Client(proxy)
        base = proxy.descriptors()
        c.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<u@example.net>\r\nDATA\r\n" + stuffed(HAM))
        c.socket.shutdown(socket.SHUT_WR)
        check([c.reply()[:3] for _ in range(4)] == [b"250", b"250", b"354", b"250"], "replies")
        check(c.reply() == b"", "not closed")
        check(len(sink.messages) == 1, "not delivered")
        for _ in range(20):
            Client(proxy).socket.shutdown(socket.SHUT_WR)
        eventually("half-closed connections are closed", lambda: proxy.descriptors() <= base + 1)


def a_client_that_does_not_read():
    with stage(options={"limits.commands": "100000"}) as (sink, proxy):
        c = Client(proxy, receive_buffer=4096)
        n = 60000
        writer = threading.Thread(target=c.send, args=(b"NOOP\r\n" * n,), daemon=True)
        writer.start()
        time.sleep(0.5)
        check(Client(proxy).deliver(HAM).startswith(b"250"), "others wait for it")
        for _ in range(n):
            check(c.reply().startswith(b"250"), "NOOP")
        writer.join(10)


def a_slow_client_is_timed_out():
    with stage(options={"proxy.idle_timeout": "1s", "proxy.command_timeout": "1s", "proxy.data_timeout": "1s"}) as (sink, proxy):
        silent, half, inside = Client(proxy), Client(proxy), Client(proxy)
        inside.begin()
        inside.send(b"Subject: x\r\n")
        for _ in range(4):
            half.send(b"N")
            time.sleep(0.4)
        for c in (silent, half, inside):
            check(c.reply().startswith(b"421 4.4.2"), "not told")
            check(c.reply() == b"", "not closed")


def an_early_talker_is_noticed():
    options = {"delay.connect": "500ms", "early_talk.refuse": "true"}
    with stage(options=options) as (sink, proxy):
        c = Client(proxy, banner=False)
        c.send(b"EHLO client.example.org\r\n")
        c.reply()
        c.reply()
        c.expect(b"MAIL FROM:<a@example.org>", b"250")
        c.expect(b"RCPT TO:<u@example.net>", b"5")
        patient = Client(proxy)
        check(patient.deliver(HAM).startswith(b"250"), "who waited was refused")


def a_delay_holds_one_session_only():
    def attempt():
        with stage(options={"delay.rcpt": "1s", "own_networks": "127.0.0.9"}) as (sink, proxy):
            slow, quick = Client(proxy), Client(proxy, source="127.0.0.9")
            slow.expect(b"MAIL FROM:<a@example.org>", b"250")
            begun = time.monotonic()
            slow.send(b"RCPT TO:<u@example.net>\r\n")
            check(quick.deliver(HAM).startswith(b"250") and not select.select([slow.socket], [], [], 0)[0], "the quick one waited")
            check(slow.reply().startswith(b"250") and time.monotonic() - begun >= 0.9, "no delay")

    tried(attempt)


def connections_are_limited():
    with stage(options={"proxy.connections_per_client": "2", "proxy.connections": "4"}) as (sink, proxy):
        first, second = Client(proxy), Client(proxy)
        third = Client(proxy, hello=False)
        check(third.banner.startswith(b"421 4.7.0") and third.reply() == b"", third.banner)
        others = [Client(proxy, source="127.0.0.2"), Client(proxy, source="127.0.0.3")]
        check(Client(proxy, source="127.0.0.4", hello=False).banner.startswith(b"421 4.7.0"), "one too many")
        first.close()
        eventually("room again", lambda: Client(proxy, hello=False).banner.startswith(b"220"))
        del second, others


# ---- quarantine, marks ----------------------------------------------------------------------------------------------

QUARANTINING = [('addrlists["bad"].entries', "127.0.0.9"), ('addrlists["bad"].score', "7"), ('profiles["default"].quarantine', "6"),
                ('profiles["lenient"].quarantine', "off"), ('profiles["lenient"].tag', "off"),
                ('recipients["kind@example.net"].profile', "lenient")]


def quarantine_keeps_a_copy_before_the_answer():
    with tempfile.TemporaryDirectory() as folder:
        where = os.path.join(folder, "spam")
        with stage(options=QUARANTINING + [("quarantine.directory", where)]) as (sink, proxy):
            c = Client(proxy, source="127.0.0.9")
            check(c.deliver(HAM).startswith(b"250"), "refused")
            names = os.listdir(os.path.join(where, "new"))
            check(len(names) == 1 and not os.listdir(os.path.join(where, "tmp")), names)
            with open(os.path.join(where, "new", names[0]), "rb") as f:
                kept = f.read()
            check(kept.endswith(HAM), "changed")
            for word in (b"X-Quarantine-Sender: <sender@example.org>\r\n", b"X-Quarantine-Recipient: <user@example.net>\r\n",
                         b"X-Quarantine-Reason: ", b"X-Quarantine-Client: 127.0.0.9\r\n"):
                check(word in kept, kept)
            check(not sink.messages and count(sink, b"DATA") == 0, "delivered as well")
            check(Client(proxy).deliver(HAM).startswith(b"250") and len(sink.messages) == 1, "ham was not delivered")


def a_mixed_message_is_delivered_and_kept():
    with tempfile.TemporaryDirectory() as where:
        with stage(options=QUARANTINING + [("quarantine.directory", where)]) as (sink, proxy):
            c = Client(proxy, source="127.0.0.9")
            c.begin(b"<user@example.net>", b"<kind@example.net>")
            check(c.message(HAM).startswith(b"250"), "refused")
            check([m.recipients for m in sink.messages] == [[b"RCPT TO:<kind@example.net>\r\n"]], "wrong delivery")
            check(len(os.listdir(os.path.join(where, "new"))) == 1, "no copy")
            sink.rules = {"DOT": b"451 4.3.0 not now\r\n"}
            c.begin(b"<user@example.net>", b"<kind@example.net>")
            check(c.message(HAM).startswith(b"451"), "taken")
            check(len(os.listdir(os.path.join(where, "new"))) == 1, "a copy of what the client still has")


def quarantine_can_be_an_address():
    with stage(options=QUARANTINING + [("quarantine.redirect", "spam@example.net")]) as (sink, proxy):
        c = Client(proxy, source="127.0.0.9")
        c.begin(b"<user@example.net>", b"<kind@example.net>")
        check(c.message(HAM).startswith(b"250"), "refused")
        check([m.recipients for m in sink.messages] == [[b"RCPT TO:<spam@example.net>\r\n"], [b"RCPT TO:<kind@example.net>\r\n"]],
              [m.recipients for m in sink.messages])
        check(b"X-Quarantine-Recipient: <user@example.net>" in sink.messages[0].data, "no envelope")
        check(b"X-Quarantine" not in sink.messages[1].data, "told to others")
        sink.rules = {"RCPT": lambda s, c, l: b"550 5.1.1 full\r\n" if b"spam@" in l else b""}
        check(c.deliver(HAM).startswith(b"451"), "a failing quarantine is ours, not the client's")


def a_full_quarantine_takes_nothing():
    if os.geteuid() == 0 and not os.path.exists("/dev/full"):
        return
    with tempfile.TemporaryDirectory() as folder:
        with stage(options=QUARANTINING + [("quarantine.directory", folder)]) as (sink, proxy):
            shutil.rmtree(os.path.join(folder, "tmp"))
            check(Client(proxy, source="127.0.0.9").deliver(HAM).startswith(b"4"), "taken and lost")


def a_policy_that_quarantines_nowhere_does_not_load():
    try:
        Proxy(1, QUARANTINING)
    except AssertionError as error:
        check("quarantine.directory" in str(error), error)
    else:
        raise AssertionError("it started")


def a_mark_is_ours_alone():
    options = [('addrlists["bad"].entries', "127.0.0.9"), ('addrlists["bad"].score', "6")]
    forged = b"X-Smtpfilter: clean\r\nSubject: x\r\nX-SMTPFILTER: clean\r\n too\r\nTo: y\r\n\r\nX-Smtpfilter: body\r\n"
    with stage(options=options) as (sink, proxy):
        check(Client(proxy, source="127.0.0.9").deliver(forged).startswith(b"250"), "refused")
        data = without_trace(sink.messages[0].data)
        check(data.startswith(b"X-Smtpfilter: tagged; score=6"), data)
        check(data.endswith(b"\r\nSubject: x\r\nTo: y\r\n\r\nX-Smtpfilter: body\r\n") and data.count(b"clean") == 0, data)


CASES = [value for name, value in list(globals().items())
         if callable(value) and getattr(value, "__module__", "") == "__main__" and name not in ("stage", "check", "count")]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:], together=4))
