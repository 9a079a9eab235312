# SPDX-License-Identifier: MIT
"""Copies, and two ways to make them durable: a Maildir, and another server."""
from __future__ import annotations

import asyncio
import contextlib
import os
import re
import smtplib
import socket
import time
from dataclasses import dataclass
from collections.abc import Iterable

from . import Disposition, Edit, EditOp, Recipient, Route

__all__ = ["Copy", "Deferred", "Maildir", "Refused", "Relay", "edited"]


class Refused(Exception):
    """Raised by a delivery: the next hop refused this copy for good. The client is answered 5xx for it."""

    def __init__(self, text: str = "", code: int = 550, enhanced: str = "5.0.0") -> None:
        super().__init__(text)
        self.code, self.enhanced, self.text = code, enhanced, text


class Deferred(Refused):
    """Raised by a delivery: not now. The client is answered 4xx; so it is for any other exception."""

    def __init__(self, text: str = "", code: int = 451, enhanced: str = "4.3.0") -> None:
        super().__init__(text, code, enhanced)


_FIELD = re.compile(rb"([^\x00-\x20:\x7f]+)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")


def _fields(content: bytes) -> tuple[list[tuple[bytes, int, int]], int]:
    """Name, start and end of each header field, and where the header section ends."""
    found: list[tuple[bytes, int, int]] = []
    at = 0
    while True:
        m = _FIELD.match(content, at)
        if not m:
            return found, at
        found.append((m.group(1).lower(), m.start(), m.end()))
        at = m.end()


def _line(e: Edit) -> bytes:
    return ("%s: %s\r\n" % (e.name, e.value)).encode("utf-8", "surrogateescape")


def edited(content: bytes, edits: Iterable[Edit], recipient: int | None = None) -> bytes:
    """The message with a verdict's header edits: those for all, and those for this recipient.

    :param content: the message as it came, CRLF line ends
    :param recipient: index of the recipient; None for the edits of all alone
    """
    wanted = [e for e in edits if e.recipient is None or e.recipient == recipient]
    if not wanted:
        return content
    fields, end = _fields(content)
    gone = set()
    for e in wanted:
        if e.op == EditOp.DELETE:
            same = [f for f in fields if f[0] == e.name.lower().encode("utf-8", "surrogateescape")]
            if 0 < e.occurrence <= len(same):
                gone.add(same[e.occurrence - 1])
    # Each addition before the first field comes before those that were added earlier.
    before = [_line(e) for e in wanted if e.op == EditOp.PREPEND][::-1]
    behind = [_line(e) for e in wanted if e.op == EditOp.APPEND]
    kept = [content[start:stop] for name, start, stop in fields if (name, start, stop) not in gone]
    return b"".join(before + kept + behind) + content[end:]


@dataclass(frozen=True)
class Copy:
    """One recipient's copy of a message, to be made durable.

    A delivery looks at ``disposition``: ``DELIVERED`` and ``TAGGED`` go where ``route`` says, ``QUARANTINED`` where a
    person can look at it. Discarded copies never come here.
    """

    recipient: Recipient  #: what the verdict says of it
    content: bytes  #: the message with this recipient's header edits, CRLF line ends
    sender: str  #: envelope sender to deliver with, without brackets; empty for the null sender

    @property
    def address(self) -> str:
        """Where it goes: the recipient's own address, or the one it is forwarded to."""
        return self.recipient.forward if self.forwarded else self.recipient.address

    @property
    def forwarded(self) -> bool:
        """Whether it goes to another address, on another server."""
        return self.recipient.route == Route.FORWARD and bool(self.recipient.forward) and not self.quarantined

    @property
    def quarantined(self) -> bool:
        """Whether it is to be kept where a person can look at it, and nowhere else."""
        return self.recipient.disposition == Disposition.QUARANTINED


class Maildir:
    """Delivers into Maildirs below a folder: ``ROOT/user@domain/``; what is quarantined into ``.Quarantine`` of it.

    A copy is on disk, with its folder's entry, before the client is answered. Copies that are forwarded go to
    ``forward``, another delivery; without one they are deferred.
    """

    def __init__(self, root: str | os.PathLike[str], forward: Relay | None = None) -> None:
        self.root = os.fspath(root)
        self.forward = forward
        self._n = 0

    def folder(self, address: str, quarantine: bool = False) -> str:
        """The Maildir of an address. What could be another path is written as ``%XX``."""
        name = re.sub(r"[^A-Za-z0-9@._+=-]|^\.", lambda m: "".join("%%%02X" % c for c in m.group(0).encode("utf-8", "surrogateescape")),
                      address.lower())
        return os.path.join(self.root, name, *([".Quarantine"] if quarantine else []))

    async def __call__(self, copy: Copy) -> None:
        if copy.forwarded:
            if self.forward is None:
                raise Deferred("forwarding is not set up here")
            await self.forward(copy)
            return
        self._n += 1
        name = "%d.M%06dP%dQ%d.%s" % (*divmod(time.time_ns() // 1000, 1000000), os.getpid(), self._n,
                                      socket.gethostname().replace("/", "_").replace(":", "_"))
        await asyncio.get_running_loop().run_in_executor(None, self._store, copy, name)

    def _store(self, copy: Copy, name: str) -> None:
        folder = self.folder(copy.recipient.canonical or copy.recipient.address, copy.quarantined)
        for sub in ("tmp", "cur", "new"):
            _make(os.path.join(folder, sub))
        temporary = os.path.join(folder, "tmp", name)
        head = ("Return-Path: <%s>\r\n" % copy.sender).encode("utf-8", "surrogateescape")
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                f.write((head + copy.content).replace(b"\r\n", b"\n"))
                f.flush()
                os.fsync(f.fileno())
            os.rename(temporary, os.path.join(folder, "new", name))
        except OSError:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
        _sync(os.path.join(folder, "new"))


def _sync(folder: str) -> None:
    """Makes a folder's entries durable."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


def _make(folder: str) -> None:
    """Makes a folder, and those above it; each is durable in its own."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder) or "."
    _make(above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    _sync(above)


class Relay:
    """Delivers to another server by SMTP, one copy at a time; what it answers is what the client is told."""

    def __init__(self, host: str, port: int = 25, *, hostname: str = "localhost", timeout: float = 60.0) -> None:
        self.host, self.port, self.hostname, self.timeout = host, port, hostname, timeout

    async def __call__(self, copy: Copy) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._send, copy)

    def _send(self, copy: Copy) -> None:
        try:
            smtp = smtplib.SMTP(self.host, self.port, self.hostname, self.timeout)
            try:
                smtp.sendmail(copy.sender, [copy.address], copy.content)
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    smtp.quit()  # the copy is theirs, whatever they say to this
            finally:
                smtp.close()
        except smtplib.SMTPRecipientsRefused as e:
            raise _answered(*next(iter(e.recipients.values()))) from None
        except smtplib.SMTPResponseException as e:
            raise _answered(e.smtp_code, e.smtp_error) from None
        except (OSError, smtplib.SMTPException) as e:
            raise Deferred("next hop: %s" % e, 451, "4.4.1") from None


def _answered(code: int, said: bytes | str) -> Refused:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    m = re.match(r"([245]\.\d{1,3}\.\d{1,3}) ", text)
    enhanced, text = (m.group(1), text[m.end():]) if m else ("", text)
    kind = Refused if 500 <= code < 600 else Deferred
    return kind(text, code if 400 <= code < 600 else 451, enhanced)
