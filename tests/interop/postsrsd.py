#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SRS beside the real postsrsd, by its lookup tables on loopback. With one secret each leads back what the other has
rewritten, and both write the same; with two, mail that both have forwarded comes home by way of both."""
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

SENDERS = ["alice@a.example", "first.last@Mixed.Example.ORG", "user+detail@a.example", "user%with!everything&everything=@a.example",
           "prvs=6461abcdef=bob@b.example", "bounce-17-bob=example.net@list.example", "SRS0=XjO9=2V=a.example=t@other.example",
           "SRS1=JIBX=a.example==opaque+string@other.example"]


class Postsrsd:
    """The daemon, as `domain` with `secret`; ended by its process id."""

    def __init__(self, program, folder, domain, secret):
        path = os.path.join(folder, domain)
        with open(path, "w", encoding="ascii") as f:
            f.write(secret + "\n")
        os.chmod(path, 0o600)
        self.domain = domain
        for _ in range(5):
            with socket.socket() as a, socket.socket() as b:
                a.bind(("127.0.0.1", 0))
                b.bind(("127.0.0.1", 0))
                self.ports = {"forward": a.getsockname()[1], "reverse": b.getsockname()[1]}
            self.process = subprocess.Popen([program, "-s" + path, "-d" + domain, "-4", "-l127.0.0.1", "-f%d" % self.ports["forward"],
                                             "-r%d" % self.ports["reverse"], "-t30"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if self.answers():
                return
            self.stop()
        raise OSError("it does not answer")

    def answers(self):
        for _ in range(100):
            try:
                self.ask("reverse", "x@y.example")
                return True
            except OSError:
                if self.process.poll() is not None:
                    return False
                time.sleep(0.05)
        return False

    def ask(self, table, address):
        """The address behind, or None."""
        with socket.create_connection(("127.0.0.1", self.ports[table]), timeout=10) as s:
            s.sendall(b"get %s\n" % urllib.parse.quote(address, safe="@=+-.").encode("ascii"))
            code, _, rest = s.makefile("rb").readline().decode("ascii").strip().partition(" ")
        return urllib.parse.unquote(rest) if code == "200" else None

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def ours(domain, secret, questions):
    run = subprocess.run(["tests/sign_lines", secret, domain, str(int(time.time()))], capture_output=True, text=True, timeout=60,
                         check=False, input="".join("%s %s\n" % q for q in questions))
    if run.returncode == 77:
        print("SKIP this build has no libcrypto")
        sys.exit(77)
    return [line.split(" ", 1) for line in run.stdout.splitlines()]


def one(domain, secret, question, address):
    status, text = ours(domain, secret, [(question, address)])[0]
    return text if status == "OK" else None


class Tally:
    passed = failed = 0

    def judge(self, good, what):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        if not good:
            print("FAIL " + what)


def hash_of(address):
    return address[5:].split("=", 1)[0]


def shared_secret(t, theirs, domain, secret):
    """postsrsd before 2.0 writes the hash in base64 with + and /, and reads no other; we write it with - and _, and read both."""
    older = 0
    for sender in SENDERS + ["user%d@host%d.example" % (i, random.randrange(10 ** 6)) for i in range(60)]:
        a, b = theirs.ask("forward", sender), one(domain, secret, "forward", sender)
        t.judge(a and b and a.replace("/", "_")[5:9].replace("+", "-") + a[9:] == b[5:9] + b[9:], "%s: %s and %s" % (sender, a, b))
        if not a or not b:
            continue
        back = one(domain, secret, "reverse", a)
        want = sender if not sender.startswith("SRS1") else "SRS0=opaque+string@a.example"
        t.judge(back and back.lower() == want.lower(), "we lead %s back to %s" % (a, back))
        t.judge(one(domain, secret, "reverse", a.lower()) is not None, "in lower case: " + a)
        back = theirs.ask("reverse", b)
        if set("-_") & set(hash_of(b)) and back is None:
            older += 1
        else:
            t.judge(back and back.lower() == want.lower(), "they lead %s back to %s" % (b, back))
        forged = b[:5] + ("AAAA" if hash_of(b) != "AAAA" else "BBBB") + b[9:]
        t.judge(theirs.ask("reverse", forged) is None and one(domain, secret, "reverse", forged) is None, "forged: " + forged)
    print("%d of our hashes with a character that this postsrsd does not read" % older)


def two_forwarders(t, theirs, secret):
    """a.example -> we -> they, and the other way round; the bounce goes home by whoever signed first."""
    for i in range(15):
        sender = "user%d@a.example" % i
        first = one("f.example.net", secret, "forward", sender)
        second = theirs.ask("forward", first)
        t.judge(second and second.startswith("SRS1") and second.endswith("@" + theirs.domain), "they forward %s as %s" % (first, second))
        back = second and theirs.ask("reverse", second)
        t.judge(back == first and one("f.example.net", secret, "reverse", back) == sender, "home from %s by %s" % (second, back))
        first = theirs.ask("forward", sender)
        second = one("f.example.net", secret, "forward", first)
        t.judge(second and second.startswith("SRS1") and second.endswith("@f.example.net"), "we forward %s as %s" % (first, second))
        back = second and one("f.example.net", secret, "reverse", second)
        t.judge(back == first and theirs.ask("reverse", back) == sender, "home from %s by %s" % (second, back))


def main():
    program = shutil.which("postsrsd")
    if not program:
        print("SKIP no postsrsd here")
        return 77
    random.seed(6)
    t = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for domain, run in (("srs.example.net", lambda d: shared_secret(t, d, "srs.example.net", "one secret for both")),
                            ("they.example", lambda d: two_forwarders(t, d, "a secret of our own"))):
            daemon = Postsrsd(program, folder, domain, "one secret for both")
            try:
                run(daemon)
            finally:
                daemon.stop()
    print("%d passed, %d failed, 0 skipped" % (t.passed, t.failed))
    return 1 if t.failed else 0


if __name__ == "__main__":
    sys.exit(main())
