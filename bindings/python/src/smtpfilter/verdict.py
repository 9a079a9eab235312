# SPDX-License-Identifier: MIT
"""The answer to one event, copied: it outlives the event, the session and the driver."""
from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ._enums import Action, Disposition, Dsn, EditOp, EvidenceKind, Fallback, Origin, Route, Stage
from ._ffi import ffi, lib
from ._glue import decode


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


@dataclass(frozen=True, slots=True)
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


_HEAD = struct.Struct(f"={lib.SMTPFPY_HEAD + 3}q")
_EVIDENCE = struct.Struct("=8q")
_RECIPIENT = struct.Struct("=19q")
_EDIT = struct.Struct("=5q")


def _rows(packed: bytes, at: int, layout: struct.Struct, n_texts: int, n: int) -> Iterator[tuple[int, list[Any]]]:
    """(where the row ends, its numbers and texts) of `n` rows."""
    for _ in range(n):
        numbers = layout.unpack_from(packed, at)
        at += layout.size
        values: list[Any] = list(numbers[:-n_texts])
        for length in numbers[-n_texts:]:
            values.append(decode(packed[at : at + length]))
            at += length
        yield at, values


@dataclass(frozen=True, slots=True, repr=False, eq=False)
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
    _packed: bytes
    _at: int

    def _behind(self, rows: int) -> int:
        """Where the findings end (1), or the recipients (2)."""
        at = self._at
        for layout, n_texts, n in ((_EVIDENCE, 4, self._counts[0]), (_RECIPIENT, 9, self._counts[1]))[:rows]:
            for _ in range(n):
                at += layout.size + sum(layout.unpack_from(self._packed, at)[-n_texts:])
        return at

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Every finding, ordered by stage and declaration, never by arrival."""
        return tuple(
            Evidence(check, _EVIDENCE_STAGES[stage], _KINDS[kind], code, score / 1000, detail, text, us)
            for _, (stage, kind, score, us, check, code, detail, text) in _rows(
                self._packed, self._at, _EVIDENCE, 4, self._counts[0]
            )
        )

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """The accepted recipients of the transaction, in their order."""
        if not self._counts[1]:
            return ()
        rows = _rows(self._packed, self._behind(1), _RECIPIENT, 9, self._counts[1])
        return tuple(_recipient(row) for _, row in rows)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Header edits, in the order in which they must be applied. End of message only."""
        if not self._counts[2]:
            return ()
        return tuple(
            Edit(EditOp(op), name, value, occurrence, None if recipient < 0 else recipient)
            for _, (op, occurrence, recipient, name, value) in _rows(
                self._packed, self._behind(2), _EDIT, 2, self._counts[2]
            )
        )

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
        named = zip(("evidence", "recipients", "edits"), self._counts)
        return f"<Verdict {', '.join(what + [f'{name}: {n}' for name, n in named if n])}>"


def _recipient(row: list[Any]) -> Recipient:
    disposition, final, dsn, overridden, code, origin, wish, route, fallback, known, *texts = row
    path, address, reason, enhanced, text, forward, sender, canonical, dsn_to = texts
    return Recipient(
        path=path,
        address=address,
        canonical=canonical,
        disposition=_DISPOSITIONS[disposition],
        final=bool(final),
        dsn=_DSNS[dsn],
        reason=reason,
        overridden=bool(overridden),
        reply_code=code,
        enhanced=enhanced,
        text=text,
        origin=_ORIGINS[origin],
        wish=_DISPOSITIONS[wish],
        route=_ROUTES[route],
        forward=forward,
        sender=sender,
        fallback=_FALLBACKS[fallback],
        known=bool(known),
        dsn_to=dsn_to,
    )


_STAGES: dict[int, Stage | None] = {0: None, **{int(stage): stage for stage in Stage}}
_EVIDENCE_STAGES = {int(stage): stage for stage in Stage}
_KINDS = {int(kind): kind for kind in EvidenceKind}
_DISPOSITIONS: dict[int, Disposition | None] = {0: None, **{int(d): d for d in Disposition}}
_DSNS: dict[int, Dsn | None] = {0: None, **{int(dsn): dsn for dsn in Dsn}}
_ORIGINS: dict[int, Origin | None] = {0: None, **{int(origin): origin for origin in Origin}}
_ROUTES: dict[int, Route | None] = {0: None, **{int(route): route for route in Route}}
_FALLBACKS: dict[int, Fallback | None] = {0: None, **{int(f): f for f in Fallback}}
_ACTIONS = {int(action): action for action in Action}
_ROOM = 4096


def copy_verdict(v: Any, room: Any) -> Verdict:
    """Reads a verdict out of its session, whose next event ends it. `room` is `new_room()`."""
    n = lib.smtpfpy_verdict_pack(v, room, _ROOM)
    if n > _ROOM:
        room = ffi.new("char[]", n)
        lib.smtpfpy_verdict_pack(v, room, n)
    packed = ffi.buffer(room, n)[:]
    action, code, delay, closes, stage, n_evidence, n_recipients, n_edits, e, t, r = _HEAD.unpack_from(packed)
    at = _HEAD.size
    return Verdict(
        action=_ACTIONS[action],
        code=code,
        enhanced=decode(packed[at : at + e]),
        text=decode(packed[at + e : at + e + t]),
        delay_ms=delay,
        closes=bool(closes),
        stage=_STAGES[stage],
        rule=decode(packed[at + e + t : at + e + t + r]),
        _counts=(n_evidence, n_recipients, n_edits),
        _packed=packed,
        _at=at + e + t + r,
    )


def new_room() -> Any:
    """Where verdicts are read into; one for each driver."""
    return ffi.new("char[]", _ROOM)
