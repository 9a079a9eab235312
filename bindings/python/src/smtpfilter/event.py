# SPDX-License-Identifier: MIT
"""What is known when a check runs."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._convert import ip_of
from ._enums import Greeting, PathForm, Protocol, Signature, Stage
from ._glue import text_of
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


@dataclass(frozen=True, slots=True)
class Event:
    """What is known of client, HELO, sender and recipient at a stage."""

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


def path_of(p: Any) -> Path | None:
    if not p:
        return None
    form = PathForm(p.form)
    return Path(form, text_of(p.address), text_of(p.local_part), text_of(p.domain), bool(p.quoted), bool(p.utf8))


def event_of(ev: Any) -> Event:
    return Event(
        stage=Stage(ev.stage),
        protocol=Protocol(ev.protocol),
        early_talk=bool(ev.early_talk),
        own=bool(ev.own),
        tls=bool(ev.tls),
        client=ip_of(ev.client),
        local=ip_of(ev.local),
        rdns=text_of(ev.rdns),
        identity=text_of(ev.identity),
        greeting=Greeting(ev.greeting) if ev.greeting else None,
        helo=text_of(ev.helo),
        sender=path_of(ev.sender),
        sender_params=text_of(ev.sender_params),
        recipient=path_of(ev.recipient),
        recipient_params=text_of(ev.recipient_params),
        recipients=ev.recipients,
        failed_recipients=ev.failed_recipients,
        message_size=ev.message_size,
        now_ns=ev.now_ns,
        wall_s=ev.wall_s,
        signature=Signature(ev.signature),
        mailbox=text_of(ev.mailbox),
        returns_to=text_of(ev.returns_to),
    )
