# SPDX-License-Identifier: MIT
"""A filtering mail server in ten lines, on aiosmtpd.

.. code-block:: python

    from smtpfilter.aiosmtpd import Controller, Handler
    from smtpfilter.delivery import Maildir

    controller = Controller(Handler("policy.conf", Maildir("mail")), hostname="127.0.0.1", port=8025)
    controller.start()

:class:`Handler` works with aiosmtpd's own controllers too. With :class:`Controller` of this module there is more: the
connection is judged before the banner, DATA before its 354, the message is read as it comes (and refused unless its
lines end in CRLF, RFC 5321 2.3.8), and each recipient has a reply of its own where the client can take it (LMTP, PRDR).
"""
from .handler import CAPABILITIES, Conversation, Handler
from .server import LMTP, SMTP, Controller, UnixSocketController, UnthreadedController

__all__ = [
    "CAPABILITIES",
    "LMTP",
    "SMTP",
    "Controller",
    "Conversation",
    "Handler",
    "UnixSocketController",
    "UnthreadedController",
]
