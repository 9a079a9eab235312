#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy speaking TLS with next hops and with targets of forwards: where it may, where it must, where the server
must be who it should be; and what becomes of mail when TLS is missing, refused, broken, or with the wrong one."""
import os
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from certificates import Authority  # noqa: E402
from dns_server import DnsServer, mx  # noqa: E402
from mta import Missing, Postfix  # noqa: E402
from proxy_harness import HAM, Client, Proxy, Sink, Skip, eventually, run  # noqa: E402
from proxy_routes import DOMAINS, bodies, closed, hops  # noqa: E402

FOLDER = tempfile.TemporaryDirectory()
KNOWN, LOCK = {}, threading.Lock()


def authority(name="an authority of tests"):
    with LOCK:
        if name not in KNOWN:
            folder = os.path.join(FOLDER.name, str(len(KNOWN)))
            os.mkdir(folder)
            KNOWN[name] = Authority(folder, name)
        return KNOWN[name]


def context(*names, by=None, **rest):
    """A server's, with a certificate of these names."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain((by or authority()).certificate(*names, **rest))
    return c


def secure(*names, **rest):
    """A next hop that offers STARTTLS."""
    sink = Sink(["PIPELINING", "8BITMIME", "STARTTLS"])
    sink.tls = context(*(names or ("DNS:hop.example",)), **rest)
    return sink


def verify(name="hop.example", by=None):
    return [("proxy.hop_tls", "verify"), ("proxy.hop_tls_authorities", (by or authority()).path)] + \
        ([("proxy.hop_tls_name", name)] if name else [])


def delivers(sink, options):
    """One message gets through; (the sink's TLS connections, the log)."""
    proxy = Proxy(sink.address, options)
    client = Client(proxy)
    reply = client.deliver(HAM)
    assert reply.startswith(b"250"), reply
    client.close()
    log = proxy.stop()
    assert bodies(sink) == [HAM]
    return sink.secured, log


def is_refused(sink, options, why):
    """451 at RCPT, nothing at the sink, and the log says why."""
    proxy = Proxy(sink.address, options)
    client = Client(proxy)
    client.expect(b"MAIL FROM:<s@example.org>", b"250")
    client.expect(b"RCPT TO:<x@example.net>", b"451 4.4.1")
    client.close()
    log = proxy.stop()
    assert not sink.messages and not any(l.startswith(b"MAIL") for l in sink.lines)
    assert why in log, log
    sink.close()


# ---- where it works --------------------------------------------------------------------------------------------


def none_does_not_ask():
    sink = secure()
    secured, _ = delivers(sink, [])
    assert not secured and not any(l.startswith(b"STARTTLS") for l in sink.lines)
    sink.close()


def may_takes_what_is_offered():
    sink = secure()
    secured, _ = delivers(sink, [("proxy.hop_tls", "may")])
    assert [s[0] for s in secured] == ["TLSv1.3"], secured
    hellos = [l for l in sink.lines if l.startswith((b"EHLO", b"STARTTLS"))]
    assert [l.split()[0] for l in hellos[-3:]] == [b"EHLO", b"STARTTLS", b"EHLO"], hellos
    sink.close()


def may_does_without():
    sink = Sink()
    delivers(sink, [("proxy.hop_tls", "may")])
    sink.close()


def tls_1_2_too():
    sink = secure()
    sink.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    secured, _ = delivers(sink, [("proxy.hop_tls", "encrypt")])
    assert [s[0] for s in secured] == ["TLSv1.2"], secured
    sink.close()


def the_right_name_is_believed():
    sink = secure("DNS:other.example", "DNS:hop.example")
    secured, _ = delivers(sink, verify())
    assert secured == [("TLSv1.3", "hop.example")], secured
    sink.close()


def without_a_name_its_address_is_meant():
    sink = secure("IP:127.0.0.1")
    secured, _ = delivers(sink, verify(name=None))
    assert secured == [("TLSv1.3", None)], secured
    sink.close()


def big_messages_come_whole():
    sink = secure()
    big = HAM + b"".join(b".line %06d of a long message\r\n" % i for i in range(100000))
    proxy = Proxy(sink.address, verify())
    client = Client(proxy)
    assert client.deliver(big).startswith(b"250")
    assert bodies(sink) == [big]
    for _ in range(3):
        assert client.deliver(HAM).startswith(b"250")
    assert len(sink.secured) == 1, "the connection was not kept"
    closed(client, proxy, sink)


def lmtp_has_it_too():
    with tempfile.TemporaryDirectory() as folder:
        sink = Sink(["PIPELINING", "STARTTLS"], lmtp=True, path=folder + "/lmtp")
        sink.tls = context("DNS:hop.example")
        secured, _ = delivers(sink, verify())
        assert secured == [("TLSv1.3", "hop.example")]
        assert [l.split()[0] for l in sink.lines if l.startswith((b"LHLO", b"STARTTLS"))][-3:] == [b"LHLO", b"STARTTLS", b"LHLO"]
        sink.close()


def what_was_said_before_is_forgotten():
    """Extensions, and the attributes of XCLIENT, are those of the EHLO under TLS; who the client is, is told under it."""
    sink = Sink(["XCLIENT NAME", "STARTTLS", "PIPELINING"])
    sink.tls = context("DNS:hop.example")
    plain = sink.converse

    def converse(connection, reader, greet=True):
        if not greet:
            sink.extensions[:] = ["XCLIENT NAME ADDR PROTO HELO PORT", "PIPELINING"]
        plain(connection, reader, greet)
    sink.converse = converse
    _, _ = delivers(sink, verify() + [("proxy.identity", "xclient")])
    told = sink.messages[0].identity
    assert len(told) == 1 and b"ADDR=127.0.0.1" in told[0] and b"HELO=client.example.org" in told[0], told
    order = [l.split()[0] for l in sink.lines if l.split()[0] in (b"STARTTLS", b"XCLIENT", b"EHLO")]
    assert order[-4:] == [b"STARTTLS", b"EHLO", b"XCLIENT", b"EHLO"], order
    sink.close()


def a_route_has_its_own():
    a, b = Sink(), secure("DNS:b.example")
    proxy = Proxy(a.address, DOMAINS + [('proxy.routes["b.example"].servers', b.address), ('proxy.routes["b.example"].tls', "verify"),
                                        ('proxy.routes["b.example"].tls_name', "b.example"),
                                        ("proxy.hop_tls_authorities", authority().path)])
    client = Client(proxy)
    assert all(client.deliver(HAM, to).startswith(b"250") for to in (b"<x@example.net>", b"<y@b.example>"))
    assert not a.secured and b.secured == [("TLSv1.3", "b.example")]
    closed(client, proxy, a, b)


# ---- where it does not -------------------------------------------------------------------------------------------


def encrypt_insists():
    is_refused(Sink(), [("proxy.hop_tls", "encrypt")], "does not offer STARTTLS")
    sink = Sink(rules={"EHLO": b"502 5.5.1 what\r\n"})  # HELO alone
    is_refused(sink, [("proxy.hop_tls", "encrypt")], "does not offer STARTTLS")


def a_refused_starttls():
    def rules():
        return {"STARTTLS": b"454 4.7.0 not now\r\n"}
    sink = Sink(["STARTTLS"], rules())
    delivers(sink, [("proxy.hop_tls", "may")])
    sink.close()
    is_refused(Sink(["STARTTLS"], rules()), [("proxy.hop_tls", "encrypt")], "refused STARTTLS")


class Broken(Sink):
    """Says 220, and then no TLS but `answer`, or nothing."""

    def __init__(self, answer, close=True, **rest):
        super().__init__(["PIPELINING", "STARTTLS"], **rest)
        self.answer, self.ends, self.tls, self.tries = answer, close, True, 0

    def converse_securely(self, connection):
        self.tries += 1
        if self.answer:
            connection.sendall(self.answer)
        if self.ends:
            connection.recv(4096)
        else:
            time.sleep(2)


def broken_tls():
    """`may` goes on without it, over another connection, and knows for the next ones; `encrypt` does not."""
    for answer, close in ((b"this is no TLS at all\r\n", True), (b"", True), (b"", False)):
        sink = Broken(answer, close)
        proxy = Proxy(sink.address, [("proxy.hop_tls", "may"), ("proxy.hop_connect_timeout", "600ms"), ("proxy.pool", "0")])
        client = Client(proxy)
        for _ in range(3):
            assert client.deliver(HAM).startswith(b"250")
        client.close()
        log = proxy.stop()
        assert len(sink.messages) == 3 and sink.tries == 1, sink.tries
        assert "hop-tls-failed" in log, log
        sink.close()
        is_refused(Broken(answer, close), [("proxy.hop_tls", "encrypt"), ("proxy.hop_connect_timeout", "600ms")], "next-hop-failed")


def words_before_tls_are_not_believed():
    """A reply that somebody put behind the 220, before TLS: it must not be taken for one that came under TLS."""
    def injected(sink, connection, line):
        connection.sendall(b"220 2.0.0 go ahead\r\n250-sink.example\r\n250 PIPELINING\r\n")
        return None
    sink = Sink(["STARTTLS"], {"STARTTLS": injected})
    is_refused(sink, [("proxy.hop_tls", "encrypt")], "spoke before TLS was up")


def the_wrong_certificate():
    for sink, why in ((secure("DNS:other.example"), "ostname mismatch"), (secure(by=authority("a stranger")), "unable to get local issuer"),
                      (secure("IP:127.0.0.1"), "ostname mismatch"), (secure("DNS:hop.example", days=0), "expired")):
        if why == "expired":
            time.sleep(1.1)
        is_refused(sink, verify(), why)
    sink = secure("IP:127.0.0.2")
    is_refused(sink, verify(name=None), "IP address mismatch")
    for level in ("may", "encrypt"):  # which do not look at it
        sink = secure("DNS:other.example", by=authority("a stranger"))
        secured, _ = delivers(sink, [("proxy.hop_tls", level)])
        assert len(secured) == 1
        sink.close()


def the_next_server_is_the_right_one():
    a, b = secure("DNS:other.example"), secure()
    proxy = Proxy(None, DOMAINS + hops(a.address, b.address) + verify())
    client = Client(proxy)
    assert client.deliver(HAM).startswith(b"250") and not a.messages and bodies(b) == [HAM]
    closed(client, proxy, a, b)


def a_message_is_lost_under_tls():
    """The server dies inside the message: the next one has it. After the dot: 451, and nothing is sent again."""
    class Hasty(Sink):
        def read_message(self, reader):
            reader.read(5000)
            self.cut()
    a, b = Hasty(["STARTTLS"], receive_buffer=8192), secure()
    a.tls = context("DNS:hop.example")
    big = HAM + b"".join(b"line %06d of a long message\r\n" % i for i in range(250000))
    proxy = Proxy(None, DOMAINS + hops(a.address, b.address) + verify())
    client = Client(proxy)
    assert client.deliver(big).startswith(b"250") and bodies(b) == [big]
    closed(client, proxy, a, b)
    a, b = secure(), secure()
    a.rules["DOT"] = lambda *_: None
    proxy = Proxy(None, DOMAINS + hops(a.address, b.address) + verify())
    client = Client(proxy)
    assert client.deliver(HAM).startswith(b"451 4.4.2") and not b.messages
    closed(client, proxy, a, b)


def options_that_cannot_be():
    for options, word in (([("proxy.next_hop", "unix:/tmp/nowhere"), ("proxy.hop_tls", "verify")], "hop_tls_name"),
                          ([("proxy.hop_tls", "may"), ("proxy.hop_tls_authorities", "/nonexistent/file")], "/nonexistent/file"),
                          ([("proxy.hop_tls", "may"), ("proxy.hop_tls_certificate", "/nonexistent/file")], "/nonexistent/file")):
        try:
            Proxy(None, DOMAINS + options).stop()
        except AssertionError as e:
            assert word in str(e), (word, e)
        else:
            raise AssertionError("it loads: %r" % options)


def our_certificate_is_shown():
    sink = secure()
    sink.tls.verify_mode = ssl.CERT_REQUIRED
    sink.tls.load_verify_locations(authority().path)
    own = authority().certificate("DNS:mx.example.net")
    secured, _ = delivers(sink, verify() + [("proxy.hop_tls_certificate", own)])
    assert len(secured) == 1
    sink.close()


# ---- targets of forwards -----------------------------------------------------------------------------------------


def inline(dns, port, *more):
    return [('recipients["x@example.net"].forward', "other@elsewhere.example"), ('recipients["x@example.net"].route', "forward"),
            ("proxy.forward", "inline"), ("proxy.forward_port", str(port)), ("resolver.servers", dns.address),
            ("proxy.hop_tls_authorities", authority().path)] + list(more)


def target(server, *more):
    """What a forward through `server`, which the DNS calls mx.elsewhere.example, is answered."""
    hop = Sink()
    dns = DnsServer({("elsewhere.example", "MX"): [mx(10, "mx.elsewhere.example")], ("mx.elsewhere.example", "A"): ["127.0.0.1"]})
    proxy = Proxy(hop.address, inline(dns, server.port, *more))
    client = Client(proxy)
    client.expect(b"MAIL FROM:<s@example.org>", b"250")
    reply = client.say(b"RCPT TO:<x@example.net>")
    if reply.startswith(b"250"):
        client.expect(b"DATA", b"354")
        reply = client.message(HAM)
    closed(client, proxy, hop, dns, server)
    return reply


def targets_may():
    server = secure("DNS:whoever.example", by=authority("a stranger"))
    assert target(server).startswith(b"250")
    assert [s[0] for s in server.secured] == ["TLSv1.3"] and [m.data.endswith(HAM) for m in server.messages] == [True]
    broken = Broken(b"no TLS\r\n")
    assert target(broken).startswith(b"250") and broken.tries == 1 and len(broken.messages) == 1


def targets_verified():
    server = secure("DNS:mx.elsewhere.example")
    assert target(server, ("proxy.forward_tls", "verify")).startswith(b"250")
    assert server.secured == [("TLSv1.3", "mx.elsewhere.example")], server.secured
    server = secure("DNS:whoever.example")
    reply = target(server, ("proxy.forward_tls", "verify"))
    assert reply.startswith(b"451") and not server.messages, reply


# ---- a real one --------------------------------------------------------------------------------------------------


def postfix():
    """Postfix that takes nothing without TLS: verified, kept, and told by XCLIENT under it who each client is."""
    with tempfile.TemporaryDirectory() as root:
        pem = authority().certificate("DNS:mta.example.net")
        try:
            mta = Postfix(root, ["x@example.net"], main="smtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\n"
                          "smtpd_tls_security_level = encrypt\nsmtpd_tls_received_header = yes\nsmtpd_tls_loglevel = 1\n" % (pem, pem))
        except Missing as why:
            raise Skip(str(why)) from None
        try:
            proxy = Proxy(mta.port, verify("mta.example.net"))
            for source in ("127.0.0.8", "127.0.0.9"):
                client = Client(proxy, source=source)
                assert client.deliver(HAM, b"<x@example.net>").startswith(b"250 2.0.0 Ok")
                client.close()
            proxy.stop()
            eventually("both are in the mailbox", lambda: len(mta.messages("x@example.net")) == 2)
            log = mta.log()
            assert all(b"using TLSv1.3" in m for m in mta.messages("x@example.net")), mta.messages("x@example.net")
            assert "client=unknown[127.0.0.8]" in log and "client=unknown[127.0.0.9]" in log, log
            assert log.count("TLS connection established") == 1, log  # the second one's was the first's
        finally:
            mta.stop()


CASES = [none_does_not_ask, may_takes_what_is_offered, may_does_without, tls_1_2_too, the_right_name_is_believed,
         without_a_name_its_address_is_meant, big_messages_come_whole, lmtp_has_it_too, what_was_said_before_is_forgotten,
         a_route_has_its_own, encrypt_insists, a_refused_starttls, broken_tls, words_before_tls_are_not_believed,
         the_wrong_certificate, the_next_server_is_the_right_one, a_message_is_lost_under_tls, options_that_cannot_be,
         our_certificate_is_shown, targets_may, targets_verified, postfix]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:], together=4))
