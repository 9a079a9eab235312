# SPDX-License-Identifier: MIT
"""The options of a policy, as a check or scanner reads them when it is opened."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._enums import OptionType
from ._error import ClosedError
from ._ffi import lib
from ._glue import NULL, Keep, encode, text_of


@dataclass(frozen=True, slots=True)
class OptionRow:
    """An option that a check, a scanner or a program adds: `OptionRow("office.hours", OptionType.STRING, "8-18", ...)`.

    `min` and `max` are in the option's smallest unit: milliseconds, bytes, thousandths of a score. `words`: of a CHOICE,
    `a|b|c`.
    """

    path: str
    type: OptionType
    default: str | None = None
    doc: str = ""
    min: int = 0
    max: int = (1 << 31) - 2
    words: str = ""


def option_rows(keep: Keep, rows: Iterable[OptionRow]) -> tuple[Any, int]:
    """Rows as the library wants them; they live as long as `keep`."""
    found = list(rows)
    table = keep.new("smtpf_option[]", max(1, len(found)))
    for c, row in zip(table, found):
        c.path, c.type = keep.cstring(row.path), int(row.type)
        c.deflt = NULL if row.default is None else keep.cstring(row.default)
        c.min, c.max = row.min, row.max
        c.words = keep.cstring(row.words) if row.words else NULL
        c.doc = keep.cstring(row.doc)
    return table, len(found)


class Life:
    """Whether what sections point into is still there."""

    alive = True


class Section:
    """A group of options: the whole policy, or one element of a list. Of use as long as its engine."""

    __slots__ = ("_life", "_ptr")

    def __init__(self, ptr: Any, life: Life) -> None:
        self._ptr, self._life = ptr, life

    def _live(self) -> Any:
        if not self._life.alive:
            raise ClosedError("the policy of this section is gone")
        return self._ptr

    def has(self, name: str) -> bool:
        """It was set, rather than left at its default."""
        return bool(lib.smtpf_section_has(self._live(), encode(name)))

    def number(self, name: str) -> int:
        """Count, milliseconds, bytes, thousandths; a choice as its place among the words."""
        return int(lib.smtpf_section_number(self._live(), encode(name)))

    def flag(self, name: str) -> bool:
        return bool(self.number(name))

    def score(self, name: str) -> float | None:
        """None for `off`."""
        value = self.number(name)
        return None if value == lib.SMTPF_SCORE_OFF else value / 1000

    def seconds(self, name: str) -> float:
        return self.number(name) / 1000

    def string(self, name: str) -> str:
        return text_of(lib.smtpf_section_string(self._live(), encode(name)))

    def strings(self, name: str) -> list[str]:
        ptr, raw = self._live(), encode(name)
        return [text_of(lib.smtpf_section_string_at(ptr, raw, i)) for i in range(lib.smtpf_section_count(ptr, raw))]

    def sections(self, name: str) -> list[Section]:
        """The elements of a list of groups."""
        ptr, raw = self._live(), encode(name)
        found = (lib.smtpf_section_at(ptr, raw, i) for i in range(lib.smtpf_section_count(ptr, raw)))
        return [Section(element, self._life) for element in found]
