# SPDX-License-Identifier: MIT
"""The public headers as declarations that cffi reads.

The C preprocessor joins them; what belongs to other headers, attributes and the bodies of inline functions are taken
out. Comments are read from the headers themselves, for the documentation of what is generated.
"""
from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

EXT = ("check", "content", "greylist", "journal", "mail", "pattern", "port", "record", "scan", "target")
INCLUDES = "#include <smtpfilter/smtpfilter.h>\n" + "".join(f"#include <smtpfilter/ext/{name}.h>\n" for name in EXT)

ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
ENUM = re.compile(r"(?:/\*\*(?P<doc>(?:(?!\*/).)*)\*/\s*)?enum\s+(?P<name>smtpf_\w+)\s*\{(?P<body>.*?)\n?\};", re.S)
DEFINE = re.compile(r"^#define\s+(SMTPF_\w+)\s+(\(\(size_t\)-\d+\)|\d+|INT32_MAX)\s*(?:/\*.*)?$", re.M)


@dataclass
class Enum:
    name: str
    doc: str
    members: list[tuple[str, int, str]] = field(default_factory=list)
    is_flag: bool = False


@dataclass
class Function:
    """`int smtpf_x(smtpf_str name, void *user)`; also the members of tables that are functions."""

    result: str
    name: str
    params: list[str]


def preprocess(cflags: list[str], compiler: str | None = None) -> str:
    """All public headers, joined, without anybody else's lines."""
    command = shlex.split(compiler or os.environ.get("CC") or "cc") + ["-E", "-std=c11", *cflags, "-xc", "-"]
    run = subprocess.run(command, input=INCLUDES, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"the headers of libsmtpfilter cannot be read: {shlex.join(command)}\n{run.stderr}")
    ours, kept = False, []
    for line in run.stdout.splitlines():
        marker = re.match(r'#\s+\d+\s+"([^"]*)"', line)
        if marker:
            ours = "smtpfilter/" in marker[1]
        elif ours and line.strip() and not line.startswith("#"):
            kept.append(line)
    return "\n".join(kept) + "\n"


def without_bodies(text: str) -> str:
    """Inline functions become declarations; cffi calls them like all others."""
    out = []
    while True:
        at = re.search(r"\bstatic\s+inline\s+", text)
        if not at:
            return "".join(out) + text
        begin = text.index("{", at.end())
        depth, end = 0, begin
        for end in range(begin, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if not depth:
                break
        out += [text[: at.start()], text[at.end() : begin].rstrip(), ";\n"]
        text = text[end + 1 :]


def declarations(preprocessed: str) -> str:
    return re.sub(r"^ +(?=\w.*\()", "", without_bodies(ATTRIBUTE.sub("", preprocessed)), flags=re.M)


def constants(folders: list[Path]) -> list[str]:
    """Names of macros that are numbers."""
    names = {m[1] for path in header_files(folders) for m in DEFINE.finditer(path.read_text(encoding="utf-8"))}
    return sorted(names)


def header_files(folders: list[Path]) -> list[Path]:
    for folder in folders:
        found = sorted((folder / "smtpfilter").glob("*.h")) + sorted((folder / "smtpfilter" / "ext").glob("*.h"))
        if found:
            return found
    raise SystemExit(f"no headers of libsmtpfilter in {', '.join(map(str, folders))}")


def words(comment: str) -> str:
    """A comment as one paragraph."""
    text = re.sub(r"^\s*\*", "", comment, flags=re.M)
    return " ".join(text.replace("/**<", "").replace("*/", "").split())


def number(text: str) -> int:
    """`3`, `-3`, `'A'`."""
    return ord(text[1]) if text[0] == "'" else int(text, 0)


def members_of(body: str) -> tuple[list[tuple[str, int, str]], bool]:
    found: list[tuple[str, int, str]] = []
    known: dict[str, int] = {}
    value, is_flag = -1, False
    for m in re.finditer(r"(SMTPF_\w+)(?:\s*=\s*([^,/}]+))?\s*(?:,|(?=/\*)|$)\s*(?:/\*\*<(.*?)\*/)?", body, re.S):
        if m[2]:
            shift = re.fullmatch(r"\s*1\s*<<\s*(\d+)\s*", m[2])
            is_flag = is_flag or shift is not None
            value = 1 << int(shift[1]) if shift else number(m[2].strip())
        else:
            value += 1
        known[m[1]] = value
        found.append((m[1], value, words(m[3] or "")))
    return found, is_flag


def enums(folders: list[Path]) -> list[Enum]:
    found = []
    for path in header_files(folders):
        for m in ENUM.finditer(path.read_text(encoding="utf-8")):
            members, is_flag = members_of(m["body"])
            found.append(Enum(m["name"], words(m["doc"] or ""), members, is_flag))
    return found


def parameters(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth, last = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            parts.append(text[last:i].strip())
            last = i + 1
    parts.append(text[last:].strip())
    return [] if parts in ([""], ["void"]) else parts


FUNCTION = re.compile(r"^(?P<result>[a-z][\w\s]*?[\s*]+)(?P<name>smtpf_\w+)\s*\((?P<params>.*?)\)\s*;", re.S | re.M)
CALLBACK = re.compile(r"typedef\s+(?P<result>[\w\s]*?[\s*]*)\(\*(?P<name>smtpf_\w+_fn)\)\((?P<params>[^;]*)\);", re.S)
TABLE = re.compile(r"typedef struct (?P<name>smtpf_\w+) \{(?P<body>.*?)\n\} (?P=name);", re.S)
MEMBER = re.compile(r"^\s*(?P<result>[\w\s]*?[\s*]*)\(\*(?P<name>\w+)\)\((?P<params>(?:[^;])*)\);", re.M)


def functions(text: str) -> list[Function]:
    return [
        Function(m["result"].strip(), m["name"], parameters(" ".join(m["params"].split())))
        for m in FUNCTION.finditer(text)
        if not m["result"].startswith("typedef")
    ]


def callbacks(text: str) -> list[Function]:
    return [
        Function(" ".join(m["result"].split()), m["name"], parameters(" ".join(m["params"].split())))
        for m in CALLBACK.finditer(text)
    ]


def tables(text: str) -> dict[str, list[Function]]:
    """The structures that hold functions, with those."""
    found = {}
    for m in TABLE.finditer(text):
        members = [
            Function(" ".join(f["result"].split()), f["name"], parameters(" ".join(f["params"].split())))
            for f in MEMBER.finditer(m["body"])
        ]
        if members:
            found[m["name"]] = members
    return found
