#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How clients come to smtpf-proxy: STARTTLS and TLS from the first byte, the PROXY protocol, XCLIENT."""
import atexit
import os
import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

from proxy_harness import HAM, PATIENCE, Proxy, Sink, Skip, eventually, run

FOLDER = tempfile.mkdtemp(prefix="smtpf-incoming-")
atexit.register(shutil.rmtree, FOLDER, True)
PEM = os.path.join(FOLDER, "ecdsa.pem")
RSA = os.path.join(FOLDER, "rsa.pem")
LOCK = threading.Lock()
OPENSSL = shutil.which("openssl")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def make(path, *kind):
    subprocess.run([OPENSSL, "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", path + ".key", "-out", path, "-days", "2", "-subj",
                    "/CN=mx.example.net", "-addext", "subjectAltName=DNS:mx.example.net"], check=True, capture_output=True, timeout=60)
    with open(path, "a", encoding="ascii") as out, open(path + ".key", encoding="ascii") as key:
        out.write(key.read())


def certificates():
    """The two certificates; a case that needs them is skipped where they cannot be had."""
    if not OPENSSL:
        raise Skip("no openssl to make certificates with")
    with LOCK:
        if not os.path.exists(PEM):
            make(PEM, "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
            make(RSA, "rsa:2048")
    program = os.environ.get("SMTPF_PROXY", "./smtpf-proxy")
    said = subprocess.run([program, "--check", "--set", "proxy.tls_certificate=" + PEM], capture_output=True, text=True, timeout=60, check=False)
    if "built with OpenSSL" in said.stderr:
        raise Skip("built without OpenSSL")


def context():
    c = ssl.create_default_context(cafile=PEM)
    c.load_verify_locations(RSA)
    return c


class Line:
    """A client that says bytes, over whatever socket."""

    def __init__(self, proxy, source="127.0.0.1", before=b"", tls=None, port=0):
        self.socket = socket.create_connection(("127.0.0.1", port or proxy.port), PATIENCE, (source, 0))
        self.socket.settimeout(PATIENCE)
        if before:
            self.socket.sendall(before)
        if tls:
            self.secure(tls)
        self.reader = self.socket.makefile("rb")

    def secure(self, tls):
        self.socket = tls.wrap_socket(self.socket, server_hostname="mx.example.net")
        self.reader = self.socket.makefile("rb")

    def reply(self):
        lines = []
        while True:
            line = self.reader.readline()
            lines.append(line)
            if not line or line[3:4] == b" ":
                return b"".join(lines)

    def say(self, line):
        self.socket.sendall(line + b"\r\n")
        return self.reply()

    def ended(self):
        """Whether nothing more comes. A reset is an end too."""
        try:
            return self.reader.read(1) == b""
        except OSError:
            return True

    def close(self):
        self.reader.close()
        self.socket.close()


def expect(reply, start):
    if not reply.startswith(start):
        raise AssertionError("%r instead of %r" % (reply, start))
    return reply


def send(line, data=HAM, recipient=b"<user@example.net>"):
    expect(line.say(b"MAIL FROM:<sender@example.org>"), b"250")
    expect(line.say(b"RCPT TO:" + recipient), b"250")
    expect(line.say(b"DATA"), b"354")
    line.socket.sendall(data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    return expect(line.reply(), b"250")


class World:
    def __init__(self, options=None, listen="127.0.0.1:0", tls=True, offers=(), **rest):
        pairs = []
        if tls:
            certificates()
            pairs += [("proxy.tls_certificate+", PEM), ("proxy.tls_certificate+", RSA)]
        self.sink = Sink(extensions=("PIPELINING", "8BITMIME", "SIZE 10000000", *offers))
        self.proxy = Proxy(self.sink.port, pairs + (options or []), listen=listen, **rest)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        try:
            log = self.proxy.stop()
            if kind:
                print(log[-3000:])
        finally:
            self.sink.close()


# ---- TLS --------------------------------------------------------------------------------------------------------


def starttls_by_smtplib():
    with World() as w:
        with smtplib.SMTP("127.0.0.1", w.proxy.port, "client.example.org", timeout=PATIENCE) as s:
            s.ehlo()
            assert s.has_extn("starttls")
            c = context()
            s._host = "mx.example.net"  # what the certificate is verified against
            s.starttls(context=c)
            s.ehlo()
            assert not s.has_extn("starttls"), "offered again under TLS"
            assert s.sendmail("sender@example.org", ["user@example.net"], HAM) == {}
        eventually("delivery", lambda: w.sink.messages)
        assert b"with ESMTPS id" in w.sink.messages[0].data, w.sink.messages[0].data[:300]
        assert w.sink.messages[0].data.endswith(HAM)


def starttls_big_message():
    """Records of 16 KiB each way of cutting; the message is the same byte for byte."""
    body = HAM + b"".join(b"%06d %s\r\n" % (i, b"x" * (i % 90)) for i in range(40000))
    with World() as w:
        line = Line(w.proxy)
        line.reply()
        line.say(b"EHLO client.example.org")
        expect(line.say(b"STARTTLS"), b"220")
        line.secure(context())
        line.say(b"EHLO client.example.org")
        send(line, body)
        send(line, HAM)
        eventually("both", lambda: len(w.sink.messages) == 2)
        assert w.sink.messages[0].data.endswith(body)
        line.close()


def starttls_forgets():
    """RFC 3207 4.2: what was said before does not count; and it is not offered twice."""
    with World() as w:
        line = Line(w.proxy)
        line.reply()
        line.say(b"EHLO before.example.org")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"250")
        expect(line.say(b"STARTTLS"), b"220")
        line.secure(context())
        expect(line.say(b"RCPT TO:<user@example.net>"), b"503")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"503")
        assert b"STARTTLS" not in expect(line.say(b"EHLO after.example.org"), b"250")
        expect(line.say(b"STARTTLS"), b"5")
        send(line)
        eventually("delivery", lambda: w.sink.messages)
        assert b"from after.example.org" in w.sink.messages[0].data
        line.close()


def starttls_injection():
    """Commands pipelined behind STARTTLS are never carried out, neither before TLS nor under it."""
    with World() as w:
        line = Line(w.proxy)
        line.reply()
        line.say(b"EHLO client.example.org")
        line.socket.sendall(b"STARTTLS\r\nMAIL FROM:<injected@example.org>\r\nRCPT TO:<user@example.net>\r\n")
        expect(line.reply(), b"554")
        assert line.ended()
        line.close()
        # In two pieces: what comes after the 220 in the clear is no handshake.
        line = Line(w.proxy)
        line.reply()
        line.say(b"EHLO client.example.org")
        expect(line.say(b"STARTTLS"), b"220")
        line.socket.sendall(b"MAIL FROM:<injected@example.org>\r\n")
        line.reader.read()  # an alert, then the end
        line.close()
        assert not any(b"injected" in x for x in w.sink.lines)


def starttls_fragments():
    """A handshake by single bytes."""
    with World() as w:
        line = Line(w.proxy)
        line.reply()
        line.say(b"EHLO client.example.org")
        expect(line.say(b"STARTTLS"), b"220")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        t = context().wrap_bio(incoming, outgoing, server_hostname="mx.example.net")

        def step(what):
            while True:
                try:
                    return what()
                except ssl.SSLWantReadError:
                    for b in outgoing.read():
                        line.socket.sendall(bytes([b]))
                    incoming.write(line.socket.recv(65536))

        step(t.do_handshake)
        t.write(b"EHLO client.example.org\r\n")
        for b in outgoing.read():
            line.socket.sendall(bytes([b]))
        got = step(lambda: t.read(4096))
        assert got.startswith(b"250-mx.example.net"), got
        line.close()


def tls_from_the_first_byte():
    with World(listen="tls:127.0.0.1:0") as w:
        with smtplib.SMTP_SSL("127.0.0.1", w.proxy.port, "client.example.org", timeout=PATIENCE,
                              context=lax()) as s:
            assert "mx.example.net" in s.ehlo()[1].decode()
            assert not s.has_extn("starttls")
            assert s.sendmail("sender@example.org", ["user@example.net"], HAM) == {}
        eventually("delivery", lambda: w.sink.messages)
        assert b"with ESMTPS id" in w.sink.messages[0].data
        plain = Line(w.proxy, before=b"EHLO client.example.org\r\n")
        assert b"220" not in plain.reader.read()
        plain.close()


def lax():
    c = context()
    c.check_hostname = False
    return c


def keeps_to_the_minimum():
    for option, top, good in (("1.2", ssl.TLSVersion.TLSv1_2, True), ("1.3", ssl.TLSVersion.TLSv1_2, False)):
        with World([("proxy.tls_minimum", option)]) as w:
            line = Line(w.proxy)
            line.reply()
            line.say(b"EHLO client.example.org")
            expect(line.say(b"STARTTLS"), b"220")
            c = context()
            c.maximum_version = top
            try:
                line.secure(c)
                assert good, "TLS 1.2 was taken"
            except ssl.SSLError:
                assert not good
            line.close()


def requires_tls():
    with World([("proxy.tls_required", "true")]) as w:
        line = Line(w.proxy)
        line.reply()
        line.say(b"EHLO client.example.org")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"530 5.7.0")
        expect(line.say(b"NOOP"), b"250")
        expect(line.say(b"STARTTLS"), b"220")
        line.secure(context())
        line.say(b"EHLO client.example.org")
        send(line)
        line.close()


def resumes_sessions():
    with World() as w:
        session, c = None, context()
        for turn in range(2):
            line = Line(w.proxy)
            line.reply()
            line.say(b"EHLO client.example.org")
            expect(line.say(b"STARTTLS"), b"220")
            line.socket = c.wrap_socket(line.socket, server_hostname="mx.example.net", session=session)
            line.reader = line.socket.makefile("rb")
            line.say(b"EHLO client.example.org")
            session = line.socket.session
            assert line.socket.session_reused == bool(turn), turn
            line.close()


def reloads_certificates():
    """A reload takes the files as they are then; an open connection goes on; a broken file changes nothing."""
    import signal
    certificates()
    mine = os.path.join(FOLDER, "mine.pem")

    def serial():
        line = Line(w.proxy)
        line.reply()
        line.say(b"EHLO client.example.org")
        expect(line.say(b"STARTTLS"), b"220")
        line.secure(context())
        return line, line.socket.getpeercert()["serialNumber"]

    shutil.copy(PEM, mine)
    sink = Sink()
    w = type("W", (), {})()
    w.proxy = Proxy(sink.port, {**Proxy.DEFAULTS, "proxy.tls_certificate": mine})
    try:
        old, first = serial()
        shutil.copy(RSA, mine)
        w.proxy.signal(signal.SIGHUP)
        eventually("reload", lambda: "reloaded" in w.proxy.log())
        new, second = serial()
        assert first != second
        expect(old.say(b"EHLO client.example.org"), b"250")
        with open(mine, "w", encoding="ascii") as f:
            f.write("no certificate\n")
        w.proxy.signal(signal.SIGHUP)
        eventually("refused reload", lambda: "reload-failed" in w.proxy.log())
        third, again = serial()
        assert again == second
        for line in (old, new, third):
            line.close()
    finally:
        w.proxy.stop()
        sink.close()


def by_swaks():
    swaks = shutil.which("swaks")
    if not swaks:
        raise Skip("no swaks")
    with World() as w:
        said = subprocess.run([swaks, "--server", "127.0.0.1:%d" % w.proxy.port, "--tls", "--helo", "client.example.org", "--from",
                               "sender@example.org", "--to", "user@example.net"], capture_output=True, text=True, timeout=60, check=False)
        if "TLS not available" in said.stdout + said.stderr:
            raise Skip("swaks without TLS")
        assert said.returncode == 0, said.stdout + said.stderr
        eventually("delivery", lambda: w.sink.messages)


def refuses_bad_options():
    program = os.environ.get("SMTPF_PROXY", "./smtpf-proxy")
    bad = [(["proxy.tls_certificate=/nonexistent.pem"], ("nonexistent", "OpenSSL")), (["proxy.tls_required=true"], ("tls_certificate",)),
           (["proxy.listen=tls:127.0.0.1:0"], ("tls_certificate",)), (["proxy.listen=proxy:127.0.0.1:0"], ("proxy_protocol_from",)),
           (["proxy.xclient_from=somewhere"], ("xclient_from",)), (["proxy.proxy_protocol_from=192.0.2.1/24"], ("proxy_protocol_from",)),
           (["proxy.next_hop=tls:127.0.0.1:25"], ("next_hop",))]
    for sets, words in bad:
        command = [program, "--check"]
        for s in sets:
            command += ["--set", s]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert said.returncode and any(w in said.stderr for w in words), (sets, said.stderr)


# ---- PROXY protocol ---------------------------------------------------------------------------------------------

TRUSTED = [("proxy.proxy_protocol_from", "127.0.0.8/30")]
V4 = bytes([192, 0, 2, 25, 198, 51, 100, 1]) + struct.pack(">HH", 40000, 25)


def block(command, family, payload):
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(payload)) + payload


def proxied(w, header, source="127.0.0.9"):
    return Line(w.proxy, source=source, before=header)


def names_the_client():
    headers = [(b"PROXY TCP4 192.0.2.25 198.51.100.1 40000 25\r\n", b"[192.0.2.25]"), (b"PROXY TCP6 2001:DB8::7 2001:db8::1 1 25\r\n", b"[IPv6:2001:db8::7]"),
               (block(0x21, 0x11, V4), b"[192.0.2.25]"),
               (block(0x21, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "::1") + b"\0\1\0\2"),
                b"[IPv6:2001:db8::7]"), (block(0x20, 0, b""), b"[127.0.0.9]"), (block(0x21, 0x11, V4 + b"\x04\x00\x03abc"), b"[192.0.2.25]")]
    with World(TRUSTED, listen="proxy:127.0.0.1:0", tls=False) as w:
        for i, (header, client) in enumerate(headers):
            line = proxied(w, header)
            expect(line.reply(), b"220")
            line.say(b"EHLO client.example.org")
            send(line)
            eventually("delivery", lambda n=i: len(w.sink.messages) > n)
            assert client in w.sink.messages[i].data[:300], (header, w.sink.messages[i].data[:300])
            line.close()


def a_health_check_has_no_rights():
    """LOCAL: served, but what the load balancer's address may do is not for whoever comes through it, or it itself."""
    rights = [("own_networks", "127.0.0.0/8"), ("proxy.xclient_from", "127.0.0.0/8")]
    with World(TRUSTED + rights, listen="proxy:127.0.0.1:0", tls=False, offers=["XCLIENT NAME ADDR PORT HELO"]) as w:
        line = proxied(w, block(0x20, 0x11, V4))
        expect(line.reply(), b"220")
        assert b"XCLIENT" not in line.say(b"EHLO client.example.org")
        expect(line.say(b"XCLIENT ADDR=127.0.0.2"), b"5")
        expect(line.say(b"MAIL FROM:<a@example.org>"), b"250")
        expect(line.say(b"RCPT TO:<u@elsewhere.example>"), b"550")
        expect(line.say(b"RSET"), b"250")
        send(line)
        m = w.sink.messages[0]
        assert b"ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]" in m.identity[0] and b"[127.0.0.9]" in m.data[:300], (m.identity, m.data[:300])
        line.close()
        line = proxied(w, b"PROXY TCP4 127.0.0.9 127.0.0.1 40000 25\r\n")  # a client with that address has them all
        expect(line.reply(), b"220")
        assert b"XCLIENT" in line.say(b"EHLO client.example.org")
        expect(line.say(b"MAIL FROM:<a@example.org>"), b"250")
        expect(line.say(b"RCPT TO:<u@elsewhere.example>"), b"250")
        line.close()


def header_in_pieces():
    with World(TRUSTED, listen="proxy:127.0.0.1:0", tls=False) as w:
        line = proxied(w, b"")
        for b in block(0x21, 0x11, V4):
            line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.socket.sendall(bytes([b]))
        expect(line.reply(), b"220")
        line.close()


def refuses_without_header():
    """Nobody is served without a whole header, from somewhere else, or with one that names nobody; and no banner shows."""
    hostile = [b"EHLO client.example.org\r\n", b"PROXY UNKNOWN\r\n", b"PROXY TCP4 192.0.2.25 198.51.100.1 40000\r\n", b"PROXY TCP4 192.0.2.25" + b"9" * 200,
               b"PROXY TCP4 192.0.2.25 198.51.100.1 40000 25\n", block(0x21, 0x11, V4[:8]), block(0x21, 0, b""), block(0x21, 0x31, b"\0" * 216),
               block(0x21, 0x12, V4), block(0x31, 0x11, V4), block(0x22, 0x11, V4), block(0x21, 0x11, V4 + b"\x03\x00\x04\0\0\0\0"),
               block(0x21, 0x11, V4 + b"\x20\x00\x07\x01\0\0\0\0\x21\x00"), block(0x21, 0x11, V4 + b"\x04\xff\xff"),
               SIGNATURE + b"\x21\x11\xff\xff" + V4, b"\r\n\r\n\0\r\nQUIT\r\n"]
    with World(TRUSTED, listen="proxy:127.0.0.1:0", tls=False) as w:
        for header in hostile:
            line = proxied(w, header)
            assert line.ended(), header
            line.close()
        for cut in (block(0x21, 0x11, V4)[:-1], b"PROXY TCP4 192.0.2.25 198.51.100.1 40000 25\r", b"PROXY", SIGNATURE):
            line = proxied(w, cut)
            line.socket.shutdown(socket.SHUT_WR)
            assert line.ended(), cut
            line.close()
        line = proxied(w, block(0x21, 0x11, V4), source="127.0.0.4")
        assert line.ended(), "from an address that is not trusted"
        line.close()
        line = proxied(w, block(0x21, 0x11, V4))  # and it still serves
        expect(line.reply(), b"220")
        line.close()
        eventually("log lines", lambda: w.proxy.log().count("proxy-protocol") >= len(hostile) + 5)


def header_timeout():
    with World(TRUSTED, listen="proxy:127.0.0.1:0", tls=False) as w:
        line = proxied(w, b"PROXY TCP4 ")
        assert line.ended()
        line.close()
        eventually("its log line", lambda: "timed out" in w.proxy.log())


def counts_clients_not_balancers():
    with World(TRUSTED + [("proxy.connections_per_client", "1")], listen="proxy:127.0.0.1:0", tls=False) as w:
        lines = [proxied(w, b"PROXY TCP4 192.0.2.%d 198.51.100.1 1 25\r\n" % n) for n in (1, 2, 3, 3)]
        replies = [line.reply()[:3] for line in lines]
        assert replies == [b"220", b"220", b"220", b"421"], replies
        for line in lines:
            line.close()
        eventually("all gone", lambda: proxied(w, b"PROXY TCP4 192.0.2.3 198.51.100.1 1 25\r\n").reply()[:3] == b"220")


def header_then_tls():
    with World(TRUSTED, listen="proxy:tls:127.0.0.1:0") as w:
        line = Line(w.proxy, source="127.0.0.9", before=block(0x21, 0x11, V4), tls=context())
        expect(line.reply(), b"220")
        line.say(b"EHLO client.example.org")
        send(line)
        eventually("delivery", lambda: w.sink.messages)
        assert b"[192.0.2.25]" in w.sink.messages[0].data[:300] and b"with ESMTPS" in w.sink.messages[0].data[:300]
        line.close()


def tls_of_the_balancer():
    """A load balancer that ended TLS says so: the trace field has it, STARTTLS can still be spoken."""
    version = b"\x21\x00\x07TLSv1.3"
    extra = b"\x01\0\0\0\0" + version
    with World(TRUSTED, listen="proxy:127.0.0.1:0", tls=False) as w:
        line = proxied(w, block(0x21, 0x11, V4 + b"\x20" + struct.pack(">H", len(extra)) + extra))
        expect(line.reply(), b"220")
        line.say(b"EHLO client.example.org")
        send(line)
        eventually("delivery", lambda: w.sink.messages)
        assert b"with ESMTPS" in w.sink.messages[0].data[:300]
        line.close()


# ---- XCLIENT ----------------------------------------------------------------------------------------------------


def xclient():
    with World([("proxy.xclient_from", "127.0.0.8/30")], tls=False) as w:
        line = Line(w.proxy, source="127.0.0.9")
        line.reply()
        assert b"XCLIENT NAME ADDR" in line.say(b"EHLO front.example.net")
        for wrong in (b"XCLIENT", b"XCLIENT FOO=bar", b"XCLIENT ADDR=nobody", b"XCLIENT PORT=99999", b"XCLIENT ADDR=192.0.2.1 NAME=a+0Db",
                      b"XCLIENT HELO=" + b"x" * 300, b"XCLIENT ADDR", b"XCLIENT PROTO=HTTP", b"XCLIENT NAME=+4"):
            expect(line.say(wrong), b"501")
        expect(line.say(b"XCLIENT ADDR=IPV6:2001:db8::7 NAME=[UNAVAILABLE] PORT=[UNAVAILABLE]"), b"220 mx.example.net")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"503")
        expect(line.say(b"XCLIENT ADDR=192.0.2.25 NAME=client.example.org HELO=said.example.org LOGIN=alice PORT=4000"), b"220")
        line.say(b"EHLO front.example.net")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"250")
        expect(line.say(b"XCLIENT ADDR=192.0.2.1"), b"503")
        expect(line.say(b"RSET"), b"250")
        send(line, recipient=b"<somebody@elsewhere.example>")  # who has logged in may
        eventually("delivery", lambda: w.sink.messages)
        head = w.sink.messages[0].data[:300]
        assert b"from said.example.org (client.example.org [192.0.2.25])" in head and b"with ESMTPA " in head, head
        expect(line.say(b"XCLIENT ADDR=192.0.2.26"), b"220")  # another client, who has neither logged in nor said HELO
        line.say(b"EHLO other.example.org")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"250")
        expect(line.say(b"RCPT TO:<somebody@elsewhere.example>"), b"5")
        assert "arg=other.example.org" in w.proxy.log()
        line.close()


def xclient_from_nobody_else():
    with World([("proxy.xclient_from", "127.0.0.8/30")], tls=False) as w:
        line = Line(w.proxy)
        line.reply()
        assert b"XCLIENT" not in line.say(b"EHLO client.example.org")
        expect(line.say(b"XCLIENT ADDR=192.0.2.25 LOGIN=alice"), b"50")
        expect(line.say(b"MAIL FROM:<sender@example.org>"), b"250")
        expect(line.say(b"RCPT TO:<somebody@elsewhere.example>"), b"5")
        line.close()


CASES = [starttls_by_smtplib, starttls_big_message, starttls_forgets, starttls_injection, starttls_fragments, tls_from_the_first_byte, keeps_to_the_minimum,
         requires_tls, resumes_sessions, reloads_certificates, by_swaks, refuses_bad_options, names_the_client, a_health_check_has_no_rights, header_in_pieces, refuses_without_header,
         header_timeout, counts_clients_not_balancers, header_then_tls, tls_of_the_balancer, xclient, xclient_from_nobody_else]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:], together=4))
