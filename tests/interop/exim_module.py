#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf_exim.so in a real Exim, with the ACLs of docs/guide/exim.md as they stand there, and as local_scan: the library in
Exim's process, and smtpf-milter outside, which must answer alike."""
import os
import re
import smtplib
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import exim  # noqa: E402
import milter  # noqa: E402
import harness  # noqa: E402
from harness import FAILED, arrived, check, conclude, fitted, skip  # noqa: E402
from mta import Missing  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULE = os.path.abspath(os.environ.get("SMTPF_EXIM", ".libs/smtpf_exim.so"))
POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo" ]; };
rules = { files = [ "%(root)s/rules" ]; };
store = { type = "lmdb"; path = "%(root)s/store"; writer = "inline"; };
profiles = ( { name = "default"; reject = 10.0; tag = 5.0; },
             { name = "mild"; inherit = "default"; reject = "off"; },
             { name = "drops"; inherit = "default"; discard = 10.0; reject = 12.5; },
             { name = "waits"; inherit = "default"; greylist = true; } );
greylist = { wait = "1s"; };
budget = { wait = "1s"; };
recipients = ( { address = "no@example.net"; deny = [ "@bad.example" ]; }, { address = "mild@example.net"; profile = "mild"; },
               { address = "drops@example.net"; profile = "drops"; }, { address = "waits@example.net"; profile = "waits"; } );
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
USERS = """
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = yes
  server_set_id = $auth2
"""

def guide():
    """The main options and the ACLs that the guide tells postmasters to paste."""
    return harness.guide("exim.md", "acl_smtp_notquit"), harness.guide("exim.md", "smtpf_obey:")


def pasted(where, failure="defer"):
    """Both, with our paths."""
    options, statements = guide()
    places = (("/usr/local/libexec/smtpfilter/smtpf_exim.so", MODULE), ("SMTPF_POLICY = /etc/smtpfilter.conf", "SMTPF_POLICY = " + where),
              ("SMTPF_FAILURE = defer", "SMTPF_FAILURE = " + failure), ("prdr_enable = true\n", ""))  # it is there already
    return {"main": fitted(options, *places), "acls": statements}


def scan(where):
    lines = harness.guide("exim.md", "local_scan_path").splitlines(True)
    return {"main": exim.ACLS + fitted(lines[0], ("SMTPF_MODULE", MODULE)), "acls": USERS,
            "rcpt": fitted("  " + "  ".join(lines[1:]), ("SMTPF_POLICY", where), ("SMTPF_FAILURE", "defer"))}


class Client(smtplib.SMTP):
    def message(self, sender, recipients, subject, prdr=False):
        """(codes up to DATA, replies after the message)"""
        codes = [self.docmd("MAIL", "FROM:<%s>%s" % (sender, " PRDR" if prdr else ""))[0]]
        codes += [self.docmd("RCPT", "TO:<%s>" % r)[0] for r in recipients]
        code, _ = self.docmd("DATA")
        if code != 354:
            return codes + [code], []
        self.send(b"Subject: %s\r\nX-Smtpfilter: forged\r\n\r\nhello\r\n..dot\r\n.\r\n" % subject.encode())
        replies = [self.getreply()]
        if replies[0][0] == 353:
            replies = [self.getreply() for _ in range(codes[1:].count(250) + 1)]
        return codes, [(c, t.decode()) for c, t in replies]


def client(server):
    c = Client("127.0.0.1", server.port, "client.example", 20)
    c.ehlo()
    return c


def acls(server):
    with client(server) as c:
        codes, replies = c.message("x@bad.example", ["no@example.net", "yes@example.net", "a@elsewhere.example"], "one")
        check("refused by wish, taken, no relay", codes == [250, 550, 250, 550] and replies[0][0] == 250, (codes, replies))
        one = arrived(server, "yes@example.net", "one")
        check("it arrives, its dot too, without a forged mark", b"\n.dot\n" in one and b"forged" not in one, one)
        codes, replies = c.message("x@example.org", ["yes@example.net"], "doubtful")
        check("tagged", replies[0][0] == 250 and b"\nX-Smtpfilter: tagged" in arrived(server, "yes@example.net", "doubtful"), replies)
        codes, replies = c.message("x@example.org", ["yes@example.net"], "spammy")
        check("refused at the end of the message", replies[0][0] == 550 and "nobody wants" in replies[0][1], replies)
        codes, replies = c.message("x@example.org", ["drops@example.net", "mild@example.net"], "spammy two", prdr=True)
        check("PRDR: one dropped, one tagged", [r[0] for r in replies] == [250, 250, 250], (codes, replies))
        two = arrived(server, "mild@example.net", "spammy two")
        check("the dropped one is not delivered", b"X-Smtpfilter: tagged" in two and not server.messages("drops@example.net"), two)
        codes, replies = c.message("x@example.org", ["yes@example.net", "mild@example.net"], "spammy three", prdr=True)
        check("PRDR: one refused, one taken", [r[0] for r in replies] == [550, 250, 250], (codes, replies))
        check("the other has it", arrived(server, "mild@example.net", "spammy three"))
        codes, replies = c.message("x@example.org", ["Drops@Example.NET", "mild@example.net"], "spammy four", prdr=True)
        check("the dropped one is written in capitals", arrived(server, "mild@example.net", "spammy four"), replies)
        check("and is not delivered either", not server.messages("Drops@Example.NET"), server.messages("Drops@Example.NET"))
        codes, replies = c.message("x@example.org", ['"a b"@example.net'], "quoted")
        check("a quoted local part", replies and replies[0][0] == 250 and arrived(server, '"a b"@example.net', "quoted"), (codes, replies))
        codes, replies = c.message("x@example.org", ['"a b"@example.net', "mild@example.net"], "spammy five", prdr=True)
        check("PRDR: it is refused alone", [r[0] for r in replies] == [550, 250, 250], (codes, replies))
        codes, replies = c.message("x@example.org", ["yes@example.net"], "spammy six", prdr=True)
        check("PRDR: one recipient", [r[0] for r in replies] == [550], (codes, replies))
        codes, replies = c.message("x@example.org", ["yes@example.net", "mild@example.net"], "plain two")
        check("without PRDR: who might be refused alone is split", codes == [250, 250, 452], (codes, replies))
    with client(server) as c:
        codes, _ = c.message("x@example.org", ["waits@example.net"], "patience")
        check("put off", codes[:2] == [250, 451] or codes[:2] == [250, 450], codes)
    time.sleep(1.2)
    with client(server) as c:
        codes, replies = c.message("x@example.org", ["waits@example.net"], "patience")
        check("its retry, to another process, is taken", replies and replies[0][0] == 250, (codes, replies))
    with socket.create_connection(("127.0.0.1", server.port), 20) as s:
        s.makefile("rb").readline()
        s.sendall(b"EHLO c\r\nMAIL FROM:<x@example.org>\r\n")
    with client(server) as c:
        c.docmd("MAIL", "FROM:<x@example.org>")
        c.docmd("RCPT", "TO:<no@example.net>")
        c.rset()
        codes, replies = c.message("x@bad.example", ["yes@example.net", "no@example.net"], "after a reset")
        check("RSET forgets the message before", codes == [250, 250, 550] and replies[0][0] == 250, (codes, replies))
    with client(server) as c:
        codes = [c.docmd("MAIL", "FROM:<x@example.org>")[0], c.docmd("RCPT", "TO:<yes@example.net>")[0]]
        text = b"Subject: doubtful in chunks\r\n\r\nhello\r\n"
        c.send(b"BDAT %d LAST\r\n" % len(text) + text)
        codes.append(c.getreply()[0])
        check("a message by BDAT is tagged too", codes == [250] * 3 and
              b"\nX-Smtpfilter: tagged" in arrived(server, "yes@example.net", "doubtful in chunks"), codes)
        large = b"".join(b"%06d %s\n" % (i, b"x" * 60) for i in range(6000))
        codes = [c.docmd("MAIL", "FROM:<x@example.org>")[0], c.docmd("RCPT", "TO:<mild@example.net>")[0], c.docmd("DATA")[0]]
        c.send(b"Subject: spammy and large\r\nX-Long: a\r\n\tfold\r\n\r\n" + large.replace(b"\n", b"\r\n") + b".\r\n")
        codes.append(c.getreply()[0])
        there = arrived(server, "mild@example.net", "spammy and large")
        check("a large one arrives as it was", codes == [250, 250, 354, 250] and there.endswith(b"\n\n" + large) and
              b"\nX-Smtpfilter: tagged" in there and b"\nX-Long: a\n\tfold\n" in there, (codes, len(there)))
    with client(server) as c:
        c.docmd("HELO", "client.example")
        codes, replies = c.message("", ["yes@example.net"], "from nobody")
        check("HELO, and the null sender", replies and replies[0][0] == 250, (codes, replies))
    mine = [m for m in server.messages("yes@example.net") if b"spammy" in m]
    check("nothing refused arrived", not mine, mine)


def verdicts(server):
    """The module's lines in the main log."""
    return [line.split(" smtpf_exim:", 1)[1] for line in server.log("mainlog").splitlines() if " smtpf_exim: session=" in line]


def acls_inside(server):
    acls(server)
    many = ["%s%03d@example.net" % ("r" * 60, i) for i in range(150)]
    with client(server) as c:
        codes, replies = c.message("x@example.org", many, "to many")
        check("many recipients: taken", replies and replies[0][0] == 250, (codes[-3:], replies))
    last = [line for line in verdicts(server) if " event=end-of-message " in line][-1]
    check("many recipients: their line is cut, and says so", " to=%s disposition=" % many[0] in last and last.endswith(" ...") and len(last) > 7000,
          last[-300:])
    lines = verdicts(server)
    check("a line for each verdict", {line.split(" event=")[1].split()[0] for line in lines} ==
          {"connect", "helo", "mail", "rcpt", "data", "end-of-message"} and all(" client=127.0.0.1 " in line for line in lines), lines[:20])
    check("of a refusal", any(" event=rcpt arg=<no@example.net> reply=550 status=5.7.1 " in line for line in lines), lines[:20])
    check("of a message, what becomes of each recipient", any(re.search(r" event=end-of-message arg=\w+-\w+-\w+ ", line) and
          " to=drops@example.net disposition=discarded" in line and " to=mild@example.net disposition=tagged" in line for line in lines), lines[:20])


def scan_inside(server):
    local_scan(server)
    lines = verdicts(server)
    check("local_scan: lines of refusals alone, as the policy says", lines and all(" reply=5" in line for line in lines), lines[:20])


def acls_outside(server):
    acls(server)
    check("smtpf-milter has a log of its own", not verdicts(server))


def local_scan(server):
    with client(server) as c:
        codes, replies = c.message("x@example.org", ["yes@example.net"], "doubtful")
        check("local_scan: tagged", replies[0][0] == 250 and b"\nX-Smtpfilter: tagged" in arrived(server, "yes@example.net", "doubtful"), replies)
        codes, replies = c.message("x@example.org", ["yes@example.net"], "spammy")
        check("local_scan: refused", replies[0][0] == 550 and "nobody wants" in replies[0][1], replies)
        codes, replies = c.message("x@bad.example", ["yes@example.net", "no@example.net"], "both")
        check("local_scan: one answer for all", replies[0][0] == 550, (codes, replies))
        codes, replies = c.message("x@example.org", ["yes@example.net", "mild@example.net", "drops@example.net"], "spammy for three")
        there = arrived(server, "mild@example.net", "spammy for three")
        check("local_scan: wishes that differ are joined, nobody is put off", replies[0][0] == 250 and b"\nX-Smtpfilter: tagged" in there and
              not server.messages("drops@example.net"), (codes, replies, there))
    with client(server) as c:
        c.login("joe", "anything")
        codes, replies = c.message("x@bad.example", ["no@example.net"], "of a user of ours")
        check("local_scan: who is authenticated is our own", replies[0][0] == 250, (codes, replies))
    done = subprocess.run(server.command("-odi", "-f", "x@bad.example", "no@example.net"), input=b"Subject: from here\n\nhello\n", check=False)
    check("local_scan: a user of this machine", done.returncode == 0 and arrived(server, "no@example.net", "from here"), done)


def prepare(root):
    """A folder with a policy and its store, which Exim's user may write; and the policy's text."""
    os.mkdir(root)
    text = POLICY % {"root": root}
    for name, content in (("policy", text), ("rules", RULES)):
        with open(os.path.join(root, name), "w", encoding="ascii") as f:
            f.write(content)
    os.mkdir(os.path.join(root, "store"))
    os.chmod(os.path.join(root, "store"), 0o777)
    return text


def run(what, how, tmp, name):
    folder = os.path.join(tmp, name)
    os.mkdir(folder)
    try:
        server = exim.Exim(folder, ["example.net"], ours=True, **how)
    except Missing as why:
        skip(why)
    before = len(FAILED)
    try:
        what(server)
    finally:
        if len(FAILED) > before or sys.exc_info()[0]:
            print("%s: %s" % (name, server.log()[-3000:]))
        server.stop()


def main():
    if not os.path.exists(MODULE):
        skip("built without Exim's local_scan.h")
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        inside, outside = os.path.join(tmp, "inside"), os.path.join(tmp, "outside")
        policy, quiet = os.path.join(inside, "policy"), os.path.join(inside, "quiet")
        text = prepare(inside)
        with open(quiet, "w", encoding="ascii") as f:
            f.write(text + 'exim = { log_verdicts = "refused"; };\n')
        run(acls_inside, pasted(policy), tmp, "acls-inside")
        run(scan_inside, scan(quiet), tmp, "scan-inside")
        socket_path = os.path.join(outside, "socket")
        daemon = milter.Server(tmp, prepare(outside) + 'milter = { socket_mode = "0666"; };\n', unix=socket_path)
        run(acls_outside, pasted("unix:" + socket_path), tmp, "acls-outside")
        run(local_scan, scan("unix:" + socket_path), tmp, "scan-outside")
        check("smtpf-milter was asked, and ends in order", "event=rcpt" in daemon.log() and daemon.stop() == 0, daemon.log()[-2000:])
    conclude()


if __name__ == "__main__":
    main()
