# SPDX-License-Identifier: MIT
"""Transcripts: prose, policy, DNS, script and the expected log on one page."""
from __future__ import annotations

import os
import re
import tempfile

from .player import Player
from .record import Record, as_text
from .scanned import ScriptError
from .script import Script
from .world import NOW

_BLOCKS = ("policy", "rules", "dns", "script", "log", "json")


class Transcript:
    """A page that can be replayed. ``transcript.play()`` must give ``transcript.expected``.

    >>> page = Transcript(\"\"\"# Empty
    ...
    ... ```script
    ... @connect 192.0.2.1
    ... ```
    ...
    ... ```log
    ... ```
    ... \"\"\")
    >>> page.expected
    ''
    """

    def __init__(self, text: str, name: str = "transcript", folder: str = ".") -> None:
        self.name = name
        self.blocks: dict[str, str] = {}
        self.host, self.now, self.needs_crypto = "proxy", NOW, False
        self._cut(text)
        if "script" not in self.blocks or not {"log", "json"} & set(self.blocks):
            raise ScriptError("%s: no script, or no log" % name)
        self.json = "json" in self.blocks
        self.expected = self.blocks["json" if self.json else "log"]
        self.script = Script(self.blocks["script"], name, folder)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Transcript:
        """Reads a page; its ``@file`` lines look for files beside it."""
        name = os.fspath(path)
        with open(name, encoding="utf-8", errors="surrogateescape", newline="") as f:
            return cls(f.read(), name, os.path.dirname(name) or ".")

    def _cut(self, text: str) -> None:
        for m in re.finditer(r"^```(\w+)([^\n]*)\n(.*?)^```$", text, re.M | re.S):
            if m.group(1) not in _BLOCKS or m.group(1) in self.blocks:
                raise ScriptError("%s: a block that is none of %s, or twice" % (self.name, ", ".join(_BLOCKS)))
            self.blocks[m.group(1)] = m.group(3)
            if m.group(1) == "script":
                self._words(m.group(2).split())

    def _words(self, words: list[str]) -> None:
        for word in words:
            if word.startswith("host="):
                self.host = word[5:]
            elif word.startswith("now="):
                self.now = int(word[4:])
            elif word == "needs=crypto":
                self.needs_crypto = True
            else:
                raise ScriptError("%s: a word behind script that is neither host= nor now= nor needs=crypto" % self.name)

    def player(self, folder: str, feed: int = 0) -> Player:
        """A player of this page's policy; its files are written into ``folder``."""
        policy = self.blocks.get("policy", "")
        if "rules" in self.blocks:
            rules = os.path.join(folder, "rules")
            _write(rules, self.blocks["rules"])
            policy = policy.replace("@rules@", rules, 1)
        path = os.path.join(folder, "policy.conf")
        _write(path, policy)
        return Player(path if policy else None, dns=self.blocks.get("dns") or None, host=self.host, now=self.now,
                      scripts=[self.script], feed=feed)

    def play(self, feed: int = 0) -> str:
        """The log, synchronously."""
        with tempfile.TemporaryDirectory(prefix="smtpf-replay-") as folder:
            return self._text(self.player(folder, feed).play(self.script))

    async def play_async(self, feed: int = 0) -> str:
        """The log, on the running loop."""
        with tempfile.TemporaryDirectory(prefix="smtpf-replay-") as folder:
            return self._text(await self.player(folder, feed).play_async(self.script))

    def _text(self, records: list[Record]) -> str:
        return as_text(records, self.json)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as f:
        f.write(text)
