# SPDX-License-Identifier: MIT
"""One SMTP connection, told event by event."""
from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import get_ident
from typing import Any, Generic, TypeVar

from ._enums import Capability, CommitResult, Greeting, Protocol, Stage
from ._error import ClosedError
from ._ffi import ffi, lib
from ._glue import PENDING, Keep, Text, c_text, check, encode, failure, finalizing
from .driver import Driver
from .errors import DeadlineError
from .verdict import Verdict, verdict_of

T = TypeVar("T")

DEFAULT_CAPABILITIES = Capability.SEE_BODY | Capability.EDIT | Capability.DELAY | Capability.REPORT_COMMIT
"""A host that hands the message over, edits it as a whole, waits before replies, and commits."""
_TICK_MS = 200


def path_of(text: Text) -> bytes:
    """A path with its brackets, given where they are left out."""
    raw = encode(text)
    return raw if raw.startswith(b"<") else b"<" + raw + b">"


class BaseSession(ABC, Generic[T]):
    """The events of a session. What they return is up to `_answer`: a verdict (`Session`), or something to await."""

    def __init__(
        self,
        driver: Driver,
        *,
        capabilities: Capability = DEFAULT_CAPABILITIES,
        protocol: Protocol = Protocol.SMTP,
    ) -> None:
        self._ptr: Any = None
        self.driver = driver
        self._engine = driver.engine
        self.capabilities = Capability(capabilities)
        self.protocol = Protocol(protocol)
        self.pending = False
        """An event waits for its verdict, or a piece of the message for room."""
        keep = Keep()
        options = keep.sized("smtpf_session_options")
        options.capabilities, options.protocol = int(capabilities), int(protocol)
        out = ffi.new("smtpf_session **")
        ptr = driver._live()
        driver._bury()
        check(lib.smtpf_session_new(out, ptr, options), "session")
        self._ptr = out[0]
        self.id: str = c_text(lib.smtpf_session_id(self._ptr))
        """As in the log."""
        driver._sessions[int(ffi.cast("intptr_t", self._ptr))] = self

    # ---- how an event ends --------------------------------------------------------------------------------------

    @abstractmethod
    def _answer(self, result: int) -> T:
        """What an event's method returns: `result` is 0 (the verdict is there: `_take`) or PENDING."""

    def _take(self) -> Verdict:
        """The verdict of the last event, copied."""
        self.pending = False
        verdict = verdict_of(self._ptr or self._live(), self.driver._room)
        if verdict is None:
            raise failure(lib.SMTPF_ESTATE, "verdict")
        return verdict

    def _call(self, function: Callable[..., int], *args: Any) -> int:
        """A call into C: of the right thread, its errors raised, and what Python code inside it wants to be raised."""
        result = self.driver._enter(function, self._live(), *args)
        if result < 0:
            raise failure(result)
        if self.driver._interrupt is not None:
            self.driver._raise_interrupt()
        return result

    def _event(self, function: Callable[..., int], *args: Any) -> T:
        result = self._call(function, *args)
        self.pending = result == PENDING
        return self._answer(result)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the last event; None before the first, and while one is pending."""
        return verdict_of(self._live(), self.driver._room)

    # ---- events -------------------------------------------------------------------------------------------------

    def connect(
        self, address: Text = "", port: int = 0, *, local_address: Text = "", local_port: int = 0, rdns: Text = ""
    ) -> T:
        """The client connected (before the banner). `rdns`: its verified name, where the host knows it already."""
        keep = Keep()
        return self._event(lib.smtpf_session_connect, _peer(keep, address, port, local_address, local_port, rdns))

    def rebind(
        self, address: Text = "", port: int = 0, *, local_address: Text = "", local_port: int = 0, rdns: Text = ""
    ) -> T:
        """The client's identity changed (XCLIENT, PROXY): back to CONNECT, all evidence dropped."""
        keep = Keep()
        return self._event(lib.smtpf_session_rebind, _peer(keep, address, port, local_address, local_port, rdns))

    def helo(self, name: Text, greeting: Greeting = Greeting.EHLO) -> T:
        """HELO, EHLO or LHLO with its argument."""
        raw = encode(name)
        return self._event(lib.smtpfpy_session_helo, int(greeting), raw, len(raw))

    def starttls(self, protocol: Text = "", cipher: Text = "") -> T:
        """TLS is up: HELO and transaction are forgotten."""
        p, c = encode(protocol), encode(cipher)
        return self._event(lib.smtpfpy_session_starttls, p, len(p), c, len(c))

    def auth(self, mechanism: Text, identity: Text) -> T:
        """The client authenticated itself to the host. Never pass credentials."""
        m, i = encode(mechanism), encode(identity)
        return self._event(lib.smtpfpy_session_auth, m, len(m), i, len(i))

    def mail(self, path: Text, params: Text = "") -> T:
        """MAIL FROM: the reverse-path, empty or `<>` for the null sender, and its ESMTP parameters."""
        p, q = path_of(path), encode(params)
        return self._event(lib.smtpfpy_session_mail, p, len(p), q, len(q))

    def rcpt(self, path: Text, params: Text = "") -> T:
        """RCPT TO."""
        p, q = path_of(path), encode(params)
        return self._event(lib.smtpfpy_session_rcpt, p, len(p), q, len(q))

    def data(self) -> T:
        """DATA, or the first BDAT of a message."""
        return self._event(lib.smtpf_session_data)

    def eom(self) -> T:
        """End of message. An accepting verdict is provisional until `commit`."""
        return self._event(lib.smtpf_session_eom)

    def commit(self, result: CommitResult = CommitResult.OK, recipient: int | None = None) -> T:
        """What became of copies: of one recipient's, by its index, or of all that are open. With the last one the
        verdict is the final answer."""
        which = lib.SMTPF_ALL if recipient is None else recipient
        return self._event(lib.smtpf_session_commit, which, int(result))

    def reset(self) -> T:
        """RSET."""
        return self._event(lib.smtpf_session_reset)

    def command(self, verb: Text) -> T:
        """Any other command: NOOP, VRFY, HELP, unknown ones."""
        raw = encode(verb)
        return self._event(lib.smtpfpy_session_command, raw, len(raw))

    def violation(self, code: int, enhanced: Text, text: Text) -> T:
        """The client broke the protocol in a way the host found; the reply that the host proposes."""
        e, t = encode(enhanced), encode(text)
        return self._event(lib.smtpfpy_session_violation, code, e, len(e), t, len(t))

    def quit(self) -> T:
        return self._event(lib.smtpf_session_quit)

    # ---- what is no event -----------------------------------------------------------------------------------------

    def feed(self, data: bytes | bytearray | memoryview) -> int:
        """A piece of the message. How many bytes were taken: the rest waits (`pending`) and is given again once
        `Driver.process` has named this session."""
        taken = ffi.new("size_t *")
        result = self._call(lib.smtpf_session_body, ffi.from_buffer(data), len(data), taken)
        self.pending = result == PENDING
        return int(taken[0])

    def spool(self, fd: int) -> None:
        """The coming message stands in this file of the host's, from byte 0 on: scanners read it from there."""
        self._call(lib.smtpf_session_spool, fd)

    def early_talk(self) -> None:
        """The client spoke out of turn."""
        self._call(lib.smtpf_session_early_talk)

    def hop_reply(self, recipient: int, code: int, enhanced: Text = "", text: Text = "") -> None:
        """How the next hop answered for one copy, before its commit."""
        e, t = encode(enhanced), encode(text)
        self._call(lib.smtpfpy_session_hop_reply, recipient, code, e, len(e), t, len(t))

    def overrule(self, stage: Stage, code: int) -> None:
        """The host refused by itself what the last verdict accepted."""
        self._call(lib.smtpf_session_overrule, int(stage), code)

    def queue_id(self, name: Text) -> None:
        """The host's name for the message, for the log."""
        raw = encode(name)
        self._call(lib.smtpfpy_session_queue_id, raw, len(raw))

    def abort(self) -> None:
        """The connection is gone; a pending event is cancelled."""
        self._call(lib.smtpf_session_abort)
        self.pending = False

    @property
    def wants_message(self) -> bool:
        """After an accepting verdict of DATA: False when nothing in the message can change anything any more, so that a
        host which bounds size, header and hops by itself may call eom() at once. True at any other time."""
        return bool(lib.smtpf_session_wants_message(self._live()))

    @property
    def memory(self) -> int:
        """Bytes this session holds now."""
        return int(lib.smtpf_session_memory(self._live()))

    # ---- life -----------------------------------------------------------------------------------------------------

    def _live(self) -> Any:
        driver = self.driver
        if get_ident() != driver._thread:
            driver._refuse()
        if not self._ptr:
            raise ClosedError("the session is closed")
        return self._ptr

    def close(self) -> None:
        """Frees it, at any moment; in what the library itself called, when that has returned. What was promised and not
        committed is logged as `unclosed`."""
        if not self._ptr:
            return
        ptr, self._ptr = self._live(), None
        self.pending = False
        self.driver._sessions.pop(int(ffi.cast("intptr_t", ptr)), None)
        self.driver._orphans.append((ptr, self._engine))
        self.driver._bury()
        if not self.driver._inside:
            self.driver._raise_interrupt()

    def __del__(self) -> None:
        if self._ptr and not finalizing():
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self)
            self.driver._orphans.append((self._ptr, self._engine))

    def __repr__(self) -> str:
        state = "closed" if not self._ptr else "pending" if self.pending else "open"
        return f"<{type(self).__name__} {self.id} {state}>"


class Session(BaseSession[Verdict]):
    """The synchronous session: each event returns its verdict, and waits for it where it must.

        with Session(driver) as s:
            s.connect("192.0.2.25")
            s.helo("mail.example.org")
            s.mail("<a@example.org>")
            verdict = s.rcpt("<b@example.net>")
            if not verdict.accepted:
                send(verdict.reply)

    `timeout` bounds each wait in seconds; None: as long as the policy's own deadlines take. After a DeadlineError the
    event is still pending: `wait` again, or `abort`. While one thread waits, others run.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        capabilities: Capability = DEFAULT_CAPABILITIES,
        protocol: Protocol = Protocol.SMTP,
        timeout: float | None = None,
    ) -> None:
        super().__init__(driver, capabilities=capabilities, protocol=protocol)
        self.timeout = timeout

    def _answer(self, result: int) -> Verdict:
        return self._take() if result != PENDING else self.wait(self.timeout)

    def wait(self, timeout: float | None = None) -> Verdict:
        """Blocks until the pending event has its verdict."""
        self._wait(timeout)
        return self._take()

    def _wait(self, timeout: float | None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _TICK_MS if end is None else min(_TICK_MS, max(0, round((end - time.monotonic()) * 1000)))
            # short waits, so that signals are handled
            result = self.driver._enter(lib.smtpf_session_wait, self._live(), left)
            self.driver._raise_interrupt()
            if result == lib.SMTPF_OK:
                return
            if result != lib.SMTPF_ETIMEOUT:
                raise failure(result, "wait")
            if end is not None and time.monotonic() >= end:
                raise DeadlineError("no verdict in time; the event is still pending")

    def body(self, data: bytes | bytearray | memoryview) -> None:
        """A piece of the message, all of it: waits where a check that reads the message is behind."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.feed(rest) :]
            if self.pending:
                self._wait(self.timeout)
                self.pending = False

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _peer(keep: Keep, address: Text, port: int, local_address: Text, local_port: int, rdns: Text) -> Any:
    peer = keep.sized("smtpf_peer")
    keep.text(peer.address, address)
    keep.text(peer.local_address, local_address)
    keep.text(peer.rdns, rdns)
    peer.port, peer.local_port = port, local_port
    return peer
