#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tables of docs/guide/hosts.md that come from the two books. `--update` writes them there; run.py asks whether they
still stand there, and whether the guide's own table has every server."""
import os
import re
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from book import HERE, Book  # noqa: E402

GUIDE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(HERE))), "docs", "guide", "hosts.md")


def rows(head, lines):
    return "".join("| %s |\n" % " | ".join(cells) for cells in [head, ["---"] * len(head)] + lines)


def scenarios(book):
    """What each scenario shows, and the differences each server shows in it."""
    names = list(book.hosts)
    return rows(["scenario", "what is shown"] + ["`%s`" % n for n in names],
                [["`%s`" % s.name, s.title] + [" ".join(s.differences(book.of(n))) for n in names] for s in book.scenarios])


def differences(book):
    return rows(["difference", "servers", "why"],
                [[d.name, ", ".join("`%s`" % h for h in d.hosts), d.why] for d in book.differences.values()])


def servers(book):
    return rows(["name", "what it is"], [["`%s`" % name, title] for name, title in book.hosts.items()])


TABLES = {"servers": servers, "scenarios": scenarios, "differences": differences}


def block(name, text):
    return re.search(r"(<!-- %s: made by tests/interop/scenarios/table.py -->\n\n)((?:\|.*\n)*)" % name, text)


def read():
    with open(GUIDE, encoding="utf-8") as f:
        return f.read()


def faults(book):
    """What the guide has wrong."""
    text, wrong = read(), []
    for name, made in TABLES.items():
        found = block(name, text)
        if not found or found[2] != made(book):
            wrong.append("its table of %s is not what the books say: table.py --update" % name)
    verdicts = re.search(r"(?m)^\| verdict \|(.*)\|$", text)
    columns = [c.strip().strip("`") for c in verdicts[1].split("|")] if verdicts else []
    if columns != list(book.hosts):
        wrong.append("its table of verdicts has other servers: %s" % columns)
    return wrong


def main():
    book, text = Book(), read()
    for name, made in TABLES.items():
        found = block(name, text)
        text = text[:found.start(2)] + made(book) + text[found.end(2):]
    if sys.argv[1:] == ["--update"]:
        with open(GUIDE, "w", encoding="utf-8") as f:
            f.write(text)
    else:
        for made in TABLES.values():
            print(made(book))


if __name__ == "__main__":
    main()
