# SPDX-License-Identifier: MIT
"""smtpf-opensmtpd, started by OpenSMTPD."""
import os
import signal

import watched
from clients import FAR
from harness import eventually
from host import Host
from opensmtpd import PROGRAM
from opensmtpd_server import OpenSMTPD
from place import BOXES

BEHIND = """action "behind" relay host lmtp://127.0.0.1:%d
match from any for domain %s action "behind"
"""


class Adapter(Host):
    name = "opensmtpd"

    def __init__(self, site):
        super().__init__(site)
        self.server = OpenSMTPD(site.path("server"), [b.split("@")[0] for b in BOXES],
                                watched.shell([PROGRAM, "-c", site.policy], ["VALGRIND_LIB=%s/cores" % site.path("server")]),
                                site.certificate, BEHIND % (site.far.port, FAR))
        self.port, self.without_tls = self.server.port, self.server.without_tls

    def kill(self):
        os.kill(self.server.filter_pid(PROGRAM), signal.SIGKILL)
        eventually(lambda: not self.server.is_running(), 10)

    def start(self):
        self.server.start()

    def restart(self):
        self.server.stop()
        self.server.start()

    def is_alive(self):
        return self.server.is_running() and self.server.filter_pid(PROGRAM) is not None

    def messages(self, mailbox):
        return self.server.messages(mailbox.split("@")[0])

    def held(self):
        """What smtpd puts into `Junk`, for its mark."""
        return [(box.encode(), m) for box in BOXES for m in self.server.messages(box.split("@")[0], ".Junk")]

    def waiting(self):
        return self.server.waiting()

    def log(self):
        return self.server.log()

    def server_log(self):
        return self.server.log()
