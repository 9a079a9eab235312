#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The lab: the same mail through four arrangements of a real mail server, and what became of it. `./bootstrap lab`.

Exits with 1 when something is unaccounted for, or when libsmtpfilter sent a bounce to an innocent, lost mail silently or
delivered more spam than a plain milter; each mail that made it so is named. docs/guide/lab.md tells the story.
"""
import argparse
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import report  # noqa: E402
import world  # noqa: E402
from accounting import Account, by_kind, conditions  # noqa: E402
from arrangements import ALL, Missing, Skip  # noqa: E402
from scorer import Real, Scorer, Virus  # noqa: E402
from senders import Senders  # noqa: E402
from sinks import world as servers  # noqa: E402


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--mail", type=int, default=1000, metavar="N", help="messages (default 1000)")
    p.add_argument("--seed", type=int, default=1, help="of the random source")
    p.add_argument("--only", metavar="NAMES", help="arrangements, separated by commas")
    p.add_argument("--careless", action="store_true", help="one more quarantine, which nobody reads: the lab then fails")
    p.add_argument("--scanner", choices=["table", "spamd"], default="table",
                   help="the deterministic one (default), or SpamAssassin's daemon")
    p.add_argument("--svg", metavar="FILE", help="writes the plot")
    p.add_argument("--build", default="build", help="where smtpf-proxy is")
    p.add_argument("--kinds", action="store_true", help="prints what became of each kind of mail")
    p.add_argument("--keep", metavar="FOLDER", help="keeps the logs there")
    p.add_argument("--fast", action="store_true", help="leaves out what cannot be run here, instead of failing")
    options = p.parse_args(argv)
    options.program = os.environ.get("SMTPF_PROXY") or os.path.join(options.build, "smtpf-proxy")
    return options


def play(kind, mail, options):
    """All mail through one arrangement."""
    scorer, virus = Real() if options.scanner == "spamd" else Scorer({m.id: m.score for m in mail}), Virus()
    outside = servers(mail, world.OUTSIDE)
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        arrangement = kind(folder, scorer, virus, outside, options)
        try:
            arrangement.start()
            senders = Senders(arrangement.port, outside)
            senders.run(mail)
            settled = arrangement.settle()
        finally:
            arrangement.stop()
            for server in [*outside.values(), scorer, virus]:
                server.close()
        account = Account(arrangement, mail, senders.told, outside)
        if options.keep:
            os.makedirs(options.keep, exist_ok=True)
            with open(os.path.join(options.keep, kind.name + ".log"), "w", encoding="utf-8") as f:
                f.write(arrangement.postfix.log())
                f.write(getattr(getattr(arrangement, "proxy", None), "ended", None) or "")
    return account, [] if settled else ["the mail server's queue was not empty in the end"]


def main(argv):
    options = arguments(argv)
    mail = world.make(options.seed, options.mail)
    chosen = [k for k in ALL if not options.only or k.name in options.only.split(",")]
    accounts, faults, missing = [], [], []
    for kind in chosen:
        begun = time.monotonic()
        try:
            account, left = play(kind, mail, options)
        except (Missing, Skip) as why:
            missing.append("%s: %s" % (kind.name, why))
            continue
        accounts.append(account)
        faults += ["%s: %s" % (kind.name, f) for f in account.faults() + left]
        print("%s: %d messages in %.1f s" % (kind.title, len(mail), time.monotonic() - begun), flush=True)
    by_name = {a.name: a for a in accounts}
    ours = by_name.get("libsmtpfilter")
    broken = conditions(ours, by_name.get("milter_reject")) if ours else []
    print("\n%s\n" % report.table(accounts))
    if options.kinds:
        for a in accounts:
            for k, fates in sorted(by_kind(a).items()):
                print("%s %s: %s" % (a.name, k, ", ".join("%d %s" % (n, f) for f, n in sorted(fates.items()))))
    for line in faults + broken:
        print("FAIL " + line)
    for line in missing:
        print("SKIP " + line)
    if options.svg:
        with open(options.svg, "w", encoding="ascii") as f:
            f.write(report.plot(accounts))
    print(report.one_line(accounts, messages=len(mail), seed=options.seed, failed=len(faults) + len(broken)))
    return 1 if faults or broken or not accounts or (missing and not options.fast) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
