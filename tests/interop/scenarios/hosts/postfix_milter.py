# SPDX-License-Identifier: MIT
"""smtpf-milter behind Postfix, on a Unix socket."""
import os

import milter
from clients import FAR
from harness import fitted, guide
from host import Host
from milter_postfix import MAIN
from mta import Postfix
from place import BOXES


def around(site):
    """Lines of main.cf that both ways to ask need: TLS, and the way to the server behind."""
    tls = "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {0}\nsmtpd_tls_key_file = {0}\n".format(site.certificate)
    return "relay_domains = %s\nrelay_transport = lmtp:inet:[127.0.0.1]:%d\n%s" % (FAR, site.far.port, tls if site.certificate else "")


def held(postfix):
    """Each message that is on hold; what the log says of it may have the reason."""
    found, log = [], postfix.log().encode().splitlines(True)
    for folder, _, names in os.walk(os.path.join(postfix.root, "spool/hold")):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                text = f.read()
            found.append((text, text + b"".join(line for line in log if name.encode() in line)))
    return found


class Milter(Host):
    """What both MTAs with milters share: the filter."""

    def start(self):
        self.filter = milter.Server(self.site.folder, self.site.text, "--threads", "2", "--explain", unix=self.site.path("milter.sock"))

    def log(self):
        return self.filter.log()

    def kill(self):
        self.filter.kill()

    def restart(self):
        """The new one takes the socket while the old one still serves."""
        old = self.filter
        self.start()
        old.stop()

    def is_alive(self):
        return self.filter.process.poll() is None and self.server.process.poll() is None

    def messages(self, mailbox):
        return self.server.messages(mailbox)

    def server_log(self):
        return self.server.log()


class Adapter(Milter):
    name = "postfix-milter"

    def __init__(self, site):
        super().__init__(site)
        paste = fitted(guide("milter.md", "smtpd_milters = "), ("unix:smtpf-milter/socket", "unix:" + site.path("milter.sock")))
        self.server = Postfix(site.path("server"), BOXES, MAIN.format(guide=paste) + around(site), ipv6=True)
        self.port = self.server.port
        self.start()

    def waiting(self):
        return self.server.waiting()

    def held(self):
        return held(self.server)
