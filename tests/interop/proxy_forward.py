#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy with forwards inline: the target's server is spoken with while the client waits. After every message the
books are balanced: who was told 2xx has one copy somewhere, who was told anything else has none, and nobody was sent a
bounce. The exception is a reply of the target's that is lost: the client keeps what the target may have. Runs in the
build folder; words on the command line choose cases."""
import contextlib
import os
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dns_server import DnsServer, mx  # noqa: E402
from proxy_basic import check, count  # noqa: E402
from proxy_harness import HAM, Client, Proxy, Sink, eventually, run, stuffed, without_trace  # noqa: E402
from proxy_split import paths  # noqa: E402
from scanner_fakes import Server as Scanner  # noqa: E402

BAD = "127.0.0.9"  # a client with a score of 7
TRUSTED = "127.0.0.5"  # a forwarder that all recipients trust
PRIVATE = b"elsewhere"
POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
addrlists = ( { name = "bad"; entries = [ "127.0.0.9" ]; score = 7.0; } );
rules = { files = [ "%(rules)s" ]; };
scopes = ( { name = "trusted"; networks = [ "127.0.0.5" ]; } );
forwarders = [ "trusted" ];
profiles = (
  { name = "default"; reject = "off"; tag = "off"; },
  { name = "away"; inherit = "default"; route = "forward"; forward = "me@elsewhere.example"; },
  { name = "sent"; inherit = "away"; forward_sender = "away+fwd@example.net"; },
  { name = "nonspam"; inherit = "default"; tag = 5.0; reject = 9.0; route = "forward-nonspam"; forward = "ham@elsewhere.example"; },
  { name = "left"; inherit = "default"; route = "forward"; forward = "me@[127.0.0.2]"; },
  { name = "right"; inherit = "default"; route = "forward"; forward = "you@[127.0.0.3]"; }
);
recipients = (
  { address = "away@example.net"; profile = "away"; },
  { address = "away2@example.net"; profile = "away"; forward = "me2@elsewhere.example"; },
  { address = "sent@example.net"; profile = "sent"; },
  { address = "nonspam@example.net"; profile = "nonspam"; },
  { address = "left@example.net"; profile = "left"; },
  { address = "right@example.net"; profile = "right"; },
  { address = "null@example.net"; profile = "away"; forward = "me@null-mx.example"; },
  { address = "gone@example.net"; profile = "away"; forward = "me@no-such.example"; },
  { address = "dark@example.net"; profile = "away"; forward = "me@no-answer.example"; }
);
proxy = { forward = "inline"; %(servers)s forward_timeout = "%(timeout)s"; forward_final_timeout = "1s"; };
%(more)s
"""
RULES = "rule SPAM\n  match header Subject /^spam/i\n  score 7\nrule WORSE\n  match header Subject /^worse/i\n  score 20\n"
TARGETS = {"away": "me@elsewhere.example", "away2": "me2@elsewhere.example", "sent": "me@elsewhere.example",
           "nonspam": "ham@elsewhere.example", "left": "me@[127.0.0.2]", "right": "you@[127.0.0.3]",
           "null": "me@null-mx.example", "gone": "me@no-such.example", "dark": "me@no-answer.example"}
SPAM = HAM.replace(b"Subject: ham", b"Subject: spam")
WORSE = HAM.replace(b"Subject: ham", b"Subject: worse")


def rcpt(name):
    return b"RCPT TO:<%s@example.net>" % name.encode()


class World:
    """A next hop, targets, and the proxy between a client and them."""

    def __init__(self, targets=None, options=(), more="", fixed=True, hop=None, timeout="5s", listen="127.0.0.1:0", **rest):
        self.hop, self.targets = hop or Sink(), targets or [Sink()]
        self.folder = tempfile.TemporaryDirectory()
        servers = ", ".join('"%s"' % (t if isinstance(t, str) else t.address) for t in (self.targets if fixed is True else fixed or []))
        rules, policy = (os.path.join(self.folder.name, n) for n in ("rules", "policy"))
        with open(rules, "w", encoding="ascii") as f:
            f.write(RULES)
        with open(policy, "w", encoding="ascii") as f:
            f.write(POLICY % {"rules": rules, "timeout": timeout, "more": more,
                              "servers": "forward_servers = [ %s ];" % servers if servers else ""})
        self.proxy = Proxy(self.hop.address, list(options), policy=policy, listen=listen, **rest)
        self.told = {}  # name -> code, for the books

    @property
    def target(self):
        return self.targets[0]

    def copies(self, name):
        """How many servers own a copy of this recipient's mail."""
        wanted = {"<%s@example.net>" % name, "<%s>" % TARGETS.get(name)}
        return sum(path in wanted for sink in [self.hop] + self.targets for m in sink.messages for path in paths(m))

    def balance(self, null=False):
        """Exactly one owner of each copy, and no bounce."""
        for name, code in self.told.items():
            check(self.copies(name) == (1 if code.startswith(b"2") else 0), "%s was told %s and has %d copies" %
                  (name, code, self.copies(name)))
        for sink in [self.hop] + self.targets:
            check(null or not any(b"<>" in line for line in sink.lines), "a bounce")

    def send(self, *names, data=HAM, sender=b"<sender@example.org>", params=b"", source="127.0.0.1", each=0, verb=b"EHLO"):
        """One transaction of a client of its own. Returns {name: last reply}."""
        c = Client(self.proxy, source=source, verb=verb)
        told = {}
        reply = c.say(b"MAIL FROM:" + sender + params)
        check(reply.startswith(b"250"), reply)
        for name in names:
            told[name] = c.say(rcpt(name))
        taken = [n for n in names if told[n].startswith(b"250")]
        if taken:
            c.expect(b"DATA", b"354")
            if each:
                replies = c.message_each(data, len(taken), prdr=verb == b"EHLO")
                if verb == b"EHLO" and replies[0].startswith(b"353"):
                    final, replies = replies[-1], replies[1:-1]
                    replies = [r if final.startswith(b"2") or not r.startswith(b"2") else final for r in replies]
                told.update(zip(taken, replies))
            else:
                told.update(dict.fromkeys(taken, c.message(data)))
        self.told.update({n: r[:3] for n, r in told.items()})
        for reply in told.values():
            check(PRIVATE not in reply, "where mail is forwarded to is nobody's business: %r" % reply)
        c.expect(b"QUIT", b"221")
        c.close()
        return told

    def forget(self):
        eventually("the targets are left", lambda: not any(t.live for t in self.targets))
        for sink in [self.hop] + self.targets:
            sink.messages, sink.rules, sink.lines = [], {}, []
        self.told = {}


@contextlib.contextmanager
def world(*args, null=False, **rest):
    w = World(*args, **rest)
    try:
        yield w
        w.balance(null)
        w.proxy.stop()
    finally:
        for sink in [w.hop] + w.targets:
            sink.close()
        if w.proxy.process.poll() is None:
            w.proxy.process.kill()
            w.proxy.process.wait()
        w.folder.cleanup()


def codes(told):
    return {name: reply[:3] for name, reply in told.items()}


# ---- the target takes it ------------------------------------------------------------------------------------------


def the_target_takes_it_while_the_client_waits():
    with world() as w:
        told = w.send("away")
        check(told["away"].startswith(b"250 2.0.0 kept as 1"), "the target's own words: %r" % told)
        check(not w.hop.messages and count(w.hop, b"DATA") == 0, "the next hop has it too")
        m = w.target.messages[0]
        check(b"MAIL FROM:<sender@example.org>" in m.sender and paths(m) == ["<me@elsewhere.example>"], (m.sender, paths(m)))
        check(without_trace(m.data).endswith(HAM), "changed")
        check(count(w.target, b"MAIL") == 1 and count(w.target, b"RSET") == 0, "the transaction of RCPT is not the message's")
        eventually("it takes its leave", lambda: count(w.target, b"QUIT") == 1)
        check(b"X" not in b"".join(l[:1] for l in w.target.lines), "a stranger was told who the client is: %r" % w.target.lines)
        eventually("log", lambda: "target=" in w.proxy.log() and "copies=" in w.proxy.log())


def the_sender_is_the_verdicts():
    with world() as w:
        w.send("sent")
        check(w.target.messages[0].sender.startswith(b"MAIL FROM:<away+fwd@example.net>") and count(w.target, b"MAIL") == 1,
              w.target.lines)


def a_null_sender_stays_one():
    with world(null=True) as w:
        check(codes(w.send("sent", sender=b"<>")) == {"sent": b"250"}, "refused")
        check(w.target.messages[0].sender.startswith(b"MAIL FROM:<>"), w.target.messages[0].sender)


def a_big_message():
    big = HAM + b"0123456789" * 7 + b"\r\n.\r\n"
    big += b"a line that is repeated until no buffer holds it all\r\n" * 60000
    with world() as w:
        check(codes(w.send("away", data=big)) == {"away": b"250"}, "refused")
        check(w.target.messages[0].data.endswith(big), "changed")


def servers_without_extensions():
    with world([Sink([])]) as w:
        check(codes(w.send("away")) == {"away": b"250"}, "refused")
        check(codes(w.send("away2", params=b" BODY=8BITMIME")) == {"away2": b"550"}, "8BITMIME is not there")
    with world([Sink([])], hop=Sink(["PIPELINING", "DSN"])) as w:
        told = w.send("away", params=b" RET=FULL ENVID=x")
        check(codes(told) == {"away": b"250"}, told)
        check(b"RET" not in w.target.messages[0].sender, "what it does not know")
    with world([Sink(["DSN"])], hop=Sink(["PIPELINING", "DSN"])) as w:
        w.send("away", params=b" RET=FULL")
        check(b" RET=HDRS" in w.target.messages[0].sender and count(w.target, b"MAIL") == 1, w.target.lines)


# ---- the target refuses ---------------------------------------------------------------------------------------------


def each_place_and_each_code():
    # What the target says is what the client hears, at the same place, whichever client it is.
    with world() as w:
        for params in (b"", b" PRDR"):
            for place in ("MAIL", "RCPT", "DATA", "DOT"):
                for words, code in ((b"550 5.7.1 <me@elsewhere.example>: no, says mx.Elsewhere.example\r\n", b"550"),
                                    (b"452 4.2.2 <me@elsewhere.example> is full\r\n", b"452")):
                    w.forget()
                    w.target.rules = {place: words}
                    told = w.send("away", params=params, each=bool(params))
                    check(codes(told) == {"away": code}, "%s: %r" % (place, told))
                    check(b"<away@example.net>" in told["away"], "its words: %r" % told)
                    check(count(w.target, b"DATA") == (place in ("DATA", "DOT")), "%s: sent after all" % place)
                    w.balance()
        w.forget()
        w.target.rules = {"RCPT": b"550 5.7.1 <me@[127.0.0.2]> no, says [127.0.0.2], known as 127.0.0.2\r\n"}
        told = w.send("left")["left"]
        check(told == b"550 5.7.1 <left@example.net> no, says ..., known as ...\r\n", told)


def lmtp_clients_hear_the_same():
    with world(listen="lmtp:127.0.0.1:0") as w:
        for place in ("RCPT", "DATA", "DOT"):
            w.forget()
            w.target.rules = {place: b"550 5.7.1 no\r\n"}
            told = w.send("away", "user", each=True, verb=b"LHLO")
            check(codes(told) == {"away": b"550", "user": b"250"}, "%s: %r" % (place, told))
            w.balance()


def a_target_that_takes_what_it_has_not_got():
    def early(_, connection, __):
        connection.sendall(b"354 go on\r\n250 2.0.0 thank you\r\n")
        time.sleep(0.5)

    with world([Sink(receive_buffer=4096)]) as w:
        w.target.rules = {"DATA": early}
        told = w.send("away", data=HAM + b"a line that is repeated until no buffer holds it all\r\n" * 150000)
        check(codes(told) == {"away": b"451"}, "taken before it was there: %r" % told)


def a_target_that_changes_its_mind():
    # It says yes at RCPT, is gone before the end of the message, and says no when it is asked again.
    with world() as w:
        c = Client(w.proxy)
        c.begin(b"<away@example.net>")
        w.target.rules = {"RCPT": b"550 5.1.1 <me@elsewhere.example> who?\r\n"}
        w.target.cut()
        reply = c.message(HAM)
        check(reply.startswith(b"550 5.1.1 <away@example.net> who?"), reply)
        w.told = {"away": reply[:3]}
        w.balance()
        w.forget()
        w.target.rules = {}
        c.begin(b"<away@example.net>")
        w.target.cut()
        check(c.message(HAM).startswith(b"250"), "it was there again")
        check(w.copies("away") == 1, "lost")


# ---- the target is out of reach ---------------------------------------------------------------------------------------


def who_cannot_be_reached_is_put_off():
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))  # bound and not listening: refuses
    nowhere = "127.0.0.1:%d" % closed.getsockname()[1]
    rows = ((("BANNER", None), b"451"), (("BANNER", b"554 5.3.2 no service\r\n"), b"451"), (("EHLO", None), b"451"),
            (("MAIL", None), b"451"), (("RCPT", None), b"451"), (("RCPT", b"421 4.3.2 closing\r\n"), b"451"))
    with world() as w:
        for (place, what), code in rows:
            w.forget()
            w.target.rules = {place: what}
            check(codes(w.send("away")) == {"away": code}, (place, what, w.told))
            w.balance()
        eventually("log", lambda: w.proxy.log().count("event=target-failed") == len(rows))
    w = World()
    w.target.close()
    check(codes(w.send("away")) == {"away": b"451"}, w.told)
    w.balance()
    w.proxy.stop()
    with world(options=[("proxy.forward_fallback", "hop")]) as w:
        w.target.rules = {"BANNER": None}
        check(codes(w.send("away")) == {"away": b"250"}, w.told)
        check([paths(m) for m in w.hop.messages] == [["<me@elsewhere.example>"]], "the next hop was to queue it")
    closed.close()
    check(nowhere, "")


def the_fallback_at_the_end_of_the_message():
    with world(options=[("proxy.forward_fallback", "hop")]) as w:
        c = Client(w.proxy)
        c.begin(b"<away@example.net>")
        w.target.rules = {"BANNER": None}
        w.target.cut()
        w.told["away"] = c.message(HAM)[:3]
        check(w.told["away"] == b"250" and [paths(m) for m in w.hop.messages] == [["<me@elsewhere.example>"]], w.told)


def the_next_server_is_tried():
    dead, good = Sink(rules={"BANNER": None}), Sink()
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(5)  # accepts, and never speaks
    with world([dead, good], timeout="3s") as w:
        check(codes(w.send("away")) == {"away": b"250"}, w.told)
    good = Sink()
    with world([good], fixed=["127.0.0.1:%d" % deaf.getsockname()[1], good.address], timeout="2s") as w:
        check(codes(w.send("away")) == {"away": b"250"}, w.proxy.log())
    deaf.close()


def a_tarpit_is_not_waited_for_for_ever():
    with world(timeout="1s") as w:
        for place in ("EHLO", "RCPT"):
            w.forget()
            told = threading.Event()
            w.target.rules = {place: lambda s, c, l, told=told: told.wait(60) and b""}
            begun = time.monotonic()
            check(codes(w.send("away")) == {"away": b"451"}, (place, w.told))
            check(0.8 < time.monotonic() - begun, "%s: %.1f s" % (place, time.monotonic() - begun))
            told.set()
            w.balance()
        w.forget()
        w.target.rules = {"RCPT": lambda s, c, l: time.sleep(0.4) or b""}
        check(codes(w.send("away")) == {"away": b"250"}, w.told)


# ---- the target is lost ------------------------------------------------------------------------------------------------


def dropped_before_the_dot():
    class Drops(Sink):
        def read_message(self, reader):
            for _ in range(5):
                reader.readline()
            return None

    for params in (b"", b" PRDR"):
        with world([Drops()]) as w:
            told = w.send("away", data=HAM * 2000, params=params, each=bool(params))
            check(codes(told) == {"away": b"451"}, told)


def dropped_after_the_dot():
    # It has the message and nobody knows: the client keeps it, too. Twice is possible, lost is not.
    def keeps_and_drops(sink, connection, line):
        sink.messages.append("kept")
        return None

    for params in (b"", b" PRDR"):
        with world([Sink(rules={"DOT": keeps_and_drops})]) as w:
            told = w.send("away", params=params, each=bool(params))
            check(told["away"].startswith(b"451 4.4.2"), told)
            check(w.target.messages == ["kept"] and not w.hop.messages, "it went elsewhere as well")
            w.forget()
            check(codes(w.send("away")) == {"away": b"250"} and len(w.target.messages) == 1, "the client's next attempt")


def silent_after_the_dot():
    told = threading.Event()
    with world([Sink(rules={"DOT": lambda s, c, l: told.wait(60) and None})]) as w:
        check(w.send("away")["away"].startswith(b"451 4.4.2"), w.told)
        told.set()
        w.told = {}


def the_client_goes_away():
    with world() as w:
        c = Client(w.proxy)
        c.begin(b"<away@example.net>")
        c.send(stuffed(HAM)[:40])
        c.close()
        eventually("the target is left", lambda: count(w.target, b"QUIT") == 1 or not w.target.live)
        check(not w.target.messages and count(w.target, b"DATA") == 0, "delivered by half")
        c = Client(w.proxy)
        c.expect(b"MAIL FROM:<sender@example.org>", b"250")
        w.target.rules = {"RCPT": lambda s, cc, l: time.sleep(0.5) or b""}
        c.send(rcpt("away") + b"\r\n")
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()
        eventually("the target is left", lambda: not w.target.live)
        check(codes(w.send("away2")) == {"away2": b"250"}, "the proxy lives")


# ---- several recipients -----------------------------------------------------------------------------------------------


def one_target_for_two():
    with world() as w:
        check(codes(w.send("away", "away2", params=b" PRDR", each=True)) == {"away": b"250", "away2": b"250"}, w.told)
        check([paths(m) for m in w.target.messages] == [["<me@elsewhere.example>"], ["<me2@elsewhere.example>"]],
              "each copy says in whose mailbox it was")
        check(all(b"\nDelivered-To: %s@example.net" % n in b"\n" + m.data for n, m in zip((b"away", b"away2"), w.target.messages)), "not said")
        check(w.target.connections == 1, "another connection for the second")


def two_targets(**rest):
    left = Sink(host="127.0.0.2")
    right = Sink(host="127.0.0.3", port=left.port)
    return world([left, right], fixed=False, options=[("proxy.forward_port", str(left.port))], **rest)


def two_targets_and_a_reply_each():
    with two_targets() as w:
        check(codes(w.send("left", "right", params=b" PRDR", each=True)) == {"left": b"250", "right": b"250"}, w.told)
        check([len(t.messages) for t in w.targets] == [1, 1], "sent astray")
    with two_targets() as w:
        w.targets[0].rules = {"DOT": b"554 5.7.1 spam\r\n"}
        told = w.send("left", "right", "user", params=b" PRDR", each=True)
        check(codes(told) == {"left": b"554", "right": b"250", "user": b"250"}, told)
    with two_targets(listen="lmtp:127.0.0.1:0") as w:
        w.targets[1].rules = {"DOT": b"452 4.3.1 full\r\n"}
        told = w.send("left", "right", "user", each=True, verb=b"LHLO")
        check(codes(told) == {"left": b"250", "right": b"452", "user": b"250"}, told)


def two_targets_and_one_reply_are_split():
    with two_targets() as w:
        told = w.send("left", "right", "user")
        check(codes(told) == {"left": b"250", "right": b"452", "user": b"452"}, told)
        w.balance()
        w.targets[0].messages = []
        w.told = {}
        told = w.send("right", "user")
        check(codes(told) == {"right": b"250", "user": b"452"}, told)


def a_client_of_our_own_is_not_split():
    # Nobody is put off, and one reply serves all: what a target refuses then stays in the mailbox.
    for words, code, kept in ((b"554 5.7.1 spam\r\n", b"250", True), (b"452 4.3.1 full\r\n", b"452", False)):
        with world(more='own_networks = [ "127.0.0.1" ];') as w:
            w.target.rules = {"DOT": words}
            told = w.send("away", "user")
            if told["user"].startswith(b"452") and kept:
                check(False, "split: %r" % told)
            check(codes(told) == {"away": code, "user": code}, told)
            check(sorted(sum((paths(m) for m in w.hop.messages), [])) == (["<away@example.net>", "<user@example.net>"] if kept else [])
                  and not w.target.messages, "astray")
            check(not any(b"Delivered-To" in m.data for m in w.hop.messages), "a mailbox would take it for a loop")
            w.balance()
            w.forget()
            w.target.rules = {"DOT": words}
            told = w.send("away", "away2")
            check(codes(told) == {"away": words[:3], "away2": words[:3]} and not w.hop.messages, "refused by all: %r" % told)
            w.balance()
            w.forget()
            w.target.rules = {"DOT": lambda s, c, l: b"" if s.messages else words if count(s, b"DATA") == 1 else b""}
            told = w.send("away", "away2")
            check(codes(told) == {"away": code, "away2": code}, "refused by one: %r" % told)


# ---- from a trusted forwarder -----------------------------------------------------------------------------------------


def a_trusted_forwarder_never_has_to_bounce():
    # What the target refuses stays in the mailbox: a 5xx would make the forwarder bounce to a sender who may be forged.
    with world() as w:
        for params in (b"", b" PRDR"):
            for place in ("MAIL", "RCPT", "DATA", "DOT"):
                w.forget()
                w.target.rules = {place: b"550 5.7.1 no\r\n"}
                told = w.send("away", source=TRUSTED, params=params, each=bool(params))
                check(codes(told) == {"away": b"250"}, "%s: %r" % (place, told))
                check([paths(m) for m in w.hop.messages] == [["<away@example.net>"]], "%s: not kept" % place)
                w.balance()
                w.forget()
                w.target.rules = {place: b"450 4.7.1 not now\r\n"}
                check(codes(w.send("away", source=TRUSTED)) == {"away": b"450"}, "it comes again: %r" % w.told)
                w.balance()
        w.forget()
        check(codes(w.send("away", source=TRUSTED)) == {"away": b"250"} and len(w.target.messages) == 1, "not forwarded")


# ---- forward-nonspam ---------------------------------------------------------------------------------------------------


def only_ham_leaves():
    with world() as w:
        check(codes(w.send("nonspam")) == {"nonspam": b"250"} and len(w.target.messages) == 1, w.told)
        w.balance()
        w.forget()
        told = w.send("nonspam", data=SPAM)
        check(codes(told) == {"nonspam": b"250"} and not w.target.messages and len(w.hop.messages) == 1, "spam left: %r" % told)
        eventually("the target's transaction is given up", lambda: count(w.target, b"QUIT") == 1)
        check(count(w.target, b"DATA") == 0 and b"X-Smtpfilter: tagged" in w.hop.messages[0].data, "not marked")
        w.balance()
        w.forget()
        told = w.send("nonspam", data=WORSE)
        check(told["nonspam"].startswith(b"550"), told)
        check(count(w.target, b"DATA") == 0 and count(w.hop, b"DATA") == 0, "refused, and sent")
        w.balance()
        w.forget()
        w.send("nonspam", source=BAD)
        check(not w.target.lines and w.told["nonspam"] == b"250", "a bad client's mail is not asked about: %r" % w.target.lines)


def unscanned_mail_does_not_leave():
    scanner = Scanner("clamd")
    more = 'scanners = ( { name = "one"; type = "clamd"; kind = "virus"; servers = [ "%s" ]; timeout = "300ms"; } );' % scanner.address
    with world(more=more) as w:
        check(codes(w.send("nonspam")) == {"nonspam": b"250"} and len(w.target.messages) == 1, w.told)
        w.forget()
        scanner.close()
        told = w.send("nonspam")
        check(told["nonspam"].startswith((b"451", b"250")) and not w.target.messages, "left unscanned: %r" % told)


# ---- the DNS -------------------------------------------------------------------------------------------------------------


def servers_are_those_of_the_dns():
    target = Sink(host="127.0.0.2")
    zone = {("elsewhere.example", "MX"): [mx(10, "dead.elsewhere.example"), mx(20, "mx.elsewhere.example")],
            ("dead.elsewhere.example", "A"): ["127.0.0.4"], ("mx.elsewhere.example", "A"): ["127.0.0.2"],
            ("null-mx.example", "MX"): [mx(0, "")], ("no-answer.example", "MX"): None}
    dns = DnsServer(zone)
    options = [("proxy.forward_port", str(target.port)), ("resolver.servers", dns.address), ("resolver.timeout", "300ms")]
    with world([target], fixed=False, options=options) as w:
        check(codes(w.send("away")) == {"away": b"250"} and len(target.messages) == 1, w.told)
        told = w.send("null", "gone")
        check(codes(told) == {"null": b"550", "gone": b"550"}, told)
        told = w.send("dark")
        check(codes(told) == {"dark": b"451"}, told)
        c = Client(w.proxy)  # goes while the DNS is asked
        c.expect(b"MAIL FROM:<sender@example.org>", b"250")
        c.send(rcpt("dark") + b"\r\n")
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()
    dns.close()


def whoever_was_refused_leaves_no_trace():
    target = Sink(host="127.0.0.2")
    dns = DnsServer({("elsewhere.example", "A"): ["127.0.0.2"]})
    options = [("proxy.forward_port", str(target.port)), ("resolver.servers", dns.address), ("resolver.timeout", "300ms")]
    with world([target], fixed=False, options=options, disable=["iprev"]) as w:
        c = Client(w.proxy)
        c.expect(b"MAIL FROM:<sender@example.org> PRDR", b"250")
        w.hop.rules = {"RCPT": b"550 5.1.1 who?\r\n"}
        c.expect(rcpt("away"), b"550")
        w.hop.rules = {}
        for name in ("away", "user", "away2"):
            c.expect(rcpt(name), b"250")
        check(target.connections == 1, "one for each domain: %d" % target.connections)
        c.expect(b"DATA", b"354")
        replies = c.message_each(HAM, 3, prdr=True)
        check(all(r.startswith(b"250") for r in replies[1:]), replies)
        w.told = {"away": b"250", "user": b"250", "away2": b"250"}
        w.balance()
        c.close()
    dns.close()


def what_it_said_is_remembered():
    # The next such mail is refused at RCPT, and the target is not asked.
    target = Sink(host="127.0.0.2")
    dns = DnsServer({("elsewhere.example", "A"): ["127.0.0.2"]})
    options = [("proxy.forward_port", str(target.port)), ("resolver.servers", dns.address), ("resolver.timeout", "300ms")]
    with world([target], fixed=False, options=options, disable=["iprev"]) as w:
        w.target.rules = {"DOT": b"554 5.7.1 this is spam\r\n"}
        check(codes(w.send("away")) == {"away": b"554"} and count(target, b"DATA") == 1, w.told)
        told = w.send("away")
        check(told["away"].startswith(b"550 5.7.1") and target.connections == count(target, b"MAIL") == 1, "asked again: %r" % told)
        target.rules = {}
        check(codes(w.send("away2", sender=b"<other@example.org>")) == {"away2": b"250"}, "others' mail goes: %r" % w.told)
    dns.close()


def many_at_a_time():
    with world() as w:
        w.target.rules = {"DOT": lambda s, c, l: time.sleep(0.05) or b""}
        results = []

        def one():
            results.append(Client(w.proxy).deliver(HAM, b"<away@example.net>")[:3])

        threads = [threading.Thread(target=one) for _ in range(40)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
        check(results == [b"250"] * 40 and len(w.target.messages) == 40, (results, len(w.target.messages)))
        eventually("all are left", lambda: not w.target.live)


HELPERS = ("rcpt", "codes", "world", "two_targets", "check", "count")
CASES = [value for name, value in list(globals().items())
         if callable(value) and getattr(value, "__module__", "") == "__main__" and name not in HELPERS + ("World",)]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:], together=4))
