# SPDX-License-Identifier: MIT
"""One of bench.py's servers: server.py KIND PORT DNS-PORT FOLDER. Messages are taken and forgotten."""
import asyncio
import os
import signal
import sys

import stack

POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
resolver = {{ servers = [ "127.0.0.1:{dns}" ]; }};
store = {{ type = "lmdb"; path = "{folder}/store"; durability = "batch"; writer = "inline"; }};   # what sqlite's WAL with synchronous=NORMAL promises
dnslists = ( {{ zone = "bl.example"; codes = ( {{ match = "127.0.0.2"; score = 10.0; }} ); }},
             {{ zone = "other.example"; codes = ( {{ match = "127.0.0.2"; score = 10.0; }} ); }} );
greylist = {{ wait = "1s"; }};
profiles = ( {{ name = "default"; reject = 10.0; greylist = true; }} );
"""


class Alone:
    """aiosmtpd with a handler that takes all."""

    async def handle_DATA(self, server, session, envelope):
        return "250 OK"


async def forget(*_):
    """A delivery."""


async def main(kind, port, dns, folder):
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    handler = None
    if kind == "alone":
        handler = Alone()
    elif kind.startswith("python"):
        resolver = stack.Dnspython if kind.endswith("dnspython") else stack.Pycares
        handler = stack.Handler(resolver("127.0.0.1", dns), stack.Greylist(folder + "/greylist.sqlite"), forget)
    if handler:
        server = await loop.create_server(lambda: stack.protocol(handler, loop), "127.0.0.1", port)
    else:
        from smtpfilter.aiosmtpd import SMTP, Handler
        os.makedirs(folder + "/store", exist_ok=True)
        with open(folder + "/policy.conf", "w", encoding="ascii") as f:
            f.write(POLICY.format(dns=dns, folder=folder))
        handler = Handler(folder + "/policy.conf", forget)
        if kind == "handler":  # ours on aiosmtpd's own protocol
            server = await loop.create_server(lambda: stack.protocol(handler, loop), "127.0.0.1", port)
        else:
            server = await loop.create_server(
                lambda: SMTP(handler, hostname="mx.example.net", enable_SMTPUTF8=True, loop=loop), "127.0.0.1", port)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    if os.environ.get("SMTPF_UVLOOP"):
        import uvloop
        uvloop.install()
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
