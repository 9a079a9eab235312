#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-policyd, asked as Postfix asks: over TCP and a Unix socket, in pieces, pipelined, by many at once."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import watched  # noqa: E402
from harness import check, conclude, free_port  # noqa: E402

BINARY = os.path.abspath("smtpf-policyd")


class Server:
    def __init__(self, tmp, *argv, policy=None, port=None):
        self.port, self.path = port or free_port(), os.path.join(tmp, "policyd.sock")
        if policy is not None:
            self.policy = os.path.join(tmp, "policy.conf")
            with open(self.policy, "w", encoding="ascii") as f:
                f.write(policy)
            argv = ("-c", self.policy) + argv
        self.said = tempfile.TemporaryFile("w+")  # a pipe that nobody reads would be full one day
        self.process = subprocess.Popen(watched.wrapped([BINARY, "--inet", "127.0.0.1:%d" % self.port, "--unix", self.path, *argv]),
                                        stdin=subprocess.DEVNULL, stderr=self.said)
        for _ in range(100):
            try:
                self.connect().close()
                self.unix().close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        sys.exit("smtpf-policyd did not start: " + self.log())

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def unix(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(self.path)
        return s

    def stop(self):
        """Its status, and what it had to complain about."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, "".join(line for line in self.log().splitlines(True) if not re.match(r"\S+Z (info|notice) ", line))

    def log(self):
        size = os.fstat(self.said.fileno()).st_size
        return os.pread(self.said.fileno(), size, 0).decode()


def request(state="RCPT", sender="a@example.org", recipient="b@example.net", client="192.0.2.25", name="unknown", **more):
    attributes = {"request": "smtpd_access_policy", "protocol_state": state, "protocol_name": "ESMTP", "helo_name": "mail.example.org",
                  "queue_id": "", "sender": sender, "recipient": recipient, "recipient_count": "0", "client_address": client,
                  "client_name": name, "instance": "", "sasl_method": "", "sasl_username": "", "size": "0"}
    attributes.update(more)
    return "".join("%s=%s\n" % pair for pair in attributes.items()).encode() + b"\n"


def answers(s, n=1):
    data = b""
    while data.count(b"\n\n") < n:
        piece = s.recv(4096)
        if not piece:
            break
        data += piece
    return [a.decode() for a in data.split(b"\n\n")[:-1]]


def ask(s, **attributes):
    s.sendall(request(**attributes))
    got = answers(s)
    return got[0] if got else "closed"


LATER = "action=DEFER_IF_PERMIT 4.7.1 greylisted, please come back in "


def like_postgrey(tmp):
    delay = 4 if watched.WRAPPER else 1  # under valgrind the requests below take longer than a second
    server = Server(tmp, "--delay=%d" % delay, "--auto-whitelist-clients=2")
    with server.connect() as s:
        got = ask(s)
        check("first contact is put off", got.startswith(LATER), got)
        got = ask(s, recipient="c@example.net")
        check("on the same connection", got.startswith(LATER), got)
        got = ask(s, state="VRFY")
        check("a state that is none of ours", got == "action=DUNNO", got)
        got = ask(s, state="END-OF-MESSAGE")
        check("end of message stands for all before it", got.startswith(LATER), got)
        got = ask(s, state="END-OF-MESSAGE", recipient="", recipient_count="2")
        check("end of a message that nobody was asked about", got == "action=DUNNO", got)
        got = ask(s, sasl_method="plain", sasl_username="alice", sender="x@example.org")
        check("who has authenticated itself", got == "action=DUNNO", got)
        time.sleep(delay + 0.2)
        got = ask(s)
        check("a retry is let through", got == "action=DUNNO", got)
    with server.unix() as s:
        got = ask(s, recipient="c@example.net")
        check("over a Unix socket", got == "action=DUNNO", got)
        got = ask(s, sender="other@example.com", recipient="d@example.net")
        check("auto-allowed", got == "action=DUNNO", got)
        got = ask(s, sender="", recipient="d@example.net", client="198.51.100.7")
        check("the null sender at RCPT", got == "action=DUNNO", got)
        got = ask(s, state="DATA", sender="", recipient="d@example.net", client="198.51.100.7")
        check("the null sender at DATA", got.startswith(LATER), got)
    with server.connect() as s:
        both = request(sender="p@example.org", client="203.0.113.1") + request(sender="p@example.org", client="203.0.113.2")
        for i in range(0, len(both), 7):
            s.sendall(both[i:i + 7])
        got = answers(s, 2)
        check("in pieces, and two at once", len(got) == 2 and all(a.startswith(LATER) for a in got), got)
    with server.connect() as s:
        s.sendall(b"request=other\n\n")
        check("no request of Postfix's: closed", s.recv(100) == b"")
    with server.connect() as s:
        try:
            s.sendall(b"x" * 20000)
            data = s.recv(100)
        except ConnectionError:
            data = b""
        check("longer than any request: closed", data == b"")
    many = [server.connect() for _ in range(50)]
    for i, s in enumerate(many):
        s.sendall(request(sender="m%d@many%d.example" % (i, i), client="10.0.%d.1" % i))
    got = [answers(s)[0] for s in many]
    check("fifty at once", all(a.startswith(LATER) for a in got), got)
    many[0].sendall(request()[:40])
    for s in many:
        s.close()
    code, log = server.stop()
    check("ends in order", code == 0 and not log, (code, log))
    check("its socket is gone", not os.path.exists(server.path))


POLICY = """
local_domains = [ "example.net" ];
directory = { complete = true; };
check = { disable = [ "iprev" ]; };
addrlists = ( { name = "bad"; entries = [ "203.0.113.66" ]; score = 20; } );
profiles = ( { name = "default"; %s } );
recipients = ( { address = "b@example.net"; }, { address = "c@example.net"; } );
%s
"""


def with_policy(tmp):
    server = Server(tmp, policy=POLICY % ("", ""))
    with server.connect() as s:
        got = ask(s, instance="1")
        check("no greylisting: not asked for", got == "action=DUNNO", got)
        got = ask(s, instance="1", recipient="c@example.net")
        check("the second recipient of a message", got == "action=DUNNO", got)
        got = ask(s, instance="1", state="DATA", recipient="", recipient_count="2")
        check("DATA of two recipients", got == "action=DUNNO", got)
        got = ask(s, instance="2", recipient="nobody@example.net")
        check("no such mailbox", got.startswith("action=550 5.1.1 "), got)
        got = ask(s, instance="3", recipient="x@elsewhere.example")
        check("relay", got.startswith("action=550 5.7.1 "), got)
        got = ask(s, instance="4", client="203.0.113.66")
        check("a listed client", got.startswith("action=550 5.7.1 203.0.113.66 "), got)
        got = ask(s, instance="5", sender="not an address")
        check("a sender that is none", got.startswith("action=501 5.1.7 "), got)
        with open(server.policy, "w", encoding="ascii") as f:
            f.write(POLICY % ("greylist = true;", ""))
        server.process.send_signal(signal.SIGHUP)
        for i in range(100):
            got = ask(s, instance="r%d" % i)
            if got != "action=DUNNO":
                break
            time.sleep(0.05)
        check("a new policy", got.startswith(LATER), got)
        with open(server.policy, "w", encoding="ascii") as f:
            f.write("broken")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        got = ask(s, instance="6")
        check("a broken policy: the old one serves on", got.startswith(LATER), got)
    code, log = server.stop()
    check("it says so", code == 0 and "event=reloaded" in server.log() and "event=reload-failed" in log and "policy.conf:1" in log, server.log())


def delays(tmp):
    server = Server(tmp, policy=POLICY % ("", 'delay = { rcpt = "700ms"; };'))
    with server.connect() as s, server.connect() as other:
        for i in range(3):  # the others may have the machine meanwhile
            begun = time.monotonic()
            s.sendall(request(instance="1%d" % i))
            other.sendall(request(instance="2%d" % i))
            first, took = answers(s), time.monotonic() - begun
            second, both = answers(other), time.monotonic() - begun
            if both < 1.3:
                break
        check("a delay is kept", first == ["action=DUNNO"] and took >= 0.6, (first, took))
        check("and holds up nobody else", second == ["action=DUNNO"] and both < 1.3, (second, both))
        s.sendall(request(instance="3"))
    code, log = server.stop()
    check("ends while one waits", code == 0, (code, log))


WISHES = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo", "forward_target" ]; };
addrlists = ( { name = "bad"; entries = [ "203.0.113.66" ]; score = 8; } );
profiles = ( { name = "default"; reject = 20.0; tag = "off"; },
             { name = "tag"; inherit = "default"; tag = 5.0; }, { name = "hold"; inherit = "default"; quarantine = 6.0; },
             { name = "drop"; inherit = "default"; discard = 6.0; } );
recipients = ( { address = "tag@example.net"; profile = "tag"; }, { address = "hold@example.net"; profile = "hold"; },
               { address = "drop@example.net"; profile = "drop"; },
               { address = "away@example.net"; route = "forward"; forward = "x@elsewhere.example"; } );
policyd = { %s };
"""
BAD = {"client": "203.0.113.66"}


def message(s, instance, *recipients, state="DATA", client="203.0.113.66", count=None, other=None):
    """The answers for each recipient, and for the state that follows, which may come over another connection."""
    got = [ask(s, instance=instance, recipient=r, client=client) for r in recipients]
    one = recipients[0] if len(recipients) == 1 else ""
    got.append(ask(other or s, instance=instance, state=state, recipient=one, client=client, recipient_count=str(count or len(recipients))))
    return got


def wishes(tmp):
    server = Server(tmp, policy=WISHES % "instances = 3; instance_timeout = \"1s\";")
    mark = "action=PREPEND X-Smtpfilter: tagged; score=8; addrlist=listed"
    split = "action=452 4.5.3 "
    with server.connect() as s, server.unix() as other:
        check("marked", message(s, "1", "tag@example.net") == ["action=DUNNO", mark])
        check("held", message(s, "2", "hold@example.net")[1].startswith("action=HOLD quarantine: addrlist listed; score 8"))
        check("dropped", message(s, "3", "drop@example.net")[1].startswith("action=DISCARD discard: addrlist listed; score 8"))
        got = message(s, "4", "tag@example.net", "b@example.net", "hold@example.net", count=1)
        check("wishes that differ are split", got[0] == "action=DUNNO" and got[1].startswith(split) and got[2].startswith(split) and got[3] == mark, got)
        check("nothing to be done", message(s, "5", "tag@example.net", client="192.0.2.1")[1] == "action=DUNNO")
        got = message(s, "6", "tag@example.net", other=other)
        check("joined over two connections", got[1] == mark, got)
        got = ask(s, instance="6", state="DATA", recipient="tag@example.net", recipient_count="1", **BAD)
        check("asked again: there is no more to do", got == "action=DUNNO", got)
        got = [ask(s, instance="7", recipient="tag@example.net", **BAD), ask(s, instance="7", recipient="tag@example.net", **BAD)]
        got.append(ask(s, instance="7", state="DATA", recipient="", recipient_count="1", **BAD))
        check("a recipient that is asked about twice counts once", got == ["action=DUNNO", "action=DUNNO", mark], got)
        got = ask(s, instance="7", recipient="b@example.net", **BAD)
        check("a name that comes again is another message", got == "action=DUNNO", got)
        got = message(s, "8", "tag@example.net", count=2)
        check("recipients that were not asked about", got[1] == "action=DUNNO", got)
        got = message(s, "9", "away@example.net", client="192.0.2.1")
        check("a forward", got[1] == "action=DUNNO", got)
        got = message(s, "10", "tag@example.net", state="END-OF-MESSAGE")
        check("too late for a mark", got[1] == "action=DUNNO", got)
        got = message(s, "11", "hold@example.net", state="END-OF-MESSAGE")
        check("not too late to be held", got[1].startswith("action=HOLD "), got)
        got = [ask(s, instance="12", sender="no address", recipient=r) for r in ("b@example.net", "tag@example.net")]
        check("a sender that is refused is so for each recipient", all(g.startswith("action=501 5.1.7") for g in got), got)
        got = [ask(s, instance="13", recipient="drop@example.net", **BAD),
               ask(s, instance="13", state="DATA", recipient="b@example.net", recipient_count="1", **BAD)]
        check("the only recipient is not who was asked about", got == ["action=DUNNO"] * 2, got)
    forgotten(server)
    code, log = server.stop()
    lost = [line for line in log.splitlines() if "lost" in line]
    check("what is lost is told", code == 0 and len(lost) == 4 and "what=decision instance=8 " in lost[0] and
          "what=forward instance=9 " in lost[1] and "detail=away@example.net" in lost[1] and "what=PREPEND instance=10 " in lost[2] and 'detail="X-Smtpfilter: tagged' in lost[2] and
          "what=decision instance=13 " in lost[3], log)


def forgotten(server):
    """At most three are remembered, for a second."""
    many = [server.connect() for _ in range(5)]
    for i, s in enumerate(many):
        ask(s, instance="m%d" % i, recipient="hold@example.net", **BAD)
    end = {"state": "DATA", "recipient": "", "recipient_count": "1"}
    got = [ask(s, instance="m%d" % i, **end, **BAD)[:11] for i, s in enumerate(many)]
    check("the two that were asked about longest ago are forgotten", got == ["action=DUNN"] * 2 + ["action=HOLD"] * 3, got)
    for s in many:
        s.close()
    with server.connect() as s:
        ask(s, instance="t", recipient="hold@example.net", **BAD)
        time.sleep(1.8)
        got = ask(s, instance="t", **end, **BAD)
        check("and one that nobody asks about", got == "action=DUNNO", got)


def decides(tmp):
    server = Server(tmp, policy=WISHES % 'decide = "end-of-message";')
    with server.connect() as s:
        got = message(s, "1", "hold@example.net")
        check("not at DATA", got[1] == "action=DUNNO", got)
        got = ask(s, instance="1", state="END-OF-MESSAGE", recipient="hold@example.net", recipient_count="1", **BAD)
        check("but at the end of the message", got.startswith("action=HOLD "), got)
        got = message(s, "2", "tag@example.net", "b@example.net")
        check("a mark, which cannot be made, splits nobody", got == ["action=DUNNO"] * 3, got)
    check("ends in order", server.stop() == (0, ""))
    server = Server(tmp, policy=WISHES % 'decide = "never";')
    with server.connect() as s:
        got = message(s, "1", "hold@example.net", "b@example.net") + message(s, "2", "drop@example.net", state="END-OF-MESSAGE")
        check("never", got == ["action=DUNNO"] * 5, got)
    check("ends in order", server.stop() == (0, ""))


def main():
    with tempfile.TemporaryDirectory() as tmp:
        like_postgrey(tmp)
        with_policy(tmp)
        delays(tmp)
        wishes(tmp)
        decides(tmp)
    conclude()


if __name__ == "__main__":
    main()
