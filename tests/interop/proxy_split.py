#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy where the recipients of one message wish different things: one transaction with the next hop for each kind
of copy, a reply for each recipient (LMTP, PRDR) on either side, forwards, and what later delivery status notifications
may say. Runs in the build folder; words on the command line choose cases."""
import os
import re
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_basic import QUARANTINING, check, count, stage  # noqa: E402
from proxy_harness import HAM, Client, Proxy, Sink, eventually, run, stuffed, without_trace  # noqa: E402

BAD = "127.0.0.9"  # a client with a score of 7
OWN = "127.0.0.10"  # one of ours
WISHES = [('addrlists["bad"].entries', BAD), ('addrlists["bad"].score', "7"),
          ('profiles["default"].reject', "off"), ('profiles["default"].tag', "off"), ('profiles["default"].quarantine', "off"),
          ('profiles["tags"].inherit', "default"), ('profiles["tags"].tag', "5"),
          ('profiles["rejects"].inherit', "default"), ('profiles["rejects"].reject', "6"),
          ('profiles["discards"].inherit', "default"), ('profiles["discards"].discard', "6"),
          ('profiles["away"].inherit', "default"), ('profiles["away"].route', "forward"),
          ('profiles["away"].forward', "me@elsewhere.example"), ('profiles["away"].forward_sender', "away+fwd@example.net"),
          ('profiles["nonspam"].inherit', "tags"), ('profiles["nonspam"].route', "forward-nonspam"),
          ('profiles["nonspam"].forward', "ham@elsewhere.example")]
WISHES += [('recipients["%s@example.net"].profile' % name, name) for name in ("tags", "rejects", "discards", "away", "nonspam")]


def to(*names):
    return [b"<%s@example.net>" % n.encode() for n in names]


def paths(message):
    return [line.split(b":", 1)[1].split()[0].decode() for line in message.recipients]


def table(sink):
    """Of each message: envelope sender, recipients, whether it is marked."""
    return [(m.sender.split(b":", 1)[1].split()[0].decode(), paths(m), b"X-Smtpfilter: tagged" in m.data) for m in sink.messages]


# ---- one transaction for each kind of copy ------------------------------------------------------------------------


def one_kind_is_one_transaction():
    with stage(options=WISHES) as (sink, proxy):
        check(Client(proxy).deliver(HAM, *to("a", "b", "tags")).startswith(b"250 2.0.0 kept"), "refused")
        check(table(sink) == [("<sender@example.org>", ["<a@example.net>", "<b@example.net>", "<tags@example.net>"], False)],
              table(sink))
        check(count(sink, b"RSET") == 0 and count(sink, b"MAIL") == 1, sink.lines)


def a_mark_is_on_the_copy_of_who_wants_it():
    with stage(options=WISHES) as (sink, proxy):
        check(Client(proxy, source=BAD).deliver(HAM, *to("a", "tags", "b")).startswith(b"250"), "refused")
        check(table(sink) == [("<sender@example.org>", ["<a@example.net>", "<b@example.net>"], False),
                              ("<sender@example.org>", ["<tags@example.net>"], True)], table(sink))
        check(all(without_trace(m.data).endswith(HAM) for m in sink.messages), "changed")
        check(b"for <tags@example.net>" in sink.messages[1].data and b"\tfor <" not in sink.messages[0].data, "trace")


def without_split_all_share_one_transaction():
    with stage(options=WISHES + [("proxy.split", "false"), ("proxy.prdr", "false")]) as (sink, proxy):
        c = Client(proxy, source=BAD)
        c.expect(b"MAIL FROM:<sender@example.org>", b"250")
        taken = [r for r in to("a", "tags", "b") if c.say(b"RCPT TO:" + r).startswith(b"250")]
        c.expect(b"DATA", b"354")
        check(c.message(HAM).startswith(b"250"), "refused")
        check(len(sink.messages) == 1 and len(sink.messages[0].recipients) == len(taken), table(sink))


def a_forward_goes_elsewhere_with_its_own_sender():
    with stage(options=WISHES) as (sink, proxy):
        check(Client(proxy).deliver(HAM, *to("a", "away")).startswith(b"250"), "refused")
        check(table(sink) == [("<away+fwd@example.net>", ["<me@elsewhere.example>"], False),
                              ("<sender@example.org>", ["<a@example.net>"], False)], table(sink))
        check(b"elsewhere.example" not in sink.messages[0].data, "the address is told in the message")


def own_mail_leaves_with_a_signed_sender_for_who_wishes_it():
    options = WISHES + [("own_networks", "127.0.0.1/32"), ("batv.keys", "a key of sixteen bytes"), ('recipients["a@example.net"].batv', "true")]
    with stage(options=options) as (sink, proxy):
        for sender in (b"<a@example.net>", b"<b@example.net>"):
            check(Client(proxy).deliver(HAM, b"<friend@example.org>", sender=sender).startswith(b"250"), "refused")
        senders = [row[0] for row in table(sink)]
        check(re.fullmatch("<prvs=[0-9a-f]{10}=a@example.net>", senders[0]) and senders[1] == "<b@example.net>", senders)
        # the bounce comes to that address, and is for the mailbox behind it
        bounce = Client(proxy).deliver(HAM, senders[0].encode(), sender=b"<>")
        check(bounce.startswith(b"250") and table(sink)[2][:2] == ("<>", ["<a@example.net>"]), (bounce, table(sink)))


def forward_nonspam_keeps_spam_here():
    with stage(options=WISHES) as (sink, proxy):
        check(Client(proxy).deliver(HAM, *to("nonspam")).startswith(b"250"), "refused")
        check(Client(proxy, source=BAD).deliver(HAM, *to("nonspam")).startswith(b"250"), "refused")
        check([paths(m) for m in sink.messages] == [["<ham@elsewhere.example>"], ["<nonspam@example.net>"]], table(sink))


def what_is_discarded_by_consent_is_dropped_and_told():
    with stage(options=WISHES) as (sink, proxy):
        check(Client(proxy, source=BAD).deliver(HAM, *to("discards")).startswith(b"250"), "refused")
        check(not sink.messages and count(sink, b"DATA") == 0, "delivered")
        eventually("log", lambda: "=discarded" in proxy.log())
        check(Client(proxy, source=BAD).deliver(HAM, *to("a", "discards")).startswith(b"250"), "refused")
        check([paths(m) for m in sink.messages] == [["<a@example.net>"]], table(sink))


def several_kinds_on_one_connection():
    for extensions in (["PIPELINING"], []):
        with stage(Sink(extensions), options=WISHES) as (sink, proxy):
            for _ in range(3):
                check(Client(proxy).deliver(HAM, *to("a", "away", "nonspam", "b")).startswith(b"250"), "refused")
            check(len(sink.messages) == 9 and sink.connections == 2, "%d connections, with the probe" % sink.connections)
            check([paths(m) for m in sink.messages[:3]] ==
                  [["<me@elsewhere.example>"], ["<ham@elsewhere.example>"], ["<a@example.net>", "<b@example.net>"]], table(sink))


def many_recipients_of_one_kind_are_put_again_in_portions():
    names = ["u%d" % i for i in range(40)]
    with stage(options=WISHES) as (sink, proxy):
        check(Client(proxy, source=BAD).deliver(HAM, *to(*names, "tags")).startswith(b"250"), "refused")
        check(len(sink.messages[0].recipients) == 40 and paths(sink.messages[1]) == ["<tags@example.net>"], table(sink))


# ---- refused forwards --------------------------------------------------------------------------------------------------


def a_forward_that_is_refused_is_refused_at_rcpt():
    rule = lambda s, c, line: b"550 5.1.1 <me@elsewhere.example> who?\r\n" if b"<me@" in line else b""
    with stage(Sink(rules={"RCPT": rule}), options=WISHES) as (sink, proxy):
        c = Client(proxy)
        c.expect(b"MAIL FROM:<sender@example.org>", b"250")
        reply = c.say(b"RCPT TO:<away@example.net>")
        check(reply.startswith(b"550 5.2.1") and b"elsewhere" not in reply, reply)
        c.expect(b"RCPT TO:<a@example.net>", b"250")
        c.expect(b"DATA", b"354")
        check(c.message(HAM).startswith(b"250"), "refused")
        check([paths(m) for m in sink.messages] == [["<a@example.net>"]], "the refused one got a copy: %r" % table(sink))


def a_forward_that_is_refused_after_the_message():
    with stage(Sink(rules={"DOT": refuse_forwards(b"554 5.7.1 <me@elsewhere.example> no\r\n")}), options=WISHES) as (sink, proxy):
        reply = Client(proxy).deliver(HAM, *to("away"))
        check(reply.startswith(b"554 5.") and b"elsewhere" not in reply, reply)


# ---- groups whose answers differ -----------------------------------------------------------------------------------------


def refuse_forwards(code):
    def rule(sink, connection, line):
        mails = [l for l in sink.lines if l.startswith(b"MAIL ")]
        return code if mails[-1].startswith(b"MAIL FROM:<away") else b""
    return rule


def one_reply_and_a_failure_sends_nothing_more():
    with stage(Sink(rules={"DOT": refuse_forwards(b"452 4.3.1 full\r\n")}), options=WISHES) as (sink, proxy):
        c = Client(proxy)
        check(c.deliver(HAM, *to("a", "away")).startswith(b"45"), "taken")
        check(not sink.messages, "what the client will send again was delivered: %r" % table(sink))
        sink.rules = {}
        check(c.deliver(HAM, *to("a", "away")).startswith(b"250") and len(sink.messages) == 2, "no way back")


def one_reply_and_a_refusal_is_told_and_the_others_get_theirs():
    with stage(Sink(rules={"DOT": refuse_forwards(b"554 5.7.1 no\r\n")}), options=WISHES) as (sink, proxy):
        check(Client(proxy).deliver(HAM, *to("a", "away")).startswith(b"554"), "taken")
        check([paths(m) for m in sink.messages] == [["<a@example.net>"]], table(sink))
        eventually("log", lambda: "copies=" in proxy.log())
        check("<away@example.net>-><me@elsewhere.example>=refused:554#" in proxy.log() and
              "<a@example.net>=ok:250#" in proxy.log(), proxy.log())


def with_a_reply_each_everyone_has_their_own():
    for words, expected in ((b"452 4.3.1 full\r\n", b"4"), (b"554 5.7.1 no\r\n", b"5")):
        with stage(Sink(rules={"DOT": refuse_forwards(words)}), options=WISHES) as (sink, proxy):
            c = Client(proxy)
            check(b"PRDR" in c.extensions, c.extensions)
            c.begin(*to("a", "away", "b"), params=b" PRDR")
            replies = c.message_each(HAM, 3, prdr=True)
            check([r[:1] for r in replies] == [b"3", b"2", expected, b"2", b"2"] and replies[0].startswith(b"353"), replies)
            check([paths(m) for m in sink.messages] == [["<a@example.net>", "<b@example.net>"]], table(sink))


def a_hop_that_dies_between_two_transactions():
    # The first is durable, the second is not: what was taken is not lost, what was not is the client's.

    def dies(sink, connection, line):
        return None if sink.messages else b""

    with stage(Sink(rules={"MAIL": dies}), options=WISHES) as (sink, proxy):
        c = Client(proxy)
        c.begin(*to("a", "away"), params=b" PRDR")
        replies = c.message_each(HAM, 2, prdr=True)
        check([r[:1] for r in replies] == [b"3", b"4", b"2", b"2"], replies)
        check([paths(m) for m in sink.messages] == [["<me@elsewhere.example>"]], table(sink))
    with stage(Sink(rules={"MAIL": dies}), options=WISHES) as (sink, proxy):
        check(Client(proxy).deliver(HAM, *to("a", "away")).startswith(b"451"), "one reply serves all")


def what_was_durable_is_not_sent_again():
    # One reply serves all: the client comes again with everybody, and lost_ack knows whose copy was taken.
    def rule(sink, connection, line):
        return b"451 4.3.0 not now\r\n" if sink.messages and len(sink.messages) == 1 else b""

    with stage(Sink(rules={"DOT": rule}), options=WISHES + [("lost_ack.enable", "true")]) as (sink, proxy):
        c = Client(proxy)
        check(c.deliver(HAM, *to("a", "away", "b")).startswith(b"451"), "taken")
        check([paths(m) for m in sink.messages] == [["<me@elsewhere.example>"]], table(sink))
        sink.rules = {}
        check(c.deliver(HAM, *to("a", "away", "b")).startswith(b"250"), "no way back")
        check([paths(m) for m in sink.messages[1:]] == [["<a@example.net>", "<b@example.net>"]], table(sink))
        check(c.deliver(HAM, *to("a", "away", "b")).startswith(b"250") and len(sink.messages) == 2, "all known: %r" % table(sink))


def a_client_that_leaves_during_delivery_does_not_stop_it():
    # A copy may be durable already: the rest goes on, and is remembered.
    def slow(sink, connection, line):
        time.sleep(0.3)
        return b""

    with stage(Sink(rules={"DOT": slow}), options=WISHES + [("lost_ack.enable", "true")]) as (sink, proxy):
        c = Client(proxy)
        c.begin(*to("a", "away"))
        c.send(stuffed(HAM))
        eventually("the first is on its way", lambda: count(sink, b"DATA") == 1)
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()
        eventually("both are sent", lambda: len(sink.messages) == 2)
        sink.rules = {}
        check(Client(proxy).deliver(HAM, *to("a", "away")).startswith(b"250") and len(sink.messages) == 2, table(sink))


def a_hop_that_closes_after_each_message():
    with stage(options=WISHES) as (sink, proxy):
        sink.rules = {"MAIL": lambda s, c, l: None if c in s.served else b"",
                      "DOT": lambda s, c, l: s.served.add(c) or b""}
        sink.served = set()
        check(Client(proxy).deliver(HAM, *to("a", "away")).startswith(b"250"), "not sent over another connection")
        check(len(sink.messages) == 2, table(sink))


# ---- LMTP ----------------------------------------------------------------------------------------------------------------


def lmtp_clients_have_a_reply_each():
    with stage(options=WISHES, listen="lmtp:127.0.0.1:0") as (sink, proxy):
        c = Client(proxy, source=BAD, verb=b"LHLO")
        check(c.extensions.startswith(b"250") and b"PRDR" not in c.extensions, c.extensions)
        c.expect(b"EHLO x.example", b"5")
        c.expect(b"MAIL FROM:<sender@example.org>", b"250")
        for name in to("a", "tags", "discards", "away"):
            c.expect(b"RCPT TO:" + name, b"250")
        c.expect(b"RCPT TO:<rejects@example.net>", b"550")
        c.expect(b"DATA", b"354")
        replies = c.message_each(HAM, 4)
        check([r[:3] for r in replies] == [b"250"] * 4, replies)
        check(table(sink) == [("<away+fwd@example.net>", ["<me@elsewhere.example>"], False),
                              ("<sender@example.org>", ["<a@example.net>"], False),
                              ("<sender@example.org>", ["<tags@example.net>"], True)], table(sink))
        check(b"with LMTP id" in sink.messages[0].data, sink.messages[0].data)
        c.expect(b"QUIT", b"221")


def lmtp_with_more_recipients_than_one_buffer_has_room_for():
    words = b"451 4.2.2 " + b"x" * 480 + b"\r\n"
    with stage(Sink(rules={"DOT": words}), options=[("limits.recipients", "300")], listen="lmtp:127.0.0.1:0") as (sink, proxy):
        c = Client(proxy, verb=b"LHLO")
        c.begin(*to(*("u%d" % i for i in range(200))))
        replies = c.message_each(HAM, 200)
        check(all(r.startswith(b"451") for r in replies), replies[0])
        c.expect(b"NOOP", b"250")


def an_lmtp_hop_decides_for_each():
    def each(sink, connection, line):
        return {b"f": b"452 4.2.2 over quota\r\n", b"g": b"550 5.7.1 no\r\n"}.get(line[9:10], b"")

    sink = Sink(lmtp=True, rules={"EACH": each})
    with stage(sink, options=WISHES, listen="lmtp:127.0.0.1:0") as (sink, proxy):
        c = Client(proxy, verb=b"LHLO")
        c.begin(*to("a", "full", "b", "grumpy"))
        replies = c.message_each(HAM, 4)
        check(replies[1:] == [b"452 4.2.2 over quota\r\n", b"250 2.0.0 kept\r\n", b"550 5.7.1 no\r\n"], replies)
        check(paths(sink.messages[0]) == ["<a@example.net>", "<b@example.net>"], table(sink))
        c.begin(*to("a"))
        check(c.message_each(HAM, 1)[0].startswith(b"250"), "not usable any more")
    sink = Sink(lmtp=True, rules={"EACH": each})
    with stage(sink, options=WISHES) as (sink, proxy):
        check(Client(proxy).deliver(HAM, *to("a", "full")).startswith(b"45"), "one reply serves all: some failed")
        check(Client(proxy).deliver(HAM, *to("a", "grumpy")).startswith(b"55"), "one reply serves all: some refused")
        check(Client(proxy).deliver(HAM, *to("a", "b")).startswith(b"250"), "refused")


def an_lmtp_hop_that_dies_between_its_replies():
    sink = Sink(lmtp=True, rules={"EACH": lambda s, c, line: None if b"<b@" in line else b""})
    with stage(sink, listen="lmtp:127.0.0.1:0") as (sink, proxy):
        c = Client(proxy, verb=b"LHLO")
        c.begin(*to("a", "b", "c"))
        check([r[:1] for r in c.message_each(HAM, 3)] == [b"2", b"4", b"4"], "what was not answered was not taken")


def unix_sockets_on_both_sides():
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = os.path.join(folder, "proxy"), os.path.join(folder, "hop")
        with stage(Sink(lmtp=True, path=theirs), listen="lmtp:unix:" + ours) as (sink, proxy):
            c = Client(proxy, verb=b"LHLO")
            c.begin(*to("a", "b"))
            check([r[:3] for r in c.message_each(HAM, 2)] == [b"250", b"250"], "refused")
            check(b"(local)" in sink.messages[0].data and without_trace(sink.messages[0].data) == HAM, sink.messages[0].data)
            left = socket.socket(socket.AF_UNIX)
            left.connect(ours)
            left.close()
        check(not os.path.exists(ours), "left behind")


# ---- PRDR ------------------------------------------------------------------------------------------------------------------


def prdr_is_offered_by_option():
    with stage(options={"proxy.prdr": "false"}) as (sink, proxy):
        c = Client(proxy)
        check(b"PRDR" not in c.extensions, c.extensions)
        c.expect(b"MAIL FROM:<a@example.org> PRDR", b"555", b"501")


def a_prdr_hop_decides_for_each():
    each = lambda s, c, line: b"550 5.7.1 no\r\n" if b"<grumpy@" in line else b""
    with stage(Sink(["PIPELINING", "PRDR"], {"EACH": each}), options=WISHES) as (sink, proxy):
        c = Client(proxy)
        c.begin(*to("a", "grumpy", "b"), params=b" PRDR")
        replies = c.message_each(HAM, 3, prdr=True)
        check([r[:1] for r in replies] == [b"3", b"2", b"5", b"2", b"2"], replies)
        check(paths(sink.messages[0]) == ["<a@example.net>", "<b@example.net>"], table(sink))
        check(c.deliver(HAM, *to("a", "grumpy")).startswith(b"250"), "one reply was asked for")
        check(b"PRDR" not in sink.messages[1].sender, sink.messages[1].sender)


def a_final_250_behind_refusals_means_nothing():
    # Exim may end so. Nobody's copy was taken.
    for final in (b"", b"250 OK id=1\r\n", b"550 5.7.1 nobody\r\n"):
        sink = Sink(["PIPELINING", "PRDR"], {"EACH": b"550 5.7.1 no\r\n", "DOT": final})
        with stage(sink) as (sink, proxy):
            c = Client(proxy)
            c.begin(*to("a", "b"), params=b" PRDR")
            replies = c.message_each(HAM, 2, prdr=True)
            check([r[:1] for r in replies] == [b"3", b"5", b"5", b"5"], replies)
            check(not sink.messages, "taken")


def a_final_451_takes_the_rest_back():
    sink = Sink(["PIPELINING", "PRDR"], {"EACH": lambda s, c, line: b"550 5.7.1 no\r\n" if b"<b@" in line else b"",
                                         "DOT": b"451 4.3.0 not after all\r\n"})
    with stage(sink) as (sink, proxy):
        c = Client(proxy)
        c.begin(*to("a", "b"), params=b" PRDR")
        replies = c.message_each(HAM, 2, prdr=True)
        check([r[:1] for r in replies] == [b"3", b"4", b"5", b"4"], replies)


# ---- DSN ---------------------------------------------------------------------------------------------------------------------


def dsn_permission_reaches_a_hop_that_has_dsn():
    with stage(Sink(["PIPELINING", "DSN"]), options=WISHES + [("own_networks", OWN)]) as (sink, proxy):
        c = Client(proxy, source=BAD)
        c.begin(b"<tags@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;tags@example.net", params=b" RET=FULL ENVID=x1")
        check(c.message(HAM).startswith(b"250"), "refused")
        m = sink.messages[0]
        check(b" NOTIFY=NEVER" in m.recipients[0] and m.recipients[0].count(b"NOTIFY") == 1 and b"ORCPT=" in m.recipients[0],
              m.recipients)
        check(b"ENVID=x1" in m.sender, m.sender)
        c.begin(b"<a@example.net> NOTIFY=DELAY", params=b" RET=FULL")
        check(c.message(HAM).startswith(b"250"), "refused")
        m = sink.messages[1]
        check(b" RET=HDRS" in m.sender and b"FULL" not in m.sender and b"NOTIFY=DELAY" in m.recipients[0],
              (m.sender, m.recipients))
        ham = Client(proxy)
        ham.begin(b"<a@example.net> NOTIFY=DELAY", params=b" RET=FULL")
        check(ham.message(HAM).startswith(b"250"), "refused")
        m = sink.messages[2]
        check(b" RET=HDRS" in m.sender and b"NOTIFY=DELAY" in m.recipients[0], (m.sender, m.recipients))
        own = Client(proxy, source=OWN)
        own.begin(b"<a@example.net> NOTIFY=DELAY", params=b" RET=FULL")
        check(own.message(HAM).startswith(b"250"), "refused")
        m = sink.messages[3]
        check(b" RET=FULL" in m.sender and b"NOTIFY=DELAY" in m.recipients[0], (m.sender, m.recipients))
        before = count(sink, b"MAIL")
        ham.begin(b"<tags@example.net> NOTIFY=NEVER")
        check(ham.message(HAM).startswith(b"250") and count(sink, b"MAIL") == before + 1, "put twice")
        null = Client(proxy, source=BAD)
        null.begin(b"<tags@example.net>", sender=b"<>")
        check(null.message(HAM).startswith(b"250"), "refused")
        check(b"NOTIFY" not in sink.messages[-1].recipients[0], "a DSN to nobody: %r" % sink.messages[-1].recipients)


def what_cannot_be_told_is_logged_and_counted():
    with stage(options=WISHES) as (sink, proxy):
        check(Client(proxy, source=BAD).deliver(HAM, *to("tags")).startswith(b"250"), "refused")
        check(Client(proxy).deliver(HAM, *to("tags")).startswith(b"250"), "refused")
        eventually("log", lambda: proxy.log().count("event=end-of-message") == 2)
        check(proxy.log().count("dsn_unenforced=1") == 1, proxy.log())
        text = proxy.stop()
        check("event=stopped dsn_unenforced=1" in text, text)


# ---- quarantine --------------------------------------------------------------------------------------------------------------


def a_quarantine_that_fails_is_one_recipients_matter():
    with tempfile.TemporaryDirectory() as where:
        with stage(options=QUARANTINING + [("quarantine.directory", where)]) as (sink, proxy):
            os.rmdir(os.path.join(where, "tmp"))
            c = Client(proxy, source=BAD)
            c.begin(*to("user", "kind"), params=b" PRDR")
            replies = c.message_each(HAM, 2, prdr=True)
            check([r[:1] for r in replies] == [b"3", b"4", b"2", b"2"], replies)
            check([paths(m) for m in sink.messages] == [["<kind@example.net>"]], table(sink))


def a_copy_in_quarantine_survives_what_befalls_others():
    with tempfile.TemporaryDirectory() as where:
        with stage(Sink(rules={"DOT": b"451 4.3.0 not now\r\n"}),
                   options=QUARANTINING + [("quarantine.directory", where)]) as (sink, proxy):
            c = Client(proxy, source=BAD)
            c.begin(*to("user", "kind"), params=b" PRDR")
            replies = c.message_each(HAM, 2, prdr=True)
            check([r[:1] for r in replies] == [b"3", b"2", b"4", b"2"], replies)
            check(len(os.listdir(os.path.join(where, "new"))) == 1, "a copy that was answered 250 is gone")


def the_quarantine_address_gets_no_sender_to_bounce_to():
    with stage(options=QUARANTINING + [("quarantine.redirect", "spam@example.net")]) as (sink, proxy):
        check(Client(proxy, source=BAD).deliver(HAM).startswith(b"250"), "refused")
        check(table(sink)[0][:2] == ("<>", ["<spam@example.net>"]), table(sink))
        check(b"X-Quarantine-Sender: <sender@example.org>" in sink.messages[0].data, "not told")


HELPERS = ("stage", "check", "count", "to", "paths", "table", "refuse_forwards")
CASES = [value for name, value in list(globals().items())
         if callable(value) and getattr(value, "__module__", "") == "__main__" and name not in HELPERS]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:]))
