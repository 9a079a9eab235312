# SPDX-License-Identifier: MIT
"""One run of one check at one stage: what it may ask, and what it may say."""
from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _convert as convert
from ._enums import AnswerKind, DnsType, EditOp, FindingFlag, Origin, Signature, StoreStatus
from ._error import ClosedError
from ._ffi import ffi, lib
from ._glue import Keep, Text, bytes_of, check, decode, encode, failure, handles, text_of
from ._running import NO_LOOP, spawn
from .calls import StoreError
from .event import Event, event_of
from .finding import Finding, report, unknown, word
from .log import brief
from .ports import CalloutAnswer, Change, DirectoryAnswer, DnsAnswer, Ip

if TYPE_CHECKING:
    from .check import Opened
    from .driver import Driver

T = TypeVar("T")
OWN_TAG = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a message really came from: the first host that nobody behind us answers for."""

    ip: Ip | None
    helo: str
    name: str
    hops: int


class Ask(Generic[T]):
    """A question under way. Awaited, it is the answer; several may be asked before the first is awaited."""

    __slots__ = ("begin", "error", "future", "known", "tag", "task", "value")

    def __init__(self, task: Task, begin: Callable[[int], int]) -> None:
        self.task, self.begin = task, begin
        self.known = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.future: asyncio.Future[None] | None = None
        self.tag = task._new_ask(self)

    def tell(self, value: Any, error: BaseException | None = None) -> None:
        self.known, self.value, self.error = True, value, error
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    def __await__(self) -> Generator[Any, None, T]:
        if not self.known:
            if self.task._async is not None:
                loop = self.task.driver.loop
                assert loop is not None
                self.future = loop.create_future()
                yield from self.future
            else:
                yield self
        if self.error is not None:
            raise self.error
        answer: T = self.value
        return answer


class Task:
    """Given to a check's `run`. What it offers may be used while the check runs, or sleeps in an `await`."""

    def __init__(self, opened: Opened, t: Any, driver: Driver) -> None:
        self._t = t
        self._opened = opened
        self.driver = driver

    # What most tasks never need is the class's until it is set.
    state: Any = None
    """The check's own, for the life of the task."""
    broken: BaseException | None = None
    """What `feed` or `content` raised."""
    _event: Event | None = None
    _seen = False
    _fed = 0
    _asks: dict[int, Ask[Any]]
    _queue: list[Ask[Any]]
    _tags = OWN_TAG
    _coroutine: Any = None
    _waits: Ask[Any] | None = None
    _async: asyncio.Task[Any] | None = None
    _result: Any = None
    _own = 0
    _handle: Any = None

    @property
    def _live(self) -> Any:
        if self._t is None:
            raise ClosedError("the task is over: its deadline passed, or the client went away")
        if get_ident() != self.driver._thread:
            self.driver._refuse()
        return self._t

    # ---- what is known ------------------------------------------------------------------------------------------

    @property
    def event(self) -> Event:
        """Client, HELO, sender, recipient."""
        if self._event is None:
            self._event = event_of(lib.smtpf_task_event(self._live), self.driver._room)
        return self._event

    @property
    def score(self) -> float:
        """The sum of what earlier stages and cheaper tiers have found."""
        return int(lib.smtpf_task_score(self._live)) / 1000

    @property
    def greylists(self) -> bool:
        """Whether a greylist's deferral would count here."""
        return bool(lib.smtpf_task_greylists(self._live))

    def recipient(self, index: int) -> tuple[str, str]:
        """(canonical address, profile) of an accepted recipient, after RCPT."""
        address, profile = ffi.new("smtpf_str *"), ffi.new("smtpf_str *")
        check(lib.smtpf_task_recipient(self._live, index + 1, address, profile), f"recipient {index}")
        return text_of(address), text_of(profile)

    def fact(self, name: str) -> str:
        """A word that an earlier check left: `iprev.name`; empty when there is none."""
        return text_of(lib.smtpf_task_fact(self._live, encode(name)))

    def local(self, address: Text) -> bool:
        """Its domain is one of ours."""
        raw = encode(address)
        return bool(lib.smtpfpy_task_local(self._live, raw, len(raw)))

    def origin(self, recipient: int | None = None) -> tuple[Origin | None, str]:
        """Who the client is to a recipient (None: that of this RCPT), and the scope that makes it so."""
        scope = ffi.new("smtpf_str *")
        origin = lib.smtpf_task_origin(self._live, 0 if recipient is None else recipient + 1, scope)
        return (Origin(origin) if origin else None), text_of(scope)

    def source(self, recipient: int) -> Source | None:
        """After the header section: the host that gave the message to whom this recipient trusts."""
        out = Keep().sized("smtpf_source")
        if lib.smtpf_task_source(self._live, recipient + 1, out) != lib.SMTPF_OK:
            return None
        return Source(convert.ip_of(ffi.addressof(out, "ip")), text_of(out.helo), text_of(out.name), out.hops)

    def forward(self, recipient: int | None = None) -> str | None:
        """Where the recipient's copy would be forwarded to; None: it stays here."""
        out = ffi.new("smtpf_str *")
        if lib.smtpf_task_forward(self._live, 0 if recipient is None else recipient + 1, out) != lib.SMTPF_OK:
            return None
        return text_of(out)

    def signature(self, recipient: int) -> Signature:
        """What the address of an accepted recipient proved."""
        return Signature(lib.smtpf_task_signature(self._live, recipient + 1))

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """HMAC-SHA256, by the crypto port."""
        out = ffi.new("unsigned char[32]")
        check(lib.smtpfpy_task_hmac(self._live, key, len(key), data, len(data), out), "hmac")
        return bytes(ffi.buffer(out))

    def certain(self, flags: FindingFlag = FindingFlag(0)) -> bool:
        """BODY: nothing this check may still find would change what becomes of any copy."""
        return bool(lib.smtpf_task_certain(self._live, int(flags)))

    # ---- what it says ---------------------------------------------------------------------------------------------

    def report(self, finding: Finding) -> None:
        """Reports a finding now; what `run` returns is reported, too."""
        check(report(self._live, finding), "report")

    def delay(self, seconds: float) -> None:
        """Asks the host to wait before it replies; the longest wish counts."""
        lib.smtpf_task_delay(self._live, round(seconds * 1000))

    def patience(self, seconds: float) -> None:
        """More time than `check.timeout` for this task."""
        lib.smtpf_task_patience(self._live, round(seconds * 1000))

    def seen(self, n: int) -> None:
        """BODY: how many bytes of the message have really been looked at. Left out: all that were given to `feed`,
        or, for a check of pieces, the message."""
        self._seen = True
        lib.smtpf_task_seen(self._live, n)

    def set_fact(self, name: str, value: Text, *, connection: bool = False) -> None:
        """Leaves a word for later checks of this transaction, or connection."""
        raw = encode(value)
        check(lib.smtpfpy_task_fact_set(self._live, word(name), raw, len(raw), int(connection)), name)

    def edit(
        self, op: EditOp, name: Text, value: Text = "", occurrence: int = 0, recipient: int | None = None
    ) -> None:
        """BODY: asks for a header edit of every copy that is taken, or of one recipient's."""
        n, v = encode(name), encode(value)
        who = 0 if recipient is None else recipient + 1
        check(lib.smtpfpy_task_edit(self._live, int(op), n, len(n), v, len(v), occurrence, who), decode(n))

    def settle(self, changes: Sequence[Change]) -> None:
        """Changes records of the store when the mail is taken, not before."""
        keep = Keep()
        check(lib.smtpf_task_settle(self._live, convert.put_changes(keep, changes), len(changes)), "settle")

    def note(self, changes: Sequence[Change]) -> None:
        """Changes records of the store before this stage is answered, whatever the answer."""
        keep = Keep()
        check(lib.smtpf_task_note(self._live, convert.put_changes(keep, changes), len(changes)), "note")

    # ---- what it asks: to be awaited --------------------------------------------------------------------------------

    def query(self, name: Text, type: DnsType) -> Ask[DnsAnswer]:
        """Asks the DNS."""
        raw = encode(name)
        return Ask(self, lambda tag: int(lib.smtpfpy_task_query(self._live, int(type), raw, len(raw), tag)))

    def lookup(self, address: Text) -> Ask[DirectoryAnswer]:
        """Asks the directory about an address."""
        raw = encode(address)
        return Ask(self, lambda tag: int(lib.smtpfpy_task_lookup(self._live, raw, len(raw), tag)))

    def get(self, key: bytes) -> Ask[bytes | None]:
        """Reads a record of the store. A StoreError when it is down."""
        return Ask(self, lambda tag: int(lib.smtpfpy_task_get(self._live, key, len(key), tag)))

    def commit(self, changes: Sequence[Change]) -> Ask[None]:
        """Changes records of the store, all or none. A StoreError when it is down."""
        keep = Keep()
        rows = convert.put_changes(keep, changes)
        return Ask(self, lambda tag: int(lib.smtpf_task_commit(self._live, rows, len(changes) if keep else 0, tag)))

    def callout(self, recipient: Text, sender: Text = "") -> Ask[CalloutAnswer]:
        """Asks the server of a mailbox elsewhere whether it would take mail for it."""
        r, s = encode(recipient), encode(sender)
        return Ask(self, lambda tag: int(lib.smtpfpy_task_callout(self._live, r, len(r), s, len(s), tag)))

    def sleep(self, seconds: float) -> Ask[None]:
        return Ask(self, lambda tag: int(lib.smtpf_task_timer(self._live, round(seconds * 1000), tag)))

    def _new_ask(self, ask: Ask[Any]) -> int:
        if not self._tags:
            self._asks, self._queue = {}, []
        self._tags += 1
        self._asks[self._tags] = ask
        if self._async is None:
            self._begin(ask, self._tags)
        else:
            self._queue.append(ask)
            self._go_on()
        return self._tags

    def _begin(self, ask: Ask[Any], tag: int) -> None:
        try:
            check(ask.begin(tag), "ask")
        except Exception as error:
            del self._asks[tag]
            if self._async is None:
                raise
            ask.tell(None, error)

    # ---- how it runs ------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """The library tells when the task is over, and keeps this object for it until then."""
        out = ffi.new("smtpf_op *")
        if self._handle is None:
            self._handle = handles.take(self)
            lib.smtpf_task_slot(self._t)[0] = self._handle
        check(lib.smtpf_task_own(self._t, OWN_TAG, lib.py_own_fn, self._handle, out), "task")
        self._own = out[0]

    def over(self) -> None:
        """The task has ended, by itself or not."""
        self._t = None
        handles.give(self._handle)
        if self._async is not None and not self._async.done():
            self._async.cancel()
        elif self._coroutine is not None and self._result is None:
            self._coroutine.close()

    def begin(self, value: Any) -> int:
        """What `run` or `finish` gave: findings, or a coroutine that will."""
        if isinstance(value, Finding) or not inspect.isawaitable(value):
            return self.say(value)
        if self._handle is None:
            self.hold()
        loop = self.driver.loop
        if loop is not None and loop.is_running():
            where = f"check {self._opened.check.name}"
            self._async = spawn(self.driver, where, value, self._done, self._failed)
            return int(lib.SMTPF_PENDING)
        self._coroutine = value.__await__() if not inspect.iscoroutine(value) else value
        return self.step()

    def step(self) -> int:
        """Runs the coroutine until it waits for something, or is done."""
        while True:
            try:
                waits = self._coroutine.send(None)
            except StopIteration as stop:
                self._coroutine = None
                return self.say(stop.value)
            if not isinstance(waits, Ask):
                self._coroutine.close()
                raise RuntimeError(NO_LOOP)
            if not waits.known:
                self._waits = waits
                return int(lib.SMTPF_PENDING)

    def say(self, value: Iterable[Finding] | Finding | None) -> int:
        """Reports what the check returned."""
        findings = (value,) if isinstance(value, Finding) else () if value is None else value
        for finding in findings:
            if (result := report(self._t, finding)) < 0:
                raise failure(result, f"finding {finding.code!r}")
        return int(lib.SMTPF_OK)

    def fail(self, error: BaseException) -> int:
        """The check raised: that is unknown, with what the check says that means."""
        self.driver._caught(f"check {self._opened.check.name}", error)
        return self._failure(error)

    def _failure(self, error: BaseException) -> int:
        flags = FindingFlag(self._opened.check.failure)
        return report(self._t, unknown("exception", detail=brief(error), flags=flags))

    def answered(self, answer: Any) -> int:
        """The library has an answer."""
        if answer.tag == OWN_TAG:
            return self._resumed()
        ask = self._asks.pop(answer.tag)
        ask.tell(*value_of(answer))
        if self._async is not None or ask is not self._waits:
            return int(lib.SMTPF_PENDING)
        return self.step()

    def _resumed(self) -> int:
        """In the library again, on behalf of the asyncio task: it wants something, or is done."""
        self._own = 0
        assert self._async is not None
        if self._async.done():
            result, self._result = self._result, None
            try:
                said = self._failure(result) if isinstance(result, BaseException) else self.say(result)
            except Exception as error:
                said = self.fail(error)
            return self._end(said)
        self.hold()
        if self._tags:
            queue, self._queue = self._queue, []
            for ask in queue:
                self._begin(ask, ask.tag)
        return int(lib.SMTPF_PENDING)

    def _end(self, result: int) -> int:
        """The last word: nobody will say that the task is over."""
        self._t = None
        handles.give(self._handle)
        return result

    def _done(self, value: Any) -> None:
        self._result = value
        self._go_on()

    def _failed(self, error: BaseException) -> None:
        self._result = error
        self._go_on()

    def _go_on(self) -> None:
        if self._own and self._t is not None:
            lib.smtpf_op_own(self.driver._live(), self._own)


def value_of(a: Any) -> tuple[Any, BaseException | None]:
    """(what was asked for, or None; why it is not known)."""
    kind = a.kind
    if kind == AnswerKind.DNS:
        return convert.dns_answer_of(a.dns), None
    if kind == AnswerKind.DIRECTORY:
        return convert.directory_answer_of(a.directory), None
    if kind == AnswerKind.CALLOUT:
        return convert.callout_answer_of(a.callout), None
    if kind == AnswerKind.STORE:
        if a.store == StoreStatus.FAILED:
            return None, StoreError("the store failed")
        return (bytes_of(a.value) if a.store == StoreStatus.FOUND else None), None
    return None, None
