# SPDX-License-Identifier: MIT
"""A real Exim, in a folder of its own and on a port the system chose; the installed one, or one that was only unpacked
(docs/decisions/0003). Exim looks its user up by name: where there is none, it sees a copy of /etc/passwd with one, in a
mount namespace of its own.
"""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

import watched
from harness import free_port, has_ipv6
from mta import Missing, NotStarted, children, unshared

USER = "Debian-exim"
CONFIG = """exim_path = {program}
spool_directory = {root}/spool
log_file_path = {root}/log/%slog
pid_file_path = {root}/run/exim.pid
primary_hostname = exim.example.net
daemon_smtp_ports = {port}
local_interfaces = <; 127.0.0.1{six}
domainlist local_domains = {domains}
host_lookup =
rfc1413_hosts =
tls_advertise_hosts = {tls}
dns_ipv4_lookup =
deliver_drop_privilege = true
keep_environment =
prdr_enable = {prdr}
{main}
begin acl
acl_rcpt:
  deny   !domains = +local_domains
         message = relaying denied
{rcpt}
  accept
acl_data:
{data}
  accept
{acls}
begin routers
{routers}
mailbox:
  driver = accept
  domains = +local_domains
  transport = maildir

begin transports
out:
  driver = smtp
  interface = {bind}
  allow_localhost
  tls_tempfail_tryclear
lmtp:
  driver = smtp
  protocol = lmtp
  port = 24
  allow_localhost
maildir:
  driver = appendfile
  directory = {root}/mail/all
  envelope_to_add
  maildir_format
  create_directory
  user = {user}
  group = {user}

begin retry
* * F,2m,10s
"""
ACLS = "acl_smtp_rcpt = acl_rcpt\nacl_smtp_data = acl_data\n"


class Exim:
    """`domains`: whatever comes for them is kept. `rcpt`, `data`: statements of the ACLs; `routers`: before the last one;
    where mail goes by LMTP to this machine that is the transport `lmtp`; `main`: more options; `acls`: ACLs that options in `main` name, in the place of these two;
    `prdr`: whether it is offered; `bind`: the address that it sends from; `ours`: it loads our module, and is watched; `certificate`: it offers
    STARTTLS."""

    def __init__(self, root, domains, rcpt="", data="", routers="", bind="127.0.0.1", main="", acls="", prdr=True, ours=False,
                 certificate=None):
        self.program = shutil.which("exim4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not self.program:
            raise Missing("no exim4 here")
        if os.geteuid() != 0:
            raise Missing("exim can be started by root alone")
        self.root, self.port, self.ours = root, free_port(), ours
        try:
            user, self.own = pwd.getpwnam(USER), False
            self.uid, self.gid = user.pw_uid, user.pw_gid
        except KeyError:
            self.own, self.uid, self.gid = True, 61625, 61625
            self.private = unshared()
        os.chmod(root, 0o755)
        for name in ("spool", "log", "run", "mail"):
            os.mkdir(os.path.join(root, name))
            os.chown(os.path.join(root, name), self.uid, self.gid)
        if certificate:
            main = "tls_certificate = %s\n" % certificate + main
        with open(os.path.join(root, "exim.conf"), "w", encoding="ascii") as f:
            f.write(CONFIG.format(tls="*" if certificate else "", six=" ; ::1" if has_ipv6() else "", program=self.program, root=root, port=self.port, domains=" : ".join(domains), rcpt=rcpt, data=data,
                                  routers=routers, bind=bind, user=USER, prdr=str(prdr).lower(), acls=acls, main=("" if acls else ACLS) + main))
        self.start()

    def command(self, *words):
        run = [self.program, "-C", os.path.join(self.root, "exim.conf"), *words]
        if self.ours and watched.WRAPPER:  # nobody may watch what is setuid
            run[0] = os.path.join(self.root, "exim4")
            if not os.path.exists(run[0]):  # it may be running
                shutil.copy(self.program, run[0])
            os.chmod(run[0], 0o755)
        run = watched.stranger(run) if self.ours else run
        if not self.own:
            return run
        for name, line in (("passwd", "%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n"), ("group", "%s:x:%d:%.0s\n")):
            with open("/etc/" + name, encoding="utf-8") as f:
                text = f.read()
            with open(os.path.join(self.root, name), "w", encoding="utf-8") as f:
                f.write(text + line % (USER, self.uid, self.gid))
        mounts = " && ".join("mount --bind %s/%s /etc/%s" % (self.root, n, n) for n in ("passwd", "group"))
        return [*self.private, "sh", "-c", mounts + ' && exec "$@"', "sh"] + run

    def start(self):
        with open(os.path.join(self.root, "log", "start"), "wb") as out:
            self.process = subprocess.Popen(self.command("-bdf", "-q1m"), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    if s.makefile("rb").readline():  # an ACL may have another greeting
                        return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        why = self.log()[-1500:]
        self.stop()
        raise NotStarted("exim did not start: " + why)

    def version(self):
        out = subprocess.run(self.command("-bV"), capture_output=True, text=True, check=False).stdout.split()
        return "Exim " + (out[2] if len(out) > 2 else "?")

    def log(self, *names):
        text = ""
        for name in names or ("start", "mainlog", "paniclog", "rejectlog"):
            path = os.path.join(self.root, "log", name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    text += f.read()
        return text

    def messages(self, mailbox):
        """The messages for an address, oldest first."""
        folder, found = os.path.join(self.root, "mail", "all", "new"), []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as f:
                text = f.read()
            if b"\nEnvelope-to: %s\n" % mailbox.encode() in b"\n" + text:
                found.append(text)
        return found

    def waiting(self):
        """How many messages are still on their way."""
        return sum(name.endswith("-H") for _, _, files in os.walk(os.path.join(self.root, "spool", "input")) for name in files)

    def receivers(self):
        """The processes that have a client now."""
        return [pid for pid, _ in children(self.process.pid)]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
