# SPDX-License-Identifier: MIT
"""Writes what is generated: `_ffi.c` for the compiler, `_enums.py` and `_errors.py` for the package."""
from __future__ import annotations

from pathlib import Path

from . import c_code, headers, python_code
from .library import Library

OWN = """
#define SMTPFPY_HEAD ...
size_t smtpfpy_session_verdict(const smtpf_session *s, char *out, size_t cap);
size_t smtpfpy_event(const smtpf_event *ev, char *out, size_t cap);
int host_options_add(smtpf_config *cfg);
"""


def python_files(library: Library, folder: Path) -> list[Path]:
    found = headers.enums(library.include)
    result = next(enum for enum in found if enum.name == "smtpf_result")
    texts = {"_enums.py": python_code.enum_module(found), "_errors.py": python_code.error_module(result)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def c_file(library: Library, path: Path) -> Path:
    import cffi

    text = headers.declarations(headers.preprocess([f for f in library.cflags if f.startswith(("-I", "-D"))]))
    names = headers.constants(library.include)
    declared, defined = c_code.wrappers(headers.functions(text))
    ffi = cffi.FFI()
    ffi.cdef(text + OWN + "".join(f"#define {name} ...\n" for name in names) + declared)
    ffi.cdef(c_code.trampolines(headers.tables(text), headers.callbacks(text)))
    ffi.set_source("smtpfilter._ffi", c_code.preamble(defined))
    path.parent.mkdir(parents=True, exist_ok=True)
    ffi.emit_c_code(str(path))
    return path
