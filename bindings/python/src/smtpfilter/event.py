# SPDX-License-Identifier: MIT
"""What is known when a check runs."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._convert import ip_from
from ._enums import Greeting, PathForm, Protocol, Signature, Stage
from ._ffi import lib
from ._glue import decode
from ._packed import Layout, Room, Row, made, members, members_or_none
from .ports import Ip


@dataclass(frozen=True, slots=True)
class Path:
    """A reverse-path or forward-path."""

    form: PathForm
    address: str
    local_part: str
    domain: str
    quoted: bool
    utf8: bool

    @property
    def is_null(self) -> bool:
        return self.form == PathForm.NULL

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True)
class Event:
    """What is known of client, HELO, sender and recipient at a stage. It may be kept: it is a copy."""

    stage: Stage
    protocol: Protocol
    early_talk: bool
    own: bool
    """Authenticated, or from `own_networks`."""
    tls: bool
    client: Ip | None
    local: Ip | None
    rdns: str
    identity: str
    greeting: Greeting | None
    helo: str
    sender: Path | None
    sender_params: str
    recipient: Path | None
    recipient_params: str
    recipients: int
    """Accepted so far."""
    failed_recipients: int
    message_size: int
    now_ns: int
    wall_s: int
    signature: Signature
    mailbox: str
    returns_to: str

    if not TYPE_CHECKING:  # who checks types would take any name for a field

        def __getattr__(self, name: str) -> Any:
            """A field that nobody has looked at yet. A check looks at two or three; all of them take fifteen microseconds."""
            read, row = _FIELDS.get(name), self.__dict__.get("_row")
            if read is None or row is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            value = self.__dict__[name] = read(row)
            return value


def event_of(ev: Any, room: Room) -> Event:
    """A copy of an smtpf_event."""
    return made(Event, {"_row": _ROW.row(room.packed(lib.smtpfpy_event, ev))})


# ---- fields, in glue.c's order ----------------------------------------------------------------------------------------


def _number(index: int, of: Callable[[int], Any] = int) -> Callable[[Row], Any]:
    return lambda row: of(row.values[index])


def _text(index: int) -> Callable[[Row], Any]:
    return lambda row: decode(row.raw(index))


def _ip(index: int) -> Callable[[Row], Any]:
    return lambda row: ip_from(row.raw(index))


def _path(number: int, text: int) -> Callable[[Row], Any]:
    def read(row: Row) -> Path | None:
        form, quoted, utf8 = row.values[number : number + 3]
        if not form:
            return None
        address, local_part, domain = (decode(row.raw(i)) for i in range(text, text + 3))
        return Path(_FORMS[form], address, local_part, domain, bool(quoted), bool(utf8))

    return read


_FORMS = members(PathForm)
_ROW = Layout(18, 15)
_FIELDS: dict[str, Callable[[Row], Any]] = {
    "stage": _number(0, members(Stage).__getitem__),
    "protocol": _number(1, members(Protocol).__getitem__),
    "early_talk": _number(2, bool),
    "own": _number(3, bool),
    "tls": _number(4, bool),
    "greeting": _number(5, members_or_none(Greeting).__getitem__),
    "recipients": _number(6),
    "failed_recipients": _number(7),
    "message_size": _number(8),
    "now_ns": _number(9),
    "wall_s": _number(10),
    "signature": _number(11, members(Signature).__getitem__),
    "sender": _path(12, 9),
    "recipient": _path(15, 12),
    "client": _ip(0),
    "local": _ip(1),
    "rdns": _text(2),
    "identity": _text(3),
    "helo": _text(4),
    "sender_params": _text(5),
    "recipient_params": _text(6),
    "mailbox": _text(7),
    "returns_to": _text(8),
}
