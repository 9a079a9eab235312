# SPDX-License-Identifier: MIT
"""What the library has to say, as it goes to `logging` or to a function of the program's own."""
from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ._enums import LogLevel
from ._ffi import ffi
from ._glue import c_text, from_c, text_of

LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.NOTICE: logging.INFO + 5,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}
logging.addLevelName(LEVELS[LogLevel.NOTICE], "NOTICE")
default_logger = logging.getLogger("smtpfilter")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: `event` says what happened, `fields` what it was about. Values hold printable ASCII alone."""

    level: LogLevel
    event: str
    fields: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.event, *(f"{name}={value}" for name, value in self.fields.items())])


LogTarget: TypeAlias = "Callable[[LogLine], object] | logging.Logger | None"


class LogSink:
    """Where the lines of one configuration go. It never raises into the library."""

    def __init__(self, target: LogTarget, level: LogLevel) -> None:
        self.target = target
        self.level = level

    def line(self, line: LogLine) -> None:
        if self.target is None or line.level > self.level:
            return
        try:
            if isinstance(self.target, logging.Logger):
                self.target.log(LEVELS[line.level], "%s", line, extra={"smtpfilter": line})
            else:
                self.target(line)
        except Exception:
            default_logger.exception("the log of smtpfilter failed")

    def exception(self, where: str, error: BaseException) -> None:
        """Something that Python code of the program's raised: the whole of it, once."""
        text = "".join(traceback.format_exception(error)).rstrip("\n")
        self.line(LogLine(LogLevel.ERROR, "exception", {"in": where, "error": brief(error), "traceback": text}))


def brief(error: BaseException) -> str:
    """One line: for evidence, where nobody wants a traceback."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


@from_c
def py_log_fn(user: Any, level: int, event: Any, fields: Any, n: int) -> None:
    sink: LogSink = ffi.from_handle(user)
    values = {c_text(fields[i].name): text_of(fields[i].value) for i in range(n)}
    sink.line(LogLine(LogLevel(level), c_text(event), values))
