# SPDX-License-Identifier: MIT
"""smtpf_exim.so in Exim's ACLs, asking smtpf-milter over its socket."""
import milter

from hosts.exim_acl import Adapter as InProcess


class Adapter(InProcess):
    name = "exim-client"

    def __init__(self, site):
        self.site = site
        self.start()
        super().__init__(site, "unix:" + site.path("milter.sock"))

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
        return self.filter.process.poll() is None and super().is_alive()
