# SPDX-License-Identifier: MIT
"""Mail filtering while the SMTP conversation is open: the bindings of libsmtpfilter.

    config -> engine (frozen, shared) -> driver (one event loop) -> session (one connection) -> verdict

See `Config`, `Engine`, `Driver`, `Session`, `Verdict`; `Check`, `Scanner` and the ports for code of your own;
`smtpfilter.aio` for asyncio, `smtpfilter.aiosmtpd` for a filtering server.
"""
from __future__ import annotations

from ._enums import *  # noqa: F403
from ._enums import __all__ as _enums
from ._ffi import ffi as _ffi
from ._ffi import lib as _lib
from .config import Config, Option
from .driver import Driver
from .engine import Engine, PolicyWarning
from .errors import *  # noqa: F403
from .errors import __all__ as _errors
from .log import LogLine
from .session import DEFAULT_CAPABILITIES, BaseSession, Session
from .verdict import Edit, Evidence, Recipient, Verdict

__version__: str = _ffi.string(_lib.smtpf_version()).decode("ascii")

__all__ = [
    "DEFAULT_CAPABILITIES",
    "BaseSession",
    "Config",
    "Driver",
    "Edit",
    "Engine",
    "Evidence",
    "LogLine",
    "Option",
    "PolicyWarning",
    "Recipient",
    "Session",
    "Verdict",
    *_enums,
    *_errors,
]
