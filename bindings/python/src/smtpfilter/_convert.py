# SPDX-License-Identifier: MIT
"""Structures of C as objects of Python, and back."""
from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from ._enums import (
    CalloutStatus,
    ChangeOp,
    DirectoryStatus,
    Disposition,
    DnsStatus,
    DnsType,
    Route,
)
from ._ffi import ffi
from ._glue import NULL, Keep, bytes_of, text_of
from .ports import (
    CalloutAnswer,
    Change,
    DirectoryAnswer,
    DnsAnswer,
    DnsRecord,
    DnsSaid,
    Ip,
    Member,
    Promise,
    Stored,
)


def ip_of(ip: Any) -> Ip | None:
    return ip_from(bytes(ip.bytes[0 : 4 if ip.family == 4 else 16])) if ip and ip.family else None


def ip_from(raw: bytes) -> Ip | None:
    """In network order: four bytes, sixteen, or none."""
    if not raw:
        return None
    return ipaddress.IPv4Address(raw) if len(raw) == 4 else ipaddress.IPv6Address(raw)


def put_ip(into: Any, text: str) -> None:
    ip = ipaddress.ip_address(text)
    into.family = ip.version if ip.version == 6 else 4
    for i, byte in enumerate(ip.packed):
        into.bytes[i] = byte


# ---- DNS ------------------------------------------------------------------------------------------------------------


def dns_answer_of(answer: Any) -> DnsAnswer:
    records = tuple(_record_of(answer.records[i]) for i in range(answer.count))
    return DnsAnswer(DnsStatus(answer.status), records, answer.ttl)


def _record_of(r: Any) -> DnsRecord:
    kind = DnsType(r.type)
    value = str(ip_of(r.ip)) if kind in (DnsType.A, DnsType.AAAA) else text_of(r.text)
    return DnsRecord(kind, value, r.ttl, r.preference)


def dns_said(said: DnsSaid) -> DnsAnswer:
    if isinstance(said, DnsAnswer):
        return said
    if said is None:
        return DnsAnswer(DnsStatus.NXDOMAIN)
    records = tuple(said)
    ttl = min((record.ttl for record in records), default=300)
    return DnsAnswer(DnsStatus.OK if records else DnsStatus.NODATA, records, ttl)


def put_dns(keep: Keep, said: DnsAnswer) -> Any:
    answer = keep.sized("smtpf_dns_answer")
    answer.status, answer.ttl, answer.count = int(said.status), said.ttl, len(said.records)
    records = keep.new("smtpf_dns_record[]", max(1, len(said.records)))
    for row, record in zip(records, said.records):
        row.type, row.ttl, row.preference = int(record.type), record.ttl, record.preference
        if record.type in (DnsType.A, DnsType.AAAA):
            put_ip(row.ip, record.value)
        else:
            keep.text(row.text, record.value)
    answer.records = records
    return answer


# ---- directory, callout -----------------------------------------------------------------------------------------------


def directory_answer_of(a: Any) -> DirectoryAnswer:
    members = tuple(_member_of(a.members[i]) for i in range(a.n_members))
    return DirectoryAnswer(
        DirectoryStatus(a.status), text_of(a.canonical), text_of(a.profile), text_of(a.cause), a.ttl, members
    )


def _member_of(m: Any) -> Member:
    return Member(text_of(m.address), text_of(m.profile), Route(m.route) if m.route else None, text_of(m.forward))


def directory_said(said: DirectoryAnswer | bool | None) -> DirectoryAnswer:
    if isinstance(said, DirectoryAnswer):
        return said
    if said is None:
        return DirectoryAnswer(DirectoryStatus.UNKNOWN, cause="not known")
    return DirectoryAnswer(DirectoryStatus.EXISTS if said else DirectoryStatus.ABSENT)


def put_directory(keep: Keep, said: DirectoryAnswer) -> Any:
    answer = keep.sized("smtpf_directory_answer")
    answer.status, answer.ttl, answer.n_members = int(said.status), said.ttl, len(said.members)
    keep.text(answer.canonical, said.canonical)
    keep.text(answer.profile, said.profile)
    keep.text(answer.cause, said.cause)
    rows = keep.new("smtpf_directory_member[]", max(1, len(said.members)))
    for row, member in zip(rows, said.members):
        row.size, row.route = ffi.sizeof("smtpf_directory_member"), int(member.route or 0)
        keep.text(row.address, member.address)
        keep.text(row.profile, member.profile)
        keep.text(row.forward, member.forward)
    answer.members = rows
    return answer


def callout_answer_of(a: Any) -> CalloutAnswer:
    return CalloutAnswer(CalloutStatus(a.status), a.code, text_of(a.enhanced), text_of(a.text), text_of(a.cause))


def put_callout(keep: Keep, said: CalloutAnswer) -> Any:
    answer = keep.sized("smtpf_callout_answer")
    answer.status, answer.code = int(said.status), said.code
    keep.text(answer.enhanced, said.enhanced)
    keep.text(answer.text, said.text)
    keep.text(answer.cause, said.cause)
    return answer


# ---- store, journal ---------------------------------------------------------------------------------------------------


def changes_of(changes: Any, n: int) -> list[Change]:
    return [
        Change(ChangeOp(c.op), bytes_of(c.key), bytes_of(c.value), c.expires)
        for c in (changes[i] for i in range(n))
    ]


def put_changes(keep: Keep, changes: Sequence[Change]) -> Any:
    rows = keep.new("smtpf_change[]", max(1, len(changes)))
    for row, change in zip(rows, changes):
        row.size, row.op, row.expires = ffi.sizeof("smtpf_change"), int(change.op), change.expires
        keep.text(row.key, change.key)
        keep.text(row.value, change.value)
    return rows


def stored_of(records: Any, n: int) -> list[Stored]:
    return [Stored(bytes_of(r.key), bytes_of(r.value), r.expires) for r in (records[i] for i in range(n))]


def put_stored(keep: Keep, records: Iterable[Stored]) -> tuple[Any, int]:
    found = list(records)
    rows = keep.new("smtpf_stored[]", max(1, len(found)))
    for row, record in zip(rows, found):
        row.size, row.expires = ffi.sizeof("smtpf_stored"), record.expires
        keep.text(row.key, record.key)
        keep.text(row.value, record.value)
    return rows, len(found)


def promises_of(promises: Any, n: int) -> list[Promise]:
    return [
        Promise(
            text_of(p.message), text_of(p.sender), text_of(p.recipient), Disposition(p.disposition), p.wall_s,
            bytes_of(p.memory),
        )
        for p in (promises[i] for i in range(n))
    ]  # fmt: skip


def str_arg(keep: Keep, text: str | bytes) -> Any:
    """An smtpf_str to be given by value to a function of a table."""
    s = keep.new("smtpf_str *")
    s.p = NULL
    keep.text(s, text)
    return s[0]
