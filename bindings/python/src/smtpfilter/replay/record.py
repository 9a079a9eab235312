# SPDX-License-Identifier: MIT
"""Records: what came of each event, as text for people or as one line of JSON."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .. import Dsn, Edit, EditOp, Evidence, EvidenceKind as Kind, Fallback, Origin, Recipient, Stage, Verdict
from .script import escaped

STAGE_NAMES = {Stage.CONNECT: "connect", Stage.HELO: "helo", Stage.MAIL: "mail", Stage.RCPT: "rcpt",
               Stage.DATA: "data", Stage.BODY: "body", Stage.EOM: "end-of-message"}
_SILENT_RULES = ("", "accept", "command", "committed", "violation")


def word(value: Any) -> str:
    """The word of an enumeration's member: ``headers-only`` for ``Dsn.HEADERS_ONLY``; ``none`` for 0."""
    name: str = getattr(value, "name", None) or ""
    return name.lower().replace("_", "-") if value and name else "none"


def milli(value: float) -> str:
    """A score as the policy writes it: at most three decimals, none where there is nothing behind the point."""
    return ("%.3f" % value).rstrip("0").rstrip(".") if round(value * 1000) else "0"


@dataclass
class Record:
    """One event of a replayed session.

    ``str(record)`` is the text form, :meth:`json` one line of JSON, :meth:`as_dict` the same as plain objects.
    """

    event: str  #: ``connect``, ``rcpt`` ...
    label: str  #: ``CONNECT``, ``EHLO`` ...
    line: int = 0  #: of the script
    arg: str = ""
    params: str = ""
    code: int = 0  #: 0: no reply
    enhanced: str = ""
    text: str = ""
    delay_ms: int = 0
    closes: bool = False
    stage: int = 0
    rule: str = ""
    evidence: tuple[Evidence, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    edits: tuple[Edit, ...] = ()
    each: bool = False  #: each recipient has a reply of its own
    sender: str | None = None  #: with recipients: the envelope sender as it came
    verdict: Verdict | None = field(default=None, repr=False)  #: the last one that made this record

    def take_reply(self, v: Verdict) -> None:
        """Reply, delay and rule of a verdict."""
        self.verdict = v
        self.code, self.enhanced, self.text = v.code, v.enhanced, v.text
        self.delay_ms, self.closes, self.stage, self.rule = v.delay_ms, bool(v.closes), int(v.stage or 0), v.rule

    def take_recipients(self, v: Verdict) -> None:
        """Recipients and header edits of a verdict."""
        self.recipients, self.edits = tuple(v.recipients), tuple(v.edits)

    def overruled(self, code: int, reason: str) -> None:
        """The reply is the host's own."""
        self.code, self.enhanced, self.text = code, "", reason

    # ---- text ----

    def __str__(self) -> str:
        out = self.label
        if self.arg:
            out += " " + escaped(self.arg)
        if self.params:
            out += " " + escaped(self.params)
        if self.code:
            out += " -> " + _reply_text(self.code, self.enhanced, self.text)
        if self.delay_ms:
            out += " after %d ms" % self.delay_ms
        lines = [out + (" and close" if self.closes else "")]
        if self.rule not in _SILENT_RULES:
            lines.append("    because " + escaped(self.rule))
        found = [self._finding(e) for e in self.evidence if self._is_new(e)]
        if found:
            lines.append("    [" + " ".join(found) + "]")
        lines += map(self._edit, self.edits)
        lines += map(self._copy, self.recipients)
        return "\n".join(lines)

    def _is_new(self, e: Evidence) -> bool:
        """What was found at this stage, at the end of a message while it came too."""
        return e.stage == self.stage or (self.stage == Stage.EOM and e.stage == Stage.BODY)

    @staticmethod
    def _finding(e: Evidence) -> str:
        out = "%s:%s%s" % (e.check, escaped(e.code), {Kind.HIT: "!", Kind.UNKNOWN: "?"}.get(e.kind, ""))
        if e.score:
            out += ("+" if e.score > 0 else "") + milli(e.score)
        return out

    def _edit(self, e: Edit) -> str:
        out = "    header"
        if e.recipient is not None:
            out += " for " + escaped(self.recipients[e.recipient].address)
        if e.op == EditOp.DELETE:
            return "%s - %s number %d" % (out, escaped(e.name), e.occurrence)
        return "%s + %s: %s" % (out, escaped(e.name), escaped(e.value))

    def _copy(self, to: Recipient) -> str:
        out = "    %s %s, dsn %s" % (escaped(to.address), word(to.disposition), word(to.dsn))
        if to.dsn == Dsn.NEVER and to.fallback == Fallback.QUARANTINE:
            out += ", fallback quarantine"
        if to.overridden:
            out += ", overridden"
            if to.wish:
                out += ", wish " + word(to.wish)
        if to.origin not in (Origin.STRANGER, Origin.OWN):
            out += ", origin " + word(to.origin)
        if to.forward:
            out += ", forward " + escaped(to.forward)
        if self.sender is not None and to.sender.lower() != self.sender.lower():
            out += ", sender " + (escaped(to.sender) or "<>")
        if to.known:
            out += ", known"
        if self.each:
            out += " -> " + _reply_text(to.reply_code, to.enhanced, to.text)
        if to.reason:
            out += " (%s)" % escaped(to.reason)
        return out

    # ---- JSON ----

    def as_dict(self) -> dict[str, Any]:
        """The record as plain objects, in the order in which smtpf-replay(1) writes them."""
        out: dict[str, Any] = {"event": self.event, "arg": self.arg}
        if self.params:
            out["params"] = self.params
        out["reply"] = _reply(self.code, self.enhanced, self.text)
        out["delay_ms"] = self.delay_ms
        if self.closes:
            out["closes"] = True
        out["rule"] = self.rule
        out["evidence"] = [{"check": e.check, "code": e.code, "score": _number(e.score), "detail": e.detail,
                            "stage": STAGE_NAMES.get(Stage(e.stage), ""), "kind": word(Kind(e.kind))}
                           for e in self.evidence]
        if self.event == "end-of-message":
            out["edits"] = [self._edit_dict(e) for e in self.edits]
            out["recipients"] = [self._copy_dict(to) for to in self.recipients]
        return out

    def json(self) -> str:
        """One line of JSON (RFC 8259)."""
        text = json.dumps(self.as_dict(), ensure_ascii=False, separators=(",", ":"))
        return text.replace("\x7f", "\\u007f").encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def _edit_dict(self, e: Edit) -> dict[str, Any]:
        out: dict[str, Any] = {"op": word(EditOp(e.op)), "name": e.name}
        if e.op == EditOp.DELETE:
            out["occurrence"] = e.occurrence
        else:
            out["value"] = e.value
        if e.recipient is not None:
            out["recipient"] = self.recipients[e.recipient].address
        return out

    def _copy_dict(self, to: Recipient) -> dict[str, Any]:
        out: dict[str, Any] = {"address": to.address, "disposition": word(to.disposition),
                               "dsn": word(to.dsn)}
        if to.dsn_to:
            out["dsn_to"] = to.dsn_to
        out["reason"] = to.reason
        out["origin"] = word(to.origin)
        if to.wish:
            out["wish"] = word(to.wish)
        if to.overridden:
            out["overridden"] = True
        out["route"] = word(to.route)
        if to.forward:
            out["forward"] = to.forward
        out["sender"] = to.sender
        out["fallback"] = word(to.fallback)
        if to.known:
            out["known"] = True
        if self.each:
            out["reply"] = _reply(to.reply_code, to.enhanced, to.text)
        return out


def _reply_text(code: int, enhanced: str, text: str) -> str:
    lines = [escaped(line) for line in text.split("\n")] if text else []
    return " ".join(filter(None, (str(code), enhanced, " / ".join(lines))))


def _reply(code: int, enhanced: str, text: str) -> dict[str, Any] | None:
    return {"code": code, "enhanced": enhanced, "text": text} if code else None


def _number(score: float) -> Any:
    return int(score) if score == int(score) else round(score, 3)


def as_text(records: list[Record], as_json: bool = False) -> str:
    """A log: what smtpf-replay(1) prints for these records."""
    return "".join((r.json() if as_json else str(r)) + "\n" for r in records)
