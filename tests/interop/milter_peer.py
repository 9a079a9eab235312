#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-milter before miltertest, which plays the MTA by libmilter's rules."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import milter  # noqa: E402
from milter import check  # noqa: E402
from milter_world import LISTED, SPLIT, TOGETHER, policy  # noqa: E402

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "milter_peer.lua")


def main():
    peer = shutil.which("miltertest")
    if not peer:
        print("SKIP no miltertest here")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as tmp:
        server = milter.Server(tmp, policy(tmp).replace(SPLIT, TOGETHER))
        try:
            out = subprocess.run([peer, "-D", "where=inet:%d@127.0.0.1" % server.port, "-D", "listed=" + LISTED, "-s", SCRIPT],
                                 capture_output=True, text=True, timeout=60, check=False)
            said = out.stdout + out.stderr
            for line in said.splitlines():
                if line.startswith("ok "):
                    check(line[3:], True)
            check("the whole script", out.returncode == 0 and said.count("ok ") == 28, said[-1000:])
            check("it ends", server.stop() == 0)
        finally:
            if server.process.poll() is None:
                server.kill()
    milter.conclude()


if __name__ == "__main__":
    main()
