# SPDX-License-Identifier: MIT
"""Scanners in Python."""
from __future__ import annotations

from typing import Any

import pytest
from conftest import World, talk
from test_check import message

import smtpfilter
from smtpfilter import Message, Scanner, ScanResult, Section, Session


class Words(Scanner):
    name = "words"

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.stopped = 0

    def start(self, driver: smtpfilter.Driver, settings: Section) -> Scanner:
        return self

    def scan(self, message: Message) -> Any:
        self.messages.append(message.read())
        assert message.recipients == ("b@example.net",) and message.scanner == "local"
        return ScanResult.hit("Buy") if b"buy" in self.messages[-1] else ScanResult.clean()

    def stop(self) -> None:
        self.stopped += 1


def run(world: World, scanner: Scanner, data: bytes = b"Subject: a\r\n\r\nbuy now\r\n") -> smtpfilter.Verdict:
    world.config.add_scanner(scanner)
    world.options["scanners"] = {"local": {"type": scanner.name}}
    with world.driver() as driver, Session(driver) as session:
        return message(session, data)


def test_hit(world: World) -> None:
    words = Words()
    verdict = run(world, words)
    assert verdict.code == 550 and words.messages == [b"Subject: a\r\n\r\nbuy now\r\n"]
    assert words.stopped == 1


def test_clean(world: World) -> None:
    assert run(world, Words(), b"Subject: a\r\n\r\nhello\r\n").accepted


@pytest.mark.parametrize("error", [ValueError("garbage"), KeyboardInterrupt()])
def test_exception_is_unknown(world: World, error: BaseException) -> None:
    class Broken(Words):
        def scan(self, message: Message) -> Any:
            raise error

    if isinstance(error, Exception):
        assert run(world, Broken()).code // 100 != 5
    else:
        with pytest.raises(KeyboardInterrupt):
            run(world, Broken())
    assert len(world.exceptions()) == 1


def test_reader(world: World) -> None:
    class Streaming(Words):
        def begin(self, message: Message) -> Any:
            class Reader:
                data = b""

                def feed(self, piece: bytes) -> None:
                    self.data += piece

                def finish(self) -> ScanResult:
                    return ScanResult.hit("Buy") if b"buy" in self.data else ScanResult.clean()

            return Reader()

    assert run(world, Streaming()).code == 550


def test_later_and_back_pressure(world: World) -> None:
    class Slow(Words):
        def begin(self, message: Message) -> Any:
            class Reader:
                def __init__(self) -> None:
                    self.data, self.closed = b"", False

                def feed(self, piece: bytes) -> int:
                    message.driver.timer(0.001, message.room)
                    self.data += piece[:5]
                    return min(5, len(piece))

                def finish(self) -> Any:
                    hit = b"buy" in self.data
                    message.driver.timer(0.01, lambda: message.answer(ScanResult.hit("Buy") if hit else ScanResult.clean()))
                    return smtpfilter.LATER

                def close(self) -> None:
                    readers.append(self)

            return Reader()

    readers: list[Any] = []
    assert run(world, Slow()).code == 550
    assert readers[0].data == b"Subject: a\r\n\r\nbuy now\r\n"


def test_again(world: World) -> None:
    class Twice(Words):
        def begin(self, message: Message) -> Any:
            class Reader:
                data: list[bytes] = [b""]

                def feed(self, piece: bytes) -> None:
                    self.data[-1] += piece

                def finish(self) -> Any:
                    if len(self.data) == 1:
                        self.data.append(b"")
                        message.again()
                        return smtpfilter.LATER
                    return ScanResult.hit("same") if self.data[0] == self.data[1] else ScanResult.clean()

            return Reader()

    assert run(world, Twice()).code == 550
