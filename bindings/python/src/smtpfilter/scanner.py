# SPDX-License-Identifier: MIT
"""Scanners written in Python: what judges a whole message.

    class Yara(smtpfilter.Scanner):
        name = "yara"

        def scan(self, message):
            hits = self.rules.match(data=message.read())
            return ScanResult.hit(hits[0]) if hits else ScanResult.clean()

    config.add_scanner(Yara())
    config["scanners"] ...      # scanners = ({ name = "local"; type = "yara"; class = "virus"; })

`scan` gets the complete message, of which the library keeps one copy for all; it may be `async def`. What it raises is
*unknown*. One that would rather read while the client sends has `begin`, which returns an object with `feed(data)`
and `finish()`.
"""
from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ._enums import EditOp, ScanStatus
from ._ffi import ffi, lib
from ._glue import Keep, check, from_c, handles, text_of
from ._running import run
from .driver import driver_at
from .event import Event, event_of
from .finding import word
from .log import brief
from .ports import Later
from .section import Life, OptionRow, Section, option_rows

if TYPE_CHECKING:
    from .config import Config
    from .driver import Driver

OK, EIO = int(lib.SMTPF_OK), int(lib.SMTPF_EIO)


@dataclass(frozen=True, slots=True)
class ScanEdit:
    """A header edit that a scanner wishes."""

    op: EditOp
    name: str
    value: str = ""
    occurrence: int = 0


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scanner says. `seen`: bytes it has really looked at; None for all there are."""

    status: ScanStatus
    name: str = ""
    cause: str = ""
    score: float | None = None
    detail: str = ""
    seen: int | None = None
    edits: tuple[ScanEdit, ...] = ()

    @classmethod
    def clean(cls, *, score: float | None = None, detail: str = "", edits: Sequence[ScanEdit] = ()) -> ScanResult:
        """Looked at, nothing found."""
        return cls(ScanStatus.CLEAN, score=score, detail=detail, edits=tuple(edits))

    @classmethod
    def hit(
        cls, name: str, *, score: float | None = None, detail: str = "", edits: Sequence[ScanEdit] = ()
    ) -> ScanResult:
        """Something was found."""
        return cls(ScanStatus.HIT, name=name, score=score, detail=detail, edits=tuple(edits))

    @classmethod
    def unknown(cls, cause: str, *, detail: str = "") -> ScanResult:
        """Could not be found out."""
        return cls(ScanStatus.UNKNOWN, cause=cause, detail=detail, seen=0)


Scanned: TypeAlias = "ScanResult | Later | Awaitable[ScanResult]"


class Message:
    """One message that is scanned: who sent it to whom, and, once it is complete, its bytes."""

    def __init__(self, request: Any, driver: Driver, ptr: Any, op: int) -> None:
        self.event: Event = event_of(request.event, driver._room)
        self.recipients = tuple(text_of(request.recipients[i]) for i in range(request.n_recipients))
        """Addresses this scan is for."""
        self.scanner = text_of(request.scanner)
        """The instance's name."""
        self.user = text_of(request.user)
        """Whose settings the scanner is to use; empty for the site's."""
        self.session = text_of(request.session)
        self.driver = driver
        self._driver, self._op = ptr, op
        self._scan: Scan | None = None
        self._whole: tuple[int, int] | None = None  # what `_look` found once it was complete: other threads may read it

    def _live(self) -> bool:
        """Whether the scan runs; if so, this must be the driver's thread."""
        return self._scan is not None and self.driver._live() is not None

    def _look(self) -> tuple[int, int]:
        """Descriptor and size."""
        if not self._live():
            return -1, 0
        driver, op = self._driver, self._op
        return int(lib.smtpf_op_scan_fd(driver, op)), int(lib.smtpf_op_scan_size(driver, op))

    def answer(self, result: ScanResult) -> None:
        """Completes the scan, at any time after it began; for a `scan` or `finish` that returned LATER."""
        if self._scan is not None and self._live():
            self._scan.done(result)

    def room(self) -> None:
        """A reader that took less can take more: `feed` gets the rest."""
        if self._live():
            lib.smtpf_op_scan_room(self._driver, self._op)

    def again(self) -> None:
        """The reader wants the message from its first byte on, `finish` too."""
        check(lib.smtpf_op_scan_again(self._driver, self._op) if self._live() else lib.SMTPF_ENOTFOUND, "again")

    @property
    def size(self) -> int:
        return self._whole[1] if self._whole else self._look()[1]

    def fileno(self) -> int:
        """A descriptor of the whole message, from byte 0 on; the library's, good while the scan runs."""
        fd = self._whole[0] if self._whole else self._look()[0]
        if fd < 0:
            raise OSError("the message is not there: the scan is over, or it is not complete")
        return fd

    def read(self) -> bytes:
        """All of it."""
        fd, size = self.fileno(), self.size
        data = bytearray()
        while len(data) < size and (piece := os.pread(fd, min(1 << 20, size - len(data)), len(data))):
            data += piece
        return bytes(data)


class Scanner:
    """A type of scanner. Derive from it; `Config.add_scanner` registers it, `scanners` of the policy names instances."""

    name: str = ""
    options: Sequence[OptionRow] = ()
    """Rows such as `scanners[name].colour`."""

    def start(self, driver: Driver, settings: Section) -> Scanner:
        """One instance on one driver, before its first scan. What it returns scans: itself, or one of its own."""
        return self

    def scan(self, message: Message) -> Scanned:
        """The message is complete."""
        raise NotImplementedError

    def begin(self, message: Message) -> Any:
        """The message begins. An object with `feed(data)` and `finish() -> ScanResult`; None: `scan` gets all of it.

        `feed` may return how many bytes it took, `message.room()` then says when to go on; `close()` is called at the
        end, where there is one.
        """
        return None

    def stop(self) -> None:
        """The driver, or the policy, goes."""


class Instance:
    """An instance on one driver."""

    def __init__(self, scanner: Scanner, driver: Driver, ptr: Any, life: Life) -> None:
        self.scanner, self.driver, self.ptr, self.life = scanner, driver, ptr, life


class Scan:
    """One message at one instance."""

    def __init__(self, instance: Instance, op: int, request: Any) -> None:
        self.instance, self.op = instance, op
        self.message = Message(request, instance.driver, instance.ptr, op)
        self.message._scan = self
        self.reader: Any = None
        self.fed = 0
        self.task: asyncio.Task[Any] | None = None
        self.over = False

    @property
    def where(self) -> str:
        return f"scanner {self.instance.scanner.name}"

    def begin(self) -> None:
        self.reader = self.instance.scanner.begin(self.message)

    def finish(self) -> None:
        self.message._whole = self.message._look()
        call = self.reader.finish if self.reader is not None else lambda: self.instance.scanner.scan(self.message)
        self.task = run(self.instance.driver, self.where, call, self.done, self.failed)

    def done(self, result: ScanResult | Later) -> None:
        if self.over or isinstance(result, Later):
            return
        keep = Keep()
        c = keep.sized("smtpf_scan_result")
        c.status = int(result.status)
        keep.text(c.name, result.name)
        keep.text(c.detail, result.detail)
        if result.cause:
            c.cause = word(result.cause)
        c.scored, c.score = int(result.score is not None), round((result.score or 0) * 1000)
        c.seen = self.message.size if result.seen is None else result.seen
        rows = keep.new("smtpf_scan_edit[]", max(1, len(result.edits)))
        for row, edit in zip(rows, result.edits):
            row.size, row.op, row.occurrence = ffi.sizeof("smtpf_scan_edit"), int(edit.op), edit.occurrence
            keep.text(row.name, edit.name)
            keep.text(row.value, edit.value)
        c.edits, c.n_edits = rows, len(result.edits)
        lib.smtpf_op_scanned(self.instance.ptr, self.op, c)

    def failed(self, error: BaseException) -> None:
        self.done(ScanResult.unknown("exception", detail=brief(error)))

    def close(self) -> None:
        self.over = True
        self.message._scan = self.message._whole = None
        if self.task is not None and not self.task.done():
            self.task.cancel()
        if hasattr(self.reader, "close"):
            self.reader.close()


def register(config: Config, scanner: Scanner) -> None:
    if not scanner.name:
        raise ValueError(f"{type(scanner).__name__} needs a name")
    keep = Keep()
    table = keep.sized("smtpf_scanner")
    table.name = keep.cstring(scanner.name)
    table.options, table.n_options = option_rows(keep, scanner.options)
    for member in ("start", "open", "feed", "finish", "close", "stop"):
        setattr(table, member, getattr(lib, f"py_scanner_{member}"))
    shared = ffi.new_handle(scanner)
    keep.append(shared)
    check(lib.smtpf_config_add_scanner(config._live(), table, shared), f"scanner {scanner.name}")
    config._keep.append(keep)


# ---- what the library calls -----------------------------------------------------------------------------------------


@from_c
def py_scanner_start(shared: Any, ptr: Any, settings: Any, out: Any) -> int:
    template: Scanner = ffi.from_handle(shared)
    driver, life = driver_at(ptr), Life()
    try:
        started = template.start(driver, Section(settings, life))
    except BaseException as error:
        driver._caught(f"scanner {template.name}", error)
        return EIO
    out[0] = handles.take(Instance(started, driver, ptr, life))
    return OK


@from_c
def py_scanner_stop(self: Any) -> None:
    instance: Instance = handles.give(self)
    instance.life.alive = False
    try:
        instance.scanner.stop()
    except BaseException as error:
        instance.driver._caught(f"scanner {instance.scanner.name}", error)


@from_c
def py_scanner_open(self: Any, op: int, request: Any, out: Any) -> int:
    instance: Instance = ffi.from_handle(self)
    try:
        scan = Scan(instance, op, request)
        scan.begin()
    except BaseException as error:
        instance.driver._caught(f"scanner {instance.scanner.name}", error)
        return EIO
    out[0] = handles.take(scan)
    return OK


@from_c
def py_scanner_feed(handle: Any, data: Any, n: int) -> int:
    scan: Scan = ffi.from_handle(handle)
    if scan.reader is not None and not scan.over:
        try:
            taken = scan.reader.feed(ffi.buffer(data, n)[:])
            return n if taken is None else max(0, min(n, int(taken)))
        except BaseException as error:
            scan.instance.driver._caught(scan.where, error)
            scan.failed(error)
            scan.over = True  # the rest is taken, and dropped
    return n


@from_c
def py_scanner_finish(handle: Any) -> int:
    scan: Scan = ffi.from_handle(handle)
    if not scan.over:
        scan.finish()
    return OK


@from_c
def py_scanner_close(handle: Any) -> None:
    scan: Scan = handles.give(handle)
    try:
        scan.close()
    except BaseException as error:
        scan.instance.driver._caught(scan.where, error)
