# SPDX-License-Identifier: MIT
"""The root of all exceptions of this package."""
from __future__ import annotations


class Error(Exception):
    """Something the library, or these bindings, refused to do.

    `code` is the library's result (a negative `Result`), 0 for what the bindings refuse by themselves; `file` and
    `line` are the place in the policy, where there is one.
    """

    code: int = 0

    def __init__(self, text: str, *, file: str = "", line: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.file = file
        self.line = line

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        return place + self.text


class ThreadError(Error, RuntimeError):
    """An object of one thread was used by another."""


class ClosedError(Error, ValueError):
    """The object was closed before."""
