# SPDX-License-Identifier: MIT
"""Who sends: a client of our own, which knows PRDR, STARTTLS and LMTP; swaks; smtp-source. Each tells what it was answered."""
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import time

from harness import has_ipv6
from mta import Missing

ADDRESSES = {"stranger": "127.0.0.25", "listed": "127.0.0.66", "doubted": "127.0.0.77", "suspected": "127.0.0.88",
             "office": "127.0.0.70", "six": "::1"}
SENDER = "a@example.org"
FAR = "lmtp.example.net"  # whose mailboxes are behind another server
BODY = b"Good day,\r\n.\r\n..two dots\r\n%s\r\nbye\r\n"
WORDS = {"worse": b"an unwanted offer", "virus": b"EVIL"}
STAGES = ("connect", "helo", "mail", "rcpt", "data", "header", "body")


class Reply:
    """What was answered, and how long it took."""

    def __init__(self, code, text, took=0.0):
        self.code, self.took = code, took
        self.text = " ".join((text.decode("latin-1") if isinstance(text, bytes) else text).split())

    def __repr__(self):
        return "%s %s (%.1f s)" % (self.code, self.text, self.took)


class Answers:
    """Of one transaction: `rcpt` and `each` (the reply for a recipient after the message, where there is one) by name."""

    def __init__(self):
        self.mail = self.data = self.end = None
        self.rcpt, self.each = {}, {}

    def last(self, name):
        """The last word about one recipient."""
        rcpt = self.rcpt.get(name) or self.mail
        return rcpt if rcpt.code != 250 else self.each.get(name) or self.end or self.data

    def __repr__(self):
        return "mail %r rcpt %r data %r end %r each %r" % (self.mail, self.rcpt, self.data, self.end, self.each)


def address(name):
    return "%s@%s" % (name, FAR if name == "far" else "example.net")


def server_of(who):
    """Where it finds the server: at the address of its own family."""
    if ":" not in ADDRESSES[who]:
        return "127.0.0.1"
    if not has_ipv6():
        raise Missing("no IPv6 here")
    return "::1"


def body(kind):
    return BODY % WORDS.get(kind, b"nothing else")


def message(kind, subject):
    head = b"From: <%s>\r\nTo: <somebody@example.net>\r\nSubject: %s\r\nMessage-Id: <%s@example.org>\r\n" % (
        SENDER.encode(), subject.encode(), re.sub(r"\W", "-", subject).encode())
    return head + (b"X-Smtpfilter: tagged; forged\r\n" if kind == "forged" else b"") + b"\r\n" + body(kind)


class Own(smtplib.SMTP):
    """One connection."""

    def __init__(self, port, who="stranger"):
        super().__init__(timeout=30, source_address=(ADDRESSES[who], 0))
        self._host = server_of(who)  # whose certificate it must be
        self.greeting = Reply(*self.connect(self._host, port))

    def __exit__(self, *_):
        try:
            self.docmd("QUIT")
        except (OSError, smtplib.SMTPException):
            pass
        self.close()

    def say(self, line):
        begun = time.monotonic()
        self.send(line + "\r\n")
        code, text = self.getreply()
        return Reply(code, text, time.monotonic() - begun)

    def hello(self, tool, authority=None):
        """The last of the replies before MAIL."""
        if tool == "lmtp":
            return self.say("LHLO client.example")
        reply = Reply(*self.ehlo("client.example"))
        if tool == "tls" and reply.code == 250:
            reply = Reply(*self.starttls(context=ssl.create_default_context(cafile=authority)))
            reply = Reply(*self.ehlo("client.example")) if reply.code == 220 else reply
        return reply

    def transaction(self, names, data, tool="", sender=SENDER):
        got = Answers()
        offered = tool == "prdr" and self.has_extn("prdr")
        got.mail = self.say("MAIL FROM:<%s>%s" % (sender, " PRDR" if offered else ""))
        if got.mail.code >= 400:
            return got
        for name in names:
            got.rcpt[name] = self.say("RCPT TO:<%s>" % address(name))
        accepted = [n for n in names if got.rcpt[n].code == 250]
        if not accepted:
            return got
        got.data = self.say("DATA")
        if got.data.code != 354:
            return got
        begun = time.monotonic()
        self.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        if tool == "lmtp":
            got.each = {name: Reply(*self.getreply()) for name in accepted}
            return got
        got.end = Reply(*self.getreply(), time.monotonic() - begun)
        if got.end.code == 353:
            for name in accepted:
                got.each[name] = Reply(*self.getreply())
            got.end = Reply(*self.getreply())
        return got


def gone(error):
    """A connection that could not be had, or kept."""
    got = Answers()
    got.mail = Reply(0, "closed: %s" % error)
    return got


def send(port, who, names, data, tool="", authority=None):
    try:
        with Own(port, who) as client:
            hello = client.greeting
            if hello.code == 220:
                hello = client.hello(tool, authority)
            if hello.code != 250:
                got = Answers()
                got.mail = hello
                return got
            return client.transaction(names, data, tool)
    except (OSError, smtplib.SMTPException) as e:
        return gone(e)


def send_with_swaks(port, who, names, data):
    """The same by swaks, whose transcript is read."""
    program = shutil.which("swaks")
    if not program:
        raise Missing("no swaks here")
    out = subprocess.run([program, "--server", "127.0.0.1", "--port", str(port), "--local-interface", ADDRESSES[who], "--helo",
                          "client.example", "--from", SENDER, "--to", ",".join(address(n) for n in names), "--data", "-"],
                         input=data.replace(b"\r\n", b"\n"), capture_output=True, timeout=60, check=False).stdout.decode("latin-1")
    got, verb, lines, rest = Answers(), "", [], list(names)
    for line in out.splitlines():
        told = re.match(r"<(?:-|\*\*) +(\d{3})([ -])(.*)", line)
        if not told:
            verb = line[4:].strip() if line.startswith(" -> ") else verb
            continue
        lines.append(told[3])
        if told[2] == "-":
            continue
        reply, lines = Reply(int(told[1]), " ".join(lines)), []
        if verb.startswith("MAIL"):
            got.mail = reply
        elif verb.startswith("RCPT"):
            got.rcpt[rest.pop(0)] = reply
        elif verb == "DATA":
            got.data = reply
        elif verb == ".":
            got.end = reply
    return got if got.mail else gone(out[-300:])


def send_many(port, names, subject, count, sessions):
    """`count` messages by smtp-source, which gives up at the first reply that is no 2xx. Its complaints, or ""."""
    program = shutil.which("smtp-source", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    if not program:
        raise Missing("no smtp-source here")
    out = subprocess.run([program, "-s", str(sessions), "-m", str(count), "-l", "2000", "-f", SENDER, "-t", address(names[0]), "-S", subject,
                          "-M", "client.example", "127.0.0.1:%d" % port], capture_output=True, timeout=120, check=False)
    return out.stderr.decode("latin-1") if out.returncode else ""


def leave(port, who, name, stage, subject):
    """A client that goes when it has come to `stage`."""
    words = {"helo": b"EHLO client.example\r\n", "mail": b"MAIL FROM:<a@example.org>\r\n", "rcpt": b"RCPT TO:<%s>\r\n" % address(name).encode(),
             "data": b"DATA\r\n", "header": b"Subject: %s\r\n" % subject.encode(), "body": b"\r\nand th"}
    with socket.create_connection(("127.0.0.1", port), 30, (ADDRESSES[who], 0)) as s:
        lines = s.makefile("rb")
        lines.readline()
        for step in STAGES[1:STAGES.index(stage) + 1]:
            s.sendall(words[step])
            while step in STAGES[:5] and lines.readline()[3:4] == b"-":
                pass
