# SPDX-License-Identifier: MIT
"""smtpf-milter behind Sendmail, on a Unix socket."""
import os

from clients import FAR
from sendmail_server import Sendmail

from hosts.postfix_milter import Milter


class Adapter(Milter):
    name = "sendmail-milter"

    def __init__(self, site):
        super().__init__(site)
        self.server = Sendmail(site.path("server"), "unix:" + site.path("milter.sock"), site.certificate, (FAR, site.far.port))
        self.port = self.server.port
        self.start()

    def queue(self, prefix):
        folder = self.site.path("server/queue")
        return [os.path.join(folder, n) for n in os.listdir(folder) if n.startswith(prefix)]

    def waiting(self):
        return len(self.queue("qf")) + len(self.queue("df")) - len(self.queue("hf"))

    def held(self):
        found = []
        for path in self.queue("hf"):
            with open(path, "rb") as f:
                text = f.read()
            found.append((text, text))
        return found
