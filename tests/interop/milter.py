# SPDX-License-Identifier: MIT
"""smtpf-milter, and an MTA of our own that speaks the milter protocol to it, in the right order and in the wrong one."""
import os
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import watched  # noqa: E402
from harness import FAILED, check, conclude, free_port  # noqa: E402,F401

BINARY = os.path.abspath("smtpf-milter")

ACTIONS = 0x1ff     # all that Postfix and Sendmail allow
NR_CONN, NR_HELO, NR_MAIL = 0x1000, 0x2000, 0x4000
WHOLE_PROTOCOL = 0x1fffff
PROTOCOL = WHOLE_PROTOCOL & ~(NR_CONN | NR_HELO | NR_MAIL)  # an MTA that waits for each answer
NR_HDR, NR_EOH, NR_BODY, LEADSPC, SKIP, RCPT_REJ = 0x80, 0x40000, 0x80000, 0x100000, 0x400, 0x800


class Server:
    """smtpf-milter on a port; `unix`: a socket beside the port."""

    def __init__(self, tmp, policy, *argv, port=None, unix=None, environment=None):
        self.tmp, self.port, self.log_path = tmp, port or free_port(), os.path.join(tmp, "milter.log")
        self.policy = os.path.join(tmp, "policy.conf")
        self.write(policy)
        listen = ["--listen", "127.0.0.1:%d" % self.port] + (["--listen", "unix:" + unix] if unix else [])
        ready, told = os.pipe()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                watched.wrapped([BINARY, "-c", self.policy, *listen, "--ready-fd", str(told), *argv]),
                stdin=subprocess.DEVNULL, stderr=log, pass_fds=(told,), env=dict(os.environ, **(environment or {})))
        os.close(told)
        with os.fdopen(ready, "rb") as f:
            if not f.readline():
                self.process.wait(10)
                sys.exit("smtpf-milter did not start: " + self.log()[-2000:])

    def write(self, policy):
        with open(self.policy, "w", encoding="ascii") as f:
            f.write(policy)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def logged(self, text, seconds=5):
        for _ in range(int(seconds * 50)):
            if text in self.log():
                return True
            time.sleep(0.02)
        return False

    def reload(self, policy):
        before = self.log().count("event=reloaded")
        self.write(policy)
        self.process.send_signal(signal.SIGHUP)
        for _ in range(250):
            if self.log().count("event=reloaded") > before:
                return True
            time.sleep(0.02)
        return False

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def stop(self, times=1):
        for _ in range(times):
            self.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.process.returncode


class Closed(Exception):
    pass


class Mta:
    """The MTA's side of one connection."""

    def __init__(self, where, version=6, actions=ACTIONS, protocol=PROTOCOL, negotiate=True):
        self.s = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        self.s.settimeout(15)
        self.s.connect(where if isinstance(where, str) else ("127.0.0.1", where))
        self.symbols, self.terms, self.progress = {}, (version, 0, 0), 0
        if negotiate:
            self.send("O", struct.pack(">III", version, actions, protocol))
            letter, data = self.read()
            assert letter == "O", letter
            self.terms = struct.unpack(">III", data[:12])
            rest = data[12:]
            while rest:
                stage, = struct.unpack(">I", rest[:4])
                names, rest = rest[4:].split(b"\0", 1)
                self.symbols[stage] = names.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, letter, data=b""):
        self.s.sendall(self.packet(letter, data))

    @staticmethod
    def packet(letter, data=b""):
        return struct.pack(">I", len(data) + 1) + letter.encode() + data

    def exactly(self, n):
        data = b""
        while len(data) < n:
            piece = self.s.recv(n - len(data))
            if not piece:
                raise Closed(data)
            data += piece
        return data

    def read(self):
        n, = struct.unpack(">I", self.exactly(4))
        data = self.exactly(n)
        return data[:1].decode(), data[1:]

    def ask(self, letter, data=b""):
        """The answer in words: `continue`, `550 5.7.1 text`."""
        self.send(letter, data)
        return self.answer()

    def answer(self):
        letter, data = self.read()
        if letter == "y":
            assert data.endswith(b"\0")
            return data[:-1].decode()
        return {"c": "continue", "a": "accept", "d": "discard", "r": "reject", "t": "tempfail", "s": "skip"}.get(letter, (letter, data))

    def answers(self, n):
        """So many answers; that one is still to come is none."""
        found = []
        while len(found) < n:
            found += [got for got in [self.answer()] if got != ("p", b"")]
        return found

    def silent(self, seconds=0.2):
        """Whether nothing comes."""
        self.s.settimeout(seconds)
        try:
            return self.s.recv(1, socket.MSG_PEEK) is None
        except socket.timeout:
            return True
        finally:
            self.s.settimeout(15)

    def stage(self, letter, data, unanswered):
        """One of the stages that may go without an answer."""
        if not self.terms[2] & unanswered:
            return self.ask(letter, data)
        self.send(letter, data)
        return "continue"

    def macro(self, letter, **pairs):
        strings = [x for k, v in pairs.items() for x in ((k if len(k) == 1 else "{%s}" % k), v)]
        self.send("D", letter.encode() + b"".join(x.encode() + b"\0" for x in strings))

    def connect(self, address="192.0.2.25", name="mail.example.org", port=40000):
        if address is None:
            return self.stage("C", b"localhost\0U", NR_CONN)
        family = b"6" if ":" in address else b"4"
        return self.stage("C", name.encode() + b"\0" + family + struct.pack(">H", port) + address.encode() + b"\0", NR_CONN)

    def helo(self, name="mail.example.org"):
        return self.stage("H", name.encode() + b"\0", NR_HELO)

    def mail(self, path="<a@example.org>", *params):
        return self.stage("M", b"".join(x.encode() + b"\0" for x in (path,) + params), NR_MAIL)

    def rcpt(self, path, *params):
        return self.ask("R", b"".join(x.encode() + b"\0" for x in (path,) + params))

    def refused_rcpt(self, path, enhanced="5.1.1", text="unknown"):
        """A recipient that the MTA has refused, and tells of all the same."""
        self.macro("R", rcpt_mailer="error", rcpt_host=enhanced, rcpt_addr=text)
        return self.rcpt(path)

    def header(self, name, value):
        blank = " " if self.terms[2] & LEADSPC else ""
        self.send("L", name.encode() + b"\0" + (blank + value).encode() + b"\0")
        return "continue" if self.terms[2] & NR_HDR else self.answer()

    def eoh(self):
        self.send("N")
        return "continue" if self.terms[2] & NR_EOH else self.answer()

    def body(self, data):
        self.send("B", data)
        return "continue" if self.terms[2] & NR_BODY else self.answer()

    def end(self, data=b""):
        """The changes, and the answer behind them; `self.progress` counts how often it was said that they are to come."""
        self.send("E", data)
        changes, self.progress = [], 0
        while True:
            got = self.answer()
            if isinstance(got, str):
                return changes, got
            if got == ("p", b""):
                self.progress += 1
            else:
                changes.append((got[0], got[1]))

    def open(self, *recipients, sender="<a@example.org>", **peer):
        """Up to the accepted recipients; asserts that each step went."""
        for got in (self.connect(**peer), self.helo(), self.mail(sender), *(self.rcpt(r) for r in recipients)):
            assert got == "continue", got

    def message(self, subject="hello", body=b"hello\r\n", **fields):
        self.ask("T")
        self.header("Subject", subject)
        for name, value in fields.items():
            self.header(name.replace("_", "-"), value)
        self.eoh()
        self.body(body)
        return self.end()

