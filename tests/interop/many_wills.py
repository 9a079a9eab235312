#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One message, many wills: smtpf-proxy before a real mail server, one message to recipients who wish different things of
it, from clients with one reply for all, with PRDR, and over LMTP. Prints who got what; every cell is compared with what
the policy promises.

`./bootstrap show many-wills` runs before Postfix; as an ordinary test a next hop of ours takes Postfix's place.
"""
import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mta import Missing, Postfix  # noqa: E402
from proxy_harness import Client, Proxy, Sink, stuffed  # noqa: E402

POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev" ]; };
early_talk = { score = 7.0; };
addrlists = ( { name = "listed"; entries = [ "127.0.0.9" ]; score = 7.0; } );
scopes = ( { name = "department"; networks = [ "127.0.0.64/26" ]; } );
profiles = (
  { name = "default"; reject = "off"; tag = "off"; reject_lists = true; },
  { name = "tag"; inherit = "default"; tag = 5.0; },
  { name = "reject"; inherit = "default"; reject = 6.0; },
  { name = "discard"; inherit = "default"; discard = 6.0; }
);
recipients = (
  { address = "plain@example.net"; },
  { address = "tag@example.net"; profile = "tag"; },
  { address = "staff@example.net"; only_from = [ "department" ]; },
  { address = "reject@example.net"; profile = "reject"; },
  { address = "discard@example.net"; profile = "discard"; },
  { address = "forward@example.net"; profile = "tag"; route = "forward-nonspam"; forward = "me@elsewhere.example"; }
);
quarantine = { directory = "%s"; };
proxy = { drain = "3s"; };
"""

NAMES = ["plain", "tag", "staff", "reject", "discard", "forward"]
ELSEWHERE = "me@elsewhere.example"
WISHES = {"plain": "everything, as it comes", "tag": "suspicious mail marked", "staff": "only mail from the department",
          "reject": "suspicious mail refused", "discard": "suspicious mail dropped", "forward": "known good mail forwarded"}


def address(name):
    return "%s@example.net" % name


# ---- where copies end up ------------------------------------------------------------------------------------------


class Behind:
    """What is behind the proxy: Postfix, or a next hop of ours."""

    def __init__(self, folder, real):
        self.mailboxes = [address(n) for n in NAMES] + ["trap@example.net", ELSEWHERE]
        self.postfix = Postfix(folder, self.mailboxes) if real else None
        self.sink = None if real else Sink(["PIPELINING", "DSN", "8BITMIME", "XFORWARD NAME ADDR PORT PROTO HELO SOURCE"])
        self.name = self.postfix.version() if real else "our own next hop"
        self.port = (self.postfix or self.sink).port

    def settle(self):
        end = time.monotonic() + 30
        while self.postfix and self.postfix.waiting() and time.monotonic() < end:
            time.sleep(0.05)

    def copies(self, mailbox, subject):
        """The copies in a mailbox that belong to one case."""
        if self.postfix:
            found = self.postfix.messages(mailbox)
        else:
            found = [m.data for m in self.sink.messages if any(b"<%s>" % mailbox.encode() in r for r in m.recipients)]
        return [m for m in found if b"\nSubject: %s\n" % subject.encode() in m.replace(b"\r\n", b"\n")]

    def stop(self):
        if self.postfix:
            self.postfix.stop()
        if self.sink:
            self.sink.close()


def fate(behind, quarantine, name, subject, reply):
    """In words: what the client was told, and where the copy is."""
    places = []
    for m in behind.copies(address(name), subject):
        places.append("tagged" if b"X-Smtpfilter: tagged" in m else "delivered")
    places += ["forwarded"] * len(behind.copies(ELSEWHERE, subject) if name == "forward" else [])
    for path in sorted(os.listdir(os.path.join(quarantine, "new"))):
        with open(os.path.join(quarantine, "new", path), "rb") as f:
            text = f.read()
        if b"Subject: %s\r\n" % subject.encode() in text and b"X-Quarantine-Recipient: <%s>" % address(name).encode() in text:
            places.append("quarantined")
    return " ".join([reply] + (sorted(places) or ["-"]))


# ---- clients ----------------------------------------------------------------------------------------------------------


def code(reply):
    return reply[:3].decode()


class Case:
    """One message to all. `late`: the client betrays itself only at the last RCPT, when the others are taken already."""

    def __init__(self, title, source, expected, late=False, **how):
        self.title, self.source, self.expected, self.late, self.how = title, source, expected, late, how
        self.subject = title.replace(" ", "-").replace(",", "")
        self.transactions = 0

    def message(self):
        return ("From: <sender@example.org>\r\nTo: <undisclosed@example.net>\r\nSubject: %s\r\nMessage-Id: <%s@example.org>\r\n"
                "\r\nThe same for everybody.\r\n" % (self.subject, self.subject)).encode()

    def end_of_message(self, client, accepted):
        if self.how.get("prdr"):
            replies = client.message_each(self.message(), len(accepted), prdr=True)
            final = code(replies.pop())
            # provisional: a copy is taken where both are 2xx
            return [code(r) if code(r)[0] != "2" or final[0] == "2" else final for r in replies[1:]]
        if self.how.get("lmtp"):
            return [code(r) for r in client.message_each(self.message(), len(accepted))]
        return [code(client.message(self.message()))] * len(accepted)

    def transaction(self, client, names, told):
        """As a mail server sends: who is put off stays for the next transaction. Returns those."""
        self.transactions += 1
        client.expect(b"MAIL FROM:<sender@example.org>" + (b" PRDR" if self.how.get("prdr") else b""), b"250")
        accepted = []
        for name in names:
            told[name] = code(client.say(b"RCPT TO:<%s>" % address(name).encode()))
            accepted += [name] if told[name][0] == "2" else []
        if self.late:  # out of turn: RCPT behind NOOP in one packet (RFC 2920 3.1)
            client.send(b"NOOP\r\nRCPT TO:<trap@example.net>\r\n")
            client.reply()
            trap = code(client.reply())
        if accepted:
            client.expect(b"DATA", b"354")
            count = accepted + (["trap"] if self.late and trap[0] == "2" else [])
            told.update(zip(accepted, self.end_of_message(client, count)))
        return [n for n in names if told[n][0] == "4"]

    def run(self, proxy):
        told, left = {}, list(NAMES)
        while left and self.transactions < 8:
            client = Client(proxy, source=self.source, verb=b"LHLO" if self.how.get("lmtp") else b"EHLO")
            if self.how.get("prdr") and b"PRDR" not in client.extensions:
                raise AssertionError("no PRDR: %r" % client.extensions)
            left = self.transaction(client, left, told)
            client.send(b"QUIT\r\n")
            client.reply()
            client.close()
        return told


LATE = dict(plain="250 delivered", tag="250 tagged", staff="550 -")
CASES = [
    Case("good client", "127.0.0.1", dict(plain="250 delivered", tag="250 delivered", staff="550 -", reject="250 delivered",
                                          discard="250 delivered", forward="250 forwarded")),
    Case("from the department", "127.0.0.65", dict(plain="250 delivered", tag="250 delivered", staff="250 delivered",
                                                   reject="250 delivered", discard="250 delivered", forward="250 forwarded")),
    Case("good client, not split", "127.0.0.1", dict(plain="250 delivered", tag="250 delivered", staff="550 -",
                                                     reject="250 delivered", discard="250 delivered", forward="250 forwarded"),
         whole=True),
    Case("listed client", "127.0.0.9", dict(plain="250 delivered", tag="250 tagged", staff="550 -", reject="550 -",
                                            discard="250 -", forward="250 tagged")),
    Case("listed client, not split", "127.0.0.9", dict(plain="250 delivered", tag="250 tagged", staff="550 -", reject="550 -",
                                                       discard="250 -", forward="250 tagged"), whole=True),
    Case("late evidence, one reply", "127.0.0.2", dict(LATE, reject="250 quarantined", discard="250 -", forward="250 tagged"),
         late=True),
    Case("late evidence, PRDR", "127.0.0.3", dict(LATE, reject="550 -", discard="250 -", forward="250 tagged"), late=True,
         prdr=True),
    Case("late evidence, LMTP", "127.0.0.4", dict(LATE, reject="550 -", discard="250 -", forward="250 tagged"), late=True,
         lmtp=True),
]


# ---- all of it ----------------------------------------------------------------------------------------------------------


def show(rows):
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, width)).rstrip())


def play(behind, folder, program):
    """Runs every case. Returns the fates: case -> recipient -> words."""
    quarantine = os.path.join(folder, "quarantine")
    path = os.path.join(folder, "policy.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(POLICY % quarantine)
    told = {}
    for how in ("split", "whole", "lmtp"):
        options = [("proxy.split", "false"), ("proxy.identity", "xforward")] if how == "whole" else []
        proxy = Proxy(behind.port, options, policy=path, program=program,
                      listen="lmtp:127.0.0.1:0" if how == "lmtp" else "127.0.0.1:0")
        try:
            for case in CASES:
                if how == ("lmtp" if case.how.get("lmtp") else "whole" if case.how.get("whole") else "split"):
                    told[case.title] = case.run(proxy)
        finally:
            proxy.stop()
    behind.settle()
    return {case.title: {n: fate(behind, quarantine, n, case.subject, told[case.title].get(n, "none")) for n in NAMES}
            for case in CASES}


def identity_told(behind):
    """Whether Postfix has heard who the clients are."""
    if not behind.postfix:
        return []
    log = behind.postfix.log()
    return [("XCLIENT: Postfix does not know the client", "client=unknown[127.0.0.65]\n" in log),
            ("XFORWARD: Postfix does not know the client", "orig_client=unknown[127.0.0.9]" in log)]


def main():
    real = "builddir" in os.environ  # `show`; `make check` does not set it
    program = os.path.join(os.environ["builddir"], "smtpf-proxy") if real else None
    with tempfile.TemporaryDirectory(prefix="many-wills-") as folder:
        root = os.path.join(folder, "mta")
        os.mkdir(root)
        os.chmod(folder, 0o755)
        try:
            behind = Behind(root, real)
        except Missing as why:
            print("no real mail server (%s): a next hop of ours takes its place" % why)
            behind = Behind(root, False)
        try:
            fates = play(behind, folder, program)
            checks = identity_told(behind)
        finally:
            behind.stop()
    wrong = ["%s, %s: %s instead of %s" % (case.title, n, fates[case.title][n], case.expected[n])
             for case in CASES for n in NAMES if fates[case.title][n] != case.expected[n]]
    wrong += [what for what, good in checks if not good]
    print("One message through smtpf-proxy to %s: the last reply about each recipient, and where the copy is.\n" % behind.name)
    show([["", "transactions"] + NAMES] +
         [[case.title, str(case.transactions)] + [fates[case.title][n] for n in NAMES] for case in CASES])
    print()
    show([[n, WISHES[n]] for n in NAMES])
    print()
    for line in wrong:
        print("FAIL " + line)
    cells = len(CASES) * len(NAMES) + len(checks)
    if real:
        print(json.dumps({"name": "many-wills", "cases": cells, "failed": len(wrong), "mta": behind.name, "messages": len(CASES),
                          "transactions": sum(case.transactions for case in CASES)}))
    else:
        print("%d passed, %d failed, 0 skipped" % (cells - len(wrong), len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
