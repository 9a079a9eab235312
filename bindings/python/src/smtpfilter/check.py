# SPDX-License-Identifier: MIT
"""Checks written in Python.

    class Office(smtpfilter.Check):
        name = "office"
        stages = Stage.RCPT

        def run(self, task):
            if task.event.recipient.local_part == "office" and not 8 <= hour() < 18:
                return hit("closed", score=5.0, text="the office is closed")
            return clear("open")

    config.add_check(Office())

`run` returns a finding, several, or None; or is `async def`, and awaits what `task` offers, or, on an asyncio driver,
anything. What it raises is *unknown* evidence; the traceback goes to the log.
"""
from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ._enums import Apart, Family, FindingFlag, PieceKind, Stage
from ._ffi import ffi, lib
from ._glue import Keep, bytes_of, check, from_c, from_c_or_unknown, handles, put_error, text_of
from .driver import driver_at
from .engine import raised
from .finding import Finding
from .log import brief
from .section import Life, OptionRow, Section, option_rows
from .task import Task

if TYPE_CHECKING:
    from .config import Config

Found: TypeAlias = "Finding | Iterable[Finding] | None"
Result: TypeAlias = "Found | Coroutine[Any, Any, Found]"
PENDING, OK = int(lib.SMTPF_PENDING), int(lib.SMTPF_OK)
EINVAL = int(lib.SMTPF_EINVAL)
ALL = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message."""

    index: int
    parent: int
    depth: int
    holds_parts: bool
    type: str
    charset: str
    disposition: str
    filename: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of what a message holds."""

    kind: PieceKind
    index: int
    part: Part | None
    """BEGIN, DATA, TEXT: the part."""
    name: str
    data: bytes
    raw: str


class Check:
    """An examiner: it gathers evidence, and does not decide. Derive from it; `Config.add_check` registers it.

    `tier`: 0 local, 1 directory and store, 2 network, 3 content; a dearer tier waits for the cheaper. `failure`: flags
    of the *unknown* when it fails. Threads share a check: what `open` built is read only.
    """

    name: str = ""
    stages: Stage = Stage(0)
    tier: int = 0
    family: Family = Family.CLIENT
    failure: FindingFlag = FindingFlag(0)
    apart: Apart = Apart.NEVER
    """Whether what it finds in a message may be about single recipients."""
    options: Sequence[OptionRow] = ()

    def open(self, policy: Section) -> Check | None:
        """The policy is loaded. What it returns serves this policy: itself, another check of this class, or None: idle."""
        return self

    def run(self, task: Task) -> Result:
        """At each of its stages. At BODY None means: the message is wanted; a finding: it is not."""
        return None

    def feed(self, task: Task, data: bytes) -> int | None:
        """BODY: bytes of the message, once and in order; returns how many were taken, None for all. Fewer: it has
        asked something, after whose answer the rest is offered again."""
        return None

    def content(self, task: Task, piece: Piece) -> None:
        """BODY: what the message holds, piece by piece."""

    def finish(self, task: Task) -> Result:
        """BODY: the message is complete."""
        return None

    def close(self) -> None:
        """The policy is gone."""


class Opened:
    """A check of one engine."""

    def __init__(self, check: Check, life: Life) -> None:
        self.check, self.life = check, life
        self.reads = reads(check)


def overrides(check: Check, method: str) -> bool:
    return getattr(type(check), method) is not getattr(Check, method)


def reads(check: Check) -> bool:
    return any(overrides(check, method) for method in ("feed", "content", "finish"))


def register(config: Config, c: Check) -> None:
    """Gives the library a table for the check; it lives as long as config and engines."""
    if not c.name or not c.stages:
        raise ValueError(f"{type(c).__name__} needs a name and stages")
    keep = Keep()
    table = keep.sized("smtpf_check")
    table.name, table.stages, table.tier = keep.cstring(c.name), int(c.stages), c.tier
    table.failure, table.family = int(c.failure), int(c.family)
    table.options, table.n_options = option_rows(keep, c.options)
    user = ffi.new_handle(c)
    keep.append(user)
    table.user = user
    members = ["open", "run", "resume", "close", "apart"]
    if Stage.BODY & c.stages:
        members += ["finish"] if reads(c) else []
        members += [name for name in ("feed", "content") if overrides(c, name)]
    for member in members:
        setattr(table, member, getattr(lib, f"py_check_{member}"))
    check(lib.smtpf_config_add_check(config._live(), table), f"check {c.name}")
    config._keep.append(keep)


# ---- what the library calls -----------------------------------------------------------------------------------------


@from_c
def py_check_open(self: Any, policy: Any, error: Any) -> int:
    template: Check = ffi.from_handle(self[0])
    life = Life()
    try:
        opened = template.open(Section(policy, life))
    except BaseException as e:
        raised.error = e
        if error:
            put_error(error, EINVAL, f"check {template.name}: {brief(e)}")
        return EINVAL
    self[0] = handles.take(Opened(opened, life)) if opened is not None else ffi.NULL
    return OK


@from_c
def py_check_close(self: Any) -> None:
    opened: Opened = handles.give(self)
    opened.life.alive = False
    opened.check.close()


@from_c
def py_check_apart(self: Any) -> int:
    opened: Opened = ffi.from_handle(self)
    return int(opened.check.apart)


@from_c_or_unknown
def py_check_run(self: Any, t: Any, ev: Any) -> int:
    opened: Opened = ffi.from_handle(self)
    task = Task(opened, t, driver_at(lib.smtpf_task_driver(t)))
    try:
        value = opened.check.run(task)
        if value is None and opened.reads and ev.stage == Stage.BODY:
            task.hold()
            return PENDING
        return OK if value is None else task.begin(value)
    except BaseException as error:
        return task.fail(error)


@from_c_or_unknown
def py_check_resume(self: Any, t: Any, answer: Any) -> int:
    task = task_of(t)
    try:
        return task.answered(answer)
    except BaseException as error:
        return task.fail(error)


@from_c
def py_check_feed(self: Any, t: Any, data: Any, n: int) -> int:
    task = task_of(t)
    if task.broken is not None:
        return n
    try:
        taken = task._opened.check.feed(task, ffi.buffer(data, n)[:])
        taken = n if taken is None else max(0, min(n, int(taken)))
    except BaseException as error:
        task.broken = error
        task.driver._caught(f"check {task._opened.check.name}", error)
        taken = n
    task._fed += taken
    return taken


@from_c
def py_check_content(self: Any, t: Any, piece: Any) -> None:
    task = task_of(t)
    if task.broken is None:
        try:
            task._opened.check.content(task, piece_of(piece))
        except BaseException as error:
            task.broken = error
            task.driver._caught(f"check {task._opened.check.name}", error)


@from_c_or_unknown
def py_check_finish(self: Any, t: Any) -> int:
    task = task_of(t)
    c = task._opened.check
    try:
        if task.broken is not None:
            return task._failure(task.broken)
        if not task._seen:
            lib.smtpf_task_seen(t, task._fed if overrides(c, "feed") else ALL)  # of pieces none is left out
        return task.begin(c.finish(task))
    except BaseException as error:
        return task.fail(error)


@from_c
def py_own_fn(user: Any) -> None:
    task: Task = ffi.from_handle(user)
    try:
        task.over()
    except BaseException as error:
        task.driver._caught(f"check {task._opened.check.name}", error)


def task_of(t: Any) -> Task:
    task: Task = ffi.from_handle(lib.smtpf_task_slot(t)[0])
    return task


def piece_of(p: Any) -> Piece:
    part = None
    if p.part:
        q = p.part
        part = Part(
            q.index, q.parent, q.depth, bool(q.holds_parts), text_of(q.type), text_of(q.charset),
            text_of(q.disposition), text_of(q.filename),
        )  # fmt: skip
    return Piece(PieceKind(p.kind), p.index, part, text_of(p.name), bytes_of(p.bytes), text_of(p.raw))
