#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ledger-crash: a host that spools is killed at random moments; nothing it answered for is lost.

    ledger_crash.py [KILLS]        of each; 30 as an ordinary test, 1000 for `./bootstrap show ledger-crash`

Clients send messages to several recipients and behave as mail servers do: what was not answered is sent again, byte for
byte, until it is. Some hang up on purpose where the answer is due. The host, examples/hosts/spool, is killed (SIGKILL) and
started again, once without and once with the memory of lost acknowledgements. What is true is found without the host:
the clients know what was answered 2xx, smtpf-ledger lists what was promised, and the mailboxes are read.

- At every kill: each copy of an answered message is in its mailbox, or listed and still in the spool.
- In the end: each copy that was ever answered for or listed is in its mailbox, and nothing is listed.
- A copy is there twice only where an answer was cut off, at most once for each such cut. With the memory: never.
"""
import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import watched

BUILD = os.environ.get("builddir", ".")
RECIPIENTS = ["user%d@example.net" % i for i in range(12)]
CLIENTS = 4
PATIENCE = 60.0


def program(path):
    """The program itself, not the script that libtool puts before it: most kills would hit that."""
    folder, name = os.path.split(os.path.join(BUILD, path))
    inner = os.path.join(folder, ".libs", name)
    return inner if os.path.exists(inner) else os.path.join(folder, name)


HOST, LEDGER = program("examples/hosts/spool/spoold"), program("smtpf-ledger")
ENVIRONMENT = dict(os.environ, LD_LIBRARY_PATH=os.path.join(BUILD, ".libs"))


class Cut(Exception):
    """The connection ended."""


class Message:
    def __init__(self, token, recipients):
        self.token, self.recipients = token, recipients
        self.answered = False  # 2xx was read
        self.cuts = 0  # the end was sent, and no answer came


class Sender(threading.Thread):
    """A mail server with a queue of one message."""

    def __init__(self, number, port, seed):
        super().__init__(daemon=True)
        self.number, self.port, self.random = number, port, random.Random(seed)
        self.messages, self.stopping, self.refusals, self.connection, self.reader = [], False, 0, None, None
        self.failure = None

    def run(self):
        try:
            while not self.stopping:
                n = self.random.randint(1, 4)
                message = Message("%d-%d" % (self.number, len(self.messages)), self.random.sample(RECIPIENTS, n))
                self.messages.append(message)
                self.deliver(message)
        except BaseException as e:  # pylint: disable=broad-except
            self.failure = e
        self.hang_up()

    def deliver(self, message):
        end = time.monotonic() + PATIENCE
        while not message.answered:
            if time.monotonic() > end:
                raise AssertionError("message %s was not taken in %d s" % (message.token, PATIENCE))
            try:
                self.attempt(message)
            except (Cut, OSError):
                self.hang_up()
                time.sleep(self.random.uniform(0.001, 0.01))

    def hang_up(self):
        if self.connection:
            self.connection.close()
            self.reader.close()
        self.connection = self.reader = None

    def reply(self):
        while True:
            line = self.reader.readline()
            if not line.endswith(b"\r\n"):
                raise Cut
            if line[3:4] != b"-":
                return line

    def say(self, line, expected):
        self.connection.sendall(line + b"\r\n")
        reply = self.reply()
        if not reply.startswith(expected):
            if reply[:1] != b"4":  # a disk that failed is no fault here; a refusal is
                raise AssertionError("%r was answered %r" % (line, reply))
            self.refusals += 1
            raise Cut

    def attempt(self, message):
        if not self.connection:
            self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.reader = self.connection.makefile("rb")
            if not self.reply().startswith(b"220"):
                raise Cut
            self.say(b"EHLO client.example.org", b"250")
        self.say(b"MAIL FROM:<sender@example.org>", b"250")
        for r in message.recipients:
            self.say(b"RCPT TO:<" + r.encode() + b">", b"250")
        self.say(b"DATA", b"354")
        token = message.token.encode()
        body = b"X-Token: " + token + b"\r\nSubject: " + token + b"\r\n\r\n" + token * 20 + b"\r\n"
        message.cuts += 1  # until the answer is there
        self.connection.sendall(body + b".\r\n")
        if self.random.random() < 0.03:
            time.sleep(self.random.uniform(0, 0.004))
            raise Cut
        reply = self.reply()
        message.cuts -= 1
        if reply.startswith(b"4"):
            self.refusals += 1
            raise Cut
        if not reply.startswith(b"250"):
            raise AssertionError("message %s was answered %r" % (message.token, reply))
        message.answered = True


def token_of(path):
    with open(path, "rb") as f:
        for line in f:
            if line.startswith(b"X-Token: "):
                return line[9:].strip().decode()
    raise AssertionError("%s is no message of ours" % path)


class Run:
    def __init__(self, kills, memory, seed):
        self.kills, self.memory, self.random = kills, memory, random.Random(seed)
        self.folder = tempfile.mkdtemp(prefix="ledger-crash-")
        self.faults, self.listed, self.copies, self.read, self.killed = [], set(), {}, set(), 0
        self.lost = self.second = self.unexplained = 0
        self.unseen = []  # answered messages whose copies were not all seen yet
        self.senders, self.process, self.stderr = [], None, open(os.path.join(self.folder, "stderr"), "wb")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]

    def start(self):
        command = [*watched.wrapper(), HOST, self.folder, "--port", str(self.port), "--set", "local_domains=example.net", "--set",
                   "check.disable=iprev"]
        if self.memory:
            command += ["--set", "lost_ack.enable=true"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.stderr, env=ENVIRONMENT)

    def wait_ready(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        if not ready or not self.process.stdout.readline():
            raise AssertionError("the host did not start:\n" + self.told())

    def told(self):
        with open(self.stderr.name, encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def kill(self):
        died = self.process.poll()
        if died is not None:
            self.faults.append("the host ended by itself with %s" % died)
        else:
            self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def ledger(self):
        """{message: [recipients]} of what is listed."""
        path = os.path.join(self.folder, "journal")
        if not os.path.exists(path):
            return {}
        run = subprocess.run([LEDGER, "--json", path], capture_output=True, text=True, check=False, timeout=PATIENCE,
                             env=ENVIRONMENT)
        if run.returncode:
            self.faults.append("smtpf-ledger: exit %d %s" % (run.returncode, run.stderr))
        rows = {}
        for row in map(json.loads, run.stdout.splitlines()):
            rows.setdefault(row["message"], []).append(row["recipient"])
            self.listed.add((row["message"], row["recipient"]))
        return rows

    def look_into_mailboxes(self):
        for box in RECIPIENTS:
            folder = os.path.join(self.folder, "mail", box)
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                path = os.path.join(folder, name)
                if path not in self.read:
                    self.read.add(path)
                    self.copies.setdefault((token_of(path), box), []).append(name)

    def check(self, answered):
        """The host is dead: what was answered before must be there, or listed with its message."""
        owed = {}
        for message, recipients in self.ledger().items():
            path = os.path.join(self.folder, "spool", message)
            if os.path.exists(path):
                owed[token_of(path)] = owed.get(token_of(path), []) + recipients
        self.look_into_mailboxes()
        unseen = []
        for m in self.unseen + answered:
            missing = [r for r in m.recipients if (m.token, r) not in self.copies]
            lost = [r for r in missing if r not in owed.get(m.token, [])]
            if lost:
                self.faults.append("message %s was answered 2xx and is lost for %s" % (m.token, " ".join(lost)))
            elif missing:
                unseen.append(m)
        self.unseen = unseen

    def answered_since(self, counted):
        """Messages that were answered, by sender, from the places in `counted` on, which are moved."""
        out = []
        for i, s in enumerate(self.senders):
            while counted[i] < len(s.messages) and s.messages[counted[i]].answered:
                out.append(s.messages[counted[i]])
                counted[i] += 1
        return out

    def go(self):
        counted = [0] * CLIENTS
        self.start()
        self.wait_ready()
        self.senders = [Sender(i, self.port, self.random.random()) for i in range(CLIENTS)]
        for s in self.senders:
            s.start()
        for number in range(self.kills):
            time.sleep(self.random.uniform(0, 0.06))
            answered = self.answered_since(counted)
            self.kill()
            self.killed += 1
            self.check(answered)
            self.start()
            if number % 5 or number == self.kills - 1:  # at times also before it listens, while it finishes what it found
                self.wait_ready()
            if any(s.failure for s in self.senders) or len(self.faults) > 10:
                break
        for s in self.senders:
            s.stopping = True
        for s in self.senders:
            s.join(2 * PATIENCE)
            if s.failure:
                self.faults.append("client: %r" % s.failure)
        self.kill()
        self.check(self.answered_since(counted))
        self.start()
        self.wait_ready()
        self.kill()
        self.judge()
        return self

    def judge(self):
        for message, recipients in self.ledger().items():
            self.faults.append("%s is still listed for %s" % (message, " ".join(recipients)))
        self.look_into_mailboxes()
        for message, recipient in self.listed:
            if not os.path.exists(os.path.join(self.folder, "mail", recipient, message)):
                self.faults.append("%s was listed for %s and never delivered" % (message, recipient))
        for m in (m for s in self.senders for m in s.messages):
            for r in m.recipients:
                copies = len(self.copies.get((m.token, r), []))
                self.lost += m.answered and not copies
                self.second += max(0, copies - 1)
                self.unexplained += max(0, copies - m.answered - m.cuts)
        if self.lost or self.unexplained:
            self.faults.append("%d lost, %d second deliveries without a cut" % (self.lost, self.unexplained))
        if self.memory and self.second:
            self.faults.append("%d second deliveries with the memory on" % self.second)
        told = self.told()
        if "neither" in told or "Sanitizer" in told or "runtime error" in told:
            self.faults.append(told)

    def answered(self):
        return sum(m.answered for s in self.senders for m in s.messages)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        self.stderr.close()
        shutil.rmtree(self.folder)


def main():
    whole = "builddir" in os.environ
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000 if whole else 30
    seed = random.SystemRandom().randrange(1 << 32)
    runs, bad = [], 0
    for memory in (False, True):
        run = Run(kills, memory, seed + memory)
        try:
            run.go()
        finally:
            run.close()
        runs.append(run)
        bad += bool(run.faults)
        for fault in run.faults:
            print("FAIL (seed %d, memory %s) %s" % (seed, "on" if memory else "off", fault))
    found = watched.report()
    bad += bool(found)
    without, remembered = runs
    figures = {
        "name": "ledger-crash", "kills": sum(r.killed for r in runs), "kills_with_memory": remembered.killed,
        "acknowledged": sum(r.answered() for r in runs),
        "copies": sum(len(v) for r in runs for v in r.copies.values()),
        "listed_after_kills": sum(len(r.listed) for r in runs),
        "acknowledgements_cut_off": sum(m.cuts for r in runs for s in r.senders for m in s.messages),
        "lost": sum(r.lost for r in runs),
        "second_deliveries_without_memory": without.second, "second_deliveries_with_memory": remembered.second,
        "failed": found + sum(len(r.faults) for r in runs), "seed": seed}
    print(json.dumps(figures))
    if not whole:
        print("%d passed, %d failed, 0 skipped" % (2 - min(bad, 2), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
