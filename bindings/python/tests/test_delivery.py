# SPDX-License-Identifier: MIT
"""Header edits, Maildirs, and another server's answers."""
import asyncio
import os
import socket
import threading

import pytest

from smtpfilter import Edit, EditOp
from smtpfilter.delivery import Copy, Deferred, Maildir, Refused, Relay, edited
from smtpfilter.testing import Filter

MESSAGE = b"Received: one\r\n\tfolded\r\nSubject: x\r\nX-A: 1\r\nx-a: 2\r\n\r\nX-A: body\r\n"


def edit(op, name, value="", occurrence=0, recipient=None):
    return Edit(op, name, value, occurrence, recipient)


def test_no_edit_changes_nothing():
    assert edited(MESSAGE, []) is MESSAGE


def test_additions_in_order():
    got = edited(MESSAGE, [edit(EditOp.PREPEND, "A", "1"), edit(EditOp.PREPEND, "B", "2"), edit(EditOp.APPEND, "C", "3")])
    assert got.startswith(b"B: 2\r\nA: 1\r\nReceived: one\r\n\tfolded\r\n")
    assert b"x-a: 2\r\nC: 3\r\n\r\nX-A: body\r\n" in got


def test_occurrences_are_counted_in_the_original():
    got = edited(MESSAGE, [edit(EditOp.DELETE, "X-A", occurrence=1), edit(EditOp.DELETE, "X-a", occurrence=2)])
    assert got == b"Received: one\r\n\tfolded\r\nSubject: x\r\n\r\nX-A: body\r\n"
    assert edited(MESSAGE, [edit(EditOp.DELETE, "Received", occurrence=1)]).startswith(b"Subject: x\r\n")
    assert edited(MESSAGE, [edit(EditOp.DELETE, "X-A", occurrence=3)]) == MESSAGE


def test_edits_of_one_recipient():
    edits = [edit(EditOp.PREPEND, "For", "1", recipient=1), edit(EditOp.PREPEND, "All", "x")]
    assert edited(MESSAGE, edits, 0).startswith(b"All: x\r\nReceived")
    assert edited(MESSAGE, edits, 1).startswith(b"All: x\r\nFor: 1\r\nReceived")


def test_a_message_without_a_header():
    assert edited(b"\r\nbody\r\n", [edit(EditOp.PREPEND, "A", "1")]) == b"A: 1\r\n\r\nbody\r\n"
    assert edited(b"", [edit(EditOp.APPEND, "A", "1")]) == b"A: 1\r\n"


def copy_of(policy='local_domains = [ "example.net" ];', to="b@example.net", message=b"Subject: x\r\n\r\nx\r\n"):
    with Filter(policy, dns={"elsewhere.example": "192.0.2.7"}) as f, f.client() as c:
        outcome = c.send(message, to=to)
        return Copy(outcome[to], message, outcome[to].sender)


def files(folder):
    return [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]


def test_maildir(tmp_path):
    asyncio.run(Maildir(tmp_path)(copy_of()))
    (path,) = files(tmp_path)
    assert os.path.dirname(path) == str(tmp_path / "b@example.net" / "new") and os.stat(path).st_mode & 0o777 == 0o600
    with open(path, "rb") as f:
        assert f.read() == b"Return-Path: <a@example.org>\nSubject: x\n\nx\n"


@pytest.mark.parametrize("address", ["../../etc/passwd@example.net", "/x@example.net", ".@example.net", "a\0b@x", "..", "\udcff@x"])
def test_a_maildir_stays_in_its_folder(tmp_path, address):
    folder = os.path.normpath(Maildir(tmp_path).folder(address))
    assert os.path.dirname(folder) == str(tmp_path) and "\0" not in folder


def test_maildir_without_room(tmp_path):
    (tmp_path / "b@example.net").write_text("a file in the way")
    with pytest.raises(OSError):
        asyncio.run(Maildir(tmp_path)(copy_of()))


FORWARD = 'local_domains = [ "example.net" ]; recipients = ( { address = "b@example.net"; forward = "me@elsewhere.example"; route = "forward"; } );'


def test_forwards_go_elsewhere(tmp_path):
    copy, got = copy_of(FORWARD), []
    assert copy.forwarded and copy.address == "me@elsewhere.example"

    async def relay(copy):
        got.append(copy.address)
    asyncio.run(Maildir(tmp_path, relay)(copy))
    assert got == ["me@elsewhere.example"] and not files(tmp_path)
    with pytest.raises(Deferred):
        asyncio.run(Maildir(tmp_path)(copy))


class Answers:
    """A server that says what it is told to."""

    def __init__(self, *replies):
        self.replies, self.socket = replies, socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with self.socket.accept()[0] as s, s.makefile("rwb") as f:
            for i, reply in enumerate(self.replies):
                if i:
                    line = f.readline()
                    while line and self.replies[i - 1].startswith(b"354") and line != b".\r\n":
                        line = f.readline()
                f.write(reply + b"\r\n")
                f.flush()

    def close(self):
        self.thread.join(5)
        self.socket.close()


@pytest.mark.parametrize("replies, kind, code, enhanced", [
    ((b"220 x", b"250 x", b"250 ok", b"550 5.1.1 no such user", b"250 ok", b"221 bye"), Refused, 550, "5.1.1"),
    ((b"220 x", b"250 x", b"250 ok", b"250 ok", b"354 go", b"452 4.3.1 full", b"250 ok", b"221 bye"), Deferred, 452, "4.3.1"),
    ((b"421 too many",), Deferred, 421, ""),
])
def test_what_the_next_server_says_is_what_the_client_hears(replies, kind, code, enhanced):
    server = Answers(*replies)
    with pytest.raises(Refused) as e:
        asyncio.run(Relay("127.0.0.1", server.port, timeout=5)(copy_of(FORWARD)))
    server.close()
    assert (type(e.value), e.value.code, e.value.enhanced) == (kind, code, enhanced)


def test_no_next_server():
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with pytest.raises(Deferred):
        asyncio.run(Relay("127.0.0.1", port, timeout=5)(copy_of(FORWARD)))


@pytest.mark.parametrize("bye", [b"421 too late", b"500 what", b"221 bye"])
def test_what_is_said_to_quit_changes_nothing(bye):
    server = Answers(b"220 x", b"250 x", b"250 ok", b"250 ok", b"354 go", b"250 taken", bye)
    asyncio.run(Relay("127.0.0.1", server.port, timeout=5)(copy_of(FORWARD)))
    server.close()


def test_a_new_maildir_is_durable_with_all_its_folders(tmp_path, monkeypatch):
    synced, fsync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.add(os.readlink("/proc/self/fd/%d" % fd)), fsync(fd))[1])
    asyncio.run(Maildir(tmp_path / "mail")(copy_of()))
    box = tmp_path / "mail" / "b@example.net"
    assert {str(f) for f in (tmp_path, tmp_path / "mail", box, box / "new")} <= synced
