# SPDX-License-Identifier: MIT
"""What stands around one server: a folder, the policy, a scanner, and another mail server that sends to it."""
import os
import shutil
import subprocess

import clients
import proxy_harness
import scanner_fakes
from exim import Exim
from harness import eventually

HERE = os.path.dirname(os.path.abspath(__file__))
BOXES = ["%s@example.net" % name for name in
         ("plain", "tags", "held", "strict", "discards", "grey", "only", "goes", "elsewhere", "old")]
ROUTE = """
next:
  driver = manualroute
  domains = example.net
  route_list = * 127.0.0.1::%d byname
  self = send
  transport = out
"""


class Site:
    """`authority`: of certificates (certificates.Authority), None where none can be made."""

    def __init__(self, folder, authority=None):
        self.folder = folder
        os.chmod(folder, 0o755)
        for name, mode in (("store", 0o777), ("quarantine", 0o777), ("server", 0o755), ("sender", 0o755)):
            os.mkdir(os.path.join(folder, name))
            os.chmod(os.path.join(folder, name), mode)
        shutil.copy(os.path.join(HERE, "rules"), folder)
        self.scanner = scanner_fakes.Server("clamd")
        self.port = self.scanner.port
        with open(os.path.join(HERE, "policy.conf.in"), encoding="ascii") as f:
            self.text = f.read()
        self.far = proxy_harness.Sink(lmtp=True)  # the server behind this one
        self.authority = authority
        self.certificate = authority.of_servers if authority else None
        for name, value in (("FOLDER", folder), ("SCANNER", self.scanner.address), ("FAR", self.far.address)):
            self.text = self.text.replace("@%s@" % name, value)
        self.policy = os.path.join(folder, "policy.conf")
        self.write()
        self.sender, self.read = None, 0

    def write(self):
        """Puts the policy in its place, in one step."""
        with open(self.policy + ".new", "w", encoding="ascii") as f:
            f.write(self.text)
        os.rename(self.policy + ".new", self.policy)

    def path(self, name):
        return os.path.join(self.folder, name)

    def scanner_is(self, word):
        if word == "down":
            self.scanner.close()
        else:
            self.scanner = scanner_fakes.Server("clamd", port=self.port)

    def far_messages(self, mailbox):
        return [m.data for m in self.far.messages if any(mailbox.encode() in r for r in m.recipients)]

    def relay(self, port, names, data):
        """Through a mail server that takes it from its own user. What that user hears of it later: DSNs."""
        if not self.sender:
            self.sender = Exim(self.path("sender"), ["example.org"], routers=ROUTE % port, bind="127.0.0.25",
                               main="acl_smtp_rcpt = anybody\n", acls="anybody:\n  accept\n")
        got = clients.send(self.sender.port, "office", names, data)
        assert got.end and got.end.code == 250, got
        for _ in range(30):  # what it would do later, now
            if eventually(lambda: not self.sender.waiting(), 0.3):
                break
            subprocess.run(self.sender.command("-qff"), timeout=60, check=False)
        new = self.sender.messages(clients.SENDER)[self.read:]
        self.read += len(new)
        return new

    def close(self):
        if self.sender:
            self.sender.stop()
        if not self.scanner.closed:
            self.scanner.close()
        self.far.close()
