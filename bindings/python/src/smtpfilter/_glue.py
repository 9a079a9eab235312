# SPDX-License-Identifier: MIT
"""Between Python and C, in one place: strings, results, handles, and who may call.

Nothing else in the package knows how a string or a pointer is handed over.
"""
from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from ._error import Error
from ._ffi import ffi, lib
from .errors import error_class

Text: TypeAlias = "str | bytes"
"""What may be given where the library takes text: bytes of a peer are kept as they are."""

PENDING: int = lib.SMTPF_PENDING
NULL = ffi.NULL


def _refuse_subinterpreter() -> None:
    """Callbacks from C run in the main interpreter; another one would get them there, with other objects."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = importlib.import_module(name)
            break
        except ImportError:
            continue
    else:
        return
    if interpreters.get_current() != interpreters.get_main():
        raise ImportError("smtpfilter works in the main interpreter only, not in a subinterpreter")


_refuse_subinterpreter()


F = TypeVar("F", bound=Callable[..., Any])


def from_c(function: F) -> F:
    """Registers what C calls, under its own name: `py_TABLE_MEMBER`, `py_TYPE_fn`."""
    ffi.def_extern(name=function.__name__)(function)
    return function


def from_c_or_unknown(function: F) -> F:
    """The same for what must not seem to have found nothing when even its own care fails."""
    ffi.def_extern(name=function.__name__, error=lib.SMTPF_EINVAL)(function)
    return function


def encode(text: Text) -> bytes:
    """Bytes for C. What `decode` could not read comes back as it was."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def decode(raw: bytes) -> str:
    """Text of C: UTF-8, other bytes as lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def text_of(s: Any) -> str:
    """An smtpf_str."""
    return decode(ffi.buffer(s.p, s.n)[:]) if s.n else ""


def bytes_of(s: Any) -> bytes:
    """An smtpf_str as it is."""
    return bytes(ffi.buffer(s.p, s.n)) if s.n else b""


def c_text(p: Any) -> str:
    """A NUL-terminated string, or nothing."""
    return decode(ffi.string(p)) if p else ""


class Keep(list[Any]):
    """What C points to while a call runs, or as long as this lives."""

    def text(self, into: Any, text: Text) -> None:
        """Lets an smtpf_str point to `text`."""
        raw = encode(text)
        if raw:
            p = ffi.from_buffer(raw)
            self.append(p)
            into.p, into.n = p, len(raw)

    def cstring(self, text: Text) -> Any:
        """A NUL-terminated copy."""
        p = ffi.new("char[]", encode(text))
        self.append(p)
        return p

    def new(self, what: str, *args: Any) -> Any:
        """A structure, its `size` set where it has one."""
        p = ffi.new(what, *args)
        self.append(p)
        return p

    def sized(self, struct: str) -> Any:
        p = self.new(struct + " *")
        p.size = ffi.sizeof(struct)
        return p


def check(result: int, what: str = "") -> int:
    """Raises for a negative result."""
    if result < 0:
        raise failure(result, what)
    return result


def failure(result: int, what: str = "") -> Error:
    text = c_text(lib.smtpf_strerror(result))
    return error_class(result)(f"{what}: {text}" if what else text)


def new_error() -> Any:
    error = ffi.new("smtpf_error *")
    error.size = ffi.sizeof("smtpf_error")
    return error


def check_error(result: int, error: Any, what: str = "") -> None:
    """Raises with the place and the words the library gave."""
    if result < 0:
        text = c_text(error.text) or c_text(lib.smtpf_strerror(result))
        words = text if text.startswith(what) else f"{what}: {text}"
        raise error_class(result)(words, file=c_text(error.file), line=error.line)


def put_error(error: Any, code: int, text: str) -> None:
    """Fills the error of a caller in C."""
    raw = encode(" ".join(text.split()))[:511]
    error.code = code
    ffi.memmove(error.text, raw + b"\0", len(raw) + 1)


class Handles:
    """Python objects that C holds a `void *` of. One is alive until it is given back."""

    def __init__(self) -> None:
        self._by_handle: dict[int, Any] = {}

    def take(self, thing: object) -> Any:
        handle = ffi.new_handle(thing)
        self._by_handle[int(ffi.cast("intptr_t", handle))] = handle
        return handle

    def give(self, handle: Any) -> Any:
        """Its object; the handle is over."""
        thing = ffi.from_handle(handle)
        self._by_handle.pop(int(ffi.cast("intptr_t", handle)), None)
        return thing

    def __len__(self) -> int:
        return len(self._by_handle)


handles = Handles()
"""All of them, so that tests can see that none is left."""


def finalizing() -> bool:
    """The interpreter goes: nothing may call into Python any more."""
    return sys.is_finalizing()
