# SPDX-License-Identifier: MIT
"""Scripts and transcripts of SMTP conversations, played against a policy without a network.

.. code-block:: python

    from smtpfilter.replay import Player, Script

    script = Script.load("session.txt")
    for record in Player("policy.conf", dns=open("zone").read(), scripts=[script]).play(script):
        print(record)

The same input gives the same records, word for word: clock and random are virtual, the DNS is a text, the store is in
memory. What a script may say is in smtpf-replay(1).
"""
from .host import HOSTS, host
from .player import Fault, Player
from .record import Record, as_text
from .script import Item, Script, ScriptError
from .transcript import Transcript

__all__ = ["HOSTS", "Fault", "Item", "Player", "Record", "Script", "ScriptError", "Transcript", "as_text", "host"]
