#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every scenario of expectations.txt with every server of differences.txt, all at once, each but one in a network of its own. A
server that is not here is skipped and said; one that is here and does not run is a failure. `--only HOST` and scenarios' names are
for who looks at one, and sees the logs of what fails. With `builddir` in the environment the last line is JSON."""
import importlib
import json
import os
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
if "builddir" in os.environ:
    os.chdir(os.environ["builddir"])
import harness  # noqa: E402
import namespace  # noqa: E402
import table  # noqa: E402
from book import Book  # noqa: E402
from certificates import Authority  # noqa: E402
from mta import Missing, NotStarted  # noqa: E402
from place import Site  # noqa: E402
from play import Player  # noqa: E402
from proxy_harness import Skip  # noqa: E402

IN_COMMON = "proxy"  # stays in the network that the machine has, as all do where no other can be made


class Run:
    """One server through all scenarios."""

    def __init__(self, name, book, only, authority, private):
        self.name, self.book, self.only, self.authority, self.private = name, book, only, authority, private
        self.told, self.seconds, self.counts = "", 0.0, {"plain": 0, "differs": 0, "failed": 0}
        self.thread = threading.Thread(target=self.guarded)

    def guarded(self):
        begun = time.monotonic()
        try:
            self.private = self.private and not namespace.enter()
            self.run()
        except Missing as why:
            self.told = "skipped"
            harness.skipped(self.book.hosts[self.name], why)
        except (Exception, SystemExit):  # pylint: disable=broad-except
            harness.check("%s: the run" % self.name, False, traceback.format_exc())
        self.seconds = time.monotonic() - begun

    def run(self):
        with tempfile.TemporaryDirectory(prefix="interop-") as folder:
            site, host = Site(folder, self.authority), None
            try:
                adapter = importlib.import_module("hosts." + self.name.replace("-", "_")).Adapter
                host = adapter.__new__(adapter)  # what it has started is ended, should it come no further
                host.__init__(site)
                self.play(host)
            except NotStarted as why:
                harness.check("%s: starts" % self.name, False, why)
            finally:
                if host:
                    host.stop()
                site.close()

    def play(self, host):
        player = Player(host, self.book.of(self.name), self.counts)
        for scenario in self.book.scenarios:
            if not self.only or scenario.name in self.only:
                before = self.counts["failed"]
                try:
                    why = player.play(scenario)
                except Exception:  # pylint: disable=broad-except
                    harness.check("%s: %s" % (self.name, scenario.name), False, traceback.format_exc())
                    why = ""
                if why:
                    harness.skipped("%s: %s" % (self.name, scenario.name), why)
                if sys.argv[1:2] == ["--only"] and self.counts["failed"] > before:
                    print(host.server_log()[-3000:], host.log()[-3000:], host.site.sender.log() if host.site.sender else "")


def main():
    book = Book()
    argv = sys.argv[1:]
    hosts = list(book.hosts)
    if argv[:1] == ["--only"]:
        hosts, argv = [argv[1]], argv[2:]
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        authority = trusted(folder)
        play(book, [Run(name, book, argv, authority, name != IN_COMMON) for name in hosts])


def trusted(folder):
    """An authority, with the certificate that all servers here have; None where there is none."""
    os.chmod(folder, 0o755)
    try:
        found = Authority(folder)
        found.of_servers = found.certificate("DNS:mx.example.net", "IP:127.0.0.1", "IP:::1")
        return found
    except Skip as why:
        harness.skipped("TLS", why)
        return None


def play(book, runs):
    for wrong in table.faults(book):
        harness.check("docs/guide/hosts.md", False, wrong)
    made = {n[:-3].replace("_", "-") for n in os.listdir(os.path.join(HERE, "hosts")) if n.endswith(".py")}
    harness.check("a server for each adapter", made == set(book.hosts), made ^ set(book.hosts))
    for name in book.hosts if "builddir" in os.environ else ():
        if name not in [run.name for run in runs]:
            harness.check("%s: left out" % name, False)
    for run in runs:
        run.thread.start()
    for run in runs:
        run.thread.join()
    if "builddir" in os.environ:
        tell(runs, book)
    harness.conclude()


def tell(runs, book):
    """For a person: each server, and how it went. Then for a program."""
    for run in runs:
        print("%-16s %4d as promised, %2d that differ, %2d failed, %3.0f s  %s" % (
            run.name, run.counts["plain"], run.counts["differs"], run.counts["failed"], run.seconds, run.told))
    result = {"name": "interop", "cases": len(harness.PASSED) + len(harness.FAILED), "failed": len(harness.FAILED),
              "scenarios": len(book.scenarios), "servers": {r.name: r.counts["plain"] + r.counts["differs"] for r in runs},
              "skipped": [r.name for r in runs if r.told]}
    print(json.dumps(result))
    sys.exit(1 if harness.FAILED else 0)


if __name__ == "__main__":
    main()
