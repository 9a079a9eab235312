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

from smtpfilter import BusyError, Check, ClosedError, Session, Stage, clear, zone
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
