# SPDX-License-Identifier: MIT
"""Is what was seen what was expected? Each kind of line of expectations.txt has a judge: (good, what was seen)."""
import re

from harness import eventually, with_subject
from clients import FAR, address, body

PATIENCE = 15.0  # for mail to arrive


class Scene:
    """What was seen so far in a scenario: the last step's answers, the subject of its mail, the host."""

    def __init__(self, host, scenario):
        self.host, self.name = host, scenario.name
        self.answers = self.outcomes = self.held_open = None
        self.kinds, self.bounces = [], []
        self.log_from, self.server_log_from = len(host.log()), len(host.server_log())

    def subject(self, kind):
        return "%s%s" % (self.name, " SPAM" if kind == "spam" else "")

    def copies(self, box):
        at = address(box)
        messages = self.host.site.far_messages(at) if at.endswith(FAR) else self.host.messages(at)
        return [m.replace(b"\r\n", b"\n") for k in set(self.kinds) for m in with_subject(messages, self.subject(k))]


def reply_is(reply, line, words):
    """`550 5.7.1 after 0.7 "text"`; `5xx`: one of those; `-`: nothing was said."""
    if words[0] == "-":
        return reply is None, reply
    wanted = {"closed": "0", "5xx": "5.."}.get(words[0], words[0])
    if reply is None or not re.fullmatch(wanted, str(reply.code)):
        return False, reply
    rest = words[1:]
    if "after" in rest:
        at = rest.index("after")
        if reply.took < float(rest[at + 1]):
            return False, reply
        rest = rest[:at]
    return all(w in reply.text for w in rest + line.quoted), reply


def answer(scene, line):
    """mail, data, end CODE...; rcpt, each, told NAME CODE..."""
    a, words = scene.answers, line.words[1:]
    if line.kind in ("mail", "data", "end"):
        return reply_is(getattr(a, line.kind), line, words)
    name = words.pop(0)
    reply = a.last(name) if line.kind == "told" else getattr(a, line.kind).get(name)
    return reply_is(reply, line, words)


def kind_of(copy):
    if b"\nX-Smtpfilter: tagged;" not in b"\n" + copy:
        return "delivered" if b"\nX-Smtpfilter:" not in b"\n" + copy else "marked"
    return "forged" if b"tagged; forged" in copy else "tagged"


def box(scene, line):
    """box NAME nothing|delivered|tagged|forged ["words of its header"]: one copy, whole, and that is how it looks."""
    name, wanted = line.words[1:3]
    copies = scene.copies(name)
    if wanted == "nothing" or len(copies) != 1:
        return wanted == "nothing" and not copies, copies
    head, _, text = copies[0].partition(b"\n\n")
    whole = any(text.rstrip(b"\n") == body(k).replace(b"\r\n", b"\n").rstrip(b"\n") for k in scene.kinds)
    return kind_of(copies[0]) == wanted and whole and all(q.lower().encode() in head.lower() for q in line.quoted), copies[0]


def held(scene, line):
    """held NAME ["why"] | held nothing: what the quarantine has of this scenario."""
    subjects = [b"Subject: " + scene.subject(k).encode() for k in scene.kinds]
    found = [(whose, text) for whose, text in scene.host.held() if any(s in text for s in subjects)]
    if line.words[1] == "nothing":
        return not found, found
    name = ("%s@example.net" % line.words[1]).encode()
    texts = [text for whose, text in found if name in whose]
    return len(texts) == 1 and all(q.encode() in texts[0] for q in line.quoted), found


def rule(scene, line):
    """rule "words": a verdict's line in the log of ours says it."""
    text = scene.host.log()
    new = text[scene.log_from:]
    return all(q in new for q in line.quoted), new[-600:]


def unsaid(scene, line):
    """unsaid "words": no verdict's line says that, and there are lines."""
    new = scene.host.log()[scene.log_from:]
    return new and not any(q in new for q in line.quoted), new[-600:]


def logged(scene, line):
    """logged "words": the mail server's own log says it."""
    new = scene.host.server_log()[scene.server_log_from:]
    return all(q in new for q in line.quoted), new[-600:]


def outcomes(scene, line):
    """outcomes taken later closed: nothing else was seen under load, and something was taken."""
    seen = {name for name, n in scene.outcomes.items() if n}
    return "taken" in seen and seen <= set(line.words[1:]), (scene.outcomes, getattr(scene, "seen", ""))


def arrived(scene, line):
    """arrived NAME [once]: what was taken under load is there."""
    def there():
        got = {}
        for m in scene.host.messages("%s@example.net" % line.words[1]):
            for row in m.replace(b"\r\n", b"\n").partition(b"\n\n")[0].split(b"\n"):
                if row.startswith(b"Subject: "):
                    got[row[9:].decode()] = got.get(row[9:].decode(), 0) + 1
        return [(s, got.get(s, 0)) for s, n in scene.host.taken.items() if got.get(s, 0) < n or ("once" in line.words and got[s] > n)]
    eventually(lambda: not there(), PATIENCE)
    return not there(), there()[:5]


def bounce(scene, line):
    """bounce NAME ["words"] | bounce nothing: what the sending server's user was told."""
    if line.words[1] == "nothing":
        return not scene.bounces, scene.bounces
    name = ("%s@example.net" % line.words[1]).encode()
    return any(name in b and all(q.encode() in b for q in line.quoted) for b in scene.bounces), scene.bounces


def lives(scene, _line):
    """lives: server and filter are there."""
    return scene.host.is_alive(), "gone"


JUDGES = {"mail": answer, "rcpt": answer, "data": answer, "end": answer, "each": answer, "told": answer, "box": box, "held": held,
          "rule": rule, "unsaid": unsaid, "logged": logged, "outcomes": outcomes, "arrived": arrived, "bounce": bounce, "lives": lives}
PATIENT = ("box", "held", "rule", "logged")  # what comes a moment later
RACY = ("outcomes", "arrived")  # what may be seen, not what must


def judge(scene, line, patient=True):
    if patient and line.kind in PATIENT and line.words[-1] != "nothing":
        eventually(lambda: JUDGES[line.kind](scene, line)[0], PATIENCE)
    return JUDGES[line.kind](scene, line)
