# SPDX-License-Identifier: MIT
"""The handler in aiosmtpd, over real connections on loopback: with our protocol, and with aiosmtpd's own."""
import asyncio
import re
import socket
import ssl
import subprocess
from types import SimpleNamespace

import pytest

pytest.importorskip("aiosmtpd")
pytestmark = pytest.mark.filterwarnings("ignore")  # aiosmtpd's own

from aiosmtpd.smtp import AuthResult  # noqa: E402
from aiosmtpd.smtp import SMTP as Stock  # noqa: E402

from smtpfilter import Check, Config, Stage, hit, zone  # noqa: E402
from smtpfilter.aiosmtpd import LMTP, SMTP, Controller, Handler  # noqa: E402
from smtpfilter.delivery import Deferred, Refused  # noqa: E402

POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev" ]; };
"""
BEGIN = ["EHLO mail.example.org", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"]
MESSAGE = "Subject: x\r\n\r\n.\r\n..dot\r\nend\r\n"


class Box(list):
    """A delivery that keeps copies, and does as it is told."""

    def __init__(self):
        super().__init__()
        self.raises = {}
        self.delay = 0

    async def __call__(self, copy):
        await asyncio.sleep(self.delay)
        if copy.recipient.address in self.raises:
            raise self.raises[copy.recipient.address]
        self.append(copy)


class Client:
    """Sends lines, reads whole replies."""

    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.banner = await self.reply()
        return self

    async def __aexit__(self, *exc):
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    async def reply(self):
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 10)).decode()
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, *lines):
        for line in lines:
            self.writer.write(line.encode() + b"\r\n" if isinstance(line, str) else line)
            answer = await self.reply()
        return answer

    async def message(self, text=MESSAGE):
        self.writer.write(re.sub(r"(?m)^\.", "..", text).encode() + b".\r\n")
        return await self.reply()


class Server:
    """A server in this loop."""

    def __init__(self, policy=POLICY, protocol=SMTP, checks=(), dns="", **options):
        config = Config(log=None)
        for check in checks:
            config.add_check(check)
        self.box, self.protocol, self.options = Box(), protocol, options
        self.handler = Handler(config.loads(policy), self.box, resolver=zone(dns), **options.pop("handler", {}))
        self.made = []

    def make(self):
        loop = asyncio.get_running_loop()
        self.made.append(self.protocol(self.handler, hostname="mx.example.net", ident="ESMTP", enable_SMTPUTF8=True, loop=loop,
                                       **self.options))
        return self.made[-1]

    async def __aenter__(self):
        self.server = await asyncio.get_running_loop().create_server(self.make, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc):
        self.server.close()
        await self.server.wait_closed()
        for _ in range(100):
            if self.handler.driver is None or not self.handler.driver._sessions:
                break
            await asyncio.sleep(0.02)
        left = len(self.handler.driver._sessions) if self.handler.driver else 0
        self.handler.close()
        if exc[0] is None:
            assert not left, "%d sessions were left open" % left

    def client(self):
        return Client(self.port)


BOTH = pytest.mark.parametrize("protocol", [SMTP, Stock], ids=["ours", "stock"])


@BOTH
def test_a_message(protocol):
    async def main():
        async with Server(protocol=protocol) as s:
            async with s.client() as c:
                assert c.banner.startswith("220 mx.example.net")
                assert (await c.say(*BEGIN)).startswith("354")
                assert await c.message() == "250 2.0.0 taken"
                assert await c.say("QUIT") == "221 2.0.0 bye"
            (copy,) = s.box
            head, _, body = copy.content.partition(b"\r\n\r\n")
            assert body == b".\r\n..dot\r\nend\r\n" and head.startswith(b"Received: from mail.example.org ([127.0.0.1])\r\n\tby mx.example.net with ESMTP id ")
            assert copy.sender == "a@example.org" and copy.address == "b@example.net"
    asyncio.run(main())


@BOTH
def test_refusals_and_order(protocol):
    async def main():
        async with Server(protocol=protocol) as s, s.client() as c:
            await c.say("EHLO mail.example.org")
            assert (await c.say("RCPT TO:<b@example.net>")).startswith("503")
            assert (await c.say("MAIL FROM:<>")).startswith("250")
            assert (await c.say("RCPT TO:<b@elsewhere.example>")) == "550 5.7.1 relaying denied"
            assert (await c.say("DATA"))[0] == "5"
            assert (await c.say("RSET")).startswith("250")
            assert (await c.say("NOOP")).startswith("250")
            assert (await c.say("MAIL FROM:<a@example.org> SIZE=99999999999"))[0] == "5"
            assert (await c.say("MAIL FROM:<a@example.org> NONSENSE=1")).startswith("555")
            assert (await c.say("MAIL")).startswith("501")
            assert (await c.say('MAIL FROM:<"a > b"@example.org> SIZE=10')).startswith("250")
        assert not s.box
    asyncio.run(main())


def test_connect_is_judged_before_the_banner():
    policy = POLICY + 'refuse = { stage = "connect"; }; dnslists = ( { zone = "bl.example"; codes = ( { match = "127.0.0.2"; score = 20.0; } ); } );'

    async def main():
        async with Server(policy, dns="1.0.0.127.bl.example A 127.0.0.2\n") as s, s.client() as c:
            assert c.banner.startswith("5"), c.banner
        async with Server(policy, protocol=Stock, dns="1.0.0.127.bl.example A 127.0.0.2\n") as s, s.client() as c:
            assert c.banner.startswith("220") and (await c.say("EHLO mail.example.org"))[0] == "5"
    asyncio.run(main())


def test_early_talk():
    async def main():
        async with Server(POLICY + "delay = { connect = \"300ms\"; }; early_talk = { refuse = true; };") as s:
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
            writer.write(b"EHLO mail.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nQUIT\r\n")
            said = (await asyncio.wait_for(reader.read(), 10)).decode()
            writer.close()
            assert re.search(r"^5\d\d ", said, re.M), said
    asyncio.run(main())


@BOTH
def test_delays(protocol):
    async def main():
        async with Server(POLICY + 'delay = { rcpt = "300ms"; };', protocol=protocol) as s, s.client() as c:
            await c.say(*BEGIN[:2])
            loop = asyncio.get_running_loop()
            begun = loop.time()
            assert (await c.say(BEGIN[2])).startswith("250")
            assert loop.time() - begun >= 0.29
    asyncio.run(main())


@BOTH
def test_bare_line_ends_are_refused(protocol):
    async def main():
        async with Server(protocol=protocol) as s, s.client() as c:
            for bad in ("x\ny\r\n", "x\ry\r\n", "x\0y\r\n", "x" * 70000 + "\r\n"):
                assert (await c.say(*BEGIN)).startswith("354")
                assert (await c.message("Subject: x\r\n\r\n" + bad))[0] == "5"
            assert (await c.say(*BEGIN)).startswith("354")
            assert (await c.message()).startswith("250")
        assert len(s.box) == 1
    asyncio.run(main())


def test_bare_line_ends_are_mended_where_the_policy_says_so():
    async def main():
        async with Server(POLICY + 'smtp = { line_ends = "normalise"; };') as s, s.client() as c:
            await c.say(*BEGIN)
            assert (await c.message("Subject: x\n\nx\ry\r\n")).startswith("250")
        assert s.box[0].content.endswith(b"Subject: x\r\n\r\nx\r\ny\r\n")
    asyncio.run(main())


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_message_in_pieces(size):
    async def main():
        async with Server() as s, s.client() as c:
            await c.say(*BEGIN)
            wire = b"Subject: x\r\n\r\n..\r\n...dot\r\nend\r\n" * 3 + b".\r\nNOOP\r\n"
            for i in range(0, len(wire), size):
                c.writer.write(wire[i:i + size])
                await c.writer.drain()
                await asyncio.sleep(0)
            assert (await c.reply()).startswith("250 2.0.0 taken") and (await c.reply()).startswith("250")
            assert s.box[0].content.endswith(b"Subject: x\r\n\r\n.\r\n..dot\r\nend\r\n" * 3)
            await c.say(*BEGIN[1:])
            c.writer.write(b".\r\n")
            assert (await c.reply()).startswith("250")  # an empty message
    asyncio.run(main())


@BOTH
def test_what_a_delivery_says(protocol):
    async def main():
        async with Server(protocol=protocol) as s, s.client() as c:
            for raised, code in ((Refused("no such user", 550, "5.1.1"), "5"), (Deferred("full"), "4"), (OSError("disk"), "451"), (KeyError(), "451")):
                s.box.raises = {"b@example.net": raised}
                await c.say(*BEGIN)
                assert (await c.message()).startswith(code)
            s.box.raises = {}
            await c.say(*BEGIN[1:])
            assert (await c.message()).startswith("250")
    asyncio.run(main())


def test_lmtp_has_a_reply_for_each():
    async def main():
        async with Server(protocol=LMTP) as s, s.client() as c:
            s.box.raises = {"b@example.net": Refused("no such user", 550, "5.1.1"), "c@example.net": Deferred("full", 452, "4.2.2")}
            await c.say("LHLO mail.example.org", BEGIN[1], BEGIN[2], "RCPT TO:<c@example.net>", "RCPT TO:<d@example.net>", "DATA")
            replies = [await c.message(), await c.reply(), await c.reply()]
            assert [r[:9] for r in replies] == ["550 5.1.1", "452 4.2.2", "250 2.0.0"], replies
            assert [copy.address for copy in s.box] == ["d@example.net"]
    asyncio.run(main())


def test_prdr_has_a_reply_for_each_and_a_last_one():
    async def main():
        async with Server() as s, s.client() as c:
            assert "250-PRDR" in await c.say("EHLO mail.example.org")
            s.box.raises = {"b@example.net": Refused("no such user", 550, "5.1.1")}
            await c.say("MAIL FROM:<a@example.org> PRDR", BEGIN[2], "RCPT TO:<c@example.net>", "DATA")
            replies = [await c.message()] + [await c.reply() for _ in range(3)]
            assert [r[:3] for r in replies] == ["353", "550", "250", "250"], replies
    asyncio.run(main())


def test_a_client_that_goes_while_its_message_is_delivered():
    async def main():
        async with Server() as s:
            s.box.delay = 0.3
            async with s.client() as c:
                await c.say(*BEGIN)
                c.writer.write(b"Subject: x\r\n\r\nx\r\n.\r\n")
                await c.writer.drain()
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.4)
            assert len(s.box) == 1  # what was begun is ended, and committed
    asyncio.run(main())


@BOTH
def test_clients_that_go_at_any_stage_leave_nothing(protocol):
    async def main():
        async with Server(protocol=protocol) as s:
            for n in range(len(BEGIN) + 1):
                async with s.client() as c:
                    if n:
                        await c.say(*BEGIN[:n])
                    c.writer.write(b"Subject: half")
            await asyncio.sleep(0.1)
            assert not s.box
    asyncio.run(main())


def test_a_check_that_raises_is_no_refusal():
    class Broken(Check):
        name, stages = "broken", Stage.RCPT

        def run(self, task):
            raise RuntimeError("a fault")

    async def main():
        async with Server(checks=[Broken()]) as s, s.client() as c:
            await c.say(*BEGIN)
            assert (await c.message()).startswith("250")
    asyncio.run(main())


def test_many_at_the_same_time():
    class Slow(Check):
        name, stages = "slow", Stage.RCPT

        async def run(self, task):
            await asyncio.sleep(0.2)
            return hit("odd", score=20.0, text="odd") if task.event.sender.local_part == "odd" else None

    async def one(s, i):
        async with s.client() as c:
            await c.say(BEGIN[0], "MAIL FROM:<%s@example.org>" % ("odd" if i % 2 else "even"))
            return (await c.say(BEGIN[2]))[:3]

    async def main():
        async with Server(checks=[Slow()]) as s:
            begun = asyncio.get_running_loop().time()
            codes = await asyncio.gather(*(one(s, i) for i in range(40)))
            assert codes == ["250", "550"] * 20 and asyncio.get_running_loop().time() - begun < 6
    asyncio.run(main())


def certificate(folder):
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx.example.net", "-days", "2", "-keyout",
                        key, "-out", cert], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def test_tls_and_auth_are_known_to_the_policy(tmp_path):
    context = certificate(tmp_path)
    seen = []

    class Look(Check):
        name, stages = "look", Stage.MAIL

        def run(self, task):
            seen.append((task.event.tls, task.event.identity, task.event.own))

    def login(server, session, envelope, mechanism, data):
        return AuthResult(success=data.login == b"alice", auth_data=data)

    async def main():
        async with Server(checks=[Look()], tls_context=context, authenticator=login) as s:
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
            c = Client(s.port)
            c.reader, c.writer = reader, writer
            await c.reply()
            assert "STARTTLS" in await c.say("EHLO mail.example.org")
            assert (await c.say("STARTTLS")).startswith("220")
            loop = asyncio.get_running_loop()
            client = ssl.create_default_context()
            client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
            protocol = writer.transport.get_protocol()
            transport = await loop.start_tls(writer.transport, protocol, client)
            protocol._replace_writer(asyncio.StreamWriter(transport, protocol, reader, loop)) if hasattr(protocol, "_replace_writer") else None
            c.writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            assert (await c.say("MAIL FROM:<a@example.org>")).startswith("503")  # what was said before is forgotten
            await c.say("EHLO mail.example.org")
            assert (await c.say("AUTH PLAIN AGFsaWNlAHNlY3JldA==")).startswith("235")
            assert (await c.say("MAIL FROM:<a@example.org>")).startswith("250")
            assert (await c.say("RCPT TO:<x@elsewhere.example>")).startswith("250")  # an own client may send anywhere
            c.writer.close()
            await asyncio.sleep(0.1)
    asyncio.run(main())
    assert seen == [(True, "alice", True)]


def test_the_proxy_protocol_speaks_for_whom_it_may():
    async def main():
        for allowed, expected in ((True, "550"), (False, "")):
            async with Server(POLICY + 'dnslists = ( { zone = "bl.example"; codes = ( { match = "127.0.0.2"; score = 20.0; } ); } );',
                              dns="7.2.0.192.bl.example A 127.0.0.2\n", proxy_protocol_timeout=5.0,
                              handler={"accept_proxy": lambda data, peer: allowed and peer[0] == "127.0.0.1"}) as s:
                reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
                writer.write(b"PROXY TCP4 192.0.2.7 192.0.2.1 1111 25\r\n")
                banner = await asyncio.wait_for(reader.readline(), 10)
                assert bool(banner) == allowed
                if allowed:
                    c = Client(s.port)
                    c.reader, c.writer = reader, writer
                    assert (await c.say(*BEGIN[:3])).startswith(expected)
                writer.close()
                await asyncio.sleep(0.05)
    asyncio.run(main())


def test_a_controller_in_a_thread():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    box = Box()
    controller = Controller(Handler(Config(log=None).loads(POLICY), box), "127.0.0.1", port)
    controller.start()
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as s, s.makefile("rb") as f:
            for line in (None, *BEGIN, "Subject: x\r\n\r\nx\r\n.", "QUIT"):
                if line:
                    s.sendall(line.encode() + b"\r\n")
                while (got := f.readline())[3:4] == b"-":
                    pass
                assert got[:1] in b"23", got
    finally:
        controller.stop()
    assert len(box) == 1 and controller.handler.driver is None


class Timers:
    """A loop's clock and timers, by hand."""

    def __init__(self):
        self.now, self.armed = 0.0, []

    def time(self):
        return self.now

    def call_at(self, when, call):
        timer = SimpleNamespace(when=lambda: when, call=call, cancel=lambda: timer in self.armed and self.armed.remove(timer))
        self.armed.append(timer)
        return timer

    def fire(self):
        timer = self.armed.pop()
        self.now = timer.when()
        timer.call()


def test_silent_connection():
    """One timer for a connection, put off when it fires; a shorter wait needs another."""

    async def main():
        handler = Handler(Config(log=None).loads(POLICY), Box(), resolver=zone(""))
        server = SMTP(handler, hostname="mx.example.net", timeout=300)
        timers, closed = Timers(), []
        server.loop, server._timeout_cb = timers, lambda: closed.append(timers.now)
        for timers.now in (0.0, 10.0, 200.0):
            server._reset_timeout()
        assert [timer.when() for timer in timers.armed] == [300.0]
        timers.fire()
        assert not closed and [timer.when() for timer in timers.armed] == [500.0]
        server._reset_timeout(5)
        assert [timer.when() for timer in timers.armed] == [305.0]
        timers.fire()
        assert closed == [305.0] and not timers.armed
        handler.close()

    asyncio.run(main())
