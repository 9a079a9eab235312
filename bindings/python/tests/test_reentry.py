# SPDX-License-Identifier: MIT
"""What Python code may do while the library calls it: closing things, being cancelled, answering nonsense."""
from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from typing import Any

import pytest
from conftest import World, evidence, talk
from test_life import elsewhere

from smtpfilter import (
    LATER, BusyError, Check, ClosedError, DeadlineError, Directory, Driver, EvidenceKind, NotFoundError, Scanner,
    ScanResult, Session, Stage, ThreadError, clear, policy_directory, zone,
)  # fmt: skip
from smtpfilter.aio import AsyncDriver, AsyncSession


class Does(Check):
    """Calls what the test wants at RCPT."""

    name, stages = "does", Stage.RCPT

    def __init__(self, what: Any) -> None:
        self.what = what

    def run(self, task: Any) -> Any:
        self.what()
        return clear("done")


def test_a_session_closed_in_its_own_check(world: World) -> None:
    sessions: list[Session] = []
    world.config.add_check(Does(lambda: sessions[0].close()))
    with world.driver() as driver:
        sessions.append(Session(driver))
        with pytest.raises(ClosedError):
            talk(sessions[0])
        assert not driver._orphans
        sessions.clear()
    assert not world.exceptions()


def test_a_driver_is_not_closed_in_a_check(world: World) -> None:
    drivers: list[Any] = []
    world.config.add_check(Does(lambda: drivers[0].close()))
    with world.driver() as driver, Session(driver) as session:
        drivers.append(driver)
        assert evidence(talk(session), "does").code == "exception"
        drivers.clear()
    assert BusyError.__name__ in world.exceptions()[0]


def cancelled() -> None:
    raise asyncio.CancelledError


def test_a_check_that_raises_a_cancellation_cancels_nobody(world: World) -> None:
    world.config.add_check(Does(cancelled))
    with world.driver() as driver, Session(driver) as session:
        assert evidence(talk(session), "does").code == "exception"


def test_sessions_that_are_ready_beside_an_interrupt_are_named(world: World) -> None:
    async def main() -> None:
        driver = AsyncDriver(world.engine(), resolver=zone(""))
        session = AsyncSession(driver)
        driver._ready = [session]  # type: ignore[list-item]
        driver._interrupt = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            driver.process()
        assert driver.process() == [session]
        driver.close()

    asyncio.run(main())


def test_bytes_taken_must_be_a_number(world: World) -> None:
    class Odd(Check):
        name, stages = "odd", Stage.BODY

        def feed(self, task: Any, data: bytes) -> Any:
            return "all of it"

    world.config.add_check(Odd())
    with world.driver() as driver, Session(driver, timeout=5) as session:
        talk(session)
        session.data()
        session.body(b"Subject: x\r\n\r\nx\r\n")
        assert evidence(session.eom(), "odd").code == "exception"


def test_a_policy_lives_as_long_as_a_dropped_session(world: World) -> None:
    with world.driver() as driver, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        session = Session(driver)
        session.connect("192.0.2.1")
        old = weakref.ref(driver.engine)
        driver.set_engine(World().engine())
        del session
        gc.collect()
        assert old() is not None  # C has its checks' tables until the session is freed
        driver.process()
        gc.collect()
        assert old() is None


# ---- too late, or from elsewhere --------------------------------------------------------------------------------------


def test_a_message_that_outlives_its_driver(world: World) -> None:
    kept: list[Any] = []

    class Never(Scanner):
        name = "never"

        def scan(self, message: Any) -> Any:
            kept.append(message)
            return LATER

    world.config.add_scanner(Never())
    world.options["scanners"] = {"s": {"type": "never", "kind": "virus"}}
    with world.driver() as driver, Session(driver, timeout=0.1) as session:
        talk(session)
        session.data()
        session.body(b"Subject: x\r\n\r\nx\r\n")
        with pytest.raises(DeadlineError):
            session.eom()
        assert isinstance(elsewhere(lambda: kept[0].again()), ThreadError)
        assert kept[0].size > 0
    (message,) = kept
    message.room()
    message.answer(ScanResult.clean())
    assert message.size == 0
    with pytest.raises(OSError):
        message.fileno()
    with pytest.raises(NotFoundError):
        message.again()


def test_what_belongs_to_a_thread(world: World) -> None:
    class Slow(Directory):
        def lookup(self, address: str) -> Any:
            token = self.token
            assert isinstance(elsewhere(lambda: self.answer(token, True)), ThreadError)
            return True

    class Far(Check):
        name, stages = "far", Stage.RCPT

        def run(self, task: Any) -> Any:
            assert isinstance(elsewhere(lambda: task.fact("x")), ThreadError)
            return clear("done")

    world.config.add_check(Far())
    with world.driver(directory=Slow()) as driver, Session(driver) as session:
        assert evidence(talk(session), "far").code == "done"
    assert not world.exceptions()


def test_an_inner_port_serves_one_driver(world: World) -> None:
    class Some(Directory):
        inner = policy_directory()

        def lookup(self, address: str) -> Any:
            return self.inner.pass_on(self.token, address)

    with world.driver(directory=Some()) as driver, Session(driver) as session:
        with pytest.raises(RuntimeError, match="inner"):
            Driver(driver.engine, resolver=zone(""), directory=Some())
        assert talk(session).accepted
    Driver(world.engine(), resolver=zone(""), directory=Some()).close()


@pytest.mark.filterwarnings("ignore")
def test_a_fault_of_ours_is_not_clear(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(driver: Any) -> Any:
        raise KeyError("a fault")

    world.config.add_check(Does(lambda: None))
    with world.driver() as driver, Session(driver) as session:
        monkeypatch.setattr("smtpfilter.check.driver_at", broken)
        assert evidence(talk(session), "does").kind == EvidenceKind.UNKNOWN


def test_a_task_cancelled_before_it_waits(world: World) -> None:
    class Slow(Check):
        name, stages = "slow", Stage.RCPT

        async def run(self, task: Any) -> Any:
            await asyncio.sleep(5)

    world.config.add_check(Slow())

    async def main() -> None:
        async with AsyncDriver(world.engine(), resolver=zone("")) as driver, AsyncSession(driver) as session:
            await session.connect("192.0.2.1")
            await session.helo("mail.example.org")
            await session.mail("a@example.org")
            waits = asyncio.ensure_future(session.rcpt("b@example.net"))
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            await asyncio.sleep(0)
            assert not session.pending and not driver._waiting

    asyncio.run(main())
