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
from .calls import Scan, StoreError, Timer
from .check import Check, Part, Piece
from .config import Config, Option
from .driver import Driver
from .engine import Engine, PolicyWarning
from .errors import *  # noqa: F403
from .errors import __all__ as _errors
from .event import Event, Path
from .finding import Finding, clear, hit, unknown
from .log import LogLine
from .ports import (
    LATER,
    Callout,
    CalloutAnswer,
    Change,
    Clock,
    Crypto,
    Directory,
    DirectoryAnswer,
    DnsAnswer,
    DnsRecord,
    Journal,
    LibraryPort,
    Member,
    Poller,
    Port,
    Promise,
    Random,
    Resolver,
    Store,
    Stored,
    join_records,
    lmdb_store,
    memory_store,
    policy_directory,
    zone,
)
from .scanner import Message, Scanner, ScanEdit, ScanResult
from .section import OptionRow, Section
from .session import DEFAULT_CAPABILITIES, BaseSession, Session
from .task import Source, Task
from .verdict import Edit, Evidence, Recipient, Verdict

__version__: str = _ffi.string(_lib.smtpf_version()).decode("ascii")

__all__ = [
    "BaseSession",
    "Callout",
    "CalloutAnswer",
    "Change",
    "Check",
    "Clock",
    "Config",
    "Crypto",
    "DEFAULT_CAPABILITIES",
    "Directory",
    "DirectoryAnswer",
    "DnsAnswer",
    "DnsRecord",
    "Driver",
    "Edit",
    "Engine",
    "Event",
    "Evidence",
    "Finding",
    "Journal",
    "LATER",
    "LibraryPort",
    "LogLine",
    "Member",
    "Message",
    "Option",
    "OptionRow",
    "Part",
    "Path",
    "Piece",
    "PolicyWarning",
    "Poller",
    "Port",
    "Promise",
    "Random",
    "Recipient",
    "Resolver",
    "Scan",
    "ScanEdit",
    "ScanResult",
    "Scanner",
    "Section",
    "Session",
    "Source",
    "Store",
    "StoreError",
    "Stored",
    "Task",
    "Timer",
    "Verdict",
    "clear",
    "hit",
    "join_records",
    "lmdb_store",
    "memory_store",
    "policy_directory",
    "unknown",
    "zone",
    *_enums,
    *_errors,
]
