#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-policyd behind a real Postfix, with the lines of docs/guide/policyd.md: a stranger is put off and passes, the null
sender at DATA; with policyd gone Postfix does what it was told for that; what was known is known after a restart. Messages
that are marked, held and dropped, before they come and when they are there."""
import os
import re
import smtplib
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import policyd  # noqa: E402
from harness import FAILED, arrived, check, conclude, eventually, free_port, skip  # noqa: E402
from mta import Missing, Postfix  # noqa: E402

POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev" ]; };
profiles = ( { name = "default"; greylist = true; } );
greylist = { wait = "2s"; };
budget = { wait = "2s"; };
store = { type = "lmdb"; path = "%s"; };
"""
MAIN = """smtpd_policy_service_try_limit = 1
smtpd_policy_service_retry_delay = 1s
"""
WAIT = 2.2
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEXT = b"Subject: %s\r\n\r\nhello\r\n"


def guide(heading, name, port):
    """The first lines of main.cf for this parameter under a heading of the guide, on one line each, with our own socket."""
    with open(os.path.join(TOP, "docs", "guide", "policyd.md"), encoding="utf-8") as f:
        text = f.read().split("\n## %s\n" % heading)[1]
    block = next(b for b in re.findall(r"(?m)(?:^    .*\n)+", text) if b.strip().startswith(name))
    lines = re.sub(r"\n +", " ", re.sub(r"(?m)^    ", "", block))
    return re.sub(r"(unix:smtpf-policyd/socket|inet:127\.0\.0\.1:10023)", "inet:127.0.0.1:%d" % port, lines)


def send(port, sender, recipient, subject, client="198.51.100.7"):
    """Where it ended and how: ("RCPT", 450, text), ("DATA", 250, text)."""
    with smtplib.SMTP("127.0.0.1", port, "client.example", 20) as s:
        s.docmd("XCLIENT", "ADDR=%s NAME=[UNAVAILABLE]" % client)
        s.ehlo("client.example")
        for verb, answer in (("MAIL", lambda: s.mail(sender)), ("RCPT", lambda: s.rcpt(recipient))):
            code, text = answer()
            if code >= 400:
                return verb, code, text.decode()
        try:
            code, text = s.data(TEXT % subject.encode())
        except smtplib.SMTPDataError as e:
            code, text = e.smtp_code, e.smtp_error
        return "DATA", code, text.decode()


def works(mta):
    got = send(mta.port, "a@example.org", "b@example.net", "one")
    check("a stranger is put off", got[:2] == ("RCPT", 450) and "greylisted, please come back in" in got[2], got)
    null = send(mta.port, "", "b@example.net", "bounce", client="203.0.113.7")
    check("the null sender at DATA", null[:2] == ("DATA", 450), null)
    got = send(mta.port, "a@example.org", "nobody@elsewhere.example", "one")
    check("what Postfix refuses itself", got[:2] == ("RCPT", 554), got)
    time.sleep(WAIT)
    got = send(mta.port, "a@example.org", "b@example.net", "two", client="198.51.100.99")
    check("its retry, from beside it, is taken", got[:2] == ("DATA", 250) and arrived(mta, "b@example.net", "two"), got)
    null = send(mta.port, "", "b@example.net", "bounce", client="203.0.113.7")
    check("the bounce, too", null[:2] == ("DATA", 250) and arrived(mta, "b@example.net", "bounce"), null)
    got = send(mta.port, "a@example.org", "b@example.net", "three")
    check("then each mail at once", got[:2] == ("DATA", 250), got)
    check("the first was not delivered", not any(b"Subject: one\n" in m for m in mta.messages("b@example.net")))


def is_gone(mta):
    got = send(mta.port, "a@example.org", "b@example.net", "four")
    check("policyd gone: a temporary failure, as Postfix is told by default", got[0] == "RCPT" and got[1] == 451, got)
    got = send(mta.second_port, "x@example.org", "b@example.net", "five")
    check("policyd gone: mail passes where Postfix is told so", got[:2] == ("DATA", 250) and arrived(mta, "b@example.net", "five"), got)


def comes_back(mta):
    got = send(mta.port, "a@example.org", "b@example.net", "six")
    check("who was known is known", got[:2] == ("DATA", 250), got)
    got = send(mta.second_port, "x@example.org", "b@example.net", "seven")
    check("who passed meanwhile is a stranger", got[:2] == ("RCPT", 450), got)


def held(mta):
    return sum(len(files) for _, _, files in os.walk(os.path.join(mta.root, "spool", "hold")))


def decides(mta, port):
    """As the guide has it at DATA; then, on the second smtpd, at the end of the message."""
    bad = "203.0.113.66"
    marked = "marked %d" % port
    got = send(port, "a@example.org", "tag@example.net", marked, bad)
    there = arrived(mta, "tag@example.net", marked)
    check("marked: taken", got[:2] == ("DATA", 250) and there, got)
    mark = b"\nX-Smtpfilter: tagged; score=8; addrlist=listed\n" in there
    check("marked, where that is asked for before the message", mark == (port == mta.port), there)
    before = held(mta)
    got = send(port, "a@example.org", "hold@example.net", "held", bad)
    check("held", got[:2] == ("DATA", 250) and held(mta) == before + 1 and not mta.messages("hold@example.net"), got)
    got = send(port, "a@example.org", "drop@example.net", "dropped", bad)
    check("dropped", got[:2] == ("DATA", 250) and held(mta) == before + 1, got)
    got = send(port, "a@example.org", "b@example.net", "plain %d" % port, bad)
    check("nothing to be done", got[:2] == ("DATA", 250) and arrived(mta, "b@example.net", "plain %d" % port), got)
    check("what was dropped is nowhere", eventually(lambda: not mta.waiting()) and not mta.messages("drop@example.net"))
    got = send(port, "a@example.org", "nobody@example.net", "no", bad)
    check("whom Postfix does not know is refused by Postfix", got[:2] == ("RCPT", 550), got)
    with smtplib.SMTP("127.0.0.1", port, "client.example", 20) as s:
        s.docmd("XCLIENT", "ADDR=%s NAME=[UNAVAILABLE]" % bad)
        s.ehlo("client.example")
        codes = [s.mail("a@example.org")[0]] + [s.rcpt(r)[0] for r in ("hold@example.net", "b@example.net", "hold@example.net")]
        code = s.data(TEXT % b"two wishes")[0]
        check("wishes that differ are split", codes == [250, 250, 452, 250] and code == 250 and held(mta) == before + 2, (codes, code))


def greylists(mta, tmp, port):
    policy = POLICY % os.path.join(tmp, "store")
    server = policyd.Server(tmp, policy=policy, port=port)
    works(mta)
    check("it ends", server.stop()[0] == 0)
    is_gone(mta)
    server = policyd.Server(tmp, policy=policy, port=port)
    comes_back(mta)
    check("it ends", server.stop()[0] == 0)


def has_wishes(mta, tmp, port):
    server = policyd.Server(tmp, policy=policyd.WISHES % "", port=port)
    decides(mta, mta.port)
    got = server.stop()
    check("nothing was lost", got == (0, ""), got)
    server = policyd.Server(tmp, policy=policyd.WISHES % 'decide = "end-of-message";', port=port)
    decides(mta, mta.second_port)
    got = server.stop()
    check("nothing was lost that could be done", got == (0, ""), got)


def run(what, mailboxes, main, second):
    port = free_port()
    with tempfile.TemporaryDirectory() as tmp:
        root = os.path.join(tmp, "postfix")
        os.chmod(tmp, 0o755)
        os.mkdir(root)
        try:
            mta = Postfix(root, mailboxes, main(port) + MAIN, second(port))
        except Missing as why:
            skip(why)
        try:
            what(mta, tmp, port)
        finally:
            mta.stop()
        if FAILED:
            print(mta.log()[-3000:])


def in_words(lines):
    """A parameter of main.cf for master.cf's -o."""
    return lines.strip().replace(", ", ",").replace(" = ", "=").replace("check_policy_service ", "check_policy_service,")


def main():
    run(greylists, ["b@example.net"],
        lambda port: guide("In the place of postgrey", "smtpd_recipient_restrictions", port).replace("smtpd_policy_service_default_action = DUNNO\n", ""),
        lambda port: ["smtpd_policy_service_default_action=DUNNO"])
    run(has_wishes, [n + "@example.net" for n in ("b", "tag", "hold", "drop")],
        lambda port: guide("Set it up", "smtpd_recipient_restrictions", port),
        lambda port: ["smtpd_data_restrictions=", in_words(guide("Which states to ask at", "smtpd_end_of_data_restrictions", port))])
    conclude()


if __name__ == "__main__":
    main()
