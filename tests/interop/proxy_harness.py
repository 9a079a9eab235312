# SPDX-License-Identifier: MIT
"""What the tests of smtpf-proxy stand on: a next hop that does as it is told, a client, the proxy as a process.

Everything is on loopback and on ports the system chose. Only processes started here are ended, by their pid. Every
wait is bounded.
"""
import concurrent.futures
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref

import watched

PATIENCE = 20.0  # for anything that ought to happen at once


class Skip(Exception):
    """A case that cannot be run here, and why."""


def eventually(what, condition, within=PATIENCE):
    end = time.monotonic() + within
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("did not happen in time: " + what)


# ---- the next hop ---------------------------------------------------------------------------------------------


class Message:
    def __init__(self, helo, sender, recipients, data, identity):
        self.helo, self.sender, self.recipients, self.data, self.identity = helo, sender, recipients, data, identity


class Sink:
    """A next hop. `rules` maps a command's verb, `DOT` for the end of a message, `EACH` for one recipient's reply after it
    (LMTP; PRDR where that is among the extensions) or `BANNER` to what is done instead of saying yes: a reply (bytes), or
    a function (sink, connection, line) that returns one; None closes the connection. Under PRDR the last reply is a 250
    unless a rule says otherwise, as Exim's is even where every recipient was refused."""

    def __init__(self, extensions=("PIPELINING", "8BITMIME", "SIZE 10000000"), rules=None, port=0, receive_buffer=0,
                 lmtp=False, path=None, host="127.0.0.1"):
        self.extensions, self.rules, self.messages, self.connections = list(extensions), dict(rules or {}), [], 0
        self.lines, self.lock, self.live, self.broken = [], threading.Lock(), set(), 0
        self.slow = 0.0  # seconds between reads inside a message
        self.tls = None  # an ssl.SSLContext: STARTTLS is done with it where it is offered
        self.secured = []  # protocol and name asked for (SNI) of each connection that has TLS
        self.lmtp, self.closed = lmtp, False
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind(path or (host, port))
        self.listener.listen(200)
        self.port = 0 if path else self.listener.getsockname()[1]
        self.address = ("lmtp:" if lmtp else "") + ("unix:" + path if path else "%s:%d" % (host, self.port))
        self.wake_read, self.wake_write = os.pipe()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            ready, _, _ = select.select([self.listener, self.wake_read], [], [])
            if self.wake_read in ready:
                return
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(60)
            if connection.family == socket.AF_INET:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.live.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.converse(connection, connection.makefile("rb"))
        except (OSError, ValueError):
            pass
        with self.lock:
            self.live.discard(connection)
        connection.close()

    def rule(self, verb, connection, line):
        rule = self.rules.get(verb, b"")
        if callable(rule):
            rule = rule(self, connection, line)
        return rule

    def read_message(self, reader):
        data = []
        while True:
            line = reader.readline()
            if self.slow:
                time.sleep(self.slow)
            if line == b".\r\n":
                return b"".join(data)
            if not line:
                self.broken += 1
                return None
            if not line.endswith(b"\r\n"):
                raise ValueError("a bare LF in a message")
            data.append(line[1:] if line.startswith(b".") else line)

    def keep(self, *message):
        with self.lock:
            self.messages.append(Message(*message))
        return b"250 2.0.0 kept as %d\r\n" % len(self.messages)

    def end(self, connection, helo, sender, recipients, data, identity):
        """The replies to the end of a message but the last, which is returned."""
        prdr = "PRDR" in self.extensions and b" PRDR" in sender.upper()
        if not self.lmtp and not prdr:
            end = self.rule("DOT", connection, b"")
            if end is None or (end and not end.startswith(b"2")):
                return end
            kept = self.keep(helo, sender, recipients, data, list(identity))
            return end or kept
        replies = [self.rule("EACH", connection, r) for r in recipients]
        final = b"" if self.lmtp else self.rule("DOT", connection, b"")
        taken = [r for r, reply in zip(recipients, replies) if not reply or reply.startswith(b"2")]
        if taken and final is not None and final[:1] in (b"", b"2"):
            self.keep(helo, sender, taken, data, list(identity))
        replies = [r if r or r is None else b"250 2.0.0 kept\r\n" for r in replies]
        if self.lmtp:
            final = replies.pop()
        for r in ([] if self.lmtp else [b"353 each\r\n"]) + replies:
            if r is None:
                return None
            connection.sendall(r)
        return b"250 2.0.0 done\r\n" if final == b"" else final

    def converse_securely(self, connection):
        names = []
        self.tls.sni_callback = lambda _, name, __: names.append(name)
        with self.tls.wrap_socket(connection, server_side=True) as secure:
            with self.lock:
                self.secured.append((secure.version(), names[-1] if names else None))
                self.live.add(secure)
            try:
                self.converse(secure, secure.makefile("rb"), greet=False)
            finally:
                with self.lock:
                    self.live.discard(secure)

    def converse(self, connection, reader, greet=True):
        helo = sender = None
        recipients, identity = [], []
        say = connection.sendall
        banner = self.rule("BANNER", connection, b"") if greet else b""
        if banner is None:
            return
        if greet:
            say(banner or b"220 sink.example ESMTP\r\n")
        while True:
            line = reader.readline()
            if not line:
                return
            verb = line.split()[0].upper().decode("ascii", "replace") if line.split() else ""
            with self.lock:
                self.lines.append(line)
            reply = self.rule(verb, connection, line)
            if reply is None:
                return
            good = not reply
            if verb == ("EHLO" if self.lmtp else "LHLO") or (self.lmtp and verb == "HELO"):
                reply = b"500 5.5.1 another protocol\r\n"
            elif verb in ("EHLO", "HELO", "LHLO"):
                helo = line
                words = ["sink.example"] + (self.extensions if verb != "HELO" else [])
                words = [w for w in words if w != "STARTTLS" or greet]
                reply = reply or b"".join(
                    b"250%s%s\r\n" % (b" " if i == len(words) - 1 else b"-", w.encode()) for i, w in enumerate(words))
            elif verb == "MAIL":
                sender, recipients = line, []
            elif verb == "RCPT" and good:
                recipients.append(line)
            elif verb in ("XFORWARD", "XCLIENT"):
                identity.append(line)
                reply = reply or (b"220 sink.example ESMTP\r\n" if verb == "XCLIENT" else b"")
            elif verb == "DATA" and good:
                say(b"354 go ahead\r\n")
                data = self.read_message(reader)
                if data is None:
                    return
                reply = self.end(connection, helo, sender, recipients, data, identity)
                if reply is None:
                    return
                sender, recipients = None, []
            elif verb == "STARTTLS" and good and self.tls:
                say(b"220 2.0.0 go ahead\r\n")
                self.converse_securely(connection)
                return
            elif verb == "QUIT":
                say(reply or b"221 2.0.0 bye\r\n")
                return
            say(reply or b"250 2.0.0 yes\r\n")

    def cut(self):
        """Closes every open connection."""
        with self.lock:
            for connection in self.live:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        if not self.closed:
            self.closed = True
            os.write(self.wake_write, b"x")
            self.thread.join(5)
            for fd in (self.wake_read, self.wake_write):
                os.close(fd)
        self.listener.close()
        self.cut()


# ---- the proxy ------------------------------------------------------------------------------------------------


HAND_OVER = """import fcntl, os, sys
own = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 100) for word in sys.argv[2].split(":")] # out of each other's way
for i, fd in enumerate(own):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(own)), LISTEN_FDNAMES=sys.argv[1])
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Proxy:
    """smtpf-proxy with a policy for example.net. Options are paths: `{"limits.message": "1m"}`; a list of pairs where a
    path comes twice."""

    DEFAULTS = {"local_domains": "example.net", "hostnames": "mx.example.net", "proxy.drain": "3s"}
    ASKING = ("iprev", "forward_target")  # checks that ask the DNS, which a test without one of its own must not

    def __init__(self, hop, options=None, arguments=(), policy=None, program=None, listen="127.0.0.1:0",
                 disable=ASKING, inherited=None):
        self.ended, self.clients = None, weakref.WeakSet()
        program = program or os.environ.get("SMTPF_PROXY", "./smtpf-proxy")
        self.log_path = tempfile.NamedTemporaryFile(prefix="smtpf-proxy-log-", delete=False).name
        pairs = list(self.DEFAULTS.items()) if policy is None else [("proxy.drain", "3s")]
        pairs += [("check.disable+", check) for check in disable]
        pairs += options.items() if isinstance(options, dict) else (options or [])
        command = [program, "--listen", listen]
        if hop is not None:
            command += ["--hop", hop if isinstance(hop, str) else "127.0.0.1:%d" % hop]
        for path, value in pairs:
            command += ["--set", "%s=%s" % (path, value)]
        if policy:
            command += ["-c", policy]
        inherited = inherited or {}  # name: a socket that listens, handed over as systemd does
        ours, theirs = os.pipe()
        if inherited:  # whose numbers are 3 and what follows
            low, theirs = theirs, fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 50)
            os.close(low)
        command = watched.wrapped(command + ["--ready-fd", str(theirs), *arguments])
        if inherited:
            numbers = ":".join(str(s.fileno()) for s in inherited.values())
            command = [sys.executable, "-c", HAND_OVER, ":".join(inherited), numbers] + command
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL,
                                            pass_fds=(theirs, *(s.fileno() for s in inherited.values())))
        os.close(theirs)
        ready, _, _ = select.select([ours], [], [], 60)
        line = os.read(ours, 200).decode() if ready else ""
        os.close(ours)
        if not line:
            self.stop()
            raise AssertionError("smtpf-proxy did not start: " + self.log())
        self.path = line.split()[0][5:] if line.startswith("unix:") else None
        self.port = 0 if self.path else int(line.split()[0].rsplit(":", 1)[1])

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, within=30):
        """Ends it, once, and returns its log. A sanitizer's finding, or a crash, is a failure. Clients that are still there have
        their 421, and say no more: it would linger for each."""
        if self.ended is not None:
            return self.ended
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            for client in list(self.clients):
                client.leave()
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            status = "did not stop"
        text = self.ended = self.log()
        os.unlink(self.log_path)
        if status != 0 or "Sanitizer" in text or "runtime error" in text:
            raise AssertionError("smtpf-proxy ended with %s:\n%s" % (status, text[-6000:]))
        return text


# ---- the client -----------------------------------------------------------------------------------------------


class Client:
    def __init__(self, proxy, source="127.0.0.1", banner=True, hello=True, receive_buffer=0, verb=b"EHLO"):
        self.socket = socket.socket(socket.AF_UNIX if proxy.path else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        if proxy.path:
            self.socket.connect(proxy.path)
        else:
            self.socket.bind((source, 0))
            self.socket.connect((getattr(proxy, "ip", "127.0.0.1"), proxy.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        if isinstance(proxy, Proxy):
            proxy.clients.add(self)
        self.banner = self.reply() if banner else None
        self.extensions = self.say(verb + b" client.example.org") if hello and banner else None

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """One whole reply; b"" when the connection is closed."""
        lines = []
        while True:
            line = self.reader.readline()
            if not line:
                return b"".join(lines)
            if not re.fullmatch(rb"[2-5][0-9][0-9][ -][\x20-\x7e]*\r\n", line):
                raise AssertionError("not a reply: %r" % line)
            lines.append(line)
            if line[3:4] == b" ":
                return b"".join(lines)

    def say(self, line):
        self.send(line + b"\r\n")
        return self.reply()

    def expect(self, line, *starts):
        reply = self.say(line)
        if not reply.startswith(starts):
            raise AssertionError("%r was answered %r instead of %r" % (line[:60], reply, starts))
        return reply

    def begin(self, *recipients, sender=b"<sender@example.org>", params=b""):
        self.expect(b"MAIL FROM:" + sender + params, b"250")
        for r in recipients or (b"<user@example.net>",):
            self.expect(b"RCPT TO:" + r, b"250")
        self.expect(b"DATA", b"354")

    def message(self, data):
        """The message's bytes (CRLF), stuffed and ended. Returns the final reply."""
        self.send(stuffed(data))
        return self.reply()

    def message_each(self, data, n, prdr=False):
        """The same where each of `n` recipients has a reply: LMTP, or PRDR with its 353 and the final one around them."""
        self.send(stuffed(data))
        return [self.reply() for _ in range(n + (2 if prdr else 0))]

    def deliver(self, data, *recipients, **rest):
        self.begin(*recipients, **rest)
        return self.message(data)

    def leave(self):
        """Waits for what is said last, and leaves it there to be read."""
        try:
            if select.select([self.socket], [], [], 0.5)[0]:
                self.socket.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass

    def close(self):
        self.reader.close()
        self.socket.close()


def stuffed(data):
    if data.startswith(b"."):
        data = b"." + data
    data = data.replace(b"\r\n.", b"\r\n..")
    return data + (b".\r\n" if data.endswith(b"\r\n") or not data else b"\r\n.\r\n")


HAM = b"From: <sender@example.org>\r\nTo: <user@example.net>\r\nSubject: ham\r\n\r\nHello,\r\n.\r\n..two dots\r\nbye\r\n"


def without_trace(data):
    """The message less the one Received field that the proxy puts first."""
    if not data.startswith(b"Received: from "):
        raise AssertionError("no Received field at the front: %r" % data[:80])
    end = 0
    while True:
        end = data.index(b"\r\n", end) + 2
        if data[end:end + 1] not in (b" ", b"\t"):
            return data[end:]


# ---- running cases ----------------------------------------------------------------------------------------------


def tried(attempt, times=3):
    """Of what shows by being quicker than something else: in one of a few attempts it is, whatever else the machine does. The last
    one may fail."""
    for _ in range(times - 1):
        try:
            return attempt()
        except AssertionError:
            continue
    return attempt()


def outcome(case):
    """`ok`, `SKIP` or `FAIL`, once it has been printed."""
    begun = time.monotonic()
    try:
        case()
        told = "ok   %s (%.2f s)" % (case.__name__, time.monotonic() - begun)
    except Skip as reason:
        told = "SKIP %s: %s" % (case.__name__, reason)
    except Exception:  # pylint: disable=broad-except
        told = "FAIL %s\n%s" % (case.__name__, traceback.format_exc().rstrip())
    print(told + "\n", end="", flush=True)
    return told.split()[0]


def run(cases, argv, together=1):
    """Runs the functions whose names match the words in argv, or all; `together`: so many at a time, where most of what they do is
    wait. The last line counts them."""
    chosen = [case for case in cases if not argv or any(word in case.__name__ for word in argv)]
    with concurrent.futures.ThreadPoolExecutor(together) as pool:
        outcomes = list(pool.map(outcome, chosen))
    failed = outcomes.count("FAIL") + bool(watched.report())
    print("%d passed, %d failed, %d skipped" % (outcomes.count("ok"), failed, outcomes.count("SKIP")))
    return 1 if failed else 0
