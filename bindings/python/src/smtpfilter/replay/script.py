# SPDX-License-Identifier: MIT
"""The script reader: the client's side of SMTP conversations, and directives that begin with ``@`` (smtpf-replay(1)).

A line is the client's, unless it begins with ``@``. What the client sends after DATA is known when the script is read
(a ``.`` follows, or ``@file``), so that a message whose DATA is refused can be left unsent.
"""
from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from collections.abc import Sequence

from .. import Stage
from .scanned import FINDING_KEYS, SCANNER_KEYS, ScriptError, read_finding, read_number, read_scanner, choose

__all__ = ["Item", "Script", "ScriptError"]

STAGES = {"connect": Stage.CONNECT, "helo": Stage.HELO, "mail": Stage.MAIL, "rcpt": Stage.RCPT, "data": Stage.DATA,
          "body": Stage.BODY, "end-of-message": Stage.EOM}
UNITS = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000}

#: name: (least words, most words, keys of pairs); what follows ``text=`` is its value up to the end of the line
DIRECTIVES: dict[str, tuple[int, int, Sequence[str]]] = {
    "connect": (1, 2, ()),
    "file": (1, 1, ()),
    "bdat": (1, 2, ()),
    "commit": (1, 2, ("code", "enhanced", "text")),
    "callout": (2, 2, ("code", "enhanced", "cause", "text")),
    "forward-report": (2, 2, ("code", "enhanced", "class", "sender", "client", "text")),
    "advance": (1, 1, ()),
    "set-back": (1, 1, ()),
    "early-talk": (0, 0, ()),
    "starttls": (0, 2, ()),
    "auth": (2, 2, ()),
    "rebind": (1, 2, ()),
    "overrule": (2, 2, ()),
    "queue-id": (1, 1, ()),
    "abort": (0, 0, ()),
    "raw": (1, 0, ()),
    "directory": (2, 3, ("canonical", "ttl")),
    "member": (2, 2, ("profile", "route", "forward")),
    "store": (1, 1, ()),
    "finding": (1, 1, FINDING_KEYS),
    "scanner": (1, 3, SCANNER_KEYS),
    "local": (1, 1, ()),
    "chunk": (1, 1, ()),
}


@dataclass
class Item:
    """One line of a script, or one message of it."""

    kind: str  #: ``bytes``, ``message`` or the name of a directive
    line: int  #: in the script, from 1
    words: list[str] = field(default_factory=list)
    arg: str = ""  #: the arguments as they were written
    pairs: dict[str, str] = field(default_factory=dict)
    bytes: bytes = b""
    number: int = 0  #: milliseconds, bytes or a reply code


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _is_word(line: bytes, word: bytes) -> bool:
    return line.rstrip(b" \t").upper() == word


def stuff(message: bytes) -> bytes:
    """Dot-stuffed and ended, as a client sends it (RFC 5321 4.5.2)."""
    if message and not message.endswith(b"\r\n"):
        message += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", message) + b".\r\n"


_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.|$)", re.S)


def _unescape(text: str) -> bytes:
    def one(m: re.Match[bytes]) -> bytes:
        word = _text(m.group(1))
        if word[:1] == "x" and len(word) == 3:
            return bytes([int(word[1:], 16)])
        if word == "x":
            raise ScriptError("\\x needs two hexadecimal digits")
        if word not in _ESCAPES:
            raise ScriptError("expected \\r \\n \\t \\0 \\\\ or \\xHH")
        return _ESCAPES[word]
    return _ESCAPE.sub(one, text.encode("utf-8", "surrogateescape"))


def read_time(text: str) -> int:
    """``250ms``, ``3s``, ``6m``, ``4h``, ``1d`` in milliseconds."""
    m = re.fullmatch(r"([0-9]{1,10})(ms|s|m|h|d)", text)
    if not m or int(m.group(1)) > 1000000000:
        raise ScriptError("expected a time such as 250ms, 3s, 6m, 4h or 1d: " + text)
    return int(m.group(1)) * UNITS[m.group(2)]


class Script:
    """A script that has been read.

    >>> [item.kind for item in Script("@connect 192.0.2.1\\nQUIT\\n").items]
    ['connect', 'bytes']
    """

    def __init__(self, source: str | bytes, name: str = "script", folder: str | None = None) -> None:
        self.name = name
        self.items: list[Item] = []
        self._folder = folder
        self._lines = self._cut(source.encode("utf-8", "surrogateescape") if isinstance(source, str) else source)
        self._at = 0
        try:
            self._read()
        except ScriptError as e:
            raise ScriptError("%s:%d: %s" % (name, self._at, e)) from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Script:
        """Reads a file; ``@file`` and ``@bdat`` look for files beside it."""
        name = os.fspath(path)
        with open(name, "rb") as f:
            return cls(f.read(), name, os.path.dirname(name) or None)

    @staticmethod
    def _cut(source: bytes) -> list[bytes]:
        lines = source.split(b"\n")
        if lines and not lines[-1]:
            lines.pop()
        return [line[:-1] if line.endswith(b"\r") else line for line in lines]

    def _read(self) -> None:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if not line or line.startswith(b"#"):
                continue
            if line.startswith(b"@"):
                self._directive(line)
                continue
            self.items.append(Item("bytes", self._at, bytes=line + b"\r\n"))
            if _is_word(line, b"DATA") and self._message_follows():
                self._message()

    def _message_follows(self) -> bool:
        """Is a message typed here? Only when its ``.`` comes before the next DATA, @connect or the end."""
        for i, line in enumerate(self._lines[self._at:]):
            if (i == 0 and line.startswith(b"@")) or _is_word(line, b"DATA") or line.startswith(b"@connect"):
                return False
            if _is_word(line, b"."):
                return True
        return False

    def _message(self) -> None:
        item = Item("message", self._at + 1)
        lines = []
        while self._at < len(self._lines):
            lines.append(self._lines[self._at] + b"\r\n")
            self._at += 1
            if _is_word(lines[-1][:-2], b"."):
                break
        item.bytes = b"".join(lines)
        self.items.append(item)

    def _directive(self, line: bytes) -> None:
        m = re.match(rb"@([^ \t]*)(.*)", line, re.S)
        assert m
        name = _text(m.group(1))
        if name not in DIRECTIVES:
            raise ScriptError("no such directive: " + escaped(m.group(0)[:1 + len(m.group(1))]))
        least, most, keys = DIRECTIVES[name]
        rest = _text(m.group(2))
        if name != "raw":
            rest = re.sub(r"(?<=[ \t])#.*", "", rest, flags=re.S)
        rest = rest.strip(" \t")
        item = Item(name, self._at, arg=rest)
        words = _cut_words(item, rest, keys)
        if words < least:
            raise ScriptError("too few arguments: " + name)
        if most >= least and name != "raw" and words > most:
            raise ScriptError("too many arguments: " + name)
        self.items.append(item)
        arguments = getattr(self, "_read_" + name.replace("-", "_"), None)
        if arguments:
            arguments(item)

    # ---- arguments of directives ----

    def _file(self, name: str) -> bytes:
        path = os.path.join(self._folder, name) if self._folder else name
        try:
            with open(path, "rb") as f:
                return re.sub(rb"(?<!\r)\n", b"\r\n", f.read())
        except OSError as e:
            raise ScriptError("%s: %s" % (e.strerror, path)) from None

    def _read_file(self, item: Item) -> None:
        item.kind = "message"
        item.bytes = stuff(self._file(item.words[0]))

    def _read_bdat(self, item: Item) -> None:
        item.bytes = self._file(item.words[0])
        if len(item.words) > 1:
            item.number = read_number(item.words[1], 1 << 30)

    def _read_raw(self, item: Item) -> None:
        before = self.items[-2] if len(self.items) > 1 else None
        after_data = before and before.kind == "bytes" and before.bytes[-6:].upper() == b"DATA\r\n"
        item.kind = "message" if after_data else "bytes"
        item.bytes = _unescape(item.arg)

    def _read_chunk(self, item: Item) -> None:
        item.number = read_number(item.words[0], 1 << 30)

    def _read_overrule(self, item: Item) -> None:
        choose(item.words[0], STAGES)
        item.number = read_number(item.words[1], 599)
        if item.number < 400:
            raise ScriptError("expected a reply code from 400 to 599: " + item.words[1])

    def _read_commit(self, item: Item) -> None:
        choose(item.words[-1], ("ok", "failed", "refused"))

    def _read_directory(self, item: Item) -> None:
        read_number(item.pairs.get("ttl", "0"), (1 << 32) - 1)
        choose(item.words[1], ("exists", "absent", "unknown"))

    def _read_member(self, item: Item) -> None:
        if "route" in item.pairs:
            choose(item.pairs["route"], ("mailbox", "forward"))

    def _read_store(self, item: Item) -> None:
        choose(item.words[0], ("ok", "fail"))

    def _read_advance(self, item: Item) -> None:
        item.number = read_time(item.words[0])

    _read_set_back = _read_advance

    def _read_finding(self, item: Item) -> None:
        if item.words[0] != "none":
            read_finding(item.words, item.pairs)

    def _read_scanner(self, item: Item) -> None:
        if item.words[0] != "none":
            read_scanner(item.words, item.pairs)

    def _read_callout(self, item: Item) -> None:
        choose(item.words[1], ("accepted", "refused", "unknown"))
        if not read_number(item.pairs.get("code", "200"), 599) >= 200:
            raise ScriptError("expected a reply code from 200 to 599: " + item.pairs["code"])

    def _read_forward_report(self, item: Item) -> None:
        if not read_number(item.pairs.get("code", "550"), 599) >= 500:
            raise ScriptError("expected a reply code from 500 to 599: " + item.pairs["code"])
        if "class" in item.pairs:
            choose(item.pairs["class"], ("recipient", "spam", "policy", "other"))


def _cut_words(item: Item, rest: str, keys: Sequence[str]) -> int:
    """Cuts the arguments into words and pairs. How many words there are."""
    at = 0
    while at < len(rest):
        m = re.compile(r"[^ \t]+").match(rest, at)
        assert m
        word = m.group(0)
        key = next((k for k in keys if len(word) > len(k) and word.startswith(k + "=")), None)
        if key == "text":
            word = rest[at:]
        if key:
            item.pairs.setdefault(key, word[len(key) + 1:])
        else:
            item.words.append(word)
        at += len(word)
        while at < len(rest) and rest[at] in " \t":
            at += 1
    return len(item.words)


def escaped(raw: bytes | str) -> str:
    """Printable ASCII; the rest as ``\\xHH``."""
    data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    return "".join("\\\\" if c == 0x5c else chr(c) if 0x20 <= c < 0x7f else "\\x%02x" % c for c in data)
