#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smtpf_exim.so when who decides fails: no smtpf-milter, one that is silent, that dies under a client, that comes back; a
policy that is broken. Clients are put off, or pass where the postmaster says so; none is refused. And the policy that the
daemon has read before it forks; and that the files, once loaded, are never unloaded."""
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import exim  # noqa: E402
import milter  # noqa: E402
from exim_module import MODULE, Client, client, pasted, prepare  # noqa: E402
from harness import FAILED, arrived, check, conclude, eventually, skip, skipped  # noqa: E402
from mta import Missing  # noqa: E402

SILENT_S = 2


def send(server, subject, recipient="yes@example.net"):
    """The reply that ended it."""
    try:
        with client(server) as c:
            codes, replies = c.message("x@example.org", [recipient], subject)
            return replies[0] if replies else (max(codes), "")
    except OSError as e:
        return getattr(e, "smtp_code", 0), str(e)


def never_there(defers, passes):
    try:
        Client("127.0.0.1", defers.port, "client.example", 20).close()
        code = 220
    except OSError as e:
        code = getattr(e, "smtp_code", 0)
    check("nobody there: put off", 400 <= code < 500, code)
    words = "nothing can be decided (connect): mail passes"
    before = passes.log().count(words)
    got = send(passes, "spammy unseen")
    check("nobody there: mail passes where that is said", got[0] == 250 and arrived(passes, "yes@example.net", "spammy unseen"), got)
    check("it is told, at the beginning and with the message", passes.log().count(words) == before + 2, passes.log())


def dies(server, start):
    """Under a client, at each place; and is back for its next message."""
    steps = [("MAIL", "FROM:<x@example.org>"), ("RCPT", "TO:<yes@example.net>"), ("DATA", "")]
    for at in range(len(steps) + 1):
        daemon = start()
        with client(server) as c:
            for verb, rest in steps[:at]:
                c.docmd(verb, rest)
            daemon.kill()
            if at < len(steps):
                code, _ = c.docmd(*steps[at])
            else:
                c.send(b"Subject: dies\r\n\r\nhello\r\n.\r\n")
                code, _ = c.getreply()
            check("killed before %s" % (steps[at][0] if at < len(steps) else "the end"), 400 <= code < 500, code)
            daemon = start()
            c.rset()
            codes, replies = c.message("x@example.org", ["yes@example.net"], "again %d" % at)
            check("it is back, and the client's next message is taken", replies and replies[0][0] == 250, (codes, replies))
            codes, replies = c.message("x@example.org", ["yes@example.net"], "spammy again")
            check("or refused", replies and replies[0][0] == 550, (codes, replies))
        daemon.kill()
    check("no message of its failures", not any(b"Subject: dies\n" in m for m in server.messages("yes@example.net")))


def silent(server, start):
    daemon = start()
    with client(server) as c:
        c.docmd("MAIL", "FROM:<x@example.org>")
        daemon.process.send_signal(signal.SIGSTOP)
        code, _ = c.docmd("RCPT", "TO:<yes@example.net>")
        check("silent for longer than it may: put off", 400 <= code < 500, code)
        daemon.process.send_signal(signal.SIGCONT)
        c.rset()
        codes, replies = c.message("x@example.org", ["yes@example.net"], "after silence")
        check("then it speaks again", replies and replies[0][0] == 250, (codes, replies))
    daemon.kill()


def restarted_under_load(server, start):
    """Ten clients, each with messages of its own, while the daemon is taken over twice: no 5xx, and nothing is lost that
    was answered 250."""
    daemon, taken = start(), []
    for i in range(12):
        if i in (4, 8):
            successor = start()
            daemon.stop()
            daemon = successor
        code = send(server, "load %d" % i)[0]
        check("message %d is not refused" % i, code == 250 or 400 <= code < 500, code)
        taken += ["load %d" % i] if code == 250 else []
    check("taken over: nobody is even put off", len(taken) == 12, taken)
    check("what was answered 250 is there", all(arrived(server, "yes@example.net", s) for s in taken))
    daemon.kill()


def broken_policy(server, policy):
    """Read by the daemon; the old one serves on; a new one is taken up."""
    check("the policy that Exim's daemon has read", send(server, "spammy early")[0] == 550)
    with open(policy, encoding="ascii") as f:
        text = f.read()
    for broken, what in (("broken", "one that does not load: the old one serves on"), (text.replace("reject = 10.0", "reject = 20.0"), None)):
        with open(policy, "w", encoding="ascii") as f:
            f.write(broken)
        if what:
            check(what, [send(server, "spammy %d" % i)[0] for i in range(2)] == [550, 550])
        else:
            check("a new one", eventually(lambda: send(server, "spammy late")[0] == 250))


def never_unloaded():
    """Exim unloads what it has loaded; what the library has started then (exit functions, thread-local data) must stay."""
    for name in ("smtpf_exim.so", "smtpf_exim_policy.so"):
        try:
            out = subprocess.run(["readelf", "-d", os.path.join(os.path.dirname(MODULE), name)], capture_output=True, text=True, check=True).stdout
        except OSError:
            skipped(name + " cannot be unloaded", "no readelf here")
            continue
        check(name + " cannot be unloaded", "NODELETE" in out, out)
        if name == "smtpf_exim.so" and not os.environ.get("SMTPF_SANITIZED"):
            needed = [line for line in out.splitlines() if "NEEDED" in line and "san" not in line]
            check("who asks smtpf-milter loads no library for it", len(needed) == 1 and "libc.so" in needed[0], needed)


def start_exim(tmp, name, where, failure="defer", timeout=""):
    folder, how = os.path.join(tmp, name), pasted(where, failure)
    how["acls"] = how["acls"].replace("{SMTPF_FAILURE}", "{SMTPF_FAILURE}{%s}" % timeout)
    os.mkdir(folder)
    return exim.Exim(folder, ["example.net"], ours=True, **how)


def run(tmp, servers):
    root, nowhere = os.path.join(tmp, "policy"), "unix:" + os.path.join(tmp, "nobody")
    text = prepare(root)
    path = os.path.join(root, "socket")

    def start():
        return milter.Server(tmp, text + 'milter = { socket_mode = "0666"; };\n', unix=path)

    servers.append(start_exim(tmp, "defers", nowhere))
    servers.append(start_exim(tmp, "passes", nowhere, "pass"))
    never_there(*servers[:2])
    servers.append(start_exim(tmp, "outside", "unix:" + path, "defer", SILENT_S))
    dies(servers[-1], start)
    silent(servers[-1], start)
    restarted_under_load(servers[-1], start)
    own = os.path.join(tmp, "own")  # a store that the daemon has made is not Exim's
    prepare(own)
    servers.append(start_exim(tmp, "inside", os.path.join(own, "policy")))
    broken_policy(servers[-1], os.path.join(own, "policy"))


def main():
    if not os.path.exists(MODULE):
        skip("built without Exim's local_scan.h")
    never_unloaded()
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        servers = []
        try:
            run(tmp, servers)
        except Missing as why:
            skip(why)
        finally:
            for server in servers:
                if FAILED or sys.exc_info()[0]:
                    print(server.log()[-1500:])
                server.stop()
    conclude()


if __name__ == "__main__":
    main()
