# SPDX-License-Identifier: MIT
"""bench hosts: mail through one Postfix alone, with smtpf-milter, with rspamd's milter and with postgrey, in turn; and the
milter protocol alone, smtpf-milter beside a filter on libmilter that does nothing.

Of each arrangement: messages per second of smtp-source; how much longer a message takes, from connection to last reply, one
at a time (median and 99th percentile, of a thousand clients, senders and recipients); processor time and memory of the
filter's processes. smtpf-milter and rspamd do the same: two DNS lists, greylisting, and a hundred recipients of three kinds;
rspamd's rules are off, and its Redis is not counted. Before smtpf-milter Postfix removes forged marks itself, so that the
messages need not be seen; the row `milter-sees-all` is the same policy without that. Every greylist knows the mail already.
postgrey does greylisting alone. The filter on libmilter does nothing: what any milter costs Postfix that hears everything.
"""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from common import Server, free_port, median, postgrey, run, source, tree_cpu, tree_memory  # noqa: E402
from mta import Missing, Postfix  # noqa: E402

KEYS, SESSIONS, SIZE, RECIPIENTS = 1000, 10, 4096, 100
SOURCE, ALONE = 1200, 300  # messages a round: of smtp-source; one at a time
WAIT = 1.3                 # of the greylists, which wait a second
USERS = ["user%d@example.net" % i for i in range(RECIPIENTS)]
KINDS = ("plain", "strict", "lenient")

POSTFIX = """
mynetworks = 192.0.2.1
virtual_transport = discard:
smtpd_client_connection_count_limit = 0
milter_default_action = tempfail
"""
LISTS = ("black.example", "white.example")
ZONE = ":127.0.0.2:listed\n192.0.2.2\n198.51.100.0/24\n"
MILTER = """
local_domains = [ "example.net" ];
resolver = { servers = [ "127.0.0.1:%(dns)d" ]; };
check = { disable = [ "iprev", "helo", "forward_target" ]; };
dnslists = ( { zone = "black.example"; score = 8.0; }, { zone = "white.example"; score = -2.0; } );
addrlists = ( { name = "known"; entries = [ "198.51.100.0/24", "203.0.113.0/24" ]; score = 10.0; } );
profiles = ( { name = "default"; reject = 10.0; greylist = true; }, { name = "plain"; inherit = "default"; },
             { name = "strict"; inherit = "default"; reject = 6.0; tag = 4.0; },
             { name = "lenient"; inherit = "default"; reject = 15.0; } );
directory = { complete = true; };
recipients = ( %(recipients)s );
greylist = { wait = "1s"; auto_allow = 0; };
store = { type = "lmdb"; path = "%(folder)s/store"; };
milter = { log_verdicts = "none"; socket_mode = "0666"; };
"""
SPARES = 'tag = { foreign = "leave"; };\n'  # docs/guide/milter.md, Messages it need not see
STRIPPER = "stripper unix n - n - 0 cleanup\n  -o { header_checks = regexp:{{/^X-Smtpfilter:/ IGNORE}} }\n"
CODEC = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "helo", "forward_target" ]; };
limits = { transactions = 100000000; commands = 100000000; };
refuse = { stage = "connect"; };   # each stage is answered, as there
milter = { log_verdicts = "none"; };
"""
RSPAMD = """
options {
  filters = ""; history_rows = 10; local_addrs = []; disable_hyperscan = true; hs_cache_dir = "%(folder)s/cache";
  pidfile = "%(folder)s/rspamd.pid"; url_tld = "%(folder)s/tld"; control_socket = "%(folder)s/control mode=0600";
  dns { nameserver = ["127.0.0.1:%(dns)d"]; timeout = 1s; retransmits = 2; sockets = 4; }
}
logging { type = "file"; filename = "%(folder)s/log"; level = "error"; }
lua = "%(folder)s/rules.lua";
modules { path = "${PLUGINSDIR}/rbl.lua"; path = "${PLUGINSDIR}/greylist.lua"; path = "${PLUGINSDIR}/settings.lua"; }
actions { reject = 10; add_header = 6; greylist = 0.5; }
group "lists" { symbols { BLACK { score = 8.0; } WHITE { score = -2.0; } ANY { score = 1.0; } } }
redis { servers = "127.0.0.1:%(redis)d"; }
rbl { local_exclude_ip_map = []; rbls {
  black { symbol = "BLACK"; rbl = "black.example"; checks = ["from"]; exclude_local = false; exclude_private_ips = false; ipv6 = true; }
  white { symbol = "WHITE"; rbl = "white.example"; checks = ["from"]; exclude_local = false; exclude_private_ips = false; ipv6 = true; } } }
greylist { timeout = 1; check_local = true; check_authed = true; }
settings { %(settings)s }
worker "rspamd_proxy" { bind_socket = "127.0.0.1:%(port)d"; bind_socket = "%(folder)s/milter mode=0666"; milter = yes; timeout = 10s; count = 1; upstream "local" { default = yes; self_scan = yes; } }
"""
RULES = "rspamd_config:register_symbol{name = 'ANY', type = 'normal', callback = function(task) return true, 1.0 end}\n"
CODEC_CASES = [(what, how, n, count) for what, how, counts in (("envelope", "kept", (6000, 20000)), ("envelope", "new", (3000, 6000)),
                                                              ("message", "kept", (3000, 6000)), ("message", "new", (2000, 4000)))
               for n, count in zip((1, 16), counts)]


class Mta(Postfix):
    """One Postfix with an smtpd for each arrangement; what it takes is thrown away."""

    def __init__(self, root, services):
        self.services = services
        super().__init__(root, USERS, POSTFIX)

    def write(self, name, text):
        if name == "master.cf":
            text += "discard unix - - n - - discard\n" + STRIPPER
            text += "".join("127.0.0.1:%d inet n - n - - smtpd\n%s" % (port, "".join("  -o %s\n" % o for o in options))
                            for port, options in self.services)
        super().write(name, text)

    def settle(self):
        for _ in range(400):
            if not self.waiting():
                return
            time.sleep(0.05)


class Arrangement:
    """Postfix with something, or nothing, beside it."""

    def __init__(self, name, server=None, options=()):
        self.name, self.server, self.port, self.options = name, server, free_port(), list(options)
        self.figures = {}

    def note(self, **figures):
        for key, value in figures.items():
            self.figures.setdefault(key, []).append(value)

    def cpu(self):
        return tree_cpu(self.server.process.pid) if self.server else 0.0

    def median(self, key):
        return statistics.median(self.figures[key])


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path


class Silent:
    """A server that no TCP port tells of; the same methods."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def folder_of(tmp, name, owner=None):
    path = os.path.join(tmp, name)
    os.mkdir(path)
    os.chmod(path, 0o755)
    if owner and os.getuid() == 0:
        shutil.chown(path, owner)
    return path


def start_lists(tmp):
    port, folder = free_port(), folder_of(tmp, "lists")
    write(folder, "zone", ZONE)
    argv = ["rbldnsd", "-n", "-q", "-b", "127.0.0.1/%d" % port, "-w", folder] + ["%s:ip4set:zone" % zone for zone in LISTS]
    return Silent(argv[:1] + (["-u", "nobody:nogroup"] if os.getuid() == 0 else []) + argv[1:]), port


def start_null(build, tmp):
    path = os.path.join(folder_of(tmp, "null"), "socket")
    server = Silent([null_filter(build), path])
    for _ in range(200):
        if os.path.exists(path):
            break
        time.sleep(0.05)
    return Arrangement("libmilter", server, ["smtpd_milters=unix:" + path])


def start_milter(build, tmp, dns, name, more="", options=()):
    port, folder = free_port(), folder_of(tmp, name)
    people = ", ".join('{ address = "%s"; profile = "%s"; }' % (u, KINDS[i % 3]) for i, u in enumerate(USERS))
    policy = write(folder, "policy.conf", MILTER % {"dns": dns, "recipients": people, "folder": folder} + more)
    socket = os.path.join(folder, "socket")
    server = Server(name, [os.path.join(build, "smtpf-milter"), "-c", policy, "--listen", "127.0.0.1:%d" % port, "--listen", "unix:" + socket],
                    port, tmp)
    return Arrangement(name, server, ["smtpd_milters=unix:" + socket, *options])


def start_rspamd(tmp, dns, redis):
    from rspamd import Rspamd  # pylint: disable=import-outside-toplevel

    real = Rspamd(folder_of(tmp, "rspamd", "nobody" if os.getuid() == 0 else None))
    people = "".join('u%d { rcpt = "%s"; priority = high; apply { actions { reject = %d; } } }\n' % (i, u, (10, 6, 15)[i % 3])
                     for i, u in enumerate(USERS))
    write(real.folder, "rspamd.conf", RSPAMD % {"folder": real.folder, "dns": dns, "redis": redis, "port": real.port, "settings": people})
    write(real.folder, "rules.lua", RULES)
    os.environ["LD_LIBRARY_PATH"], before = real.environment["LD_LIBRARY_PATH"], os.environ.get("LD_LIBRARY_PATH")
    try:
        server = Server("rspamd", real.command, real.port, tmp)
    finally:
        os.environ.pop("LD_LIBRARY_PATH") if before is None else os.environ.update(LD_LIBRARY_PATH=before)
    return Arrangement("rspamd", server, ["smtpd_milters=unix:%s/milter" % real.folder])


def start_postgrey(tmp):
    port = free_port()
    server = Server("postgrey", postgrey(tmp, port), port, tmp)
    return Arrangement("postgrey", server, ["smtpd_recipient_restrictions=reject_unauth_destination,check_policy_service,inet:127.0.0.1:%d" % port])


def null_filter(build):
    return os.path.join(build, "tests/bench/milter_null")


def arrangements(build, tmp, others):
    """All there can be here; what is missing is said. `others` takes the servers beside them."""
    lists, dns = start_lists(tmp)
    others.append(lists)
    made = [Arrangement("no filter"), start_milter(build, tmp, dns, "smtpf-milter", SPARES, ["cleanup_service_name=stripper"]),
            start_milter(build, tmp, dns, "milter-sees-all")]
    if os.path.exists(null_filter(build)):
        made.append(start_null(build, tmp))
    if shutil.which("rspamd") and shutil.which("redis-server"):
        redis = free_port()
        others.append(Server("redis", ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", tmp], redis, tmp))
        made.append(start_rspamd(tmp, dns, redis))
    else:
        print("  SKIP rspamd: it is not here, or Redis is not", flush=True)
    if shutil.which("postgrey"):
        made.append(start_postgrey(tmp))
    else:
        print("  SKIP postgrey: it is not here", flush=True)
    return made


# ---- measuring ---------------------------------------------------------------------------------------------------------


def load(build, a, sessions, count):
    return json.loads(run([os.path.join(build, "tests/bench/smtp_load"), str(a.port), str(sessions), str(count), str(SIZE), str(KEYS)], 300))


def acquaint(build, made):
    """Every greylist sees all mail once, and after its wait lets it pass."""
    for again in (0, 1):
        for a in made:
            got = load(build, a, SESSIONS, KEYS)
            seen = subprocess.run(["smtp-source", "-s", "1", "-m", "1", "-f", "a@client.example", "-t", USERS[0], "-M", "client.example",
                                   "127.0.0.1:%d" % a.port], capture_output=True, check=False, timeout=60)
            if again and (got["later"] or got["refused"] or seen.returncode):
                sys.exit("%s does not take the mail: %s" % (a.name, json.dumps(got)))
            if not again and a.server and a.name != "libmilter" and not got["later"]:
                sys.exit("%s does not greylist: %s" % (a.name, json.dumps(got)))
        time.sleep(WAIT)


def measure(build, mta, made, rounds):
    for _ in range(rounds):
        for a in made:
            mta.settle()
            before, all_before = a.cpu(), tree_cpu(mta.process.pid)
            rate = source(a.port, SIZE, SESSIONS, SOURCE, USERS[0])
            one = load(build, a, 1, ALONE)
            if one["later"] or one["refused"]:
                sys.exit("%s refused: %s" % (a.name, json.dumps(one)))
            count = SOURCE + ALONE
            a.note(rate=rate, median=one["median_us"], p99=one["p99_us"], cpu=(a.cpu() - before) / count * 1e6,
                   mta_cpu=(tree_cpu(mta.process.pid) - all_before) / count * 1e6)
    for a in made:
        a.note(memory=tree_memory(a.server.process.pid) if a.server else 0.0)


def measure_codec(build, tmp, rounds):
    """{(case, server): [(rate, cpu us), ...]} of smtpf-milter and of libmilter, interleaved; None without libmilter."""
    null = null_filter(build)
    if not os.path.exists(null):
        print("  SKIP libmilter: it was not there when this was configured (Debian package libmilter-dev)", flush=True)
        return None
    got, servers = {}, []
    try:
        for name, argv in (("libmilter", lambda port: [null, str(port)]),
                           ("smtpf", lambda port: [os.path.join(build, "smtpf-milter"), "-c", write(tmp, "codec.conf", CODEC), "--listen", "127.0.0.1:%d" % port])):
            port = free_port()
            servers.append(Server(name, argv(port), port, tmp))
        for _ in range(rounds):
            for what, how, n, count in CODEC_CASES:
                for s in servers:
                    before = s.cpu()
                    one = json.loads(run([os.path.join(build, "tests/bench/milter_load"), str(s.port), str(n), str(count), what, how], 300))
                    if one["refused"]:
                        sys.exit("%s refused: %s" % (s.name, json.dumps(one)))
                    got.setdefault((what, how, n, s.name), []).append((one["per_second"], (s.cpu() - before) / count * 1e6))
    finally:
        for s in reversed(servers):
            s.stop()
    return got


# ---- telling ------------------------------------------------------------------------------------------------------------


def per_round(made, key, of, to):
    """The median of the rounds' ratios."""
    by = {a.name: a.figures[key] for a in made}
    return median(x / max(y, 1e-9) for x, y in zip(by[of], by[to]))


def tell_hosts(made, result):
    bare = made[0]
    print("\n  %-14s %9s %8s %14s %12s %13s %13s %10s" % ("Postfix with", "msg/s", "of bare", "added median", "added 99 %", "filter cpu", "Postfix cpu", "memory"))
    for a in made:
        name = a.name.replace("smtpf-", "").replace(" ", "_")
        added = [median(x - y for x, y in zip(a.figures[key], bare.figures[key])) for key in ("median", "p99")]
        print("  %-14s %9.0f %8.2f %11.0f us %9.0f us %7.0f us/msg %7.0f us/msg %6.1f MiB" % (
            a.name, a.median("rate"), per_round(made, "rate", a.name, bare.name), added[0], added[1], a.median("cpu"), a.median("mta_cpu"), a.median("memory")))
        result[name + "_messages_per_second"] = round(a.median("rate"))
        if a is not bare:
            result["ratios"][name + "_vs_no_milter"] = per_round(made, "rate", a.name, bare.name)
            result.update({name + "_added_median_us": added[0], name + "_added_p99_us": added[1], name + "_cpu_us": round(a.median("cpu")),
                           name + "_memory_mib": round(a.median("memory"), 1)})
    for a in made[2:]:
        result["ratios"]["milter_vs_" + a.name] = per_round(made, "rate", "smtpf-milter", a.name)
        result["ratios"]["milter_cpu_vs_" + a.name] = round(made[1].median("cpu") / max(a.median("cpu"), 1), 3)
        result["ratios"]["milter_memory_vs_" + a.name] = round(made[1].median("memory") / max(a.median("memory"), 0.1), 3)


def tell_codec(got, result):
    print("\n  %-32s %12s %12s %8s %16s %16s" % ("the milter protocol alone", "libmilter/s", "smtpf/s", "ratio", "libmilter cpu", "smtpf cpu"))
    for what, how, n, _ in CODEC_CASES:
        theirs, ours = got[what, how, n, "libmilter"], got[what, how, n, "smtpf"]
        tail = "%s_%s_%d" % (what, how, n)
        result["ratios"]["codec_vs_libmilter_" + tail] = ratio = median(a[0] / b[0] for a, b in zip(ours, theirs))
        cpu = [statistics.median(c for _, c in figures) for figures in (theirs, ours)]
        result["ratios"]["codec_cpu_vs_libmilter_" + tail] = round(cpu[1] / max(cpu[0], 1), 3)
        print("  %-32s %12.0f %12.0f %8.2f %13.0f us %13.0f us" % (
            "%ss, %s, %d connection%s" % (what, "connections kept" if how == "kept" else "a new one each", n, "s" if n > 1 else ""),
            statistics.median(r for r, _ in theirs), statistics.median(r for r, _ in ours), ratio, *cpu))


def bench_hosts(build, rounds):
    """Everything in one run; two tables, then the figures."""
    others, made, mta = [], [], None
    result = {"name": "hosts", "ratios": {}, "runs": rounds}
    with tempfile.TemporaryDirectory(prefix="smtpf-hosts-") as tmp:
        os.chmod(tmp, 0o755)
        try:
            made += arrangements(build, tmp, others)
            mta = Mta(folder_of(tmp, "postfix"), [(a.port, a.options) for a in made])
            acquaint(build, made)
            measure(build, mta, made, rounds)
        except Missing as why:
            sys.exit("bench hosts: %s" % why)
        finally:
            for s in ([mta] if mta else []) + [a.server for a in made if a.server] + others:
                s.stop()
        tell_hosts(made, result)
        codec = measure_codec(build, tmp, rounds)
        if codec:
            tell_codec(codec, result)
    result["load_average"] = round(os.getloadavg()[0], 1)
    return result
