# SPDX-License-Identifier: MIT
"""A real Sendmail with a milter, installed or unpacked, in name spaces of its own: it wants a host name with a dot, and asks
/etc/hosts. Nothing outside the test's folder is written. Root alone can make one.
"""
import glob
import os
import shutil
import signal
import socket
import subprocess
import time

from harness import fitted, free_port, guide, has_ipv6
from mta import Missing, NotStarted, unshared

MC = """divert(0)dnl
OSTYPE(`linux')dnl
DOMAIN(`generic')dnl
define(`confDOMAIN_NAME', `mx.example.net')dnl
define(`QUEUE_DIR', `{root}/queue')dnl
define(`confPID_FILE', `{root}/pid')dnl
define(`STATUS_FILE', `{root}/stat')dnl
define(`ALIAS_FILE', `{root}/aliases')dnl
define(`HELP_FILE', `{root}/helpfile')dnl
define(`confCW_FILE', `{root}/local-host-names')dnl
define(`confCT_FILE', `-o {root}/trusted-users')dnl
define(`confSERVICE_SWITCH_FILE', `{root}/service.switch')dnl
define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit')dnl
define(`confTO_IDENT', `0s')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confBIND_OPTS', `-DNSRCH -DEFNAMES')dnl
define(`confDELIVERY_MODE', `background')dnl
define(`confDEF_USER_ID', `nobody')dnl
define(`confLOG_LEVEL', `10')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confTRUSTED_USER', `root')dnl
define(`LOCAL_MAILER_PATH', `{root}/deliver')dnl
define(`LOCAL_MAILER_ARGS', `deliver $u')dnl
define(`LOCAL_SHELL_PATH', `/bin/false')dnl
MODIFY_MAILER_FLAGS(`LOCAL', `-w')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
DAEMON_OPTIONS(`Family=inet, Addr=127.0.0.1, Port={port}, Name=MTA')dnl
{more}{filter}MAILER(`local')dnl
MAILER(`smtp')dnl
{far}"""
SIX = "DAEMON_OPTIONS(`Family=inet6, Addr=::1, Port=%d, Name=MTA6')dnl\n"
TLS = """define(`confSERVER_CERT', `{0}')dnl
define(`confSERVER_KEY', `{0}')dnl
define(`confCACERT', `{0}')dnl
define(`confCACERT_PATH', `/nonexistent')dnl
"""
# A domain whose mail goes to a port of this machine by LMTP: cf/README, "mailer definitions".
FAR = """MAILER_DEFINITIONS
Mfar, P=[IPC], F=mDFMuXz, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, L=990, T=DNS/RFC822/SMTP, A=TCP $h {port}
LOCAL_RULE_0
R$+ < @ {domain} $* > $*\t$#far $@ [127.0.0.1] $: $1 < @ {domain} > $3
"""
DELIVER = """#!/bin/sh
umask 0
while [ $# -gt 1 ]; do shift; done # the sender comes before it
mkdir -p {root}/mail/$1 && cat >{root}/mail/$1/.$$ && mv {root}/mail/$1/.$$ {root}/mail/$1/$(date +%s%N).$$
"""
START = """set -e
hostname mx.example.net
mount --bind "$0/hosts" /etc/hosts
mount --bind "$0/resolv.conf" /etc/resolv.conf
exec "$1" -C "$0/sendmail.cf" -bD -q1m
"""
FILES = {"aliases": "", "trusted-users": "", "helpfile": "", "stat": "", "local-host-names": "example.net\n",
         "service.switch": "hosts files\naliases files\npasswd files\n", "hosts": "127.0.0.1 mx.example.net mx localhost\n",
         "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"}


class Sendmail:
    """Takes mail for everybody at example.net. `milter`: as INPUT_MAIL_FILTER has it, `inet:8891@127.0.0.1`; `certificate`: STARTTLS
    is offered; `far`: (domain, port) of what goes on by LMTP."""

    def __init__(self, root, milter, certificate=None, far=None):
        places = ":".join(os.path.join(p, "../libexec/sendmail") for p in os.environ.get("PATH", "").split(":"))
        self.program = shutil.which("sendmail", path=places + ":/usr/libexec/sendmail")
        m4 = shutil.which("m4")
        if not self.program or not m4:
            raise Missing("no sendmail 8 here" if m4 else "no m4 here")
        self.program = os.path.realpath(self.program)
        if os.geteuid() != 0:
            raise Missing("sendmail can be started by root alone")
        self.private = unshared("-um")
        self.root, self.port, self.process = root, free_port(), None
        prefix = self.program[:-len("/usr/libexec/sendmail/sendmail")]
        self.environment = dict(os.environ)
        self.environment["LD_LIBRARY_PATH"] = ":".join(filter(None, [
            os.environ.get("LD_LIBRARY_PATH"), *sorted(glob.glob(os.path.join(prefix, "usr/lib/*-linux-gnu")))]))
        if certificate:
            certificate = shutil.copy(certificate, os.path.join(root, "certificate"))
            os.chmod(certificate, 0o600)
        self.folders(m4, os.path.join(prefix, "usr/share/sendmail/cf"), MC.format(
            root=root, port=self.port, far=FAR.format(domain=far[0], port=far[1]) if far else "",
            filter=fitted(guide("milter.md", "INPUT_MAIL_FILTER"), ("unix:/run/smtpf-milter/socket", milter)),
            more=(SIX % self.port if has_ipv6() else "") + (TLS.format(certificate) if certificate else "") +
            ("RELAY_DOMAIN(`%s')dnl\n" % far[0] if far else "")))
        self.start()

    def folders(self, m4, cf, mc):
        os.chmod(self.root, 0o755)
        for name, mode in (("queue", 0o700), ("mail", 0o777)):
            os.mkdir(os.path.join(self.root, name))
            os.chmod(os.path.join(self.root, name), mode)
        shutil.copyfile(self.program, os.path.join(self.root, "sendmail"))  # the unpacked one is setgid: it would find no library
        self.program = os.path.join(self.root, "sendmail")
        os.chmod(self.program, 0o755)
        files = dict(FILES, **{"deliver": DELIVER.format(root=self.root)})
        for name, text in files.items():
            with open(os.path.join(self.root, name), "w", encoding="ascii") as f:
                f.write(text)
        os.chmod(os.path.join(self.root, "deliver"), 0o755)
        made = subprocess.run([m4, "-D_CF_DIR_=%s/" % cf, "%s/m4/cf.m4" % cf, "-"], cwd=os.path.join(cf, "cf"), check=False, text=True,
                              input=mc, capture_output=True)
        if made.returncode:
            raise Missing("sendmail.cf could not be made: " + made.stderr[-500:])
        with open(os.path.join(self.root, "sendmail.cf"), "w", encoding="ascii") as f:
            f.write(made.stdout)

    def start(self):
        with open(os.path.join(self.root, "log"), "wb") as out:
            self.process = subprocess.Popen([*self.private, "sh", "-c", START, self.root, self.program],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment, start_new_session=True)
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    if s.makefile("rb").readline()[:1] in (b"2", b"4"):
                        return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        why = self.log()[-1500:]
        self.stop()
        raise NotStarted("sendmail did not start: " + why)

    def log(self):
        with open(os.path.join(self.root, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def messages(self, mailbox):
        folder = os.path.join(self.root, "mail", mailbox.split("@")[0])
        found = []
        for name in sorted(n for n in os.listdir(folder) if n[0] != ".") if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as f:
                found.append(f.read())
        return found

    def held(self):
        return len([n for n in os.listdir(os.path.join(self.root, "queue")) if n.startswith("hf")])

    def stop(self):
        """Its processes are in a session of their own: the daemon, and what serves one client each."""
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)
