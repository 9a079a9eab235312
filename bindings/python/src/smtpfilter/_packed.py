# SPDX-License-Identifier: MIT
"""What glue.c packs: rows of numbers and texts in one piece of bytes; and how they become objects."""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from ._ffi import ffi
from ._glue import decode

T = TypeVar("T")
E = TypeVar("E", bound=int)

_ROOM = 4096


class Room:
    """Where C packs into, again and again; one for each driver."""

    def __init__(self) -> None:
        self._room = ffi.new("char[]", _ROOM)

    def packed(self, pack: Callable[..., int], ptr: Any) -> bytes:
        """What one of glue.c's functions says of `ptr`."""
        n = pack(ptr, self._room, _ROOM)
        if n <= _ROOM:
            return ffi.unpack(self._room, n)  # type: ignore[no-any-return]
        large = ffi.new("char[]", n)
        return ffi.unpack(large, pack(ptr, large, n))  # type: ignore[no-any-return]


class Row(NamedTuple):
    """One row: its numbers, behind them where each text begins and the last one ends, counted from `at`."""

    values: tuple[int, ...]
    n: int
    """How many numbers."""
    packed: bytes
    at: int

    @property
    def end(self) -> int:
        return self.at + self.values[-1]

    def numbers(self) -> tuple[int, ...]:
        return self.values[: self.n]

    def texts(self) -> list[str]:
        bounds = self.values[self.n :]
        return [decode(self.packed[self.at + a : self.at + b]) if b > a else "" for a, b in zip(bounds, bounds[1:])]

    def raw(self, index: int) -> bytes:
        """One text as it is."""
        values, n, packed, at = self
        return packed[at + values[n + index] : at + values[n + index + 1]]


class Layout:
    """How many numbers and texts a kind of row has."""

    def __init__(self, numbers: int, texts: int) -> None:
        self._numbers = numbers
        self._struct = struct.Struct(f"={numbers + texts + 1}q")

    def row(self, packed: bytes, at: int = 0) -> Row:
        return Row(self._struct.unpack_from(packed, at), self._numbers, packed, at + self._struct.size)

    def rows(self, packed: bytes, at: int, n: int) -> list[Row]:
        """`n` of them, one behind the other."""
        found = []
        for _ in range(n):
            found.append(row := self.row(packed, at))
            at = row.end
        return found


def made(cls: type[T], fields: dict[str, Any]) -> T:
    """An object of a frozen dataclass. What dataclass() writes for one sets field by field, and takes three times as long."""
    it = object.__new__(cls)
    it.__dict__.update(fields)
    return it


def members(enum: Iterable[E]) -> dict[int, E]:
    """By number: a call of the class takes five times as long."""
    return {int(member): member for member in enum}


def members_or_none(enum: Iterable[E]) -> dict[int, E | None]:
    """The same, where 0 says that there is none."""
    return {0: None, **members(enum)}
