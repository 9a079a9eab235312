# SPDX-License-Identifier: MIT
"""A real OpenSMTPD with a filter, in a mount namespace of its own: its paths are compiled in, so folders that hold what
it wants lie over them there, and nothing outside the test's folder is written. Root alone can make one.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import watched
from harness import addresses, fitted, free_port, guide
from mta import Missing, NotStarted, unshared

USERS = ("opensmtpd", "opensmtpq", "box")
# What lies over what; then smtpd, in the foreground.
START = """set -e
if [ -d "$2" ]; then mkdir -p "$0/cores"; mount --bind "$2" "$0/cores"; fi # it lies where something else will
for place in usr/libexec var/spool run var/lib; do mount --bind "$0/over/$place" "/$place"; done
for file in passwd group resolv.conf; do mount --bind "$0/over/$file" "/etc/$file"; done
exec "$1" -d -f "$0/smtpd.conf"
"""


def parent_of(pid):
    with open("/proc/%s/stat" % pid, encoding="ascii", errors="replace") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


class OpenSMTPD:
    """`boxes`: local parts at example.net; `command`: the filter's command line; `certificate`: STARTTLS is offered, unless
    `without_tls` says why not; `more`: lines for smtpd.conf."""

    def __init__(self, root, boxes, command, certificate=None, more=""):
        self.program = shutil.which("smtpd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not self.program:
            raise Missing("no smtpd (OpenSMTPD) here")
        if os.geteuid() != 0:
            raise Missing("OpenSMTPD can be started by root alone")
        self.private = unshared()
        self.root, self.port, self.process = root, free_port(), None
        told = subprocess.run([self.program, "-h"], capture_output=True, text=True, check=False)
        old = re.search(r"OpenSMTPD [0-6]\.\S+", told.stdout + told.stderr)
        self.without_tls = old and old[0] + " fails each handshake where OpenSSL is 3.0 or later (its issue 1171)"
        self.folders(boxes)
        with open(os.path.join(root, "smtpd.conf"), "w", encoding="ascii") as f:
            f.write("table boxes { %s }\n" % ", ".join('"%s" = box' % b for b in boxes))
            if certificate and self.without_tls:
                certificate = None
            if certificate:
                certificate = shutil.copy(certificate, os.path.join(root, "certificate"))
                os.chmod(certificate, 0o600)
                f.write('pki tests cert "%s"\npki tests key "%s"\n' % (certificate, certificate))
            how = "port %d hostname mx.example.net%s filter policy" % (self.port, " tls pki tests" if certificate else "")
            f.write(fitted(guide("opensmtpd.md", "proc-exec"), ("/usr/local/bin/smtpf-opensmtpd -c /etc/smtpfilter.conf", command),
                           ("listen on all filter policy", "\n".join("listen on %s %s" % (a, how) for a in addresses())),
                           ("~/Maildir", root + "/mail/%{dest.user}"), ("alias <aliases>", "virtual <boxes>")) + more)
        self.start()

    def folders(self, boxes):
        over = os.path.join(self.root, "over")
        prefix = os.path.dirname(os.path.dirname(os.path.dirname(self.program)))
        for place in ("usr/libexec", "var/spool/smtpd", "run", "var/lib/opensmtpd/empty", "../mail"):
            os.makedirs(os.path.join(over, place))
        os.chmod(self.root, 0o755)
        os.chmod(os.path.join(over, "var/spool/smtpd"), 0o711)
        os.symlink(os.path.join(prefix, "usr/libexec/opensmtpd"), os.path.join(over, "usr/libexec/opensmtpd"))
        with open("/etc/passwd", encoding="utf-8") as f:
            passwd = f.read()
        with open("/etc/group", encoding="utf-8") as f:
            group = f.read()
        for i, name in enumerate(USERS):
            home = os.path.join(self.root, "mail") if name == "box" else "/var/lib/opensmtpd/empty"
            passwd += "%s:x:%d:%d::%s:/bin/false\n" % (name, 64100 + i, 64100 + i, home)
            group += "%s:x:%d:\n" % (name, 64100 + i)
        for name, text in (("passwd", passwd), ("group", group), ("resolv.conf", "nameserver 127.0.0.1\n")):
            with open(os.path.join(over, name), "w", encoding="utf-8") as f:
                f.write(text)
        os.chown(os.path.join(self.root, "mail"), 64102, 64102)
        for box in boxes:
            os.mkdir(os.path.join(self.root, "mail", box))
            os.chown(os.path.join(self.root, "mail", box), 64102, 64102)

    def start(self):
        with open(os.path.join(self.root, "log"), "wb") as out:
            self.process = subprocess.Popen([*self.private, "sh", "-c", START, self.root, self.program,
                                             watched.CORES],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        for _ in range(200):
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
        raise NotStarted("OpenSMTPD did not start: " + why)

    def log(self):
        with open(os.path.join(self.root, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def filter_pid(self, program):
        """The process of the filter, that smtpd has started."""
        for entry in os.listdir("/proc"):
            try:
                if (os.readlink("/proc/%s/exe" % entry).endswith(os.path.basename(program))
                        and self.process.pid in (parent_of(entry), parent_of(parent_of(entry)))):  # by a shell, perhaps
                    return int(entry)
            except (OSError, ValueError, IndexError):
                continue
        return None

    def messages(self, box, folder="."):
        """`folder`: `.Junk` is where smtpd puts what bears `X-Spam: Yes`."""
        folder = os.path.join(self.root, "mail", box, folder, "new")
        found = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as f:
                found.append(f.read())
        return found

    def waiting(self):
        """How many messages and envelopes are still on their way."""
        return sum(len(files) for _, _, files in os.walk(os.path.join(self.root, "over", "var/spool/smtpd/queue")))

    def is_running(self):
        return self.process.poll() is None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # smtpd ends its children
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
