#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python-live: aiosmtpd with our handler, and real clients against it: swaks and smtp-source. A blocklist, a greylist,
recipients who wish different things, a scanner (clamd), forwards of what is not spam, smuggling, and many at once. What
the client was told, and what lies in the Maildirs.

Last line: one of JSON. Without arguments everything; words choose cases.
"""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))
from nameserver import Nameserver  # noqa: E402

PYTHON = sys.executable
VIRUS = "a marker that is a virus here"
TABLE = {("2.0.0.127.bl.example", "A"): ["127.0.0.2"], ("2.0.0.127.bl.example", "TXT"): ["seen sending spam"],
         ("elsewhere.example", "MX"): ["10 mx.elsewhere.example"], ("mx.elsewhere.example", "A"): ["127.0.0.1"],
         ("example.org", "MX"): ["10 mail.example.org"], ("mail.example.org", "A"): ["127.0.0.1"]}
BASE = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev" ]; };
resolver = { servers = [ "127.0.0.1:%(dns)d" ]; };
"""
FAILED, PASSED, SKIPPED = [], [], []


def check(what, good, seen=""):
    (PASSED if good else FAILED).append(what)
    print("%s %s%s" % ("ok  " if good else "FAIL", what, "" if good else ": %r" % (seen,)), flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One server in a folder of its own; ended by its pid."""

    def __init__(self, name, policy, *options):
        self.folder = os.path.join(World.folder, name)
        self.mail, self.port = os.path.join(self.folder, "mail"), free_port()
        os.makedirs(self.mail)
        path = os.path.join(self.folder, "policy.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write((BASE + policy) % {"dns": World.dns.port, "folder": self.folder})
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.process = subprocess.Popen([PYTHON, os.path.join(HERE, "live_server.py"), path, str(self.port), self.mail, *options],
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def __enter__(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        said = self.said()
        self.__exit__()
        raise RuntimeError("the server did not start: " + said)

    def said(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-3000:]

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        check("%s: it ended well, and said nothing" % os.path.basename(self.folder),
              self.process.returncode == 0 and not self.said(), (self.process.returncode, self.said()))
        self.log.close()

    def messages(self, address, folder=""):
        found = []
        for path in sorted(glob.glob(os.path.join(glob.escape(self.mail), glob.escape(address), folder, "new", "*"))):
            with open(path, "rb") as f:
                found.append(f.read().decode("utf-8", "replace"))
        return found


class World:
    folder = dns = None


def swaks(server, *options, source="127.0.0.1", body="This is a test.\n", subject="test", to="b@example.net"):
    """The replies of one conversation, in order, as `(code, text)`."""
    argv = ["swaks", "--server", "127.0.0.1:%d" % server.port, "--local-interface", source, "--helo", "mail.example.org", "--from",
            "a@example.org", "--to", to, "--header", "Subject: " + subject, "--body", body, "--timeout", "30", *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False)
    replies = re.findall(r"^<(?:-|\*\*|~) +(\d\d\d)[ -](.*)$", done.stdout, re.M)
    return [(int(code), text) for code, text in replies] or [(0, done.stdout + done.stderr)]


def blocklist():
    """Listed at bl.example, so refused at RCPT, with the list's own words."""
    with Server("blocklist", 'dnslists = ( { zone = "bl.example"; codes = ( { match = "127.0.0.2"; score = 10.0; } ); } );') as s:
        listed, other = swaks(s, source="127.0.0.2"), swaks(s, source="127.0.0.9")
        refused = [r for r in listed if r[0] >= 500]
        check("blocklist: who is listed is refused at RCPT", len(refused) == 1 and refused[0][0] == 550, listed)
        check("blocklist: another client's mail is taken", other[-2][0] == 250 and len(s.messages("b@example.net")) == 1, other)


def greylist():
    """First sight 451, again after the wait 250; the record is on disk, so that a restart forgets nothing."""
    policy = 'greylist = { wait = "2s"; }; store = { type = "lmdb"; path = "%(folder)s"; }; profiles = ( { name = "default"; greylist = true; } );'
    with Server("greylist", policy) as s:
        first, soon = swaks(s, source="127.0.0.5"), swaks(s, source="127.0.0.5")
        check("greylist: the first attempt is put off", any(r[0] == 451 for r in first) and not s.messages("b@example.net"), first)
        check("greylist: so is one that comes too soon", any(r[0] == 451 for r in soon), soon)
        time.sleep(2.5)
        later = swaks(s, source="127.0.0.5")
        check("greylist: it is taken after the wait", later[-2][0] == 250 and len(s.messages("b@example.net")) == 1, later)


WISHES = """
rules = { files = [ "%(folder)s/rules" ]; };
profiles = ( { name = "default"; reject = 8.0; },
             { name = "quarantine"; inherit = "default"; reject = "off"; quarantine = 5.0; },
             { name = "tag"; inherit = "default"; reject = "off"; tag = 5.0; },
             { name = "discard"; inherit = "default"; reject = 20.0; discard = 8.0; } );
recipients = ( { address = "quarantine@example.net"; profile = "quarantine"; }, { address = "tag@example.net"; profile = "tag"; },
               { address = "discard@example.net"; profile = "discard"; }, { address = "strict@example.net"; } );
"""
RULES = """
rule ADVERTISEMENT
  match header Subject /buy now/i
  score 10
"""


def wishes():
    """One message, four wishes: with LMTP and PRDR each has its own; with plain SMTP they come one after the other."""
    everybody = "strict@example.net,quarantine@example.net,tag@example.net,discard@example.net"
    for name, options, client in (("lmtp", ("--lmtp",), ("--protocol", "LMTP")), ("prdr", (), ("--prdr",)), ("smtp", (), ())):
        os.makedirs(os.path.join(World.folder, "wishes-" + name))
        with open(os.path.join(World.folder, "wishes-" + name, "rules"), "w", encoding="ascii") as f:
            f.write(World.rules)
        with Server("wishes-" + name, WISHES, *options) as s:
            got = swaks(s, *client, subject="buy now", to=everybody)
            codes = [code for code, _ in got]
            if name == "smtp":
                check("wishes, smtp: who would wish otherwise is put off to a message of its own", 452 in codes, got)
                check("wishes, smtp: nobody has a copy against the wish of the first", not s.messages("strict@example.net"), got)
                continue
            check("wishes, %s: refused for who wishes that alone" % name,
                  codes.count(550) + codes.count(554) == 1 and codes.count(250) >= 3, got)
            check("wishes, %s: quarantined" % name, len(s.messages("quarantine@example.net", ".Quarantine")) == 1, got)
            marked = s.messages("tag@example.net")
            check("wishes, %s: tagged" % name, len(marked) == 1 and "\nX-Smtpfilter: tagged" in marked[0], (got, marked))
            check("wishes, %s: discarded and refused are nowhere" % name,
                  not s.messages("discard@example.net") and not s.messages("strict@example.net"), got)


def clamd(folder):
    """A clamd with one signature of ours; None where there is none."""
    program = os.environ.get("SMTPF_CLAMD") or shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin:/sbin")
    if not program:
        return None
    os.makedirs(os.path.join(folder, "db"))
    with open(os.path.join(folder, "db", "own.ndb"), "w", encoding="ascii") as f:
        f.write("Own.Marker:0:*:%s\n" % VIRUS.encode().hex())
    conf = os.path.join(folder, "clamd.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write("Foreground yes\nLocalSocket %s/clamd.sock\nDatabaseDirectory %s/db\nTemporaryDirectory %s\nLogFile %s/clamd.log\n"
                % (folder, folder, folder, folder))
        if os.getuid() == 0:
            f.write("User root\n")
    process = subprocess.Popen([program, "--config-file=" + conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(folder + "/clamd.sock")
                return process
            except OSError:
                time.sleep(0.1)
    process.kill()
    process.wait()
    return None


def scanner():
    """clamd finds what is in its signatures; stopped, its silence is never `clean` and never a 5xx."""
    folder = os.path.join(World.folder, "clamd")
    os.makedirs(folder)
    daemon = clamd(folder)
    if daemon is None:
        SKIPPED.append("scanner: no clamd (Debian package clamav-daemon)")
        print("SKIP " + SKIPPED[-1])
        return
    try:
        with Server("scanner", 'scanners = ( { name = "antivirus"; type = "clamd"; kind = "virus"; servers = [ "unix:%s/clamd.sock" ];'
                    ' timeout = "5s"; } );' % folder) as s:
            clean = swaks(s, subject="clean")
            check("scanner: clean mail is taken", clean[-2][0] == 250 and len(s.messages("b@example.net")) == 1, clean)
            virus = swaks(s, body="here is %s\n" % VIRUS)
            check("scanner: what is found is refused", virus[-2][0] in (550, 554), virus)
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(20)
            down = swaks(s, subject="unseen")
            check("scanner: without an answer it is put off, not refused", down[-2][0] == 451, down)
            check("scanner: only the clean one was delivered", len(s.messages("b@example.net")) == 1)
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()


class Sink:
    """The server that forwards go to: aiosmtpd, which keeps what it gets, and refuses who is called `nobody`."""

    def __init__(self):
        from aiosmtpd.controller import Controller
        self.got, self.port = [], free_port()
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, server_hostname="mx.elsewhere.example")

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        self.got.append((envelope.mail_from, envelope.rcpt_tos, envelope.content.decode("utf-8", "replace")))
        return "250 2.0.0 queued"

    def __enter__(self):
        self.controller.start()
        return self

    def __exit__(self, *exc):
        self.controller.stop()


FORWARDS = """
rules = { files = [ "%(folder)s/rules" ]; };
profiles = ( { name = "default"; reject = "off"; tag = 5.0; } );
srs = { domain = "srs.example.net"; keys = [ "a secret that nobody else has" ]; };
recipients = ( { address = "away@example.net"; route = "forward-nonspam"; forward = "me@elsewhere.example"; },
               { address = "gone@example.net"; route = "forward-nonspam"; forward = "nobody@elsewhere.example"; } );
"""


def forward():
    """What is known not to be spam goes on, with a sender that leads back; what is marked stays in the mailbox."""
    os.makedirs(os.path.join(World.folder, "forward"))
    with open(os.path.join(World.folder, "forward", "rules"), "w", encoding="ascii") as f:
        f.write(World.rules)
    with Sink() as sink, Server("forward", FORWARDS, "--relay", str(sink.port)) as s:
        clean = swaks(s, to="away@example.net", subject="clean")
        check("forward: what is clean goes on", clean[-2][0] == 250 and len(sink.got) == 1 and sink.got[0][1] == ["me@elsewhere.example"],
              (clean, sink.got))
        check("forward: its sender leads back here", bool(sink.got) and sink.got[0][0].endswith("@srs.example.net"), sink.got)
        spam = swaks(s, to="away@example.net", subject="buy now")
        kept = s.messages("away@example.net")
        check("forward: what is marked stays here", spam[-2][0] == 250 and len(sink.got) == 1 and len(kept) == 1
              and "\nX-Smtpfilter: tagged" in kept[0], (spam, kept))
        refused = swaks(s, to="gone@example.net", subject="refused")
        check("forward: what the target refuses is refused here, while the client is there",
              refused[-2][0] in (550, 554) and len(sink.got) == 1, refused)


def raw(server, data):
    """The codes of what the server says to these bytes, sent at once."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        s.sendall(data)
        s.settimeout(5)
        out = b""
        try:
            while piece := s.recv(65536):
                out += piece
        except socket.timeout:
            out += b"\r\n000 timeout\r\n"
    return [int(line[:3]) for line in out.split(b"\r\n") if re.match(rb"\d\d\d ", line)]


def smuggling():
    """A message ends with CRLF, a dot and CRLF; whatever else may look like it is refused with the message."""
    begin = b"EHLO mail.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
    second = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
    for name, options in (("ours", ()), ("stock", ("--stock",))):
        with Server("smuggling-" + name, "", *options) as s:
            for what in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r.\r\n", b"\n\n.\r\r\n"):
                codes = raw(s, begin + b"Subject: first\r\n\r\nx" + what + second + b"QUIT\r\n")
                check("smuggling, %s: %r ends no message" % (name, what), codes.count(250) <= 4 and not s.messages("b@example.net"), codes)
            good = raw(s, begin + b"Subject: one\r\n\r\n..dot\r\n.\r\n" + second + b"QUIT\r\n")
            got = s.messages("b@example.net")
            check("smuggling, %s: two messages in one packet are two" % name, len(got) == 2 and "\n.dot\n" in got[0] + got[1], (good, got))


def many():
    """smtp-source with twenty sessions: every message that was answered for is there, once."""
    with Server("many", "") as s:
        begun = time.monotonic()
        done = subprocess.run(["smtp-source", "-s", "20", "-l", "2048", "-m", "1000", "-f", "a@example.org", "-t", "b@example.net",
                               "-M", "mail.example.org", "127.0.0.1:%d" % s.port], capture_output=True, text=True, timeout=180, check=False)
        took = time.monotonic() - begun
        got = len(s.messages("b@example.net"))
        check("many: a thousand messages in twenty sessions, each there once", done.returncode == 0 and got == 1000, (got, done.stderr))
        with Server("abort", "") as other:
            ended = subprocess.Popen(["smtp-source", "-s", "50", "-l", "200000", "-m", "1000", "-f", "a@example.org", "-t", "b@example.net",
                                      "-M", "mail.example.org", "127.0.0.1:%d" % other.port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(1.0)
            ended.kill()
            ended.wait()
            after = swaks(other, subject="after")
            check("many: fifty clients that vanish leave a server that goes on", after[-2][0] == 250, after)
    return round(1000 / took, 1)


ASKED = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo" ]; };
scanners = ( { name = "asked"; type = "clamd"; kind = "spam"; servers = [ "unix:%s" ]; score = 6.0; on_unknown = "accept"; } );
profiles = ( { name = "default"; reject = 10.0; tag = 5.0; } );
"""


def asked():
    """A check in Python that smtpf-milter asks over a socket (examples/asked.py)."""
    build = os.environ.get("builddir", "")
    if not os.access(os.path.join(build, "smtpf-milter"), os.X_OK):
        SKIPPED.append("asked: no smtpf-milter")
        print("SKIP " + SKIPPED[-1])
        return
    folder, here = os.path.join(World.folder, "asked"), os.getcwd()
    os.makedirs(folder)
    path = os.path.join(folder, "asked.sock")
    process = subprocess.Popen([PYTHON, os.path.join(HERE, "..", "examples", "asked.py"), path])
    os.chdir(build)
    sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "tests", "interop"))
    try:
        import milter
        end = time.monotonic() + 20
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.05)
        server = milter.Server(folder, ASKED % path)
        try:
            for subject, mark in (("HELLO HELLO HELLO", True), ("hello", False)):
                with milter.Mta(server.port) as m:
                    m.open("<b@example.net>")
                    changes, answer = m.message(subject, From="a@example.org")
                    check("asked: %r is %s" % (subject, "marked" if mark else "let through"),
                          answer in ("accept", "continue") and mark == any(b"X-Smtpfilter" in what for _, what in changes), (changes, answer))
        finally:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(20)
    finally:
        os.chdir(here)
        process.terminate()
        process.wait(20)


def readme():
    """The two commands of the README, in a fresh virtual environment, and a message for what then listens."""
    top = os.path.join(HERE, "..", "..", "..")
    with open(os.path.join(HERE, "..", "README.md"), encoding="utf-8") as f:
        install, serve = re.search(r"^```sh\n(.*?)\n(.*?)\n```$", f.read(), re.M | re.S).groups()
    folder = os.path.join(World.folder, "readme")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SMTPFILTER"))}
    subprocess.run([PYTHON, "-m", "venv", folder], check=True, capture_output=True, timeout=120, env=env)
    env["PATH"] = os.path.join(folder, "bin") + os.pathsep + env["PATH"]
    done = subprocess.run(install, shell=True, cwd=top, env=env, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode and re.search("No matching distribution|Could not fetch|connection|Temporary failure", done.stdout + done.stderr, re.I):
        SKIPPED.append("readme: pip cannot reach a package index")
        print("SKIP " + SKIPPED[-1])
        return
    check("readme: the first command installs it", done.returncode == 0, (done.stdout + done.stderr)[-2000:])
    server = subprocess.Popen("exec " + serve, shell=True, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
    try:
        said = server.stderr.readline()
        check("readme: the second command listens", "listening on 127.0.0.1:8025" in said, said)
        server.port = 8025
        got = swaks(server)
        check("readme: it takes a message", got[-2][0] == 250 and glob.glob(folder + "/mail/b@example.net/new/*"), got)
        check("readme: it relays none", any(r[0] == 550 for r in swaks(server, to="b@elsewhere.example")))
    finally:
        server.terminate()
        server.wait(20)


CASES = {f.__name__: f for f in (blocklist, greylist, wishes, scanner, forward, smuggling, many, asked, readme)}


def main():
    python = os.environ.get("PYTHON")
    if python and not os.path.samefile(shutil.which(python) or sys.executable, sys.executable):
        os.execv(shutil.which(python), [python, os.path.abspath(__file__), *sys.argv[1:]])
    try:
        subprocess.run([PYTHON, "-c", "import smtpfilter.aiosmtpd"], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as e:
        print("SKIP the package smtpfilter, or aiosmtpd, cannot be imported: " + e.stderr.strip().splitlines()[-1])
        sys.exit(77)
    for program in ("swaks", "smtp-source"):
        if not shutil.which(program):
            print("SKIP no %s" % program)
            sys.exit(77)
    World.folder, World.rules, figures = tempfile.mkdtemp(prefix="smtpf-live-"), RULES, {}
    try:
        with Nameserver(TABLE) as World.dns:
            for name in sys.argv[1:] or CASES:
                figures[name] = CASES[name]()
    finally:
        shutil.rmtree(World.folder, ignore_errors=True)
    print("%d passed, %d failed, %d skipped" % (len(PASSED), len(FAILED), len(SKIPPED)))
    print(json.dumps({"name": "python-live", "cases": len(PASSED) + len(FAILED), "failed": len(FAILED), "skipped": len(SKIPPED),
                      "messages_per_second": figures.get("many")}))
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
