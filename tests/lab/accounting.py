# SPDX-License-Identifier: MIT
"""Where every copy ended: each message has one fate for each recipient, found by looking into mailboxes, targets,
quarantine and the hands of those who were told; and never by what an arrangement says it did, but for what it dropped.
"""
import statistics

from arrangements import CONSENT, Copy
from senders import final_recipients
from world import MARKED, OF_TARGET, PERSON, VICTIM

HAM_FATES = ["delivered", "quarantined", "told", "consented", "lost", "unaccounted"]
SPAM_FATES = ["refused", "delivered", "forwarded", "quarantined", "discarded", "bounced", "unaccounted"]


FORWARDER = b"From: <MAILER-DAEMON@mx.old.example>"  # refused by us, it bounced


def outside(world, mail):
    """What arrived at others' servers: copies at targets, and bounces with their authors or with innocents."""
    found, everybody = [], {m.id: m.recipients for m in mail}
    for domain, server in world.items():
        for a in server.known():
            for to in a.recipients:
                if a.sender:
                    found.append(Copy("target", a.id, OF_TARGET.get(to, to), a.when))
                    continue
                about = {OF_TARGET.get(r, r) for r in final_recipients(a.data)} & set(everybody.get(a.id, []))
                about = about or everybody.get(a.id, [None])
                place = "innocent" if domain == VICTIM else "author"
                found += [Copy(place, a.id, r, a.when) for r in about]
    return found


def bounces_to_innocents(world):
    return world[VICTIM].known()


class Fate:
    """One message, one recipient: the word, and what it was found from."""

    def __init__(self, message, recipient, copies, told, dropped):
        self.message, self.recipient = message, recipient
        self.key = (message.id, recipient)
        self.places = sorted(c.place for c in copies)
        self.reply, self.stage = told.reply.get(self.key, ""), told.stage.get(self.key, "")
        self.user = self.key in told.user
        self.dropped = dropped.get(self.key)
        self.marked = any(c.marked for c in copies)
        arrived = [c.when for c in copies if c.place in ("mailbox", "target")]
        self.copies = len(arrived)
        self.delay = min(arrived) - told.begun[message.id] if arrived else None
        self.fate = self.of_ham() if message.ham else self.of_spam()

    def reads(self):
        return self.recipient in PERSON and PERSON[self.recipient].reads

    def of_ham(self):
        if self.copies:
            return "delivered"
        if "quarantine" in self.places:
            return "quarantined" if self.reads() else "lost"
        if self.user or "author" in self.places:
            return "told"
        if self.dropped:
            return "consented" if self.dropped == CONSENT else "lost"
        return "unaccounted"

    def of_spam(self):
        for place, fate in (("mailbox", "delivered"), ("target", "forwarded"), ("quarantine", "quarantined"),
                            ("innocent", "bounced"), ("author", "bounced")):
            if place in self.places and not (fate == "bounced" and self.reply[:1] != "2"):
                return fate
        if self.dropped:
            return "discarded"
        return "refused" if self.reply[:1] in ("4", "5") else "unaccounted"

    def told_wrongly(self):
        """Its sender was told that it did not arrive, and it did."""
        return bool(self.copies and (self.user or "author" in self.places))

    def why(self):
        return "%s %s to %s, score %g: answered `%s' (%s); found at: %s%s" % (
            self.message.id, self.message.kind, self.recipient, self.message.score, self.reply, self.stage,
            ", ".join(self.places) or "nowhere", "; " + self.dropped if self.dropped else "")


class Account:
    """The fates of a whole run through one arrangement."""

    def __init__(self, arrangement, mail, told, world):
        copies = arrangement.copies() + outside(world, mail)
        by_key = {}
        for c in copies:
            by_key.setdefault((c.message, c.recipient), []).append(c)
        dropped = arrangement.dropped(told)
        self.name, self.title, self.told = arrangement.name, arrangement.title, told
        self.fates = [Fate(m, r, by_key.pop((m.id, r), []), told, dropped) for m in mail for r in m.recipients]
        # what belongs to no message of ours, but for innocents' bounces, whose recipients may be nobody
        self.strays = [c for key, found in by_key.items() for c in found if c.place != "innocent"]
        self.innocent = bounces_to_innocents(world)

    def count(self, ham, fate):
        return sum(f.message.ham == ham and f.fate == fate for f in self.fates)

    def figures(self):
        ham = [f for f in self.fates if f.message.ham]
        delays = sorted(f.delay for f in ham if f.delay is not None) or [0.0]
        return {
            "bounces_to_innocents": len(self.innocent),
            "bounces_by_forwarders": sum(FORWARDER in a.data for a in self.innocent),
            "lost_silently": self.count(True, "lost"),
            "legitimate_delivered": self.count(True, "delivered"),
            "legitimate_told": self.count(True, "told"),
            "legitimate_quarantined": self.count(True, "quarantined"),
            "legitimate_dropped_by_consent": self.count(True, "consented"),
            "spam_delivered": self.count(False, "delivered"),
            "spam_delivered_marked": sum(f.fate == "delivered" and f.marked for f in self.fates if not f.message.ham),
            "spam_forwarded": self.count(False, "forwarded"),
            "spam_quarantined": self.count(False, "quarantined"),
            "spam_refused": self.count(False, "refused"),
            "spam_bounced": self.count(False, "bounced"),
            "spam_discarded": self.count(False, "discarded"),
            "bytes_from_spammers": self.told.bytes_of_spam,
            "deferrals": self.told.deferrals,
            "delay_median_s": round(statistics.median(delays), 3),
            "delay_95_s": round(delays[min(len(delays) - 1, int(len(delays) * 0.95))], 3),
            "arrived_twice": sum(f.copies - 1 for f in self.fates if f.copies > 1),
            "told_though_delivered": sum(f.told_wrongly() for f in ham),
            "copies": len(self.fates),
            "unaccounted": self.count(True, "unaccounted") + self.count(False, "unaccounted") + len(self.strays),
        }

    def faults(self):
        """What may not be, in any arrangement: copies that nobody can account for."""
        return ["unaccounted for: " + f.why() for f in self.fates if f.fate == "unaccounted"] + [
            "belongs to nobody: %s of %s for %s" % (c.place, c.message, c.recipient) for c in self.strays]


def conditions(ours, milter):
    """What must hold for libsmtpfilter; each line names the mail that breaks it."""
    broken, fates = [], {}
    for f in ours.fates:
        fates.setdefault(f.message.id, []).append(f)
    for a in ours.innocent:
        broken.append("bounce to an innocent: " + "; ".join(f.why() for f in fates.get(a.id, [])))
    broken += ["lost silently: " + f.why() for f in ours.fates if f.message.ham and f.fate == "lost"]
    if milter:
        # what reached a person, in our mailboxes alone and together with those elsewhere
        for reached in (("delivered",), ("delivered", "forwarded")):
            here, there = ([f for f in a.fates if not f.message.ham and f.fate in reached] for a in (ours, milter))
            if len(here) > len(there):
                keys = {f.key for f in there}
                broken += ["spam that a plain milter keeps out (%d %s, %d there): %s" % (
                    len(here), " or ".join(reached), len(there), f.why()) for f in here if f.key not in keys]
    return broken


def by_kind(account):
    """{kind: {fate: count}}, for the long report."""
    table = {}
    for f in account.fates:
        row = table.setdefault(f.message.kind, {})
        row[f.fate] = row.get(f.fate, 0) + 1
    return table


def marked_ham(account):
    return sum(f.message.ham and f.marked and f.message.score >= MARKED for f in account.fates)
