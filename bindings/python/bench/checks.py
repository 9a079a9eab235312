# SPDX-License-Identifier: MIT
"""What one check costs at HELO: written in C (`helo`), in Python as `def`, as `async def`; and an event told from Python. One run,
interleaved; microseconds of processor time, medians. `checks.py ROUNDS` prints JSON."""
import asyncio
import json
import statistics
import sys
import time

from smtpfilter import Check, Config, Driver, Engine, Session, Stage, clear, zone
from smtpfilter.aio import AsyncDriver, AsyncSession

BASE = """
local_domains = [ "example.net" ];
limits = { commands = 1000000; };
check = { disable = [ %s ]; };
"""
QUIET = ["early_talk", "iprev"]
EVENTS = 4000


class Plain(Check):
    """Looks at the name."""

    name, stages = "plain", Stage.HELO

    def run(self, task):
        return clear("name" if "." in task.event.helo else "word")


class Coroutine(Check):
    """The same, as a coroutine that never waits."""

    name, stages = "coroutine", Stage.HELO

    async def run(self, task):
        return clear("name" if "." in task.event.helo else "word")


def engine(*checks, disable=()):
    config = Config(log=None)
    for check in checks:
        config.add_check(check)
    return Engine(config.loads(BASE % ", ".join('"%s"' % name for name in [*QUIET, *disable])))


def helos(driver):
    """Microseconds of one EHLO, synchronously."""
    with Session(driver) as session:
        session.connect("192.0.2.1")
        begun = time.process_time()
        for _ in range(EVENTS):
            session.helo("mail.example.org")
        return (time.process_time() - begun) / EVENTS * 1e6


async def helos_async(driver):
    """The same on asyncio."""
    async with AsyncSession(driver) as session:
        await session.connect("192.0.2.1")
        begun = time.process_time()
        for _ in range(EVENTS):
            await session.helo("mail.example.org")
        return (time.process_time() - begun) / EVENTS * 1e6


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    engines = {"without": engine(disable=("helo",)), "c": engine(), "python": engine(Plain(), disable=("helo",)),
               "coroutine": engine(Coroutine(), disable=("helo",))}
    took = {name: [] for name in [*engines, "awaited"]}

    async def awaited():
        async with AsyncDriver(engines["without"], resolver=zone("")) as driver:
            return await helos_async(driver)

    drivers = {name: Driver(e, resolver=zone("")) for name, e in engines.items()}
    for driver in drivers.values():
        helos(driver)
    for _ in range(max(rounds, 5) * 3):
        for name, driver in drivers.items():
            took[name].append(helos(driver))
        took["awaited"].append(asyncio.run(awaited()))
    for driver in drivers.values():
        driver.close()
    us = {name: statistics.median(values) for name, values in took.items()}
    cost = {name: statistics.median([a - b for a, b in zip(took[name], took["without"])]) for name in ("c", "python", "coroutine")}
    print(json.dumps({"ratios": {"awaited_vs_synchronous_event": round(us["awaited"] / us["without"], 3),
                                 "event_with_python_check_vs_with_c_check": round(us["python"] / us["c"], 3)},
                      "event_us": round(us["without"], 2), "event_awaited_us": round(us["awaited"], 2), "check_c_us": round(cost["c"], 2),
                      "check_python_us": round(cost["python"], 2), "check_coroutine_us": round(cost["coroutine"], 2)}))


if __name__ == "__main__":
    main()
