# SPDX-License-Identifier: MIT
"""The policy, frozen."""
from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._enums import Capability
from ._ffi import ffi, lib
from ._glue import c_text, check, check_error, encode, from_c, new_error, text_of
from ._owned import Owned

if TYPE_CHECKING:
    from .config import Config

raised = threading.local()
"""What a check of Python's raised while a policy was loaded on this thread: the cause of the error that follows."""


@dataclass(frozen=True, slots=True)
class PolicyWarning:
    """Something that loads and cannot be meant."""

    text: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.file else self.text


class Engine(Owned):
    """A frozen policy, shared by all threads. A reload is a new engine: `Driver.set_engine`. Drivers that use it keep it
    when it is closed."""

    _what = "engine"

    def __init__(self, config: Config) -> None:
        out, error = ffi.new("smtpf_engine **"), new_error()
        raised.error = None
        result = lib.smtpf_engine_new(out, config._live(), error)
        cause, raised.error = raised.error, None
        try:
            check_error(result, error)
        except Exception as e:
            raise e from cause
        self._ptr = out[0]
        self._keep = list(config._keep)
        self._log = config._log

    @property
    def needs(self) -> Capability:
        """What some profile of this policy can ask a host for. A host that lacks one should refuse to start."""
        return Capability(lib.smtpf_engine_needs(self._live()))

    def lint(self, capabilities: Capability) -> list[PolicyWarning]:
        """What does not keep the policy from loading and cannot be meant, in a host with these capabilities."""
        found: list[PolicyWarning] = []
        user = ffi.new_handle(found)
        lib.smtpf_engine_lint(self._live(), int(capabilities), lib.py_lint_fn, user)
        return found

    def option(self, path: str, index: int | None = None) -> str:
        """One option as text, for programs that keep their settings in the same file."""
        out = ffi.new("smtpf_str *")
        check(lib.smtpf_engine_option(self._live(), encode(path), index or 0, out), path)
        return text_of(out)

    def strings(self, path: str) -> list[str]:
        """An option that is a list of strings."""
        out = ffi.new("smtpf_str *")
        found: list[str] = []
        while lib.smtpf_engine_option(self._live(), encode(path), len(found), out) == lib.SMTPF_OK:
            found.append(text_of(out))
        return found

    def number(self, path: str) -> int:
        """One option as a number: count, milliseconds, bytes, thousandths of a score, 0 or 1."""
        out = ffi.new("int64_t *")
        check(lib.smtpf_engine_number(self._live(), encode(path), out), path)
        return int(out[0])

    def _release(self, ptr: Any) -> None:
        lib.smtpf_engine_unref(ptr)


@from_c
def py_lint_fn(user: Any, file: Any, line: int, text: Any) -> None:
    found: list[PolicyWarning] = ffi.from_handle(user)
    found.append(PolicyWarning(text_of(text), c_text(file), line))
