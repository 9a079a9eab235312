# SPDX-License-Identifier: MIT
"""smtpf-proxy before Postfix."""
import os
import socket
import subprocess

from harness import addresses, free_port
from host import Host
from mta import Postfix
from place import BOXES
from proxy_harness import Proxy


def speaks_tls(site):
    told = subprocess.run([os.environ.get("SMTPF_PROXY", "./smtpf-proxy"), "--check", "-c", site.policy, "--set",
                           "proxy.tls_certificate=" + site.certificate], capture_output=True, text=True, check=False)
    return "built with OpenSSL" not in told.stderr


def listening(address, port):
    return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=100)


class Adapter(Host):
    name = "proxy"

    def __init__(self, site):
        super().__init__(site)
        self.port, self.lmtp_port, self.listening = free_port(), free_port(), {}
        self.server = Postfix(site.path("server"), BOXES, ipv6=True)  # else it takes no XCLIENT for an IPv6 address
        self.options = {"proxy.tls_certificate": site.certificate} if site.certificate else {}
        if self.options and not speaks_tls(site):
            self.options, self.without_tls = {}, "smtpf-proxy was built without OpenSSL"
        self.before = ""  # the logs of those that have ended
        self.start()

    def start(self):
        """The sockets are handed over, as systemd does."""
        if not self.listening:
            self.listening = {name: listening(*at) for name, at in (
                ("smtp", ("127.0.0.1", self.port)), ("lmtp", ("127.0.0.1", self.lmtp_port)), ("six", ("::1", self.port)))
                if at[0] in addresses()}
        self.filter = Proxy(self.server.port, self.options, policy=self.site.policy, disable=(), arguments=["--explain"], inherited=self.listening)

    def kill(self):
        self.filter.process.kill()
        self.filter.process.wait(10)
        self.before += self.filter.log()
        self.close()  # nobody keeps them, as without systemd

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
        self.close()

    def close(self):
        for s in self.listening.values():
            s.close()
        self.listening = {}
