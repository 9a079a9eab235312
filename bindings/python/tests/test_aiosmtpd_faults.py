# SPDX-License-Identifier: MIT
"""The handler and clients that mean no good, next hops that speak badly, and deliveries that break."""
import asyncio

import pytest

pytest.importorskip("aiosmtpd")
pytestmark = pytest.mark.filterwarnings("ignore")  # aiosmtpd's own

from test_aiosmtpd import BEGIN, POLICY, Server  # noqa: E402

from smtpfilter import Check, Stage  # noqa: E402
from smtpfilter.aio import AsyncSession  # noqa: E402
from smtpfilter.aiosmtpd import LMTP, server  # noqa: E402
from smtpfilter.delivery import Refused  # noqa: E402

NORMALISE = POLICY + 'smtp = { line_ends = "normalise"; };'
THREE = [BEGIN[2], "RCPT TO:<c@example.net>", "RCPT TO:<d@example.net>", "DATA"]


async def slowly(c, *pieces):
    for piece in pieces:
        c.writer.write(piece)
        await c.writer.drain()
        await asyncio.sleep(0.03)


def test_a_long_line_whose_end_comes_in_two_pieces():
    async def main():
        async with Server() as s, s.client() as c:
            await c.say(*BEGIN)
            await slowly(c, b"Subject: x\r\n\r\n" + b"x" * 5000 + b"\r", b"\n.\r\n")
            assert await c.reply() == "250 2.0.0 taken"
            assert s.box[0].content.endswith(b"x" * 5000 + b"\r\n")
    asyncio.run(main())


def test_lines_without_crlf_are_mended_and_end_nothing():
    async def main():
        async with Server(NORMALISE) as s, s.client() as c:
            await c.say(*BEGIN)
            await slowly(c, b"Subject: x\r\n\r\n" + b"..y" * 3000, b"x\n" * 60000, b"z" * 3000, b"\n.\r", b"\nMAIL FROM:<x@y>\r", b"\n.\r\n")
            assert await c.reply() == "250 2.0.0 taken"
            body = s.box[0].content.partition(b"\r\n\r\n")[2]
            assert body == (b"..y" * 3000)[1:] + b"x\r\n" * 60000 + b"z" * 3000 + b"\r\n.\r\nMAIL FROM:<x@y>\r\n"
    asyncio.run(main())


def test_a_line_without_end_is_not_kept(monkeypatch):
    kept, cut = [], server._cut

    def looked_at(buffer):
        found = cut(buffer)
        kept.append(len(found[1]))
        return found

    monkeypatch.setattr(server, "_cut", looked_at)

    async def main():
        async with Server() as s, s.client() as c:
            await c.say(*BEGIN)
            await slowly(c, *[b"x" * 65536] * 40, b"\r", b"\n.\r\n")
            assert (await c.reply())[:3] == "554"
            assert (await c.say("NOOP")).startswith("250") and not s.box
    asyncio.run(main())
    assert max(kept) < 20 * 65536


def test_commands_behind_a_message_stay_in_their_order(monkeypatch):
    body = AsyncSession.body

    async def late(self, data):
        await asyncio.sleep(0.2)
        await body(self, data)

    monkeypatch.setattr(AsyncSession, "body", late)

    async def main():
        async with Server() as s, s.client() as c:
            await c.say(*BEGIN)
            await slowly(c, b"Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n", b"QUIT\r\n")
            assert [(await c.reply())[:3] for _ in range(3)] == ["250", "250", "221"]
    asyncio.run(main())


def test_lmtp_has_a_reply_for_each_when_the_message_is_refused():
    async def main():
        async with Server(protocol=LMTP) as s, s.client() as c:
            await c.say("LHLO mail.example.org", BEGIN[1], *THREE)
            await slowly(c, b"Subject: x\r\n\r\na\nb\r\n.\r\n")
            assert [(await c.reply())[:3] for _ in range(3)] == ["554"] * 3
            assert (await c.say("NOOP")).startswith("250")
    asyncio.run(main())


@pytest.mark.parametrize("raised, code", [
    (Refused("by policy", 550, "4.7.1"), "550"), (Refused("what", 250), "451"), (Refused("\ud800"), "554"),
    (asyncio.CancelledError(), "451"),
])
def test_one_delivery_that_breaks_is_one_recipients(raised, code):
    async def main():
        async with Server() as s, s.client() as c:
            s.box.raises = {"c@example.net": raised}
            await c.say(BEGIN[0], BEGIN[1] + " PRDR", *THREE)
            replies = [await c.message()] + [await c.reply() for _ in range(4)]
            assert [r[:3] for r in replies] == ["353", "250", code, "250", "250"], replies
            assert len(s.box) == 2 and s.box[0].content is s.box[1].content  # one message in memory
    asyncio.run(main())


def test_a_client_that_goes_while_its_message_is_looked_at():
    class Slow(Check):
        name, stages = "slow", Stage.BODY

        async def finish(self, task):
            await asyncio.sleep(0.3)

    async def main():
        async with Server(checks=[Slow()]) as s:
            async with s.client() as c:
                await c.say(*BEGIN)
                await slowly(c, b"Subject: x\r\n\r\nx\r\n.\r\n")
            await asyncio.sleep(0.5)
            assert not s.box  # it has no 250, and sends it again
    asyncio.run(main())


def test_the_auth_parameter_of_who_submits():
    async def main():
        async with Server() as s, s.client() as c:
            assert (await c.say(BEGIN[0], BEGIN[1] + " AUTH=<>")).startswith("250")
    asyncio.run(main())


def test_a_fault_within_a_message_makes_no_commands_of_it(monkeypatch):
    async def broken(self, data):
        raise OSError("a fault")

    monkeypatch.setattr(AsyncSession, "body", broken)

    async def main():
        async with Server(protocol=LMTP) as s, s.client() as c:
            await c.say("LHLO mail.example.org", BEGIN[1], *THREE)
            await slowly(c, b"Subject: x\r\n", b"NOOP\r\n" * 10)
            assert (await asyncio.wait_for(c.reader.read(), 10)).count(b"421 4.3.0") == 3 and not s.box
    asyncio.run(main())
