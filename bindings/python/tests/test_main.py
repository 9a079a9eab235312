# SPDX-License-Identifier: MIT
"""python -m smtpfilter, and the reader of scripts."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from smtpfilter.__main__ import main
from smtpfilter.replay import HOSTS, Player, Script, ScriptError, Transcript

POLICY = 'local_domains = [ "example.net" ];\ncheck = { disable = [ "early_talk", "iprev" ]; };\n'
SCRIPT = "@connect 192.0.2.1\nEHLO mail.example.org\nMAIL FROM:<a@example.org>\nRCPT TO:<b@example.net>\nQUIT\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policy.conf").write_text(POLICY)
    (tmp_path / "script").write_text(SCRIPT)
    return tmp_path


def test_replay(folder, capsys):
    assert main(["replay", "-c", str(folder / "policy.conf"), str(folder / "script")]) == 0
    assert "RCPT <b@example.net> -> 250 2.1.5 recipient ok\n" in capsys.readouterr().out
    assert main(["replay", "--json", "-c", str(folder / "policy.conf"), str(folder / "script")]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["event"] for e in events] == ["connect", "helo", "mail", "rcpt", "quit"]


def test_lint(folder, capsys):
    assert main(["lint", str(folder / "policy.conf")]) == 0
    (folder / "bad.conf").write_text("no_such = 1;\n")
    assert main(["lint", str(folder / "bad.conf")]) == 1
    assert "bad.conf:1: no such option: no_such" in capsys.readouterr().out
    (folder / "odd.conf").write_text('profiles = ( { name = "default"; reject = 6.0; tag = 8.0; } );\n')
    assert main(["lint", str(folder / "odd.conf")]) == 1
    assert "odd.conf:1:" in capsys.readouterr().out


def test_trouble_is_one_line(folder, capsys):
    assert main(["replay", "-c", str(folder / "nothing"), str(folder / "script")]) == 2
    assert main(["greylist", str(folder / "nothing")]) == 2
    assert main(["greylist", str(folder / "policy.conf")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 3 and "Traceback" not in err and "in memory" in err


def serve(policy, folder, *options):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "smtpfilter", "serve", str(policy), "--listen", "127.0.0.1:%d" % port, "--maildir",
                                str(folder / "mail"), *options], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process, port
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate()[1])


def converse(port, *lines):
    with socket.create_connection(("127.0.0.1", port), 10) as s, s.makefile("rb") as f:
        for line in ("", *lines):
            if line:
                s.sendall(line.encode() + b"\r\n")
            while (got := f.readline())[3:4] == b"-":
                pass
    return got


def test_serve_and_greylist(folder, capsys):
    pytest.importorskip("aiosmtpd")
    (folder / "store").mkdir()
    policy = folder / "grey.conf"
    policy.write_text(POLICY + 'store = { type = "lmdb"; path = "%s"; }; greylist = { wait = "1s"; };\n'
                      'profiles = ( { name = "default"; greylist = true; } );\n' % (folder / "store"))
    process, port = serve(policy, folder)
    try:
        begin = ("EHLO mail.example.org", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>")
        assert converse(port, *begin).startswith(b"451")
        time.sleep(2.1)
        assert converse(port, *begin, "DATA", "Subject: x\r\n\r\nx\r\n.").startswith(b"250")
    finally:
        process.send_signal(signal.SIGTERM)
        err = process.communicate(timeout=20)[1]
    assert process.returncode == 0 and err.startswith("smtpfilter: listening on") and err.count("\n") == 1, err
    assert len(os.listdir(folder / "mail" / "b@example.net" / "new")) == 1
    capsys.readouterr()
    assert main(["greylist", "--json", str(policy)]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"triplet", "client"} == {e["kind"] for e in entries}
    (triplet,) = [e for e in entries if e["kind"] == "triplet"]
    assert (triplet["state"], triplet["recipient"], triplet["passes"]) == ("known", "b@example.net", 1)
    assert main(["greylist", "--state", "waiting", str(policy)]) == 0 and not capsys.readouterr().out


@pytest.mark.parametrize("text, what", [
    ("@nothing\n", "script:1: no such directive: @nothing"),
    ("# x\n@connect\n", "script:2: too few arguments: connect"),
    ("@advance 5y\n", "expected a time"),
    ("@overrule rcpt 200\n", "expected a reply code from 400 to 599"),
    ("@finding rcpt family=client\n", "expected check=NAME"),
    ("@finding rcpt check=x kind=unknown score=5\n", "what is unknown has no score"),
    ("@finding rcpt check=x score=a\n", "expected a score"),
    ("@scanner x\n", "expected what it answers"),
    ("@raw \\q\n", "expected \\r \\n"),
    ("@file nothing.eml\n", "No such file"),
    ("@commit perhaps\n", "expected one of ok, failed, refused: perhaps"),
])
def test_scripts_that_cannot_be_read(text, what):
    with pytest.raises(ScriptError) as e:
        Script(text)
    assert what in str(e.value)


def test_a_message_that_is_typed():
    script = Script("DATA\nSubject: x\n\n..x\n.\nDATA\n@raw a\\r\\n\\x41\n# comment\nQUIT\r\n")
    assert [(i.kind, i.bytes) for i in script.items] == [
        ("bytes", b"DATA\r\n"), ("message", b"Subject: x\r\n\r\n..x\r\n.\r\n"), ("bytes", b"DATA\r\n"), ("message", b"a\r\nA"),
        ("bytes", b"QUIT\r\n")]


def test_a_player_plays_again_and_again():
    script = Script(SCRIPT)
    player = Player(POLICY, scripts=[script])
    assert [str(r) for r in player.play(script)] == [str(r) for r in player.play(script)]


def test_pages_that_are_none():
    for text in ("# nothing\n", "```script\nQUIT\n```\n", "```log\n```\n```nonsense\n```\n"):
        with pytest.raises(ScriptError):
            Transcript(text)


def test_hosts_are_those_of_the_tool():
    tool = os.path.join(os.environ.get("SMTPF_BUILD", "."), "smtpf-replay")
    if not os.access(tool, os.X_OK):
        pytest.skip("smtpf-replay is not built here")
    said = subprocess.run([tool, "--host", "nothing", "-"], capture_output=True, text=True, timeout=20, check=False).stderr
    assert said.rpartition("expected ")[2].split() == list(HOSTS)
