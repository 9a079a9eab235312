# SPDX-License-Identifier: MIT
"""Config, engine, session, verdict."""
from __future__ import annotations

import dataclasses
import pickle
import logging
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import World, talk

import smtpfilter
from smtpfilter import (
    Action,
    Capability,
    CommitResult,
    Config,
    Disposition,
    Engine,
    EvidenceKind,
    LogLevel,
    LogLine,
    OptionRow,
    OptionType,
    Origin,
    Result,
    Session,
    Stage,
)
from smtpfilter._errors import BY_CODE
from smtpfilter._ffi import ffi, lib


def test_version() -> None:
    assert smtpfilter.__version__ == ffi.string(lib.smtpf_version()).decode()


def test_every_error_has_a_class() -> None:
    for result in Result:
        assert (result in BY_CODE) == (result < 0), result
    assert issubclass(smtpfilter.NotFoundError, LookupError) and issubclass(smtpfilter.DeadlineError, TimeoutError)
    assert smtpfilter.ParseError.code == Result.EPARSE


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (timedelta(minutes=5), "5m"), ("5m", "5m"), (300, None)])
def test_values(value: object, text: str | None) -> None:
    with Config(log=None) as config:
        path = "greylist.wait" if not isinstance(value, bool) else "iprev.enable"
        if text is None:
            with pytest.raises(smtpfilter.ParseError):
                config.set(path, value)  # type: ignore[arg-type]
            return
        config[path] = value  # type: ignore[assignment]
        with Engine(config) as engine:
            assert engine.number(path) == (1 if isinstance(value, bool) else 300_000)


def test_update_nested() -> None:
    with Config(log=None) as config:
        config.update(
            {
                "local_domains": ["example.net", "example.com"],
                "profiles": {"default": {"reject": 10.5}, "it's \"his\"": {"tag": 2}},
                "dnslists": {"zen.example": {"codes": {"127.0.0.2": {"score": 5}}}},
            }
        )
        with Engine(config) as engine:
            assert engine.strings("local_domains") == ["example.net", "example.com"]
            assert engine.number('dnslists["zen.example"].codes["127.0.0.2"].score') == 5000
            assert engine.number('profiles["default"].reject') == 10500


def test_errors_have_a_place(tmp_path: Path) -> None:
    policy = tmp_path / "policy.conf"
    policy.write_text('local_domains = [ "example.net" ];\nnonsense = 3;\n')
    with pytest.raises(smtpfilter.NotFoundError) as raised:
        Config(policy, log=None)
    assert (raised.value.line, raised.value.file) == (2, str(policy)) and "nonsense" in raised.value.text
    with pytest.raises(smtpfilter.InputOutputError):
        Config(tmp_path / "none", log=None)
    with pytest.raises(smtpfilter.ParseError, match="policy.conf:1"):
        Config(log=None).loads("local_domains = [")


def test_options() -> None:
    options = {option.path: option for option in Config(log=None).options()}
    assert options["greylist.wait"].default == "5m" and options["greylist.wait"].type == "time"
    assert all(option.doc for option in options.values())


def test_own_options() -> None:
    with Config(log=None) as config:
        config.add_options([OptionRow("mine.colour", OptionType.CHOICE, "red", "A colour.", words="red|blue")])
        config["mine.colour"] = "blue"
        with Engine(config) as engine:
            assert engine.option("mine.colour") == "blue"
        with pytest.raises(smtpfilter.InvalidError):
            config.add_options([OptionRow("mine.colour", OptionType.STRING)])


def test_lint_and_needs() -> None:
    with Config(log=None) as config:
        config.update({"local_domains": ["example.net"], "profiles": {"default": {"quarantine": 5, "tag": 9}}})
        with Engine(config) as engine:
            assert engine.needs & Capability.EDIT
            assert any("tag" in str(warning) for warning in engine.lint(Capability.EDIT))


def test_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="smtpfilter"):
        with Config(level=LogLevel.INFO) as config:
            config.update({"local_domains": ["example.net"], "iprev": {"enable": False}})
            with Engine(config) as engine, smtpfilter.Driver(engine) as driver, Session(driver) as session:
                talk(session, to="b@elsewhere.example")
    lines: list[LogLine] = [record.smtpfilter for record in caplog.records]  # type: ignore[attr-defined]
    assert lines and lines[-1].fields["to"] == "b@elsewhere.example"


def test_whole_session(world: World) -> None:
    with world.driver() as driver, Session(driver) as session:
        assert session.connect("192.0.2.1", 25, local_address="192.0.2.9", local_port=25).code == 220
        assert session.helo("mail.example.org").stage == Stage.HELO
        assert session.mail("<a@example.org>", "SIZE=100").accepted
        assert session.rcpt("<nobody@elsewhere.example>").action == Action.REJECT
        verdict = session.rcpt("<b@example.net>")
        assert verdict.recipients[0].address == "b@example.net" and verdict.recipients[0].disposition is None
        assert session.data().code == 354
        session.body(b"Subject: x\r\n\r\nx\r\n")
        verdict = session.eom()
        (recipient,) = verdict.recipients
        assert recipient.disposition == Disposition.DELIVERED and recipient.origin == Origin.STRANGER
        assert not recipient.final
        final = session.commit(CommitResult.OK)
        assert final.code == 250 and final.recipients[0].final
        assert session.reset().accepted and session.command("NOOP").accepted
        last = session.quit()
        assert last.closes and last.reply.startswith(b"221 ")
        assert session.memory > 0 and session.id in repr(session)


def test_what_the_client_does_wrong_is_no_error(world: World) -> None:
    with world.driver() as driver, Session(driver) as session:
        session.connect("192.0.2.1")
        assert session.rcpt("b@example.net").code == 503
        session.helo("mail.example.org")
        assert session.mail("a@@b").code == 501
        assert session.violation(500, "5.5.2", "line too long").lines() == ["500 5.5.2 line too long"]


def test_misuse_is_an_error(world: World) -> None:
    with world.driver() as driver, Session(driver) as session:
        with pytest.raises(smtpfilter.StateError):
            session.eom()
        session.connect("192.0.2.1")
        with pytest.raises(smtpfilter.StateError):
            session.connect("192.0.2.1")
        session.abort()
        with pytest.raises(smtpfilter.StateError):
            session.helo("x")


def test_verdict_outlives_everything(world: World) -> None:
    driver = world.driver()
    session = Session(driver)
    verdict = talk(session, to="b@elsewhere.example")
    before = (repr(verdict), verdict.evidence, verdict.reply)
    session.reset()
    session.close()
    driver.close()
    assert (repr(verdict), verdict.evidence, verdict.reply) == before
    assert verdict == verdict and hash(verdict) == hash(verdict) and verdict != "550"
    for thing in (verdict, verdict.evidence[0]):
        assert all(hasattr(thing, field.name) for field in dataclasses.fields(thing))
        assert pickle.loads(pickle.dumps(thing)) == thing
    assert dataclasses.replace(verdict, code=551).evidence == verdict.evidence
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.code = 250  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.evidence[0].kind = EvidenceKind.HIT  # type: ignore[misc]
    assert "REJECT 550 5.7.1" in repr(verdict) and str(verdict).startswith("550 5.7.1 ")


def test_bytes_that_are_no_text(world: World) -> None:
    with world.driver() as driver, Session(driver) as session:
        session.connect(b"192.0.2.1")
        verdict = session.helo(b"caf\xe9.example")
        assert verdict.accepted
        session.mail("a@example.org")
        odd = session.rcpt("<\udce9@example.net>")
        assert odd.code == session.rcpt(b"<\xe9@example.net>").code


def test_large_verdict(world: World) -> None:
    """More than what one piece of room takes."""
    with world.driver() as driver, Session(driver) as session:
        talk(session)
        for i in range(40):
            assert session.rcpt(f"user{i}{'x' * 40}@example.net").accepted
        verdict = session.data()
        assert len(verdict.recipients) == 41 and verdict.recipients[-1].address.startswith("user39")


def test_set_engine(world: World) -> None:
    with world.driver() as driver:
        with Session(driver) as old:
            old.connect("192.0.2.1")
            with Config(log=None) as config:
                config.update({"local_domains": ["example.com"], "profiles": {"default": {"greylist": False}}})
                driver.set_engine(Engine(config))
            with Session(driver) as new:
                assert talk(new, to="b@example.com").accepted
            old.helo("mail.example.org")
            old.mail("a@example.org")
            assert not old.rcpt("b@example.com").accepted and old.rcpt("b@example.net").accepted


def test_stats_deadline_fd(world: World) -> None:
    with world.driver() as driver, Session(driver) as session:
        talk(session)
        stats = driver.stats()
        assert stats["sessions"] == 1 and driver.fileno() >= 0
        assert driver.deadline() is None or driver.deadline() >= 0  # type: ignore[operator]
        fired: list[bool] = []
        timer = driver.timer(0.01, lambda: fired.append(True))
        late = driver.timer(5, lambda: fired.append(False))
        assert driver.deadline() is not None and late.cancel()
        driver.call(lambda then: driver.timer(0.05, then))
        assert fired == [True] and not timer.cancel()
