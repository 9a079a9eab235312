# SPDX-License-Identifier: MIT
"""The functions that C calls for the ports of Python. Each finds its adapter and asks the port."""
from __future__ import annotations

import os
from typing import Any

from . import _adapters as adapters
from . import _convert as convert
from ._adapters import Adapter
from ._enums import DnsType, Hmac, StoreStatus
from ._ffi import ffi, lib
from ._glue import bytes_of, c_text, from_c, text_of

OK: int = lib.SMTPF_OK
EIO: int = lib.SMTPF_EIO


def adapter_of(handle: Any) -> Adapter:
    adapter: Adapter = ffi.from_handle(handle)
    return adapter


def port_start(shared: Any, driver: Any, out: Any) -> int:
    result = adapter_of(shared).started(driver)
    if result >= 0:
        out[0] = shared
    return result


def port_cancel(self: Any, op: int) -> None:
    adapter_of(self).cancelled(op)


def port_stop(self: Any) -> None:
    adapter_of(self).stopped()


for kind in ("resolver", "directory", "callout", "store", "journal"):
    ffi.def_extern(name=f"py_{kind}_start", error=EIO)(port_start)
    ffi.def_extern(name=f"py_{kind}_cancel")(port_cancel)
    ffi.def_extern(name=f"py_{kind}_stop")(port_stop)


# ---- clock, random, crypto ----------------------------------------------------------------------------------------


@from_c
def py_clock_mono_ns(user: Any) -> int:
    return int(adapter_of(user).port.mono_ns())  # type: ignore[attr-defined]


@from_c
def py_clock_wall_s(user: Any) -> int:
    return int(adapter_of(user).port.wall_s())  # type: ignore[attr-defined]


@from_c
def py_random_fill(user: Any, out: Any, n: int) -> int:
    adapter = adapter_of(user)

    def fill() -> None:
        got = adapter.port.fill(n)  # type: ignore[attr-defined]
        if len(got) != n:
            raise ValueError(f"{len(got)} bytes in place of {n}")
        ffi.memmove(out, got, n)

    return OK if adapter.guard("fill", fill) else EIO


@from_c
def py_crypto_hmac(shared: Any, algorithm: int, key: Any, data: Any, out: Any) -> int:
    adapter = adapter_of(shared)

    def hmac() -> None:
        got = adapter.port.hmac(Hmac(algorithm), bytes_of(key), bytes_of(data))  # type: ignore[attr-defined]
        want = 20 if algorithm == Hmac.SHA1 else 32
        if len(got) != want:
            raise ValueError(f"{len(got)} bytes in place of {want}")
        ffi.memmove(out, got, want)

    return OK if adapter.guard("hmac", hmac) else EIO


# ---- poller -------------------------------------------------------------------------------------------------------


@from_c
def py_poller_start(shared: Any, out: Any) -> int:
    out[0] = shared
    return adapter_of(shared).started(ffi.NULL)


@from_c
def py_poller_set(self: Any, fd: int, events: int) -> int:
    adapter = adapter_of(self)
    return OK if adapter.guard("set", lambda: adapter.port.set(fd, events)) else EIO  # type: ignore[attr-defined]


@from_c
def py_poller_arm(self: Any, in_ms: int) -> int:
    adapter = adapter_of(self)
    return OK if adapter.guard("arm", lambda: adapter.port.arm(in_ms)) else EIO  # type: ignore[attr-defined]


@from_c
def py_poller_wait(self: Any, timeout_ms: int, ready: Any, cap: int) -> int:
    adapter, found = adapter_of(self), []

    def wait() -> None:
        found.extend(adapter.port.wait(timeout_ms, cap)[:cap])  # type: ignore[attr-defined]

    if not adapter.guard("wait", wait):
        return EIO
    for i, (fd, events) in enumerate(found):
        ready[i].fd, ready[i].events = fd, events
    return len(found)


@from_c
def py_poller_fd(self: Any) -> int:
    return int(adapter_of(self).port.fd())  # type: ignore[attr-defined]


@from_c
def py_poller_wake(self: Any) -> int:
    adapter = adapter_of(self)
    return OK if adapter.guard("wake", adapter.port.wake) else EIO  # type: ignore[attr-defined]


@from_c
def py_poller_pid(self: Any) -> int:
    return os.getpid()


ffi.def_extern(name="py_poller_stop")(port_stop)


# ---- questions ----------------------------------------------------------------------------------------------------


@from_c
def py_resolver_query(self: Any, op: int, kind: int, name: Any) -> int:
    a, text = adapter_of(self), c_text(name)
    port: Any = a.port
    return a.ask(op, "resolver", lambda: port.query(text, DnsType(kind)), adapters.dns(a, op), adapters.SERVFAIL)


@from_c
def py_directory_lookup(self: Any, op: int, address: Any) -> int:
    a, text = adapter_of(self), text_of(address)
    port: Any = a.port
    finish = adapters.directory(a, op)
    return a.ask(op, "directory", lambda: port.lookup(text), finish, adapters.UNKNOWN_RECIPIENT)


@from_c
def py_callout_ask(self: Any, op: int, recipient: Any, sender: Any) -> int:
    a, to, by = adapter_of(self), text_of(recipient), text_of(sender)
    port: Any = a.port
    return a.ask(op, "callout", lambda: port.ask(to, by), adapters.callout(a, op), adapters.UNKNOWN_CALLOUT)


@from_c
def py_store_get(self: Any, op: int, key: Any) -> int:
    a, raw = adapter_of(self), bytes_of(key)
    port: Any = a.port
    finish = adapters.store(a, op, StoreStatus.FOUND)
    return a.ask(op, "store", lambda: port.get(raw), finish, adapters.FAILED)


@from_c
def py_store_commit(self: Any, op: int, changes: Any, n: int) -> int:
    a, rows = adapter_of(self), convert.changes_of(changes, n)
    port: Any = a.port
    finish = adapters.store(a, op, StoreStatus.DONE)
    return a.ask(op, "store", lambda: port.commit(rows), finish, adapters.FAILED)


@from_c
def py_store_scan(self: Any, op: int, cursor: Any, most: int) -> int:
    a, at = adapter_of(self), bytes_of(cursor)
    port: Any = a.port
    return a.ask(op, "store", lambda: port.scan(at, most), adapters.scan(a, op), adapters.FAILED)


@from_c
def py_journal_promise(self: Any, op: int, promises: Any, n: int) -> int:
    a, rows = adapter_of(self), convert.promises_of(promises, n)
    port: Any = a.port
    return a.ask(op, "journal", lambda: port.promise(rows), adapters.journal(a, op), adapters.FAILED)
