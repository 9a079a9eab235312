#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/guide/proxy.md as it stands there: smtpf-proxy before a real Postfix that has given up its port."""
import os
import re
import smtplib
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import arrived, check, conclude, eventually, fitted, guide, skip  # noqa: E402
from mta import Missing, Postfix  # noqa: E402
from proxy_harness import Proxy  # noqa: E402

MORE = """
addrlists = ( { name = "listed"; entries = [ "127.0.0.66" ]; score = 20.0; text = "we know you"; } );
profiles = ( { name = "default"; reject = 15.0; }, { name = "careful"; inherit = "default"; reject = "off"; quarantine = 15.0; } );
recipients = ( { address = "held@example.net"; profile = "careful"; } );
"""


def send(port, recipients, subject, client="127.0.0.25"):
    with smtplib.SMTP("127.0.0.1", port, "client.example", 20, (client, 0)) as s:
        s.ehlo()
        codes = [s.mail("a@example.org")[0]] + [s.rcpt(r)[0] for r in recipients]
        if 250 in codes[1:]:
            codes.append(s.data(("Subject: %s\r\n\r\nhello\r\n" % subject).encode())[0])
        return codes


def scenes(mta, proxy, kept):
    got = send(proxy.port, ["b@example.net", "nobody@example.net", "x@elsewhere.example"], "one")
    check("taken; unknown to Postfix; no relay", got == [250, 250, 550, 550, 250], got)
    one = arrived(mta, "b@example.net", "one")
    check("it arrives", one and one.count(b"\nReceived:") + one.startswith(b"Received:") == 2, one)
    log = eventually(lambda: [line for line in mta.log().splitlines() if "client=" in line and "127.0.0.25" in line])
    check("Postfix knows the client", log, mta.log()[-500:])
    got = send(proxy.port, ["b@example.net"], "two", client="127.0.0.66")
    check("a listed client", got == [250, 550], got)
    got = send(proxy.port, ["b@example.net", "held@example.net"], "three", client="127.0.0.66")
    check("one refused, one quarantined", got == [250, 550, 250, 250], got)
    check("the copy is on disk, and nowhere else", len(os.listdir(kept + "/new")) == 1 and not mta.messages("held@example.net"))
    mta.stop()
    got = send(proxy.port, ["b@example.net"], "four")
    check("Postfix is gone: come again", got[-1] == 451, got)


def main():
    master = guide("proxy.md", "smtpd_authorized_xclient_hosts=")
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        root, kept, policy = tmp + "/postfix", tmp + "/quarantine", tmp + "/policy"
        os.mkdir(root)
        os.mkdir(tmp + "/store")
        try:
            mta = Postfix(root, ["b@example.net", "held@example.net"], "\nsmtpd_authorized_xclient_hosts =\nsmtpd_authorized_xforward_hosts =\n",
                          re.findall(r"-o (\S+)", master))
        except Missing as why:
            skip(why)
        check("the line of master.cf is one", master.startswith("127.0.0.1:10025 inet n - n - - smtpd\n"), master)
        with open(policy, "w", encoding="ascii") as f:
            f.write(fitted(guide("proxy.md", "quarantine = {"), ("/var/lib/smtpfilter", tmp + "/store"), ("127.0.0.1:10025", "127.0.0.1:%d" % mta.second_port),
                           ('"0.0.0.0:25", "[::]:25"', '"127.0.0.1:0"'), ("/var/spool/smtpfilter/quarantine", kept)) + MORE)
        proxy = None
        try:
            proxy = Proxy(None, policy=policy)
            scenes(mta, proxy, kept)
            check("it ends", proxy.stop())
        finally:
            mta.stop()
            if proxy:
                proxy.stop()
    conclude()


if __name__ == "__main__":
    main()
