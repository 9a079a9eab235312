# SPDX-License-Identifier: MIT
"""An MTA that does not wait for an answer to CONNECT, HELO and MAIL: what is refused there is said at RCPT, once."""
import time

import milter
from milter import NR_CONN, NR_HELO, NR_MAIL, WHOLE_PROTOCOL, Mta, check

ALL = NR_CONN | NR_HELO | NR_MAIL
NO_ERRORS = "limits = { errors = 4; message = \"100k\"; };"


def quiet(port):
    return Mta(port, protocol=WHOLE_PROTOCOL)


def goes(port):
    with quiet(port) as m:
        check("CONNECT, HELO and MAIL are not answered", m.terms[2] & ALL == ALL, hex(m.terms[2]))
        m.connect()
        m.helo()
        m.mail()
        check("nothing comes", m.silent())
        check("RCPT is", m.rcpt("<b@example.net>") == "continue" and m.rcpt("<c@example.net>") == "continue")
        check("a message", m.message("x") == ([], "continue"))
        m.mail()
        check("another one", m.rcpt("<b@example.net>") == "continue" and m.message("y") == ([], "continue"))
    with quiet(port) as m:  # all of it in one write, as Postfix does
        m.s.sendall(b"".join(m.packet(*p) for p in (
            ("D", b"C"), ("C", b"mail.example.org\x004\x9c\x40192.0.2.66\0"), ("D", b"H"), ("H", b"mail.example.org\0"), ("D", b"M"),
            ("M", b"<a@example.org>\0"), ("D", b"R"), ("R", b"<b@example.net>\0"))))
        got = m.answer()
        check("a listed client, at RCPT", got.startswith("550 5.7.1 ") and m.silent(), got)


def says_it_at_rcpt(server, port):
    with quiet(port) as m:
        m.connect()
        m.helo()
        m.mail("<a@example.org>", "SIZE=1000000")
        got = m.rcpt("<b@example.net>")
        check("what MAIL was refused for is said at RCPT", got.startswith("552 5.3.4 "), got)
        check("to each recipient", m.rcpt("<c@example.net>") == got)
        check("also where the MTA has refused it", m.refused_rcpt("<x@example.net>") == "continue")
        check("it is in the log, at MAIL", server.logged("event=mail arg=<a@example.org> reply=552 "))
        check("nothing is answered twice", m.send("A") is None and m.silent())
        m.mail()
        check("the next message is none the worse", m.rcpt("<b@example.net>") == "continue" and m.message("x")[1] == "continue")
    with quiet(port) as m:
        m.connect()
        m.mail()
        got = m.rcpt("<b@example.net>")
        check("MAIL without HELO", got.startswith("503 5.5.1 "), got)
        m.send("A")
        m.helo()
        m.mail()
        check("the client does better", m.rcpt("<b@example.net>") == "continue")
    with quiet(port) as m:
        m.mail()
        got = m.rcpt("<b@example.net>")
        check("without a client", got.startswith("451 4.3.0 "), got)
    with quiet(port) as m:
        m.connect()
        m.helo()
        for _ in range(4):
            m.mail("<a@example.org>", "SIZE=1000000")
            m.send("A")
        m.mail()
        got = m.rcpt("<b@example.net>")
        check("a session that has ended", got.startswith("421 4.7.0 "), got)


def where_the_policy_answers(server, text):
    for more, expected in (('refuse = { stage = "connect"; };', 0), ('refuse = { stage = "helo"; };', NR_CONN),
                           ('refuse = { stage = "mail"; };', NR_CONN | NR_HELO), ('delay = { helo = "100ms"; };', NR_CONN | NR_MAIL),
                           ('delay = { on_hit = "100ms"; };', 0)):
        check("reload", server.reload(text + more))
        with quiet(server.port) as m:
            check("answered where the policy acts: " + more, m.terms[2] & ALL == expected, hex(m.terms[2]))
    server.reload(text + 'refuse = { stage = "mail"; };')
    with quiet(server.port) as m:
        m.connect("192.0.2.66")
        m.helo()
        got = m.mail()
        check("refused at MAIL", got.startswith("550 5.7.1 "), got)


def waits_at_rcpt(server, text):
    server.reload(text + 'delay = { rcpt = "300ms"; };')
    with quiet(server.port) as m:
        m.connect()
        m.helo()
        m.mail()
        begun = time.monotonic()
        check("a delay at RCPT", m.rcpt("<b@example.net>") == "continue" and time.monotonic() - begun > 0.25)


def run(tmp, text):
    server = milter.Server(tmp, text + NO_ERRORS)
    try:
        goes(server.port)
        says_it_at_rcpt(server, server.port)
        where_the_policy_answers(server, text)
        waits_at_rcpt(server, text)
        check("it ends", server.stop() == 0)
    finally:
        if server.process.poll() is None:
            server.kill()
