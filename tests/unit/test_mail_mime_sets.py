#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The walker over messages nobody here wrote: trees, names and decoded bodies as the sets give them, or as Python's
email package reads them where a set gives nothing. Each message is a case.

tests/mime_tree reads each one in four ways of cutting and fails when what comes out differs. A message whose tree is
another one than expected stands in mime_misses.txt with the reason; one that stands there and agrees is a failure too.

    test_mail_mime_sets.py [-v]      -v: what differs
"""
import binascii
import email
import email.policy
import glob
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("top_srcdir", os.path.join(HERE, "..", ".."))
DATA = os.path.join(os.environ.get("SMTPF_SHARED", os.path.join(SOURCE, "..", "shared")), "data")
VERBOSE = "-v" in sys.argv
KINDS = {0: "leaf", 1: "multipart", 2: "message"}


class Part:
    def __init__(self, kind):
        self.kind, self.type, self.name, self.body = kind, None, None, None
        self.fields, self.parts, self.offsets = None, [], None


def differs(want, got, where="0"):
    """What two trees differ in, or None; what `want` does not know (None) is not compared."""
    if want.kind != got.kind or len(want.parts) != len(got.parts):
        return "%s: %s of %d, not %s of %d" % (where, got.kind, len(got.parts), want.kind, len(want.parts))
    for word in ("type", "name", "fields", "body", "offsets"):
        a, b = getattr(want, word), getattr(got, word)
        if a is not None and a != b:
            if isinstance(a, bytes):
                at = max(len(os.path.commonprefix([a, b])) - 30, 0)
                word, a, b = "%s from %d on" % (word, at), a[at:at + 90], b[at:at + 90]
            return "%s: %s is %.300r, not %.300r" % (where, word, b, a)
    for i, (a, b) in enumerate(zip(want.parts, got.parts)):
        d = differs(a, b, "%s.%d" % (where, i))
        if d:
            return d
    return None


def lines(data):
    return data.replace(b"\r\n", b"\n")


# ---- ours ----

def trees(names, *options):
    """What tests/mime_tree makes of each file. A file whose events depend on the cuts has no tree."""
    made = []
    for i in range(0, len(names), 50):
        run = subprocess.run(["tests/mime_tree", *options, *names[i:i + 50]], capture_output=True, timeout=600, check=False)
        if run.returncode not in (0, 1):
            sys.exit("mime_tree: status %d %s" % (run.returncode, run.stderr.decode(errors="replace")))
        for line in run.stdout.splitlines():
            e = json.loads(line)
            if e["event"] == "file":
                made.append([])
            made[-1].append(e)
    return [None if any(e["event"] == "differs" for e in events) else build(events) for events in made]


def build(events):
    parts, counts = {}, {}
    for e in events:
        if e["event"] == "field":
            counts[e["part"]] = counts.get(e["part"], 0) + 1
        elif e["event"] == "begin":
            p = parts[e["part"]] = Part(KINDS[e["kind"]])
            p.type, p.body, p.fields = e["type"], b"", counts.get(e["part"], 0)
            p.offsets, p.charset = [e["header"], e["body"]], e["charset"]
            p.name = utf8(e["filename"] or e["name"])
            if e["part"]:
                parts[e["parent"]].parts.append(p)
        elif e["event"] == "data":
            parts[e["part"]].body += e["bytes"].encode("latin-1")
        elif e["event"] == "end":
            parts[e["part"]].offsets.append(e["offset"])
    parts[0].defects = next(e["defects"] for e in events if e["event"] == "done")
    for p in parts.values():
        p.body = lines(p.body) if p.kind == "leaf" else None
    return parts[0]


def utf8(text):
    return text.encode("latin-1").decode("utf-8", "replace") or None


# ---- james-mime4j: event trees, and what is in the bodies ----

def of_mime4j(name):
    folder = os.path.dirname(name)

    def entity(node):
        header = node.find("header")
        below = next((n for n in node if n.tag in ("multipart", "message", "text-body", "binary-body")), None)
        if below is None:
            p = Part("leaf")
        elif below.tag == "multipart":
            p = Part("multipart")
            p.parts = [entity(n) for n in below if n.tag == "body-part"]
        elif below.tag == "message":
            p = Part("message")
            p.parts = [entity(below)]
        else:
            p = Part("leaf")
            with open(os.path.join(folder, below.get("name")), "rb") as f:
                p.body = lines(f.read())
        p.fields = len(header.findall("field"))
        return p

    tree = name[:-4] + "_decoded.xml"
    with open(tree, "rb") as f:
        return entity(xml.etree.ElementTree.fromstring(f.read()))


# ---- stalwart mail-parser: parts with offsets ----

def of_mailparser(name):
    def message(j):
        parts = []
        for raw in j["parts"]:
            kind = next(iter(raw["body"])) if isinstance(raw["body"], dict) else raw["body"]
            value = raw["body"].get(kind) if isinstance(raw["body"], dict) else None
            p = Part({"Multipart": "multipart", "Message": "message"}.get(kind, "leaf"))
            p.offsets = [raw["offset_header"], raw["offset_body"], raw["offset_end"]]
            p.children = value if kind == "Multipart" else []
            if kind == "Message" and isinstance(value, dict):
                p.parts = [message(value)]
            if kind in ("Binary", "InlineBinary") and isinstance(value, list):
                p.body = lines(bytes(value))
            p.name = mailparser_name(raw["headers"])
            parts.append(p)
        for p in parts:
            p.parts = p.parts or [parts[i] for i in p.children]
        return parts[0]

    with open(name, "rb") as f:
        crlf = b"\r\n" in f.read()
    with open(name[:-4] + (".crlf.json" if crlf else ".json"), encoding="utf-8") as f:
        return message(json.load(f))


def mailparser_name(headers):
    found = {}
    for h in headers:
        if h["name"] in ("content_type", "content_disposition") and isinstance(h["value"], dict):
            for a in h["value"].get("ContentType", {}).get("attributes") or []:
                found.setdefault((h["name"], a["name"]), a["value"])
    return found.get(("content_disposition", "filename")) or found.get(("content_type", "name"))


# ---- Python's email package ----

def of_python(name):
    with open(name, "rb") as f:
        m = email.message_from_bytes(f.read(), policy=email.policy.compat32)

    def entity(m):
        p = Part("leaf")
        p.type = m.get_content_type()
        if m.get_content_maintype() == "multipart" and m.get_boundary() is not None:
            p.kind = "multipart"
            p.parts = [entity(n) for n in m.get_payload()] if m.is_multipart() else []
        elif m.is_multipart() and p.type in ("message/rfc822", "message/global"):
            p.kind = "message"
            p.parts = [entity(n) for n in m.get_payload()]
        elif m.is_multipart():
            pass  # blocks of fields: delivery-status and its like
        elif str(m.get("content-transfer-encoding", "")).strip().lower() in ("", "7bit", "8bit", "binary", "base64",
                                                                            "quoted-printable"):
            p.body = lines(m.get_payload(decode=True))
            if str(m.get("content-transfer-encoding", "")).strip().lower() == "quoted-printable":
                # Blanks at the end of a line are to be deleted (RFC 2045 6.7 (3)); Python keeps them.
                raw = m._payload.encode("ascii", "surrogateescape")
                p.body = lines(binascii.a2b_qp(re.sub(rb"[ \t]+(?=\n|$)", b"", lines(raw))))
        return p
    return entity(m)


# ---- noxxi: names of files hidden from scanners ----

PARAM_BAD, FIELD_TWICE, NO_PARTS = 1 << 14, 1 << 12, 1 << 1


def hides(name, tree):
    """What is wrong when neither a part's name ends in .zip nor a defect says that mail user agents may see another."""
    def names(p):
        return [p.name or ""] + [n for below in p.parts for n in names(below)]
    if name.endswith(".png.eml") or any(n.lower().endswith(".zip") for n in names(tree)):
        return None
    return None if tree.defects & (PARAM_BAD | FIELD_TWICE | NO_PARTS) else "hidden: %r" % names(tree)


SETS = [
    # name, files, oracle, options of mime_tree
    ("mime-mime4j", "*/*.msg", of_mime4j, []),
    ("mime-mailparser", "*/*.eml", of_mailparser, []),
    ("mime-cpython", "*.txt", of_python, []),
    ("mime-mikelmail", "*.eml", of_python, []),
    ("mime-rspamd", "*.eml", of_python, []),
    ("mime-mimekit", "**/*.eml", of_python, []),
    ("mime-noxxi", "hide-filename/*.eml", None, []),
    ("corpus-spamassassin", "*/*.txt", of_python, []),
    ("corpus-dsn-sisimai", "**/*.eml", None, []),
]


def known_misses():
    known = {}
    with open(os.path.join(HERE, "mime_misses.txt"), encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, reason = line.strip().split(None, 1)
                known[name] = reason
    return known


def run_set(name, pattern, oracle, options, known, used):
    folder = os.path.join(DATA, name)
    names = sorted(n for n in glob.glob(os.path.join(folder, pattern), recursive=True) if os.path.isfile(n))
    if not names:
        print("SKIP no folder data/%s below SMTPF_SHARED" % name)
        return 0, 0, 1
    agree = missed = failed = 0
    for file, got in zip(names, trees(names, *options)):
        case = "%s/%s" % (name, os.path.relpath(file, folder))
        if got is None:
            what = "depends on how it is cut"
        elif name == "mime-noxxi":
            what = hides(file, got)
        else:
            what = oracle and differs(oracle(file), got)
        if case in known:
            used.add(case)
            missed += 1
            if not what:
                failed += 1
                print("%s: agrees, and stands in mime_misses.txt" % case)
            elif VERBOSE:
                print("%s: %s" % (case, what))
        elif what:
            failed += 1
            print("%s: %s" % (case, what))
        else:
            agree += 1
    print("  %-20s %4d messages, %4d agree, %3d known to differ" % (name, len(names), agree, missed))
    return len(names) - failed, failed, 0


def main():
    if not os.path.isdir(DATA):
        print("SKIP no folder data below SMTPF_SHARED")
        return 77
    known, used = known_misses(), set()
    passed = failed = skipped = 0
    present = set()
    for one in SETS:
        p, f, s = run_set(*one, known, used)
        passed, failed, skipped = passed + p, failed + f, skipped + s
        present.update([] if s else [one[0]])
    for case in sorted(set(known) - used):
        if case.split("/")[0] in present:
            failed += 1
            print("%s: stands in mime_misses.txt, and there is no such message" % case)
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
