# SPDX-License-Identifier: MIT
"""Reads the two books: expectations.txt, what must come of each scenario with every server, and differences.txt, what a
server cannot do, and why. How they are written stands at their heads."""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = ("send", "leave", "scanner", "wait", "filter", "load", "hold", "resume", "submit")


class Wrong(Exception):
    """A book that says something it cannot mean."""


class Line:
    """One line: its words, and what stood in quotation marks."""

    def __init__(self, text, number):
        self.text, self.number = text.strip(), number
        tokens = re.findall(r'"[^"]*"|\S+', self.text)
        self.words = [t for t in tokens if t[0] != '"']
        self.quoted = [t[1:-1] for t in tokens if t[0] == '"']
        self.kind = self.words[0]


class Expectation:
    """A line, and what is seen instead of it where a server has a difference."""

    def __init__(self, line):
        self.line, self.instead = line, []  # (difference, line)

    def of(self, differences):
        """(the line for a server with these differences, the name of the one that applies or None)"""
        for name, line in self.instead:
            if name in differences:
                return line, name
        return self.line, None


class Step:
    """Something that a client or the postmaster does, and what is expected of it."""

    def __init__(self, line=None):
        self.line, self.expectations = line, []


class Scenario:
    def __init__(self, name, title):
        self.name, self.title, self.steps = name, title, []

    def differences(self, own):
        """Which of a server's differences show here, in order."""
        names = [e.of(own)[1] for s in self.steps for e in s.expectations]
        return sorted({n for n in names if n}, key=names.index)


class Difference:
    def __init__(self, name, hosts):
        self.name, self.hosts, self.why = name, hosts, ""


def lines_of(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            if text.strip() and not text.strip().startswith("#"):
                yield number, text.rstrip("\n")


def read_differences(name="differences.txt"):
    """({host: title}, {name: Difference}), both in the order of the file."""
    hosts, differences, last = {}, {}, None
    for number, text in lines_of(name):
        if text[0] == " ":
            last.why = (last.why + " " + text.strip()).strip()
            continue
        word, _, rest = text.partition(":")
        if word.startswith("host "):
            hosts[word[5:]] = rest.strip()
            continue
        last = differences[word] = Difference(word, rest.split())
        unknown = [h for h in last.hosts if h not in hosts]
        if unknown:
            raise Wrong("%s:%d: no such host: %s" % (name, number, " ".join(unknown)))
    for d in differences.values():
        if not d.why or not d.hosts:
            raise Wrong("%s: %s has no reason, or no server" % (name, d.name))
    return hosts, differences


def alternative(expectation, text, number):
    name, colon, rest = text.strip()[1:].partition(":")
    if not expectation or not colon:
        raise Wrong("expectations.txt:%d: instead of what?" % number)
    expectation.instead.append((name.strip(), Line(rest, number)))


def read_scenarios(differences, name="expectations.txt"):
    scenarios, last = [], None
    for number, text in lines_of(name):
        if text.startswith("scenario "):
            scenarios.append(Scenario(*[part.strip() for part in text[9:].split(":", 1)]))
            scenarios[-1].steps.append(Step())
            continue
        steps = scenarios[-1].steps
        if text.strip().startswith("|"):
            alternative(last, text, number)
        elif text.split()[0] in STEPS:
            steps.append(Step(Line(text, number)))
        else:
            last = Expectation(Line(text, number))
            steps[-1].expectations.append(last)
    used = {n for s in scenarios for step in s.steps for e in step.expectations for n, _ in e.instead}
    if used != set(differences):
        raise Wrong("differences that are named in one book alone: %s" % " ".join(sorted(used ^ set(differences))))
    return scenarios


class Book:
    def __init__(self):
        self.hosts, self.differences = read_differences()
        self.scenarios = read_scenarios(self.differences)

    def of(self, host):
        return {d.name for d in self.differences.values() if host in d.hosts}
