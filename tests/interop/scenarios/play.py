# SPDX-License-Identifier: MIT
"""Plays one scenario on one host, and has every expectation judged. A difference that is written down and not seen any more
is a failure too."""
import threading
import time

import clients
from clients import Own, Reply
from harness import check, eventually
from judge import RACY, Scene, judge
from mta import Missing, NotStarted

GREYLIST = 1.2  # seconds, the policy's and a little more


def is_narrower(line, than):
    """It says the same, and more: both may be seen."""
    return line.text.startswith(than.text)


class Load:
    """Clients that send one message after the other until told to stop; what became of each."""

    def __init__(self, host, name, threads=3):
        self.host, self.name, self.done, self.lock = host, name, threading.Event(), threading.Lock()
        self.taken, self.outcomes, self.seen = [], {"taken": 0, "later": 0, "refused": 0, "closed": 0}, []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(threads)]
        for t in self.threads:
            t.start()

    def run(self, which):
        n = 0
        while not self.done.is_set():
            n += 1
            subject = "%s-%d-%d" % (self.name, which, n)
            got = clients.send(self.host.port, "stranger", ["plain"], clients.message("ham", subject))
            last = got.last("plain")
            code = last.code if last else 0
            word = {2: "taken", 4: "later", 5: "refused"}.get(code // 100, "closed")
            with self.lock:
                self.outcomes[word] += 1
                if word == "taken":
                    self.taken.append(subject)
                elif len(self.seen) < 3 or word == "refused":
                    self.seen = [repr(got)] + self.seen[:2]
            if word == "closed":
                time.sleep(0.05)

    def until(self, more):
        before = len(self.taken)
        eventually(lambda: len(self.taken) >= before + more, 30)

    def tried(self, more):
        """Whatever comes of them."""
        before = sum(self.outcomes.values())
        eventually(lambda: sum(self.outcomes.values()) >= before + more, 30)

    def stop(self):
        self.done.set()
        for t in self.threads:
            t.join(60)


class Player:
    def __init__(self, host, own, counts):
        self.host, self.own, self.counts = host, own, counts

    def send(self, scene, words):
        """send WHO KIND to NAMES... [with TOOL] [until settled]"""
        who, kind, rest = words[1], words[2], words[4:]
        tool = rest[rest.index("with") + 1] if "with" in rest else ""
        settled = "until" in rest
        names = rest[:min([rest.index(w) for w in ("with", "until") if w in rest] or [len(rest)])]
        if tool == "tls" and self.host.without_tls:
            raise Missing(self.host.without_tls)
        scene.kinds.append(kind)
        data, waiting, every = clients.message(kind, scene.subject(kind)), list(names), clients.Answers()
        for _ in range(8):
            if tool == "swaks":
                got = clients.send_with_swaks(self.host.port, who, waiting, data)
            else:
                port = self.host.lmtp_port if tool == "lmtp" and self.host.lmtp_port else self.host.port
                got = clients.send(port, who, waiting, data, tool, self.host.site.authority and self.host.site.authority.path)
            every.mail, every.data, every.end = got.mail, got.data, got.end
            every.each.update(got.each)
            every.rcpt.update({n: got.rcpt.get(n) or got.mail for n in waiting})
            if settled:  # the last word stands as the one at RCPT
                last = {n: got.last(n) for n in waiting}
                every.each.update({n: last[n] for n in waiting})
                every.rcpt.update({n: Reply(250, "") for n in waiting})
                waiting = [n for n in waiting if 400 <= last[n].code < 500]
            if not settled or not waiting:
                break
        scene.answers = every

    def leave(self, scene, words):
        """leave WHO NAME: a client that goes, at each stage once"""
        scene.kinds.append("ham")
        for stage in clients.STAGES:
            clients.leave(self.host.port, words[1], words[2], stage, scene.subject("ham"))

    def scanner(self, _scene, words):
        self.host.site.scanner_is(words[1])

    def wait(self, _scene, _words):
        time.sleep(GREYLIST)

    def filter(self, _scene, words):
        """filter kill | start | restart"""
        getattr(self.host, words[1])()

    def load(self, scene, words):
        """load COUNT [with smtp-source] [while kill | restart]"""
        count, subject = int(words[1]), "%s-%s" % (scene.name, words[-1])
        if "with" in words:
            wrong = clients.send_many(self.host.port, ["plain"], subject, count, 4)
            scene.outcomes = {"taken": 0 if wrong else count, "wrong: " + wrong: len(wrong)}
            self.host.taken = {subject: count}
            return
        load = Load(self.host, subject)
        try:
            load.until(count)
            if words[-1] == "kill":
                self.host.kill()
                load.tried(3)
                self.host.start()
            elif words[-1] == "restart":
                self.host.restart()
            load.until(count)
        finally:
            load.stop()
        scene.seen = load.seen
        scene.outcomes, self.host.taken = load.outcomes, {s: 1 for s in load.taken}

    def hold(self, scene, words):
        """hold WHO NAME: a client that has come as far as RCPT, and waits"""
        client = Own(self.host.port, words[1])
        client.ehlo("client.example")
        got = clients.Answers()
        got.mail = client.say("MAIL FROM:<%s>" % clients.SENDER)
        got.rcpt[words[2]] = client.say("RCPT TO:<%s>" % clients.address(words[2]))
        scene.kinds.append("ham")
        scene.answers, scene.held_open = got, client

    def resume(self, scene, _words):
        """resume: that client goes on"""
        client, got = scene.held_open, scene.answers
        try:
            got.data = client.say("DATA")
            if got.data.code == 354:
                client.send(clients.message("ham", scene.subject("ham")) + b".\r\n")
                got.end = Reply(*client.getreply())
        except (OSError, clients.smtplib.SMTPException) as e:
            got.data = Reply(0, "closed: %s" % e)
        finally:
            client.close()

    def submit(self, scene, words):
        """submit KIND to NAMES...: a mail server sends it for a user of its own, and does what mail servers do"""
        scene.kinds.append(words[1])
        scene.bounces = self.host.site.relay(self.host.port, words[3:], clients.message(words[1], scene.subject(words[1])))

    def expect(self, scene, expectation, where):
        line, difference = expectation.of(self.own)
        good, seen = judge(scene, line)
        check("%s: %s" % (where, line.text), good, seen)
        self.counts["failed" if not good else "differs" if difference else "plain"] += 1
        if difference and good and not is_narrower(line, expectation.line) and line.kind not in RACY and judge(scene, expectation.line, patient=False)[0]:
            check("%s: %s differs no more: %s" % (where, difference, expectation.line.text), False, seen)

    def play(self, scenario):
        """Whether all of it could be played."""
        scene, where = Scene(self.host, scenario), "%s: %s" % (self.host.name, scenario.name)
        for step in scenario.steps:
            if step.line:
                try:
                    getattr(self, step.line.kind)(scene, step.line.words)
                except NotStarted:
                    raise
                except Missing as why:
                    return str(why)
                self.host.settle()
            for expectation in step.expectations:
                self.expect(scene, expectation, where)
        return ""
