#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real Postfix and real Exim around a proxy that forwards inline: as targets that take, refuse, put off, are slow, are
killed, and whose last reply is lost; and as forwarders in front of it. For each message: what the client was told, who
has a copy, and whether anybody was sent a bounce.

`./bootstrap show forward-live` runs everything; `make check` leaves out what waits, and a server that is not there.
"""
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from exim import Exim  # noqa: E402
from mta import Missing, Postfix  # noqa: E402
from proxy_harness import Client, Proxy, Sink  # noqa: E402

TARGET, FRONT = "elsewhere.example", "alias.example"
BIND = {"postfix": "127.0.0.21", "exim": "127.0.0.22"}
OTHER = {"postfix": "exim", "exim": "postfix"}
SENDER = "victim@victim.example"  # whoever a spammer says it is
POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "early_talk" ]; };
rules = { files = [ "%(folder)s/rules" ]; };
scopes = ( { name = "front"; networks = [ "127.0.0.21", "127.0.0.22" ]; } );
forwarders = [ "front" ];
profiles = (
  { name = "default"; reject = 6.0; tag = 5.0; },
  { name = "keep"; inherit = "default"; reject = "off"; quarantine = 6.0; },
  { name = "away"; inherit = "default"; route = "forward"; },
  { name = "nonspam"; inherit = "default"; reject = "off"; route = "forward-nonspam"; }
);
recipients = (
  { address = "keep@example.net"; profile = "keep"; },
%(forwards)s
);
quarantine = { directory = "%(folder)s/quarantine"; };
proxy = { forward = "inline"; forward_servers = [ "%(relay)s" ]; forward_timeout = "2s"; forward_final_timeout = "3s"; drain = "3s"; };
"""
NAMES = ("good", "nobody", "later", "slow", "tarpit")
POSTFIX = """
header_checks = regexp:{root}/conf/header_checks
smtpd_recipient_restrictions = reject_unauth_destination, check_recipient_access texthash:{root}/conf/recipients
smtpd_end_of_data_restrictions = check_sender_access texthash:{root}/conf/senders
smtpd_error_sleep_time = 0
virtual_alias_domains = {front}
virtual_alias_maps = texthash:{root}/conf/aliases
transport_maps = texthash:{root}/conf/transport
smtp_bind_address = {bind}
smtp_connection_cache_on_demand = no
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
"""
EXIM_RCPT = """
  deny   domains = %s
         local_parts = nobody
         message = 550 5.1.1 <$local_part@$domain> is not here
  defer  domains = %s
         local_parts = later
         message = 450 4.2.1 <$local_part@$domain> not now
  accept local_parts = slow
         delay = 1s
  accept local_parts = tarpit
         delay = 6s
""" % (TARGET, TARGET)
EXIM_DATA = """
  deny   condition = ${if match{$h_subject:}{refuse-exim}}
         message = 554 5.7.1 this content is refused
  accept senders = stall@victim.example
         delay = 6s
"""
EXIM_ROUTERS = """
astray:
  driver = redirect
  domains = %s
  local_parts = astray
  data = somebody@not-ours.example
front:
  driver = redirect
  domains = %s
  data = $local_part@example.net
behind:
  driver = manualroute
  domains = example.net : not-ours.example
  transport = out
  route_list = * 127.0.0.1::%%d
  self = send
victim:
  driver = manualroute
  domains = victim.example
  transport = out
  route_list = victim.example 127.0.0.1::%%d
  self = send
""" % (FRONT, FRONT)


class Relay:
    """Between the proxy and a target: passes everything, or closes instead of passing the reply to the final dot."""

    def __init__(self):
        self.upstream, self.lose, self.closed, self.down = 0, False, False, False
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(50)
        self.listener.settimeout(0.2)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                continue
            client.settimeout(30)
            if self.down:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.upstream), 10)
            server.settimeout(30)
            state = {"dot": False}
            threading.Thread(target=self.pump, args=(client, server, state, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, state, False), daemon=True).start()

    def pump(self, source, sink, state, up):
        tail = b""
        try:
            while True:
                data = source.recv(65536)
                if not data or (not up and state["dot"] and self.lose):
                    break
                tail = (tail + data)[-65540:]
                if up and b"\r\n.\r\n" in tail:
                    state["dot"] = True
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.closed = True
        self.listener.close()


class World:
    """Two proxies, the first before Postfix as its target, the second before Exim; forwarders in front of the other's."""

    def __init__(self, folder, program):
        self.folder, self.victim = folder, Sink()
        self.mta, self.missing, self.proxy, self.hop, self.relay = {}, {}, {}, {}, {}
        for kind in ("postfix", "exim"):
            self.relay[kind], self.hop[kind] = Relay(), Sink()
            self.proxy[kind] = Proxy(self.hop[kind].address, policy=self.policy(kind), program=program)
        for kind in ("postfix", "exim"):
            try:
                self.mta[kind] = self.start(kind, self.proxy[OTHER[kind]].port)
                self.relay[kind].upstream = self.mta[kind].port
            except Missing as why:
                self.missing[kind] = str(why)

    def policy(self, kind):
        where = os.path.join(self.folder, kind + "-proxy")
        os.mkdir(where)
        with open(os.path.join(where, "rules"), "w", encoding="ascii") as f:
            f.write("rule SPAM\n  match header Subject /^spam/i\n  score 7\n")
        forwards = ["  { address = \"%s@example.net\"; profile = \"away\"; forward = \"%s@%s\"; }" % (n, n, TARGET) for n in NAMES]
        forwards += ["  { address = \"nonspam@example.net\"; profile = \"nonspam\"; forward = \"good@%s\"; }" % TARGET]
        path = os.path.join(where, "policy.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(POLICY % {"folder": where, "relay": self.relay[kind].address, "forwards": ",\n".join(forwards)})
        return path

    def start(self, kind, behind):
        root = os.path.join(self.folder, kind)
        os.mkdir(root)
        if kind == "exim":
            return Exim(root, [TARGET, FRONT], EXIM_RCPT, EXIM_DATA, EXIM_ROUTERS % (behind, self.victim.port), BIND[kind])
        tables = {
            "header_checks": "/^Subject: refuse-postfix/ REJECT this content is refused\n",
            "recipients": "later@%s 450 4.2.1 not now\nslow@%s sleep 1\ntarpit@%s sleep 6\n" % (TARGET, TARGET, TARGET),
            "senders": "stall@victim.example sleep 6\n",
            "aliases": "".join("%s@%s %s@example.net\n" % (n, FRONT, n) for n in NAMES + ("strict", "keep")) +
                       "astray@%s somebody@not-ours.example\n" % FRONT,
            "transport": "".join("%s smtp:[127.0.0.1]:%d\n" % row for row in (
                ("example.net", behind), ("not-ours.example", behind), ("victim.example", self.victim.port)))}
        return Postfix(root, ["%s@%s" % (n, TARGET) for n in NAMES if n != "nobody"],
                       POSTFIX.format(root=root, front=FRONT, bind=BIND[kind]), tables=tables)

    def settle(self):
        end = time.monotonic() + 15
        while time.monotonic() < end and any(m.waiting() for m in self.mta.values()):
            time.sleep(0.05)

    def stop(self):
        for mta in self.mta.values():
            mta.stop()
        try:
            for proxy in self.proxy.values():
                proxy.stop()
        finally:
            for it in [self.victim, *self.hop.values(), *self.relay.values()]:
                it.close()


def message(subject, word):
    return ("From: <%s>\r\nTo: <undisclosed@example.net>\r\nSubject: %s %s\r\nMessage-Id: <%s@victim.example>\r\n\r\nHello\r\n"
            % (SENDER, word, subject, subject)).encode()


def send(port, recipient, data, sender=SENDER, after_dot=None):
    """What a client of `port` is told last."""

    class At:
        path = None

    At.port = port
    c = Client(At)
    try:
        c.expect(b"MAIL FROM:<%s>" % sender.encode(), b"250")
        reply = c.say(b"RCPT TO:<%s>" % recipient.encode())
        if reply.startswith(b"250"):
            c.expect(b"DATA", b"354")
            c.send(data + b".\r\n")
            if after_dot:
                after_dot()
            reply = c.reply()
        return reply.decode("ascii", "replace").strip()
    finally:
        c.close()


class Book:
    """Rows of the table; a row that is not as it must be is a failure."""

    def __init__(self):
        self.rows, self.failed = [], 0

    def row(self, server, case, told, wanted, copies, wanted_copies):
        good = told.startswith(wanted) and copies == wanted_copies
        self.failed += not good
        self.rows.append((server, case, told[:58], copies))
        print("%-5s%-14s %-44s %-60s %s%s" % ("ok" if good else "FAIL", server, case, told[:58], copies,
                                              "" if good else "  <- %s, %s" % (wanted, wanted_copies)), flush=True)


def has(messages, subject):
    return sum(b" %s\n" % subject.encode() in m.replace(b"\r\n", b"\n") for m in messages)


def copies_of(w, kind, subject):
    """In words: where this message is."""
    w.settle()
    places = [("target", sum(has(w.mta[kind].messages("%s@%s" % (n, TARGET)), subject) for n in NAMES)),
              ("mailbox", has([m.data for m in w.hop[kind].messages], subject))]
    folder = os.path.join(w.folder, kind + "-proxy", "quarantine", "new")
    kept = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, name), "rb") as f:
            kept.append(f.read())
    places.append(("quarantine", has(kept, subject)))
    marked = any(b"X-Smtpfilter: tagged" in m.data and has([m.data], subject) for m in w.hop[kind].messages)
    return " ".join("%s %d%s" % (p, n, " tagged" if p == "mailbox" and marked else "") for p, n in places if n) or "nobody"


def as_target(w, kind, book, whole):
    mta, proxy, relay = w.mta[kind], w.proxy[kind], w.relay[kind]

    def case(title, name, word, wanted, copies, subject=None, **how):
        subject = subject or "%s-%d" % (kind, len(book.rows))
        told = send(proxy.port, "%s@example.net" % name, message(subject, word), **how)
        book.row(kind, title, told, wanted, copies_of(w, kind, subject), copies)
        return subject

    case("takes it", "good", "hello", "250", "target 1")
    case("refuses at RCPT", "nobody", "hello", "550 5.1.1", "nobody")
    case("puts off at RCPT", "later", "hello", "450 4.2.1", "nobody")
    case("refuses the content", "good", "refuse-" + kind, "55", "nobody")
    case("forward-nonspam: takes ham", "nonspam", "hello", "250", "target 1")
    case("forward-nonspam: spam stays", "nonspam", "spam", "250", "mailbox 1 tagged")
    case("spam that the policy refuses", "good", "spam", "550", "nobody")
    relay.lose = True
    subject = case("takes it, its reply is lost", "good", "hello", "451 4.4.2", "target 1")
    relay.lose = False
    case("  and the client comes again", "good", "hello", "250", "target 2", subject)
    relay.down = True
    case("cannot be reached", "good", "hello", "451 4.4.1", "nobody")
    relay.down = False

    def kill():
        time.sleep(0.7)
        for pid in mta.receivers():
            os.kill(pid, signal.SIGKILL)

    subject = case("is killed after the dot", "good", "hello", "451 4.4.2", "nobody", sender="stall@victim.example", after_dot=kill)
    case("  and the client comes again", "good", "hello", "250", "target 1", subject)
    if whole:
        case("is slow at RCPT", "slow", "hello", "250", "target 1")
        case("is a tarpit at RCPT", "tarpit", "hello", "451 4.4.1", "nobody")
        # Postfix takes it although nobody waits any more, Exim does not: nobody can know, and the client keeps it.
        case("is a tarpit after the dot", "good", "hello", "451 4.4.2", "target 1" if kind == "postfix" else "nobody",
             sender="stall@victim.example")


def as_forwarder(w, kind, book):
    """In front of the proxy whose target is the other one."""
    mta, other = w.mta[kind], OTHER[kind]
    if other not in w.mta:
        return
    before = len(w.victim.messages)

    def case(title, name, word, copies):
        subject = "front-%s-%d" % (kind, len(book.rows))
        told = send(mta.port, "%s@%s" % (name, FRONT), message(subject, word))
        w.settle()
        book.row(kind + " ->", title, told, "250", copies_of(w, other, subject), copies)

    case("ham", "strict", "hello", "mailbox 1")
    case("spam: tagged, for it must not be refused", "strict", "spam", "mailbox 1 tagged")
    case("spam: quarantined", "keep", "spam", "quarantine 1")
    case("ham, on to " + other, "good", "hello", "target 1")
    case("what %s refuses stays" % other, "good", "refuse-" + other, "mailbox 1")
    case("whom %s does not know stays" % other, "nobody", "hello", "mailbox 1")
    told = send(w.proxy[other].port, "strict@example.net", message("stranger-" + kind, "spam"))
    book.row("stranger", "the same spam", told, "550", copies_of(w, other, "stranger-" + kind), "nobody")
    book.row(kind + " ->", "bounces", "250", "250", str(len(w.victim.messages) - before), "0")
    send(mta.port, "astray@%s" % FRONT, message("astray-" + kind, "hello"))
    w.settle()
    book.row(kind + " ->", "an alias that leads nowhere does bounce", "250", "250", str(len(w.victim.messages) - before), "1")
    w.victim.messages.clear()


def main():
    whole = "builddir" in os.environ  # `show`; `make check` does not set it
    program = os.path.join(os.environ["builddir"], "smtpf-proxy") if whole else None
    book = Book()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="forward-live-") as folder:
        os.chmod(folder, 0o755)
        w = World(folder, program)
        try:
            for kind, mta in w.mta.items():
                print("%s is %s" % (kind, mta.version()))
            for kind, why in w.missing.items():
                print("SKIP %s: %s" % (kind, why))
            for kind in w.mta:
                as_target(w, kind, book, whole)
            for kind in w.mta:
                as_forwarder(w, kind, book)
            w.settle()
            book.row("all", "bounces, and mail in queues", "250", "250",
                     "%d %d" % (len(w.victim.messages), sum(m.waiting() for m in w.mta.values())), "0 0")
            if book.failed:
                for it in list(w.mta.values()) + list(w.proxy.values()):
                    print(it.log()[-2000:], file=sys.stderr)
            names = [m.version() for m in w.mta.values()]
        finally:
            w.stop()
    if not w.mta:
        return 77
    if whole:
        print(json.dumps({"name": "forward-live", "cases": len(book.rows), "failed": book.failed, "skipped": len(w.missing),
                          "mtas": names, "bounces": len(w.victim.messages), "seconds": round(time.monotonic() - begun, 1)}))
    else:
        print("%d passed, %d failed, %d skipped" % (len(book.rows) - book.failed, book.failed, len(w.missing)))
    return 1 if book.failed else 0


if __name__ == "__main__":
    sys.exit(main())
