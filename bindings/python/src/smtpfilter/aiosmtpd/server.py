# SPDX-License-Identifier: MIT
"""aiosmtpd's protocol and controllers, with what a handler cannot reach."""
from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from aiosmtpd import controller as _controller
from aiosmtpd import lmtp as _lmtp
from aiosmtpd import smtp as _smtp
from aiosmtpd.smtp import syntax

from .. import Action
from .handler import Conversation, Handler, names

_PATH = re.compile(r'<(?:[^<>"\\]|\\.|"(?:[^"\\]|\\.)*")*>|[^ ]+')
_MAIL_KEYS = {"SIZE", "BODY", "SMTPUTF8", "PRDR", "AUTH"}  # AUTH: who offers it takes it (RFC 4954 3)
_PIECE = 1 << 24  # more than a reader ever holds
_LINE = 4096  # of a longer line the pieces are looked at


class SMTP(_smtp.SMTP):
    """aiosmtpd's protocol with what its handlers cannot reach: the banner, MAIL and RCPT as they were written, DATA
    before its 354, and the message while it comes. Its handler is a :class:`Handler`."""

    event_handler: Handler
    smtpfilter = True
    _scanned = False
    _silent_until: float

    if TYPE_CHECKING:  # what aiosmtpd does not say, or says of a protocol without a connection
        transport: asyncio.Transport
        envelope: _smtp.Envelope
        _timeout_handle: asyncio.TimerHandle | None

        def _set_post_data_state(self) -> None: ...

        def _timeout_cb(self) -> None: ...

    def __init__(self, handler: Handler, **options: Any) -> None:
        self._scanned = handler._scanned = True
        try:
            super().__init__(handler, **options)
        finally:
            self._scanned = handler._scanned = False
        self.__dict__["push"] = self._push_banner  # the first time; then it is the class's

    def __dir__(self) -> list[str]:
        return names(type(self)) if self._scanned else list(super().__dir__())

    async def _push_banner(self, usual: Any) -> None:
        del self.__dict__["push"]
        await self.push(await self._banner(usual))

    async def _call_handler_hook(self, command: str, *args: Any) -> Any:
        """The lines for EHLO go out in one piece; aiosmtpd sends each by itself."""
        said = await super()._call_handler_hook(command, *args)
        return ["\r\n".join(said)] if isinstance(said, list) else said

    async def _banner(self, usual: str) -> str:
        """The connection's verdict stands in the place of the banner; who speaks before it is noted."""
        conversation = self.event_handler.conversation(self)
        self._note_early_talk(conversation)
        verdict = await conversation.connect(self)
        said = await self.event_handler._say(verdict, self)
        self._note_early_talk(conversation)
        return usual if verdict.action == Action.ACCEPT else said

    def _unread(self) -> bytearray:
        """What came and was not asked for yet."""
        buffer: bytearray = getattr(self._reader, "_buffer")  # there, and not in its type
        return buffer

    def _note_early_talk(self, conversation: Conversation) -> None:
        if self._unread():
            conversation.session.early_talk()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        conversation: Conversation | None = getattr(self, "_smtpfilter", None)
        if conversation is not None:
            conversation.close()

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Puts off the end of a silent connection. One timer stands for many: it looks at the time when it fires."""
        self._silent_until = self.loop.time() + (duration or self._timeout_duration)
        if self._timeout_handle is None or self._timeout_handle.when() > self._silent_until:
            self._arm_timeout()

    def _arm_timeout(self) -> None:
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_at(self._silent_until, self._look_for_silence)

    def _look_for_silence(self) -> None:
        if self.loop.time() < self._silent_until:
            self._arm_timeout()
        else:
            self._timeout_cb()

    def _path(self, verb: str, arg: str | None) -> tuple[str, list[str]] | None:
        """What MAIL and RCPT say: the path with brackets, and the parameters; None: that is no path."""
        rest = self._strip_command_keyword(verb, arg) if arg else None
        found = _PATH.match(rest) if rest else None
        if rest is None or found is None:
            return None
        path = found.group(0)
        return path if path.startswith("<") else "<%s>" % path, rest[found.end():].split()

    async def _refuse(self, code: int, enhanced: str, text: str) -> None:
        conversation = self.event_handler.conversation(self)
        verdict = await conversation.session.violation(code, enhanced, text)
        await self.push(await self.event_handler._say(verdict, self))

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_MAIL(self, arg: str | None) -> None:
        if await self.check_auth_needed("MAIL"):
            return
        said = self._path("FROM:", arg)
        if said is None:
            await self._refuse(501, "5.5.4", "Syntax: MAIL FROM: <address>")
            return
        path, options = said
        for word in options:
            key, _, value = word.upper().partition("=")
            if key not in _MAIL_KEYS or (key == "BODY" and value not in ("7BIT", "8BITMIME")):
                await self._refuse(555, "5.5.4", "MAIL FROM parameter not recognised or not implemented")
                return
            if key == "SIZE" and value.isdigit() and self.data_size_limit and int(value) > self.data_size_limit:
                await self._refuse(552, "5.3.4", "message is larger than we take")
                return
        self.envelope.smtp_utf8 = "SMTPUTF8" in [o.upper() for o in options]
        await self.push(await self.event_handler.handle_MAIL(
            self, self.session, self.envelope, path, [o.upper() for o in options]))

    @syntax("RCPT TO: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_RCPT(self, arg: str | None) -> None:
        if await self.check_auth_needed("RCPT"):
            return
        said = self._path("TO:", arg)
        if said is None:
            await self._refuse(501, "5.5.4", "Syntax: RCPT TO: <address>")
        elif said[1]:
            await self._refuse(555, "5.5.4", "RCPT TO parameter not recognised or not implemented")
        else:
            await self.push(await self.event_handler.handle_RCPT(self, self.session, self.envelope, said[0], said[1]))

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_auth_needed("DATA"):
            return
        if arg:
            await self._refuse(501, "5.5.4", "Syntax: DATA")
            return
        handler = self.event_handler
        conversation = handler.conversation(self)
        await conversation.catch_up(self)
        verdict = await conversation.session.data()
        await self.push(await handler._say(verdict, self))
        if verdict.action == Action.ACCEPT:
            try:
                said = await self._message(handler, conversation)
            except ConnectionResetError:
                raise
            except Exception as error:  # what is still to come of the message must not be taken for commands
                await handler.handle_exception(error)
                await self.push(handler.for_all(self, "421 4.3.0 Error: try again later"))
                self.transport.close()
                raise ConnectionResetError from error
            await self.push(said)
        self._set_post_data_state()

    async def _message(self, handler: Handler, conversation: Conversation) -> str:
        """Reads the message and gives it on as it comes; what ends it is CRLF, a dot and CRLF, and nothing else."""
        parts: list[bytes] = []
        size, wrong, buffer, last = 0, None, b"", False
        while not last:
            piece = await self._reader.read(_PIECE)
            if not piece:
                raise ConnectionResetError
            self._reset_timeout()
            lines, buffer, last = _cut(buffer + piece)
            if last:  # commands behind the message stand before those that come while we look at it
                self._unread()[:0] = buffer
            elif len(buffer) > _LINE:
                more, buffer = _early(buffer)
                lines += more
            size += len(lines)
            lines = handler.lines(lines)
            wrong = wrong or handler.fault(lines, size)
            if not last and len(buffer) > _LINE:
                wrong = wrong or handler.fault(handler.lines(buffer.rstrip(b"\r")), size)
                if wrong:  # nothing of this line matters but its end
                    buffer = b"x\r" if buffer.endswith(b"\r") else b"x"
            if not wrong and lines:
                parts.append(lines)
                await conversation.session.body(lines)
            elif wrong:
                parts.clear()
        if wrong:
            return handler.for_all(self, await handler._say(await conversation.session.violation(*wrong), self))
        content = b"".join(parts)
        self.envelope.content = self.envelope.original_content = content
        return await handler.finish(self, conversation, content)


def _cut(buffer: bytes) -> tuple[bytes, bytes, bool]:
    """Whole lines, dots unstuffed; what is left; whether the message ended. The buffer begins with a line."""
    if buffer.startswith(b".\r\n"):
        return b"", buffer[3:], True
    end = buffer.find(b"\r\n.\r\n")
    last = end >= 0
    if not last:
        end = buffer.rfind(b"\r\n")
        if end < 0:
            return b"", buffer, False
    lines, rest = buffer[:end + 2], buffer[end + (5 if last else 2):]
    if lines.startswith(b"."):
        lines = lines[1:]
    return lines.replace(b"\r\n.", b"\r\n"), rest, last


def _early(buffer: bytes) -> tuple[bytes, bytes]:
    """A line's beginning up to its last bare CR or LF, and the rest, in which a dot is nothing special any more."""
    at = max(0, buffer.rfind(b"\n"), buffer.rfind(b"\r", 0, -1))
    return (buffer[1:at] if at and buffer.startswith(b".") else buffer[:at]), buffer[at:]


class LMTP(_lmtp.LMTP, SMTP):
    """The same for LMTP (RFC 2033): one reply for each recipient after the message."""


class _OurServer:
    """What our controllers do beside aiosmtpd's: our protocol, and the driver's end with the loop's."""

    handler: Handler
    protocol: type[SMTP] = SMTP

    def factory(self) -> SMTP:
        kwargs: dict[str, Any] = {"ident": "ESMTP smtpfilter", **self.SMTP_kwargs}  # type: ignore[attr-defined]
        kwargs.setdefault("data_size_limit", self.handler._message)
        return self.protocol(self.handler, loop=self.loop, **kwargs)  # type: ignore[attr-defined]

    def cancel_tasks(self, stop_loop: bool = True) -> None:
        super().cancel_tasks(stop_loop)  # type: ignore[misc]
        self.handler.close()


def _with_hostname(handler: Handler, options: dict[str, Any]) -> dict[str, Any]:
    """Our name is the policy's, unless another is given; nobody is asked for one."""
    if not options.get("server_hostname"):
        options["server_hostname"] = next(iter(handler.engine.strings("hostnames")), "localhost")
    return options


class Controller(_OurServer, _controller.Controller):
    """A server on a port, in a thread of its own. Takes what :class:`aiosmtpd.controller.Controller` takes.

    :param lmtp: speak LMTP
    """

    def __init__(self, handler: Handler, hostname: str | None = None, port: int = 8025, *, lmtp: bool = False,
                 **options: Any) -> None:
        self.protocol = LMTP if lmtp else SMTP
        super().__init__(handler, hostname, port, **_with_hostname(handler, options))


class UnthreadedController(_OurServer, _controller.UnthreadedController):
    """A server on a port, in a loop of yours."""

    def __init__(self, handler: Handler, hostname: str | None = None, port: int = 8025, *, lmtp: bool = False,
                 **options: Any) -> None:
        self.protocol = LMTP if lmtp else SMTP
        super().__init__(handler, hostname, port, **_with_hostname(handler, options))


class UnixSocketController(_OurServer, _controller.UnixSocketController):
    """A server on a Unix socket, in a thread of its own."""

    def __init__(self, handler: Handler, unix_socket: str, *, lmtp: bool = False, **options: Any) -> None:
        self.protocol = LMTP if lmtp else SMTP
        super().__init__(handler, unix_socket, **_with_hostname(handler, options))
