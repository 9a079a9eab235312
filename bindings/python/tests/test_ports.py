# SPDX-License-Identifier: MIT
"""Ports in Python."""
from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import World, evidence, talk

import smtpfilter
from smtpfilter import (
    Change,
    ChangeOp,
    Clock,
    Crypto,
    Directory,
    DirectoryAnswer,
    DirectoryStatus,
    DnsAnswer,
    DnsRecord,
    DnsStatus,
    DnsType,
    Driver,
    Hmac,
    Member,
    Random,
    Resolver,
    Session,
    Store,
    Stored,
)


class Dict(Store):
    """A store in a dictionary."""

    def __init__(self) -> None:
        self.records: dict[bytes, tuple[bytes, int]] = {}
        self.commits = 0

    def get(self, key: bytes) -> bytes | None:
        return self.records[key][0] if key in self.records else None

    def commit(self, changes: Sequence[Change]) -> None:
        self.commits += 1
        for change in changes:
            value, expires = change.apply(*self.records.get(change.key, (None, 0)))
            if value is None:
                self.records.pop(change.key, None)
            else:
                self.records[change.key] = value, expires

    def scan(self, cursor: bytes, most: int) -> tuple[list[Stored], bytes]:
        keys = [key for key in sorted(self.records) if key > cursor]
        found = [Stored(key, *self.records[key]) for key in keys[:most]]
        return found, found[-1].key if len(keys) > most else b""


class Names(Resolver):
    def __init__(self) -> None:
        self.asked: list[tuple[str, DnsType]] = []

    def query(self, name: str, type: DnsType) -> Any:
        self.asked.append((name, type))
        if name == "1.2.0.192.in-addr.arpa":
            return [DnsRecord(DnsType.PTR, "mail.example.org")]
        if name == "mail.example.org":
            return [DnsRecord(DnsType.A, "192.0.2.1")] if type == DnsType.A else []
        if name == "broken.example":
            raise OSError("broken")
        return None


def test_resolver(world: World) -> None:
    names = Names()
    with world.driver(resolver=names) as driver, Session(driver) as session:
        verdict = session.connect("192.0.2.1")
        assert evidence(verdict, "iprev").code == "pass"
        answers: list[DnsAnswer] = []
        driver.query("gone.example", DnsType.A, answers.append)
        driver.query("broken.example", DnsType.A, answers.append)
        assert [a.status for a in answers] == [DnsStatus.NXDOMAIN, DnsStatus.SERVFAIL]
    assert ("1.2.0.192.in-addr.arpa", DnsType.PTR) in names.asked
    assert "OSError: broken" in world.exceptions()[0]


def test_directory(world: World) -> None:
    class Users(Directory):
        def lookup(self, address: str) -> DirectoryAnswer | bool | None:
            if address == "list@example.net":
                return DirectoryAnswer(
                    DirectoryStatus.EXISTS, "all@example.net", members=(Member("a@example.net"), Member("b@example.net"))
                )
            return {"b@example.net": True, "lost@example.net": None}.get(address, False)

    with world.driver(directory=Users()) as driver, Session(driver) as session:
        assert talk(session).accepted
        assert session.rcpt("nobody@example.net").code == 550
        assert session.rcpt("lost@example.net").code // 100 == 4
        assert session.rcpt("list@example.net").recipients[-1].canonical == "all@example.net"


def test_directory_passes_on(world: World) -> None:
    class Some(Directory):
        inner = smtpfilter.policy_directory()

        def lookup(self, address: str) -> Any:
            return True if address == "extra@example.net" else self.inner.pass_on(self.token, address)

    world.options["recipients"] = {"b@example.net": {"profile": "default"}}
    world.options["directory"] = {"complete": True}
    with world.driver(directory=Some()) as driver, Session(driver) as session:
        assert talk(session).accepted
        assert session.rcpt("extra@example.net").accepted
        assert session.rcpt("nobody@example.net").code == 550


def test_later(world: World) -> None:
    class Slow(Directory):
        def lookup(self, address: str) -> Any:
            token = self.token
            driver.timer(0.02, lambda: self.answer(token, True))
            return smtpfilter.LATER

    slow = Slow()
    with world.driver(directory=slow) as driver, Session(driver) as session:
        assert talk(session).accepted
        assert not slow.answer(1234, True)


def test_store(world: World) -> None:
    store = Dict()
    world.options["profiles"] = {"default": {"greylist": True}}
    with world.driver(store=store) as driver, Session(driver) as session:
        assert talk(session).code == 451
        assert store.commits and driver.call(driver.get, b"none") is None
        driver.call(driver.commit, [Change(ChangeOp.SET, b"k", b"v"), Change(ChangeOp.ADD, b"n", (5).to_bytes(8, "little"))])
        assert driver.call(driver.get, b"k") == b"v"
        scan = driver.call(driver.scan, b"", 1)
        assert len(scan.records) == 1 and scan.cursor
    assert not world.exceptions()


def test_store_that_fails(world: World) -> None:
    class Down(Dict):
        def get(self, key: bytes) -> bytes | None:
            raise ConnectionError("down")

    world.options["profiles"] = {"default": {"greylist": True}}
    with world.driver(store=Down()) as driver, Session(driver) as session:
        assert talk(session).accepted, "a store that is down is unknown: mail passes"
        with pytest.raises(smtpfilter.StoreError):
            driver.call(driver.get, b"k")


def test_clock_random_crypto(world: World) -> None:
    class Fixed(Clock):
        def mono_ns(self) -> int:
            return time.monotonic_ns()

        def wall_s(self) -> int:
            return 1_600_000_000

    class Bytes(Random):
        def fill(self, n: int) -> bytes:
            return os.urandom(n)

    class Digest(Crypto):
        def hmac(self, algorithm: Hmac, key: bytes, data: bytes) -> bytes:
            return hmac.digest(key, data, hashlib.sha1 if algorithm == Hmac.SHA1 else hashlib.sha256)

    world.options["srs"] = {"domain": "srs.example.net", "keys": ["0123456789abcdef0123456789abcdef"]}
    with world.driver(clock=Fixed(), random=Bytes(), crypto=Digest()) as driver:
        signed = driver.srs_forward("a@example.org")
        assert signed.startswith("SRS0") and driver.srs_reverse(signed) == "a@example.org"
        with pytest.raises(smtpfilter.NotFoundError):
            driver.srs_reverse("SRS0=aaaa=bb=example.org=a@srs.example.net")


def test_start_that_raises(world: World) -> None:
    class Bad(Dict):
        def start(self, driver: Driver) -> None:
            raise PermissionError("no")

    with pytest.raises(PermissionError):
        world.driver(store=Bad())


def test_no_such_port(world: World) -> None:
    with pytest.raises(TypeError, match="no such port"):
        world.driver(clokc=Dict())
    with pytest.raises(TypeError, match="Clock was expected"):
        world.driver(clock=Dict())


def test_changes_are_the_stores_own(world: World) -> None:
    """`Change.apply` says what the library's own store does."""
    number = (7).to_bytes(8, "little", signed=True)
    changes = [
        Change(ChangeOp.SET, b"a", b"1"),
        Change(ChangeOp.SET_IF_ABSENT, b"a", b"2"),
        Change(ChangeOp.SET_IF_ABSENT, b"b", b"3"),
        Change(ChangeOp.ADD, b"n", number),
        Change(ChangeOp.ADD, b"n", (-9).to_bytes(8, "little", signed=True)),
        Change(ChangeOp.DELETE, b"b"),
    ]
    mine = Dict()
    with world.driver(store=smtpfilter.memory_store()) as driver:
        for change in changes:
            driver.call(driver.commit, [change])
            mine.commit([change])
            for key in (b"a", b"b", b"n"):
                assert driver.call(driver.get, key) == mine.get(key), change
