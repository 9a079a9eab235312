# SPDX-License-Identifier: MIT
"""The examples: what they are, and that they do it."""
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from smtpfilter import Config, Driver, Engine, Session, zone

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples")


def started(name, *args, ready):
    process = subprocess.Popen([sys.executable, os.path.join(EXAMPLES, name), *args], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        if ready():
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate()[1])


def test_a_server_in_ten_lines():
    with open(os.path.join(EXAMPLES, "maildir.py"), encoding="utf-8") as f:
        code = [line for line in f if line.strip() and not line.startswith("#")]
    assert len(code) <= 10


def test_maildir(tmp_path):
    pytest.importorskip("aiosmtpd")
    (tmp_path / "policy.conf").write_text('local_domains = [ "example.net" ]; check = { disable = [ "iprev" ]; };')
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]

    def ready():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    process = started("maildir.py", str(tmp_path / "policy.conf"), str(port), str(tmp_path / "mail"), ready=ready)
    with socket.create_connection(("127.0.0.1", port), 10) as s, s.makefile("rb") as f:
        for line in ("", "EHLO mail.example.org", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA", "Subject: x\r\n\r\nx\r\n.", "QUIT"):
            if line:
                s.sendall(line.encode() + b"\r\n")
            while (got := f.readline())[3:4] == b"-":
                pass
            assert got[:1] in b"23", got
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == "" and process.returncode == 0
    assert len(os.listdir(tmp_path / "mail" / "b@example.net" / "new")) == 1


POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev" ]; };
scanners = ( { name = "asked"; type = "clamd"; kind = "spam"; servers = [ "unix:%s" ]; score = 6.0; on_unknown = "accept"; } );
profiles = ( { name = "default"; reject = 10.0; tag = 5.0; } );
"""


def test_a_check_that_is_asked_over_a_socket(tmp_path):
    path = str(tmp_path / "asked.sock")
    process = started("asked.py", path, ready=lambda: os.path.exists(path))
    found = []
    with Engine(Config(log=None).loads(POLICY % path)) as engine, Driver(engine, resolver=zone("")) as driver, Session(driver) as s:
        s.connect("192.0.2.1")
        s.helo("mail.example.org")
        for subject in ("HELLO HELLO HELLO", "hello", "gone"):
            if subject == "gone":
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=20)
            s.mail("a@example.org")
            s.rcpt("b@example.net")
            s.data()
            s.body(b"From: a@example.org\r\nSubject: %s\r\n\r\nx\r\n" % subject.encode())
            verdict = s.eom()
            found.append((verdict.recipients[0].disposition.name, verdict.evidence[-1].code))
            s.commit()
    assert found[0] == ("TAGGED", "found") and found[1] == ("DELIVERED", "clean") and found[2][0] == "DELIVERED" and found[2][1] != "clean", found
