#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""includes: the graph of #include lines follows docs/ARCHITECTURE.md."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

MAY_INCLUDE = {  # rooms under src, beside the room itself
    "base": set(),
    "mail": {"base"},
    "match": {"base"},
    "policy": {"base", "mail"},
    "forward": {"base", "mail"},
    "core": {"base", "mail", "policy", "forward"},
    "wire": {"base", "mail"},
    "check": set(),
    "port": {"base", "mail", "policy", "forward", "core", "wire", "check"},
}
LIBC = {  # headers of the C library that a pure room may use; none of them reaches the outside
    "limits.h", "stdalign.h", "stdatomic.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h", "cpuid.h", "emmintrin.h", "immintrin.h",
}
LIBRARIES = {"match": {"pcre2.h"}}  # what a room is there to use
ALSO = {"src/check/%s.c" % name: {"stdio.h"} for name in ("addrlist", "greylist_exempt", "rules_file")}  # `open` reads the files the policy names
# examples/hosts/proxy: a file may include its own row's headers and those of the rows before it
PROXY = "examples/hosts/proxy"
PROXY_ROWS = [
    {"envelope", "identity", "message", "peers", "quarantine", "xclient"},
    {"settings", "routes", "incoming"},
    {"loop"},
    {"hop", "hop_dialogue", "hop_tls", "hop_pool", "probe"},
    {"transaction", "rcpt", "legs", "target", "copies", "deliver", "fates"},
    {"client", "arrive", "extend", "auth", "answer", "report"},
    {"main"},
]
PURE = {"base", "mail", "match", "policy", "forward", "core", "wire", "check"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def target(path, quoted, name):
    """Which room or public tier an include leads to, or the name itself."""
    if name.startswith("smtpfilter/"):
        return "ext" if name.startswith("smtpfilter/ext/") else "public"
    if quoted:
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        full = beside if os.path.exists(os.path.join(source.SRC, beside)) else os.path.normpath(os.path.join("src", name))
        parts = full.split(os.sep)
        if len(parts) > 2 and parts[0] == "src":
            return parts[1]
        if len(parts) == 2 and parts[0] == "src":
            return "src"
    return name


def judge(room, to, quoted):
    if to == room:
        return True
    if to == "ext":
        return True
    if to == "public":
        return room != "check"  # ext/check.h brings what a check needs
    if to in source.ROOMS:
        return to in MAY_INCLUDE[room]
    if room in PURE and not quoted:
        return to in LIBC or to in LIBRARIES.get(room, ())
    return room == "port"


def row_of(path):
    stem = os.path.splitext(os.path.basename(path))[0]
    return next((i for i, row in enumerate(PROXY_ROWS) if stem in row), None)


def look_at_proxy(findings):
    looked = 0
    for path in source.files(PROXY):
        row = row_of(path)
        if row is None:
            findings.append("%s: in no row of PROXY_ROWS" % path)
            continue
        for m in INCLUDE.finditer(source.read(path)):
            looked += 1
            if m.group(1) == '"' and "/" not in m.group(2) and (row_of(m.group(2)) is None or row_of(m.group(2)) > row):
                findings.append("%s: may not include %s" % (path, m.group(2)))
    return looked


def main():
    findings, looked = [], 0
    for path in source.files("src"):
        parts = path.split(os.sep)
        if len(parts) < 3 or parts[1] not in source.ROOMS:
            continue
        for m in INCLUDE.finditer(source.read(path)):
            looked += 1
            quoted = m.group(1) == '"'
            to = target(path, quoted, m.group(2))
            if not judge(parts[1], to, quoted) and to not in ALSO.get(path, ()):
                findings.append("%s: room %s may not include %s" % (path, parts[1], m.group(2)))
    looked += look_at_proxy(findings)
    for path in source.files("include"):
        for m in INCLUDE.finditer(source.read(path)):
            looked += 1
            if m.group(1) == "<" and m.group(2) not in ("stddef.h", "stdint.h", "string.h"):
                findings.append("%s: a public header may not include <%s>" % (path, m.group(2)))
            if m.group(1) == '"' and "/ext/" not in path and "ext/" in m.group(2):
                findings.append("%s: the stable tier may not include %s" % (path, m.group(2)))
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
