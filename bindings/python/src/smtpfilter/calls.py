# SPDX-License-Identifier: MIT
"""What a program asks a driver for itself, without a session: timers, the DNS, the store, addresses of forwards.

Answers come to a function, during `Driver.process` or inside the call that asked. `Driver.call` waits for one.
"""
from __future__ import annotations

import select
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import _convert as convert
from ._enums import DnsType, ForwardClass, Signature, StoreStatus
from ._error import Error
from ._ffi import ffi, lib
from ._glue import NULL, Keep, Text, bytes_of, check, decode, encode, from_c, handles
from .errors import DeadlineError
from .ports import Change, DnsAnswer, Stored


class StoreError(Error):
    """The store is down, full or broken."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Records of the store, and the cursor behind them; empty at the end."""

    records: list[Stored]
    cursor: bytes


class Timer:
    """A timer of a driver's; fires once."""

    def __init__(self, driver: Calls, token: int, handle: Any) -> None:
        self._driver, self._token, self._handle = driver, token, handle

    def cancel(self) -> bool:
        """False when it has fired."""
        if lib.smtpf_driver_timer_cancel(self._driver._live(), self._token) != lib.SMTPF_OK:
            return False
        self._driver._asked.discard(handles.give(self._handle))
        return True


class Ask:
    """One question under way: who is told."""

    def __init__(self, driver: Calls, where: str, then: Callable[..., object]) -> None:
        self.driver, self.where, self.then = driver, where, then
        self.handle = handles.take(self)
        driver._asked.add(self)

    def answered(self, *value: Any) -> None:
        self.driver._asked.discard(handles.give(self.handle))
        try:
            self.then(*value)
        except BaseException as error:
            self.driver._caught(self.where, error)

    def check(self, result: int) -> None:
        if result < 0:
            self.driver._asked.discard(handles.give(self.handle))
            check(result, self.where)


class Calls(ABC):
    """A part of `Driver`."""

    def __init__(self) -> None:
        self._asked: set[Ask] = set()

    @abstractmethod
    def _live(self) -> Any: ...

    @abstractmethod
    def _caught(self, where: str, error: BaseException) -> None: ...

    @abstractmethod
    def fileno(self) -> int: ...

    @abstractmethod
    def process(self) -> list[Any]: ...

    # ---- time, DNS ------------------------------------------------------------------------------------------------

    def timer(self, seconds: float, then: Callable[[], object]) -> Timer:
        """Calls `then` once, after so long, in `process`."""
        ask, out = Ask(self, "timer", then), ffi.new("smtpf_op *")
        ask.check(lib.smtpf_driver_timer(self._live(), round(seconds * 1000), lib.py_timer_fn, ask.handle, out))
        return Timer(self, out[0], ask.handle)

    def query(self, name: Text, type: DnsType, then: Callable[[DnsAnswer], object]) -> None:
        """Asks the DNS, through the driver's cache."""
        raw, ask = encode(name), Ask(self, "query", then)
        ask.check(lib.smtpfpy_driver_query(self._live(), int(type), raw, len(raw), lib.py_dns_fn, ask.handle))

    # ---- store ----------------------------------------------------------------------------------------------------

    def get(self, key: bytes, then: Callable[[bytes | None | StoreError], object]) -> None:
        """Reads a record of the store."""
        ask = Ask(self, "get", then)
        ask.check(lib.smtpfpy_driver_get(self._live(), key, len(key), lib.py_store_fn, ask.handle))

    def commit(self, changes: Sequence[Change], then: Callable[[None | StoreError], object]) -> None:
        """Changes records, all or none."""
        keep, ask = Keep(), Ask(self, "commit", then)
        rows = convert.put_changes(keep, changes)
        ask.check(lib.smtpf_driver_commit(self._live(), rows, len(changes), lib.py_store_fn, ask.handle))

    def scan(self, cursor: bytes, most: int, then: Callable[[Scan | StoreError], object]) -> None:
        """Reads records in the store's own order; the empty cursor begins."""
        ask = Ask(self, "scan", then)
        ask.check(lib.smtpfpy_driver_scan(self._live(), cursor, len(cursor), most, lib.py_scan_fn, ask.handle))

    def call(self, function: Callable[..., object], *args: Any, timeout: float = 30.0) -> Any:
        """The answer of one of the above, waited for: `driver.call(driver.get, key)`. For programs without a loop of
        their own; sessions that become ready meanwhile are only seen by `process`. A StoreError is raised."""
        found: list[Any] = []
        function(*args, lambda *value: found.append(value[0] if value else None))
        end = time.monotonic() + timeout
        while not found:
            left = end - time.monotonic()
            if left <= 0:
                raise DeadlineError("no answer in time")
            select.select([self.fileno()], [], [], min(left, 0.2))
            self.process()
        if isinstance(found[0], Error):
            raise found[0]
        return found[0]

    # ---- forwards -------------------------------------------------------------------------------------------------

    def _address(self, function: Any, address: Text, *more: Any) -> str:
        raw, room = encode(address), ffi.new("char[]", lib.SMTPF_ADDRESS_ROOM)
        n = ffi.new("size_t *")
        check(function(self._live(), raw, len(raw), room, lib.SMTPF_ADDRESS_ROOM, n, *more), decode(raw))
        return decode(bytes(ffi.buffer(room, n[0])))

    def srs_forward(self, sender: Text) -> str:
        """The envelope sender for a forward, rewritten to `srs.domain`."""
        return self._address(lib.smtpfpy_srs_forward, sender)

    def srs_reverse(self, address: Text) -> str:
        """The address behind one that `srs_forward` made. NotFoundError: not ours, expired, or forged."""
        return self._address(lib.smtpfpy_srs_reverse, address, NULL)

    def batv_sign(self, sender: Text) -> str:
        """Signs the envelope sender of mail that leaves."""
        return self._address(lib.smtpfpy_batv_sign, sender)

    def batv_verify(self, address: Text) -> str:
        """The address behind one that `batv_sign` made."""
        return self._address(lib.smtpfpy_batv_verify, address, NULL)

    def signature(self, address: Text) -> Signature:
        """What a signed address (BATV) proves."""
        raw, room, out = encode(address), ffi.new("char[]", lib.SMTPF_ADDRESS_ROOM), ffi.new("int *")
        room_size = lib.SMTPF_ADDRESS_ROOM
        lib.smtpfpy_batv_verify(self._live(), raw, len(raw), room, room_size, NULL, out)
        return Signature(out[0])

    def forward_report(
        self,
        recipient: Text,
        target: Text,
        sender: Text,
        code: int,
        enhanced: Text = "",
        text: Text = "",
        *,
        client: Text = "",
        reason: ForwardClass | None = None,
        then: Callable[[bool], object] | None = None,
    ) -> None:
        """A forward was refused after the mail was taken: remembered, so that equal mail is refused in the session.
        `then` is told whether it was written down."""
        keep, ask = Keep(), Ask(self, "forward_report", then or (lambda _: None))
        refusal = keep.sized("smtpf_forward_refusal")
        keep.text(refusal.recipient, recipient)
        keep.text(refusal.target, target)
        keep.text(refusal.sender, sender)
        keep.text(refusal.client, client)
        keep.text(refusal.enhanced, enhanced)
        keep.text(refusal.text, text)
        refusal.code, refusal.reason = code, int(reason or 0)
        ask.check(lib.smtpf_forward_report(self._live(), refusal, lib.py_forward_fn, ask.handle))

    def _forget_asked(self) -> None:
        """The driver goes: nobody is told any more."""
        while self._asked:
            handles.give(self._asked.pop().handle)


def ask_of(handle: Any) -> Ask:
    ask: Ask = ffi.from_handle(handle)
    return ask


@from_c
def py_timer_fn(user: Any) -> None:
    ask_of(user).answered()


@from_c
def py_dns_fn(user: Any, answer: Any) -> None:
    ask_of(user).answered(convert.dns_answer_of(answer))


@from_c
def py_store_fn(user: Any, status: int, value: Any) -> None:
    if status == StoreStatus.FAILED:
        ask_of(user).answered(StoreError("the store failed"))
    else:
        ask_of(user).answered(bytes_of(value) if status == StoreStatus.FOUND else None)


@from_c
def py_scan_fn(user: Any, status: int, records: Any, n: int, cursor: Any) -> None:
    if status == StoreStatus.FAILED:
        ask_of(user).answered(StoreError("the store failed"))
        return
    more = status == StoreStatus.MORE
    ask_of(user).answered(Scan(convert.stored_of(records, n), bytes_of(cursor) if more else b""))


@from_c
def py_forward_fn(user: Any, result: int) -> None:
    ask_of(user).answered(result == lib.SMTPF_OK)
