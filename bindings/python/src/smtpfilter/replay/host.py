# SPDX-License-Identifier: MIT
"""Hosts: named sets of capabilities, as smtpf-replay(1) has them."""
from __future__ import annotations


from .. import Capability, Protocol
from .scanned import ScriptError

_WHOLE = (Capability.SEE_BODY | Capability.EDIT | Capability.QUARANTINE | Capability.DELAY | Capability.REPORT_COMMIT)
_PROXY = (_WHOLE | Capability.DROP_RCPT | Capability.EDIT_PER_RCPT | Capability.SENDER_PER_RCPT
          | Capability.QUARANTINE_PER_RCPT)

#: What ``--host`` knows: single capabilities, and the sets of the programs that people install.
HOSTS: dict[str, Capability] = {
    "reply_per_rcpt": Capability.REPLY_PER_RCPT,
    "drop_rcpt": Capability.DROP_RCPT,
    "edit_per_rcpt": Capability.EDIT_PER_RCPT,
    "sender_per_rcpt": Capability.SENDER_PER_RCPT,
    "quarantine_per_rcpt": Capability.QUARANTINE_PER_RCPT,
    "quarantine": Capability.QUARANTINE,
    "sees_body": Capability.SEE_BODY,
    "can_delay": Capability.DELAY,
    "reports_commit": Capability.REPORT_COMMIT,
    "edit": Capability.EDIT,
    "cut_through": Capability.CUT_THROUGH,
    "proxy": _PROXY,
    "prdr": _PROXY | Capability.REPLY_PER_RCPT,
    "proxy-whole": _WHOLE,
    "milter": Capability.SEE_BODY | Capability.EDIT | Capability.QUARANTINE | Capability.DELAY | Capability.DROP_RCPT,
    "policyd": Capability.DELAY | Capability.EDIT | Capability.QUARANTINE,
    "policyd-rcpt": Capability.DELAY,
    "join_only": Capability.JOIN_ONLY,
    "exim": Capability.SEE_BODY | Capability.EDIT | Capability.DELAY | Capability.DROP_RCPT,
    "exim-scan": (Capability.SEE_BODY | Capability.EDIT | Capability.DELAY | Capability.DROP_RCPT | Capability.JOIN_ONLY),
    "opensmtpd": Capability.SEE_BODY | Capability.EDIT | Capability.DELAY,
    "lmtp": _PROXY | Capability.REPLY_PER_RCPT,
}


def host(names: str) -> tuple[Capability, Protocol]:
    """Names of capabilities and presets, comma separated.

    >>> host("policyd-rcpt")[0] == Capability.DELAY
    True
    """
    found, protocol = Capability(0), Protocol.SMTP
    for name in filter(None, names.split(",")):
        if name not in HOSTS:
            raise ScriptError("no such capability or preset: %s; expected %s" % (name, " ".join(HOSTS)))
        found |= HOSTS[name]
        if name == "lmtp":
            protocol = Protocol.LMTP
    return found, protocol
