#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What smtpf-proxy gives up, and whom it tells: user and group, no_new_privs, system calls, the service manager."""
import glob
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from proxy_harness import HAM, PATIENCE, Client, Proxy, Sink, Skip, eventually, run

SRC = os.environ.get("srcdir", ".")


def status_of(process):
    with open("/proc/%d/status" % process.pid, encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def is_sanitized():
    """Leak checkers need what would be forbidden: such a build leaves system calls alone."""
    with open(".libs/smtpf-proxy" if os.path.exists(".libs/smtpf-proxy") else "smtpf-proxy", "rb") as f:
        text = f.read()
    return any(word in text for word in (b"__asan_init", b"__tsan_init", b"__msan_init"))


def drops_root():
    if os.geteuid():
        raise Skip("not root")
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid)
    folder = tempfile.mkdtemp(prefix="smtpf-privileges-")
    sink = Sink()
    try:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        pid_file = os.path.join(folder, "pid")
        proxy = Proxy(sink.port, {**Proxy.DEFAULTS, "proxy.user": "nobody", "store.type": "lmdb", "store.path": os.path.join(folder, "store"),
                                  "quarantine.directory": os.path.join(folder, "quarantine"), "proxy.spool_memory": "4096"},
                      arguments=["--pid-file", pid_file])
        try:
            s = status_of(proxy.process)
            assert s["Uid"].split() == [str(nobody.pw_uid)] * 4, s["Uid"]
            assert s["Gid"].split() == [str(nobody.pw_gid)] * 4, s["Gid"]
            assert set(map(int, s["Groups"].split())) <= set(os.getgrouplist("nobody", nobody.pw_gid)), s["Groups"]
            assert int(s["CapEff"], 16) == 0 and int(s["CapPrm"], 16) == 0, s["CapEff"]
            client = Client(proxy)
            client.expect(b"NOOP", b"250")
            assert client.deliver(HAM + b"x" * 70 + b"\r\n" * 9000).startswith(b"250")  # by way of a file
            client.close()
            for path in glob.glob(os.path.join(folder, "**"), recursive=True):
                if path != pid_file and path != os.path.join(folder, ""):
                    assert os.lstat(path).st_uid == nobody.pw_uid, path
            proxy.signal(signal.SIGHUP)
            eventually("reload", lambda: "reloaded" in proxy.log())
        finally:
            proxy.stop()
        assert group
    finally:
        sink.close()
        shutil.rmtree(folder, True)


def no_new_privileges():
    sink = Sink()
    for sandbox, mode in (("true", "2"), ("false", "0")):
        proxy = Proxy(sink.port, {**Proxy.DEFAULTS, "proxy.sandbox": sandbox})
        s = status_of(proxy.process)
        proxy.stop()
        assert s["NoNewPrivs"] == "1", s
        assert s["Seccomp"] == mode or (sandbox == "true" and is_sanitized()), (sandbox, s["Seccomp"])
    sink.close()


def programs_only_from_the_start():
    """A scanner that is a program: started with it, it runs; a reload cannot bring it in where programs are forbidden."""
    folder = tempfile.mkdtemp(prefix="smtpf-privileges-")
    policy, sink = os.path.join(folder, "policy.conf"), Sink()
    plain = 'local_domains = [ "example.net" ]; hostnames = [ "mx.example.net" ];\n'
    scanner = 'scanners = ( { name = "program"; type = "command"; command = [ "/bin/sh", "-c", "cat >/dev/null" ]; } );\n'

    def write(text):
        with open(policy, "w", encoding="ascii") as f:
            f.write(text)

    try:
        write(plain + scanner)
        proxy = Proxy(sink.port, policy=policy)
        client = Client(proxy)
        assert client.deliver(HAM).startswith(b"250"), proxy.log()
        client.close()
        proxy.stop()
        write(plain)
        proxy = Proxy(sink.port, policy=policy)
        write(plain + scanner)
        proxy.signal(signal.SIGHUP)
        eventually("refusal", lambda: "needs a new start" in proxy.log())
        client = Client(proxy)
        assert client.deliver(HAM).startswith(b"250")
        client.close()
        proxy.stop()
    finally:
        sink.close()
        shutil.rmtree(folder, True)


def refuses_users():
    program = os.environ.get("SMTPF_PROXY", "./smtpf-proxy")
    said = subprocess.run([program, "--check", "--set", "proxy.user=no-such-user"], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode and "proxy.user" in said.stderr, said.stderr
    said = subprocess.run([program, "--check", "--set", "proxy.group=no-such-group"], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode and "proxy.group" in said.stderr, said.stderr


def tells_the_service_manager():
    for abstract in (False, True):
        folder = tempfile.mkdtemp(prefix="smtpf-notify-")
        sink, heard = Sink(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = "@smtpf-notify-%d" % os.getpid() if abstract else os.path.join(folder, "notify")
        heard.bind(name.replace("@", "\0"))
        heard.settimeout(PATIENCE)
        os.environ["NOTIFY_SOCKET"] = name
        try:
            proxy = Proxy(sink.port)
            assert heard.recv(200) == b"READY=1"
            proxy.signal(signal.SIGHUP)
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", heard.recv(200))
            assert heard.recv(200) == b"READY=1"
            proxy.stop()
            assert heard.recv(200) == b"STOPPING=1"
        finally:
            del os.environ["NOTIFY_SOCKET"]
            heard.close()
            sink.close()
            shutil.rmtree(folder, True)


def unit_files():
    """Each names a program that there is, with arguments that it takes; and systemd reads it, where systemd is."""
    units = sorted(glob.glob(os.path.join(SRC, "examples", "systemd", "*.service")))
    assert len(units) == 3, units
    for path in units:
        with open(path, encoding="ascii") as f:
            text = f.read()
        start = re.search(r"^ExecStart=/usr/local/bin/(\S+) (.*)$", text, re.M)
        program, rest = start.group(1), start.group(2).split()
        assert os.path.basename(path) == program + ".service"
        policy = os.path.join(SRC, "examples", "policy.conf")
        said = subprocess.run(["./" + program, "--check", *[policy if r.startswith("/") else r for r in rest]], capture_output=True, text=True,
                              timeout=60, check=False)
        assert said.returncode == 0, said.stderr
        keys = [line.split("=")[0] for line in text.splitlines() if "=" in line and not line.startswith("#")]
        assert {"Type", "ExecStart", "User", "NoNewPrivileges", "ProtectSystem", "SystemCallFilter", "WantedBy"} <= set(keys), path
        # Its own: systemd removes the folder when the unit stops.
        assert "RuntimeDirectory=%s\n" % program in text, path
        # Where the guide has it listen and keep mail it can write, and it may give its socket to a group.
        with open(os.path.join(SRC, "docs", "guide", program[len("smtpf-"):] + ".md"), encoding="utf-8") as f:
            folders = re.findall(r"install -d (?:-\S+ \S+ )*(/\S+)(?: (/\S+))?", f.read())
        writable = set(re.search(r"^ReadWritePaths=(.*)$", text, re.M).group(1).replace("-/", "/").split())
        writable.add("/run/" + program)  # its RuntimeDirectory
        wanted = {folder for pair in folders for folder in pair if folder}
        assert wanted and wanted <= writable, (path, wanted, writable)
        calls = re.findall(r"^SystemCallFilter=(.*)$", text, re.M)
        assert calls[-1] == "@chown", (path, calls)
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        raise Skip("no systemd-analyze: only their commands were looked at")
    for path in units:
        with open(path, encoding="ascii") as f, tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, os.path.basename(path))
            with open(copy, "w", encoding="ascii") as out:
                out.write(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", f.read(), flags=re.M))
            said = subprocess.run([analyze, "verify", "--man=no", copy], capture_output=True, text=True, timeout=60, check=False)
            wrong = [line for line in said.stderr.splitlines() if os.path.basename(path) in line]
            assert not wrong, wrong


CASES = [drops_root, no_new_privileges, programs_only_from_the_start, refuses_users, tells_the_service_manager, unit_files]

if __name__ == "__main__":
    sys.exit(run(CASES, sys.argv[1:]))
