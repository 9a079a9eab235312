# SPDX-License-Identifier: MIT
"""smtpf-policyd asked by Postfix."""
import policyd
from host import Host
from harness import free_port
from mta import Postfix
from place import BOXES
from policyd_postfix import guide

from hosts.postfix_milter import around, held

# The guide lets Postfix's own network pass; the clients here are on loopback, and none of them is its own.
OUTSIDE = "mynetworks = 192.0.2.0/24\n"


class Adapter(Host):
    name = "postfix-policyd"

    def __init__(self, site):
        super().__init__(site)
        self.inet = free_port()
        self.server = Postfix(site.path("server"), BOXES, guide("Set it up", "smtpd_recipient_restrictions", self.inet) + OUTSIDE + around(site),
                              ipv6=True)
        self.port = self.server.port
        self.before = ""
        self.start()

    def start(self):
        self.filter = policyd.Server(self.site.folder, policy=self.site.text, port=self.inet)

    def kill(self):
        self.filter.process.kill()
        self.filter.process.wait(10)
        self.before += self.filter.log()

    def restart(self):
        self.filter.stop()
        self.before += self.filter.log()
        self.start()

    def is_alive(self):
        return self.filter.process.poll() is None and self.server.process.poll() is None

    def messages(self, mailbox):
        return self.server.messages(mailbox)

    def held(self):
        return held(self.server)

    def log(self):
        return self.before + self.filter.log()

    def server_log(self):
        return self.server.log()

    def waiting(self):
        return self.server.waiting()
