# SPDX-License-Identifier: MIT
"""What a Python object owns of C's, until it is closed."""
from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

from ._error import ClosedError
from ._glue import finalizing

O = TypeVar("O", bound="Owned")  # noqa: E741


class Owned(ABC):
    """One pointer; closed by `close`, by the end of a `with` block, or when nobody has the object any more."""

    _ptr: Any = None
    _what = "object"  # in messages

    @abstractmethod
    def _release(self, ptr: Any) -> None:
        """Gives it back to C."""

    def _live(self) -> Any:
        if not self._ptr:
            raise ClosedError(f"the {self._what} is closed")
        return self._ptr

    def close(self) -> None:
        """Once is enough; more do no harm."""
        ptr, self._ptr = self._ptr, None
        if ptr:
            self._release(ptr)

    def __enter__(self: O) -> O:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._ptr and not finalizing():
            self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{'' if self._ptr else ' closed'}>"
