# SPDX-License-Identifier: MIT
"""asyncio: many sessions on one driver, answers that come later, cancellation, uvloop."""
import asyncio

import pytest

from smtpfilter import Action, Check, Config, DnsAnswer, DnsRecord, DnsStatus, DnsType, Engine, Resolver, Stage, StateError, hit
from smtpfilter.aio import AsyncDriver, AsyncSession

POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "early_talk" ]; };
dnslists = ( { zone = "bl.example"; codes = ( { match = "127.0.0.2"; score = 10.0; } ); } );
"""


class Slow(Resolver):
    """Answers after a moment, as a task of the loop."""

    def __init__(self, seconds=0.05):
        self.seconds, self.running, self.most, self.cancelled = seconds, 0, 0, 0

    async def query(self, name, type):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if name == "2.2.0.192.bl.example" and type == DnsType.A:
            return DnsAnswer(DnsStatus.OK, (DnsRecord(DnsType.A, "127.0.0.2"),))
        return None


def config(*checks):
    c = Config(log=None)
    for check in checks:
        c.add_check(check)
    return c.loads(POLICY)


async def talk(driver, client):
    async with AsyncSession(driver) as s:
        await s.connect(client)
        await s.helo("mail.example.org")
        await s.mail("a@example.org")
        return (await s.rcpt("b@example.net")).code


def test_sessions_wait_at_the_same_time():
    async def main():
        resolver = Slow()
        async with AsyncDriver(Engine(config()), resolver=resolver) as driver:
            begun = asyncio.get_running_loop().time()
            codes = await asyncio.gather(*(talk(driver, "192.0.2.%d" % i) for i in range(1, 101)))
            took = asyncio.get_running_loop().time() - begun
        assert codes[1] == 550 and set(codes) == {250, 550} and codes.count(550) == 1
        assert resolver.most > 50, "they were asked one after the other: %r" % took
    asyncio.run(main())


def test_a_verdict_that_is_there_costs_no_turn_of_the_loop():
    async def main():
        async with AsyncDriver(Engine(config()), resolver=Slow()) as driver, AsyncSession(driver) as s:
            await s.connect("192.0.2.1")
            turned = []
            asyncio.get_running_loop().call_soon(turned.append, 1)
            await s.helo("mail.example.org")
            assert not turned
    asyncio.run(main())


def test_a_cancelled_task_aborts_its_session_and_what_it_asked():
    async def main():
        resolver = Slow(5)
        async with AsyncDriver(Engine(config()), resolver=resolver) as driver:
            session = AsyncSession(driver)
            task = asyncio.ensure_future(session.connect("192.0.2.1"))
            await asyncio.sleep(0.02)
            assert not task.done() and session.pending
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(StateError):
                await session.helo("mail.example.org")
            await asyncio.sleep(0.02)
            assert resolver.cancelled == 1 and resolver.running == 0
            session.close()
            assert await talk(driver, "") in (250, 451)  # others go on
    asyncio.run(main())


def test_wait_for_bounds_an_event():
    async def main():
        async with AsyncDriver(Engine(config()), resolver=Slow(5)) as driver, AsyncSession(driver) as s:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(s.connect("192.0.2.1"), 0.05)
    asyncio.run(main())


def test_closing_the_driver_ends_who_waits():
    async def main():
        driver = AsyncDriver(Engine(config()), resolver=Slow(5))
        session = AsyncSession(driver)
        task = asyncio.ensure_future(session.connect("192.0.2.1"))
        await asyncio.sleep(0.02)
        driver.close()
        with pytest.raises(asyncio.CancelledError):
            await task
        driver.close()
    asyncio.run(main())


def test_checks_may_be_coroutines():
    class Awaiting(Check):
        name, stages = "awaiting", Stage.RCPT

        async def run(self, task):
            await asyncio.sleep(0.01)
            return hit("late", score=20.0, text="looked up elsewhere")

    async def main():
        async with AsyncDriver(Engine(config(Awaiting())), resolver=Slow(0)) as driver:
            assert await talk(driver, "192.0.2.1") == 550
    asyncio.run(main())


def test_a_message_in_pieces():
    async def main():
        async with AsyncDriver(Engine(config()), resolver=Slow(0)) as driver, AsyncSession(driver) as s:
            await s.connect("192.0.2.1")
            await s.helo("mail.example.org")
            await s.mail("a@example.org")
            await s.rcpt("b@example.net")
            assert (await s.data()).code == 354
            for _ in range(100):
                await s.body(b"Subject: x\r\n" * 100)
            await s.body(b"\r\nx\r\n")
            verdict = await s.eom()
            assert verdict.action == Action.ACCEPT and not verdict.recipients[0].final
            assert (await s.commit()).recipients[0].final
    asyncio.run(main())


def test_uvloop():
    uvloop = pytest.importorskip("uvloop")

    async def main():
        async with AsyncDriver(Engine(config()), resolver=Slow()) as driver:
            codes = await asyncio.gather(*(talk(driver, "192.0.2.%d" % i) for i in range(1, 21)))
            assert codes.count(550) == 1 and codes.count(250) == 19

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_many_sessions_leave_nothing_behind():
    async def main():
        async with AsyncDriver(Engine(config()), resolver=Slow(0)) as driver:
            for _ in range(20):
                await asyncio.gather(*(talk(driver, "192.0.2.9") for _ in range(25)))
            assert not driver._waiting and not driver._sessions
    asyncio.run(main())
