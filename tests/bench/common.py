# SPDX-License-Identifier: MIT
"""What the benches share: processes on a port and what they use of the machine, loads, medians."""
import glob
import grp
import json
import os
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """A process and all below it."""
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            children = [int(n) for n in f.read().split()]
    except OSError:
        return []
    return [pid] + [p for child in children for p in tree(child)]


def tree_cpu(pid):
    """Seconds of processor time of a process and all below it, those that have ended included."""
    ticks = 0
    for p in tree(pid):
        try:
            with open("/proc/%d/stat" % p, encoding="ascii") as f:
                ticks += sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:15])
        except OSError:
            continue
    return ticks / TICK


def tree_memory(pid):
    """MiB of a process and all below it; what several share is divided among them."""
    kib = 0
    for p in tree(pid):
        try:
            with open("/proc/%d/smaps_rollup" % p, encoding="ascii") as f:
                kib += int(f.read().split("\nPss:")[1].split()[0])
        except (OSError, IndexError):
            continue
    return kib / 1024


class Server:
    """One process of ours that listens on a port; ended by its pid."""

    def __init__(self, name, argv, port, tmp):
        self.name, self.port = name, port
        self.log = os.path.join(tmp, name + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        for _ in range(200):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            sys.exit("%s did not start: %s" % (name, log.read()[-2000:]))

    def cpu(self):
        """Seconds of processor time used so far, children included."""
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def source(port, size, sessions, count, recipient="b@example.net"):
    """Messages per second of one smtp-source run."""
    argv = ["smtp-source", "-s", str(sessions), "-l", str(size), "-m", str(count), "-f", "a@client.example", "-t", recipient,
            "-M", "client.example", "127.0.0.1:%d" % port]
    begun = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    took = time.monotonic() - begun
    if done.returncode or done.stderr.strip():
        sys.exit("smtp-source failed: " + (done.stderr or done.stdout)[-1000:])
    return count / took


def median(values):
    return round(statistics.median(values), 3)


def run(argv, timeout):
    """What a program printed; ends the bench when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        sys.exit("%s failed: %s" % (os.path.basename(argv[0]), done.stderr[-2000:]))
    sys.stderr.write(done.stderr)
    return done.stdout


def postgrey(tmp, port):
    """The argv of a postgrey, installed or borrowed (bootstrap); None without one."""
    program = shutil.which("postgrey")
    if not program:
        return None
    root = program[:-len("/usr/sbin/postgrey")] if program.endswith("/usr/sbin/postgrey") else ""
    perl = ["-I%s/usr/share/perl5" % root] + ["-I" + d for d in glob.glob(root + "/usr/lib/*/perl5/5.*")]
    folder = os.path.join(tmp, "postgrey")
    os.mkdir(folder)
    me, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    return ["perl", "-T", *perl, program, "--inet=127.0.0.1:%d" % port, "--dbdir=" + folder, "--user=" + me, "--group=" + group, "--delay=1",
            "--auto-whitelist-clients=0", "--whitelist-clients=/dev/null", "--whitelist-recipients=/dev/null"]


def fold(runs):
    """Equal objects of figures -> one with their medians."""
    if isinstance(runs[0], dict):
        return {key: fold([r[key] for r in runs]) for key in runs[0]}
    return median(runs) if isinstance(runs[0], (int, float)) else runs[0]
