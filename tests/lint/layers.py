#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""layers: base <- mail <- policy <- core, forward on base and mail, wire on base and mail, match on base, and none of them touches the outside.

Proof by the objects: what an object leaves undefined must be defined in a room it may call, or stand in
allowed-ROOM.txt, the reviewed list of libc functions of that room.
"""
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

MAY_CALL = {
    "base": ["base"],
    "mail": ["base", "mail"],
    "match": ["base", "match"],
    "policy": ["base", "mail", "policy"],
    "forward": ["base", "mail", "forward"],
    "core": ["base", "mail", "policy", "forward", "core"],
    "wire": ["base", "mail", "wire"],
    "check": ["check"],
}
PUBLIC = {"wire": ["include/smtpfilter"], "check": ["include/smtpfilter/ext", "include/smtpfilter/error.h", "include/smtpfilter/forward.h"]}  # whose functions the room may call too


def nm(flag, objects):
    out = subprocess.run(["nm", flag, "-A", "-P"] + objects, check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        where, _, rest = line.partition(": ")
        yield os.path.basename(where), rest.split()[0], rest.split()[1]


def objects(room):
    # libtool makes two objects of a source; the one without PIC lies beside the sources' folder name
    found = glob.glob("src/%s/*.o" % room)
    return sorted(found or glob.glob("src/%s/.libs/*.o" % room))


def declared(places):
    names = set()
    single = [p for p in places if p.endswith(".h") and os.path.exists(os.path.join(source.SRC, p))]
    for path in source.files(*places, ext=(".h",)) + single:
        names |= set(re.findall(r"\b(smtpf_\w+)\s*\(", source.bare(source.read(path))))
    return names


def allowed(room):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "allowed-%s.txt" % room)
    with open(path, encoding="ascii") as f:
        return {line.split()[0] for line in f if line.strip() and not line.startswith("#")}


def plain(symbol):
    """The function behind a fortified or versioned name."""
    symbol = symbol.split("@")[0]
    m = re.fullmatch(r"__(\w+)_chk", symbol)
    return m.group(1) if m else symbol


TOOLCHAIN = {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail", "bcmp"}  # clang makes bcmp of a memcmp that is compared with 0


def main():
    if os.environ.get("SMTPF_SANITIZED"):
        source.skip("these objects are instrumented; the ordinary build proves it")
    own = {}
    for room in MAY_CALL:
        objs = objects(room)
        own[room] = {s for _, s, t in nm("-g", objs) if t not in "Uw"} if objs else set()
    findings, looked = [], 0
    for room, below in MAY_CALL.items():
        objs = objects(room)
        if not objs:
            continue
        legal = set().union(*(own[r] for r in below)) | allowed(room) | TOOLCHAIN
        if room in PUBLIC:
            legal |= declared(PUBLIC[room])
        for obj, symbol, _ in nm("-u", objs):
            looked += 1
            if symbol not in legal and plain(symbol) not in legal:
                findings.append("%s: room %s may not call %s" % (obj, room, plain(symbol)))
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
