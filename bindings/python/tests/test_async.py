# SPDX-License-Identifier: MIT
"""`async def` in checks, scanners and ports, on an asyncio driver."""
from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from conftest import World, evidence
from test_check import Named

import smtpfilter
from smtpfilter import (
    Change,
    Check,
    Directory,
    DnsAnswer,
    DnsRecord,
    DnsStatus,
    DnsType,
    EvidenceKind,
    Message,
    Resolver,
    Scanner,
    ScanResult,
    Stage,
    Store,
    Task,
    clear,
    hit,
)
from smtpfilter.aio import AsyncDriver, AsyncSession

LOOPS = ["asyncio"]
try:
    import uvloop

    LOOPS.append("uvloop")
except ImportError:
    pass


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Any:
    """Runs a coroutine on each kind of loop."""

    def call(coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = uvloop.new_event_loop() if request.param == "uvloop" else asyncio.new_event_loop()
        try:
            return loop.run_until_complete(asyncio.wait_for(coroutine, 60))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return call


async def talk(session: AsyncSession, to: str = "b@example.net") -> smtpfilter.Verdict:
    await session.connect("192.0.2.1")
    await session.helo("mail.example.org")
    await session.mail("a@example.org")
    return await session.rcpt(to)


def driver(world: World, **ports: Any) -> AsyncDriver:
    ports.setdefault("resolver", smtpfilter.zone("txt.example.org TXT hello"))
    world.options["iprev"] = {"enable": False}
    return AsyncDriver(world.engine(), **ports)


def test_check_awaits_anything(world: World, run: Any) -> None:
    async def look(task: Task) -> Any:
        assert asyncio.current_task() is not None
        await asyncio.sleep(0.01)
        async with asyncio.timeout(5) if hasattr(asyncio, "timeout") else asyncio.Lock():
            txt, other = await asyncio.gather(
                _answer(task.query("txt.example.org", DnsType.TXT)), _answer(task.query("no.example.org", DnsType.A))
            )
        assert txt.values == ["hello"] and other.status == DnsStatus.NXDOMAIN
        assert (await task.lookup("b@example.net")).status
        await task.commit([Change(smtpfilter.ChangeOp.SET, b"k", b"v")])
        assert await task.get(b"k") == b"v"
        await task.sleep(0.01)
        return [hit("one", 1), clear("two")]

    async def main() -> smtpfilter.Verdict:
        world.config.add_check(Named(look))
        async with driver(world) as d, AsyncSession(d) as session:
            return await talk(session)

    verdict = run(main())
    assert not world.exceptions()
    assert [e.code for e in verdict.evidence if e.check == "named"] == ["one", "two"]


async def _answer(ask: Any) -> Any:
    return await ask


def test_exception_in_async_check(world: World, run: Any) -> None:
    async def look(task: Task) -> Any:
        await asyncio.sleep(0)
        raise ValueError("odd")

    async def main() -> smtpfilter.Verdict:
        world.config.add_check(Named(look))
        async with driver(world) as d, AsyncSession(d) as session:
            return await talk(session)

    found = evidence(run(main()), "named")
    assert found.kind == EvidenceKind.UNKNOWN and found.detail == "ValueError: odd"
    assert len(world.exceptions()) == 1


def test_deadline_cancels_the_task(world: World, run: Any) -> None:
    cancelled = []

    async def look(task: Task) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> smtpfilter.Verdict:
        world.config.add_check(Named(look))
        world.options["check"] = {"timeout": "50ms"}
        async with driver(world) as d, AsyncSession(d) as session:
            verdict = await talk(session)
            await asyncio.sleep(0.01)
            return verdict

    assert evidence(run(main()), "named").code == "timeout" and cancelled == [True]
    assert not world.exceptions()


def test_client_that_goes_away(world: World, run: Any) -> None:
    """A task of the host's that is cancelled: its session, and the check's task, end with it."""
    ended = []

    async def look(task: Task) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def main() -> None:
        world.config.add_check(Named(look))
        async with driver(world) as d, AsyncSession(d) as session:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(talk(session), 0.1)
            await asyncio.sleep(0.01)
            assert ended == [True]

    run(main())


def test_many_at_once(world: World, run: Any) -> None:
    async def look(task: Task) -> Any:
        await asyncio.sleep(0.02)
        return clear(str(task.event.recipient))

    async def one(d: AsyncDriver, i: int) -> str:
        async with AsyncSession(d) as session:
            verdict = await talk(session, f"user{i}@example.net")
            return evidence(verdict, "named").code

    async def main() -> list[str]:
        world.config.add_check(Named(look))
        async with driver(world) as d:
            return await asyncio.gather(*(one(d, i) for i in range(100)))

    assert run(main()) == [f"user{i}@example.net" for i in range(100)]


def test_ports(world: World, run: Any) -> None:
    class Names(Resolver):
        async def query(self, name: str, type: DnsType) -> Any:
            await asyncio.sleep(0.005)
            return [DnsRecord(DnsType.TXT, name)] if type == DnsType.TXT else None

    class Users(Directory):
        async def lookup(self, address: str) -> Any:
            await asyncio.sleep(0.005)
            if address.startswith("bad"):
                raise ConnectionError("down")
            return address.startswith("b@")

    class Mine(Store):
        def __init__(self) -> None:
            self.records: dict[bytes, bytes] = {}

        async def get(self, key: bytes) -> bytes | None:
            await asyncio.sleep(0.001)
            return self.records.get(key)

        async def commit(self, changes: Sequence[Change]) -> None:
            await asyncio.sleep(0.001)
            for change in changes:
                self.records[change.key] = change.apply(self.records.get(change.key))[0] or b""

    async def look(task: Task) -> Any:
        return clear((await task.query("txt.example.org", DnsType.TXT)).values[0])

    async def main() -> None:
        world.config.add_check(Named(look))
        world.options["profiles"] = {"default": {"greylist": True}}
        store = Mine()
        async with driver(world, resolver=Names(), directory=Users(), store=store) as d, AsyncSession(d) as session:
            verdict = await talk(session)
            assert verdict.code == 451 and store.records
            assert evidence(verdict, "named").code == "txt.example.org"
            assert (await session.rcpt("nobody@example.net")).code == 550
            assert (await session.rcpt("bad@example.net")).code // 100 == 4
            answers: list[DnsAnswer] = []
            d.query("gone.example.org", DnsType.A, answers.append)
            await asyncio.sleep(0.05)
            assert [a.status for a in answers] == [DnsStatus.NXDOMAIN]

    run(main())
    assert len(world.exceptions()) == 1 and "ConnectionError" in world.exceptions()[0]


def test_port_whose_driver_goes(world: World, run: Any) -> None:
    cancelled = []

    class Users(Directory):
        async def lookup(self, address: str) -> Any:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(address)
                raise

    async def main() -> None:
        d = driver(world, directory=Users())
        session = AsyncSession(d)
        waiting = asyncio.ensure_future(talk(session))
        await asyncio.sleep(0.05)
        d.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0.01)

    run(main())
    assert cancelled == ["b@example.net"]


def test_scanner_and_reader(world: World, run: Any) -> None:
    class Slow(Scanner):
        name = "slow"

        async def scan(self, message: Message) -> ScanResult:
            await asyncio.sleep(0.01)
            data = await asyncio.get_running_loop().run_in_executor(None, message.read)
            return ScanResult.hit("Buy") if b"buy" in data else ScanResult.clean()

    class Reader(Check):
        name = "reader"
        stages = Stage.BODY

        def feed(self, task: Task, data: bytes) -> None:
            task.state = (task.state or b"") + data

        async def finish(self, task: Task) -> Any:
            await asyncio.sleep(0.01)
            return clear("read") if task.state == b"Subject: a\r\n\r\nbuy now\r\n" else hit("odd")

    async def main() -> smtpfilter.Verdict:
        world.config.add_scanner(Slow()).add_check(Reader())
        world.options["scanners"] = {"local": {"type": "slow"}}
        async with driver(world) as d, AsyncSession(d) as session:
            assert (await talk(session)).accepted
            await session.data()
            await session.body(b"Subject: a\r\n\r\nbuy now\r\n")
            return await session.eom()

    verdict = run(main())
    assert verdict.code == 550 and evidence(verdict, "reader").code == "read"
    assert not world.exceptions()
