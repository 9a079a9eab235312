#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What smtpf-proxy, smtpf-milter and smtpf-policyd say of themselves: OpenMetrics by a strict reader, and figures that
are true: what was sent is what is counted, once, over all loops, and while the policy is read anew."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import openmetrics  # noqa: E402
import scanner_fakes  # noqa: E402
from openmetrics import fetch, value  # noqa: E402
from proxy_harness import HAM, Client, Proxy, Sink, eventually, run  # noqa: E402
from proxy_routes import DOMAINS, closed, hops, nobody  # noqa: E402


def port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return "127.0.0.1:%d" % s.getsockname()[1]


def bad_texts():
    """The reader refuses what must not be; a test that could not would show nothing."""
    good = ("# TYPE a counter\n# HELP a Of a.\na_total{x=\"1\"} 1\na_total{x=\"2\"} 2\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\n"
            "b_seconds_bucket{le=\"1.0\"} 1\nb_seconds_bucket{le=\"+Inf\"} 2\nb_seconds_sum 3.5\nb_seconds_count 2\n# EOF\n")
    openmetrics.parse(good)
    for a, b in (("# EOF\n", ""), ("# EOF\n", "# EOF"), ("a_total{x=\"1\"}", "a{x=\"1\"}"), ("x=\"2\"", "x=\"1\""), ("x=\"2\"", "y=\"2\""),
                 ("x=\"2\"", "x=\"2\",x=\"3\""), ("x=\"2\"", "x=\"\\x\""), ("x=\"2\"", "__x=\"2\""), (" 2\n#", " two\n#"), (" 2\n#", " -2\n#"),
                 ("UNIT b_seconds seconds", "UNIT b_seconds bytes"), ("+Inf\"} 2", "+Inf\"} 0"), ("count 2", "count 3"), ("le=\"+Inf\"", "le=\"2.0\""),
                 ("# HELP a", "\n# HELP a"), ("TYPE a counter", "TYPE a tally"), ("# TYPE b", "# TYPE a counter\n# TYPE b"), ("\n", "\r\n")):
        assert good.count(a), a
        try:
            openmetrics.parse(good.replace(a, b, 1) if a != "\n" else good.replace(a, b))
        except openmetrics.Wrong:
            continue
        raise AssertionError("taken: %r for %r" % (b, a))


def a_proxy_counts_what_happened():
    at = port()
    a, dead = Sink(), nobody()
    proxy = Proxy(None, DOMAINS + hops(dead, a.address) + [("proxy.metrics", at), ("proxy.threads", "3")])
    first = fetch(at)
    assert value(first, "smtpfilter_build_info", program="smtpf-proxy") == 1
    assert value(first, "smtpfilter_sessions_total") == 0 and value(first, "smtpfilter_connections_open") == 0
    clients = [Client(proxy) for _ in range(7)]
    for c in clients:
        assert c.deliver(HAM, b"<x@example.net>", b"<y@example.net>").startswith(b"250")
        c.expect(b"MAIL FROM:<s@example.org>", b"250")
        c.expect(b"RCPT TO:<u@elsewhere.example>", b"550")
    now = fetch(at)
    told = {n: value(now, "smtpfilter_" + n) for n in ("sessions_total", "messages_total", "connections_open", "connections_total")}
    assert told == {"sessions_total": 7, "messages_total": 7, "connections_open": 7, "connections_total": 7}, told
    assert value(now, "smtpfilter_decisions_total", stage="rcpt", reply="2xx") == 14
    assert value(now, "smtpfilter_decisions_total", stage="rcpt", reply="5xx") == 7
    assert value(now, "smtpfilter_decisions_total", stage="end-of-message") == 7
    assert value(now, "smtpfilter_recipients_total", disposition="delivered") == 14
    assert value(now, "smtpfilter_copies_total", destination="mailbox", result="ok") == 14
    assert value(now, "smtpfilter_findings_total", check="relay", kind="hit") == 7
    assert value(now, "smtpfilter_hop_up", server=dead) == 0 and value(now, "smtpfilter_hop_up", server=a.address) == 1
    assert 1 <= value(now, "smtpfilter_hop_failures_total", server=dead) <= 7
    assert value(now, "smtpfilter_hop_ready_total", server=a.address, tls="no") == a.connections - 1  # one was the probe's
    assert value(now, "smtpfilter_resident_memory_bytes") > 1e6
    for c in clients:
        c.close()
    eventually("connections are closed", lambda: value(fetch(at), "smtpfilter_connections_open") == 0)
    closed(proxy, a)


def nothing_goes_back_and_labels_stay_few():
    """No counter is ever less than before; what clients say makes no series; those that a policy makes are bounded."""
    at = port()
    a = Sink()
    many = [('proxy.routes["d%d.example"].servers' % i, "127.0.0.1:%d" % (20000 + i)) for i in range(300)]
    proxy = Proxy(a.address, many + [("proxy.metrics", at), ("proxy.hop_connect_timeout", "100ms"), ("limits.errors", "1000"), ("limits.commands", "10000")])
    before = fetch(at)
    ups = [s for s in before["smtpfilter_hop_up"].samples]
    assert len(ups) == 201 and any(dict(p) == {"server": "other"} for _, p, _ in ups), len(ups)
    client = Client(proxy)
    for i in range(100):
        client.say(b"MAIL FROM:<s%d@x%d.example>" % (i, i))
        client.say(b"RCPT TO:<u%d@y%d.example>" % (i, i))
        client.say(b"NONSENSE%d" % i)
        client.say(b"RSET")
    after = fetch(at)
    for name, family in before.items():
        if family.type == "counter":
            for n, pairs, v in family.samples:
                assert value(after, n, **dict(pairs)) >= v, (n, pairs)
    series = sum(len(f.samples) for f in after.values()) - len(ups)
    assert series < 200, series
    text = str([p for f in after.values() for s in f.samples for p in s[1]])
    assert not re.search(r"[sxuy]\d+[.@]|NONSENSE", text.replace("d", "")), text
    closed(client, proxy, a)


def scanners_have_a_histogram():
    at = port()
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "scan")
        with open(script, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nsleep 0.2\ncat >/dev/null\nexit 0\n")
        os.chmod(script, 0o755)
        a = Sink()
        proxy = Proxy(a.address, [("proxy.metrics", at), ('scanners["own"].type', "command"), ('scanners["own"].kind', "virus"),
                                  ('scanners["own"].command', script), ('scanners["own"].refuse', "true")])
        client = Client(proxy)
        for _ in range(2):
            client.deliver(HAM)
        now = fetch(at)
        n = value(now, "smtpfilter_scan_seconds_count", check="virus")
        assert n == 2, n
        assert value(now, "smtpfilter_scan_seconds_bucket", check="virus", le="0.100") == 0
        assert value(now, "smtpfilter_scan_seconds_sum", check="virus") >= 0.4
        closed(client, proxy, a)


def what_is_left_alone_is_told():
    """A scanner's server that fails three times in a row, and comes back; a store that is well."""
    with tempfile.TemporaryDirectory() as folder:
        look_at_what_is_left_alone([("store.type", "lmdb"), ("store.path", folder)])


def look_at_what_is_left_alone(options):
    at, a, good = port(), Sink(), scanner_fakes.Server("clamd")
    down = nobody()
    proxy = Proxy(a.address, [("proxy.metrics", at), ("proxy.threads", "1"), ('scanners["av"].type', "clamd"), ('scanners["av"].kind', "virus"),
                              ('scanners["av"].servers+', down), ('scanners["av"].servers+', good.address)] + options)
    client = Client(proxy)

    def state(server):
        client.deliver(HAM)
        return value(fetch(at), "smtpfilter_scanner_down", scanner="av", server=server)

    assert value(fetch(at), "smtpfilter_store_down") == 0
    eventually("it is left alone", lambda: state(down) == 1)
    assert state(good.address) == 0
    back = scanner_fakes.Server("clamd", port=int(down.rsplit(":", 1)[1]))
    eventually("it is asked again", lambda: state(down) == 0)
    closed(client, proxy, a)
    good.close()
    back.close()


def a_reload_is_counted():
    at = port()
    a = Sink()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        def write(more):
            f.seek(0)
            f.truncate()
            f.write('local_domains = [ "example.net" ];\nproxy = { metrics = "%s"; };\n%s\n' % (at, more))
            f.flush()
        write("")
        proxy = Proxy(a.address, policy=f.name)
        client = Client(proxy)
        assert client.deliver(HAM).startswith(b"250")
        proxy.signal(signal.SIGHUP)
        eventually("it is read anew", lambda: value(fetch(at), "smtpfilter_policy_reloads_total", result="taken") == 1)
        write("nonsense = 1;")
        proxy.signal(signal.SIGHUP)
        eventually("it is refused", lambda: value(fetch(at), "smtpfilter_policy_reloads_total", result="failed") == 1)
        assert value(fetch(at), "smtpfilter_messages_total") == 1
        closed(client, proxy)
    a.close()


def what_the_policy_no_longer_names_is_not_down():
    """A server that was down and is taken out of the policy: nobody will ever see it come back."""
    at, a, dead, scanner = port(), Sink(), nobody(), nobody()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        def write(hops_, more=""):
            f.seek(0)
            f.truncate()
            f.write('local_domains = [ "example.net" ];\nproxy = { metrics = "%s"; threads = 1; next_hop = [ %s ]; };\n%s\n'
                    % (at, ", ".join('"%s"' % h for h in hops_), more))
            f.flush()
        write([dead, a.address], 'scanners = ( { name = "av"; type = "clamd"; kind = "virus"; servers = [ "%s" ]; } );' % scanner)
        proxy = Proxy(None, policy=f.name)
        client = Client(proxy)

        def down():
            client.deliver(HAM)
            return value(fetch(at), "smtpfilter_scanner_down", server=scanner) == 1

        eventually("the scanner is left alone", down)
        assert value(fetch(at), "smtpfilter_hop_up", server=dead) == 0
        write([a.address])
        proxy.signal(signal.SIGHUP)
        eventually("it is read anew", lambda: value(fetch(at), "smtpfilter_hop_up", server=dead) is None)
        now = fetch(at)
        assert value(now, "smtpfilter_hop_up", server=a.address) == 1
        assert value(now, "smtpfilter_scanner_down") is None
        assert value(now, "smtpfilter_messages_total") > 0
        closed(client, proxy, a)


def http(at, bytes_, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(20)
        s.connect(at)
        s.sendall(bytes_)
        out = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return out
            out += piece


def whoever_asks_badly():
    """Other paths, other methods, no request at all, a request without end: answered or closed, and the next is served;
    mail goes on meanwhile."""
    at = port()
    a = Sink()
    proxy = Proxy(a.address, [("proxy.metrics", at)])
    where = ("127.0.0.1", int(at.split(":")[1]))
    assert http(where, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    assert http(where, b"POST /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")
    head = http(where, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n")
    try:
        assert http(where, b"G" * 100000) == b""
    except ConnectionError:
        pass
    silent = socket.create_connection(where)
    client = Client(proxy)
    assert client.deliver(HAM).startswith(b"250")
    assert value(fetch(at), "smtpfilter_messages_total") == 1  # once the silent one has had its time
    silent.close()
    closed(client, proxy, a)


def at_a_unix_socket():
    with tempfile.TemporaryDirectory() as folder:
        a, path = Sink(), folder + "/metrics"
        proxy = Proxy(a.address, [("proxy.metrics", "unix:" + path)])
        said = http(path, b"GET /metrics HTTP/1.1\r\n\r\n", socket.AF_UNIX)
        openmetrics.parse(said.split(b"\r\n\r\n", 1)[1].decode())
        proxy.stop()
        assert not os.path.exists(path)
        a.close()


def an_address_that_cannot_be():
    for where in ("nowhere", "127.0.0.1:1:2", "lmtp:127.0.0.1:9"):
        try:
            Proxy("127.0.0.1:1", [("proxy.metrics", where)]).stop()
        except AssertionError as e:
            assert "cannot-listen" in str(e), e
        else:
            raise AssertionError("it starts: " + where)


def asked_all_the_time():
    """Scrapes and mail at once: every scrape is whole, and the sums are right at the end."""
    at = port()
    a = Sink()
    proxy = Proxy(a.address, [("proxy.metrics", at), ("proxy.threads", "4")])
    over, wrong = threading.Event(), []

    def scrape():
        while not over.is_set():
            try:
                fetch(at)
            except (openmetrics.Wrong, urllib.error.URLError) as e:
                wrong.append(e)
    scrapers = [threading.Thread(target=scrape) for _ in range(2)]
    for t in scrapers:
        t.start()
    for _ in range(10):
        clients = [Client(proxy) for _ in range(4)]
        for c in clients:
            assert c.deliver(HAM).startswith(b"250")
            c.close()
    over.set()
    for t in scrapers:
        t.join(20)
    assert not wrong, wrong[:3]
    assert value(fetch(at), "smtpfilter_messages_total") == 40
    closed(proxy, a)


# ---- the others ---------------------------------------------------------------------------------------------------


class Program:
    """A program that is ready once its metrics can be had."""

    def __init__(self, *command, at):
        with tempfile.NamedTemporaryFile(delete=False) as log:
            self.log = log.name
            self.process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL)
        self.at = at
        eventually("it serves", self.serves)

    def serves(self):
        assert self.process.poll() is None, self.said()
        try:
            return fetch(self.at)
        except OSError:
            return False

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        said = self.said()
        os.unlink(self.log)
        assert status == 0 and "Sanitizer" not in said and "runtime error" not in said, said


SETS = ["--set", "local_domains=example.net", "--set", "check.disable=iprev", "--set", "hostnames=mx.example.net"]


def policyd():
    at = port()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write('local_domains = [ "example.net" ];\ncheck = { disable = [ "iprev", "helo" ]; };\npolicyd = { metrics = "%s"; };\n' % at)
        f.flush()
        ask = port()
        program = Program(os.environ.get("SMTPF_POLICYD", "./smtpf-policyd"), "-c", f.name, "--inet", ask, at=at)
        for i, (recipient, word) in enumerate(((b"x@example.net", b"DUNNO"), (b"x@elsewhere.example", b"5"), (b"y@example.net", b"DUNNO"))):
            with socket.create_connection(("127.0.0.1", int(ask.split(":")[1])), 20) as s:
                s.sendall(b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\ninstance=%d.1\nhelo_name=h.example\n"
                          b"client_address=192.0.2.7\nsender=a@b.example\nrecipient=%s\n\n" % (i, recipient))
                reply = s.recv(4096)
                assert reply.startswith(b"action=" + word), reply
        now = fetch(at)
        assert value(now, "smtpfilter_decisions_total", stage="rcpt", reply="2xx") == 2
        assert value(now, "smtpfilter_decisions_total", stage="rcpt", reply="5xx") == 1
        assert value(now, "smtpfilter_connections_total") == 3 and value(now, "smtpfilter_build_info", program="smtpf-policyd") == 1
        program.stop()


def milter():
    at, listen = port(), port()
    program = Program(os.environ.get("SMTPF_MILTER", "./smtpf-milter"), "--listen", listen, "--set", "milter.metrics=" + at, *SETS, at=at)

    def packet(command, data=b""):
        return (len(data) + 1).to_bytes(4, "big") + command + data

    with socket.create_connection(("127.0.0.1", int(listen.split(":")[1])), 20) as s:
        def say(*packets):
            s.sendall(b"".join(packet(*p) for p in packets))

        def hear():
            n = int.from_bytes(s.recv(4, socket.MSG_WAITALL), "big")
            return s.recv(n, socket.MSG_WAITALL)
        say((b"O", (6).to_bytes(4, "big") + (0x1ff).to_bytes(4, "big") + (0).to_bytes(4, "big")))
        hear()
        for p in ((b"C", b"h.example\x004\x00\x19192.0.2.7\x00"), (b"H", b"h.example\x00"), (b"M", b"<a@b.example>\x00"),
                  (b"R", b"<x@example.net>\x00"), (b"R", b"<x@elsewhere.example>\x00")):
            say(p)
            last = hear()
        assert last[:1] in (b"y", b"r"), last
        assert value(fetch(at), "smtpfilter_connections_open") == 1
    now = fetch(at)
    assert value(now, "smtpfilter_decisions_total", stage="rcpt", reply="2xx") == 1, now["smtpfilter_decisions"].samples
    assert value(now, "smtpfilter_decisions_total", stage="rcpt", reply="5xx") == 1
    assert value(now, "smtpfilter_build_info", program="smtpf-milter") == 1
    program.stop()


def the_guide_has_them_all():
    """docs/guide/metrics.md names every family, of its kind and with its labels, and no other."""
    top = os.path.join(os.environ.get("srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")))
    with open(os.path.join(top, "docs/guide/metrics.md"), encoding="utf-8") as f:
        told = {n: (kind, re.findall("`([a-z]+)`", labels)) for n, kind, labels in
                re.findall(r"^\| `(smtpfilter_\w+)` \| (\w+) \|([^|]*)\|", f.read(), re.M)}
    with open(os.path.join(top, "examples/common/metrics/metrics.h"), encoding="utf-8") as f:
        rows = re.findall(r'X\(\w+, "(\w+)", (\w+), \S+, \w+, (\S+), (\S+), (\S+),', f.read())
    made = {"smtpfilter_" + n + ("_total" if kind == "COUNTER" else ""): (kind.lower(), [x.strip('"') for x in labels if x != "NULL"])
            for n, kind, *labels in rows}
    made["smtpfilter_build_info"] = ("info", ["program", "version"])
    made["smtpfilter_start_time_seconds"] = made["smtpfilter_resident_memory_bytes"] = ("gauge", [])
    assert told == made, sorted(set(map(str, told.items())) ^ set(map(str, made.items())))


CASES = [bad_texts, the_guide_has_them_all, a_proxy_counts_what_happened, nothing_goes_back_and_labels_stay_few, scanners_have_a_histogram,
         what_is_left_alone_is_told, a_reload_is_counted, what_the_policy_no_longer_names_is_not_down,
         whoever_asks_badly, at_a_unix_socket, an_address_that_cannot_be, asked_all_the_time, policyd, milter]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:]))
