#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-milter before an MTA of our own: every answer and change on the wire, old versions of the protocol, and MTAs
that keep to no protocol at all."""
import grp
import os
import shlex
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import milter  # noqa: E402
import milter_spared  # noqa: E402
import milter_unanswered  # noqa: E402
import watched  # noqa: E402
from milter import LEADSPC, NR_BODY, NR_EOH, NR_HDR, RCPT_REJ, SKIP, Closed, Mta, check  # noqa: E402

POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo", "forward_target" ]; };
addrlists = ( { name = "listed"; entries = [ "192.0.2.66", "2001:db8::66" ]; score = 20.0; text = "50%% sure"; } );
rules = { files = [ "%(tmp)s/rules" ]; };
scanners = ( { name = "copy"; type = "command"; kind = "virus"; refuse = true; command = [ "%(tmp)s/copy" ]; } );
profiles = ( { name = "default"; reject = 15.0; },
             { name = "discards"; reject = "off"; discard = 5.0; },
             { name = "tags"; inherit = "default"; tag = 5.0; },
             { name = "held"; inherit = "default"; quarantine = 5.0; } );
recipients = ( { address = "b@example.net"; }, { address = "c@example.net"; },
               { address = "discards@example.net"; profile = "discards"; }, { address = "also@example.net"; profile = "discards"; },
               { address = "tags@example.net"; profile = "tags"; }, { address = "held@example.net"; profile = "held"; },
               { address = "grey@example.net"; greylist = true; },
               { address = "goes@example.net"; route = "forward"; forward = "me@elsewhere.example"; forward_sender = "out@example.net"; } );
budget = { deferrals = 5; };
milter = { progress = "200ms"; socket_mode = "0620"; drain = "20s"; %(more)s };
%(rest)s
"""
RULES = "rule SPAM\n  match header Subject /SPAM/\n  score 6\n"
COPY = """#!/bin/sh
cat >%(tmp)s/copied
case $(cat %(tmp)s/copied) in *slow*) sleep 1 ;; esac
"""
PATIENT = "budget = { deferrals = 5; };"
ALONE = "budget = { deferrals = 0; };"


def policy(tmp, more="", rest=""):
    with open(tmp + "/rules", "w", encoding="ascii") as f:
        f.write(RULES)
    with open(tmp + "/copy", "w", encoding="ascii") as f:
        f.write(COPY % {"tmp": tmp})
    os.chmod(tmp + "/copy", 0o755)
    return POLICY % {"tmp": tmp, "more": more, "rest": rest}


def copied(tmp):
    with open(tmp + "/copied", "rb") as f:
        return f.read()


# ---- what is said ---------------------------------------------------------------------------------------------------


def negotiates(port):
    with Mta(port) as m:
        check("version 6", m.terms == (6, 0x17d, NR_HDR | NR_EOH | NR_BODY | LEADSPC | SKIP | RCPT_REJ), [hex(t) for t in m.terms])
        check("macros it wants", m.symbols.get(2) == "i {auth_type} {auth_authen}" and "{tls_version}" in m.symbols.get(1, "") and
              m.symbols.get(3) == "i {rcpt_mailer} {rcpt_host}", m.symbols)
        check("no client needed to quit", m.send("Q") is None)
    with Mta(port, version=2, actions=0x3f, protocol=0x7f) as m:
        check("version 2", m.terms[0] == 2 and not m.terms[2] and not m.symbols, m.terms)
    with Mta(port, version=1, negotiate=False) as m:
        m.send("O", struct.pack(">III", 1, 0xf, 0x3f))
        check("version 1: closed", closes(m))
    with Mta(port) as m:  # a second time on one connection
        m.send("O", struct.pack(">III", 6, 1, 0))
        check("negotiated anew", m.read()[1] == struct.pack(">III", 6, 1, 0))


def closes(m):
    try:
        while m.s.recv(65536):
            pass
        return True
    except ConnectionResetError:
        return True
    except socket.timeout:
        return False


def refuses(port):
    for address, name in (("192.0.2.66", "a listed client"), ("IPv6:2001:db8::66", "in Sendmail's spelling"),
                          ("2001:DB8:0:0:0:0:0:66", "in another one")):
        with Mta(port) as m:
            m.connect(address)
            m.helo()
            m.mail()
            got = m.rcpt("<b@example.net>")
            check("refused: " + name, got.startswith("550 5.7.1 ") and got.endswith(" 50%% sure"), got)
            check("and the next", m.rcpt("<c@example.net>") == got)
    with Mta(port) as m:
        check("no address at all", m.connect(None) == "continue" and m.helo() == "continue")
        got = m.mail("a@example.org", "SIZE=10", "BODY=8BITMIME")
        check("a path without brackets, parameters", got == "continue", got)
        got = m.rcpt("<b@elsewhere.example>")
        check("relaying", got.startswith("550 5.7.1 "), got)
        check("the others are taken", m.rcpt("<b@example.net>") == "continue")
    with Mta(port) as m:
        m.connect()
        got = m.rcpt("<b@example.net>")
        check("RCPT before MAIL", got.startswith("503 5.5.1 "), got)
        got = m.ask("U", b"WHAT is this\0")
        check("an unknown command", got.startswith("5"), got)


def macros(server, port):
    with Mta(port) as m:
        m.connect()
        m.macro("H", tls_version="TLSv1.3", cipher="AES")
        m.helo()
        m.macro("M", i="", auth_type="PLAIN", auth_authen="alice")
        m.mail("<alice@example.net>")
        check("who has authenticated herself may relay", m.rcpt("<x@elsewhere.example>") == "continue")
        m.macro("R", i="QUEUE1")
        m.rcpt("<b@example.net>")
        m.message("macros")
        check("the queue id, once there is one", server.logged("queue=QUEUE1 event=end-of-message"))
        m.macro("H", tls_version="TLSv1.2", cipher="AES")
        m.helo()
        m.macro("M", auth_type="PLAIN", auth_authen="alice")
        check("a second message of hers, with TLS begun in between", m.mail("<alice@example.net>") == "continue" and m.rcpt("<x@elsewhere.example>") == "continue")
        m.send("K")
        m.connect()
        m.helo()
        m.mail()
        got = m.rcpt("<x@elsewhere.example>")
        check("the next client is not her", got.startswith("550"), got)


# ---- messages ----------------------------------------------------------------------------------------------------------


WHOLE = b"Subject: x\r\nX-Tight:none\r\nX-Long: one\r\n\ttwo\r\n three\r\nX-Empty:\r\n\r\nline\r\n.dot\r\n\r\nend\r\n"


def as_it_came(tmp, port):
    with Mta(port) as m:
        m.open("<b@example.net>")
        m.ask("T")
        for name, value in (("Subject", " x"), ("X-Tight", "none"), ("X-Long", " one\n\ttwo\n three"), ("X-Empty", "")):
            m.send("L", name.encode() + b"\0" + value.encode() + b"\0")
        m.eoh()
        for piece in (b"line\r\n.do", b"t\r\n\r\nen", b""):
            m.body(piece)
        got = m.end(b"d\r\n")
        check("taken", got == ([], "continue"), got)
    check("the message is what the client sent", copied(tmp) == WHOLE, copied(tmp))
    with Mta(port, protocol=0x7f, version=2, actions=0x3f) as m:
        m.open("<b@example.net>")
        check("version 2: each piece is answered", (m.header("Subject", "y"), m.eoh(), m.body(b"z\r\n")) == ("continue",) * 3)
        got = m.end()
        check("and the end", got == ([], "continue") and copied(tmp) == b"Subject: y\r\n\r\nz\r\n", (got, copied(tmp)))
    with Mta(port) as m:  # no EOH, no body
        m.open("<b@example.net>")
        m.ask("T")
        m.header("Subject", "bare")
        check("a header alone", m.end() == ([], "continue") and copied(tmp) == b"Subject: bare\r\n\r\n", copied(tmp))
    with Mta(port) as m:
        m.open("<b@example.net>")
        big = os.urandom(24000).hex().encode() + b"\r\n"
        m.ask("T")
        m.send("L", b"X-Big\0 " + b"y" * 100000 + b"\0")
        m.eoh()
        for _ in range(20):
            m.body(big * 1)
        got = m.end()
        check("large pieces", got[1] == "continue" and len(copied(tmp)) == 100000 + 9 + 2 + 20 * len(big), (got, len(copied(tmp))))


def number(change):
    return struct.unpack(">I", change[1][:4])[0], change[1][4:]


def changes(server, port, text):
    with Mta(port) as m:
        m.open("<tags@example.net>")
        got, end = m.message("SPAM", X_Smtpfilter="forged 1", x_smtpfilter="forged 2")
        check("marks: the forged go, the last first; ours comes",
              [(c, number((c, d))[0], d[4:].split(b"\0")[0].lower()) for c, d in got] ==
              [("m", 2, b"x-smtpfilter"), ("m", 1, b"x-smtpfilter"), ("i", 0, b"x-smtpfilter")] and end == "continue", (got, end))
        check("marks: deleted by an empty value", [d[4:].split(b"\0")[1] for c, d in got if c == "m"] == [b"", b""], got)
        check("marks: with its blank", got[-1][1][4:].split(b"\0")[1].startswith(b" tagged; score=6"), got)
    with Mta(port, protocol=milter.PROTOCOL & ~LEADSPC) as m:
        m.open("<tags@example.net>")
        got, _ = m.message("SPAM")
        check("marks: without it", got[0][1][4:].split(b"\0")[1].startswith(b"tagged; score=6"), got)
    with Mta(port) as m:
        m.open("<discards@example.net>", "<also@example.net>")
        check("all wish it dropped", m.message("SPAM") == ([], "discard"))
        m.mail()
        m.rcpt("<discards@example.net>")
        check("a good one is not", m.message("ham") == ([], "continue"))
    with Mta(port) as m:
        m.open("<held@example.net>")
        got, end = m.message("SPAM")
        check("held, and why", end == "continue" and [c for c, _ in got] == ["q"] and b"SPAM" in got[0][1] and got[0][1].endswith(b"\0"), (got, end))
    with Mta(port) as m:
        m.open("<goes@example.net>")
        got, end = m.message("on")
        check("forwarded", end == "continue" and got == [
            ("-", b"<goes@example.net>\0"), ("+", b"<me@elsewhere.example>\0"), ("e", b"<out@example.net>\0"),
            ("i", b"\0\0\0\0Delivered-To\0 goes@example.net\0")], (got, end))
    server.reload(text.replace(PATIENT, ALONE))
    with Mta(port) as m:
        m.open("<b@example.net>", "<discards@example.net>", "<c@example.net>", "<also@example.net>")
        got, end = m.message("SPAM")
        check("exactly those who wish it are deleted", [x for x in got if x[0] == "-"] ==
              [("-", b"<discards@example.net>\0"), ("-", b"<also@example.net>\0")] and end == "continue", (got, end))
    with Mta(port, actions=0) as m:
        m.open("<b@example.net>", "<discards@example.net>")
        got, end = m.message("SPAM")
        check("an MTA that allows no change is asked for none", got == [] and end == "continue", (got, end))
    with Mta(port, actions=0) as m:
        m.open("<goes@example.net>")
        check("nor to forward", m.message("on") == ([], "continue") and server.logged("lets nobody change recipients"))
    server.reload(text)


def later(port):
    with Mta(port) as m:
        m.open("<grey@example.net>", sender="<>")
        got = m.ask("T")
        check("the null sender is put off at DATA", got.startswith("451 4.7.1 "), got)
    with Mta(port, version=2, actions=0x3f, protocol=0x7f) as m:
        m.open("<grey@example.net>", sender="<>")
        pieces = (m.header("Subject", "x"), m.eoh(), m.body(b"y\r\n"))
        check("where there is no DATA, the message goes on", pieces == ("continue",) * 3, pieces)
        got = m.end()
        check("and is put off at its end", got[0] == [] and got[1].startswith("451 4.7.1 "), got)
        check("the next is judged anew", m.mail() == "continue" and m.rcpt("<b@example.net>") == "continue" and m.message("z")[1] == "continue")
    with Mta(port, version=6, protocol=SKIP) as m:
        m.open("<grey@example.net>", sender="<>")
        m.header("Subject", "x")
        m.eoh()
        check("or need not be sent at all", m.body(b"y\r\n") == "skip" and m.end()[1].startswith("451"))


def waits(server, port, text):
    with Mta(port) as m:
        m.open("<b@example.net>")
        begun = time.monotonic()
        got, end = m.message("slow")
        check("the MTA hears that the verdict is to come", end == "continue" and m.progress >= 3 and not got and
              time.monotonic() - begun > 0.9, (got, end, m.progress))
        m.mail()
        m.rcpt("<b@example.net>")
        check("and nothing more afterwards", m.message("quick") == ([], "continue") and m.silent(0.4))
    server.reload(text + 'delay = { rcpt = "600ms"; };')
    with Mta(port) as m:
        m.connect()
        m.helo()
        m.mail()
        begun = time.monotonic()
        check("delays", m.rcpt("<b@example.net>") == "continue" and time.monotonic() - begun > 0.5)
        m.send("R", b"<c@example.net>\0")
    with Mta(port) as m:  # gone while it was delayed: nobody is hurt
        m.open("<b@example.net>")
    server.reload(text)


# ---- order -------------------------------------------------------------------------------------------------------------


def aborts(server, port):
    with Mta(port) as m:
        m.send("A")
        m.connect()
        m.send("A")
        m.helo()
        m.mail()
        m.send("A")
        m.send("A")
        got = m.rcpt("<b@example.net>")
        check("after an abort there is no MAIL", got.startswith("503"), got)
        m.mail()
        m.rcpt("<b@example.net>")
        m.ask("T")
        m.header("Subject", "half")
        m.send("A")
        m.send("A")
        m.mail()
        m.rcpt("<b@example.net>")
        check("one message aborted, the next taken", m.message("whole") == ([], "continue"))
        m.send("A")
        check("nothing is said to an abort", m.silent())
        m.mail()
        m.rcpt("<c@example.net>")
        check("another MAIL takes back the one before", m.mail() == "continue" and m.rcpt("<b@example.net>") == "continue" and
              m.message("again") == ([], "continue") and "to=c@" not in server.log().splitlines()[-1])
        m.helo()
        check("a second greeting", m.mail() == "continue")
        m.send("K")
        m.send("K")
        got = m.mail()
        check("no client, no verdict", got.startswith("451 4.3.0"), got)
        check("but for a new one", m.connect("192.0.2.66") == "continue")
        m.helo()
        m.mail()
        check("who is judged for itself", m.rcpt("<b@example.net>").startswith("550"))
        m.connect("192.0.2.1")
        m.helo()
        m.mail()
        check("without K, too", m.rcpt("<b@example.net>") == "continue")
    check("it lives", server.process.poll() is None)


def refused_by_mta(server, port, text):
    """Recipients that the MTA has refused are told of; nothing is said of them, and they count."""
    with Mta(port) as m:
        m.open()
        check("one that the MTA refused", m.refused_rcpt("<nobody@example.net>") == "continue" and server.logged("refused-by-mta=5.1.1"))
        check("is none of the message's", m.ask("T").startswith("5"))
        check("one that we refuse too", m.refused_rcpt("<x@elsewhere.example>", "5.7.1") == "continue")
        m.refused_rcpt("<goes@example.net>", "4.3.0")
        check("the next is", m.rcpt("<b@example.net>") == "continue" and m.message("refused")[1] == "continue")
        last = [line for line in server.log().splitlines() if "event=end-of-message" in line][-1]
        check("and alone", " to=b@example.net " in last and "goes@" not in last, last)
    with Mta(port, protocol=milter.PROTOCOL & ~RCPT_REJ) as m:
        m.open()
        check("where that was not agreed, `error` is a mailer like others", m.refused_rcpt("<b@example.net>") == "continue" and m.message("x")[1] == "continue")
    server.reload(text + "limits = { errors = 4; };")
    with Mta(port) as m:
        m.open("<b@example.net>")
        for i in range(4):
            m.refused_rcpt("<nobody%d@example.net>" % i)
        got = m.rcpt("<b@example.net>")
        check("four of them, and the client is shown out", got.startswith("421 4.7.0 "), got)
    with Mta(port) as m:  # the last reply is one that the MTA does not ask for
        m.open("<b@example.net>")
        for i in range(4):
            m.refused_rcpt("<x%d@elsewhere.example>" % i)
        got = m.rcpt("<b@example.net>")
        check("also where we refused them ourselves", got.startswith("421 4.7.0 "), got)
        check("the next client is another", m.connect() == "continue" and m.helo() == "continue" and m.mail() == "continue")
        for i in range(3):
            got = m.rcpt("<x%d@elsewhere.example>" % i)
            check("refused: %d" % i, got.startswith("550"), got)
        got = m.rcpt("<x@elsewhere.example>")
        check("one error too many", got.startswith("421 4.7.0 too many errors"), got)
        got = m.mail()
        check("and nothing after it", got.startswith("4"), got)
    server.reload(text + "limits = { commands = 10; };")
    with Mta(port) as m:
        m.connect()
        m.helo()
        for _ in range(5):  # RSET is a command too, and has no answer
            m.mail()
            m.send("A")
        got = m.mail()
        check("over with a reset that nobody answers", got.startswith("421 "), got)
    server.reload(text)


def stream():
    """A whole client, as one MTA would send it."""
    p = Mta.packet
    head = p("C", b"m.example\0004\x9c\x40192.0.2.25\0") + p("H", b"m.example\0")
    one = p("M", b"<a@example.org>\0") + p("R", b"<b@example.net>\0") + p("T") + p("L", b"Subject\0 z\0") + p("N") + p("B", b"x\r\n") + p("E")
    return head + one + p("A") + one


def pieces(port):
    for size in (1, 7, 100000):
        with Mta(port) as m:
            data = stream()
            for i in range(0, len(data), size):
                m.s.sendall(data[i:i + size])
            got = m.answers(10)
            check("all at once, in pieces of %d" % size, got == ["continue"] * 10, got)


def faults(server, port):
    p, broken = Mta.packet, []
    for name, data, first in (
            ("nothing", b"", True), ("garbage", os.urandom(4096), False), ("HTTP", b"GET / HTTP/1.1\r\n\r\n", False),
            ("no length", struct.pack(">I", 0), True), ("too long", struct.pack(">I", 0x7fffffff) + b"B", True),
            ("over 1 MiB", struct.pack(">I", (1 << 20) + 1) + b"B", True), ("unknown letter", p("!"), True),
            ("HELO first", p("H", b"x\0"), False), ("half a string", p("H", b"x"), True), ("half a packet", p("H", b"x\0")[:4], True),
            ("a reply", p("c"), True), ("options of 3 bytes", p("O", b"abc"), False)):
        try:
            with Mta(port, negotiate=first) as m:
                m.s.sendall(data)
                m.s.shutdown(socket.SHUT_WR)
                if not closes(m):
                    broken.append(name)
        except (ConnectionError, Closed):
            pass
    check("who keeps to no protocol is closed", not broken, broken)
    with Mta(port) as m:  # asks for ever and never reads
        m.connect()
        m.s.settimeout(3)
        try:
            for _ in range(2000):  # more than what two sockets may hold
                m.s.sendall(p("H", b"m.example\0") * 1000)
            bounded = False
        except (socket.timeout, ConnectionError):
            bounded = True
        check("answers that nobody reads are bounded", bounded)
    with Mta(port) as m:
        m.macro("M", i="x" * 100, auth_authen="y" * 60000)
        m.connect()
        m.helo()
        m.macro("M", i="q" * 100, j="y" * 60000)
        check("macros beyond all measure", m.mail() == "continue")
    for cut in range(0, len(stream()), 5):  # goes at any moment
        with Mta(port) as m:
            m.s.sendall(stream()[:cut])
    check("it lives through all of that", server.process.poll() is None)
    with Mta(port) as m:
        m.open("<b@example.net>")
        check("and works", m.message("x") == ([], "continue"))


# ---- life ----------------------------------------------------------------------------------------------------------------


def sockets(tmp, text):
    path = os.path.join(tmp, "own.sock")
    group = grp.getgrgid(os.getgid()).gr_name
    server = milter.Server(tmp, text, "--threads", "3", "--set", "milter.socket_group=" + group, unix=path)
    check("a socket with its mode", stat.S_IMODE(os.stat(path).st_mode) == 0o620, oct(os.stat(path).st_mode))
    with Mta(path) as m:
        m.open("<b@example.net>")
        check("over a Unix socket", m.message("x") == ([], "continue"))
        m.mail()
        os.kill(server.process.pid, signal.SIGTERM)
        check("asked to end: the way is free", gone(path))
        m.rcpt("<b@example.net>")
        check("asked to end: what is open goes on", m.message("last") == ([], "continue") and server.process.poll() is None)
        m.send("K")
        check("to its end", closes(m))
    check("it ends", server.stop(0) == 0)
    server = milter.Server(tmp, text, unix=path)
    with Mta(path) as m:
        m.open("<b@example.net>")
        begun = time.monotonic()
        check("asked twice: it ends at once", server.stop(2) == 0 and time.monotonic() - begun < 10 and closes(m))
    with open(path, "w", encoding="ascii"):
        pass
    out = subprocess.run([milter.BINARY, "-c", server.policy, "--listen", "unix:" + path], capture_output=True, text=True, timeout=20, check=False)
    check("a file in the way is not removed", out.returncode == 1 and "cannot-listen" in out.stderr and os.path.exists(path), out)


def gone(path):
    for _ in range(100):
        if not os.path.exists(path):
            return True
        time.sleep(0.05)
    return False


def inherited(tmp, text):
    """As systemd does it: the socket is there before and after."""
    path = os.path.join(tmp, "systemd.sock")
    with socket.socket(socket.AF_UNIX) as s, open(os.path.join(tmp, "policy.conf"), "w", encoding="ascii") as f:
        s.bind(path)
        s.listen(10)
        f.write(text)
        f.flush()
        for turn in range(2):
            early = Mta(path, negotiate=False)  # before anybody serves
            child = subprocess.Popen(["sh", "-c", "exec 3<&%d; export LISTEN_PID=$$ LISTEN_FDS=1; exec %s -c %s/policy.conf" %
                                      (s.fileno(), shlex.join(watched.wrapped([milter.BINARY])), tmp)], pass_fds=(s.fileno(),), stderr=subprocess.DEVNULL)
            early.send("O", struct.pack(">III", 6, 0x1ff, milter.PROTOCOL))
            check("a socket of systemd's, turn %d" % turn, early.read()[0] == "O" and early.connect() == "continue")
            early.s.close()
            child.terminate()
            check("it ends, the socket stays", child.wait(30) == 0 and os.path.exists(path))


def limits(tmp, text):
    server = milter.Server(tmp, text.replace('drain = "20s";', 'drain = "20s"; connections = 2; idle_timeout = "1s";'))
    with Mta(server.port), Mta(server.port):
        with Mta(server.port, negotiate=False) as third:
            check("one connection too many", closes(third))
    time.sleep(0.3)
    with Mta(server.port) as m:
        check("who says nothing for long is closed", closes(m))
    check("it ends", server.stop() == 0)


def loads(tmp, text):
    for name, more, words in (("no such option", "nonsense = 1;", "nonsense"), ("an address", "", "milter.listen"),
                              ("a mode", "", "milter.socket_mode"), ("a group", "", "milter.socket_group")):
        args = {"an address": ["--listen", "example.net:25"], "a mode": ["--set", "milter.socket_mode=999"],
                "a group": ["--set", "milter.socket_group=no-such-group"]}.get(name, [])
        with open(os.path.join(tmp, "policy.conf"), "w", encoding="ascii") as f:
            f.write(text + more)
        out = subprocess.run([milter.BINARY, "-c", os.path.join(tmp, "policy.conf"), "--check", *args], capture_output=True, text=True, timeout=20, check=False)
        check("does not load: " + name, out.returncode == 1 and words in out.stderr, out.stderr)
    with open(os.path.join(tmp, "policy.conf"), "w", encoding="ascii") as f:
        f.write(text + "lost_ack = { enable = true; };")
    out = subprocess.run([milter.BINARY, "-c", os.path.join(tmp, "policy.conf"), "--listen", "127.0.0.1:%d" % milter.free_port()],
                         capture_output=True, text=True, timeout=20, check=False)
    check("what no milter can promise does not start", out.returncode == 1 and "lost_ack" in out.stderr, out.stderr)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        text = policy(tmp)
        server = milter.Server(tmp, text)
        port = server.port
        try:
            negotiates(port)
            refuses(port)
            macros(server, port)
            as_it_came(tmp, port)
            changes(server, port, text)
            later(port)
            waits(server, port, text)
            aborts(server, port)
            refused_by_mta(server, port, text)
            pieces(port)
            faults(server, port)
            check("it ends", server.stop() == 0)
        finally:
            if server.process.poll() is None:
                server.kill()
        sockets(tmp, text)
        inherited(tmp, text)
        limits(tmp, text)
        loads(tmp, text)
        milter_unanswered.run(tmp, text)
        milter_spared.run(tmp)
        if milter.FAILED:
            print(server.log()[-3000:])
    milter.conclude()


if __name__ == "__main__":
    main()
