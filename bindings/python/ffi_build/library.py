# SPDX-License-Identifier: MIT
"""Where the C library comes from.

    1. SMTPFILTER_CFLAGS and SMTPFILTER_LIBS, as a build of the whole tree gives them
    2. the sources beside this package (a checkout), or inside it (an sdist): compiled into the extension
    3. pkg-config libsmtpfilter: an installed library is linked

SMTPFILTER_LIBRARY=system skips 2, =bundled refuses the others; SMTPFILTER_SOURCE is one more place to look for 2.
"""
from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
REQUIRED = {"cares": "libcares", "libconfig": "libconfig", "pcre2": "libpcre2-8", "lmdb": "lmdb"}
VERSION = (0, 1)


@dataclass
class Library:
    cflags: list[str]
    libs: list[str]
    sources: list[Path] = field(default_factory=list)

    @property
    def include(self) -> list[Path]:
        return [Path(flag[2:]) for flag in self.cflags if flag.startswith("-I")] + [Path("/usr/include"), Path("/usr/local/include")]


def pkg_config(package: str) -> tuple[list[str], list[str]] | None:
    tool = os.environ.get("PKG_CONFIG") or shutil.which("pkg-config") or shutil.which("pkgconf")
    if not tool or subprocess.run([tool, "--exists", package], check=False).returncode:
        return None
    out = [
        shlex.split(subprocess.run([tool, what, package], check=True, capture_output=True, text=True).stdout)
        for what in ("--cflags", "--libs")
    ]
    return out[0], out[1]


def given() -> Library | None:
    libs = os.environ.get("SMTPFILTER_LIBS")
    if not libs:
        return None
    return Library(shlex.split(os.environ.get("SMTPFILTER_CFLAGS", "")), shlex.split(libs))


def installed() -> Library | None:
    found = pkg_config(f"libsmtpfilter >= {VERSION[0]}.{VERSION[1]}")
    return Library(*found) if found else None


def tree() -> Path | None:
    """The C library's sources: a checkout's, or those an sdist carries."""
    elsewhere = os.environ.get("SMTPFILTER_SOURCE")
    for top in (HERE / "csrc", HERE.parent.parent, *([Path(elsewhere)] if elsewhere else [])):
        if (top / "src" / "local.mk").is_file() and (top / "include" / "smtpfilter").is_dir():
            return top
    return None


def host_options() -> Path:
    """The options of the programs that people install: one policy file serves them all."""
    top = tree()
    if top is None:
        raise SystemExit("the sources of libsmtpfilter's hosts were not found: build from a checkout or an sdist")
    return top / "examples" / "common" / "host_options.c"


def make_variables(text: str) -> dict[str, list[str]]:
    """`NAME = words` and `NAME += words` of a makefile's part, conditions left out: what depends on one is chosen here."""
    found: dict[str, list[str]] = {}
    depth = 0
    for line in re.sub(r"\\\n", " ", text).splitlines():
        depth += line.startswith("if ") - line.startswith("endif")
        m = re.match(r"([A-Z]+) *(\+?=) *(.*)", line)
        if m and not depth:
            found[m[1]] = (found.get(m[1], []) if m[2] == "+=" else []) + m[3].split()
    return found


ROOMS = ("BASE", "MAIL", "MATCH", "POLICY", "FORWARD", "CORE", "CHECKS", "WIRE", "PORT")


def need(package: str) -> tuple[list[str], list[str]]:
    found = pkg_config(package)
    if not found and package == "lmdb":
        return [], ["-llmdb"]  # not every distribution ships lmdb.pc
    if not found:
        raise SystemExit(
            f"{package} not found. The C library needs c-ares, libconfig, LMDB and PCRE2; on Debian:\n"
            "  apt-get install gcc pkg-config libc-ares-dev libconfig-dev liblmdb-dev libpcre2-dev libssl-dev"
        )
    return found


def bundled(top: Path) -> Library:
    """Every source of the library for the extension itself, with the optional ports whose libraries are here."""
    rooms = make_variables((top / "src" / "local.mk").read_text(encoding="utf-8"))
    names = [name for room in ROOMS for name in rooms[room]]
    cflags, libs = [f"-I{top / 'include'}", f"-I{top / 'src'}", "-pthread"], ["-lpthread"]

    def add(found: tuple[list[str], list[str]] | None) -> bool:
        if found:
            cflags.extend("-isystem" + flag[2:] if flag.startswith("-I") else flag for flag in found[0])
            libs.extend(found[1])
        return found is not None

    for package in REQUIRED.values():
        add(need(package))
    if add(pkg_config("hiredis")):
        names += rooms["REDIS"] + ["src/port/redis/tls.c" if add(pkg_config("hiredis_ssl")) else "src/port/redis/tls_none.c"]
    else:
        names.append("src/port/redis/none.c")
    curl, jansson = pkg_config("libcurl"), pkg_config("jansson")
    names += rooms["RSPAMD"] if curl and jansson and add(curl) and add(jansson) else ["src/port/scan/rspamd_none.c"]
    names.append("src/port/crypto/openssl.c" if add(pkg_config("libcrypto")) else "src/port/crypto/none.c")
    return Library(cflags, libs, [top / name for name in names if name.endswith(".c")])


def find() -> Library:
    wish = os.environ.get("SMTPFILTER_LIBRARY", "")
    if wish not in ("", "system", "bundled"):
        raise SystemExit("SMTPFILTER_LIBRARY is `system` or `bundled`")
    library = given() if wish != "bundled" else None
    top = tree() if wish != "system" else None
    library = library or (bundled(top) if top else None)
    library = library or (installed() if wish != "bundled" else None)
    if not library:
        raise SystemExit("libsmtpfilter was not found: neither its sources nor, by pkg-config, the library")
    return library
