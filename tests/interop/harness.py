# SPDX-License-Identifier: MIT
"""What every test with real programs stands on: cases that are counted, ports that the system chose, waits that end."""
import os
import random
import re
import socket
import sys
import textwrap
import threading
import time

import watched

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASSED, FAILED, SKIPPED = [], [], []
LOCK = threading.Lock()


def check(what, good, seen=""):
    """One case; `seen` is shown where it fails."""
    with LOCK:
        (PASSED if good else FAILED).append(what)
        if not good:
            print("FAIL %s: %r" % (what, seen), flush=True)
    return bool(good)


def skipped(what, why):
    """One case that cannot be run here."""
    with LOCK:
        SKIPPED.append(what)
        print("SKIP %s: %s" % (what, why), flush=True)


def skip(why):
    """Nothing here can be run."""
    print("SKIP %s" % why)
    sys.exit(77)


def conclude():
    """The last line, and the end. What sanitizers or valgrind found fails a case of its own."""
    if watched.FOLDER:
        found = watched.report()
        check("nothing found by who watched", not found, found)
    print("%d passed, %d failed, %d skipped" % (len(PASSED), len(FAILED), len(SKIPPED)))
    sys.exit(1 if FAILED else 0)


def guide(page, word):
    """The block of a page of docs/guide that holds a word, as it is to be pasted."""
    with open(os.path.join(TOP, "docs", "guide", page), encoding="utf-8") as f:
        blocks = re.findall(r"(?:^    +\S.*\n)+", f.read(), re.M)
    found = [textwrap.dedent(b) for b in blocks if word in b]
    assert len(found) == 1, (page, word, found)
    return found[0]


def fitted(text, *places):
    """Pasted text with other names and ports: pairs of what stands there, once, and what is to."""
    for old, new in places:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    return text


def bound(address, port):
    """Whether it can be had, be it in TIME_WAIT or not."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        try:
            s.bind((address, port))
        except OSError:
            return False
        return True


def has_ipv6():
    return bound("::1", 0)


def addresses():
    """Loopback's."""
    return ["127.0.0.1"] + (["::1"] if has_ipv6() else [])


def free_port():
    """For somebody who will listen on it, and is started later: one that the system gives to no client meanwhile, of loopback's
    both addresses."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        least, greatest = (int(word) for word in f.read().split())
    others = [port for port in range(10000, 65536) if not least <= port <= greatest]
    for _ in range(100):
        port = random.SystemRandom().choice(others or range(least, greatest))
        if all(bound(address, port) for address in addresses()):
            return port
    raise OSError("no port is free")


def eventually(condition, seconds=5.0):
    """What `condition` says when it is true at last, or when the time is over."""
    end = time.monotonic() + seconds
    while True:
        good = condition()
        if good or time.monotonic() > end:
            return good
        time.sleep(0.05)


def with_subject(messages, subject):
    wanted = b"\nSubject: %s\n" % subject.encode()
    return [m for m in messages if wanted in b"\n" + m.replace(b"\r\n", b"\n")]


def arrived(server, mailbox, subject):
    """The first message of that subject in a mailbox, once it is there; else b\"\"."""
    found = eventually(lambda: with_subject(server.messages(mailbox), subject))
    return found[0] if found else b""
