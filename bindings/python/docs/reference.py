#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the reference out of the docstrings: reference.py >reference.md"""
import dataclasses
import enum
import importlib
import inspect

MODULES = ("smtpfilter", "smtpfilter.aio", "smtpfilter.aiosmtpd", "smtpfilter.delivery", "smtpfilter.testing", "smtpfilter.replay",
           "smtpfilter.wire", "smtpfilter.greylist")
OBJECT = (object, enum.IntEnum, enum.IntFlag, Exception)


def public(module):
    """Names and what they are, in the order of `__all__`."""
    return [(name, getattr(module, name)) for name in getattr(module, "__all__", [n for n in vars(module) if n[0] != "_"])
            if not inspect.ismodule(getattr(module, name))]


def signature(thing):
    try:
        return str(inspect.signature(thing)).replace(" -> 'None'", "").replace("'", "")
    except (TypeError, ValueError):
        return "(...)"


def members(cls):
    """Public methods and properties that the class itself brings, or its own private bases."""
    for name, value in inspect.getmembers_static(cls) if hasattr(inspect, "getmembers_static") else inspect.getmembers(cls):
        if name[0] == "_" or any(name in vars(base) for base in OBJECT):
            continue
        function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if inspect.isfunction(function) and inspect.getdoc(getattr(cls, name)):
            yield name, signature(function), inspect.getdoc(getattr(cls, name))
        elif isinstance(value, property) and value.__doc__:
            yield name, "", inspect.getdoc(value)


def describe(name, thing):
    """The lines about one name."""
    yield "### %s\n" % name
    if not inspect.isclass(thing):
        if callable(thing):
            yield "`%s%s`\n" % (name, signature(thing))
        yield (inspect.getdoc(thing) if callable(thing) else "`%r`" % (thing,)) + "\n"
        return
    yield (inspect.getdoc(thing) or "") + "\n"
    if issubclass(thing, enum.Enum):
        yield " ".join("`%s`" % m for m in thing.__members__) + "\n"
        return
    if dataclasses.is_dataclass(thing):
        yield "Fields: " + ", ".join("`%s`" % f.name for f in dataclasses.fields(thing) if f.name[0] != "_") + "\n"
    elif not issubclass(thing, BaseException):
        yield "`%s%s`\n" % (name, signature(thing))
    for member, how, doc in members(thing):
        yield "- `%s%s`: %s" % (member, how.replace("(self, ", "(").replace("(self)", "()"), " ".join(doc.split()))
    yield ""


def main():
    print("# smtpfilter: reference\n\nMade from the docstrings.\n")
    for name in MODULES:
        module = importlib.import_module(name)
        print("## %s\n\n%s\n" % (name, inspect.getdoc(module)))
        for word, thing in public(module):
            print("\n".join(describe(word, thing)))


if __name__ == "__main__":
    main()
