# SPDX-License-Identifier: MIT
"""bench exim: what a client costs a real Exim, which forks for each: alone; with the library in the client's process, its policy
read there or in the daemon before the fork; with smtpf-milter asked over its socket.

Of each: how long a client is served from connection to the reply of EHLO, or of a message, one client after the other, the
arrangements in turn; by a small policy and by one of ten thousand recipients. Delivery is off: the message waits in the queue.
"""
import os
import smtplib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import exim  # noqa: E402
import exim_module  # noqa: E402
import milter  # noqa: E402
from common import median  # noqa: E402
from mta import Missing  # noqa: E402

CLIENTS, LARGE = 40, 10000
TEXT = b"Subject: hello\r\n\r\n" + b"x" * 70 * 58 + b"\r\n"
POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo", "forward_target" ]; };
profiles = ( { name = "default"; reject = 10.0; tag = 5.0; }, { name = "mild"; inherit = "default"; reject = 15.0; } );
recipients = ( %(recipients)s );
store = { type = "lmdb"; path = "%(root)s/store"; writer = "inline"; };
milter = { log_verdicts = "none"; socket_mode = "0666"; };
"""
QUEUE = "queue_only = true\nsmtp_accept_queue_per_connection = 0\n"


def one(port, with_message):
    """Exim keeps its reply to QUIT back for 0.2 s: it is not waited for."""
    begun = time.perf_counter()
    s = smtplib.SMTP("127.0.0.1", port, "client.example", 30)
    s.ehlo()
    if with_message:
        s.sendmail("a@example.org", ["user1@example.net"], TEXT)
    took = time.perf_counter() - begun
    s.close()
    return took


def folder(tmp, name, recipients):
    root = os.path.join(tmp, name)
    os.mkdir(root)
    os.mkdir(os.path.join(root, "store"))
    os.chmod(os.path.join(root, "store"), 0o777)
    who = ", ".join('{ address = "user%d@example.net"; profile = "mild"; }' % i for i in range(recipients))
    text = POLICY % {"root": root, "recipients": who}
    with open(os.path.join(root, "policy"), "w", encoding="ascii") as f:
        f.write(text)
    return root, text


def arrangements(tmp, size):
    """(name, Exim's configuration), and what else runs."""
    inside, _ = folder(tmp, "inside-%d" % size, size)
    outside, text = folder(tmp, "outside-%d" % size, size)
    path = os.path.join(outside, "socket")
    daemon = milter.Server(outside, text, unix=path)
    read, loaded, asks = [exim_module.pasted(where) for where in (os.path.join(inside, "policy"), os.path.join(inside, "policy"), "unix:" + path)]
    read["main"] = "".join(line for line in read["main"].splitlines(True) if "smtpf_preload" not in line)
    found = {"alone": {}, "inside": read, "preloaded": loaded, "outside": asks}
    for how in found.values():
        how["main"] = how.get("main", "") + QUEUE
    return found, daemon


def measure(size, rounds):
    """{(arrangement, with a message): [median of a round, in ms]}"""
    got, servers, daemon = {}, {}, None
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        try:
            found, daemon = arrangements(tmp, size)
            for name, how in found.items():
                os.mkdir(os.path.join(tmp, name))
                servers[name] = exim.Exim(os.path.join(tmp, name), ["example.net"], **how)
                one(servers[name].port, True)
            for _ in range(rounds):
                for with_message in (False, True):
                    times = {name: [] for name in servers}
                    for _ in range(CLIENTS):
                        for name, server in servers.items():
                            times[name].append(one(server.port, with_message))
                    for name, values in times.items():
                        got.setdefault((name, with_message), []).append(1000 * statistics.median(values))
        finally:
            for server in servers.values():
                server.stop()
            if daemon:
                daemon.kill()
    return got


def bench_exim(build, rounds):
    os.chdir(build)
    result = {"name": "exim", "ratios": {}, "runs": rounds}
    try:
        for size, policy in ((10, "small"), (LARGE, "large")):
            got = measure(size, rounds)
            for (name, with_message), values in sorted(got.items()):
                what = "%s_%s" % (policy, "message" if with_message else "connection")
                if name == "alone":
                    result["alone_%s_ms" % what] = round(median(values), 2)
                    continue
                alone = got["alone", with_message]
                result["ratios"]["%s_vs_alone_%s" % (name, what)] = round(median(a / b for a, b in zip(values, alone)), 2)
                result["%s_%s_ms" % (name, what)] = round(median(values), 2)
    except Missing as why:
        result["skipped"] = str(why)
    return result
