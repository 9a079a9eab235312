# SPDX-License-Identifier: MIT
"""The four arrangements: the same Postfix with the same mailboxes, forwards and blocklist, and

accept_then_bounce   a filter behind acceptance; what it refuses Postfix bounces
accept_then_discard  a filter behind acceptance that drops what it does not like
milter_reject        spamass-milter, which refuses during the session above one threshold
libsmtpfilter        smtpf-proxy before it, with everybody's own wishes
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from harness import free_port  # noqa: E402
from mta import Missing, Postfix  # noqa: E402
from proxy_harness import Proxy, Skip, eventually  # noqa: E402
import policy  # noqa: E402
from names import Names  # noqa: E402
from sinks import Filter, Port, identity  # noqa: E402
from world import LISTED, OF_TARGET, PEOPLE, REFUSED, SRS  # noqa: E402

MAIN = """mynetworks = 127.0.0.1/32, 127.0.0.2/32
smtpd_client_restrictions = check_client_access cidr:{root}/conf/blocked
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_authorized_xclient_hosts =
transport_maps = texthash:{root}/conf/transport
virtual_alias_maps = {aliases}
minimal_backoff_time = 2s
maximal_backoff_time = 3s
queue_run_delay = 1s
maximal_queue_lifetime = 1m
bounce_queue_lifetime = 1m
in_flow_delay = 0
"""
REINJECT = ["content_filter=", "receive_override_options=no_unknown_recipient_checks,no_header_body_checks",
            "smtpd_client_restrictions="]


CONSENT = "its recipient asked for that"


class Copy:
    """One copy of a message in the hands of somebody: `place` is mailbox, target, quarantine, author or innocent."""

    def __init__(self, place, message, recipient, when, marked=False):
        self.place, self.message, self.recipient, self.when, self.marked = place, message, recipient, when, marked


class Arrangement:
    """Before start(), nothing runs; after stop(), nothing does."""
    name = title = ""
    forwards = True  # whether Postfix itself forwards

    def __init__(self, folder, scorer, virus, world, options):
        self.folder, self.scorer, self.virus, self.world, self.options = folder, scorer, virus, world, options
        self.entrance = None  # the port of what stands before Postfix, if anything does
        self.names = Names({d: s.ip for d, s in world.items()})
        self.postfix, self.port = None, None

    def main(self):
        """More lines for main.cf."""
        return ""

    def second(self):
        return ()

    def start_postfix(self):
        root = os.path.join(self.folder, "mta")
        os.mkdir(root)
        os.chmod(self.folder, 0o755)
        conf = os.path.join(root, "conf")
        text = MAIN.format(root=root, aliases="texthash:%s/virtual" % conf if self.forwards else "") + self.main()
        maps = {"transport": "".join("%s smtp:[%s]:%d\n" % (d, s.ip, s.port) for d, s in self.world.items()),
                "virtual": "".join("%s %s\n" % (p.address, p.target) for p in PEOPLE if p.target),
                "blocked": "%s/32 REJECT listed\n" % LISTED}
        if self.entrance:  # bounces to the senders of our forwards are led back by who made them
            maps["transport"] += "%s smtp:[127.0.0.1]:%d\n" % (SRS, self.entrance)
        files = os.path.join(self.folder, "maps")
        os.mkdir(files)
        for name, lines in maps.items():
            with open(os.path.join(files, name), "w", encoding="ascii") as f:
                f.write(lines)
        text = text.replace(conf + "/", files + "/")
        self.postfix = Postfix(root, [p.address for p in PEOPLE], text, self.second())
        self.port = self.postfix.port

    def start(self):
        self.start_postfix()

    def settle(self, within=90):
        """Until Postfix has nothing left to do."""
        end = time.monotonic() + within
        quiet = 0
        while quiet < 5 and time.monotonic() < end:
            quiet = 0 if self.postfix.waiting() else quiet + 1
            time.sleep(0.1)
        return quiet >= 5

    def stop(self):
        self.names.close()
        if self.postfix:
            self.postfix.stop()

    def dropped(self, told):  # pylint: disable=unused-argument
        """{(message, recipient): who dropped it and why} of what is recorded as dropped."""
        return unreturnable(self.postfix.log())

    def copies(self):
        found = []
        for p in PEOPLE:
            for path in glob.glob(os.path.join(self.postfix.root, "mail", p.address, "new", "*")):
                with open(path, "rb") as f:
                    data = f.read()
                head = data.split(b"\n\n", 1)[0]
                marked = b"X-Smtpfilter: tagged" in head or b"X-Spam-Flag: YES" in head
                found.append(Copy("mailbox", identity(data), p.address, os.stat(path).st_mtime, marked))
        return found


def unreturnable(log):
    """What Postfix could not deliver and not bounce either, because it came from the null sender."""
    message, sender, failed = {}, {}, {}
    for line in log.splitlines():
        found = re.search(r": ([0-9A-F]{6,}): (.*)", line)
        if not found:
            continue
        queue, rest = found.groups()
        if rest.startswith("message-id=<m"):
            message[queue] = rest[12:].split("@")[0]
        elif rest.startswith("from=<"):
            sender[queue] = rest[6:].split(">")[0]
        elif "status=bounced" in rest:
            to = re.search(r"orig_to=<([^>]*)>", rest) or re.search(r"to=<([^>]*)>", rest)
            failed.setdefault(queue, set()).add(OF_TARGET.get(to.group(1), to.group(1)))
    return {(message[q], r): "failed later, and came from the null sender" for q, rcpts in failed.items() for r in rcpts
            if q in message and sender.get(q) == ""}


class Bounce(Arrangement):
    name, title, discards = "accept_then_bounce", "filter after acceptance, bounces", False

    def start(self):
        self.filter = Filter(self.scorer, self.discards)
        self.start_postfix()
        self.filter.back = Port(self.postfix.second_port)

    def main(self):
        return "content_filter = smtp:[127.0.0.1]:%d\nreceive_override_options = no_address_mappings\n" % self.filter.port

    def second(self):
        return REINJECT

    def stop(self):
        super().stop()
        self.filter.close()


class Discard(Bounce):
    name, title, discards = "accept_then_discard", "filter after acceptance, discards", True

    def dropped(self, told):
        return {**super().dropped(told), **{key: "the filter dropped it" for key in self.filter.dropped}}


class Milter(Arrangement):
    name, title = "milter_reject", "plain milter, rejects"

    def start(self):
        program = shutil.which("spamass-milter")
        if not program or not os.path.exists("/usr/bin/spamc"):
            raise Missing("no spamass-milter, or no spamc, here")
        self.socket = os.path.join(self.folder, "milter.sock")
        with open(os.path.join(self.folder, "milter.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", 'umask 0; exec "$@"', "sh", program, "-p", self.socket, "-m", "-i", "127.0.0.2", "-r", "%d" % REFUSED,
                 "--", "-d", "127.0.0.1", "-p", str(self.scorer.port)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        eventually("spamass-milter listens", lambda: os.path.exists(self.socket))
        self.start_postfix()

    def main(self):
        return "smtpd_milters = unix:%s\nmilter_default_action = tempfail\n" % self.socket

    def stop(self):
        super().stop()
        if hasattr(self, "process"):
            self.process.kill()  # libmilter takes seconds to end in order
            self.process.wait(10)


class Library(Arrangement):
    name, title, forwards = "libsmtpfilter", "smtpf-proxy", False

    def start(self):
        self.entrance = free_port()
        self.start_postfix()
        self.quarantine = os.path.join(self.folder, "quarantine")
        path = os.path.join(self.folder, "policy.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(policy.text(self))
        self.proxy = Proxy(self.postfix.port, policy=path, program=self.options.program,
                           arguments=["--log", "json", "--explain"], listen="127.0.0.1:%d" % self.entrance, disable=("iprev",))
        self.port = self.proxy.port

    def stop(self):
        if hasattr(self, "proxy"):
            self.proxy.stop()
        super().stop()

    def dropped(self, told):
        """Of discarded copies nothing is left but the log's word. Its lines for ends of messages come in the order in which
        messages were given over."""
        lines = [json.loads(line) for line in self.proxy.ended.splitlines() if line.startswith("{")]
        # what Postfix brings is its bounces of forwards, which nobody of ours sent
        ends = [line for line in lines if line["event"] == "end-of-message" and line.get("client") != "127.0.0.1"]
        found = super().dropped(told)
        for line, (message, recipients) in zip(ends, told.ends):
            said = {r["address"]: r["disposition"] for r in line.get("recipients", [])}
            if len(ends) != len(told.ends) or not set(recipients) & set(said):
                return found  # not to be told apart: then they are not accounted for
            found.update({(message, r): CONSENT for r in recipients if said.get(r) == "discarded"})
        return found

    def copies(self):
        found = super().copies()
        for path in glob.glob(os.path.join(self.quarantine, "new", "*")):
            with open(path, "rb") as f:
                data = f.read()
            for r in re.findall(rb"^X-Quarantine-Recipient: <([^>]*)>", data, re.M):
                found.append(Copy("quarantine", identity(data), r.decode(), os.stat(path).st_mtime))
        return found


ALL = [Bounce, Discard, Milter, Library]
