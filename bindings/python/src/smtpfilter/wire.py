# SPDX-License-Identifier: MIT
"""SMTP and LMTP without I/O: bytes in, events out; answers in, bytes out.

    codec = Smtpd("mx.example.net")
    out = codec.answer(session)                 # the banner, after session.connect(...)
    codec.feed(received)
    while (event := codec.next()) is not None:
        codec.apply(session, event)             # the right event of the session
        if event.kind != SmtpdKind.BODY:
            send(codec.answer(session))
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from ._enums import Extension, LineEnds, Protocol, SmtpdKind, Verb
from ._ffi import ffi, lib
from ._glue import NULL, PENDING, Keep, Text, bytes_of, check, encode, text_of
from ._owned import Owned
from .errors import LimitError
from .session import BaseSession

T = TypeVar("T")
DEFAULT_EXTENSIONS = (
    Extension.PIPELINING | Extension.SIZE | Extension.EXT_8BITMIME | Extension.SMTPUTF8
    | Extension.ENHANCEDSTATUSCODES | Extension.DSN | Extension.CHUNKING
)  # fmt: skip


@dataclass(slots=True)
class SmtpdEvent:
    """What a server codec found."""

    kind: SmtpdKind
    verb: Verb | None
    name: str
    """COMMAND: the verb as the client wrote it."""
    arg: str
    params: str
    body: bytes
    """BODY: the piece. What the session did not take stays here."""
    chunk: int
    last: bool
    code: int
    """VIOLATION: the proposed reply."""
    enhanced: str
    text: str
    fatal: bool
    pipelined: bool
    _c: Any
    _data: Any


class Smtpd(Owned):
    """The server's side of one SMTP connection."""

    _what = "codec"

    def __init__(
        self,
        hostname: Text,
        *,
        banner: Text = "",
        auth: Text = "",
        extensions: Extension = DEFAULT_EXTENSIONS,
        protocol: Protocol = Protocol.SMTP,
        line_ends: LineEnds = LineEnds.REFUSE,
        line_max: int = 0,
        text_line_max: int = 0,
        message_max: int = 0,
    ) -> None:
        self._keep = Keep()
        options = self._keep.sized("smtpf_smtpd_options")
        for name, text in (("hostname", hostname), ("banner", banner), ("auth", auth)):
            self._keep.text(getattr(options, name), text)
        options.extensions, options.protocol, options.line_ends = int(extensions), int(protocol), int(line_ends)
        options.line_max, options.text_line_max = line_max, text_line_max
        options.message_max = message_max
        out = ffi.new("smtpf_smtpd **")
        check(lib.smtpf_smtpd_new(out, options, NULL), "codec")
        self._ptr = out[0]
        self._input = b""
        self._in, self._n = ffi.new("char const **"), ffi.new("size_t *")
        self._data: Any = None

    def feed(self, data: bytes) -> None:
        """Bytes the client sent."""
        self._input = self._rest() + data
        self._data = ffi.from_buffer(self._input)
        self._in[0], self._n[0] = self._data, len(self._input)

    def _rest(self) -> bytes:
        n = self._n[0]
        return self._input[len(self._input) - n :] if n else b""

    def next(self) -> SmtpdEvent | None:
        """The next event; None when more bytes are needed. A StateError while an answer is due."""
        ev = ffi.new("smtpf_smtpd_event *")
        if check(lib.smtpf_smtpd_next(self._live(), self._in, self._n, ev), "codec") == PENDING:
            return None
        return SmtpdEvent(
            kind=SmtpdKind(ev.kind),
            verb=Verb(ev.verb) if ev.verb else None,
            name=text_of(ev.name),
            arg=text_of(ev.arg),
            params=text_of(ev.params),
            body=bytes_of(ev.body),
            chunk=ev.chunk,
            last=bool(ev.last),
            code=ev.code,
            enhanced=text_of(ev.enhanced),
            text=text_of(ev.text),
            fatal=bool(ev.fatal),
            pipelined=bool(ev.pipelined),
            _c=ev,
            _data=self._data,
        )

    def apply(self, session: BaseSession[T], event: SmtpdEvent) -> T | None:
        """Tells a session what the codec found, and returns what the session's event returns. None for BODY, and for a
        chunk (END that is not `last`), which have no verdict; what was not taken is in `event.body`, and the session
        is `pending`: apply it again when it may go on."""
        result = session._call(_apply, self._live(), event._c)
        if event.kind == SmtpdKind.BODY:
            event.body = bytes_of(event._c.body)
            session.pending = result == PENDING
            return None
        if event.kind == SmtpdKind.END and not event.last:
            return None
        session.pending = result == PENDING
        return session._answer(result)

    def answer(self, session: BaseSession[Any]) -> bytes:
        """The reply for the session's verdict, at first the banner; empty when it comes later (BDAT)."""
        v = lib.smtpf_session_verdict(session._live())
        return self._written(lambda room, cap: lib.smtpf_smtpd_answer(self._live(), v, room, cap))

    def reply(self, code: int, enhanced: Text = "", text: Text = "") -> bytes:
        """The same for an answer of the host's own."""
        e, t = encode(enhanced), encode(text)
        return self._written(
            lambda room, cap: lib.smtpfpy_smtpd_reply(self._live(), code, e, len(e), t, len(t), room, cap)
        )

    def _written(self, write: Any) -> bytes:
        cap = lib.SMTPF_REPLY_MAX
        while True:
            room = ffi.new("char[]", cap)
            try:
                return bytes(ffi.buffer(room, check(write(room, cap), "answer")))
            except LimitError:
                if cap > 1 << 24:
                    raise
                cap *= 8

    def tls(self) -> None:
        """TLS is up: HELO is forgotten, input that is buffered is dropped."""
        lib.smtpf_smtpd_tls(self._live())
        self._n[0] = 0

    @property
    def memory(self) -> int:
        return int(lib.smtpf_smtpd_memory(self._live()))

    def _release(self, ptr: Any) -> None:
        lib.smtpf_smtpd_free(ptr)


def _apply(session: Any, codec: Any, event: Any) -> int:
    return int(lib.smtpf_smtpd_apply(codec, session, event))


@dataclass(frozen=True, slots=True)
class SmtpcReply:
    """One whole reply of a server."""

    code: int
    enhanced: str
    text: str


class Smtpc(Owned):
    """The client's side of one SMTP connection."""

    _what = "codec"

    def __init__(self, reply_max: int = 0) -> None:
        out = ffi.new("smtpf_smtpc **")
        check(lib.smtpf_smtpc_new(out, reply_max, NULL), "codec")
        self._ptr = out[0]
        self._input = bytearray()

    def feed(self, data: bytes) -> None:
        """Bytes the server sent."""
        self._input += data

    def next(self) -> SmtpcReply | None:
        """The next reply; None when more bytes are needed."""
        codec = self._live()
        raw = bytes(self._input)
        data, at, n = ffi.from_buffer(raw), ffi.new("char const **"), ffi.new("size_t *", len(raw))
        at[0] = data
        reply = ffi.new("smtpf_smtpc_reply *")
        result = check(lib.smtpf_smtpc_next(codec, at, n, reply), "codec")
        found = SmtpcReply(reply.code, text_of(reply.enhanced), text_of(reply.text)) if result != PENDING else None
        del self._input[: len(raw) - n[0]]
        return found

    def _release(self, ptr: Any) -> None:
        lib.smtpf_smtpc_free(ptr)


def extensions(text: Text) -> tuple[Extension, int]:
    """The extensions in an EHLO reply's text, and the SIZE figure."""
    raw, size = encode(text), ffi.new("uint64_t *")
    return Extension(lib.smtpfpy_smtpc_extensions(raw, len(raw), size)), int(size[0])


def command(verb: str, arg: Text = "") -> bytes:
    """One command line; CR, LF and NUL in it are refused."""
    raw = encode(arg)
    room = ffi.new("char[]", len(raw) + len(verb) + 8)
    n = check(lib.smtpfpy_smtpc_command(verb.encode("ascii"), raw, len(raw), room, len(room)), verb)
    return bytes(ffi.buffer(room, n))


def dot_stuff(data: bytes) -> bytes:
    """A whole message as it goes over the wire after DATA, with the dot that ends it (RFC 5321 4.5.2)."""
    dot, at, n = ffi.new("smtpf_dot *"), ffi.new("char const **"), ffi.new("size_t *", len(data))
    source = ffi.from_buffer(data)
    at[0] = source
    room, out = ffi.new("char[]", 65536), bytearray()
    while n[0]:
        out += ffi.buffer(room, lib.smtpf_dot_stuff(dot, at, n, room, 65536))[:]
    end = ffi.new("char[5]")
    return bytes(out + ffi.buffer(end, lib.smtpf_dot_end(dot, end))[:])
