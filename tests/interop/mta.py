# SPDX-License-Identifier: MIT
"""A real mail server as the next hop: Postfix, in a folder of its own and on a port the system chose. The installed
one, or one that was only unpacked (docs/decisions/0003): no file outside the folder is read or written but its programs.
"""
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

from harness import free_port, has_ipv6

MAIN = """compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
command_directory = {commands}
daemon_directory = {daemons}
mail_owner = {owner}
setgid_group = {group}
default_privs = {unprivileged}
maillog_file = {root}/log/mail.log
maillog_file_prefixes = {root}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
myhostname = mta.example.net
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
biff = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
default_transport = error:nothing leaves this machine
relay_transport = error:nothing leaves this machine
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = texthash:{root}/conf/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_relay_restrictions =
smtpd_peername_lookup = no
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_authorized_xclient_hosts = 127.0.0.0/8
"""

MASTER = """127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Missing(Exception):
    """There is no such server here, or it cannot be run, and why."""


class NotStarted(Missing):
    """There is one, and it does not run."""


def unshared(flags="-m"):
    """What runs a command in name spaces of its own."""
    words = ["unshare", flags, "--propagation", "private"]
    if subprocess.run(words + ["true"], capture_output=True, check=False).returncode:
        raise Missing("no name spaces can be made here")
    return words


def first(find, names):
    for name in names:
        try:
            return find(name)
        except KeyError:
            continue
    raise Missing("none of the users or groups " + " ".join(names))


def overridden(text, more):
    """main.cf with lines of `more` in the place of those of the same name. A name that comes twice would be warned of by each
    process as it starts, the one that reads the warnings among them: it waits for itself when there are many."""
    lines = dict(line.split(" =", 1) for line in (text + more).splitlines() if line)
    return "".join("%s =%s\n" % item for item in lines.items())


def is_executable(path):
    try:
        return bool(os.stat(path).st_mode & 0o100)
    except OSError:  # it has gone on, and is counted where it went
        return True


def children(pid):
    """(pid, name) of the processes it has started."""
    found = []
    for child in open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii").read().split():
        try:
            with open("/proc/%s/comm" % child, encoding="ascii") as f:
                found.append((int(child), f.read().strip()))
        except OSError:
            continue
    return found


class Postfix:
    """`mailboxes`: addresses; each has a maildir of its own. XCLIENT and XFORWARD are offered. `main`: more lines for
    main.cf; `second`: parameters of another smtpd, on `second_port`; `tables`: files for the folder `conf`; `ipv6`: it listens
    on ::1 too, where there is one."""

    def __init__(self, root, mailboxes, main="", second=(), tables=None, ipv6=False):
        postfix = shutil.which("postfix", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not postfix:
            raise Missing("no postfix here")
        if os.geteuid() != 0:
            raise Missing("postfix can be started by root alone")
        self.root, self.mailboxes, self.port = root, list(mailboxes), free_port()
        self.second_port = free_port() if second else None
        prefix = os.path.dirname(os.path.dirname(os.path.dirname(postfix)))  # / or where it was unpacked
        self.daemons = os.path.join(prefix, "usr/lib/postfix/sbin")
        self.environment = dict(os.environ, MAIL_CONFIG=os.path.join(root, "conf"))
        self.environment["LD_LIBRARY_PATH"] = ":".join(
            filter(None, [os.environ.get("LD_LIBRARY_PATH"), os.path.join(prefix, "usr/lib/postfix")]))
        owner = first(pwd.getpwnam, ["postfix", "mail", "daemon"])
        group = first(grp.getgrnam, ["postdrop", "games", "uucp"])
        box = first(pwd.getpwnam, ["nobody"])
        unprivileged = first(pwd.getpwnam, [n for n in ("nobody", "bin") if n != owner.pw_name])
        self.folders(owner, group, box)
        ipv6 = ipv6 and has_ipv6()
        self.write("main.cf", overridden(MAIN.format(
            root=root, commands=os.path.join(prefix, "usr/sbin"), daemons=self.daemons, owner=owner.pw_name, group=group.gr_name,
            unprivileged=unprivileged.pw_name, uid=box.pw_uid, gid=box.pw_gid,
            domains=" ".join(sorted({m.split("@")[1] for m in mailboxes}))), main + ("inet_protocols = all\n" if ipv6 else "")))
        more = "127.0.0.1:%d inet n - n - - smtpd\n" % self.second_port if second else ""
        six = "[::1]:%d inet n - n - - smtpd\n" % self.port if ipv6 else ""
        self.write("master.cf", MASTER.format(port=self.port) + six + more + "".join("  -o %s\n" % p for p in second))
        self.write("mailboxes", "".join("%s %s/\n" % (m, m) for m in mailboxes))
        for name, text in (tables or {}).items():
            self.write(name, text)
        self.start()

    def folders(self, owner, group, box):
        os.chmod(self.root, 0o755)
        for name in ("conf", "spool", "data", "log", "mail"):
            os.mkdir(os.path.join(self.root, name))
        os.chown(os.path.join(self.root, "data"), owner.pw_uid, owner.pw_gid)
        os.chown(os.path.join(self.root, "mail"), box.pw_uid, box.pw_gid)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
            os.mkdir(os.path.join(self.root, "spool", name), 0o700)
            os.chown(os.path.join(self.root, "spool", name), owner.pw_uid, -1)
        os.mkdir(os.path.join(self.root, "spool", "pid"), 0o755)
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            path = os.path.join(self.root, "spool", name)
            os.mkdir(path)
            os.chown(path, owner.pw_uid, group.gr_gid)
            os.chmod(path, mode)

    def write(self, name, text):
        with open(os.path.join(self.root, "conf", name), "w", encoding="ascii") as f:
            f.write(text)

    def start(self):
        out = open(os.path.join(self.root, "log", "start"), "wb")
        self.process = subprocess.Popen([os.path.join(self.daemons, "master"), "-c", os.path.join(self.root, "conf"), "-d"],
                                        env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                        start_new_session=True)  # master ends its own process group
        out.close()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    if s.makefile("rb").readline().startswith(b"220"):
                        return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        why = self.log()[-1500:]
        self.stop()
        raise NotStarted("postfix did not start: " + why)

    def version(self):
        out = subprocess.run([os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(self.daemons))), "sbin/postconf"),
                              "-c", os.path.join(self.root, "conf"), "-h", "mail_version"], env=self.environment,
                             capture_output=True, text=True, check=False)
        return "Postfix " + out.stdout.strip()

    def log(self):
        text = ""
        for name in ("start", "mail.log"):
            path = os.path.join(self.root, "log", name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    text += f.read()
        return text

    def messages(self, mailbox):
        """The messages in a mailbox, oldest first."""
        folder = os.path.join(self.root, "mail", mailbox, "new")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        found = []
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                found.append(f.read())
        return found

    def waiting(self):
        """How many messages are still on their way. One that a client has begun and not ended lies in `incoming` and is not: the last
        thing that is done to a file there is to make it executable."""
        found = 0
        for queue in ("maildrop", "incoming", "active", "deferred"):
            for folder, _, names in os.walk(os.path.join(self.root, "spool", queue)):
                found += sum(queue != "incoming" or is_executable(os.path.join(folder, name)) for name in names)
        return found

    def receivers(self):
        """The processes that have, or had, a client."""
        return [pid for pid, name in children(self.process.pid) if name == "smtpd"]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # master ends its children
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
