#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy with four threads: many clients whose mail all arrives; then, under load, clients that deliver, clients
that leave, a next hop that cuts its connections, reloads in between, and a drain at the end. Every message that was answered 250 has arrived. Built with
ThreadSanitizer this is the run that must be clean."""
import os
import random
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_basic import check, stage  # noqa: E402
from proxy_harness import Client, Proxy, Sink, run, without_trace  # noqa: E402

CLIENTS, MESSAGES = 16, 40


class Load(threading.Thread):
    def __init__(self, proxy, number):
        super().__init__(daemon=True)
        self.proxy, self.number, self.rng = proxy, number, random.Random(number)
        self.taken, self.refused, self.error = [], [], None

    def one(self, i):
        body = b"Subject: %d-%d\r\n\r\n%s\r\n" % (self.number, i, b"x" * self.rng.choice((10, 5000, 70000)))
        c = Client(self.proxy)
        try:
            if self.rng.random() < 0.2:  # leaves in the middle
                c.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<u@example.net>\r\n")
                return
            c.expect(b"MAIL FROM:<a@example.org>", b"250")
            if not c.say(b"RCPT TO:<u@example.net>").startswith(b"250"):
                return
            c.expect(b"DATA", b"354")
            (self.taken if c.message(body).startswith(b"250") else self.refused).append(body)
            if self.rng.random() < 0.5:
                c.expect(b"QUIT", b"221")
        finally:
            c.close()

    def run(self):
        try:
            for i in range(MESSAGES):
                self.one(i)
        except (OSError, AssertionError) as e:
            self.error = e


def many_clients_on_four_threads():
    with stage(options={"proxy.threads": "4"}) as (sink, proxy):
        failures = []

        def work(k):
            try:
                for i in range(5):
                    c = Client(proxy)
                    reply = c.deliver(b"Subject: %d %d\r\n\r\nx\r\n" % (k, i))
                    if not reply.startswith(b"250"):
                        failures.append(reply)
                    c.expect(b"QUIT", b"221")
                    c.close()
            except (OSError, AssertionError) as e:
                failures.append(e)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        check(not failures, failures)
        check(len({without_trace(m.data) for m in sink.messages}) == 100, len(sink.messages))


def four_threads_under_load():
    sink = Sink()
    proxy = Proxy(sink.port, {"proxy.threads": "4", "proxy.spool_memory": "30000", "proxy.pool": "2"})
    try:
        loads = [Load(proxy, k) for k in range(CLIENTS)]
        for load in loads:
            load.start()
        for i in range(200):
            if not any(load.is_alive() for load in loads):
                break
            if i % 3 == 0:
                proxy.signal(signal.SIGHUP)
            if i % 7 == 0:
                sink.cut()
            loads[i % CLIENTS].join(0.1)
        for load in loads:
            load.join(60)
            if load.is_alive() or load.error:
                raise AssertionError("a client failed: %r" % load.error)
        proxy.stop()
    finally:
        sink.close()
        if proxy.process.poll() is None:
            proxy.process.kill()
            proxy.process.wait()
    arrived = {without_trace(m.data) for m in sink.messages}
    taken = [body for load in loads for body in load.taken]
    if len(taken) < CLIENTS:
        raise AssertionError("only %d were taken" % len(taken))
    lost = [body[:30] for body in taken if body not in arrived]
    if lost:
        raise AssertionError("lost: %r" % lost)


if __name__ == "__main__":
    sys.exit(run([many_clients_on_four_threads, four_threads_under_load], sys.argv[1:]))
