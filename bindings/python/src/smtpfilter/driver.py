# SPDX-License-Identifier: MIT
"""One event loop's worth of the library: ports, caches, timers."""
from __future__ import annotations

import asyncio
import atexit
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, WeakValueDictionary, ref

from . import _trampolines as _trampolines
from ._adapters import Ports
from ._error import ClosedError, ThreadError
from ._ffi import ffi, lib
from ._glue import c_text, check, failure, finalizing, from_c
from ._packed import Room
from .calls import Calls
from .engine import Engine
from .errors import ForkError

if TYPE_CHECKING:
    from .session import BaseSession

_drivers: WeakSet[Driver] = WeakSet()
_by_ptr: WeakValueDictionary[int, Driver] = WeakValueDictionary()


_last: tuple[Any, Any] = (None, None)


def driver_at(ptr: Any) -> Driver:
    """The driver that C means; mostly the same as before."""
    global _last
    seen, reference = _last
    driver: Driver | None = reference() if seen == ptr else None
    if driver is not None and driver._ptr == ptr:
        return driver
    driver = _by_ptr[int(ffi.cast("intptr_t", ptr))]
    _last = (ptr, ref(driver))
    return driver


class Driver(Calls):
    """Sessions, ports, caches and timers of one thread.

        driver = Driver(engine)                      # c-ares, the store of the policy, its recipients
        driver = Driver(engine, resolver=MyResolver(), store=MyStore())

    A driver and its sessions belong to the thread that made it; `wake` is the one call for others. After a fork they
    are of no use in the child: make new ones there. Ports may be objects of Python (`smtpfilter.ports`), or those of
    the library.
    """

    def __init__(self, engine: Engine, **ports: Any) -> None:
        self._ptr: Any = None
        super().__init__()
        self.loop: asyncio.AbstractEventLoop | None = None
        """Where `async def` of ports and checks run. None: they may only await what the library itself offers."""
        self.engine = engine
        self._thread = threading.get_ident()
        self._pid = os.getpid()
        self._log = engine._log
        self._sessions: WeakValueDictionary[int, BaseSession[Any]] = WeakValueDictionary()
        self._orphans: deque[tuple[Any, Engine]] = deque()
        self._inside = 0
        self._ready: list[BaseSession[Any]] = []
        self._interrupt: BaseException | None = None
        self._room: Room = Room()
        self._ports: Ports = Ports(self, ports)
        out = ffi.new("smtpf_driver **")
        engine_ptr = engine._live()
        result = lib.smtpf_driver_new(out, engine_ptr, self._ports.table)
        self._ports.raise_cause()
        check(result, "driver")
        self._ptr = out[0]
        _drivers.add(self)
        _by_ptr[int(ffi.cast("intptr_t", self._ptr))] = self

    # ---- the event loop -----------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """A descriptor that is readable when `process` has something to do."""
        return int(lib.smtpf_driver_fd(self._live()))

    def process(self) -> list[BaseSession[Any]]:
        """Does what is due, without blocking; the sessions whose pending event, or piece of a message, may go on."""
        ptr = self._live()
        self._bury()
        check(self._enter(lib.smtpf_driver_process, ptr), "process")
        while s := lib.smtpf_driver_next(ptr):
            session = self._sessions.get(int(ffi.cast("intptr_t", s)))
            if session is not None:
                self._ready.append(session)
        if self._interrupt is not None and self._ready:
            self.wake()  # the next call names them
        self._raise_interrupt()
        ready, self._ready = self._ready, []
        return ready

    def deadline(self) -> float | None:
        """Seconds until `process` is due without the descriptor being readable; None for never."""
        ms = lib.smtpf_driver_deadline(self._live())
        return None if ms < 0 else ms / 1000

    def wake(self) -> None:
        """Makes the descriptor readable. Any thread, and signal handlers."""
        ptr = self._ptr
        if ptr:
            lib.smtpf_driver_wake(ptr)

    def set_engine(self, engine: Engine) -> None:
        """Gives new sessions another policy; open sessions keep theirs."""
        lib.smtpf_driver_set_engine(self._live(), engine._live())
        self.engine = engine
        self._log = engine._log

    def stats(self) -> dict[str, int]:
        """Counters, the driver's and its store's. New ones may appear in any version."""
        found: dict[str, int] = {}
        user = ffi.new_handle(found)
        lib.smtpf_driver_stats(self._live(), lib.py_stat_fn, user)
        return found

    # ---- who may call -------------------------------------------------------------------------------------------

    def _own_thread(self) -> None:
        if threading.get_ident() != self._thread:
            self._refuse()

    def _live(self) -> Any:
        self._own_thread()
        if not self._ptr:
            raise ClosedError("the driver is closed")
        return self._ptr

    def _refuse(self) -> None:
        if self._pid != os.getpid():
            raise ForkError("the driver was made before this process was forked; make a new one here")
        raise ThreadError("a driver and its sessions belong to the thread that made them; only wake() is for others")

    def _enter(self, function: Callable[..., int], *args: Any) -> int:
        """A call in which the library may call Python code: what that closes is freed behind it."""
        self._inside += 1
        try:
            return function(*args)
        finally:
            self._inside -= 1
            if self._orphans:
                self._bury()

    def _raise_interrupt(self) -> None:
        """KeyboardInterrupt and the like, raised in Python code that C called, reach the program here."""
        if self._interrupt is not None:
            interrupt, self._interrupt = self._interrupt, None
            raise interrupt

    def _caught(self, where: str, error: BaseException) -> None:
        """Python code that C called raised. It goes to the log; what is meant for the program goes on afterwards, too.
        A cancellation is not: it would end the event of whoever called last."""
        self._log.exception(where, error)
        if not isinstance(error, (Exception, asyncio.CancelledError)):
            self._interrupt = error

    # ---- life ---------------------------------------------------------------------------------------------------

    def _bury(self) -> None:
        """Frees sessions that were dropped without close(), on the right thread and outside of their calls."""
        while self._orphans and not self._inside:
            ptr, _engine = self._orphans.popleft()
            self._enter(lib.smtpf_session_free, ptr)

    def close(self) -> None:
        """Ends its sessions, then the ports. Again: does nothing. A BusyError in what the library itself called."""
        if not self._ptr:
            return
        ptr = self._live()
        if self._inside:
            raise failure(lib.SMTPF_EBUSY, "close")
        for session in list(self._sessions.values()):
            session.close()
        self._bury()
        self._ptr = None
        self._enter(lib.smtpf_driver_free, ptr)
        self._forget_asked()

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._ptr or finalizing() or self._pid != os.getpid():
            return
        warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self)
        if threading.get_ident() == self._thread:
            self.close()  # else it stays: nobody but its thread may end it

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{'' if self._ptr else ' closed'} sessions={len(self._sessions)}>"


def _forked() -> None:
    """In the child of a fork no driver belongs to any thread."""
    for driver in _drivers:
        driver._thread = -1


def _exiting() -> None:
    """The interpreter goes: what this thread still has is ended while Python code can be called."""
    for driver in list(_drivers):
        if driver._ptr and driver._thread == threading.get_ident():
            driver.close()


os.register_at_fork(after_in_child=_forked)
atexit.register(_exiting)


@from_c
def py_stat_fn(user: Any, name: Any, value: int) -> None:
    found: dict[str, int] = ffi.from_handle(user)
    found[c_text(name)] = value
