#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-milter behind a real Postfix: every verdict as the client sees it, and what was delivered; clients that go away,
XCLIENT; the filter restarted under load, and killed. With `--long` more load."""
import os
import signal
import smtplib
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import milter  # noqa: E402
from milter import check  # noqa: E402
from milter_world import BOXES, FEW_ERRORS, LISTED, SPLIT, STRANGER, TOGETHER, World, policy, spares  # noqa: E402
from mta import Missing, Postfix  # noqa: E402

MAIN = """
{guide}milter_connect_timeout = 2s
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
"""


class Client(smtplib.SMTP):
    def __init__(self, port, address=STRANGER):
        super().__init__("127.0.0.1", port, "client.example", 20, (address, 0))


def sender_for(port):
    def send(sender, recipients, subject, client, body="hello", mark=None):
        with Client(port, client) as s:
            s.ehlo("client.example")
            code, text = s.mail(sender)
            if code >= 400:
                return [(code, text.decode())] * len(recipients), None
            rcpts = [(code, text.decode()) for code, text in (s.rcpt(r) for r in recipients)]
            if not any(code == 250 for code, _ in rcpts):
                return rcpts, None
            head = "Subject: %s\r\n%s" % (subject, "X-Smtpfilter: %s\r\n" % mark if mark else "")
            try:
                code, text = s.data((head + "\r\n" + body + "\r\n").encode())
            except smtplib.SMTPDataError as e:
                code, text = e.smtp_code, e.smtp_error
            return rcpts, (code, text.decode())
    return send


def held(mta):
    return sum(len(files) for _, _, files in os.walk(os.path.join(mta.root, "spool", "hold")))


def goes_away(port, server):
    """A client that goes at each stage leaves nothing behind."""
    steps = [b"EHLO c.example\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<b@example.net>\r\n", b"DATA\r\n",
             b"Subject: half\r\n", b"\r\nand"]
    for n in range(len(steps) + 1):
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            f = s.makefile("rb")
            f.readline()
            for i, step in enumerate(steps[:n]):
                s.sendall(step)
                while i < 4 and f.readline()[3:4] == b"-":
                    pass
    with Client(port) as s:  # and one that takes back what it said, twice
        s.ehlo("c.example")
        s.mail("a@example.org")
        s.rcpt("b@example.net")
        s.docmd("RSET")
        s.docmd("RSET")
        s.mail("a@example.org")
        got = s.rcpt("b@example.net")
    check("a client that goes at any stage, one that begins anew", got[0] == 250 and server.process.poll() is None, got)


def second_identity(port):
    with Client(port) as s:
        s.ehlo("c.example")
        code, _ = s.docmd("XCLIENT", "ADDR=%s NAME=[UNAVAILABLE]" % LISTED)
        s.ehlo("c.example")
        s.mail("a@example.org")
        got = s.rcpt("b@example.net")
    check("XCLIENT: judged as whom it speaks for", code == 220 and got[0] == 550, (code, got))


class Load:
    """Clients that send until told to stop; each message is `taken` or `later`, nothing else."""

    def __init__(self, port, clients, name):
        self.port, self.name, self.done = port, name, threading.Event()
        self.taken, self.later, self.wrong = [], 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]
        for t in self.threads:
            t.start()

    def run(self, which):
        send, n = sender_for(self.port), 0
        while not self.done.is_set():
            n += 1
            subject = "%s-%d-%d" % (self.name, which, n)
            try:
                rcpts, end = send("a@example.org", ["b@example.net"], subject, STRANGER)
                code = (end or rcpts[0])[0]
            except (OSError, smtplib.SMTPException) as e:
                code = getattr(e, "smtp_code", 0) or repr(e)
            with self.lock:
                if code == 250:
                    self.taken.append(subject)
                elif isinstance(code, int) and 400 <= code < 500:
                    self.later += 1
                else:
                    self.wrong.append((subject, code))

    def until(self, condition):
        """Waits, within bounds: how fast it goes is the machine's."""
        end = time.monotonic() + 30
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)

    def stop(self):
        self.done.set()
        for t in self.threads:
            t.join(60)


def restarted(mta, world, tmp, server, text, times):
    """A new filter takes the socket while the old one still serves: nobody is refused, nothing is lost."""
    load = Load(mta.second_port, 3, "restart")
    for _ in range(times):
        before = len(load.taken)
        load.until(lambda: len(load.taken) > before + 10)
        old, server = server, milter.Server(tmp, text, "--threads", "2", unix=os.path.join(tmp, "m.sock"))
        check("the old one ends by itself", old.stop() == 0)
    before = len(load.taken)
    load.until(lambda: len(load.taken) > before + 5)
    load.stop()
    check("restarted under load: nobody is refused", not load.wrong and len(load.taken) > 3, (load.wrong[:3], len(load.taken)))
    check("restarted under load: nothing is lost", world.all_arrived("b@example.net", set(load.taken)))
    check("restarted %d times under load: nobody is even put off" % times, load.later == 0, load.later)
    return server


def killed(mta, world, tmp, server, text):
    load = Load(mta.second_port, 3, "kill")
    load.until(lambda: len(load.taken) > 3)
    server.kill()
    load.until(lambda: load.later > 3)
    server = milter.Server(tmp, text, unix=os.path.join(tmp, "m.sock"))
    before = len(load.taken)
    load.until(lambda: len(load.taken) > before + 3)
    load.stop()
    check("killed under load: put off or taken, nothing else", not load.wrong and load.later > 0 and load.taken,
          (load.wrong[:3], load.later, len(load.taken)))
    check("killed under load: what was taken is there", world.all_arrived("b@example.net", set(load.taken)))
    return server


def scenes(mta, tmp, server, text, times):
    world = World(check, sender_for(mta.port), mta.messages, lambda: held(mta))
    world.all()
    goes_away(mta.port, server)
    second_identity(mta.port)
    check("the policy is read again", server.reload(text.replace("127.0.0.66", "127.0.0.67").replace(SPLIT, TOGETHER)))
    world.discards_beside()
    rcpts, _ = sender_for(mta.port)("a@example.org", ["b@example.net"], "ten", LISTED)
    check("after it", rcpts[0][0] == 250, rcpts)
    server.write("nonsense")
    server.process.send_signal(signal.SIGHUP)
    rcpts, _ = sender_for(mta.port)("a@example.org", ["b@example.net"], "eleven", STRANGER)
    check("a broken policy changes nothing", server.logged("reload-failed") and rcpts[0][0] == 250, rcpts)
    server.reload(text + FEW_ERRORS)
    world.shown_out(lambda address: Client(mta.port, address))
    server.reload(spares(tmp))
    world.spared(lambda address: Client(mta.port, address), server)
    world.send("a@example.org", ["b@example.net"], "spared, forged", STRANGER, mark="forged")
    got = world.arrived("b@example.net", "spared, forged")
    check("spared: a forged mark is gone by Postfix's own hand", got and b"forged\n" not in got.replace(b"spared, forged", b""), got)
    server.reload(text)
    server = restarted(mta, world, tmp, server, text, times)
    return killed(mta, world, tmp, server, text)


def main():
    times = 10 if "--long" in sys.argv else 1
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        root, port = os.path.join(tmp, "postfix"), milter.free_port()
        os.mkdir(root)
        text = policy(tmp, 'milter = { socket_mode = "0666"; };')
        try:
            paste = harness.fitted(harness.guide("milter.md", "smtpd_milters = "), ("unix:smtpf-milter/socket", "inet:127.0.0.1:%d" % port))
            mta = Postfix(root, BOXES, MAIN.format(guide=paste + harness.guide("milter.md", "header_checks = ")),
                          ["smtpd_milters=unix:%s" % os.path.join(tmp, "m.sock")])
        except Missing as why:
            harness.skip(why)
        server = None
        try:
            server = milter.Server(tmp, text, port=port, unix=os.path.join(tmp, "m.sock"))
            server = scenes(mta, tmp, server, text, times)
            check("it ends", server.stop() == 0)
        finally:
            if server and server.process.poll() is None:
                server.kill()
            mta.stop()
        if milter.FAILED:
            print(mta.log()[-3000:])
            print(server.log()[-3000:])
    milter.conclude()


if __name__ == "__main__":
    main()
