# SPDX-License-Identifier: MIT
"""The outside, made repeatable: ports in Python that answer at once or later, and know what a script says."""
from __future__ import annotations

import asyncio
from collections.abc import Callable as Function, Coroutine
from typing import Any

from .. import (LATER, Apart, Callout, CalloutAnswer, CalloutStatus, Change, Check, Clock, Config, Directory, DirectoryAnswer,
                DirectoryStatus, DnsAnswer, DnsStatus, DnsType, Driver, EditOp, Family, Finding, LibraryPort, Member,
                OptionRow, OptionType, Poller, Random, Resolver, Route, ScanEdit, Scanner, ScanResult, ScanStatus, Section,
                Stage, Store, Task, memory_store, policy_directory)
from .scanned import Said, Scanned, ScriptError, read_finding, read_scanner
from .script import Item, Script

NOW = 1767225600  #: 2026-01-01 00:00:00 UTC, the clock's start
_FAMILY_TIERS = {Family.CLIENT: 0, Family.ENVELOPE: 0, Family.LIST: 2, Family.GREYLIST: 1, Family.CONTENT: 3,
                 Family.BOUNCE: 0, Family.PROOF: 3}


class VirtualClock(Clock):
    """Time moves when it is told to."""

    def __init__(self, now: int) -> None:
        self.ns, self.start_s = 1000000000, now - 1

    def mono_ns(self) -> int:
        return self.ns

    def wall_s(self) -> int:
        return self.start_s + self.ns // 1000000000

    def advance(self, ms: int) -> None:
        """Moves on."""
        self.ns += ms * 1000000


class FixedRandom(Random):
    """splitmix64: the same bytes in every run."""

    def __init__(self) -> None:
        self.state = 1

    def fill(self, n: int) -> bytes:
        out, mask = bytearray(), (1 << 64) - 1
        for _ in range(n):
            self.state = (self.state + 0x9E3779B97F4A7C15) & mask
            z = self.state
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            out.append((z ^ (z >> 31)) & 0xFF)
        return bytes(out)


class VirtualPoller(Poller):
    """Waiting takes no time: the clock jumps to what is due."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.armed, self.woken, self.idle = -1, False, 0

    def set(self, fd: int, events: int) -> None:
        if events:
            raise OSError("nothing here has a descriptor")

    def arm(self, in_ms: int) -> None:
        self.armed = -1 if in_ms < 0 else self.clock.ns + in_ms * 1000000

    def wait(self, timeout_ms: int, most: int) -> list[tuple[int, int]]:
        now = self.clock.ns
        if self.woken:
            self.woken = False
            return []
        until = -1 if timeout_ms < 0 else now + timeout_ms * 1000000
        if self.armed >= 0 and (until < 0 or self.armed < until):
            until = self.armed
        if until > now:
            self.clock.ns, self.idle = until, 0
        else:
            self.idle += 1
            if self.idle > 100000:
                raise RuntimeError("the library waits for something that cannot happen")
        if self.armed <= self.clock.ns:
            self.armed = -1
        return []

    def wake(self) -> None:
        self.woken = True


class Ways:
    """How ports answer: ``at once``, ``later`` by a timer of no length, or as tasks of ``asyncio``."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.driver: Driver | None = None
        self.open = 0  #: answers that tasks are about to give
        self.begun = 0  #: how many there were

    def put_off(self, answer: Function[[], Any]) -> Any:
        """What a port's method returns."""
        return self.task(answer) if self.way == "asyncio" else answer()

    def task(self, answer: Function[[], Any]) -> Coroutine[Any, Any, Any]:
        """The answer, by a task of the loop."""
        self.begun += 1
        return self._task(answer)

    async def _task(self, answer: Function[[], Any]) -> Any:
        self.open += 1
        try:
            await asyncio.sleep(0)
            return answer()
        finally:
            self.open -= 1


class ZoneResolver(Resolver):
    """The zone's answers; without a zone every question times out."""

    def __init__(self, ways: Ways, zone: LibraryPort | None) -> None:
        self.ways, self.inner = ways, zone

    def query(self, name: str, type: DnsType) -> Any:
        token = self.token

        def answer() -> Any:
            if self.inner is None:
                return DnsAnswer(DnsStatus.TIMEOUT, ttl=0)
            return self.inner.pass_on(token, name, type)
        return self.ways.put_off(answer)


class ScriptDirectory(Directory):
    """What ``@directory`` and ``@member`` say, then the policy's own."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.inner = self._policy = policy_directory()
        self.facts: dict[str, DirectoryAnswer] = {}

    def say(self, item: Item) -> None:
        key = item.words[0].lower()
        if item.kind == "directory":
            status = DirectoryStatus[item.words[1].upper()]
            self.facts[key] = DirectoryAnswer(status, item.pairs.get("canonical", ""), item.words[2] if len(item.words) > 2 else "",
                                              "script" if status == DirectoryStatus.UNKNOWN else "", int(item.pairs.get("ttl", "0")))
            return
        known = self.facts.get(key, DirectoryAnswer(DirectoryStatus.EXISTS))
        forward, route = item.pairs.get("forward", ""), item.pairs.get("route")
        member = Member(item.words[1], item.pairs.get("profile", ""),
                        Route[route.upper()] if route else Route.FORWARD if forward else None, forward)
        self.facts[key] = DirectoryAnswer(known.status, known.canonical, known.profile, known.cause, known.ttl,
                                          known.members + (member,))

    def lookup(self, address: str) -> Any:
        token = self.token
        return self.ways.put_off(lambda: self.facts.get(address.lower()) or self._policy.pass_on(token, address))


class ScriptStore(Store):
    """The store in memory, which ``@store fail`` breaks."""

    def __init__(self, ways: Ways) -> None:
        self.ways, self.fails = ways, False
        self.inner = self._memory = memory_store()

    def _ask(self, *question: Any) -> Any:
        token = self.token

        def answer() -> Any:
            if self.fails:
                raise OSError("the script says so")
            return self._memory.pass_on(token, *question)
        return self.ways.put_off(answer)

    def get(self, key: bytes) -> Any:
        return self._ask(key)

    def commit(self, changes: list[Change]) -> Any:  # type: ignore[override]
        return self._ask(changes)


class ScriptCallout(Callout):
    """What ``@callout`` says of one address; the latest holds."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.said: dict[str, Item] = {}

    def say(self, item: Item) -> None:
        self.said[item.words[0].lower()] = item

    def ask(self, recipient: str, sender: str) -> Any:
        return self.ways.put_off(lambda: self._answer(recipient))

    def _answer(self, recipient: str) -> CalloutAnswer:
        item = self.said.get(recipient.lower())
        if item is None:
            return CalloutAnswer(CalloutStatus.UNKNOWN, cause="no-host")
        status = CalloutStatus[item.words[1].upper()]
        usual = {CalloutStatus.ACCEPTED: 250, CalloutStatus.REFUSED: 550}.get(status, 0)
        cause = item.pairs.get("cause", "timeout") if status == CalloutStatus.UNKNOWN else ""
        return CalloutAnswer(status, int(item.pairs.get("code", usual)), item.pairs.get("enhanced", ""),
                             item.pairs.get("text", ""), cause)


# ---- checks and scanners that find what a script says ---------------------------------------------------------------


class ScriptCheck(Check):
    """One check that finds what ``@finding`` says."""

    def __init__(self, ways: Ways, said: Said, findings: list[Said]) -> None:
        self.ways, self.findings = ways, findings
        self.name, self.family, self.tier, self.stages = said.check, said.family, _FAMILY_TIERS[said.family], said.stage

    def also(self, said: Said) -> None:
        if self.family != said.family:
            raise ScriptError("this check has another family already")
        self.stages |= said.stage
        if said.recipient and said.stage > Stage.RCPT:
            self.apart = Apart.RECIPIENT

    def _mine(self, task: Task) -> list[Said]:
        event = task.event
        at = event.recipient.address.lower() if event.recipient else None
        return [s for s in self.findings if s.check == self.name and s.stage == event.stage
                and (not s.recipient or s.stage > Stage.RCPT or at == s.recipient.lower())]

    def _found(self, task: Task) -> list[Finding]:
        found = []
        for s in self._mine(task):
            recipient = None
            if s.recipient and s.stage > Stage.RCPT:
                addresses = [task.recipient(i)[0].lower() for i in range(task.event.recipients)]
                if s.recipient.lower() not in addresses:
                    continue
                recipient = addresses.index(s.recipient.lower())
            found.append(Finding(s.kind, s.code, s.score / 1000, s.detail, s.text, s.flags, s.reply, s.enhanced or "", recipient))
        return found

    def run(self, task: Task) -> Any:
        if self.ways.way == "asyncio" and self._mine(task):
            return self.ways.task(lambda: self._found(task))
        return self._found(task)


class ScriptScanner(Scanner):
    """In the place of every type there is: answers what ``@scanner`` says."""

    def __init__(self, ways: Ways, name: str, said: list[Scanned]) -> None:
        self.ways, self.name, self.said = ways, name, said
        self.driver: Driver | None = None

    def start(self, driver: Driver, settings: Section) -> Scanner:
        one = ScriptScanner(self.ways, self.name, self.said)
        one.driver = driver
        return one

    def begin(self, message: Any) -> Any:
        for said in reversed(self.said):
            if said.scanner.lower() == message.scanner.lower() and (not said.user or said.user.lower() == message.user.lower()):
                break
        else:
            said = Scanned(message.scanner, "unknown", "refused")
        if said.answer == "refuse":
            raise ConnectionRefusedError("the script says so")
        assert self.driver is not None
        return _Scan(self.ways, self.driver, message, said)


class _Scan:
    """One message."""

    def __init__(self, ways: Ways, driver: Driver, message: Any, said: Scanned) -> None:
        self.ways, self.driver, self.message, self.said = ways, driver, message, said
        self.fed, self.again, self.asked = 0, said.again, False
        if said.early == 0:
            self._in_time()

    def result(self) -> ScanResult:
        s = self.said
        status = {"clean": ScanStatus.CLEAN, "hit": ScanStatus.HIT}.get(s.answer, ScanStatus.UNKNOWN)
        wished = ((EditOp.DELETE, s.remove.partition(":")), (EditOp.PREPEND, s.add.partition(":")))
        edits = [ScanEdit(op, words[0], words[2]) for op, words in wished if words[0]]
        seen = s.seen if s.seen >= 0 else s.early if s.early >= 0 else self.fed
        return ScanResult(status, s.what, s.what if status == ScanStatus.UNKNOWN else "", None if s.score is None else s.score / 1000,
                          s.detail, seen, tuple(edits))

    def _in_time(self) -> None:
        """Now, or when the script says so."""
        if self.asked:
            return
        self.asked = True
        if self.said.after >= 0 or self.ways.way != "at once":
            self.driver.timer(max(0, self.said.after) / 1000, lambda: self.message.answer(self.result()))
        else:
            self.message.answer(self.result())

    def feed(self, data: bytes) -> int | None:
        taken = len(data)
        if self.said.takes and taken > self.said.takes:
            taken = self.said.takes
            self.driver.timer(0, self.message.room)
        self.fed += taken
        if 0 < self.said.early <= self.fed and self.said.answer != "silent":
            self._in_time()
        return taken

    def finish(self) -> Any:
        if self.again:
            self.again -= 1
            self.fed = 0
            self.message.again()
        elif self.said.answer != "silent":
            self._in_time()
        return LATER


_TYPES = ("replay", "clamd", "spamd", "rspamd", "icap", "command")


class World:
    """Everything that a replayed policy can touch."""

    def __init__(self, way: str, zone: LibraryPort | None, now: int) -> None:
        self.ways = Ways(way)
        self.clock, self.random = VirtualClock(now), FixedRandom()
        self.poller = VirtualPoller(self.clock)
        self.resolver = ZoneResolver(self.ways, zone)
        self.directory, self.store, self.callout = ScriptDirectory(self.ways), ScriptStore(self.ways), ScriptCallout(self.ways)
        self.findings: list[Said] = []
        self.scanned: list[Scanned] = []

    def ports(self) -> dict[str, Any]:
        found = {"clock": self.clock, "random": self.random, "resolver": self.resolver, "directory": self.directory,
                 "store": self.store, "callout": self.callout}
        return found if self.ways.way == "asyncio" else {**found, "poller": self.poller}

    def declare(self, config: Config, scripts: list[Script]) -> None:
        """Registers the checks and scanners that scripts speak of, before the policy is loaded."""
        checks: dict[str, ScriptCheck] = {}
        for item in (item for script in scripts for item in script.items):
            if item.kind == "finding" and item.words[0] != "none":
                said = read_finding(item.words, item.pairs)
                checks.setdefault(said.check, ScriptCheck(self.ways, said, self.findings)).also(said)
        for check in checks.values():
            config.add_check(check)
        rows = [o for o in config.options() if o.path.startswith("scanners[name].")]
        for name in _TYPES:
            config.add_scanner(ScriptScanner(self.ways, name, self.scanned))
        left = {o.path for o in config.options()}
        config.add_options([_row(o) for o in rows if o.path not in left])

    def say(self, item: Item) -> bool:
        """What a directive changes here; False: it is about something else."""
        if item.kind in ("directory", "member"):
            self.directory.say(item)
        elif item.kind == "store":
            self.store.fails = item.words[0] == "fail"
        elif item.kind == "callout":
            self.callout.say(item)
        elif item.kind in ("finding", "scanner"):
            self._say(item)
        elif item.kind == "set-back":
            self.clock.start_s -= item.number // 1000
        else:
            return False
        return True

    def _say(self, item: Item) -> None:
        if item.kind == "finding":
            _add(self.findings, item, read_finding)
        else:
            _add(self.scanned, item, read_scanner)

    def forget(self) -> None:
        """A script is over: what it said of checks, scanners and callouts was its own."""
        self.findings.clear()
        self.scanned.clear()
        self.callout.said.clear()


def _add(said: list[Any], item: Item, read: Function[[list[str], dict[str, str]], Any]) -> None:
    if item.words[0] == "none":
        said.clear()
    else:
        said.append(read(item.words, item.pairs))


_ROW_TYPES = {"bool": OptionType.BOOL, "int": OptionType.INT, "time": OptionType.TIME, "size": OptionType.SIZE,
              "score": OptionType.SCORE, "string": OptionType.STRING, "strings": OptionType.STRINGS, "list": OptionType.LIST}


def _row(o: Any) -> OptionRow:
    kind = _ROW_TYPES.get(o.type, OptionType.CHOICE)
    return OptionRow(o.path, kind, o.default, o.doc, o.min, o.max, o.type if kind == OptionType.CHOICE else "")
