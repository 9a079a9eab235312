# SPDX-License-Identifier: MIT
"""The codecs."""
from __future__ import annotations

import pytest
from conftest import World

from smtpfilter import CommitResult, Extension, InvalidError, Session, SmtpdKind
from smtpfilter.wire import Smtpc, Smtpd, command, dot_stuff, extensions

CLIENT = (
    b"EHLO mail.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
    + dot_stuff(b"Subject: x\r\n\r\n.hidden\r\n")
    + b"QUIT\r\n"
)


@pytest.mark.parametrize("step", [1, 7, len(CLIENT)])
def test_conversation(world: World, step: int) -> None:
    client = Smtpc()
    with world.driver() as driver, Session(driver) as session, Smtpd("mx.example.net") as codec:
        session.connect("192.0.2.1")
        out, message = codec.answer(session), b""
        for i in range(0, len(CLIENT), step):
            codec.feed(CLIENT[i : i + step])
            while (event := codec.next()) is not None:
                message += event.body
                codec.apply(session, event)
                if event.kind == SmtpdKind.BODY:
                    continue
                if event.kind == SmtpdKind.END:
                    session.commit(CommitResult.OK)
                out += codec.answer(session)
    client.feed(out)
    replies = []
    while (reply := client.next()) is not None:
        replies.append(reply)
    assert [r.code for r in replies] == [220, 250, 250, 250, 354, 250, 221]
    assert Extension.CHUNKING in extensions(replies[1].text)[0]
    assert message == b"Subject: x\r\n\r\n.hidden\r\n"


def test_command() -> None:
    assert command("RCPT", "TO:<a@b>") == b"RCPT TO:<a@b>\r\n"
    with pytest.raises(InvalidError):
        command("RCPT", "TO:<a\r\nDATA")
