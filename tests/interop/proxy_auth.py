#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Clients of smtpf-proxy that authenticate themselves: the next hop is asked, under TLS on both sides where it should be."""
import base64
import os
import ssl
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_harness import Sink, eventually, run  # noqa: E402
from proxy_incoming import PEM, Line, World, context, expect, send  # noqa: E402


def knows(words):
    """A next hop's AUTH: PLAIN and LOGIN, one user."""
    def rule(_sink, connection, line):
        reader = connection.makefile("rb", buffering=0)
        said = line.split()
        if said[1:2] == [b"PLAIN"]:
            if len(said) < 3:
                connection.sendall(b"334 \r\n")
                said.append(reader.readline().strip())
            good = said[2] == base64.b64encode(b"\0alice\0secret")
        else:
            got = []
            for challenge in (b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"):
                connection.sendall(b"334 " + challenge + b"\r\n")
                got.append(reader.readline().strip())
                if got[-1] == b"*":
                    return b"501 5.7.0 given up\r\n"
            good = got == [base64.b64encode(b"alice"), base64.b64encode(b"secret")]
        words.append(good)
        return b"235 2.7.0 welcome\r\n" if good else b"535 5.7.8 no such user or password\r\n"
    return rule


def auth_world(options=(), extensions=("8BITMIME", "AUTH PLAIN LOGIN", "XCLIENT NAME ADDR LOGIN")):
    seen = []
    w = World([("proxy.auth", "true"), *options])
    w.sink.extensions[:] = extensions
    w.sink.rules["AUTH"] = knows(seen)
    return w, seen


def secured(w):
    line = Line(w.proxy)
    line.reply()
    assert b"AUTH" not in line.say(b"EHLO client.example.org"), "offered without TLS"
    expect(line.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA=="), b"50")
    expect(line.say(b"STARTTLS"), b"220")
    line.secure(context())
    assert b"AUTH PLAIN LOGIN" in line.say(b"EHLO client.example.org")
    return line


def auth_by_the_next_hop():
    w, seen = auth_world()
    with w:
        for exchange in ((b"AUTH PLAIN AGFsaWNlAHNlY3JldA==",), (b"AUTH PLAIN", b"AGFsaWNlAHNlY3JldA=="), (b"AUTH LOGIN", b"YWxpY2U=", b"c2VjcmV0"),
                         (b"auth login", b"YWxpY2U=", b"c2VjcmV0")):
            line = secured(w)
            expect(line.say(b"MAIL FROM:<sender@example.org>"), b"250")
            expect(line.say(b"RCPT TO:<somebody@elsewhere.example>"), b"5")
            expect(line.say(b"RSET"), b"250")
            for part in exchange[:-1]:
                expect(line.say(part), b"334 ")
            expect(line.say(exchange[-1]), b"235 2.7.0")
            expect(line.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA=="), b"503")
            send(line, recipient=b"<somebody@elsewhere.example>")
            line.close()
        eventually("deliveries", lambda: len(w.sink.messages) == 4)
        assert all(seen) and len(seen) == 4
        assert all(b"with ESMTPSA " in m.data[:300] for m in w.sink.messages)
        assert any(b"LOGIN=alice" in x for x in w.sink.lines), "the next hop is not told who it is"
        log = w.proxy.log()
        assert "alice" in log and "secret" not in log and "c2VjcmV0" not in log and "AGFsaWNl" not in log


def auth_refused():
    w, seen = auth_world()
    with w:
        line = secured(w)
        expect(line.say(b"AUTH PLAIN AGFsaWNlAHdyb25n"), b"535 5.7.8")
        expect(line.say(b"AUTH LOGIN"), b"334")
        expect(line.say(b"*"), b"501")
        expect(line.say(b"AUTH CRAM-MD5"), b"504")
        expect(line.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==" + b"A" * 13000), b"5")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"250")
        expect(line.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA=="), b"503")
        expect(line.say(b"RCPT TO:<somebody@elsewhere.example>"), b"5")
        line.close()
        assert seen == [False], seen


def auth_cannot_be_asked():
    """No AUTH there, nobody there, or it goes away: 454, and nobody is let in."""
    w, _ = auth_world(extensions=("8BITMIME",))
    with w:
        line = secured(w)
        expect(line.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA=="), b"454 4.7.0")
        w.sink.extensions.append("AUTH PLAIN LOGIN")
        w.sink.rules["AUTH"] = lambda *_: None
        expect(line.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA=="), b"454 4.7.0")
        w.sink.rules["BANNER"] = b"554 go away\r\n"
        expect(line.say(b"AUTH LOGIN"), b"454 4.7.0")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"250")
        expect(line.say(b"RCPT TO:<somebody@elsewhere.example>"), b"5")
        line.close()
        gone = secured(w)  # a client that leaves in the middle
        w.sink.rules["BANNER"] = lambda *_: time.sleep(0.3) or b"220 late\r\n"
        gone.socket.sendall(b"AUTH LOGIN\r\n")
        gone.close()
        time.sleep(0.5)
        fresh = secured(w)
        fresh.close()


def auth_gone_meanwhile():
    """The next hop gives up while the client thinks: it hears so, and does not wait for ever."""
    w, _ = auth_world()

    def leaves(_sink, connection, _line):
        connection.sendall(b"334 VXNlcm5hbWU6\r\n")
        time.sleep(0.1)
        return b"421 4.4.2 too slow\r\n"

    w.sink.rules["AUTH"] = leaves
    with w:
        line = secured(w)
        expect(line.say(b"AUTH LOGIN"), b"334")
        time.sleep(0.4)
        line.socket.settimeout(5)
        expect(line.say(b"YWxpY2U="), b"454 4.7.0")
        expect(line.say(b"NOOP"), b"250")
        line.close()


def auth_secret_is_no_name():
    """A name that cannot be kept is nobody's, and what comes after it is not taken for it."""
    w, _ = auth_world()

    def anybody(_sink, connection, _line):
        reader = connection.makefile("rb", buffering=0)
        for challenge in (b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"):
            connection.sendall(b"334 " + challenge + b"\r\n")
            reader.readline()
        return b"235 2.7.0 welcome\r\n"

    w.sink.rules["AUTH"] = anybody
    with w:
        line = secured(w)
        expect(line.say(b"AUTH LOGIN"), b"334")
        expect(line.say(base64.b64encode(b"a" * 300)), b"334")
        expect(line.say(b"c2VjcmV0"), b"535 5.7.8")
        line.close()
        assert "secret" not in w.proxy.log()


def auth_by_the_second_server():
    """What the first one still says is not taken for the second one's."""
    second, seen = Sink(extensions=("8BITMIME", "AUTH PLAIN LOGIN")), []
    second.rules["AUTH"] = knows(seen)
    w, _ = auth_world([("proxy.next_hop+", second.address)])
    w.sink.rules["BANNER"] = b"554 go away\r\n421 4.3.2 bye\r\n"
    with w:
        line = secured(w)
        expect(line.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA=="), b"235")
        assert seen == [True]
        line.close()
    second.close()


def auth_through_tls():
    """The next hop is asked under TLS where the policy wants that."""
    w, seen = auth_world([("proxy.hop_tls", "encrypt")], ("8BITMIME", "STARTTLS", "AUTH PLAIN LOGIN"))
    with w:
        w.sink.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        w.sink.tls.load_cert_chain(PEM)
        line = secured(w)
        expect(line.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA=="), b"235")
        assert seen == [True] and w.sink.secured
        w.sink.extensions.remove("STARTTLS")
        other = secured(w)
        expect(other.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA=="), b"454")
        assert seen == [True]
        other.close()
        line.close()


CASES = [auth_by_the_next_hop, auth_refused, auth_cannot_be_asked, auth_gone_meanwhile, auth_secret_is_no_name, auth_by_the_second_server,
         auth_through_tls]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:]))
