# SPDX-License-Identifier: MIT
"""Messages of which nothing is wanted: their end is told with DATA, and the MTA is spared the rest of the milter's work."""
import time

import milter
from milter import Mta, check

POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev", "helo", "forward_target" ]; };
addrlists = ( { name = "listed"; entries = [ "192.0.2.66" ]; score = 20.0; },
              { name = "suspect"; entries = [ "192.0.2.67" ]; score = 5.0; } );
scopes = ( { name = "old"; networks = [ "192.0.2.68" ]; } );
profiles = ( { name = "default"; reject = 15.0; tag = "off"; } );
directory = { complete = true; };
recipients = ( { address = "b@example.net"; }, { address = "c@example.net"; }, { address = "tags@example.net"; tag = 5.0; },
               { address = "held@example.net"; quarantine = 5.0; }, { address = "discards@example.net"; discard = 5.0; },
               { address = "trusts@example.net"; forwarders = [ "old" ]; }, { address = "grey@example.net"; greylist = true; },
               { address = "goes@example.net"; route = "forward"; forward = "c@example.net"; } );
greylist = { wait = "1s"; };
store = { type = "lmdb"; path = "%(tmp)s/spared"; };
%(more)s
"""
LEAVE = 'tag = { foreign = "leave"; };'
TAKEN = "event=end-of-message arg=%s reply=250 "


def at_data(port, *recipients, sender="<a@example.org>", **peer):
    """What DATA is answered."""
    with Mta(port) as m:
        m.open(*recipients, sender=sender, **peer)
        return m.ask("T")


def which(server, text):
    port, b = server.port, "<b@example.net>"
    for name, got, expected in (
            ("plain", at_data(port, b), "accept"),
            ("two", at_data(port, b, "<c@example.net>"), "accept"),
            ("a suspect, to who does not mind", at_data(port, b, address="192.0.2.67"), "accept"),
            ("a bounce, which is read", at_data(port, b, sender="<>"), "continue"),
            ("who has marks", at_data(port, "<tags@example.net>"), "continue"),
            ("who has a quarantine", at_data(port, "<held@example.net>"), "continue"),
            ("who forwards", at_data(port, "<goes@example.net>"), "continue"),
            ("who discards, and nothing speaks against it", at_data(port, "<discards@example.net>"), "accept"),
            ("who discards, a suspect", at_data(port, "<discards@example.net>", address="192.0.2.67"), "continue"),
            ("from a trusted forwarder", at_data(port, "<trusts@example.net>", address="192.0.2.68"), "continue"),
            ("from a stranger to one who trusts some", at_data(port, "<trusts@example.net>"), "accept")):
        check("at DATA: " + name, got == expected, got)
    for more, expected in ((LEAVE, "accept"), ("loop = { own = 10; };", "continue"), ("loop = { received = 100; };", "continue"),
                           ('limits = { message = "50m"; };', "continue"), ("limits = { received = 250; };", "continue")):
        check("reload", server.reload(text % more))
        who = "<tags@example.net>" if more == LEAVE else b
        got = at_data(port, who)
        check("at DATA: with " + more, got == expected, got)
    with Mta(port) as m:
        server.reload(text % LEAVE)
        m.open("<tags@example.net>", address="192.0.2.67")
        changes, answer = m.message("x", X_Smtpfilter="forged")
        check("who has marks, a suspect: the forged one goes, ours comes", answer == "continue" and [c[0] for c in changes] == ["m", "i"], changes)
        m.mail()
        m.rcpt("<b@example.net>")
        got = m.ask("T")
        check("and the next message is spared", got == "accept", got)
    server.reload(text % "")


def ends(server):
    """Told with DATA: nothing of it is open afterwards, whatever the MTA says next."""
    with Mta(server.port) as m:
        m.open("<b@example.net>")
        m.macro("T", i="SPARED1")
        check("spared", m.ask("T") == "accept")
        check("its end is in the log", server.logged(TAKEN % "SPARED1") and "disposition=handed-over" in server.log())
        m.send("A")
        m.send("A")
        check("ABORT says nothing any more", m.silent())
        for n in range(3):
            m.mail()
            check("another message, %d" % n, m.rcpt("<b@example.net>") == "continue" and m.ask("T") == "accept")
        m.helo()
        m.mail()
        check("HELO behind it", m.rcpt("<b@example.net>") == "continue" and m.ask("T") == "accept")
        m.mail()
        m.rcpt("<goes@example.net>")
        changes, answer = m.message("x")
        check("a message that is looked at, behind them", answer == "continue" and {c[0] for c in changes} >= {"+", "-"}, changes)
    with Mta(server.port) as m:
        m.open("<b@example.net>")
        m.send("T")
        m.send("Q")
        check("the MTA goes at once", m.answer() == "accept")
    with Mta(server.port, version=3) as m:
        m.open("<b@example.net>")
        m.header("Subject", "x")
        m.eoh()
        m.body(b"x\r\n")
        check("without DATA in the protocol it is heard to its end", m.end() == ([], "continue"))
    with Mta(server.port, actions=milter.ACTIONS | 1 << 25) as m:
        m.open("<b@example.net>")
        check("a client of our own is not told ACCEPT", m.message("x") == ([], "continue"))


def pays(server):
    """What is done once mail is taken is done: the debt of a deferral is paid, which writes and is waited for."""
    with Mta(server.port) as m:
        m.connect()
        m.helo()
        m.mail()
        got = m.rcpt("<grey@example.net>")
        check("greylisted", got.startswith("45"), got)
    time.sleep(1.3)
    got = at_data(server.port, "<grey@example.net>")
    check("the retry is taken, and spared", got == "accept", got)


def run(tmp):
    text = (POLICY % {"tmp": tmp, "more": "%s"}).replace("%%", "%")
    server = milter.Server(tmp, text % "")
    try:
        which(server, text)
        ends(server)
        pays(server)
        check("it ends", server.stop() == 0)
    finally:
        if server.process.poll() is None:
            server.kill()
