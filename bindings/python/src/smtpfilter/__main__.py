# SPDX-License-Identifier: MIT
"""python -m smtpfilter: replay, lint, greylist, serve."""
from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from datetime import datetime, timezone
from typing import Any

from . import Config, Driver, Engine, Error, __version__
from .replay import Player, Script, ScriptError, host
from .replay.world import NOW


def _fail(text: object) -> int:
    print("smtpfilter: %s" % text, file=sys.stderr)
    return 2


def replay(args: argparse.Namespace) -> int:
    """Plays scripts against a policy, without a network."""
    dns = None
    if args.dns:
        with open(args.dns, encoding="utf-8") as f:
            dns = f.read()
    scripts = [Script(sys.stdin.buffer.read(), "-") if name == "-" else Script.load(name) for name in args.script]
    player = Player(args.policy, dns=dns, host=args.host, now=args.now, scripts=scripts)
    for script in scripts:
        for record in player.play(script):
            print(record.json() if args.json else record)
    return 0


def lint(args: argparse.Namespace) -> int:
    """Says what keeps a policy from loading, and what it says that cannot be meant, or that the host cannot keep."""
    found = 0
    capabilities, _ = host(args.host)
    for path in args.policy:
        try:
            with Engine(Config(path, log=None)) as engine:
                warnings = [str(w) if w.file else "%s: %s" % (path, w.text) for w in engine.lint(capabilities)]
        except Error as e:
            warnings = [str(e)]
        found += len(warnings)
        for line in warnings:
            print(line)
    return 1 if found else 0


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def greylist(args: argparse.Namespace) -> int:
    """Lists the greylist of the store that a policy names; on a terminal it says how far it is."""
    from .greylist import entries

    tell = sys.stderr.isatty() and not sys.stdout.isatty()
    shown = 0
    with Engine(Config(args.policy)) as engine, Driver(engine) as driver:
        if engine.option("store.type") == "memory":
            return _fail("%s: a store in memory lives in its host's process and cannot be looked at" % args.policy)
        for e in entries(driver, (lambda n: print("\r%d records" % n, end="", file=sys.stderr)) if tell else None):
            if args.state and e.state != args.state:
                continue
            shown += 1
            if args.json:
                print(json.dumps({k: v for k, v in vars(e).items() if v or k == "passes"}))
                continue
            triplet = ' sender="%s" recipient="%s"' % (e.sender, e.recipient) if e.kind == "triplet" else ""
            print('kind=%s state=%s client="%s"%s first=%s last=%s passes=%d%s' % (
                e.kind, e.state, e.client, triplet, _time(e.first), _time(e.last), e.passes,
                " expires=" + _time(e.expires) if e.expires else ""))
    if tell:
        print("\r%d shown        " % shown, file=sys.stderr)
    return 0


def serve(args: argparse.Namespace) -> int:
    """Runs a server that filters, and delivers into Maildirs."""
    try:
        from .aiosmtpd import Controller, Handler
    except ImportError as e:
        return _fail("%s; the server needs aiosmtpd: pip install aiosmtpd" % e)
    from .delivery import Maildir, Relay

    config = Config(args.policy)
    config.append("local_domains", *args.domain)
    relay: Relay | None = None
    if args.relay:
        name, _, port = args.relay.rpartition(":")
        relay = Relay(name, int(port))
    ended = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ended)
    address, _, port = args.listen.rpartition(":")
    controller = Controller(Handler(config, Maildir(args.maildir, relay)), address.strip("[]"), int(port), lmtp=args.lmtp)
    controller.start()
    print("smtpfilter: listening on %s, delivering to %s" % (args.listen, os.path.abspath(args.maildir)), file=sys.stderr, flush=True)
    signal.sigwait(ended)
    controller.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m smtpfilter", description="Filters mail while the SMTP conversation is open.")
    p.add_argument("--version", action="version", version="smtpfilter " + __version__)
    words = p.add_subparsers(dest="word", required=True, metavar="WORD")

    def word(function: Any) -> argparse.ArgumentParser:
        q = words.add_parser(function.__name__, help=function.__doc__, description=function.__doc__)
        q.set_defaults(function=function)
        return q

    q = word(replay)
    q.add_argument("-c", "--policy", help="the policy file; without it the defaults")
    q.add_argument("--dns", help="a zone file: NAME [TTL] TYPE RDATA")
    q.add_argument("--now", type=int, default=NOW, help="the clock's start, seconds since 1970")
    q.add_argument("--host", default="proxy", help="what the host can do")
    q.add_argument("--json", action="store_true", help="one line of JSON for each event")
    q.add_argument("script", nargs="+", help="what the client does; - is standard input")
    q = word(lint)
    q.add_argument("--host", default="proxy", help="what the host can do")
    q.add_argument("policy", nargs="+")
    q = word(greylist)
    q.add_argument("policy")
    q.add_argument("--state", help="only these: waiting, ripe, known, late, seen, allowed, denied")
    q.add_argument("--json", action="store_true", help="one line of JSON for each record")
    q = word(serve)
    q.add_argument("policy", nargs="?", help="the policy file; without it the defaults")
    q.add_argument("--domain", action="append", default=[], help="a domain whose mailboxes are here, beside the policy's")
    q.add_argument("--listen", default="127.0.0.1:8025", help="address and port; %(default)s")
    q.add_argument("--maildir", default="mail", help="the folder of the Maildirs; %(default)s")
    q.add_argument("--relay", help="address and port of the server that takes what is forwarded")
    q.add_argument("--lmtp", action="store_true", help="speak LMTP")
    return p


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        return int(args.function(args))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (Error, ScriptError, OSError) as e:
        return _fail(e)


if __name__ == "__main__":
    sys.exit(main())
