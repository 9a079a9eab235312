# SPDX-License-Identifier: MIT
"""What the tests share: a policy without network, a log that is kept, and nothing left behind."""
from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import smtpfilter
from smtpfilter._glue import handles

ZONE = """
1.2.0.192.in-addr.arpa PTR mail.example.org
mail.example.org A 192.0.2.1
example.org MX 10 mail.example.org
txt.example.org TXT "hello"
"""


class World:
    """A policy being written, and the log lines that came of it."""

    def __init__(self, **options: Any) -> None:
        self.lines: list[smtpfilter.LogLine] = []
        self.config = smtpfilter.Config(log=self.lines.append, level=smtpfilter.LogLevel.INFO)
        self.options: dict[str, Any] = {"local_domains": ["example.net"], "profiles": {"default": {"greylist": False}}}
        self.options.update(options)

    def engine(self) -> smtpfilter.Engine:
        self.config.update(self.options)
        return smtpfilter.Engine(self.config)

    def driver(self, **ports: Any) -> smtpfilter.Driver:
        ports.setdefault("resolver", smtpfilter.zone(ZONE))
        return smtpfilter.Driver(self.engine(), **ports)

    def exceptions(self) -> list[str]:
        return [line.fields["traceback"] for line in self.lines if line.event == "exception"]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Every handle that C was given has been given back."""
    gc.collect()
    before = len(handles)
    yield
    gc.collect()
    assert len(handles) == before


def talk(session: smtpfilter.Session, *, to: str = "b@example.net", sender: str = "a@example.org") -> smtpfilter.Verdict:
    """Everything up to RCPT."""
    session.connect("192.0.2.1")
    session.helo("mail.example.org")
    session.mail(sender)
    return session.rcpt(to)


def evidence(verdict: smtpfilter.Verdict, check: str) -> smtpfilter.Evidence:
    found = [e for e in verdict.evidence if e.check == check]
    assert len(found) == 1, found
    return found[0]
