# SPDX-License-Identifier: MIT
"""What an adapter says of its `server` and its `filter`, if it has one. It starts both in `__init__`, and raises `mta.Missing` where there is no
such server here."""
import time


class Host:
    name = ""  # as differences.txt has it

    def __init__(self, site):
        self.site, self.taken = site, {}
        self.port = 0  # where clients connect, by IPv4 and IPv6
        self.without_tls = None if site.certificate else "no certificates can be made here"
        self.lmtp_port = None  # the same for clients that speak LMTP, where it is another

    def messages(self, mailbox):
        """What is in it, each message whole; those of the server behind it are the site's."""
        raise NotImplementedError

    def held(self):
        """What is in quarantine: (for whom, the message with whatever says why)."""
        return []

    def log(self):
        """The filter's lines about verdicts, and what else it says; of those that have ended, too."""
        raise NotImplementedError

    def server_log(self):
        return ""

    def waiting(self):
        """How many messages are on their way to a mailbox; None when that cannot be known."""
        return None

    def settle(self):
        """Until what was taken is where it ends."""
        end = time.monotonic() + 15
        if self.waiting() is None:
            time.sleep(0.5)
            return
        while self.waiting() and time.monotonic() < end:
            time.sleep(0.02)

    def is_alive(self):
        raise NotImplementedError

    def kill(self):
        """The filter, without a warning."""
        raise NotImplementedError

    def start(self):
        """The filter again."""
        raise NotImplementedError

    def restart(self):
        """As the guide has it."""
        raise NotImplementedError

    def stop(self):
        """Both, or what of them has been started."""
        for part in (getattr(self, "server", None), getattr(self, "filter", None)):
            if part and part.process.poll() is None:
                part.stop()
