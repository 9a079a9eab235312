# SPDX-License-Identifier: MIT
"""smtpf_exim.so in Exim's ACLs, as docs/guide/exim.md has them."""
import os
import re
import signal

import exim
import exim_module
from clients import FAR
from host import Host
from mta import Missing, children

BEHIND = """behind:
  driver = manualroute
  domains = %s
  route_list = * 127.0.0.1::%d byname
  self = send
  transport = lmtp
"""


class Module(Host):
    """The module lives in the process that serves a client: there is no other filter."""

    def __init__(self, site, **how):
        super().__init__(site)
        if not os.path.exists(exim_module.MODULE):
            raise Missing("built without Exim's local_scan.h")
        self.server = exim.Exim(site.path("server"), ["example.net", FAR], routers=BEHIND % (FAR, site.far.port), ours=True,
                                certificate=site.certificate, **how)
        self.port = self.server.port

    def kill(self):
        for pid, _ in children(self.server.process.pid):
            os.kill(pid, signal.SIGKILL)

    def start(self):
        pass

    def restart(self):
        self.site.write()

    def is_alive(self):
        return self.server.process.poll() is None

    def messages(self, mailbox):
        return self.server.messages(mailbox)

    def log(self):
        return "".join(line for line in self.server.log("mainlog").splitlines(True) if " smtpf_exim: session=" in line)

    def server_log(self):
        return self.server.log()

    def waiting(self):
        return self.server.waiting()


class Adapter(Module):
    name = "exim-acl"

    def __init__(self, site, where=None):
        options, statements = exim_module.guide()
        options = options.replace("prdr_enable = true\n", "")  # it is there already
        for name, value in (("MODULE", exim_module.MODULE), ("POLICY", where or site.policy)):
            options = re.sub(r"(?m)^SMTPF_%s = .*$" % name, "SMTPF_%s = %s" % (name, value), options)
        super().__init__(site, main=options, acls=statements)
