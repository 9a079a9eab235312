# SPDX-License-Identifier: MIT
"""Python that is generated from the headers: enumerations, and an exception for each error of the library."""
from __future__ import annotations

import textwrap

from .headers import Enum

HEAD = '''# SPDX-License-Identifier: MIT
"""{doc} Generated from the headers of libsmtpfilter."""
from __future__ import annotations

'''

# What Python calls an error of the library, and which of its own exceptions that is too.
ERRORS = {
    "EINVAL": ("InvalidError", "ValueError"),
    "ENOMEM": ("NoMemoryError", "MemoryError"),
    "ESTATE": ("StateError", ""),
    "EBUSY": ("BusyError", ""),
    "ENOTFOUND": ("NotFoundError", "LookupError"),
    "ELIMIT": ("LimitError", ""),
    "EPARSE": ("ParseError", "ValueError"),
    "EFORK": ("ForkError", ""),
    "EIO": ("InputOutputError", ""),
    "ETIMEOUT": ("DeadlineError", "TimeoutError"),
    "EUNSUPPORTED": ("UnsupportedError", ""),
}


def class_name(c_name: str) -> str:
    return "".join(part.capitalize() for part in c_name.removeprefix("smtpf_").split("_"))


def short_names(members: list[str]) -> list[str]:
    """Names without the words that all of them begin with."""
    split = [name.split("_") for name in members]
    common = 0
    while all(len(parts) > common + 1 and parts[common] == split[0][common] for parts in split):
        common += 1
    return ["_".join(parts[common - parts[common][0].isdigit() :]) for parts in split]


def comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=indent, subsequent_indent=indent)


def enum_class(enum: Enum) -> list[str]:
    doc = comment(enum.doc.replace("\\", "\\\\").replace('"', "'") or enum.name, "    ")
    lines = [f"class {class_name(enum.name)}({'IntFlag' if enum.is_flag else 'IntEnum'}):", f'    """{doc[0].strip()}']
    lines += doc[1:]
    lines[-1] += '"""'
    lines.append("")
    for short, (_, value, said) in zip(short_names([m[0] for m in enum.members]), enum.members):
        if said:
            lines += comment(said, "    #: ")
        lines.append(f"    {short} = {f'1 << {value.bit_length() - 1}' if enum.is_flag else value}")
    return lines + ["", ""]


def enum_module(enums: list[Enum]) -> str:
    lines = [HEAD.format(doc="The enumerations.") + "from enum import IntEnum, IntFlag", "", ""]
    for enum in enums:
        lines += enum_class(enum)
    lines.append("__all__ = [")
    lines += [f'    "{class_name(enum.name)}",' for enum in enums]
    return "\n".join([*lines, "]", ""])


def error_module(result: Enum) -> str:
    """One class for each negative result; an error that this table has no word for is an error of the build."""
    lines = [HEAD.format(doc="An exception for each error.") + "from ._error import Error", "", ""]
    table = []
    for c_name, value, said in result.members:
        if value >= 0:
            continue
        short = c_name.removeprefix("SMTPF_")
        name, also = ERRORS[short]
        lines += [f"class {name}({', '.join(filter(None, ('Error', also)))}):", f'    """{said[0].upper()}{said[1:]}."""']
        lines += ["", f"    code = {value}", "", ""]
        table.append((value, name))
    lines.append("BY_CODE: dict[int, type[Error]] = {")
    lines += [f"    {value}: {name}," for value, name in table]
    lines += ["}", "", "__all__ = ["] + [f'    "{name}",' for _, name in table]
    return "\n".join([*lines, "]", ""])
