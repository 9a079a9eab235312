# SPDX-License-Identifier: MIT
"""smtpf_exim.so as Exim's local_scan."""
import exim_module

from hosts.exim_acl import Module


class Adapter(Module):
    name = "exim-scan"

    def __init__(self, site):
        super().__init__(site, prdr=False, main="local_scan_path = %s\n" % exim_module.MODULE,
                         rcpt="  warn set acl_m_smtpf_policy = %s\n" % site.policy)
