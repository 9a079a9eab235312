# SPDX-License-Identifier: MIT
"""The policy while it is being written."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ._enums import LogLevel
from ._ffi import ffi, lib
from ._glue import NULL, Keep, c_text, check, check_error, encode, from_c, new_error
from ._owned import Owned
from .log import LogSink, LogTarget, default_logger

if TYPE_CHECKING:
    from .check import Check
    from .scanner import Scanner
    from .section import OptionRow

Value: TypeAlias = "str | bytes | bool | int | float | timedelta | os.PathLike[str]"
Tree: TypeAlias = "Value | Iterable[Value] | Mapping[str, Tree]"


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the option table, as smtpfilter.conf(5) lists it."""

    path: str
    type: str
    default: str | None
    min: int
    max: int
    doc: str


def option_text(value: Value) -> bytes:
    """A value as the policy file would say it."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, timedelta):
        return b"%dms" % round(value.total_seconds() * 1000)
    if isinstance(value, (int, float)):
        return repr(value).encode("ascii")
    if isinstance(value, (str, bytes)):
        return encode(value)
    return os.fsencode(value)


class Config(Owned):
    """Options, checks and the log. `Engine(config)` freezes it; the config may be changed and frozen again.

        config = Config("/etc/smtpfilter/smtpfilter.conf")
        config["greylist.wait"] = timedelta(minutes=5)
        config.append("local_domains", "example.net")
        engine = Engine(config)

    `log` is a `logging.Logger`, a function that gets each `LogLine`, or None for silence; lines above `level` are not
    made. Used by one thread. Engines live on when it is closed.
    """

    _what = "config"

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        log: LogTarget = default_logger,
        level: LogLevel = LogLevel.WARNING,
    ) -> None:
        out = ffi.new("smtpf_config **")
        check(lib.smtpf_config_new(out, NULL), "config")
        self._ptr = out[0]
        check(lib.host_options_add(self._ptr), "options of hosts")  # one file serves all programs
        self._keep = Keep()
        self._log = LogSink(log, level)
        user = ffi.new_handle(self._log)
        self._keep.append(user)
        lib.smtpf_config_set_log(self._ptr, LogLevel(level), lib.py_log_fn, user)
        if path is not None:
            self.load(path)

    # ---- options ---------------------------------------------------------------------------------------------

    def load(self, path: str | os.PathLike[str]) -> Config:
        """Reads a policy file over what is there. After an error the config must only be closed."""
        error = new_error()
        check_error(lib.smtpf_config_load(self._live(), os.fsencode(path), error), error)
        return self

    def loads(self, text: str, name: str = "policy.conf") -> Config:
        """The same for text. `name` is what errors call it."""
        with tempfile.TemporaryDirectory(prefix="smtpfilter") as folder:
            path = Path(folder, name)
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
            return self.load(path)

    def set(self, path: str, value: Value) -> Config:
        """Sets one option: `profiles["default"].reject`. A named element of a list that does not exist is made."""
        error = new_error()
        check_error(lib.smtpf_config_set(self._live(), encode(path), option_text(value), error), error, path)
        return self

    def append(self, path: str, *values: Value) -> Config:
        """Appends to a list of strings: `local_domains`."""
        for value in values:
            error = new_error()
            check_error(lib.smtpf_config_append(self._live(), encode(path), option_text(value), error), error, path)
        return self

    def update(self, options: Mapping[str, Tree]) -> Config:
        """Sets many options, nested as in the policy file; lists of groups are mappings by their key.

            config.update({"local_domains": ["example.net"], "greylist": {"enable": True, "wait": "5m"},
                           "profiles": {"default": {"reject": 10.0, "tag": 4}}})
        """
        groups = frozenset(name for option in self.options() for name in list_names(option.path))
        for name, value in options.items():
            self._update(name, name, value, groups)
        return self

    def _update(self, path: str, name: str, value: Tree, lists: frozenset[str]) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if name in lists:
                    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
                    self._element(f'{path}["{quoted}"]', name, inner, lists)
                else:
                    self._update(f"{path}.{key}", f"{name}.{key}", inner, lists)
        elif isinstance(value, (str, bytes, bool, int, float, timedelta, os.PathLike)):
            self.set(path, value)
        else:
            self.append(path, *value)

    def _element(self, path: str, name: str, value: Tree, lists: frozenset[str]) -> None:
        if not isinstance(value, Mapping):
            raise TypeError(f"{path} is a group: a mapping was expected")
        for key, inner in value.items():
            self._update(f"{path}.{key}", f"{name}.{key}", inner, lists)

    def __setitem__(self, path: str, value: Value | list[Value] | tuple[Value, ...]) -> None:
        if isinstance(value, (list, tuple)):
            self.append(path, *value)
        else:
            self.set(path, value)

    def options(self) -> list[Option]:
        """Every option that is known: the library's first, then each check's."""
        rows: list[Option] = []
        user = ffi.new_handle(rows)
        lib.smtpf_config_each_option(self._live(), lib.py_option_fn, user)
        return rows

    # ---- what the program adds --------------------------------------------------------------------------------

    def add_check(self, check: Check) -> Config:
        """Registers a check of the program's own, before the policy is loaded. It may take a built-in one's place."""
        from .check import register

        register(self, check)
        return self

    def add_scanner(self, scanner: Scanner) -> Config:
        """Registers a type of scanner, before the policy is loaded: `scanners = ({ name = ...; type = ITS NAME; })`."""
        from .scanner import register

        register(self, scanner)
        return self

    def add_options(self, rows: Iterable[OptionRow]) -> Config:
        """Registers options of the program's own, so that one file serves all."""
        from .section import option_rows

        table, n = option_rows(self._keep, rows)
        check(lib.smtpf_config_add_options(self._live(), table, n), "options")
        return self

    def _release(self, ptr: Any) -> None:
        lib.smtpf_config_free(ptr)  # engines made from it live on


def plain(path: str) -> str:
    """`dnslists[zone].codes[match].score` without its brackets."""
    out, depth = [], 0
    for c in path:
        depth += c == "["
        if not depth:
            out.append(c)
        depth -= c == "]"
    return "".join(out)


def list_names(path: str) -> list[str]:
    """The lists of groups that a row's path goes through: `dnslists`, `dnslists.codes`."""
    return [plain(path[:i]) for i, c in enumerate(path) if c == "["]


@from_c
def py_option_fn(user: Any, row: Any) -> None:
    rows: list[Option] = ffi.from_handle(user)
    default = c_text(row.deflt) if row.deflt else None
    rows.append(Option(c_text(row.path), c_text(row.type), default, row.min, row.max, c_text(row.doc)))
