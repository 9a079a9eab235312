# SPDX-License-Identifier: MIT
"""The world outside, as far as it takes mail: the targets of our users' forwards, each with a mind of its own; the servers
of people who write to us; and the server of those whose addresses spammers forge. And our own filter behind acceptance.
"""
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from harness import free_port  # noqa: E402
from proxy_harness import Client, Sink  # noqa: E402
from scorer import ID, ask  # noqa: E402
from world import REFUSED  # noqa: E402

PATH = re.compile(rb"<([^>]*)>")


def path(line):
    """The address in a MAIL or RCPT line."""
    found = PATH.search(line)
    return found.group(1).decode("ascii", "replace") if found else ""


def identity(data):
    """The id of the message, or of the one that a bounce is about."""
    found = ID.search(data)
    return found.group(1).decode() if found else None


class Arrival:
    def __init__(self, sender, recipients, data):
        self.when, self.sender, self.recipients, self.data = time.time(), sender, recipients, data
        self.id = identity(data)


class Server(Sink):
    """A mail server of one domain. It keeps everything, unless `judge` (of id, recipients and how often it has seen the
    message) gives a reply, or `drop` to keep or lose it and close without a word."""

    def __init__(self, domain, place, judge=None, rules=None):
        self.domain, self.judge, self.arrived, self.seen = domain, judge, [], {}
        self.ip, port = place
        super().__init__(("PIPELINING", "8BITMIME", "SIZE 10000000"), rules, host=self.ip, port=port)

    def end(self, connection, helo, sender, recipients, data, identity):  # pylint: disable=redefined-outer-name
        arrival = Arrival(path(sender), [path(r) for r in recipients], data)
        with self.lock:
            self.seen[arrival.id] = self.seen.get(arrival.id, 0) + 1
        reply = self.judge(arrival, self.seen[arrival.id]) if self.judge else b""
        if reply == b"" or reply == "kept, and gone":
            with self.lock:
                self.arrived.append(arrival)
        return b"250 2.0.0 kept\r\n" if reply == b"" else None if isinstance(reply, str) else reply

    def known(self):
        with self.lock:
            return list(self.arrived)


def strict(place, mail):
    """Refuses at the dot what it takes for spam."""
    refused = {m.id for m in mail if m.refused_there}
    return Server("strict.example", place, lambda a, _: b"554 5.7.1 this looks like spam\r\n" if a.id in refused else b"")


def closed(place):
    """Has no such mailbox any more, and says so at RCPT."""
    return Server("closed.example", place, rules={"RCPT": b"550 5.1.1 no such user here\r\n"})


def fickle(place):
    """Says yes to whoever asks with the null sender, as callouts do; and no when mail comes."""
    senders = {}

    def mail(_, connection, line):
        senders[connection.fileno()] = path(line)
        return b""

    def rcpt(_, connection, __):
        return b"550 5.2.1 the mailbox is disabled\r\n" if senders.get(connection.fileno()) else b""

    return Server("fickle.example", place, rules={"MAIL": mail, "RCPT": rcpt})


def dropping(place):
    """Closes after the final dot without a reply, the first time it sees a message: one half is lost with it, the other
    half was kept."""
    def judge(arrival, times):
        if times > 1 or not arrival.id:
            return b""
        return "kept, and gone" if int(arrival.id[1:]) % 2 else "gone"

    return Server("drops.example", place, judge)


def world(mail, domains):
    """A server for each domain: on addresses of their own, and on one port, as on the real port 25."""
    special = {"strict.example": lambda place: strict(place, mail), "closed.example": closed, "fickle.example": fickle,
               "drops.example": dropping}
    servers, port = {}, free_port()
    for i, d in enumerate(domains):
        place = ("127.0.1.%d" % (i + 1), port)
        servers[d] = special[d](place) if d in special else Server(d, place)
    return servers


# ---- a filter behind acceptance ------------------------------------------------------------------------------------------


class Filter(Sink):
    """What a mail server hands its mail to after it has taken it (Postfix's content_filter). What the scanner calls spam
    is refused, so that the server bounces it, or with `discard` dropped; the rest goes back to the server."""

    def __init__(self, scorer, discard):
        self.scorer, self.discard, self.back, self.dropped = scorer, discard, None, []
        self.count = threading.Lock()
        super().__init__(("PIPELINING", "8BITMIME", "SIZE 10000000", "DSN"))

    def end(self, connection, helo, sender, recipients, data, identity):  # pylint: disable=redefined-outer-name
        if ask(self.scorer.port, data) >= REFUSED:
            if not self.discard:
                return b"550 5.7.1 spam\r\n"
            with self.count:
                self.dropped += [(Arrival("", [], data).id, path(r)) for r in recipients]
            return b"250 2.0.0 discarded\r\n"
        client = Client(self.back, hello=False)
        try:
            client.expect(b"EHLO filter.example.net", b"250")
            client.expect(sender.strip(), b"250")
            for r in recipients:
                client.expect(r.strip(), b"250")
            client.expect(b"DATA", b"354")
            return client.message(data)
        except AssertionError as why:
            print("filter: %s" % why, file=sys.stderr)
            return b"451 4.3.0 cannot give it back\r\n"
        finally:
            client.close()


class Port:
    """What proxy_harness.Client connects to."""
    path = None

    def __init__(self, port, ip="127.0.0.1"):
        self.port, self.ip = port, ip
