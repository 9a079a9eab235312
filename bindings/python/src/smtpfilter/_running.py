# SPDX-License-Identifier: MIT
"""Runs what a program wrote in Python for C: functions that return, and `async def`.

Without an event loop a coroutine may only await what the library itself offers (`await task.query(...)`); with one
(an asyncio driver) it is a task there, and may await anything.
"""
from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .driver import Driver

NO_LOOP = (
    "this awaits something outside the library, which takes an asyncio driver (smtpfilter.aio); "
    "here only what the library offers can be awaited"
)


def run(
    driver: Driver, where: str, call: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None]
) -> asyncio.Task[Any] | None:
    """Calls; tells `done` what it returned, now or, where it is a coroutine, later; `failed` what it raised. The task,
    where there is one."""
    try:
        value = call()
        if not inspect.isawaitable(value):
            done(value)
            return None
        if driver.loop is not None and driver.loop.is_running():
            return spawn(driver, where, value, done, failed)
        done(step_through(value))
    except BaseException as error:  # whatever it is must not pass through C
        driver._caught(where, error)
        failed(error)
    return None


def step_through(value: Any) -> Any:
    """The result of a coroutine that needs no event loop."""
    coroutine: Coroutine[Any, Any, Any] = value if inspect.iscoroutine(value) else _awaiting(value)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError(NO_LOOP)


async def _awaiting(value: Any) -> Any:
    return await value


def spawn(
    driver: Driver, where: str, value: Any, done: Callable[[Any], None], failed: Callable[[BaseException], None]
) -> asyncio.Task[Any]:
    assert driver.loop is not None
    task = driver.loop.create_task(_awaiting(value), name=f"smtpfilter {where}")

    def over(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            failed(asyncio.CancelledError())
            return
        error = task.exception()
        try:
            if error is None:
                done(task.result())
                return
        except Exception as e:
            error = e
        driver._caught(where, error)
        failed(error)

    task.add_done_callback(over)
    return task
