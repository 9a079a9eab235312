#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf-proxy with scanners of type spamd and icap beside the real spamd, and the real c-icap with clamd behind it: what
spamc says of a message is what is logged of it; what a server has not looked at is not clean."""
import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import free_port  # noqa: E402
from proxy_harness import Client, Proxy, Sink, Skip, eventually, run  # noqa: E402

POLICY = """
local_domains = [ "example.net" ];
hostnames = [ "mx.example.net" ];
check = { disable = [ "iprev" ]; };
profiles = ( { name = "default"; reject = 15.0; tag = 6.0; } );
scanners = ( { name = "one"; type = "%s"; servers = [ "%s" ]; timeout = "30s"; %s } );
"""
FRONT = b"From: a@example.org\r\nTo: user@example.net\r\nDate: Sat, 21 Nov 2026 19:48:54 +0000\r\nMessage-Id: <1@example.org>\r\nSubject: hi\r\n\r\n"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2ID" + b"NEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
LINE = b"x" * 70 + b"\r\n"


def program(name):
    path = shutil.which(name)
    if not path:
        raise Skip("no %s here" % name)
    return path, os.path.dirname(os.path.dirname(path))


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path


class Daemon:
    def __init__(self, folder, command, ready):
        self.output = open(folder + "/output", "ab")
        self.process = subprocess.Popen(command, stdout=self.output, stderr=self.output)
        try:
            eventually("%s answers" % command[0], ready, 60)
        except AssertionError:
            self.stop()
            raise

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.output.close()


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True
    except OSError:
        return False


def deliver(folder, kind, server, more, messages):
    """The replies to them, and what the log says was found in each."""
    sink, replies = Sink(), []
    proxy = Proxy(sink.port, policy=write(folder + "/policy", POLICY % (kind, server, more)), arguments=["--explain"])
    try:
        client = Client(proxy)
        for i, message in enumerate(messages):
            replies.append(client.deliver(message, sender=b"<s%d@example.org>" % i))
        client.close()
    finally:
        log = proxy.stop()
        sink.close()
    check = "virus" if "virus" in more else "scanner"
    return replies, re.findall(r'\[body check=%s (clear|hit|unknown)=(\S+) score=(\S+) detail="((?:\\.|[^"\\])*)"' % check, log)


# ---- spamd ----------------------------------------------------------------------------------------------------------

def spamd(folder, port, rules=""):
    """SpamAssassin's daemon, with more rules if given. Skip when it is not there."""
    path, root = program("spamd")
    os.mkdir(folder + "/site")
    os.mkdir(folder + "/home")
    write(folder + "/site/init.pre", "".join("loadplugin Mail::SpamAssassin::Plugin::%s\n" % p for p in (
        "Check", "BodyEval", "HeaderEval", "MIMEEval", "HTMLEval", "RelayEval", "WLBLEval")))
    write(folder + "/site/local.cf", "dns_available no\nskip_rbl_checks 1\nuse_bayes 0\nrequired_score 5\n"
          "body MARK /MARK-OF-SPAM/\nscore MARK 6.5\n" + rules)
    subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)
    command = ["perl", "-T", "-I" + root + "/share/perl5", path, "--local", "--siteconfigpath=" + folder + "/site",
               "--configpath=" + root + "/share/spamassassin", "--listen=127.0.0.1:%d" % port, "--socketpath=" + folder + "/sock",
               "--allowed-ips=127.0.0.1", "--nouser-config", "--username=nobody", "--min-children=1", "--max-children=2",
               "--helper-home-dir=" + folder + "/home", "--syslog=stderr"]
    return Daemon(folder, command, lambda: accepts(port))


def plain(score):
    return ("%.3f" % float(score)).rstrip("0").rstrip(".")


def spamc_says(spamc, port, message):
    """Score, least score of spam, names of rules. Our Received field is not in what spamc is shown: rules about its absence may differ."""
    ask = [spamc, "-d", "127.0.0.1", "-p", str(port)]
    score, least = subprocess.run(ask + ["-c"], input=message, capture_output=True, check=False).stdout.decode().strip().split("/")
    return float(score), float(least), names_in(subprocess.run(ask + ["-y"], input=message, capture_output=True, check=True).stdout.decode().strip())


def names_in(text):
    return {n for n in text.split(",") if not n.startswith(("NO_REL", "NO_REC", "ALL_TRUSTED", "UNPARSE"))}


def spamd_over_tcp_and_a_socket():
    """As spamc says, whichever way it is asked."""
    with tempfile.TemporaryDirectory(prefix="smtpf-spamd-") as folder:
        os.chmod(folder, 0o755)
        port, spamc = free_port(), program("spamc")[0]
        server = spamd(folder, port)
        messages = [FRONT + text + b"\r\n" for text in (b"hello", b"MARK-OF-SPAM", GTUBE, LINE * 1000, LINE * 3000 + b"MARK-OF-SPAM")]
        try:
            wanted = [spamc_says(spamc, port, message) for message in messages]
            for server_at in ("127.0.0.1:%d" % port, "unix:%s/sock" % folder):
                replies, found = deliver(folder, "spamd", server_at, "", messages)
                assert len(found) == len(messages), (server_at, found)
                for (score, least, names), reply, (kind, _, _, detail) in zip(wanted, replies, found):
                    assert kind == ("hit" if score >= least else "clear"), (server_at, kind, detail, score)
                    said = detail.split(": ")[-2:]
                    assert names_in(said[1]) == names, (server_at, said, names)
                    assert abs(float(said[0].split("/")[0]) - score) < 0.11 and said[0].endswith("/" + plain(least)), (server_at, said, score)
                    assert reply.startswith(b"550" if score >= 15 else b"250"), (server_at, reply, score)
        finally:
            server.stop()


# ---- c-icap ---------------------------------------------------------------------------------------------------------

ICAP = """PidFile {0}/pid
CommandsSocket {0}/control
StartServers 1
MaxServers 2
ThreadsPerChild 8
MinSpareThreads 2
MaxSpareThreads 8
Port 127.0.0.1:{1}
TmpDir {0}
MaxMemObject 131072
ModulesDir {2}
ServicesDir {2}
TemplateDir {3}/share/c_icap/templates/
LoadMagicFile {4}
ServerLog {0}/server.log
AccessLog {0}/access.log
Service echo srv_echo.so
Service antivirus_module virus_scan.so
ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.MaxObjectSize 1M
Module common clamd_mod.so
clamd_mod.ClamdSocket {0}/clamd
virus_scan.DefaultEngine clamd
"""


def icap_servers(folder, port):
    path, root = program("c-icap")
    modules = glob.glob(root + "/lib/*/c_icap/virus_scan.so")
    magic = [m for m in (os.path.dirname(root) + "/etc/c-icap/c-icap.magic", "/etc/c-icap/c-icap.magic") if os.path.exists(m)]
    if not modules or not magic:
        raise Skip("c-icap without virus_scan")
    clamd = program("clamd")[0]
    os.mkdir(folder + "/db")
    write(folder + "/db/test.ndb", "Test.Eicar:0:*:%s\n" % EICAR.hex())
    write(folder + "/clamd.conf", "Foreground yes\nLocalSocket %s/clamd\nLocalSocketMode 666\nDatabaseDirectory %s/db\n"
          "OfficialDatabaseOnly no\nTemporaryDirectory %s\nMaxThreads 4\nSelfCheck 0\n%s" % (
              folder, folder, folder, "User root\n" if os.getuid() == 0 else ""))
    write(folder + "/c-icap.conf", ICAP.format(folder, port, os.path.dirname(modules[0]), root, magic[0]))
    first = Daemon(folder, [clamd, "-c", folder + "/clamd.conf"], lambda: os.path.exists(folder + "/clamd"))
    try:
        return [first, Daemon(folder, [path, "-N", "-f", folder + "/c-icap.conf"], lambda: accepts(port))]
    except AssertionError:
        first.stop()
        raise


def icap_before_clamd():
    """Found and clean alike with and without a preview; above its limit, or by a service that judges nothing: unknown."""
    with tempfile.TemporaryDirectory(prefix="smtpf-icap-") as folder:
        port = free_port()
        servers = icap_servers(folder, port)
        small, evil = FRONT + b"hello\r\n", FRONT + EICAR + b"\r\n"
        long, long_evil = FRONT + LINE * 30000, FRONT + LINE * 30000 + EICAR + b"\r\n"
        try:
            for preview in ("true", "false"):
                for service, messages, wanted in (
                        ("avscan", (small, evil, long, long_evil, small), ("clear", "hit", "clear", "hit", "clear")),
                        ("virus_scan", (small, evil, long_evil), ("clear", "hit", "unknown")),
                        ("nosuch", (small,), ("unknown",))):
                    more = 'kind = "virus"; refuse = true; service = "%s"; preview = %s;' % (service, preview)
                    replies, found = deliver(folder, "icap", "127.0.0.1:%d" % port, more, messages)
                    assert tuple(f[0] for f in found) == wanted, (service, preview, found, replies)
                    for reply, kind, (_, _, _, detail) in zip(replies, wanted, found):
                        assert reply.startswith({"clear": b"250", "hit": b"550", "unknown": b"451"}[kind]), (reply, kind)
                        assert kind != "hit" or "Test.Eicar" in detail, detail
        finally:
            for s in reversed(servers):
                s.stop()


if __name__ == "__main__":
    sys.exit(run([spamd_over_tcp_and_a_socket, icap_before_clamd], sys.argv[1:]))
