# SPDX-License-Identifier: MIT
"""C that is generated from the headers: what cffi declares, wrappers, and callbacks that lead into Python.

    wrappers    smtpfpy_session_rcpt(s, path, path_n, ...): functions that take smtpf_str take a pointer and a length
                here, so that bytes can be given as they are
    callbacks   py_store_get(self, op, key), py_log_fn(user, ...): one function in Python for each member of a table
                of the library's, and for each type of callback
"""
from __future__ import annotations

from .headers import INCLUDES, Function

# Tables that a Python object can stand behind.
TABLES = (
    "smtpf_callout", "smtpf_check", "smtpf_clock", "smtpf_crypto", "smtpf_directory", "smtpf_journal", "smtpf_poller", "smtpf_random",
    "smtpf_resolver", "smtpf_scanner", "smtpf_spool", "smtpf_store",
)  # fmt: skip


def flat(param: str) -> list[str]:
    if not param.startswith("smtpf_str ") or "*" in param:
        return [param]
    name = param.removeprefix("smtpf_str ").strip()
    return [f"const char *{name}", f"size_t {name}_n"]


def argument(param: str) -> str:
    name = param.replace("*", " ").split("[")[0].split()[-1]
    return f"(smtpf_str){{{name}, {name}_n}}" if flat(param) != [param] else name


def spaced(result: str) -> str:
    return result if result.endswith("*") else result + " "


def wrappers(functions: list[Function]) -> tuple[str, str]:
    """(declarations, definitions) of the functions that take counted strings by value."""
    declared, defined = [], []
    for f in functions:
        if all(flat(p) == [p] for p in f.params):
            continue
        name = f.name.replace("smtpf_", "smtpfpy_", 1)
        head = f"static {spaced(f.result)}{name}({', '.join(part for p in f.params for part in flat(p))})"
        call = f"{f.name}({', '.join(argument(p) for p in f.params)});"
        declared.append(head + ";")
        defined.append(f"{head}\n{{\n  {'' if f.result == 'void' else 'return '}{call}\n}}\n")
    return "\n".join(declared) + "\n", "\n".join(defined)


def trampolines(tables: dict[str, list[Function]], callbacks: list[Function]) -> str:
    lines = ['extern "Python" {']
    for table in TABLES:
        for f in tables[table]:
            lines.append(f"  {spaced(f.result)}py_{table.removeprefix('smtpf_')}_{f.name}({', '.join(f.params)});")
    for f in callbacks:
        lines.append(f"  {spaced(f.result)}py_{f.name.removeprefix('smtpf_')}({', '.join(f.params)});")
    return "\n".join(lines + ["}", ""])


def preamble(definitions: str) -> str:
    return f'{INCLUDES}\n#include "glue.h"\n#include "host_options.h"\n\n{definitions}'
