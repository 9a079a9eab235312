#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy with a scanner of type rspamd beside the real rspamd: each message is judged as rspamc says it is, its
header edits are made, and what becomes of the mail follows. Then rspamd is ended, and started again."""
import email.header
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import free_port  # noqa: E402
from proxy_harness import Client, Proxy, Sink, Skip, eventually, run  # noqa: E402

CONFIGURATION = """
options {
  filters = ""; history_rows = 10; local_addrs = []; disable_hyperscan = true; gtube_patterns = "all";
  pidfile = "%(folder)s/rspamd.pid"; hs_cache_dir = "%(folder)s/cache"; url_tld = "%(folder)s/tld";
  control_socket = "%(folder)s/control mode=0600";
  dns { nameserver = ["127.0.0.1:%(nothing)d"]; timeout = 0.05s; retransmits = 1; sockets = 1; }
}
logging { type = "file"; filename = "%(folder)s/log"; level = "info"; }
lua = "%(folder)s/rules.lua";
actions { reject = 15; rewrite_subject = 9; add_header = 6; greylist = 4; subject = "*** %%s"; }
group "test" { symbols { MARK_REJECT { score = 20.0; } MARK_SUBJECT { score = 10.0; } MARK_HEADER { score = 7.25; }
  MARK_GREY { score = 4.5; } MARK_GOOD { score = -3.0; } MARK_EDIT { score = 0; } MARK_ENVELOPE { score = 0.5; } } }
worker "normal" { bind_socket = "127.0.0.1:%(port)d"; bind_socket = "%(folder)s/sock mode=0666"; count = 1; }
"""
RULES = r"""
local function has(task, word)
  return tostring(task:get_content()):find(word, 1, true)
end
for _, name in ipairs({'MARK_REJECT', 'MARK_SUBJECT', 'MARK_HEADER', 'MARK_GREY', 'MARK_GOOD'}) do
  rspamd_config:register_symbol{name = name, type = 'normal', callback = function(task)
    if has(task, name) then return true, 1.0, 'caf\xe9' end
  end}
end
rspamd_config:register_symbol{name = 'MARK_SOFT', type = 'prefilter', callback = function(task)
  if has(task, 'MARK_SOFT') then task:set_pre_result('soft reject', 'come again', 'test') end
end}
rspamd_config:register_symbol{name = 'MARK_EDIT', type = 'normal', callback = function(task)
  if not has(task, 'MARK_EDIT') then return end
  task:set_milter_reply({
    add_headers = {['X-One'] = 'one', ['X-Two'] = {value = 'two', order = 0},
                   ['X-Three'] = {{value = 'a', order = 1}, {value = 'b'}}},
    remove_headers = {['X-All'] = 0, ['X-Second'] = 2, ['X-Last'] = -1}})
  return true
end}
rspamd_config:register_symbol{name = 'MARK_ENVELOPE', type = 'normal', callback = function(task)
  local from, to = task:get_from('smtp'), task:get_recipients('smtp')
  if has(task, 'MARK_ENVELOPE') and tostring(task:get_from_ip()) == '127.0.0.1' and task:get_helo() == 'client.example.org' and
     from[1].addr == 'sender@example.org' and #to == 2 and to[1].addr == 'user@example.net' and to[2].addr == 'other@example.net' and
     #task:get_queue_id() == 16 then return true end
end}
"""
POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev" ]; };
profiles = ( { name = "default"; reject = 15.0; tag = 6.0; } );
scanners = ( { name = "rspamd"; type = "rspamd"; servers = [ %s ]; edits = true; timeout = "20s"; } );
"""
FRONT = b"From: sender@example.org\r\nX-All: 1\r\nX-Second: 1\r\nX-Last: 1\r\nX-Second: 2\r\nX-Last: 2\r\nX-All: 2\r\nSubject: caf\xe9\r\n\r\n"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2ID" + b"NEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


class Rspamd:
    """The real one, on a port and a socket of its own; with rules that look for words. Ended by its pid."""

    def __init__(self, folder):
        self.program = shutil.which("rspamd")
        if not self.program:
            raise Skip("no rspamd here")
        self.folder, self.port, self.process = folder, free_port(), None
        self.address = "127.0.0.1:%d" % self.port
        self.unix = "unix:%s/sock" % folder
        root = os.path.dirname(os.path.dirname(self.program))
        share = os.path.join(root, "share", "rspamd")
        self.environment = dict(os.environ)
        self.environment["LD_LIBRARY_PATH"] = ":".join(
            [os.path.join(root, "lib", "rspamd")] + [p for p in [os.environ.get("LD_LIBRARY_PATH")] if p])
        variables = {"SHAREDIR": share, "PLUGINSDIR": share + "/plugins", "RULESDIR": share + "/rules", "LUALIBDIR": share + "/lualib",
                     "WWWDIR": share + "/www", "CONFDIR": folder, "LOCAL_CONFDIR": folder, "DBDIR": folder + "/cache",
                     "RUNDIR": folder, "LOGDIR": folder}
        self.command = [self.program, "-f", "-c", folder + "/rspamd.conf"] + ["--var=%s=%s" % v for v in variables.items()]
        os.mkdir(folder + "/cache")
        for name, text in (("rspamd.conf", CONFIGURATION % {"folder": folder, "port": self.port, "nothing": free_port()}),
                           ("rules.lua", RULES), ("tld", "com\nexample\nnet\norg\n")):
            with open(os.path.join(folder, name), "w", encoding="latin-1") as f:
                f.write(text)
        if os.getuid() == 0:
            self.command += ["-u", "nobody", "-g", "nogroup"]
            os.chmod(folder, 0o755)
            subprocess.run(["chown", "-R", "nobody:nogroup", folder], check=True)

    def answers(self):
        try:
            with urllib.request.urlopen("http://%s/ping" % self.address, timeout=2) as r:
                return r.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def start(self):
        with open(self.folder + "/output", "wb") as out:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=out, stderr=out)
        try:
            eventually("rspamd answers", self.answers, 60)
        except AssertionError:
            self.stop()
            raise

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.process = None

    def ask(self, message, recipients=("user@example.net",)):
        """What rspamc says of it."""
        command = [os.path.join(os.path.dirname(self.program), "rspamc"), "-h", self.address, "--json", "-i", "127.0.0.1", "-F",
                   "sender@example.org", "--helo", "client.example.org"]
        for r in recipients:
            command += ["-r", r]
        said = subprocess.run(command, input=message, env=self.environment, capture_output=True, timeout=30, check=True).stdout
        return json.loads(said.decode("utf-8", "replace"))


def number(v):
    return ("%.3f" % v).rstrip("0").rstrip(".").replace("-0", "0") if abs(v) < 0.0005 else ("%.3f" % v).rstrip("0").rstrip(".")


def evidence(log):
    """What the scanner is logged to have found in each message: (clear, hit or unknown; code; score; detail)."""
    found = re.findall(r'\[body check=scanner (clear|hit|unknown)=(\S+) score=(\S+) detail="((?:\\.|[^"\\])*)"', log)
    return [(kind, code, score, detail.replace('\\"', '"')) for kind, code, score, detail in found]


def wanted(said, server):
    """The same from rspamc's answer."""
    detail = "%s: %s %s/%s" % (server, said["action"], number(said["score"]), number(said["required_score"]))
    detail += " skipped" if said.get("is_skipped") else ""
    message = said.get("messages", {}).get("smtp_message")
    detail += ' "%s"' % message if message else ""
    symbols = sorted(said["symbols"].items(), key=lambda s: -abs(s[1]["score"]))
    detail += "".join(" %s(%s)" % (name, number(s["score"])) for name, s in symbols)
    kind = "hit" if said["action"] == "reject" else "unknown" if said["action"] == "soft reject" else "clear"
    return kind, "0" if kind == "unknown" else number(said["score"]), detail


MESSAGES = (  # what is in it, the reply, what is prepended to the subject
    (b"nothing", b"250", b""),
    (b"MARK_GOOD", b"250", b""),
    (b"MARK_GREY", b"250", b""),
    (b"MARK_HEADER", b"250", b""),
    (b"MARK_HEADER MARK_GOOD MARK_GREY", b"250", b""),
    (b"MARK_SUBJECT", b"250", b"*** "),
    (b"MARK_REJECT", b"550 5.7.1", b""),
    (b"MARK_REJECT MARK_SUBJECT MARK_GOOD", b"550 5.7.1", b""),
    (b"MARK_SOFT", b"451", b""),
    (b"MARK_EDIT", b"250", b""),
    (b"http://caf\xe9.example/ \xff\xfe \x80", b"250", b""),
    (GTUBE, b"550 5.7.1", b""),
    (b"MARK_GREY\r\n" + b"x" * 70 + b"\r\n" * 3000, b"250", b""),
    ((b"x" * 70 + b"\r\n") * 30000 + b"MARK_HEADER", b"250", b""),
)


def each_is_judged_as_rspamc_says(server):
    with tempfile.TemporaryDirectory(prefix="smtpf-rspamd-") as folder:
        rspamd = Rspamd(folder)
        rspamd.start()
        sink = Sink()
        try:
            judged_alike(rspamd, sink, folder, rspamd.unix if server == "unix" else rspamd.address)
        finally:
            sink.close()
            rspamd.stop()


def subject_of(head):
    raw = re.search(rb"(?m)^Subject: (.*)$", head).group(1).strip().decode("latin-1")
    return str(email.header.make_header(email.header.decode_header(raw)))


def judged_alike(rspamd, sink, folder, server):
    policy = os.path.join(folder, "policy")
    with open(policy, "w", encoding="ascii") as f:
        f.write(POLICY % ('"%s"' % server))
    proxy = Proxy(sink.port, policy=policy, arguments=["--explain"])
    try:
        expected = []
        client = Client(proxy)
        for text, reply, _ in MESSAGES:
            message = FRONT + text + b"\r\n"
            said = rspamd.ask(message)
            got = client.deliver(message)
            assert got.startswith(reply), (text[:40], got, said)
            expected.append(wanted(said, server))
        both = FRONT + b"MARK_ENVELOPE\r\n"
        assert client.deliver(both, b"<user@example.net>", b"<other@example.net>").startswith(b"250")
        client.close()
    finally:
        log = proxy.stop()
    found = evidence(log)
    assert len(found) == len(MESSAGES) + 1, found
    for (kind, score, detail), got, (text, _, _) in zip(expected, found, MESSAGES):
        assert (got[0], got[2]) == (kind, score) and got[3].endswith(detail), (text[:40], got, kind, score, detail)
    assert "MARK_ENVELOPE(0.5)" in found[-1][3], found[-1]
    taken = [m.data for m in sink.messages]
    assert len(taken) == sum(reply == b"250" for _, reply, _ in MESSAGES) + 1
    subjects = [more for _, reply, more in MESSAGES if reply == b"250"]
    for data, more in zip(taken, subjects):
        head = data.split(b"\r\n\r\n")[0]
        names = [line.split(b":")[0] for line in head.split(b"\r\n")]
        assert names.count(b"Subject") == 1, head
        assert subject_of(head).startswith("*** ") == (more != b""), head
        if b"MARK_EDIT" in data:
            assert b"X-All" not in names and names.count(b"X-Second") == 1 and names.count(b"X-Last") == 1, head
            assert b"X-Second: 1" in head and b"X-Last: 1" in head, head
            assert b"X-One: one" in head and b"X-Two: two" in head and b"X-Three: a" in head and b"X-Three: b" in head, head


def as_rspamc_says_over_tcp():
    each_is_judged_as_rspamc_says("tcp")


def as_rspamc_says_over_a_socket():
    each_is_judged_as_rspamc_says("unix")


def gone_and_back():
    """While it is gone mail comes again, never 5xx and never taken as clean; then it is judged again."""
    with tempfile.TemporaryDirectory(prefix="smtpf-rspamd-") as folder:
        rspamd = Rspamd(folder)
        rspamd.start()
        sink = Sink()
        policy = os.path.join(folder, "policy")
        with open(policy, "w", encoding="ascii") as f:
            f.write(POLICY % ('"%s"' % rspamd.address))
        proxy = Proxy(sink.port, policy=policy)
        try:
            spam = FRONT + b"MARK_REJECT\r\n"
            client = Client(proxy)
            assert client.deliver(FRONT + b"x\r\n").startswith(b"250")
            assert client.deliver(spam).startswith(b"550 5.7.1")
            rspamd.stop()
            for i in range(3):
                reply = client.deliver(spam, sender=b"<other%d@example.org>" % i)
                assert reply.startswith(b"451"), reply
            rspamd.start()
            end = time.monotonic() + 30
            while not client.deliver(spam, sender=b"<more@example.org>").startswith(b"550 5.7.1"):
                assert time.monotonic() < end
                time.sleep(0.3)
            client.close()
            assert len(sink.messages) == 1
        finally:
            proxy.stop()
            sink.close()
            rspamd.stop()


if __name__ == "__main__":
    if not shutil.which("rspamd"):
        print("SKIP no rspamd here")
        sys.exit(77)
    with open("config.status", encoding="utf-8", errors="replace") as status:
        if 'HAVE_RSPAMD_TRUE"]="#"' in status.read():
            print("SKIP this build has no rspamd scanner")
            sys.exit(77)
    sys.exit(run([as_rspamc_says_over_tcp, as_rspamc_says_over_a_socket, gone_and_back], sys.argv[1:]))
