#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What smtpf-policyd is as a daemon: messages found from any connection by any thread, draining, systemd's sockets, readiness,
privileges, limits, and a line for each verdict."""
import json
import os
import pwd
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import watched  # noqa: E402
from harness import check, conclude, free_port  # noqa: E402
from policyd import BAD, BINARY, LATER, POLICY, WISHES, Server, answers, ask, message, request  # noqa: E402
from proxy_privileges import is_sanitized, status_of  # noqa: E402

MARK = "action=PREPEND X-Smtpfilter: tagged; score=8; addrlist=listed"
END = {"state": "DATA", "recipient": "tag@example.net", "recipient_count": "1"}


def is_closed(s):
    try:
        return s.recv(100) == b""
    except OSError:
        return False


def many_threads(tmp):
    """Each request of a message over another connection, so over another thread too."""
    server = Server(tmp, "--threads", "4", policy=WISHES % "instances = 4000;")
    wrong = []

    def run(who):
        lines = [server.connect() if (who + i) % 2 else server.unix() for i in range(5)]
        for i in range(40):
            name = "%d.%d" % (who, i)
            got = ask(lines[i % 5], instance=name, recipient="tag@example.net", **BAD)
            got = [got, ask(lines[(i + 2) % 5], instance=name, recipient="b@example.net", **BAD)]
            got.append(ask(lines[(i + 3) % 5], instance=name, **END, **BAD))
            if got[0] != "action=DUNNO" or not got[1].startswith("action=452 4.5.3 ") or got[2] != MARK:
                wrong.append((name, got))
        both = b"".join(request(instance="%d.p%d" % (who, i), recipient="tag@example.net", **BAD) +
                        request(instance="%d.p%d" % (who, i), **END, **BAD) for i in range(20))
        lines[0].sendall(both)
        got = answers(lines[0], 40)
        if got != ["action=DUNNO", MARK] * 20:
            wrong.append(("pipelined", got))
        for s in lines:
            s.close()

    runs = [threading.Thread(target=run, args=(who,)) for who in range(6)]
    for r in runs:
        r.start()
    for r in runs:
        r.join(60)
    check("four threads: a message is found over whichever connection it is asked about", not wrong, wrong[:3])
    tasks = len(os.listdir("/proc/%d/task" % server.process.pid))
    check("there are as many threads", tasks >= 5 or watched.WRAPPER, tasks)
    check("they end in order", server.stop() == (0, ""))


def drains(tmp):
    server = Server(tmp, "--threads", "2", policy=WISHES % 'drain = "30s";')
    with server.connect() as idle, server.connect() as s, server.unix() as other:
        ask(idle, instance="1", recipient="tag@example.net", client="192.0.2.1")
        ask(idle, instance="1", client="192.0.2.1", **END)
        ask(s, instance="2", recipient="tag@example.net", **BAD)
        ask(other, instance="3", recipient="hold@example.net", **BAD)
        server.process.send_signal(signal.SIGTERM)
        check("draining: who has nothing to be decided is closed", is_closed(idle))
        refused = False
        for _ in range(100):
            try:
                server.connect().close()
                time.sleep(0.05)
            except OSError:
                refused = True
                break
        check("nobody else is served", refused)
        check("what is under way is decided", ask(s, instance="2", **END, **BAD) == MARK)
        check("the other one too", ask(other, instance="3", state="DATA", recipient="hold@example.net", recipient_count="1", **BAD)[:11] == "action=HOLD")
        check("then they are closed", is_closed(s) and is_closed(other))
    begun = time.monotonic()
    check("and it ends, long before its time", server.stop() == (0, "") and time.monotonic() - begun < 10)
    server = Server(tmp, policy=WISHES % 'drain = "600ms";')
    with server.connect() as s:
        ask(s, instance="1", recipient="tag@example.net", **BAD)
        begun = time.monotonic()
        code = server.stop()[0]
        took = time.monotonic() - begun
        check("who asks no more is waited for as long as the policy says", code == 0 and 0.4 < took < 8, (code, took))
    server = Server(tmp, policy=POLICY % ("", 'delay = { rcpt = "900ms"; };'))
    with server.connect() as s:
        s.sendall(request(instance="1"))
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        check("a request that waits for its answer has it", answers(s) == ["action=DUNNO"])
    check("it ends", server.stop() == (0, ""))


def inherited(tmp):
    """As systemd does it: the socket is there before and after."""
    path, policy = os.path.join(tmp, "systemd.sock"), os.path.join(tmp, "policy.conf")
    with open(policy, "w", encoding="ascii") as f:
        f.write(WISHES % "")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(10)
        for turn in range(2):
            early = socket.socket(socket.AF_UNIX)
            early.settimeout(20)
            early.connect(path)  # before anybody serves
            early.sendall(request(instance="1", recipient="tag@example.net", **BAD))
            child = subprocess.Popen(["sh", "-c", "exec 3<&%d; export LISTEN_PID=$$ LISTEN_FDS=1; exec %s -c %s --threads 2" %
                                      (s.fileno(), shlex.join(watched.wrapped([BINARY])), policy)], pass_fds=(s.fileno(),), stderr=subprocess.DEVNULL)
            check("a socket of systemd's, turn %d" % turn, answers(early) == ["action=DUNNO"] and ask(early, instance="1", **END, **BAD) == MARK)
            early.close()
            child.terminate()
            check("it ends, the socket stays", child.wait(30) == 0 and os.path.exists(path))


def is_ready(tmp):
    """Told to the service manager, and to a descriptor."""
    name = os.path.join(tmp, "notify")
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(name)
    heard.settimeout(20)
    os.environ["NOTIFY_SOCKET"] = name
    try:
        server = Server(tmp, policy=POLICY % ("", ""))
        got = [heard.recv(200)]
        server.process.send_signal(signal.SIGHUP)
        got += [heard.recv(200), heard.recv(200)]
        check("ready, told", server.stop() == (0, ""))
        got.append(heard.recv(200))
        check("ready, reloading, ready, stopping", [g.split(b"\n")[0] for g in got] == [b"READY=1", b"RELOADING=1", b"READY=1", b"STOPPING=1"], got)
    finally:
        del os.environ["NOTIFY_SOCKET"]
        heard.close()
    at, back = free_port(), os.pipe()
    child = subprocess.Popen([BINARY, "--listen", "127.0.0.1:%d" % at, "--ready-fd", str(back[1]), "--pid-file", os.path.join(tmp, "pid")],
                             pass_fds=(back[1],), stderr=subprocess.DEVNULL)
    os.close(back[1])
    with os.fdopen(back[0], "rb") as f:
        line = f.readline()
    check("where it listens", line == b"127.0.0.1:%d\n" % at, line)
    with open(os.path.join(tmp, "pid"), encoding="ascii") as f:
        check("its pid", int(f.read()) > 0)
    child.terminate()
    check("it ends, and takes that back", child.wait(30) == 0 and not os.path.exists(os.path.join(tmp, "pid")))


def gives_up_privileges(tmp):
    if watched.WRAPPER:
        return
    folder = os.path.join(tmp, "own")
    os.mkdir(folder)
    server = Server(tmp, policy=POLICY % ("", 'policyd = { socket_mode = "0622"; };'))
    s = status_of(server.process)
    check("no new privileges, calls denied", s["NoNewPrivs"] == "1" and (s["Seccomp"] == "2" or is_sanitized()), s)
    check("the mode of its socket", stat.S_IMODE(os.stat(server.path).st_mode) == 0o622)
    check("it ends", server.stop() == (0, ""))
    server = Server(tmp)
    check("by default whoever gets there may ask", stat.S_IMODE(os.stat(server.path).st_mode) == 0o666)
    check("it ends", server.stop() == (0, ""))
    if os.geteuid():
        print("SKIP not root: nobody to become")
        return
    nobody = pwd.getpwnam("nobody")
    os.chmod(tmp, 0o755)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    server = Server(tmp, "--user=nobody", "--delay=1", "--dbdir=" + os.path.join(folder, "store"))
    s = status_of(server.process)
    check("another user, without capabilities", s["Uid"].split() == [str(nobody.pw_uid)] * 4 and s["Gid"].split() == [str(nobody.pw_gid)] * 4 and
          int(s["CapEff"], 16) == 0, s)
    with server.unix() as c:
        got = ask(c)
        check("over the socket that root made", got.startswith(LATER), got)
    check("it ends", server.stop()[0] == 0)
    check("what it keeps is that user's", all(os.stat(os.path.join(where, f)).st_uid == nobody.pw_uid for where, _, files in os.walk(folder) for f in files))


def limits(tmp):
    server = Server(tmp, policy=POLICY % ("", 'policyd = { connections = 2; idle_timeout = "1s"; };'))
    time.sleep(0.5)  # those of the constructor are gone
    with server.connect() as a, server.connect() as b:
        check("two are served", ask(a) == "action=DUNNO" and ask(b) == "action=DUNNO")
        with server.connect() as third:
            check("one connection too many", is_closed(third))
        check("who asks nothing for long is closed", is_closed(a) and is_closed(b))
    check("it ends", server.stop() == (0, ""))


def verdict_lines(tmp):
    server = Server(tmp, "--explain", policy=WISHES % "")
    with server.connect() as s:
        message(s, "one.1", "tag@example.net")
        ask(s, instance="two.2", recipient="x@elsewhere.example", queue_id="ABC")
    check("it ends", server.stop() == (0, ""))
    lines = [line for line in server.log().splitlines() if " session=" in line]
    check("a line for each verdict", len(lines) == 3 and len({line.split(" session=")[1].split()[0] for line in lines}) == 2, lines)
    check("of a recipient", " info " in lines[0] and " client=203.0.113.66 instance=one.1 event=rcpt arg=tag@example.net reply=250" in lines[0] and
          "[connect check=addrlist hit=listed" in lines[0], lines[0])
    check("of a message", " event=end-of-message " in lines[1] and " to=tag@example.net disposition=tagged" in lines[1], lines[1])
    check("of a refusal", " notice " in lines[2] and " queue=ABC event=rcpt arg=x@elsewhere.example reply=550 status=5.7.1" in lines[2], lines[2])
    server = Server(tmp, "--log", "json", policy=WISHES % 'log_verdicts = "refused";')
    with server.connect() as s:
        message(s, "one.1", "tag@example.net")
        ask(s, instance="two.2", recipient="x@elsewhere.example")
    check("it ends", server.stop()[0] == 0)
    lines = [json.loads(line) for line in server.log().splitlines()]
    lines = [line for line in lines if "session" in line]
    check("as JSON, of refusals alone", len(lines) == 1 and lines[0]["reply"]["code"] == 550 and lines[0]["instance"] == "two.2", lines)
    server = Server(tmp, policy=WISHES % 'log_verdicts = "none";')
    with server.connect() as s:
        ask(s, recipient="x@elsewhere.example")
    check("none", server.stop() == (0, "") and "session=" not in server.log())


def command_line():
    for arguments, words in ((("--inet", "x"), "127.0.0.1:x"), (("--listen", "lmtp:127.0.0.1:1"), "policyd.listen"), (("--threads", "0"), "policyd.threads"),
                             (("--delay=x",), "greylist.wait"),
                             (("--retry-window=x",), "greylist.window"), (("too-many",), "too-many"),
                             (("--set", "policyd.user=no-such-user"), "policyd.user"), (("--set", "lost_ack.enable=true"), "lost_ack")):
        started = any("lost" in a for a in arguments)  # which can be seen then alone
        out = subprocess.run([BINARY, *arguments, *(() if started else ("--check",))], capture_output=True, text=True, timeout=30, check=False)
        check("refused: %s" % " ".join(arguments), out.returncode == 1 and words in out.stderr, out)
    for where, wanted in (("0", "127.0.0.1"), ("127.0.0.2:0", "127.0.0.2"), ("::1:0", "[::1]"), ("[::1]:0", "[::1]")):
        child = subprocess.Popen([BINARY, "--inet", where], stderr=subprocess.PIPE, text=True)
        line = child.stderr.readline()
        child.terminate()
        child.communicate(timeout=30)
        check("--inet %s" % where, "listen=%s:" % wanted in line or "call=" in line and ":" in wanted, line)


def main():
    for case in (many_threads, drains, inherited, is_ready, gives_up_privileges, limits, verdict_lines):
        with tempfile.TemporaryDirectory() as tmp:
            case(tmp)
    command_line()
    conclude()


if __name__ == "__main__":
    main()
