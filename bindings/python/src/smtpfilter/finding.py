# SPDX-License-Identifier: MIT
"""What a check says, and how it becomes what the library keeps."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._enums import EvidenceKind, FindingFlag
from ._ffi import ffi, lib
from ._glue import NULL, Keep, encode
from ._packed import made

NONE = FindingFlag(0)


@dataclass(frozen=True)
class Finding:
    """One finding. `hit`, `clear` and `unknown` make one.

    `code` is a short word (`listed`); `detail` is for the log, `text` for the reply. `recipient`, after RCPT: the
    index of the accepted recipient it is about, None for all.
    """

    kind: EvidenceKind
    code: str
    score: float = 0.0
    detail: str = ""
    text: str = ""
    flags: FindingFlag = NONE
    reply: int = 0
    enhanced: str = ""
    recipient: int | None = None


def hit(
    code: str,
    score: float = 0.0,
    *,
    detail: str = "",
    text: str = "",
    refuse: bool = False,
    flags: FindingFlag = NONE,
    reply: int = 0,
    enhanced: str = "",
    recipient: int | None = None,
) -> Finding:
    """The check found what it looks for. `refuse`: a fact that refuses by itself, whatever the thresholds."""
    if refuse:
        flags |= FindingFlag.REFUSE
    return Finding(EvidenceKind.HIT, code, score, detail, text, flags, reply, enhanced, recipient)


def clear(code: str = "clear", score: float = 0.0, *, detail: str = "", recipient: int | None = None) -> Finding:
    """It looked, and found nothing against the mail; a negative score speaks for it."""
    fields = {"kind": EvidenceKind.CLEAR, "code": code, "score": score, "detail": detail, "recipient": recipient}
    return made(Finding, fields)


def unknown(
    cause: str,
    *,
    detail: str = "",
    text: str = "",
    flags: FindingFlag = NONE,
    reply: int = 0,
    enhanced: str = "",
    recipient: int | None = None,
) -> Finding:
    """It could not find out: never read as clear, never a reason for a 5xx."""
    return Finding(EvidenceKind.UNKNOWN, cause, 0.0, detail, text, flags, reply, enhanced, recipient)


_WORDS_MOST = 4096
_words: dict[bytes, Any] = {}


def word(text: str) -> Any:
    """A string that C may keep for good. Codes are few; what makes up thousands of them gets no more."""
    raw = encode(text)
    kept = _words.get(raw)
    if kept is None:
        if len(_words) >= _WORDS_MOST:
            raw = b"many-words"
        kept = _words.setdefault(raw, ffi.new("char[]", raw))
    return kept


def put_finding(keep: Keep, f: Finding) -> Any:
    c = keep.sized("smtpf_finding")
    c.kind, c.code, c.score, c.flags = int(f.kind), word(f.code), round(f.score * 1000), int(f.flags)
    if f.detail:
        keep.text(c.detail, f.detail)
    if f.text:
        keep.text(c.text, f.text)
    c.reply, c.enhanced = f.reply, word(f.enhanced) if f.enhanced else NULL
    c.recipient = 0 if f.recipient is None else f.recipient + 1
    return c


def report(t: Any, f: Finding) -> int:
    """Tells the library, for a task of C."""
    if f.kind is EvidenceKind.CLEAR and f.flags is NONE and not (f.score or f.detail or f.recipient is not None):
        return int(lib.smtpf_task_clear(t, word(f.code)))
    keep = Keep()
    return int(lib.smtpf_task_report(t, put_finding(keep, f)))
