# SPDX-License-Identifier: MIT
"""What ``@finding`` and ``@scanner`` lines say."""
from __future__ import annotations

import re
from dataclasses import dataclass
from collections.abc import Iterable

from .. import EvidenceKind as Kind, Family, FindingFlag, Stage

FINDING_KEYS = ("check", "family", "kind", "code", "score", "flags", "for", "reply", "enhanced", "detail", "text")
SCANNER_KEYS = ("score", "seen", "early", "after", "takes", "again", "user", "detail", "add", "remove")
ANSWERS = ("clean", "hit", "unknown", "silent", "refuse")

FINDING_STAGES = {"connect": Stage.CONNECT, "helo": Stage.HELO, "mail": Stage.MAIL, "rcpt": Stage.RCPT,
                  "data": Stage.DATA, "end-of-message": Stage.EOM}
FAMILIES = {f.name.lower(): f for f in Family}
KINDS = {"clear": Kind.CLEAR, "hit": Kind.HIT, "unknown": Kind.UNKNOWN}
FLAGS = {f.name.lower(): f for f in FindingFlag if f.name}


class ScriptError(ValueError):
    """A script, zone or transcript that cannot be read: ``name:line: what``."""


def choose(word: str, among: Iterable[str]) -> str:
    """The word, when it is one of them."""
    words = list(among)
    if word not in words:
        raise ScriptError("expected one of %s: %s" % (", ".join(words), word))
    return word


def read_number(text: str, most: int) -> int:
    """Digits alone, no more than ``most``."""
    if not re.fullmatch(r"[0-9]{1,15}", text) or int(text) > most:
        raise ScriptError("expected a number: " + text)
    return int(text)


def read_score(text: str) -> int:
    """``5`` or ``-2.5``, in thousandths."""
    m = re.fullmatch(r"(-?)([0-9]{1,7})(?:\.([0-9]{1,3}))?", text)
    if not m:
        raise ScriptError("expected a score such as 5 or -2.5: " + text)
    value = int(m.group(2)) * 1000 + int((m.group(3) or "0").ljust(3, "0"))
    return -value if m.group(1) else value


@dataclass
class Said:
    """What a check finds (``@finding``)."""

    check: str
    stage: Stage
    family: Family
    kind: Kind
    code: str
    score: int  #: thousandths
    flags: FindingFlag
    recipient: str | None  #: only for this one; None for any
    reply: int
    enhanced: str | None
    detail: str
    text: str


def read_finding(words: list[str], pairs: dict[str, str]) -> Said:
    """What an ``@finding`` line says."""
    stage = FINDING_STAGES[choose(words[0], FINDING_STAGES)]
    kind = KINDS[choose(pairs.get("kind", "hit"), KINDS)]
    if "check" not in pairs:
        raise ScriptError("expected check=NAME")
    reply = read_number(pairs.get("reply", "0"), 599)
    if "reply" in pairs and reply < 400:
        raise ScriptError("expected a reply code from 400 to 599: " + pairs["reply"])
    flags = FindingFlag(0)
    for word in filter(None, pairs.get("flags", "").split(",")):
        flags |= FLAGS[choose(word, FLAGS)]
    said = Said(pairs["check"], stage, FAMILIES[choose(pairs.get("family", "client"), FAMILIES)], kind,
                pairs.get("code") or ("found" if kind == Kind.HIT else kind.name.lower()),
                read_score(pairs.get("score", "0")), flags, pairs.get("for"), reply, pairs.get("enhanced"),
                pairs.get("detail", ""), pairs.get("text", ""))
    if kind == Kind.UNKNOWN and said.score:
        raise ScriptError("what is unknown has no score")
    return said


@dataclass
class Scanned:
    """What a scanner answers (``@scanner``); -1: not said."""

    scanner: str
    answer: str
    what: str = ""
    user: str | None = None
    detail: str = ""
    add: str = ""
    remove: str = ""
    score: int | None = None  #: thousandths
    seen: int = -1
    early: int = -1
    after: int = -1
    takes: int = 0
    again: int = 0


def read_scanner(words: list[str], pairs: dict[str, str]) -> Scanned:
    """What a ``@scanner`` line says."""
    if len(words) < 2:
        raise ScriptError("expected what it answers")
    said = Scanned(words[0], choose(words[1], ANSWERS), words[2] if len(words) > 2 else "")
    for name in ("seen", "early", "after", "takes", "again"):
        if name in pairs:
            setattr(said, name, read_number(pairs[name], 1 << 40))
    said.user, said.detail = pairs.get("user"), pairs.get("detail", "")
    said.add, said.remove = pairs.get("add", ""), pairs.get("remove", "")
    if "score" in pairs:
        said.score = read_score(pairs["score"])
    if said.answer == "unknown" and not said.what:
        said.what = "failed"
    return said
