# SPDX-License-Identifier: MIT
"""Those who send. A spammer tries once and does not care. A mail server keeps what was put off and comes again; what was
refused for good it tells its user, and a forwarder's user is whoever the envelope names, forged or not.

One message at a time, so that a run can be repeated.
"""
import heapq
import re
import socket
import time

from sinks import Port
from proxy_harness import Client, stuffed
from world import SITE

ATTEMPTS, PAUSE = 6, 1.5  # of a mail server; seconds stand for its quarter of an hour


class Line(Client):
    """A client that counts what it sends, and greets by its name."""

    def __init__(self, port, host):
        self.sent = 0
        super().__init__(Port(port), source=host.ip, hello=False)
        if self.banner.startswith(b"2"):
            self.say(b"EHLO " + host.name.encode())

    def send(self, data):
        super().send(data)
        self.sent += len(data)


class Told:
    """What became of each copy, as far as its sender knows."""

    def __init__(self):
        self.reply = {}  # (message, recipient): last reply
        self.stage = {}  # the same: where it was given
        self.user = set()  # (message, recipient) whose sender was told by its own server
        self.ends = []  # (message, recipients) of every message that was given over, in order
        self.begun, self.bytes_of_spam, self.deferrals, self.bounced_by_others = {}, 0, 0, []


def transaction(line, envelope, recipients):
    """{recipient: (stage, reply)} for one transaction."""
    said = line.say(b"MAIL FROM:<%s>" % envelope.sender.encode())
    if not said.startswith(b"2"):
        return {r: ("mail", said) for r in recipients}
    told = {r: ("rcpt", line.say(b"RCPT TO:<%s>" % envelope.names.get(r, r).encode())) for r in recipients}
    taken = [r for r in recipients if told[r][1].startswith(b"2")]
    if taken:
        stage, said = "data", line.say(b"DATA")
        if said.startswith(b"3"):
            line.send(stuffed(envelope.data))
            stage, said = "end", line.reply()
        told.update({r: (stage, said) for r in taken})
    else:
        line.say(b"RSET")
    return told


class Envelope:
    """A message as it is sent: a bounce's text and recipient are known only now."""

    def __init__(self, message):
        self.message, self.sender, self.data, self.names = message, message.sender, message.data, {}


def bounce(to, quoted, reason, head=b"", host="out.partner.example", about="nobody@partner.example"):
    """A delivery status notification (RFC 3464), with the header of what it is about."""
    if not head:
        head = ("From: <MAILER-DAEMON@%s>\r\nTo: <%s>\r\nSubject: Undelivered mail\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n"
                "MIME-Version: 1.0\r\n" % (host, to)).encode()
    return head + (
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=lab"\r\n\r\n'
        "--=lab\r\nContent-Type: text/plain\r\n\r\nYour mail could not be delivered: %s\r\n"
        "--=lab\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; %s\r\n\r\n"
        "Final-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: 5.0.0\r\n"
        "--=lab\r\nContent-Type: text/rfc822-headers\r\n\r\n" % (reason, host, about)).encode() + quoted + b"\r\n--=lab--\r\n"


class Senders:
    """All of them. `world`: servers by domain, for what they tell each other."""

    def __init__(self, port, world):
        self.port, self.world, self.told, self.queue, self.order = port, world, Told(), [], 0

    def run(self, mail):
        for m in mail:
            self.come_again(time.monotonic())
            envelope = Envelope(m)
            if m.answers or m.quotes:
                self.complete(envelope)
            self.told.begun[m.id] = time.time()
            self.try_once(envelope, list(m.recipients), 1)
        while self.queue:
            time.sleep(max(0.0, self.queue[0][0] - time.monotonic()))
            self.come_again(time.monotonic())

    def come_again(self, now):
        while self.queue and self.queue[0][0] <= now:
            _, _, envelope, recipients, attempt = heapq.heappop(self.queue)
            self.try_once(envelope, recipients, attempt)

    def complete(self, envelope):
        """A bounce: to the envelope sender of what it answers, as that arrived there, quoting its header as it was."""
        m = envelope.message
        quoted, to = m.quotes, m.recipients[0]
        if m.answers:
            end = time.monotonic() + 20
            arrived = None
            while not arrived and time.monotonic() < end:
                arrived = next((a for a in self.world["partner.example"].known() if a.id == m.answers), None)
                time.sleep(0.01)
            if arrived:
                quoted, envelope.names[to] = arrived.data.split(b"\r\n\r\n", 1)[0] + b"\r\n", arrived.sender
        envelope.data = bounce(to, quoted, "user unknown", m.data)

    def try_once(self, envelope, recipients, attempt):
        m = envelope.message
        try:
            line = Line(self.port, m.host)
        except OSError as why:
            told = {r: ("connect", b"421 %s" % str(why).encode()) for r in recipients}
        else:
            told = self.converse(line, envelope, recipients)
            if m.host.kind == "spammer":
                self.told.bytes_of_spam += line.sent
        self.settle(envelope, told, attempt)

    def converse(self, line, envelope, recipients):
        m, told = envelope.message, {}
        try:
            if not line.banner.startswith(b"2"):
                return {r: ("connect", line.banner) for r in recipients}
            left = recipients
            for _ in range(10):
                told.update(transaction(line, envelope, left))
                ended = [r for r in left if told[r][0] == "end"]
                self.told.ends += [(m.id, ended)] if ended else []
                # a server told 452 at RCPT sends those in another transaction; many do so at once (RFC 5321 4.5.3.1.10)
                left = [r for r in left if told[r][0] == "rcpt" and told[r][1].startswith(b"452")]
                if not left or m.host.kind == "spammer" or not m.host.at_once:
                    break
                self.told.deferrals += len(left) if m.ham else 0
            line.say(b"QUIT")
        except (OSError, socket.timeout) as why:
            told.update({r: ("lost", b"421 %s" % str(why).encode()) for r in recipients if r not in told})
        finally:
            line.close()
        return told

    def settle(self, envelope, told, attempt):
        m, again = envelope.message, []
        for r, (stage, reply) in told.items():
            key = (m.id, r)
            self.told.reply[key], self.told.stage[key] = (reply or b"421 closed").decode("ascii", "replace").strip(), stage
            if reply[:1] == b"2" or m.host.kind == "spammer":
                continue
            if reply[:1] == b"5":
                self.give_up(envelope, r)
                continue
            self.told.deferrals += 1 if m.ham else 0
            if attempt < ATTEMPTS:
                again.append(r)
            else:
                self.give_up(envelope, r)
        if again:
            self.order += 1
            heapq.heappush(self.queue, (time.monotonic() + PAUSE, self.order, envelope, again, attempt + 1))

    def give_up(self, envelope, recipient):
        """Its sender is told: by its own server, or by the bounce of a forwarder to whoever the envelope names."""
        m = envelope.message
        if m.host.kind != "forwarder":
            self.told.user.add((m.id, recipient))
            return
        if not m.sender:
            return
        server = self.world[m.sender.split("@")[1]]
        data = bounce(m.sender, envelope.data.split(b"\r\n\r\n", 1)[0] + b"\r\n", self.told.reply[(m.id, recipient)],
                      host=m.host.name, about=recipient)
        client = Client(Port(server.port, server.ip))
        try:
            client.deliver(data, b"<%s>" % m.sender.encode(), sender=b"<>")
        finally:
            client.close()
        self.told.bounced_by_others.append((m.id, recipient))


def final_recipients(data):
    """Whom a bounce is about: our recipients' addresses, when they are among them."""
    found = re.findall(rb"^(?:Original|Final)-Recipient: rfc822; *<?([^\s>]+)", data, re.M | re.I)
    return [f.decode("ascii", "replace").lower() for f in found]


def ours(address):
    return address.endswith("@" + SITE)
