# SPDX-License-Identifier: MIT
"""The documentation is true: each page's snippets run, in their order; links lead somewhere; what is public is described."""
import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("aiosmtpd")

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PAGES = ("README.md", "docs/tutorial.md", "docs/howto.md")
MODULES = ("smtpfilter.testing", "smtpfilter.replay.host", "smtpfilter.replay.script", "smtpfilter.replay.transcript")


def page(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as f:
        return f.read()


def snippets(text):
    """Code and the line it begins at."""
    for m in re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S):
        yield text.count("\n", 0, m.start(1)) + 1, m.group(1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PAGES)
def test_snippets(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "snippet"}
    found = list(snippets(page(name)))
    assert found
    for line, code in found:
        if "sys.argv" in code:  # a program: it is examples/maildir.py
            assert code in page("examples/maildir.py")
            continue
        exec(compile("\n" * (line - 1) + code, name, "exec"), names)


@pytest.mark.parametrize("name", PAGES)
def test_links(name):
    text = page(name)
    anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
    assert not [a for a in re.findall(r"\]\(#([^)]*)\)", text) if a not in anchors]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed


def test_reference():
    run = subprocess.run([sys.executable, os.path.join(TOP, "docs", "reference.py")], capture_output=True, text=True, timeout=60, check=True)
    for heading in ("## smtpfilter.aiosmtpd", "### Session", "### Handler", "### Filter", "### Player", "- `rcpt("):
        assert "\n" + heading in run.stdout, heading


def test_what_is_public_is_described():
    missing = []
    for name in ("smtpfilter", "smtpfilter.aio", "smtpfilter.aiosmtpd", "smtpfilter.delivery", "smtpfilter.testing", "smtpfilter.replay"):
        module = importlib.import_module(name)
        missing += ["%s.%s" % (name, word) for word in module.__all__ if inspect.isclass(getattr(module, word)) and not getattr(module, word).__doc__]
    assert not missing
