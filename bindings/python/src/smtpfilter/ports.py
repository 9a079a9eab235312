# SPDX-License-Identifier: MIT
"""Ports: what touches the outside. Derive from one of these, give it to `Driver`, and Python answers.

    class Ldap(smtpfilter.Directory):
        def lookup(self, address):
            return address in self.users            # True, False, None: could not be found out

    driver = Driver(engine, directory=Ldap())

A method may be `async def`: on an asyncio driver it runs as a task there, and the session waits. What it raises goes to
the log, and the answer is *unknown*: nobody is refused for it. A method that answers elsewhere returns `LATER` and
says `self.answer(token, value)` when it knows; `token` is what `self.token` was during the call.
"""
from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from ._enums import CalloutStatus, ChangeOp, DirectoryStatus, Disposition, DnsStatus, DnsType, Hmac, Route

if TYPE_CHECKING:
    from ._adapters import Adapter
    from .driver import Driver

T = TypeVar("T")
Ip: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"


class Later:
    """The type of `LATER`."""

    def __repr__(self) -> str:
        return "LATER"


LATER: Final = Later()
"""The answer comes by `Port.answer`. A port that answers so serves one driver."""
Answer: TypeAlias = "T | Later | Awaitable[T]"


class Port:
    """What all ports have."""

    kind: str = ""
    inner: LibraryPort | None = None
    """A port of the library's to ask in turn: `self.inner.pass_on(token, ...)`."""
    token: int = 0
    """During a call: the operation that is asked for."""
    _adapter: Adapter | None = None

    def start(self, driver: Driver) -> None:
        """Once for each driver."""

    def stop(self) -> None:
        """The driver goes."""

    def answer(self, token: int, value: Any) -> bool:
        """Completes what was answered with LATER, on the driver's thread. False: nobody waits for it any more."""
        adapter = self._adapter
        if adapter is None or adapter.ptr is None:
            return False
        adapter.driver._own_thread()
        return adapter.complete(token, value)

    def cancel(self, token: int) -> None:
        """Nobody waits for it any more."""
        if self.inner is not None:
            self.inner.cancel(token)


class LibraryPort:
    """One of the library's ports: `zone(text)`, `memory_store()`, `policy_directory()`."""

    def __init__(self, kind: str, table: Any, shared: Any, keep: Any = None) -> None:
        self.kind, self.table, self.shared, self._keep = kind, table, shared, keep
        self._self: Any = None
        self._adapter: Adapter | None = None

    def _start(self, driver: Any, adapter: Adapter) -> int:
        from ._ffi import ffi

        self._adapter = adapter
        out = ffi.new("void **")
        result: int = self.table.start(self.shared, driver, out)
        self._self = out[0]
        return result

    def _stop(self) -> None:
        me, self._self = self._self, None
        if me is not None:
            self.table.stop(me)

    def pass_on(self, token: int, *question: Any) -> Later:
        """Asks it, for a Python port it is the `inner` of: its answer is the answer.

            def lookup(self, address):
                return self.inner.pass_on(self.token, address)
        """
        from ._adapters import pass_on

        pass_on(self, token, question)
        return LATER

    def cancel(self, token: int) -> None:
        if self._self is not None:
            self.table.cancel(self._self, token)


# ---- clock, random, crypto ----------------------------------------------------------------------------------------


class Clock(Port):
    """Where time comes from."""

    kind = "clock"

    def mono_ns(self) -> int:
        """Monotonic nanoseconds, for deadlines."""
        raise NotImplementedError

    def wall_s(self) -> int:
        """Seconds since 1970, for stored data."""
        raise NotImplementedError


class Random(Port):
    """Where unpredictable bytes come from."""

    kind = "random"

    def fill(self, n: int) -> bytes:
        raise NotImplementedError


class Crypto(Port):
    """Keyed hashes, for signed addresses."""

    kind = "crypto"

    def hmac(self, algorithm: Hmac, key: bytes, data: bytes) -> bytes:
        raise NotImplementedError


class Poller(Port):
    """How a driver waits. For programs with an event loop, or a time, of their own."""

    kind = "poller"

    def set(self, fd: int, events: int) -> None:
        """Watch for these FdEvent bits; 0 ends the watch."""
        raise NotImplementedError

    def arm(self, in_ms: int) -> None:
        """Make `fd` readable after so long; -1 disarms."""
        raise NotImplementedError

    def wait(self, timeout_ms: int, most: int) -> list[tuple[int, int]]:
        """Descriptors that are ready, with their FdEvent bits, after at most so long; -1: as long as it takes."""
        raise NotImplementedError

    def fd(self) -> int:
        """One descriptor for all, or -1."""
        return -1

    def wake(self) -> None:
        """Any thread."""


# ---- resolver -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """`value`: the address of A and AAAA as text; all strings of TXT joined; else a name without its last dot."""

    type: DnsType
    value: str
    ttl: int = 300
    preference: int = 0


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """A whole answer. `ttl`: how many seconds it may be kept, negative ones too."""

    status: DnsStatus
    records: tuple[DnsRecord, ...] = ()
    ttl: int = 300

    @property
    def values(self) -> list[str]:
        return [record.value for record in self.records]


DnsSaid: TypeAlias = "DnsAnswer | Sequence[DnsRecord] | None"


class Resolver(Port):
    """Asks the DNS. Answers are cached, and equal questions joined, by the library."""

    kind = "resolver"

    def query(self, name: str, type: DnsType) -> Answer[DnsSaid]:
        """A DnsAnswer; or records, where none are NODATA; or None, NXDOMAIN."""
        raise NotImplementedError


# ---- directory, callout -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """One mailbox behind a recipient: an alias expands to several."""

    address: str
    profile: str = ""
    route: Route | None = None
    forward: str = ""


@dataclass(frozen=True, slots=True)
class DirectoryAnswer:
    """What a directory says. `profile`: empty for the policy's choice; `ttl`: seconds this may be kept."""

    status: DirectoryStatus
    canonical: str = ""
    profile: str = ""
    cause: str = ""
    ttl: int = 0
    members: tuple[Member, ...] = ()


class Directory(Port):
    """Says who a recipient is."""

    kind = "directory"

    def lookup(self, address: str) -> Answer[DirectoryAnswer | bool | None]:
        """A DirectoryAnswer; or True: exists, False: does not, None: could not be found out."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class CalloutAnswer:
    """What another server said of a recipient. `cause`: a short word, where it could not be found out."""

    status: CalloutStatus
    code: int = 0
    enhanced: str = ""
    text: str = ""
    cause: str = ""


class Callout(Port):
    """Asks another server whether it would take a recipient."""

    kind = "callout"

    def ask(self, recipient: str, sender: str) -> Answer[CalloutAnswer]:
        raise NotImplementedError


# ---- store, journal -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a record. `expires`: wall seconds after which it is as if absent; 0 for never."""

    op: ChangeOp
    key: bytes
    value: bytes = b""
    expires: int = 0

    def apply(self, there: bytes | None, expires: int = 0) -> tuple[bytes | None, int]:
        """(value, expires) after it, given what is there: None where there is nothing, or what has expired."""
        if self.op == ChangeOp.DELETE:
            return None, 0
        if self.op == ChangeOp.SET_IF_ABSENT and there is not None:
            return there, expires
        if self.op == ChangeOp.ADD:
            if there is not None and len(there) != 8:
                raise ValueError("ADD to what is no number")
            before = int.from_bytes(there or b"", "little", signed=True)
            total = before + int.from_bytes(self.value, "little", signed=True)
            total = max(-(1 << 63), min((1 << 63) - 1, total))
            return total.to_bytes(8, "little", signed=True), self.expires
        if self.op == ChangeOp.JOIN and there is not None:
            joined = join_records(there, self.value)
            if joined is not None:
                forever = not expires or not self.expires
                return joined, 0 if forever else max(expires, self.expires)
        return self.value, self.expires


@dataclass(frozen=True, slots=True)
class Stored:
    """One record, as a scan gives it."""

    key: bytes
    value: bytes
    expires: int = 0


class Store(Port):
    """A key-value store. What it raises is a failure: *unknown*, and mail passes."""

    kind = "store"

    def get(self, key: bytes) -> Answer[bytes | None]:
        """The value; None where there is none, or it has expired."""
        raise NotImplementedError

    def commit(self, changes: Sequence[Change]) -> Answer[None]:
        """All or none; `Change.apply` says what each means."""
        raise NotImplementedError

    def scan(self, cursor: bytes, most: int) -> Answer[tuple[Iterable[Stored], bytes]]:
        """For tools: at most `most` records behind a cursor, and where to go on; empty at the end."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Promise:
    """One copy that the host has committed and whose client is about to be told 2xx."""

    message: str
    sender: str
    recipient: str
    disposition: Disposition
    wall_s: int
    memory: bytes


class Journal(Port):
    """Where promises are written down before the client is told."""

    kind = "journal"

    def promise(self, promises: Sequence[Promise]) -> Answer[None]:
        """All or none; returns once they are on disk."""
        raise NotImplementedError


# ---- the library's own --------------------------------------------------------------------------------------------


def zone(text: str) -> LibraryPort:
    """A resolver that reads lines `NAME [TTL] TYPE RDATA` and `NAME [TYPE] NXDOMAIN|NODATA|SERVFAIL|TIMEOUT`."""
    from ._ffi import ffi, lib
    from ._glue import NULL, encode, failure

    raw, out, line = encode(text), ffi.new("smtpf_zone **"), ffi.new("size_t *")
    result = lib.smtpfpy_zone_new(out, raw, len(raw), NULL, line)
    if result < 0:
        raise failure(result, f"zone, line {line[0]}")
    return LibraryPort("resolver", lib.smtpf_resolver_zone(), ffi.gc(out[0], lib.smtpf_zone_free))


def memory_store() -> LibraryPort:
    """The store in this process's memory, one for each driver."""
    from ._ffi import ffi, lib

    return LibraryPort("store", lib.smtpf_store_memory(), ffi.NULL)


def lmdb_store() -> LibraryPort:
    """The store on disk, in `store.path`."""
    from ._ffi import ffi, lib

    return LibraryPort("store", lib.smtpf_store_lmdb(), ffi.NULL)


def policy_directory() -> LibraryPort:
    """The policy's `recipients` and `local_domains`."""
    from ._ffi import ffi, lib

    return LibraryPort("directory", lib.smtpf_directory_policy(), ffi.NULL)


def join_records(a: bytes, b: bytes) -> bytes | None:
    """Two records that merge, as one; None where they are not of one kind."""
    from ._ffi import ffi, lib
    from ._glue import check

    room, out = ffi.new("char[]", lib.SMTPF_RECORD_MAX), ffi.new("smtpf_str *")
    result = lib.smtpfpy_record_join(a, len(a), b, len(b), room, lib.SMTPF_RECORD_MAX, out)
    if result == lib.SMTPF_EINVAL:
        return None
    check(result, "join")
    return bytes(ffi.buffer(out.p, out.n))
