# SPDX-License-Identifier: MIT
"""smtpf-proxy before Postfix."""
import os
import socket

from host import Host
from mta import Postfix
from place import BOXES
from proxy_harness import Proxy


class Adapter(Host):
    name = "proxy"

    def __init__(self, site):
        super().__init__(site)
        self.port, self.listening = 0, None
        self.server = Postfix(site.path("server"), BOXES)
        self.before = ""  # the logs of those that have ended
        self.start()

    def start(self):
        """The socket is handed over, as systemd does."""
        if not self.listening:
            self.listening = socket.create_server(("127.0.0.1", self.port), backlog=100)
            self.port = self.listening.getsockname()[1]
        self.filter = Proxy(self.server.port, policy=self.site.policy, disable=(), arguments=["--explain"], inherited=self.listening)

    def kill(self):
        self.filter.process.kill()
        self.filter.process.wait(10)
        self.before += self.filter.log()
        self.listening.close()  # nobody keeps it, as without systemd
        self.listening = None

    def restart(self):
        """The new one listens on the same socket; the old one serves its clients to the end."""
        old = self.filter
        self.start()
        self.before += old.stop()

    def log(self):
        return self.before + self.filter.log()

    def is_alive(self):
        return self.filter.process.poll() is None and self.server.process.poll() is None

    def messages(self, mailbox):
        return self.server.messages(mailbox)

    def held(self):
        folder, found = self.site.path("quarantine/new"), []
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as f:
                text = f.read()
            found.append((text, text))
        return found

    def server_log(self):
        return self.server.log()

    def waiting(self):
        return self.server.waiting()

    def stop(self):
        super().stop()
        if self.listening:
            self.listening.close()
