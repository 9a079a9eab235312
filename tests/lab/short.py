#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The lab in short: every kind of mail once, through all arrangements that can be run here. What the lab is sure of must
hold: nothing is unaccounted for, and libsmtpfilter bounces nothing to innocents, loses nothing, lets no more spam in."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402
import world  # noqa: E402


def main():
    options = run.arguments(["--mail", str(len(world.KINDS) + 4), "--build", ".", "--together"])
    done = run.Run(options)
    done.tell(options)
    if not done.accounts:
        print("SKIP %s" % "; ".join(done.missing))
        return 77
    failed = {line.split(":")[0] for line in done.faults} | {"libsmtpfilter" for _ in done.broken}
    # a plain milter that looks better than it is known to be would mean that the lab has gone blind
    blind = [a.name for a in done.accounts if a.name != "libsmtpfilter" and not a.figures()["bounces_to_innocents"]]
    for name in blind:
        print("FAIL %s: no bounce reached an innocent, which this mail makes certain" % name)
    failed |= set(blind)
    print("%d passed, %d failed, %d skipped" % (len(done.accounts) - len(failed), len(failed), len(done.missing)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
