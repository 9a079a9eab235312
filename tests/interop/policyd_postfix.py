#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-policyd behind a real Postfix: a stranger is put off and passes, the null sender at DATA; with policyd gone Postfix
does what it was told for that; what was known is known after a restart."""
import os
import smtplib
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import policyd  # noqa: E402
from harness import arrived, conclude, skip  # noqa: E402
from mta import Missing, Postfix  # noqa: E402

POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev" ]; };
profiles = ( { name = "default"; greylist = true; } );
greylist = { wait = "2s"; };
budget = { wait = "2s"; };
store = { type = "lmdb"; path = "%s"; };
"""
MAIN = """
smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service inet:127.0.0.1:{port}
smtpd_data_restrictions = check_policy_service inet:127.0.0.1:{port}
smtpd_policy_service_try_limit = 1
smtpd_policy_service_retry_delay = 1s
"""
WAIT = 2.2
TEXT = b"Subject: %s\r\n\r\nhello\r\n"


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


def works(mta, check):
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


def is_gone(mta, check):
    got = send(mta.port, "a@example.org", "b@example.net", "four")
    check("policyd gone: a temporary failure, as Postfix is told by default", got[0] == "RCPT" and got[1] == 451, got)
    got = send(mta.second_port, "x@example.org", "b@example.net", "five")
    check("policyd gone: mail passes where Postfix is told so", got[:2] == ("DATA", 250) and arrived(mta, "b@example.net", "five"), got)


def comes_back(mta, check):
    got = send(mta.port, "a@example.org", "b@example.net", "six")
    check("who was known is known", got[:2] == ("DATA", 250), got)
    got = send(mta.second_port, "x@example.org", "b@example.net", "seven")
    check("who passed meanwhile is a stranger", got[:2] == ("RCPT", 450), got)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        port, check = policyd.free_port(), policyd.check
        policy = POLICY % os.path.join(tmp, "store")
        root = os.path.join(tmp, "postfix")
        os.chmod(tmp, 0o755)
        os.mkdir(root)
        try:
            mta = Postfix(root, ["b@example.net"], MAIN.format(port=port), ["smtpd_policy_service_default_action=DUNNO"])
        except Missing as why:
            skip(why)
        try:
            server = policyd.Server(tmp, policy=policy, port=port)
            works(mta, check)
            check("it ends", server.stop()[0] == 0)
            is_gone(mta, check)
            server = policyd.Server(tmp, policy=policy, port=port)
            comes_back(mta, check)
            check("it ends", server.stop()[0] == 0)
        finally:
            mta.stop()
        if policyd.FAILED:
            print(mta.log()[-3000:])
    conclude()


if __name__ == "__main__":
    main()
