#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The lab: the same mail through four arrangements of a real mail server, and what became of it. `./bootstrap lab`.

Exits with 1 when something is unaccounted for, or when libsmtpfilter sent a bounce to an innocent, lost mail silently or
delivered more spam than a plain milter; each mail that made it so is named. docs/guide/lab.md tells the story.
"""
import argparse
import concurrent.futures
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
    p.add_argument("--queue", action="store_true", help="forwards are queued, not given to their targets inline: the lab then fails")
    p.add_argument("--scanner", choices=["table", "spamd"], default="table",
                   help="the deterministic one (default), or SpamAssassin's daemon")
    p.add_argument("--docs", metavar="FOLDER", help="writes the plot and the page's table there")
    p.add_argument("--build", default="build", help="where smtpf-proxy is")
    p.add_argument("--kinds", action="store_true", help="prints what became of each kind of mail")
    p.add_argument("--keep", metavar="FOLDER", help="keeps the logs there")
    p.add_argument("--together", action="store_true", help="all arrangements at once")
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


class Run:
    """All arrangements that were asked for, and what is wrong with what they did."""

    def __init__(self, options):
        self.mail = world.make(options.seed, options.mail)
        self.accounts, self.faults, self.missing, self.broken = [], [], [], []
        kinds = [k for k in ALL if not options.only or k.name in options.only.split(",")]
        with concurrent.futures.ThreadPoolExecutor(len(kinds) if options.together else 1) as pool:
            for kind, done in zip(kinds, pool.map(lambda k: self.one(k, options), kinds)):
                if isinstance(done, (Missing, Skip)):
                    self.missing.append("%s: %s" % (kind.name, done))
                    continue
                account, left = done
                self.accounts.append(account)
                self.faults += ["%s: %s" % (kind.name, f) for f in account.faults() + left]
        by_name = {a.name: a for a in self.accounts}
        if "libsmtpfilter" in by_name:
            self.broken = conditions(by_name["libsmtpfilter"], by_name.get("milter_reject"))

    def one(self, kind, options):
        """What `play` says, or why it cannot be played here."""
        begun = time.monotonic()
        try:
            done = play(kind, self.mail, options)
        except (Missing, Skip) as why:
            return why
        print("%s: %d messages in %.1f s" % (kind.title, len(self.mail), time.monotonic() - begun), flush=True)
        return done

    def tell(self, options):
        print("\n%s\n" % report.table(self.accounts))
        for a in self.accounts if options.kinds else []:
            for k, fates in sorted(by_kind(a).items()):
                print("%s %s: %s" % (a.name, k, ", ".join("%d %s" % (n, f) for f, n in sorted(fates.items()))))
        for line in self.faults + self.broken:
            print("FAIL " + line)
        for line in self.missing:
            print("SKIP " + line)


def main(argv):
    options = arguments(argv)
    run = Run(options)
    run.tell(options)
    if options.docs:
        report.write(options.docs, run.accounts, len(run.mail), options.seed)
    print(report.one_line(run.accounts, messages=len(run.mail), seed=options.seed, failed=len(run.faults) + len(run.broken)))
    return 1 if run.faults or run.broken or run.missing or not run.accounts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
