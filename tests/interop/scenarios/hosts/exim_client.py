# SPDX-License-Identifier: MIT
"""smtpf_exim.so in Exim's ACLs, asking smtpf-milter over its socket."""
from hosts.exim_acl import Adapter as InProcess
from hosts.postfix_milter import Milter


class Adapter(Milter, InProcess):
    name = "exim-client"

    def __init__(self, site):
        self.site = site
        self.start()
        InProcess.__init__(self, site, "unix:" + site.path("milter.sock"))
