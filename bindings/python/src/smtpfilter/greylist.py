# SPDX-License-Identifier: MIT
"""The greylist, read: the records that smtpf-greylist(1) shows.

.. code-block:: python

    with Engine(Config("policy.conf")) as engine, Driver(engine) as driver:
        for entry in entries(driver):
            print(entry.state, entry.client, entry.sender, entry.recipient)
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import Driver, GreylistField, GreylistKind, Scan
from ._ffi import ffi, lib
from ._glue import text_of

__all__ = ["Entry", "entries"]

_PAGE = 500


@dataclass(frozen=True)
class Entry:
    """One record: a triplet of client, sender and recipient, or a client."""

    kind: str  #: ``triplet`` or ``client``
    state: str  #: ``waiting``, ``ripe``, ``known``, ``late``; of clients ``seen``, ``known``, ``late``, ``allowed``, ``denied``
    client: str  #: the identity: a network or a domain
    sender: str
    recipient: str
    first: int  #: seconds since 1970
    last: int
    passes: int  #: how often it was let through
    expires: int  #: 0 for never


def entries(driver: Driver, progress: Callable[[int], object] | None = None) -> Iterator[Entry]:
    """Every record of the driver's store, in its own order.

    :param progress: told how many records have been read, whenever there are more
    """
    wait, window, memory = (driver.engine.number("greylist." + name) // 1000 for name in ("wait", "window", "memory"))
    cursor, read = b"", 0
    while True:
        page: Scan = driver.call(driver.scan, cursor, _PAGE)
        for record in page.records:
            entry = _entry(record.value, record.expires, wait, window, memory)
            if entry is not None:
                yield entry
        read += len(page.records)
        if progress is not None:
            progress(read)
        cursor = page.cursor
        if not cursor:
            return


def _entry(value: bytes, expires: int, wait: int, window: int, memory: int) -> Entry | None:
    data, n = ffi.from_buffer(value), len(value)
    kind = lib.smtpfpy_record_kind(data, n)
    if kind not in (GreylistKind.TRIPLET, GreylistKind.CLIENT):
        return None

    def number(field: GreylistField) -> int:
        out = ffi.new("int64_t *")
        return int(out[0]) if lib.smtpfpy_record_read(data, n, int(field), out) >= 0 else 0

    def text(field: GreylistField) -> str:
        return text_of(lib.smtpfpy_record_read_text(data, n, int(field)))

    first, last = number(GreylistField.FIRST), number(GreylistField.LAST)
    passes = int(lib.smtpfpy_record_total(data, n, int(GreylistField.PASSES)))
    triplet, now = kind == GreylistKind.TRIPLET, int(time.time())
    says = 0 if triplet else lib.smtpfpy_greylist_says(data, n)
    if says:
        state = "allowed" if says == lib.SMTPF_GREYLIST_ALLOW else "denied"
    elif passes > 0:
        state = "late" if now - last > memory else "known"
    elif not triplet:
        state = "seen"
    else:
        state = "waiting" if now - first < wait else "ripe" if now - first <= window else "late"
    return Entry("triplet" if triplet else "client", state, text(GreylistField.IDENTITY), text(GreylistField.SENDER),
                 text(GreylistField.RECIPIENT), first, last, passes, expires)
