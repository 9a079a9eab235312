# SPDX-License-Identifier: MIT
"""Checks in Python: what they say, what they ask, and what becomes of what they raise."""
from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from conftest import World, evidence, talk

import smtpfilter
from smtpfilter import (
    Change,
    ChangeOp,
    Check,
    DnsStatus,
    DnsType,
    EvidenceKind,
    FindingFlag,
    OptionRow,
    OptionType,
    Piece,
    PieceKind,
    Section,
    Session,
    Stage,
    Task,
    clear,
    hit,
    unknown,
)
from smtpfilter.event import _FIELDS

MESSAGE = b"Subject: a\r\nContent-Type: text/plain\r\n\r\nbuy now\r\n"


class Named(Check):
    """A check whose `run` is given."""

    name = "named"
    stages = Stage.RCPT

    def __init__(self, run: Any) -> None:
        self._run = run

    def run(self, task: Task) -> Any:
        return self._run(task)


def verdict_with(world: World, run: Any, **ports: Any) -> smtpfilter.Verdict:
    world.config.add_check(Named(run))
    with world.driver(**ports) as driver, Session(driver) as session:
        return talk(session)


def test_hit_refuses(world: World) -> None:
    verdict = verdict_with(world, lambda task: hit("closed", 3.5, detail="d", text="we are closed", refuse=True))
    assert verdict.code == 550 and "we are closed" in verdict.text
    found = evidence(verdict, "named")
    assert (found.kind, found.code, found.score, found.detail) == (EvidenceKind.HIT, "closed", 3.5, "d")


def test_several_findings(world: World) -> None:
    verdict = verdict_with(world, lambda task: [hit("one", 1), clear("two"), unknown("three")])
    assert [e.code for e in verdict.evidence if e.check == "named"] == ["one", "two", "three"]


def test_event(world: World) -> None:
    seen = []
    verdict_with(world, lambda task: seen.append(task.event))
    (event,) = seen
    assert str(event.client) == "192.0.2.1" and event.helo == "mail.example.org"
    assert event.sender.domain == "example.org" and event.recipient.local_part == "b"
    assert event.stage == Stage.RCPT and event.recipients == 0


def test_event_is_a_frozen_dataclass(world: World) -> None:
    """Its fields are read when somebody looks; nobody sees that."""
    seen: list[smtpfilter.Event] = []
    verdict_with(world, lambda task: seen.append(task.event))
    (event,) = seen
    assert {field.name for field in dataclasses.fields(event)} == set(_FIELDS)
    for same in (copy.copy(event), pickle.loads(pickle.dumps(event)), dataclasses.replace(event)):
        assert same == event and hash(same) == hash(event) and repr(same) == repr(event)
    assert dataclasses.replace(event, helo="other").helo == "other" != event.helo
    assert event.local is None and event.rdns == event.identity == event.sender_params == event.returns_to == ""
    assert event.mailbox == event.recipient.address == "b@example.net" and not event.tls and event.wall_s > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.helo = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="no_such_field"):
        event.no_such_field


def test_exception_is_unknown(world: World) -> None:
    verdict = verdict_with(world, lambda task: 1 // 0)
    assert verdict.accepted
    found = evidence(verdict, "named")
    assert found.kind == EvidenceKind.UNKNOWN and found.detail.startswith("ZeroDivisionError")
    (traceback,) = world.exceptions()
    assert "1 // 0" in traceback


def test_exception_with_failure_flags(world: World) -> None:
    check = Named(lambda task: {}["gone"])
    check.failure = FindingFlag.DEFER
    world.config.add_check(check)
    with world.driver() as driver, Session(driver) as session:
        verdict = talk(session)
    assert verdict.code // 100 == 4


def test_finding_that_makes_no_sense(world: World) -> None:
    verdict = verdict_with(world, lambda task: unknown("x", flags=FindingFlag.REFUSE))
    assert verdict.accepted
    assert {e.kind for e in verdict.evidence if e.check == "named"} == {EvidenceKind.UNKNOWN}
    assert "InvalidError" in world.exceptions()[0]


def test_interrupt_reaches_the_program(world: World) -> None:
    def run(task: Task) -> None:
        raise KeyboardInterrupt

    world.config.add_check(Named(run))
    with world.driver() as driver, Session(driver) as session:
        with pytest.raises(KeyboardInterrupt):
            talk(session)
        assert session.verdict is not None and session.verdict.stage == Stage.RCPT


def test_questions(world: World) -> None:
    async def run(task: Task) -> Any:
        mx, txt = task.query("example.org", DnsType.MX), task.query("txt.example.org", DnsType.TXT)
        gone = await task.query("gone.example.org", DnsType.A)
        assert (await txt).values == ["hello"] and (await mx).records[0].preference == 10
        assert gone.status == DnsStatus.NXDOMAIN
        assert (await task.lookup("b@example.net")).status == smtpfilter.DirectoryStatus.EXISTS
        assert await task.get(b"k") is None
        await task.commit([Change(ChangeOp.SET, b"k", b"v")])
        assert await task.get(b"k") == b"v"
        await task.sleep(0.02)
        return clear("asked")

    assert evidence(verdict_with(world, run), "named").code == "asked"
    assert not world.exceptions()


def test_foreign_await_without_a_loop(world: World) -> None:
    import asyncio

    async def run(task: Task) -> Any:
        await asyncio.sleep(0)

    found = evidence(verdict_with(world, run), "named")
    assert found.kind == EvidenceKind.UNKNOWN and "asyncio driver" in found.detail


def test_deadline_closes_the_coroutine(world: World) -> None:
    ended = []

    async def run(task: Task) -> Any:
        try:
            await task.sleep(60)
        finally:
            ended.append(True)

    world.options["check"] = {"timeout": "50ms"}
    found = evidence(verdict_with(world, run), "named")
    assert found.code == "timeout" and ended == [True]


def test_abort_closes_the_coroutine(world: World) -> None:
    ended = []

    async def run(task: Task) -> Any:
        try:
            await task.sleep(60)
        finally:
            ended.append(True)

    world.config.add_check(Named(run))
    with world.driver() as driver, Session(driver, timeout=0.05) as session:
        with pytest.raises(smtpfilter.DeadlineError):
            talk(session)
        assert session.pending
        session.abort()
        assert ended == [True]


class Reader(Check):
    name = "reader"
    stages = Stage.BODY
    tier = 3
    family = smtpfilter.Family.CONTENT
    options = (OptionRow("reader.word", OptionType.STRING, "buy", "What is not wanted."),)

    def open(self, policy: Section) -> Check:
        self.word = policy.string("reader.word").encode()
        assert policy.strings("local_domains") == ["example.net"] and not policy.has("reader.word")
        return self

    def run(self, task: Task) -> None:
        task.state = bytearray()

    def feed(self, task: Task, data: bytes) -> None:
        task.state += data

    def finish(self, task: Task) -> Any:
        return hit("word", 12) if self.word in task.state else clear()


class Fields(Check):
    name = "fields"
    stages = Stage.BODY
    tier = 3

    def __init__(self) -> None:
        self.found: list[tuple[PieceKind, str, bytes]] = []

    def content(self, task: Task, piece: Piece) -> None:
        self.found.append((piece.kind, piece.name, piece.data))

    def finish(self, task: Task) -> Any:
        return clear()


def message(session: Session, data: bytes = MESSAGE) -> smtpfilter.Verdict:
    assert talk(session).accepted
    session.data()
    for i in range(0, len(data), 7):
        session.body(data[i : i + 7])
    return session.eom()


def test_body(world: World) -> None:
    fields = Fields()
    world.config.add_check(Reader()).add_check(fields)
    with world.driver() as driver, Session(driver) as session:
        verdict = message(session)
        found = evidence(verdict, "reader")
        assert (found.code, found.score) == ("word", 12.0)
        assert evidence(verdict, "fields").kind == EvidenceKind.CLEAR
    assert (PieceKind.FIELD, "Subject", b"a") in fields.found
    assert b"".join(data for kind, _, data in fields.found if kind == PieceKind.TEXT) == b"buy now\r\n"


def test_feed_that_raises(world: World) -> None:
    class Broken(Reader):
        def feed(self, task: Task, data: bytes) -> None:
            raise OSError("no room")

    world.config.add_check(Broken())
    with world.driver() as driver, Session(driver) as session:
        found = evidence(message(session), "reader")
    assert found.kind == EvidenceKind.UNKNOWN and "no room" in found.detail
    assert len(world.exceptions()) == 1


def test_open_that_raises(world: World) -> None:
    class Bad(Named):
        def open(self, policy: Section) -> Check:
            raise LookupError("no such file")

    world.config.add_check(Bad(lambda task: None))
    with pytest.raises(smtpfilter.InvalidError, match="no such file") as raised:
        world.engine()
    assert isinstance(raised.value.__cause__, LookupError)


def test_idle(world: World) -> None:
    class Idle(Named):
        def open(self, policy: Section) -> None:
            return None

    world.config.add_check(Idle(lambda task: hit("never")))
    with world.driver() as driver, Session(driver) as session:
        assert not [e for e in talk(session).evidence if e.check == "named"]


def test_section_outlives_nothing(world: World) -> None:
    kept = []

    class Keeps(Named):
        def open(self, policy: Section) -> Check:
            kept.append(policy)
            return self

    world.config.add_check(Keeps(lambda task: None))
    with world.engine():
        assert kept[0].strings("local_domains") == ["example.net"]
    with pytest.raises(smtpfilter.ClosedError):
        kept[0].strings("local_domains")
