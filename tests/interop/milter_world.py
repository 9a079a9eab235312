# SPDX-License-Identifier: MIT
"""One policy for every MTA with a milter, and what each client must see and each mailbox hold. The MTAs' own tests say
how a client is borrowed (XCLIENT, a second address) and how the MTA words what it passes on."""
import smtplib
import time

BOXES = ["b@example.net", "plain@example.net", "discards@example.net", "tags@example.net", "held@example.net",
         "strict@example.net", "goes@example.net", "elsewhere@example.net", "grey@example.net", "only@example.net"]
LISTED, STRANGER, OFFICE = "127.0.0.66", "127.0.0.25", "127.0.0.70"
POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo", "forward_target" ]; };
addrlists = ( { name = "listed"; entries = [ "127.0.0.66" ]; score = 20.0; text = "100%% certain: listed"; } );
scopes = ( { name = "office"; networks = [ "127.0.0.70" ]; } );
rules = { files = [ "%(tmp)s/rules" ]; };
profiles = ( { name = "default"; reject = 15.0; },
             { name = "lenient"; reject = "off"; },
             { name = "discards"; inherit = "lenient"; discard = 5.0; },
             { name = "tags"; inherit = "default"; tag = 5.0; },
             { name = "held"; inherit = "default"; quarantine = 5.0; },
             { name = "strict"; inherit = "default"; reject = 5.0; } );
recipients = ( { address = "discards@example.net"; profile = "discards"; },
               { address = "tags@example.net"; profile = "tags"; },
               { address = "held@example.net"; profile = "held"; },
               { address = "strict@example.net"; profile = "strict"; },
               { address = "grey@example.net"; greylist = true; },
               { address = "only@example.net"; only_from = [ "office" ]; },
               { address = "goes@example.net"; route = "forward"; forward = "elsewhere@example.net"; forward_sender = "out@example.net"; },
               { address = "b@example.net"; }, { address = "plain@example.net"; profile = "lenient"; }, { address = "elsewhere@example.net"; } );
greylist = { wait = "2s"; };
budget = { wait = "2s"; };
%(more)s
"""
RULES = """
rule SPAM
  match header Subject /SPAM/
  score 6
rule WORSE
  match text /unwanted offer/
  score 20
"""
WAIT = 2.3
READS, SPARES = 'rules = { files = [ "%(tmp)s/rules" ]; };', 'tag = { foreign = "leave"; };'
FEW_ERRORS = "limits = { errors = 4; };"
SPLIT, TOGETHER = 'budget = { wait = "2s"; };', 'budget = { wait = "2s"; deferrals = 0; };'


def spares(tmp, more=""):
    """One in which nothing is wanted of most messages."""
    return POLICY.replace(READS, SPARES) % {"tmp": tmp, "more": more}


def policy(tmp, more=""):
    with open(tmp + "/rules", "w", encoding="ascii") as f:
        f.write(RULES)
    return POLICY % {"tmp": tmp, "more": more}


class World:
    """`send(sender, recipients, subject, client, body)` gives the replies to each RCPT and to the message (None when there
    was none), as `(code, text)`; `messages(mailbox)` what is in it; `held()` how many messages are on hold."""

    def __init__(self, check, send, messages, held):
        self.check, self.send, self.messages, self.held = check, send, messages, held

    def copies(self, mailbox, subject):
        return [m for m in self.messages(mailbox) if b"\nSubject: %s\n" % subject.encode() in m.replace(b"\r\n", b"\n")]

    def arrived(self, mailbox, subject):
        for _ in range(100):
            if self.copies(mailbox, subject):
                return self.copies(mailbox, subject)[0].replace(b"\r\n", b"\n")
            time.sleep(0.05)
        return b""

    def all_arrived(self, mailbox, subjects):
        """Whether each of them is there, once."""
        found = []
        for _ in range(100):
            found = sorted(line[9:].decode() for m in self.messages(mailbox) for line in m.replace(b"\r\n", b"\n").split(b"\n")
                           if line.startswith(b"Subject: ") and line[9:].decode() in subjects)
            if found == sorted(subjects):
                return True
            time.sleep(0.1)
        return False

    def nowhere(self, mailbox, subject):
        return not self.copies(mailbox, subject)

    def accepts(self):
        rcpts, end = self.send("a@example.org", ["b@example.net"], "one", STRANGER)
        got = self.arrived("b@example.net", "one")
        self.check("accept", rcpts[0][0] == 250 and end[0] == 250 and got, (rcpts, end))
        self.check("accept: no mark", b"X-Smtpfilter" not in got, got)

    def refuses_the_listed(self):
        rcpts, end = self.send("a@example.org", ["b@example.net"], "two", LISTED)
        self.check("a listed client, at RCPT", rcpts[0][0] == 550 and end is None, (rcpts, end))
        self.check("with its text, the per cent sign too", "100% certain: listed" in rcpts[0][1] and "5.7.1" in rcpts[0][1], rcpts)

    def tags(self):
        _, end = self.send("a@example.org", ["tags@example.net"], "SPAM three", STRANGER, mark="forged")
        got = self.arrived("tags@example.net", "SPAM three")
        self.check("tag", end[0] == 250 and b"\nX-Smtpfilter: tagged; score=6" in b"\n" + got, (end, got))
        self.check("tag: a forged mark is gone", b"forged" not in got, got)

    def refuses_content(self):
        _, end = self.send("a@example.org", ["b@example.net"], "four", STRANGER, body="an unwanted offer")
        self.check("content, at the end", end[0] in (550, 554) and self.nowhere("b@example.net", "four"), end)

    def greylists(self):
        rcpts, _ = self.send("a@example.org", ["grey@example.net"], "five", STRANGER)
        self.check("greylist: put off", rcpts[0][0] in (450, 451) and "greylisted" in rcpts[0][1], rcpts)
        time.sleep(WAIT)
        rcpts, end = self.send("a@example.org", ["grey@example.net"], "five", STRANGER)
        self.check("greylist: the retry is taken", end and end[0] == 250 and self.arrived("grey@example.net", "five"), (rcpts, end))

    def restricts(self):
        rcpts, _ = self.send("a@example.org", ["only@example.net"], "six", STRANGER)
        self.check("restricted: a stranger", rcpts[0][0] == 550, rcpts)
        rcpts, end = self.send("a@example.org", ["only@example.net"], "six", OFFICE)
        self.check("restricted: the office", end and end[0] == 250 and self.arrived("only@example.net", "six"), (rcpts, end))

    def five_wishes(self):
        """One message to five: each client sends those that are put off again, until nobody is."""
        waiting, subject, rounds, taken = ["discards", "tags", "held", "plain", "strict"], "SPAM seven", 0, {}
        before = self.held()
        while waiting and rounds < 5:
            names = list(waiting)
            rcpts, end = self.send("a@example.org", [n + "@example.net" for n in names], subject, STRANGER)
            rounds += 1
            for name, (code, _) in zip(names, rcpts):
                if code == 250:
                    taken[name] = end[0]
                    waiting.remove(name)
                elif code >= 500:
                    taken[name] = code
                    waiting.remove(name)
        self.check("five wishes: all are answered", not waiting, (waiting, rounds, taken))
        self.check("five wishes: plain", taken.get("plain") == 250 and self.arrived("plain@example.net", subject), taken)
        self.check("five wishes: tagged", b"X-Smtpfilter: tagged" in self.arrived("tags@example.net", subject), taken)
        self.check("five wishes: discarded", taken.get("discards") == 250 and self.nowhere("discards@example.net", subject), taken)
        self.check("five wishes: refused", taken.get("strict") in (550, 554) and self.nowhere("strict@example.net", subject), taken)
        self.check("five wishes: held", taken.get("held") == 250 and self.held() == before + 1 and
                   self.nowhere("held@example.net", subject), (taken, before, self.held()))

    def discards_beside(self):
        """With TOGETHER in the policy: nobody is put off so that copies can differ."""
        rcpts, end = self.send("a@example.org", ["discards@example.net", "plain@example.net"], "SPAM eight", STRANGER)
        self.check("discard beside another", [r[0] for r in rcpts] == [250, 250] and end[0] == 250, (rcpts, end))
        self.check("discard beside another: the other has it", self.arrived("plain@example.net", "SPAM eight"))
        self.check("discard beside another: it has not", self.nowhere("discards@example.net", "SPAM eight"))

    def forwards(self):
        rcpts, end = self.send("a@example.org", ["goes@example.net"], "nine", STRANGER)
        got = self.arrived("elsewhere@example.net", "nine")
        self.check("forward", end and end[0] == 250 and got, (rcpts, end))
        self.check("forward: with another sender", b"\nReturn-Path: <out@example.net>" in b"\n" + got, got)
        self.check("forward: not here", self.nowhere("goes@example.net", "nine"))

    def spared(self, connect, server):
        """With `spares()` as policy: the milter has said ACCEPT to DATA, and says nothing to what follows."""
        taken = server.log().count("event=end-of-message")
        with connect(STRANGER) as s:
            s.ehlo("client.example")
            for n in range(3):
                s.sendmail("a@example.org", ["b@example.net", "elsewhere@example.net"], "Subject: spared %d\r\n\r\nhello\r\n" % n)
                s.docmd("RSET")
            got = s.mail("a@example.org")[0], s.rcpt("goes@example.net")[0], s.data(b"Subject: not spared\r\n\r\nhello\r\n")[0]
            self.check("spared: one that is looked at follows", got == (250, 250, 250), got)
            s.mail("a@example.org")
            s.rcpt("b@example.net")
            s.docmd("DATA")
            s.send(b"Subject: spared and given up\r\n")
            s.close()  # in its midst
        names = ["spared %d" % n for n in range(3)]
        self.check("spared: each is there, once", self.all_arrived("b@example.net", names) and self.all_arrived("elsewhere@example.net", names + ["not spared"]))
        self.check("spared: each has its end in the log", server.log().count("event=end-of-message") >= taken + 4, server.log()[-2000:])
        rcpts, _ = self.send("a@example.org", ["b@example.net"], "spared, listed", LISTED)
        self.check("spared: who is listed is not", rcpts[0][0] == 550, rcpts)
        self.check("spared: what was given up is nowhere", self.nowhere("b@example.net", "spared and given up"))

    def shown_out(self, connect, mta_tells=True):
        """With FEW_ERRORS in the policy. `connect(address)`: a client of smtplib's. Its fourth refusal ends the session, also when
        the MTA refuses by itself, as it does those it does not relay for, and tells."""
        with connect(STRANGER) as s:
            s.ehlo("client.example")
            s.mail("a@example.org")
            codes = [s.rcpt("only@example.net")[0] for _ in range(4)]
            self.check("one error too many", codes[:3] == [550] * 3 and codes[3] == 421, codes)
            self.check("and closed", not self.answers(s))
        if not mta_tells:
            return
        with connect(STRANGER) as s:
            s.ehlo("client.example")
            s.mail("a@example.org")
            codes = [s.rcpt("x@elsewhere.example")[0] for _ in range(4)]
            self.check("refused by the MTA itself", codes == [554] * 4, codes)
            got = s.rcpt("b@example.net")
            self.check("which counts too", got[0] == 421 and not self.answers(s), got)

    @staticmethod
    def answers(s):
        try:
            return s.noop()
        except (OSError, smtplib.SMTPException):
            return None

    def all(self):
        for part in (self.accepts, self.refuses_the_listed, self.tags, self.refuses_content, self.greylists, self.restricts,
                     self.five_wishes, self.forwards):
            part()
