# SPDX-License-Identifier: MIT
"""A filtering mail server in ten lines, on aiosmtpd.

.. code-block:: python

    from smtpfilter.aiosmtpd import Controller, Handler
    from smtpfilter.delivery import Maildir

    controller = Controller(Handler("policy.conf", Maildir("mail")), hostname="127.0.0.1", port=8025)
    controller.start()

:class:`Handler` works with aiosmtpd's own controllers too. With :class:`Controller` of this module there is more: the
connection is judged before the banner, DATA before its 354, the message is read as it comes (and refused unless its
lines end in CRLF, RFC 5321 2.3.8), and each recipient has a reply of its own where the client can take it (LMTP, PRDR).
"""
from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
import time
from email.utils import formatdate
from typing import Any, Awaitable, Callable, List, Optional, Sequence, Union

from aiosmtpd import controller as _controller
from aiosmtpd import lmtp as _lmtp
from aiosmtpd import smtp as _smtp
from aiosmtpd.smtp import MISSING, syntax

from . import (Action, Capability, CommitResult, Config, Disposition, Edit, Engine, Greeting, Protocol, Recipient, Verdict)
from .aio import AsyncDriver, AsyncSession
from .delivery import Copy, Deferred, Refused, edited

__all__ = ["Controller", "Handler", "LMTP", "SMTP", "UnixSocketController", "UnthreadedController"]

log = logging.getLogger("smtpfilter.aiosmtpd")

#: What this host can do.
CAPABILITIES = (Capability.SEE_BODY | Capability.EDIT | Capability.EDIT_PER_RCPT | Capability.SENDER_PER_RCPT
                | Capability.QUARANTINE | Capability.QUARANTINE_PER_RCPT | Capability.DELAY | Capability.DROP_RCPT
                | Capability.REPORT_COMMIT)

Deliver = Callable[[Copy], Awaitable[None]]


def reply(code: int, enhanced: str, text: str) -> str:
    """A reply without its last CRLF, as aiosmtpd pushes it."""
    head = "%s " % enhanced if enhanced else ""
    *first, last = (text or "ok").split("\n")
    return "\r\n".join(["%d-%s%s" % (code, head, line) for line in first] + ["%d %s%s" % (code, head, last)])


class Conversation:
    """One connection: aiosmtpd's protocol on one side, our session on the other."""

    def __init__(self, handler: "Handler", server: _smtp.SMTP) -> None:
        each = isinstance(server, SMTP)
        self.handler = handler
        self.lmtp = isinstance(server, _lmtp.LMTP)
        self.session = AsyncSession(handler._driver(), protocol=Protocol.LMTP if self.lmtp else Protocol.SMTP,
                                    capabilities=handler.capabilities | (Capability.REPLY_PER_RCPT if each else 0))
        self.connected: Optional[Verdict] = None
        self.tls = False
        self.identity: Optional[str] = None
        self.mechanism = ""
        self.prdr = False
        self.delivering: "Optional[asyncio.Task[Verdict]]" = None
        self.helo = ""

    async def connect(self, server: _smtp.SMTP) -> Verdict:
        """Tells who the client is; once."""
        if self.connected is None:
            peer = _peer(server)
            local = _inet(server.transport.get_extra_info("sockname"))
            self.connected = await self.session.connect(peer[0], peer[1], local_address=local[0], local_port=local[1])
        return self.connected

    async def catch_up(self, server: _smtp.SMTP) -> None:
        """Tells what aiosmtpd has no hook for: TLS that is up, a client that has authenticated itself."""
        await self.connect(server)
        tls = server.transport.get_extra_info("ssl_object") if server.transport else None
        if tls is not None and not self.tls:
            self.tls = True
            cipher = tls.cipher()
            await self.session.starttls(tls.version() or "", cipher[0] if cipher else "")
        state = server.session
        if state is not None and state.authenticated and self.identity is None:
            self.identity = _identity(state)
            await self.session.auth(self.mechanism or "PLAIN", self.identity)

    def close(self) -> None:
        """The connection is gone. A delivery that is under way ends first: its copies are taken."""
        if self.delivering is not None and not self.delivering.done():
            self.delivering.add_done_callback(lambda _: self.close())
        elif self.session._ptr:
            self.session.abort()
            self.session.close()


def _inet(address: Any) -> "tuple[str, int]":
    """Address and port of a socket; empty for one that has none (a Unix socket)."""
    if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[1], int):
        return str(address[0]).partition("%")[0], address[1]
    return "", 0


def _peer(server: _smtp.SMTP) -> "tuple[str, int]":
    proxy = getattr(server.session, "proxy_data", None)
    if proxy is not None and proxy.src_addr is not None and not isinstance(proxy.src_addr, (bytes, str)):
        return str(proxy.src_addr), int(proxy.src_port or 0)
    return _inet(server.session.peer if server.session else None)


def _identity(state: _smtp.Session) -> str:
    data = getattr(state, "auth_data", None)
    login = getattr(data, "login", data)
    return login.decode("utf-8", "surrogateescape") if isinstance(login, bytes) else str(login or "")


class Handler:
    """An aiosmtpd handler that asks the policy at each stage, and delivers what it takes.

    :param policy: path of a policy file, a :class:`smtpfilter.Config` or a :class:`smtpfilter.Engine`
    :param deliver: called with each :class:`~smtpfilter.delivery.Copy` of a message that was taken. When it returns,
        the copy is durable. :class:`~smtpfilter.delivery.Refused` and :class:`~smtpfilter.delivery.Deferred` are what
        the client is answered; after any other exception it is told to try again.
    :param capabilities: what this host can do; the default is all there is here
    :param received: whether a Received field is put before each copy (RFC 5321 4.4)
    :param accept_proxy: called with PROXY data and the peer (aiosmtpd's ``proxy_protocol_timeout``); true lets it
        speak for its client. Nobody may without it.
    :param ports: for the driver: ``resolver``, ``store``, ``directory`` ...
    """

    def __init__(self, policy: "Union[str, os.PathLike[str], Config, Engine]", deliver: Deliver, *,
                 capabilities: Capability = CAPABILITIES, received: bool = True,
                 accept_proxy: Optional[Callable[[Any, Any], bool]] = None, **ports: Any) -> None:
        if isinstance(policy, (str, os.PathLike)):
            policy = Config(os.fspath(policy))
        self.engine = policy if isinstance(policy, Engine) else Engine(policy)
        self.deliver = deliver
        self.capabilities = capabilities
        self.received = received
        self.accept_proxy = accept_proxy
        self.driver: Optional[AsyncDriver] = None
        self._ports = ports
        self._scanned = False
        self._read_limits()

    def __dir__(self) -> List[str]:
        return _names(type(self)) if getattr(self, "_scanned", False) else list(super().__dir__())

    def _read_limits(self) -> None:
        self.normalise = self.engine.option("smtp.line_ends") == "normalise"
        self._text_line = self.engine.number("limits.text_line")
        self._message = self.engine.number("limits.message")

    def _driver(self) -> AsyncDriver:
        if self.driver is None:
            self.driver = AsyncDriver(self.engine, **self._ports)
        return self.driver

    def reload(self, policy: "Union[str, os.PathLike[str], Config, Engine]") -> None:
        """Another policy for new connections; open ones keep theirs. On the loop's thread."""
        if isinstance(policy, (str, os.PathLike)):
            policy = Config(os.fspath(policy))
        self.engine = policy if isinstance(policy, Engine) else Engine(policy)
        self._read_limits()
        if self.driver is not None:
            self.driver.set_engine(self.engine)

    def close(self) -> None:
        """Ends the driver, and with it sessions that are open. On the loop's thread."""
        driver, self.driver = self.driver, None
        if driver is not None:
            driver.close()

    def conversation(self, server: _smtp.SMTP) -> Conversation:
        """Our side of a connection, made when it is asked for first."""
        found: Optional[Conversation] = getattr(server, "_smtpfilter", None)
        if found is None:
            found = Conversation(self, server)
            server._smtpfilter = found
            if not isinstance(server, SMTP):
                _when_lost(server, found)
        return found

    async def _say(self, verdict: Verdict, server: _smtp.SMTP) -> str:
        """Waits as long as the verdict wishes; its reply. 421 closes the connection behind it."""
        if verdict.delay_ms:
            await asyncio.sleep(verdict.delay_ms / 1000)
        if verdict.closes:
            server.loop.call_later(0.1, _close, server)
        return reply(verdict.code, verdict.enhanced, verdict.text)

    # ---- aiosmtpd's hooks ----

    async def handle_PROXY(self, server: _smtp.SMTP, session: Any, envelope: Any, data: Any) -> bool:
        return bool(self.accept_proxy and self.accept_proxy(data, session.peer))

    async def _greet(self, server: _smtp.SMTP, kind: Greeting, hostname: str) -> "tuple[bool, str]":
        conversation = self.conversation(server)
        await conversation.catch_up(server)
        conversation.helo = hostname
        verdict = await conversation.session.helo(hostname, kind)
        return verdict.action == Action.ACCEPT, await self._say(verdict, server)

    async def handle_HELO(self, server: _smtp.SMTP, session: Any, envelope: Any, hostname: str) -> str:
        taken, answer = await self._greet(server, Greeting.HELO, hostname)
        if not taken:
            return answer
        session.host_name = hostname
        return "250 " + server.hostname

    async def handle_EHLO(self, server: _smtp.SMTP, session: Any, envelope: Any, hostname: str,
                          responses: List[str]) -> List[str]:
        kind = Greeting.LHLO if self.conversation(server).lmtp else Greeting.EHLO
        taken, answer = await self._greet(server, kind, hostname)
        if not taken:
            return [answer]
        session.host_name = hostname
        more = ["250-PIPELINING", "250-ENHANCEDSTATUSCODES"]
        if isinstance(server, SMTP) and not self.conversation(server).lmtp:
            more.append("250-PRDR")
        responses[-1:-1] = more
        return responses

    async def handle_AUTH(self, server: _smtp.SMTP, session: Any, envelope: Any, args: List[str]) -> Any:
        self.conversation(server).mechanism = args[0].upper()
        return MISSING

    async def handle_MAIL(self, server: _smtp.SMTP, session: Any, envelope: Any, address: str, options: List[str]) -> str:
        path = address if address.startswith("<") else "<%s>" % address
        conversation = self.conversation(server)
        await conversation.catch_up(server)
        verdict = await conversation.session.mail(path, " ".join(options))
        if verdict.action == Action.ACCEPT:
            envelope.mail_from = address or "<>"
            envelope.mail_options.extend(options)
            conversation.prdr = "PRDR" in options
        return await self._say(verdict, server)

    async def handle_RCPT(self, server: _smtp.SMTP, session: Any, envelope: Any, address: str, options: List[str]) -> str:
        path = address if address.startswith("<") else "<%s>" % address
        verdict = await self.conversation(server).session.rcpt(path, " ".join(options))
        if verdict.action == Action.ACCEPT:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return await self._say(verdict, server)

    async def handle_DATA(self, server: _smtp.SMTP, session: Any, envelope: Any) -> str:
        """aiosmtpd's own: the message is here, its 354 was said."""
        conversation = self.conversation(server)
        verdict = await conversation.session.data()
        if verdict.action != Action.ACCEPT:
            return await self._say(verdict, server)
        content = self.lines(envelope.original_content)
        wrong = self.fault(content, len(content))
        if wrong:
            return await self._say(await conversation.session.violation(*wrong), server)
        await conversation.session.body(content)
        return await self.finish(server, conversation, content)

    async def handle_RSET(self, server: _smtp.SMTP, session: Any, envelope: Any) -> str:
        return await self._say(await self.conversation(server).session.reset(), server)

    async def handle_NOOP(self, server: _smtp.SMTP, session: Any, envelope: Any, arg: Any) -> str:
        return await self._command(server, "NOOP")

    async def handle_VRFY(self, server: _smtp.SMTP, session: Any, envelope: Any, address: str) -> str:
        return await self._command(server, "VRFY")

    async def _command(self, server: _smtp.SMTP, verb: str) -> str:
        conversation = self.conversation(server)
        await conversation.connect(server)
        return await self._say(await conversation.session.command(verb), server)

    async def handle_QUIT(self, server: _smtp.SMTP, session: Any, envelope: Any) -> str:
        conversation = self.conversation(server)
        await conversation.connect(server)
        verdict = await conversation.session.quit()
        conversation.close()
        return reply(verdict.code, verdict.enhanced, verdict.text)

    async def handle_exception(self, error: Exception) -> str:
        """What went wrong is ours, not the client's: it may try again (never a 5xx)."""
        log.error("an event failed", exc_info=error)
        return "451 4.3.0 Error: try again later"

    # ---- the end of a message ----

    def lines(self, lines: bytes) -> bytes:
        """With bare CR and bare LF turned into CRLF, where the policy says so (``smtp.line_ends``)."""
        return re.sub(rb"\r\n|\r|\n", b"\r\n", lines) if self.normalise else lines

    def fault(self, lines: bytes, size: int) -> "Optional[tuple[int, str, str]]":
        """Why a piece of a message, whole lines, cannot be taken: reply code, enhanced code, text."""
        if size > self._message:
            return 552, "5.3.4", "message is larger than we take (limits.message)"
        ends = lines.count(b"\r\n")
        if b"\0" in lines:
            return 554, "5.6.0", "message with a NUL byte"
        if lines.count(b"\n") != ends:
            return 554, "5.6.0", "message with a bare LF: lines must end in CRLF"
        if lines.count(b"\r") != ends:
            return 554, "5.6.0", "message with a bare CR: lines must end in CRLF"
        if len(lines) > self._text_line and max(map(len, lines.split(b"\n"))) > self._text_line:
            return 554, "5.6.0", "message with a line too long (limits.text_line)"
        return None

    async def finish(self, server: _smtp.SMTP, conversation: Conversation, content: bytes) -> str:
        """The message is complete: the verdict, deliveries, and what the client is told: one reply, or one each."""
        task = asyncio.ensure_future(self._finish(server, conversation, content))
        conversation.delivering = task
        verdict = await asyncio.shield(task)
        said = await self._say(verdict, server)
        if not isinstance(server, SMTP) or not (conversation.lmtp or conversation.prdr):
            return said
        each = [reply(to.reply_code, to.enhanced, to.text) for to in verdict.recipients]
        if conversation.lmtp or not each:
            return "\r\n".join(each) or said
        return "\r\n".join(["353 content analysis has completed", *each, said])

    async def _finish(self, server: _smtp.SMTP, conversation: Conversation, content: bytes) -> Verdict:
        session = conversation.session
        verdict = await session.eom()
        copies = [(i, to) for i, to in enumerate(verdict.recipients) if not to.final]
        if verdict.action != Action.ACCEPT or not copies:
            return verdict
        trace = self._trace(server, conversation) if self.received else b""
        edits = verdict.edits
        if len(copies) == 1:
            results = [await self._one(edits, *copies[0], trace, content)]
        else:
            results = await asyncio.gather(*(self._one(edits, i, to, trace, content) for i, to in copies))
        for (i, _), result in zip(copies, results):
            if isinstance(result, Refused):
                kind = CommitResult.FAILED if result.code < 500 else CommitResult.REFUSED
                session.hop_reply(i, result.code, result.enhanced, result.text)
            else:
                kind = CommitResult.OK
            verdict = await session.commit(kind, i)
        return verdict

    async def _one(self, edits: Sequence[Edit], i: int, to: Recipient, trace: bytes,
                   content: bytes) -> Optional[Refused]:
        if to.disposition == Disposition.DISCARDED:
            return None
        try:
            await self.deliver(Copy(to, trace + edited(content, edits, i), to.sender))
        except Refused as e:
            return e
        except Exception:
            log.exception("a delivery to %s failed", to.address)
            return Deferred()
        return None

    def _trace(self, server: _smtp.SMTP, conversation: Conversation) -> bytes:
        address, _ = _peer(server)
        literal = "IPv6:" + address if ":" in address else address
        kind = "LMTP" if conversation.lmtp else "ESMTP" if server.session.extended_smtp else "SMTP"
        kind += ("S" if conversation.tls else "") + ("A" if conversation.identity is not None else "")
        text = "Received: from %s (%s)\r\n\tby %s with %s id %s;\r\n\t%s\r\n" % (
            _UNFIT.sub("?", conversation.helo), "[%s]" % literal if literal else "local", server.hostname, kind,
            conversation.session.id, _date(int(time.time())))
        return text.encode("ascii", "replace")


_UNFIT = re.compile(r"[^!-~]|[()\\;]")


@functools.lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, localtime=True)


@functools.lru_cache(maxsize=None)
def _names(cls: type) -> List[str]:
    """What aiosmtpd looks for when a connection comes: it goes through all names of both objects, each time."""
    return [name for name in dir(cls) if name.startswith(("auth_", "handle_", "smtp_"))]


def _close(server: _smtp.SMTP) -> None:
    if server.transport is not None:
        server.transport.close()


def _when_lost(server: _smtp.SMTP, conversation: Conversation) -> None:
    """A protocol of aiosmtpd's own says nothing when its connection goes; its method is told to."""
    lost = server.connection_lost

    def connection_lost(error: Optional[Exception]) -> None:
        lost(error)
        conversation.close()

    server.connection_lost = connection_lost


# ---- a server of our own ------------------------------------------------------------------------------------

_PATH = re.compile(r'<(?:[^<>"\\]|\\.|"(?:[^"\\]|\\.)*")*>|[^ ]+')
_MAIL_KEYS = {"SIZE", "BODY", "SMTPUTF8", "PRDR"}
_PIECE = 1 << 24  # more than a reader ever holds


class SMTP(_smtp.SMTP):
    """aiosmtpd's protocol with what its handlers cannot reach: the banner, MAIL and RCPT as they were written, DATA
    before its 354, and the message while it comes. Its handler is a :class:`Handler`."""

    event_handler: Handler
    _greeted = False
    _scanned = False

    def __init__(self, handler: Handler, **options: Any) -> None:
        self._scanned = handler._scanned = True
        try:
            super().__init__(handler, **options)
        finally:
            self._scanned = handler._scanned = False

    def __dir__(self) -> List[str]:
        return _names(type(self)) if self._scanned else list(super().__dir__())

    async def push(self, status: Any) -> None:
        if not self._greeted:
            self._greeted = True
            status = await self._banner(status)
        await super().push(status)

    async def _banner(self, usual: str) -> str:
        """The connection's verdict stands in the place of the banner; who speaks before it is noted."""
        conversation = self.event_handler.conversation(self)
        self._note_early_talk(conversation)
        verdict = await conversation.connect(self)
        said = await self.event_handler._say(verdict, self)
        self._note_early_talk(conversation)
        return usual if verdict.action == Action.ACCEPT else said

    def _note_early_talk(self, conversation: Conversation) -> None:
        if self._reader._buffer:
            conversation.session.early_talk()

    def connection_lost(self, error: Optional[Exception]) -> None:
        super().connection_lost(error)
        conversation: Optional[Conversation] = getattr(self, "_smtpfilter", None)
        if conversation is not None:
            conversation.close()

    def _path(self, verb: str, arg: Optional[str]) -> "Optional[tuple[str, List[str]]]":
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
    async def smtp_MAIL(self, arg: Optional[str]) -> None:
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
    async def smtp_RCPT(self, arg: Optional[str]) -> None:
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
    async def smtp_DATA(self, arg: Optional[str]) -> None:
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
            await self.push(await self._message(handler, conversation))
        self._set_post_data_state()

    async def _message(self, handler: Handler, conversation: Conversation) -> str:
        """Reads the message and gives it on as it comes; what ends it is CRLF, a dot and CRLF, and nothing else."""
        parts: List[bytes] = []
        size, wrong, buffer, last = 0, None, b"", False
        while not last:
            piece = await self._reader.read(_PIECE)
            if not piece:
                raise ConnectionResetError
            self._reset_timeout()
            lines, buffer, last = _cut(buffer + piece)
            size += len(lines)
            lines = handler.lines(lines)
            wrong = wrong or handler.fault(lines, size) or (handler.fault(buffer, size) if not last and len(buffer) > 4096 else None)
            if not wrong and lines:
                parts.append(lines)
                await conversation.session.body(lines)
            elif wrong:
                parts.clear()
        if buffer:
            self._reader.feed_data(buffer)
        if wrong:
            return await handler._say(await conversation.session.violation(*wrong), self)
        content = b"".join(parts)
        self.envelope.content = self.envelope.original_content = content
        return await handler.finish(self, conversation, content)


def _cut(buffer: bytes) -> "tuple[bytes, bytes, bool]":
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


class LMTP(_lmtp.LMTP, SMTP):
    """The same for LMTP (RFC 2033): one reply for each recipient after the message."""


class _OurServer:
    """What our controllers do beside aiosmtpd's: our protocol, and the driver's end with the loop's."""

    handler: Handler
    protocol: "type[SMTP]" = SMTP

    def factory(self) -> SMTP:
        kwargs = {"ident": "ESMTP smtpfilter", **self.SMTP_kwargs}  # type: ignore[attr-defined]
        kwargs.setdefault("data_size_limit", self.handler._message)
        return self.protocol(self.handler, loop=self.loop, **kwargs)  # type: ignore[attr-defined]

    def cancel_tasks(self, stop_loop: bool = True) -> None:
        super().cancel_tasks(stop_loop)  # type: ignore[misc]
        self.handler.close()


def _with_hostname(handler: Handler, options: "dict[str, Any]") -> "dict[str, Any]":
    """Our name is the policy's, unless another is given; nobody is asked for one."""
    if not options.get("server_hostname"):
        options["server_hostname"] = next(iter(handler.engine.strings("hostnames")), "localhost")
    return options


class Controller(_OurServer, _controller.Controller):
    """A server on a port, in a thread of its own. Takes what :class:`aiosmtpd.controller.Controller` takes.

    :param lmtp: speak LMTP
    """

    def __init__(self, handler: Handler, hostname: Optional[str] = None, port: int = 8025, *, lmtp: bool = False,
                 **options: Any) -> None:
        self.protocol = LMTP if lmtp else SMTP
        super().__init__(handler, hostname, port, **_with_hostname(handler, options))


class UnthreadedController(_OurServer, _controller.UnthreadedController):
    """A server on a port, in a loop of yours."""

    def __init__(self, handler: Handler, hostname: Optional[str] = None, port: int = 8025, *, lmtp: bool = False,
                 **options: Any) -> None:
        self.protocol = LMTP if lmtp else SMTP
        super().__init__(handler, hostname, port, **_with_hostname(handler, options))


class UnixSocketController(_OurServer, _controller.UnixSocketController):
    """A server on a Unix socket, in a thread of its own."""

    def __init__(self, handler: Handler, unix_socket: str, *, lmtp: bool = False, **options: Any) -> None:
        self.protocol = LMTP if lmtp else SMTP
        super().__init__(handler, unix_socket, **_with_hostname(handler, options))
