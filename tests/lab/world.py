# SPDX-License-Identifier: MIT
"""Who is who in the lab, and the mail of a run: the same for every arrangement, made from a seed.

A message knows whether it is wanted (`ham`), what the scanner will say of it (`score`), and how it travels: by whom
(`host`), from which envelope sender, to which recipients. What an arrangement makes of it is seen, never assumed.
"""
import random
from dataclasses import dataclass, field

SITE = "example.net"
SRS = "fwd.example.net"  # of the senders that our forwards leave with
VICTIM = "victim.example"  # the domain whose addresses spammers forge: whatever arrives there went to an innocent
REFUSED = 10.0  # the one threshold of arrangements without wishes
MARKED = 5.0  # where the scanner itself would mark
EVIL = "LAB-STANDARD-VIRUS-TEST-FILE"


@dataclass(frozen=True)
class Person:
    """A mailbox of ours. `target`: where its mail is forwarded to. `reads`: whether anybody looks into its quarantine."""
    name: str
    target: str = None
    reads: bool = False
    wishes: str = ""  # what it wishes, as lines of a profile

    @property
    def address(self):
        return "%s@%s" % (self.name, SITE)


AWAY = 'inherit = "away";'
PEOPLE = [
    Person("alice", wishes='batv = true; bounces = "signed";'),
    Person("bob"),
    Person("frank", wishes="reject = 6.0;"),
    Person("erin", wishes='reject = "off"; discard = 10.0;'),
    Person("carol", reads=True, wishes='quarantine = 7.0; forwarders = [ "old-address" ];'),
    Person("dave", reads=True, wishes='quarantine = 7.0; lists = [ "announcements" ];'),
    Person("grace"),  # with --careless she has a quarantine, too, and never looks into it
    Person("away", "away@elsewhere.example", wishes=AWAY),
    Person("heidi", "heidi@elsewhere.example", wishes=AWAY),
    Person("fussy", "fussy@strict.example", wishes=AWAY),
    Person("gone", "gone@closed.example", wishes=AWAY),
    Person("fickle", "fickle@fickle.example", wishes=AWAY),
    Person("drops", "drops@drops.example", wishes=AWAY),
]
PERSON = {p.address: p for p in PEOPLE}
OF_TARGET = {p.target: p.address for p in PEOPLE if p.target}
PLAIN = ["alice", "bob", "grace"]
FORWARDED = ["away", "heidi", "fussy"]


@dataclass(frozen=True)
class Host:
    """A client. `kind`: spammer (tries once, tells nobody), mta (comes again, tells its user), forwarder (the same, and
    its user is whoever the envelope names), own (a client of ours)."""
    name: str
    ip: str
    kind: str
    at_once: bool = True  # whether it sends who was told 452 in another transaction at once


HOSTS = {h.name: h for h in [
    Host("mail.example.org", "127.0.0.10", "mta"),
    Host("mx.friend.example", "127.0.0.11", "mta", at_once=False),
    Host("out.partner.example", "127.0.0.40", "mta"),
    Host("lists.example", "127.0.0.30", "mta"),
    Host("mx.old.example", "127.0.0.25", "forwarder"),
    Host("desk.example.net", "127.0.0.2", "own"),
    Host("dsl-1.spam.example", "127.0.0.70", "spammer"),
    Host("dsl-2.spam.example", "127.0.0.71", "spammer"),
    Host("dsl-3.spam.example", "127.0.0.72", "spammer"),
    Host("known.spam.example", "127.0.0.66", "spammer"),
]}
LISTED = "127.0.0.66"  # by the blocklist that every arrangement has
SPAMMERS = ["dsl-1.spam.example", "dsl-2.spam.example", "dsl-3.spam.example"]
LEGITIMATE = ["mail.example.org", "mx.friend.example"]
# Domains that have a server of their own in the lab, beside ours.
OUTSIDE = ["elsewhere.example", "strict.example", "closed.example", "fickle.example", "drops.example", VICTIM, "example.org",
           "friend.example", "partner.example", "lists.example", "old.example"]


@dataclass
class Message:
    id: str
    kind: str
    ham: bool
    score: float
    host: Host
    sender: str
    recipients: list
    data: bytes = b""
    refused_there: bool = False  # strict.example takes it for spam, rightly or not
    returns: bool = False  # its recipient's server will send it back
    behind: str = ""  # who gave it to the forwarder
    quotes: bytes = b""  # for a bounce: header of what it says it is about
    answers: str = ""  # for a bounce: the message that it is about
    targets: list = field(default_factory=list)


WORDS = """the of and to a in is it you that he was for on are with as his they at be this from have or by one had not but what all were
when we there can an your which their said if do will each about how up out them then she many some so these would other into has more
her two like him see time could no make than first been its who now people my made over did down only way find use may water long
little very after called just where most know""".split()


WEIGHTS = [1, 2, 4, 8, 16, 32, 64]


def weights(score):
    """Words that a real scanner can be taught to score: together they have the whole part of the score."""
    return " ".join("labweight%d" % w for w in WEIGHTS if int(score) & w)


class Maker:
    """Makes messages. Everything comes from one random source, in one order."""

    def __init__(self, seed):
        self.random, self.number, self.mail = random.Random(seed), 0, []

    def text(self, ham, evil, score):
        r = self.random
        lines = [weights(score)]
        for _ in range(r.randint(5, 60) if ham else r.randint(20, 300)):
            lines.append(" ".join(r.choice(WORDS) for _ in range(11)))
        if evil:
            lines.insert(2, EVIL)
        return "\r\n".join(lines) + "\r\n"

    def forged(self):
        return "user%d@%s" % (self.random.randint(1, 99), VICTIM)

    def add(self, kind, ham, score, host, sender, to, **rest):
        self.number += 1
        name = "m%05d" % self.number
        recipients = [t if "@" in t else "%s@%s" % (t, SITE) for t in to]
        evil = rest.pop("evil", False)
        m = Message(name, kind, ham, round(score, 1), HOSTS[host], sender, recipients, **rest)
        trace = ""
        if m.behind:
            ip = {h.name: h.ip for h in HOSTS.values()}[m.behind]
            trace = ("Received: from %s (%s [%s])\r\n\tby mx.old.example with ESMTP id %s;\r\n\tMon, 2 Mar 2026 10:00:00 +0000\r\n"
                     % (m.behind, m.behind, ip, name))
        if kind.startswith("list"):
            trace += "List-Id: Announcements <announce.lists.example>\r\nPrecedence: list\r\n"
        author = sender or "MAILER-DAEMON@%s" % m.host.name
        head = trace + ("From: <%s>\r\nTo: <%s>\r\nSubject: %s %s\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\nMessage-Id: <%s@%s>\r\n"
                        "X-Lab-Id: %s\r\nMIME-Version: 1.0\r\n" % (author, recipients[0], kind, name, name, m.host.name, name))
        if m.quotes or kind.startswith("bounce"):
            m.data = head.encode()  # the rest is known when its time has come: senders.bounce()
        else:
            m.data = (head + "Content-Type: text/plain; charset=us-ascii\r\n\r\n" + self.text(ham, evil, m.score)).encode()
        self.mail.append(m)
        return m


# ---- kinds of mail: each a function of the maker, with its weight ------------------------------------------------------


def low(k):
    return k.random.uniform(0, 4)


def middle(k):
    return k.random.uniform(6.5, 9.5)


def high(k):
    return k.random.uniform(11, 30)


def legitimate(k):
    host = k.random.choice(LEGITIMATE)
    return host, "%s@%s" % (k.random.choice(["jo", "kim", "lee", "max"]), host.split(".", 1)[1])


def ham(k, kind, score, to, **rest):
    host, sender = legitimate(k)
    return k.add(kind, True, score, host, sender, to, **rest)


def spam(k, kind, score, to, **rest):
    return k.add(kind, False, score, rest.pop("host", None) or k.random.choice(SPAMMERS), k.forged(), to, **rest)


def through_forwarder(k, kind, wanted, score, **rest):
    """Mail for carol's old address, as its server passes it on: with the sender that it came with."""
    behind = k.random.choice(LEGITIMATE if wanted else SPAMMERS)
    sender = "jo@%s" % behind.split(".", 1)[1] if wanted else k.forged()
    return k.add(kind, wanted, score, "mx.old.example", sender, ["carol"], behind=behind, **rest)


def list_post(k, kind, score):
    return k.add(kind, True, score, "lists.example", "announce-bounces@lists.example", ["dave"])


def answered_bounce(k):
    """Mail of ours that its recipient's server sends back later: two messages."""
    out = k.add("outgoing", True, 0.5, "desk.example.net", "alice@%s" % SITE, ["nobody@partner.example"], returns=True)
    k.add("bounce-of-ours", True, 1.0, "out.partner.example", "", ["alice"], answers=out.id)


def foreign_bounce(k):
    """Somebody forged alice's address elsewhere, and a server elsewhere answers that."""
    quoted = "From: <alice@%s>\r\nTo: <someone@partner.example>\r\nSubject: cheap\r\nMessage-Id: <x%d@forged.example>\r\n" % (
        SITE, k.number)
    k.add("bounce-foreign", False, 2.0, "out.partner.example", "", ["alice"], quotes=quoted.encode())


def one(k, *names):
    return [k.random.choice(names)]


KINDS = [  # (weight, what is made)
    (10, lambda k: ham(k, "ham", low(k), one(k, *PLAIN, "frank", "erin", "carol", "dave"))),
    (3, lambda k: ham(k, "ham-to-two", low(k), ["alice", "frank"])),
    (2, lambda k: ham(k, "ham-false-high", high(k), one(k, *PLAIN, "frank"))),
    (1, lambda k: ham(k, "ham-false-high-discarder", high(k), ["erin"])),
    (1, lambda k: ham(k, "ham-false-high-two", high(k), ["alice", "carol"])),
    (2, lambda k: ham(k, "ham-false-middle", middle(k), one(k, *PLAIN, "carol"))),
    (1, lambda k: ham(k, "ham-false-middle-forward", middle(k), one(k, *FORWARDED))),
    (5, lambda k: ham(k, "ham-forward", low(k), one(k, *FORWARDED))),
    (1, lambda k: ham(k, "ham-refused-there", low(k), ["fussy"], refused_there=True)),
    (2, lambda k: ham(k, "ham-pair", low(k), k.random.choice([["away", "fussy"], ["alice", "heidi"], ["heidi", "gone"]]))),
    (1, lambda k: ham(k, "ham-pair-refused-there", low(k), ["away", "fussy"], refused_there=True)),
    (1, lambda k: ham(k, "ham-gone", low(k), ["gone"])),
    (1, lambda k: ham(k, "ham-fickle", low(k), ["fickle"])),
    (1, lambda k: ham(k, "ham-drops", low(k), ["drops"])),
    (1, lambda k: ham(k, "ham-unknown", low(k), ["alise"])),
    (2, lambda k: through_forwarder(k, "forwarded-ham", True, low(k))),
    (1, lambda k: through_forwarder(k, "forwarded-ham-false-high", True, high(k))),
    (2, lambda k: list_post(k, "list-post", low(k))),
    (1, lambda k: list_post(k, "list-post-false-high", high(k))),
    (2, answered_bounce),
    (10, lambda k: spam(k, "spam", high(k), one(k, *PLAIN, "frank", "erin", "carol", "dave"))),
    (3, lambda k: spam(k, "spam-low", low(k), one(k, *PLAIN, "frank"))),
    (3, lambda k: spam(k, "spam-middle", middle(k), one(k, *PLAIN, "frank", "carol"))),
    (3, lambda k: spam(k, "spam-to-two", high(k), k.random.choice([["alice", "erin"], ["alice", "frank"], ["bob", "carol"]]))),
    (4, lambda k: spam(k, "spam-forward", high(k), one(k, *FORWARDED))),
    (3, lambda k: spam(k, "spam-forward-middle", middle(k), one(k, *FORWARDED), refused_there=True)),
    (3, lambda k: spam(k, "spam-forward-low", low(k), one(k, *FORWARDED), refused_there=True)),
    (2, lambda k: spam(k, "spam-pair", low(k), ["heidi", "fussy"], refused_there=True)),
    (2, lambda k: spam(k, "spam-gone", low(k), ["gone"])),
    (2, lambda k: spam(k, "spam-fickle", low(k), ["fickle"])),
    (1, lambda k: spam(k, "spam-drops", low(k), ["drops"])),
    (3, lambda k: spam(k, "spam-unknown", high(k), ["user%d" % k.random.randint(1, 999)])),
    (3, lambda k: spam(k, "spam-listed", high(k), one(k, *PLAIN), host="known.spam.example")),
    (4, lambda k: through_forwarder(k, "forwarded-spam", False, high(k))),
    (1, lambda k: through_forwarder(k, "forwarded-spam-middle", False, middle(k))),
    (2, lambda k: spam(k, "virus", 100, one(k, *PLAIN, "away", "erin"), evil=True)),
    (1, lambda k: through_forwarder(k, "forwarded-virus", False, 100, evil=True)),
    (2, foreign_bounce),
]


def make(seed, count):
    """At least `count` messages, every kind among them as long as there is room, in an order of the seed's."""
    k = Maker(seed)
    order = [make_one for _, make_one in KINDS]
    k.random.shuffle(order)
    while len(k.mail) < count:
        if order:
            order.pop()(k)
        else:
            k.random.choices([m for _, m in KINDS], [w for w, _ in KINDS])[0](k)
    return k.mail
