# SPDX-License-Identifier: MIT
"""The handler: aiosmtpd's hooks on one side, a session of the library on the other."""
from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import re
import time
from email.utils import formatdate
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiosmtpd import lmtp as _lmtp
from aiosmtpd import smtp as _smtp
from aiosmtpd.smtp import MISSING

from .. import (Action, Capability, CommitResult, Config, Disposition, Edit, Engine, Greeting, Protocol, Recipient, Verdict)
from ..aio import AsyncDriver, AsyncSession
from ..delivery import Copy, Deferred, Refused, edited

log = logging.getLogger("smtpfilter.aiosmtpd")

#: What this host can do.
CAPABILITIES = (Capability.SEE_BODY | Capability.EDIT | Capability.EDIT_PER_RCPT | Capability.SENDER_PER_RCPT
                | Capability.QUARANTINE | Capability.QUARANTINE_PER_RCPT | Capability.DELAY | Capability.DROP_RCPT
                | Capability.REPORT_COMMIT)

Deliver = Callable[[Copy], Awaitable[None]]


def reply(code: int, enhanced: str, text: str) -> str:
    """A reply without its last CRLF, as aiosmtpd pushes it."""
    head = f"{enhanced} " if enhanced else ""
    if "\n" not in text:
        return f"{code} {head}{text or 'ok'}"
    *first, last = text.split("\n")
    return "".join(f"{code}-{head}{line}\r\n" for line in first) + f"{code} {head}{last}"


def ours(server: _smtp.SMTP) -> bool:
    """Whether it is a protocol of smtpfilter.aiosmtpd.server, which can do more than aiosmtpd's own."""
    return getattr(server, "smtpfilter", False)


class Conversation:
    """One connection: aiosmtpd's protocol on one side, our session on the other."""

    def __init__(self, handler: Handler, server: _smtp.SMTP) -> None:
        each = ours(server)
        self.handler = handler
        self.lmtp = isinstance(server, _lmtp.LMTP)
        self.session = AsyncSession(handler._driver(), protocol=Protocol.LMTP if self.lmtp else Protocol.SMTP,
                                    capabilities=handler.capabilities | (Capability.REPLY_PER_RCPT if each else 0))
        self.connected: Verdict | None = None
        self.tls = False
        self.identity: str | None = None
        self.mechanism = ""
        self.prdr = False
        self.delivering: asyncio.Task[Verdict] | None = None
        self.helo = ""
        self.gone = False

    async def connect(self, server: _smtp.SMTP) -> Verdict:
        """Tells who the client is; once."""
        if self.connected is None:
            peer = _peer(server)
            local = _inet(_extra(server, "sockname"))
            self.connected = await self.session.connect(peer[0], peer[1], local_address=local[0], local_port=local[1])
        return self.connected

    async def catch_up(self, server: _smtp.SMTP) -> None:
        """Tells what aiosmtpd has no hook for: TLS that is up, a client that has authenticated itself."""
        await self.connect(server)
        tls = _extra(server, "ssl_object")
        if tls is not None and not self.tls:
            self.tls, self.identity = True, None  # RFC 3207 4.2: what was said before is forgotten
            cipher = tls.cipher()
            await self.session.starttls(tls.version() or "", cipher[0] if cipher else "")
        state = server.session
        if state is not None and state.authenticated and self.identity is None:
            self.identity = _identity(state)
            await self.session.auth(self.mechanism or "PLAIN", self.identity)

    def close(self) -> None:
        """The connection is gone. A delivery that is under way ends first: its copies are taken."""
        self.gone = True
        if self.delivering is not None and not self.delivering.done():
            self.delivering.add_done_callback(lambda _: self.close())
        elif self.session._ptr:
            self.session.abort()
            self.session.close()


def _extra(server: _smtp.SMTP, name: str) -> Any:
    return server.transport.get_extra_info(name) if server.transport else None


def _inet(address: Any) -> tuple[str, int]:
    """Address and port of a socket; empty for one that has none (a Unix socket)."""
    if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[1], int):
        return str(address[0]).partition("%")[0], address[1]
    return "", 0


def _peer(server: _smtp.SMTP) -> tuple[str, int]:
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

    def __init__(self, policy: str | os.PathLike[str] | Config | Engine, deliver: Deliver, *,
                 capabilities: Capability = CAPABILITIES, received: bool = True,
                 accept_proxy: Callable[[Any, Any], bool] | None = None, **ports: Any) -> None:
        self._take(policy)
        self.deliver = deliver
        self.capabilities = capabilities
        self.received = received
        self.accept_proxy = accept_proxy
        self.driver: AsyncDriver | None = None
        self._ports = ports
        self._scanned = False

    def __dir__(self) -> list[str]:
        return names(type(self)) if getattr(self, "_scanned", False) else list(super().__dir__())

    def _take(self, policy: str | os.PathLike[str] | Config | Engine) -> None:
        if isinstance(policy, (str, os.PathLike)):
            policy = Config(os.fspath(policy))
        self._owned = not isinstance(policy, Engine)
        self.engine = policy if isinstance(policy, Engine) else Engine(policy)
        self.normalise = self.engine.option("smtp.line_ends") == "normalise"
        self._text_line = self.engine.number("limits.text_line")
        self._message = self.engine.number("limits.message")

    def _driver(self) -> AsyncDriver:
        if self.driver is None:
            self.driver = AsyncDriver(self.engine, **self._ports)
        return self.driver

    def reload(self, policy: str | os.PathLike[str] | Config | Engine) -> None:
        """Another policy for new connections; open ones keep theirs. On the loop's thread."""
        before, owned = self.engine, self._owned
        self._take(policy)
        if self.driver is not None:
            self.driver.set_engine(self.engine)
        if owned:
            before.close()

    def close(self) -> None:
        """Ends the driver, and with it sessions that are open; then the policy, unless it was given as an engine. On the
        loop's thread."""
        driver, self.driver = self.driver, None
        if driver is not None:
            driver.close()
        if self._owned:
            self.engine.close()

    def conversation(self, server: _smtp.SMTP) -> Conversation:
        """Our side of a connection, made when it is asked for first."""
        found: Conversation | None = getattr(server, "_smtpfilter", None)
        if found is None:
            found = Conversation(self, server)
            _receive_less(server.transport)
            server.__dict__["_smtpfilter"] = found
            if not ours(server):
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

    async def _greet(self, server: _smtp.SMTP, kind: Greeting, hostname: str) -> tuple[bool, str]:
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
                          responses: list[str]) -> list[str]:
        kind = Greeting.LHLO if self.conversation(server).lmtp else Greeting.EHLO
        taken, answer = await self._greet(server, kind, hostname)
        if not taken:
            return [answer]
        session.host_name = hostname
        more = ["250-PIPELINING", "250-ENHANCEDSTATUSCODES"]
        if ours(server) and not self.conversation(server).lmtp:
            more.append("250-PRDR")
        responses[-1:-1] = more
        return responses

    async def handle_AUTH(self, server: _smtp.SMTP, session: Any, envelope: Any, args: list[str]) -> Any:
        self.conversation(server).mechanism = args[0].upper()
        return MISSING

    async def handle_MAIL(self, server: _smtp.SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        conversation = self.conversation(server)
        await conversation.catch_up(server)
        verdict = await conversation.session.mail(address, " ".join(options))
        if verdict.action == Action.ACCEPT:
            envelope.mail_from = address or "<>"
            envelope.mail_options.extend(options)
            conversation.prdr = "PRDR" in options
        return await self._say(verdict, server)

    async def handle_RCPT(self, server: _smtp.SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        verdict = await self.conversation(server).session.rcpt(address, " ".join(options))
        if verdict.action == Action.ACCEPT:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return await self._say(verdict, server)

    async def handle_DATA(self, server: _smtp.SMTP, session: Any, envelope: Any) -> str:
        """aiosmtpd's own: the message is here, its 354 was said."""
        conversation = self.conversation(server)
        verdict = await conversation.session.data()
        if verdict.action != Action.ACCEPT:
            return self.for_all(server, await self._say(verdict, server))
        content = self.lines(envelope.original_content)
        wrong = self.fault(content, len(content))
        if wrong:
            return self.for_all(server, await self._say(await conversation.session.violation(*wrong), server))
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

    def fault(self, lines: bytes, size: int) -> tuple[int, str, str] | None:
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
        if not ours(server):
            return self.for_all(server, said)
        if not (conversation.lmtp or conversation.prdr):
            return said
        each = [reply(to.reply_code, to.enhanced, to.text) for to in verdict.recipients]
        if conversation.lmtp or not each:
            return "\r\n".join(each) or self.for_all(server, said)
        return "\r\n".join(["353 content analysis has completed", *each, said])

    def for_all(self, server: _smtp.SMTP, said: str) -> str:
        """One answer to the whole message: LMTP has it once for each recipient (RFC 2033 4.2)."""
        each = server.envelope.rcpt_tos if server.envelope and self.conversation(server).lmtp else [""]
        return "\r\n".join(said for _ in each)

    async def _finish(self, server: _smtp.SMTP, conversation: Conversation, content: bytes) -> Verdict:
        session = conversation.session
        verdict = await session.eom()
        copies = [(i, to) for i, to in enumerate(verdict.recipients) if not to.final]
        if verdict.action != Action.ACCEPT or not copies or conversation.gone:
            return verdict  # a client that went away while we looked at the message sends it again
        trace = self._trace(server, conversation) if self.received else b""
        edits = verdict.edits
        made: dict[Any, bytes] = {}
        if len(copies) == 1:
            results = [await self._one(edits, *copies[0], trace, content, made)]
        else:
            results = await asyncio.gather(*(self._one(edits, i, to, trace, content, made) for i, to in copies))
        for (i, _), result in zip(copies, results):
            if isinstance(result, Refused):
                kind = CommitResult.FAILED if result.code < 500 else CommitResult.REFUSED
                self._hop_reply(session, i, result)
            else:
                kind = CommitResult.OK
            verdict = await session.commit(kind, i)
        return verdict

    def _hop_reply(self, session: AsyncSession, i: int, said: Refused) -> None:
        """What the next hop said, as far as it can be said on: some say 550 with 4.7.1. The commits of other copies come
        behind this; nothing may keep them from it."""
        for enhanced in (said.enhanced, "") if 400 <= said.code < 600 else ():
            try:
                session.hop_reply(i, said.code, enhanced, said.text)
                return
            except ValueError:
                continue
        log.warning("not a reply: %r %r %r", said.code, said.enhanced, said.text)

    async def _one(self, edits: Sequence[Edit], i: int, to: Recipient, trace: bytes, content: bytes,
                   made: dict[Any, bytes]) -> Refused | None:
        """Delivers a copy; None: it is durable. Copies with the same edits share their bytes, in `made`."""
        if to.disposition == Disposition.DISCARDED:
            return None
        try:
            wanted = tuple((e.op, e.name, e.value, e.occurrence) for e in edits if e.recipient in (None, i))
            if wanted not in made:
                made[wanted] = trace + edited(content, edits, i)
            await self.deliver(Copy(to, made[wanted], to.sender))
        except Refused as e:
            return e
        except (Exception, asyncio.CancelledError):  # cancelled: nobody says that it is durable
            log.exception("a delivery to %s failed", to.address)
            return Deferred()
        return None

    def _trace(self, server: _smtp.SMTP, conversation: Conversation) -> bytes:
        address, _ = _peer(server)
        literal = "IPv6:" + address if ":" in address else address
        kind = "LMTP" if conversation.lmtp else "ESMTP" if server.session and server.session.extended_smtp else "SMTP"
        kind += ("S" if conversation.tls else "") + ("A" if conversation.identity is not None else "")
        text = "Received: from %s (%s)\r\n\tby %s with %s id %s;\r\n\t%s\r\n" % (
            _UNFIT.sub("?", conversation.helo), "[%s]" % literal if literal else "local", server.hostname, kind,
            conversation.session.id, _date(int(time.time())))
        return text.encode("ascii", "replace")


# aiosmtpd looks at it for each connection.
Handler.handle_EHLO.__signature__ = inspect.signature(Handler.handle_EHLO)  # type: ignore[attr-defined]
_RECEIVED = 1 << 16
_UNFIT = re.compile(r"[^!-~]|[()\\;]")


@functools.lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, localtime=True)


_NAMES: dict[type, list[str]] = {}


def names(cls: type) -> list[str]:
    """What aiosmtpd looks for when a connection comes: it goes through all names of both objects, each time."""
    found = _NAMES.get(cls)
    if found is None:
        found = _NAMES[cls] = [name for name in dir(cls) if name.startswith(("auth_", "handle_", "smtp_"))]
    return found


def _close(server: _smtp.SMTP) -> None:
    if server.transport is not None:
        server.transport.close()


def _receive_less(transport: Any) -> None:
    """asyncio makes room for 256 KiB whenever it reads, which malloc then maps and unmaps for each command; from 64 KiB
    it keeps them."""
    if getattr(transport, "max_size", 0) > _RECEIVED:
        transport.max_size = _RECEIVED


def _when_lost(server: _smtp.SMTP, conversation: Conversation) -> None:
    """A protocol of aiosmtpd's own says nothing when its connection goes; its method is told to."""
    lost = server.connection_lost

    def connection_lost(error: Exception | None) -> None:
        lost(error)
        conversation.close()

    server.__dict__["connection_lost"] = connection_lost


