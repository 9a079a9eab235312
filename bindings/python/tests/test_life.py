# SPDX-License-Identifier: MIT
"""Threads, forks, exits, and what is left behind."""
from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref
from typing import Any

import pytest
from conftest import World, evidence, talk
from test_check import Named

import smtpfilter
from smtpfilter import Session, Task, clear


def program(text: str, *, code: int = 0) -> str:
    """Runs Python of its own, in development mode; what it wrote."""
    head = """
        import smtpfilter as f
        def engine(*checks, **more):
            config = f.Config(log=None)
            for check in checks:
                config.add_check(check)
            return f.Engine(config.update({"local_domains": ["example.net"], "iprev": {"enable": False},
                "profiles": {"default": {"greylist": False}}, **more}))
    """
    source = textwrap.dedent(head) + textwrap.dedent(text)
    run = subprocess.run([sys.executable, "-X", "dev", "-c", source], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout + run.stderr


# ---- threads ----------------------------------------------------------------------------------------------------------


def elsewhere(call: Any) -> Any:
    """What a call in another thread gave or raised."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return found[0]


def test_another_thread_is_told(world: World) -> None:
    with world.driver() as driver, Session(driver) as session:
        for call in (driver.process, driver.stats, lambda: session.connect("192.0.2.1"), session.close, driver.close):
            error = elsewhere(call)
            assert isinstance(error, smtpfilter.ThreadError) and "belong to the thread" in str(error)
        assert elsewhere(driver.wake) is None
        assert session.connect("192.0.2.1").accepted


def test_threads_share_an_engine(world: World) -> None:
    idents: set[int] = set()

    def run(task: Task) -> Any:
        idents.add(threading.get_ident())
        return clear()

    world.config.add_check(Named(run))
    engine = world.engine()

    def host() -> int:
        with smtpfilter.Driver(engine, resolver=smtpfilter.zone("")) as driver:
            for _ in range(50):
                with Session(driver) as session:
                    assert talk(session).accepted
        return threading.get_ident()

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(host())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4 and idents == set(found), "checks run on the thread that called"


def test_others_run_while_one_waits(world: World) -> None:
    async def run(task: Task) -> Any:
        await task.sleep(0.5)

    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.001)

    world.config.add_check(Named(run))
    with world.driver() as driver, Session(driver) as session:
        thread = threading.Thread(target=count)
        thread.start()
        talk(session)
        stop.set()
        thread.join(30)
    assert counted[0] > 50


def test_a_signal_interrupts_waiting() -> None:
    out = program(
        """
        import signal
        class Slow(f.Check):
            name, stages = "slow", f.Stage.RCPT
            async def run(self, task):
                await task.sleep(50)
        def alarm(*_): raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, alarm)
        with f.Driver(engine(Slow(), check={"timeout": "60s"})) as driver, f.Session(driver) as s:
            s.connect("192.0.2.1"); s.helo("mail.example.org"); s.mail("a@example.org")
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                s.rcpt("b@example.net")
            except KeyboardInterrupt:
                print("interrupted, pending", s.pending)
        """
    )
    assert out == "interrupted, pending True\n"


def test_lmdb_completes_on_this_thread(world: World, tmp_path: Any) -> None:
    """The one thread the library may own writes; whoever asked is told on the thread that asked."""
    world.options["store"] = {"type": "lmdb", "path": tmp_path}
    idents: set[int] = set()
    with world.driver() as driver:
        for i in range(20):
            change = smtpfilter.Change(smtpfilter.ChangeOp.SET, b"key%d" % i, b"v")
            driver.call(lambda then, change=change: driver.commit([change], lambda v: (idents.add(threading.get_ident()), then(v))))
    assert idents == {threading.get_ident()}


# ---- forks, exits, subinterpreters ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork(world: World) -> None:
    with world.driver() as driver, Session(driver) as session:
        session.connect("192.0.2.1")
        read, write = os.pipe()
        child = os.fork()
        if not child:
            said = []
            for call in (lambda: session.helo("x"), driver.process, driver.close, lambda: Session(driver)):
                try:
                    call()
                    said.append("worked")
                except smtpfilter.ForkError as error:
                    said.append(type(error).__name__)
            with smtpfilter.Driver(driver.engine) as own, Session(own) as fresh:
                said.append(str(fresh.connect("192.0.2.1").code))
            os.write(write, " ".join(said).encode())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert os.read(read, 200) == b"ForkError ForkError ForkError ForkError 220"
        os.close(read)
        os.close(write)
        assert session.helo("mail.example.org").accepted


def test_exit_with_sessions_open() -> None:
    out = program(
        """
        import sys
        class Slow(f.Check):
            name, stages = "slow", f.Stage.RCPT
            def close(self): print("closed")
            async def run(self, task):
                try:
                    await task.sleep(50)
                finally:
                    print("ended")
        class Mine(f.Store):
            def get(self, key): return None
            def commit(self, changes): pass
            def stop(self): print("stopped")
        driver = f.Driver(engine(Slow()), store=Mine())
        s = f.Session(driver, timeout=0.05)
        s.connect("192.0.2.1"); s.helo("mail.example.org"); s.mail("a@example.org")
        try:
            s.rcpt("b@example.net")
        except f.DeadlineError:
            print("pending")
        sys.exit(0)
        """
    )
    assert out.splitlines()[:3] == ["pending", "ended", "stopped"], out


def test_exit_without_cleaning_up() -> None:
    """A thread of its own still has a driver: it stays, and nothing crashes."""
    assert "done" in program(
        """
        import threading, time
        def host():
            global driver, s
            driver = f.Driver(engine()); s = f.Session(driver); s.connect("192.0.2.1"); ready.set()
            time.sleep(60)
        ready = threading.Event()
        threading.Thread(target=host, daemon=True).start()
        ready.wait(30)
        print("done")
        """
    )


def test_subinterpreter_is_refused() -> None:
    out = program(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        try:
            import _interpreters as i
        except ImportError:
            import _xxsubinterpreters as i
        try:
            try:
                new = i.create("legacy")
            except (TypeError, ValueError):
                new = i.create(isolated=False)
        except Exception:
            new = i.create()
        source = f'''
        import sys
        sys.path[:] = {sys.path!r}
        try:
            import smtpfilter
            print("imported")
        except ImportError as e:
            print("ImportError:", e, flush=True)
        '''.replace(chr(10) + "        ", chr(10))
        i.run_string(new, source)
        """
    )
    assert "ImportError:" in out and "interpreter" in out


# ---- what is left behind ----------------------------------------------------------------------------------------------


def test_dropped_session_is_freed(world: World) -> None:
    with world.driver() as driver:
        session = Session(driver)
        session.connect("192.0.2.1")
        gone = weakref.ref(session)
        with pytest.warns(ResourceWarning, match="was not closed"):
            del session
            gc.collect()
        assert gone() is None and len(driver._orphans) == 1
        driver.process()
        assert not driver._orphans


def test_dropped_driver_is_closed(world: World) -> None:
    driver = world.driver()
    session = Session(driver)
    session.connect("192.0.2.1")
    gone = weakref.ref(driver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a record of it would keep them alive
        del driver, session
        gc.collect()
    assert gone() is None


def test_no_references_are_kept(world: World) -> None:
    driver = world.driver()
    with Session(driver) as session:
        talk(session)
    before = sys.getrefcount(driver), sys.getrefcount(driver.engine)
    for _ in range(50):
        with Session(driver) as session:
            talk(session)
    del session
    assert (sys.getrefcount(driver), sys.getrefcount(driver.engine)) <= before
    gone = weakref.ref(driver), weakref.ref(driver.engine)
    driver.close()
    del driver
    gc.collect()
    assert gone[0]() is None and gone[1]() is None


def rss() -> int:
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


SESSIONS = 100_000


@pytest.mark.skipif("SMTPF_SANITIZED" in os.environ, reason="ASan keeps what was freed for a while")
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc to read RSS from")
def test_memory_stays_flat(world: World) -> None:
    """Sessions, verdicts, checks that answer at once and checks that wait."""

    async def waits(task: Task) -> Any:
        await task.get(b"key")
        return clear()

    world.config = smtpfilter.Config(log=None)
    world.config.add_check(Named(waits))
    world.options["iprev"] = {"enable": False}
    with world.driver() as driver:

        def sessions(n: int) -> None:
            for i in range(n):
                session = Session(driver)
                session.connect("192.0.2.1")
                if not i % 10:
                    session.helo("mail.example.org")
                    session.mail("a@example.org")
                    assert evidence(session.rcpt("b@example.net"), "named").code == "clear"
                session.close()

        sessions(SESSIONS // 5)
        gc.collect()
        before = rss()
        sessions(SESSIONS - SESSIONS // 5)
        gc.collect()
        grown = rss() - before
    assert grown < 2 << 20, f"{grown} bytes more after {SESSIONS} sessions"
