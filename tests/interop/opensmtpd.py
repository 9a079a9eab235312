#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-opensmtpd: alone, spoken to as smtpd does, in pieces and out of order; then behind a real OpenSMTPD."""
import hmac
import os
import select
import signal
import smtplib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import watched  # noqa: E402
from harness import arrived, check, conclude, eventually, skipped  # noqa: E402
from mta import Missing  # noqa: E402
from opensmtpd_server import OpenSMTPD  # noqa: E402

PROGRAM = os.path.abspath(os.environ.get("SMTPF_OPENSMTPD", "smtpf-opensmtpd"))
POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo" ]; };
rules = { files = [ "%(rules)s" ]; };
delay = { max = "1s"; };
opensmtpd = { junk = true; };
batv = { keys = [ "of tests, no secret" ]; };
limits = { message = "3m"; };
profiles = ( { name = "default"; reject = 10.0; tag = 5.0; greylist = false; },
             { name = "held"; inherit = "default"; quarantine = 5.0; tag = "off"; },
             { name = "drops"; inherit = "default"; reject = "off"; discard = 5.0; tag = "off"; },
             { name = "waits"; inherit = "default"; greylist = true; } );
greylist = { wait = "1s"; };
budget = { wait = "1s"; };
recipients = ( { address = "no@example.net"; deny = [ "@bad.example" ]; }, { address = "waits@example.net"; profile = "waits"; },
               { address = "held@example.net"; profile = "held"; }, { address = "drops@example.net"; profile = "drops"; },
               { address = "bob@example.net"; batv = true; bounces = "signed"; } );
"""
RULES = """rule SPAMMY
  match header Subject /spammy/
  score 12
  text looks like what nobody wants
rule DOUBT
  match header Subject /doubtful/
  score 6
  text looks doubtful
"""

def prvs(address):
    """As bob's own mail is signed today."""
    tag = "0%03d" % (time.time() // 86400 % 1000)
    return "prvs=%s%s=%s" % (tag, hmac.new(b"of tests, no secret", (tag + address).encode(), "sha1").hexdigest()[:6], address)


class Filter:
    """smtpd's side of the protocol."""

    def __init__(self, policy, version="0.6", log=None):
        self.version, self.buffer = version, b""
        self.process = subprocess.Popen(watched.wrapped([PROGRAM, "-c", policy]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.write(b"config|smtpd-version|6.8.0\nconfig|smtp-session-timeout|300\nconfig|ready\n")
        self.registered = []
        while not self.registered or self.registered[-1] != "register|ready":
            self.registered.append(self.line())

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self, timeout=20):
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], timeout)[0]:
                raise TimeoutError("no answer")
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                raise EOFError("the filter has ended")
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode("latin-1")

    def report(self, sid, event, rest):
        self.write(("report|%s|1.5|smtp-in|%s|%s|%s\n" % (self.version, event, sid, rest)).encode("latin-1"))

    def ask(self, sid, phase, rest, token="ab"):
        self.write(("filter|%s|1.5|smtp-in|%s|%s|%s|%s\n" % (self.version, phase, sid, token, rest)).encode("latin-1"))

    def asked(self, sid, phase, rest):
        self.ask(sid, phase, rest)
        return self.line().split("|", 3)[3]

    def connect(self, sid, client="198.51.100.7:1025"):
        self.report(sid, "link-connect", "client.example|pass|%s|127.0.0.1:25" % client)
        return self.asked(sid, "connect", "client.example|%s" % client)

    def envelope(self, sid, sender, *recipients):
        return [self.asked(sid, "mail-from", sender)] + [self.asked(sid, "rcpt-to", r) for r in recipients] + [self.asked(sid, "data", "")]

    def message(self, sid, lines):
        """What came back, and the answer to `commit`."""
        for line in lines + ["."]:
            self.ask(sid, "data-line", line, "dd")
        back = []
        while not back or back[-1] != ".":
            back.append(self.line().split("|", 3)[3])
        return back, self.asked(sid, "commit", "")

    def stop(self):
        self.process.stdin.close()
        return self.process.wait(20)


def cut_spool(pid):
    """The unlinked file that a message lies in loses its end, once it has all of it."""
    size = -1
    for _ in range(100):
        files = ["/proc/%d/fd/%s" % (pid, fd) for fd in os.listdir("/proc/%d/fd" % pid)]
        files = [name for name in files if "(deleted)" in os.readlink(name)]
        if files and os.stat(files[0]).st_size == size:
            break
        size = os.stat(files[0]).st_size if files else -1
        time.sleep(0.1)
    os.truncate(files[0], 1000)


def alone(policy):
    log = open(policy + ".alone", "wb+")  # with a name: cut_spool() looks for what has none
    f = Filter(policy, log=log)
    check("phases are registered", "register|filter|smtp-in|data-line" in f.registered, f.registered)
    check("connect", f.connect("s1") == "proceed")
    check("ehlo", f.asked("s1", "ehlo", "client.example") == "proceed")
    got = f.envelope("s1", "x@bad.example", "no@example.net", "yes@example.net", "a@elsewhere.example")
    check("recipients", [g.split()[0] for g in got] == ["proceed", "reject|550", "proceed", "reject|550", "proceed"], got)
    own = ["Received: from client.example", "\tby mx.example.net (OpenSMTPD) with SMTP id 1"]
    plain = own + ["From: x@bad.example", "Subject: a|b", "", "..a dot", "", "end"]
    check("a message comes back as it went", f.message("s1", plain) == (plain + ["."], "proceed"))
    f.envelope("s1", "x@example.org", "yes@example.net")
    back, answer = f.message("s1", own + ["Subject: doubtful", "X-Smtpfilter: forged", "", "x"])
    marks = [line for line in back if line.startswith("X-Smtpfilter")]
    check("a tagged one has our mark, and not a forged one", answer == "proceed" and len(marks) == 1 and "forged" not in marks[0], back)
    check("smtpd's own field stays first", back[:2] == own, back)
    for who, fields in (("held", ["X-Spam: Yes"]), ("drops", ["X-Spam: Yes", "X-Smtpfilter: discarded; smtpd cannot drop a message"])):
        f.envelope("s1", "x@example.org", who + "@example.net")
        back, answer = f.message("s1", own + ["Subject: doubtful", "", "x"])
        check("junk: %s" % who, answer == "proceed" and back == own + fields + ["Subject: doubtful", "", "x", "."], (back, answer))
    f.envelope("s1", "x@example.org", "held@example.net")
    check("not junk", f.message("s1", own + ["Subject: fine", "", "x"])[0] == own + ["Subject: fine", "", "x", "."])
    signed = prvs("bob@example.net")
    got = f.envelope("s1", "", "bob@example.net")
    check("a bounce to what bob never wrote", got[2].startswith("reject|550"), got)
    f.report("s1", "tx-reset", "m1")
    got = f.envelope("s1", "", signed)
    check("one to what he wrote goes to his mailbox", got == ["proceed", "rewrite|<bob@example.net>", "proceed"], got)
    f.report("s1", "tx-reset", "m1")
    got = f.envelope("s1", "x@example.org", "YES@Example.NET")
    check("nothing else is rewritten", got == ["proceed"] * 3, got)
    f.report("s1", "tx-reset", "m1")
    f.envelope("s1", "x@example.org", "yes@example.net")
    back, answer = f.message("s1", own + ["Subject: spammy", "", "x"])
    check("a refused one gives nothing back but its end", back == ["."] and answer.startswith("reject|550 5.7.1"), (back, answer))
    check("one that smtpd refuses itself", f.envelope("s1", "x@example.org", "yes@example.net")[1] == "proceed")
    f.report("s1", "tx-rcpt", "m1|permfail|yes@example.net")
    f.report("s1", "tx-reset", "m1")
    got = f.envelope("s1", "", "waits@example.net")
    f.report("s1", "tx-reset", "m1")
    f.envelope("s1", "y@example.org", "waits@example.net")
    large = own + ["Subject: large", ""] + ["x" * 900] * 1200
    f.report("s1", "tx-reset", "m1")
    f.envelope("s1", "y@example.org", "yes@example.net")
    back, answer = f.message("s1", large)
    check("a large one", answer == "proceed" and back == large + ["."], (len(back), answer))
    f.envelope("s1", "y@example.org", "yes@example.net")
    back, answer = f.message("s1", own + ["Subject: too large", ""] + ["x" * 900] * 4000)
    check("one over the limit", back == ["."] and answer.startswith("reject|552"), (len(back), answer))
    dated = [own[0], own[1] + ";", "\tSun, 22 Nov 2026 09:00:00 +0000 (UTC)"]
    f.envelope("s1", "y@example.org", "yes@example.net")
    back, answer = f.message("s1", dated + [" this is the client's", "Subject: doubtful", "", "x"])
    check("a client that begins with a blank does not write into smtpd's field", back[:3] == dated and back[4].startswith(" this is"), back)
    f.envelope("s1", "y@example.org", "yes@example.net")
    for line in dated + ["Subject: cut", ""] + ["x" * 900] * 600:
        f.ask("s1", "data-line", line, "dd")
    cut_spool(f.process.pid)
    back, answer = f.message("s1", [])
    check("one that cannot be read again is not taken", answer.startswith("reject|451"), (len(back), answer))
    said = os.pread(log.fileno(), 1 << 20, 0)  # with a place of its own: the filter's is where it writes
    check("and the log says so", said.endswith(b" error event=message-failed id=s1\n"), said[-300:])
    took = []
    for first, last, left in ((["Subject: many"], [], ["Subject: many"]),
                              (["Subject: many", "x-SMTPFILTER: forged"], ["X-Smtpfilter: forged"], ["Subject: many"])):
        f.envelope("s1", "x@example.org", "yes@example.net")
        began = time.monotonic()
        back, answer = f.message("s1", own + first + ["a:"] * 60000 + last + ["", "x"])
        took.append(time.monotonic() - began)
        check("many fields, some forged", answer == "proceed" and back == own + left + ["a:"] * 60000 + ["", "x", "."], len(back))
    check("and nobody waits for them", took[1] < 4 * took[0], took)
    return f


def many(f, policy):
    for i in range(50):
        f.report("m%d" % i, "link-connect", "h|fail|198.51.100.%d:9|127.0.0.1:25" % (i + 1))
        for phase, rest in (("connect", "x"), ("helo", "h"), ("mail-from", "a@example.org"), ("rcpt-to", "yes@example.net"), ("data", "")):
            f.ask("m%d" % i, phase, rest)
            check("of many", f.line() == "filter-result|m%d|ab|proceed" % i)
    for line in ("Subject: one", "", "body", "."):
        for i in range(50):
            f.ask("m%d" % i, "data-line", line if line != "body" else "body %d" % i, "dd")
    seen = {}
    for _ in range(50 * 4):
        word, sid, token, line = f.line().split("|", 3)
        check("a line of the message", word == "filter-dataline" and token == "dd")
        seen.setdefault(sid, []).append(line)
    check("each session has its own", all(seen["m%d" % i] == ["Subject: one", "", "body %d" % i, "."] for i in range(50)))
    for i in range(50):
        f.report("m%d" % i, "link-disconnect", "")
    f.ask("none", "rcpt-to", "yes@example.net")
    check("a session nobody told of: come again", f.line().startswith("filter-result|none|ab|reject|451"))
    f.ask("none", "data-line", "x", "dd")
    check("its lines go back as they came", f.line() == "filter-dataline|none|dd|x")
    f.connect("s2")
    f.asked("s2", "ehlo", "c")
    f.report("s2", "link-tls", "version=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256")
    f.asked("s2", "ehlo", "c")
    f.report("s2", "link-auth", "joe|pass")
    got = f.envelope("s2", "joe@example.net", "a@elsewhere.example")
    check("who is authenticated may send anywhere", got[1] == "proceed", got)
    f.ask("s2", "data-line", "Subject: half", "dd")
    f.report("s2", "link-disconnect", "")
    for piece in (b"filter|0.6|1.5|smtp-in|conn", b"ect|s3|ab|x\nfilter|0.6|1.5|smtp-out|connect|s3|ab|x\nnonsense\n\n", b"report|0.5|1|smtp-in|x|y\n"):
        f.write(piece)
        time.sleep(0.02)
    check("in pieces, and what is not ours is passed over", f.line().startswith("filter-result|s3|ab|reject|451"))
    with open(policy, "a", encoding="ascii") as out:
        out.write("relay_domains = [ \"elsewhere.example\" ];\n")
    f.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    f.connect("s4")
    f.asked("s4", "ehlo", "c")
    check("a new policy serves new sessions", f.envelope("s4", "a@example.org", "a@elsewhere.example")[1] == "proceed")
    check("it ends with smtpd, and only then", f.process.poll() is None and f.stop() == 0)


def send(port, sender, recipients, subject):
    with smtplib.SMTP("127.0.0.1", port, "client.example", 20) as s:
        s.ehlo()
        code, text = s.mail(sender)
        codes = [code]
        for r in recipients:
            code, text = s.rcpt(r)
            codes.append(code)
        if any(c < 300 for c in codes[1:]):
            try:
                code, text = s.data(b"Subject: %s\r\n\r\nhello\r\n.dot\r\n" % subject.encode())
            except smtplib.SMTPDataError as e:
                code, text = e.smtp_code, e.smtp_error
            codes.append(code)
        return codes, text.decode()


def real(tmp, policy):
    root = os.path.join(tmp, "opensmtpd")
    os.mkdir(root)
    os.chmod(tmp, 0o755)
    # smtpd starts it in a shell of its own, as another user: what it needs comes by its path
    server = OpenSMTPD(root, ["yes", "no", "waits", "held", "drops", "bob"], watched.shell([PROGRAM, "-c", policy], ["VALGRIND_LIB=%s/cores" % root]))
    try:
        got = send(server.port, "x@bad.example", ["no@example.net", "yes@example.net", "nobody@example.net"], "one")
        check("real: refused by wish, taken, unknown to smtpd", [c // 100 for c in got[0]] == [2, 5, 2, 5, 2], got)
        one = arrived(server, "yes", "one")
        check("real: it arrives, its dot too", b"\n.dot\n" in one, one)
        got = send(server.port, "x@example.org", ["yes@example.net"], "doubtful")
        check("real: tagged", got[0][-1] == 250 and b"\nX-Smtpfilter: tagged" in arrived(server, "yes", "doubtful"), got)
        for who, words in (("held", b"\nX-Spam: Yes"), ("drops", b"\nX-Smtpfilter: discarded")):
            got = send(server.port, "x@example.org", [who + "@example.net"], "doubtful")
            check("real: %s: taken" % who, got[0][-1] == 250, got)
            junk = eventually(lambda: server.messages(who, ".Junk"))
            check("real: %s: in the junk folder, and there alone" % who, junk and words in junk[0] and not server.messages(who), junk)
        got = send(server.port, "", [prvs("bob@example.net")], "a bounce")
        check("real: rewritten to the mailbox", got[0][-1] == 250 and arrived(server, "bob", "a bounce"), got)
        got = send(server.port, "x@example.org", ["yes@example.net"], "spammy")
        check("real: refused at the end of the message", got[0][-1] == 550 and "SPAMMY" not in got[1], got)
        got = send(server.port, "x@example.org", ["waits@example.net"], "patience")
        check("real: put off", got[0] == [250, 451] or got[0] == [250, 450], got)
        time.sleep(1.2)
        got = send(server.port, "x@example.org", ["waits@example.net"], "patience")
        check("real: its retry is taken", got[0][-1] == 250 and arrived(server, "waits", "patience"), got)
        with smtplib.SMTP("127.0.0.1", server.port, "client.example", 20) as s:
            s.ehlo()
            s.mail("x@example.org")
            s.rcpt("yes@example.net")
            s.docmd("DATA")
            s.send(b"Subject: half\r\n\r\nhel")
            s.sock.close()
            s.sock = s.file = None
        got = send(server.port, "x@example.org", ["yes@example.net"], "after")
        check("real: a client that went away harms nobody", got[0][-1] == 250 and arrived(server, "yes", "after"), got)
        check("real: nothing refused arrived", not any(b"spammy" in m or b"half" in m for m in server.messages("yes")))
        said = [line for line in server.log().splitlines() if " session=" in line]
        check("real: verdicts are in smtpd's log", any(" event=end-of-message reply=550 " in line for line in said) and
              any(" to=waits@example.net disposition=" in line for line in said), said[-5:])
        check("real: smtpd lives", server.is_running(), server.log()[-500:])
    finally:
        server.stop()


def says(policy, which):
    """The lines of a client over TLS, whose message is marked and whose second recipient is refused."""
    with open(policy, encoding="ascii") as f, open(policy + ".says", "w", encoding="ascii") as out:
        out.write(f.read().replace("opensmtpd = {", 'opensmtpd = { log_verdicts = "%s";' % which))
    with tempfile.TemporaryFile("w+") as log:
        f = Filter(policy + ".says", log=log)
        f.connect("l1")
        f.report("l1", "link-tls", "TLSv1.3:TLS_AES_256_GCM_SHA384:256")
        f.asked("l1", "ehlo", "client.example")
        f.envelope("l1", "x@bad.example", "yes@example.net", "no@example.net")
        f.message("l1", ["Subject: doubtful", "", "x"])
        check("says %s: it ends" % which, f.stop() == 0)
        log.seek(0)
        return log.read().splitlines()


def lines_of_verdicts(policy):
    lines = says(policy, "all")
    events = [line.split(" event=")[1].split()[0] for line in lines]
    check("a line for each verdict", events == ["connect", "helo", "mail", "rcpt", "rcpt", "data", "end-of-message"], lines)
    check("of one session, client and protocol", all(" id=l1 event=" in line and " client=198.51.100.7 " in line for line in lines) and
          all((" tls=TLSv1.3 " in line) == (i > 0) for i, line in enumerate(lines)) and len({line.split(" session=")[1].split()[0] for line in lines}) == 1, lines)
    check("of a refusal", " notice session=" in lines[4] and " event=rcpt arg=no@example.net reply=550 status=5.7.1 " in lines[4], lines[4])
    check("of the message", " to=yes@example.net disposition=tagged" in lines[6], lines[6])
    with tempfile.TemporaryFile("w+") as log:
        f = Filter(policy, log=log)
        f.connect("l2")
        f.asked("l2", "ehlo", "client.example")
        f.envelope("l2", "x@example.org", *["%s%03d@example.net" % ("r" * 60, i) for i in range(600)])
        check("many recipients: taken", f.message("l2", ["Subject: x", "", "x"])[1] == "proceed" and f.stop() == 0)
        log.seek(0)
        last = log.read().splitlines()[-1]
        check("many recipients: a line that smtpd can read, which says that it was cut", " event=end-of-message " in last and
              last.endswith(" ...") and 30000 < len(last) < 65000, (len(last), last[-200:]))
    check("of refusals alone", [line.split(" arg=")[1].split()[0] for line in says(policy, "refused")] == ["no@example.net"])
    check("none", not says(policy, "none"))


def main():
    with tempfile.TemporaryDirectory() as tmp:
        policy, rules = os.path.join(tmp, "policy"), os.path.join(tmp, "rules")
        os.chmod(tmp, 0o755)
        with open(rules, "w", encoding="ascii") as f:
            f.write(RULES)
        with open(policy, "w", encoding="ascii") as f:
            f.write(POLICY % {"rules": rules})
        many(alone(policy), policy)
        lines_of_verdicts(policy)
        try:
            real(tmp, policy)
        except Missing as why:
            skipped("real", why)
    conclude()


if __name__ == "__main__":
    main()
