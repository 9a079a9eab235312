# SPDX-License-Identifier: MIT
"""A server of live.py: live_server.py POLICY PORT FOLDER [--lmtp] [--relay PORT] [--stock]: aiosmtpd with our handler
and our controller, or, `--stock`, with aiosmtpd's own."""
import argparse
import signal

from smtpfilter.aiosmtpd import Controller, Handler
from smtpfilter.delivery import Maildir, Relay


def main():
    p = argparse.ArgumentParser()
    p.add_argument("policy")
    p.add_argument("port", type=int)
    p.add_argument("folder")
    p.add_argument("--lmtp", action="store_true")
    p.add_argument("--stock", action="store_true")
    p.add_argument("--relay", type=int)
    args = p.parse_args()
    ended = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ended)
    relay = Relay("127.0.0.1", args.relay, hostname="mx.example.net", timeout=10) if args.relay else None
    handler = Handler(args.policy, Maildir(args.folder, relay))
    if args.stock:
        import aiosmtpd.controller
        controller = aiosmtpd.controller.Controller(handler, hostname="127.0.0.1", port=args.port, server_hostname="mx.example.net")
    else:
        controller = Controller(handler, "127.0.0.1", args.port, lmtp=args.lmtp)
    controller.start()
    signal.sigwait(ended)
    controller.stop()


if __name__ == "__main__":
    main()
