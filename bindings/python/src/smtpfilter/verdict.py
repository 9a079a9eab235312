# SPDX-License-Identifier: MIT
"""The answer to one event, copied: it outlives the event, the session and the driver."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._enums import Action, Disposition, Dsn, EditOp, EvidenceKind, Fallback, Origin, Route, Stage
from ._ffi import lib
from ._glue import decode
from ._packed import Layout, Room, Row, made, members, members_or_none


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finding of one check."""

    check: str
    stage: Stage
    kind: EvidenceKind
    code: str
    """A short word: `listed`, `pass`, `timeout`."""
    score: float
    detail: str
    """For the log."""
    text: str
    """Fit for a reply; may be empty."""
    elapsed_us: int


@dataclass(frozen=True)
class Recipient:
    """What becomes of one recipient's copy, and why."""

    path: str
    """As the client wrote it, with brackets."""
    address: str
    canonical: str
    disposition: Disposition | None
    """None at RCPT and DATA, where it is still open."""
    final: bool
    dsn: Dsn | None
    reason: str
    overridden: bool
    """This recipient's own wish could not be kept."""
    reply_code: int
    enhanced: str
    text: str
    origin: Origin | None
    wish: Disposition | None
    route: Route | None
    forward: str
    """Where the copy goes to, where it is forwarded."""
    sender: str
    """The envelope sender to deliver with."""
    fallback: Fallback | None
    known: bool
    """This very copy was taken before: never deliver it again."""
    dsn_to: str


@dataclass(frozen=True, slots=True)
class Edit:
    """One header edit. Edits are applied in order; `occurrence` counts in the message as it came."""

    op: EditOp
    name: str
    value: str
    occurrence: int
    recipient: int | None
    """The index of the one recipient it is for; None for all."""


# Rows of glue.c, in their order.
_HEAD = Layout(lib.SMTPFPY_HEAD, 3)
_RECIPIENT = Layout(10, 9)
_EDIT = Layout(3, 2)
_EVIDENCE = Layout(4, 4)


@dataclass(frozen=True, repr=False, eq=False)
class Verdict:
    """What the host must answer now, what becomes of each recipient's copy, and why."""

    action: Action
    code: int
    enhanced: str
    text: str
    """Lines separated by LF."""
    delay_ms: int
    """How long to wait before the reply is sent."""
    closes: bool
    """The connection must be closed after the reply."""
    stage: Stage | None
    """None for events that are no stage: RSET, QUIT, NOOP."""
    rule: str
    """The rule that decided, in words."""
    _counts: tuple[int, int, int]
    """Recipients, edits, findings."""
    _packed: bytes
    _at: int

    def _rows(self, kind: int) -> list[Row]:
        """Of one kind, by its place in `_counts`. Those before it are passed by."""
        at, found = self._at, []
        for layout, n in zip((_RECIPIENT, _EDIT, _EVIDENCE), self._counts[: kind + 1]):
            found = layout.rows(self._packed, at, n)
            at = found[-1].end if found else at
        return found

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Every finding, ordered by stage and declaration, never by arrival."""
        return tuple(map(_evidence, self._rows(2)))

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """The accepted recipients of the transaction, in their order."""
        return tuple(map(_recipient, self._rows(0)))

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Header edits, in the order in which they must be applied. End of message only."""
        return tuple(map(_edit, self._rows(1))) if self._counts[1] else ()

    @property
    def accepted(self) -> bool:
        return self.action == Action.ACCEPT

    @property
    def delay(self) -> float:
        """The same as `delay_ms`, in seconds."""
        return self.delay_ms / 1000

    def lines(self) -> list[str]:
        """The reply's lines with their codes, without CRLF."""
        prefix = self.enhanced + " " if self.enhanced else ""
        texts = self.text.split("\n")
        return [f"{self.code}{'-' if i + 1 < len(texts) else ' '}{prefix}{text}" for i, text in enumerate(texts)]

    @property
    def reply(self) -> bytes:
        """The reply as it goes over the wire."""
        return "".join(line + "\r\n" for line in self.lines()).encode("utf-8", "surrogateescape")

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verdict) and self._packed == other._packed

    def __hash__(self) -> int:
        return hash(self._packed)

    def __repr__(self) -> str:
        what = [f"{self.action.name} {' '.join(filter(None, (str(self.code), self.enhanced, repr(self.text))))}"]
        if self.stage is not None:
            what.append(f"stage={self.stage.name}")
        what += [f"delay_ms={self.delay_ms}"] if self.delay_ms else []
        what += ["closes"] if self.closes else []
        what += [f"rule={self.rule!r}"] if self.rule else []
        recipients, edits, evidence = self._counts
        named = (("evidence", evidence), ("recipients", recipients), ("edits", edits))
        return f"<Verdict {', '.join(what + [f'{name}: {n}' for name, n in named if n])}>"


_ACTIONS = members(Action)
_STAGES = members_or_none(Stage)
_EVIDENCE_STAGES = members(Stage)
_KINDS = members(EvidenceKind)
_DISPOSITIONS = members_or_none(Disposition)
_DSNS = members_or_none(Dsn)
_ORIGINS = members_or_none(Origin)
_ROUTES = members_or_none(Route)
_FALLBACKS = members_or_none(Fallback)
_OPS = members(EditOp)


def _evidence(row: Row) -> Evidence:
    stage, kind, score, us = row.numbers()
    check, code, detail, text = row.texts()
    return Evidence(check, _EVIDENCE_STAGES[stage], _KINDS[kind], code, score / 1000, detail, text, us)


def _recipient(row: Row) -> Recipient:
    disposition, final, dsn, overridden, code, origin, wish, route, fallback, known = row.numbers()
    path, address, reason, enhanced, text, forward, sender, canonical, dsn_to = row.texts()
    return made(
        Recipient,
        {
            "path": path,
            "address": address,
            "canonical": canonical,
            "disposition": _DISPOSITIONS[disposition],
            "final": bool(final),
            "dsn": _DSNS[dsn],
            "reason": reason,
            "overridden": bool(overridden),
            "reply_code": code,
            "enhanced": enhanced,
            "text": text,
            "origin": _ORIGINS[origin],
            "wish": _DISPOSITIONS[wish],
            "route": _ROUTES[route],
            "forward": forward,
            "sender": sender,
            "fallback": _FALLBACKS[fallback],
            "known": bool(known),
            "dsn_to": dsn_to,
        },
    )


def _edit(row: Row) -> Edit:
    op, occurrence, recipient = row.numbers()
    name, value = row.texts()
    return Edit(_OPS[op], name, value, occurrence, None if recipient < 0 else recipient)


def verdict_of(session: Any, room: Room) -> Verdict | None:
    """The verdict of a session of C's, copied out of it before its next event; None where there is none."""
    packed = room.packed(lib.smtpfpy_session_verdict, session)
    if not packed:
        return None
    values, _, _, at = _HEAD.row(packed)
    action, code, delay, closes, stage, n_recipients, n_edits, n_evidence, enhanced, text, rule, end = values
    return made(
        Verdict,
        {
            "action": _ACTIONS[action],
            "code": code,
            "enhanced": decode(packed[at + enhanced : at + text]),
            "text": decode(packed[at + text : at + rule]),
            "delay_ms": delay,
            "closes": bool(closes),
            "stage": _STAGES[stage],
            "rule": decode(packed[at + rule : at + end]),
            "_counts": (n_recipients, n_edits, n_evidence),
            "_packed": packed,
            "_at": at + end,
        },
    )
