#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-milter behind a real Sendmail: the same verdicts for the same clients as behind Postfix."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import milter  # noqa: E402
from milter import check  # noqa: E402
from milter_postfix import Client, goes_away, sender_for  # noqa: E402
from milter_world import FEW_ERRORS, SPLIT, STRANGER, TOGETHER, World, policy, spares  # noqa: E402
from mta import Missing  # noqa: E402
from sendmail_server import Sendmail  # noqa: E402


def main():
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        root, port = os.path.join(tmp, "sendmail"), milter.free_port()
        os.mkdir(root)
        try:
            mta = Sendmail(root, "inet:%d@127.0.0.1" % port)
        except Missing as why:
            harness.skip(why)
        server, send = None, sender_for(mta.port)
        try:
            rcpts, end = send("a@example.org", ["b@example.net"], "nobody there", STRANGER)
            check("no filter: put off", (end or rcpts[0])[0] == 451, (rcpts, end))
            server = milter.Server(tmp, policy(tmp), port=port)
            world = World(check, send, mta.messages, mta.held)
            world.all()
            goes_away(mta.port, server)
            server.reload(policy(tmp).replace(SPLIT, TOGETHER))
            world.discards_beside()
            server.reload(policy(tmp) + FEW_ERRORS)
            world.shown_out(lambda address: Client(mta.port, address), mta_tells=False)
            server.reload(spares(tmp))
            world.spared(lambda address: Client(mta.port, address), server)
            first = [line for line in server.log().splitlines() if "event=rcpt" in line][:1]
            check("the queue id is known from the first recipient on", first and " queue=" in first[0], first)
            server.kill()
            rcpts, end = send("a@example.org", ["b@example.net"], "nobody there", STRANGER)
            check("filter killed: put off", (end or rcpts[0])[0] == 451, (rcpts, end))
        finally:
            if server and server.process.poll() is None:
                server.kill()
            mta.stop()
        if milter.FAILED:
            print(mta.log()[-3000:])
            print(server.log()[-3000:] if server else "")
    milter.conclude()


if __name__ == "__main__":
    main()
