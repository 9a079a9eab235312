# SPDX-License-Identifier: MIT
"""Fakes, so that a policy can be tested in pytest: no network, no waiting, no files.

.. code-block:: python

    from smtpfilter.testing import Filter

    def test_listed_clients_are_refused():
        with Filter("policy.conf", dns={"2.2.0.192.zen.example": "127.0.0.2"}) as f:
            assert f.client("192.0.2.2").send("Subject: x\\n\\nx\\n", to="b@example.net").code == 550
            assert f.client("192.0.2.3").send("Subject: x\\n\\nx\\n", to="b@example.net").accepted

:class:`Filter` puts everything together; :class:`Clock`, :class:`Resolver`, :class:`Directory`, :class:`Store` and
:class:`Scanner` are ports like any other, and can be given to a :class:`smtpfilter.Driver` by themselves.
"""
from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import smtpfilter as _base

from . import (Action, Capability, Change, Check, Config, DirectoryAnswer, DnsAnswer, DnsRecord, DnsStatus, DnsType, Driver,
               Engine, Greeting, Protocol, Recipient, ScanResult, Session, Verdict, memory_store)
from .replay.host import host as parse_host
from .replay.world import NOW, FixedRandom, VirtualClock, VirtualPoller

__all__ = ["Client", "Clock", "Directory", "Filter", "Outcome", "Resolver", "Scanner", "Store"]


class Clock(VirtualClock):
    """Time that moves when it is told to.

    >>> clock = Clock(1000)
    >>> clock.forward(60)
    >>> clock.wall_s()
    1060
    """

    def __init__(self, now: int = NOW) -> None:
        super().__init__(now)

    def forward(self, seconds: float) -> None:
        """Moves on."""
        self.advance(round(seconds * 1000))


class Resolver(_base.Resolver):
    """A resolver out of a dict. What is not in it does not exist.

    Keys are names, with a type behind a blank where it is not A; values are one value, a list, or a
    :class:`smtpfilter.DnsStatus`.

    >>> r = Resolver({"mail.example.org": "192.0.2.1", "example.org MX": "10 mail.example.org",
    ...               "down.example A": DnsStatus.SERVFAIL})
    >>> r.query("example.org", DnsType.MX).values
    ['mail.example.org']
    """

    def __init__(self, table: Mapping[str, str | Sequence[str] | DnsStatus] | None = None) -> None:
        self.table: dict[tuple[str, str], str | Sequence[str] | DnsStatus] = {}
        self.asked: list[tuple[str, DnsType]] = []  #: every question, in order
        for key, value in (table or {}).items():
            self.set(key, value)

    def set(self, key: str, value: str | Sequence[str] | DnsStatus) -> None:
        """One more record, or another in its place."""
        name, _, kind = key.partition(" ")
        self.table[name.rstrip(".").lower(), kind.upper() or "A"] = value

    def query(self, name: str, type: DnsType) -> DnsAnswer:
        self.asked.append((name, type))
        name = name.rstrip(".").lower()
        value = self.table.get((name, type.name))
        if value is None:
            exists = any(known == name or known.endswith("." + name) for known, _ in self.table)
            return DnsAnswer(DnsStatus.NODATA if exists else DnsStatus.NXDOMAIN)
        if isinstance(value, DnsStatus):
            return DnsAnswer(value, ttl=0)
        values = [value] if isinstance(value, str) else value
        return DnsAnswer(DnsStatus.OK, tuple(_record(type, v) for v in values))


def _record(type: DnsType, value: str) -> DnsRecord:
    preference, blank, host = value.partition(" ")
    if type == DnsType.MX and blank:
        return DnsRecord(type, host.rstrip("."), preference=int(preference))
    return DnsRecord(type, value.rstrip(".") if type != DnsType.TXT else value)


class Directory(_base.Directory):
    """A directory out of a dict: address to True, False, None (could not be found out), or a whole answer. What is not in
    it does not exist."""

    def __init__(self, table: Mapping[str, DirectoryAnswer | bool | None]) -> None:
        self.table = {address.lower(): value for address, value in table.items()}

    def lookup(self, address: str) -> DirectoryAnswer | bool | None:
        return self.table.get(address.lower(), False)


class Store(_base.Store):
    """The store in memory; with ``store.fails = True`` it is down."""

    def __init__(self) -> None:
        self.inner = memory_store()
        self.fails = False

    def _ask(self, *question: Any) -> Any:
        if self.fails:
            raise OSError("the store is down: the test says so")
        assert self.inner is not None
        return self.inner.pass_on(self.token, *question)

    def get(self, key: bytes) -> Any:
        return self._ask(key)

    def commit(self, changes: Sequence[Change]) -> Any:
        return self._ask(changes)


class Scanner(_base.Scanner):
    """A scanner that finds what it is told to look for, in the place of a type such as ``clamd``.

    :param name: the type, as ``scanners[...].type`` says
    :param finds: text of a message to the name of what it is
    """

    def __init__(self, name: str, finds: Mapping[str, str]) -> None:
        self.name = name
        self.finds = dict(finds)
        self.fails = False  #: it answers nothing of use

    def scan(self, message: Any) -> ScanResult:
        if self.fails:
            return ScanResult.unknown("refused")
        content = message.read()
        for text, what in self.finds.items():
            if text.encode() in content:
                return ScanResult.hit(what)
        return ScanResult.clean()


# ---- everything together ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of a message: the verdict that was told last, and what was said to each recipient."""

    verdict: Verdict
    recipients: dict[str, Recipient] = field(default_factory=dict)  #: by address; of a message that got so far
    refused: dict[str, Verdict] = field(default_factory=dict)  #: by address: who was refused or put off at RCPT

    @property
    def code(self) -> int:
        """The code of the last reply."""
        return self.verdict.code

    @property
    def accepted(self) -> bool:
        """The message was taken."""
        return self.verdict.action == Action.ACCEPT

    def __getitem__(self, address: str) -> Recipient:
        return self.recipients[address]


def _config(policy: Config | str | os.PathLike[str] | None, checks: Iterable[Check], scanners: Iterable[_base.Scanner]) -> Config:
    config = policy if isinstance(policy, Config) else Config(log=None)
    for check in checks:
        config.add_check(check)
    for scanner in scanners:
        config.add_scanner(scanner)
    if isinstance(policy, str) and "=" in policy:
        config.loads(policy)
    elif policy is not None and not isinstance(policy, Config):
        config.load(policy)
    return config


class Filter:
    """A policy, without a network: the library itself, on fakes.

    :param policy: path of a policy file, text of one, or a :class:`smtpfilter.Config`
    :param dns: what the DNS knows, as for :class:`Resolver`
    :param directory: who is here, as for :class:`Directory`; without it the policy knows
    :param host: what the host can do, as ``smtpf-replay --host`` has it
    :param checks: checks of your own
    :param scanners: scanners, e.g. :class:`Scanner`
    """

    def __init__(self, policy: Config | str | os.PathLike[str] | None = None, *,
                 dns: Mapping[str, str | Sequence[str] | DnsStatus] | None = None,
                 directory: Mapping[str, DirectoryAnswer | bool | None] | None = None, host: str = "proxy",
                 now: int = NOW, checks: Iterable[Check] = (), scanners: Iterable[_base.Scanner] = ()) -> None:
        self.capabilities, self.protocol = parse_host(host)
        self.clock, self.dns, self.store = Clock(now), Resolver(dns), Store()
        ports: dict[str, Any] = {"clock": self.clock, "random": FixedRandom(), "poller": VirtualPoller(self.clock),
                                 "resolver": self.dns, "store": self.store}
        if directory is not None:
            ports["directory"] = Directory(directory)
        self.engine = Engine(_config(policy, checks, scanners))
        self.driver = Driver(self.engine, **ports)

    def client(self, address: str = "192.0.2.1", *, helo: str = "mail.example.org", rdns: str = "") -> Client:
        """A client that connects and greets."""
        return Client(self, address, helo, rdns)

    def forward(self, seconds: float) -> None:
        """Time passes."""
        self.clock.forward(seconds)
        self.driver.process()

    def close(self) -> None:
        """Ends it."""
        self.driver.close()
        self.engine.close()

    def __enter__(self) -> Filter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Client:
    """One SMTP client. ``connected`` and ``greeted`` are what it was told first."""

    def __init__(self, f: Filter, address: str, helo: str, rdns: str) -> None:
        self.session = Session(f.driver, capabilities=Capability(f.capabilities), protocol=f.protocol)
        self.connected = self.session.connect(address, rdns=rdns)
        kind = Greeting.LHLO if f.protocol == Protocol.LMTP else Greeting.EHLO
        self.greeted = self.session.helo(helo, kind)

    def rcpt(self, to: str, *, sender: str = "a@example.org") -> Verdict:
        """What is said to one recipient, of a new transaction."""
        self.session.reset()
        verdict = self.session.mail(sender)
        return self.session.rcpt(to) if verdict.accepted else verdict

    def send(self, message: str | bytes = "Subject: test\n\ntest\n", *, to: str | Sequence[str], sender: str = "a@example.org",
             params: str = "") -> Outcome:
        """One message, from MAIL to the last reply. All copies that are taken are durable at once."""
        s = self.session
        s.reset()
        verdict = s.mail(sender, params)
        if not verdict.accepted:
            return Outcome(verdict)
        refused: dict[str, Verdict] = {}
        for address in [to] if isinstance(to, str) else to:
            verdict = s.rcpt(address)
            if not verdict.accepted:
                refused[address] = verdict
        if len(refused) == (1 if isinstance(to, str) else len(to)):
            s.reset()
            return Outcome(verdict, refused=refused)
        verdict = s.data()
        if not verdict.accepted:
            return Outcome(verdict, refused=refused)
        raw = message.encode() if isinstance(message, str) else message
        if s.capabilities & Capability.SEE_BODY:
            s.body(re.sub(rb"\r?\n", b"\r\n", raw))
        verdict = s.eom()
        if s.capabilities & Capability.REPORT_COMMIT and verdict.accepted and not all(to.final for to in verdict.recipients):
            verdict = s.commit()
        return Outcome(verdict, {to.address: to for to in verdict.recipients}, refused)

    def close(self) -> None:
        """The client goes."""
        if self.session._ptr:
            self.session.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except _base.Error:
            return
