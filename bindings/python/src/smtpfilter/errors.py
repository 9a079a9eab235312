# SPDX-License-Identifier: MIT
"""Exceptions: one for each error of the library, with the library's own words."""
from __future__ import annotations

from ._error import ClosedError, Error, ThreadError
from ._errors import *  # noqa: F403
from ._errors import BY_CODE
from ._errors import __all__ as _by_code

__all__ = ["ClosedError", "Error", "ThreadError", *_by_code]


def error_class(code: int) -> type[Error]:
    """The exception for a negative result."""
    return BY_CODE.get(code, Error)
