# SPDX-License-Identifier: MIT
"""The player: a policy, a driver on repeatable ports, and the loop over a script's items. It keeps an eye on what the
library promises: one verdict for each event, one well-formed reply for each verdict."""
from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from .. import (Action, Capability, CommitResult, Config, Driver, Engine, Extension, ForwardClass, LibraryPort, LineEnds,
                Protocol, Session, SmtpdKind, Verb, Verdict, zone)
from ..aio import AsyncDriver, AsyncSession
from ..wire import DEFAULT_EXTENSIONS, Smtpc, SmtpcReply, Smtpd, SmtpdEvent
from .host import host as parse_host
from .record import Record, STAGE_NAMES
from .script import Item, Script
from .world import NOW, World

T = TypeVar("T")
Sink = Callable[[Record], None]
_LABELS = {Verb.HELO: "helo", Verb.EHLO: "helo", Verb.LHLO: "helo", Verb.MAIL: "mail", Verb.RCPT: "rcpt", Verb.DATA: "data",
           Verb.BDAT: "data", Verb.RSET: "reset", Verb.QUIT: "quit"}


_QUIET = 6  # turns of the loop in which nothing happens: a task's answer takes fewer


class Fault(AssertionError):
    """A broken promise of the library: ``script:line: what``."""


class _Jumping(AsyncSession):
    """An asyncio session whose waits take no time: when nothing else is about to happen, the clock jumps."""

    world: World
    _pumps = _quiet = _begun = 0

    def _wait(self) -> asyncio.Future[Any]:
        future = super()._wait()
        self._pumps = 0
        asyncio.get_running_loop().call_soon(self._pump)
        return future

    def _pump(self) -> None:
        if self._future is None or self._future.done():
            return
        self._pumps += 1
        if self._pumps > 100000:
            self._future.set_exception(Fault("the library waits for something that cannot happen"))
            return
        driver: AsyncDriver = self.driver  # type: ignore[assignment]
        ways = self.world.ways
        self._quiet = self._quiet + 1 if ways.begun == self._begun and not ways.open else 0
        self._begun = ways.begun
        due = driver.deadline()
        if self._quiet > _QUIET and due:
            self.world.clock.advance(max(1, round(due * 1000)))
        driver._readable()
        asyncio.get_running_loop().call_soon(self._pump)


class Player:
    """Plays scripts against one policy, without a network.

    :param policy: path of a policy file, text of one (with a line feed), or a :class:`smtpfilter.Config`
    :param dns: text of a zone file, or a ready :func:`smtpfilter.zone`; without it every question times out
    :param host: what the host can do, as ``smtpf-replay --host`` has it
    :param now: the clock's start, seconds since 1970
    :param scripts: those that will be played, for the checks that they speak of
    :param feed: bytes fed at a time; 0: as the script says
    """

    def __init__(self, policy: str | os.PathLike[str] | Config | None = None, *,
                 dns: str | LibraryPort | None = None, host: str = "proxy", now: int = NOW,
                 scripts: Iterable[Script] = (), feed: int = 0) -> None:
        self.policy, self.now, self.feed = policy, now, feed
        self.capabilities, self.protocol = parse_host(host)
        self.scripts = list(scripts)
        self.zone = zone(dns) if isinstance(dns, str) else dns

    def _config(self, world: World) -> Config:
        if isinstance(self.policy, Config):
            return self.policy
        config = Config(log=None)
        world.declare(config, self.scripts)
        if self.policy is not None:
            text = os.fspath(self.policy)
            config.loads(text) if "\n" in text else config.load(text)
        return config

    def play(self, script: Script) -> list[Record]:
        """What came of each event, synchronously."""
        world = World("at once", self.zone, self.now)
        with Engine(self._config(world)) as engine, Driver(engine, **world.ports()) as driver:
            return _finish(_Run(self, world, engine, driver).play(script))

    async def play_async(self, script: Script) -> list[Record]:
        """The same on the running loop; ports, checks and scanners answer as tasks of it."""
        world = World("asyncio", self.zone, self.now)
        with Engine(self._config(world)) as engine:
            async with AsyncDriver(engine, **world.ports()) as driver:
                return await _Run(self, world, engine, driver).play(script)


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as e:
        value: T = e.value
        return value
    coroutine.close()
    raise RuntimeError("a synchronous replay waited")


class _Run:
    """One script being played."""

    def __init__(self, player: Player, world: World, engine: Engine, driver: Driver) -> None:
        self.p, self.world, self.engine, self.driver = player, world, engine, driver
        self.session: Session | _Jumping | None = None
        self.codec: Smtpd | None = None
        self.client = Smtpc()
        self.records: list[Record] = []
        self.items: Sequence[Item] = ()
        self.at, self.code, self.feed = 0, 0, player.feed
        self.in_message, self.early, self.over = False, False, True
        self.local, self.sender = "", ""

    async def play(self, script: Script) -> list[Record]:
        self.items = script.items
        try:
            while self.at < len(self.items):
                try:
                    await self._item(self.items[self.at])
                except AssertionError as e:
                    raise Fault("%s:%d: %s" % (script.name, self.items[min(self.at, len(self.items) - 1)].line, e)) from e
                self.at += 1
        finally:
            self._end()
            self.world.forget()
        return self.records

    async def _item(self, item: Item) -> None:
        if item.kind == "bytes":
            await self._feed(item.bytes)
        elif item.kind == "message":
            if self.in_message:
                await self._feed(item.bytes)
        elif item.kind == "bdat":
            await self._chunks(item)
        elif not self.world.say(item):
            await self._directive(item)

    def _end(self) -> None:
        if self.session is not None:
            self.session.close()
        if self.codec is not None:
            self.codec.close()
        self.session, self.codec = None, None
        self.over, self.in_message = True, False

    # ---- verdicts and replies ----

    async def _settled(self, answer: Any) -> Verdict:
        verdict: Verdict = await answer if inspect.isawaitable(answer) else answer
        kind = Action.REJECT if verdict.code >= 500 else Action.DEFER if verdict.code >= 400 else Action.ACCEPT
        assert 200 <= verdict.code <= 599 and verdict.action == kind, "reply code and action do not agree"
        return verdict

    def _read(self, written: bytes) -> list[SmtpcReply]:
        self.client.feed(written)
        found = []
        while (reply := self.client.next()) is not None:
            found.append(reply)
        if found:
            self.code = found[-1].code
        return found

    def _one(self, written: bytes, code: int = 0) -> None:
        """One reply, or none that comes later."""
        found = self._read(written)
        assert len(found) == (1 if written else 0), "%d replies for one" % len(found)
        assert not code or not found or found[0].code == code, "the client reads another code"

    def _answer(self, code: int) -> None:
        assert self.codec and self.session
        self._one(self.codec.answer(self.session), code)

    def _answer_message(self, record: Record) -> None:
        """LMTP: one for each. PRDR: 353, one for each, the final one. Else the final one."""
        assert self.codec and self.session
        found = [r.code for r in self._read(self.codec.answer(self.session))]
        each = [to.reply_code for to in record.recipients]
        lmtp = self.p.protocol == Protocol.LMTP and bool(each)
        prdr = not lmtp and found[:1] == [353]
        record.each = lmtp or prdr
        expected = each if lmtp else [353, *each, record.code] if prdr else [record.code]
        assert found == expected, "the client reads %r, not %r" % (found, expected)

    def _own_reply(self, code: int, text: str) -> None:
        assert self.codec
        self._one(self.codec.reply(code, "", text), code)

    # ---- bytes ----

    async def _feed(self, data: bytes) -> None:
        piece = self.feed or len(data)
        for start in range(0, len(data), piece or 1):
            if self.over:
                return
            assert self.codec is not None
            self.codec.feed(data[start:start + piece])
            while not self.over and (event := self.codec.next()) is not None:
                await self._event(event)

    async def _chunks(self, item: Item) -> None:
        """A message in BDAT chunks (RFC 3030); a client stops when one is refused."""
        rest, size = item.bytes, item.number or len(item.bytes)
        while not self.over:
            chunk, rest = rest[:size], rest[size:]
            await self._feed(b"BDAT %d%s\r\n" % (len(chunk), b"" if rest else b" LAST") + chunk)
            if not rest or self.code >= 400:
                return

    async def _event(self, event: SmtpdEvent) -> None:
        if event.kind == SmtpdKind.COMMAND:
            await self._command(event)
        elif event.kind == SmtpdKind.BODY:
            if self.p.capabilities & Capability.SEE_BODY:
                assert self.session
                done = self.session.body(event.body)
                if done is not None:
                    await done
        elif event.kind == SmtpdKind.VIOLATION:
            await self._violation(event)
        elif event.kind == SmtpdKind.END:
            if event.last:
                await self._end_of_message(event)
            else:
                self._one(self.codec.answer(self.session) if self.codec and self.session else b"")
        else:
            raise AssertionError("an event that was not asked for")

    def _record(self, event: str, label: str, arg: str = "") -> Record:
        return Record(event, label, self.items[self.at].line, arg)

    def _emit(self, *records: Record | None) -> None:
        self.records += [r for r in records if r is not None]

    def _take(self, record: Record, verdict: Verdict) -> None:
        record.take_reply(verdict)
        record.evidence = verdict.evidence
        if verdict.closes:
            self.over = True

    async def _command(self, event: SmtpdEvent) -> None:
        assert self.session and self.codec
        name = _LABELS.get(event.verb or Verb.UNKNOWN, "command")
        label = event.verb.name if event.verb and name != "command" else "COMMAND"
        arg = event.arg if name != "command" else event.name + (" " + event.arg if event.arg else "")
        record = self._record(name, label, arg)
        if event.verb in (Verb.MAIL, Verb.RCPT):
            record.params = event.params
        verdict = await self._settled(self.codec.apply(self.session, event))
        self._take(record, verdict)
        overruled = self._overrule(verdict)
        if overruled:
            self._own_reply(overruled.code, overruled.text)
        else:
            self._answer(record.code)
        if event.verb == Verb.MAIL and record.code < 400:
            self.sender = arg[1:-1]
        self.in_message = event.verb == Verb.DATA and record.code == 354 and not overruled
        self._emit(record, overruled)

    async def _violation(self, event: SmtpdEvent) -> None:
        assert self.session and self.codec
        record = self._record("violation", "VIOLATION")
        verdict = await self._settled(self.codec.apply(self.session, event))
        self._take(record, verdict)
        if self.in_message:  # under LMTP that is said for each recipient
            message = Record("", "", code=record.code)
            message.take_recipients(verdict)
            self._answer_message(message)
        else:
            self._answer(record.code)
        self.in_message = False
        self.over = self.over or event.fatal
        record.closes = record.closes or event.fatal
        self._emit(record)

    async def _end_of_message(self, event: SmtpdEvent) -> None:
        assert self.session and self.codec
        record = self._record("end-of-message", "MESSAGE")
        self.in_message = False
        verdict = await self._settled(self.codec.apply(self.session, event))
        self._take(record, verdict)
        record.take_recipients(verdict)
        record.sender = self.sender
        overruled = self._overrule(verdict)
        if overruled:
            now = self.session.verdict
            if now is not None:
                record.take_recipients(now)
            record.overruled(overruled.code, overruled.text)
            self._own_reply(overruled.code, overruled.text)
        else:
            await self._commit(record)
            self._answer_message(record)
        self._emit(record, overruled)

    # ---- overrule, commit ----

    def _next(self) -> Item | None:
        return self.items[self.at + 1] if self.at + 1 < len(self.items) else None

    def _overrule(self, verdict: Verdict) -> Record | None:
        """The next item overrules this verdict: does so."""
        item = self._next()
        if (verdict.stage is None or item is None or item.kind != "overrule" or verdict.action != Action.ACCEPT
                or item.words[0] != STAGE_NAMES[verdict.stage]):
            return None
        assert self.session
        self.session.overrule(verdict.stage, item.number)
        self.at += 1
        record = self._record("overrule", "OVERRULE", item.arg)
        record.overruled(item.number, "Refused by the host")
        return record

    async def _commit(self, eom: Record) -> None:
        if not self.p.capabilities & Capability.REPORT_COMMIT or eom.code >= 400 and not any(not t.final for t in eom.recipients):
            return
        assert self.session
        verdict = self.session.verdict
        done = False
        while verdict is not None and any(not to.final for to in verdict.recipients):
            item = self._next()
            if item is not None and item.kind in ("commit", "queue-id"):
                self.at += 1
                if item.kind == "commit":
                    verdict = await self._commit_line(item, verdict)
                else:
                    self.session.queue_id(item.words[0])
            else:
                verdict = await self._settled(self.session.commit())
            done = True
        if done and verdict is not None:
            eom.take_reply(verdict)
            eom.take_recipients(verdict)
            self.over = self.over or eom.closes

    async def _commit_line(self, item: Item, verdict: Verdict) -> Verdict:
        assert self.session
        which = None
        if len(item.words) > 1:
            open_ones = [i for i, to in enumerate(verdict.recipients)
                         if not to.final and to.address.lower() == item.words[0].lower()]
            if not open_ones:
                return verdict  # refused before, or closed
            which = open_ones[0]
        self._emit(self._record("commit", "COMMIT", item.arg))
        if which is not None and "code" in item.pairs:
            self.session.hop_reply(which, int(item.pairs["code"]), item.pairs.get("enhanced", ""), item.pairs.get("text", ""))
        return await self._settled(self.session.commit(CommitResult[item.words[-1].upper()], which))

    # ---- events beside the codec ----

    async def _directive(self, item: Item) -> None:
        if item.kind == "connect":
            await self._connect(item)
        elif item.kind == "advance":
            self.world.clock.advance(item.number)
            self.driver.process()
        elif item.kind == "local":
            self.local = item.words[0]
        elif item.kind == "chunk":
            self.feed = self.p.feed or item.number
        elif item.kind == "forward-report":
            await self._report(item)
        elif item.kind == "early-talk":
            if self.over:
                self.early = True
            elif self.session:
                self.session.early_talk()
        elif not self.over and self.session is not None:
            await self._in_session(item, self.session)

    def _new_session(self) -> Session | _Jumping:
        options: Any = {"capabilities": self.p.capabilities, "protocol": self.p.protocol}
        if isinstance(self.driver, AsyncDriver):
            session = _Jumping(self.driver, **options)
            session.world = self.world
            return session
        return Session(self.driver, **options)

    def _new_codec(self) -> Smtpd:
        engine = self.engine
        return Smtpd(
            next(iter(engine.strings("hostnames")), "mx.example.net"), protocol=self.p.protocol,
            extensions=DEFAULT_EXTENSIONS | (Extension.PRDR if self.p.capabilities & Capability.REPLY_PER_RCPT else Extension(0)),
            line_ends=LineEnds.NORMALISE if engine.number("smtp.line_ends") else LineEnds.REFUSE,
            line_max=engine.number("limits.line"), text_line_max=engine.number("limits.text_line"),
            message_max=engine.number("limits.message"))

    def _peer(self, item: Item) -> Any:
        address = "" if item.words[0] == "-" else item.words[0]
        return {"address": address, "local_address": self.local, "rdns": item.words[1] if len(item.words) > 1 else ""}

    async def _connect(self, item: Item) -> None:
        self._end()
        self.session, self.codec, self.client = self._new_session(), self._new_codec(), Smtpc()
        self.over = False
        if self.early:
            self.session.early_talk()
        self.early = False
        await self._conclude(item, self.session.connect(**self._peer(item)), "connect", answer=True)

    async def _conclude(self, item: Item, told: Any, event: str, *, answer: bool = False) -> None:
        """The verdict of an event that has no command; `answer`: the codec waits for it."""
        verdict = await self._settled(told)
        record = self._record(event, event.upper(), item.arg)
        self._take(record, verdict)
        overruled = self._overrule(verdict)
        if answer:
            if overruled:
                self._own_reply(overruled.code, overruled.text)
            else:
                self._answer(record.code)
        self._emit(record, overruled)

    async def _in_session(self, item: Item, session: Session | _Jumping) -> None:
        if item.kind == "rebind":
            await self._conclude(item, session.rebind(**self._peer(item)), "rebind")
        elif item.kind == "starttls":
            words = item.words + ["TLSv1.3", "TLS_AES_256_GCM_SHA384"][len(item.words):]
            await self._conclude(item, session.starttls(*words), "starttls")
            if self.codec:
                self.codec.tls()
        elif item.kind == "auth":
            await self._conclude(item, session.auth(*item.words), "auth")
        elif item.kind == "queue-id":
            session.queue_id(item.words[0])
        elif item.kind == "abort":
            session.abort()
            session.abort()
            record = self._record("abort", "ABORT")
            self._end()
            self._emit(record)

    async def _report(self, item: Item) -> None:
        done: list[bool] = []
        reason = ForwardClass[item.pairs["class"].upper()] if "class" in item.pairs else None
        self.driver.forward_report(item.words[0], item.words[1], item.pairs.get("sender", ""), int(item.pairs.get("code", "550")),
                                   item.pairs.get("enhanced", ""), item.pairs.get("text", ""), client=item.pairs.get("client", ""),
                                   reason=reason, then=done.append)
        for _ in range(100):
            if done:
                return
            if isinstance(self.driver, AsyncDriver):
                await asyncio.sleep(0)
            self.driver.process()
        raise AssertionError("a report of a forward was not answered")
