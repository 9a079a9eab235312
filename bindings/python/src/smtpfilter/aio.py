# SPDX-License-Identifier: MIT
"""asyncio: the same objects, with events that are awaited.

A driver has one descriptor; it is added to the running loop, and thousands of sessions wait on it. uvloop works too.

.. code-block:: python

    async def main():
        async with AsyncDriver(Engine(Config("policy.conf"))) as driver:
            async with AsyncSession(driver) as session:
                await session.connect("192.0.2.1")
                verdict = await session.helo("mail.example.org")
                print(verdict.code, verdict.text)

An event begins when its method is called, and its verdict is what ``await`` gives. A task that is cancelled before or while it
waits aborts its session: the client is gone. Checks, scanners and ports that are ``async def`` run as tasks of the loop.
"""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any

from . import BaseSession, Driver, Engine, Error, Verdict

__all__ = ["AsyncDriver", "AsyncSession"]


class AsyncDriver(Driver):
    """A driver whose descriptor the loop watches.

    :param engine: the policy of new sessions
    :param loop: the loop; the running one when it is left out
    :param ports: as for :class:`smtpfilter.Driver`
    """

    def __init__(self, engine: Engine, *, loop: asyncio.AbstractEventLoop | None = None, **ports: Any) -> None:
        super().__init__(engine, **ports)
        self.loop: asyncio.AbstractEventLoop = loop or asyncio.get_running_loop()
        self._waiting: set[AsyncSession] = set()
        self._watched = self.fileno()
        self.loop.add_reader(self._watched, self._readable)

    def _readable(self) -> None:
        for session in self.process():
            if isinstance(session, AsyncSession):
                session._wake()

    def close(self) -> None:
        """Ends the driver. Events that are pending raise :class:`asyncio.CancelledError`."""
        if self._inside:
            super().close()  # raises
        if self._watched >= 0:
            if not self.loop.is_closed():
                self.loop.remove_reader(self._watched)
            self._watched = -1
        for session in list(self._waiting):
            session.close()
        super().close()

    async def __aenter__(self) -> AsyncDriver:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self.close()


class _Ready:
    """A verdict that is there already."""

    __slots__ = ("_verdict",)

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def __await__(self) -> Generator[Any, None, Verdict]:
        return self._verdict
        yield  # a generator, which does not wait


class _Later:
    """A verdict to come."""

    __slots__ = ("_session", "_future", "_awaited")

    def __init__(self, session: AsyncSession, future: asyncio.Future[Any]) -> None:
        self._session = session
        self._future = future
        self._awaited = False

    def __del__(self) -> None:
        """A task that was cancelled before it came to wait: nobody will ever ask for this verdict."""
        if not self._awaited and self._session._future is self._future and not self._future.done():
            self._session._gone()

    def __await__(self) -> Generator[Any, None, Any]:
        self._awaited = True
        try:
            return (yield from self._future)
        except asyncio.CancelledError:
            self._session._gone()
            raise


class AsyncSession(BaseSession[Awaitable[Verdict]]):
    """One SMTP connection, told event by event; each event is awaited.

    Takes what :class:`smtpfilter.Session` takes. :meth:`close` may be called at any moment; so may :meth:`abort`.
    """

    _future: asyncio.Future[Any] | None = None

    def _answer(self, result: int) -> Awaitable[Verdict]:
        if not result:
            return _Ready(self._take())
        return _Later(self, self._wait())

    def _wait(self) -> asyncio.Future[Any]:
        driver: AsyncDriver = self.driver  # type: ignore[assignment]
        self._future = driver.loop.create_future()
        driver._waiting.add(self)
        return self._future

    def _wake(self) -> None:
        """The driver: the pending event has its verdict, or there is room for more of the message."""
        future, self._future = self._future, None
        self.driver._waiting.discard(self)  # type: ignore[attr-defined]
        if future is None or future.done():
            return
        try:
            future.set_result(self._take() if self._in_event else None)
        except Error as e:
            future.set_exception(e)

    _in_event = True

    def _gone(self) -> None:
        self._forget()
        if self._ptr:
            self.abort()

    def _forget(self) -> None:
        future, self._future = self._future, None
        if future is not None and not future.done():
            future.cancel()
        self.driver._waiting.discard(self)  # type: ignore[attr-defined]

    async def body(self, data: bytes | bytearray | memoryview) -> None:
        """A piece of the message: CRLF line ends, dots unstuffed. Waits while checks that read it are behind."""
        rest = memoryview(data)
        while True:
            rest = rest[self.feed(rest):]
            if not rest:
                return
            self._in_event = False
            try:
                await _Later(self, self._wait())
            finally:
                self._in_event = True

    def close(self) -> None:
        """Frees the session. An event that is pending raises :class:`asyncio.CancelledError`."""
        self._forget()
        super().close()

    async def __aenter__(self) -> AsyncSession:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self.close()
