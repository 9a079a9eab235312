# SPDX-License-Identifier: MIT
"""Puts Python objects where the library expects tables of functions, for the ports of a driver."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _convert as convert
from ._enums import CalloutStatus, DirectoryStatus, DnsStatus, StoreStatus
from ._ffi import ffi, lib
from ._glue import NULL, Keep, encode, failure
from ._running import run
from .ports import LATER, CalloutAnswer, DirectoryAnswer, DnsAnswer, LibraryPort, Port, Store

if TYPE_CHECKING:
    from .driver import Driver

MEMBERS = {
    "clock": ("mono_ns", "wall_s"),
    "random": ("fill",),
    "crypto": ("hmac",),
    "poller": ("start", "set", "arm", "wait", "fd", "wake", "pid", "stop"),
    "resolver": ("start", "query", "cancel", "stop"),
    "directory": ("start", "lookup", "cancel", "stop"),
    "callout": ("start", "ask", "cancel", "stop"),
    "store": ("start", "get", "commit", "cancel", "stop"),
    "journal": ("start", "promise", "cancel", "stop"),
}


class Adapter:
    """One Python port on one driver. Questions become calls, what they return becomes answers."""

    def __init__(self, driver: Driver, port: Port) -> None:
        self.driver, self.port = driver, port
        self.ptr: Any = None
        """The driver of C; None before the port is started and after it was stopped."""
        self.handle = ffi.new_handle(self)
        self.keep = Keep()
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self.finish: dict[int, Callable[[Any], None]] = {}
        self.table = self._table(port)

    def _table(self, port: Port) -> Any:
        table = self.keep.sized(f"smtpf_{port.kind}")
        members = MEMBERS[port.kind]
        if port.kind == "store" and type(port).scan is not Store.scan:  # type: ignore[attr-defined]
            members += ("scan",)
        for member in members:
            setattr(table, member, getattr(lib, f"py_{port.kind}_{member}"))
        if port.kind in ("clock", "random"):
            table.user = self.handle
        else:
            table.name = self.keep.cstring(type(port).__name__)
        return table

    # ---- questions ----------------------------------------------------------------------------------------------

    def ask(self, token: int, where: str, call: Callable[[], Any], finish: Callable[[Any], None], failed: Any) -> int:
        """Calls a method of the port; `finish` makes its value an answer, `failed` is the value when it raises."""
        port = self.port
        self.finish[token] = finish

        def done(value: Any) -> None:
            if value is not LATER:
                self.complete(token, value)

        before, port.token = port.token, token
        try:
            task = run(self.driver, where, call, done, lambda error: self.settle(token, failed))
        finally:
            port.token = before
        if task is not None and token in self.finish:
            self.tasks[token] = task
        return int(lib.SMTPF_OK)

    def complete(self, token: int, value: Any) -> bool:
        """What a port said. A value that makes no sense raises."""
        finish = self.finish.get(token)
        if finish is None or self.ptr is None:
            return False
        finish(value)
        self.forget(token)
        return True

    def settle(self, token: int, value: Any) -> None:
        if token in self.finish:
            self.complete(token, value)

    def forget(self, token: int) -> None:
        self.finish.pop(token, None)
        self.tasks.pop(token, None)

    def cancelled(self, token: int) -> None:
        task = self.tasks.get(token)
        self.forget(token)
        if task is not None:
            task.cancel()
        self.guard("cancel", lambda: self.port.cancel(token))

    def guard(self, where: str, call: Callable[[], Any]) -> bool:
        """Calls; what it raises goes to the log."""
        try:
            call()
        except BaseException as error:
            self.driver._caught(f"{type(self.port).__name__}.{where}", error)
            return False
        return True

    # ---- life ---------------------------------------------------------------------------------------------------

    def started(self, driver: Any) -> int:
        self.ptr = driver
        inner = self.port.inner
        if inner is not None and inner._self is not None:
            self.driver._ports.cause = RuntimeError("an `inner` serves one driver: each port wants its own")
            return int(lib.SMTPF_EIO)
        self.port._adapter = self
        if inner is not None and (result := inner._start(driver, self)) < 0:
            return result
        try:
            self.port.start(self.driver)
        except BaseException as error:
            self.driver._ports.cause = error
            return int(lib.SMTPF_EIO)
        return int(lib.SMTPF_OK)

    def stopped(self) -> None:
        for token in list(self.tasks):
            self.tasks[token].cancel()
        self.tasks.clear()
        self.finish.clear()
        self.guard("stop", self.port.stop)
        if self.port.inner is not None:
            self.port.inner._stop()
        self.ptr = None


class Ports:
    """The ports of one driver, as C wants them."""

    KINDS = ("clock", "random", "poller", "resolver", "directory", "store", "journal", "crypto", "callout")

    def __init__(self, driver: Driver, given: dict[str, Any]) -> None:
        self.keep = Keep()
        self.cause: BaseException | None = None
        self.table = self.keep.sized("smtpf_ports")
        for kind, port in given.items():
            if kind not in self.KINDS:
                raise TypeError(f"no such port: {kind!r}; there are {', '.join(self.KINDS)}")
            if port is not None:
                self._put(driver, kind, port)

    def _put(self, driver: Driver, kind: str, port: Any) -> None:
        if getattr(port, "kind", None) != kind:
            raise TypeError(f"{kind}={port!r}: a smtpfilter.{kind.capitalize()} was expected")
        self.keep.append(port)
        if isinstance(port, LibraryPort):
            table, shared = port.table, port.shared
        else:
            adapter = Adapter(driver, port)
            self.keep.append(adapter)
            table, shared = adapter.table, adapter.handle
        setattr(self.table, kind, table)
        if kind not in ("clock", "random"):
            setattr(self.table, f"{kind}_shared", shared)

    def raise_cause(self) -> None:
        """A port that raised when it was started."""
        if self.cause is not None:
            cause, self.cause = self.cause, None
            raise cause


def pass_on(port: LibraryPort, token: int, question: tuple[Any, ...]) -> None:
    """Hands a question to a port of the library's, under the same token."""
    keep, t = Keep(), port.table
    if port._self is None:
        raise RuntimeError("the port is not started: it is the `inner` of no port of a driver")
    if port._adapter is not None:
        port._adapter.forget(token)
    if port.kind == "directory":
        result = t.lookup(port._self, token, convert.str_arg(keep, question[0]))
    elif port.kind == "resolver":
        result = t.query(port._self, token, int(question[1]), keep.cstring(question[0]))
    elif isinstance(question[0], (bytes, str)):
        result = t.get(port._self, token, convert.str_arg(keep, question[0]))
    else:
        result = t.commit(port._self, token, convert.put_changes(keep, question[0]), len(question[0]))
    if result < 0:
        raise failure(int(result), f"{port.kind} of the library")


# ---- how each kind answers --------------------------------------------------------------------------------------------


def dns(adapter: Adapter, op: int) -> Callable[[Any], None]:
    def finish(said: Any) -> None:
        keep = Keep()  # what the answer points to, until it was copied
        lib.smtpf_op_dns(adapter.ptr, op, convert.put_dns(keep, convert.dns_said(said)))

    return finish


def directory(adapter: Adapter, op: int) -> Callable[[Any], None]:
    def finish(said: Any) -> None:
        keep = Keep()
        lib.smtpf_op_directory(adapter.ptr, op, convert.put_directory(keep, convert.directory_said(said)))

    return finish


def callout(adapter: Adapter, op: int) -> Callable[[Any], None]:
    def finish(said: CalloutAnswer) -> None:
        keep = Keep()
        lib.smtpf_op_callout(adapter.ptr, op, convert.put_callout(keep, said))

    return finish


def store(adapter: Adapter, op: int, status: StoreStatus) -> Callable[[Any], None]:
    def finish(value: Any) -> None:
        if value is FAILED:
            lib.smtpfpy_op_store(adapter.ptr, op, int(StoreStatus.FAILED), NULL, 0)
        elif status == StoreStatus.DONE:
            lib.smtpfpy_op_store(adapter.ptr, op, int(status), NULL, 0)
        elif value is None:
            lib.smtpfpy_op_store(adapter.ptr, op, int(StoreStatus.ABSENT), NULL, 0)
        elif not isinstance(value, bytes):
            raise TypeError(f"a store's get gives bytes or None, not {type(value).__name__}")
        else:
            lib.smtpfpy_op_store(adapter.ptr, op, int(status), value, len(value))

    return finish


def scan(adapter: Adapter, op: int) -> Callable[[Any], None]:
    def finish(value: Any) -> None:
        keep = Keep()
        if value is FAILED:
            lib.smtpfpy_op_scan(adapter.ptr, op, int(StoreStatus.FAILED), NULL, 0, NULL, 0)
            return
        records, cursor = value
        rows, n = convert.put_stored(keep, records)
        status = StoreStatus.MORE if cursor else StoreStatus.DONE
        lib.smtpfpy_op_scan(adapter.ptr, op, int(status), rows, n, encode(cursor), len(cursor))

    return finish


def journal(adapter: Adapter, op: int) -> Callable[[Any], None]:
    def finish(value: Any) -> None:
        lib.smtpf_op_journal(adapter.ptr, op, lib.SMTPF_EIO if value is FAILED else lib.SMTPF_OK)

    return finish


class Failed:
    """The type of `FAILED`: a store or journal that could not."""


FAILED = Failed()
SERVFAIL = DnsAnswer(DnsStatus.SERVFAIL, ttl=0)
UNKNOWN_RECIPIENT = DirectoryAnswer(DirectoryStatus.UNKNOWN, cause="exception")
UNKNOWN_CALLOUT = CalloutAnswer(CalloutStatus.UNKNOWN, cause="exception")
