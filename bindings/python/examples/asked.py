# SPDX-License-Identifier: MIT
"""A check in Python that smtpf-milter, smtpf-proxy or any other host of the library asks over a socket.

    python3 asked.py /run/asked.sock

It speaks clamd's protocol, so that the host knows it as a scanner of that type:

    scanners = ( { name = "asked"; type = "clamd"; kind = "spam"; servers = [ "unix:/run/asked.sock" ]; score = 5.0;
                   on_unknown = "accept"; } );

The host feeds it while the mail arrives, keeps its deadline, and takes silence for *unknown*, never for *clean*.
"""
import asyncio
import email
import email.policy
import sys


def judge(message):
    """The name of what was found, or None. This is the part to change."""
    subject = str(message.get("Subject", ""))
    if message.get("From") is None:
        return "Asked.NoFrom"
    return "Asked.Shouting" if len(subject) > 10 and subject.isupper() else None


async def scan(reader):
    """One message: chunks of a length and bytes, ended by a length of 0."""
    parts = []
    while length := int.from_bytes(await reader.readexactly(4), "big"):
        parts.append(await reader.readexactly(length))
    found = judge(email.message_from_bytes(b"".join(parts), policy=email.policy.default))
    return "stream: " + (found + " FOUND" if found else "OK")


async def answer(reader, writer):
    """One connection. In a session (zIDSESSION) each answer begins with the number of its request."""
    session, number = False, 0
    try:
        while True:
            word = (await reader.readuntil(b"\0"))[:-1]
            if word == b"zIDSESSION":
                session = True
                continue
            if word == b"zEND":
                break
            number += 1
            said = await scan(reader) if word == b"zINSTREAM" else "PONG" if word == b"zPING" else "UNKNOWN COMMAND"
            writer.write(("%d: %s\0" % (number, said) if session else said + "\0").encode("ascii"))
            await writer.drain()
            if not session:
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(path):
    async with await asyncio.start_unix_server(answer, path) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
